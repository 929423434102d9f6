from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.serving.bundle.paged_head import PAGE, column_of, free_slot, paged, paged_products, with_column
from tests.shared import further

RANDOM = np.random.default_rng(0)


def _products(features, pages, slots):
    return np.asarray(tf.function(paged_products)(tf.constant(features), tf.constant(pages), tf.constant(slots)))


@pytest.mark.parametrize("classes", [1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 5])
def test_pages_multiply_as_columns_do(classes):
    columns = RANDOM.standard_normal((19, classes)).astype(np.float32)
    features = RANDOM.standard_normal((4, 19)).astype(np.float32)
    pages, slots = paged(columns)
    assert pages.shape == (-(-classes // PAGE), 19, PAGE)
    np.testing.assert_allclose(_products(features, pages, slots), features @ columns, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(column_of(pages, int(slots[-1])), columns[:, -1])


def test_another_column_changes_no_bit_of_the_others():
    columns = RANDOM.standard_normal((257, PAGE)).astype(np.float32)
    features = RANDOM.standard_normal((7, 257)).astype(np.float32)
    pages, slots = paged(columns)
    before = _products(features, pages, slots)
    slot = free_slot(pages, slots)
    assert slot == PAGE
    grown = with_column(pages, slot, RANDOM.standard_normal(257).astype(np.float32))
    after = _products(features, grown, np.append(slots, slot))
    np.testing.assert_array_equal(after[:, :-1], before)
    fewer = with_column(grown, 3, None)
    kept = np.delete(slots, 3)
    np.testing.assert_array_equal(_products(features, fewer, kept), np.delete(before, 3, axis=1))
    assert free_slot(fewer, np.append(kept, slot)) == 3
    assert not column_of(fewer, 3).any()


def test_the_order_of_classes_is_that_of_the_slots():
    columns = RANDOM.standard_normal((5, 3)).astype(np.float32)
    features = RANDOM.standard_normal((2, 5)).astype(np.float32)
    pages, slots = paged(columns)
    np.testing.assert_array_equal(_products(features, pages, slots[::-1]), _products(features, pages, slots)[:, ::-1])


@pytest.mark.parametrize("batch", [1, 17, 33])
@pytest.mark.parametrize("more", [2, *further(1)])
def test_more_pages_change_no_bit_at_the_size_of_a_real_head(batch, more):
    # A plain product rounds one column alone otherwise than among others.
    columns = RANDOM.standard_normal((2048, 1)).astype(np.float32)
    features = RANDOM.standard_normal((batch, 2048)).astype(np.float32)
    pages, slots = paged(columns)
    before = _products(features, pages, slots)
    for slot in range(1, (1 + more) * PAGE):
        pages = with_column(pages, slot, RANDOM.standard_normal(2048).astype(np.float32))
        if slot % PAGE == PAGE - 1:
            after = _products(features, pages, np.arange(slot + 1))
            np.testing.assert_array_equal(after[:, : before.shape[1]], before)
            before = after
    assert len(pages) == 1 + more
