"""The first layer of every network: RGB in 0..255 to what the backbone was trained on."""

from __future__ import annotations

from typing import Any

import keras

from niwt_tf.errors import check_choice

# mode -> (reverse the channels, per-channel mean, per-channel scale), applied as (x - mean) / scale.
_MODES: dict[str, tuple[bool, tuple[float, ...], tuple[float, ...]]] = {
    "none": (False, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "unit": (False, (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "tf": (False, (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "torch": (False, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "caffe": (True, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
}


@keras.saving.register_keras_serializable(package="niwt_tf")
class Preprocess(keras.layers.Layer):
    """Float images [B, S, S, 3], RGB in 0..255, to the range of `mode`.

    Args:
        mode: "none", "unit" (0..1), "tf" (-1..1), "torch" (ImageNet mean and deviation) or "caffe" (BGR minus ImageNet's mean).

    Raises:
        InputError: the mode is none of these.
    """

    def __init__(self, mode: str, **options: Any) -> None:
        super().__init__(**options)
        self.mode = check_choice("Preprocess mode", mode, _MODES)

    def call(self, images: Any) -> Any:
        """Return the images in the range of the mode."""
        reverse, mean, scale = _MODES[self.mode]
        images = images[..., ::-1] if reverse else images
        offset = keras.ops.convert_to_tensor(mean, dtype=images.dtype)
        return (images - offset) / keras.ops.convert_to_tensor(scale, dtype=images.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape unchanged."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the options that rebuild the layer."""
        return {**super().get_config(), "mode": self.mode}
