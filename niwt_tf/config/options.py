"""One option of a job: its kind, its rule and its help, and how a value or a text becomes valid."""

from __future__ import annotations

import csv
import dataclasses
import math
import numbers
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Self, TypeVar

from niwt_tf.errors import InputError, suggestion

T = TypeVar("T")
Kind = Literal["str", "int", "float", "bool", "strs", "floats"]
_EXPECTED = {
    "str": "text", "int": "an integer", "float": "a number", "bool": "true or false", "strs": "a list of names",
    "floats": "a list of numbers"
}


def _names_of(text: str) -> list[str]:
    """Return the names of a list with commas between; one in double quotes may hold commas itself."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip()]


@dataclass(frozen=True)
class Option:
    """The rule that a value of `--name` must meet.

    Attributes:
        name: the option without its dashes.
        kind: what the value is; "strs" and "floats" are tuples.
        default: the value when nothing is given.
        help: one line for `--help`.
        optional: whether None (an empty text) is allowed.
        choices: the allowed names; empty allows any.
        path: whether a path is allowed as well as the `choices`.
        prefixes: what a text may begin with instead of being one of the `choices`; empty allows none.
        suffix: what a path may end in instead of being one of the `choices`; "" allows none.
    joined: what may stand between several of the allowed texts; empty allows one alone.
        at_least: least number allowed, or None.
        above: every number allowed is greater than this, or None.
        below: every number allowed is less than this, or None.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    optional: bool = False
    choices: tuple[str, ...] = ()
    path: bool = False
    prefixes: tuple[str, ...] = ()
    suffix: str = ""
    joined: str = ""
    at_least: float | None = None
    above: float | None = None
    below: float | None = None

    def parse(self, text: str) -> Any:
        """Return the checked value that `text` (from a command line) stands for.

        Raises:
            InputError: the text is of another kind or breaks the rule.
        """
        stripped = text.strip()
        if self.optional and stripped in ("", "None"):
            return None
        parts = [part.strip() for part in stripped.split(",") if part.strip()]
        try:
            if self.kind == "int":
                return self.check(int(stripped))
            if self.kind == "float":
                return self.check(float(stripped))
            if self.kind == "floats":
                return self.check(tuple(float(part) for part in parts))
        except InputError:
            raise
        except ValueError:
            self._refuse(f"must be {_EXPECTED[self.kind]}", text)
        if self.kind == "bool":
            if stripped.lower() not in ("true", "false", "1", "0"):
                self._refuse("must be true or false", text)
            return stripped.lower() in ("true", "1")
        return self.check(tuple(_names_of(stripped)) if self.kind == "strs" else stripped)

    def check(self, value: Any) -> Any:
        """Return `value` in its plain form (numpy numbers and lists are accepted).

        Raises:
            InputError: naming the option, the rule and the value.
        """
        if value is None:
            if not self.optional:
                self._refuse("must be given", value)
            return None
        plain = self._plain(value)
        for number in plain if self.kind == "floats" else (plain,) if self.kind in ("int", "float") else ():
            self._check_number(number, value)
        for text in self.parts(plain) if self.kind == "str" else plain if self.kind == "strs" and self.choices else ():
            self._check_text(text)
        return plain

    def parts(self, text: str) -> tuple[str, ...]:
        """Return the texts that are joined in one; a file's name stays whole.

        Raises:
            InputError: one is empty or named twice.
        """
        if not self.joined or self.joined not in text or os.path.exists(os.path.expanduser(text)):
            return (text,)
        parts = tuple(part.strip() for part in text.split(self.joined))
        if not all(parts):
            self._refuse(f"must be one of {self._listed()}, without an empty part", text)
        if len(set(parts)) < len(parts):
            self._refuse("must not name anything twice", text)
        return parts

    def _plain(self, value: Any) -> Any:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        is_bool = isinstance(value, bool)
        if self.kind == "str" and isinstance(value, str):
            return value
        if self.kind == "bool" and is_bool:
            return value
        if self.kind == "int" and isinstance(value, numbers.Integral) and not is_bool:
            return int(value)
        if self.kind == "float" and isinstance(value, numbers.Real) and not is_bool:
            return float(value)
        if self.kind == "strs" and self.choices and isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if self.kind in ("strs", "floats") and not isinstance(value, str) and hasattr(value, "__iter__"):
            items = tuple(value)
            if self.kind == "strs" and all(isinstance(item, str) for item in items):
                if len(set(items)) < len(items):
                    self._refuse("must not name anything twice", value)
                if self.choices and not items:
                    self._refuse(f"must be at least one of {', '.join(self.choices)}", value)
                return items
            if self.kind == "floats" and all(isinstance(item, numbers.Real) for item in items):
                if not items:
                    self._refuse("must hold at least one number", value)
                return tuple(float(item) for item in items)
        self._refuse(f"must be {_EXPECTED[self.kind]}", value)

    def _check_number(self, number: float, value: Any) -> None:
        if isinstance(number, float) and not math.isfinite(number):  # a whole number may be too large for one
            self._refuse("must be finite", value)
        if self.at_least is not None and number < self.at_least:
            self._refuse(f"must be at least {self.at_least:g}", value)
        if self.above is not None and number <= self.above:
            self._refuse(f"must be greater than {self.above:g}", value)
        if self.below is not None and number >= self.below:
            self._refuse(f"must be less than {self.below:g}", value)

    def _check_text(self, value: str) -> None:
        if not value:
            self._refuse(f"must be one of {self._listed()}" if self.choices else "must not be empty", value)
        if not self.choices or value in self.choices:
            return
        if any(value.startswith(prefix) and value != prefix for prefix in self.prefixes):
            return
        if self.suffix and value.endswith(self.suffix) and value != self.suffix:
            return
        # A bare word is a misspelt choice; a path has a separator, a suffix, or is there.
        if self.path and (os.sep in value or "." in value or os.path.exists(value)):
            return
        self._refuse(f"must be one of {self._listed()}", value, suggestion(value, self.choices))

    def _listed(self) -> str:
        listed = ", ".join(self.choices) + (" or a path" if self.path else "")
        listed += f" or a path that ends in {self.suffix}" if self.suffix else ""
        listed += "".join(f" or {prefix}NAME" for prefix in self.prefixes)
        return listed + (f", or several with {self.joined} between them" if self.joined else "")

    def _refuse(self, rule: str, value: Any, hint: str = "") -> NoReturn:
        raise InputError(f"--{self.name} {rule}. Received: {value!r}.{hint}")


def option(default: Any, help: str, **rules: Any) -> Any:  # noqa: A002
    """Return a dataclass field that carries an option's default, help and rules (the arguments of `Option`)."""
    return dataclasses.field(default=default, metadata={"help": help, **rules})


_KINDS: dict[str, Kind] = {
    "str": "str", "int": "int", "float": "float", "bool": "bool", "tuple[str, ...]": "strs", "tuple[float, ...]": "floats"
}


def options_of(record: type) -> tuple[Option, ...]:
    """Return the options that a dataclass made of `option` fields declares, in order."""
    found = []
    for field in dataclasses.fields(record):
        annotation = field.type.__name__ if isinstance(field.type, type) else str(field.type)
        kind = _KINDS[annotation.removesuffix(" | None")]
        optional = annotation.endswith(" | None")
        found.append(Option(field.name, kind, field.default, optional=optional, **field.metadata))
    return tuple(found)


@dataclass(frozen=True)
class MethodOptions:
    """Base of the records of options that methods bring: frozen dataclasses of `option` fields, with rules between them.

    `Settings` has their fields as its own. Rules that bind several options stand in `__post_init__`.
    """

    @classmethod
    def of(cls, settings: object) -> Self:
        """Return those that settings hold.

        Raises:
            InputError: they do not go together.
        """
        return cls(**{field.name: getattr(settings, field.name) for field in dataclasses.fields(cls)})


def with_options_of(records: Sequence[type[MethodOptions]], after: str) -> Callable[[type[T]], type[T]]:
    """Return what gives a class the fields of records, behind one of its own, before it is made a dataclass.

    Raises:
        InputError: an option has a name that is taken.
    """

    def widened(record: type[T]) -> type[T]:
        own = dict(record.__annotations__)
        names = list(own)
        place = names.index(after) + 1
        for field in (field for each in records for field in dataclasses.fields(each)):
            if field.name in own:
                raise InputError(f"An option must have its own name. Received: {field.name!r} twice.")
            own[field.name] = field.type
            names.insert(place, field.name)
            place += 1
            setattr(record, field.name, option(field.default, **field.metadata))
        record.__annotations__ = {name: own[name] for name in names}
        return record

    return widened
