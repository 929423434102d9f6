import numpy as np
import pytest

from niwt_tf.methods.niwt.mapping import fit_ridge_map
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.niwt.transfer_closed_form import ClosedForm
from niwt_tf.methods.seen_heads import DiscriminantPath, RidgeMoments


@pytest.fixture(scope="module")
def world():
    """Return features [M, D] with labels [M] of 4 classes of different size."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [10, 25, 40, 15])
    means = random.normal(size=(4, 6))
    return means[labels] + 0.3 * random.normal(size=(len(labels), 6)) @ random.normal(size=(6, 6)), labels


@pytest.fixture(scope="module")
def path(world):
    features, labels = world
    moments = RidgeMoments(6, np.bincount(labels))
    moments.add(features, labels)
    return DiscriminantPath(moments)


def test_logits_are_those_of_normal_distributions_of_one_covariance(world, path):
    features, labels = world
    columns, biases, form = path.solve(0.7)
    means = np.stack([features[labels == c].mean(axis=0) for c in range(4)])
    rests = [features[labels == c] - means[c] for c in range(4)]
    within = np.mean([rest.T @ rest / len(rest) for rest in rests], axis=0)
    covariance = within + 0.7 * np.trace(within) / 6 * np.eye(6)
    differences = features[:, None] - means
    densities = -0.5 * np.einsum("mcd,de,mce->mc", differences, np.linalg.inv(covariance), differences)
    logits = features @ columns + biases
    np.testing.assert_allclose(logits - logits[:, :1], densities - densities[:, :1], rtol=1e-3, atol=1e-4)


def test_a_bias_follows_from_its_column(path):
    columns, biases, form = path.solve(2.0)
    np.testing.assert_allclose(form.biases(columns), biases, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.diag(form.quadratic(columns)) / -2 - form.centre @ columns, biases, rtol=1e-4, atol=1e-5)


def test_strong_shrinkage_is_the_nearest_class_mean(world, path):
    features, labels = world
    columns, biases, _ = path.solve(1e6)
    means = np.stack([features[labels == c].mean(axis=0) for c in range(4)])
    nearest = ((features[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal((1e6 * (features @ columns + biases)).argmax(axis=1), nearest)


def test_seen_columns_come_back_with_their_biases_from_their_importances(world, path):
    """Where the map predicts exactly and lambda is small, a seen class described anew is the seen class again."""
    features, _ = world
    random = np.random.default_rng(1)
    operator, descriptions = random.normal(size=(9, 6)), np.eye(4, dtype=np.float32)
    columns, biases, form = path.solve(1.0)
    importances = (operator @ columns).T
    exact = fit_ridge_map(descriptions, importances, regularizations=(1e-9,))
    solution = ClosedForm(operator)
    made = NiwtFormula.of(exact, solution, columns, 1e-9, "mean", features, None, 0.0, form=form)
    found = made(descriptions)
    np.testing.assert_allclose(found[0], columns, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[1], biases, rtol=1e-3, atol=1e-3)
    kept = NiwtFormula.from_arrays(made.arrays())
    np.testing.assert_array_equal(kept(descriptions)[1], found[1])
    other = solution.columns(exact.predict(descriptions), columns, 1e-9, keep_lengths=True)
    np.testing.assert_allclose(other, found[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shrinkage", [0.1, 10.0])
def test_images_of_a_class_that_are_all_the_same_leave_the_nearest_class_mean(shrinkage):
    """The covariance within classes is 0 but for rounding, which alone has no Cholesky factor."""
    means = np.random.default_rng(0).normal(0, 100, (3, 60))
    labels = np.repeat(np.arange(3), 3)
    moments = RidgeMoments(60, np.bincount(labels))
    moments.add(means[labels], labels)
    columns, _, _ = DiscriminantPath(moments).solve(shrinkage)
    centred = means - means.mean(axis=0)
    cosines = (columns.T * centred).sum(axis=1) / np.linalg.norm(columns, axis=0) / np.linalg.norm(centred, axis=1)
    assert (cosines > 0.98).all()
