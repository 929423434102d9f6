"""The rendered species: which attribute values exist, which combination each species has, and how people describe it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwt_tf.errors import InputError, require

COLOURS = ("black", "white", "red", "yellow", "green", "blue", "pink", "brown")
GROUPS: dict[str, tuple[str, ...]] = {
    "has_crown_color": COLOURS,
    "has_wing_color": COLOURS,
    "has_breast_color": COLOURS,
    "has_tail_color": COLOURS,
    "has_bill_color": ("black", "orange", "ivory"),
    "has_bill_shape": ("cone", "dagger", "hooked"),
    "has_breast_pattern": ("solid", "striped", "spotted"),
    "has_wing_pattern": ("plain", "barred"),
    "has_tail_shape": ("fan", "forked"),
    "has_leg_length": ("short", "long"),
}
ATTRIBUTE_NAMES = tuple(f"{group}::{value}" for group, values in GROUPS.items() for value in values)
MIN_DIFFERENT_GROUPS = 4
MAX_SPECIES = 200
_MAX_ROUNDS = 500

_KINDS = {
    "cone": ("Finch", "Sparrow", "Bunting", "Grosbeak"),
    "dagger": ("Warbler", "Kingfisher", "Heron", "Oriole"),
    "hooked": ("Shrike", "Parrot", "Hawk", "Falcon"),
}
_COLOUR_WORDS = dict(zip(COLOURS, ["Sooty", "Snowy", "Crimson", "Golden", "Emerald", "Azure", "Rosy", "Chestnut"], strict=True))
_NAMED_PARTS = (("crown", "Crowned"), ("wing", "Winged"), ("breast", "Breasted"), ("tail", "Tailed"))


@dataclass(frozen=True)
class Species:
    """One value in each group."""

    name: str  # readable, for instance "Crimson_Crowned_Finch"
    values: dict[str, str]  # group name -> value name, in the order of `GROUPS`

    @property
    def attributes(self) -> np.ndarray:
        """One-hot row over `ATTRIBUTE_NAMES`, bool [K]."""
        return np.array([value == self.values[group] for group, values in GROUPS.items() for value in values])


def choose_species(num_species: int, rng: np.random.Generator) -> list[Species]:
    """Choose species that differ in at least `MIN_DIFFERENT_GROUPS` groups, each value used equally often (to one).

    Raises:
        InputError: `num_species` is not in 2..MAX_SPECIES.
    """
    require(2 <= num_species <= MAX_SPECIES, f"num_species must be from 2 to {MAX_SPECIES}. Received: {num_species}.")
    sizes = [len(values) for values in GROUPS.values()]
    table = np.stack([rng.permutation(np.arange(num_species) % size) for size in sizes], axis=1)
    _separate(table, rng)
    chosen = []
    names: set[str] = set()
    for row in table:
        values = {group: options[code] for (group, options), code in zip(GROUPS.items(), row, strict=True)}
        name = _name(values, names, rng)
        names.add(name)
        chosen.append(Species(name, values))
    return chosen


def captions(species: Species, rng: np.random.Generator) -> list[str]:
    """Return ten sentences in the manner of people describing a photograph; together they tell all ten groups."""
    crown, wing, breast, tail, bill, shape, pattern, wing_pattern, tail_shape, legs = species.values.values()
    bird = rng.choice(["bird", "small bird", "little bird"], size=10)
    is_barred = "with bars" if wing_pattern == "barred" else "without bars"
    breast_words = f"{breast} breast" if pattern == "solid" else f"{pattern} {breast} breast"
    bill_words = {"cone": "short cone shaped", "dagger": "long dagger like", "hooked": "curved hooked"}[shape]
    a_bill = f"an {bill}" if bill[0] in "aeiou" else f"a {bill}"
    sentences = [
        f"this {bird[0]} has a {crown} crown, {wing} wings and a {breast_words}.",
        f"a {bird[1]} with a {bill_words} {bill} bill and a {crown} head.",
        f"the {bird[2]} has a {tail_shape} tail that is {tail} and {legs} legs.",
        f"a {bird[3]} whose wings are {wing} {is_barred}, and whose tail is {tail}.",
        f"this {bird[4]} is {breast} on the breast, which is {pattern}, and {crown} on the crown.",
        f"this {bird[5]} has {a_bill} beak that is {shape} and {legs} legs.",
        f"a {bird[6]} with {wing_pattern} {wing} wings and a {tail_shape} {tail} tail.",
        f"the bill is {bill} and {shape}, the crown is {crown} and the breast is {breast}.",
        f"a {crown} {bird[8]} on {legs} legs, with a {breast_words} and {wing} wings.",
        f"this {bird[9]} has {wing} wings, a {tail} {tail_shape} tail and {a_bill} bill.",
    ]
    return [sentences[i] for i in rng.permutation(len(sentences))]


def _separate(table: np.ndarray, rng: np.random.Generator) -> None:
    # Swapping one group's values between two species keeps every value's count. A swap that makes more pairs alike is undone.
    for _ in range(_MAX_ROUNDS):
        crowded = np.flatnonzero([_num_alike(table, row) for row in range(len(table))])
        if len(crowded) == 0:
            return
        for _ in range(len(table)):
            pair = np.array([rng.choice(crowded), rng.integers(len(table))])
            group = rng.integers(table.shape[1])
            before = sum(_num_alike(table, row) for row in pair)
            table[pair, group] = table[pair[::-1], group]
            if sum(_num_alike(table, row) for row in pair) > before:
                table[pair, group] = table[pair[::-1], group]
    raise InputError(
        f"num_species must be small enough that any two species differ in {MIN_DIFFERENT_GROUPS} groups. Received: "
        f"{len(table)}."
    )


def _num_alike(table: np.ndarray, row: int) -> int:
    """Count the other rows that differ from `row` in too few groups."""
    return int(((table != table[row]).sum(1) < MIN_DIFFERENT_GROUPS).sum()) - 1


def _name(values: dict[str, str], taken: set[str], rng: np.random.Generator) -> str:
    kinds = rng.permutation(_KINDS[values["has_bill_shape"]])
    marks = [f"{_COLOUR_WORDS[values[f'has_{part}_color']]}_{word}" for part, word in _NAMED_PARTS]
    marks = [marks[i] for i in rng.permutation(len(marks))]
    longer = [f"{one}_{two}" for one in marks for two in marks if one != two]
    for mark in marks + longer:
        for kind in kinds:
            if f"{mark}_{kind}" not in taken:
                return f"{mark}_{kind}"
    return f"{'_'.join(marks)}_{kinds[0]}_{len(taken)}"
