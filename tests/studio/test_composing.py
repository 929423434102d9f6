"""What needs no model: sliders' ranges, groups, changes and claims computed by hand; text that stays text."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.readers.loose_images import spread_images
from niwt_tf.errors import InputError
from niwt_tf.studio.composing import Composition, by_group, claims, ranges, short_name
from niwt_tf.studio.gallery import Gallery, TestImages, read_images
from niwt_tf.studio.pictures import decoded, with_heat
from niwt_tf.studio.plain_text import JOINER, plain

NAMES = ("has_crown::red", "has_crown::dark blue", "size", "tail::red")
GROUPS = ("crown", "crown", "", "tail")


def test_a_change_is_what_differs_from_the_beginning():
    start = Composition(np.array([0.25, 0.5], np.float32))
    changed = start.edited(1, 0.75).edited(0, 0.1)
    assert changed.values.tolist() == [np.float32(0.1), 0.75] and set(changed.edits) == {0, 1}
    assert changed.edited(1, 0.5).edits == {0: 0.1}
    assert start.values.tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("values", "low", "high", "step", "digits"),
    [
        ([0.0, 1.0], 0.0, 1.0, 0.02, 2),
        ([3.0, 91.2], 0.0, 92.0, 2.0, 0),
        ([-2.0, -1.0], -2.0, 0.0, 0.05, 2),
        ([0.0, 0.0], 0.0, 1.0, 0.02, 2),
        ([5.0, 5.0], 0.0, 5.0, 0.1, 1),
        ([-0.004, 0.003], -0.004, 0.003, 0.0002, 4),
    ],
)
def test_a_slider_covers_the_known_values_in_round_steps(values, low, high, step, digits):
    (found,) = ranges(np.array(values)[:, None])
    assert (found.low, found.high, found.step, found.digits) == (low, high, step, digits)
    assert found.nearest(low - 1) == low and found.nearest(high + 1) == high
    assert found.nearest(low + 2.4 * step) == round(low + 2 * step, digits)


def test_of_what_is_measured_a_new_class_may_have_twice_the_range():
    values = np.array([[0.0, 2.0, -1.0], [10.0, 4.0, 1.0]], np.float32)
    found = ranges(values, np.array([True, False, True]))
    assert [(each.low, each.high) for each in found] == [(0.0, 20.0), (0.0, 4.0), (-1.0, 3.0)]


def test_attributes_are_found_by_all_words():
    assert by_group(NAMES, GROUPS) == {"crown": [0, 1], "attributes": [2], "tail": [3]}
    assert by_group(NAMES, GROUPS, " RED ") == {"crown": [0], "tail": [3]}
    assert by_group(NAMES, GROUPS, "blue crown") == {"crown": [1]}
    assert by_group(NAMES, GROUPS, "green") == {}
    assert [short_name(*each) for each in zip(NAMES, GROUPS, strict=True)] == ["red", "dark blue", "size", "red"]
    assert short_name("crown::", "crown") == "crown::"


def _gallery(logits: list[list[float]]) -> Gallery:
    images = TestImages(None, tuple("abc"), ())  # type: ignore[arg-type]
    return Gallery(images, np.array([[1.0], [2.0], [4.0]], np.float32), np.array(logits, np.float32))


def test_a_class_claims_images_whose_best_logit_is_its_own():
    # The new logits are 1.5, 2.5 and 4.5.
    gallery = _gallery([[2.0, 0.0], [1.0, 0.0], [0.0, 3.5]])
    found = claims(gallery, ("x", "y"), np.array([1.0]), 0.5, temperature=2.0)
    assert set(found.claimed) == {1, 2}
    assert found.before == ("x", "x", "y")
    assert sorted(found.lost()) == [("x", 1), ("y", 1)]
    expected = np.exp(1.25) / (np.exp(1.25) + np.exp(0.5) + np.exp(0.0))
    assert found.scores[1] == pytest.approx(expected)
    assert found.claimed[0] == int(found.scores.argmax())


def test_an_image_that_nothing_is_sure_of_is_nobodys():
    gallery = _gallery([[2.0, 0.0], [1.0, 0.0], [0.0, 9.0]])
    found = claims(gallery, ("x", "y"), np.array([1.0]), 0.5, abstain_below=0.9)
    assert found.claimed == () and found.before == ("unknown", "unknown", "y")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b\n c", "a b c"),
        ("**b**", r"\*\*b\*\*"),
        (":smile:", rf"\:{JOINER}smile\:{JOINER}"),
        ("<b>", rf"\<{JOINER}b\>{JOINER}"),
        ("1. x", r"1\. x"),
        ("$x$", r"\$x\$"),
        ("www.a", rf"www{JOINER}\.a"),
        ("fox é 🦊", "fox é 🦊"),
        ("שלום", "\u2068שלום\u2069"),
    ],
)
def test_markup_is_escaped(text, expected):
    assert plain(text) == expected


def test_images_are_found_in_order_and_thinned_evenly(images):
    everything = spread_images(images, 100)
    assert [path.name for path in everything if path.suffix == ".png"] == sorted(
        (path.name for path in everything if path.suffix == ".png"), key=lambda name: (int(name[:2]) % 2 == 1, name)
    )
    thinned = spread_images(images, 3)
    assert [thinned[0], thinned[-1], len(thinned)] == [everything[0], everything[-1], 3]
    read = read_images(images, 100)
    assert len(read.names) == 12 and read.refused == ("broken [x](y).jpg",)
    assert all(max(image.shape[:2]) <= 128 for image in read.thumbnails)


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(InputError, match="images must be a folder. Received"):
        read_images(tmp_path / "none", 5)
    with pytest.raises(InputError, match="holds image files"):
        read_images(tmp_path, 5)
    (tmp_path / "x.png").write_bytes(b"no")
    with pytest.raises(InputError, match="only files that cannot .1, the first 'x.png'"):
        read_images(tmp_path, 5)


def test_what_is_no_image_is_one_sentence():
    with pytest.raises(InputError, match=r"^An image must be a JPEG.*Received: 'x<b>.png'\.$"):
        decoded(b"GIF89a", "x<b>.png")


def test_heat_lights_the_image_up_where_it_is():
    heat = np.zeros((4, 4, 3), np.uint8)
    heat[:, 2:] = [252, 253, 191]
    stream = io.BytesIO()
    Image.fromarray(heat).save(stream, "png")
    pixels = np.full((8, 16, 3), [0, 200, 0], np.uint8)
    shown = with_heat(pixels, stream.getvalue())
    assert shown.shape == pixels.shape
    assert np.ptp(shown[:, 0], axis=-1).max() == 0  # grey
    assert shown[:, -1].mean() > 2 * shown[:, 0].mean()


def test_a_name_that_is_no_text_can_be_shown():
    found = TestImages(Path("x"), ("a/caf\udce9.jpg", "b.jpg"), (), ())
    assert found.titles == ("a/caf\\udce9.jpg", "b.jpg") and found.names[0] == "a/caf\udce9.jpg"
