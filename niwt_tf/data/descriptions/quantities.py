"""Numbers with units in a text ("12 kg", "40-44 cm", "between 1 and 2 pounds"), and the units that names end with."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Each unit by its kind, and how many of the kind's first it is.
_UNITS: dict[str, dict[str, float]] = {
    "mass": {"kg": 1, "kilogram": 1, "kilogramme": 1, "kilo": 1, "g": 1e-3, "gram": 1e-3, "gramme": 1e-3, "mg": 1e-6,
             "milligram": 1e-6, "t": 1e3, "tonne": 1e3, "ton": 1e3, "lb": 0.45359237, "pound": 0.45359237,
             "oz": 0.028349523, "ounce": 0.028349523},
    "length": {"m": 1, "metre": 1, "meter": 1, "cm": 1e-2, "centimetre": 1e-2, "centimeter": 1e-2, "mm": 1e-3,
               "millimetre": 1e-3, "millimeter": 1e-3, "km": 1e3, "kilometre": 1e3, "kilometer": 1e3, "in": 0.0254,
               "inch": 0.0254, "inche": 0.0254, "ft": 0.3048, "foot": 0.3048, "feet": 0.3048, "yard": 0.9144,
               "mile": 1609.344},
    "time": {"year": 1, "yr": 1, "month": 1 / 12, "week": 7 / 365.25, "day": 1 / 365.25, "hour": 1 / 8766},
    "speed": {"km/h": 1, "kmh": 1, "kph": 1, "km/hr": 1, "mph": 1.609344, "m/s": 3.6,
              **dict.fromkeys(("km per hour", "kilometres per hour", "kilometers per hour"), 1), "miles per hour": 1.609344,
              **dict.fromkeys(("metres per second", "meters per second"), 3.6)},
    "volume": {"l": 1, "litre": 1, "liter": 1, "ml": 1e-3, "millilitre": 1e-3, "milliliter": 1e-3, "cl": 1e-2, "dl": 0.1,
               "fl oz": 0.0295735, "pint": 0.473176, "gallon": 3.785412},
    "share": {"%": 1, "percent": 1, "per cent": 1},
}  # fmt: skip
_KIND_OF = {unit: kind for kind, units in _UNITS.items() for unit in units}
_ANY = "|".join(sorted(map(re.escape, _KIND_OF), key=len, reverse=True))
_NUMBER = r"(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
# "in" is a unit only where no place follows: "12 in long", not "4 in trees".
_UNIT = rf"(?P<unit>(?!in\b(?!\s*(?:[.,;:)]|$|long|tall|high|wide|in\b)))(?:{_ANY})s?)(?![\w/])"
_QUANTITY = re.compile(
    rf"(?:\b(?:between|from|about|around|approximately|approx\.|ca\.|circa|roughly|nearly|over|under|up to)\s+)*(?<![\w.])"
    rf"(?P<first>{_NUMBER})\s*(?:(?:{_ANY})s?(?!\w))?\s*(?:(?:-|–|to|and|or)\s*(?P<last>{_NUMBER}))?[\s-]*{_UNIT}(?:\.(?=\s(?:long|tall|high|wide|across|deep)\b))?"
)
# "Weight (kg): 4"
_IN_LABEL = re.compile(rf"\s*\(({_ANY})\)\s*[:=]\s*({_NUMBER}(?:\s*[-–]\s*{_NUMBER})?)(?!\s*(?:{_ANY}))")
_OF_NAME = re.compile(rf"(?:^|[\s_(\[]|in )(?P<unit>{_ANY})s?[)\]]?$", re.IGNORECASE)


@dataclass(frozen=True)
class Quantity:
    """A number as it was written, and in the first unit of its kind."""

    text: str
    kind: str
    amount: float
    unit: float  # how many of that its own unit is

    def in_unit(self, unit: str) -> float:
        """Return the number in a unit of the same kind."""
        return float(f"{self.amount / _UNITS[self.kind][unit]:.6g}")


def without_quantities(text: str) -> tuple[str, dict[str, Quantity]]:
    """Return a lower-case text with a word in place of each number with a unit, and what these words stand for.

    Of a range the middle is taken.
    """
    found: dict[str, Quantity] = {}

    def replaced(match: re.Match[str]) -> str:
        unit = match["unit"] if match["unit"] in _KIND_OF else match["unit"].removesuffix("s")
        numbers = [_number(match[name]) for name in ("first", "last") if match[name]]
        kind = _KIND_OF[unit]
        word = f"quantity{len(found)}x"
        size = _UNITS[kind][unit]
        found[word] = Quantity(match[0].strip(), kind, sum(numbers) / len(numbers) * size, size)
        return word

    text = _IN_LABEL.sub(r": \2 \1", text)
    text = _IN_WORDS.sub(lambda match: re.sub(r"[a-z]+(?= |$)", _digits, match[0]), text)
    text = _HALF.sub("0.5 ", _FRACTION.sub(lambda match: f"{match[1] or 0}{_FRACTIONS[match[2]]}", text))
    plain = _QUANTITY.sub(replaced, text)
    return _TWO_UNITS.sub(lambda match: _added(match, found), plain), found


# "Two kilos", "two to three kilos"; but an animal may have two feet, and "twenty-two" is not read.
_WRITTEN = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_ONE = "|".join(_WRITTEN)
_IN_WORDS = re.compile(
    rf"(?<!ty[ -])(?<!hundred )(?<!hundred and )(?<!thousand )(?<!thousand and )\b(?:{_ONE})(?: (?:to|or|and) (?:{_ONE}))?"
    rf"(?= (?!f[oe]+t\b|in\b)(?:{_ANY})s?(?!\w))"
)
_FRACTIONS = {"½": ".5", "¼": ".25", "¾": ".75"}
_FRACTION = re.compile(r"(?<![\d.,])(\d+)?\s?([½¼¾])")
# "Half a kilo", "half an inch".
_HALF = re.compile(rf"\bhalf an? (?=(?:{_ANY})s?(?!\w))")
# "1 m 20 cm"
_TWO_UNITS = re.compile(r"(quantity\d+x) (?:and )?(quantity\d+x)")


def _digits(word: re.Match[str]) -> str:
    """Return the digits of a number that is written as a word, or another word as it is."""
    return str(_WRITTEN.index(word[0]) + 2) if word[0] in _WRITTEN else word[0]


def _added(match: re.Match[str], found: dict[str, Quantity]) -> str:
    """Return the word of the sum of two quantities where the second goes on with the first in a smaller unit."""
    first, second = found[match[1]], found[match[2]]
    if first.kind != second.kind or second.unit >= first.unit:
        return match[0]
    found[match[1]] = Quantity(f"{first.text} {second.text}", first.kind, first.amount + second.amount, second.unit)
    return match[1]


def unit_of(name: str) -> tuple[str, str, str] | None:
    """Return (the rest of the name, the unit, its kind) of an attribute that is called by its unit, as "weight_kg", or None."""
    match = _OF_NAME.search(name.strip())
    if match is None or not match.start():
        return None
    unit = match["unit"].lower()
    return name.strip()[: match.start()].rstrip(" _(["), unit, _KIND_OF[unit]


def _number(text: str) -> float:
    """Return a number, whose comma parts thousands where three digits follow it, and is a decimal comma otherwise."""
    return float(re.sub(r",(?=\d{3}(?:\D|$))", "", text).replace(",", "."))
