"""The affine form of Stages 2 and 3 against the stages one after the other."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.niwt.transfer_closed_form import Blocks, ClosedForm
from niwt_tf.metrics.calibration import logit_statistics, match_logits

GENERATOR = np.random.default_rng(0)
SEEN = GENERATOR.normal(size=(9, 4)).astype(np.float32)
FEATURES = np.maximum(GENERATOR.normal(size=(50, 9)), 0).astype(np.float32)
LABELS = GENERATOR.integers(0, 4, 50)
DESCRIPTIONS = GENERATOR.uniform(size=(5, 3)).astype(np.float32)
STATISTICS = logit_statistics(FEATURES, LABELS, SEEN, np.zeros(4))


def parts(how="centred", sizes=(6,), weights=(1.0,)):
    neurons = sum(sizes)
    operator = GENERATOR.normal(size=(neurons, 9)).astype(np.float32)
    fitted = ImportanceMap(
        GENERATOR.normal(size=(neurons, 3)).astype(np.float32),
        GENERATOR.normal(size=neurons).astype(np.float32),
        DescriptionNormaliser.fit(DESCRIPTIONS, how),
    )
    return fitted, ClosedForm(operator, Blocks(sizes, weights))


@pytest.mark.parametrize("how", ["centred", "l2", "raw"])
@pytest.mark.parametrize("anchor", ["mean", "zero"])
@pytest.mark.parametrize(("sizes", "weights"), [((6,), (1.0,)), ((4, 7), (1.0, 0.3))])
def test_it_is_the_map_the_solution_and_the_matching_in_one(how, sizes, weights, anchor):
    fitted, solution = parts(how, sizes, weights)
    formula = NiwtFormula.of(fitted, solution, SEEN, 0.1, anchor, FEATURES, STATISTICS, 0.5)
    columns, biases = formula(DESCRIPTIONS)
    expected = match_logits(solution.columns(fitted.predict(DESCRIPTIONS), SEEN, 0.1, anchor), FEATURES, STATISTICS)
    np.testing.assert_allclose(columns, expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(biases, expected[1], rtol=1e-4, atol=1e-5)


def test_unmatched_columns_are_as_solved():
    fitted, solution = parts()
    columns, biases = NiwtFormula.of(fitted, solution, SEEN, 0.1, "mean", FEATURES, None, 0.5)(DESCRIPTIONS)
    np.testing.assert_allclose(columns, solution.columns(fitted.predict(DESCRIPTIONS), SEEN, 0.1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(biases, np.full(5, 0.5, np.float32))


def test_classes_do_not_depend_on_each_other():
    fitted, solution = parts()
    formula = NiwtFormula.of(fitted, solution, SEEN, 0.1, "mean", FEATURES, STATISTICS, 0.0)
    together = formula(DESCRIPTIONS)[0]
    np.testing.assert_allclose(formula(DESCRIPTIONS[2:3])[0][:, 0], together[:, 2], rtol=1e-5)


@pytest.mark.parametrize("statistics", [STATISTICS, None])
def test_arrays_bring_it_back(tmp_path, statistics):
    fitted, solution = parts(sizes=(4, 7), weights=(1.0, 0.3))
    formula = NiwtFormula.of(fitted, solution, SEEN, 0.1, "mean", FEATURES, statistics, 0.5)
    np.savez(tmp_path / "formula.npz", **formula.arrays())
    with np.load(tmp_path / "formula.npz", allow_pickle=False) as file:
        again = NiwtFormula.from_arrays(dict(file))
    for before, after in zip(formula(DESCRIPTIONS), again(DESCRIPTIONS), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_description_that_predicts_nothing_gives_no_nan():
    fitted, solution = parts("raw")
    silent = ImportanceMap(np.zeros_like(fitted.weights), np.zeros_like(fitted.bias), fitted.normaliser)
    columns, biases = NiwtFormula.of(silent, solution, SEEN, 0.1, "mean", FEATURES, STATISTICS, 0.0)(DESCRIPTIONS)
    assert np.isfinite(columns).all() and np.isfinite(biases).all()


@pytest.mark.parametrize("how", ["centred", "l2", "raw"])
@pytest.mark.parametrize("kind", ["matched", "unmatched", "discriminant"])
def test_the_graph_gives_the_logits_of_the_columns(how, kind):
    fitted, solution = parts(how, (4, 7), (1.0, 0.3))
    statistics = STATISTICS if kind == "matched" else None
    formula = NiwtFormula.of(fitted, solution, SEEN, 0.1, "mean", FEATURES, statistics, 0.5)
    if kind == "discriminant":
        size = len(formula.covariance)
        half = GENERATOR.normal(size=(size, size))
        formula = replace(formula, is_discriminant=True, means=GENERATOR.normal(size=size), covariance=half @ half.T)
    variables = {name: tf.constant(value, tf.float32) for name, value in formula.arrays().items() if value.dtype.kind == "f"}
    columns, biases = formula(DESCRIPTIONS)
    found = formula.logits(tf.constant(FEATURES, tf.float32), tf.constant(np.tile(DESCRIPTIONS, (50, 1, 1))), variables)
    np.testing.assert_allclose(found, FEATURES @ columns + biases, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("statistics", [STATISTICS, None])
def test_an_edited_description_that_predicts_nothing_has_the_logit_of_its_column(statistics):
    fitted, solution = parts("raw")
    silent = ImportanceMap(np.zeros_like(fitted.weights), np.zeros_like(fitted.bias), fitted.normaliser)
    formula = NiwtFormula.of(silent, solution, SEEN, 0.1, "zero", FEATURES, statistics, 0.5)
    columns, biases = formula(DESCRIPTIONS[:1])
    with np.errstate(all="raise"):
        found = formula.edited(FEATURES[3], DESCRIPTIONS[0])._logits(np.array([[0], [2]]), np.array([[0.5], [-0.1]]))
    np.testing.assert_allclose(found, np.repeat(FEATURES[3] @ columns + biases, 2), rtol=1e-5, atol=1e-6)
    variables = {name: tf.constant(value, tf.float32) for name, value in formula.arrays().items() if value.dtype.kind == "f"}
    features, given = (tf.constant(each, tf.float32) for each in (FEATURES[3:4], DESCRIPTIONS[None, :1]))
    graph = formula.logits(features, given, variables)
    np.testing.assert_allclose(graph[0], FEATURES[3] @ columns + biases, rtol=1e-5, atol=1e-6)
