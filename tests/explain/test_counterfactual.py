"""The smallest change of a description that makes its class win, by hand, by trying everything, and put through the map."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.explain import counterfactual as search
from niwt_tf.explain.counterfactual import Counterfactual, Edit, NoCounterfactual, counterfactual, possible_edits
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.niwt.transfer_closed_form import Blocks
from niwt_tf.metrics.calibration import LogitStatistics

MATCHED = LogitStatistics(-1.0, 2.0)


def formula(attributes, neurons=4, features=3, how="centred", statistics=MATCHED, seed=0):
    """Return a column formula of random numbers with two blocks."""
    random = np.random.default_rng(seed)

    def drawn(*shape):
        return random.standard_normal(shape).astype(np.float32)

    spread = random.standard_normal((neurons + 1, neurons + 1))
    centre = random.random(attributes).astype(np.float32)
    mapping = ImportanceMap(drawn(neurons, attributes), drawn(neurons), DescriptionNormaliser(how, centre))
    blocks = Blocks((neurons - 1, 1), (1.5, 0.5))
    return NiwtFormula(mapping, blocks, drawn(features, neurons + 1), drawn(neurons + 1), spread @ spread.T, statistics, 0.3)


def sign_map(weights, bias=0.0):
    """Return a column formula with the logit sign(w . d + b) x for features [x]: of one neuron, whose length becomes 1."""
    weights = np.array([weights], np.float32)
    mapping = ImportanceMap(weights, np.array([bias], np.float32), DescriptionNormaliser("raw", np.zeros(weights.shape[1])))
    basis = np.array([[1.0, 0.0]], np.float32)
    return NiwtFormula(mapping, Blocks.single(1), basis, np.zeros(2), np.zeros((2, 2)), None, 0.0)


def logit(features, made, description):
    columns, biases = made(np.asarray(description, np.float32)[None])
    return float(features @ columns[:, 0] + biases[0])


def names(count):
    return [f"a{k}" for k in range(count)]


@pytest.mark.parametrize("how", ["centred", "l2", "raw"])
@pytest.mark.parametrize(("statistics", "discriminant"), [(None, False), (MATCHED, False), (None, True)])
def test_an_edited_logit_is_that_of_the_edited_description(how, statistics, discriminant):
    random = np.random.default_rng(3)
    made = dataclasses.replace(formula(5, how=how, statistics=statistics), is_discriminant=discriminant)
    features, description = random.standard_normal(3), random.random(5)
    attributes = np.array([[0, 3], [4, 4], [2, 1]])
    changes = np.array([[0.5, -0.2], [1.0, 0.0], [0.0, 0.0]])
    found = made.edited(features, description)(attributes, changes)
    for row, (places, added) in enumerate(zip(attributes, changes, strict=True)):
        changed = description.copy()
        np.add.at(changed, places, added)
        assert found[row] == pytest.approx(logit(features, made, changed), rel=1e-4, abs=1e-4)


def test_edits_by_hand():
    known = np.array([[0, 1, 0, 0.0, 5], [1, 0, 1, 0.5, 5], [0, 0, 1, 2.0, 5]], np.float32)
    groups = ("", "", "", "", "")
    edits = possible_edits(known[1], known, groups)
    assert edits.attributes[:, 0].tolist() == [0, 1, 2, 3, 3]  # the last never varies
    assert edits.changes[:, 0].tolist() == [-1, 1, -1, -0.5, 1.5]
    assert edits.sizes.tolist() == [1, 1, 1, 0.25, 0.75]
    assert edits.is_continuous.tolist() == [False, False, False, True, True]


def test_within_an_exclusive_group_one_entry_takes_anothers_place():
    known = np.array([[1, 0, 0, 0, 3], [0, 1, 0, 0, 0], [0, 0, 70, 0, 3]], np.float32)
    edits = possible_edits(known[1], known, ("colour", "colour", "colour", "colour", ""))
    assert [tuple(row) for row in edits.attributes.tolist()] == [(0, 1), (2, 1), (4, 4)]  # no class has the fourth
    assert edits.changes.tolist() == [[1, -1], [70, -1], [3, 0]]
    assert edits.subjects.tolist() == [0, 0, 4]
    assert edits.sizes.tolist() == [2, 2, 1]


def test_a_group_with_two_entries_in_a_class_is_not_exclusive():
    known = np.array([[1, 1], [0, 1], [1, 0]], np.float32)
    edits = possible_edits(known[1], known, ("colour", "colour"))
    assert edits.attributes.tolist() == [[0, 0], [1, 1]]


def test_one_edit_by_hand():
    # The logit is the sign of 2 a0 + a1 - a2: from -1 to 1 it takes a0 alone, or a1 and a2.
    made, known = sign_map([2, 1, -1]), np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    found = counterfactual(np.ones(1), made, np.array([0, 0, 1]), 1.5, known, names(3), ("", "", ""))
    assert isinstance(found, Counterfactual)
    assert found.edits == (Edit("a0", 0.0, 1.0),)
    assert found.description.tolist() == [1, 0, 1]
    assert (found.margin_before, found.margin_after) == (1.5, -0.5)


def test_two_edits_by_hand():
    made, known = sign_map([1, 1, -1.5]), np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    found = counterfactual(np.ones(1), made, np.array([0, 0, 1]), 1.5, known, names(3), ("", "", ""))
    # No single one is enough; without a2 the sum is 0, whose sign is no 1. Of equal pairs the first is taken.
    assert found.edits == (Edit("a0", 0.0, 1.0), Edit("a1", 0.0, 1.0))
    assert found.margin_after == -0.5


def test_a_continuous_edit_is_only_as_large_as_it_must_be():
    made = sign_map([1, -1])  # wins as soon as a0 is above a1
    known = np.array([[0, 0.3], [4, 0.3], [2, 0.3]], np.float32)
    (edit,) = counterfactual(np.ones(1), made, known[0], 1.5, known, names(2), ("", "")).edits
    assert (edit.attribute, edit.before) == ("a0", 0.0)
    assert 0.3 < edit.after < 0.301


def test_a_swap_has_two_entries():
    made, known = sign_map([-1, 2, 1]), np.eye(3, dtype=np.float32)
    found = counterfactual(np.ones(1), made, known[0], 1.5, known, names(3), ("g", "g", "g"))
    assert found.edits == (Edit("a0", 1.0, 0.0, "g"), Edit("a1", 0.0, 1.0, "g"))


def test_what_cannot_win_says_why():
    made, known = sign_map([1, 1]), np.array([[0, 0], [1, 1]], np.float32)
    arguments = known, names(2), ("", "")
    assert counterfactual(np.ones(1), made, known[0], -0.1, *arguments) == NoCounterfactual("It wins already.")
    assert "up to 8 attributes" in counterfactual(np.ones(1), made, known[0], 50.0, *arguments).reason
    same = np.ones((2, 2), np.float32)
    assert "do not differ in any attribute" in counterfactual(np.ones(1), made, same[0], 1.0, same, *arguments[1:]).reason


def _fewest_by_trying_everything(features, made, description, margin, known):
    """Return the least number of flipped attributes that is enough, by the column formula itself."""
    before = logit(features, made, description)
    for count in range(1, len(description) + 1):
        for flipped in itertools.combinations(range(len(description)), count):
            changed = description.copy()
            changed[list(flipped)] = 1 - changed[list(flipped)]
            if logit(features, made, changed) - before > margin + 1e-2:
                return count
    return None


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.05, 4.0))
def test_one_and_two_edits_are_the_fewest_that_there_are(seed, margin):
    random = np.random.default_rng(seed)
    made, features = formula(5, seed=seed), random.standard_normal(3)
    known = random.integers(0, 2, (6, 5)).astype(np.float32)
    known[:2] = [[0] * 5, [1] * 5]
    found = counterfactual(features, made, known[2], margin, known, names(5), ("",) * 5)
    fewest = _fewest_by_trying_everything(features, made, known[2], margin, known)
    if fewest in (1, 2):
        assert isinstance(found, Counterfactual) and len(found.edits) <= fewest
    if isinstance(found, Counterfactual) and found.margin_after < -0.02:  # clear of what rounding decides
        assert fewest is not None and len(found.edits) >= min(fewest, 3)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(["centred", "l2", "raw"]), st.floats(0.0, 6.0))
@example(293, "raw", 1.0)  # an edit at whose edge a block of one importance turns its sign
@example(1055, "centred", 1.0)
def test_a_changed_description_really_wins(seed, how, margin):
    random = np.random.default_rng(seed)
    made, features = formula(12, how=how, seed=seed), random.standard_normal(3)
    groups = ("g",) * 3 + ("",) * 9
    known = np.concatenate([np.eye(3)[random.integers(0, 3, 7)], random.integers(0, 4, (7, 9))], axis=1).astype(np.float32)
    found = counterfactual(features, made, known[0], margin, known, names(12), groups)
    if isinstance(found, NoCounterfactual):
        return
    gained = logit(features, made, found.description) - logit(features, made, known[0])
    assert gained > margin and found.margin_after < 0
    assert found.margin_after == pytest.approx(margin - gained, abs=1e-3)
    changed = np.flatnonzero(found.description != known[0])
    assert {f"a{k}" for k in changed} == {edit.attribute for edit in found.edits}
    assert (found.description >= known.min(axis=0)).all() and (found.description <= known.max(axis=0)).all()
    assert found.description[:3].sum() == 1  # one entry of the exclusive group still
    for edit in found.edits:
        assert found.description[int(edit.attribute[1:])] == np.float32(edit.after)


def test_many_edits_are_found_and_none_of_them_can_be_left_out():
    made, known = sign_map([1, 1, 1, 1, 1, 1, 1, 3], bias=-4.5), np.array([[0] * 8, [1] * 8], np.float32)
    found = counterfactual(np.ones(1), made, known[0], 1.5, known, names(8), ("",) * 8)
    # Any five of the small ones would do, but with the large one it takes two.
    assert [edit.attribute for edit in found.edits] == ["a0", "a1", "a7"]
    assert found.margin_after == -0.5


def test_ten_thousand_attributes_stay_usable():
    random = np.random.default_rng(0)
    made = formula(10_000, neurons=16, features=8)
    known = random.random((20, 10_000)).astype(np.float32)
    found = counterfactual(random.standard_normal(8), made, known[0], 0.01, known, names(10_000), ("",) * 10_000)
    assert isinstance(found, Counterfactual) and found.margin_after < 0


def test_where_pairs_cost_too_much_edits_are_found_one_after_the_other(monkeypatch):
    made, known = formula(4), np.eye(4, dtype=np.float32)
    given = np.ones(3), made, known[0], 0.5, np.concatenate([known, 1 - known]), names(4), [""] * 4
    searched = counterfactual(*given)
    monkeypatch.setattr(search, "_MOST_PRODUCTS", 1.0)
    monkeypatch.setattr(search._Search, "single", lambda _: None)
    greedy = counterfactual(*given)
    assert isinstance(searched, Counterfactual) and isinstance(greedy, Counterfactual)
    assert greedy.margin_after < 0
