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

    dataset: str = option("birds", "The data set in --data_dir.", choices=dataset_names())
    data_dir: str | None = option(None, "Folder of the data. By default data/<dataset>.")
    split: str = option(
        "random",
        "Which classes are unseen, and which images are test images: xlsa17's Proposed Split (ps) or Standard Split (ss), a "
        "random split, or a CSV with the columns image,role.",
        choices=("ps", "ss", "random"), path=True
    )
    unseen: tuple[str, ...] = option((), "Names of the unseen classes, instead of a random choice.")
    num_unseen: int | None = option(
        None,
        "How many classes of a random split are unseen. By default those without images, or a fifth of all if every class has "
        "images. 0 hides no class.",
        at_least=0,
    )
    knowledge: str = option(
        "attributes",
        "What describes a class: its attributes as numbers (attributes) or as yes and no (binary), the captions of its images "
        "(captions), published embeddings of these (sentences), a text of the class (texts), or a CSV whose first column is "
        "class. Join several with +.",
        choices=SOURCES,
        path=True,
        joined="+",
    )
    text_features: str = option(
        "lsa",
        "How captions and texts become numbers. lsa: topics (TF-IDF and SVD). encoder: a sentence encoder, MiniLM or a BERT in "
        "the folder NAME. encoder_words: only the word table of that encoder. vectors: the mean of word vectors from the file "
        "NAME. hub: a TensorFlow Hub module that reads sentences.",
        choices=("lsa", "encoder", "encoder_words"),
        prefixes=("encoder:", "encoder_words:", "vectors:", "hub:"),
    )
    missing_images: str = option(
        "error",
        "What happens if the data set lists images that do not exist: an error, or the run drops them, and the classes that "
        "then have no image.",
        choices=("error", "drop"),
    )
    max_bad_images: int = option(
        0, "How many images the run may skip because they cannot be decoded. One more is an error.", at_least=0,
    )

    backbone: str = option(
        "small_vgg",
        "The network: one of keras.applications by its name, a Keras model as a .keras file, a preset of KerasHub or its "
        "folder, or a TensorFlow Hub module (its handle, its folder, or its folder under TFHUB_CACHE_DIR). features: no "
        "network, for a data set that has features and no images.",
        choices=(*BACKBONES, FEATURES, *APPLICATIONS), prefixes=("hub:", KERAS_HUB), suffix=MODEL_FILE
    )
    preprocessing: str = option(
        "auto",
        "Which pixels your own model takes: 0..255 (none), 0..1 (unit), -1..1 (tf), or pixels less ImageNet's mean (torch, "
        "caffe). auto: what the backbone, its preset or a Rescaling layer in it says.",
        choices=PREPROCESSING
    )
    weights: str = option(
        "none",
        "Initial weights of the backbone: ImageNet's, random ones (none), or a file.", choices=("imagenet", "none"), path=True,
    )
    layer: str | None = option(
        None,
        "Name of the convolution whose channels are the neurons, or the endpoint of a hub module. Each backbone has a default.",
    )
    input_size: int | None = option(None, "Side of the square input in pixels. Each backbone has a default.", at_least=16)
    resize: str = option(
        "squash",
        "How a whole image becomes that square. squash: it is stretched or squeezed. crop: its middle is cut out. pad: it is "
        "shrunk, and black borders fill the rest.",
        choices=("squash", "crop", "pad"),
    )
    finetune: str = option(
        "all", "What is trained on the seen classes: all layers, or only the head.", choices=("all", "head")
    )
    epochs: int | None = option(None, "Maximum number of training epochs. The default depends on the backbone.", at_least=1)
    batch_size: int = option(32, "Images in one training step.", at_least=1)
    learning_rate: float = option(
        1e-3, "Adam's learning rate for the head, or for all layers if their first weights are random.", above=0
    )
    finetune_learning_rate: float = option(1e-5, "Adam's learning rate for all layers of a pretrained backbone.", above=0)
    weight_decay: float = option(5e-4, "Weight decay of kernels.", at_least=0)
    dropout: float = option(0.5, "Dropout rate of the fully connected layers.", at_least=0, below=1)
    attribute_loss: float = option(
        0.0,
        "Weight of an extra loss, with which the features learn to predict the description of the class. Used only while all "
        "layers are trained.",
        at_least=0,
    )
    patience: int = option(5, "Training stops after this many epochs without a better validation accuracy.", at_least=1)

    method: str = option(DEFAULT_METHOD, "The method that makes the classifier.", choices=network_methods())
    support: str = option(
        "seen",
        "Images that new head columns are fitted on: training images of seen classes, noise, or the images of a folder.",
        choices=("seen", "noise"), path=True
    )
    num_support: int = option(
        96, "Number of support images. Shared importance is averaged over as many images.", at_least=1
    )
    heat: str = option(
        "auto",
        "How explanations make heat maps. auto: the way that is best on held-out training images. grad_cam: Grad-CAM at "
        "--layer.",
        choices=("auto", "grad_cam"),
    )
    num_folds: int = option(
        3, "Number of folds. Each leaves some seen classes out; every choice is made on these validation classes.", at_least=1
    )
    validation_classes: int | None = option(
        None,
        "Seen classes that each fold leaves out. By default their share of the seen classes is that of the unseen among all.",
        at_least=1,
    )
    precision: str = option(
        "float32",
        "Number format of training and of passes over images. Importance, head columns and saved networks are always float32.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    jit: bool = option(
        False, "Compile with XLA: training steps of all layers (on one device), and passes over images."
    )
    cache_dtype: str = option(
        "float32", "Number format of the cached feature maps and features of frozen networks.", choices=("float32", "float16")
    )
    seed: int = option(0, "Seed of every random choice.", at_least=0, below=2_000_000_000)

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
                raise InputError(f"{rule}, which trains only a head. Received: {getattr(self, name)!r}.")

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
# Flags that were called otherwise, by the flag that stands for them today. They are taken for one more release.
SYNONYMS = {"method": "head"}
# Of installed packages, whose options are flags; the parameters of `Niwt` are written down.
ADDED_NAMES = frozenset(each.name for record in METHOD_OPTIONS[len(OPTIONS_OF_METHODS) :] for each in options_of(record))


def checked_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a function from Python that are settings, by name, each in its plain form.

    Raises:
        InputError: one is of another type than the setting, or breaks its rule; the sentence names it as an argument.
    """
    rules = {declared.name: declared for declared in SETTINGS}
    try:
        return {name: rules[name].check(value) for name, value in given.items()}
    except InputError as error:
        raise InputError(str(error).removeprefix("--")) from None
