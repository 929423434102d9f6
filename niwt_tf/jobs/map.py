"""`niwt map`: Stage 2, from descriptions to importances (Eq. 2)."""

from __future__ import annotations

import sys

from niwt_tf.jobs.app import run_from_flags, run_job
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.methods.niwt.files import load_measured, save_maps
from niwt_tf.methods.niwt.measuring import fit_maps
from niwt_tf.runs.run import Run

SETTINGS_USED = ("map", "map_regularization", "normalisation", "seed")


def stage(run: Run, data: RunData) -> None:
    """Fit the map of every learner and candidate head."""
    mapping = run.stage("map", settings_used=SETTINGS_USED, inputs=["importance"])
    if mapping.up_to_date:
        return
    measured = load_measured(run.folder("importance"), [learner.name for learner in data.learners])
    with mapping.writing() as folder:
        maps = fit_maps(run.settings, data.learners, measured)
        save_maps(folder, maps)
        best = max(each.rank_correlation for each in maps["main"])
        metrics = {"map_rank_correlation": best} if best == best else {}
        mapping.record(shapes={"weights": maps["main"][0].weights.shape}, metrics=metrics)


def main(argv: list[str]) -> None:
    """Do the stage in the run that --run_dir names."""
    del argv
    with run_from_flags() as run:
        stage(run, load_run_data(run, ["importance"]))


if __name__ == "__main__":
    sys.exit(run_job("map", main=main))
