"""`niwt weight_recovery`: seen columns recovered from their own importances, exact or noisy (Fig. 3a, Eq. 4)."""

from __future__ import annotations

import sys
from collections.abc import Callable

from absl import flags

from niwt_tf.experiments.analyses.record import AnalysisRecord
from niwt_tf.experiments.analyses.rerun import FinishedTransfer, TestFeatures
from niwt_tf.experiments.analyses.weight_recovery import draw_weight_recovery, weight_recovery
from niwt_tf.jobs.analysis import analysis_stage, command_of, print_analysis
from niwt_tf.jobs.app import run_from_flags, run_job
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.runs.run import Run

NAME = "weight_recovery"


def stage(run: Run, data: RunData, epsilons: tuple[float, ...], draws: int, num_images: int) -> None:
    """Write weight_recovery.csv, .json and .png for noise of sizes `epsilons`, each drawn `draws` times."""

    def analyse(finished: FinishedTransfer, tested: Callable[[], TestFeatures]) -> AnalysisRecord:
        return weight_recovery(finished, tested(), epsilons, draws, num_images, command_of(run, NAME))

    extra = {"epsilons": list(epsilons), "noise_seeds": draws, "recovery_images": num_images}
    analysis_stage(run, data, NAME, analyse, draw_weight_recovery, extra)


def main(argv: list[str]) -> None:
    """Do the analysis of the run that --run_dir names and print its table."""
    del argv
    given = flags.FLAGS
    with run_from_flags() as run:
        epsilons = tuple(dict.fromkeys(given.epsilons))
        stage(run, load_run_data(run, ["transfer"]), epsilons, given.noise_seeds, given.recovery_images)
        print_analysis(run, NAME)


if __name__ == "__main__":
    sys.exit(run_job(NAME, main=main))
