"""A text module written here: numbers of a sentence are its length and how often it says "red"."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.data.descriptions.sentence_encoder import TextModule
from niwt_tf.data.descriptions.texts import described_by_texts
from niwt_tf.errors import InputError

TEXTS = tf.TensorSpec([None], tf.string)


class Sentences(tf.Module):
    """The call of a reusable text module."""

    @tf.function(input_signature=[TEXTS])
    def __call__(self, texts):
        said = tf.strings.length(texts) - tf.strings.length(tf.strings.regex_replace(texts, "red", ""))
        return tf.cast(tf.stack([tf.strings.length(texts), said // 3], axis=1), tf.float32)


class BySignature(tf.Module):
    """A module with signatures alone, the first of them of another kind."""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    def numbers(self, values):
        return {"default": values}

    @tf.function(input_signature=[TEXTS])
    def texts(self, text):
        return {"tokens": text, "default": tf.cast(tf.strings.length(text), tf.float32)[:, None] / 0.0}


class Images(tf.Module):
    """A module of images."""

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 4, 3], tf.float32)])
    def __call__(self, images):
        return tf.reduce_mean(images, [1, 2])


class Counts(tf.Module):
    """Numbers that are not floats."""

    @tf.function(input_signature=[TEXTS])
    def __call__(self, texts):
        return tf.strings.length(texts)[:, None]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modules")
    tf.saved_model.save(Sentences(), str(folder / "sentences"))
    tf.saved_model.save(Images(), str(folder / "images"))
    tf.saved_model.save(Counts(), str(folder / "counts"))
    signed = BySignature()
    tf.saved_model.save(signed, str(folder / "signed"), signatures={"a": signed.numbers, "b": signed.texts})
    return folder


def test_a_text_is_the_mean_of_its_sentences(saved: Path):
    module = TextModule(str(saved / "sentences"))
    assert module.names == ("dimension 1", "dimension 2")
    assert module(["red red", "a red one.\nгусь", "", "red red"]).tolist() == [[7, 2], [9, 0.5], [0, 0], [7, 2]]
    assert module.known("A red, red bird") == (["red", "bird"], [])
    assert module.arrays() is None


def test_classes_described_by_a_module(saved: Path):
    texts, names = ["red red", "a red one.\nгусь"], ("x", "y")
    known = described_by_texts(texts, names, np.array([0]), "captions", f"hub:{saved / 'sentences'}")
    assert known.values.tolist() == [[7, 2], [9, 0.5]]
    assert (known.names, known.source, known.words) == (("dimension 1", "dimension 2"), "captions", None)


def test_modules_that_cannot_be_used(saved: Path, tmp_path: Path):
    for name in ("images", "counts"):
        with pytest.raises(InputError, match="must be a text module, which turns strings .B. into float numbers .B, K."):
            TextModule(str(saved / name))
    with pytest.raises(InputError, match="must give finite numbers. Received: other values for 'red'"):
        TextModule(str(saved / "signed"))(["red"])
    (tmp_path / "saved_model.pb").write_bytes(b"junk")
    with pytest.raises(InputError, match="must be a readable SavedModel"):
        TextModule(str(tmp_path))
    with pytest.raises(InputError, match="A hub module must be a handle"):
        TextModule(str(tmp_path / "absent"))
