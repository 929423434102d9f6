"""`niwt run`: every stage that is not up to date, then the table."""

from __future__ import annotations

import sys
from pathlib import Path

from absl import flags

from niwt_tf.files import read_json
from niwt_tf.jobs import evaluate, export, faithfulness, report, train
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.fit import importance_stage, map_stage, transfer_stage
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.metrics.probabilities import check_none_is_unknown
from niwt_tf.report.summary import summary_table
from niwt_tf.runs.run import Run


def _export(run: Run, data: RunData) -> None:
    export.stage(run, data, abstain=flags.FLAGS.abstain)


_STAGES = {
    "train": train.stage,
    "importance": importance_stage,
    "map": map_stage,
    "transfer": transfer_stage,
    "evaluate": evaluate.stage,
    "export": _export,
    "faithfulness": faithfulness.stage,
    "report": report.stage,
}


def main(argv: list[str]) -> None:
    """Do the stages of the run that --run_dir names, up to --until, and print what came of it."""
    del argv
    last = flags.FLAGS.until
    with run_from_flags() as run:
        data = load_run_data(run)
        if flags.FLAGS.abstain:  # before the minutes that come first
            check_none_is_unknown((*data.seen.images.class_names, *data.unseen_names))
        for name, stage in _STAGES.items():
            stage(run, data)
            if name == last:
                break
        done = list(_STAGES)[: list(_STAGES).index(last) + 1]
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
        started = sys.argv[0] if Path(sys.argv[0]).name == "niwt" else "niwt"
        print(f"next         {started} baseline --run_dir={run.path}")
