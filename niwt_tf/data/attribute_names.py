"""How attributes are called in words, and where in a sentence they are called so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from niwt_tf.data.schema import Knowledge
from niwt_tf.data.wording import Segment, content, stem

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
        subject = _subject(group) if group else ()
        alternatives = re.split(r"(?:^|[\W_])or(?:[\W_]|$)", value.lower())
        phrases = []
        for alternative in filter(None, alternatives):
            words = content(alternative)
            # "fan-shaped_tail" of tail_shape is "fan": its group says the rest.
            rest = tuple(word for word in words if stem(word) not in {*subject, *(ASPECTS if subject else ())})
            phrases += [rest or words] if words else []
        aspects = frozenset(stem(word) for word in content(group)) - {*subject} if group else frozenset()
        found.append(AttributeName(place, tuple(phrases), subject, aspects))
    return found


def _subject(group: str) -> tuple[str, ...]:
    stems = tuple(stem(word) for word in content(group))
    return tuple(word for word in stems if word not in ASPECTS) or stems


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
