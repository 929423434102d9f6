from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.data.descriptions.join import join
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError

SEEN = np.array([0, 1])
FIRST = Knowledge(np.array([[0, 0], [6, 8], [3, 9]], np.float32), ("a", "g::b"), ("", "g"))
SECOND = Knowledge(np.array([[100], [102], [111]], np.float32), ("a",), ("",), "captions")


def test_by_hand():
    both = join([("attributes", FIRST), ("captions", SECOND)], SEEN)
    # The seen means are (3, 4) and 101; the centred rows are 5 and 1 long.
    np.testing.assert_allclose(both.values, [[-0.6, -0.8, -1], [0.6, 0.8, 1], [0, 1, 10]], rtol=1e-6)
    assert (both.names, both.groups) == (("a", "g::b", "captions: a"), ("", "g", ""))
    assert (both.source, both.words) == ("attributes + captions", None)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.floats(-10, 10), st.integers(2, 6))
def test_every_part_weighs_the_same_whatever_its_units_and_the_unseen_classes(seed, factor, shift, size):
    random = np.random.default_rng(seed)
    values = random.normal(size=(5, size)).astype(np.float32)
    names, seen = tuple(f"k{k}" for k in range(size)), np.array([0, 1, 3])
    part = Knowledge(values, names, ("",) * size)
    other = Knowledge(random.normal(size=(5, 3)).astype(np.float32), ("x", "y", "z"), ("",) * 3)
    both = join([("attributes", part), ("binary", other)], seen).values
    for of_part in (both[seen, :size], both[seen, size:]):
        assert np.linalg.norm(of_part, axis=1).mean() == pytest.approx(1, rel=1e-4)
        np.testing.assert_allclose(of_part.mean(axis=0), 0, atol=1e-5)
    # A shift by far more than the spread would leave float32 no digits of it.
    rescaled = Knowledge(factor * (values.astype(np.float64) + shift), names, ("",) * size)
    np.testing.assert_allclose(join([("attributes", rescaled), ("binary", other)], seen).values, both, rtol=1e-2, atol=2e-2)
    changed = values.copy()
    changed[[2, 4]] *= 7
    again = join([("attributes", Knowledge(changed, names, ("",) * size)), ("binary", other)], seen).values
    np.testing.assert_array_equal(again[seen], both[seen])


def test_parts_that_cannot_be_joined():
    same = Knowledge(np.ones((3, 2), np.float32), ("a", "b"), ("", ""))
    with pytest.raises(InputError, match="knowledge=binary must differ between seen classes"):
        join([("attributes", FIRST), ("binary", same)], SEEN)
    with pytest.raises(InputError, match="entries have different names. Received: 'mine: a' twice"):
        join([("mine", FIRST), ("mine", SECOND)], SEEN)
