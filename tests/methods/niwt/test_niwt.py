"""What other code asks of the method: a candidate's head, its operator and grids, the networks that it can be used on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.methods.niwt import niwt
from niwt_tf.methods.niwt.niwt import METHOD
from niwt_tf.methods.niwt.solving import NiwtCandidate
from niwt_tf.methods.seen_heads import SeenHead
from niwt_tf.models.backbones import build_network


class _Prepared:
    """A task with two heads, an operator and the engines of a run."""

    def __init__(self, settings, kinds=("ridge", "softmax")):
        nothing = np.zeros((2, 2), np.float32), np.zeros(2, np.float32)
        self.settings, self.partition = settings, None
        self.heads = [SeenHead(float(place), *nothing, kind) for place, kind in enumerate(kinds)]
        measured = [SimpleNamespace(head=each) for each in self.heads]
        self._kept = {"measured": measured, "operator": np.eye(3), "engines": ("tape",)}

    def cached(self, key, make):
        del make
        return self._kept[key]


@pytest.mark.parametrize("kind", ["ridge", "cosine"])
def test_the_head_of_a_candidate_is_the_one_that_it_names(kind):
    task = _Prepared(Settings(map=kind))
    for place in (0, 1):
        assert METHOD.head_of(task, NiwtCandidate(place, "tape", 0.1, 0.01)) is task.heads[place]


def test_where_all_heads_are_averaged_the_head_is_their_mean(monkeypatch):
    mean = SeenHead(0.0, np.ones((2, 2), np.float32), np.zeros(2, np.float32), "lda")
    monkeypatch.setattr(niwt.NiwtMethod, "fit", lambda *_: SimpleNamespace(head=SimpleNamespace(head=mean)))
    task = _Prepared(Settings(map="relevance"), ("lda", "lda"))
    assert METHOD.head_of(task, NiwtCandidate(0, "closed_form", 0.1, 0.01)) is mean


def test_what_is_taken_without_a_choice_is_the_main_partitions():
    grids = {"transfer_lambda": (0.5, 1.0), "transfer_learning_rate": (0.25, 0.5), "transfer_anchor": "zero,mean"}
    settings = Settings(map="ridge", **grids)
    tasks = [_Prepared(settings), _Prepared(settings, ("softmax", "ridge"))]
    assert METHOD.candidates(settings, tasks) == [NiwtCandidate(0, "tape", 0.5, 0.25, "zero", (1.0,), None, "ridge", 0.0)]


def test_what_analyses_ask_for():
    settings = Settings(transfer_lambda=(0.5, 1.0), extra_layers=("features",))
    np.testing.assert_array_equal(METHOD.operator_of(_Prepared(settings)), np.eye(3))
    assert METHOD.lambdas(settings) == (0.5, 1.0)
    assert (METHOD.further_layers(settings), METHOD.further_layers(Settings())) == (("features",), ())


def test_further_layers_must_be_some_of_the_network():
    network = build_network("small_vgg", ("a", "b"), input_size=16)
    METHOD.check_network(Settings(), network)
    METHOD.check_network(Settings(extra_layers=("features", "block3_relu")), network)
    with pytest.raises(InputError, match="--extra_layers must name layers that can be cut at"):
        METHOD.check_network(Settings(extra_layers=("block9_relu",)), network)


def test_what_is_saved_says_which_generator_it_is(monkeypatch):
    for name in ("AveragedGenerator", "NiwtGenerator", "RelevanceFormula", "NiwtFormula"):
        monkeypatch.setattr(niwt, name, SimpleNamespace(from_arrays=lambda *given, name=name: name))
    of_relevance, of_map = {"relevances": np.ones(1)}, {"map_weights": np.ones(1)}
    made = [METHOD.generator_of(Settings(), None, arrays) for arrays in (of_relevance, of_map)]
    assert made == ["AveragedGenerator", "NiwtGenerator"]
    assert [METHOD.formula_of(arrays) for arrays in (of_relevance, of_map)] == ["RelevanceFormula", "NiwtFormula"]


def test_importance_is_of_images_alone_and_the_map_of_descriptions_too():
    """So that runs on other descriptions of the same classes share the former."""
    assert {stage.name: (stage.described, stage.inputs) for stage in METHOD.stages} == {
        "importance": (False, ("train",)),
        "map": (True, ("importance",)),
    }
