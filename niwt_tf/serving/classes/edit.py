"""Other classes for a bundle: what changes in its variables and cards when one is added, renamed or removed.

A class keeps its slot for as long as it is there, so that the logits of all others stay bit-identical. The slot of one that is
removed is filled with zeros and given to the next that is added.

Dimensions: C classes, D features, G pages of P places, K description entries.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from niwt_tf.config.names import DEFAULT_METHOD, title_of
from niwt_tf.data.descriptions.new_classes import DescribedClass
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.bundle import COLUMN_FORMULA, Bundle
from niwt_tf.serving.bundle.cards import Card, now
from niwt_tf.serving.bundle.paged_head import free_slot, with_column
from niwt_tf.serving.classes.names import new_names, place_of, removable
from niwt_tf.serving.classes.rewrite import check_classes, next_version

_VARIABLES = ("columns", "slots", "biases", "labels", "seen")
# Classes whose descriptions are nearer than that get columns that are nearly the same.
NEAR = 0.98


@dataclass(frozen=True)
class Change:
    """What makes the next version: new values of root variables by name, and a card a class, in the order of the logits.

    The computation took milliseconds, without reading and writing files. Notes are sentences that warn; `recomputed` are slots
    that a class keeps with another column.
    """

    variables: Mapping[str, np.ndarray]
    cards: tuple[Card, ...]
    milliseconds: float = 0.0
    notes: tuple[str, ...] = ()
    recomputed: tuple[int, ...] = ()


def add_classes(bundle: Bundle, classes: Sequence[DescribedClass]) -> Change:
    """Return what gives a bundle at least one new class, after those it has, by its column formula.

    Raises:
        InputError: a name is taken or not allowed, a description does not fit or makes no finite column, or the bundle has no
            column formula.
    """
    if not classes:
        raise InputError("classes must hold at least one class. Received: none.")
    names = new_names(bundle, [each.name for each in classes])
    size = len(bundle.attribute_names)
    for each in classes:
        if each.description.values.shape != (size,) or not np.isfinite(each.description.values).all():
            shape = each.description.values.shape
            raise InputError(f"The description of {each.name!r} must be {size} finite numbers. Received: shape {shape}.")
    formula = bundle.formula()
    values = {name: bundle.variable(name) for name in _VARIABLES}
    begun = time.perf_counter()
    descriptions = np.stack([each.description.values for each in classes]).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        columns, biases = formula(descriptions)
        # A length that overflows would make the description the same as none.
        finite = np.isfinite(columns).all(axis=0) & np.isfinite(biases) & np.isfinite(np.linalg.norm(descriptions, axis=1))
    if not finite.all():
        name = names[int(np.argmin(finite))]
        raise InputError(f"The description of {name!r} must give a finite head column. Received: values too large for float32.")
    pages, slots = values["columns"], values["slots"]
    for column in columns.T:
        slot = free_slot(pages, slots)
        pages, slots = with_column(pages, slot, column), np.append(slots, np.int64(slot))
    near = _nearest(formula.normaliser, bundle.cards, names, descriptions)
    cards = [_card(bundle, each, name, *found) for each, name, found in zip(classes, names, near, strict=True)]
    variables = {
        "columns": pages,
        "slots": slots,
        "biases": np.append(values["biases"], biases),
        "labels": np.array([*values["labels"], *(name.encode() for name in names)], object),
        "seen": np.append(values["seen"], np.zeros(len(names), np.float32)),
    }
    milliseconds = 1000 * (time.perf_counter() - begun)
    notes = tuple(
        f"{name!r} has almost the same description as {other!r} (cosine {cosine:.3f}): they will be hard to tell apart."
        for name, (other, cosine) in zip(names, near, strict=True)
        if cosine >= NEAR
    )
    return Change(variables, (*bundle.cards, *cards), milliseconds, notes)


def rename_class(bundle: Bundle, name: str, new_name: str) -> Change:
    """Return what gives a class another name; nothing else of it changes.

    Raises:
        InputError: there is no such class, or the new name is taken or not allowed.
    """
    place = place_of(bundle, name)
    (plain,) = new_names(bundle, [new_name], bundle.labels[place])
    labels = bundle.variable("labels")
    begun = time.perf_counter()
    labels = np.array([*labels[:place], plain.encode(), *labels[place + 1 :]], object)
    cards = (*bundle.cards[:place], replace(bundle.cards[place], name=plain), *bundle.cards[place + 1 :])
    return Change({"labels": labels}, cards, 1000 * (time.perf_counter() - begun))


def remove_class(bundle: Bundle, name: str) -> Change:
    """Return what takes a class out; later ones move up by one place.

    Raises:
        InputError: there is no such class, or no other.
    """
    place = removable(bundle, name)
    values = {variable: bundle.variable(variable) for variable in _VARIABLES}
    begun = time.perf_counter()
    slot = int(values["slots"][place])
    variables = {variable: np.delete(value, place) for variable, value in values.items() if variable != "columns"}
    variables["columns"] = with_column(values["columns"], slot, None)
    cards = (*bundle.cards[:place], *bundle.cards[place + 1 :])
    return Change(variables, cards, 1000 * (time.perf_counter() - begun))


def write_change(bundle: Bundle, change: Change) -> Path:
    """Write a change as the next version, verified in a Session before it appears, or write nothing.

    Raises:
        InputError: the bundle does not lie in a folder of versions.
        ClassCheckError: the new version answers otherwise for the classes that both have, or not with finite numbers.
        OSError: it cannot be written.
    """
    old = bundle.variable("slots")
    new = change.variables.get("slots", old)
    old = np.where(np.isin(old, change.recomputed), -1, old)

    def check(folder: Path) -> None:
        check_classes(bundle.folder, folder, old, new, [card.name for card in change.cards])

    return next_version(bundle, variables=change.variables, cards=change.cards, check=check)


def _card(bundle: Bundle, each: DescribedClass, name: str, nearest: str, cosine: float) -> Card:
    by = title_of(bundle.metadata[COLUMN_FORMULA].get("method", DEFAULT_METHOD))
    how = f"from its description, by {by}" + (f" (nearest class {nearest!r})" if nearest else "")
    figures = {"nearest_cosine": round(cosine, 6)} if nearest else {}
    said = name, tuple(float(value) for value in each.description.values), each.description.text, each.source
    # How well columns from descriptions did on validation classes when the bundle was made.
    validated = bundle.metadata.get("validation") or {}
    validation = {name: float(value) for name, value in validated.items() if value is not None}
    return Card(*said, seen=False, made=now(), how=how, validation=validation, figures=figures)


def _nearest(
    normaliser: DescriptionNormaliser, cards: Sequence[Card], names: Sequence[str], descriptions: np.ndarray
) -> list[tuple[str, float]]:
    """Return for each new class the described class, old or new before it, of the highest cosine, and that; "" for none."""
    described = [card for card in cards if card.description is not None]
    labels = [*(card.name for card in described), *names]
    rows = np.array([card.description for card in described], np.float32).reshape(len(described), descriptions.shape[1])
    unit = normaliser(np.concatenate([rows, descriptions]))
    lengths = np.linalg.norm(unit, axis=1, keepdims=True)
    unit = np.divide(unit, lengths, out=np.zeros_like(unit), where=lengths > 0)
    found = []
    for place in range(len(described), len(labels)):
        cosines = unit[:place] @ unit[place]
        best = int(np.argmax(cosines)) if place else -1
        found.append((labels[best], float(cosines[best])) if place else ("", 0.0))
    return found
