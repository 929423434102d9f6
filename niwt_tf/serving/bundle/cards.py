"""Class cards: what a bundle says of each of its classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from niwt_tf.errors import InputError


@dataclass(frozen=True)
class Card:
    """One class of a bundle, under a name that is unique in it.

    The description is K numbers in the order and units of the bundle's knowledge, or None where nothing is known; the text is
    the words that it was made from, the source for instance "attributes" or a field guide's title. A seen class is one that the
    network was trained on photographs of. The column was made at a time, ISO 8601 in UTC, in a way, `how`, with a number of
    photographs, whose digests it has if they came later. Figures on validation classes, by name, say how far to trust it; its
    own say how near the nearest class is described, and what refining goes on from.
    """

    name: str
    description: tuple[float, ...] | None = None
    text: str = ""
    source: str = ""
    seen: bool = False
    made: str = ""
    how: str = ""
    images: int = 0
    validation: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    photographs: tuple[str, ...] = ()


_KINDS = {"name": str, "text": str, "source": str, "seen": bool, "made": str, "how": str, "images": int}


def now() -> str:
    """Return the time in the form of `Card.made`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def cards_to_json(cards: Sequence[Card]) -> list[dict[str, Any]]:
    """Return cards as values for `write_json`."""
    return [{**asdict(card), "validation": dict(card.validation), "figures": dict(card.figures)} for card in cards]


def cards_from_json(values: Any, where: str) -> tuple[Card, ...]:
    """Return what `cards_to_json` gave, of parsed JSON; `where` is its file, for messages.

    Raises:
        InputError: it is not a list of cards.
    """
    try:
        return tuple(
            Card(
                description=None if value["description"] is None else tuple(map(_number, value["description"])),
                validation=_figures(value["validation"]),
                figures=_figures(value["figures"]),
                photographs=tuple(_of(str, digest) for digest in value.get("photographs", ())),  # not of earlier versions
                **{name: _of(kind, value[name]) for name, kind in _KINDS.items()},
            )
            for value in values
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{where} must hold the cards of a bundle. Received: {type(error).__name__}: {error}.") from None


def _figures(values: Any) -> dict[str, float]:
    return {_of(str, name): _number(figure) for name, figure in values.items()}


def _number(value: Any) -> float:
    number = float(_of((int, float), value))
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not finite")
    return number


def _of(kind: type | tuple[type, ...], value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not {kind.__name__ if isinstance(kind, type) else 'a number'}")
    return value
