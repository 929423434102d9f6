import numpy as np

from niwt_tf.explain.faithfulness.measures import (
    area_share,
    attribute_hit,
    energy_in_box,
    energy_in_parts,
    frequent_attributes,
    pointing_game,
)
from niwt_tf.explain.perturbing import curve_area
from niwt_tf.explain.words import textual_explanation
from niwt_tf.metrics.ranks import map_correlation

LEFT = np.array([[[1.0, 0.0], [1.0, 0.0]]])


def test_energy_is_what_lies_inside_of_all_that_is_positive():
    heat = np.array([[[3.0, 1.0], [0.0, -5.0]], [[0.0, 0.0], [0.0, -1.0]]])
    mask = np.concatenate([LEFT, LEFT])
    np.testing.assert_allclose(energy_in_box(heat, mask), [0.75, np.nan])
    np.testing.assert_allclose(energy_in_box(heat[:1], np.array([[[0.5, 0.5], [1.0, 1.0]]])), [0.5])


def test_pointing_game_takes_the_mean_over_equal_maxima():
    heat = np.array([[[2.0, 1.0], [0.0, 0.0]], [[1.0, 2.0], [0.0, 0.0]], [[2.0, 2.0], [0.0, 2.0]], np.zeros((2, 2))])
    np.testing.assert_allclose(pointing_game(heat, np.repeat(LEFT, 4, axis=0)), [1.0, 0.0, 1 / 3, np.nan])


def test_chance_is_the_share_of_the_area():
    np.testing.assert_allclose(area_share(LEFT), [0.5])
    frame = np.array([[[1.0, 0.5], [0.0, 0.0]]])
    np.testing.assert_allclose(area_share(LEFT, frame), [2 / 3])
    assert np.isnan(area_share(LEFT, np.zeros_like(LEFT)))[0]


def test_area_under_a_curve_is_that_of_trapezoids():
    np.testing.assert_allclose(curve_area(np.array([[0.0, 1.0, 0.0], [0.2, 0.2, 0.2], [0.0, 0.5, 1.0]])), [0.5, 0.2, 0.5])


def test_attribute_hit_is_the_share_of_the_top_that_is_true():
    weights = np.array([[0.1, 3.0, -1.0, 2.0], [0.5, 0.0, -1.0, 0.0], [0.0, 0.0, -1.0, np.nan]])
    present = np.array([[True, True, False, False], [True, False, True, False], [True, True, True, True]])
    hit, chance = attribute_hit(weights, present, np.array([3, 0]))
    # Two words of the first image, one of the second, none of the third.
    np.testing.assert_allclose(hit, [0.5, 1.0, np.nan])
    np.testing.assert_allclose(chance, [0.5, 0.0, np.nan])
    hit, chance = attribute_hit(weights, present, np.array([3, 0, 1, 2]))
    np.testing.assert_allclose(hit, [2 / 3, 1.0, np.nan])
    np.testing.assert_allclose(chance, [2 / 3, 0.0, np.nan])


def test_attribute_hit_counts_the_words_that_are_said():
    random = np.random.default_rng(0)
    weights, present = random.normal(-1, 1, (40, 9)), random.random((40, 9)) < 0.5
    names = tuple("abcdefghi")
    hit, chance = attribute_hit(weights, present, np.arange(5))
    for row in range(40):
        words = textual_explanation(weights[row], names, ("",) * 9).speaks_for
        if words:
            assert hit[row] == np.mean([present[row, names.index(word.attribute)] for word in words])
            assert chance[row] == present[row, : len(words)].mean()
        else:
            assert np.isnan(hit[row]) and np.isnan(chance[row])
    assert 0 < np.isnan(hit).sum() < 40


def test_frequent_attributes_come_first_of_equals():
    present = np.array([[0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1]], bool)
    assert frequent_attributes(present, 3).tolist() == [3, 1, 2]


def test_energy_in_parts_by_hand():
    maps = np.zeros((1, 2, 2, 3), np.float32)
    maps[0, :, :, 0] = [[1.0, 3.0], [0.0, -8.0]]
    maps[0, :, :, 1] = 1.0
    masks = np.array([[[[1.0, 0.0], [1.0, 0.0]], [[0.0, 0.5], [0.0, 0.0]]]])
    energy = energy_in_parts(maps, masks, np.ones((2, 2)))
    np.testing.assert_allclose(energy[0], [[0.25, 0.375], [0.5, 0.125], [np.nan, np.nan]])


def test_map_correlation_is_over_ranks():
    first = np.array([[[1.0, 2.0], [3.0, 4.0]]] * 3)
    second = np.array([[[1.0, 10.0], [11.0, 900.0]], [[4.0, 3.0], [2.0, 1.0]], [[5.0, 5.0], [5.0, 5.0]]])
    np.testing.assert_allclose(map_correlation(first, second), [1.0, -1.0, np.nan])
