"""Every option that affects a result, with its default and its rule: the same for the jobs and from Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from niwt_tf.config.backbones import BACKBONES
from niwt_tf.config.names import DEFAULT_METHOD, SOURCES, dataset_names, network_methods
from niwt_tf.config.options import Option, option, options_of
from niwt_tf.errors import InputError, suggestion


@dataclass(frozen=True)
class Settings:
    """What a run does, checked when made. Every field is the command line's flag of that name.

    Raises:
        InputError: a value breaks its rule; the sentence names the flag, the rule and the value.
    """

    dataset: str = option("birds", "What --data_dir holds.", choices=dataset_names())
    data_dir: str | None = option(None, "Folder of the data; by default data/<dataset>.")
    split: str = option(
        "random", "How classes are parted: xlsa17's Proposed or Standard split, at random, or a CSV with columns image,role.",
        choices=("ps", "ss", "random"), path=True
    )
    unseen: tuple[str, ...] = option((), "Names of the unseen classes, instead of a random choice.")
    num_unseen: int | None = option(
        None, "Number of unseen classes of a random split; by default the classes without images, or a fifth.", at_least=1
    )
    knowledge: str = option(
        "attributes",
        "What describes a class: its attributes as numbers or as yes and no, its images' captions, their published embeddings, "
        "a text of its own, or a CSV whose first column is class; several are joined by +.",
        choices=SOURCES,
        path=True,
        joined="+",
    )
    text_features: str = option(
        "lsa",
        "How captions and texts become numbers: topics (TF-IDF and SVD), a sentence encoder (MiniLM, or a BERT in a folder) or "
        "its word table alone, the mean of word vectors from a file, or a module of TensorFlow Hub that reads sentences.",
        choices=("lsa", "encoder", "encoder_words"),
        prefixes=("encoder:", "encoder_words:", "vectors:", "hub:"),
    )
    missing_images: str = option(
        "error", "What listed but absent images are: an error, or dropped with their classes.", choices=("error", "drop")
    )
    max_bad_images: int = option(0, "Number of undecodable images to skip before giving up.", at_least=0)

    backbone: str = option(
        "small_vgg", "The network, or a TensorFlow Hub module: its handle, its folder, or its folder under TFHUB_CACHE_DIR.",
        choices=tuple(BACKBONES), prefixes=("hub:",)
    )
    weights: str = option("none", "Initial weights of the backbone.", choices=("imagenet", "none"), path=True)
    layer: str | None = option(
        None, "Name of the convolution whose neurons are used, of a hub module the endpoint; by default the backbone's own."
    )
    input_size: int | None = option(None, "Side of the square input in pixels; by default the backbone's own.", at_least=16)
    finetune: str = option("all", "What is trained on the seen classes: all layers or the head.", choices=("all", "head"))
    epochs: int | None = option(None, "Most epochs of training; by default as suits the backbone.", at_least=1)
    batch_size: int = option(32, "Images in a training step.", at_least=1)
    learning_rate: float = option(1e-3, "Adam's rate for the head, or for all layers from scratch.", above=0)
    finetune_learning_rate: float = option(1e-5, "Adam's rate for all layers of a pretrained backbone.", above=0)
    weight_decay: float = option(5e-4, "Weight decay of kernels.", at_least=0)
    dropout: float = option(0.5, "Dropout of the fully connected layers.", at_least=0, below=1)
    attribute_loss: float = option(
        0.0, "Weight of a loss that has the features predict the class's description, while all layers are trained.", at_least=0
    )
    patience: int = option(5, "Epochs without a better validation accuracy before training stops.", at_least=1)

    method: str = option(DEFAULT_METHOD, "The method that makes the classifier.", choices=network_methods())
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
        (10.0, 100.0, 1000.0),
        "Shrinkages of the discriminant to choose from, in units of a feature's mean variance within a class.",
        above=0,
    )
    importance_over: str = option(
        "shared",
        "Images that a class's importance is averaged over for the map: a sample of all seen classes, or its own (the paper).",
        choices=("shared", "own"),
    )
    map: str = option("ridge", "How importance is predicted: closed form, or by gradient descent.", choices=("ridge", "cosine"))
    map_regularization: tuple[float, ...] = option(
        (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0), "Ridge penalties of the map to choose from.", above=0
    )
    normalisation: str = option(
        "centred",
        "How descriptions are brought to one scale: less the seen mean and divided by their length, divided alone, or raw.",
        choices=("centred", "l2", "raw"),
    )
    support: str = option(
        "seen", "Images that new columns are fitted on: seen training images, noise, or a folder.", choices=("seen", "noise"),
        path=True
    )
    num_support: int = option(96, "Number of support images, and of those that shared importance averages over.", at_least=1)
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
    num_folds: int = option(3, "Groups of seen classes, held out in turn, that every choice is made on.", at_least=1)
    validation_classes: int | None = option(
        None, "Seen classes in a group; by default the share that unseen classes have of all.", at_least=1
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
    precision: str = option(
        "float32",
        "Arithmetic of training and of the passes over images. Importance, columns and the saved networks are float32 anyway.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    jit: bool = option(False, "Compile the training steps of all layers (on one device) and passes over images with XLA.")
    cache_dtype: str = option(
        "float32", "What the maps and features of frozen networks are cached as.", choices=("float32", "float16")
    )
    seed: int = option(0, "Seed of every random choice.", at_least=0)

    def __post_init__(self) -> None:
        for declared in SETTINGS:
            object.__setattr__(self, declared.name, declared.check(getattr(self, declared.name)))
        if self.unseen and self.num_unseen is not None:
            raise InputError(
                f"--unseen and --num_unseen must not both be given. Received: {','.join(self.unseen)!r} and {self.num_unseen}."
            )

        if self.seen_head == ("lda",) and self.importance_over != "shared":
            raise InputError(
                f"--importance_over must be shared where --seen_head is lda alone. Received: {self.importance_over!r}."
            )
        other = next((name for name in self.engine if name not in ("auto", "closed_form")), None)
        if self.extra_layers and other is not None:
            raise InputError(f"--engine must be closed_form or auto where --extra_layers are given. Received: {other!r}.")
        if self.extra_layers and self.importance_over != "shared":
            raise InputError(
                f"--importance_over must be shared where --extra_layers are given. Received: {self.importance_over!r}."
            )

        if self.n3_width % 4:
            raise InputError(f"--n3_width must be a multiple of 4. Received: {self.n3_width}.")

    @property
    def data_folder(self) -> str:
        """`data_dir`, or where `niwt render` and the README put the data set."""
        return self.data_dir if self.data_dir is not None else f"data/{self.dataset}"

    def as_dict(self) -> dict[str, Any]:
        """Return every setting by name, as `config.json` holds them."""
        return dataclasses.asdict(self)

    def replace(self, **changes: Any) -> Settings:
        """Return a copy with some settings changed (and every check repeated)."""
        return Settings.from_dict({**self.as_dict(), **changes})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Return the settings that `as_dict` gave; absent ones take their defaults.

        Raises:
            InputError: a name is unknown or a value breaks its rule.
        """
        for name in values:
            if name not in SETTING_NAMES:
                raise InputError(f"There is no setting {name!r}.{suggestion(name, SETTING_NAMES)}")
        return cls(**values)


SETTINGS: tuple[Option, ...] = options_of(Settings)
SETTING_NAMES = tuple(declared.name for declared in SETTINGS)
