"""The options that the methods which read texts have in common."""

from __future__ import annotations

from dataclasses import dataclass

from niwt_tf.config.options import MethodOptions, option


@dataclass(frozen=True)
class TextOptions(MethodOptions):
    """How the text of a class is cut, and made one vector of."""

    n3_tokens: int = option(
        128, "Most tokens of a description that N3, and whatever else reads words, takes at a time.", at_least=1, below=511
    )
    n3_variants: int = option(8, "Most parts of a text that each describe the class.", at_least=1)
    text_pooling: tuple[str, ...] = option(
        ("max", "mean"),
        "How baselines that read words make one vector of a text's tokens: the largest of each number, as in N3's paper, or "
        "the mean. Both are chosen between on validation classes.",
        choices=("max", "mean"),
    )
