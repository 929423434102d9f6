"""Training on image files beside the same network's step on pixels that lie ready: what reading and augmenting cost."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from benchmarks.birds_run import BirdsRun
from benchmarks.harness import Comparison, Goal, Measurement, Series, interleaved
from niwt_tf.compute.execution import Execution
from niwt_tf.data.schema import seen_data
from niwt_tf.models.backbones import build_network
from niwt_tf.training.phases import ImagePhase

# Images a second of training, as a share of the bare step's.
SHARE = 0.85
REPETITIONS, BATCH = 5, 32


def measure(birds: BirdsRun) -> Measurement:
    """Return seconds an epoch: shuffled, decoded and augmented files, and forward and backward passes alone."""
    images = seen_data(birds.dataset).images
    whole = len(images) // BATCH * BATCH  # both sides take full batches
    images = images.take(np.arange(whole))
    settings = birds.settings
    network = build_network(settings.backbone, images.class_names, input_size=settings.input_size, seed=0)
    options = {"batch_size": BATCH, "weight_decay": 5e-4, "seed": 0, "execution": Execution()}
    phase = ImagePhase(network, images, None, 1e-3, None, train_batch_norm=True, **options)
    random = np.random.default_rng(0)
    size = network.input_size
    pixels = tf.constant(random.uniform(0, 255, (BATCH, size, size, 3)), tf.float32)
    labels = tf.constant(random.integers(0, len(images.class_names), BATCH), tf.int32)
    epochs = iter(range(10**6))
    with phase.prepared():

        def bare() -> None:
            for _ in range(whole // BATCH):
                phase._step(pixels, labels)[0].numpy()

        def training() -> None:
            phase.train_epoch(next(epochs), lambda count: None)

        seconds = interleaved({"training": training, "bare": bare}, REPETITIONS, what="epochs")
    rates = {name: Series(name, [whole / each for each in values], "images/s") for name, values in seconds.items()}
    goal = Goal(SHARE, at_least=True)
    rows = [Comparison(f"{settings.backbone}, {size} pixels", rates["training"], rates["bare"], goal)]
    notes = [f"{whole} images, batches of {BATCH}. Files are decoded in the first epoch, which is not counted, and then kept."]
    return Measurement("Training", rows, notes)
