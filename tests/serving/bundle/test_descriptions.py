from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.data.descriptions.new_classes import described_in_words
from niwt_tf.data.descriptions.tfidf import Words
from niwt_tf.data.descriptions.word_vectors import WordVectors
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.cards import Card
from niwt_tf.serving.bundle.descriptions import bundle_words, seen_knowledge
from niwt_tf.serving.export.contents import Contents

TEXTS = ["a red bird", "a blue owl", "a red owl"]
CARDS = (
    Card("cat", (1.0, 2.0), seen=True),
    Card("dog", None, seen=True),
    Card("eel", (3.0, 4.0), seen=True),
    Card("fox", (9.0, 9.0)),
)


def test_seen_classes_that_are_described(tmp_path):
    metadata = {"knowledge": {"names": ["a", "g::b"], "groups": ["", "g"], "source": "attributes"}}
    known = seen_knowledge(Bundle(tmp_path, metadata, CARDS))
    assert (known.names, known.groups, known.source) == (("a", "g::b"), ("", "g"), "attributes")
    assert known.values.tolist() == [[1, 2], [3, 4]]
    assert seen_knowledge(Bundle(tmp_path, metadata, CARDS[1:2])).values.shape == (0, 2)
    with pytest.raises(InputError, match="must have the descriptions of its classes"):
        seen_knowledge(Bundle(tmp_path, {"knowledge": None}, CARDS))


def test_words_of_captions_go_with_an_export(tmp_path):
    bundle = Bundle(tmp_path, {}, CARDS)
    assert bundle_words(bundle) is None
    words = Words.fit(TEXTS, 2)
    arrays = Contents(Knowledge(words(TEXTS), words.names, ("", ""), "captions", words)).extra_arrays()
    assert arrays.keys() == {"words"}
    (tmp_path / "assets.extra").mkdir()
    np.savez(tmp_path / "assets.extra" / "words.npz", **arrays["words"])
    again = bundle_words(bundle)
    assert again is not None
    np.testing.assert_array_equal(again(["a blue bird"]), words(["a blue bird"]))
    assert Contents().extra_arrays() == {}


def test_word_vectors_go_with_an_export_and_modules_do_not(tmp_path):
    words = WordVectors(("blue", "red"), np.array([[1, 0], [0, 2]], np.float32))
    known = Knowledge(words(TEXTS), words.names, ("", ""), "captions", words)
    (tmp_path / "assets.extra").mkdir()
    np.savez(tmp_path / "assets.extra" / "words.npz", **Contents(known).extra_arrays()["words"])
    again = bundle_words(Bundle(tmp_path, {}, CARDS))
    assert again is not None
    read = described_in_words("a red-blue owl", known, again)
    assert read.values.tolist() == [0.5, 1]
    assert read.notes == ("Of the text, 2 different words are known; not known, 'owl'.",)

    class Module(WordVectors):
        def arrays(self):
            return None

    module = Module(words.vocabulary, words.vectors)
    assert Contents(Knowledge(words(TEXTS), words.names, ("", ""), "captions", module)).extra_arrays() == {}
