"""How attributes are called: the words that their names are found by in a text, and words that stand for these."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from niwt_tf.data.descriptions.bert import bert
from niwt_tf.data.descriptions.quantities import unit_of
from niwt_tf.data.descriptions.sentences import Segment, content, stem, words_of
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
    antenna fin hump antler tusk trunk tooth jaw fang beard quill upperparts underparts"""
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
    pure clean unmarked immaculate glossy warm turn tinge tinged wash washed hue shade
    bold distinct conspicuous prominent occur exist"""
)
_COUNTABLE = _stems(
    "leg eye toe arm finger tentacle antenna petal sepal stamen leaflet pin hole screw bolt pocket blade button"
)

# What says the same of an animal, where an attribute is called so.
_ALSO = {"group": "herd pack flock troop shoal pod colony", "smart": "intelligent clever", "scavenger": "carrion"}


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
            phrases += [] if group else [(word,) for word in _ALSO.get(" ".join(words), "").split()]
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


def _is_count(values: np.ndarray) -> bool:
    """Return whether an attribute's values are numbers of things: whole, few, and more than yes or no."""
    whole = np.isfinite(values).all() and (values == np.floor(values)).all() and (values >= 0).all()
    return bool(len(values) and whole and 2 <= values.max() <= 20)


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
