"""Chooses what is known of each class: the attributes as read, its captions, or a table of the user's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from niwt_tf.data.schema import Dataset, Knowledge
from niwt_tf.data.table import read_class_table, rows_of_classes
from niwt_tf.errors import InputError, suggestion

_MAX_TOPICS = 100


def choose_knowledge(dataset: Dataset, knowledge: str = "attributes", seen: np.ndarray | None = None) -> Dataset:
    """Return the data set with the knowledge asked for.

    Args:
        dataset: with a split when `seen` is None and `knowledge` is "captions".
        knowledge: "attributes" (as the reader found them), "captions" (latent semantic analysis of each class's texts) or the
            path of a CSV in the form of classes.csv with a row for every class.
        seen: class indices whose texts decide vocabulary and topics; by default those of the split.

    Raises:
        InputError: an unknown word, classes without text, or a table that is not in order or lacks a class.
    """
    if knowledge == "attributes":
        return dataset
    if knowledge == "captions":
        if seen is None:
            if dataset.split is None:
                raise InputError("seen must name the seen classes when the data set has no split. Received: None.")
            seen = dataset.split.seen
        return dataset.replace(knowledge=_topics(class_documents(dataset), np.asarray(seen, np.int64)), image_attributes=None)
    path = Path(knowledge).expanduser()
    if not path.is_file():
        near = suggestion(knowledge, ("attributes", "captions"))
        raise InputError(f"knowledge must be attributes, captions or the path of a CSV file. Received: {knowledge!r}.{near}")
    chosen = rows_of_classes(path, read_class_table(path), dataset.class_names)
    return dataset.replace(knowledge=chosen, image_attributes=None)


def class_documents(dataset: Dataset) -> list[str]:
    """Return one text a class: its own where the data set has class texts, otherwise its images' captions.

    Captions of seen classes' test images are left out. An unseen class has no other images than those it is tested on, so
    its captions stand for the description that a person would give (as in Reed et al. 2016).

    Raises:
        InputError: a class has no text.
    """
    documents = list(dataset.class_texts or [""] * len(dataset.class_names))
    held_out = set() if dataset.split is None else set(dataset.split.test_seen.tolist())
    sentences: list[list[str]] = [[] for _ in documents]
    for image, captions in enumerate(dataset.captions or ()):
        if image not in held_out:
            sentences[dataset.labels[image]] += captions
    documents = [text or "\n".join(lines) for text, lines in zip(documents, sentences, strict=True)]
    without = [name for name, text in zip(dataset.class_names, documents, strict=True) if not text.strip()]
    if without:
        raise InputError(
            f"knowledge=captions needs a text for each of {len(documents)} classes. "
            f"Received: none for {len(without)}, the first {without[0]!r}."
        )
    return documents


def _topics(documents: list[str], seen: np.ndarray) -> Knowledge:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(stop_words="english", sublinear_tf=True)
    try:
        fitted = vectorizer.fit_transform([documents[c] for c in seen])
    except ValueError as error:
        raise InputError(f"knowledge=captions needs words in the seen classes' texts. Received: {error}.") from None
    words = vectorizer.get_feature_names_out()
    count = min(_MAX_TOPICS, len(seen), len(words))
    topics = TruncatedSVD(count, n_iter=10, random_state=0).fit(fitted)
    values = topics.transform(vectorizer.transform(documents)).astype(np.float32)
    names = []
    for number, weights in enumerate(topics.components_, start=1):
        strongest = np.argsort(-np.abs(weights), kind="stable")[:3]
        names.append(f"topic {number}: " + ", ".join(words[strongest]))
    return Knowledge(values, tuple(names), ("",) * count, source="captions")
