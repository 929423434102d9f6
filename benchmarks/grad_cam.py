"""Grad-CAM by the package against that of tf-keras-vis and a plain tape: same network, batch, classes and maps."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.birds_run import BirdsRun
from benchmarks.forward import BATCH, cases
from benchmarks.harness import Comparison, Goal, Measurement, Series, interleaved
from niwt_tf.data.images.pipeline import image_batches
from niwt_tf.explain.heat import HeatMaps
from niwt_tf.models.network import Network

FASTER = Goal(2.0, at_least=True)
CLOSE = Goal(1e-4)
_PUBLIC = "tf-keras-vis"


def measure(birds: BirdsRun) -> Measurement:
    """Return maps a second of each side, and how far the maps of two sides are apart."""
    rows: list[Comparison] = []
    for case in cases(birds):
        network = case.network
        pixels, _ = next(iter(image_batches(case.one_batch.images, network.input_form, BATCH)))
        classes = np.arange(len(pixels)) % len(network.class_names)
        made = sides(network, pixels.numpy(), classes)
        ours = made[0][1]()
        called = {name: call for name, call in made}
        seconds = interleaved(called, 5 * case.repetitions, what=f"Grad-CAM, {case.name}")
        rates = {name: Series(name, [len(pixels) / value for value in values], "maps/s") for name, values in seconds.items()}
        for name, call in made[1:]:
            goal = FASTER if name == _PUBLIC else None
            rows.append(Comparison(f"{case.name}, batch of {len(pixels)}: maps a second", rates["ours"], rates[name], goal))
            apart = float(np.abs(scaled(call()) - scaled(ours)).max())
            difference = Series(f"ours and {name}", [apart], "")
            rows.append(Comparison(f"{case.name}: largest difference of maps", difference, goal=CLOSE))
    notes = [
        "Every side gives maps at the positions of the layer, [batch, H, W], in memory, from decoded images.",
        "Compared are maps scaled to a maximum of 1; how a map is enlarged for show differs by convention.",
        "tf-keras-vis is called as its documents say, once a batch; our functions are traced before the measurement.",
    ]
    if importlib.util.find_spec("tf_keras_vis") is None:
        notes.append("tf-keras-vis is not installed here (pip install tf-keras-vis): only the plain tape was compared.")
    return Measurement("Grad-CAM of a batch", rows, notes)


def sides(network: Network, pixels: np.ndarray, classes: np.ndarray) -> list[tuple[str, Callable[[], Any]]]:
    """Return what is called on one batch, ours first: each gives maps [B, H, W] at least 0, of any scale."""
    ours = HeatMaps(network)
    found: list[tuple[str, Callable[[], Any]]] = [
        ("ours", lambda: ours(pixels, classes, upsample=False)),
        ("plain tape", lambda: _plain_tape(network, pixels, classes)),
    ]
    if importlib.util.find_spec("tf_keras_vis") is not None:
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.utils.scores import CategoricalScore

        public, score = Gradcam(network.model, clone=False), CategoricalScore(classes.tolist())
        options = {"seek_penultimate_conv_layer": False, "expand_cam": False, "normalize_cam": False}
        found.append((_PUBLIC, lambda: public(score, pixels, penultimate_layer=network.layer, **options)))
    return found


def scaled(maps: Any) -> np.ndarray:
    """Return maps [B, H, W] divided by their maxima; a map of 0 stays 0."""
    values = np.asarray(maps)
    highest = values.max(axis=(1, 2), keepdims=True)
    return np.divide(values, highest, out=np.zeros_like(values), where=highest > 0)


def _plain_tape(network: Network, pixels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return what a tutorial's few eager lines give."""
    with tf.GradientTape() as tape:
        maps = network.trunk(pixels, training=False)
        tape.watch(maps)
        logits = network.head(network.tail(maps, training=False))
        chosen = tf.gather(logits, classes, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(chosen, maps), axis=[1, 2], keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1)).numpy()
