"""Every option that affects a result, with its default and its rule: the same for the jobs and from Python."""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from niwt_tf.config.backbones import APPLICATIONS, BACKBONES, KERAS_HUB, MODEL_FILE, PREPROCESSING
from niwt_tf.config.names import (
    DEFAULT_METHOD,
    FEATURES,
    OF_FEATURES,
    OPTIONS_OF_METHODS,
    SOURCES,
    added,
    dataset_names,
    network_methods,
)
from niwt_tf.config.options import MethodOptions, Option, option, options_of, with_options_of
from niwt_tf.errors import InputError, brief, first_line, suggestion


def _options_of_methods() -> tuple[type[MethodOptions], ...]:
    """Return the records of options of all methods, those of installed packages last.

    Raises:
        InputError: what a package names is no such record, or has an option of a name that is taken.
    """
    records = [pkgutil.resolve_name(path) for path in OPTIONS_OF_METHODS]
    for point in added("niwt_tf.options").values():
        try:
            record = point.load()
        except Exception as error:  # whatever a package's own module raises
            rule = f"The options of the installed package must be importable from {point.value}"
            raise InputError(f"{rule}. Received: {first_line(error)}.") from error
        if not (isinstance(record, type) and issubclass(record, MethodOptions)):
            raise InputError(f"{point.value} must be a subclass of MethodOptions. Received: {brief(record)}.")
        records.append(record)
    return tuple(records)


METHOD_OPTIONS = _options_of_methods()


@dataclass(frozen=True)
@with_options_of(METHOD_OPTIONS, after="method")
class Settings:
    """What a run does, checked when made. Every field is the command line's flag of that name.

    The options of the methods are fields beside those that are written here. A method reads its own by `MethodOptions.of`.

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
        None, "Unseen classes of a random split: by default those without images, or a fifth; 0 hides none.", at_least=0
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
        "small_vgg",
        "The network; any of keras.applications by its name; a Keras model as a .keras file; a preset of KerasHub or its "
        "folder; or a TensorFlow Hub module: its handle, its folder, or its folder under TFHUB_CACHE_DIR.",
        choices=(*BACKBONES, FEATURES, *APPLICATIONS), prefixes=("hub:", KERAS_HUB), suffix=MODEL_FILE
    )
    preprocessing: str = option(
        "auto",
        "What a model of one's own takes for pixels: 0..255 (none), 0..1 (unit), -1..1 (tf), or ImageNet's mean taken off "
        "(torch, caffe). By default what the backbone, its preset or a Rescaling layer in it says.",
        choices=PREPROCESSING
    )
    weights: str = option("none", "Initial weights of the backbone.", choices=("imagenet", "none"), path=True)
    layer: str | None = option(
        None, "Name of the convolution whose neurons are used, of a hub module the endpoint; by default the backbone's own."
    )
    input_size: int | None = option(None, "Side of the square input in pixels; by default the backbone's own.", at_least=16)
    resize: str = option(
        "squash",
        "How a whole image becomes that square: squashed, cropped to its middle, or shrunk into it and padded with black.",
        choices=("squash", "crop", "pad"),
    )
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
    support: str = option(
        "seen", "Images that new columns are fitted on: seen training images, noise, or a folder.", choices=("seen", "noise"),
        path=True
    )
    num_support: int = option(96, "Number of support images, and of those that shared importance averages over.", at_least=1)
    heat: str = option(
        "auto", "Heat maps of explanations: chosen on held-out training images, or Grad-CAM at --layer.",
        choices=("auto", "grad_cam")
    )
    num_folds: int = option(3, "Groups of seen classes, held out in turn, that every choice is made on.", at_least=1)
    validation_classes: int | None = option(
        None, "Seen classes in a fold; by default the same share as unseen classes have of all classes.", at_least=1
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
        for record in METHOD_OPTIONS:
            record.of(self)
        self._check_features()

    def _check_features(self) -> None:
        """Check that published features are taken as they are, and by nothing else."""
        if self.backbone != FEATURES:
            if self.dataset in OF_FEATURES:
                rule = f"--backbone must be {FEATURES} with --dataset={self.dataset}, which has no images"
                raise InputError(f"{rule}. Received: {self.backbone!r}.")
            return
        for name, value in (("finetune", "head"), ("layer", None), ("input_size", None), ("support", "seen")):
            if getattr(self, name) != value:
                rule = f"--{name} must be {'left out' if value is None else value} with --backbone={FEATURES}"
                raise InputError(f"{rule}, which is a head alone. Received: {getattr(self, name)!r}.")

    @property
    def data_folder(self) -> str:
        """`data_dir`, or where `niwt render` puts the data set in the commands of the documentation."""
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
# Of installed packages, whose options are flags; the parameters of `Niwt` are written down.
ADDED_NAMES = frozenset(each.name for record in METHOD_OPTIONS[len(OPTIONS_OF_METHODS) :] for each in options_of(record))
