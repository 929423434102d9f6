"""`niwt train`: Stage 0, the networks of the seen classes and of the folds."""

from __future__ import annotations

import logging
import shutil

from niwt_tf.config.names import TEXTS, has_texts
from niwt_tf.errors import InputError
from niwt_tf.files import write_json
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.methods.registry import method_of
from niwt_tf.protocol.seen_networks import has_attribute_loss, save_networks, train_partitions
from niwt_tf.runs.fingerprints import weights_fingerprint
from niwt_tf.runs.run import Run

_LOG = logging.getLogger("niwt_tf.jobs")
SETTINGS_USED = (
    "backbone", "preprocessing", "weights", "layer", "input_size", "resize", "finetune", "epochs", "batch_size",
    "learning_rate", "finetune_learning_rate", "weight_decay", "dropout", "attribute_loss", "patience", "num_folds",
    "validation_classes", "precision", "jit", "cache_dtype", "seed",
)


def stage(run: Run, data: RunData) -> None:
    """Train every partition, or go on where an interrupted training stopped."""
    method, known = method_of(run.settings.method), run.settings.knowledge
    if method.reads_texts and not has_texts(known):
        rule = f"--knowledge must have {' or '.join(TEXTS)} for --method={method.name}, which reads words"
        raise InputError(f"{rule}. Received: {known!r}.")
    initial = weights_fingerprint(run.settings.weights, run.settings.backbone, download=True)
    described = has_attribute_loss(run.settings)
    train = run.stage("train", settings_used=SETTINGS_USED, extra=initial, described=described)
    if train.up_to_date:
        return
    if run.settings.attribute_loss > 0 and not described:
        _LOG.warning("--attribute_loss has no effect with --finetune=head, because no layer that makes features is trained.")
    method.check(run.settings, data.seen.descriptions)
    method.check(run.settings, data.unseen)
    work = train.work
    with train.writing() as folder:
        trained = train_partitions(run.settings, data.partitions, data.execution, work_dir=work)
        save_networks(folder, run.settings, {name: result.network for name, result in trained.items()})
        write_json(folder / "history.json", {name: result.history for name, result in trained.items()})
        for name in trained:
            shutil.copytree(work / name / "logs", folder / "logs" / name)
        main = trained["main"]
        train.record(
            shapes={"columns": main.network.columns.shape, "map": main.network.trunk.output_shape[1:]},
            metrics={"validation_accuracy": main.validation_accuracy} if len(data.partitions[0].held_out) else {},
        )


def main() -> None:
    """Do the stage in the run that --run_dir names."""
    with run_from_flags() as run:
        stage(run, load_run_data(run))
