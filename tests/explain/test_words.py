import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.explain.words import WeightedAttribute, grouped, textual_explanation

NAMES = ("red head", "blue head", "long beak", "stripes", "fur")
GROUPS = ("head", "head", "beak", "", "")


def test_what_speaks_for_and_against_by_hand():
    weights = np.array([0.5, -2.0, 1.5, 0.0, -0.25], np.float32)
    told = textual_explanation(weights, NAMES, GROUPS)
    assert told.speaks_for == (WeightedAttribute("long beak", "beak", 1.5), WeightedAttribute("red head", "head", 0.5))
    assert told.speaks_against == (WeightedAttribute("blue head", "head", -2.0), WeightedAttribute("fur", "", -0.25))
    one = textual_explanation(weights, NAMES, GROUPS, top=1)
    assert (one.speaks_for, one.speaks_against) == (told.speaks_for[:1], told.speaks_against[:1])


def test_equal_weights_come_in_the_order_of_the_attributes_and_nan_says_nothing():
    told = textual_explanation(np.array([1.0, np.nan, 1.0, -1.0, -1.0]), NAMES, GROUPS, top=3)
    assert [word.attribute for word in told.speaks_for] == ["red head", "long beak"]
    assert [word.attribute for word in told.speaks_against] == ["stripes", "fur"]


@given(st.lists(st.floats(width=32), max_size=12), st.integers(0, 15))
def test_words_are_the_strongest_in_order(weights, top):
    names = [f"attribute {k}" for k in range(len(weights))]
    told = textual_explanation(np.array(weights), names, [""] * len(names), top)
    for words, sign in ((told.speaks_for, 1.0), (told.speaks_against, -1.0)):
        able = sorted((sign * weight for weight in weights if sign * weight > 0), reverse=True)
        assert [sign * word.weight for word in words] == able[:top]
        assert all(weights[names.index(word.attribute)] == word.weight for word in words)


def test_words_by_group():
    listed = ("a", "head", 3.0), ("b", "", 2.0), ("c", "head", 1.0), ("d", "", 0.5)
    words = [WeightedAttribute(*each) for each in listed]
    assert grouped(words) == {"head": [words[0], words[2]], "": [words[1], words[3]]}
    assert list(grouped(words)) == ["head", ""]
    assert grouped([]) == {}
