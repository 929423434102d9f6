import io
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.explanations import ExplainerTensors, answers, best_two, gather_evidence
from niwt_tf.explain.heat import Steps

SIZE, NEURONS, FEATURES = 8, 4, 5
LABELS = ("cat", "dög", "eel")


class Toy(tf.Module):
    """A network of two convolutions and a head of open width, as plain variables."""

    def __init__(self, classes=3, attributes=6, neurons=NEURONS, temperature=2.0):
        super().__init__()
        random = np.random.default_rng(1)  # two classes win, and every image has a heat map

        def drawn(*shape):
            return random.standard_normal(shape).astype(np.float32)

        self.kernel = tf.Variable(drawn(3, 3, 3, neurons))
        self.tail_kernel = tf.Variable(drawn(2, 2, neurons, FEATURES))
        self.columns = tf.Variable(drawn(FEATURES, 3)[:, :classes], shape=[FEATURES, None])
        self.labels = tf.Variable(LABELS[:classes], shape=[None])
        self.seen = tf.Variable(([1.0, 1.0, 0.0])[:classes], shape=[None])
        self.temperature = temperature
        self.inverse_weights = tf.Variable(drawn(attributes, neurons))
        self.inverse_bias = tf.Variable(drawn(attributes))
        self.attribute_names = tf.Variable([f"attribute {k}" for k in range(attributes)])
        self.neuron_names = tf.Variable([f"name {n}" for n in range(neurons)])
        self.neuron_aucs = tf.Variable([(n + 1) / neurons for n in range(neurons)])

    def trunk(self, images):
        return tf.nn.relu(tf.nn.conv2d(images / 255.0, self.kernel, 2, "SAME"))

    def tail(self, maps):
        return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(maps, self.tail_kernel, 1, "SAME")), axis=[1, 2])

    def logits_of(self, features):
        return tf.matmul(features, self.columns)

    @property
    def explainer(self):
        names = self.attribute_names, self.neuron_names
        return ExplainerTensors(self.inverse_weights, self.inverse_bias, *names, self.neuron_aucs)

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name="images")])
    def explain(self, images):
        evidence = gather_evidence(images, Steps((self.trunk, self.tail)), self.logits_of, best_two)
        return answers(evidence, SIZE, self.labels, self.temperature, self.explainer, self.seen)


def images():
    brightness = np.random.default_rng(2).uniform(0, 1, (4, 1, 1, 3))
    noise = np.random.default_rng(1).uniform(0, 255, (4, SIZE, SIZE, 3))
    return tf.constant(noise.astype(np.float32) * brightness.astype(np.float32))


def explained(toy):
    return toy.explain(images())


def by_hand(toy, image):
    """Return the logits and the importances of all classes for one image, each from a tape of its own, in numpy."""
    alphas = []
    for c in range(len(toy.labels.numpy())):
        maps = toy.trunk(image[None])
        with tf.GradientTape() as tape:
            tape.watch(maps)
            logits = toy.logits_of(toy.tail(maps))
            logit = logits[0, c]
        alphas.append(tape.gradient(logit, maps)[0].numpy().mean(axis=(0, 1)))
    return maps[0].numpy(), logits[0].numpy(), np.array(alphas)


def test_every_answer_by_hand():
    toy = Toy()
    answer = {name: value.numpy() for name, value in toy.explain(images()).items()}
    weights, bias = toy.inverse_weights.numpy(), toy.inverse_bias.numpy()
    for i, image in enumerate(images()):
        maps, logits, alphas = by_hand(toy, image)
        best, second = np.argsort(-logits)[:2]
        scores = np.exp(logits / 2.0) / np.exp(logits / 2.0).sum()
        assert answer["label"][i].decode() == LABELS[best]
        assert answer["runner_up"][i].decode() == LABELS[second]
        assert answer["score"][i] == pytest.approx(scores[best], rel=1e-5)
        assert answer["runner_up_score"][i] == pytest.approx(scores[second], rel=1e-5)
        assert answer["is_seen"][i] == (best < 2)
        heat = np.maximum(maps @ alphas[best], 0.0)
        np.testing.assert_allclose(answer["heatmap"][i], heat / heat.max(), atol=1e-5)
        words = weights @ (alphas[best] / np.linalg.norm(alphas[best])) + bias
        difference = alphas[best] - alphas[second]
        contrast = weights @ (difference / np.linalg.norm(difference))
        neuron_weights = alphas[best] * maps.mean(axis=(0, 1))
        _check(answer, i, "attributes", "attribute_weights", words, "attribute {}")
        _check(answer, i, "neurons", "neuron_weights", neuron_weights, "neuron {}")
        _check(answer, i, "neuron_names", "neuron_weights", neuron_weights, "name {}")
        _check(answer, i, "for_attributes", "for_weights", contrast, "attribute {}")
        _check(answer, i, "against_attributes", "against_weights", contrast, "attribute {}", sign=-1)


def _check(answer, i, names, weights, values, called, sign=1):
    width = answer[names].shape[1]
    order = [k for k in np.argsort(-sign * values)[:width] if sign * values[k] > 0]
    padding = width - len(order)
    assert [name.decode() for name in answer[names][i]] == [*(called.format(k) for k in order), *[""] * padding]
    np.testing.assert_allclose(answer[weights][i], [*values[order], *[0.0] * padding], rtol=1e-4, atol=1e-6)
    assert not np.signbit(answer[weights][i][len(order) :]).any()


def test_shapes_and_types_are_those_of_the_signature():
    answer = explained(Toy())
    widths = {
        **dict.fromkeys(("label", "score", "is_seen", "heatmap_png_bytes", "runner_up", "runner_up_score"), ()),
        "heatmap": (4, 4),
        "attributes": (5,),
        "attribute_weights": (5,),
        **dict.fromkeys(("neurons", "neuron_names", "neuron_weights"), (3,)),
        **dict.fromkeys(("for_attributes", "for_weights", "against_attributes", "against_weights"), (3,)),
    }
    assert {name: tuple(value.shape) for name, value in answer.items()} == {name: (4, *w) for name, w in widths.items()}
    assert {value.dtype for value in answer.values()} == {tf.float32, tf.string}


def test_the_png_shows_the_heat_map():
    answer = explained(Toy())
    for encoded, heat in zip(answer["heatmap_png_bytes"].numpy(), answer["heatmap"].numpy(), strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(encoded))).sum(axis=2)
        assert pixels.shape == (SIZE, SIZE)
        row, column = np.unravel_index(pixels.argmax(), pixels.shape)
        assert heat[row // 2, column // 2] == 1.0
        assert pixels.max() > 600


def assert_same_picture(one: bytes, other: bytes) -> None:
    """Compare pixels: a last bit of a batch of another size, or of another process, may change a level of colour."""
    pixels = [np.asarray(Image.open(io.BytesIO(encoded)), np.int32) for encoded in (one, other)]
    np.testing.assert_allclose(*pixels, atol=8)


def test_a_row_is_what_its_image_alone_gets():
    toy = Toy()
    together = toy.explain(images())
    for i in range(4):
        alone = toy.explain(images()[i : i + 1])
        for name, value in together.items():
            if name == "heatmap_png_bytes":
                assert_same_picture(alone[name][0].numpy(), value[i].numpy())
            elif value.dtype == tf.string:
                np.testing.assert_array_equal(alone[name][0].numpy(), value[i].numpy(), err_msg=name)
            else:
                np.testing.assert_allclose(alone[name][0], value[i], rtol=1e-5, atol=1e-6, err_msg=name)


def test_one_class_has_no_runner_up():
    answer = {name: value.numpy() for name, value in explained(Toy(classes=1)).items()}
    assert (answer["label"] == b"cat").all() and (answer["score"] == 1.0).all()
    assert (answer["runner_up"] == b"").all() and (answer["runner_up_score"] == 0.0).all()
    for name in ("for", "against"):
        assert (answer[f"{name}_attributes"] == b"").all() and (answer[f"{name}_weights"] == 0.0).all()
    assert answer["for_weights"].shape == (4, 3)


def test_a_class_that_is_added_later_is_explained():
    toy = Toy(classes=2)
    toy.explain(images())
    other = Toy()
    toy.columns.assign(other.columns)
    toy.labels.assign(other.labels)
    toy.seen.assign(other.seen)
    for name, value in other.explain(images()).items():
        np.testing.assert_array_equal(toy.explain(images())[name].numpy(), value.numpy(), err_msg=name)
    assert toy.explain.experimental_get_tracing_count() == 1


def test_few_attributes_and_neurons_make_narrow_tables():
    answer = explained(Toy(attributes=2, neurons=1))
    assert answer["attributes"].shape == (4, 2) and answer["for_weights"].shape == (4, 2)
    assert answer["neurons"].shape == (4, 1)


def test_an_image_without_evidence_has_an_empty_answer():
    toy = Toy()
    toy.columns.assign(tf.zeros_like(toy.columns))
    answer = toy.explain(images())
    np.testing.assert_array_equal(answer["heatmap"], 0.0)
    assert (answer["neurons"].numpy() == b"").all() and (answer["for_attributes"].numpy() == b"").all()
    assert all(np.isfinite(value).all() for value in answer.values() if value.dtype == tf.float32)


def test_shapes_are_known_to_the_graph():
    toy = Toy()
    outputs = toy.explain.get_concrete_function().structured_outputs
    assert all(value.shape.rank is not None and value.shape[0] is None for value in outputs.values())
    assert outputs["heatmap"].shape[1:] == (4, 4)
    assert outputs["attributes"].shape[1:] == (5,) and outputs["neuron_names"].shape[1:] == (3,)


def test_an_explainer_becomes_constants():
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    aucs = np.array([0.5, 0.0, 1.0])
    explainer = Explainer(weights, np.ones(2, np.float32), ("ä", "b"), ("", ""), ("b", "", "ä"), aucs, 1.0, 0.5)
    tensors = ExplainerTensors.of(explainer)
    np.testing.assert_array_equal(tensors.weights, weights)
    np.testing.assert_array_equal(tensors.bias, [1.0, 1.0])
    assert [name.decode() for name in tensors.attribute_names.numpy()] == ["ä", "b"]
    assert [name.decode() for name in tensors.neuron_names.numpy()] == ["b", "", "ä"]
    np.testing.assert_array_equal(tensors.neuron_aucs, [0.5, 0.0, 1.0])


LOADED = """
import json, sys
sys.modules["keras"] = None
import numpy as np, tensorflow as tf
session = tf.compat.v1.Session(graph=tf.Graph())
loaded = tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1])
signature = loaded.signature_def["explain"]
feed = {signature.inputs["images"].name: np.load(sys.argv[2])}
answer = session.run({name: info.name for name, info in signature.outputs.items()}, feed)
np.savez(sys.argv[3], **{k: v.astype("S") if v.dtype == object and "bytes" not in k else v for k, v in answer.items()
                         if "bytes" not in k}, pictures=np.frombuffer(b"".join(answer["heatmap_png_bytes"]), np.uint8),
         ends=np.cumsum([len(v) for v in answer["heatmap_png_bytes"]]))
"""


@pytest.mark.slow
def test_saved_and_loaded_in_a_session_without_keras(tmp_path):
    toy = Toy()
    tf.saved_model.save(toy, str(tmp_path / "1"), signatures={"explain": toy.explain})
    np.save(tmp_path / "images.npy", images())
    paths = [str(tmp_path / name) for name in ("1", "images.npy", "answer.npz")]
    subprocess.run([sys.executable, "-c", LOADED, *paths], check=True, capture_output=True, timeout=300)
    with np.load(paths[2]) as answer:
        for name, value in toy.explain(images()).items():
            if name == "heatmap_png_bytes":
                for file, own in zip(np.split(answer["pictures"], answer["ends"][:-1]), value.numpy(), strict=True):
                    assert_same_picture(file.tobytes(), own)
            elif value.dtype == tf.string:
                assert answer[name].tolist() == value.numpy().tolist(), name
            else:
                np.testing.assert_allclose(answer[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
