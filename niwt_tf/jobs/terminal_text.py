"""Text from elsewhere (labels, file names) as a terminal may show it."""

from __future__ import annotations

import io
import os
import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

# Within emoji and words of many scripts these join or part letters; every other invisible character is shown as its escape.
_JOINERS = "\u200c\u200d"
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


class _Lasting(io.FileIO):
    """A file that drops what is written once nobody reads it any more; a disk that is full is said once."""

    def write(self, content: Buffer, /) -> int:
        try:
            return super().write(content) or 0
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise
            return memoryview(content).nbytes


def outlive_readers() -> None:
    """Let a job go on to its end where whoever reads it has seen enough, as `head` does, or nobody ever read it (`>&-`).

    A letter that the output's encoding does not have is written as its Python escape.
    """
    if sys.stdin is None:  # closed (`<&-`): the next file that is opened would be what children read
        held = os.open(os.devnull, os.O_RDONLY)
        if held != 0:
            os.dup2(held, 0)
            os.close(held)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            held = os.open(os.devnull, os.O_WRONLY)
            if held != number:  # else the next file that is opened would be what is printed to
                os.dup2(held, number)
                os.close(held)
        if stream is None or (isinstance(stream, io.TextIOWrapper) and stream.fileno() == number):
            encoding, errors = getattr(stream, "encoding", None), getattr(stream, "errors", None)
            errors = "backslashreplace" if errors == "strict" else errors
            by_line = number == 2 or (stream is not None and (stream.line_buffering or stream.write_through))
            lasting = io.BufferedWriter(_Lasting(number, "wb", closefd=False))
            setattr(sys, name, io.TextIOWrapper(lasting, encoding, errors, line_buffering=by_line))


def shown(text: str) -> str:
    """Return `text` with each control character, each mark of direction and each lone surrogate as its Python escape.

    Nothing in it can then move the cursor, colour the screen, break a line, or turn the order of what follows.
    """
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if character not in _JOINERS and unicodedata.category(character) in _INVISIBLE
        else character
        for character in text
    )


def escape_what_cannot_be_shown() -> None:
    """Make the standard output write a letter that its encoding does not have as its Python escape."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def width(text: str) -> int:
    """Return the columns that a terminal gives to `text`, near enough: wide letters take two, combining ones none."""
    return sum(_columns(character) for character in text)


def padded(text: str, columns: int) -> str:
    """Return `text` with spaces after it up to a width."""
    return text + " " * (columns - width(text))


def _columns(character: str) -> int:
    if character in _JOINERS or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
