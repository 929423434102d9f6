"""The last layer: features [B, D] to logits [B, C], with the class names and the seen/unseen calibration inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from niwt_tf.errors import InputError, check_choice

# mode -> (reverse the channels, per-channel mean, per-channel scale), applied as (x - mean) / scale.
_MODES: dict[str, tuple[bool, tuple[float, ...], tuple[float, ...]]] = {
    "none": (False, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "unit": (False, (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "tf": (False, (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "torch": (False, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "caffe": (True, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
}


@keras.saving.register_keras_serializable(package="niwt_tf")
class ClassHead(keras.layers.Layer):
    """Linear logits o_c = w_c . f + b_c - calibration * [c is seen] (calibrated stacking, Chao et al. 2016).

    The calibration is a scalar weight that no gradient changes, 0 at first. Class indices below `num_seen` are the seen ones.

    Args:
        class_names: C unique names, seen classes first.
        num_seen: S, from 0 to C.
        layer: name of the layer at which the network is cut; kept here so that a saved file needs nothing beside it.
        resize: how images are brought to the network's square, see `niwt_tf.data.schema.InputForm`; kept for the same reason.

    Raises:
        InputError: no class, a repeated name, or `num_seen` out of range.
    """

    def __init__(self, class_names: Sequence[str], num_seen: int, layer: str, resize: str = "squash", **options: Any) -> None:
        super().__init__(**options)
        self.class_names = tuple(str(name) for name in class_names)
        self.num_seen = int(num_seen)
        self.layer = layer
        self.resize = resize
        repeated = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if repeated or not self.class_names:
            raise InputError(f"class_names must be at least one name, each once. Received: {repeated or 'no name'}.")
        if not 0 <= self.num_seen <= len(self.class_names):
            raise InputError(f"num_seen must be in 0..{len(self.class_names)}. Received: {num_seen}.")

    def build(self, input_shape: Any) -> None:
        """Make the columns [D, C], biases [C] and the calibration."""
        shape = (int(input_shape[-1]), len(self.class_names))
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=shape[1:], initializer="zeros")
        self.calibration = self.add_weight(name="calibration", shape=(), initializer="zeros", trainable=False)
        self.built = True

    def call(self, features: Any) -> Any:
        """Return logits [B, C] of features [B, D]."""
        seen = np.arange(len(self.class_names)) < self.num_seen
        offset = self.calibration * keras.ops.convert_to_tensor(seen.astype(np.float64), dtype=self.compute_dtype)
        return keras.ops.matmul(features, self.kernel) + (self.bias - offset)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return [B, C]."""
        return (*input_shape[:-1], len(self.class_names))

    def get_config(self) -> dict[str, Any]:
        """Return the options that rebuild the layer."""
        own = {"class_names": list(self.class_names), "num_seen": self.num_seen, "layer": self.layer}
        # Not where it is as it always was, so that such a file is read by earlier versions too.
        own |= {} if self.resize == "squash" else {"resize": self.resize}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="niwt_tf")
class Preprocess(keras.layers.Layer):
    """Float images [B, S, S, 3], RGB in 0..255, to the range of `mode`.

    It is "none", "unit" (0..1), "tf" (-1..1), "torch" (ImageNet mean and deviation) or "caffe" (BGR minus ImageNet's mean).

    Raises:
        InputError: the mode is none of these.
    """

    def __init__(self, mode: str, **options: Any) -> None:
        super().__init__(**options)
        self.mode = check_choice("Preprocess mode", mode, _MODES)

    @property
    def range(self) -> tuple[bool, tuple[float, ...], tuple[float, ...]]:
        """Whether channels are reversed, and the mean and the scale of each, applied as (x - mean) / scale."""
        return _MODES[self.mode]

    def call(self, images: Any) -> Any:
        """Return the images in the range of the mode."""
        reverse, mean, scale = self.range
        images = images[..., ::-1] if reverse else images
        offset = keras.ops.convert_to_tensor(mean, dtype=images.dtype)
        return (images - offset) / keras.ops.convert_to_tensor(scale, dtype=images.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape unchanged."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the options that rebuild the layer."""
        return {**super().get_config(), "mode": self.mode}


# The square of a length that is taken for none.
_SMALLEST = 1e-24


@keras.saving.register_keras_serializable(package="niwt_tf")
class UnitFeatures(keras.layers.Layer):
    """Features [B, D] divided by their L2 norms; those of an image without any stay 0. Float32 in every precision."""

    def call(self, features: Any) -> Any:
        """Return features [B, D] of length 1."""
        squares = keras.ops.sum(keras.ops.square(features), axis=-1, keepdims=True)
        return features * keras.ops.rsqrt(keras.ops.maximum(squares, _SMALLEST))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return [B, D]."""
        return tuple(input_shape)
