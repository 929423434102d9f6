"""A grid of flags and the trials that it stands for."""

from __future__ import annotations

import itertools
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from niwt_tf.config.names import check_text_features, has_texts
from niwt_tf.config.options import Option
from niwt_tf.config.settings import SETTINGS, SYNONYMS, Settings
from niwt_tf.errors import InputError, suggestion
from niwt_tf.files import fingerprint

MOST_TRIALS = 10_000
# These make another problem, not another method: trials that differ in them alone repeat one configuration.
PROBLEM_FLAGS = (
    "dataset", "data_dir", "split", "unseen", "num_unseen", "knowledge", "text_features", "missing_images", "max_bad_images",
    "seed",
)
# Scores on other or fewer validation classes cannot be compared.
YARDSTICKS = ("num_folds", "validation_classes")
_OPTIONS = {declared.name: declared for declared in SETTINGS}
_FORMER = {former: today for today, former in SYNONYMS.items()}
_LISTS = ("strs", "floats")
_READABLE = 80
_LOG = logging.getLogger("niwt_tf")

Grid = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class SweepTrial:
    """One point of a grid.

    Attributes:
        name: a file name, readable and different for different settings.
        values: the grid's flags and this trial's values, in the grid's order.
        settings: all settings of the trial.
    """

    name: str
    values: Mapping[str, Any]
    settings: Settings

    @property
    def configuration(self) -> tuple[tuple[str, Any], ...]:
        """The method: values of the grid's flags that trials are compared by."""
        return tuple((name, value) for name, value in self.values.items() if name not in PROBLEM_FLAGS)

    @property
    def repetition(self) -> tuple[tuple[str, Any], ...]:
        """The problem that the method is tried on: values of the grid's other flags."""
        return tuple((name, value) for name, value in self.values.items() if name in PROBLEM_FLAGS)

    @property
    def flags_of_problem(self) -> tuple[tuple[str, Any], ...]:
        """The part of `repetition` that says which classes and images are test's: a seed draws none of a named split."""
        return tuple(pair for pair in self.repetition if pair[0] != "seed" or self.settings.split == "random")


def parse_grid(text: str) -> Grid:
    """Return the grid that a text such as "seen_head=ridge,softmax;transfer_lambda=0.01|0.1,1;seed=0,1" stands for.

    Semicolons part the flags and commas the values; the items of one value that is a list are joined by |.

    Raises:
        InputError: the text has another form, or a flag or a value is refused.
    """
    found: list[tuple[str, list[Any]]] = []
    for part in text.strip().rstrip(";").split(";"):
        name, equals, values = part.partition("=")
        name = name.strip().removeprefix("--")
        if not equals or not name:
            raise InputError(f"--grid must be of the form flag=value,value;flag=value. Received: {part.strip()!r}.")
        declared = _declared("--grid", name)
        name = declared.name
        texts = [value.strip() for value in values.split(",")]
        if not all(texts):
            raise InputError(f"--grid must give every value of {name}, without an empty one. Received: {part.strip()!r}.")
        found.append((name, [_listed(declared, value) for value in texts]))
    return _grid("--grid", found)


def grid_of(values: Any, source: str = "--grid_file") -> Grid:
    """Return the grid of a mapping {flag: [values]}, whose values are as in JSON: numbers, texts, true, null or lists.

    Raises:
        InputError: it is something else, or a flag or a value is refused.
    """
    if not isinstance(values, Mapping) or not all(isinstance(listed, Sequence) for listed in values.values()):
        raise InputError(f'{source} must hold one object of lists, {{"flag": [value, value]}}. Received: {values!r:.80}.')
    found = []
    for name, listed in values.items():
        declared = _declared(source, name)
        name = declared.name
        if isinstance(listed, str):
            raise InputError(f"{source} must give a list of values of {name}. Received: {listed!r}.")
        found.append((name, [declared.parse(value) if isinstance(value, str) else declared.check(value) for value in listed]))
    return _grid(source, found)


def trials_of(grid: Grid, settings: Settings, fixed: frozenset[str] = frozenset()) -> list[SweepTrial]:
    """Return every combination of the grid's values, the last flag changing fastest.

    Args:
        grid: flags and their values, at least one of each.
        settings: what all trials share; text_features where a trial's classes are described by texts, if another's are.
        fixed: names of the settings that were given for all trials.

    Raises:
        InputError: a flag of the grid is fixed too, there are too many trials, or the values of one do not go together.
    """
    twice = [name for name in grid if name in fixed]
    if twice:
        raise InputError(
            f"--{twice[0]} must be given once: in the grid, or as a flag (or in the flagfile) for every trial. Received: both."
        )
    number = math.prod(len(values) for values in grid.values())
    if number > MOST_TRIALS:
        raise InputError(f"A grid must make at most {MOST_TRIALS:,} trials. Received: {number:,}.")
    beside_texts = "text_features" not in grid and any(has_texts(source) for source in grid.get("knowledge", ()))
    trials = []
    for combination in itertools.product(*grid.values()):
        values = dict(zip(grid, combination, strict=True))
        try:
            trial = settings.replace(**values)
            if beside_texts and not has_texts(trial.knowledge):
                trial = trial.replace(text_features="lsa")
            check_text_features(trial.knowledge, trial.text_features)
        except InputError as error:
            shown = ", ".join(f"{name}={shown_value(value)}" for name, value in values.items())
            raise InputError(f"The trial {shown} of the grid is not possible: {error}") from None
        trials.append(SweepTrial(_name(values, trial), values, trial))
    names = [trial.name.rsplit("-", 1)[1] for trial in trials]
    if len(set(names)) < len(names):
        raise InputError(
            "A grid must not make the same trial twice. Received: two values that mean the same, such as two paths of the "
            "same file."
        )
    return trials


def shown_value(value: Any) -> str:
    """Return a value as the grid's syntax has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return "|".join(shown_value(item) for item in value) if isinstance(value, tuple) else str(value)


def flags_of(settings: Settings) -> list[str]:
    """Return the flags that make these settings: those that are not at their default.

    Raises:
        InputError: a value cannot be written as a flag, such as a name with a comma in it.
    """
    given = []
    for declared in SETTINGS:
        value = getattr(settings, declared.name)
        if value == declared.default:
            continue
        text = "" if value is None else ",".join(map(shown_value, value)) if isinstance(value, tuple) else shown_value(value)
        if declared.parse(text) != value:
            raise InputError(f"--{declared.name} must be a value that can be written as a flag. Received: {value!r}.")
        given.append(f"--{declared.name}={text}")
    return given


def differing_flags(base: Settings, settings: Settings, but: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the flags in which settings differ from others, as "--name=value", without those of the names `but`."""
    defaults, found = Settings(), []
    for declared in SETTINGS:
        value = getattr(settings, declared.name)
        if declared.name in but or value == getattr(base, declared.name):
            continue
        at_default = value == getattr(defaults, declared.name)
        found.append(f"--{declared.name}={value}" if at_default else flags_of(defaults.replace(**{declared.name: value}))[0])
    return tuple(found)


def _declared(source: str, name: str) -> Option:
    if name in YARDSTICKS:
        raise InputError(
            f"{source} must not change the validation classes that configurations are compared on. Received: {name!r}; "
            "give it once, for all trials."
        )
    today = _FORMER.get(name, name)
    if today != name:
        _LOG.warning("--%s is now called --%s. The next release accepts only the new name.", name, today)
    if today in _OPTIONS:
        return _OPTIONS[today]
    raise InputError(
        f"{source} must consist of flags that change a result. Received: {name!r}.{suggestion(name, _OPTIONS)}"
    )


def _listed(declared: Option, text: str) -> Any:
    if declared.kind in _LISTS:
        if not all(item.strip() for item in text.split("|")):
            raise InputError(f"--grid must not have an empty item in a value of {declared.name}. Received: {text!r}.")
        return declared.parse(text.replace("|", ","))
    if "|" in text:
        raise InputError(
            f"--grid must separate the values of {declared.name} by commas: | joins the items of a list, which "
            f"--{declared.name} does not take. Received: {text!r}."
        )
    return declared.parse(text)


def _grid(source: str, found: Sequence[tuple[str, Sequence[Any]]]) -> Grid:
    if not found:
        raise InputError(f"{source} must hold at least one flag. Received: none.")
    grid: Grid = {}
    for name, values in found:
        if name in grid:
            raise InputError(f"{source} must name each flag once. Received: {name!r} twice.")
        if not values:
            raise InputError(f"{source} must give at least one value of {name}. Received: none.")
        repeated = next((value for index, value in enumerate(values) if value in values[:index]), None)
        if repeated is not None or list(values).count(None) > 1:
            raise InputError(f"{source} must give each value of {name} once. Received: {shown_value(repeated)} twice.")
        grid[name] = tuple(values)
    return grid


def _name(values: Mapping[str, Any], settings: Settings) -> str:
    readable = "_".join(f"{name}={shown_value(value).rsplit('/', 1)[-1]}" for name, value in values.items())
    # The digits tell apart what the readable part leaves out: other flags, folders of files, whatever was cut off.
    return f"{re.sub(r'[^A-Za-z0-9_.=+-]', '+', readable)[:_READABLE]}-{fingerprint(settings.as_dict())[:8]}"
