"""`niwt run`: every stage that is not up to date, then the table."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from absl import flags

from niwt_tf.errors import InputError
from niwt_tf.files import read_json
from niwt_tf.jobs import evaluate, export, faithfulness, report, train
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.fit import method_stage, transfer_stage
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.jobs.table import COMMAND
from niwt_tf.methods.base import MethodStage
from niwt_tf.methods.registry import method_of
from niwt_tf.metrics.probabilities import check_none_is_unknown
from niwt_tf.report.summary import summary_table
from niwt_tf.runs.run import Run

Stage = Callable[[Run, RunData], None]


def _export(run: Run, data: RunData) -> None:
    export.stage(run, data, abstain=flags.FLAGS.abstain)


def _stages(run: Run) -> dict[str, Stage]:
    """Return what a run does, by name and in order; only some methods have stages between `train` and `transfer`."""
    own = {stage.name: partial(_method_stage, stage) for stage in method_of(run.settings.method).stages}
    return {
        "train": train.stage,
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
        rule = f"--until must be one of {', '.join(stages)} where --method is {run.settings.method}"
        raise InputError(f"{rule}. Received: {last!r}.")
    names = list(stages)
    return {name: stages[name] for name in names[: names.index(last) + 1]}


def _method_stage(stage: MethodStage, run: Run, data: RunData) -> None:
    method_stage(run, data, stage)


def main() -> None:
    """Do the stages of the run that --run_dir names, up to --until, and print what came of it."""
    with run_from_flags() as run:
        wanted = _wanted(run, flags.FLAGS.until)
        data = load_run_data(run)
        if flags.FLAGS.abstain:  # before the minutes that come first
            check_none_is_unknown((*data.seen.images.class_names, *data.unseen.names))
        for stage in wanted.values():
            stage(run, data)
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
        print(f"next         {started} baseline --run_dir={run.path}")
