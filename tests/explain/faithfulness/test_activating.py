import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import label

from niwt_tf.explain.faithfulness.activating import TopActivating


def _brute_force(maps, keep):
    """Return images, values and regions by going through everything one by one."""
    count, height, width, neurons = maps.shape
    images, values = np.full((neurons, keep), -1), np.zeros((neurons, keep), np.float32)
    regions = np.zeros((neurons, keep, 4), np.float32)
    for n in range(neurons):
        ranked = sorted(range(count), key=lambda i: (-maps[i, ..., n].max(), i))
        for place, i in enumerate([i for i in ranked if maps[i, ..., n].max() > 0][:keep]):
            single = maps[i, ..., n]
            peak = np.unravel_index(single.argmax(), single.shape)
            parts, _ = label(single >= single.max() / 2)
            rows, columns = np.nonzero(parts == parts[peak])
            images[n, place], values[n, place] = i, single.max()
            regions[n, place] = (
                columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height
            )
    return images, values, regions


# Few different values: ties, and regions of several positions.
MAPS = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3)).flatmap(
    lambda shape: arrays.arrays(np.float32, shape, elements=st.sampled_from([-1.0, 0.0, 1.0, 1.5, 2.0, 4.0]))
)


@given(MAPS, st.integers(1, 4), st.data())
def test_streaming_equals_going_through_everything_whatever_the_batches(maps, keep, data):
    ends = sorted(data.draw(st.sets(st.integers(1, len(maps)))) | {len(maps)})
    batches = data.draw(st.permutations(list(zip([0, *ends], ends, strict=False))))
    top = TopActivating(maps.shape[-1], keep)
    for start, end in batches:
        top.add(maps[start:end], start)
    found, (images, values, regions) = top.result(), _brute_force(maps, keep)
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_allclose(found.regions, regions, rtol=1e-6)
    assert (found.images.dtype, found.values.dtype, found.regions.dtype) == (np.int64, np.float32, np.float32)


def test_a_region_by_hand():
    single = np.array(
        [
            [0, 9, 0, 9, 9],
            [0, 5, 0, 4, 0],
            [0, 5, 5, 10, 0],
            [0, 0, 0, 4, 5],
        ],
        np.float32,
    )
    top = TopActivating(1, 2)
    top.add(single[None, :, :, None], 7)
    found = top.result()
    # Round the corner and up to the first 9; not over the 4 to the others, nor diagonally to the last 5.
    assert found.images.tolist() == [[7, -1]] and found.values.tolist() == [[10.0, 0.0]]
    np.testing.assert_allclose(found.regions, [[[0.2, 0.0, 0.8, 0.75], [0.0] * 4]], rtol=1e-6)


def test_a_neuron_that_nothing_activates_has_no_image():
    top = TopActivating(2, 3)
    top.add(np.zeros((0, 4, 4, 2)), 0)
    assert (top.result().images == -1).all() and not top.result().regions.any()
    maps = np.full((2, 4, 4, 2), -1.0)
    maps[0, 0, 0, 0] = np.nan
    top.add(maps, 0)
    found = top.result()
    assert (found.images == -1).all() and not found.values.any() and not found.regions.any()
