"""The mean of all heads and kernels as one head: it is what solving for each gives, and it comes back from a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import InputError
from niwt_tf.methods.importance import ClassImportance
from niwt_tf.methods.niwt.averaged import AveragedGenerator
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.niwt.niwt import METHOD
from niwt_tf.methods.niwt.solving import NiwtCandidate
from niwt_tf.methods.niwt.support import Support
from niwt_tf.methods.niwt.transfer import Transfer
from niwt_tf.methods.relevance import RelevanceMap, fit_relevance_map
from niwt_tf.methods.relevance_formula import RelevanceFormula
from niwt_tf.methods.seen_heads import DiscriminantPath, RidgeMoments, SeenHead
from niwt_tf.models.backbones import build_network

CLASSES, ENTRIES = 12, 6


def _descriptions(seed: int, classes: int = CLASSES, entries: int = ENTRIES) -> np.ndarray:
    return np.random.default_rng(seed).random((classes, entries))


@pytest.fixture(scope="module")
def averaged() -> AveragedGenerator:
    """A generator of a small random network with two discriminants and three kernels."""
    random = np.random.default_rng(9)
    base = build_network("small_vgg", [f"class {index}" for index in range(CLASSES)], input_size=16)
    labels = np.repeat(np.arange(CLASSES), 6)
    centres = np.abs(random.normal(size=(CLASSES, base.num_features)))
    features = (centres[labels] + 0.3 * random.normal(size=(len(labels), base.num_features))).astype(np.float32)
    moments = RidgeMoments(base.num_features, np.bincount(labels))
    moments.add(features, labels)
    operator = random.normal(size=(base.num_neurons, base.num_features)).astype(np.float32)
    heads = []
    for strength in (1.0, 10.0):
        columns, biases, form = DiscriminantPath(moments).solve(strength)
        targets = (operator @ columns).T
        nothing = ClassImportance(targets, np.full(CLASSES, 6), 1.0, 0.0)
        head = SeenHead(strength, columns, biases, "lda", form)
        heads.append(MeasuredHead(head, nothing, targets, (base.num_neurons,)))
    descriptions = _descriptions(9)
    relevance = fit_relevance_map(descriptions, heads[-1].targets)
    candidate = NiwtCandidate(0, "closed_form", 0.1, 1e-2, head_kind="lda")
    network = base.with_head(heads[0].head.columns, heads[0].head.biases, base.class_names, CLASSES)
    support = Support(operator, np.empty((0, *base.tail.input_shape[1:]), np.float32))
    own = Settings(map="relevance")
    return AveragedGenerator(own, network, heads, np.array([2.0, 0.5]), relevance, candidate, support, features, labels)


def _asked(count: int = 3) -> Descriptions:
    return Descriptions(tuple(f"new {index}" for index in range(count)), _descriptions(10, count).astype(np.float32))


def test_the_head_is_the_mean_of_all_heads_and_kernels_solved_one_by_one(averaged):
    asked = _asked()
    columns, biases = [], []
    for head, margin in zip(averaged.heads, averaged.margins, strict=True):
        for weights in averaged.relevance.weights(asked.values):
            solution = averaged.support.solution(averaged._solution.blocks)
            importances = weights @ head.targets
            solved = solution.columns(importances, head.head.columns, 0.1, "mean", keep_lengths=True)
            columns.append(solved / margin)
            biases.append(head.head.form.biases(solved) / margin)
    made = averaged.generate(asked)
    np.testing.assert_allclose(made.new[0], np.mean(columns, axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(made.new[1], np.mean(biases, axis=0), rtol=1e-4, atol=1e-5)
    scaled = [head.head.columns / margin for head, margin in zip(averaged.heads, averaged.margins, strict=True)]
    np.testing.assert_allclose(made.seen[0], np.mean(scaled, axis=0), rtol=1e-5, atol=1e-7)


def test_no_other_class_moves_when_one_is_added(averaged):
    alone, together = averaged.generate(_asked(1)), averaged.generate(_asked(3))
    np.testing.assert_array_equal(alone.seen[0], together.seen[0])
    np.testing.assert_allclose(alone.new[0][:, 0], together.new[0][:, 0], rtol=1e-6, atol=1e-7)


def test_what_is_saved_comes_back(averaged):
    arrays = averaged.arrays()
    again = METHOD.generator_of(averaged.options, averaged.network, arrays)
    one, other = averaged.generate(_asked()), again.generate(_asked())
    for before, after in zip((*one.seen, *one.new), (*other.seen, *other.new), strict=True):
        np.testing.assert_array_equal(before, after)
    assert again.figures == averaged.figures
    formula = METHOD.formula_of({name: np.float32(value) if name not in RelevanceFormula.fixed else value
                                 for name, value in averaged.formula.arrays().items()})
    np.testing.assert_allclose(formula(_asked().values)[0], one.new[0], rtol=1e-3, atol=1e-5)
    assert isinstance(formula.relevance, RelevanceMap)


def test_biases_follow_from_the_columns_of_the_mean_head(averaged):
    seen = averaged.head.head
    np.testing.assert_allclose(averaged.biases_of(seen.columns), seen.biases, rtol=1e-3, atol=1e-3)
    columns, biases = averaged.columns_for(averaged.importances)
    np.testing.assert_allclose(biases, averaged.biases_of(columns))
    reached = averaged.support.operator @ columns
    cosines = (reached * averaged.importances.T).sum(axis=0) / np.linalg.norm(reached, axis=0)
    assert (cosines / np.linalg.norm(averaged.importances, axis=1) > 0.99).all()


def test_what_was_measured_of_the_mean_head_is_that_of_the_first(averaged):
    assert averaged.head.importance is averaged.heads[0].importance is not averaged.heads[-1].importance


def test_columns_for_importances_follow_their_lengths(averaged):
    asked = averaged.importances[:2]
    none, once, twice = (averaged.columns_for(factor * asked)[0] for factor in (0.0, 1.0, 2.0))
    np.testing.assert_allclose(twice - none, 2 * (once - none), rtol=1e-4, atol=1e-6)
    assert np.abs(once - none).max() > 1e-3


def test_a_head_without_a_discriminant_is_refused():
    with pytest.raises(InputError, match="--seen_head must name lda"):
        Settings(map="relevance", seen_head="ridge")
    with pytest.raises(InputError, match="--importance_over must be shared"):
        Settings(map="relevance", importance_over="own")


def test_the_figures_are_those_of_the_first_head_and_the_map(averaged):
    first = ClassImportance(averaged.heads[0].targets, np.full(CLASSES, 6), 0.75, 0.25)
    changed = replace(averaged, heads=[replace(averaged.heads[0], importance=first), averaged.heads[1]])
    assert changed.figures == {
        "rank_correlation_within": 0.75,
        "rank_correlation_across": 0.25,
        "map_rank_correlation": averaged.relevance.rank_correlation,
        "relevance_warrant": averaged.relevance.warrant,
    }
    again = AveragedGenerator.from_arrays(changed.options, changed.network, changed.arrays())
    assert again.figures == changed.figures
    assert [each.sizes for each in again.heads] == [(averaged.network.num_neurons,)] * 2


def test_the_mean_head_is_in_units_of_each_head_s_margin(averaged):
    for name in ("columns", "biases"):
        parts = [getattr(each.head, name) / margin for each, margin in zip(averaged.heads, (2.0, 0.5), strict=True)]
        np.testing.assert_allclose(getattr(averaged.head.head, name), (parts[0] + parts[1]) / 2, rtol=1e-5)
    targets = [each.targets / margin for each, margin in zip(averaged.heads, (2.0, 0.5), strict=True)]
    np.testing.assert_allclose(averaged.importances, (targets[0] + targets[1]) / 2, rtol=1e-5)
    assert (averaged.head.head.kind, averaged.head.head.regularization, averaged.head.head.form) == ("lda", 0.0, None)


def test_a_descent_solves_for_each_head_and_kernel_and_the_mean_is_taken(averaged, monkeypatch):
    """A solution that is made up: a column of the sum of the importances asked for, times the head's penalty."""

    def solved(options, candidate, network, head, asked, support, features, labels):
        sums = head.regularization * asked.sum(axis=1)
        columns = np.tile(sums, (network.num_features, 1)).astype(np.float32)
        losses = np.array([head.regularization], np.float32)
        return Transfer(columns, (sums + 1).astype(np.float32), losses, head.regularization)

    monkeypatch.setattr("niwt_tf.methods.niwt.averaged.new_columns", solved)
    descending = replace(averaged, candidate=replace(averaged.candidate, engine="operator"))
    assert descending.formula is None
    asked = _asked()
    made, weights = descending.generate(asked), averaged.relevance.weights(asked.values)
    expected = np.zeros(3)
    for head, margin in zip(averaged.heads, averaged.margins, strict=True):
        for kernel in weights:
            expected += head.head.regularization * (kernel @ head.targets).sum(axis=1) / margin / (2 * len(weights))
    np.testing.assert_allclose(made.new[0], np.tile(expected, (len(made.new[0]), 1)), rtol=1e-4)
    np.testing.assert_allclose(made.new[1], expected + (1 / 2.0 + 1 / 0.5) / 2, rtol=1e-4)
    assert dict(made.figures) == {"transfer_cosine": pytest.approx(5.5)}
    assert made.losses.tolist() == [1.0, 10.0]


@pytest.mark.parametrize("engine", ["closed_form", "operator"])
def test_of_no_class_there_is_the_seen_part_alone(averaged, engine):
    none = replace(averaged, candidate=replace(averaged.candidate, engine=engine)).generate(_asked().take(np.arange(0)))
    assert (none.names, none.new[0].shape, none.new[1].shape) == ((), (averaged.network.num_features, 0), (0,))
    np.testing.assert_array_equal(none.seen[0], averaged.head.head.columns)


def test_what_a_class_is_told_of_its_importances_is_their_cosine(averaged):
    asked = _asked()
    made = averaged.generate(asked)
    wanted = averaged.relevance.weights(asked.values).mean(axis=0) @ averaged.importances
    reached = (averaged.support.operator @ made.new[0]).T
    cosines = (reached * wanted).sum(axis=1) / np.linalg.norm(reached, axis=1) / np.linalg.norm(wanted, axis=1)
    assert made.figures["transfer_cosine"] == pytest.approx(cosines.mean(), rel=1e-4)
