"""What writing every layer changes, beside writing the head alone: adaptations by layer, and the pixels that margins hang on.

python studies/adaptation.py --runs=all=runs/n3_all,film=runs/n3_film,head=runs/n3_head --out=runs/adaptation

Of finished runs of N3 on the same classes and images. From each the network of the unseen classes alone is written. Printed are
how far each layer was moved, |theta' - theta| / |theta| (Fig. 6 of the paper), and how much of the input saliency of each
image's most probable class against the next falls into the box around the object, where the data set has boxes, with 95 %
bootstrap intervals over classes; the last row is the share of the image that the box is. --out gets adaptation.png,
saliency.png (Fig. 4 of the paper: image, then a column a run) and adaptation.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from niwt_tf.data.images.pipeline import image_batches
from niwt_tf.data.schema import Dataset, descriptions_of
from niwt_tf.explain.faithfulness.measures import energy_in_box
from niwt_tf.explain.faithfulness.truth import truth_of_test_images
from niwt_tf.jobs.synthesize import writer_of
from niwt_tf.metrics.intervals import Figure, bootstrapped
from niwt_tf.models.network import Network
from niwt_tf.plots.style import BLUE, GREEN, ORANGE, new_figure, readable_names, save
from studies.text_runs import data_of, unseen_images

SHOWN = 6


def written_of(run: Path, dataset: Dataset) -> tuple[Network, dict[str, float]]:
    """Return the network of the unseen classes that a run writes, and how far its layers were moved by it."""
    writer = writer_of(run)
    assert dataset.split is not None
    parameters = writer.chosen.generator.synthesize(descriptions_of(dataset).take(dataset.split.unseen))
    norms = adaptation_norms(writer.network, getattr(parameters, "weights", {}))
    if not norms:
        print(f"{run}: N3 wrote only the head.")
    return parameters.apply(writer.network), norms


def adaptation_norms(network: Network, weights: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return |theta' - theta| / |theta| by the path of each adapted weight (Fig. 6 of the paper); NaN where theta is 0.

    Args:
        network: the base.
        weights: the new values by path, as `NetworkParameters.weights` has them.
    """
    base = {each.path: np.asarray(each.numpy(), np.float64) for each in network.model.weights}
    norms = {}
    for path, value in weights.items():
        whole = float(np.linalg.norm(base[path]))
        norms[path] = float(np.linalg.norm(value - base[path])) / whole if whole else float("nan")
    return norms


def input_saliency(network: Network) -> Callable[[np.ndarray, int, int], np.ndarray]:
    """Return what gives |d margin / d pixel| of an image, the largest over the channels, float32 [S, S].

    Simonyan et al., "Deep Inside Convolutional Networks" (2014), as in section 5.3 of "Language to Network" (ACL 2020), but of
    the margin and not of the loss, which is flat where an answer is sure.

    It takes one image, float32 [S, S, 3] in 0..255, and two classes: the margin is the logit of the first minus that of the
    second.
    """

    @tf.function(autograph=False)
    def slopes(images: tf.Tensor, own: tf.Tensor, rival: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = tf.cast(network.model(images, training=False), tf.float32)[0]
            margin = logits[own] - logits[rival]
        return tf.reduce_max(tf.abs(tape.gradient(margin, images)), axis=-1)[0]

    def of_image(pixels: np.ndarray, own: int, rival: int) -> np.ndarray:
        return np.asarray(slopes(tf.constant(np.asarray(pixels, np.float32)[None]), tf.constant(own), tf.constant(rival)))

    return of_image


def saliencies(network: Network, pixels: np.ndarray) -> np.ndarray:
    """Return the saliency of each image's most probable class against the next, float32 [M, S, S]."""
    of_image, logits = input_saliency(network), np.asarray(network.model.predict(pixels, verbose=0))
    order = np.argsort(logits, axis=1)
    return np.stack([of_image(*each) for each in zip(pixels, order[:, -1], order[:, -2], strict=True)])


def draw_norms(norms: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw how far kernels were moved, a bar a run and kernel, in the order of the layers."""
    layers = list(dict.fromkeys(name for each in norms.values() for name in each if name.endswith("kernel")))
    figure = new_figure(max(6.0, 0.5 * len(layers) + 3), 4)
    axes = figure.subplots()
    for place, ((name, each), colour) in enumerate(zip(norms.items(), (BLUE, ORANGE, GREEN), strict=False)):
        at = np.arange(len(layers)) + (place - (len(norms) - 1) / 2) * 0.8 / len(norms)
        axes.bar(at, [each.get(layer, 0.0) for layer in layers], 0.8 / len(norms), color=colour, label=name)
    axes.set_xticks(range(len(layers)), [layer.rsplit("/", 2)[-2] for layer in layers], rotation=60, ha="right", fontsize=8)
    axes.set_ylabel("change of the kernel / its size")
    axes.legend(frameon=False)
    save(figure, path)


def draw_saliencies(maps: Mapping[str, np.ndarray], pixels: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Draw images and the saliency of each run beside them, each map from 0 to its own 99th percentile."""
    figure = new_figure(2.1 * (1 + len(maps)), 2.2 * len(pixels))
    for row, axes in enumerate(figure.subplots(len(pixels), 1 + len(maps), squeeze=False)):
        axes[0].imshow(pixels[row].astype(np.uint8))
        axes[0].set_ylabel(names[row], fontsize=8)
        for panel, (name, each) in zip(axes[1:], maps.items(), strict=True):
            panel.imshow(each[row], vmin=0, vmax=max(float(np.percentile(each[row], 99)), 1e-12), cmap="viridis")
            panel.set_title(name if row == 0 else "", fontsize=9)
        for panel in axes:
            panel.set(xticks=[], yticks=[])
    save(figure, path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, print both tables and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", required=True, help="NAME=RUN,NAME=RUN: finished runs")
    parser.add_argument("--data_dir", default=None, help="their data, where they are elsewhere now")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    asked = parser.parse_args(arguments)
    runs = {name: Path(run) for name, _, run in (each.partition("=") for each in asked.runs.split(","))}
    dataset = data_of(next(iter(runs.values())), asked.data_dir)
    images, rows = unseen_images(dataset, asked.images, asked.seed)
    maps, norms = {}, {}
    for name, run in runs.items():
        network, norms[name] = written_of(run, dataset)
        pixels = np.asarray(next(iter(image_batches(images, network.input_form, len(images))))[0])
        maps[name] = saliencies(network, pixels)
    truth, shares = truth_of_test_images(dataset), dict[str, Figure]()
    if truth.boxes is not None:
        boxes = truth.boxes_of(rows, pixels.shape[1])
        measured = {name: energy_in_box(each, boxes) for name, each in maps.items()} | {"the box": boxes.mean(axis=(1, 2))}
        for name, each in measured.items():
            shares[name] = bootstrapped(lambda at, each=each: float(np.nanmean(each[at])), images.labels, seed=asked.seed)
        print(f"saliency within the box, {len(images)} images of {len(images.class_names)} classes")
        for name, each in shares.items():
            print(f"{name:<8} {each['value']:.3f} ({each['low']:.3f} to {each['high']:.3f})")
    for name, each in norms.items():
        print(f"\n{name}: {'nothing before the head is written' if not each else 'change / size'}")
        print("\n".join(f"{layer:<48} {norm:.4f}" for layer, norm in each.items()))
    asked.out.mkdir(parents=True, exist_ok=True)
    moved = {name: each for name, each in norms.items() if each}
    if moved:
        draw_norms(moved, asked.out / "adaptation.png")
    first = [int(np.flatnonzero(images.labels == label)[0]) for label in np.unique(images.labels)[:SHOWN]]
    names = [readable_names(images.class_names)[images.labels[row]] for row in first]
    draw_saliencies({name: each[first] for name, each in maps.items()}, pixels[first], names, asked.out / "saliency.png")
    (asked.out / "adaptation.json").write_text(json.dumps({"within_box": shares, "norms": norms}, indent=2) + "\n")


if __name__ == "__main__":
    main()
