"""Class rows, confusions and bins of a small evaluation, worked out by hand; and what is said of a run."""

from __future__ import annotations

import shlex
from types import SimpleNamespace

import numpy as np
import pytest
from absl.flags import FlagValues

from niwt_tf.config.settings import Settings
from niwt_tf.explain.faithfulness.table import FIGURES
from niwt_tf.jobs.flags import define_flags, parse_flags, settings_from_flags
from niwt_tf.jobs.table import JOBS
from niwt_tf.metrics.gzsl import calibration_curve, evaluate_scores
from niwt_tf.protocol.scoring import Scored
from niwt_tf.report.contents import ConfusedPair, Estimate
from niwt_tf.report.map_quality import map_figures, trial_rows
from niwt_tf.report.summary import (
    count,
    facts_of,
    given_flags,
    headline_of,
    reproduction_of,
    subject_of,
    summary_of,
    versions_of,
)
from niwt_tf.report.tables import faithfulness_rows, results_of, unmeasured_sentences

NAMES = ("1.Red_Finch", "2.Blue_Finch", "3.Owl")
# Three images of the first class, one taken for the third; two of the third, both taken for the first.
LABELS = np.array([0, 0, 0, 2, 2])
LOGITS = np.log(np.array([[8, 1, 1], [8, 1, 1], [1, 1, 8], [7, 1, 2], [7, 1, 2]]) / 10).astype(np.float32)


@pytest.fixture(scope="module")
def results():
    scored = Scored(LOGITS, LABELS, evaluate_scores(LOGITS, LABELS, 2, 0.0), calibration_curve(LOGITS, LABELS, 2))
    return results_of(scored, NAMES, 2, 1.0)


def test_classes(results):
    assert results.class_names == ("Red Finch", "Blue Finch", "Owl")
    red, blue, owl = results.classes
    assert (red.seen, red.images, red.accuracy, red.mistaken_for) == (True, 3, pytest.approx(2 / 3), "Owl")
    assert (blue.images, blue.accuracy, blue.mistaken_for) == (0, None, "")
    assert (owl.seen, owl.images, owl.accuracy, owl.mistaken_for, owl.mistaken_share) == (False, 2, 0.0, "Red Finch", 1.0)


def test_confusions(results):
    cells = zip(results.confusion.true, results.confusion.predicted, results.confusion.counts, strict=True)
    assert sorted(tuple(map(int, cell)) for cell in cells) == [(0, 0, 2), (0, 2, 1), (2, 0, 2)]
    first, second = results.pairs
    assert first == ConfusedPair("Owl", False, "Red Finch", True, 2, 1.0)
    assert (second.true, second.predicted, second.share) == ("Red Finch", "Owl", pytest.approx(1 / 3))


def test_reliability_counts_classes_the_same(results):
    low, high = results.reliability
    assert (low.share, low.probability, low.right) == pytest.approx((0.5, 0.7, 0.0))
    assert (high.share, high.probability, high.right) == pytest.approx((0.5, 0.8, 2 / 3))
    assert low.low < 0.7 <= low.high


def test_the_summary_says_what_was_measured():
    known = {"acc_seen": Estimate(0.9), "acc_unseen": Estimate(0.75), "acc_zsl": Estimate(0.8)}
    assert "classifies 75.0 % of the test images of 1 unseen class correctly" in summary_of(known, 4, 1)
    assert "90.0 %" in summary_of(known, 4, 1) and "chance: 25.0 %" in summary_of(known, 4, 4)
    assert "only those" not in summary_of(known, 4, 1) and "only those 2 compete" in summary_of(known, 4, 2)
    without = {**known, "acc_unseen": Estimate(None), "acc_zsl": Estimate(None)}
    assert "no test image of an unseen class" in summary_of(without, 4, 1)


def test_flags_are_those_that_differ():
    assert given_flags(Settings()) == []
    settings = Settings(dataset="cub", data_dir="/a b/c", jit=True, engine=("tape", "operator"), num_folds=2)
    assert given_flags(settings) == ["--dataset=cub", "--data_dir='/a b/c'", "--engine=tape,operator", "--num_folds=2", "--jit"]


def test_the_flags_are_taken_back():
    settings = Settings(unseen=("a b", "c'd"), data_dir="/x", transfer_lambda=(0.5, 1e-7), layer="conv 5", jit=True)
    made = reproduction_of(settings, {"python": "3"}, "f", [], {"num_species": 3, "size": 32})
    render, run = (shlex.split(command.replace("\\\n", "")) for command in made.commands)
    assert render == ["niwt", "render", "--data_dir=/x", "--num_species=3", "--image_size=32"]
    assert made.versions == (("python", "3"),)
    values = FlagValues()
    define_flags(JOBS["run"], values)
    parse_flags(run[2:], values)
    assert run[:2] == ["niwt", "run"] and settings_from_flags(values)[0] == settings


def test_versions_are_those_of_the_stages():
    first, second = {"python": "3.11", "keras": "3.1", "jax": None}, {"python": "3.11", "keras": "3.2"}
    assert versions_of({"train": first, "map": first, "evaluate": second, "old": {}}) == {
        "python": "3.11",
        "keras": "3.1 (train, map); 3.2 (evaluate)",
    }


def test_faithfulness_is_shown_or_said_to_be_absent():
    seen = {"value": 0.8, "low": 0.7, "high": 0.9, "chance": 0.3, "count": 4, "left_out": 2}
    energy = {"seen": seen, "unseen": {"value": 0.5, "count": 1}}
    (row,) = faithfulness_rows({"energy_in_box": energy}, FIGURES)
    assert row.estimates == {"seen": (Estimate(0.8, 0.7, 0.9), 0.3, 4, 2), "unseen": (Estimate(0.5), None, 1, 0)}
    absent = unmeasured_sentences({"energy_in_box": energy}, FIGURES, ("boxes", "parts"))
    assert len(absent) == len(FIGURES) - 1
    assert "Hottest point in the box: not measured, the data set has no boxes for its images." in absent
    assert "Insertion: not measured, there is nothing to measure it on." in absent


def test_the_chosen_trial_is_always_shown():
    trials = [
        {
            "engine": "tape", "head_regularization": 1.0, "regularization": number, "anchor": "mean",
            "layer_weights": [1.0, 0.3], "calibration": None, "harmonic_mean": 0.5, "acc_zsl": 0.5, "transfer_cosine": 1.0,
        }
        for number in range(5)
    ]  # fmt: skip
    rows = trial_rows({"method": "niwt", "chosen": trials[4], "trials": trials}, most=3)
    assert [row.regularization for row in rows] == [0, 1, 4] and [row.chosen for row in rows] == [False, False, True]
    assert rows[0].layer_weights == "1, 0.3"


def test_figures_of_the_maps():
    explainer = SimpleNamespace(form="closed_form", rank_correlation=0.25, regularization=3.0)
    first, inverse, *others = map_figures({"map_rank_correlation": 0.5}, explainer)
    assert first.value == 0.5 and (inverse.name, inverse.value) == ("Inverse map (closed form): rank correlation", 0.25)
    assert "left out; ridge penalty 3. It is the best of all candidates" in inverse.meaning
    assert all(figure.value is None for figure in others)


def test_the_cosine_form_has_no_ridge_penalty():
    explainer = SimpleNamespace(form="cosine", rank_correlation=0.25, regularization=20.0)
    inverse = map_figures({}, explainer)[1]
    assert inverse.name == "Inverse map (cosine): rank correlation"
    assert "stopped after 20 steps of descent" in inverse.meaning and "penalty" not in inverse.meaning


def test_evenly_guessing_is_what_chance_means():
    estimates = dict.fromkeys(("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc", "ece"), Estimate(0.5))
    chance = {row.name: row.chance for row in headline_of(estimates, 4, 1)}
    # Of 100 images of either kind a guess among five classes names 20 right: H is the harmonic mean of 0.2 and 0.2.
    assert chance == {"Seen accuracy": 0.2, "Unseen accuracy": 0.2, "H": 0.2, "ZSL": 1.0, "AUSUC": None, "ECE": None}


def test_what_was_trained_on_what(world):
    chosen = {"engine": "tape", "regularization": 0.1, "anchor": "zero", "head_regularization": 10.0, "harmonic_mean": None}
    history = {"main": [{"phase": "head"}, {"phase": "all"}, {"phase": "all"}]}
    facts = facts_of(Settings(), world.dataset, world.network, history, chosen, {"train": 600.0, "map": 0.5})
    said = {name: value for each in facts for name, value in each.rows}
    assert said["Test images"] == "3 of seen classes, 3 of unseen ones"
    assert said["Descriptions"] == "attributes: 3 attributes in 1 group"
    assert said["Layer explained"] == "map: 3 neurons at 2 × 2 positions"
    assert said["Trained"] == "all layers, 1 epoch (head) then 2 epochs (all)"
    assert said["Time"] == "train 10.0\N{NO-BREAK SPACE}min, map 0.5\N{NO-BREAK SPACE}s"
    assert said["Annotations of each image"] == "only its class"
    assert said["Chosen on"].startswith("nothing")
    assert subject_of(Settings(), world.network) == "birds: 2 seen classes, 1 unseen class"
    assert count(1000, "image") == "1,000 images"
