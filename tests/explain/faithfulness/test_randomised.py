import numpy as np

from niwt_tf.explain.perturbing import with_shuffled_weights
from niwt_tf.models.backbones import build_network


def test_every_array_is_shuffled_and_the_network_is_left_alone():
    network = build_network("small_vgg", ("a", "b", "c"), input_size=32)
    before = [weights.copy() for weights in network.model.get_weights()]
    shuffled = with_shuffled_weights(network, 0)
    for old, now, mixed in zip(before, network.model.get_weights(), shuffled.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
        np.testing.assert_array_equal(np.sort(old.ravel()), np.sort(mixed.ravel()))
        assert np.ptp(old) == 0 or np.any(old != mixed)
    again = with_shuffled_weights(network, 0).model.get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(again, shuffled.model.get_weights(), strict=True))
