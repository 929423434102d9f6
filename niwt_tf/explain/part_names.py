"""Which parts of a bird an attribute is about: CUB's groups of attributes and CUB's names of parts (Wah et al. 2011)."""

from __future__ import annotations

from collections.abc import Sequence

# By the first word of a group. Groups about the whole bird, or more than one part of it, have none.
_PARTS = {
    "back": ("back",),
    "beak": ("beak",),
    "belly": ("belly",),
    "bill": ("beak",),
    "breast": ("breast",),
    "crown": ("crown",),
    "eye": ("left eye", "right eye"),
    "forehead": ("forehead",),
    "leg": ("left leg", "right leg"),
    "nape": ("nape",),
    "tail": ("tail",),
    "throat": ("throat",),
    "wing": ("left wing", "right wing"),
}


def parts_of_group(group: str, part_names: Sequence[str]) -> tuple[int, ...]:
    """Return which of the parts a group of attributes, as "crown_color", is about; () where it names none."""
    words = group.removeprefix("has_").split("_")
    wanted = _PARTS.get(words[0], ())
    return tuple(place for place, name in enumerate(part_names) if name in wanted)
