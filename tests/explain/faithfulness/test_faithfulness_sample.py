from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.compute.execution import Execution
from niwt_tf.data.images.decode import decode_image
from niwt_tf.data.schema import Images
from niwt_tf.explain.faithfulness import measure as measuring
from niwt_tf.explain.faithfulness.measure import measure_sample, sample_rows
from niwt_tf.explain.grad_cam import grad_cam, importance, upsampled
from niwt_tf.explain.heat import Heat
from niwt_tf.explain.heat_choice import bump
from niwt_tf.explain.perturbing import STEPS, heat_order, with_shuffled_weights
from niwt_tf.metrics.ranks import map_correlation
from niwt_tf.models.backbones import build_network

TEMPERATURE = 0.01  # of an untrained network, whose logits are all but the same


def labelled(counts):
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    return Images(Path("."), tuple(map(str, range(len(labels)))), labels, tuple(map(str, range(len(counts)))))


@pytest.mark.parametrize(
    ("counts", "num_seen", "count", "seen", "unseen"),
    [
        ([5] * 50, 40, 16, 8, 8),
        ([5] * 50, 40, 100, 80, 20),
        ([5] * 50, 10, 100, 20, 80),
        ([30] * 40 + [1] * 3, 40, 100, 97, 3),
        ([1] * 4 + [30] * 40, 4, 16, 4, 12),
        ([30] * 4, 4, 16, 16, 0),
        ([3] * 4, 3, 16, 9, 3),
        ([0] * 4, 3, 16, 0, 0),
    ],
    ids=["few", "by classes", "mostly unseen", "few unseen", "few seen", "no unseen", "all", "none"],
)
def test_the_sample_has_both_sides(counts, num_seen, count, seen, unseen):
    images = labelled(counts)
    rows = sample_rows(images, num_seen, count, 1)
    labels = images.labels[rows]
    assert (np.sum(labels < num_seen), np.sum(labels >= num_seen)) == (seen, unseen)
    assert len(set(rows.tolist())) == len(rows) and (np.diff(rows) > 0).all()
    of_classes = np.bincount(labels, minlength=len(counts))
    for side in (of_classes[:num_seen], of_classes[num_seen:]):  # all classes of a side have the same number of images
        assert len(side) == 0 or np.ptp(side) <= 1
    np.testing.assert_array_equal(rows, sample_rows(images, num_seen, count, 1))
    assert len(rows) < 5 or len(rows) == len(images) or np.any(rows != sample_rows(images, num_seen, count, 2))


@pytest.fixture(scope="module")
def network(coloured):
    return build_network("small_vgg", coloured.class_names, input_size=32)


def heat_of(seeing, judging, pixels, wanted):
    maps = seeing.trunk(pixels, training=False)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        logits = tf.gather(judging.head(judging.tail(maps, training=False)), wanted, batch_dims=1)
    return grad_cam(maps, importance(tape.gradient(logits, maps)))


def areas(network, pixels, wanted, places):
    """Return the areas of insertion and deletion for one image, its pixels in the order of `places`."""
    mean, order = pixels.mean(axis=(0, 1)), np.argsort(places.ravel())
    inserted, deleted = [], []
    for step in range(STEPS + 1):
        first = order[: len(order) * step // STEPS]
        there, gone = np.broadcast_to(mean, pixels.shape).reshape(-1, 3).copy(), pixels.reshape(-1, 3).copy()
        there[first], gone[first] = gone[first], mean
        inserted.append(there.reshape(pixels.shape))
        deleted.append(gone.reshape(pixels.shape))
    result = []
    for shown in (inserted, deleted):
        logits = network.model(np.stack(shown), training=False)
        result.append(np.trapezoid(tf.nn.softmax(logits / TEMPERATURE)[:, wanted], dx=1 / STEPS))
    return result


@pytest.mark.slow
def test_it_is_what_a_plain_loop_finds(network, coloured, monkeypatch):
    predictions = (np.arange(len(coloured)) * 2) % 5  # not in the order of the labels
    monkeypatch.setattr(measuring, "sample_size", lambda _: 16)
    found = measure_sample(network, Heat(), coloured, predictions, TEMPERATURE, Execution(batch_size=9), 3)
    rows = sample_rows(coloured, network.num_seen, 16, 3)
    expected = {name: [] for name in found}
    by_chance, middles, generator, shuffled = [], [], np.random.default_rng(3), with_shuffled_weights(network, 3)
    for batch in (rows[:9], rows[9:]):
        files = [tf.io.read_file(str(coloured.root / coloured.paths[row])) for row in batch]
        pixels = np.stack([decode_image(file, 32).numpy() for file in files])
        wanted = tf.constant(predictions[batch])
        heat, tail, whole = (
            heat_of(*pair, pixels, wanted) for pair in ((network, network), (network, shuffled), (shuffled, shuffled))
        )
        expected["random_tail_correlation"] += map_correlation(heat.numpy(), tail.numpy()).tolist()
        expected["random_network_correlation"] += map_correlation(heat.numpy(), whole.numpy()).tolist()
        # Equal heat comes in an order that is drawn.
        order = heat_order(upsampled(heat, 32).numpy(), generator)
        anyhow = heat_order(np.zeros_like(order), generator)
        middle = heat_order(bump(len(pixels), 32), generator)
        for place, each in enumerate(pixels):
            insertion, deletion = areas(network, each, wanted[place], order[place])
            expected["insertion_auc"].append(insertion)
            expected["deletion_auc"].append(deletion)
            expected["insertion_minus_deletion"].append(insertion - deletion)
            by_chance.append(areas(network, each, wanted[place], anyhow[place])[0])
            middles.append(np.subtract(*areas(network, each, wanted[place], middle[place])))
    for name, measure in found.items():
        np.testing.assert_array_equal(measure.rows, rows)
        # Pixels whose heat differs by rounding alone may change places in the order of one of the two.
        of_order = 1e-4 if name.startswith("random_") else 2e-3
        np.testing.assert_allclose(measure.values, expected[name], rtol=1e-3, atol=of_order, err_msg=name)
    for name in ("insertion_auc", "deletion_auc"):
        np.testing.assert_allclose(found[name].chance, by_chance, rtol=1e-3, atol=1e-4)
    # What is compared differs, so that one measure in another's place is found out.
    some = [np.asarray(values) for values in (*expected.values(), by_chance)]
    assert all(np.isfinite(values).sum() > 3 for values in some)
    assert all(np.abs(np.nan_to_num(one) - np.nan_to_num(other)).max() > 0.05 for one, other in combinations(some, 2))
    np.testing.assert_allclose(found["insertion_minus_deletion"].chance, middles, rtol=1e-3, atol=2e-4)
