"""From logits to metrics.json, with answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.data.schema import Images, TestData
from niwt_tf.errors import InputError
from niwt_tf.metrics.gzsl import calibration_curve, evaluate_scores
from niwt_tf.metrics.intervals import or_none
from niwt_tf.models.backbones import build_network
from niwt_tf.protocol import scoring
from niwt_tf.protocol.scoring import Scored, load_scores, metrics_of, save_scores, score_network, scored_alone


def _scored(logits, labels, num_seen, calibration=0.0):
    logits, labels = np.array(logits, np.float32), np.array(labels)
    evaluation = evaluate_scores(logits, labels, num_seen, calibration)
    return Scored(logits, labels, evaluation, calibration_curve(logits, labels, num_seen))


# Two seen classes, one unseen. Uncalibrated, the unseen images are taken for class 0 and class 1.
LOGITS = [[3, 0, 1], [0, 3, 1], [3, 0, 2.5], [0, 4, 1]]
LABELS = [0, 1, 2, 2]


def test_by_hand():
    metrics = metrics_of(_scored(LOGITS, LABELS, 2, calibration=1.0), 2, {"seed": 7}, 1.0)
    assert metrics["acc_seen"] == 1.0
    assert metrics["acc_unseen"] == 0.5
    assert metrics["harmonic_mean"] == pytest.approx(2 / 3)
    assert metrics["acc_zsl"] == metrics["chance_zsl"] == metrics["ap_zsl"] == 1.0
    assert metrics["harmonic_mean_uncalibrated"] == 0.0
    assert metrics["ausuc"] == pytest.approx(0.5 * 1 + 0.5 * 0)  # the other is won only after both seen ones are lost
    assert (metrics["num_seen"], metrics["num_unseen"], metrics["num_test_images"], metrics["seed"]) == (2, 1, 4, 7)


def test_average_precision_is_of_all_unseen_classes_among_themselves():
    # Class 2 is ahead of class 3 by 3, 1, -1 and 2: each class has its images in the first and the third place.
    logits = [[9, 0, 1, 0], [0, 0, 4, 1], [0, 0, 1, 0], [0, 0, 2, 3], [9, 9, 2, 0]]
    metrics = metrics_of(_scored(logits, [0, 2, 2, 3, 3], 2), 2, {}, 1.0)
    assert metrics["ap_zsl"] == pytest.approx((1 / 1 + 2 / 3) / 2)


@pytest.mark.parametrize("rows", [[0, 1], [2, 3], []])
def test_what_no_image_can_tell_is_none(rows):
    scored = _scored(np.array(LOGITS, np.float32)[rows], np.array(LABELS, int)[rows], 2)
    metrics = metrics_of(scored, 2, {"map_rank_correlation": float("nan")}, 1.0)
    assert metrics["harmonic_mean"] is metrics["ausuc"] is metrics["map_rank_correlation"] is None
    assert (metrics["acc_seen"] is None) == (rows != [0, 1])
    assert (metrics["acc_zsl"] is None) == (metrics["ap_zsl"] is None) == (rows != [2, 3])


def test_calibration_error_counts_every_class_the_same_with_the_temperature_and_without():
    # Once 1 is taken off the seen logit it is -2 log 3, 0 or 2 log 3 against 0: at temperature 2 the highest is 3/4 or 1/2.
    logits = np.array([[2, 0], [2, 0], [2, 0], [-2, 0]]) * np.log(3) + [1.0, 0.0]
    scored = _scored(logits, [0, 0, 0, 1], 1, calibration=1.0)
    metrics = metrics_of(scored, 1, {}, temperature=2.0)
    assert metrics["ece"] == pytest.approx(1 / 4)
    assert metrics["ece_uncalibrated"] == pytest.approx(1 / 10)
    # Two images of three are right in class 0 and none of one in class 1: 1/3, where it is 2/4 of all images.
    uneven = _scored(logits[[0, 1, 3, 0]], [0, 0, 0, 1], 1, calibration=1.0)
    assert metrics_of(uneven, 1, {}, temperature=2.0)["ece"] == pytest.approx(3 / 4 - 1 / 3)


def test_finite():
    assert [or_none(value) for value in (1.5, 2, None, float("nan"), float("inf"))] == [1.5, 2, None, None, None]


def test_the_networks_own_order_of_classes_and_calibration_count(coloured, monkeypatch):
    names = ("blue", "red", "unused", "green")
    network = build_network("small_vgg", names, input_size=16)
    random = np.random.default_rng(0)
    network = network.with_head(network.columns, random.normal(size=4), names, 3)
    network.calibration = 2.0
    test = coloured.of_classes(np.array([0, 2, 1]))  # red, blue, then green
    raw = random.normal(size=(len(test), 4)).astype(np.float32)
    shown = raw - 2.0 * (np.arange(4) < 3)
    monkeypatch.setattr(scoring.Reader, "logits", lambda *_: shown.copy())
    scored = score_network(network, TestData(test, 2))
    np.testing.assert_allclose(scored.logits, raw, atol=1e-6)
    assert [names[label] for label in scored.labels] == [test.class_names[label] for label in test.labels]
    np.testing.assert_array_equal(scored.evaluation.predictions, shown.argmax(axis=1))


def test_a_class_that_the_network_does_not_know(coloured):
    network = build_network("small_vgg", coloured.class_names[:3], input_size=16)
    with pytest.raises(InputError, match="must know every class of the data. Received: 'grey'"):
        score_network(network, TestData(coloured, 4))


def test_no_test_image_at_all(coloured):
    network = build_network("small_vgg", coloured.class_names, input_size=16)
    columns, biases = network.columns, network.biases
    network = network.with_head(columns, biases, coloured.class_names, 4)
    none = Images(coloured.root, (), np.empty(0, np.int32), coloured.class_names)
    scored = score_network(network, TestData(none, 4))
    assert metrics_of(scored, 4, {}, 1.0)["acc_seen"] is None


@pytest.mark.parametrize(("num_seen", "num_unseen", "chance"), [(3, 0, None), (2, 1, 1.0), (1, 2, 0.5)])
def test_chance_among_the_unseen_classes(num_seen, num_unseen, chance):
    metrics = metrics_of(_scored(LOGITS, LABELS, num_seen), num_seen, {}, 1.0)
    assert (metrics["chance_zsl"], metrics["num_unseen"]) == (chance, num_unseen)


def test_scores_go_through_a_file(tmp_path):
    save_scores(tmp_path / "scores.npz", _scored(LOGITS, LABELS, 2, calibration=9.0))
    read = load_scores(tmp_path / "scores.npz", 2, 1.0)
    np.testing.assert_array_equal(read.logits, LOGITS)
    np.testing.assert_array_equal(read.labels, LABELS)
    assert (read.evaluation.calibration, read.evaluation.acc_unseen) == (1.0, 0.5)


def test_a_network_of_the_unseen_classes_alone(coloured, monkeypatch):
    """Classes 3 and 4 of the data are the network's 1 and 0; half of one and all of the other are right."""
    names = coloured.class_names
    network = build_network("small_vgg", (names[4], names[3]), input_size=16)
    asked = []

    def logits(self, images):
        asked.append(images)
        right = np.where(images.labels == 0, 1, 0)
        right[np.flatnonzero(images.labels == 0)[::2]] = 0
        return np.eye(2)[right]

    monkeypatch.setattr(scoring.Reader, "logits", logits)
    found = scored_alone(network, TestData(coloured, 3))
    assert asked[0].class_names == names[3:]
    count = int((asked[0].labels == 0).sum())
    assert found["acc_alone"] == pytest.approx((count // 2 / count + 1.0) / 2)
    assert 0.5 < found["ap_alone"] < 1.0
