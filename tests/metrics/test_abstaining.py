"""The threshold of an answer, against every other threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from niwt_tf.errors import InputError
from niwt_tf.metrics.probabilities import OpenSet, abstaining_figures, check_none_is_unknown, choose_threshold

TENTHS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def _set(known, unknown, seed: int | None = None) -> OpenSet:
    random = np.random.default_rng(seed)
    weights = [np.ones(len(part)) if seed is None else random.uniform(0.1, 1, len(part)) for part in (known, unknown)]
    is_new = np.arange(len(known)) % 2 == 1
    return OpenSet(np.array(known), np.array(unknown), *(each / each.sum() for each in weights), is_new)


def test_by_hand():
    found = _set([0.9, 0.8, 0.4, 0.7], [0.3, 0.5, 0.2, 0.75])
    # Between 0.5 and 0.7, and between 0.3 and 0.4, three quarters are right; the lower is taken.
    threshold = choose_threshold([found])
    assert threshold == pytest.approx((0.3 + 0.4) / 2)
    expected = {"known_accepted": 1.0, "unknown_rejected": 0.5, "balanced_accuracy": 0.75, "auroc": (4 + 4 + 2 + 3) / 16}
    assert abstaining_figures([found], [threshold]) == pytest.approx({**expected, "new_accepted": 1.0})
    expected |= {"known_accepted": 0.5, "unknown_rejected": 1.0}
    assert abstaining_figures([found], [0.76]) == pytest.approx({**expected, "new_accepted": 0.5})
    nothing_new = OpenSet(found.known, found.unknown, found.known_weights, found.unknown_weights, np.zeros(4, bool))
    assert "new_accepted" not in abstaining_figures([nothing_new], [threshold])


@given(st.lists(st.tuples(TENTHS, TENTHS, st.integers(0, 100)), min_size=1, max_size=4))
def test_no_other_threshold_is_better_and_no_lower_one_as_good(worlds):
    sets = [_set(np.array(known) / 10, np.array(unknown) / 10, seed) for known, unknown, seed in worlds]

    def balanced(threshold: float) -> float:
        return abstaining_figures(sets, [threshold] * len(sets))["balanced_accuracy"]

    chosen = choose_threshold(sets)
    others = [balanced(t) for t in np.arange(21) / 20]
    assert balanced(chosen) == pytest.approx(max(others))
    values = np.concatenate([part for each in sets for part in (each.known, each.unknown)])
    # At a value or below, other images are rejected than at the threshold above it.
    assert all(balanced(value) < balanced(chosen) for value in values[values < chosen])


@given(TENTHS, TENTHS, st.integers(0, 100))
def test_auroc_is_scikit_learns(known, unknown, seed):
    found = _set(known, unknown, seed)
    weights = np.concatenate([found.known_weights, found.unknown_weights])
    expected = roc_auc_score([1] * len(known) + [0] * len(unknown), known + unknown, sample_weight=weights)
    assert found.auroc() == pytest.approx(expected)


@pytest.mark.parametrize("sets", [[], [_set([0.2, 0.3], [0.8])], [_set([0.5], [0.5])]])
def test_where_no_threshold_helps_nothing_is_rejected(sets):
    assert choose_threshold(sets) == 0.0


@pytest.mark.parametrize("name", ["unknown", "UnKnown", " unknown "])
def test_a_class_of_that_name(name):
    with pytest.raises(InputError, match=r"--abstain must not be given with a class of the name 'unknown'.*Received: '"):
        check_none_is_unknown(["cat", name])
    check_none_is_unknown(["cat", "unknown bird"])


def test_shares_of_known_and_unknown_images_at_the_threshold_itself():
    weights = np.array([0.25, 0.75])
    one = OpenSet(np.array([0.5, 0.9]), np.array([0.5, 0.2]), weights, weights, np.array([True, False]))
    assert (one.known_accepted(0.5), one.known_accepted(0.51)) == (1.0, 0.75)
    assert (one.unknown_rejected(0.5), one.unknown_rejected(0.51)) == (0.75, 1.0)
    assert (one.new_accepted(0.5), one.new_accepted(0.51)) == (1.0, 0.0)
    # The known one of 0.5 ties with the unknown one of 0.5, and all else is in order.
    assert one.auroc() == pytest.approx(1 - 0.25 * 0.25 / 2)
    none = OpenSet(np.array([0.5, 0.9]), np.array([0.5, 0.2]), weights, weights, np.array([False, False]))
    assert np.isnan(none.new_accepted(0.5))


def test_the_threshold_is_amid_two_neighbours_and_the_lowest_of_equals():
    half = np.array([0.5, 0.5])
    apart = OpenSet(np.array([0.6, 0.8]), np.array([0.2, 0.4]), half, half, np.array([False, False]))
    assert choose_threshold([apart]) == pytest.approx(0.5)
    # 0.3 rejects one of two and 0.7 both, but one known image too: equals.
    mixed = OpenSet(np.array([0.5, 0.9]), np.array([0.1, 0.55]), half, half, np.array([False, False]))
    assert choose_threshold([mixed]) == pytest.approx(0.3)
    assert choose_threshold([]) == 0.0
