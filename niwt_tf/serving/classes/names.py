"""What a class may be called, and which class of a bundle a name means."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from niwt_tf.data.readers.tables import plain_name
from niwt_tf.errors import InputError, suggestion
from niwt_tf.metrics.probabilities import UNKNOWN
from niwt_tf.serving.bundle.bundle import Bundle

LONGEST = 200
# Control characters, halves of characters and line ends; joiners and marks of direction are a part of emoji and of scripts.
_REFUSED = {"Cc", "Cs", "Zl", "Zp"}


def new_names(bundle: Bundle, names: Iterable[str]) -> tuple[str, ...]:
    """Return names for classes that the bundle is given, composed (NFC) and without surrounding blanks.

    Raises:
        InputError: a name is empty, too long, has control characters, is taken, or is the answer of a bundle that abstains.
    """
    taken, found = set(bundle.labels), []
    for name in names:
        plain = plain_name(name)
        if not 1 <= len(plain) <= LONGEST:
            raise InputError(f"name must have 1 to {LONGEST} characters. Received: {_shown(plain)}, {len(plain)} characters.")
        if any(unicodedata.category(character) in _REFUSED for character in plain):
            raise InputError(f"name must be one line without control characters. Received: {_shown(plain)}.")
        if plain in taken:
            raise InputError(f"name must be that of no other class. Received: {_shown(plain)}, which there is already.")
        if plain.casefold() == UNKNOWN and abstains(bundle):
            rule = f"name must not be {UNKNOWN!r}, which the bundle answers when it abstains"
            raise InputError(f"{rule}. Received: {_shown(plain)}.")
        taken.add(plain)
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
        raise InputError(f"name must be that of one of the bundle's {len(labels)} classes. Received: {_shown(plain)}.{near}")
    return found


def removable(bundle: Bundle, name: str) -> int:
    """Return which class a name means, if it is not the only one.

    Raises:
        InputError: there is no such class, or no other.
    """
    place = place_of(bundle, name)
    if len(bundle.cards) == 1:
        raise InputError(f"name must not be that of the bundle's only class. Received: {_shown(plain_name(name))}.")
    return place


def abstains(bundle: Bundle) -> bool:
    """Return whether the bundle answers "unknown" for images that it is not sure of."""
    return float((bundle.metadata.get("probabilities") or {}).get("abstain_below", 0.0)) > 0


def _shown(name: str) -> str:
    return ascii(name[:60]) if any(unicodedata.category(c) in _REFUSED for c in name[:60]) else repr(name[:60])
