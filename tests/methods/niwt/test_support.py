"""Support images: seen ones, noise, a folder; and the balanced sample that they are drawn by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.sampling import balanced_sample
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.methods.niwt.support import Support, check_support, support_maps, support_of
from niwt_tf.methods.niwt.transfer_closed_form import Blocks
from niwt_tf.methods.operators import mean_operators
from niwt_tf.models.backbones import build_network
from niwt_tf.models.network import recut


@pytest.fixture(scope="module")
def network(coloured):
    return build_network("small_vgg", coloured.class_names, input_size=16, seed=0)


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=8), count=st.integers(1, 40), seed=st.integers(0, 9))
def test_a_sample_is_as_even_as_the_classes_allow(counts, count, seed):
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    images = Images(Path("/nowhere"), tuple(map(str, range(len(labels)))), labels, tuple(map(str, range(len(counts)))))
    sample = balanced_sample(images, count, seed)
    assert len(sample) == len(set(sample.paths)) == min(count, len(images))
    taken = np.bincount(sample.labels, minlength=len(counts))
    # Nobody gets two more than somebody who has another one to give.
    assert all(taken[a] <= taken[b] + 1 for a in range(len(counts)) for b in range(len(counts)) if taken[b] < counts[b])
    assert [labels[int(path)] for path in sample.paths] == list(sample.labels)
    assert sample.paths == balanced_sample(images, count, seed).paths


def test_seen_images_go_through_the_trunk(network, coloured):
    maps = support_maps(Reader(network), "seen", coloured, 7, seed=0)
    assert maps.shape == (7, *network.trunk.output_shape[1:])
    chosen = balanced_sample(coloured, 7, 0)
    pixels = np.stack([np.asarray(Image.open(chosen.root / path), np.float32) for path in chosen.paths])
    np.testing.assert_allclose(maps, network.trunk(pixels, training=False), atol=1e-3)
    assert len(support_maps(Reader(network), "seen", coloured, 1000, seed=0)) == len(coloured)


def test_noise_needs_no_image_and_follows_the_seed(network, coloured):
    none = coloured.take(np.empty(0, np.int64))
    first, again, other = (support_maps(Reader(network), "noise", none, 40, seed=seed) for seed in (0, 0, 1))
    assert first.shape == (40, *network.trunk.output_shape[1:])
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


def test_a_folder_is_searched_through(network, coloured, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for number, folder in enumerate((tmp_path, tmp_path / "a", tmp_path / "a" / "b")):
        (folder / f"{number}.png").write_bytes((coloured.root / coloured.paths[number]).read_bytes())
    (tmp_path / "a" / "notes.txt").write_text("no image")
    maps = support_maps(Reader(network), str(tmp_path), coloured, 10, seed=0)
    expected = support_maps(Reader(network), "seen", coloured.take(np.arange(3)), 10, seed=0)
    assert len(maps) == 3
    np.testing.assert_allclose(np.sort(maps, axis=0), np.sort(expected, axis=0), atol=1e-5)


def test_what_is_not_a_folder_of_images_is_refused(network, coloured, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="support must be seen, noise or a folder of images. Received: .*not a folder"):
        support_maps(Reader(network), str(tmp_path / "absent"), coloured, 4, seed=0)
    with pytest.raises(InputError, match="without an image"):
        support_maps(Reader(network), str(tmp_path), coloured, 4, seed=0)
    (tmp_path / "torn.png").write_bytes(b"no image")
    monkeypatch.chdir(tmp_path.parent)
    (other := tmp_path.parent / f"unlabelled-{tmp_path.name}").symlink_to(tmp_path)
    for folder in (str(tmp_path), other.name):  # whatever its name
        with pytest.raises(InputError, match=r"torn\.png"):
            support_maps(Reader(network), folder, coloured, 4, seed=0)


def test_over_noise_and_over_a_folder_the_closed_form_takes_the_mean_of_the_operators_of_the_images(
    network, coloured, tmp_path, monkeypatch
):
    reader, nothing = Reader(network), np.empty((0, 0), np.float32)
    options = Settings(num_support=6)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unlabelled").symlink_to(coloured.root)
    for support in ("noise", str(coloured.root), "unlabelled"):
        by_image = support_of(options.replace(support=support), ("operator",), reader, coloured, nothing)
        mean = support_of(options.replace(support=support), ("closed_form",), reader, coloured, nothing)
        np.testing.assert_allclose(mean.operator, by_image.operator, atol=1e-5)
        assert (len(by_image.maps), len(mean.maps), mean.exact) == (6, 0, None)


def test_over_noise_the_operator_of_several_layers_is_that_of_each_one_after_the_other(network, coloured):
    nothing, options = np.empty((0, 0), np.float32), Settings(num_support=6, support="noise")
    (cut,) = recut(network, ["block3_relu"])
    own, other = (support_of(options, ("operator",), Reader(each), coloured, nothing).operator for each in (network, cut))
    both = support_of(options.replace(extra_layers=("block3_relu",)), ("closed_form",), Reader(network), coloured, nothing)
    np.testing.assert_allclose(both.operator, np.concatenate([own, other]), atol=1e-5)


def test_the_closed_form_is_decomposed_once_for_each_weighting_of_the_layers():
    support = Support(np.eye(4, dtype=np.float32), np.empty((0, 1, 1, 4), np.float32))
    first = support.solution(Blocks((2, 2), (1.0, 1.0)))
    assert support.solution(Blocks((2, 2), (1.0, 1.0))) is first
    assert support.solution(Blocks((2, 2), (1.0, 0.5))) is not first
    assert first.blocks == Blocks((2, 2), (1.0, 1.0))


@pytest.mark.parametrize(
    ("support", "engines", "has_maps", "has_exact", "is_seen"),
    [
        ("seen", ("closed_form",), False, False, True),
        ("seen", ("operator",), True, True, True),
        ("seen", ("tape",), True, False, True),
        ("noise", ("closed_form",), False, False, False),
        ("noise", ("operator", "closed_form"), True, True, False),
        ("noise", ("tape",), True, False, True),
    ],
)
def test_what_each_engine_gets(network, coloured, support, engines, has_maps, has_exact, is_seen):
    reader, asked = Reader(network), Settings(support=support, num_support=3, seed=1)
    seen = np.ones((network.num_neurons, network.num_features), np.float32)
    found = support_of(asked, engines, reader, coloured, seen)
    maps = support_maps(reader, support, coloured, 3, seed=1)
    np.testing.assert_array_equal(found.maps, maps if has_maps else maps[:0])
    assert (found.exact is not None) == has_exact
    assert (found.operator is seen) == is_seen
    if not is_seen:
        expected = mean_operators(network.tail, maps, np.ones((1, 3), bool))[0]
        np.testing.assert_allclose(found.operator, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["seen", "noise"])
def test_a_named_support_is_no_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_support(name)
    with pytest.raises(InputError, match="support must be seen, noise or a folder of images"):
        check_support(f"{name}y")


def test_noise_is_uniform_over_all_pixel_values(network, coloured, monkeypatch):
    asked = []
    monkeypatch.setattr(Reader, "maps_of_pixels", lambda self, pixels: asked.append(pixels))
    support_maps(Reader(network), "noise", coloured, 5, seed=3)
    np.testing.assert_array_equal(asked[0], np.random.default_rng(3).uniform(0, 255, (5, 16, 16, 3)).astype(np.float32))
