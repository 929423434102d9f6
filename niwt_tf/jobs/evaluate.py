"""`niwt evaluate`: score the expanded network on the test images of seen and unseen classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from niwt_tf.config.extras import is_left_out
from niwt_tf.data.feature_rows import holds_features
from niwt_tf.files import write_json
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.run_data import RunData, TransferFiles, load_run_data
from niwt_tf.methods.registry import method_of
from niwt_tf.models.network import Network
from niwt_tf.plots.evaluation import plot_ausuc, plot_confusion, write_per_class_csv
from niwt_tf.plots.predictions import prediction_sheet
from niwt_tf.protocol.scoring import metrics_of, save_scores, score_network, scored_alone
from niwt_tf.runs.run import Run

SETTINGS_USED = ("precision", "jit", "cache_dtype", "seed")


def stage(run: Run, data: RunData) -> None:
    """Write metrics.json, scores.npz and per_class.csv; by Matplotlib confusion.png, ausuc.png and predictions.png."""
    evaluate = run.stage("evaluate", settings_used=SETTINGS_USED, inputs=["transfer"], publishes=["metrics.json"])
    if evaluate.up_to_date:
        return
    transfer = TransferFiles(run.folder("transfer"))
    network, test = transfer.network, data.test()
    with evaluate.writing() as folder:
        scored = score_network(network, test, data.execution)
        others = {**transfer.selection["figures"], "seed": run.settings.seed}
        if transfer.unseen_network is not None and len(test.images):
            networks = _in_orders(run, data, transfer)
            alone = [scored_alone(each, test, data.execution) for each in networks]
            others |= {name: float(np.median([each[name] for each in alone])) for name in alone[0]}
        metrics = metrics_of(scored, network.num_seen, others, transfer.probabilities.temperature)
        write_json(folder / "metrics.json", {**metrics, **run.scored_test_images("evaluate", evaluate.choices)})
        save_scores(folder / "scores.npz", scored)
        evaluation, names = scored.evaluation, network.class_names
        write_per_class_csv(folder / "per_class.csv", names, network.num_seen, evaluation, scored.labels)
        pictures = ["confusion.png", "ausuc.png", *(() if holds_features(test.images.root) else ("predictions.png",))]
        if len(test.images) and not is_left_out(", ".join(pictures), "matplotlib"):
            plot_confusion(folder / "confusion.png", scored.labels, evaluation.predictions, names, network.num_seen)
            plot_ausuc(folder / "ausuc.png", scored.curve, evaluation)
            logits = scored.logits.copy()
            logits[:, : network.num_seen] -= network.calibration
            if "predictions.png" in pictures:
                prediction_sheet(
                    folder / "predictions.png", test.images, evaluation.predictions, transfer.probabilities.of(logits),
                    network.num_seen, seed=run.settings.seed,
                )
        evaluate.record(metrics={name: value for name, value in metrics.items() if value is not None})


def _in_orders(run: Run, data: RunData, transfer: TransferFiles) -> Iterator[Network]:
    """Yield networks of the unseen classes alone, in as many orders of these as the method's figure is made of."""
    assert transfer.unseen_network is not None
    yield transfer.unseen_network
    method, settings = method_of(run.settings.method), run.settings
    more = method.orders(settings) - 1
    if not more:
        return
    base, rng = Network.load(run.folder("train") / "main.keras"), np.random.default_rng(settings.seed)
    generator = method.generator_of(settings, base, transfer.generator_arrays)
    for _ in range(more):
        yield generator.synthesize(data.unseen.take(rng.permutation(len(data.unseen)))).apply(base)


def main() -> None:
    """Do the stage in the run that --run_dir names."""
    with run_from_flags() as run:
        stage(run, load_run_data(run, ["transfer"]))
