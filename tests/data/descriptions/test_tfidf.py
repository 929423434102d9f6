"""Words without scikit-learn against scikit-learn itself, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from niwt_tf.data.descriptions.sources import caption_documents, choose_knowledge
from niwt_tf.data.descriptions.tfidf import Words
from niwt_tf.data.readers.cub import read_cub
from niwt_tf.data.splits import named_split
from niwt_tf.errors import InputError

SEEN = ["a red bird with red wings and a Naïve look", "the blue bird's wings", "grey owl, grey eyes; owl_like", "a red owl"]
LATER = ["RED red wings wings wings of 2 owls", "naïve grey-blue", "", "unheard of"]


def by_sklearn(texts):
    vectorizer = TfidfVectorizer(stop_words="english", sublinear_tf=True)
    topics = TruncatedSVD(3, n_iter=10, random_state=0).fit(vectorizer.fit_transform(SEEN))
    return topics.transform(vectorizer.transform(texts)).astype(np.float32)


def test_a_text_gives_the_bits_that_scikit_learn_gives():
    words = Words.fit(SEEN, 3)
    np.testing.assert_array_equal(words(SEEN + LATER), by_sklearn(SEEN + LATER))
    assert not words(["", "unheard of"]).any()
    assert words(SEEN).dtype == np.float32


def test_many_long_texts_give_the_bits_that_scikit_learn_gives():
    random = np.random.default_rng(0)
    texts = [" ".join(f"w{int(n)}" for n in random.zipf(1.3, 400) if n < 3000) for _ in range(40)]
    vectorizer = TfidfVectorizer(stop_words="english", sublinear_tf=True)
    topics = TruncatedSVD(25, n_iter=10, random_state=0).fit(vectorizer.fit_transform(texts[:30]))
    expected = topics.transform(vectorizer.transform(texts)).astype(np.float32)
    np.testing.assert_array_equal(Words.fit(texts[:30], 25)(texts), expected)


def test_arrays_bring_it_back(tmp_path):
    words = Words.fit(SEEN, 3)
    np.savez(tmp_path / "words.npz", **words.arrays())
    with np.load(tmp_path / "words.npz", allow_pickle=False) as file:
        again = Words.from_arrays(dict(file))
    assert again.vocabulary == words.vocabulary
    assert "naïve" in again.vocabulary
    np.testing.assert_array_equal(again(SEEN + LATER), words(SEEN + LATER))


@pytest.mark.parametrize("spoil", ["missing", "short", "nan", "junk"])
def test_arrays_that_do_not_belong_together(spoil):
    arrays = Words.fit(SEEN, 3).arrays()
    arrays = {
        "missing": {name: arrays[name] for name in ("topics", "frequencies")},
        "short": {**arrays, "frequencies": arrays["frequencies"][:-1]},
        "nan": {**arrays, "topics": arrays["topics"] * np.nan},
        "junk": {**arrays, "vocabulary": np.array([255, 254], np.uint8)},
    }[spoil]
    with pytest.raises(InputError, match="words.npz must hold"):
        Words.from_arrays(arrays)


def test_known_words():
    assert Words.fit(SEEN, 3).known("The Red, red zebra's wings") == (["red", "wings"], ["the", "zebra"])


def test_texts_without_words():
    with pytest.raises(InputError, match="needs words in the seen classes' texts"):
        Words.fit(["the and", "of"], 3)


def test_the_words_of_a_data_set_give_its_knowledge(cub: Path):
    data = named_split(read_cub(cub), ["004.Grey_Owl"])
    chosen = choose_knowledge(data, "captions").knowledge
    assert chosen.words is not None
    np.testing.assert_array_equal(chosen.words(caption_documents(data)), chosen.values)
    assert chosen.words.names == chosen.names
