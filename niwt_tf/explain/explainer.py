"""All that explanations in words need: the inverse map, and the names of its attributes and neurons.

Dimensions: S seen classes, N neurons of the network's layer, K attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from niwt_tf.data.sampling import balanced_sample
from niwt_tf.explain.heat import Heat
from niwt_tf.explain.inverse_map import FORMS, InverseMap, fit_inverse_map
from niwt_tf.explain.neurons import NeuronNames
from niwt_tf.methods.operators import mean_operators
from niwt_tf.methods.task import Task
from niwt_tf.metrics.ranks import unit
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class Explainer:
    """The inverse map, weights float32 [K, N] and bias float32 [K], with names.

    Attributes have groups, "" for none. A neuron without a name that holds is called ""; how well one holds, `neuron_aucs`
    float32 [N] in [0, 1], says `name_neurons`; how the map was fitted, and how well, `InverseMap`.
    """

    weights: np.ndarray
    bias: np.ndarray
    attribute_names: tuple[str, ...]
    attribute_groups: tuple[str, ...]
    neuron_names: tuple[str, ...]
    neuron_aucs: np.ndarray
    regularization: float
    rank_correlation: float
    form: str = FORMS[0]
    heat: Heat = field(default_factory=Heat)

    @property
    def named(self) -> np.ndarray:
        """Return which neurons have a name, bool [N]."""
        return np.array([name != "" for name in self.neuron_names], bool)

    @property
    def cautions(self) -> tuple[str, ...]:
        """Return in a sentence each what of its explanations was no better than chance on the training images."""
        said, heat = [], self.heat
        if not heat.is_true:
            measured = f"insertion minus deletion {heat.gain:.2f}, of a spot in the middle {heat.centre:.2f}"
            said.append(
                "On held-out training images the heat maps are no better than a spot in the middle of the image "
                f"({measured})."
            )
        # It is not known where there are too few classes to leave one out.
        if not self.rank_correlation > 0:
            said.append(
                "The words are no better than chance: importances do not show the attributes of a class that is left out."
            )
        if not self.named.any():
            said.append("No neuron has a name that is confirmed on held-out training images.")
        return tuple(said)

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
            "neuron_aucs": self.neuron_aucs,
            **self.heat.arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Explainer:
        """Return what `arrays` gave."""
        attributes, groups, neurons = (
            tuple(arrays[name].tolist()) for name in ("attribute_names", "attribute_groups", "neuron_names")
        )
        regularization, rank_correlation = arrays["inverse_figures"].tolist()
        inverse = arrays["inverse_weights"], arrays["inverse_bias"]
        how = str(arrays["inverse_form"])
        aucs = arrays["neuron_aucs"]
        return cls(*inverse, attributes, groups, neurons, aucs, regularization, rank_correlation, how, Heat.from_arrays(arrays))


def fit_explainer(
    importances: np.ndarray,
    descriptions: np.ndarray,
    names: Sequence[str],
    groups: Sequence[str],
    neurons: NeuronNames | None = None,
    heat: Heat | None = None,
    *,
    num_neurons: int | None = None,
) -> Explainer:
    """Fit the inverse map on importances [S, N] and raw descriptions [S, K] of the seen classes, beside the neurons' names.

    Importances are of any length. Those over shared images fit best, since they differ by their classes alone. Neurons of
    further layers may follow those of the network's own, the first `num_neurons`, which alone are used; None takes all.
    """
    own = np.asarray(importances)[:, :num_neurons]
    inverse = fit_inverse_map(own, descriptions)
    neurons = neurons or NeuronNames.none(own.shape[1])
    return Explainer(
        attribute_names=tuple(names),
        attribute_groups=tuple(groups),
        neuron_names=neurons.names,
        neuron_aucs=neurons.aucs,
        heat=heat or Heat(),
        **vars(inverse),
    )


def importances_of(task: Task, network: Network) -> np.ndarray:
    """Return the importances [S, N] of a network's seen columns over a sample of a task's training images, of length 1.

    For methods that measure none themselves.
    """
    settings, execution = task.settings, task.reader.execution
    sample = balanced_sample(task.partition.training.images, max(settings.num_support, task.num_seen), settings.seed)
    everything, how = np.ones((1, len(sample)), bool), {name: getattr(execution, name) for name in ("jit", "progress", "team")}
    (operator,) = mean_operators(network.tail, task.reader.maps(sample), everything, **how)
    return unit((operator @ network.columns[:, : network.num_seen]).T)
