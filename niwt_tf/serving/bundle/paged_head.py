"""The head of a bundle: columns in pages of fixed width, so that no class's logit depends on which others there are.

A matrix product may round differently when the number of its columns changes. Pages of one width are multiplied by one and the
same operation whatever their number, and a class keeps its place: adding, removing or renaming classes leaves the logits of all
others bit-identical. The order of the classes is that of `slots`.

Dimensions: D features, C classes, G pages, P = `PAGE` places.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

PAGE = 32


def paged(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pages float32 [G, D, P] that hold columns [D, C] in order, and the slot of each, int64 [C]."""
    features, classes = columns.shape
    pages = np.zeros((-(-classes // PAGE), PAGE, features), np.float32)
    pages.reshape(-1, features)[:classes] = columns.T
    return np.ascontiguousarray(pages.transpose(0, 2, 1)), np.arange(classes, dtype=np.int64)


def column_of(pages: np.ndarray, slot: int) -> np.ndarray:
    """Return the column [D] in a slot of pages [G, D, P]."""
    return np.array(pages[slot // PAGE, :, slot % PAGE])


def with_column(pages: np.ndarray, slot: int, column: np.ndarray | None) -> np.ndarray:
    """Return pages with `column` [D] in a slot, or with the slot empty; a slot after the last page adds one."""
    count = max(len(pages), slot // PAGE + 1)
    result = np.zeros((count, *pages.shape[1:]), np.float32)
    result[: len(pages)] = pages
    result[slot // PAGE, :, slot % PAGE] = 0.0 if column is None else column
    return result


def free_slot(pages: np.ndarray, slots: np.ndarray) -> int:
    """Return the first slot that no class has, which may be the first of a page still to be added."""
    taken = set(slots.tolist())
    return next(slot for slot in range(len(pages) * PAGE + 1) if slot not in taken)


def paged_products(features: tf.Tensor, pages: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
    """Return features [B, D] times the columns of the classes, [B, C]."""
    width = tf.TensorSpec([None, PAGE], tf.float32)
    products = tf.map_fn(lambda page: tf.matmul(features, page), pages, fn_output_signature=width)
    flat = tf.reshape(tf.transpose(products, [1, 0, 2]), [tf.shape(features)[0], -1])
    return tf.gather(flat, slots, axis=1)
