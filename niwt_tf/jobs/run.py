"""`niwt run`: every stage that is not up to date, then the table."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from absl import flags

from niwt_tf.files import read_json
from niwt_tf.jobs import evaluate, export, faithfulness, report, train
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.fit import method_stage, transfer_stage
from niwt_tf.jobs.options import STAGES
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.jobs.table import COMMAND
from niwt_tf.methods.base import MethodStage
from niwt_tf.methods.registry import method_of
from niwt_tf.metrics.probabilities import check_none_is_unknown
from niwt_tf.report.summary import summary_table
from niwt_tf.runs.run import Run


def _export(run: Run, data: RunData) -> None:
    export.stage(run, data, abstain=flags.FLAGS.abstain)


def _stages(run: Run) -> dict[str, Callable[[Run, RunData], None]]:
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


def _method_stage(stage: MethodStage, run: Run, data: RunData) -> None:
    method_stage(run, data, stage)


def main() -> None:
    """Do the stages of the run that --run_dir names, up to --until, and print what came of it."""
    last = flags.FLAGS.until
    with run_from_flags() as run:
        data = load_run_data(run)
        if flags.FLAGS.abstain:  # before the minutes that come first
            check_none_is_unknown((*data.seen.images.class_names, *data.unseen.names))
        wanted = STAGES[: STAGES.index(last) + 1]
        done = []
        for name, stage in _stages(run).items():
            # A method's own stages that are none of the usual ones come before transfer.
            if name in wanted or (name not in STAGES and "transfer" in wanted):
                stage(run, data)
                done.append(name)
        if "evaluate" not in done or not run.team.is_chief:
            return
        print()
        metrics = read_json(run.path / "metrics.json")
        print(summary_table(metrics, run.optimistic(metrics=metrics)))
        print()
        if "export" in done:
            print(f"SavedModel   {export.exported(run)}")
        sheet = run.folder("evaluate") / "predictions.png"
        if sheet.exists():
            print(f"predictions  {sheet}")
        if "report" in done:
            print(f"report       {report.page_of(run)}")
        started = sys.argv[0] if Path(sys.argv[0]).name == COMMAND else COMMAND
        print(f"next         {started} baseline --run_dir={run.path}")
