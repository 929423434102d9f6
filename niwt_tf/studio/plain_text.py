"""Text that a Markdown renderer shows letter for letter: names of classes and attributes are data, never markup."""

from __future__ import annotations

import re

# Invisible and without width. What a page makes of text after Markdown (emoji of :names:, links of addresses, arrows of ->) is
# made in spite of backslashes; between these letters it is not.
JOINER = "\u2060"
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>$&=\"'^@:/])")
_REWRITTEN = re.compile(r"([:@<>=~-]|www)", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")


def plain(text: str) -> str:
    """Return Markdown of one line that shows `text` itself, apart from runs of blanks."""
    joined = _REWRITTEN.sub(rf"\1{JOINER}", _BLANKS.sub(" ", text).strip())
    # Marks of direction must not reach into what follows.
    return "\u2068" * _directed(text) + _MARKUP.sub(r"\\\1", joined) + "\u2069" * _directed(text)


def _directed(text: str) -> bool:
    return any("\u0590" <= letter <= "\u08ff" or letter in "\u200f\u202a\u202b\u202d\u202e\u2066\u2067" for letter in text)
