from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.schema import Images
from niwt_tf.metrics.gzsl import Evaluation, calibration_curve, evaluate_scores
from niwt_tf.plots.evaluation import plot_ausuc, plot_confusion, write_per_class_csv
from niwt_tf.plots.predictions import prediction_sheet
from niwt_tf.plots.style import readable_names, shorten
from tests.shared import further

NAMES = ("001.Red_Finch", "002.Blue_Wren", "grizzly+bear", "a, $x$ and $\\bad$")
LABELS = np.array([0, 0, 0, 1, 3, 3])
SCORES = np.array([[3.0, 0, 0, 1], [0.5, 0, 0, 0], [0, 2, 0, 1], [0, 1, 0, 3], [1, 0, 0, 2], [2, 0, 0, 1]], np.float32)


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def _evaluation(calibration: float = 0.0) -> Evaluation:
    return evaluate_scores(SCORES, LABELS, 2, calibration)


def test_names_lose_number_and_underscores_unless_they_become_equal():
    assert readable_names(["001.Red_Finch", "grizzly+bear", "cat", "7"]) == ("Red Finch", "grizzly bear", "cat", "7")
    assert readable_names(["1.cat", "2.cat", "3.dog", "4."]) == ("1.cat", "2.cat", "dog", "4.")
    assert shorten("Red Finch", 9) == "Red Finch"
    assert shorten("Red Finch", 5) == "Red\N{HORIZONTAL ELLIPSIS}"


def test_per_class_table(tmp_path):
    # Class 0: images 0 and 1 of 3 are right; class 1: its one image goes to class 3; class 2 has none; class 3: 1 of 2.
    write_per_class_csv(tmp_path / "a.csv", NAMES, 2, _evaluation(), LABELS)
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == (
        "class,role,images,accuracy\n"
        "001.Red_Finch,seen,3,0.666667\n"
        "002.Blue_Wren,seen,1,0.0\n"
        "grizzly+bear,unseen,0,\n"
        '"a, $x$ and $\\bad$",unseen,2,0.5\n'
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_letters_that_the_font_lacks_warn_nobody(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_confusion(tmp_path / "a.png", LABELS, LABELS, ("Ünï 鳥", *NAMES[1:]), 2)
    assert min(_pixels(tmp_path / "a.png").shape[:2]) > 400


def test_confusion_shows_its_predictions(tmp_path):
    plot_confusion(tmp_path / "a.png", LABELS, LABELS, NAMES, 2)
    plot_confusion(tmp_path / "b.png", LABELS, _evaluation().predictions, NAMES, 2)
    plot_confusion(tmp_path / "c.png", LABELS, LABELS, NAMES, 3)
    right, wrong, parted = (_pixels(tmp_path / f"{name}.png") for name in "abc")
    assert min(right.shape[:2]) > 400
    assert right.shape == wrong.shape == parted.shape
    assert (right != wrong).any() and (right != parted).any()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("classes", [2, 200, *further(21, 81)])
def test_confusion_fits_a_screen_for_any_number_of_classes(tmp_path, classes):
    names = [f"{c:03}.{'Chestnut_' * 12}{c}" for c in range(classes)]
    labels = np.repeat(np.arange(classes), 2)
    plot_confusion(tmp_path / "a.png", labels, np.roll(labels, 1), names, classes - 1)
    height, width = _pixels(tmp_path / "a.png").shape[:2]
    assert 300 < height < 2100 and 300 < width < 2200


def test_curve_shows_area_and_chosen_calibration(tmp_path):
    curve = calibration_curve(SCORES, LABELS, 2)
    plot_ausuc(tmp_path / "a.png", curve, _evaluation(0.0))
    plot_ausuc(tmp_path / "b.png", curve, _evaluation(1.5))
    first, second = _pixels(tmp_path / "a.png"), _pixels(tmp_path / "b.png")
    assert first.shape == second.shape == (804, 720, 3)
    assert (first != second).any()


def test_curve_without_unseen_test_images(tmp_path):
    seen = LABELS < 2
    curve = calibration_curve(SCORES[seen], LABELS[seen], 2)
    plot_ausuc(tmp_path / "a.png", curve, evaluate_scores(SCORES[seen], LABELS[seen], 2, 0.5))
    plot_confusion(tmp_path / "b.png", LABELS[seen], LABELS[seen], NAMES, 2)
    assert _pixels(tmp_path / "a.png").std() > 0


def _images(folder: Path, num_images: int, classes: int = 4) -> Images:
    for i in range(num_images):
        Image.new("RGB", (64, 64), (10 * i % 256, 80, 160)).save(folder / f"{i}.png")
    labels = np.arange(num_images, dtype=np.int32) % classes
    return Images(folder, tuple(f"{i}.png" for i in range(num_images)), labels, NAMES[:classes])


def _sheet(path: Path, images: Images, predictions: np.ndarray | None = None, **options: int) -> np.ndarray:
    scores = np.tile(np.linspace(-1, 2, len(images.class_names)), (len(images), 1))
    prediction_sheet(path, images, images.labels if predictions is None else predictions, scores, 2, **options)
    return _pixels(path)


def test_sheet_depends_on_seed_and_predictions_only(tmp_path):
    (tmp_path / "in").mkdir()
    images, out = _images(tmp_path / "in", 40), tmp_path / "out" / "sheet.png"
    first = _sheet(out, images)
    assert (first == _sheet(out, images)).all()
    assert (first != _sheet(out, images, seed=1)).any()
    assert (first != _sheet(out, images, 3 - images.labels)).any()
    assert [path.name for path in out.parent.iterdir()] == ["sheet.png"]


def test_sheet_grows_by_rows_and_fills_up_from_the_other_half(tmp_path):
    images = _images(tmp_path, 40)
    two_rows, four_rows = _sheet(tmp_path / "a.png", images, count=12), _sheet(tmp_path / "b.png", images, count=24)
    row = (four_rows.shape[0] - two_rows.shape[0]) / 2
    assert two_rows.shape[1] == four_rows.shape[1] and 192 < row < 320
    # 20 images of seen classes and one of an unseen class: four rows and one row.
    few = images.take(np.concatenate([np.flatnonzero(images.labels < 2), [2]]))
    assert _sheet(tmp_path / "c.png", few, count=24).shape[0] == four_rows.shape[0] + row
    # Without unseen images one heading less.
    none = images.take(np.flatnonzero(images.labels < 2)[:6])
    assert _sheet(tmp_path / "d.png", none, count=24).shape[0] < two_rows.shape[0]


def test_sheet_shows_probabilities_in_percent(tmp_path):
    images = _images(tmp_path, 4)
    quarters = np.full((4, 4), 0.25)
    prediction_sheet(tmp_path / "a.png", images, images.labels, quarters, 2)
    prediction_sheet(tmp_path / "b.png", images, images.labels, quarters + 0.1, 2)
    assert (_pixels(tmp_path / "a.png") != _pixels(tmp_path / "b.png")).any()


def test_sheet_takes_every_mode_and_shape_and_a_file_that_is_no_image(tmp_path):
    random = np.random.default_rng(0)
    colour = Image.fromarray(random.integers(0, 256, (40, 500, 3), np.uint8))
    grey16 = Image.fromarray(np.full((30, 20), 51_400, np.uint16))  # 200.8 in 8 bits
    colour.convert("CMYK").save(tmp_path / "cmyk.jpg")
    colour.convert("L").save(tmp_path / "grey.jpg")
    colour.convert("P").save(tmp_path / "palette.gif")
    colour.convert("RGBA").save(tmp_path / "alpha.webp")
    colour.convert("1").save(tmp_path / "bits.png")
    Image.new("RGB", (1, 900), "red").save(tmp_path / "line.bmp")
    grey16.save(tmp_path / "deep.png")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    names = tuple(sorted(path.name for path in tmp_path.iterdir()))
    sheet = _sheet(tmp_path / "sheet.png", Images(tmp_path, names, np.arange(8, dtype=np.int32) % 4, NAMES))
    assert (sheet == [255, 0, 0]).all(axis=2).sum() == 192  # the line, one pixel wide
    assert (sheet == 200).all(axis=2).sum() > 128 * 150  # the 16-bit grey


def test_importing_loads_neither_matplotlib_nor_pillow(repository):
    code = (
        "import sys, niwt_tf.plots.evaluation, niwt_tf.plots.predictions; "
        "sys.exit(bool({'matplotlib', 'PIL', 'tensorflow'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=repository).returncode == 0
