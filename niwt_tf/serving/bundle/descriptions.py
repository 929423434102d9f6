"""What a bundle knows of descriptions: the attributes' names, the seen classes' values and the words of its captions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from niwt_tf.data.descriptions.normalise import Scale
from niwt_tf.data.descriptions.texts import encoder_from_arrays
from niwt_tf.data.schema import Knowledge, TextEncoder
from niwt_tf.serving.bundle.bundle import Bundle, extra_arrays
from niwt_tf.serving.bundle.cards import Card

WORDS = "words"


def seen_knowledge(bundle: Bundle) -> Knowledge:
    """Return the attributes of a bundle with the values of its seen classes that are described.

    Raises:
        InputError: the bundle knows no descriptions.
    """
    names = bundle.attribute_names
    known = bundle.metadata["knowledge"]
    rows = [card.description for card in bundle.cards if card.seen and card.description is not None]
    values = np.array(rows, np.float32).reshape(len(rows), len(names))
    return Knowledge(values, names, tuple(known["groups"]), known["source"], scale=Scale.from_lists(known.get("scale")))


def in_units(bundle: Bundle) -> list[Card]:
    """Return the cards of a bundle with descriptions in the units of their table, in which `add_class` takes them."""
    scale = Scale.from_lists((bundle.metadata.get("knowledge") or {}).get("scale"))
    if scale is None:
        return list(bundle.cards)
    rows = [None if card.description is None else scale.undone(np.array(card.description)) for card in bundle.cards]
    return [
        replace(card, description=None if row is None else tuple(float(str(value)) for value in row))
        for card, row in zip(bundle.cards, rows, strict=True)
    ]


def bundle_words(bundle: Bundle) -> TextEncoder | None:
    """Return what turns a text into a description, or None where attributes are looked for by their names.

    Raises:
        InputError: the file of words is damaged.
    """
    arrays = extra_arrays(bundle.folder, WORDS)
    return None if arrays is None else encoder_from_arrays(arrays)
