"""A class's text as one vector: parts that weigh the same, the largest or the mean of its tokens, read once for all tasks."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import InputError
from niwt_tf.methods import token_table
from niwt_tf.methods.baselines import pooled_text
from niwt_tf.methods.baselines.pooled_text import PooledTexts, TextCandidate, TextReader, read_texts, texts_of
from niwt_tf.methods.token_table import TokenTable
from tests.methods.baselines.text_world import NEW, text_tasks


def test_the_largest_and_the_mean_of_tokens_by_hand():
    # The first class has two parts, of two tokens and of one; the second has one part of one.
    values = np.array([[[[1, 5], [3, 1]], [[4, 0], [0, 0]]], [[[-2, -1], [0, 0]], [[0, 0], [0, 0]]]], np.float16)
    valid = np.array([[[1, 1], [1, 0]], [[1, 0], [0, 0]]], bool)
    words, spans = ((("a", "b"), ("c",)), (("d",),)), ()
    texts = PooledTexts.of(TokenTable(("one", "two"), ((), ()), values, valid, words, spans), "who")
    np.testing.assert_array_equal(texts.parts["max"], [[3, 5], [4, 0], [-2, -1]])
    np.testing.assert_array_equal(texts.parts["mean"], [[2, 3], [4, 0], [-2, -1]])
    assert texts.classes.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(texts.of_classes("max"), [[3.5, 2.5], [-2, -1]])
    turned = texts.take(("two", "one"))
    assert (turned.names, turned.classes.tolist()) == (("two", "one"), [0, 1, 1])
    np.testing.assert_array_equal(turned.of_classes("mean"), [[-2, -1], [3, 1.5]])


def test_the_texts_of_all_tasks_are_read_once(coloured_seen, tiny_bert, monkeypatch):
    main, fold = text_tasks(coloured_seen, tiny_bert)
    calls, real = [], pooled_text.table_of
    monkeypatch.setattr(pooled_text, "table_of", lambda *given: calls.append(given[1].names) or real(*given))
    read_texts(main.settings, [main, fold])
    assert calls == [main.descriptions.names]
    by_itself = PooledTexts.of(
        real(main.settings, fold.descriptions, token_table.encoder_of(main.settings, fold.descriptions)), "?"
    )
    for how in ("max", "mean"):
        np.testing.assert_allclose(texts_of(fold).parts[how], by_itself.parts[how], atol=1e-6)
    # As the seen classes are read, so are others.
    reader = TextReader.of(main, "max")
    seen = reader.standard(texts_of(main).of_classes("max"))
    np.testing.assert_allclose(reader(main.descriptions), seen, atol=1e-5)
    again = TextReader.from_arrays(main.settings, reader.arrays())
    np.testing.assert_array_equal(again(NEW), reader(NEW))
    assert reader(NEW.take(np.arange(0))).shape == (0, 8)


def test_what_cannot_be_read_is_one_sentence(coloured_seen, tiny_bert):
    main = text_tasks(coloured_seen, tiny_bert)[0]
    reader = TextReader.of(main, "mean")
    for texts in (None, ("", "a red bird.")):
        with pytest.raises(InputError, match="needs a text for each class. Received: none for 'teal'"):
            reader(Descriptions(NEW.names, NEW.values, texts))
    other = TextReader.from_arrays(main.settings, {**reader.arrays(), "encoder": np.array("another")})
    with pytest.raises(InputError, match="must be the encoder that the method was trained with"):
        other(NEW)
    main = text_tasks(coloured_seen, tiny_bert)[0]
    main.partition.training.descriptions.__dict__["texts"] = None
    with pytest.raises(InputError, match="needs a text for each class. Received: none for 'red'"):
        read_texts(main.settings, [main])


def test_a_candidate_is_found_again():
    candidate = TextCandidate("mean", 100)
    assert TextCandidate.of({**candidate.as_dict(), "calibration": 0.5}) == candidate
