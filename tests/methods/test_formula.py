"""Column formulas: the logit of an edited description, by any formula, and by NIWT's without making a column."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.formula import EditedLogit
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.niwt_formula import EditedNiwtLogit, NiwtFormula
from niwt_tf.methods.niwt.transfer_closed_form import Blocks
from niwt_tf.metrics.calibration import LogitStatistics

K, NEURONS, FEATURES = 5, 6, 3
FORMS = {"matched": (LogitStatistics(-1.0, 2.0), False), "raw": (None, False), "discriminant": (None, True)}


def _formula(how: str = "centred", form: str = "matched", seed: int = 0) -> NiwtFormula:
    random = np.random.default_rng(seed)
    statistics, is_discriminant = FORMS[form]
    spread = random.normal(size=(NEURONS + 1, NEURONS + 1))
    centre = random.uniform(size=K) if how == "centred" else np.zeros(K)
    weights, bias = (random.normal(size=shape).astype(np.float32) for shape in ((NEURONS, K), NEURONS))
    return NiwtFormula(
        ImportanceMap(weights, bias, DescriptionNormaliser(how, centre.astype(np.float32))),
        Blocks((4, 2), (1.5, 0.5)),
        random.normal(size=(FEATURES, NEURONS + 1)).astype(np.float32),
        random.normal(size=NEURONS + 1),
        spread @ spread.T,
        statistics,
        0.3,
        is_discriminant,
    )


def _edits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return edits of two different attributes each."""
    random = np.random.default_rng(seed)
    attributes = np.stack([random.permutation(K)[:2] for _ in range(count)])
    return attributes, random.normal(size=(count, 2))


def test_by_hand():
    def formula(descriptions):
        return np.stack([descriptions[:, 0], 2 * descriptions[:, 1]]), descriptions.sum(axis=1)

    edited = EditedLogit(np.array([10.0, 1.0]), formula, np.array([1.0, 2.0, 3.0]))
    # (1, 2, 3) scores 10 + 4 + 6. With 0.5 on the first it is 15 + 4 + 6.5; with -2 and 4 on the others 10 + 0 + 8.
    found = edited(np.array([[0, 1], [0, 1], [1, 2]]), np.array([[0.0, 0.0], [0.5, 0.0], [-2.0, 4.0]]))
    np.testing.assert_allclose(found, [20.0, 25.5, 18.0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ["raw", "l2", "centred"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_niwts_own_is_the_general_one(how, form, seed):
    random = np.random.default_rng(seed)
    formula, features, description = _formula(how, form, seed), random.normal(size=FEATURES), random.uniform(size=K)
    fast, general = formula.edited(features, description), EditedLogit(features, formula, description)
    assert type(fast) is EditedNiwtLogit
    attributes, changes = _edits(4, seed)
    found, expected = fast(attributes, changes), general(attributes, changes)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found / scale, expected / scale, atol=2e-4)
    for value, places, added in zip(expected, attributes, changes, strict=True):
        changed = description.copy()
        changed[places] += added
        columns, biases = formula(changed[None].astype(np.float32))
        assert value / scale == pytest.approx((features @ columns + biases)[0] / scale, abs=2e-4)


@pytest.mark.parametrize("kind", ["general", "fast"])
def test_many_edits_are_the_same_a_few_at_a_time(monkeypatch, kind):
    formula, random = _formula(), np.random.default_rng(2)
    features, description = random.normal(size=FEATURES), random.uniform(size=K)
    made = formula.edited(features, description) if kind == "fast" else EditedLogit(features, formula, description)
    attributes, changes = _edits(11, 3)
    together = made(attributes, changes)
    monkeypatch.setattr("niwt_tf.methods.formula._NUMBERS_AT_ONCE", 2 * made.width)
    np.testing.assert_allclose(made(attributes, changes), together, rtol=1e-6, atol=1e-6)
    assert made(attributes[:0], changes[:0]).shape == (0,)


@pytest.mark.parametrize("kind", ["general", "fast"])
def test_an_edit_of_0_changes_nothing_and_the_description_is_kept(kind):
    formula, random = _formula(), np.random.default_rng(2)
    features, description = random.normal(size=FEATURES), random.uniform(size=K)
    kept = description.copy()
    made = formula.edited(features, description) if kind == "fast" else EditedLogit(features, formula, description)
    columns, biases = formula(description[None].astype(np.float32))
    attributes = np.array([[2, 2], [0, 1]])
    np.testing.assert_allclose(made(attributes, np.zeros((2, 2))), np.repeat(features @ columns + biases, 2), rtol=1e-4)
    np.testing.assert_array_equal(description, kept)
