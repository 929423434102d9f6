"""The options that NIWT alone reads."""

from __future__ import annotations

from dataclasses import dataclass

from niwt_tf.config.options import MethodOptions, option
from niwt_tf.errors import InputError


@dataclass(frozen=True)
class NiwtOptions(MethodOptions):
    """How importance is measured and predicted, and how columns are made for it.

    Raises:
        InputError: some do not go together.
    """

    seen_head: tuple[str, ...] = option(
        ("ridge", "lda"),
        "The seen head that importance is measured on: ridge regression or a shrunk linear discriminant of the features, or as "
        "trained (the paper). Several are chosen between on validation classes; lda needs --importance_over=shared.",
        choices=("ridge", "lda", "softmax"),
    )
    head_regularization: tuple[float, ...] = option(
        (3.0, 10.0, 30.0, 100.0), "Ridge penalties of the head to choose from, in units of a feature's mean variance.", above=0
    )
    lda_shrinkage: tuple[float, ...] = option(
        (10.0, 100.0),
        "Shrinkages of the discriminant, to choose from, or with --map=relevance to average over, in units of a feature's mean "
        "variance within a class.",
        above=0,
    )
    importance_over: str = option(
        "shared",
        "Images that a class's importance is averaged over for the map: a sample of all seen classes, or its own (the paper).",
        choices=("shared", "own"),
    )
    map: str = option(
        "auto",
        "How importance is predicted: ridge regression; a Gaussian process whose attribute relevances are learnt, with the "
        "mean of all heads and kernels in place of a choice; or by gradient descent (the paper). auto is relevance where "
        "--seen_head has lda, --importance_over is shared and no descent is asked for, else ridge.",
        choices=("auto", "ridge", "relevance", "cosine"),
    )
    map_regularization: tuple[float, ...] = option(
        (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0), "Ridge penalties of the map to choose from.", above=0
    )
    normalisation: str = option(
        "centred",
        "How descriptions are brought to one scale: less the seen mean and divided by their length, divided alone, or raw.",
        choices=("centred", "l2", "raw"),
    )
    engine: tuple[str, ...] = option(
        ("auto",),
        "How new columns are found: one linear solve for the mean importance, descent on exact linear operators, gradients of "
        "a gradient (the paper), or whichever is estimated to cost least. Several are chosen between on validation classes.",
        choices=("auto", "tape", "operator", "closed_form"),
    )
    regularizer: str = option(
        "norm",
        "What a descent adds to its loss for each column: its distance from --transfer_anchor, or half its square.",
        choices=("norm", "squared"),
    )
    transfer_anchor: tuple[str, ...] = option(
        ("mean",),
        "What that regulariser holds new columns to: the mean seen column (the paper) or zero. Both are chosen between on "
        "validation classes.",
        choices=("mean", "zero"),
    )
    transfer_lambda: tuple[float, ...] = option((1e-2, 1e-1, 1.0), "Weights of the regulariser to choose from.", above=0)
    transfer_learning_rate: tuple[float, ...] = option((1e-2,), "Adam's rates for the tape's columns to choose from.", above=0)
    transfer_batch_size: int = option(64, "Pairs of a support image and a class in a step of the tape.", at_least=1)
    transfer_steps: int = option(300, "Most steps of a descent.", at_least=1)
    column_scale: str = option(
        "matched",
        "Length and bias of new columns: matched to the seen ones' logits on training images, or as solved (the paper).",
        choices=("matched", "raw"),
    )
    fold_importance_images: int = option(24, "Images of a class that importance is measured on in a fold.", at_least=1)
    extra_layers: tuple[str, ...] = option(
        (),
        "Further layers, whose importances are predicted and matched beside those of --layer (closed form only): convolutions, "
        "or 'features', what the head is applied to.",
    )
    extra_layer_weights: tuple[float, ...] = option(
        (0.3, 1.0), "Weights of a further layer's importances to choose from; it can always be left out.", above=0
    )

    @property
    def map_kind(self) -> str:
        """`map`, or what "auto" is: "relevance" or "ridge"."""
        if self.map != "auto":
            return self.map
        averages = "lda" in self.seen_head and self.importance_over == "shared" and {"auto", "closed_form"} >= set(self.engine)
        return "relevance" if averages else "ridge"

    def __post_init__(self) -> None:
        if self.seen_head == ("lda",) and self.importance_over != "shared":
            raise InputError(
                f"--importance_over must be shared where --seen_head is lda alone. Received: {self.importance_over!r}."
            )
        if self.map == "relevance" and ("lda" not in self.seen_head or self.importance_over != "shared"):
            received = f"{','.join(self.seen_head)!r} and {self.importance_over!r}"
            raise InputError(
                f"--seen_head must name lda, and --importance_over be shared, where --map is relevance. Received: {received}."
            )
        other = next((name for name in self.engine if name not in ("auto", "closed_form")), None)
        if self.extra_layers and other is not None:
            raise InputError(f"--engine must be closed_form or auto where --extra_layers are given. Received: {other!r}.")
        if self.extra_layers and self.importance_over != "shared":
            raise InputError(
                f"--importance_over must be shared where --extra_layers are given. Received: {self.importance_over!r}."
            )
