"""How true a network's explanations are on its test images, for seen and unseen classes apart.

What is explained is the predicted class, right or wrong: what a user is shown. Figures of images are means over their true
classes. Dimensions: M test images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from niwt_tf.data.schema import Dataset
from niwt_tf.experiments.faithfulness_names import NameQuality, name_quality, named_attributes
from niwt_tf.experiments.faithfulness_pass import ImageValues, explain_test_images
from niwt_tf.experiments.faithfulness_sample import measure_sample
from niwt_tf.experiments.faithfulness_truth import truth_of_test_images
from niwt_tf.explain.activating import Activating
from niwt_tf.explain.explainer import Explainer
from niwt_tf.method.execution import Execution
from niwt_tf.metrics.intervals import Figure, class_mean
from niwt_tf.models.network import Network

Figures = dict[str, dict[str, Figure]]
_CORRELATIONS = ("random_logit_correlation", "random_tail_correlation", "random_network_correlation")


@dataclass(frozen=True)
class Faithfulness:
    """What was measured.

    Attributes:
        figures: by measure and "seen", "unseen" or "all"; one that cannot be measured is absent.
        names: by "all", "seen" and "unseen", how well the neurons' names fit.
        parts: by neuron, the names of the parts that its name is about.
        part_energy: by neuron, the mean share of its activation that is near those parts, and chance.
        activating: the images that activate each neuron most, as places in the test images.
    """

    figures: Figures
    names: Mapping[str, NameQuality]
    parts: Mapping[int, tuple[str, ...]]
    part_energy: Mapping[int, tuple[float, float]]
    activating: Activating


def measure_faithfulness(
    network: Network,
    explainer: Explainer,
    dataset: Dataset,
    predictions: np.ndarray,
    temperature: float,
    execution: Execution,
    seed: int,
) -> Faithfulness:
    """Measure in one pass over the test images and, for what runs the network many times, on a sample of them.

    Args:
        network: with seen and unseen classes.
        explainer: its inverse map and the names of its neurons.
        dataset: with a split; boxes, parts and attributes of images are used where there are any.
        predictions: int [M], the predicted classes of the images of `test_data`.
        temperature: probabilities are softmax(logits / temperature).
        execution: how the network is run.
        seed: of everything that is drawn.
    """
    truth = truth_of_test_images(dataset)
    labels = truth.images.labels
    explained = explain_test_images(network, explainer, truth, predictions, execution, seed)
    values = dict(explained.values)
    if len(labels):
        values |= measure_sample(network, truth.images, predictions, temperature, execution, seed)
    sides = {"seen": labels < truth.num_seen, "unseen": labels >= truth.num_seen}
    figures = {name: _by_side(name, each, labels, sides) for name, each in values.items()}
    attributes, confident = named_attributes(explainer), np.asarray(explainer.confident)
    names = {
        side: name_quality(
            explained.pooled[rows], truth.present[rows], attributes, confident, progress=execution.progress
        )
        for side, rows in {"all": np.ones(len(labels), bool), **sides}.items()
    }
    figures["confident_names"] = {side: each.good for side, each in names.items() if each.good is not None}
    figures["neuron_name_auc"] = {side: each.mean_auc for side, each in names.items() if each.mean_auc is not None}
    return Faithfulness(
        {name: by_side for name, by_side in figures.items() if by_side},
        names,
        {n: tuple(truth.part_names[p] for p in places) for n, places in explained.parts.parts.items()},
        explained.parts.of_neurons(),
        explained.activating,
    )


def _by_side(name: str, measure: ImageValues, labels: np.ndarray, sides: Mapping[str, np.ndarray]) -> dict[str, Figure]:
    bounds = (-1.0, 1.0) if name in _CORRELATIONS else (0.0, 1.0)
    found = {}
    for side, belongs in sides.items():
        of_side = belongs[measure.rows]
        chance = None if measure.chance is None else measure.chance[of_side]
        figure = class_mean(measure.values[of_side], labels[measure.rows[of_side]], chance, bounds)
        if figure is not None:
            found[side] = figure
    return found
