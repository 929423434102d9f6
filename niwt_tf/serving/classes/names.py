"""What a class may be called, and which class of a bundle a name means."""

from __future__ import annotations

from collections.abc import Iterable

from niwt_tf.data.class_names import LONGEST, check_name, likeness, plain_name, shown
from niwt_tf.errors import InputError, suggestion
from niwt_tf.metrics.probabilities import UNKNOWN
from niwt_tf.serving.bundle.bundle import Bundle


def new_names(bundle: Bundle, names: Iterable[str], instead_of: str | None = None) -> tuple[str, ...]:
    """Return names for classes that the bundle is given, as `plain_name` has them; `instead_of` is one that is given up.

    Raises:
        InputError: a name is none (see `check_name`), is taken, also in other letters or with other blanks, or
            is the answer of a bundle that abstains.
    """
    taken, found = {likeness(label): label for label in bundle.labels if label != instead_of}, []
    for name in names:
        plain = plain_name(name)
        check_name(name)
        other = plain if plain == instead_of else taken.get(likeness(plain))
        if other is not None:
            near = "" if other == plain else f" as {shown(other)}: case, blanks and invisible characters do not count"
            advice = "" if other == instead_of else " Take another name, or remove that class first."
            raise InputError(f"name must be new. Received: {shown(plain)}, which exists{near}.{advice}")
        if plain.casefold() == UNKNOWN and abstains(bundle):
            rule = f"name must not be {UNKNOWN!r}, which is the bundle's answer when it abstains"
            raise InputError(f"{rule}. Received: {shown(plain)}.")
        taken[likeness(plain)] = plain
        found.append(plain)
    return tuple(found)


def place_of(bundle: Bundle, name: str) -> int:
    """Return which class a name means.

    Raises:
        InputError: none; the nearest is suggested.
    """
    plain = plain_name(name)
    labels = bundle.labels
    # A bundle may have been made of names that were not composed.
    found = next((place for place, label in enumerate(labels) if label == name or plain_name(label) == plain), None)
    if found is None:
        near = suggestion(plain[:LONGEST], labels)
        raise InputError(f"name must be the name of one of the bundle's {len(labels)} classes. Received: {shown(plain)}.{near}")
    return found


def removable(bundle: Bundle, name: str) -> int:
    """Return which class a name means, if it is not the only one.

    Raises:
        InputError: there is no such class, or no other.
    """
    place = place_of(bundle, name)
    if len(bundle.cards) == 1:
        raise InputError(f"name must not be the name of the bundle's only class. Received: {shown(plain_name(name))}.")
    return place


def abstains(bundle: Bundle) -> bool:
    """Return whether the bundle answers "unknown" for images that it is not sure of."""
    return float((bundle.metadata.get("probabilities") or {}).get("abstain_below", 0.0)) > 0
