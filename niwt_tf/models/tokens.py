"""Sequences of tokens as maps: how a vision transformer is cut like a convolutional network.

A block of a transformer gives tokens [B, T, D]: P tokens that belong to no place of the image (the class token, registers),
then H x W patches, row by row. `PatchGrid` makes the map [B, H, W, N] of them and `PatchTokens`, right behind it, the tokens
again. A neuron is a dimension of the patch tokens, so importance (Eq. 1) is the mean gradient over patch tokens.

The P tokens must reach the blocks that follow, or the network were another one. They travel in E = ceil(P D / (H W)) more
channels of the map, without meaning there: N = D + E. In inference no gradient comes back through them: they are held at what
the image gave them, and the importance of those channels is 0 for every class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from niwt_tf.errors import InputError

GRID = "_grid"
_MOST_OTHER_TOKENS = 16  # a class token, one of a teacher, registers


@keras.saving.register_keras_serializable(package="niwt_tf")
class PatchGrid(keras.layers.Layer):
    """Tokens [B, P + H W, D] to the map [B, H, W, D + E].

    Args:
        others: P, the tokens in front that are no patch.
        height: H.
        width: W.
    """

    def __init__(self, others: int, height: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.others, self.height, self.width = int(others), int(height), int(width)

    def call(self, tokens: Any) -> Any:
        """Return the map."""
        size = int(tokens.shape[-1])
        patches = keras.ops.reshape(tokens[:, self.others :], (-1, self.height, self.width, size))
        if not self.others:
            return patches
        extra = extra_channels(self.others, size, self.height * self.width)
        packed = keras.ops.reshape(tokens[:, : self.others], (-1, self.others * size))
        packed = keras.ops.pad(packed, ((0, 0), (0, self.height * self.width * extra - self.others * size)))
        return keras.ops.concatenate([patches, keras.ops.reshape(packed, (-1, self.height, self.width, extra))], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return [B, H, W, D + E]."""
        extra = extra_channels(self.others, input_shape[-1], self.height * self.width)
        return (input_shape[0], self.height, self.width, input_shape[-1] + extra)

    def get_config(self) -> dict[str, Any]:
        """Return the options that rebuild the layer."""
        return {**super().get_config(), "others": self.others, "height": self.height, "width": self.width}


@keras.saving.register_keras_serializable(package="niwt_tf")
class PatchTokens(keras.layers.Layer):
    """The map [B, H, W, D + E] of a `PatchGrid` to its tokens [B, P + H W, D].

    In training gradients pass to all tokens, in inference to the patches alone.

    Args:
        others: P.
        size: D.
    """

    def __init__(self, others: int, size: int, **options: Any) -> None:
        super().__init__(**options)
        self.others, self.size = int(others), int(size)

    def call(self, conv_map: Any, training: bool | None = None) -> Any:
        """Return the tokens."""
        count = int(conv_map.shape[1]) * int(conv_map.shape[2])
        patches = keras.ops.reshape(conv_map[..., : self.size], (-1, count, self.size))
        if not self.others:
            return patches
        packed = keras.ops.reshape(conv_map[..., self.size :], (-1, count * (int(conv_map.shape[-1]) - self.size)))
        others = keras.ops.reshape(packed[:, : self.others * self.size], (-1, self.others, self.size))
        return keras.ops.concatenate([others if training else keras.ops.stop_gradient(others), patches], axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return [B, P + H W, D]."""
        return (input_shape[0], self.others + input_shape[1] * input_shape[2], self.size)

    def get_config(self) -> dict[str, Any]:
        """Return the options that rebuild the layer."""
        return {**super().get_config(), "others": self.others, "size": self.size}


def extra_channels(others: int, size: int, positions: int) -> int:
    """Return E, the channels that hold `others` tokens of `size` numbers at so many positions."""
    return math.ceil(others * size / positions)


def grid_of(tokens: int, image_size: int, known: Sequence[tuple[int, int]]) -> tuple[int, int, int]:
    """Return (P, H, W) of a sequence of so many tokens.

    Args:
        tokens: T = P + H W.
        image_size: height and width of the image in pixels.
        known: sizes of the maps that a network makes of its patches, the last one that fits is taken; where none does, patches
            are a square that divides the image.

    Raises:
        InputError: no grid has at most 16 tokens less than there are.
    """
    squares = [(side, side) for side in range(1, math.isqrt(tokens) + 1) if image_size % side == 0]
    for height, width in (*reversed(known), *reversed(squares)):
        if 0 <= tokens - height * width <= _MOST_OTHER_TOKENS:
            return tokens - height * width, height, width
    rule = f"A sequence of tokens must be a grid of patches after at most {_MOST_OTHER_TOKENS} other tokens"
    raise InputError(f"{rule}. Received: {tokens} tokens of an image of {image_size} x {image_size} pixels.")
