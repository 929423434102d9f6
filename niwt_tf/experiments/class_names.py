"""Class names as a person reads them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_NUMBER = re.compile(r"^\d+\.(?=.)")


def readable_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Return names without a leading class number and with spaces: "001.Red_Finch" becomes "Red Finch".

    Names that would become equal to another stay as they are.
    """
    plain = [" ".join(re.sub(r"[_+]", " ", _NUMBER.sub("", name)).split()) for name in class_names]
    times = Counter(plain)
    return tuple(name if times[short] > 1 or not short else short for name, short in zip(class_names, plain, strict=True))


def shorten(name: str, length: int) -> str:
    """Return at most `length` characters of `name`, the last an ellipsis where some are left out."""
    return name if len(name) <= length else name[: length - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
