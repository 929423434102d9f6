"""Run directories that hold figures and nothing else, made as the jobs make them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.files import write_json
from niwt_tf.runs.run import Run, RunDirectory

NUM_SEEN, NUM_UNSEEN = 2, 2


def metrics_of(h: float | None, seed: int) -> dict[str, Any]:
    """Return figures as metrics.json has them."""
    return {
        "acc_seen": h,
        "acc_unseen": h,
        "harmonic_mean": h,
        "acc_zsl": 1.0,
        "ausuc": h,
        "num_seen": NUM_SEEN,
        "num_unseen": NUM_UNSEEN,
        "seed": seed,
    }


def make_run(path: Path, h: float | None, baselines: Mapping[str, float] | None = None, data: str = "", **given: Any) -> Path:
    """Make a run directory with its own H and those of baselines; of the oracle it is said that it uses test labels.

    Args:
        path: where.
        h: the run's own H.
        baselines: H by method.
        data: the data's fingerprint; by default that of the seed, as where a seed draws the split.
        given: settings.
    """
    settings = Settings(**given)
    with RunDirectory(path).locked(settings, overwrite=True, given=list(given)) as run:
        run.use_data(data or f"data of seed {run.settings.seed}")
        train = run.stage("train", ["layer", "weights", "seed"])
        if not train.up_to_date:
            with train.writing() as folder:
                write_json(folder / "weights.json", [run.settings.layer])
        _score(run, "evaluate", h, ["map", "seed"], {}, publishes=True)
        for method, reached in (baselines or {}).items():
            uses = ["trained on images of unseen classes"] if method == "oracle" else []
            others = {"method": method, "features": "head", "uses_test_labels": uses}
            _score(run, f"baseline_{method}", reached, ["seed"], others)
    return path


def _score(
    run: Run, name: str, h: float | None, settings: list[str], others: Mapping[str, Any], publishes: bool = False
) -> None:
    stage = run.stage(name, settings, ["train"], publishes=["metrics.json"] if publishes else [])
    if stage.up_to_date:
        return
    with stage.writing() as folder:
        mark = run.scored_test_images(name, stage.choices, others.get("uses_test_labels", ()))
        write_json(folder / "metrics.json", {**metrics_of(h, run.settings.seed), **others, **mark})
        # One unseen image is taken for a seen class unless at least 1 is taken off the seen scores.
        logits = np.array([[5, 0, 0, 0], [0, 5, 0, 0], [3, 0, 2, 0], [0, 0, 0, 5]], np.float32)
        np.savez(folder / "scores.npz", logits=logits, labels=np.arange(4))
