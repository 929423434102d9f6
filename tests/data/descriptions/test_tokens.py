from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.data.descriptions.tokens import sentences, tokens

WORDS = {
    "russian": ("Красная птица, с синими крыльями!", ["красная", "птица", "синими", "крыльями"]),
    "greek": ("Το πουλί είναι κόκκινο", ["το", "πουλί", "είναι", "κόκκινο"]),
    "arabic with its vowels": ("الطَّائِرُ أحمر", ["الطَّائِرُ", "أحمر"]),
    "hindi": ("लाल पक्षी", ["लाल", "पक्षी"]),
    "korean": ("빨간 새는 작다", ["빨간", "새는", "작다"]),
    "chinese": ("红色的鸟，red翅膀。", ["红色", "色的", "的鸟", "red", "翅膀"]),
    "chinese, one character": ("鸟", ["鸟"]),
    "japanese": ("赤い鳥", ["赤い", "い鳥"]),
    "thai": ("นก", ["นก"]),
}


@pytest.mark.parametrize("script", WORDS)
def test_words_of_a_script(script):
    text, words = WORDS[script]
    assert tokens(text) == words


def test_an_accent_written_apart_is_that_of_the_letter():
    assert tokens(unicodedata.normalize("NFD", "naïve café")) == ["naïve", "café"] == tokens("naïve café")


LATIN = st.text(st.characters(max_codepoint=0x24F, exclude_characters="İ"), max_size=60)


@given(LATIN)
def test_latin_words_are_those_of_scikit_learn(text):
    assert tokens(text) == re.findall(r"\b\w\w+\b", unicodedata.normalize("NFC", text.lower()))


@given(st.text(max_size=60))
def test_words_are_lower_case_and_never_blank(text):
    assert all(word and word == word.strip() and not re.search(r"\s", word) for word in tokens(text))


def test_sentences():
    text = "A bird. It is 2.5 cm long! \n\n这只鸟。是红色的？\nНет… да"
    assert sentences(text) == ["A bird.", "It is 2.5 cm long!", "这只鸟。", "是红色的？", "Нет…", "да"]
    assert sentences(" \n ") == []
