"""English sentences as far as a description needs them: words without their endings, and the segments that they stand in.

A sentence ends at . ; : ! ? or a new line. Within one, commas and joining words ("and", "with", "which") begin a new segment.
Words that say nothing by themselves are left out, but for what they decide: whether a segment denies, and what its subject is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[.;:!?,\n]")
_ENDS = frozenset(".;:!?\n")
_LISTING = frozenset({",", "and", "or", "nor"})
_JOINING = _LISTING | {"but", "with", "without", "while", "whereas", "whose", "which", "that", "has", "have", "having"}
_DENYING = frozenset({"no", "not", "without", "never", "lack", "lacks", "lacking", "none", "neither", "nor", "cannot", "non"})
_COPULAS = frozenset({"is", "are", "was", "were", "be", "being", "looks", "appears", "becomes", "isn't", "aren't"})
_EMPTY_WORDS = """
a an the this that these those it its it's their his her he she they them there i you we one of in on at to from by for as than
about over into onto around also too so just has have having had do does doesn't don't can with and or nor but while whereas
whose which who some any each both such usually often mostly mainly rather quite somewhat
"""
EMPTY = _COPULAS | set(_EMPTY_WORDS.split())
_IRREGULAR = {"feet": "foot", "teeth": "tooth", "geese": "goose", "mice": "mouse", "leaves": "leaf", "primarily": "primary"}
# Spellings and names of one thing, in data sets and in what people write.
_SAME = {
    "beak": "bill",
    "grey": "gray",
    "colour": "color",
    "stomach": "belly",
    "abdomen": "belly",
    "quadrupedal": "quadrapedal",
}
_NUMBERS = {"0": "no", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "8": "eight", "10": "ten"}


@dataclass(frozen=True)
class Word:
    """A word that counts."""

    text: str  # as it was written, lower case
    stem: str  # without its ending
    after_copula: bool = False  # whether "is" or the like stands between it and the word that counts before it
    denies: bool = False  # whether it is "no" or the like


@dataclass(frozen=True)
class Segment:
    """A part of a sentence."""

    joint: str  # what joins it to the segment before, "" for the first of a sentence
    words: tuple[Word, ...]  # those that count
    copula: bool  # whether it has "is" or the like

    @property
    def lists(self) -> bool:
        """Whether it goes on with a list that the segment before began."""
        return self.joint in _LISTING


@lru_cache(maxsize=10_000)
def stem(word: str) -> str:
    """Return a lower-case word without its plural or verbal ending: "striped" and "stripes" are one."""
    word = re.sub("'s?$", "", word)
    word = _IRREGULAR.get(word, word)
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif re.search("(ss|sh|ch|x)es$", word):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")):
        word = word[:-1]
    verbal = re.fullmatch("(.{3,})(ed|ing)", word)
    if verbal:
        word = verbal[1]
        if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
            word = word[:-1]
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return _SAME.get(word, word)


def content(name: str) -> tuple[str, ...]:
    """Return the words of a name that count, lower case; all of them where none does."""
    words = [_NUMBERS.get(word, word) for word in re.findall(r"[^\W_]+", name.lower())]
    return tuple(word for word in words if word not in EMPTY) or tuple(words)


def sentences(text: str) -> list[list[Segment]]:
    """Return the segments of each sentence of a text; segments and sentences without a word that counts are left out."""
    found: list[list[Segment]] = []
    segments: list[Segment] = []
    words: list[Word] = []
    joint, copula, recent = "", False, False
    for token in [*_TOKEN.findall(text.lower().replace("’", "'")), "."]:
        if token in _ENDS or token in _JOINING:
            if any(not word.denies for word in words):
                segments.append(Segment(joint, tuple(words), copula))
                words, copula = [], False
            joint, recent = token if segments else "", False
        if token in _ENDS:
            found += [segments] if segments else []
            segments, words, joint, copula = [], [], "", False
        if token in _COPULAS:
            copula = recent = True
        plain = _NUMBERS.get(token, token)
        if plain in _DENYING or token.endswith("n't"):
            words.append(Word(token, plain, denies=True))
        elif token not in EMPTY and token not in _JOINING and token not in _ENDS:
            words.append(Word(token, stem(plain), after_copula=recent))
            recent = False
    return found


def denied_before(segment: Segment, place: int) -> bool:
    """Return whether a denying word stands before the word at `place`."""
    return any(word.denies for word in segment.words[:place])


def with_denials_carried(segments: list[Segment]) -> list[Segment]:
    """Return segments with a denial going on through a list that ends in "or": "without horns, claws or tusks"."""
    result = list(segments)
    for place, (before, after) in enumerate(pairwise(segments), start=1):
        denies = any(word.denies for word in result[place - 1].words)
        rest = [segment.joint for segment in segments[place:]]
        listed = next((joint for joint in rest if joint != ","), "")
        if denies and not after.copula and (after.joint in ("or", "nor") or (after.joint == "," and listed in ("or", "nor"))):
            denial = next(word for word in result[place - 1].words if word.denies)
            if not any(word.denies for word in after.words):
                result[place] = Segment(after.joint, (denial, *after.words), before.copula or after.copula)
    return result
