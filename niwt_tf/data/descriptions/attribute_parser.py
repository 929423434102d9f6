"""From a text to attributes, by the words of their names: a reader that guesses nothing and says what it read.

An attribute called "group::value" needs its value's words and its group's in one segment of a sentence ("red crown", "crown is
red and black", "bill shape curved"); any other needs all words of its name. What is said takes the attribute's high value among
the seen classes, and what is denied ("no stripes") its low one, as do further values of a group that something is said of; all
others take the seen classes' mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from niwt_tf.data.descriptions.sentences import Segment, content, denied_before, sentences, stem, with_denials_carried
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError, require


@dataclass(frozen=True)
class Reading:
    """What was understood of a text."""

    values: np.ndarray  # float32 [K]
    said: tuple[str, ...]  # attributes that the text ascribes
    denied: tuple[str, ...]  # attributes that it denies
    excluded: tuple[str, ...]  # further values of the groups that something is said of
    unread: tuple[str, ...]  # words that say something but were not understood, each once

    def sentence(self) -> str:
        """Return all of it in one sentence."""
        parts = [f"understood {', '.join(self.said)}"] if self.said else ["understood nothing as said"]
        if self.denied:
            parts.append(f"denied {', '.join(self.denied)}")
        if self.excluded:
            parts.append(f"{len(self.excluded)} other values of the same groups are low")
        parts.append(f"not understood {', '.join(map(repr, self.unread))}" if self.unread else "every word was understood")
        return "; ".join(parts) + "; all other attributes are the seen classes' mean."


# Where a subject's words begin and end in a segment, and its stems.
_Subject = tuple[int, int, tuple[str, ...]]


@dataclass
class _Segment:
    """A segment with what was found in it: spans of words and what they mean."""

    segment: Segment
    subjects: list[_Subject] = field(default_factory=list)
    claims: list[tuple[int, bool]] = field(default_factory=list)
    read: set[int] = field(default_factory=set)


def read_attributes(text: str, seen: Knowledge) -> Reading:
    """Read an English text in the words of attributes' names; `seen` has these and the seen classes' values [S, K].

    Raises:
        InputError: nothing is understood, something is both said and denied, or no seen class is described.
    """
    require(len(seen.values), "text needs seen classes with descriptions, which give low and high values. Received: none.")
    names = attribute_names(seen)
    by_subject = named_by_subject(names)
    claims: dict[int, bool] = {}
    unread: dict[str, None] = {}
    for segments in sentences(text):
        found = [_Segment(segment) for segment in with_denials_carried(segments)]
        for one in found:
            _read_plain(one, [name for name in names if not name.subject])
            _find_subjects(one, by_subject)
        for before, one in pairwise(found):
            if one.segment.joint == "with":  # "a bill with a hooked shape"
                _leave_aspects(one, before.subjects, by_subject)
        for place in range(len(found)):
            _read_values(found, place, by_subject)
        for one in found:
            for place, said in one.claims:
                if claims.setdefault(place, said) != said:
                    both = f"{seen.names[place]!r} in both ways"
                    raise InputError(f"text must not both say and deny an attribute. Received: {both}.")
            words = enumerate(one.segment.words)
            unread.update((word.text, None) for place, word in words if place not in one.read and not word.denies)
    if not claims:
        listed = ", ".join(repr(name) for name in seen.names[:3])
        rule = f"text must describe the class in the words of its attributes' names, such as {listed}"
        raise InputError(f"{rule}. Received: {_short(text)}, of which nothing is understood.")
    return _reading(claims, seen, tuple(unread))


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


def _reading(claims: dict[int, bool], seen: Knowledge, unread: tuple[str, ...]) -> Reading:
    low, mean, high = typical_values(seen.values)
    said = [place for place, value in sorted(claims.items()) if value]
    denied = [place for place, value in sorted(claims.items()) if not value]
    groups = {seen.groups[place] for place in said} - {""}
    excluded = [place for place, group in enumerate(seen.groups) if group in groups and place not in claims]
    values = mean.copy()
    values[said] = high[said]
    values[denied + excluded] = low[denied + excluded]
    in_words = [tuple(seen.names[place] for place in places) for places in (said, denied, excluded)]
    return Reading(values.astype(np.float32), in_words[0], in_words[1], in_words[2], unread)


def _read_plain(one: _Segment, names: Sequence[AttributeName]) -> None:
    heads = {stem(phrase[-1]) for name in names for phrase in name.phrases}
    candidates = []
    for name in names:
        for phrase in name.phrases:
            candidates += [(begin, end, name.place, False) for begin, end in spans(one.segment, phrase)]
            for begin, end in loose_spans(one.segment, phrase):
                if end - begin < 3 or one.segment.words[begin + 1].stem not in heads:
                    candidates.append((begin, end, name.place, end - begin == 3))
    for begin, end, place, apart in sorted(candidates, key=lambda span: (span[0] - span[1], span)):
        own = {begin, end - 1} if apart else set(range(begin, end))
        if not own & one.read:
            one.read |= own
            one.claims.append((place, not denied_before(one.segment, begin)))


def _find_subjects(one: _Segment, by_subject: BySubject) -> None:
    named = [(begin, end, subject) for subject in by_subject for begin, end in spans(one.segment, subject)]
    # "eye ring" is not the eye, even where nothing tells that it is on the head.
    phrases = {phrase for names in by_subject.values() for name in names for phrase in name.phrases}
    longer = [(begin, end, ()) for phrase in phrases for begin, end in spans(one.segment, phrase) if end - begin > 1]
    taken: set[int] = set()
    found: list[_Subject] = []
    for begin, end, subject in sorted([*named, *longer], key=lambda span: (span[0] - span[1], span[0], not span[2])):
        if not taken & set(range(begin, end)):
            taken |= set(range(begin, end))
            found += [(begin, end, subject)] if subject else []
    one.subjects = found
    _leave_aspects(one, found, by_subject)


def _leave_aspects(one: _Segment, others: Sequence[_Subject], by_subject: BySubject) -> None:
    """Take "shape" and the like from a segment's subjects if it is that of another: of the bill in "bill shape"."""
    theirs = {aspect for _, _, subject in others for name in by_subject[subject] for aspect in name.aspects}
    one.subjects = [span for span in one.subjects if not set(span[2]) <= ASPECTS & theirs]


def _values(one: _Segment, names: Iterable[AttributeName]) -> list[tuple[int, int, AttributeName]]:
    """Return the values named in a segment, longest first, none within another; several attributes may share a span."""
    named = [(begin, end, name) for name in names for phrase in name.phrases for begin, end in spans(one.segment, phrase)]
    kept: list[tuple[int, int, AttributeName]] = []
    for begin, end, name in sorted(named, key=lambda span: (span[0] - span[1], span[0], span[2].place)):
        overlapping = [(b, e) for b, e, _ in kept if begin < e and b < end]
        if all(span == (begin, end) for span in overlapping):
            kept.append((begin, end, name))
    return kept


def _read_values(found: Sequence[_Segment], place: int, by_subject: BySubject) -> None:
    one = found[place]
    lender = None
    if one.subjects:
        own, subjects = [name for _, _, subject in one.subjects for name in by_subject[subject]], one.subjects
    else:
        lender = _lender(found, place, by_subject)
        own, subjects = ([], []) if lender is None else (by_subject[lender[1]], [(-1, -1, lender[1])])
    values = _values(one, own)
    value_first = bool(one.subjects and values) and min(begin for begin, _, _ in values) < min(b for b, _, _ in subjects)
    words = {word.stem for word in one.segment.words}
    for begin, end, name in values:
        # A value may hold another subject's word: "the bill is the same as the head".
        outside = [subject for subject in subjects if subject[1] <= begin or end <= subject[0]]
        if not outside or _nearest(outside, begin, end, value_first) != name.subject:
            continue
        same = {aspect for b, _, other in values if b == begin and other.subject == name.subject for aspect in other.aspects}
        if same & words and not name.aspects & words:
            continue
        said = not denied_before(one.segment, begin)
        one.claims.append((name.place, said))
        one.read |= set(range(begin, end))
        one.read |= {k for k, word in enumerate(one.segment.words) if word.stem in ASPECTS}
        named = one if one.subjects or lender is None else lender[0]
        named.read |= {k for b, e, subject in named.subjects if subject == name.subject for k in range(b, e)}


def _nearest(subjects: Sequence[_Subject], begin: int, end: int, value_first: bool) -> tuple[str, ...]:
    """Return the subject nearest to a value; of two as near that on the side on which the segment's first value has its own."""
    after = [(b - end, not value_first, subject) for b, _, subject in subjects if b >= end]
    return min([*after, *((begin - e, value_first, subject) for _, e, subject in subjects if e <= begin)])[2]


def _lender(found: Sequence[_Segment], place: int, by_subject: BySubject) -> tuple[_Segment, tuple[str, ...]] | None:
    """Return the segment with the subject of one that names none: of "black" in "black and white wings" or "which is black"."""
    back = next((k for k in range(place - 1, -1, -1) if found[k].subjects), None)
    ahead = next((k for k in range(place + 1, len(found)) if found[k].subjects), None)
    before = after = None
    states = False
    if back is not None:
        subject = found[back].subjects[-1][2]
        if all(_lists_values(one, by_subject[subject]) for one in found[back + 1 : place + 1]):
            before, states = (found[back], subject), any(one.segment.copula for one in found[back : place + 1])
    if ahead is not None and all(one.segment.lists for one in found[place + 1 : ahead + 1]):
        begin, _, subject = min(found[ahead].subjects)
        first = min((b for b, _, _ in _values(found[ahead], by_subject[subject])), default=begin)
        if first < begin and all(_lists_values(one, by_subject[subject]) for one in found[place:ahead]):
            after = found[ahead], subject
    begins_with = back is not None and found[back + 1].segment.joint == "with"
    return after if after and (not states or begins_with) else before or after


def _lists_values(one: _Segment, names: Iterable[AttributeName]) -> bool:
    covered = {k for begin, end, _ in _values(one, names) for k in range(begin, end)}
    covered |= one.read | {k for k, word in enumerate(one.segment.words) if word.denies or word.stem in ASPECTS}
    return len(covered) == len(one.segment.words)


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return repr(plain if len(plain) <= 80 else plain[:77] + "...")


# What of a group's name says a kind of property, not whose it is.
ASPECTS = frozenset(stem(word) for word in ("color", "pattern", "shape", "length", "size", "texture", "type", "style"))


@dataclass(frozen=True)
class AttributeName:
    """How an attribute is called: by any one of `phrases`, and a group's value only beside the stems of its `subject`.

    The subject of crown_color and crown_pattern is "crown"; `aspects` are the rest of a group's name.
    """

    place: int
    phrases: tuple[tuple[str, ...], ...]
    subject: tuple[str, ...] = ()
    aspects: frozenset[str] = frozenset()


# Names by their subject.
BySubject = dict[tuple[str, ...], list[AttributeName]]


def attribute_names(seen: Knowledge) -> list[AttributeName]:
    """Return how each of K attributes is called, in their order."""
    found = []
    for place, (name, group) in enumerate(zip(seen.names, seen.groups, strict=True)):
        value = name.partition("::")[2] if group else name
        plain = re.sub(r"\(.*?\)", " ", value)
        value = plain if plain.strip("_ ") else value
        of_group = tuple(stem(word) for word in content(group)) if group else ()
        subject = tuple(word for word in of_group if word not in ASPECTS) or of_group
        alternatives = re.split(r"(?:^|[\W_])or(?:[\W_]|$)", value.lower())
        phrases = []
        for alternative in filter(None, alternatives):
            words = content(alternative)
            # "fan-shaped_tail" of tail_shape is "fan": its group says the rest.
            rest = tuple(word for word in words if stem(word) not in {*subject, *(ASPECTS if subject else ())})
            phrases += [rest or words] if words else []
        found.append(AttributeName(place, tuple(phrases), subject, frozenset(of_group) - {*subject}))
    return found


def named_by_subject(names: Iterable[AttributeName]) -> BySubject:
    """Return the names that have a subject, by it."""
    found: BySubject = {}
    for name in names:
        if name.subject:
            found.setdefault(name.subject, []).append(name)
    return found


def spans(segment: Segment, phrase: Sequence[str]) -> list[tuple[int, int]]:
    """Return where the words of a phrase stand one after the other, also written as one word or as more."""
    words, stems = segment.words, [stem(word) for word in phrase]
    wholes = {"".join(phrase), "".join(phrase[:-1]) + stems[-1]}
    found = []
    for begin in range(len(words)):
        for end in range(begin + 1, min(len(words), begin + len(phrase) + 1) + 1):
            part = words[begin:end]
            joined = "".join(word.text for word in part[:-1])
            if [word.stem for word in part] == stems or joined + part[-1].text in wholes or joined + part[-1].stem in wholes:
                found.append((begin, end))
    return found


def loose_spans(segment: Segment, phrase: Sequence[str]) -> list[tuple[int, int]]:
    """Return where two words stand with one between ("long bushy tail") or around "is" ("tail is long")."""
    if len(phrase) != 2:
        return []
    first, second = (stem(word) for word in phrase)
    words = segment.words
    apart = [(i, i + 3) for i in range(len(words) - 2) if words[i].stem == first and words[i + 2].stem == second]
    turned = [
        (i, i + 2)
        for i in range(len(words) - 1)
        if words[i].stem == second and words[i + 1].stem == first and words[i + 1].after_copula
    ]
    return apart + turned
