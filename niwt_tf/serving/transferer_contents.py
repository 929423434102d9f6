"""What the export of a fitted model holds besides the network, and what explains images by the model itself."""

from __future__ import annotations

import numpy as np

from niwt_tf.data.schema import Knowledge
from niwt_tf.experiments.scoring import finite
from niwt_tf.experiments.transferring import Transferer
from niwt_tf.explain.explainer import fit_explainer
from niwt_tf.explain.network_explainer import NetworkExplainer
from niwt_tf.models.network import Network
from niwt_tf.serving.contents import HOW, Contents


def contents_of_transferer(transferer: Transferer, knowledge: Knowledge, network: Network) -> Contents:
    """Return what goes with a network that the transferer has expanded.

    Args:
        transferer: gives column map, probabilities and the importances that explanations are fitted on.
        knowledge: a row for each class of the network.
        network: may lack classes that the transferer's has.
    """
    fitted, importance = transferer.network.class_names, transferer.head.importance
    seen = network.class_names[: network.num_seen]
    rows = [fitted.index(name) for name in seen]
    descriptions = knowledge.values[: len(seen)]
    counts = dict(zip(fitted, importance.counts.tolist(), strict=True))
    trial = transferer.trial
    figures = {"validation_harmonic_mean": finite(trial.harmonic_mean), "validation_acc_zsl": finite(trial.acc_zsl)}
    return Contents(
        knowledge=knowledge,
        probabilities=transferer.probabilities,
        column_map=transferer.column_map,
        explainer=fit_explainer(
            np.asarray(transferer.head.targets)[rows],
            descriptions,
            knowledge.names,
            knowledge.groups,
            num_neurons=network.num_neurons,
        ),
        few_shot=transferer.few_shot,
        images=[int(counts.get(name, 0)) for name in network.class_names],
        validation={name: float(value) for name, value in figures.items() if value is not None},
        how=HOW[trial.choice.engine],
    )


def explainer_of_transferer(transferer: Transferer, knowledge: Knowledge, network: Network) -> NetworkExplainer:
    """Return what explains images by a network that the transferer has expanded; arguments as of `contents_of_transferer`."""
    contents = contents_of_transferer(transferer, knowledge, network)
    assert contents.explainer is not None, "a fitted model has one"
    return NetworkExplainer(network, contents.explainer, contents.probabilities, knowledge.values, contents.column_map)
