"""The options that N3 alone reads."""

from __future__ import annotations

from dataclasses import dataclass

from niwt_tf.config.options import MethodOptions, option
from niwt_tf.errors import InputError


@dataclass(frozen=True)
class N3Options(MethodOptions):
    """The form of the meta-model, what it writes and how it is trained.

    Raises:
        InputError: the width is no multiple of 4.
    """

    n3_form: str = option(
        "equivariant",
        "N3's meta-model: the same for every order of the classes, with places for them (the paper, mended so that it learns), "
        "or as printed.",
        choices=("equivariant", "ordered", "printed"),
    )
    n3_adapt: str = option(
        "head", "What N3 writes: the head, also a factor and a shift of every channel, or every kernel and bias (the paper).",
        choices=("head", "film", "all"),
    )
    n3_prior: bool = option(False, "N3 adds to a head that ridge regression predicts from the texts: for few seen classes.")
    n3_way: int = option(25, "Classes of an episode of N3's training.", at_least=2)
    n3_steps: int = option(500, "Steps in which N3 learns to write the head.", at_least=1)
    n3_network_steps: int = option(150, "Steps after these, in which it learns to write the other layers too.", at_least=1)
    n3_width: int = option(128, "Width of N3's meta-model, a multiple of 4.", at_least=4)
    n3_blocks: int = option(2, "Blocks of its transformer over the tokens of a description.", at_least=0)
    n3_learning_rate: float = option(1e-3, "Adam's rate of its training, at first.", above=0)
    n3_mu: float = option(1e-2, "What N3's adaptation is multiplied by at first (Eq. 6); it is trained.", above=0)
    n3_gamma: float = option(1.0, "What the base's weights are multiplied by.", at_least=0)

    def __post_init__(self) -> None:
        if self.n3_width % 4:
            raise InputError(f"--n3_width must be a multiple of 4. Received: {self.n3_width}.")
