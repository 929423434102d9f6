"""The whole of Stage 3 on the birds, as `niwt transfer` does it: nested tape against what `--engine=auto` picks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.birds_run import BirdsRun
from benchmarks.harness import Comparison, Goal, Measurement, Series, say
from niwt_tf.cli import main as niwt
from niwt_tf.data.schema import test_data
from niwt_tf.files import read_json
from niwt_tf.models.network import Network
from niwt_tf.protocol.scoring import Scored, score_network

TAPE, COLD, WARM = "tape", "auto, no cache", "auto"
REPETITIONS = {TAPE: 1, COLD: 3, WARM: 3}
_RESAMPLES = 1000


@dataclass
class Side:
    """An engine's runs: seconds of the stage by its manifest, and the answers of the last one."""

    seconds: list[float]
    scored: Scored | None = None


def measure(birds: BirdsRun) -> Measurement:
    """Return seconds and H of both engines; the tape, which takes a minute or more, is run once."""
    sides = {name: Side([]) for name in REPETITIONS}
    test = test_data(birds.dataset)
    for repetition in range(max(REPETITIONS.values())):
        for name, side in sides.items():
            if repetition < REPETITIONS[name]:
                say(f"stage 3 on the birds, {name}")
                work = birds.copy(f"stage3_{len(side.seconds)}_{name.replace(', ', '_')}")
                side.seconds.append(stage_seconds(work, "tape" if name == TAPE else "auto", cached=name != COLD))
                network = Network.load(work / "transfer" / "network.keras")
                side.scored = score_network(network, test)
                shutil.rmtree(work)
    tape, auto = sides[TAPE], sides[WARM]
    assert tape.scored is not None and auto.scored is not None
    h = {name: side.scored.evaluation.harmonic_mean for name, side in sides.items() if side.scored}
    low, high = harmonic_difference(auto.scored, tape.scored, test.num_seen)
    seconds = Series("tape", tape.seconds), Series("auto", auto.seconds)
    cold = Series("auto", sides[COLD].seconds)
    rows = [
        Comparison("Stage 3, wall time", *seconds),
        Comparison("Stage 3 by --engine=auto", seconds[1], goal=Goal(2.0)),
        Comparison("the same without the cache", cold, goal=Goal(2.0)),
        Comparison("H on test images", Series("auto", [h[WARM]], ""), Series("tape", [h[TAPE]], ""), reached=high >= 0),
    ]
    upstream = read_json(birds.path / "importance" / "manifest.json")["seconds"]
    notes = [
        "Both sides read the features that `niwt importance` left in the run's cache, as they do in `niwt run`; without the",
        "cache Stage 3 runs the networks of the folds over their images again.",
        "Seconds are the stage's own, by its manifest: choices on the folds, columns, the saved network, not reading.",
        f"What `niwt importance` (once, {upstream:.1f} s here, whichever engine follows) leaves in the run is in neither side.",
        f"H by auto less H by the tape, same seed: {h[WARM] - h[TAPE]:+.3f}, 95 % interval {low:+.3f} to {high:+.3f} "
        f"({_RESAMPLES} paired resamples of the test images of each class); reached: the interval is not wholly below 0.",
    ]
    return Measurement("Stage 3 on the birds, 40 seen and 10 unseen classes", rows, notes)


def stage_seconds(run: Path, engine: str, cached: bool) -> float:
    """Redo the stage `transfer` of a run with an engine and return its seconds; `cached` leaves it the cache of the run."""
    shutil.rmtree(run / "transfer", ignore_errors=True)
    if not cached:
        shutil.rmtree(run / ".cache", ignore_errors=True)
    status = niwt(["transfer", f"--run_dir={run}", f"--engine={engine}", "--overwrite", "--noprogress"])
    if status:
        raise RuntimeError(f"niwt transfer --engine={engine} ended with status {status}.")
    return float(read_json(run / "transfer" / "manifest.json")["seconds"])


def harmonic_difference(a: Scored, b: Scored, num_seen: int, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of H(a) - H(b): the same test images are drawn again for both, class by class."""
    generator = np.random.default_rng(seed)
    hits = np.stack([scored.evaluation.predictions == scored.labels for scored in (a, b)]).astype(np.float64)
    # Of each class and side, the accuracy on every resample: [classes, 2, resamples].
    accuracies: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for label in np.unique(a.labels):
        members = np.flatnonzero(a.labels == label)
        drawn = members[generator.integers(0, len(members), (_RESAMPLES, len(members)))]
        accuracies[bool(label < num_seen)].append(hits[:, drawn].mean(axis=2))
    seen, unseen = (np.mean(accuracies[side], axis=0) for side in (True, False))
    total = seen + unseen
    harmonic = np.divide(2 * seen * unseen, total, out=np.zeros_like(total), where=total > 0)
    low, high = np.percentile(harmonic[0] - harmonic[1], (2.5, 97.5))
    return float(low), float(high)
