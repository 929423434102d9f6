"""`niwt support_images`: new columns fitted on seen training images, on other photographs and on noise (Table 2)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from absl import flags

from niwt_tf.errors import InputError
from niwt_tf.experiments.analyses.record import AnalysisRecord
from niwt_tf.experiments.analyses.rerun import FinishedTransfer, TestFeatures
from niwt_tf.experiments.analyses.support_images import draw_support_images, support_images
from niwt_tf.jobs.analysis import analysis_stage, command_of, print_analysis
from niwt_tf.jobs.app import run_from_flags, run_job
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.methods.niwt.support import check_support
from niwt_tf.runs.fingerprints import support_fingerprint
from niwt_tf.runs.run import Run

NAME = "support_images"


def stage(run: Run, data: RunData, imagenet: str | None) -> None:
    """Write support_images.csv, .json and .png; `imagenet` is a folder of other images, or None for no such row.

    Raises:
        InputError: the folder holds no images.
    """
    if imagenet is not None:
        try:
            check_support(imagenet)
        except InputError as error:
            received = str(error).partition("Received: ")[2]
            raise InputError(f"--imagenet_dir must be a folder of images. Received: {received}") from None

    def analyse(finished: FinishedTransfer, tested: Callable[[], TestFeatures]) -> AnalysisRecord:
        return support_images(finished, tested(), imagenet, command_of(run, NAME, imagenet_dir="FOLDER" if imagenet else None))

    extra = {"imagenet": None if imagenet is None else support_fingerprint(imagenet)["support"]}
    analysis_stage(run, data, NAME, analyse, draw_support_images, extra)


def main(argv: list[str]) -> None:
    """Do the analysis of the run that --run_dir names and print its table."""
    del argv
    given = flags.FLAGS.imagenet_dir
    with run_from_flags() as run:
        stage(run, load_run_data(run, ["transfer"]), None if given is None else os.path.abspath(os.path.expanduser(given)))
        print_analysis(run, NAME)


if __name__ == "__main__":
    sys.exit(run_job(NAME, main=main))
