import numpy as np
import pytest

from niwt_tf.explain.intervals import class_mean, plain_mean, proportion

NAN = float("nan")


def test_every_class_counts_the_same():
    values, labels = np.array([1.0, 1.0, 1.0, 0.0, NAN]), np.array([4, 4, 4, 7, 9])
    figure = class_mean(values, labels, chance=np.array([0.2, 0.2, 0.2, 0.4, 1.0]), bounds=(-10.0, 10.0))
    # Two class means, 1 and 0: their mean 0.5 has the standard error 0.5, and t with one degree of freedom is 12.706.
    assert figure == {
        "value": 0.5,
        "low": pytest.approx(0.5 - 12.7062 * 0.5, abs=1e-4),
        "high": pytest.approx(0.5 + 12.7062 * 0.5, abs=1e-4),
        "count": 4,
        "left_out": 1,
        "chance": pytest.approx(0.3),
    }


def test_an_interval_stays_where_values_can_be():
    figure = class_mean(np.array([1.0, 0.0]), np.array([0, 1]))
    assert (figure["low"], figure["high"]) == (0.0, 1.0)


def test_one_class_has_no_interval():
    assert class_mean(np.array([0.2, 0.4]), np.array([3, 3])) == {"value": pytest.approx(0.3), "count": 2}


def test_nothing_measured_is_absent():
    assert class_mean(np.array([NAN]), np.array([0])) is None
    assert class_mean(np.empty(0), np.empty(0, int)) is None
    assert plain_mean(np.array([NAN])) is None


def test_plain_mean():
    figure = plain_mean(np.array([0.4, NAN, 0.6]))
    assert figure["value"] == pytest.approx(0.5) and figure["count"] == 2


def test_wilson():
    # (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n) with p = 0.8, n = 10, z = 1.96.
    assert proportion(8, 10) == {
        "value": 0.8,
        "low": pytest.approx(0.4902, abs=1e-4),
        "high": pytest.approx(0.9433, abs=1e-4),
        "count": 10,
    }
