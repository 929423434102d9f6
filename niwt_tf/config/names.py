"""Names of methods, data sets and sources of knowledge, without anything heavy: the options' table reads them."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from niwt_tf.errors import InputError

DEFAULT_METHOD = "niwt"
N3 = "n3"
_BASELINES = ("ale", "dem", "eszsl", "sync", "cnzsl", "sae", "cvae", "class_mean", "class_mean_gp")
# They read texts, by their words; the first have a network.
_OF_TEXTS = ("pdcnn_fc", "megazsl")
_SCORES_OF_TEXTS = ("pdcnn_conv",)
# A module's METHOD is the method.
METHOD_MODULES = {
    DEFAULT_METHOD: "niwt_tf.methods.niwt.niwt",
    N3: "niwt_tf.methods.n3.n3",
    **{name: f"niwt_tf.methods.baselines.{name}" for name in (*_BASELINES, *_OF_TEXTS, *_SCORES_OF_TEXTS)},
    "random": "niwt_tf.methods.baselines.random_scores",
}
# The stages of a run that a method has between `train` and `transfer`, each a job too, and what it does; most have none.
METHOD_STAGES = {
    DEFAULT_METHOD: {
        "importance": "Measure how important each neuron is to each seen class.",
        "map": "Learn to predict importance from class descriptions.",
    },
    N3: {"meta": "Train N3's meta-model, which reads texts and writes networks."},
}
# Records of the options that methods bring, in the order of the flags. They import nothing heavy.
OPTIONS_OF_METHODS = (
    "niwt_tf.methods.niwt.options:NiwtOptions",
    "niwt_tf.methods.n3.options:N3Options",
    "niwt_tf.methods.text_options:TextOptions",
)
# Module and class of each kind of column formula, which niwt.json names; bundles of before there were several have the former.
FORMULAS = {
    "importance": ("niwt_tf.methods.niwt.niwt_formula", "NiwtFormula"),
    "relevance": ("niwt_tf.methods.relevance_formula", "RelevanceFormula"),
    "layers": ("niwt_tf.methods.baselines.column_network", "ColumnNetwork"),
}
FORMER_FORMULA = "importance"
# Those that read texts, and write networks from them alone.
TEXT_METHODS = (N3, *_OF_TEXTS)
# Those that N3 is compared with in its paper.
READING = (*_OF_TEXTS[:1], *_SCORES_OF_TEXTS, *_OF_TEXTS[1:])
# Between a floor and a ceiling, which make no network.
COMPARED = (*METHOD_STAGES, *_BASELINES, *READING, "random", "oracle")
TITLES = {
    DEFAULT_METHOD: "NIWT", N3: "N3", "ale": "ALE", "dem": "DEM", "eszsl": "ESZSL", "sync": "SynC", "cnzsl": "CNZSL",
    "sae": "SAE", "cvae": "CVAE", "class_mean": "class mean", "class_mean_gp": "class mean GP", "pdcnn_fc": "PDCNN fc",
    "pdcnn_conv": "PDCNN fc+conv", "megazsl": "MEGAZSL", "random": "random", "oracle": "oracle"
}
DATASETS = ("birds", "cub", "awa2", "nabirds", "flowers", "folder", "xlsa17")
# The network of published features: a head, and nothing before it.
FEATURES = "features"
# Data sets of features without images, and what follows from it for settings that are not given. ImageNet's weights made them.
OF_FEATURES = {"xlsa17": {"backbone": FEATURES, "finetune": "head", "weights": "imagenet", "split": "ps"}}


@cache
def added(group: str) -> dict[str, EntryPoint]:
    """Return what installed packages add by an entry-point group, niwt_tf.methods, .options or .datasets, by name."""
    return {point.name: point for point in entry_points(group=group)}


def network_methods() -> tuple[str, ...]:
    """Return the methods that make a network: what --method may be."""
    return (DEFAULT_METHOD, N3, *_BASELINES, *_OF_TEXTS, *added("niwt_tf.methods"))


def compared_methods() -> tuple[str, ...]:
    """Return what a run's own method is compared with, in the order of the tables."""
    return (*COMPARED, *added("niwt_tf.methods"))


def title_of(method: str) -> str:
    """Return a method's name as tables and pictures show it."""
    return TITLES.get(method, method)


def dataset_names() -> tuple[str, ...]:
    """Return the data sets that can be read: what --dataset may be."""
    return (*DATASETS, *added("niwt_tf.datasets"))


SOURCES = ("attributes", "binary", "captions", "sentences", "texts")
# What `text_features` makes numbers of; published sentences are numbers already.
TEXTS = ("captions", "texts")


def has_texts(knowledge: str) -> bool:
    """Return whether a part of the knowledge is made numbers of as `text_features` says."""
    return any(part.strip() in TEXTS for part in knowledge.split("+"))


def check_text_features(knowledge: str, text_features: str) -> None:
    """Check that features of texts are asked for only where there are texts: elsewhere they would do nothing.

    Raises:
        InputError: no part of the knowledge is a text.
    """
    if text_features != "lsa" and not has_texts(knowledge):
        rule = f"--text_features must be lsa if no part of --knowledge is {' or '.join(TEXTS)}"
        raise InputError(f"{rule}. Received: {text_features!r} with --knowledge={knowledge}.")
