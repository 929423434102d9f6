import numpy as np

from niwt_tf.explain.faithfulness.masks import box_masks, disc_masks, over_positions
from niwt_tf.explain.grad_cam import upsampled


def test_a_box_covers_pixels_by_parts():
    # A file of 8 x 4 pixels squashed to 4 x 4: the box is x from 0.5 to 2.5 and y from 1 to 3 there.
    (mask,) = box_masks(np.array([[1.0, 1.0, 4.0, 2.0]]), np.array([[8, 4]]), 4)
    np.testing.assert_allclose(mask, np.outer([0, 1, 1, 0], [0.5, 1, 0.5, 0]))


def test_a_box_beyond_the_image_is_cut_off():
    (mask,) = box_masks(np.array([[-2.0, 2.0, 10.0, 10.0]]), np.array([[4, 4]]), 4)
    np.testing.assert_array_equal(mask, np.outer([0, 0, 1, 1], [1, 1, 1, 1]))


def test_discs_are_round_in_the_file_and_around_visible_parts_alone():
    points = np.array([[[1.0, 2.0, 1.0], [7.0, 2.0, 0.0]]])
    (mask,) = disc_masks(points, np.array([1.5]), np.array([[8, 4]]), 4)
    # Centres are at x 1, 3, 5, 7 and y 0.5, 1.5, 2.5, 3.5 of the file.
    np.testing.assert_array_equal(mask, [[1, 0, 0, 0]] * 4)
    (both,) = disc_masks(np.array([[[1.0, 0.5, 1.0], [7.0, 3.5, 1.0]]]), np.array([0.5]), np.array([[8, 4]]), 4)
    assert np.argwhere(both).tolist() == [[0, 0], [3, 3]]


def test_over_positions_is_the_upsampled_map_in_the_mask():
    random = np.random.default_rng(0)
    maps, mask = random.uniform(size=(1, 3, 5)).astype(np.float32), random.uniform(size=(12, 12))
    expected = (upsampled(maps, 12).numpy()[0] * mask).sum()
    np.testing.assert_allclose((over_positions(mask, (3, 5)) * maps[0]).sum(), expected, rtol=1e-5)
