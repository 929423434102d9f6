"""`niwt importance`: Stage 1, the importance of each neuron for each seen class (Eq. 1)."""

from __future__ import annotations

import sys

from niwt_tf.compute.features import readers_of
from niwt_tf.jobs.app import run_from_flags, run_job
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.methods.niwt.files import load_networks, save_measured, save_operators
from niwt_tf.methods.niwt.measuring import measure_importance, seen_operators
from niwt_tf.runs.run import Run

SETTINGS_USED = (
    "seen_head",
    "head_regularization",
    "lda_shrinkage",
    "importance_over",
    "num_support",
    "fold_importance_images",
    "extra_layers",
    "precision",
    "jit",
    "cache_dtype",
    "seed",
)


def stage(run: Run, data: RunData) -> None:
    """Measure importance for every learner and candidate head."""
    importance = run.stage("importance", settings_used=SETTINGS_USED, inputs=["train"], described=False)
    if importance.up_to_date:
        return
    networks = load_networks(run.folder("train"), run.settings, data.learners)
    with importance.writing() as folder:
        readers = readers_of(run.settings, networks, data.execution)
        operators = seen_operators(run.settings, data.learners, readers)
        save_operators(folder, operators)
        measured = measure_importance(run.settings, data.learners, networks, operators, readers)
        save_measured(folder, measured)
        first = measured["main"][0].importance
        consistency = {"rank_correlation_within": first.rank_correlation_within}
        consistency["rank_correlation_across"] = first.rank_correlation_across
        importance.record(
            shapes={"importance": (len(measured["main"]), *first.means.shape)},
            metrics={name: value for name, value in consistency.items() if value == value},
        )


def main(argv: list[str]) -> None:
    """Do the stage in the run that --run_dir names."""
    del argv
    with run_from_flags() as run:
        stage(run, load_run_data(run, ["train"]))


if __name__ == "__main__":
    sys.exit(run_job("importance", main=main))
