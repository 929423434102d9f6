"""A baseline's columns by numpy, in a graph and from its file: three ways to the same logits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.config.names import METHOD_MODULES
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.baselines.column_network import ColumnNetwork, Layer
from niwt_tf.methods.formula import ColumnFormula
from niwt_tf.methods.registry import method_of
from niwt_tf.serving.bundle.bundle import formula_variables
from tests.methods.baselines.linear_world import SMALL, linear_world
from tests.shared import further

HOWS = ("raw", "l2", "centred")


def test_every_baseline_with_columns_is_here():
    assert set(SMALL) == {name for name in METHOD_MODULES if not method_of(name).reads_texts} - {"niwt", "random", "cvae"}


@pytest.fixture(scope="module", params=SMALL)
def fitted(request):
    """Return a world and a baseline that is fitted on it."""
    method = method_of(request.param)
    world = linear_world(method.features[0], images=6)
    return world, world.fit(method, **SMALL[request.param])


def _raw(count: int = 7) -> np.ndarray:
    """Return raw descriptions, neither centred nor of length 1."""
    return (3 * np.random.default_rng(5).normal(size=(count, 4)) + 1).astype(np.float32)


def _logits(formula: ColumnFormula, features, described, jit: bool | None) -> np.ndarray:
    """Return logits of descriptions [B, M, K] by a graph, compiled by XLA or not, or eagerly."""
    variables = {name: tf.Variable(value) for name, value in formula_variables(formula).items()}

    def ask(rows, asked):
        return formula.logits(rows, asked, variables)

    function = ask if jit is None else tf.function(ask, jit_compile=jit)
    return function(tf.constant(features), tf.constant(described)).numpy()


def _close(found, expected):
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(np.asarray(found) / scale, np.asarray(expected) / scale, atol=1e-4)


@pytest.mark.parametrize("how", [HOWS[0], *further(*HOWS[1:])])
def test_numpy_graph_and_file_agree(fitted, how, tmp_path):
    world, model = fitted
    raw, features = _raw(), world.unseen_features[:5]
    normaliser = DescriptionNormaliser.fit(raw, how)
    formula = model.formula(normaliser)
    columns, biases = model.columns(normaliser(raw))
    assert (columns.dtype, biases.dtype, columns.shape, biases.shape) == (np.float32, np.float32, (10, 7), (7,))
    np.testing.assert_allclose(formula(raw)[0], columns, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(formula(raw)[1], biases, rtol=1e-6, atol=1e-7)
    expected, described = features @ columns + biases, np.tile(raw, (5, 1, 1))
    for jit in (None, False):
        _close(_logits(formula, features, described, jit), expected)
    np.savez(tmp_path / "formula.npz", **formula.arrays())
    with np.load(tmp_path / "formula.npz", allow_pickle=False) as file:
        again = type(formula).from_arrays(dict(file))
    for before, after in zip(formula(raw), again(raw), strict=True):
        np.testing.assert_array_equal(before, after)
    _close(_logits(again, features, described, True), expected)


def test_classes_do_not_depend_on_each_other_and_each_image_has_its_own(fitted):
    world, model = fitted
    formula, features = model.formula(DescriptionNormaliser.fit(_raw(), "centred")), world.unseen_features[:3]
    described = _raw(6).reshape(3, 2, 4)
    found = _logits(formula, features, described, False)
    for row, asked, answer in zip(features, described, found, strict=True):
        for place in range(2):
            columns, biases = formula(asked[place : place + 1])
            _close(answer[place], (row @ columns + biases)[0])


def _network(output: str, how: str = "raw", scale: float = 1.0, activation: str = "none") -> ColumnNetwork:
    centre = np.array([1.0, 0.0], np.float32) if how == "centred" else np.zeros(2, np.float32)
    weights, bias = np.float32([[1, 0, 2], [0, -1, 1]]), np.float32([0, 1, 0])
    return ColumnNetwork(DescriptionNormaliser(how, centre), (Layer(weights, bias, activation),), output, scale)


@pytest.mark.parametrize("jit", [None, True])
@pytest.mark.parametrize(
    ("output", "column", "bias"),
    [
        # k = (2, 3): units (2, -3 + 1, 4 + 3) = (2, -2, 7), of length sqrt(57).
        ("plain", [2, -2, 7], 0),
        ("nearest", [4, -4, 14], -57),
        ("cosine", np.array([8, -8, 28]) / np.sqrt(57), 0),
    ],
)
def test_units_become_a_column_by_hand(output, column, bias, jit):
    formula = _network(output, scale=4.0)
    columns, biases = formula(np.float32([[2, 3]]))
    np.testing.assert_allclose(columns[:, 0], column, rtol=1e-6)
    np.testing.assert_allclose(biases, [bias], rtol=1e-6)
    features = np.float32([[1.0, 0.5, -1.0]])
    _close(_logits(formula, features, np.float32([[[2, 3]]]), jit), [[features[0] @ column + bias]])


@pytest.mark.parametrize(("activation", "units"), [("relu", [2, 0, 7]), ("softmax", np.exp([-5, -9, 0]))])
def test_activations_by_hand(activation, units):
    expected = np.array(units) / (sum(units) if activation == "softmax" else 1)
    formula = _network("plain", activation=activation)
    np.testing.assert_allclose(formula(np.float32([[2, 3]]))[0][:, 0], expected, rtol=1e-5)
    for feature in range(3):
        row = np.eye(3, dtype=np.float32)[feature : feature + 1]
        assert _logits(formula, row, np.float32([[[2, 3]]]), None)[0, 0] == pytest.approx(expected[feature], rel=1e-5)


def test_descriptions_are_normalised_by_hand():
    # k = (4, 4) less (1, 0) is (3, 4), of length 5.
    np.testing.assert_allclose(_network("plain", "centred")(np.float32([[4, 4]]))[0][:, 0], [0.6, 0.2, 2.0], rtol=1e-6)
    # k = (3, 4) has length 5 as it is.
    np.testing.assert_allclose(_network("plain", "l2")(np.float32([[3, 4]]))[0][:, 0], [0.6, 0.2, 2.0], rtol=1e-6)


@pytest.mark.parametrize("jit", [True, *further(False)])
@pytest.mark.parametrize("output", ["plain", "nearest", "cosine"])
@pytest.mark.parametrize("how", HOWS)
def test_what_is_described_as_nothing_in_particular_is_no_nan(output, how, jit):
    formula = _network(output, how)
    silent = replace(formula, layers=(replace(formula.layers[0], bias=np.zeros(3, np.float32)),))
    nothing = silent.normaliser.centre[None]
    columns, biases = silent(nothing)
    assert np.isfinite(columns).all() and np.isfinite(biases).all()
    features = np.float32([[1, 2, 3]])
    _close(_logits(silent, features, nothing[None], jit), features @ columns + biases)


@pytest.mark.parametrize("output", ["plain", "nearest", "cosine"])
@pytest.mark.parametrize("how", HOWS)
def test_a_description_that_is_too_large_is_refused_and_not_taken_for_none(output, how):
    described = np.full((1, 2, 2), 0.5, np.float32)
    described[0, 1] = 3e38
    with pytest.raises(tf.errors.InvalidArgumentError, match="descriptions must not be so large"):
        _logits(_network(output, how), np.float32([[1, 2, 3]]), described, False)


def test_no_description_gives_no_logit():
    assert _logits(_network("cosine"), np.zeros((2, 3), np.float32), np.zeros((2, 0, 2), np.float32), False).shape == (2, 0)


def test_normalised_descriptions_are_taken_as_they_are():
    formula, own = _network("plain"), _raw()[:, :2]
    np.testing.assert_array_equal(replace(formula, how=None)(own)[0], formula(own)[0])
    assert formula.num_entries == replace(formula, how=None).num_entries == 2
    np.testing.assert_array_equal(replace(formula, how=None).arrays()["centre"], np.zeros(2))


def test_what_is_built_in_and_what_is_a_variable():
    formula = _network("cosine", "centred", 4.0, "relu")
    assert set(formula.fixed) | set(formula_variables(formula)) == set(formula.arrays())
    assert set(formula_variables(formula)) == {"centre", "weights_0", "bias_0"}


@pytest.mark.parametrize("output", ["plain", "nearest", "cosine"])
@pytest.mark.parametrize("how", HOWS)
def test_an_edited_logit_is_that_of_the_column_of_the_edited_description(output, how):
    formula, features = _network(output, how, 4.0), np.random.default_rng(1).normal(size=3)
    description = np.array([0.7, -0.2])
    attributes, changes = np.array([[0, 1], [1, 0], [1, 1]]), np.array([[0.5, -0.3], [1.0, 0.25], [2.0, 0.0]])
    found = formula.edited(features, description)(attributes, changes)
    edited = description + np.array([[0.5, -0.3], [0.25, 1.0], [0.0, 2.0]])
    columns, biases = formula(edited.astype(np.float32))
    np.testing.assert_allclose(found, features @ columns + biases, rtol=1e-5, atol=1e-6)
