"""Text from elsewhere (labels, file names) as a terminal may show it."""

from __future__ import annotations

import sys
import unicodedata

# Within emoji and words of many scripts these join or part letters; every other invisible character is shown as its escape.
_JOINERS = "\u200c\u200d"
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


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
