"""All that explanations in words need: the inverse map, and the names of its attributes and neurons.

Dimensions: S seen classes, N neurons of the network's layer, K attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.data.sampling import balanced_sample
from niwt_tf.explain.inverse_map import FORMS, InverseMap, fit_inverse_map
from niwt_tf.explain.neurons import CONFIDENT, name_neurons
from niwt_tf.methods.niwt.operators import mean_operators
from niwt_tf.methods.task import Task
from niwt_tf.metrics.ranks import unit
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class Explainer:
    """The inverse map with names.

    Attributes:
        weights: float32 [K, N], of the inverse map.
        bias: float32 [K].
        attribute_names: K names.
        attribute_groups: K groups, "" where an attribute has none.
        neuron_names: N names of attributes, "" for a neuron that goes along with none.
        neuron_confidences: float32 [N] in [0, 1], 1 less the chance that so good a name comes about for a neuron that means
            none of the attributes; see `name_neurons`.
        regularization: the chosen ridge penalty, or the number of steps of the cosine form.
        rank_correlation: how well the inverse map orders the attributes of classes that were left out (Spearman).
        form: of the inverse map, "closed_form" or "cosine".
    """

    weights: np.ndarray
    bias: np.ndarray
    attribute_names: tuple[str, ...]
    attribute_groups: tuple[str, ...]
    neuron_names: tuple[str, ...]
    neuron_confidences: np.ndarray
    regularization: float
    rank_correlation: float
    form: str = FORMS[0]

    @property
    def confident(self) -> np.ndarray:
        """Return which neurons have a name to rely on, bool [N]: those with a confidence of at least 0.95."""
        named = np.array([name != "" for name in self.neuron_names], bool)
        return named & (self.neuron_confidences >= CONFIDENT)

    def attribute_weights(self, importances: np.ndarray) -> np.ndarray:
        """Return how much importances [.., N] speak for each attribute, float32 [.., K], in deviations from the seen mean."""
        return InverseMap(self.weights, self.bias).predict(importances)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name, for an .npz file; `from_arrays` takes them back."""
        return {
            "inverse_weights": self.weights,
            "inverse_bias": self.bias,
            "inverse_figures": np.array([self.regularization, self.rank_correlation]),
            "inverse_form": np.array(self.form),
            "attribute_names": np.array(self.attribute_names, np.str_),
            "attribute_groups": np.array(self.attribute_groups, np.str_),
            "neuron_names": np.array(self.neuron_names, np.str_),
            "neuron_confidences": self.neuron_confidences,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Explainer:
        """Return what `arrays` gave."""
        regularization, rank_correlation = (float(figure) for figure in arrays["inverse_figures"])
        return cls(
            arrays["inverse_weights"],
            arrays["inverse_bias"],
            tuple(arrays["attribute_names"].tolist()),
            tuple(arrays["attribute_groups"].tolist()),
            tuple(arrays["neuron_names"].tolist()),
            arrays["neuron_confidences"],
            regularization,
            rank_correlation,
            str(arrays["inverse_form"]),
        )


def fit_explainer(
    importances: np.ndarray,
    descriptions: np.ndarray,
    names: Sequence[str],
    groups: Sequence[str],
    *,
    num_neurons: int | None = None,
) -> Explainer:
    """Fit the inverse map on the seen classes and name the neurons.

    Args:
        importances: [S, N], of the seen classes and any length. Those over shared images fit best, since they differ by their
            classes alone. Neurons of further layers may follow those of the network's own.
        descriptions: raw [S, K] of the same classes.
        names: K attribute names.
        groups: K attribute groups.
        num_neurons: N of the network's own layer, whose neurons alone are used; None takes all.
    """
    own = np.asarray(importances)[:, :num_neurons]
    inverse = fit_inverse_map(own, descriptions)
    neuron_names, confidences = name_neurons(own, descriptions, names)
    return Explainer(
        inverse.weights,
        inverse.bias,
        tuple(names),
        tuple(groups),
        neuron_names,
        confidences,
        inverse.regularization,
        inverse.rank_correlation,
        inverse.form,
    )


def importances_of(task: Task, network: Network) -> np.ndarray:
    """Return the importances [S, N] of a network's seen columns over a sample of a task's training images, of length 1.

    For methods that measure none themselves.
    """
    settings, execution = task.settings, task.reader.execution
    sample = balanced_sample(task.learner.training.images, max(settings.num_support, task.num_seen), settings.seed)
    everything = np.ones((1, len(sample)), bool)
    (operator,) = mean_operators(
        network.tail, task.reader.maps(sample), everything, jit=execution.jit, progress=execution.progress, team=execution.team
    )
    return unit((operator @ network.columns[:, : network.num_seen]).T)
