"""Estimates before anything is computed: counted by hand, and in the order that was measured."""

import keras
import pytest

from niwt_tf.methods.niwt.engines import Workload, estimated_costs
from niwt_tf.models.backbones import build_network
from niwt_tf.models.flops import flops_of
from tests.shared import further

LOAD = Workload(
    num_images=96, num_classes=10, steps=300, batch_size=64, num_networks=3, num_solutions=13, has_mean_operator=True
)


def test_operations_counted_by_hand():
    inputs = keras.Input((4, 4, 3))
    hidden = keras.layers.Conv2D(5, 3)(inputs)  # 2 x 2 positions of 3 x 3 x 3 x 5
    hidden = keras.layers.DepthwiseConv2D(2)(hidden)  # one position of 2 x 2 x 5
    tail = keras.Model(inputs, keras.layers.Dense(7)(keras.layers.Flatten()(hidden)))  # 5 x 7
    assert flops_of(tail) == 2 * (4 * 135 + 20 + 35)


@pytest.mark.parametrize("backbone", ["small_vgg", *further("mobilenet_v2")])
def test_a_closed_form_on_operators_at_hand_is_cheapest_and_the_tape_dearest(backbone):
    tail = build_network(backbone, ("a", "b")).tail
    costs = estimated_costs(tail, LOAD)
    assert list(sorted(costs, key=costs.get)) == ["closed_form", "operator", "tape"]


@pytest.mark.slow
@pytest.mark.combination
def test_a_tail_without_factors_pays_for_its_jacobians():
    tail = build_network("mobilenet_v2", ("a", "b")).tail
    absent = Workload(**{**vars(LOAD), "has_mean_operator": False})
    more = estimated_costs(tail, absent)["closed_form"] - estimated_costs(tail, LOAD)["closed_form"]
    assert more == pytest.approx(3 * 96 * 160 * flops_of(tail))  # networks, images, neurons: a pass each
