from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.experiments.sweeps.choice import Outcome, choose_configurations, configurations, ranked
from niwt_tf.experiments.sweeps.grid import parse_grid, trials_of

TRIALS = trials_of(parse_grid("patience=1,2,3;seed=0,1"), Settings())
SAME = ("p", "p")
APART = ("p", "q")


def _outcomes(scores, problems=SAME):
    return [
        Outcome(trial, None if score == "failed" else problems[trial.values["seed"]], None if score == "failed" else score)
        for trial, score in zip(TRIALS, scores, strict=True)
    ]


def _chosen(outcomes):
    return [(choice.problem, dict(choice.configuration.values)["patience"]) for choice in choose_configurations(outcomes)]


def test_there_is_no_place_for_a_test_figure():
    assert {field.name for field in dataclasses.fields(Outcome)} == {"trial", "problem", "harmonic_mean"}


def test_mean_and_deviation_over_repetitions():
    found = ranked(configurations(_outcomes([0.5, 0.7, 0.9, 0.1, 0.6, "failed"])))
    assert [dict(each.values)["patience"] for each in found] == [1, 2, 3]
    assert [each.mean for each in found] == [pytest.approx(0.6), pytest.approx(0.5), None]
    assert found[0].deviation == pytest.approx(0.02**0.5)  # (0.1² + 0.1²) / (2 - 1)
    assert found[2].deviation is None


def test_repetitions_of_one_problem_choose_together():
    assert _chosen(_outcomes([0.5, 0.7, 0.9, 0.1, 0.1, 0.9])) == [("p", 1)]
    (choice,) = choose_configurations(_outcomes([0.5, 0.7, 0.9, 0.1, 0.1, 0.9]))
    assert [outcome.trial.values["seed"] for outcome in choice.configuration.outcomes] == [0, 1]


def test_other_problems_choose_apart():
    assert _chosen(_outcomes([0.5, 0.7, 0.9, 0.1, 0.1, 0.8], APART)) == [("p", 2), ("q", 3)]


def test_ties_go_to_the_first_and_what_failed_is_not_chosen():
    assert _chosen(_outcomes([0.5, 0.5, 0.5, 0.5, 0.5, 0.5])) == [("p", 1)]
    assert _chosen(_outcomes(["failed", 0.9, 0.2, 0.2, 0.3, 0.3])) == [("p", 3)]
    assert _chosen(_outcomes(["failed"] * 6)) == []


def test_without_validation_figures_nothing_is_chosen_unless_there_is_one_configuration():
    assert _chosen(_outcomes([None] * 6)) == []
    alone = [outcome for outcome in _outcomes([None] * 6) if outcome.trial.values["patience"] == 2]
    assert _chosen(alone) == [("p", 2)]


def test_data_that_change_on_the_way_are_refused():
    one, two = TRIALS[0], TRIALS[2]
    with pytest.raises(InputError, match="must not change while it runs"):
        choose_configurations([Outcome(one, "p", 0.1), Outcome(two, "q", 0.2)])


score = st.one_of(st.just("failed"), st.floats(0, 1))


@given(st.lists(score, min_size=6, max_size=6), st.sampled_from([SAME, APART]))
def test_each_choice_is_the_best_of_its_problem(scores, problems):
    outcomes = _outcomes(scores, problems)
    for choice in choose_configurations(outcomes):
        seeds = {
            seed for seed in (0, 1) if any(o.problem == choice.problem and o.trial.values["seed"] == seed for o in outcomes)
        }
        rivals = configurations([outcome for outcome in outcomes if outcome.trial.values["seed"] in seeds])
        assert choice.configuration.mean == max(rival.mean for rival in rivals if rival.mean is not None)
        assert {outcome.trial.values["seed"] for outcome in choice.configuration.outcomes} == seeds


@given(st.lists(score, min_size=6, max_size=6), st.lists(score, min_size=3, max_size=3))
def test_a_problem_does_not_heed_the_other(scores, others):
    """The validation classes of one split are test classes of the other."""
    before = dict(_chosen(_outcomes(scores, APART))).get("p")
    scores[1::2] = others
    assert dict(_chosen(_outcomes(scores, APART))).get("p") == before
