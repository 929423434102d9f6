import numpy as np

from niwt_tf.data.load import load_dataset
from niwt_tf.experiments.faithfulness import measure_faithfulness
from niwt_tf.explain.explainer import Explainer
from niwt_tf.method.execution import Execution
from niwt_tf.models.network import Network


def test_what_a_data_set_does_not_know_is_absent(finished_run, tiny_birds):
    network = Network.load(finished_run.path / "transfer" / "network.keras")
    with np.load(finished_run.path / "transfer" / "explainer.npz", allow_pickle=False) as file:
        explainer = Explainer.from_arrays(dict(file))
    known = load_dataset("birds", tiny_birds, num_unseen=3, seed=3)
    split = known.split
    few = type(split)("few", split.seen, split.unseen, split.train, split.test_seen[:5], split.test_unseen[:0])
    dataset = known.replace(boxes=None, parts=None, part_names=(), image_attributes=None, split=few)
    measured = measure_faithfulness(network, explainer, dataset, np.zeros(5, np.int64), 1.0, Execution(), 0)
    assert measured.figures.keys() >= {"attribute_hit", "insertion_auc", "random_logit_correlation"}
    assert not measured.figures.keys() & {"energy_in_box", "pointing_game", "part_localisation"}
    assert all("unseen" not in figures for figures in measured.figures.values())
    assert measured.parts == {} and measured.part_energy == {}

    nothing = known.replace(
        split=type(split)("none", split.seen, split.unseen, split.train, split.test_seen[:0], few.test_unseen)
    )
    assert measure_faithfulness(network, explainer, nothing, np.zeros(0, np.int64), 1.0, Execution(), 0).figures == {}
