"""The whole explanation of an image by a toy network, its record and its sentences."""

from __future__ import annotations

import json

import numpy as np
import pytest

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.errors import InputError
from niwt_tf.explain import network_explainer
from niwt_tf.explain.counterfactual import Counterfactual, Edit, NoCounterfactual
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.network_explainer import NetworkExplainer
from niwt_tf.explain.record import Contrast, NamedClass, NeuronReason, explanation_record
from niwt_tf.explain.sentences import (
    counterfactual_sentence,
    empty_map_sentence,
    followed_attributes,
    followed_sentence,
    listed_words,
    neuron_title,
    plain,
    withheld_sentence,
)
from niwt_tf.explain.words import WeightedAttribute
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.niwt.transfer_closed_form import Blocks
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.backbones import build_network

NAMES = ("crow", "dove", "emu")
DESCRIPTIONS = np.array([[1, 0, 3], [0, 1, 0], [1, 1, 5]], np.float32)


def made(names=NAMES, num_seen=2, groups=("g::a", "g::b", ""), formula=True):
    """Return what explains by a network of some classes and three attributes."""
    random = np.random.default_rng(0)
    seen = build_network("small_vgg", names[:num_seen], input_size=16, seed=1)
    columns = random.standard_normal((seen.num_features, len(names)))
    network = seen.with_head(columns, np.zeros(len(names)), names, num_seen)
    network.calibration = 0.5
    neurons = network.num_neurons
    weights = random.standard_normal((3, neurons)).astype(np.float32)
    explainer = Explainer(
        weights, np.zeros(3, np.float32), ("g::a", "g::b", "size"), tuple(group.partition("::")[0] for group in groups),
        tuple(["size", ""] * (neurons // 2)), np.linspace(0, 1, neurons, dtype=np.float32), 1.0, 0.5,
    )  # fmt: skip
    mapping = ImportanceMap(
        random.standard_normal((neurons, 3)).astype(np.float32), np.zeros(neurons, np.float32),
        DescriptionNormaliser("centred", DESCRIPTIONS[:2].mean(axis=0)),
    )  # fmt: skip
    basis = random.standard_normal((network.num_features, neurons + 1)).astype(np.float32)
    columns_of = NiwtFormula(
        mapping, Blocks.single(neurons), basis, np.zeros(neurons + 1), np.eye(neurons + 1), None, 0.0
    )
    described = DESCRIPTIONS[: len(names)]
    return network, NetworkExplainer(network, explainer, Probabilities(2.0), described, columns_of if formula else None)


def image():
    return np.random.default_rng(1).uniform(0, 255, (16, 16, 3)).astype(np.float32)


def test_classes_and_probabilities_are_the_networks():
    network, explain = made()
    logits = network.model(image()[None], training=False).numpy()[0]
    scores = np.exp(logits / 2) / np.exp(logits / 2).sum()
    order = np.argsort(-logits)
    found = explain(image())
    assert (found.own, found.best) == (found.best, found.own)
    assert found.own.label == NAMES[order[0]] and found.own.probability == pytest.approx(scores[order[0]], rel=1e-5)
    assert found.contrast.rival.label == NAMES[order[1]]
    asked = explain(image(), NAMES[order[2]])
    assert asked.own.label == NAMES[order[2]] and asked.best == found.best
    assert asked.contrast.rival.label == NAMES[order[0]]


def test_the_counterfactual_is_of_the_class_that_loses():
    network, explain = made()
    logits = network.model(image()[None], training=False).numpy()[0]
    first, _, last = (NAMES[c] for c in np.argsort(-logits))
    margin = float(np.sort(logits)[-1] - np.sort(logits)[0])
    for own, rival in ((first, last), (last, first)):
        contrast = explain(image(), own, rival).contrast
        assert (contrast.changed.label, contrast.over.label) == (last, first)
        assert contrast.is_described == (last == "emu")
        if isinstance(contrast.counterfactual, Counterfactual):
            assert contrast.counterfactual.margin_before == pytest.approx(margin, rel=1e-4)


@pytest.mark.parametrize(("logits", "best"), [([5.0, 1.0, 0.0], "crow"), ([1.05, 1.0, 0.0], "emu")])
def test_who_is_best_once_the_description_is_changed(logits, best, monkeypatch):
    # emu rises by 1.1, past dove in either case, but not past the first crow.
    found = Counterfactual((), np.zeros(3, np.float32), 1.0, -0.1)
    monkeypatch.setattr(network_explainer, "counterfactual", lambda *_: found)
    known = made()[1].known
    row = {"label": np.bytes_("dove"), "runner_up": np.bytes_("emu"), "heatmap": np.zeros((2, 2))}
    explained = network_explainer.complete(row, np.array(logits, np.float32), np.zeros(1), Probabilities(2.0), known)
    contrast = explained.contrast
    assert (contrast.changed.label, contrast.over.label, contrast.best_changed) == ("emu", "dove", best)
    record = explanation_record(explained, "a.jpg", {})
    assert record["best"]["label"] == "crow"
    changed = record["rival"]["counterfactual"]
    assert (changed["class"], changed["over"], changed["best"]) == ("emu", "dove", best)
    still = "; the most probable class would still be crow" if best == "crow" else ""
    assert counterfactual_sentence(contrast) == f"emu would win over dove if its description had {still}."


def test_an_answer_that_is_not_sure_enough_is_withheld():
    known, logits = made(formula=False)[1].known, np.array([2.0, 0.0, 0.0], np.float32)
    row = {"label": np.bytes_("dove"), "runner_up": np.bytes_("emu"), "heatmap": np.zeros((2, 2))}
    share = 1 / (1 + 2 * np.exp(-2.0))  # of crow: 78.7 %
    for threshold, withheld in ((0.0, False), (share - 0.01, False), (share + 0.01, True)):
        explained = network_explainer.complete(row, logits, np.zeros(1), Probabilities(1.0, threshold), known)
        record = explanation_record(explained, "a.jpg", {})
        assert record["best"] == {"label": "crow", "seen": True, "probability": pytest.approx(share), "withheld": withheld}
        assert "withheld" not in record["class"]
    assert withheld_sentence(explained, "the crow") == (
        'The answer is "unknown": 78.7 % for the crow, the most probable class, is below the threshold of 79.7 %.'
    )


def test_a_network_always_names_a_class():
    network, explain = made()
    sure = NetworkExplainer(network, explain._explainer, Probabilities(2.0, 1.0), DESCRIPTIONS, None)
    assert not sure(image()).is_withheld


def test_words_have_groups_and_neurons_their_activations():
    network, explain = made()
    found = explain(image())
    maps = network.trunk(image()[None], training=False).numpy()[0]
    assert {(word.attribute, word.group) for word in (*found.speaks_for, *found.speaks_against)} <= {
        ("g::a", "g"), ("g::b", "g"), ("size", ""),
    }  # fmt: skip
    assert len(found.speaks_for) + len(found.speaks_against) == 3
    for neuron in (*found.neurons, *found.contrast.neurons):
        np.testing.assert_allclose(neuron.activation, maps[..., neuron.neuron], rtol=1e-5, atol=1e-6)
        assert neuron.name == ("size", "")[neuron.neuron % 2]


def test_one_class_has_no_rival():
    _, explain = made(("crow",), 1)
    found = explain(image())
    assert found.contrast is None and found.own == NamedClass("crow", True, 1.0)
    assert explanation_record(found, "a.jpg", {})["rival"] is None
    with pytest.raises(InputError, match="rival must be one of"):
        explain(image(), None, "dove")


def test_without_a_column_formula_the_reason_is_said():
    _, explain = made(formula=False)
    record = explanation_record(explain(image()), "a.jpg", {})
    assert "only be made by running the network" in record["rival"]["counterfactual"]["reason"]
    assert record["rival"]["counterfactual"]["edits"] is None


def test_without_groups_every_word_stands_alone():
    _, explain = made(groups=("", "", ""))
    found = explain(image())
    assert {word.group for word in (*found.speaks_for, *found.speaks_against)} == {""}


@pytest.mark.parametrize(
    ("class_name", "rival", "said"),
    [
        ("craw", None, "class_name must be one of the network's 3 classes. Did you mean 'crow'? Received: 'craw'."),
        (3, None, "class_name must be the name of a class, or None. Received: 3."),
        ("crow", b"dove", "rival must be the name of a class, or None. Received: b'dove'."),
        (None, "owl", "rival must be one of the network's 3 classes."),
        ("crow", "crow", "rival must not be the same class as class_name. Received: 'crow' for both."),
    ],
)
def test_bad_names(class_name, rival, said):
    with pytest.raises(InputError) as raised:
        made()[1](image(), class_name, rival)
    assert str(raised.value).startswith(said)


def test_the_best_class_is_no_rival_of_itself():
    _, explain = made()
    with pytest.raises(InputError, match="rival must not be the best class"):
        explain(image(), rival=explain(image()).best.label)


def test_a_record_is_plain_json_of_finite_numbers():
    record = explanation_record(made()[1](image()), "ä.jpg", {"path": None, "version": 3})
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["image"] == "ä.jpg" and record["model"]["version"] == 3
    assert np.array(record["heat_map"]).max() in (0.0, 1.0)


def test_a_map_that_is_empty_is_said_to_be():
    empty, hot = np.zeros((2, 2)), np.eye(2)
    assert empty_map_sentence(hot) == empty_map_sentence(None) == ""
    assert empty_map_sentence(empty) == "no place of the image supports it"
    assert empty_map_sentence(empty, ("crow", "emu")) == "no place of the image supports crow over emu"


def _contrast(counterfactual, described=True, best=None):
    rival, own = NamedClass("emu", False, 0.2), NamedClass("crow", True, 0.3)
    return Contrast(rival, (), (), (), None, counterfactual, rival, described, own, best)


def test_sentences():
    red, blue = (
        WeightedAttribute(f"has_wing_color::{name}", "wing_color", weight) for name, weight in (("red", 1.25), ("blue", 0.25))
    )
    words = [red, WeightedAttribute("size", "", 0.5), blue]
    assert listed_words(words) == "wing color: red +1.25, blue +0.25; size +0.50"
    assert listed_words([WeightedAttribute("size", "", -0.5)], sign="") == "size 0.50"
    assert listed_words([]) == "nothing"
    assert plain("has_bill_shape::cone") == "bill shape: cone"
    assert neuron_title(NeuronReason(7, "has_wing_color::red", 0.97, 1.0)) == "neuron 7: wing color: red (AUC 0.97)"
    assert neuron_title(NeuronReason(7, "", None, 1.0)) == "neuron 7 (no name)"
    assert neuron_title(NeuronReason(7, "size", None, 1.0)) == "neuron 7: size"
    assert listed_words([WeightedAttribute("size", "", 0.00042)]) == "size +0.00042"
    assert listed_words([WeightedAttribute("size", "", -0.00042)], sign="") == "size 0.00042"
    edits = (Edit("size", 3.0, 4.25), Edit("has_c::red", 0.0, 1.0, "c"), Edit("has_c::blue", 1.0, 0.0, "c"))
    found = Counterfactual(edits, np.zeros(3, np.float32), 1.0, -0.1)
    had = "if its description had size 4.25 instead of 3, c red instead of blue"
    assert counterfactual_sentence(_contrast(found, best="emu")) == f"emu would win over crow {had}."
    assert counterfactual_sentence(_contrast(found, False, best="dove"), {"crow": "Crow", "dove": "Dove"}) == (
        f"emu would win over Crow {had} (an estimate: the class was learnt from photographs); "
        "the most probable class would still be Dove."
    )
    said = counterfactual_sentence(_contrast(NoCounterfactual("Its description is not known.")))
    assert said == "What would let emu win over crow: its description is not known."


def test_what_a_network_follows_and_what_it_does_not_see():
    names = ("has_wing_color::red", "size", "tail", "hump")
    shares = np.array([0.2, 0.6, 0.19, 0.01])  # an even share is 0.25, a tenth of it 0.025
    assert followed_attributes(shares, names) == ([("size", 0.6), ("has_wing_color::red", 0.2), ("tail", 0.19)], ["hump"])
    assert followed_sentence(shares, names) == (
        "The network follows most: size (60 %), wing color: red (20 %), tail (19 %); "
        "1 of 4 columns of the table cannot be seen by it."
    )
    assert followed_sentence(np.full(2, 0.5), names[:2]) == "The network follows most: wing color: red (50 %), size (50 %)."
    assert followed_sentence(None, names) == ""
