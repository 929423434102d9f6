import numpy as np
from scipy.optimize import minimize

from niwt_tf.explain.inverse_map import Directions, cosine_form
from niwt_tf.metrics.ranks import unit


def _data():
    random = np.random.default_rng(4)
    return random.standard_normal((12, 3)) + 5.0, random.standard_normal((12, 4))


def _loss(predicted, targets):
    return float(np.mean(1.0 - (unit(predicted) * unit(targets)).sum(axis=1)))


def test_directions_hold_the_deviations():
    inputs, _ = _data()
    directions = Directions.of(inputs)
    np.testing.assert_allclose(directions.coordinates @ directions.basis, inputs - inputs.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(directions.of_others(inputs), directions.coordinates, atol=1e-12)
    # As many as there are classes, less the mean, however many inputs there are.
    assert Directions.of(np.random.default_rng(0).standard_normal((5, 100))).basis.shape == (4, 100)


def test_cosine_form_descends_to_the_minimum_of_its_loss():
    inputs, targets = _data()
    directions = Directions.of(inputs)
    x = directions.coordinates
    losses = [_loss(x @ weights, targets) for weights in cosine_form(directions, targets, (1, 20, 100, 2000))]
    assert losses == sorted(losses, reverse=True)
    least = minimize(lambda weights: _loss(x @ weights.reshape(3, 4), targets), (x.T @ targets).ravel()).fun
    np.testing.assert_allclose(losses[-1], least, atol=1e-4)


def test_cosine_form_has_the_length_with_the_smallest_squared_error():
    inputs, targets = _data()
    directions = Directions.of(inputs)
    (weights,) = cosine_form(directions, 3.0 * targets, (10,))
    predicted = directions.coordinates @ weights
    errors = [np.square(length * predicted - 3.0 * targets).sum() for length in (0.99, 1.0, 1.01)]
    assert errors[1] < min(errors[0], errors[2])
