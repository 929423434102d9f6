from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.data.descriptions.texts import absolute_features, described_by_texts
from niwt_tf.errors import InputError

NAMES = ("ape", "bear", "cat")
TEXTS = ["a brown ape with long arms", "a brown bear with round ears", "a small cat with round ears"]
SEEN = np.array([0, 1])


def described(texts=TEXTS, features="lsa", source="texts"):
    return described_by_texts(texts, NAMES, SEEN, source, features)


def test_topics_are_those_of_seen_classes():
    known = described()
    assert known.values.shape == (3, 2)
    assert known.source == "texts"
    assert known.words is not None
    assert "cat" not in "".join(known.names)
    np.testing.assert_array_equal(described([*TEXTS[:2], "round ears"]).values[:2], known.values[:2])


def test_word_vectors(tmp_path: Path):
    path = tmp_path / "v.txt"
    path.write_text("brown 1 0\nround 0 1\nape 4 4\n")
    known = described(features=f"vectors:{path}")
    np.testing.assert_allclose(known.values, [[2.5, 2], [0.5, 0.5], [0, 1]])
    assert known.words is not None
    np.testing.assert_allclose(known.words(["brown"]), [[1, 0]])


OTHER_SCRIPTS = {
    "russian": ["красная птица с длинным хвостом", "синяя птица с белым хвостом", "красная птица с белым клювом"],
    "arabic": ["طائر أحمر بجناح طويل", "طائر أزرق بجناح أبيض", "طائر أحمر بمنقار أبيض"],
    "chinese": ["红色的鸟有长长的尾巴", "蓝色的鸟有白色的尾巴", "红色的鸟有白色的嘴"],
    "japanese": ["赤い鳥は長い尾を持つ", "青い鳥は白い尾を持つ", "赤い鳥は白い嘴を持つ"],
}


@pytest.mark.parametrize("script", OTHER_SCRIPTS)
def test_texts_in_other_scripts(script):
    values = described(OTHER_SCRIPTS[script]).values
    # The third class has half of its words from either of the others.
    assert (values[2] @ values[:2].T > 0.2).all()
    assert abs(values[0] @ values[1]) < 0.9


def test_a_class_of_whose_text_no_word_is_known(tmp_path: Path):
    texts = [*TEXTS[:2], "кошка с ушами"]
    sentence = "knowledge=texts needs texts with words that the seen classes' texts have. "
    with pytest.raises(InputError, match=sentence + "Received: none of the 2 words of 'cat'."):
        described(texts)
    path = tmp_path / "v.txt"
    path.write_text("brown 1 0\nround 0 1\n")
    with pytest.raises(InputError, match=r"with words that .*v.txt has. Received: none of the 2 words of 'cat'"):
        described(texts, f"vectors:{path}")


def test_little_known_classes_are_named(caplog):
    with caplog.at_level(logging.WARNING, "niwt_tf"):
        described()
        assert not caplog.records
        described([*TEXTS[:2], "ears " + " ".join(f"unheard{k}" for k in range(4))])
    assert "In the texts of 1 classes ('cat'), fewer than 25 %" in caplog.text


@pytest.mark.parametrize("features", ["bert", "vectors:", "hub:", "vectors"])
def test_unknown_features(features):
    rule = "text_features must be lsa, encoder, encoder_words, vectors:PATH or hub:HANDLE. Received: "
    with pytest.raises(InputError, match=rule):
        described(features=features)


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "module").mkdir()
    assert absolute_features("lsa") == "lsa"
    assert absolute_features("vectors:a/v.txt") == f"vectors:{os.getcwd()}/a/v.txt"
    assert absolute_features("hub:module") == f"hub:{os.getcwd()}/module"
    assert absolute_features("hub:https://tfhub.dev/x") == "hub:https://tfhub.dev/x"
