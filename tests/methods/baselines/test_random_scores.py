import numpy as np
import pytest

from niwt_tf.config.names import HEADS
from niwt_tf.methods.base import LinearScorer, Sample
from niwt_tf.methods.baselines.random_scores import METHOD


def test_is_at_chance_and_follows_the_seed():
    labels = np.repeat(np.arange(4), 1000)
    features, descriptions = np.zeros((4000, 2), np.float32), np.zeros((2, 3))

    def scores(seed):
        return METHOD.fit(Sample(features, labels, seed), descriptions, {}).scores(features, descriptions, descriptions)

    found = scores(0)
    assert found.shape == (4000, 4)
    assert (found.argmax(axis=1) == labels).mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(found, scores(0))
    assert (found != scores(1)).any()


def test_chance_has_no_columns_and_cannot_be_a_head():
    sample = Sample(np.zeros((2, 2), np.float32), np.arange(2))
    fitted = METHOD.fit(sample, np.zeros((2, 3)), {})
    assert not isinstance(fitted, LinearScorer)
    assert not hasattr(fitted, "columns")
    assert METHOD.name not in HEADS
