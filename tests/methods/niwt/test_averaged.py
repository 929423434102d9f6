"""The mean of all heads and kernels as one head: it is what solving for each gives, and it comes back from a file."""

from __future__ import annotations

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


def test_a_head_without_a_discriminant_is_refused():
    with pytest.raises(InputError, match="--seen_head must name lda"):
        Settings(map="relevance", seen_head="ridge")
    with pytest.raises(InputError, match="--importance_over must be shared"):
        Settings(map="relevance", importance_over="own")
