"""`niwt run`: every stage that is not up to date, then the table; `niwt deploy`: the same of all classes with photographs."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from niwt_tf.data.feature_rows import NO_PIXELS, holds_features
from niwt_tf.errors import InputError
from niwt_tf.files import read_json
from niwt_tf.jobs import evaluate, export, faithfulness, report
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.fit import method_stage, training_stage, transfer_stage
from niwt_tf.jobs.flags import check_export_folder, export_folder, run_folder
from niwt_tf.jobs.run_data import RunData, check_has_pixels, load_run_data
from niwt_tf.jobs.table import COMMAND
from niwt_tf.methods.registry import method_of
from niwt_tf.metrics.probabilities import check_none_is_unknown
from niwt_tf.report.summary import percent, summary_table
from niwt_tf.runs.run import Run, RunDirectory
from niwt_tf.runs.stage import read_manifest

_MOST_NAMED = 20
# Seconds of a stage where training takes 100: of the birds, all of whose layers are trained, and of the animals' head.
_TYPICAL = {
    "train": (100, 100), "transfer": (4, 150), "evaluate": (2, 70), "export": (8, 100), "faithfulness": (6, 130),
    "report": (3, 20),
}  # fmt: skip
_LEAST = {"export": 12.0, "faithfulness": 3.0, "report": 3.0}  # seconds, of a data set however small
_OF_PIXELS = ("export", "faithfulness", "report")
_LOG = logging.getLogger("niwt_tf.jobs")
Stage = Callable[[Run, RunData], None]


def _export(run: Run, data: RunData) -> None:
    export.stage(run, data, abstain=flags.FLAGS.abstain)


def _stages(run: Run) -> dict[str, Stage]:
    """Return what a run does, by name and in order; only some methods have stages between `train` and `transfer`."""
    own = {stage.name: partial(method_stage, stage) for stage in method_of(run.settings.method).stages}
    return {
        "train": training_stage,
        **own,
        "transfer": transfer_stage,
        "evaluate": evaluate.stage,
        "export": _export,
        "faithfulness": faithfulness.stage,
        "report": report.stage,
    }


def _wanted(run: Run, last: str) -> dict[str, Stage]:
    """Return what a run does up to a stage.

    Raises:
        InputError: its method has no such stage.
    """
    stages = _stages(run)
    if last not in stages:
        rule = f"--until must be one of {', '.join(stages)} if --method is {run.settings.method}"
        raise InputError(f"{rule}. Received: {last!r}.")
    names = list(stages)
    return {name: stages[name] for name in names[: names.index(last) + 1]}


def _do(run: Run, stages: Mapping[str, Callable[[], None]]) -> None:
    """Do stages in order; once one has been made, the number of each further one is said, and how long the rest may take.

    Of the first nothing is known, and a setting that its network cannot have is a refusal of one line.
    """
    made: list[str] = []

    def announce(name: str) -> None:
        if name not in stages or name in made:
            return
        if made:
            took = {each: seconds for each in stages if (seconds := _seconds(run, each)) is not None}
            left = _in_words(time_left(took, _typical(run, stages), name))
            _LOG.info("stage %d of %d, %s, %s left.", list(stages).index(name) + 1, len(stages), name, left)
        made.append(name)

    run.announce = announce
    for stage in stages.values():
        stage()


def _typical(run: Run, stages: Iterable[str]) -> dict[str, float]:
    """Return what stages take where training takes 100 s, in their order."""
    head = run.settings.finetune == "head"
    seconds = _TYPICAL | {stage.name: stage.typical for stage in method_of(run.settings.method).stages}
    return {name: seconds[name][head] for name in stages}


def time_left(took: Mapping[str, float], typical: Mapping[str, float], at: str) -> float:
    """Return the seconds that a stage and those after it may take.

    Args:
        took: seconds of stages that were made, now or by an earlier version of the run.
        typical: seconds of all stages, in their order, of which only the ratios count.
        at: the stage that comes next; one before it was made.
    """
    place = list(typical).index(at)
    known = [name for name in list(typical)[:place] if name in took]
    pace = sum(took[name] for name in known) / sum(typical[name] for name in known)
    expected = {name: max(pace * typical[name], _LEAST.get(name, 0.0)) for name in list(typical)[place:]}
    return sum(took.get(name, seconds) for name, seconds in expected.items())


def _seconds(run: Run, stage: str) -> float | None:
    """Return what a stage took when it was made, or None where it was not."""
    manifest = read_manifest(run.path / stage)
    return None if manifest is None else float(manifest["seconds"])


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(10 * round(seconds / 10), 10)} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def main() -> None:
    """Do the stages of the run that --run_dir names, up to --until, and print what came of it."""
    with run_from_flags() as run:
        wanted = _wanted(run, flags.FLAGS.until)
        data = load_run_data(run)
        if holds_features(data.dataset.root):
            wanted = _without_pixels(wanted)
        else:
            _say_hidden(run, data)
        if flags.FLAGS.abstain:  # before the minutes that come first
            check_none_is_unknown((*data.seen.images.class_names, *data.unseen.names))
        if "export" in wanted and run.team.is_chief and export.exported(run) is None:
            check_export_folder(export_folder())
        _do(run, {name: partial(stage, run, data) for name, stage in wanted.items()})
        if "evaluate" not in wanted or not run.team.is_chief:
            return
        print()
        metrics = read_json(run.path / "metrics.json")
        print(summary_table(metrics, run.optimistic(metrics=metrics)))
        print()
        if "export" in wanted:
            print(f"SavedModel   {export.exported(run)}")
        sheet = run.folder("evaluate") / "predictions.png"
        if sheet.exists():
            print(f"predictions  {sheet}")
        if "report" in wanted:
            print(f"report       {report.page_of(run)}")
        started = sys.argv[0] if Path(sys.argv[0]).name == COMMAND else COMMAND
        print(f"next         {shlex.quote(started)} baseline --run_dir={shlex.quote(str(run.path))}")


def deploy_job() -> None:
    """Train on every class that has photographs as the run --run_dir chose, learn the described ones, and export.

    Raises:
        InputError: there is no such run, or it has not chosen and measured.
    """
    measured = RunDirectory(run_folder()).reading()
    check_has_pixels(measured, "niwt deploy")
    chosen = read_json(measured.folder("transfer") / "selection.json")["chosen"]
    figures = read_json(measured.folder("evaluate") / "metrics.json")
    settings = replace(
        measured.settings, split="random", unseen=(), num_unseen=0, validation_classes=_validation_classes(measured, figures)
    )
    name = flags.FLAGS.deploy_dir
    place = Path(f"{run_folder().resolve()}-deploy") if name is None else Path(os.path.expanduser(name))
    exports = Path("exports") / place.name if flags.FLAGS.export_dir is None else export_folder()
    check_export_folder(exports)
    with RunDirectory(place).locked(settings, overwrite=True) as run:
        data = load_run_data(run)
        stages = {name: partial(stage, run, data) for name, stage in _wanted(run, "export").items()}
        estimates = _estimates(measured, figures)
        stages["transfer"] = partial(transfer_stage, run, data, chosen)
        stages["export"] = partial(export.stage, run, data, exports, abstain=flags.FLAGS.abstain, estimates=estimates)
        _do(run, stages)
        seen, unseen = len(data.seen.images.class_names), len(data.unseen)
        print(f"\n{seen} classes were trained on photographs, {unseen} were added by descriptions.")
        reached = read_json(run.path / "metrics.json").get("acc_seen")
        print(f"acc_seen     {percent(reached)} on held-out photographs of trained classes")
        print(
            f"estimates    for classes that have only a description, from {measured.path} with {figures['num_unseen']} hidden "
            "classes:"
        )
        for figure, title in _ESTIMATED.items():
            print(f"  {title:<10} {percent(figures.get(figure)):>7}")
        print(f"SavedModel   {export.exported(run)}")


# What a measured run says of classes that it hid, as the best estimate for those that a later one learns from descriptions.
_ESTIMATED = {"acc_unseen": "acc_unseen", "harmonic_mean": "H", "acc_zsl": "ZSL", "ausuc": "AUSUC"}


def _estimates(measured: Run, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the bundle says of described classes: a measured run's figures, and which run that was."""
    found = {name: figures.get(name) for name in (*_ESTIMATED, "num_unseen")}
    return {"from": str(measured.path), **found, "optimistic": measured.optimistic(metrics=figures)}


def _validation_classes(measured: Run, figures: Mapping[str, Any]) -> int:
    """Return how many classes each fold of a measured run held out: where none is unseen there is no share to tell it."""
    if measured.settings.validation_classes is not None:
        return measured.settings.validation_classes
    seen, unseen = int(figures["num_seen"]), int(figures["num_unseen"])
    return min(max(round(seen * unseen / (seen + unseen)), 2), seen // 2)


def _without_pixels(wanted: dict[str, Stage]) -> dict[str, Stage]:
    """Return the stages that need no pixels, and say which are left out."""
    left_out = [name for name in wanted if name in _OF_PIXELS]
    if left_out:
        _LOG.info("Left out: %s, heat maps and pictures; %s.", ", ".join(left_out), NO_PIXELS)
    return {name: stage for name, stage in wanted.items() if name not in _OF_PIXELS}


def _say_hidden(run: Run, data: RunData) -> None:
    """Say which classes have photographs that are not trained on."""
    dataset, split = data.dataset, data.dataset.split
    if split is None or not len(split.test_unseen):
        return
    hidden = [dataset.class_names[label] for label in np.unique(dataset.labels[split.test_unseen])]
    listed = ", ".join(hidden[:_MOST_NAMED]) + (f" and {len(hidden) - _MOST_NAMED} more" if len(hidden) > _MOST_NAMED else "")
    then = f"Later, niwt deploy --run_dir={shlex.quote(str(run.path))} trains on all classes; --num_unseen=0 hides none"
    _LOG.info(
        "These classes are hidden from training, to measure the accuracy of classes without photographs: %s. %s.", listed, then,
    )
