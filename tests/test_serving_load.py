"""What benchmarks/serving_load.py counts, on answers and samples made by hand. Nothing here is timed."""

from __future__ import annotations

import pytest

from benchmarks.load_clients import Seen, version_of
from benchmarks.serving_load import _slope

KNOWN = {1: frozenset({"a", "b"}), 2: frozenset({"next a", "next b"})}


@pytest.mark.parametrize(
    ("labels", "versions", "version"),
    [
        ([("a", "b"), ("b",)], (1, 1), 1),
        ([("next a",)], (2,), 2),
        ([("next a",)], (None,), 2),  # REST does not say
        ([("a", "next b")], (1,), None),
        ([("a",), ("next a",)], (None, None), None),
        ([("a",)], (2,), None),
        ([("a",), ("b",)], (1, 2), None),
        ([("a", "other")], (1,), None),
        ([()], (None,), None),
    ],
)
def test_an_answer_is_of_one_version_or_mixed(labels, versions, version):
    assert version_of(labels, versions, KNOWN) == version


def test_clients_are_added_up():
    together = Seen()
    for seconds, moment in (([0.1], 7.0), ([0.2, 0.3], 5.0)):
        seen = Seen(seconds, mixed=1, first={2: moment})
        seen.answers[1] += len(seconds)
        seen.failures["UNAVAILABLE"] += 2
        together.add(seen)
    assert together.seconds == [0.1, 0.2, 0.3] and together.first == {2: 5.0}
    assert (together.answers[1], together.failures["UNAVAILABLE"], together.mixed) == (3, 4, 2)


def test_the_slope_is_of_the_samples_between_two_moments():
    memory = [(float(second), 500.0 + (90 if second < 10 else 0) + 0.5 * second) for second in range(31)]
    assert _slope(memory, 10, 30) == pytest.approx(30.0)  # half a megabyte a second
    assert _slope(memory, 0, 30) < 0
    assert _slope(memory, 29, 30) == "too short"
