"""How true heat maps are, kind beside kind: insertion minus deletion on held-out training images of the seen classes.

python studies/heat_kinds.py --runs=runs/animals,runs/cub

Beside the candidates among which a run chooses its heat map (--heat) stand Grad-CAM++ (Chattopadhay et al. 2018) and integrated
gradients (Sundararajan et al. 2017; from a map of zeros, along 16 steps), both on the map of the run's choice, and a bump in
the middle of the image. Insertion and deletion take pixels in the order of the heat, see `niwt_tf.explain.heat_choice`; 0 is a
random order. Printed are means over classes with 95 % intervals, what each map costs beside a prediction (the middle of three
rounds), and which kind the run has. No test image is used.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import main_partition
from niwt_tf.data.images.pipeline import image_batches
from niwt_tf.data.load import load_dataset
from niwt_tf.data.sampling import balanced_sample
from niwt_tf.data.schema import seen_data
from niwt_tf.explain.grad_cam import scaled_to_one, upsampled
from niwt_tf.explain.heat import Heat, HeatMaps
from niwt_tf.explain.heat_choice import bump, gain_of, heat_candidates
from niwt_tf.explain.perturbing import heat_order, probability_of
from niwt_tf.files import read_json
from niwt_tf.jobs.run_data import TransferFiles
from niwt_tf.metrics.intervals import mean_over_classes
from niwt_tf.models.network import Network

PATH_STEPS, ROUNDS, BATCH = 16, 3, 16
Maps = Callable[[tf.Tensor, np.ndarray], np.ndarray]


def plus_plus(network: Network, heat: Heat) -> Maps:
    """Return Grad-CAM++ at a layer: positions weigh by powers of the gradient, for the exponential score."""

    def made(first: tf.Tensor, slopes_of: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        slopes = slopes_of(first)
        sums = tf.reduce_sum(first, axis=[1, 2], keepdims=True)
        shares = tf.math.divide_no_nan(slopes**2, 2.0 * slopes**2 + sums * slopes**3)
        weights = tf.reduce_sum(shares * tf.nn.relu(slopes), axis=[1, 2], keepdims=True)
        return tf.reduce_sum(weights * first, axis=-1)

    return _of_map(network, heat, made)


def integrated(network: Network, heat: Heat) -> Maps:
    """Return integrated gradients at a layer, summed over its neurons."""

    def made(first: tf.Tensor, slopes_of: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        mean = tf.add_n([slopes_of(first * (step + 0.5) / PATH_STEPS) for step in range(PATH_STEPS)]) / PATH_STEPS
        return tf.reduce_sum(mean * first, axis=-1)

    return _of_map(network, heat, made)


def _of_map(network: Network, heat: Heat, made: Callable[..., tf.Tensor]) -> Maps:
    cut = Network(network.model, heat.layer or network.layer)

    @tf.function(autograph=False)
    def compute(pixels: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        def slopes_of(maps: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(maps)
                logits = tf.cast(cut.head(cut.tail(maps, training=False)), tf.float32)
                chosen = tf.reduce_sum(tf.gather(logits, classes, batch_dims=1))
            return tape.gradient(chosen, maps)

        return scaled_to_one(tf.nn.relu(made(cut.trunk(pixels, training=False), slopes_of)))

    return lambda pixels, classes: compute(pixels, tf.constant(classes)).numpy()


def measure(run: Path, most: int, seed: int) -> None:
    """Print the table of one run."""
    stored = read_json(run / "config.json")["settings"]
    settings = Settings.from_dict({name: tuple(each) if isinstance(each, list) else each for name, each in stored.items()})
    dataset = load_dataset(
        settings.dataset, settings.data_folder, split=settings.split, unseen=settings.unseen, num_unseen=settings.num_unseen,
        seed=settings.seed, missing_images=settings.missing_images, max_bad_images=None,
    )
    files = TransferFiles(run / "transfer")
    network, chosen = files.network, Heat(kind=files.explainer.heat.kind, layer=files.explainer.heat.layer)
    images = balanced_sample(main_partition(seen_data(dataset), settings.seed).held_out, most, seed)
    few = next(iter(image_batches(images.take(np.arange(min(4, len(images)))), network.input_form, 4)))[0]
    makers: dict[str, Maps] = {}
    for each in heat_candidates(network, few.numpy()):
        makers[f"{each.kind} at {each.layer or network.layer}"] = _coarse(HeatMaps(network, each))
    at = chosen.layer or network.layer
    makers |= {f"Grad-CAM++ at {at}": plus_plus(network, chosen), f"integrated gradients at {at}": integrated(network, chosen)}
    makers["bump in the middle"] = lambda pixels, classes: bump(len(pixels), network.input_size)
    probability, generator = probability_of(network, files.probabilities.temperature, False), np.random.default_rng(seed)
    predict = tf.function(lambda pixels: network.model(pixels, training=False), autograph=False)
    gains: dict[str, list[np.ndarray]] = {name: [] for name in makers}
    seconds: dict[str, list[float]] = {name: [] for name in (*makers, "")}
    for pixels, _ in image_batches(images, network.input_form, BATCH):
        classes = tf.argmax(predict(pixels), axis=1).numpy()
        for _ in range(ROUNDS):
            for name, make in (("", lambda pixels, _: predict(pixels).numpy()), *makers.items()):
                begun = time.perf_counter()
                heat = make(pixels, classes)
                seconds[name].append((time.perf_counter() - begun) / len(pixels))
        for name, make in makers.items():
            heat = upsampled(tf.constant(make(pixels, classes)), network.input_size).numpy()
            gains[name].append(gain_of(probability, pixels, heat_order(heat, generator), tf.constant(classes)))
    print(f"\n{run}: {len(images)} images of {len(images.class_names)} classes; the run's own is {chosen.kind} at {at}")
    print(f"{'':<58} insertion - deletion      time / prediction")
    whole = float(np.median(seconds.pop("")))
    for name, each in gains.items():
        figure = mean_over_classes(np.concatenate(each), images.labels, None, (-2.0, 2.0))
        assert figure is not None, "every image has a curve"
        spread = f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
        print(f"{name:<58} {spread:<25} {np.median(seconds[name]) / whole:.1f}")


def _coarse(maps: HeatMaps) -> Maps:
    return lambda pixels, classes: maps(pixels, classes, upsample=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and print a table a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", required=True, help="RUN,RUN: finished at least to the stage transfer")
    parser.add_argument("--images", type=int, default=64, help="held-out images at most")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    for run in asked.runs.split(","):
        measure(Path(run), asked.images, asked.seed)


if __name__ == "__main__":
    main()
