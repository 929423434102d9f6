from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.experiments.table1 import cost
from niwt_tf.experiments.table1.cost import WEIGHTS, cache_gigabytes, operations
from niwt_tf.experiments.table1.paper import TABLE_1
from niwt_tf.protocol.seen_networks import _EPOCHS

FIXED = {row.backbone: row for row in TABLE_1 if row.dataset == "cub" and row.finetune == "head"}


def settings_of(backbone: str, **changes: object) -> Settings:
    return Settings.from_dict({**FIXED[backbone].settings, **changes})


def test_training_all_layers_is_the_count_of_images_passes_and_epochs() -> None:
    settings = settings_of("vgg16", finetune="all", num_folds=1, epochs=3)
    # 3 epochs of 2 networks over 7057 images, one forward and two backward passes of 15.47e9 multiply-adds each.
    assert operations(settings).training == pytest.approx(3 * 2 * 7057 * 3 * 2 * 15.47e9)
    assert operations(settings_of("vgg16")).training == operations(settings, trained=True).training == 0
    assert operations(settings_of("vgg16", finetune="all")).training > operations(settings).training


def test_hours_are_operations_over_the_rate_and_smaller_images_cost_less() -> None:
    counted = operations(settings_of("resnet101", finetune="all"))
    assert counted.hours(5.0) == pytest.approx(counted.total / 5e12 / 3600)
    assert counted.hours(10.0) == pytest.approx(counted.hours(5.0) / 2)
    assert operations(settings_of("resnet101", finetune="all", input_size=112)).total == pytest.approx(counted.total / 4)


def test_a_cache_of_all_maps_of_cub() -> None:
    assert cache_gigabytes(settings_of("vgg16")) == pytest.approx(11788 * (14 * 14 * 512 + 4096) * 4 / 1e9)
    assert cache_gigabytes(settings_of("vgg16", cache_dtype="float16")) == pytest.approx(4.93 / 2, abs=0.01)


def test_the_most_epochs_are_those_of_training() -> None:
    assert {"head": _EPOCHS["head"], "all": _EPOCHS["finetune"]} == cost._MOST_EPOCHS


def test_the_weights_are_those_that_the_backbones_load() -> None:
    from niwt_tf.config.backbones import BACKBONES

    assert list(WEIGHTS) == ["vgg16", "resnet101"]
    for backbone, file in WEIGHTS.items():
        assert BACKBONES[backbone].published.url == file.url and file.url.endswith(f"/{file.what}")


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["vgg16", "resnet101"])
def test_multiply_adds_are_those_of_the_networks_layers(backbone: str) -> None:
    import keras

    from niwt_tf.models.backbones import build_network

    network = build_network(backbone, ["a", "b"])
    whole, tail, after = 0, 0, False
    for layer in network.model.layers:
        count = 0
        if isinstance(layer, keras.layers.Conv2D):
            count = int(np.prod(layer.kernel.shape)) * layer.output.shape[1] * layer.output.shape[2]
        elif isinstance(layer, keras.layers.Dense):
            count = int(np.prod(layer.kernel.shape))
        whole, tail, after = whole + count, tail + count * after, after or layer.name == network.layer
    told = cost._NETWORKS[backbone]
    assert told[:2] == (pytest.approx(whole, rel=0.01), pytest.approx(tail, rel=0.01))
    height, width, neurons = network.model.get_layer(network.layer).output.shape[1:]
    assert told[2:] == (neurons, height * width * neurons + network.num_features)
