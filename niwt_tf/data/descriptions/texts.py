"""Classes described by texts: how texts become numbers (`text_features`), fitted on the seen classes' texts alone."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from niwt_tf.data.descriptions.sentence_encoder import EncodedSentences, TextModule
from niwt_tf.data.descriptions.sentences import EMPTY
from niwt_tf.data.descriptions.tfidf import Words
from niwt_tf.data.descriptions.token_encoders import ENCODER, WORDS
from niwt_tf.data.descriptions.word_vectors import WordVectors
from niwt_tf.data.hub_location import PREFIX as HUB
from niwt_tf.data.hub_location import absolute_hub, is_hub
from niwt_tf.data.schema import Knowledge, TextEncoder
from niwt_tf.errors import InputError, listed, suggestion

LSA, VECTORS = "lsa", "vectors:"
_MAX_TOPICS = 100
# Of a class that says less in known words, nothing much is described.
_FEW = 0.25
_LOG = logging.getLogger("niwt_tf")


def described_by_texts(
    documents: Sequence[str],
    class_names: Sequence[str],
    seen: np.ndarray,
    source: str,
    text_features: str = LSA,
    progress: bool = False,
) -> Knowledge:
    """Return the knowledge that a text for each of C classes makes, called `source`, "captions" or "texts".

    Whatever is fitted is fitted on the texts of the classes at indices `seen`. `text_features` is "lsa", "encoder" or
    "encoder_words" (each may name a folder, "encoder:FOLDER"), "vectors:PATH" or "hub:HANDLE".

    Raises:
        InputError: unknown features, a file or module that is not in order, or a class of whose text no word is known.
    """
    encoder = _encoder(documents, seen, text_features, progress)
    _check_known(encoder, documents, class_names, source, text_features)
    names = encoder.names
    words = encoder if encoder.arrays() is not None else None
    return Knowledge(encoder(documents), names, ("",) * len(names), source, words)


def absolute_features(text_features: str) -> str:
    """Return the features with a path in them made absolute, so that they are found from another folder too."""
    if text_features.startswith(VECTORS):
        return VECTORS + os.path.abspath(os.path.expanduser(text_features.removeprefix(VECTORS)))
    kind, _, folder = text_features.partition(":")
    if kind in (ENCODER, WORDS) and folder:
        return f"{kind}:{os.path.abspath(os.path.expanduser(folder))}"
    return absolute_hub(text_features) if is_hub(text_features) else text_features


def encoder_from_arrays(arrays: Mapping[str, np.ndarray]) -> TextEncoder:
    """Return the encoder whose `arrays` these are.

    Raises:
        InputError: they do not belong together.
    """
    if "encoder_identity" in arrays:
        return EncodedSentences.from_arrays(arrays)
    return WordVectors.from_arrays(arrays) if "vectors" in arrays else Words.from_arrays(arrays)


def _encoder(documents: Sequence[str], seen: np.ndarray, text_features: str, progress: bool) -> TextEncoder:
    kind, _, path = text_features.partition(":")
    if text_features == LSA:
        return Words.fit([documents[c] for c in np.asarray(seen, np.int64)], _MAX_TOPICS)
    if path and kind + ":" == VECTORS:
        return WordVectors.read(Path(os.path.expanduser(path)), documents, progress)
    if kind in (ENCODER, WORDS):
        return EncodedSentences(text_features, progress)
    if path and kind + ":" == HUB:
        return TextModule(path, progress)
    near = suggestion(text_features, (LSA, ENCODER, WORDS, VECTORS + "PATH", HUB + "HANDLE"))
    rule = f"text_features must be lsa, {ENCODER}, {WORDS}, vectors:PATH or hub:HANDLE"
    raise InputError(f"{rule}. Received: {text_features!r}.{near}")


def _check_known(
    encoder: TextEncoder, documents: Sequence[str], class_names: Sequence[str], source: str, text_features: str
) -> None:
    held = "the seen classes' texts have" if text_features == LSA else f"{text_features.partition(':')[2] or text_features} has"
    few = []
    for name, document in zip(class_names, documents, strict=True):
        known, others = encoder.known(document)
        rest = [word for word in others if word not in EMPTY]
        if not known:
            raise InputError(
                f"knowledge={source} needs texts with words that {held}. Received: none of the {len(rest)} words of {name!r}."
            )
        if len(known) < _FEW * (len(known) + len(rest)):
            few.append(name)
    if few:
        _LOG.warning(
            "In the texts of %d classes (%s), fewer than %d %% of the words are among those that %s. So little is known of "
            "these classes.",
            *(len(few), listed(few), round(100 * _FEW), held),
        )
