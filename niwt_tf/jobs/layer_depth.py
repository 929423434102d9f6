"""`niwt layer_depth`: NIWT at every block of the trained network and at its fully connected layers (Section 5.3)."""

from __future__ import annotations

import sys
from collections.abc import Callable

from absl import flags

from niwt_tf.errors import InputError
from niwt_tf.experiments.analyses.layer_depth import cut_at, depth_layers, draw_layer_depth, layer_depth
from niwt_tf.experiments.analyses.record import AnalysisRecord
from niwt_tf.experiments.analyses.rerun import FinishedTransfer, TestFeatures
from niwt_tf.jobs.analysis import analysis_stage, command_of, print_analysis
from niwt_tf.jobs.app import run_from_flags, run_job
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.runs.run import Run

NAME = "layer_depth"


def stage(run: Run, data: RunData, layers: tuple[str, ...]) -> None:
    """Write layer_depth.csv, .json and .png for `layers`, or for those that stand for the network's depth.

    Raises:
        InputError: a layer that the network cannot be cut at.
    """

    def analyse(finished: FinishedTransfer, tested: Callable[[], TestFeatures]) -> AnalysisRecord:
        network = finished.networks["main"]
        asked = layers or tuple(depth_layers(network.model, network.layer))
        for name in asked:  # a mistake is told before the minutes that the first layers take
            try:
                cut_at(network.model, name)
            except InputError as error:
                raise InputError(f"--layers: {error}") from None
        return layer_depth(finished, tested(), asked, command_of(run, NAME, layers=",".join(layers)))

    analysis_stage(run, data, NAME, analyse, draw_layer_depth, {"layers": list(layers)})


def main(argv: list[str]) -> None:
    """Do the analysis of the run that --run_dir names and print its table."""
    del argv
    with run_from_flags() as run:
        stage(run, load_run_data(run, ["transfer"]), flags.FLAGS.layers)
        print_analysis(run, NAME)


if __name__ == "__main__":
    sys.exit(run_job(NAME, main=main))
