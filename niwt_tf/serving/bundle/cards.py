"""Class cards: what a bundle says of each of its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from niwt_tf.errors import InputError


@dataclass(frozen=True)
class Card:
    """One class of a bundle.

    Attributes:
        name: unique in the bundle.
        description: K numbers in the order and units of the bundle's knowledge, or None where nothing is known.
        text: the words that the description was made from, or "".
        source: where the description comes from, for instance "attributes" or a field guide's title.
        seen: whether the network was trained on photographs of it.
        made: when its column was made, ISO 8601 in UTC.
        how: how its column was made.
        images: how many photographs of it were used.
        validation: figures on validation classes that say how far to trust the column, by name.
        figures: of the column itself, by name: how near the nearest class is described, and what refining goes on from.
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


def now() -> str:
    """Return the time in the form of `Card.made`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def cards_to_json(cards: Sequence[Card]) -> list[dict[str, Any]]:
    """Return cards as values for `write_json`."""
    return [{**asdict(card), "validation": dict(card.validation), "figures": dict(card.figures)} for card in cards]


def cards_from_json(values: Any, where: str) -> tuple[Card, ...]:
    """Return what `cards_to_json` gave.

    Args:
        values: parsed JSON.
        where: the file, for messages.

    Raises:
        InputError: it is not a list of cards.
    """
    try:
        return tuple(
            Card(
                name=_of(str, value["name"]),
                description=None if value["description"] is None else tuple(float(number) for number in value["description"]),
                text=_of(str, value["text"]),
                source=_of(str, value["source"]),
                seen=_of(bool, value["seen"]),
                made=_of(str, value["made"]),
                how=_of(str, value["how"]),
                images=_of(int, value["images"]),
                validation=_figures(value["validation"]),
                figures=_figures(value["figures"]),
            )
            for value in values
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where} must hold the cards of a bundle. Received: {type(error).__name__}: {error}.") from None


def _figures(values: Any) -> dict[str, float]:
    return {_of(str, name): float(figure) for name, figure in values.items()}


def _of(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value
