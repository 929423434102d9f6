from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.serving.checks.check_requests import strings
from niwt_tf.serving.checks.messages import Message, difference, fault


def _answer(labels, scores, **others):
    rows = np.array([strings(row) for row in labels], object)
    return Message("serving_default", {"labels": rows, "scores": np.array(scores, np.float32), **others})


GOOD = _answer([[b"a", b"b", b"c"]], [[0.6, 0.3, 0.1]])


def test_equal_answers_do_not_differ():
    assert difference(GOOD, GOOD) is None
    assert difference(GOOD, _answer([[b"a", b"b", b"c"]], [[0.60005, 0.3, 0.1]])) is None


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (_answer([[b"b", b"a", b"c"]], [[0.6, 0.3, 0.1]]), "labels is b'b', not b'a'"),
        (_answer([[b"a", b"b", b"c"]], [[0.6, 0.2, 0.1]]), "scores is 0.1 apart"),
        (_answer([[b"a", b"b", b"c"]], [[np.nan, 0.3, 0.1]]), "scores is nan apart"),
        (_answer([[b"a", b"b"]], [[0.6, 0.3]]), "labels is [1, 2], not [1, 3]"),
        (Message("serving_default", {"labels": GOOD.tensors["labels"]}), "other outputs"),
        (Message("serving_default", code=5, error="gone"), "status 5: gone"),
    ],
)
def test_what_differs_is_said(other, said):
    assert difference(GOOD, other) == said


def test_classes_that_tie_or_have_no_score_may_change_places():
    expected = _answer([[b"a", b"b", b"c", b"d"]], [[0.5, 0.25, 0.25, 1e-7]])
    assert difference(expected, _answer([[b"a", b"c", b"b", b"e"]], [[0.5, 0.25, 0.25, 1e-7]])) is None
    assert difference(expected, _answer([[b"b", b"a", b"c", b"d"]], [[0.5, 0.25, 0.25, 1e-7]])) is not None


def test_logits_agree_by_the_largest():
    expected = Message("logits", {"logits": np.float32([[1000, 1]])})
    assert difference(expected, Message("logits", {"logits": np.float32([[1000.05, 1]])})) is None
    assert difference(expected, Message("logits", {"logits": np.float32([[1000.2, 1]])})) is not None


def test_images_agree_by_their_header():
    def png(header, rest):
        return Message("explain", {"heatmap_png_bytes": strings([header * 24 + rest])})

    assert difference(png(b"a", b"1"), png(b"a", b"2")) is None
    assert difference(png(b"a", b"1"), png(b"b", b"1")) == "heatmap_png_bytes are other images"


def test_faults_of_an_answer_by_itself():
    assert fault(GOOD, 1) is None
    assert "2 rows" in fault(GOOD, 2)
    assert "finite" in fault(_answer([[b"a"]], [[np.inf]]), 1)
    assert fault(Message("logits", code=3, error="bad"), 1) == "status 3: bad"
    assert "rows" in fault(Message("logits", {"k": np.float32(5)}), 1)
