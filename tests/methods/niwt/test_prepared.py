"""What the stages importance and map write and say of themselves, and what the logits of several heads are divided by."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.importance import ClassImportance
from niwt_tf.methods.niwt import prepared
from niwt_tf.methods.niwt.files import load_measured, load_operators
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.niwt.prepared import map_of, margins_of, read_importance, read_maps, write_importance, write_maps
from niwt_tf.methods.niwt.solving import NiwtCandidate
from niwt_tf.methods.relevance import RelevanceMap
from niwt_tf.methods.seen_heads import SeenHead, temperature_scale
from niwt_tf.metrics.calibration import seen_margin


class _Task:
    """A task of which the names, and what is kept, are read alone."""

    def __init__(self, name, **others):
        self.partition, self.kept = SimpleNamespace(name=name), {}
        self.__dict__ |= others

    def keep(self, key, value):
        self.kept[key] = value

    def cached(self, key, make):
        return self.kept[key] if key in self.kept else self.kept.setdefault(key, make())


def _head(strength, within, across):
    """A head of 3 classes with importances of 5 neurons, whose correlations are given."""
    means = np.full((3, 5), strength, np.float32)
    head = SeenHead(strength, np.ones((4, 3), np.float32), np.zeros(3, np.float32))
    return MeasuredHead(head, ClassImportance(means, np.full(3, 2), within, across), means, (5,))


def _map(correlation):
    normaliser = DescriptionNormaliser("raw", np.zeros(2, np.float32))
    return ImportanceMap(np.ones((5, 2), np.float32), np.zeros(5, np.float32), normaliser, 1.0, correlation)


def test_the_stage_importance_tells_of_the_first_head_and_each_task_gets_its_own(monkeypatch, tmp_path):
    tasks = [_Task("main"), _Task("fold_0")]
    operators = {name: np.full((5, 4), value, np.float32) for name, value in (("main", 1.0), ("fold_0", 2.0))}
    measured = {"main": [_head(1.0, 0.75, 0.25), _head(10.0, 0.5, 0.125)], "fold_0": [_head(3.0, 0.1, 0.2)]}
    monkeypatch.setattr(prepared, "seen_operators", lambda *_: operators)
    monkeypatch.setattr(prepared, "measure_importance", lambda *_: measured)
    for task in tasks:
        task.network = task.reader = None
    shapes, figures = write_importance(Settings(), tasks, tmp_path, lambda: tmp_path)
    assert shapes == {"importance": (2, 3, 5)}
    assert figures == {"rank_correlation_within": 0.75, "rank_correlation_across": 0.25}
    for task in tasks:
        assert task.kept == {"operator": operators[task.partition.name], "measured": measured[task.partition.name]}
    assert load_operators(tmp_path).keys() == load_measured(tmp_path, ["main", "fold_0"]).keys() == {"main", "fold_0"}
    again = [_Task("main"), _Task("fold_0")]
    read_importance(again, tmp_path)
    for task in again:
        np.testing.assert_array_equal(task.kept["operator"], operators[task.partition.name])
        strengths = [each.head.regularization for each in task.kept["measured"]]
        assert strengths == [each.head.regularization for each in measured[task.partition.name]]


def test_what_was_not_measured_is_not_told(monkeypatch, tmp_path):
    measured = {"main": [_head(1.0, float("nan"), 0.25)]}
    monkeypatch.setattr(prepared, "seen_operators", lambda *_: {"main": np.zeros((5, 4), np.float32)})
    monkeypatch.setattr(prepared, "measure_importance", lambda *_: measured)
    figures = write_importance(Settings(), [_Task("main", network=None, reader=None)], tmp_path, lambda: tmp_path)[1]
    assert figures == {"rank_correlation_across": 0.25}


def test_the_stage_map_tells_of_the_best_map_of_the_main_partition(monkeypatch, tmp_path):
    tasks = [_Task("main"), _Task("fold_0")]
    for task in tasks:
        task.keep("measured", [])
    maps = {"main": [_map(0.25), _map(0.5), _map(0.125)], "fold_0": [_map(0.75)]}
    monkeypatch.setattr(prepared, "fit_maps", lambda *_: maps)
    assert write_maps(Settings(), tasks, tmp_path, lambda: tmp_path) == ({"weights": (5, 2)}, {"map_rank_correlation": 0.5})
    again = [_Task("main"), _Task("fold_0")]
    read_maps(again, tmp_path)
    assert [[each.rank_correlation for each in task.kept["maps"]] for task in again] == [[0.25, 0.5, 0.125], [0.75]]
    candidate = NiwtCandidate(1, "closed_form", 0.1, 1e-2)
    assert map_of(again[0], candidate).rank_correlation == 0.5
    monkeypatch.setattr(prepared, "fit_maps", lambda *_: {"main": [_map(0.25)], "fold_0": [_map(0.75)]})
    assert write_maps(Settings(), tasks, tmp_path, lambda: tmp_path) == ({"weights": (5, 2)}, {"map_rank_correlation": 0.25})


def test_a_relevance_map_tells_of_its_warrant_too(monkeypatch, tmp_path):
    normaliser = DescriptionNormaliser("raw", np.zeros(3, np.float32))
    fitted = RelevanceMap(normaliser, np.eye(4, 3), np.ones((2, 3)), np.ones((2, 4, 4)), np.ones((2, 4)), 0.25, 0.5)
    task = _Task("main")
    task.keep("measured", [])
    monkeypatch.setattr(prepared, "fit_maps", lambda *_: {"main": fitted})
    shapes, figures = write_maps(Settings(), [task], tmp_path, lambda: tmp_path)
    assert shapes == {"relevances": (2, 3), "duals": (2, 4, 4)}
    assert figures == {"map_rank_correlation": 0.5, "relevance_warrant": 0.25}
    read_maps([again := _Task("main")], tmp_path)
    assert (again.kept["maps"].rank_correlation, again.kept["maps"].warrant) == (0.5, 0.25)


def _heads_on(features):
    """Two heads of 2 classes on features [M, 2]: the features themselves, and 3 times those."""
    eye = np.eye(2, dtype=np.float32)
    heads = [SeenHead(0.0, eye, np.zeros(2, np.float32)), SeenHead(0.0, 3 * eye, np.array([1.0, 1.0], np.float32))]
    return heads, [features @ each.columns + each.biases for each in heads]


def test_margins_are_in_proportion_to_those_of_each_head():
    held_out = SimpleNamespace(labels=np.array([0, 1, 1]))
    features = np.array([[2.0, 1.0], [0.0, 2.0], [1.0, 0.5]], np.float32)
    heads, logits = _heads_on(features)
    found = margins_of(SimpleNamespace(held_out=held_out, features=lambda images: features), heads)
    alone = [seen_margin(each, held_out.labels) for each in logits]
    assert alone == pytest.approx([2.5 / 3, 2.5])
    assert found / found[0] == pytest.approx([1.0, 3.0])


def test_the_mean_of_logits_in_margins_has_the_scale_of_probabilities():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(2), 40)
    features = (np.eye(2)[labels] + random.normal(size=(80, 2))).astype(np.float32)
    heads, logits = _heads_on(features)
    found = margins_of(SimpleNamespace(held_out=SimpleNamespace(labels=labels), features=lambda images: features), heads)
    mean = sum(each / margin for each, margin in zip(logits, found, strict=True)) / 2
    assert temperature_scale(mean, labels) == pytest.approx(1.0, rel=1e-3)


def test_without_held_out_images_every_margin_is_one():
    nothing = np.zeros((0, 2), np.float32)
    task = SimpleNamespace(held_out=SimpleNamespace(labels=np.zeros(0, np.int64)), features=lambda images: nothing)
    np.testing.assert_array_equal(margins_of(task, _heads_on(nothing)[0]), [1.0, 1.0])


def test_a_task_that_was_not_prepared_is_a_mistake_of_the_code():
    for read in (prepared.measured_of, prepared.operator_of, prepared.relevance_of):
        with pytest.raises(AssertionError, match="must be prepared"):
            read(_Task("main"))
