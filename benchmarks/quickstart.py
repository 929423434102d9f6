"""Where the time of a quickstart goes, by the manifests of its stages."""

from __future__ import annotations

from benchmarks.birds_run import BirdsRun
from benchmarks.harness import Comparison, Measurement, Series
from niwt_tf.files import read_json

STAGES = ("train", "importance", "map", "transfer", "evaluate", "export", "faithfulness", "report")


def measure(birds: BirdsRun) -> Measurement:
    """Return a stage's seconds and its share of all, one run."""
    run = birds.path
    manifests = {stage: read_json(run / stage / "manifest.json") for stage in STAGES if (run / stage).is_dir()}
    seconds = {stage: float(manifest["seconds"]) for stage, manifest in manifests.items()}
    if "render" in birds.seconds:
        seconds = {"render": birds.seconds["render"], **seconds}
    total = Series("all stages", [sum(seconds.values())])
    rows = [Comparison(stage, Series(stage, [value]), total) for stage, value in seconds.items()]
    epochs = birds.settings.epochs
    notes = [f"A / B is a stage's share of all. One run, --epochs={epochs or 'default'}; the default is 24 from scratch."]
    if "run" in birds.seconds:
        notes.append(f"The process `niwt run` took {birds.seconds['run']:.1f} s, imports and reading of the data included.")
    return Measurement("Quickstart on the birds, by stage", rows, notes)
