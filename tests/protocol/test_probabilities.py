"""Temperature and threshold of the folds: what they are fitted on, in which unit, and what is measured where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from niwt_tf.errors import InputError
from niwt_tf.metrics.gzsl import class_weights
from niwt_tf.metrics.probabilities import expected_calibration_error, fit_temperature, negative_log_likelihood
from niwt_tf.protocol.probabilities import (
    FoldScores,
    _open_sets,
    choose_probabilities,
    held_out_probabilities,
    load_probabilities,
    save_probabilities,
)

UNIT, CALIBRATION = 4.0, 0.5


def _fold(seed: int, validation: int = 3, scale: float = 3.0) -> FoldScores:
    """Return scores of 4 seen and V validation classes, the seen ones too high by the calibration constant."""
    random = np.random.default_rng(seed)
    labels = np.sort(random.integers(0, 4 + validation, 160))
    logits = scale * (random.normal(size=(160, 4 + validation)) + 2.5 * (labels[:, None] == np.arange(4 + validation)))
    logits[:, :4] += CALIBRATION * UNIT
    return FoldScores(logits.astype(np.float32), labels, 4, UNIT)


def _calibrated(fold: FoldScores) -> np.ndarray:
    return fold.logits - CALIBRATION * fold.unit * (np.arange(fold.logits.shape[1]) < fold.num_seen)


def test_one_temperature_in_units_of_the_margin_fits_all_folds():
    folds = [_fold(0), _fold(1, validation=2)]
    found = choose_probabilities(folds, CALIBRATION, unit=10.0)
    expected = fit_temperature([_calibrated(fold) for fold in folds], [fold.labels for fold in folds])
    assert found.temperature == pytest.approx(expected / UNIT * 10.0, rel=1e-4)
    assert found.figures["validation_folds"] == 2


def test_the_scale_of_a_fold_does_not_matter():
    folds = [_fold(0), _fold(1)]
    larger = replace(folds[1], logits=2 * folds[1].logits, unit=2 * UNIT)
    ours, theirs = (choose_probabilities([folds[0], each], CALIBRATION, 1.0) for each in (folds[1], larger))
    assert (theirs.temperature, theirs.abstain_below) == pytest.approx((ours.temperature, ours.abstain_below), rel=1e-4)
    figures = dict(theirs.figures)
    assert figures.pop("validation_ece_uncalibrated") != pytest.approx(ours.figures["validation_ece_uncalibrated"])
    figures.pop("validation_nll_uncalibrated")
    assert figures == pytest.approx({name: ours.figures[name] for name in figures}, rel=1e-3)


def test_errors_are_measured_with_the_temperature_of_the_other_fold():
    folds = [_fold(0), _fold(1, scale=6.0)]
    own = [fit_temperature([_calibrated(fold)], [fold.labels]) for fold in folds]
    assert own[0] < 0.7 * own[1]
    figures = choose_probabilities(folds, CALIBRATION, UNIT).figures
    for suffix, temperatures in (("", own[::-1]), ("_uncalibrated", [1.0, 1.0])):
        errors, likelihoods = [], []
        for fold, temperature in zip(folds, temperatures, strict=True):
            logits = _calibrated(fold)
            weights = class_weights(fold.labels)
            errors.append(expected_calibration_error(softmax(logits / temperature, axis=1), fold.labels, weights))
            likelihoods.append(negative_log_likelihood(logits, fold.labels, temperature))
        assert figures[f"validation_ece{suffix}"] == pytest.approx(np.mean(errors), abs=1e-4)
        assert figures[f"validation_nll{suffix}"] == pytest.approx(np.mean(likelihoods), rel=1e-3)


@pytest.mark.parametrize("validation", [1, 2, 3, 4])
def test_each_half_of_the_validation_classes_is_unknown_once(validation):
    fold = _fold(2, validation)
    found = choose_probabilities([fold], CALIBRATION, UNIT)
    logits, rounds = _calibrated(fold), []
    for hidden in {1: [[4]], 2: [[4], [5]], 3: [[4, 6], [5]], 4: [[4, 6], [5, 7]]}[validation]:
        kept = [c for c in range(4 + validation) if c not in hidden]
        highest = softmax(logits[:, kept] / found.temperature, axis=1).max(axis=1)
        is_known = ~np.isin(fold.labels, hidden)
        accepted = highest >= found.abstain_below
        shares = [np.mean([accepted[fold.labels == c].mean() for c in classes]) for classes in (kept, hidden)]
        weights = np.zeros(len(highest))
        for side in (is_known, ~is_known):
            weights[side] = class_weights(fold.labels[side])
        new = [accepted[fold.labels == c].mean() for c in kept if c >= 4]
        rounds.append([*shares, roc_auc_score(is_known, highest, sample_weight=weights), np.mean(new) if new else np.nan])
    accepted, let_in, auroc, new_accepted = np.mean(rounds, axis=0)
    figures = {name.removeprefix("validation_abstain_"): value for name, value in found.figures.items()}
    assert figures["known_accepted"] == pytest.approx(accepted, abs=1e-6)
    assert figures["unknown_rejected"] == pytest.approx(1 - let_in, abs=1e-6)
    assert figures["balanced_accuracy"] == figures["balanced_accuracy_fitted"] == pytest.approx((accepted + 1 - let_in) / 2)
    assert figures["auroc"] == pytest.approx(auroc, abs=1e-4)
    assert figures.get("new_accepted", np.nan) == pytest.approx(new_accepted, abs=1e-6, nan_ok=True)
    assert 0 < found.abstain_below < 1


def test_the_figures_of_abstaining_are_cross_fitted_beside_the_one_that_was_optimised():
    figures = choose_probabilities([_fold(seed) for seed in range(3)], CALIBRATION, UNIT).figures
    crossed = (figures["validation_abstain_known_accepted"] + figures["validation_abstain_unknown_rejected"]) / 2
    assert figures["validation_abstain_balanced_accuracy"] == pytest.approx(crossed)
    assert 0.5 < crossed <= figures["validation_abstain_balanced_accuracy_fitted"] < 1


def test_without_validation_classes_there_is_a_temperature_and_no_threshold():
    fold = _fold(0, validation=0)
    found = held_out_probabilities(fold.logits, fold.labels)
    assert found.temperature == fit_temperature([fold.logits], [fold.labels]) != 1.0
    assert (found.abstain_below, found.figures) == (0.0, {})
    assert held_out_probabilities(fold.logits[:0], fold.labels[:0]).temperature == 1.0


def test_saved_and_loaded(tmp_path):
    probabilities = choose_probabilities([_fold(0)], CALIBRATION, UNIT)
    save_probabilities(tmp_path / "probabilities.json", probabilities)
    assert load_probabilities(tmp_path / "probabilities.json") == probabilities


@pytest.mark.parametrize(
    "contents", [None, "{", "[]", '{"temperature": 1}', '{"temperature": -1, "abstain_below": 0, "figures": {}}']
)
def test_what_cannot_be_loaded(tmp_path, contents):
    path = tmp_path / "probabilities.json"
    if contents is not None:
        path.write_text(contents)
    with pytest.raises(InputError, match=r"probabilities.json must be the file that the stage transfer wrote. Received: '/"):
        load_probabilities(path)


def test_a_half_without_images_tells_nothing_of_abstaining():
    fold = _fold(3, validation=2)
    alone = np.flatnonzero(fold.labels != 5)
    short = replace(fold, logits=fold.logits[alone], labels=fold.labels[alone])
    # Only where class 4 is kept from the head there are unknown images.
    assert [int(each.is_new.sum()) for each in _open_sets(short, 1.0)] == [0]
    other = np.flatnonzero(fold.labels != 4)
    assert len(_open_sets(replace(fold, logits=fold.logits[other], labels=fold.labels[other]), 1.0)) == 1
    assert len(_open_sets(fold, 1.0)) == 2
    seen = np.flatnonzero(fold.labels < 4)
    assert _open_sets(replace(fold, logits=fold.logits[seen], labels=fold.labels[seen]), 1.0) == []
    new = np.flatnonzero(fold.labels == 4)
    assert _open_sets(replace(fold, logits=fold.logits[new], labels=fold.labels[new]), 1.0) == []


def test_of_folds_without_unknown_images_there_are_no_figures_of_abstaining():
    folds = []
    for seed in range(2):
        fold = _fold(seed)
        seen = np.flatnonzero(fold.labels < 4)
        folds.append(replace(fold, logits=fold.logits[seen], labels=fold.labels[seen]))
    found = choose_probabilities(folds, CALIBRATION, UNIT)
    assert found.abstain_below == 0.0
    assert {name for name in found.figures if "abstain" in name} == set()
    assert found.figures["validation_folds"] == 2.0


def test_scores_of_a_fold_are_not_changed():
    fold = _fold(0)
    before = fold.logits.copy()
    choose_probabilities([fold], CALIBRATION, UNIT)
    np.testing.assert_array_equal(fold.logits, before)
