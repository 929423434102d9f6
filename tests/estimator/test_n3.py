"""`Niwt(method="n3")`: a network from texts, in Python."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf import InputError, Niwt, load_dataset
from niwt_tf.data.schema import Knowledge, test_data
from niwt_tf.methods.base import Generator, Trial
from niwt_tf.methods.parameters import NetworkParameters
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.backbones import build_network
from niwt_tf.protocol.selection import Chosen
from niwt_tf.serving.bundle.bundle import Bundle, is_synthesized

TEXTS = {"moss wren": "a small bird with a green crown.", "finch": "a red bird with a cone bill."}


@pytest.mark.slow
@pytest.mark.combination  # tests/jobs/test_synthesize.py has it of jobs
def test_from_fitting_to_classifiers_of_other_classes(tiny_birds, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    features = f"encoder_words:{tiny_bert}"
    dataset = load_dataset("birds", tiny_birds, num_unseen=3, seed=3, knowledge="captions", text_features=features)
    small = {"n3_steps": 4, "n3_width": 8, "n3_way": 3, "epochs": 1, "input_size": 32, "num_folds": 1}
    model = Niwt(method="n3", text_features=features, **small).fit(dataset)
    images = test_data(dataset).images
    photos = [images.root / path for path in images.paths][::9]
    before = model.decision_function(photos)
    assert before.shape == (len(photos), len(model.classes_)) and model.evaluate(dataset)["acc_zsl"] >= 0

    other = model.synthesize(TEXTS)
    assert other.classes_.tolist() == list(TEXTS)
    np.testing.assert_array_equal(model.decision_function(photos), before)
    answers = other.decision_function(photos)
    turned = model.synthesize(dict(reversed(TEXTS.items())))
    np.testing.assert_allclose(turned.decision_function(photos)[:, ::-1], answers, atol=1e-4 * np.abs(answers).max())
    other.add_class("owl", "a white bird with black wings.")
    assert other.classes_.tolist() == [*TEXTS, "owl"]
    assert np.abs(other.decision_function(photos)[:, :2] - answers).max() > 1e-6
    other.remove_class("owl")
    np.testing.assert_allclose(other.decision_function(photos), answers, atol=1e-5 * np.abs(answers).max())
    bundle = Bundle.open(other.export(tmp_path / "exports", check_images=photos[:2]))
    assert is_synthesized(bundle) and [card.text for card in bundle.cards] == list(TEXTS.values())
    with pytest.raises(InputError, match="can be exported but not saved"):
        other.save(tmp_path / "other")

    model.save(tmp_path / "model")
    again = Niwt.load(tmp_path / "model")
    np.testing.assert_allclose(again.decision_function(photos), before, atol=1e-5 * np.abs(before).max())
    again.add_class("owl", "a white bird with black wings.")
    assert again.classes_[-1] == "owl" and len(again.knowledge_.values) == len(again.classes_)
    again.remove_class("owl")
    np.testing.assert_allclose(again.decision_function(photos), before, atol=1e-4 * np.abs(before).max())
    with pytest.raises(InputError, match="description must be a text for method='n3'"):
        again.add_class("owl", [0.0] * 8)
    with pytest.raises(InputError, match="Received: only one class"):
        model.synthesize({"finch": "red"})


@pytest.mark.slow
def test_a_method_that_reads_no_texts_writes_no_networks(tiny_birds, tiny_settings, short_grids):
    dataset = load_dataset("birds", tiny_birds, num_unseen=3, seed=3)
    model = Niwt(**tiny_settings, method="class_mean").fit(dataset)
    with pytest.raises(InputError, match="a method that writes a network from texts alone"):
        model.synthesize(TEXTS)


class _Writer(Generator):
    """A method that reads texts and was fitted on the classes a, b and c: a class's bias is the length of its name."""

    independent, reads_texts = False, True

    def __init__(self, num_features):
        self.num_features = num_features

    def generate(self, classes):
        biases = np.array([1, 1, 1, *map(len, classes.names)], np.float32)
        return NetworkParameters(classes.names, {}, np.zeros((self.num_features, len(biases)), np.float32), biases, 3)

    def arrays(self):
        return {}


def test_a_seen_class_that_was_removed_stays_away_and_names_are_composed():
    model = Niwt(method="n3")
    network = build_network("small_vgg", ("a", "b", "c"), input_size=16, seed=1)
    trial = Trial(None, 0.0, float("nan"), float("nan"))
    model.chosen_ = Chosen("n3", _Writer(network.num_features), trial, (), 0.0, Probabilities())
    model.knowledge_, model._photographs = Knowledge(np.zeros((3, 0), np.float32), (), (), "texts"), {"a": 5, "b": 5, "c": 5}
    model._set_network(network)
    model.remove_class("b")
    model.add_class(" owl ", "a white bird.")
    assert model.classes_.tolist() == ["a", "c", "owl"] and model.network_.num_seen == 2
    np.testing.assert_array_equal(model.network_.biases, [1, 1, 3])
    assert len(model.knowledge_.values) == 3
    with pytest.raises(InputError, match="Received: 'owl', which exists"):
        model.add_class("owl ", "a white bird.")
    model.remove_class("owl")
    assert model.classes_.tolist() == ["a", "c"]
