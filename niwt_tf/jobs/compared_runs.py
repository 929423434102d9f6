"""The results that `niwt compare` finds in run directories: the run's own, and its baselines'."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from niwt_tf.errors import InputError
from niwt_tf.experiments.leaderboard import BOUND, FIGURES, Result
from niwt_tf.experiments.leaderboard_bound import best_harmonic_mean
from niwt_tf.experiments.settings import Settings
from niwt_tf.files import read_json
from niwt_tf.jobs.compared_files import named, with_files
from niwt_tf.jobs.ledger import could_be_chosen, describing
from niwt_tf.jobs.run_directory import Run, RunDirectory
from niwt_tf.jobs.stage import choices_of, is_untouched

_LOG = logging.getLogger("niwt_tf.jobs")
_BASELINE = "baseline_"
# An area or a mean of ones, added up, can be this much above one.
_ROUNDING = 1e-9
_RULE = "--runs must name run directories, or folders that hold some."


def results_in(folders: Sequence[str], bound: bool = False, progress: bool = False) -> list[Result]:
    """Return the finished results of the runs in some folders; what is left out is named on stderr.

    Args:
        folders: run directories, and folders that hold some.
        bound: whether to add H with the calibration chosen on test images.
        progress: whether to show a bar.

    Raises:
        InputError: a folder is not there or holds no run, or no run has a finished result.
    """
    runs = list(dict.fromkeys(run for folder in folders for run in _runs_in(Path(folder).expanduser())))
    results: list[Result] = []
    faults: list[str] = []
    for path in tqdm(runs, "runs", disable=not progress, delay=5, leave=False):
        try:
            run = RunDirectory(path).reading()
            found = list(_results_of(run, bound, faults))
        except InputError as error:
            faults.append(f"{path} ({str(error).rstrip('.')})")
            continue
        results += found
    for fault in faults:
        _LOG.warning("Left out: %s.", fault)
    if not results:
        rule = "--runs must hold a run with finished figures of test images: niwt run --until=evaluate makes them."
        raise InputError(f"{rule} Received: {len(runs)} without, the first {faults[0] if faults else runs[0]}.")
    return named(results)


def _runs_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{_RULE} Received: {str(folder)!r}, which is none.")
    if (folder / "config.json").exists():
        return [folder.resolve()]
    found = sorted(entry.resolve() for entry in folder.iterdir() if (entry / "config.json").exists())
    if not found:
        raise InputError(f"{_RULE} Received: {str(folder)!r}, without any.")
    return found


def _results_of(run: Run, bound: bool, faults: list[str]) -> Iterator[Result]:
    """Yield a run's results; why one cannot be read goes to `faults`."""
    stages = ["evaluate", *sorted(entry.name for entry in run.path.glob(f"{_BASELINE}*") if entry.is_dir())]
    for stage in stages:
        try:
            yield _result_of(run, stage, bound)
        except InputError as error:
            faults.append(f"{run.path / stage} ({str(error).rstrip('.')})")


def _result_of(run: Run, stage: str, bound: bool) -> Result:
    folder = run.folder(stage)
    if not is_untouched(folder):
        raise InputError("its files were changed after they were made")
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
    choices = with_files(chosen, run.test_use.scored_with(stage))
    optimistic += [f"it uses test labels: {use}" for use in uses]
    optimistic += run.test_use.reasons(stage, known=True)
    return Result(
        dataset=_title(run.settings, *counts),
        method=method,
        problem=(run.test_use.problem or run.data or "", run.settings.seed),
        where=str(folder),
        figures=figures,
        choices=choices,
        optimistic=tuple(dict.fromkeys(optimistic)),
        competes=not uses,
    )


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if not -_ROUNDING <= value <= 1 + _ROUNDING:
        raise ValueError(f"{value!r} is no fraction")
    return float(min(max(value, 0), 1))


def _method(settings: Settings, stage: str, metrics: Mapping[str, Any]) -> str:
    """Return a method's name: the run's own is that of its head, a baseline's that of its stage."""
    if stage == "evaluate":
        head = str(getattr(settings, "head", "niwt"))
        return head if head == "niwt" else f"{head} as head"
    name = str(metrics.get("method", stage.removeprefix(_BASELINE)))
    features = str(metrics.get("features", "head"))
    return name if features == "head" else f"{name} on {features}"


def _title(settings: Settings, num_seen: int, num_unseen: int) -> str:
    """Return what results must have in common to be in one table."""
    name = settings.dataset
    if name == "folder":
        name = f"folder {Path(settings.data_folder).name}"
    split = settings.split if settings.split in ("ps", "ss", "random") else "from files"
    return f"{name}, split {split}, {num_seen} seen and {num_unseen} unseen classes"
