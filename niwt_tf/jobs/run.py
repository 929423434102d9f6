"""`niwt run`: every stage that is not up to date, then the table."""

from __future__ import annotations

import sys
from pathlib import Path

from niwt_tf.experiments.summary import summary_table
from niwt_tf.files import read_json
from niwt_tf.jobs import evaluate, export, importance, train, transfer
from niwt_tf.jobs import map as mapping
from niwt_tf.jobs.app import run_from_flags, run_job
from niwt_tf.jobs.run_data import load_run_data


def main(argv: list[str]) -> None:
    """Do every stage of the run that --run_dir names and print what came of it."""
    del argv
    with run_from_flags() as run:
        data = load_run_data(run)
        for each in (train, importance, mapping, transfer, evaluate, export):
            each.stage(run, data)
        if not run.team.is_chief:
            return
        print()
        print(summary_table(read_json(run.path / "metrics.json")))
        print()
        print(f"SavedModel   {export.exported(run)}")
        sheet = run.folder("evaluate") / "predictions.png"
        if sheet.exists():
            print(f"predictions  {sheet}")
        started = sys.argv[0] if Path(sys.argv[0]).name == "niwt" else "niwt"
        print(f"next         {started} baseline --run_dir={run.path}")


if __name__ == "__main__":
    sys.exit(run_job("run", main=main))
