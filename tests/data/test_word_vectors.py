from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.data.descriptions.texts import encoder_from_arrays
from niwt_tf.data.descriptions.tfidf import Words
from niwt_tf.data.word_vectors import WordVectors
from niwt_tf.errors import InputError

VECTORS = "red 1 0\nblue 0 1\nbird 2 2\nthe 9 9\nкрасная 4 0\n"


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text(VECTORS)
    return WordVectors.read(path, ["The red bird.", "красная blue птица"])


def test_the_mean_of_sentences_of_the_mean_of_words(words):
    assert words.vocabulary == ("bird", "blue", "red", "красная")
    texts = ["The RED bird.", "red bird. Blue!\nred red blue zebra", "nothing", "Красная"]
    # Sentences (1.5, 1), (0, 1) and (2/3, 1/3).
    expected = [[1.5, 1], [(1.5 + 0 + 2 / 3) / 3, (1 + 1 + 1 / 3) / 3], [0, 0], [4, 0]]
    np.testing.assert_allclose(words(texts), expected, rtol=1e-6)
    assert words(texts).dtype == np.float32
    assert words.known("Red птица, red") == (["red"], ["птица"])
    assert words.names == ("dimension 1", "dimension 2")


def test_arrays_bring_it_back(words, tmp_path):
    np.savez(tmp_path / "words.npz", **words.arrays())
    with np.load(tmp_path / "words.npz", allow_pickle=False) as file:
        again = encoder_from_arrays(dict(file))
    assert isinstance(again, WordVectors)
    assert again.vocabulary == words.vocabulary
    np.testing.assert_array_equal(again(["red bird"]), words(["red bird"]))
    topics = Words.fit(["a red bird", "a blue owl"], 2)
    assert isinstance(encoder_from_arrays(topics.arrays()), Words)


@pytest.mark.parametrize("spoil", ["missing", "short", "nan", "flat"])
def test_arrays_that_do_not_belong_together(words, spoil):
    arrays = words.arrays()
    arrays = {
        "missing": {"vectors": arrays["vectors"]},
        "short": {**arrays, "vectors": arrays["vectors"][:-1]},
        "nan": {**arrays, "vectors": arrays["vectors"] * np.nan},
        "flat": {**arrays, "vectors": arrays["vectors"][:, 0]},
    }[spoil]
    with pytest.raises(InputError, match="words.npz must hold a vocabulary and a vector"):
        encoder_from_arrays(arrays)


def test_a_file_with_none_of_the_words(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text(VECTORS)
    with pytest.raises(InputError, match="v.txt must have vectors of words that the texts use. Received: none of 2 words."):
        WordVectors.read(path, ["the grey owl"])
