import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import spearmanr

from niwt_tf.compute.execution import Execution
from niwt_tf.data.images.decode import decode_image
from niwt_tf.data.load import load_dataset
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.faithfulness.measure import explain_test_images, measure_faithfulness
from niwt_tf.explain.faithfulness.truth import truth_of_test_images
from niwt_tf.models.network import Network


def parts_of(run):
    with np.load(run.path / "transfer" / "explainer.npz", allow_pickle=False) as file:
        explainer = Explainer.from_arrays(dict(file))
    return Network.load(run.path / "transfer" / "network.keras"), explainer


def test_what_a_data_set_does_not_know_is_absent(finished_run, tiny_birds):
    network, explainer = parts_of(finished_run)
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


@pytest.mark.slow
def test_the_pass_is_each_image_explained_alone(finished_run, tiny_birds):
    network, explainer = parts_of(finished_run)
    truth = truth_of_test_images(load_dataset("birds", tiny_birds, num_unseen=3, seed=3))
    images = truth.images
    predictions = np.arange(len(images)) % len(network.class_names)
    found = explain_test_images(network, explainer, truth, predictions, Execution(batch_size=7), 0)
    others = (predictions + np.random.default_rng(0).integers(1, len(network.class_names), len(images))) % 10
    assert np.all(others != predictions)
    finite = dict.fromkeys(found.values, 0)
    for row in range(0, len(images), 5):
        pixels = decode_image(tf.io.read_file(str(images.root / images.paths[row])), 32)[None]
        maps = network.trunk(pixels, training=False)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(maps)
            logits = network.head(network.tail(maps, training=False))[0]
            logit, other_logit = logits[predictions[row]], logits[others[row]]
        alpha, other_alpha = (tf.reduce_mean(tape.gradient(each, maps), axis=[1, 2]) for each in (logit, other_logit))
        coarse, other_coarse = (
            tf.nn.relu(tf.reduce_sum(maps * each[:, None, None], axis=-1, keepdims=True)) for each in (alpha, other_alpha)
        )
        heat = tf.image.resize(coarse, [32, 32])[0, ..., 0].numpy()
        x, y, width, height = truth.boxes[row]  # the files have the network's size
        inside = np.array(
            [
                [max(0.0, min(i + 1, x + width) - max(i, x)) * max(0.0, min(j + 1, y + height) - max(j, y)) for i in range(32)]
                for j in range(32)
            ]
        )
        hottest = heat >= heat.max() * (1 - 1e-6)
        weights = explainer.attribute_weights(alpha.numpy())[0]
        top = np.argsort(-weights)[: min(5, int((weights > 0).sum()))]
        pair = np.ravel(coarse), np.ravel(other_coarse)
        expected = {
            "energy_in_box": ((heat * inside).sum() / heat.sum() if heat.any() else np.nan, inside.mean()),
            "pointing_game": (inside[hottest].mean() if heat.any() else np.nan, inside.mean()),
            "attribute_hit": (truth.present[row, top].mean(), truth.present[row, truth.frequent[: len(top)]].mean()),
            "random_logit_correlation": (spearmanr(*pair)[0] if all(map(np.ptp, pair)) else np.nan, None),
        }
        for name, (value, chance) in expected.items():
            finite[name] += np.isfinite(value)
            np.testing.assert_allclose(found.values[name].values[row], value, rtol=1e-4, atol=1e-6, err_msg=name)
            assert (found.values[name].chance is None) == (chance is None)
            if chance is not None:
                np.testing.assert_allclose(found.values[name].chance[row], chance, rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(found.pooled[row], maps[0].numpy().max(axis=(0, 1)), rtol=1e-5, atol=1e-6)
    assert all(finite[name] > 2 for name in expected)
