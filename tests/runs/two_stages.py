"""A run of two small stages: one that writes an array, and one that reads it and publishes a figure."""

from __future__ import annotations

import json

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.runs.run import Run, RunDirectory


def train(run: Run) -> bool:
    """Do the stage that stands first; return whether there was anything to do."""
    stage = run.stage("train", settings_used=["backbone", "seed"])
    if stage.up_to_date:
        return False
    with stage.writing() as folder:
        np.savez(folder / "weights.npz", w=np.full(3, run.settings.seed))
        stage.record(shapes={"w": (3,)}, metrics={"accuracy": 0.5})
    return True


def evaluate(run: Run) -> bool:
    """Do a stage that reads another and whose metrics belong at the top of the folder."""
    stage = run.stage("evaluate", settings_used=["knowledge"], inputs=["train"], publishes=["metrics.json"])
    if stage.up_to_date:
        return False
    with stage.writing() as folder:
        weights = np.load(run.folder("train") / "weights.npz")["w"]
        (folder / "metrics.json").write_text(json.dumps({"sum": int(weights.sum())}))
    return True


def both(path, settings=None, given=(), overwrite=False, data="d") -> tuple[bool, bool]:
    with RunDirectory(path).locked(settings or Settings(), overwrite=overwrite, given=given) as run:
        run.use_data(data)
        return train(run), evaluate(run)
