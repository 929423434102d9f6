"""How attributes are called: the words that their names, counts and measures are found by, and words that stand for these."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np

from niwt_tf.data.descriptions.bert import bert
from niwt_tf.data.descriptions.phrases import unit_of
from niwt_tf.data.descriptions.sentences import CLASS, DENIED, PARTLY, SAID, Segment, Word, content, stem, words_of
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError


def _stems(words: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words.split())


# What of a group's name says a kind of property, not whose it is.
ASPECTS = _stems("color pattern shape length size texture type style material finish")
COLORS = _stems(
    """black white red yellow green blue pink brown orange ivory gray purple violet rufous olive buff tan iridescent cream gold
    silver dark pale"""
)
PATTERNS = _stems("spots stripes patches mottled barred banded plain solid multicolored")
SIZES = _stems(
    """big small large tiny huge little short long broad thin thick round bulbous lean wide narrow slender medium strong weak
    very"""
)
# Parts of a body: "white ears" are of an animal that is not white.
PARTS = _stems(
    """tail ear leg foot paw belly face nose muzzle neck head throat breast rump back wing crown bill eye tip flank cheek chin
    mane horn hoof claw snout forehead nape shoulder thigh side underside crest comb wattle tongue lip mask collar whisker
    antenna fin hump antler tusk trunk tooth jaw fang beard quill"""
)
# Parts whose colour that of the whole is not.
BARE = _stems("bill eye leg foot claw horn hoof tusk iris")
# Subjects that are the whole.
WHOLE = _stems("primary overall general main whole body plumage")
# What may be lacked by one part and worn by another.
COVERINGS = frozenset(stem(word) for word in ("fur", "hair", "hairs", "feathers", "scales", "wool")) | COLORS | PATTERNS
# After these words what stands before is said of nothing: "scratch-resistant".
RESISTING = frozenset(stem(word) for word in ("resistant", "resistance", "proof", "repellent", "preventing", "test"))
# What is eaten, and what is of a plant: "it eats small animals and water plants".
EATING = frozenset(stem(word) for word in ("eats", "feeds", "diet", "hunts", "preys", "takes", "consumes", "food"))
GROWING = frozenset(stem(word) for word in ("plants", "leaves", "bark", "weeds", "roots", "seeds", "fruits", "nuts", "berries"))
# What may stand before spots and the like and says nothing else.
OF_MARKS = (
    SIZES | COLORS | frozenset(stem(word) for word in ("heavy", "dense", "sparse", "bold", "scattered", "two", "three", "few"))
)
OVERALL = frozenset(stem(word) for word in ("overall", "throughout", "entirely", "all"))
# What says of a text's words nothing that an attribute could: it is no fault not to understand them.
GENERIC = _stems(
    """bird animal creature species beast plumage specimen individual mammal coat feather skin body overall entirely all over
    completely wholly throughout well quite very shape color pattern size length adult found see seen live eat feed show display
    bear carry possess wear come grow use known call reach weigh measure relative usual usually range about day part thing kind
    shaped colored everything everywhere bright deep vivid rich dull
    pure glossy warm turn tinge tinged wash washed hue shade
    bold distinct conspicuous prominent occur exist"""
)
_COUNTABLE = _stems(
    "leg eye toe arm finger tentacle antenna petal sepal stamen leaflet pin hole screw bolt pocket blade button"
)
# Stems.
_COUNTED = ("no", "one", "two", "thre", "four", "fiv", "six", "seven", "eight", "nin", "ten")


@dataclass(frozen=True)
class AttributeName:
    """How an attribute is called: by any one of `phrases`, and a group's value only beside the stems of its `subject`.

    The subject of crown_color and crown_pattern is "crown"; `aspects` are the rest of a group's name. `opposites` say that it
    is not: "hair" of "hairless". `unit` and `kind` are those of one that is measured, and `counts` says that it is a number of
    things, as legs are.
    """

    place: int
    phrases: tuple[tuple[str, ...], ...]
    subject: tuple[str, ...] = ()
    aspects: frozenset[str] = frozenset()
    opposites: tuple[tuple[str, ...], ...] = ()
    unit: str = ""
    kind: str = ""
    counts: bool = False


# Names by their subject.
BySubject = dict[tuple[str, ...], list[AttributeName]]


def attribute_names(seen: Knowledge) -> list[AttributeName]:
    """Return how each of K attributes is called, in their order."""
    return list(_called(seen.names, seen.groups, tuple(map(_is_count, seen.in_units.T))))


@lru_cache(maxsize=8)
def _called(names: tuple[str, ...], groups: tuple[str, ...], are_counts: tuple[bool, ...]) -> tuple[AttributeName, ...]:
    found = []
    for place, (name, group) in enumerate(zip(names, groups, strict=True)):
        measured = None if group else unit_of(name)
        if measured is not None:
            rest, unit, kind = measured
            found.append(AttributeName(place, (content(rest),), unit=unit, kind=kind))
            continue
        value = re.split("::|: ", name, maxsplit=1)[-1] if group else name
        plain = re.sub(r"\(.*?\)", " ", value)
        value = plain if plain.strip("_ ") else value
        of_group = tuple(stem(word) for word in content(group)) if group else ()
        subject = tuple(word for word in of_group if word not in ASPECTS) or of_group
        alternatives = re.split(r"(?:^|[\W_])or(?:[\W_]|$)", value.lower())
        phrases = []
        for alternative in filter(None, alternatives):
            words = content(alternative)
            # "fan-shaped_tail" of tail_shape is "fan": its group says the rest.
            rest_of = tuple(word for word in words if stem(word) not in {*subject, *(ASPECTS if subject else ())})
            phrases += [rest_of or words] if words else []
            glued = (
                re.fullmatch("(long|short|big|small|tough|thick|thin|broad|wide)(\\w{3,})", words[0])
                if len(words) == 1
                else None
            )
            phrases += [(glued[1], glued[2])] if glued else []  # "longneck"
        opposites: list[tuple[str, ...]]
        opposites = [(phrase[0][:-4],) for phrase in phrases if len(phrase) == 1 and re.fullmatch("...+less", phrase[0])]
        opposites += [phrase[1:] for phrase in phrases if len(phrase) > 1 and phrase[0] in ("no", "not", "without")]
        phrases = [phrase for phrase in phrases if phrase[1:] not in opposites]
        things = {stem(word) for phrase in phrases for word in phrase}
        countable = things <= _COUNTABLE or things & {"number", "count"}
        counts = not group and len(phrases) == 1 and bool(countable) and are_counts[place]
        aspects = frozenset(of_group) - {*subject}
        found.append(AttributeName(place, tuple(phrases), subject, aspects, tuple(opposites), counts=counts))
    return tuple(found)


def is_hue(name: AttributeName) -> bool:
    """Return whether a name is of a colour or pattern."""
    return any(stem(word) in COLORS | PATTERNS for phrase in name.phrases for word in phrase)


def named_by_subject(names: Iterable[AttributeName]) -> BySubject:
    """Return the names that have a subject, by it."""
    found: BySubject = {}
    for name in names:
        if name.subject:
            found.setdefault(name.subject, []).append(name)
    return found


def in_words(seen: Knowledge, name: AttributeName) -> str:
    """Return an attribute as a text that is understood as it: "black crown" of has_crown_color::black."""
    if name.unit:
        return f"{' '.join(name.phrases[0])} 1 {name.unit}"
    without = f"no {' '.join(name.opposites[0])}" if name.opposites else seen.names[name.place]
    value = " ".join(name.phrases[0]) if name.phrases else without
    if name.counts:
        return f"two {value}"
    group = " ".join(content(seen.groups[name.place]))
    if not group:
        return value
    whole = set(name.subject) <= ASPECTS or not name.aspects
    return f"{group}: {value}" if whole else f"{value} {' '.join(word for word in group.split() if stem(word) in name.subject)}"


def count_of(word: str) -> int | None:
    """Return the number that a word says, up to ten."""
    return _COUNTED.index(word) if word in _COUNTED else None


def spans(segment: Segment, phrase: Sequence[str]) -> list[tuple[int, int]]:
    """Return where the words of a phrase stand one after the other, also written as one word or as more."""
    stems = [stem(word) for word in phrase]
    keys = {" ".join(stems) if len(stems) > 1 else f"{stems[0]} ", "".join(phrase), "".join(phrase[:-1]) + stems[-1]}
    found = {span for key in keys for span in segment.runs.get(key, ()) if span[1] - span[0] <= len(phrase) + 1}
    return sorted(found)


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
        if words[i].stem == second and words[i + 1].stem == first and (words[i + 1].after_copula or len(words) == 2)
    ]
    return apart + turned


def measured(word: str) -> str:
    """Return the stem that attributes are called by, of one that is said of an amount: "weight" of "weighs"."""
    return _MEASURED.get(word, word)


# What the name of an amount has and a sentence may do without.
IMPLIED = frozenset(stem(word) for word in ("length", "size", "total", "body", "average", "mean"))
_EXTREME = frozenset(stem(word) for word in ("maximum", "minimum", "record", "exceptional"))
# What else a length may be of.
_SIZED = frozenset(stem(word) for word in ("height", "width", "depth", "diameter", "thickness", "capacity"))
# What is said of an amount, by the word that attributes are called by.
_MEASURED = {stem(word): stem(other) for word, other in (
    ("weigh", "weight"), ("heavy", "weight"), ("mass", "weight"), ("long", "length"), ("tall", "height"), ("high", "height"),
    ("wide", "width"), ("fast", "speed"), ("live", "lifespan"), ("hold", "capacity"),
)}  # fmt: skip


def _is_count(values: np.ndarray) -> bool:
    """Return whether an attribute's values are numbers of things: whole, few, and more than yes or no."""
    whole = np.isfinite(values).all() and (values == np.floor(values)).all() and (values >= 0).all()
    return bool(len(values) and whole and 2 <= values.max() <= 20)


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
    return word.endswith("ed") and any(len(phrase) == 1 and phrase[0].endswith("ing") for phrase in name.phrases)


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
            number = count_of(words[begin - 1].stem) if begin else None
            first = begin - 1
            if number is None and begin > 1 and words[begin - 1].stem in COLORS | SIZES | PATTERNS:  # "five yellow petals"
                first, number = begin - 2, count_of(words[begin - 2].stem)
            if words[begin].degree == DENIED:
                number = 0
            if number is not None:
                one.claim(name.place, first if number > 0 else begin, end, number=float(number))
            elif (
                begin == 0
                and end < len(words)
                and _counted_after(words[end:])
                and (told := count_of(words[end].stem)) is not None
            ):  # "petals five"
                one.claim(name.place, begin, end + 1, number=float(told))
            elif after and (said := after.segment.words) and end == len(words) and (told := count_of(said[0].stem)) is not None:
                one.claim(name.place, begin, end, number=float(told))
                after.read.add(0)


def _counted_after(words: Sequence[Word]) -> bool:
    """Return whether words after a noun say how many there are: "petals five", "petals are four in number"."""
    return len(words) == 1 or words[0].after_copula


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
            told = {measured(other.stem) for each in near for other in each.segment.words}
            scored = []
            for name in names:
                wanted = {measured(stem(part)) for part in name.phrases[0]}
                if name.kind != word.quantity.kind or (of_thing and wanted <= IMPLIED | _SIZED):
                    continue
                if wanted & told and wanted - told <= IMPLIED | _SIZED:
                    scored.append((len(wanted & told) - 0.5 * (not wanted - told <= IMPLIED), name, wanted))
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
                    each.read |= {j for j, other in enumerate(each.segment.words) if measured(other.stem) in wanted}


# Words that stand for others: colours by their looks ("crimson" for red), the rest by a sentence encoder if one is installed.
# A sentence encoder is no judge of colours: to MiniLM crimson is nearest to black.

# The least similarity, and how much less that of the next word must be.
_LEAST, _AHEAD = 0.7, 0.1
_LEAST_COLOR, _COLOR_AHEAD = 0.85, 0.02
_PLAIN = words_of("black white red yellow green blue pink brown orange gray grey purple violet olive")
# Red, green and blue of each word: most as people called them in xkcd's survey of colour names, some as they are of animals.
_RGB_TEXT = """
    black 000000 white ffffff red e50000 yellow ffff14 green 15b01a blue 0343df pink ff81c0 brown 653700 orange
    f97306 gray 929591 grey 929591 purple 7e1e9c violet 9a0eea olive 6e750e amber feb308 aqua 13eac9 auburn 9a3001
    azure 069af3 beige e6daa6 buff fef69e burgundy 610023 charcoal 0d0d0d chestnut 742802 cobalt 1e488f cream ffffc2
    crimson dc143c cyan 00ffff ebony 0c0b0b emerald 01a049 gold f5bf03 golden f5bf03 indigo 380282 ivory ffffcb jade
    1fa774 khaki aaa662 lavender c79fef lemon fdff52 lilac cea2fd lime 32cd32 magenta c20078 mahogany 4a0100 maroon
    9b1c31 mauve ae7181 mustard ceb301 navy 1f3a93 ochre bf9005 rose cf6275 rosy ff66a3 ruby ca0147 rufous 8b3a1c
    russet a13905 sandy f1da7a scarlet be0119 sienna a9561e silver c5c9c7 slate 516572 snowy fffafa sooty 0d0d0d tan
    d1b26f tawny b5651d teal 029386 turquoise 06c2ac umber b26400 vermilion e34234
"""
_RGB = {word: bytes.fromhex(rgb) for word, rgb in re.findall(r"([a-z]+) ([0-9a-f]{6})", _RGB_TEXT)}
# Words that say a colour of coats and plumage and hardly another thing.
_SHADES = _RGB.keys() - _PLAIN


def nearest_word(word: str, known: Sequence[str]) -> tuple[str, float] | None:
    """Return the word of `known` that another stands for, and how near it is, up to 1; None where none is near."""
    if word in _SHADES:
        near = {other: 1 - float(np.linalg.norm(_color(other) - _color(word))) for other in known if other in _RGB}
        return _best(near, _LEAST_COLOR, _COLOR_AHEAD)
    encode = _encoder()
    others = [other for other in known if other not in _RGB]
    if encode is None or not others or word in _RGB:
        return None
    near = encode(tuple(others)) @ encode((word,))[0]
    return _best(dict(zip(others, near.tolist(), strict=True)), _LEAST, _AHEAD)


def _best(near: dict[str, float], least: float, ahead: float) -> tuple[str, float] | None:
    ordered = sorted(near.items(), key=lambda item: -item[1])
    if not ordered or ordered[0][1] < least or (len(ordered) > 1 and ordered[0][1] - ordered[1][1] < ahead):
        return None
    return ordered[0]


@cache
def _color(word: str) -> np.ndarray:
    """Return the colour that a word names, in Oklab (Ottosson, 2020), lightness halved: a dark red is a red."""
    share = np.array(list(_RGB[word])) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]) @ linear)
    return np.array([[0.1053, 0.3968, -0.0020], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]) @ cones


@lru_cache(maxsize=1)
def _encoder():  # type: ignore[no-untyped-def]  # of words [N] to float32 [N, E], or None where none is installed
    try:
        encoder = bert()
    except InputError:
        return None
    return lru_cache(maxsize=1000)(lambda words: encoder.embeddings(words))
