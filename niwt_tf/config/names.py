"""Names of the methods, without anything heavy: the options' table reads them."""

from __future__ import annotations

from niwt_tf.errors import InputError

# These make a column of each class from its description, and so a head that exports and serves.
HEADS = ("ale", "dem", "eszsl", "sync", "cnzsl")
# Between a floor and a ceiling.
METHODS = (*HEADS, "class_mean", "random", "oracle")
TITLES = {
    "ale": "ALE",
    "dem": "DEM",
    "eszsl": "ESZSL",
    "sync": "SynC",
    "cnzsl": "CNZSL",
    "class_mean": "class mean",
    "random": "random",
    "oracle": "oracle",
}
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
        rule = f"--text_features must be lsa where no part of --knowledge is {' or '.join(TEXTS)}"
        raise InputError(f"{rule}. Received: {text_features!r} with --knowledge={knowledge}.")
