"""Logits of descriptions in a graph against those of the columns that `NiwtFormula` makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.niwt.transfer_closed_form import Blocks
from niwt_tf.metrics.calibration import LogitStatistics
from niwt_tf.serving.bundle.bundle import formula_variables
from niwt_tf.serving.export.graph import described_logits

K, NEURONS, FEATURES = 4, 6, 5
ONE_BLOCK, TWO_BLOCKS = Blocks((6,), (1.5,)), Blocks((4, 2), (2.0, 0.5))
MATCHED = LogitStatistics(-1.0, 2.0)


def _formula(how: str, statistics: LogitStatistics | None = MATCHED, blocks: Blocks = TWO_BLOCKS) -> NiwtFormula:
    random = np.random.default_rng(7)
    centre = random.random(K) if how == "centred" else np.zeros(K)
    spread = random.standard_normal((NEURONS + 1, NEURONS + 1))
    return NiwtFormula(
        ImportanceMap(
            random.standard_normal((NEURONS, K)).astype(np.float32),
            random.standard_normal(NEURONS).astype(np.float32),
            DescriptionNormaliser(how, centre.astype(np.float32)),
        ),
        blocks,
        random.standard_normal((FEATURES, NEURONS + 1)).astype(np.float32),
        random.standard_normal(NEURONS + 1),
        spread @ spread.T,
        statistics,
        0.3,
    )


def _asked(formula: NiwtFormula, features: np.ndarray, descriptions: np.ndarray) -> np.ndarray:
    variables = {name: tf.Variable(value) for name, value in formula_variables(formula).items()}
    return described_logits(tf.constant(features), tf.constant(descriptions), variables, formula).numpy()


def _features(count: int) -> np.ndarray:
    return np.random.default_rng(8).standard_normal((count, FEATURES)).astype(np.float32)


@pytest.mark.parametrize("blocks", [ONE_BLOCK, TWO_BLOCKS], ids=["one block", "two blocks"])
@pytest.mark.parametrize("statistics", [None, MATCHED], ids=["as solved", "matched"])
@pytest.mark.parametrize("how", ["raw", "l2", "centred"])
def test_logits_are_those_of_the_columns(how, statistics, blocks):
    formula, features = _formula(how, statistics, blocks), _features(3)
    descriptions = np.random.default_rng(9).uniform(-2, 2, (3, 2, K)).astype(np.float32)
    descriptions[1, 0] = formula.importance_map.normaliser.centre  # described as nothing in particular
    found = _asked(formula, features, descriptions)
    for row, described, answer in zip(features, descriptions, found, strict=True):
        columns, biases = formula(described)
        np.testing.assert_allclose(answer, row @ columns + biases, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("how", ["raw", "l2", "centred"])
def test_logits_of_a_discriminant_are_those_of_its_columns(how):
    formula, features = replace(_formula(how, None), is_discriminant=True), _features(3)
    descriptions = np.random.default_rng(9).uniform(-2, 2, (3, 2, K)).astype(np.float32)
    found = _asked(formula, features, descriptions)
    for row, described, answer in zip(features, descriptions, found, strict=True):
        columns, biases = formula(described)
        np.testing.assert_allclose(answer, row @ columns + biases, rtol=1e-4, atol=1e-3)


def test_a_single_neuron_by_hand():
    mapping = ImportanceMap(np.float32([[2.0]]), np.float32([1.0]), DescriptionNormaliser("raw", np.zeros(1, np.float32)))
    basis, means = np.float32([[3.0, 1.0]]), np.array([0.5, 2.0])
    formula = NiwtFormula(mapping, Blocks((1,), (4.0,)), basis, means, np.diag([1.0, 9.0]), LogitStatistics(-1.0, 10.0), 0.0)
    # Described as -3, the target is -4: features of 2 give (3 * -4 + 1) * 2 = -22, the mean is 0, the deviation is 5.
    assert _asked(formula, np.float32([[2.0]]), np.float32([[[-3.0]]])) == pytest.approx(-22 * 2 - 1)


@pytest.mark.parametrize("length", [1, K - 1, K + 1])
def test_another_length_is_refused(length):
    with pytest.raises(tf.errors.InvalidArgumentError, match="not compatible"):
        _asked(_formula("centred"), _features(2), np.ones((2, 1, length), np.float32))


@pytest.mark.parametrize("how", ["raw", "l2", "centred"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(how, value):
    with pytest.raises(tf.errors.InvalidArgumentError, match="descriptions must be finite"):
        _asked(_formula(how), _features(1), np.full((1, 1, K), value, np.float32))


@pytest.mark.parametrize("statistics", [None, MATCHED], ids=["as solved", "matched"])
@pytest.mark.parametrize("how", ["raw", "l2", "centred"])
def test_a_description_whose_length_overflows_is_refused(how, statistics):
    descriptions = np.full((1, 2, K), 0.5, np.float32)
    descriptions[0, 1] = 3e38
    with pytest.raises(tf.errors.InvalidArgumentError, match="descriptions must not be so large"):
        _asked(_formula(how, statistics), _features(1), descriptions)


def test_no_description_gives_no_logit():
    assert _asked(_formula("centred"), _features(2), np.zeros((2, 0, K), np.float32)).shape == (2, 0)
