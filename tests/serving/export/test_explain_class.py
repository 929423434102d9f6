"""The signature `explain_class`, beside the Keras network it was made of."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.data.images.decode import decode_image
from niwt_tf.errors import asserted
from niwt_tf.serving.predict import opened


@pytest.fixture(scope="module")
def servable(saved_model):
    with opened(saved_model) as servable:
        yield servable


def _asked(servable, paths, names, rivals):
    def texts(values):
        return np.array([value.encode() for value in values], object)

    inputs = {"image_bytes": np.array([path.read_bytes() for path in paths], object)}
    return servable.run("explain_class", {**inputs, "class_name": texts(names), "rival": texts(rivals)})


def _by_hand(network, contents, path, own, rival):
    """Return Grad-CAM of the difference and the weights of words and neurons, from tapes of the Keras layers alone."""
    maps = network.trunk(decode_image(tf.constant(path.read_bytes()), 16)[None], training=False)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        logits = network.head(network.tail(maps, training=False))[0]
        difference = logits[network.index_of(own)] - logits[network.index_of(rival)]
    gradient = tape.gradient(difference, maps)[0].numpy()
    maps, alpha = maps[0].numpy(), gradient.mean(axis=(0, 1))
    heat = np.maximum(maps @ alpha, 0.0)
    words = contents.explainer.weights @ (alpha / np.linalg.norm(alpha))
    return heat / max(heat.max(), 1e-30), words, alpha * maps.mean(axis=(0, 1))


def test_every_image_has_a_class_and_a_rival_of_its_own(servable, network, contents, image_paths):
    names, rivals = ["gnu", "cat", "ibis", "fox é", "eel"], ["cat", "gnu", "hen", "ibis", "dog"]
    answer = _asked(servable, image_paths, names, rivals)
    assert [name.decode() for name in answer["label"]] == names
    assert [name.decode() for name in answer["runner_up"]] == rivals
    assert answer["is_seen"].tolist() == [0, 1, 0, 1, 1]
    for i, path in enumerate(image_paths):
        heat, words, parts = _by_hand(network, contents, path, names[i], rivals[i])
        np.testing.assert_allclose(answer["difference_heatmap"][i], heat, atol=1e-4)
        reason = answer["for_attributes"][i, 0].decode()
        assert reason == contents.explainer.attribute_names[words.argmax()]
        assert answer["for_weights"][i, 0] == pytest.approx(words.max(), rel=1e-3)
        assert answer["against_weights"][i, 0] == pytest.approx(words.min(), rel=1e-3)
        assert answer["difference_neurons"][i, 0].decode() == f"neuron {parts.argmax()}"
        assert answer["difference_neuron_weights"][i, 0] == pytest.approx(parts.max(), rel=1e-3)
        auc = contents.explainer.neuron_aucs[parts.argmax()]
        assert answer["difference_neuron_aucs"][i, 0] == pytest.approx(auc)


def test_probabilities_are_of_the_classes_that_were_asked_for(servable, network, image_paths):
    answer = _asked(servable, image_paths, ["gnu"] * 5, ["cat"] * 5)
    pixels = tf.stack([decode_image(tf.constant(path.read_bytes()), 16) for path in image_paths])
    scores = tf.nn.softmax(network.model(pixels, training=False) / 2.0).numpy()
    np.testing.assert_allclose(answer["score"], scores[:, network.index_of("gnu")], atol=1e-5)
    np.testing.assert_allclose(answer["runner_up_score"], scores[:, network.index_of("cat")], atol=1e-5)


@pytest.mark.slow
def test_empty_names_are_the_best_two_as_of_explain(servable, image_paths):
    inputs = {"image_bytes": np.array([path.read_bytes() for path in image_paths], object)}
    expected = servable.run("explain", inputs)
    answer = _asked(servable, image_paths, [""] * 5, [""] * 5)
    for name, value in expected.items():
        if value.dtype == object:
            assert answer[name].tolist() == value.tolist(), name
        else:
            np.testing.assert_allclose(answer[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.slow
@pytest.mark.combination
def test_an_empty_rival_is_the_best_of_the_others(servable, image_paths):
    best = servable.run("serving_default", {"image_bytes": np.array([path.read_bytes() for path in image_paths], object)})
    tops = [[name.decode() for name in row[:2]] for row in best["labels"]]
    assert [name.decode() for name in _asked(servable, image_paths, [row[0] for row in tops], [""] * 5)["runner_up"]] == [
        row[1] for row in tops
    ]
    assert [name.decode() for name in _asked(servable, image_paths, [row[1] for row in tops], [""] * 5)["runner_up"]] == [
        row[0] for row in tops
    ]


def test_what_speaks_against_a_class_has_negative_weights(servable, image_paths):
    answer = _asked(servable, image_paths, ["ibis"] * 5, [""] * 5)
    named = answer["opposing_attributes"] != b""
    assert named.any() and (answer["opposing_weights"][named] < 0).all() and (answer["opposing_weights"][~named] == 0).all()
    assert not set(answer["opposing_attributes"][0]) & (set(answer["attributes"][0]) - {b""})


def test_the_difference_the_other_way_round_has_the_other_reasons(servable, image_paths):
    there, back = (_asked(servable, image_paths[:1], [a], [b]) for a, b in (("gnu", "cat"), ("cat", "gnu")))
    assert there["for_attributes"].tolist() == back["against_attributes"].tolist()
    np.testing.assert_allclose(there["for_weights"], -back["against_weights"], rtol=1e-4)


@pytest.mark.parametrize(
    ("names", "rivals", "said"),
    [
        (["cat", "cow", "?"], ["", "", ""], "class_name must be the name of a class that the network knows. Received: cow"),
        (["cat", "dog", "eel"], ["", "", "fox"], "rival must be the name of a class that the network knows. Received: fox"),
        (["cat", "dog", "eel"], ["", "dog", ""], "rival must not be the class that is explained. Received: dog"),
        (["cat"], [""] * 3, "class_name and rival must each have a name for every image"),
        ([""] * 3, ["dog"], "class_name and rival must each have a name for every image"),
    ],
)
def test_bad_names_are_refused_by_the_graph(servable, image_paths, names, rivals, said):
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        _asked(servable, image_paths[:3], names, rivals)
    lines = [asserted(line) for line in raised.value.message.splitlines()]
    assert said in lines, lines
