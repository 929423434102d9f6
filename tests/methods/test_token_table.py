"""Texts as tokens: variants, pooling, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.data.descriptions.bert import Tokens
from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import InputError
from niwt_tf.methods.token_table import TokenTable, variants


class Counting:
    """A token is a word; its two numbers are its length and how often it was asked for before."""

    size, identity, slow = 2, "counting", False

    def count(self, text):
        return len(text.split())

    def tokens(self, texts, most=None, bar=None):
        made = []
        for text in texts:
            words = [word for word in text.split() if word != "unknown"][:most]
            values = np.array([[len(word), 1.0] for word in words], np.float32).reshape(len(words), 2)
            made.append(Tokens(tuple(words), tuple((0, len(word)) for word in words), values))
        return made


def _described(*texts):
    return Descriptions(tuple(f"class {k}" for k in range(len(texts))), np.zeros((len(texts), 0), np.float32), texts)


def test_paragraphs_are_variants_and_long_ones_are_cut_between_sentences():
    text = "One red bird. Two blue ones.\n\nA tail that is long.\nA bill."
    assert variants(text, Counting(), 20, 8) == ["One red bird. Two blue ones.", "A tail that is long. A bill."]
    assert variants(text, Counting(), 5, 8) == ["One red bird.", "Two blue ones.", "A tail that is long.", "A bill."]
    assert variants(text, Counting(), 5, 2) == ["One red bird.", "A bill."]


def test_tables_hold_each_text_once_and_pool_variants_evenly():
    table = TokenTable.of(_described("ab ab ab ab\n\nabcd", "abc"), Counting(), most_tokens=9, most_variants=4)
    assert table.values.shape == (2, 2, 4, 2) and table.values.dtype == np.float16
    assert table.counts.tolist() == [2, 1]
    np.testing.assert_array_equal(table.pooled, [[3, 1], [3, 1]])  # (2 + 4) / 2, not (4 * 2 + 4) / 5
    for rows, expected in zip(table.parts_pooled("max"), ([[2, 1], [4, 1]], [[3, 1]]), strict=True):
        np.testing.assert_array_equal(rows, expected)
    one = table.take([1])
    assert (one.names, one.texts, one.words) == (("class 1",), (("abc",),), ((("abc",),),))


def test_tokens_of_a_slow_encoder_are_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    encoder, classes, how = Counting(), _described("ab ab\n\nabcd", "abc"), {"most_tokens": 9, "most_variants": 4}
    encoder.slow = True
    made = TokenTable.of(classes, encoder, **how)
    monkeypatch.setattr(Counting, "tokens", lambda *_: pytest.fail("encoded again"))
    again = TokenTable.of(classes, encoder, **how)
    assert (again.words, again.spans, again.texts) == (made.words, made.spans, made.texts)
    np.testing.assert_array_equal(again.values, made.values)
    with pytest.raises(pytest.fail.Exception):  # another limit makes other tokens
        TokenTable.of(classes, encoder, most_tokens=1, most_variants=4)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (file,) = (tmp_path / "niwt-tf" / "tokens").iterdir()
    file.write_bytes(file.read_bytes()[:40])  # what was cut off is made again
    np.testing.assert_array_equal(TokenTable.of(classes, encoder, **how).values, made.values)


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (("red", " "), "needs a text for each class. Received: none for 'class 1'"),
        (("red", "unknown"), "must have words that the encoder knows. Received: none in that of 'class 1'"),
        (("red", "[UNK] [UNK] bird"), "must have words that the encoder knows. Received: none in that of 'class 1'"),
        (("red", "... !"), "must have words. Received: that of 'class 1'"),
        (("red", "к р а с н ы й"), "in a language that the encoder knows. Received: that of 'class 1'"),
    ],
)
def test_what_cannot_be_read_is_refused(texts, sentence):
    with pytest.raises(InputError, match=sentence):
        TokenTable.of(_described(*texts), Counting(), most_tokens=9, most_variants=4)
