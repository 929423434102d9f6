"""The options that the methods which read texts have in common."""

from __future__ import annotations

from dataclasses import dataclass

from niwt_tf.config.options import MethodOptions, option


@dataclass(frozen=True)
class TextOptions(MethodOptions):
    """How the text of a class is cut, and made one vector of."""

    n3_tokens: int = option(
        128,
        "Maximum number of tokens of a text that N3, and other methods that read words, take at a time.", at_least=1, below=511
    )
    n3_variants: int = option(8, "Maximum number of variants of a class: parts of its text that each describe it.", at_least=1)
    text_pooling: tuple[str, ...] = option(
        ("max", "mean"),
        "How baselines that read words make one vector from the tokens of a text: the largest value of each number (max, as in "
        "N3's paper), or the mean. If you name both, validation classes decide.",
        choices=("max", "mean"),
    )
