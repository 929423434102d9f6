import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from niwt_tf.data.images.duplicates import Appearance, duplicates_in, look_of, near_duplicates_in, pairs_alike
from niwt_tf.data.images.pipeline import judged_images, usable_images
from niwt_tf.data.schema import Dataset, Images, Knowledge, Split

PATHS = ("a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/1.png", "c/0.png", "c/1.png")


def _dataset(root: Path) -> Dataset:
    labels = np.array([0, 0, 0, 1, 1, 2, 2], np.int32)
    split = Split("by hand", seen=[0, 1], unseen=[2], train=[0, 1, 3], test_seen=[2, 4], test_unseen=[5, 6])
    knowledge = Knowledge(np.eye(3, dtype=np.float32), ("x", "y", "z"), ("",) * 3, "attributes")
    return Dataset("folder", root, PATHS, labels, ("a", "b", "c"), knowledge, split)


def _picture(seed: int) -> Image.Image:
    low = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(low).resize((120, 90), Image.Resampling.BICUBIC)


def _look(image: Image.Image) -> Appearance:
    return look_of(np.asarray(image.convert("RGB")))


def _saved(image: Image.Image, **options) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, **options)
    return Image.open(stream)


def test_copies_are_parted_by_what_is_wrong_with_them(tmp_path):
    digests = dict(zip(PATHS, (b"1", b"1", b"2", b"1", b"3", b"4", b"4"), strict=True))
    found = duplicates_in(_dataset(tmp_path), digests)
    assert found == ([("a/0.png", "a/1.png", "b/0.png")], [], [("c/0.png", "c/1.png")])
    digests = {"a/0.png": b"1", "a/2.png": b"1", "b/1.png": b"5"}
    assert duplicates_in(_dataset(tmp_path), digests) == ([], [("a/0.png", "a/2.png")], [])
    assert duplicates_in(_dataset(tmp_path), {}) == ([], [], [])


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: _saved(image, format="JPEG", quality=40),
        lambda image: image.resize((48, 36)),
        lambda image: image.resize((300, 225)),
        lambda image: ImageEnhance.Brightness(image).enhance(0.7),
        lambda image: ImageEnhance.Contrast(image).enhance(1.2),
        ImageOps.mirror,
        lambda image: ImageOps.mirror(_saved(image, format="WEBP")),
    ],
    ids=["saved", "smaller", "larger", "darker", "contrast", "mirrored", "mirrored and saved"],
)
def test_a_photograph_that_was_changed_a_little_looks_the_same(changed):
    looks = [_look(_picture(seed)) for seed in range(20)] + [_look(changed(_picture(7)))]
    assert pairs_alike(looks).tolist() == [[7, 20]]


def test_other_photographs_do_not():
    upside_down = _picture(1).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    other_colours = Image.merge("RGB", _picture(1).split()[::-1])
    looks = [_look(image) for image in (_picture(1), _picture(2), upside_down, other_colours)]
    assert pairs_alike(looks).tolist() == pairs_alike(looks[:1]).tolist() == pairs_alike([]).tolist() == []


def test_a_long_narrow_picture_and_one_pixel_have_a_look():
    assert _look(Image.new("RGB", (5000, 1), "red")).is_plain and _look(Image.new("RGB", (1, 1))).is_plain
    assert not _look(_picture(0)).is_plain


def test_near_duplicates_are_parted_alike_and_identical_or_plain_files_are_none(tmp_path):
    same, other = _look(_picture(0)), _look(_picture(1))
    looks = dict(zip(PATHS, (same, other, other, same, same, same, _look(Image.new("RGB", (9, 9)))), strict=True))
    digests = dict(zip(PATHS, (b"1", b"2", b"3", b"1", b"1", b"4", b"5"), strict=True))
    # a/0 is identical with b/0 and b/1, which are told elsewhere; c/0 looks the same.
    found = near_duplicates_in(_dataset(tmp_path), digests, looks)
    assert found == ([("a/0.png", "c/0.png")], [("a/1.png", "a/2.png")], [])
    assert near_duplicates_in(_dataset(tmp_path), {}, {}) == ([], [], [])


def test_files_are_the_same_by_their_bytes(tmp_path, caplog):
    for number, name in enumerate(("a.png", "b.png", "c.HEIC")):
        Image.new("RGB", (4, 4), (0, 0, number // 2)).save(tmp_path / name, "PNG")
    (tmp_path / "broken.png").write_bytes(b"no")
    images = Images(tmp_path, ("a.png", "b.png", "c.HEIC", "broken.png"), np.zeros(4, np.int32), ("x",))
    judged = judged_images(images)
    assert judged["a.png"].digest == judged["b.png"].digest != judged["c.HEIC"].digest
    assert judged["broken.png"].fault and judged["broken.png"].look is None
    with caplog.at_level("INFO", "niwt_tf"):
        assert list(usable_images(images, 1, judged=judged)[1]) == ["broken.png"]
    assert "1 images have the file ending of another format. Their true format is read: 'c.HEIC'." in caplog.text
