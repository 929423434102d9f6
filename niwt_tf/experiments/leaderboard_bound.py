"""What a calibration that had been chosen on the test images would reach: a bound, never a result."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from niwt_tf.errors import InputError
from niwt_tf.method.evaluation import calibration_curve


def best_harmonic_mean(path: Path, num_seen: int) -> float | None:
    """Return the highest H of any calibration by a stage's scores.npz; None without test images of both kinds.

    Only the figure is returned, not the calibration, which nothing may use.

    Raises:
        InputError: the file is not there or is none of a stage.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            logits, labels = file["logits"], file["labels"]
    except (OSError, ValueError, KeyError):
        raise InputError(f"{path} must hold the scores of the test images, for --bound. Received: a file without.") from None
    if not (labels < num_seen).any() or not (labels >= num_seen).any():
        return None
    curve = calibration_curve(logits, labels, num_seen)
    total = curve.acc_seen + curve.acc_unseen
    return float(np.divide(2 * curve.acc_seen * curve.acc_unseen, total, out=np.zeros_like(total), where=total > 0).max())
