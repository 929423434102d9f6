"""From a text to attributes, by the words of their names: a reader that says what it read, word by word.

An attribute called "group::value" needs its value's words and its group's in one segment of a sentence ("red crown", "crown is
red and black", "bill shape curved"); any other needs all words of its name. What is said takes the attribute's high value among
the seen classes, what is denied ("no stripes", "blue rather than red") its low one, as do further values of a group that
something is said of; what is said of some of the class ("sometimes", "males", "a white tail" where there is but "white") takes
the middle of the two, and a number with a unit is taken as it is. All others take the seen classes' mean. What is said of the
young, or of another class ("unlike the horse"), is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from niwt_tf.data.descriptions.attribute_names import GENERIC, AttributeName, attribute_names, in_words
from niwt_tf.data.descriptions.claims import claims_of
from niwt_tf.data.descriptions.read_segments import Claim, ReadSegment
from niwt_tf.data.descriptions.sentences import CLASS, DENIED, NOT_OF_CLASS, PARTLY, SAID, SOME, stem
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError, require

_MOST_NEAR = 6  # attributes that a message names


@dataclass(frozen=True)
class Understood:
    """What words of a text were taken for."""

    words: str
    name: str  # the attribute's
    degree: str  # SAID, PARTLY, DENIED, or the number as it was written


@dataclass(frozen=True)
class Reading:
    """What was understood of a text."""

    values: np.ndarray  # float32 [K]
    said: tuple[str, ...]  # attributes that the text ascribes
    denied: tuple[str, ...]  # attributes that it denies
    excluded: tuple[str, ...]  # further values of the groups that something is said of
    unread: tuple[str, ...]  # words that say something but were not understood, each once
    partly: tuple[str, ...] = ()  # attributes that it ascribes to a part of the class, or now and then
    numbers: tuple[tuple[str, float], ...] = ()  # attributes that it gives a number
    left_out: tuple[str, ...] = ()  # words that speak of the young, of another class or of what is not so, each once
    understood: tuple[Understood, ...] = ()  # in the order of the text
    coverage: float = 1.0  # understood words among those that say something
    synonyms: tuple[str, ...] = ()  # what was taken for another word, and how near it is
    near: tuple[str, ...] = ()  # attributes whose names have words that were not understood, as a text would name them

    def sentence(self) -> str:
        """Return all of it in one sentence."""
        parts = [f"understood {', '.join(self.said)}"] if self.said else ["no attribute was understood"]
        if self.numbers:
            parts.append("numbers " + ", ".join(f"{name} {value:g}" for name, value in self.numbers))
        if self.partly:
            parts.append(f"true in part {', '.join(self.partly)}")
        if self.denied:
            parts.append(f"denied {', '.join(self.denied)}")
        if self.excluded:
            parts.append(f"{len(self.excluded)} other values of the same groups are low")
        if self.synonyms:
            parts.append(f"took {', '.join(self.synonyms)}")
        if self.left_out:
            parts.append(
                "not used, because they are about the young, about others or about what is not true: "
                f"{', '.join(map(repr, self.left_out))}"
            )
        parts.append(f"not understood {', '.join(map(repr, self.unread))}" if self.unread else "every word was understood")
        if self.near:
            parts.append(f"attributes with such words: {', '.join(map(repr, self.near))}")
        return "; ".join(parts) + "; all other attributes get the mean of the seen classes."

    def word_by_word(self) -> list[str]:
        """Return a line for each thing that was understood, with its words."""
        return [f"{each.words!r}: {each.name} ({each.degree})" for each in self.understood]


# A word, the words that it may stand for -> the one that it does and how near that is, or None.
Synonyms = Callable[[str, Sequence[str]], tuple[str, float] | None]


def read_attributes(text: str, seen: Knowledge, synonyms: Synonyms | None = None) -> Reading:
    """Read an English text in the words of attributes' names; `seen` has these and the seen classes' values [S, K].

    With `synonyms` a word that is in no name may stand for one that is.

    Raises:
        InputError: nothing is understood, something is both said and denied, or no seen class is described.
    """
    require(len(seen.values), "text needs seen classes with descriptions, which give low and high values. Received: none.")
    names = attribute_names(seen)
    found = claims_of(text, names)
    taken: list[str] = []
    if synonyms is not None:
        replaced = text
        known = sorted({word for name in names for phrase in name.phrases for word in phrase if len(word) > 2})
        own = {word for name in names for word in name.subject} | {stem(word) for word in known} | GENERIC
        for word in dict.fromkeys(word for one in found for word in _unread_words(one) if word.isalpha()):
            near = None if stem(word) in own else synonyms(word, known)
            if near is not None:
                replaced = _with_word(replaced, word, near[0])
                taken.append(f"{word!r} for {near[0]!r} (similarity {near[1]:.2f})")
        found = claims_of(replaced, names) if taken else found
    claims = _resolved([claim for one in found for claim in one.claims], seen)
    unread = dict.fromkeys(word for one in found for word in _unread_words(one))
    if not claims:
        told = {word.stem for one in found for word in one.segment.words}
        nearest = sorted(names, key=lambda name: (not told & {*name.subject}, not told & _stems_of(name)))
        examples = ", ".join(repr(in_words(seen, name)) for name in nearest[:3])
        rule = f"text must describe the class in the words of its attributes' names, such as {examples}"
        raise InputError(f"{rule}. Received: {_short(text)}, of which nothing is understood.")
    reading = _reading(found, claims, seen, tuple(unread), tuple(taken))
    alike = _near([name for name in names if name.place not in claims], {stem(word) for word in unread})
    return replace(reading, near=tuple(in_words(seen, name) for name in alike[:_MOST_NEAR]))


def typical_values(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each attribute's low, mean and high value [K] among classes [S, K].

    High is the mean over the classes in the upper half of its range, low over the others.
    """
    values = np.asarray(values, np.float64)
    lowest, highest = values.min(axis=0), values.max(axis=0)
    upper = values >= (lowest + highest) / 2
    high = (values * upper).sum(axis=0) / np.maximum(upper.sum(axis=0), 1)
    lower_count = (~upper).sum(axis=0)
    low = np.where(lower_count > 0, (values * ~upper).sum(axis=0) / np.maximum(lower_count, 1), lowest)
    return low, values.mean(axis=0), high


def _stems_of(name: AttributeName) -> set[str]:
    return {stem(word) for phrase in name.phrases for word in phrase}


def _near(names: Sequence[AttributeName], missed: set[str]) -> list[AttributeName]:
    """Return the names that have one of these stems but are not one: "a flat yellow beak" says nothing of "yellow"."""
    whole = {(word,) for word in missed}
    others = [name for name in names if name.subject or not whole & {*name.phrases}]
    return [name for name in others if missed & (_stems_of(name) | {*name.subject})]


def _unread_words(one: ReadSegment) -> list[str]:
    """Return the words of a segment that say something of the class and were not understood."""
    if one.segment.about in NOT_OF_CLASS:
        return []
    words = enumerate(one.segment.words)
    return [word.text for k, word in words if k not in one.read and word.stem not in GENERIC and not word.compared]


def _how(claim: Claim) -> str:
    return claim.degree if claim.number is None else f"{claim.number:g}"


def _with_word(text: str, word: str, other: str) -> str:
    return re.sub(rf"(?i)(?<!\w){re.escape(word)}(?!\w)", other, text)


def _resolved(claims: Sequence[Claim], seen: Knowledge) -> dict[int, Claim]:
    """Return the one thing that is said of each attribute.

    Raises:
        InputError: something is both said and denied of the whole class.
    """
    counted = [claim for claim in claims if claim.about not in NOT_OF_CLASS]
    strong = {claim.place for claim in counted if not claim.weak}
    kinds = {seen.groups[claim.place] for claim in counted if not claim.weak and claim.degree == SAID} - {""}
    kept = [claim for claim in counted if not claim.weak or not (claim.place in strong or seen.groups[claim.place] in kinds)]
    result: dict[int, Claim] = {}
    for place in dict.fromkeys(claim.place for claim in kept):
        of_all = [claim for claim in kept if claim.place == place and claim.about == CLASS]
        of_some = [claim for claim in kept if claim.place == place and claim.about == SOME]
        degrees = {claim.degree for claim in of_all if claim.number is None}
        if {SAID, DENIED} <= degrees:
            both = f"{seen.names[place]!r} in both ways"
            raise InputError(f"text must not both say and deny an attribute. Received: {both}.")
        numbers = [claim for claim in of_all or of_some if claim.number is not None]
        numbers = [claim for claim in numbers if claim.degree == SAID] or numbers  # "4 kg, exceptionally 9 kg"
        if numbers:
            result[place] = numbers[-1]
            told = [claim.number for claim in numbers if claim.number is not None]
            if not of_all:  # "males weigh 12 kg and females 9 kg"
                result[place] = replace(numbers[-1], number=sum(told) / len(told))
        elif SAID in degrees:
            result[place] = next(claim for claim in of_all if claim.degree == SAID)
        elif degrees == {DENIED} and all(claim.degree == DENIED for claim in of_some):
            result[place] = of_all[0]
        else:
            result[place] = replace((of_all or of_some)[0], degree=PARTLY)
    return result


def _reading(
    found: Sequence[ReadSegment], claims: dict[int, Claim], seen: Knowledge, unread: tuple[str, ...], synonyms: tuple[str, ...]
) -> Reading:
    low, mean, high = typical_values(seen.values)
    by_degree = {
        degree: sorted(place for place, claim in claims.items() if claim.degree == degree and claim.number is None)
        for degree in (SAID, PARTLY, DENIED)
    }
    groups = {seen.groups[place] for place in by_degree[SAID]} - {""}
    excluded = [place for place, group in enumerate(seen.groups) if group in groups and place not in claims]
    values = mean.copy()
    values[by_degree[SAID]] = high[by_degree[SAID]]
    values[by_degree[PARTLY]] = ((low + high) / 2)[by_degree[PARTLY]]
    values[by_degree[DENIED] + excluded] = low[by_degree[DENIED] + excluded]
    numbers = {place: claim.number for place, claim in sorted(claims.items()) if claim.number is not None}
    for place, number in numbers.items():
        values[place] = number if seen.scale is None else (number - seen.scale.low[place]) / seen.scale.span[place]
    named = [tuple(seen.names[place] for place in places) for places in (*by_degree.values(), excluded)]
    understood = tuple(
        Understood(one.text(claim), seen.names[claim.place], _how(claims[claim.place]))
        for one in found
        for claim in one.claims
        if claim.place in claims and one.segment.about not in NOT_OF_CLASS
    )
    left_out = dict.fromkeys(word.text for one in found if one.segment.about in NOT_OF_CLASS for word in one.segment.words)
    read = sum(len(one.read) for one in found if one.segment.about not in NOT_OF_CLASS)
    missed = sum(len(_unread_words(one)) for one in found)
    return Reading(
        values.astype(np.float32), named[0], named[2], named[3], unread, named[1],
        tuple((seen.names[place], value) for place, value in numbers.items()), tuple(left_out), understood,
        read / max(1, read + missed), synonyms,
    )  # fmt: skip


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return repr(plain if len(plain) <= 80 else plain[:77] + "...")
