"""Batches of images: order, repeatability, augmentation, and files that cannot be read."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from niwt_tf.data.images.pipeline import ImageBatches, KeptPixels, augmented, image_batches, usable_images
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError

COUNT = 10


@pytest.fixture
def images(tmp_path: Path) -> Images:
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        coarse = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((20, 16), Image.Resampling.BICUBIC).save(tmp_path / f"photo {number} é.png")
    paths = tuple(f"photo {number} é.png" for number in range(COUNT))
    return Images(tmp_path, paths, np.arange(COUNT, dtype=np.int32), tuple("abcdefghij"))


def _all(batches: ImageBatches) -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = zip(*batches, strict=True)
    return np.concatenate(pixels), np.concatenate(labels)


def test_batches_come_in_order_and_the_last_is_smaller(images: Images) -> None:
    batches = [(pixels.numpy(), labels.numpy()) for pixels, labels in image_batches(images, 12, 4)]
    assert [pixels.shape for pixels, _ in batches] == [(4, 12, 12, 3), (4, 12, 12, 3), (2, 12, 12, 3)]
    assert batches[0][0].dtype == np.float32 and batches[0][1].dtype == np.int32
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), np.arange(COUNT))
    with Image.open(images.root / images.paths[5]) as image:
        expected = np.asarray(image.resize((12, 12), Image.Resampling.BILINEAR), np.float32)
    assert np.abs(batches[1][0][1] - expected).mean() < 1.5


def test_batches_can_be_taken_again_and_left_early(images: Images) -> None:
    batches = image_batches(images, 12, 4, augment=True, shuffle=True)
    first = _all(batches)
    for _ in batches:
        break
    again = _all(batches)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))


def test_images_that_are_kept_are_decoded_once_and_the_rest_again(images: Images) -> None:
    expected, _ = _all(image_batches(images, 12, 4, augment=True, shuffle=True))
    kept = KeptPixels(limit=6 * 12 * 12 * 3 * 4)
    for _ in range(2):
        found, _ = _all(image_batches(images, 12, 4, augment=True, shuffle=True, kept=kept))
        np.testing.assert_array_equal(found, expected)
    order = np.random.default_rng([0, 0, 0]).permutation(COUNT)
    for place in order[:6]:
        (images.root / images.paths[place]).unlink()
    assert len(list(image_batches(images.take(order[:6]), 12, 4, kept=kept))) == 2
    (images.root / images.paths[order[6]]).unlink()
    with pytest.raises(tf.errors.NotFoundError, match=f"photo {order[6]}"):
        list(image_batches(images.take(order), 12, 4, kept=kept))


def test_a_file_that_is_gone_is_named(images: Images) -> None:
    (images.root / images.paths[5]).unlink()
    with pytest.raises(tf.errors.NotFoundError, match="photo 5"):
        list(image_batches(images, 12, 4))


@pytest.mark.parametrize("augmentation", ["standard", "light"])
def test_an_epoch_can_be_repeated_and_the_next_differs(images: Images, augmentation: str) -> None:
    def epoch(number: int, batch_size: int = 4, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
        options = {"augment": True, "shuffle": True, "seed": seed, "epoch": number, "augmentation": augmentation}
        return _all(image_batches(images, 12, batch_size, **options))

    pixels, labels = epoch(0)
    again, again_labels = epoch(0)
    np.testing.assert_array_equal(pixels, again)
    np.testing.assert_array_equal(labels, again_labels)
    in_other_batches, _ = epoch(0, batch_size=3)
    np.testing.assert_allclose(pixels, in_other_batches, atol=1e-3)
    assert sorted(labels) == list(range(COUNT)) and list(labels) != list(range(COUNT))
    assert not np.array_equal(labels, epoch(1)[1])
    assert not np.array_equal(labels, epoch(0, seed=8)[1])


def test_augmentation_follows_the_image_not_its_place(images: Images) -> None:
    ordered, _ = _all(image_batches(images, 12, 4, augment=True, seed=3))
    shuffled, labels = _all(image_batches(images, 12, 4, augment=True, shuffle=True, seed=3))
    np.testing.assert_allclose(shuffled, ordered[labels], atol=1e-3)


def test_training_sees_turned_photographs_as_upright_ones(images: Images) -> None:
    """The same augmented batches, but for the rounding of a resize: whatever is trained on them is the same too."""
    options = {"augment": True, "shuffle": True, "seed": 3}
    upright, _ = _all(image_batches(images, 12, 4, **options))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # how Pillow undoes an orientation
    for number, (orientation, undo) in enumerate(back.items()):
        path = images.root / images.paths[number]
        with Image.open(path) as image:
            exif = Image.Exif()
            exif[0x0112] = orientation
            image.transpose(Image.Transpose(undo)).save(path, exif=exif)
    turned, _ = _all(image_batches(images, 12, 4, **options))
    np.testing.assert_allclose(turned, upright, atol=1e-2)
    assert np.ptp(upright) > 50


def test_labels_stay_with_their_images(images: Images) -> None:
    ordered, _ = _all(image_batches(images, 12, 4))
    shuffled, labels = _all(image_batches(images, 12, 4, shuffle=True))
    np.testing.assert_array_equal(shuffled, ordered[labels])


def test_no_images_give_no_batches(images: Images) -> None:
    assert list(image_batches(images.take(np.array([], np.int64)), 12, 4, augment=True, shuffle=True)) == []


def _randoms(**changes: float) -> tf.Tensor:
    # Zoom 0.8 is side 1; one half stands for no change everywhere else, and flips at below one half.
    names = ["zoom", "x", "y", "flip", "angle", "brightness", "contrast", "red", "green", "blue"]
    values = {name: 0.5 for name in names} | {"zoom": 0.8} | changes
    return tf.constant([[values[name] for name in names]], tf.float32)


def _ramp() -> np.ndarray:
    return np.random.default_rng(0).uniform(20, 200, (1, 9, 9, 3)).astype(np.float32)


def test_neutral_numbers_leave_an_image_alone() -> None:
    np.testing.assert_allclose(augmented(_ramp(), _randoms()), _ramp(), atol=1e-2)


def test_a_flip_mirrors_columns() -> None:
    np.testing.assert_allclose(augmented(_ramp(), _randoms(flip=0.2)), _ramp()[:, :, ::-1], atol=1e-2)


def test_a_zoom_looks_at_the_middle() -> None:
    image = np.zeros((1, 11, 11, 3), np.float32)
    image[:, 5, 5] = 200
    zoomed = augmented(image, _randoms(zoom=0.0), changes_colour=False).numpy()
    assert zoomed[0, 5, 5, 0] == pytest.approx(200, abs=1e-2)
    assert zoomed.sum() > image.sum()


def test_brightness_and_a_channels_gain_multiply() -> None:
    grey = np.full((1, 9, 9, 3), 100, np.float32)
    np.testing.assert_allclose(augmented(grey, _randoms(brightness=1.0)), grey * 1.15, rtol=1e-4)
    only_red = augmented(grey, _randoms(red=1.0)).numpy()[0, 0, 0]
    np.testing.assert_allclose(only_red, [105, 100, 100], rtol=1e-4)


def test_the_range_is_kept() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.choice([0.0, 255.0], (50, 8, 8, 3)).astype(np.float32)
    changed = augmented(pixels, tf.constant(rng.random((50, 10)), tf.float32)).numpy()
    assert changed.min() >= 0 and changed.max() <= 255


@pytest.mark.parametrize(("argument", "value"), [("batch_size", 0), ("size", 0), ("seed", -1), ("epoch", -1)])
def test_numbers_are_checked(images: Images, argument: str, value: int) -> None:
    given = {"size": 8, "batch_size": 2} | {argument: value}
    with pytest.raises(InputError, match=f"{argument} must be at least .. Received: {value}"):
        image_batches(images, given.pop("size"), **given)


def test_an_unknown_augmentation_is_named(images: Images) -> None:
    with pytest.raises(InputError, match="Did you mean 'standard'"):
        image_batches(images, 8, 2, augmentation="standart")


def _huge_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _spoiled(images: Images) -> dict[str, str]:
    """Spoil five of the images; return the start of each one's reason."""
    root, paths = images.root, images.paths
    (root / paths[1]).write_text("this is text, not a photograph")
    (root / paths[3]).write_bytes((root / paths[3]).read_bytes()[:60])
    (root / paths[4]).write_bytes(_huge_png())
    (root / paths[6]).unlink()
    (root / paths[8]).write_bytes(b"")
    reasons = ["The image must be a JPEG", "Invalid PNG data", "more pixels than", "No such file", "The image is empty"]
    return dict(zip([paths[i] for i in (1, 3, 4, 6, 8)], reasons, strict=True))


def test_good_images_pass_unchanged(images: Images) -> None:
    kept, bad = usable_images(images)
    assert kept is images and bad == {}


def test_bad_images_are_left_out_with_reasons(images: Images, caplog: pytest.LogCaptureFixture) -> None:
    reasons = _spoiled(images)
    with caplog.at_level("WARNING", logger="niwt_tf"):
        kept, bad = usable_images(images, max_bad_images=5)
    assert set(bad) == set(reasons)
    for path, reason in bad.items():
        assert reason.startswith(reasons[path])
    np.testing.assert_array_equal(kept.labels, [0, 2, 5, 7, 9])
    assert len(_all(image_batches(kept, 8, 4))[1]) == 5
    assert "Left out 5 of 10 images" in caplog.text


def test_more_bad_images_than_allowed_are_an_error(images: Images) -> None:
    _spoiled(images)
    with pytest.raises(InputError) as error:
        usable_images(images, max_bad_images=4)
    sentence = str(error.value)
    assert sentence.startswith("5 of 10 images") and "max_bad_images=4" in sentence
    assert "photo 1 é.png (The image must be a JPEG" in sentence and "and 2 more" in sentence
    assert "\n" not in sentence


def test_the_limit_of_pixels_counts_by_header(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("niwt_tf.data.images.pipeline.PIXEL_LIMIT", 319)
    _, bad = usable_images(images, max_bad_images=COUNT)
    assert len(bad) == COUNT and bad[images.paths[0]] == "20 x 16 pixels, over the limit of 319"
    monkeypatch.setattr("niwt_tf.data.images.pipeline.PIXEL_LIMIT", 320)
    assert usable_images(images)[1] == {}


def test_an_animation_is_bad(images: Images) -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    frames[0].save(images.root / images.paths[2], "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=r"photo 2 é.png \(The image must not be animated\)"):
        usable_images(images)


def test_a_negative_number_of_bad_images_is_refused(images: Images) -> None:
    with pytest.raises(InputError, match="max_bad_images must be at least 0. Received: -1"):
        usable_images(images, max_bad_images=-1)
