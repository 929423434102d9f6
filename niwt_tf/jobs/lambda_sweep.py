"""`niwt lambda_sweep`: Stage 3's lambda over many decades, on test images and on the folds that choose it (Fig. 3b)."""

from __future__ import annotations

import sys
from collections.abc import Callable

from absl import flags

from niwt_tf.experiments.analyses.lambda_sweep import draw_lambda_sweep, lambda_sweep
from niwt_tf.experiments.analyses.record import AnalysisRecord
from niwt_tf.experiments.analyses.rerun import FinishedTransfer, TestFeatures
from niwt_tf.jobs.analysis import analysis_stage, command_of, print_analysis
from niwt_tf.jobs.app import run_from_flags, run_job
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.runs.run import Run

NAME = "lambda_sweep"


def stage(run: Run, data: RunData, grid: tuple[float, ...]) -> None:
    """Write lambda_sweep.csv, .json and .png for the lambdas of `grid` and the chosen one."""

    def analyse(finished: FinishedTransfer, tested: Callable[[], TestFeatures]) -> AnalysisRecord:
        return lambda_sweep(finished, tested(), grid, command_of(run, NAME))

    analysis_stage(run, data, NAME, analyse, draw_lambda_sweep, {"lambda_grid": list(grid)})


def main(argv: list[str]) -> None:
    """Do the analysis of the run that --run_dir names and print its table."""
    del argv
    with run_from_flags() as run:
        stage(run, load_run_data(run, ["transfer"]), tuple(dict.fromkeys(flags.FLAGS.lambda_grid)))
        print_analysis(run, NAME)


if __name__ == "__main__":
    sys.exit(run_job(NAME, main=main))
