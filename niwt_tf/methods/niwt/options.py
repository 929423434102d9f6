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
        "The head of the seen classes that importance is measured on: ridge regression of the features (ridge), a shrunk "
        "linear discriminant of them (lda, needs --importance_over=shared), or the head as it was trained (softmax, as in the "
        "paper). If you name several, validation classes decide.",
        choices=("ridge", "lda", "softmax"),
    )
    head_regularization: tuple[float, ...] = option(
        (3.0, 10.0, 30.0, 100.0),
        "Ridge penalties of the head to choose from. The unit is the mean variance of a feature.",
        above=0,
    )
    lda_shrinkage: tuple[float, ...] = option(
        (10.0, 100.0),
        "Shrinkages of the linear discriminant to choose from. --map=relevance averages over them instead. The unit is the "
        "mean variance of a feature within a class.",
        above=0,
    )
    importance_over: str = option(
        "shared",
        "Images that the importance of a class is averaged over before the map learns it: a sample of all seen classes "
        "(shared), or the images of that class (own, as in the paper).",
        choices=("shared", "own"),
    )
    map: str = option(
        "auto",
        "How importance is predicted from a description. ridge: ridge regression. relevance: a Gaussian process that learns "
        "the relevance of each attribute; it takes the mean over all heads and kernels and chooses none. cosine: gradient "
        "descent (the paper). auto: relevance if --seen_head has lda, --importance_over is shared and --engine names no "
        "descent, otherwise ridge.",
        choices=("auto", "ridge", "relevance", "cosine"),
    )
    map_regularization: tuple[float, ...] = option(
        (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0), "Ridge penalties of the map to choose from.", above=0
    )
    normalisation: str = option(
        "centred",
        "How descriptions are scaled. centred: less the mean of the seen classes, then divided by their length. l2: divided by "
        "their length. raw: not scaled.",
        choices=("centred", "l2", "raw"),
    )
    engine: tuple[str, ...] = option(
        ("auto",),
        "How new head columns are found. closed_form: one linear solve with the mean operator. operator: descent with the "
        "exact operators. tape: descent with gradients of a gradient (the paper). auto: the engine whose estimated cost is "
        "lowest. If you name several, validation classes decide.",
        choices=("auto", "tape", "operator", "closed_form"),
    )
    regularizer: str = option(
        "norm",
        "What a descent adds to its loss for each head column: its distance from --transfer_anchor (norm), or half of the "
        "squared distance (squared).",
        choices=("norm", "squared"),
    )
    transfer_anchor: tuple[str, ...] = option(
        ("mean",),
        "What that regulariser pulls new head columns towards: the mean of the seen columns (the paper), or zero. If you name "
        "both, validation classes decide.",
        choices=("mean", "zero"),
    )
    transfer_lambda: tuple[float, ...] = option((1e-2, 1e-1, 1.0), "Weights of the regulariser to choose from.", above=0)
    transfer_learning_rate: tuple[float, ...] = option(
        (1e-2,), "Adam's learning rates of --engine=tape to choose from.", above=0
    )
    transfer_batch_size: int = option(64, "Pairs of a support image and a class in one step of --engine=tape.", at_least=1)
    transfer_steps: int = option(300, "Maximum number of steps of a descent.", at_least=1)
    column_scale: str = option(
        "matched",
        "Length and bias of new head columns. matched: they fit the logits of the seen classes on training images. raw: as "
        "Eq. 3 gives them (the paper).",
        choices=("matched", "raw"),
    )
    fold_importance_images: int = option(24, "Images of each class that importance is measured on in a fold.", at_least=1)
    extra_layers: tuple[str, ...] = option(
        (),
        "More layers whose importances are predicted and matched, together with those of --layer: names of convolutions, or "
        "'features', the input of the head. Only with the closed form.",
    )
    extra_layer_weights: tuple[float, ...] = option(
        (0.3, 1.0),
        "Weights of the importances of --extra_layers to choose from. Leaving a layer out is always a choice too.",
        above=0,
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
                f"--importance_over must be shared if --seen_head is only lda. Received: {self.importance_over!r}."
            )
        if self.map == "relevance" and ("lda" not in self.seen_head or self.importance_over != "shared"):
            received = f"{','.join(self.seen_head)!r} and {self.importance_over!r}"
            raise InputError(
                f"--seen_head must name lda, and --importance_over must be shared, if --map is relevance. Received: {received}."
            )
        other = next((name for name in self.engine if name not in ("auto", "closed_form")), None)
        if self.extra_layers and other is not None:
            raise InputError(f"--engine must be closed_form or auto if --extra_layers are given. Received: {other!r}.")
        if self.extra_layers and self.importance_over != "shared":
            raise InputError(
                f"--importance_over must be shared if --extra_layers are given. Received: {self.importance_over!r}."
            )
