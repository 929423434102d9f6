"""The affine form of Stages 2 and 3 against the stages one after the other."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.niwt.transfer_closed_form import Blocks, ClosedForm
from niwt_tf.methods.seen_heads import BiasForm
from niwt_tf.metrics.calibration import LogitStatistics, logit_statistics, match_logits

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


def test_a_description_that_is_edited_into_the_mean_one_has_the_logit_of_its_column():
    fitted, solution = parts()
    normaliser = DescriptionNormaliser.fit(np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], np.float32), "centred")
    formula = NiwtFormula.of(replace(fitted, normaliser=normaliser), solution, SEEN, 0.1, "mean", FEATURES, STATISTICS, 0.5)
    with np.errstate(all="raise"):
        edits = formula.edited(FEATURES[3], np.array([1.0, 0.5, 0.5], np.float32))
        found = edits._logits(np.array([[0], [1]]), np.array([[-0.5], [0.5]]))
    columns, biases = formula(np.array([[0.5, 0.5, 0.5], [1.0, 1.0, 0.5]], np.float32))
    np.testing.assert_allclose(found, FEATURES[3] @ columns + biases, rtol=1e-5, atol=1e-6)


def _of_kind(how, kind):
    fitted, solution = parts(how, (4, 7), (1.0, 0.3))
    statistics = STATISTICS if kind == "matched" else None
    form = BiasForm(FEATURES.mean(axis=0), np.cov(FEATURES.T).astype(np.float32), 0.5, 2.0) if kind == "discriminant" else None
    return fitted, solution, NiwtFormula.of(fitted, solution, SEEN, 0.1, "mean", FEATURES, statistics, 0.5, form), form


@pytest.mark.parametrize("how", ["centred", "raw"])
@pytest.mark.parametrize("kind", ["matched", "unmatched", "discriminant"])
def test_an_edited_description_has_the_logit_of_its_own_column(how, kind):
    formula = _of_kind(how, kind)[2]
    edited = formula.edited(FEATURES[3], DESCRIPTIONS[1])
    attributes, changes = np.array([[0, 2], [1, 0], [2, 1]]), np.array([[0.5, -0.25], [0.0, 1.0], [-0.5, 0.125]])
    descriptions = np.repeat(DESCRIPTIONS[1:2], 3, axis=0)
    for row, (places, added) in enumerate(zip(attributes, changes, strict=True)):
        descriptions[row, places] += added
    columns, biases = formula(descriptions)
    np.testing.assert_allclose(edited._logits(attributes, changes), FEATURES[3] @ columns + biases, rtol=1e-4, atol=1e-4)
    assert (edited.width, edited.products) == (11, 121)


def test_of_a_discriminant_the_lengths_count_and_the_bias_is_that_of_its_form():
    fitted, solution, formula, form = _of_kind("centred", "discriminant")
    columns, biases = formula(DESCRIPTIONS)
    expected = solution.columns(fitted.predict(DESCRIPTIONS), SEEN, 0.1, keep_lengths=True)
    np.testing.assert_allclose(columns, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(biases, form.biases(expected), rtol=1e-4, atol=1e-5)
    again = NiwtFormula.from_arrays(formula.arrays())
    assert again.is_discriminant and again.statistics is None
    np.testing.assert_array_equal(again(DESCRIPTIONS)[1], biases)


def test_a_bundle_of_before_discriminants_holds_none():
    formula = _of_kind("centred", "matched")[2]
    arrays = {name: value for name, value in formula.arrays().items() if name != "is_discriminant"}
    assert NiwtFormula.from_arrays(arrays).is_discriminant is False
    fields = {name: value for name, value in vars(formula).items() if name != "is_discriminant"}
    assert NiwtFormula(**fields).is_discriminant is False


@pytest.mark.parametrize("variance", [0.0, 0.25])
def test_a_logit_of_any_variance_is_matched_and_one_of_none_is_left(variance):
    """A single target entry of 1, whose logit varies by 0.5 or not at all."""
    nothing = ImportanceMap(np.zeros((1, 3), np.float32), np.ones(1, np.float32), DescriptionNormaliser("raw", np.zeros(3)))
    covariance = np.diag([variance, 0.0])
    statistics = LogitStatistics(mean=3.0, deviation=2.0)
    basis = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
    formula = NiwtFormula(nothing, Blocks.single(1), basis, np.array([0.5, 0.0]), covariance, statistics, 0.0)
    columns, biases = formula(DESCRIPTIONS[:1])
    scale = 4.0 if variance else 1.0
    assert (*columns[:, 0], *biases) == pytest.approx((scale, 0.0, 3.0 - 0.5 * scale))
    variables = {name: tf.constant(value, tf.float32) for name, value in formula.arrays().items() if value.dtype.kind == "f"}
    graph = formula.logits(tf.constant([[2.0, 0.0]]), tf.constant(DESCRIPTIONS[None, :1]), variables)
    edit = formula.edited(np.array([2.0, 0.0]), DESCRIPTIONS[0])._logits(np.array([[0]]), np.array([[0.5]]))
    np.testing.assert_allclose((graph[0, 0], edit[0]), 2.0 * scale + 3.0 - 0.5 * scale, rtol=1e-6)
