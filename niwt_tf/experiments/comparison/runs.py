"""The results that `niwt compare` finds in run directories: the run's own, and its baselines'."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from tqdm import tqdm

from niwt_tf.config.options import Option
from niwt_tf.config.settings import SETTINGS, Settings
from niwt_tf.errors import InputError
from niwt_tf.experiments.comparison.leaderboard import BOUND, FIGURES, Result, best_harmonic_mean
from niwt_tf.files import fingerprint, read_json
from niwt_tf.runs.ledger import could_be_chosen, describing, portable
from niwt_tf.runs.run import Run, RunDirectory
from niwt_tf.runs.stage import choices_of

_LOG = logging.getLogger("niwt_tf.jobs")
_BASELINE = "baseline_"
# An area or a mean of ones, added up, can be this much above one.
_ROUNDING = 1e-9
_RULE = "--runs must name run directories, or folders that hold some."


def results_in(folders: Sequence[str], bound: bool = False, progress: bool = False) -> list[Result]:
    """Return the finished results of run directories, and of folders that hold some; what is left out is named on stderr.

    With `bound`, H with the calibration chosen on test images is added.

    Raises:
        InputError: a folder is not there or holds no run, or no run has a finished result.
    """
    runs = list(dict.fromkeys(run for folder in folders for run in _runs_in(Path(os.path.expanduser(folder)))))
    results: list[Result] = []
    faults: list[str] = []
    for path in tqdm(runs, "runs", disable=not progress, delay=5, leave=False):
        try:
            run = RunDirectory(path).reading()
        except InputError as error:
            faults.append(_fault(path, error))
            continue
        for stage in ("evaluate", *sorted(entry.name for entry in path.glob(f"{_BASELINE}*") if entry.is_dir())):
            try:
                results.append(_result_of(run, stage, bound))
            except InputError as error:
                faults.append(_fault(run.path / stage, error))
    for fault in faults:
        _LOG.warning("Left out: %s.", fault)
    if not results:
        rule = "--runs must hold a run with finished figures of test images: niwt run --until=evaluate makes them."
        raise InputError(f"{rule} Received: {len(runs)} without figures, the first {faults[0] if faults else runs[0]}.")
    return named(results)


def _runs_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{_RULE} Received: {str(folder)!r}, which is not a run directory.")
    if (folder / "config.json").exists():
        return [folder.resolve()]
    found = sorted(entry.resolve() for entry in folder.iterdir() if (entry / "config.json").exists())
    if not found:
        raise InputError(f"{_RULE} Received: {str(folder)!r}, without any.")
    return found


def _fault(path: Path, error: InputError) -> str:
    return f"{path} ({str(error).rstrip('.')})"


def _result_of(run: Run, stage: str, bound: bool) -> Result:
    folder = run.folder(stage)
    try:
        metrics = read_json(folder / "metrics.json")
        figures: dict[str, float | None] = {name: _number(metrics[name]) for name in FIGURES}
        counts = int(metrics["num_seen"]), int(metrics["num_unseen"])
        method = _method(run.settings, stage, metrics)
        uses = [str(use) for use in metrics.get("uses_test_labels", ())]
        optimistic = [str(reason) for reason in metrics.get("optimistic", ())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"its metrics.json cannot be read: {type(error).__name__} {error}") from None
    if bound:
        figures[BOUND] = best_harmonic_mean(folder / "scores.npz", counts[0])
    made = {**describing(run.settings.as_dict()), **choices_of(folder)}
    chosen = {name: value for name, value in made.items() if could_be_chosen(name) and name != "seed"}
    optimistic += [f"it uses test labels: {use}" for use in uses]
    optimistic += run.test_use.reasons(stage, known=True)
    return Result(
        dataset=_title(run.settings, *counts), method=method,
        problem=(run.test_use.problem or run.data or "", run.settings.seed), where=str(folder), figures=figures,
        choices=with_files(chosen, run.test_use.scored_with(stage)), optimistic=tuple(dict.fromkeys(optimistic)),
        competes=not uses,
    )


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if not -_ROUNDING <= value <= 1 + _ROUNDING:
        raise ValueError(f"{value!r} is not a fraction")
    return float(min(max(value, 0), 1))


def _method(settings: Settings, stage: str, metrics: Mapping[str, Any]) -> str:
    """Return a method's name: the run's own, or that of a baseline's stage."""
    if stage == "evaluate":
        return settings.method
    name = str(metrics.get("method", stage.removeprefix(_BASELINE)))
    features = str(metrics.get("features", "head"))
    return name if features == "head" else f"{name} on {features}"


def _title(settings: Settings, num_seen: int, num_unseen: int) -> str:
    """Return what results must have in common to be in one table."""
    name = f"folder {Path(settings.data_folder).name}" if settings.dataset == "folder" else settings.dataset
    split = settings.split if settings.split in ("ps", "ss", "random") else "from files"
    return f"{name}, split {split}, {num_seen} seen and {num_unseen} unseen classes"


_DECLARED = {option.name: option for option in SETTINGS if option.path or option.prefixes}


@dataclass(frozen=True)
class FileChoice:
    """A setting's value with a file's name for its path; its identity is the same for the same contents, as in the ledger."""

    identity: str
    name: str


def with_files(choices: Mapping[str, Any], recorded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return choices with a `FileChoice` in place of every path of a file whose contents are known; other paths stay.

    Recorded are the choices of the ledger's entries of the same stage, with contents in place of paths.
    """
    return {name: _choice(_DECLARED.get(name), value, recorded) for name, value in choices.items()}


def named(results: Iterable[Result]) -> list[Result]:
    """Return results with a name in place of every `FileChoice`: one for one file, and different ones for different files."""
    results = list(results)
    identities: dict[tuple[str, str], dict[str, None]] = {}
    first: dict[tuple[str, str], str] = {}
    for result in results:
        for setting, value in result.choices.items():
            if isinstance(value, FileChoice):
                name = first.setdefault((setting, value.identity), value.name)
                identities.setdefault((setting, name), {})[value.identity] = None

    def text(setting: str, value: Any) -> Any:
        if not isinstance(value, FileChoice):
            return value
        name = first[setting, value.identity]
        return name if len(identities[setting, name]) == 1 else f"{name} ({fingerprint(value.identity)[:6]})"

    return [replace(each, choices={name: text(name, value) for name, value in each.choices.items()}) for each in results]


def _choice(option: Option | None, value: Any, recorded: Sequence[Mapping[str, Any]]) -> Any:
    if option is None or not isinstance(value, str):
        return value
    parts = [part if part in option.choices else _name(part) for part in option.parts(value)]
    name = option.joined.join(parts)
    if name == value:
        return value
    known = list(dict.fromkeys(str(each[option.name]) for each in recorded if option.name in each))
    if value in known or "://" in value:
        return value
    if len(known) != 1:  # of several files, the one that is there today
        today = portable({option.name: value}).get(option.name)
        known = [each for each in known if each == today]
    # Of a folder the ledger has the name alone: modules of TensorFlow Hub are all called by their version.
    return FileChoice(known[0], name) if known and known[0] not in (name, f":{name}") else value


def _name(part: str) -> str:
    prefix, colon, path = part.rpartition(":")
    return f"{prefix}{colon}{PurePath(path).name}"
