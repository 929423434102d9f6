"""The page of shaded words and the line of a sheet: nothing in a text is markup."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from PIL import Image

from niwt_tf.explain.evidence_words import evidence_line, evidence_record
from niwt_tf.explain.record import explanation_record
from niwt_tf.methods.text_evidence import ClassEvidence, TextEvidence
from niwt_tf.report.evidence_page import evidence_page
from niwt_tf.report.explanation_sheet import write_explanation_sheet
from tests.report.test_explanation_sheet import explained


def _class(name, text, weights):
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    values = np.array(weights, np.float32)
    return ClassEvidence(
        name, text, tuple(text[slice(*span)] for span in spans), tuple(spans), values, abs(values), abs(values), 0.5
    )


EVIDENCE = TextEvidence("crow", "<b>dove", 1.5, (
    _class("crow", "a black bird.\n<script>alert(1)</script> wings", [0, 3, 0.5, 1, -2]),
    _class("<b>dove", "a white bird.", [0.1, 2, -1]),
))


def test_words_are_shaded_and_escaped():
    page = evidence_page(EVIDENCE, '"a"&<i>.jpg')
    assert "<script" not in page and "<b>" not in page and "<i>" not in page and "http" not in page
    assert '<mark style="background: rgba(0, 114, 178, 0.75)" title="+3.00">black</mark>' in page
    assert 'title="+1.00">&lt;script&gt;alert(1)&lt;/script&gt;</mark>' in page
    assert '<mark style="background: rgba(213, 94, 0, 0.50)" title="-2.00">wings</mark>' in page
    bare = re.sub(r"<[^>]+>", "", page)
    assert "a black bird." in bare and "a white bird." in bare


def test_the_record_and_the_sheet_have_the_words(tmp_path):
    record = evidence_record(EVIDENCE)
    assert record["for"][0] == {
        "class": "crow", "sentence": "a black bird.",
        "words": [{"word": "black", "weight": 3.0, "span": [2, 7]}, {"word": "bird.", "weight": 0.5, "span": [8, 13]}],
    }
    assert record["against"][0]["words"] == [{"word": "wings", "weight": -2.0, "span": [26, 31]}]
    assert [each["class"] for each in record["by_loss"]["negative"]] == ["<b>dove"]
    assert evidence_line(EVIDENCE, against=True, called={"crow": "Crow"}) == "wings (Crow) -2.00, bird. (<b>dove) -1.00"
    said = explained()
    assert "evidence" not in explanation_record(said, "a.jpg", {})
    with_words = replace(said, evidence=EVIDENCE)
    assert explanation_record(with_words, "a.jpg", {})["evidence"] == record
    heights = []
    for name, each in (("one", said), ("two", with_words)):
        write_explanation_sheet(tmp_path / f"{name}.png", each, np.full((20, 30, 3), 200, np.uint8), "photo.jpg")
        with Image.open(tmp_path / f"{name}.png") as image:
            heights.append(image.size[1])
    assert heights[1] > heights[0] + 40
