"""The one exception for a user's mistake, how its sentence suggests what was meant, and what errors of files say."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_LONGEST = 80  # characters of what was received
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class InputError(ValueError):
    """Bad input: the message is one sentence that names the argument or file, the rule and what was received.

    Jobs print the message alone and end with exit status 2; library callers see a ValueError.
    """


class OtherFlagsError(InputError):
    """A run was made with other flags.

    Attributes:
        names: of the flags that differ.
    """

    def __init__(self, message: str, names: Sequence[str]) -> None:
        super().__init__(message)
        self.names = tuple(names)


def require(condition: object, sentence: str) -> None:
    """Check that a condition holds.

    Raises:
        InputError: with the sentence, if it does not.
    """
    if not condition:
        raise InputError(sentence)


def is_passing(error: OSError) -> bool:
    """Return whether an error says nothing of the file: too many are open, or memory is short. Another attempt may go well."""
    return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@contextmanager
def full_disk_at(path: str | os.PathLike[str]) -> Iterator[None]:
    """Have the errors of a full disk name `path` where they name no file, as those of writing to an open one do not."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in FULL_DISK:
            error.filename = os.fspath(path)
        raise


def suggestion(received: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest choice, or "" when none is near."""
    near = _nearest(received, choices)
    return "" if near is None else f" Did you mean {near!r}?"


def folder_beside(missing: Path, is_one: Callable[[Path], bool] = Path.is_dir) -> str:
    """Return " Did you mean '/x/birds'?" for the nearest name beside a folder that is missing, or "" when none is near.

    `is_one` says of a path whether it may be meant.
    """

    def may_be(path: Path) -> bool:
        with suppress(OSError):
            return not path.name.startswith(".") and is_one(path)
        return False

    with suppress(OSError):
        near = _nearest(missing.name, [path.name for path in sorted(missing.parent.iterdir()) if may_be(path)])
        return "" if near is None else f" Did you mean {str(missing.parent / near)!r}?"
    return ""


def _nearest(received: str, choices: Iterable[str]) -> str | None:
    by_folded = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(received.lower(), list(by_folded), n=1, cutoff=0.5)
    return by_folded[near[0]] if near else None


def brief(received: object) -> str:
    """Return what was received on one line as Python writes it, cut where it is long."""
    text = repr(received) if isinstance(received, str) else " ".join(repr(received).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def first_line(error: object) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def listed(names: Sequence[str], count: int | None = None) -> str:
    """Return the first three names and how many more there are, of `count` where not all names are given."""
    shown = ", ".join(repr(name[:_LONGEST]) for name in names[:3])
    more = (len(names) if count is None else count) - 3
    return shown + (f" and {more} more" if more > 0 else "")


def check_choice(argument: str, received: str, choices: Iterable[str]) -> str:
    """Return `received` if it is one of `choices`.

    Raises:
        InputError: naming the argument, the choices and the nearest one.
    """
    choices = list(choices)
    if received in choices:
        return received
    listed = ", ".join(choices)
    near = suggestion(received, choices) if isinstance(received, str) else ""
    raise InputError(f"{argument} must be one of {listed}. Received: {brief(received)}.{near}")


def asserted(line: str) -> str:
    """Return what a graph's assertion says, without what TensorFlow puts around it; another line as it is."""
    found = re.fullmatch(r"assertion failed: \[(.*?)\.?\]( \[.*\])*", line)
    return found[1] if found else line
