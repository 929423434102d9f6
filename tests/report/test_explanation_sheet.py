"""The picture of an explanation: that it can be drawn whatever the classes are called and however little is known."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from niwt_tf.explain.counterfactual import NoCounterfactual
from niwt_tf.explain.record import Contrast, ImageExplanation, NamedClass, NeuronReason
from niwt_tf.explain.words import WeightedAttribute
from niwt_tf.report.explanation_sheet import inches, write_explanation_sheet

SHEET = "niwt_tf.report.explanation_sheet._Sheet"
WORDS = (WeightedAttribute("has_wing_color::red", "wing_color", 1.5), WeightedAttribute("size", "", -0.5))


def explained(label="crow", rival="dove", words=WORDS, heat=True, activations=True):
    """Return an explanation with a heat map whose left half is hot; `rival` None is one class alone."""
    hot = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    neurons = tuple(NeuronReason(n, "size", 0.9, 1.0, hot if activations else None) for n in range(3))
    own, other = NamedClass(label, True, 0.75), NamedClass(rival or "", False, 0.2)
    contrast = Contrast(
        other, words, words, neurons, hot if heat else None, NoCounterfactual("It is so."), other, True, own
    )
    return ImageExplanation(own, own, words, (), neurons, hot, contrast if rival else None)


def drawn(tmp_path, explanation, shape=(20, 30)):
    path = tmp_path / "sheet.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_explanation_sheet(path, explanation, np.full((*shape, 3), 200, np.uint8), "photo.jpg")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_bars_have_their_colours_and_without_a_rival_the_sheet_is_shorter(tmp_path):
    whole, alone = drawn(tmp_path, explained()), drawn(tmp_path, explained(rival=None))
    assert whole.shape[1] == alone.shape[1] and whole.shape[0] > alone.shape[0] + 200
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (whole == colour).all(axis=2).sum() > 500


@pytest.mark.slow
@pytest.mark.combination
def test_nothing_is_drawn_up_to_the_edges(tmp_path):
    pixels = drawn(tmp_path, explained(label="a very long name " * 30, rival="another one that is longer " * 20))
    edges = np.concatenate([pixels[:8].reshape(-1, 3), pixels[-8:].reshape(-1, 3), pixels[:, -8:].reshape(-1, 3)])
    assert (edges == 255).all()


def _texts(tmp_path, monkeypatch, explanation):
    """Return the titles of bars and of pictures."""
    bars, pictures = [], []
    monkeypatch.setattr(f"{SHEET}.bars", lambda *given: bars.append(given[-1]))
    monkeypatch.setattr(f"{SHEET}.picture", lambda *given: pictures.append(given[-1]))
    drawn(tmp_path, explanation)
    return bars, pictures


def test_titles_are_whole_where_there_is_room(tmp_path, monkeypatch):
    own, rival = "Chestnut Tailed Kingfisher", "Red Finch"
    bars, pictures = _texts(tmp_path, monkeypatch, explained(own, rival))
    assert bars[0] == f"Blue supports {own},\norange counts against it"
    assert bars[1] == f"Why not {rival} (20.0 %)?\nBlue supports {own}, orange supports {rival}"
    assert pictures[-1].replace("\n", " ") == f"evidence for {own} and not {rival}"
    assert all(inches(line, 9.5) <= 2.4 for line in pictures[-1].split("\n"))


def test_colours_are_told_where_there_are_bars(tmp_path, monkeypatch):
    found = explained("Dove", "Crow")
    contrast = replace(found.contrast, speaks_for=(), speaks_against=())
    bars, _ = _texts(tmp_path, monkeypatch, replace(found, speaks_for=(), speaks_against=(), contrast=contrast))
    assert bars == ["", "Why not Crow (20.0 %)?"]


def test_an_empty_map_is_said_to_be(tmp_path, monkeypatch):
    empty = np.zeros((2, 2), np.float32)
    found = explained()
    found = replace(found, heat=empty, contrast=replace(found.contrast, heat=empty))
    titles = _texts(tmp_path, monkeypatch, found)[1]
    assert titles[1] == "where the network looks\nno place of the image supports it"
    assert titles[-1].replace("\n", " ") == "no place of the image supports crow over dove"


def test_classes_and_attributes_may_be_called_anything(tmp_path):
    label = "$x_{$ 鶴\N{BIRD} a\nb\x1b \\frac{1}"
    words = (WeightedAttribute(f"{label}::{label}", label, 1.0),)
    drawn(tmp_path, explained(label=label, rival=label + "2", words=words))


@pytest.mark.parametrize("shape", [(4, 600), (1, 1)])
def test_an_image_of_any_shape(tmp_path, shape):
    drawn(tmp_path, explained(rival=None), shape)


def test_what_is_not_known_is_left_out(tmp_path):
    drawn(tmp_path, explained(words=(), heat=False, activations=False))


@pytest.mark.slow
def test_a_class_is_called_as_among_all_classes(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(f"{SHEET}.heading", lambda self, text: said.append(text))
    pixels = np.full((4, 4, 3), 200, np.uint8)
    for names in ((), ("1.cat", "2.cat", "3.dog")):
        write_explanation_sheet(tmp_path / "sheet.png", explained(label="1.cat", rival="3.dog"), pixels, "photo.jpg", names)
    assert [text.split(",")[0] for text in said] == ["photo.jpg: cat", "photo.jpg: 1.cat"]


def test_the_heading_says_when_the_answer_is_withheld(tmp_path):
    sure, unsure = (drawn(tmp_path, replace(explained(), abstain_below=below)) for below in (0.5, 0.9))
    differ = (sure != unsure).any(axis=(1, 2))
    assert differ[:90].any() and not differ[90:].any()


def test_what_is_no_better_than_chance_is_said_on_the_picture(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(f"{SHEET}.line", lambda self, top, text: said.append(text))
    made = [drawn(tmp_path, replace(explained(), cautions=each)) for each in ((), ("No name holds.", "The words say nothing."))]
    assert said == ["No name holds.", "The words say nothing."] and len(made[1]) > len(made[0])
