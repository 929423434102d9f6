"""The page as Streamlit runs it, without a browser; what is shown is a toy bundle with names like markup."""

from __future__ import annotations

import itertools
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("streamlit", reason="streamlit is not installed")

from starlette.formparsers import MultiPartParser
from streamlit.testing.v1 import AppTest

import niwt_tf.studio
from niwt_tf.studio.plain_text import plain
from tests.studio.conftest import HOSTILE

pytestmark = pytest.mark.slow

PAGE = Path(niwt_tf.studio.__file__).parent / "page.py"


@pytest.fixture
def page(exported, images, tmp_path, monkeypatch) -> AppTest:
    shutil.copytree(exported, tmp_path / "toy" / "1")
    monkeypatch.setattr(sys, "argv", [str(PAGE), str(tmp_path / "toy" / "1"), str(images), "50"])
    page = AppTest.from_file(str(PAGE), default_timeout=600).run()
    assert not page.exception
    return page


def _headline(page: AppTest) -> str:
    return next(heading.value for heading in page.subheader if heading.value.startswith("The new class gets"))


def test_classes_are_composed_and_saved(page, tmp_path):
    assert MultiPartParser.spool_max_size > 20 * 2**20
    assert page.warning[0].value == plain("Left out, because they cannot be decoded: 'broken [x](y).jpg'.")
    assert any(list(frame.value.columns) == ["Class", "Probability", "Learnt from"] for frame in page.dataframe)
    names = ("fur", "wings", "size", HOSTILE, "red", "# blue")
    assert [slider.label for slider in page.slider] == [plain(name) for name in names]

    before = _headline(page)
    page.slider[3].set_value(page.slider[3].max).run()
    changed = next(frame.value for frame in page.dataframe if "Changed" in frame.value.columns)
    assert changed["Changed"].tolist() == [f"colour::{HOSTILE}"]
    for slider, end in itertools.product(range(3), ("min", "max")):
        if _headline(page) == before:
            page.slider[slider].set_value(getattr(page.slider[slider], end)).run()
    assert not page.exception and _headline(page) != before

    page.text_input(key="search").set_value("colour red").run()
    assert [slider.label for slider in page.slider] == [plain("colour::red")]
    page.text_input(key="name").set_value("cat").run()
    next(button for button in page.button if button.label == "Save the class").click().run()
    assert "name must be new" in page.error[0].value.replace("\\", "")
    assert not (tmp_path / "toy" / "2").exists()

    page.text_input(key="name").set_value(f"new {HOSTILE}").run()
    next(button for button in page.button if button.label == "Save the class").click().run()
    assert not page.exception and not page.error
    assert [code.value for code in page.code] == [str(tmp_path / "toy" / "2")]
    assert "version 2" in page.caption[0].value and f"new {HOSTILE}" in page.selectbox(key="start").options


@pytest.mark.combination
def test_words_and_beginnings_set_the_sliders(page):
    page.selectbox(key="start").select("cat").run()
    cat = [slider.value for slider in page.slider]
    page.text_area(key="words").set_value("Fur, no wings.").run()
    next(button for button in page.button if button.label == "Read the text").click().run()
    assert any("understood fur" in text.value for text in page.text)
    read = [slider.value for slider in page.slider]
    assert read != cat and read[0] > read[1]
    page.text_area(key="words").set_value("Qwerty.").run()
    next(button for button in page.button if button.label == "Read the text").click().run()
    assert "nothing is understood" in page.error[0].value
    assert [slider.value for slider in page.slider] == read


def _press(page: AppTest, label: str) -> None:
    next(button for button in page.button if button.label == label).click().run()
    assert not page.exception


@pytest.mark.combination
def test_changes_and_a_saving_can_be_undone(page, tmp_path):
    def values() -> list[float]:
        return [slider.value for slider in page.slider]

    assert next(button for button in page.button if button.label == "Undo").disabled
    mean = values()
    page.slider[0].set_value(page.slider[0].max).run()
    first = values()
    page.slider[1].set_value(page.slider[1].min).run()
    page.selectbox(key="start").select("cat").run()
    assert any("Your description is that of 'cat'" in text.value for text in page.text)
    for expected in (None, first, mean):
        _press(page, "Undo")
        assert expected is None or values() == expected
        assert page.selectbox(key="start").value == ""
    page.text_input(key="name").set_value("CAT").run()
    assert any("A class with this name exists: 'cat'" in text.value for text in page.text)
    page.text_input(key="name").set_value("zebra").run()
    _press(page, "Save the class")
    _press(page, "Remove zebra again")
    assert not page.error and "version 3" in page.caption[0].value and "Removed" in page.success[0].value
    assert "zebra" not in page.selectbox(key="start").options
    assert not [button for button in page.button if button.label.startswith("Remove ")]


def test_a_bad_upload_is_one_sentence(page):
    page.file_uploader[0].set_value(("<b>x</b>.png", b"no image", "image/png")).run()
    assert not page.exception
    assert page.error[0].value == plain(
        "An image must be a JPEG, PNG, WebP, GIF or BMP file that is complete, not animated and not too large. Received: "
        "'<b>x</b>.png'."
    )
