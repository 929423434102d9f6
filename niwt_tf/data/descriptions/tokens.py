"""The words and the sentences of a text in any script.

A word is a run of two or more letters, digits or underscores, in lower case, as scikit-learn's vectorizers have it. Marks that
belong to a letter (Arabic vowels, Devanagari vowel signs, accents that were written apart) do not end it. Chinese, Japanese,
Thai and their like put no blanks between words: there every two neighbouring characters are one, as in Lucene's CJK analyzer.

A text may come from anywhere: a file whose lines are as long as a page is wide, a PDF, a table. So lines that go on in the next
one can be joined, and characters that nobody sees left out.
"""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache, cached_property

_END = re.compile(r"(?<=[.!?…؟।])\s+|(?<=[。！？])")
_WITHOUT_BLANKS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # kana and its marks
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_BLANKLESS = re.compile(rf"([{_WITHOUT_BLANKS}]+)")
_PLAIN = re.compile(r"\b\w\w+\b")


def tokens(text: str) -> list[str]:
    """Return the words of a text in order, in lower case."""
    lowered = text.lower()
    if lowered.isascii():
        return _PLAIN.findall(lowered)
    return list(_of_any_script(unicodedata.normalize("NFC", lowered)))


class Vocabulary:
    """The words that something knows; mixed into a record of theirs."""

    vocabulary: tuple[str, ...]

    def known(self, text: str) -> tuple[list[str], list[str]]:
        """Return the words of a text that are in the vocabulary and those that are not, each once, in order."""
        words = list(dict.fromkeys(tokens(text)))
        return [word for word in words if word in self._places], [word for word in words if word not in self._places]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.vocabulary)}


def sentences(text: str) -> list[str]:
    """Return the sentences of a text that are not blank; every line ends one, as captions stand one a line."""
    parts = (part.strip() for line in text.splitlines() for part in _END.split(line))
    return [part for part in parts if part]


# Of PDFs and web pages: blanks of no width and hyphens that show at the end of a line alone, letters in one, other hyphens.
_OF_PRINT = {
    **dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff")), **dict.fromkeys(map(ord, "\u2010\u2011"), "-"),
    **dict.fromkeys(map(ord, "\u2018\u2019\u02bc"), "'"), ord("≠"): " not ",
    ord("♂"): " male ", ord("♀"): " female ",
    **{ord(one): letters for one, letters in zip("ﬀﬁﬂﬃﬄ", ("ff", "fi", "fl", "ffi", "ffl"), strict=True)},
}  # fmt: skip
_TICKS = (("[✗✘❌✕✖☒]", "no"), ("[✓✔☑✅]", "yes"))  # behind what they are said of, or before it
_LABEL = re.compile(r"[\w ,'-]{1,30}(?::|=|\s[-–—]\s)|[-–—*•]")
# What ends no sentence.
_GOES_ON = re.compile(
    r"(?:,|\b(?:the|an?|and|or|nor|but|not|never|with|without|of|in|on|at|to|from|by|for|as|than|rather|instead|is|are|was|were|"
    r"has|have|its|their|his|her|very|which|that|whose|while|whereas|more|less|only|no))$",
    re.IGNORECASE,
)
_LONG_LINE = 40  # characters; a line that is shorter ends where its writer wanted it to


def unwrapped(text: str) -> str:
    """Return a text as it was meant: lines that go on in the next one joined, blanks single, without what nobody sees.

    A line goes on where it ends with a comma or with a word such as "not" that ends no sentence, or where it is long, within a
    paragraph that begins with a capital letter, and the next begins with a small one. A label ("Crown: red") begins anew.
    """
    text = unicodedata.normalize("NFC", html.unescape(text)).translate(_OF_PRINT)
    for marks, said in _TICKS:
        text = re.sub(rf"(?m)\s*{marks}\ufe0f?(?=\s*(?:[;,.]|$))", f": {said}", text)
        text = re.sub(rf"\s*{marks}\ufe0f?\s*", f"; {said} ", text)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    found: list[str] = []
    in_prose = False
    for before, line in zip(["", *lines], lines, strict=False):
        in_prose = (in_prose and bool(before)) or (not before and line[:1].isupper())
        is_new = not before or not line or before[-1] in ".;!?:" or bool(_LABEL.match(line))
        told = bool(_GOES_ON.search(before)) and len(before.split()) > 2
        told |= before.endswith("-") and line[:1].islower()
        wrapped = in_prose and len(before) >= _LONG_LINE and line[:1].islower()
        if is_new or not (told or wrapped):
            found.append(line)
        else:
            found[-1] += line if before[-1] == "-" else f" {line}"
    return "\n".join(found)


_AND = re.compile(r",? and |, ")
_LIST = r"(?:[\w' -]+?(?:,? and |, ))+[\w' -]+?"
_IN_ORDER = r"(?:respectiv\w+|in (?:that|this|the same) order)"
_TWO_LISTS = re.compile(
    rf"(?P<things>{_LIST})(?: (?P<verb>is|are|was|were|has|have)|:),? (?:{_IN_ORDER},? )?(?P<said>{_LIST}),? ?{_IN_ORDER}?"
    r"(?=[.;\n]|$)"
)


def one_by_one(text: str) -> str:
    """Return a lower-case text with each thing of a list beside what is said of it, where the order alone tells it.

    "The crown and tail are red and blue, respectively" is "the crown are red; tail are blue". Lists of different lengths stay.
    """

    def parted(found: re.Match[str]) -> str:
        things, said = (_AND.split(found[name]) for name in ("things", "said"))
        if not re.search(_IN_ORDER, found[0]) or len(things) != len(said):
            return found[0]
        return "; ".join(f"{thing} {found['verb'] or 'is'} {value}" for thing, value in zip(things, said, strict=True))

    return _TWO_LISTS.sub(parted, text) if re.search(_IN_ORDER, text) else text


def _of_any_script(text: str) -> Iterator[str]:
    for run in _runs().findall(text):
        for part in _BLANKLESS.split(run):
            if _BLANKLESS.fullmatch(part):
                yield from (part[k : k + 2] for k in range(max(1, len(part) - 1)))
            elif _PLAIN.search(part) or (len(part) > 1 and part[0].isalnum()):
                yield part


@cache
def _runs() -> re.Pattern[str]:
    return re.compile(rf"\w[\w{_marks()}]*")


@cache
def _marks() -> str:
    """Return the combining marks, and the joiners that some scripts write inside a word, as ranges of a character class."""
    found = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in ("Mn", "Mc")] + [0x200C, 0x200D]
    ranges: list[list[int]] = []
    for code in sorted(found):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
