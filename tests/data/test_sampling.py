"""Which images are drawn."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.data.sampling import balanced_draw


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(0, 50), st.integers(0, 3))
def test_no_image_twice_and_no_class_twice_before_all_others(labels, count, seed):
    labels = np.array(labels, np.int64)
    candidates = np.flatnonzero(labels != 3)
    drawn = balanced_draw(labels, candidates, count, np.random.default_rng(seed))
    assert len(drawn) == len(set(drawn.tolist())) == min(count, len(candidates))
    assert set(drawn.tolist()) <= set(candidates.tolist())
    np.testing.assert_array_equal(drawn, balanced_draw(labels, candidates, count, np.random.default_rng(seed)))
    left = np.bincount(np.delete(labels, drawn), minlength=6)
    taken = np.bincount(labels[drawn], minlength=6)
    assert all(taken[c] >= taken.max(initial=0) - 1 for c in range(6) if left[c] and c != 3)


def test_the_seed_decides_about_images_and_classes():
    labels = np.arange(100) % 10
    draws = [balanced_draw(labels, np.arange(100), 5, np.random.default_rng(seed)) for seed in range(20)]
    assert len({tuple(draw) for draw in draws}) > 15
    assert len({tuple(sorted(labels[draw])) for draw in draws}) > 10
    assert all(len(set(labels[draw])) == 5 for draw in draws)


def test_every_image_of_a_class_is_as_likely():
    labels = np.array([0, 0, 0, 0, 1])
    first = [balanced_draw(labels, np.arange(5), 2, np.random.default_rng(seed)) for seed in range(400)]
    times = np.bincount(np.concatenate(first), minlength=5)
    assert times[4] == 400 and (np.abs(times[:4] - 100) < 40).all()
