"""What may be a backbone: a row of a table, a name of keras.applications, or a model of anybody's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WeightsFile:
    """A weights file that Keras publishes: its address and, where Keras states it, the MD5 of its contents."""

    url: str
    md5: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rsplit("/", 1)[1]


_STORAGE = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class Backbone:
    """A row of the table.

    Attributes:
        layer: default cut.
        preprocessing: mode of `Preprocess`.
        input_size: default height and width in pixels.
        map_layer: last layer with a 4-D output; the features are made from it.
        dense: units of the fully connected layers on the flattened map; none means global average pooling.
        make: name of the constructor in keras.applications, or None for the network of this package.
        options: further arguments of `make`.
        published: the ImageNet weights that Keras publishes, or None.
    """

    layer: str
    preprocessing: str
    input_size: int
    map_layer: str
    dense: tuple[tuple[str, int], ...] = ()
    make: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    published: WeightsFile | None = None


_END = "weights_tf_dim_ordering_tf_kernels"
BACKBONES: dict[str, Backbone] = {
    "small_vgg": Backbone("block4_relu", "tf", 64, "block4_pool", dense=(("fc1", 256),)),
    "vgg16": Backbone(
        "block5_conv3", "caffe", 224, "block5_pool", dense=(("fc1", 4096), ("fc2", 4096)), make="VGG16",
        published=WeightsFile(f"{_STORAGE}/vgg16/vgg16_{_END}.h5", "64373286793e3c8b2b4e3219cbf3544b")
    ),
    "resnet50": Backbone(
        "conv5_block1_out", "caffe", 224, "conv5_block3_out", make="ResNet50",
        published=WeightsFile(f"{_STORAGE}/resnet/resnet50_{_END}_notop.h5", "4d473c1dd8becc155b73f8504c6f6626")
    ),
    "resnet101": Backbone(
        "conv5_block1_out", "caffe", 224, "conv5_block3_out", make="ResNet101",
        published=WeightsFile(f"{_STORAGE}/resnet/resnet101_{_END}_notop.h5", "88cf7a10940856eca736dc7b7e228a21")
    ),
    "mobilenet_v2": Backbone(
        "block_14_add", "tf", 224, "out_relu", make="MobileNetV2",
        published=WeightsFile(f"{_STORAGE}/mobilenet_v2/mobilenet_v2_{_END}_1.0_224_no_top.h5")
    ),
    "efficientnet_v2_b0": Backbone(
        "block6g_add", "torch", 224, "top_activation", make="EfficientNetV2B0", options=(("include_preprocessing", False),),
        published=WeightsFile(f"{_STORAGE}/efficientnet_v2/efficientnetv2-b0_notop.h5", "893217f2bb855e2983157299931e43ff")
    ),
}

# Constructors of keras.applications and the side of the images that each was trained on.
APPLICATIONS: dict[str, int] = {
    **dict.fromkeys(("ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge"), 224),
    **dict.fromkeys(("DenseNet121", "DenseNet169", "DenseNet201"), 224),
    **{f"EfficientNetB{number}": side for number, side in enumerate((224, 240, 260, 300, 380, 456, 528, 600))},
    **{f"EfficientNetV2B{number}": side for number, side in enumerate((224, 240, 260, 300))},
    **{"EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480},
    **dict.fromkeys(("InceptionResNetV2", "InceptionV3", "Xception"), 299),
    **dict.fromkeys(("MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small"), 224),
    **{"NASNetLarge": 331, "NASNetMobile": 224},
    **dict.fromkeys(("ResNet50", "ResNet50V2", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2"), 224),
    **dict.fromkeys(("VGG16", "VGG19"), 224),
}
KERAS_HUB = "keras_hub:"
MODEL_FILE = ".keras"
PREPROCESSING = ("auto", "none", "unit", "tf", "torch", "caffe")


def is_given_model(backbone: str) -> bool:
    """Return whether a backbone is a model of somebody's: a `.keras` file or a preset of KerasHub."""
    return backbone.endswith(MODEL_FILE) or backbone.startswith(KERAS_HUB)


def brings_weights(backbone: str) -> bool:
    """Return whether a backbone has weights of its own, so that `weights="none"` leaves them as they are."""
    return is_given_model(backbone) or backbone.startswith("hub:")


def default_layer_of(application: str) -> str | None:
    """Return where a constructor of keras.applications is cut, as a row of the table that has the same; None without one."""
    return next((row.layer for row in BACKBONES.values() if row.make == application and not row.dense), None)
