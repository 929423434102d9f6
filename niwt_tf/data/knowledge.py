"""Chooses what is known of each class: the attributes as read, its captions, or a table of the user's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from niwt_tf.data.schema import Dataset, Knowledge
from niwt_tf.data.table import read_class_table, rows_of_classes
from niwt_tf.data.words import Words
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
        words = words_of(dataset, seen)
        names = words.names
        topics = Knowledge(words(class_documents(dataset)), names, ("",) * len(names), "captions", words)
        return dataset.replace(knowledge=topics, image_attributes=None)
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


def words_of(dataset: Dataset, seen: np.ndarray | None = None) -> Words:
    """Return what turns a text into the description that `choose_knowledge(dataset, "captions", seen)` gives its class.

    Args:
        dataset: with a split when `seen` is None; its knowledge is not looked at.
        seen: class indices whose texts decide vocabulary and topics; by default those of the split.

    Raises:
        InputError: neither a split nor `seen`, classes without text, or seen texts without words.
    """
    if seen is None:
        if dataset.split is None:
            raise InputError("seen must name the seen classes when the data set has no split. Received: None.")
        seen = dataset.split.seen
    documents = class_documents(dataset)
    return Words.fit([documents[c] for c in np.asarray(seen, np.int64)], _MAX_TOPICS)
