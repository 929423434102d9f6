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
        "The form of N3's meta-model. equivariant: the order of the classes does not matter. ordered: each class has a place "
        "(the paper, corrected so that it learns). printed: exactly as in the paper.",
        choices=("equivariant", "ordered", "printed"),
    )
    n3_adapt: str = option(
        "head",
        "What N3 writes. head: the head. film: also a factor and a shift for each channel. all: every kernel and bias (the "
        "paper).",
        choices=("head", "film", "all"),
    )
    n3_adapt_if_better: bool = option(
        True, "With film and all: write the layers before the head only if this improves accuracy on validation classes."
    )
    n3_prior: bool = option(
        False, "N3 adds to a head that ridge regression predicts from the texts. Use it with few seen classes."
    )
    n3_way: int = option(25, "Classes in one episode of N3's training.", at_least=2)
    n3_steps: int = option(500, "Training steps in which N3 learns to write the head.", at_least=1)
    n3_network_steps: int = option(
        150, "More steps after --n3_steps, in which N3 learns to write the other layers too.", at_least=1,
    )
    n3_width: int = option(128, "Width of N3's meta-model, a multiple of 4.", at_least=4)
    n3_blocks: int = option(2, "Blocks of N3's transformer, which reads the tokens of a text.", at_least=0)
    n3_learning_rate: float = option(1e-3, "Adam's learning rate at the start of N3's training.", above=0)
    n3_mu: float = option(1e-2, "Factor of N3's adaptation at the start (Eq. 6 of N3). It is trained.", above=0)
    n3_gamma: float = option(1.0, "Factor of the weights of the base (Eq. 6 of N3).", at_least=0)

    def __post_init__(self) -> None:
        if self.n3_width % 4:
            raise InputError(f"--n3_width must be a multiple of 4. Received: {self.n3_width}.")
