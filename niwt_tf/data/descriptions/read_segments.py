"""What was found in the segments of a text: subjects, values, counts and measures, by the words of attributes' names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from niwt_tf.data.descriptions.attribute_names import (
    ASPECTS,
    COLORS,
    GENERIC,
    OF_MARKS,
    PATTERNS,
    SIZES,
    AttributeName,
    BySubject,
    is_hue,
    spans,
)
from niwt_tf.data.descriptions.sentences import CLASS, DENIED, PARTLY, SAID, Segment, Word, stem

# Stems.
_COUNTED = ("no", "one", "two", "thre", "four", "fiv", "six", "seven", "eight", "nin", "ten")
# What the name of an amount has and a sentence may do without.
_IMPLIED = frozenset(stem(word) for word in ("length", "size", "total", "body", "average", "mean"))
_EXTREME = frozenset(stem(word) for word in ("maximum", "minimum", "record", "exceptional"))
# What else a length may be of.
_SIZED = frozenset(stem(word) for word in ("height", "width", "depth", "diameter", "thickness", "capacity"))
# What is said of an amount, by the word that attributes are called by.
_MEASURED = {stem(word): stem(other) for word, other in (
    ("weigh", "weight"), ("heavy", "weight"), ("mass", "weight"), ("long", "length"), ("tall", "height"), ("high", "height"),
    ("wide", "width"), ("fast", "speed"), ("live", "lifespan"), ("hold", "capacity"),
)}  # fmt: skip
# Where a subject's words begin and end in a segment, and its stems.
Subject = tuple[int, int, tuple[str, ...]]


@dataclass(frozen=True)
class Claim:
    """That a text says something of an attribute."""

    place: int
    degree: str
    begin: int = 0  # the words in the segment
    end: int = 0
    subject: tuple[str, ...] = ()
    weak: bool = False  # whether it was said of the whole, and what is said of a part of it counts more
    number: float | None = None
    about: str = CLASS


@dataclass
class ReadSegment:
    """A segment with what was found in it: spans of words and what they mean."""

    segment: Segment
    subjects: list[Subject] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    read: set[int] = field(default_factory=set)
    things: set[int] = field(default_factory=set)  # where a thing stands that is of one subject alone, as an eyering

    def claim(self, place: int, begin: int, end: int, subject: tuple[str, ...] = (), **more: object) -> None:
        """Take the words from `begin` to `end` as what is said of the attribute at `place`."""
        degree = str(more.pop("degree", self.segment.words[begin].degree if self.segment.words else SAID))
        about = str(more.pop("about", self.segment.about))
        self.claims.append(Claim(place, degree, begin, end, subject, about=about, **more))  # type: ignore[arg-type]
        self.read |= set(range(begin, end))

    @property
    def parts(self) -> set[tuple[str, ...]]:
        """Return the subjects that it names."""
        return {subject for _, _, subject in self.subjects}

    def text(self, claim: Claim) -> str:
        """Return the words of a claim."""
        return " ".join(word.text for word in self.segment.words[claim.begin : claim.end])


def values_in(one: ReadSegment, names: Iterable[AttributeName]) -> list[tuple[int, int, AttributeName]]:
    """Return the values named in a segment, longest first, none within another; several attributes may share a span."""
    names = list(names)
    # Groups share their values: each is looked for once.
    places = {phrase: spans(one.segment, phrase) for phrase in {phrase for name in names for phrase in name.phrases}}
    named = [(begin, end, name) for name in names for phrase in name.phrases for begin, end in places[phrase]]
    named = [span for span in named if not one.segment.words[span[0]].compared]
    # A bird that is perched need not be "perching-like".
    named = [(b, e, n) for b, e, n in named if not _is_verb(one.segment.words[e - 1].text, n)]
    kept: list[tuple[int, int, AttributeName]] = []
    for begin, end, name in sorted(named, key=lambda span: (span[0] - span[1], span[0], span[2].place)):
        overlapping = [(b, e) for b, e, _ in kept if begin < e and b < end]
        if all(span == (begin, end) for span in overlapping):
            kept.append((begin, end, name))
    return kept


_ONE_MARK = ("s", "stripe", "spot", "patch", "bar", "band", "streak")


def is_of_marks(one: ReadSegment, end: int, name: AttributeName) -> bool:
    """Return whether a colour is that of spots and the like, and not of what has them: "white wings with black spots"."""
    after = one.segment.words[end] if end < len(one.segment.words) else None
    return after is not None and is_hue(name) and after.stem in PATTERNS and after.text.endswith(_ONE_MARK)


def marks_follow(one: ReadSegment, k: int) -> bool:
    """Return whether a word stands before spots and the like: "with a single, narrow bar"."""
    return any(word.stem in PATTERNS for word in one.segment.words[k + 1 :])


def nearest(subjects: Sequence[Subject], begin: int, end: int, value_first: bool) -> tuple[str, ...]:
    """Return the subject nearest to a value; of two as near that on the side on which the segment's first value has its own."""
    after = [(b - end, not value_first, subject) for b, _, subject in subjects if b >= end]
    return min([*after, *((begin - e, value_first, subject) for _, e, subject in subjects if e <= begin)])[2]


def is_of_another(one: ReadSegment, begin: int, name: AttributeName) -> bool:
    """Return whether a value is said of a thing that no attribute is of: "the stem is smooth"."""
    words = one.segment.words
    before = [word for k, word in enumerate(words[:begin]) if k not in one.read and word.stem not in GENERIC | ASPECTS]
    before = [word for word in before if word.stem not in name.subject]
    return words[begin].after_copula and bool(before)


def parted(one: ReadSegment, end: int, begin: int) -> bool:
    """Return whether two or more other words part a value from what follows: "a black line runs from the bill"."""
    words = [word for k, word in enumerate(one.segment.words) if end <= k < begin and k not in one.read]
    return len([word for word in words if word.stem not in GENERIC | ASPECTS | OF_MARKS | PATTERNS]) > 1


def _is_verb(word: str, name: AttributeName) -> bool:
    return word.endswith(("ed", "es")) and any(len(phrase) == 1 and phrase[0].endswith("ing") for phrase in name.phrases)


def find_subjects(one: ReadSegment, by_subject: BySubject) -> None:
    """Find what subjects' words a segment has, the longer first."""
    named = [(begin, end, subject) for subject in by_subject for begin, end in spans(one.segment, subject)]
    # "eye ring" is not the eye, even where nothing tells that it is on the head.
    phrases = {phrase for names in by_subject.values() for name in names for phrase in name.phrases}
    longer = [(begin, end, ()) for phrase in phrases for begin, end in spans(one.segment, phrase) if end - begin > 1]
    taken: set[int] = set()
    found: list[Subject] = []
    for begin, end, subject in sorted([*named, *longer], key=lambda span: (span[0] - span[1], span[0], not span[2])):
        if not taken & set(range(begin, end)):
            taken |= set(range(begin, end))
            found += [(begin, end, subject)] if subject else []
    one.subjects = found
    leave_aspects(one, found, by_subject)


def leave_aspects(one: ReadSegment, others: Sequence[Subject], by_subject: BySubject) -> None:
    """Take "shape" and the like from a segment's subjects if it is that of another: of the bill in "bill shape"."""
    theirs = {aspect for _, _, subject in others for name in by_subject[subject] for aspect in name.aspects}
    one.subjects = [span for span in one.subjects if not set(span[2]) <= ASPECTS & theirs]


def things_in(one: ReadSegment, by_subject: BySubject) -> set[int]:
    """Return where values stand that are things of one subject, which a segment of others does not name."""
    if not one.subjects:
        return set()
    found = values_in(one, [name for names in by_subject.values() for name in names])
    of = {begin: {name.subject for b, _, name in found if b == begin} for begin, _, _ in found}
    named = {subject for _, _, subject in one.subjects}
    things = {begin for begin, _, name in found if len(of[begin]) == 1 and not of[begin] & named and not is_hue(name)}
    return {begin for begin in things if not one.segment.words[begin].text.endswith(("ed", "y"))}


def read_counts(found: Sequence[ReadSegment], one: ReadSegment, names: Sequence[AttributeName]) -> None:
    """Read "six legs" and "legs: 6" where the legs are counted."""
    after = next((other for before, other in pairwise(found) if before is one and other.segment.joint == ":"), None)
    for name in (name for name in names if name.counts):
        for begin, end in (span for phrase in name.phrases for span in spans(one.segment, phrase)):
            words = one.segment.words
            number = _count_of(words[begin - 1].stem) if begin else None
            first = begin - 1
            if number is None and begin > 1 and words[begin - 1].stem in COLORS | SIZES | PATTERNS:  # "five yellow petals"
                first, number = begin - 2, _count_of(words[begin - 2].stem)
            if words[begin].degree == DENIED:
                number = 0
            if number is not None:
                one.claim(name.place, first if number > 0 else begin, end, number=float(number))
                continue
            follows = after.segment.words if after and end == len(words) else ()  # "petals: five"
            here = words[end:] if begin == 0 and _counted_after(words[end:]) else ()  # "petals five"
            told = _count_of((here or follows)[0].stem) if here or follows else None
            if told is not None:
                one.claim(name.place, begin, end + bool(here), number=float(told))
                if after and follows:
                    after.read.add(0)


def _counted_after(words: Sequence[Word]) -> bool:
    """Return whether words after a noun say how many there are: "petals five", "petals are four in number"."""
    return len(words) == 1 or (len(words) > 1 and words[0].after_copula)


def _names_thing(one: ReadSegment, end: int | None = None) -> bool:
    """Return whether a segment is about a thing that is read as one, or has it before a place: "one scratch near the edge"."""
    for claim in one.claims:
        if end is not None and (claim.begin, claim.end) != (end - 1, end):
            continue
        last = one.segment.words[claim.end - 1].text if claim.end else ""
        after = one.segment.words[claim.end].stem if claim.end < len(one.segment.words) else ""
        if (
            not claim.subject
            and claim.number is None
            and after not in GENERIC
            and not last.endswith(("y", "ed", "less", "ous"))
        ):
            return True
    return False


def read_measures(found: Sequence[ReadSegment], names: Sequence[AttributeName]) -> None:
    """Read numbers with units for the attribute that the most words near them name."""
    for place, one in enumerate(found):
        for k, word in enumerate(one.segment.words):
            if word.quantity is None or word.degree == DENIED:  # "it never weighs 5 kg"
                continue
            aside = not one.segment.copula and all(
                each.quantity or each.stem in ASPECTS or each.stem in _MEASURED for each in one.segment.words
            )  # "its tail, 25 cm in length,"
            near = [one, *(found[place - 1 : place] if aside or not one.segment.lists else [])]
            # "A scratch, 12 mm long" says how long the scratch is.
            of_thing = aside and one.segment.lists and any(map(_names_thing, near[1:]))
            of_thing = word.quantity.kind == "length" and (of_thing or _names_thing(one, k))
            told = {_measured(other.stem) for each in near for other in each.segment.words}
            scored = []
            for name in names:
                wanted = {_measured(stem(part)) for part in name.phrases[0]}
                if name.kind != word.quantity.kind or (of_thing and wanted <= _IMPLIED | _SIZED):
                    continue
                if wanted & told and wanted - told <= _IMPLIED | _SIZED:
                    scored.append((len(wanted & told) - 0.5 * (not wanted - told <= _IMPLIED), name, wanted))
            of_kind = [name for name in names if name.kind == word.quantity.kind]
            # "A 3 kg animal", but not "it can lift 3 kg".
            beside = one.segment.words[max(0, k - 1) : k + 2]
            alone = len(one.segment.words) == 1 or any(each.stem in GENERIC | _EXTREME or each.compared for each in beside)
            if not scored and len(of_kind) == 1 and word.quantity.kind != "length" and alone:
                scored.append((0, of_kind[0], set()))
            best = max((score for score, _, _ in scored), default=0)
            # "A 25 mm heel" where both its height and its width are known is of neither.
            if scored and (best == int(best) or [score for score, _, _ in scored].count(best) == 1):
                _, name, wanted = max(scored, key=lambda each: each[0])
                degree = PARTLY if {other.stem for other in one.segment.words} & _EXTREME else word.degree
                one.claim(name.place, k, k + 1, degree=degree, number=word.quantity.in_unit(name.unit))
                for each in near:
                    each.read |= {j for j, other in enumerate(each.segment.words) if _measured(other.stem) in wanted}


def _count_of(word: str) -> int | None:
    """Return the number that a word says, up to ten."""
    return _COUNTED.index(word) if word in _COUNTED else None


def _measured(word: str) -> str:
    """Return the stem that attributes are called by, of one that is said of an amount: "weight" of "weighs"."""
    return _MEASURED.get(word, word)
