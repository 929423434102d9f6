"""What a network makes of files: streamed, cached, in another precision, shared out."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from niwt_tf.compute import features as reading
from niwt_tf.compute.distributed import Team
from niwt_tf.compute.execution import Execution
from niwt_tf.compute.feature_cache import RowCache
from niwt_tf.compute.features import Reader
from niwt_tf.data.images.pipeline import image_batches
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.models.backbones import build_network
from tests.shared import further


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    names = tuple(f"{i}.png" for i in range(23))
    for name in names:
        Image.fromarray(random.integers(0, 256, (40, 30, 3), np.uint8)).save(folder / name)
    return Images(folder, names, np.zeros(23, np.int32), ("a", "b"))


@pytest.fixture(scope="module")
def network():
    return build_network("small_vgg", ("a", "b"), input_size=32)


@pytest.fixture(scope="module")
def expected(network, images):
    """Return maps, features and logits of all images, in one batch."""
    pixels = np.concatenate([batch for batch, _ in image_batches(images, 32, 7)])
    maps = network.trunk(pixels, training=False)
    features = network.tail(maps, training=False)
    return maps.numpy(), features.numpy(), network.head(features).numpy()


def _cached(folder, dtype="float32", most=10**9, **options):
    return Execution(batch_size=4, cache=RowCache(folder, most, dtype), **options)


def _none(images):
    return images.take(np.array([], np.int64))


@pytest.fixture
def decoded(monkeypatch):
    """Return a list that the number of images decoded is added to."""
    counts = []

    def counting(images, *arguments, **options):
        counts.append(len(images))
        return image_batches(images, *arguments, **options)

    monkeypatch.setattr(reading, "image_batches", counting)
    return counts


@pytest.mark.parametrize("cached", [True, *further(False)])
def test_everything_is_in_the_order_of_the_files(network, images, expected, tmp_path, cached):
    maps, features, logits = expected
    reader = Reader(network, _cached(tmp_path) if cached else Execution(batch_size=4))
    for _ in range(2):
        np.testing.assert_allclose(reader.features(images), features, atol=1e-5)
        np.testing.assert_allclose(np.concatenate(list(reader.map_batches(images))), maps, atol=1e-4)
        np.testing.assert_allclose(reader.pooled_maps(images), maps.mean(axis=(1, 2)), atol=1e-4)
        np.testing.assert_allclose(reader.logits(images), logits, atol=1e-5)
    assert reader.features(images).dtype == np.float32


def test_no_image_gives_no_row(network, images, tmp_path):
    for execution in (Execution(), _cached(tmp_path)):
        reader = Reader(network, execution)
        assert reader.features(_none(images)).shape == (0, 256)
        assert reader.logits(_none(images)).shape == (0, 2)
        assert reader.maps(_none(images)).shape == (0, 4, 4, 128)
    assert not list(tmp_path.iterdir())


def test_with_a_cache_no_image_is_decoded_twice(network, images, tmp_path, decoded):
    reader = Reader(network, _cached(tmp_path))
    first = np.concatenate(list(reader.feature_batches(images.take(np.arange(2, 23)), keep_maps=True)))
    assert sum(decoded) == 21
    list(reader.map_batches(images.take(np.arange(4, 20))))
    again = Reader(network, _cached(tmp_path))
    np.testing.assert_array_equal(again.features(images.take(np.arange(2, 23))), first)
    again.logits(images.take(np.array([5, 3, 22])))
    assert sum(decoded) == 21
    again.features(images)
    assert sum(decoded) == 23


def test_features_come_from_cached_maps(network, images, expected, tmp_path, decoded):
    reader = Reader(network, _cached(tmp_path))
    list(reader.map_batches(images.take(np.arange(10))))
    np.testing.assert_allclose(reader.features(images), expected[1], atol=1e-5)
    assert sum(decoded) == 23


def test_interleaved_rows_keep_their_places(network, images, expected, tmp_path):
    reader = Reader(network, _cached(tmp_path))
    reader.features(images.take(np.arange(0, 23, 3)))
    order = np.random.default_rng(0).permutation(23)
    np.testing.assert_allclose(reader.features(images.take(order)), expected[1][order], atol=1e-5)


def test_rows_that_lie_in_a_row_are_not_copied(network, images, tmp_path):
    reader = Reader(network, _cached(tmp_path))
    reader.features(images)
    view = reader.features(images)
    assert not view.flags.writeable
    assert view.base is not None
    assert reader.features(images.take(np.array([1, 0]))).flags.writeable


def test_another_networks_rows_are_never_served(network, images, tmp_path):
    execution = _cached(tmp_path)
    Reader(network, execution).features(images)
    other = build_network("small_vgg", ("a", "b"), input_size=32, seed=5)
    found = Reader(other, execution).features(images)
    np.testing.assert_array_equal(found, Reader(other, Execution(batch_size=4)).features(images))


def test_a_saved_and_loaded_network_finds_its_rows(network, images, tmp_path, decoded):
    Reader(network, _cached(tmp_path / "cache")).features(images)
    network.save(tmp_path / "network.keras")
    loaded = type(network).load(tmp_path / "network.keras")
    headed = loaded.with_head(np.ones((256, 3)), np.zeros(3), ("a", "b", "c"), 3)
    for same in (loaded, headed, loaded.copy()):
        Reader(same, _cached(tmp_path / "cache")).features(images)
    assert sum(decoded) == 23


def test_a_changed_file_is_read_again(network, images, tmp_path, decoded):
    execution = _cached(tmp_path / "cache")
    for name in images.paths[:3]:
        (tmp_path / name).write_bytes((images.root / name).read_bytes())
    copied = Images(tmp_path, images.paths[:3], np.zeros(3, np.int32), ("a", "b"))
    before = np.array(Reader(network, execution).features(copied))
    (tmp_path / images.paths[1]).write_bytes((images.root / images.paths[9]).read_bytes())
    after = Reader(network, execution).features(copied)
    assert decoded == [3, 1]
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    assert np.abs(after[1] - before[1]).max() > 0


def test_half_precision_rows_are_the_same_cold_and_warm(network, images, expected, tmp_path):
    cold = Reader(network, _cached(tmp_path, "float16"))
    features = np.concatenate(list(cold.feature_batches(images)))
    np.testing.assert_array_equal(Reader(network, _cached(tmp_path, "float16")).features(images), features)
    np.testing.assert_array_equal(features, features.astype(np.float16))
    np.testing.assert_allclose(features, expected[1], atol=2e-3 * np.abs(expected[1]).max())
    kept = Reader(network, _cached(tmp_path / "kept", "float16"))
    # Two compiled parts for one may differ in a last bit of float32, which rarely leads to another number of half precision.
    assert (np.concatenate(list(kept.feature_batches(images, keep_maps=True))) == features).mean() > 0.999
    unkept = Reader(network, Execution(batch_size=4, cache=RowCache(tmp_path / "none", 0, "float16")))
    np.testing.assert_array_equal(unkept.features(images), features)
    assert not (tmp_path / "none").exists()


def test_a_torn_block_is_computed_again(network, images, expected, tmp_path, caplog):
    Reader(network, _cached(tmp_path)).features(images)
    (rows,) = tmp_path.glob("features-*/rows.bin")
    data = bytearray(rows.read_bytes())
    data[5000] ^= 0xFF
    rows.write_bytes(data[: -3 * 256 * 4])
    with caplog.at_level(logging.WARNING, "niwt_tf"):
        reader = Reader(network, _cached(tmp_path))
        for _ in range(2):
            np.testing.assert_allclose(reader.features(images), expected[1], atol=1e-5)
    assert len([record for record in caplog.records if "damaged" in record.message]) == 1
    caplog.clear()
    again = Reader(network, _cached(tmp_path))
    np.testing.assert_allclose(again.features(images), expected[1], atol=1e-5)
    assert not caplog.records


@pytest.mark.parametrize("precision", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), *further("mixed_float16")])
def test_mixed_precision_is_near_and_given_back_in_float32(network, images, expected, precision, tmp_path):
    for execution in (Execution(precision=precision), _cached(tmp_path, precision=precision)):
        reader = Reader(network, execution)
        found = list(reader.map_batches(images))[0], reader.features(images), reader.logits(images)
        for rows, right in zip(found, expected, strict=True):
            rows = np.asarray(rows)
            assert rows.dtype == np.float32
            scale = np.abs(right).max()
            np.testing.assert_allclose(rows, right[: len(rows)], atol=0.05 * scale)
            assert np.abs(rows - right[: len(rows)]).max() > 0
    assert network.trunk.compute_dtype == "float32"


@pytest.mark.slow
def test_with_xla_the_same(network, images, expected):
    reader = Reader(network, Execution(jit=True, batch_size=8))
    np.testing.assert_allclose(reader.features(images), expected[1], atol=1e-4)
    np.testing.assert_allclose(reader.logits(images), expected[2], atol=1e-4)


def test_one_trace_a_function_whatever_is_asked(network, images):
    reader = Reader(network, Execution(batch_size=4))
    for count in (23, 7, 3):
        reader.features(images.take(np.arange(count)))
    assert reader._trunk_and_tail.experimental_get_tracing_count() == 1


class _Half(Team):
    """One of two members; the sum is this one's part alone."""

    size = 2

    def __init__(self, index):
        self.index = index


def test_a_team_shares_the_images_and_the_parts_add_up(network, images, decoded):
    whole = Reader(network, Execution(batch_size=4)).features(images)
    decoded.clear()
    parts = [Reader(network, Execution(batch_size=4, team=_Half(index))).features(images) for index in (0, 1)]
    assert decoded == [12, 11]
    np.testing.assert_array_equal((parts[0] != 0).any(axis=1), np.arange(23) % 2 == 0)
    np.testing.assert_allclose(parts[0] + parts[1], whole, atol=1e-5)


def test_what_is_not_finite_is_told_by_image_and_class(network, images):
    broken = network.copy()
    tail = next(layer for layer in broken.tail.layers if layer.name == "fc1")
    kernel, bias = tail.get_weights()
    tail.set_weights([kernel, np.full_like(bias, np.inf)])
    with pytest.raises(InputError, match=r"must be finite; .* for the image '0.png' \(class 'a'\)"):
        Reader(broken).features(images)
    Reader(broken).maps(images)  # the trunk is sound


def test_features_too_many_for_memory_lie_in_a_file(network, images, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST_IN_MEMORY", 1000)
    features = Reader(network, _cached(tmp_path)).features(images)
    assert isinstance(features, np.memmap)
    np.testing.assert_allclose(features, expected[1], atol=1e-5)
    assert not [path for path in tmp_path.rglob("*") if path.stat().st_size == features.nbytes and path.suffix == ""]


def test_rows_of_another_size_or_precision_have_another_key(tmp_path, monkeypatch):
    network = build_network("small_vgg", ("a", "b"), input_size=32)
    execution = _cached(tmp_path)
    monkeypatch.setattr(reading, "model_fingerprint", lambda model: "the same weights")

    def keys(size, precision):
        reader = Reader(network, replace(execution, precision=precision))
        monkeypatch.setattr(type(network), "input_size", size)
        return {kind: execution.cache.key(kind, (3,), made_from) for kind, made_from in reader._made_from.items()}

    first = keys(32, "float32")
    assert keys(32, "float32") == first
    for other in (keys(48, "float32"), keys(32, "mixed_bfloat16")):
        assert not set(other.values()) & set(first.values())
