"""Columns from one decomposition: against the normal equations, at the limits, and where the system is singular."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niwt_tf.methods.niwt.transfer import TransferOptions, transfer_columns
from niwt_tf.methods.niwt.transfer_by_operator import transfer_by_operator
from niwt_tf.methods.niwt.transfer_closed_form import Blocks, ClosedForm, mean_cosine
from niwt_tf.methods.operators import mean_operators, tail_operator


def normal_equations(operator, importances, seen, strength):
    length = np.linalg.norm(operator @ seen, axis=0).mean()
    targets = length * importances.T / np.linalg.norm(importances, axis=1)
    mean, penalty = seen.mean(axis=1, keepdims=True), strength * np.trace(operator @ operator.T) / len(operator)
    left = operator.T @ operator + penalty * np.eye(operator.shape[1])
    return np.linalg.solve(left, operator.T @ targets + penalty * mean)


def test_the_zero_anchor_is_plain_ridge_regression_of_the_target():
    generator = np.random.default_rng(9)
    operator, seen, importances = generator.normal(size=(5, 8)), generator.normal(size=(8, 6)), generator.normal(size=(2, 5))
    solution = ClosedForm(operator)
    found = solution.columns(importances, seen, 0.3, "zero")
    target, scaled = solution.targets(importances, seen).T, solution.operator
    unit = np.trace(scaled @ scaled.T) / 5
    expected = np.linalg.solve(scaled.T @ scaled + 0.3 * unit * np.eye(8), scaled.T @ target)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6)])
@pytest.mark.parametrize("strength", [1e-3, 0.3, 10.0])
def test_columns_equal_the_normal_equations(shape, strength):
    generator = np.random.default_rng(1)
    operator, seen = generator.normal(size=shape), generator.normal(size=(shape[1], 6))
    importances = generator.normal(size=(2, shape[0]))
    found = ClosedForm(operator).columns(importances, seen, strength)
    np.testing.assert_allclose(found, normal_equations(operator, importances, seen, strength), rtol=1e-4, atol=1e-6)


def test_one_decomposition_serves_the_whole_path():
    generator = np.random.default_rng(4)
    operator, seen, importances = generator.normal(size=(5, 8)), generator.normal(size=(8, 6)), generator.normal(size=(3, 5))
    solution = ClosedForm(operator)
    mean = seen.mean(axis=1)
    for strength in (1e-4, 1e-2, 1.0):
        expected = normal_equations(operator, importances, seen, strength)
        np.testing.assert_allclose(solution.columns(importances, seen, strength), expected, rtol=1e-4, atol=1e-6)
        missing = solution.targets(importances, seen) - solution.operator @ mean
        through = mean[:, None] + solution.gain(strength) @ missing.T
        np.testing.assert_allclose(through, expected, rtol=1e-6)


def test_limits_of_lambda():
    generator = np.random.default_rng(2)
    operator, seen, importances = generator.normal(size=(5, 8)), generator.normal(size=(8, 6)), generator.normal(size=(3, 5))
    solution = ClosedForm(operator)
    exact, held = (solution.columns(importances, seen, strength) for strength in (1e-9, 1e9))
    assert mean_cosine(operator, exact, importances) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(held, np.repeat(seen.mean(axis=1, keepdims=True), 3, axis=1), atol=1e-5)


@pytest.mark.slow
def test_every_engine_finds_the_same_directions_where_the_tail_is_linear():
    generator = np.random.default_rng(3)
    inputs = keras.Input((2, 2, 4))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    tail = keras.Model(inputs, keras.layers.Dense(4, use_bias=False)(pooled))
    tail.layers[-1].set_weights([generator.normal(size=(4, 4)).astype(np.float32) + 2 * np.eye(4, dtype=np.float32)])
    maps = generator.normal(size=(3, 2, 2, 4)).astype(np.float32)
    seen, importances = generator.normal(size=(4, 5)).astype(np.float32), generator.normal(size=(2, 4)).astype(np.float32)
    operator = mean_operators(tail, maps, np.ones((1, 3), bool))[0]
    options = TransferOptions(regularization=1e-9, learning_rate=0.02, batch_size=6, max_steps=1500, patience=1500)
    taped = transfer_columns(tail, maps, importances, seen, np.zeros(5), options).columns
    descended = transfer_by_operator(tail_operator(tail, maps), importances, seen, np.zeros(5), options).columns
    solved = ClosedForm(operator).columns(importances, seen, 1e-9)
    for other in (taped, descended):
        for one, closed in zip(other.T, solved.T, strict=True):
            assert one @ closed / np.linalg.norm(one) / np.linalg.norm(closed) > 0.999


def test_a_singular_system_is_regularised_and_said_so(caplog):
    generator = np.random.default_rng(5)
    operator = generator.normal(size=(2, 8))[[0, 0, 1, 1]]  # rank 2 of 4
    with caplog.at_level("WARNING", logger="niwt_tf"):
        columns = ClosedForm(operator).columns(generator.normal(size=(2, 4)), generator.normal(size=(8, 3)), 1e-15)
    assert np.isfinite(columns).all()
    gram = operator @ operator.T
    raised = 1e-12 * np.linalg.eigvalsh(gram).max() / (np.trace(gram) / 4)
    assert f"singular (rank 2 of 4). lambda 1e-15 is raised to {raised:g}." in caplog.text


def test_a_world_without_importance_is_said_once(caplog):
    solution = ClosedForm(np.zeros((3, 4)))
    with caplog.at_level("WARNING", logger="niwt_tf"):
        for _ in range(2):
            solution.columns(np.ones((1, 3)), np.ones((4, 2)), 0.1)
    assert caplog.text.count("no neuron matters") == 1


def test_dead_neurons_and_zero_importances_are_no_nan():
    generator = np.random.default_rng(6)
    operator, seen = generator.normal(size=(4, 8)), generator.normal(size=(8, 3))
    operator[1] = 0.0
    importances = np.vstack([np.zeros(4), generator.normal(size=4)])
    solution = ClosedForm(operator)
    assert np.isfinite(solution.columns(importances, seen, 0.1)).all()
    assert np.isfinite(mean_cosine(operator, solution.columns(importances, seen, 0.1), importances))
    dead = ClosedForm(np.zeros((4, 8))).columns(importances, seen, 0.1)
    np.testing.assert_allclose(dead, np.repeat(seen.mean(axis=1, keepdims=True), 2, axis=1), rtol=1e-6)


def test_blocks_are_weighted_least_squares_over_the_layers():
    """Two layers: each divided by its operator's norm and multiplied by its weight, then the plain problem."""
    generator = np.random.default_rng(7)
    first, second, seen = generator.normal(size=(3, 8)), 50 * generator.normal(size=(4, 8)), generator.normal(size=(8, 5))
    importances = generator.normal(size=(2, 7))
    found = ClosedForm(np.vstack([first, second]), Blocks((3, 4), (1.0, 0.3))).columns(importances, seen, 0.2)
    parts, targets = [], []
    for operator, wanted, weight in ((first, importances[:, :3], 1.0), (second, importances[:, 3:], 0.3)):
        scaled = weight * operator / np.linalg.norm(operator)
        parts.append(scaled)
        targets.append(np.linalg.norm(scaled @ seen, axis=0).mean() * wanted.T / np.linalg.norm(wanted, axis=1))
    stacked, target = np.vstack(parts), np.vstack(targets)
    mean, penalty = seen.mean(axis=1, keepdims=True), 0.2 * np.trace(stacked @ stacked.T) / 7
    expected = np.linalg.solve(stacked.T @ stacked + penalty * np.eye(8), stacked.T @ target + penalty * mean)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_layer_of_weight_0_is_left_out():
    generator = np.random.default_rng(8)
    first, second, seen = generator.normal(size=(3, 8)), generator.normal(size=(3, 8)), generator.normal(size=(8, 5))
    importances = generator.normal(size=(2, 6))
    both = ClosedForm(np.vstack([first, second]), Blocks((3, 3), (1.0, 0.0))).columns(importances, seen, 0.2)
    alone = ClosedForm(first).columns(importances[:, :3], seen, 0.2)
    np.testing.assert_allclose(both, alone, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.floats(1e-3, 10.0), st.integers(0, 10_000))
def test_no_other_column_is_better(neurons, features, strength, seed):
    """The objective at the solution is not above that of a nearby column."""
    generator = np.random.default_rng(seed)
    operator, seen = generator.normal(size=(neurons, features)), generator.normal(size=(features, 3))
    importances = generator.normal(size=(1, neurons))
    solution = ClosedForm(operator)
    target, unit = solution.targets(importances, seen)[0], np.trace(solution.operator @ solution.operator.T) / neurons

    def objective(column):
        return np.sum((solution.operator @ column - target) ** 2) + strength * unit * np.sum((column - seen.mean(axis=1)) ** 2)

    best = solution.columns(importances, seen, strength)[:, 0].astype(np.float64)
    other = best + 1e-2 * generator.normal(size=features)
    assert objective(best) <= objective(other) + 1e-6 * max(1.0, objective(other))


def test_the_mean_cosine_weighs_blocks():
    """Of two blocks of two neurons the first is matched wholly, the second not at all."""
    columns, importances = np.array([[2.0], [0.0], [0.0], [3.0]]), np.array([[5.0, 0.0, 1.0, 0.0]])
    assert mean_cosine(np.eye(4), columns, importances, Blocks((2, 2), (3.0, 1.0))) == pytest.approx(0.75)
    assert mean_cosine(np.eye(4), columns, importances, Blocks((2, 2), (1.0, 1.0))) == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(), (2,), (2, 2)])
def test_each_block_of_one_importance_or_of_many_has_length_1(shape):
    raw = np.tile(np.array([3.0, 4.0, 2.0, 0.0]), (*shape, 1))
    raw *= np.arange(1, 1 + np.prod(shape, dtype=int)).reshape((*shape, 1))
    unit = Blocks((2, 1, 1), (1.0, 1.0, 1.0)).unit(raw)
    np.testing.assert_allclose(unit, np.tile([0.6, 0.8, 1.0, 0.0], (*shape, 1)))


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (1, 1)])
def test_one_neuron_or_one_feature_is_solved_too(shape):
    generator = np.random.default_rng(11)
    operator, seen, importances = generator.normal(size=shape), generator.normal(size=(shape[1], 4)), np.ones((2, shape[0]))
    found = ClosedForm(operator).columns(importances, seen, 0.3)
    # An operator is brought to length 1, so that its own scale is without effect.
    expected = normal_equations(operator / np.linalg.norm(operator), importances, seen, 0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(ClosedForm(1e-3 * operator).columns(importances, seen, 0.3), found, rtol=1e-5)


def test_small_importances_have_length_1_and_those_given_stay_as_they_are():
    given = np.array([[0.03, 0.04, 0.5]])
    np.testing.assert_allclose(Blocks((2, 1), (1.0, 1.0)).unit(given), [[0.6, 0.8, 1.0]])
    np.testing.assert_array_equal(given, [[0.03, 0.04, 0.5]])


def test_without_any_block_that_counts_columns_stay_at_the_anchor():
    seen = np.random.default_rng(0).normal(size=(4, 3))
    found = ClosedForm(np.ones((2, 4)), Blocks((1, 1), (0.0, 0.0))).columns(np.ones((1, 2)), seen, 0.1)
    np.testing.assert_allclose(found[:, 0], seen.mean(axis=1), rtol=1e-6)


def test_lengths_count_only_where_that_is_asked_for():
    generator = np.random.default_rng(12)
    solution, seen = ClosedForm(generator.normal(size=(3, 5))), generator.normal(size=(5, 4))
    importances = generator.normal(size=(2, 3))
    once, twice = (solution.columns(factor * importances, seen, 0.2) for factor in (1.0, 2.0))
    np.testing.assert_allclose(once, twice, rtol=1e-6)
    np.testing.assert_allclose(solution.targets(importances, seen), solution.targets(2 * importances, seen))
    kept = [solution.columns(factor * importances, seen, 0.2, "zero", keep_lengths=True) for factor in (1.0, 2.0)]
    np.testing.assert_allclose(2 * kept[0], kept[1], rtol=1e-6)


def test_only_where_lambda_is_below_rounding_a_singular_system_is_regularised_more(caplog):
    operator = np.random.default_rng(5).normal(size=(2, 8))[[0, 0, 1, 1]]
    with caplog.at_level("WARNING", logger="niwt_tf"):
        singular, whole = ClosedForm(operator), ClosedForm(operator[[0, 2]])
        assert (singular.rank, whole.rank) == (2, 2)
        singular.columns(np.ones((1, 4)), np.ones((8, 2)), 0.1)
        whole.columns(np.ones((1, 2)), np.ones((8, 2)), 1e-15)
    assert not caplog.records


def test_cosines_are_weighted_by_their_layers():
    generator = np.random.default_rng(13)
    operator, columns, importances = generator.normal(size=(5, 4)), generator.normal(size=(4, 2)), generator.normal(size=(2, 5))
    reached, cosines = (operator @ columns).T, []
    for rows in (slice(0, 2), slice(2, 5)):
        one, other = reached[:, rows], importances[:, rows]
        cosines.append(np.mean((one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)))
    found = mean_cosine(operator, columns, importances, Blocks((2, 3), (1.0, 0.3)))
    assert found == pytest.approx((cosines[0] + 0.3 * cosines[1]) / 1.3)


def test_no_eigenvalue_is_below_0_by_a_rounding():
    lowest = []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        solution = ClosedForm(np.outer(generator.normal(size=5), generator.normal(size=7)))
        lowest.append(np.linalg.eigvalsh(solution.operator @ solution.operator.T).min())
        assert solution._values.min() >= 0 and solution.rank == 1
    assert min(lowest) < 0
