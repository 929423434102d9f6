import numpy as np

from niwt_tf.methods.baselines.dem import DEM, METHOD
from niwt_tf.methods.baselines.linear import Sample
from tests.methods.baselines.linear_world import fit_one, linear_world, scores_of

SMALL = {"hidden": 32.0, "learning_rate": 1e-2, "weight_decay": 1e-5, "steps": 400.0}


def _network(rectified):
    first = np.array([[1.0, -1.0], [0.0, 2.0]], np.float32)
    last = np.array([[1.0, 0.0, -1.0], [0.5, 1.0, 1.0]], np.float32)
    return DEM((first, np.float32([0, 1]), last, np.float32([0, -1, 0])), 2.0, rectified)


def test_points_by_hand():
    """k = (1, 0): units (1, 0), so (1, -1, -1) before the last ReLU; k = (0, 1): units (0, 3), so (1.5, 2, 3); both doubled."""
    descriptions = np.eye(2, dtype=np.float32)
    np.testing.assert_allclose(_network(False).formula().units(descriptions), [[2, -2, -2], [3, 4, 6]])
    np.testing.assert_allclose(_network(True).formula().units(descriptions), [[2, 0, 0], [3, 4, 6]])


def test_the_linear_form_is_the_nearest_neighbour():
    generator = np.random.default_rng(0)
    fitted, descriptions = _network(True), generator.normal(size=(7, 2)).astype(np.float32)
    features = generator.normal(size=(50, 3)).astype(np.float32)
    scores = scores_of(fitted, features, descriptions[:4], descriptions[4:])
    distances = ((features[:, None] - fitted.formula().units(descriptions)[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(scores - (features**2).sum(axis=1, keepdims=True), -distances, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(scores.argmax(axis=1), distances.argmin(axis=1))


def test_the_first_step_goes_down_the_error_of_the_images(monkeypatch):
    """Adam's first step is the rate times the gradient's sign; the gradient is taken by hand over images, not class means."""
    sample = Sample(np.array([[1.0, 4.0], [3.0, 0.0], [2.0, 2.0]], np.float32), np.array([0, 0, 1]))
    start = [np.eye(2, dtype=np.float32), np.zeros(2, np.float32), np.ones((2, 2), np.float32), np.zeros(2, np.float32)]
    monkeypatch.setattr("niwt_tf.methods.baselines.dem.initial_weights", lambda *_: start)
    one = {"hidden": 2.0, "learning_rate": 0.01, "weight_decay": 0.0, "steps": 1.0}
    fitted = fit_one(METHOD, sample, np.eye(2, dtype=np.float32), one)
    scaled = sample.features / np.sqrt((sample.features**2).mean())
    errors = 1.0 - scaled  # every point is (1, 1), before and after the ReLUs
    gradient = np.stack([errors[:2].sum(axis=0), errors[2]])  # [class, feature]; a unit is on for its class alone
    np.testing.assert_allclose(fitted.weights[2], 1 - 0.01 * np.sign(gradient), atol=1e-5)
    np.testing.assert_allclose(fitted.weights[3], -0.01 * np.sign(gradient.sum(axis=0)), atol=1e-5)


def test_points_meet_the_class_means_and_classify_unseen_classes():
    world = linear_world()
    fitted = world.fit(METHOD, **SMALL)
    assert np.abs(fitted.formula().units(world.seen) - world.sample.class_means).max() < 0.15
    assert not fitted.rectified
    assert world.unseen_accuracy(fitted) > 0.8


def test_where_nothing_can_be_chosen_the_first_candidate_is_a_trained_one():
    world = linear_world()
    fitted = world.fit(METHOD)
    apart = np.linalg.norm(world.sample.class_means - world.sample.class_means.mean(axis=0), axis=1)
    errors = np.linalg.norm(fitted.formula().units(world.seen) - world.sample.class_means, axis=1)
    assert (errors < 0.2 * apart).all()
