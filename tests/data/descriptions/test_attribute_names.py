"""Which words stand for others."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.data.descriptions import attribute_names
from niwt_tf.data.descriptions.attribute_names import nearest_word
from niwt_tf.data.descriptions.attribute_parser import read_attributes
from niwt_tf.data.schema import Knowledge

COLORS = ("black", "white", "red", "yellow", "green", "blue", "pink", "brown", "orange", "striped")


@pytest.mark.parametrize(
    "shade, color",
    [("crimson", "red"), ("scarlet", "red"), ("emerald", "green"), ("azure", "blue"), ("navy", "blue"), ("chestnut", "brown"),
     ("ebony", "black"), ("snowy", "white"), ("lemon", "yellow"), ("rosy", "pink")],
)  # fmt: skip
def test_shades(shade, color):
    near = nearest_word(shade, COLORS)
    assert near is not None
    assert near[0] == color
    assert 0.85 < near[1] <= 1


@pytest.mark.parametrize("word, known", [("purple", COLORS), ("crimson", ("striped", "furry")), ("rust", COLORS)])
def test_what_stands_for_no_colour(word, known, monkeypatch):
    monkeypatch.setattr(attribute_names, "_encoder", lambda: None)
    assert nearest_word(word, known) is None


def test_other_words_by_the_encoder(monkeypatch):
    table = {"huge": [1, 0], "big": [0.9, 0.1], "fast": [0, 1], "quick": [0.7, 0.7], "red": [1, 0]}
    unit = {word: np.array(vector) / np.linalg.norm(vector) for word, vector in table.items()}
    monkeypatch.setattr(attribute_names, "_encoder", lambda: lambda words: np.stack([unit[word] for word in words]))
    near = nearest_word("huge", ("big", "fast", "red"))
    assert near is not None and near[0] == "big"
    assert nearest_word("quick", ("big", "fast")) is None  # as near to both


def test_what_was_taken_for_another_word_is_told():
    seen = Knowledge(np.eye(2, dtype=np.float32), ("crown_color::red", "crown_color::blue"), ("crown_color", "crown_color"))
    reading = read_attributes("A crimson crown.", seen, nearest_word)
    assert reading.said == ("crown_color::red",)
    assert "took 'crimson' for 'red' (similarity 0.96)" in reading.sentence()
    assert not read_attributes("A crimson crown, a blue crown.", seen).synonyms
