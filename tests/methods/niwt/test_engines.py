"""Which engine a run takes, and which settings do not go together."""

from dataclasses import replace

import keras
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.methods.niwt import engines
from niwt_tf.methods.niwt.engines import Workload, engines_of, estimated_costs
from niwt_tf.methods.niwt.layers import blocks_of
from niwt_tf.models.backbones import build_network
from niwt_tf.models.network import recut


@pytest.fixture(scope="module")
def network():
    return build_network("small_vgg", ("a", "b"), input_size=32)


def test_auto_takes_the_cheapest_and_says_why(network, caplog):
    with caplog.at_level("INFO", logger="niwt_tf"):
        assert engines_of(Settings(), network.tail, 10, 2) == ("closed_form",)
    assert "--engine=auto takes closed_form: estimated at" in caplog.text
    assert "operator" in caplog.text and "tape" in caplog.text


def test_auto_goes_by_the_estimates(network, monkeypatch, caplog):
    costs = {"closed_form": 3e9, "operator": 2e9, "tape": 1e9}
    monkeypatch.setattr(engines, "estimated_costs", lambda *_: dict(costs))
    with caplog.at_level("INFO", logger="niwt_tf"):
        assert engines_of(Settings(), network.tail, 10, 2) == ("tape",)
    said = "takes tape: estimated at 1.0 GFLOP for the whole of Stage 3; closed_form 3.0 GFLOP, operator 2.0 GFLOP."
    assert said in caplog.text
    assert engines_of(Settings(engine="auto,closed_form"), network.tail, 10, 2) == ("tape", "closed_form")


def test_named_engines_are_taken_as_named(network):
    assert engines_of(Settings(engine="tape,closed_form"), network.tail, 10, 2) == ("tape", "closed_form")


def test_an_operator_that_does_not_fit_is_no_candidate(monkeypatch):
    tail = build_network("mobilenet_v2", ("a", "b"), input_size=32).tail
    monkeypatch.setattr(engines, "estimated_costs", lambda *_: {"closed_form": 3e9, "operator": 2e9, "tape": 4e9})
    assert engines_of(Settings(), tail, 10, 2) == ("operator",)
    monkeypatch.setattr(engines, "fits_in_memory", lambda *_: False)
    assert engines_of(Settings(), tail, 10, 2) == ("closed_form",)


def test_several_layers_need_the_closed_form_and_shared_images():
    layers = ("block3_relu",)
    assert Settings(extra_layers=layers).engine == ("auto",)
    with pytest.raises(InputError, match="--engine must be closed_form or auto .* Received: 'tape'"):
        Settings(extra_layers=layers, engine="closed_form,tape")
    with pytest.raises(InputError, match="--importance_over must be shared .* Received: 'own'"):
        Settings(extra_layers=layers, importance_over="own")


def test_further_layers_share_the_weights_and_are_checked(network):
    (cut,) = recut(network, ["block3_relu"])
    assert cut.layer == "block3_relu" and cut.model is network.model
    assert blocks_of(network, ["block3_relu"], (1, 0.5)).sizes == (128, 64)
    with pytest.raises(InputError, match="--extra_layers must differ from --layer. Received: 'block4_relu'"):
        recut(network, ["block4_relu"])
    with pytest.raises(InputError, match="--extra_layers must name layers that can be cut at. layer must name"):
        recut(network, ["block9_relu"])


@pytest.mark.parametrize(("hidden", "activation"), [((), "relu"), ((4,), "relu"), ((4, 6), "relu"), ((), "tanh")])
def test_costs_by_hand(hidden, activation):
    """Tails from 3 neurons by layers of some units to 5 features; one of tanh has no factors."""
    inputs = keras.Input((2, 2, 3))
    features = keras.layers.GlobalAveragePooling2D()(inputs)
    for units in (*hidden, 5):
        features = keras.layers.Dense(units, activation=activation)(features)
    tail, sizes = keras.Model(inputs, features), {(): [15], (4,): [12, 20], (4, 6): [12, 24, 30]}[hidden]
    workload = Workload(
        num_images=10, num_classes=4, steps=6, batch_size=7, num_networks=2, num_solutions=9, has_mean_operator=True
    )
    one_pass, decomposition = engines.flops_of(tail), 2 * 3**2 * 5 + engines._EIGENDECOMPOSITION * 3**3
    build, mean = 10 * one_pass, 10 * engines.jacobian_passes(tail) * one_pass
    if activation == "tanh":
        build = mean
    elif len(hidden) < 2:
        mean = build + 2 * 3 * sum(sizes[1:])
    costs = estimated_costs(tail, workload)
    assert costs == {
        "closed_form": 2 * decomposition + 9 * 4 * 4 * 3 * (5 + 3),
        "operator": 2 * build + 9 * 6 * engines.IMAGES_A_STEP * 4 * 2 * 2 * sum(sizes),
        "tape": 9 * 6 * 7 * engines._TAPE_PASSES * one_pass,
    }
    without = estimated_costs(tail, replace(workload, has_mean_operator=False))
    assert without == {**costs, "closed_form": costs["closed_form"] + 2 * mean}
    assert estimated_costs(tail, replace(workload, num_images=3))["operator"] < costs["operator"]


def test_what_a_run_will_do_is_what_is_estimated(network, monkeypatch):
    asked = []
    monkeypatch.setattr(engines, "estimated_costs", lambda _, workload: asked.append(workload) or {"closed_form": 1.0})
    settings = Settings(
        num_support=12, transfer_steps=34, transfer_batch_size=5, transfer_lambda=(1.0, 2.0, 3.0), transfer_anchor="mean,zero",
        head_regularization=(1.0, 2.0, 3.0), seen_head="ridge"
    )
    engines_of(settings, network.tail, 10, 6)
    engines_of(settings.replace(support="noise"), network.tail, 10, 6)
    # In each fold three heads and then six pairs of a lambda and an anchor; once more for the chosen one.
    expected = Workload(
        num_images=12, num_classes=10, steps=34, batch_size=5, num_networks=7, num_solutions=(3 + 3 * 2) * 6 + 1,
        has_mean_operator=True
    )
    assert asked == [expected, replace(expected, has_mean_operator=False)]


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (1234e15, "1,234.0 PFLOP"), (1e15, "1.0 PFLOP"), (2.5e12, "2.5 TFLOP"), (1e12, "1.0 TFLOP"), (1e9, "1.0 GFLOP"),
        (3.25e6, "3.2 MFLOP"), (1e6, "1.0 MFLOP"), (999999.0, "999,999.0 FLOP"), (0.0, "0.0 FLOP"),
    ],
)  # fmt: skip
def test_costs_are_said_in_the_largest_unit_that_they_fill(cost, said):
    assert engines._readable(cost) == said


def test_what_is_said_of_the_choice(network, monkeypatch, caplog):
    monkeypatch.setattr(engines, "estimated_costs", lambda *_: {"closed_form": 3e9, "operator": 2e12, "tape": 4e15})
    with caplog.at_level("INFO", logger="niwt_tf"):
        engines_of(Settings(), network.tail, 10, 2)
    said = "--engine=auto takes closed_form: estimated at 3.0 GFLOP for the whole of Stage 3"
    assert caplog.messages == [f"{said}; operator 2.0 TFLOP, tape 4.0 PFLOP."]


@pytest.mark.parametrize(("num_folds", "images"), [(0, 7), (1, 7), (3, 21)])
def test_operators_of_all_folds_must_fit_side_by_side(network, monkeypatch, num_folds, images):
    asked = []
    monkeypatch.setattr(engines, "fits_in_memory", lambda *sizes: asked.append(sizes) or True)
    engines_of(Settings(num_support=7), network.tail, 10, num_folds)
    assert asked == [(images, network.num_neurons, network.num_features)]


def test_a_tail_with_factors_fits_whatever_memory_there_is(network, monkeypatch):
    monkeypatch.setattr(engines, "estimated_costs", lambda *_: {"closed_form": 3e9, "operator": 2e9, "tape": 4e9})
    monkeypatch.setattr(engines, "fits_in_memory", lambda *_: False)
    assert engines_of(Settings(), network.tail, 10, 2) == ("operator",)


def test_nothing_is_estimated_where_it_would_say_nothing(network, monkeypatch):
    monkeypatch.setattr(engines, "estimated_costs", lambda *_: pytest.fail("it was estimated"))
    assert engines_of(Settings(extra_layers=("block3_relu",)), network.tail, 10, 2) == ("closed_form",)
    inputs = keras.Input((2, 2, 3))
    tail = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    assert engines_of(Settings(), tail, 10, 2) == ("closed_form",)


def test_what_a_step_and_a_decomposition_are_taken_to_cost():
    assert (engines._TAPE_PASSES, engines._EIGENDECOMPOSITION) == (5.0, 10.0)
