"""`niwt consistency`: whether importance belongs to a class, by rank correlations within and across classes (Section 3.2)."""

from __future__ import annotations

import sys

from niwt_tf.experiments.analyses.consistency import consistency, draw_consistency
from niwt_tf.jobs.analysis import analysis_stage, command_of, print_analysis
from niwt_tf.jobs.app import run_from_flags, run_job
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.runs.run import Run

NAME = "consistency"


def stage(run: Run, data: RunData) -> None:
    """Write consistency.csv, .json and .png; no test image is looked at."""
    analysis_stage(run, data, NAME, lambda finished, _: consistency(finished, command_of(run, NAME)), draw_consistency)


def main(argv: list[str]) -> None:
    """Do the analysis of the run that --run_dir names and print its table."""
    del argv
    with run_from_flags() as run:
        stage(run, load_run_data(run, ["transfer"]))
        print_analysis(run, NAME)


if __name__ == "__main__":
    sys.exit(run_job(NAME, main=main))
