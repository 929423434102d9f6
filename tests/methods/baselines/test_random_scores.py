import numpy as np
import pytest

from niwt_tf.config.names import network_methods
from niwt_tf.data.schema import Descriptions, Images
from niwt_tf.methods.baselines.random_scores import METHOD, RandomGenerator


def _scores(seed):
    generator = RandomGenerator(np.random.default_rng([seed, 19]), 2)
    images = Images("", tuple(map(str, range(4000))), np.repeat(np.arange(4), 1000), ("a", "b", "c", "d"))
    return generator.generate(Descriptions(("c", "d"), np.zeros((2, 3)))).scores(None, images), images.labels


def test_is_at_chance_and_follows_the_seed():
    found, labels = _scores(0)
    assert found.shape == (4000, 4)
    assert (found.argmax(axis=1) == labels).mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(found, _scores(0)[0])
    assert (found != _scores(1)[0]).any()


def test_chance_has_no_formula_and_makes_no_network():
    generator = RandomGenerator(np.random.default_rng(0), 2)
    assert generator.formula is None
    with pytest.raises(TypeError, match="a floor to compare with"):
        generator.generate(Descriptions(("c",), np.zeros((1, 3)))).apply(None)
    assert METHOD.name not in network_methods()
