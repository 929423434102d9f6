"""What benchmarks/serving_load.py counts, on answers and samples made by hand. Nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.load_clients import DESCRIBED, Load, Observed, possible_versions
from benchmarks.serving_load import _slope, plan, swap_times, verdict
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.cards import Card

KNOWN = {1: frozenset({"a", "b"}), 2: frozenset({"next a", "next b"})}


@pytest.mark.parametrize(
    ("labels", "versions", "possible"),
    [
        ([("a", "b"), ("b",)], (1, 1), {1}),
        ([("next a",)], (2,), {2}),
        ([("next a",)], (None,), {2}),  # REST does not say
        ([("a", DESCRIBED, "b")], (None,), {1}),
        ([("a", "next b")], (1,), set()),
        ([("a",), ("next a",)], (None, None), set()),
        ([("a",)], (2,), set()),
        ([("a",), ("b",)], (1, 2), set()),
        ([("a", "other")], (1,), set()),
        ([("unknown", "a")], (1,), set()),
        ([()], (None,), set()),
    ],
)
def test_an_answer_is_of_one_version_or_mixed(labels, versions, possible):
    assert possible_versions(labels, versions, KNOWN) == possible


@pytest.mark.parametrize(
    ("labels", "versions", "possible"),
    [
        ([("unknown", "b")], (1,), {1}),
        ([("unknown", "next b")], (None,), {2}),
        ([("unknown",)], (2,), {2}),
        ([("unknown",)], (None,), {1, 2}),  # of either, which is not mixed
        ([("unknown", "a"), ("unknown", "next a")], (None, None), set()),
    ],
)
def test_an_abstention_is_of_every_version(labels, versions, possible):
    known = {version: names | {"unknown"} for version, names in KNOWN.items()}
    assert possible_versions(labels, versions, known) == possible


@pytest.mark.parametrize(("below", "extra"), [(0.0, set()), (0.5, {"unknown"})])
def test_the_load_is_what_the_bundle_can_answer(below, extra):
    cards = tuple(Card(name, None, "", "", True, "", "", 1, {}) for name in ("a", "b"))
    signatures = dict.fromkeys(("serving_default", "logits", "explain", "classify_with"), {})
    metadata = {"signatures": signatures, "probabilities": {"abstain_below": below}}
    load = Load.of(Bundle(Path("x/3"), metadata, cards), {4: ["c", "d"]}, [[b""]])
    assert load.known == {3: {"a", "b", *extra}, 4: {"c", "d", *extra}}
    assert set(load.signatures) == {"serving_default", "explain"}  # no class is described
    described = (cards[0], replace(cards[1], description=(1.0, 2.0)))
    load = Load.of(Bundle(Path("x/3"), metadata, described), {4: ["c", "d"]}, [[b""]])
    assert load.description == (1.0, 2.0) and load.signatures.count("classify_with") == 1 and len(load.signatures) == 7


def test_clients_are_added_up():
    together = Observed()
    for seconds, moment in (([0.1], 7.0), ([0.2, 0.3], 5.0)):
        observed = Observed(seconds, seconds, mixed=1, first={2: moment})
        observed.answers[1] += len(seconds)
        observed.failures["UNAVAILABLE"] += 2
        together.add(observed)
    assert together.seconds == together.ended == [0.1, 0.2, 0.3] and together.first == {2: 5.0}
    assert (together.answers[1], together.failures["UNAVAILABLE"], together.mixed) == (3, 4, 2)


def test_what_happens_during_a_load():
    assert plan(1, faults=False) == ["swap"]
    assert plan(3, faults=True) == ["swap", "damaged", "full", "swap", "swap"]


def test_a_swap_lasts_from_the_version_to_its_first_answer():
    # Ten requests a second of 10 ms; those between 20 s and 22 s take 40 ms, and two before anything is settled a second.
    ended = [0.1 * tenth for tenth in range(1, 301)]
    seconds = [1.0 if moment < 0.25 else 0.04 if 20 <= moment <= 22 else 0.01 for moment in ended]
    found = swap_times(Observed(seconds, ended, first={2: 22.0}), {2: 20.0})
    assert found["ms a request, 99th percentile before any swap"] == pytest.approx(10.0)
    assert found["ms a request, 99th percentile during a swap"] == pytest.approx(40.0) and found["times as long"] == 4.0
    assert list(swap_times(Observed(seconds, ended), {2: 20.0}).values()) == ["no swap"]


def test_the_slope_is_of_the_samples_between_two_moments():
    memory = [(float(second), 500.0 + (90 if second < 10 else 0) + 0.5 * second) for second in range(31)]
    assert _slope(memory, 10, 30) == pytest.approx(30.0)  # half a megabyte a second
    assert _slope(memory, 0, 30) < 0
    assert _slope(memory, 29, 30) == "too short"


def test_memory_is_flat_or_not_by_what_it_rises():
    def samples(slope):
        return [(40.0 + second, 500.0 + slope * second + (3 if second % 2 else -3)) for second in range(21)]

    assert verdict(samples(0.0)).startswith("flat: ")
    assert verdict(samples(0.4)).startswith("flat: ")  # 8 MB of 500
    assert verdict(samples(-5.0)).startswith("flat: ")
    assert verdict(samples(0.7)).startswith("NOT flat: +14")
    assert verdict(samples(9.0)[:9]) == "too short to tell"


@pytest.mark.slow
def test_a_short_load_fails_no_request_and_mixes_no_answer(tmp_path):
    program = Path(__file__).resolve().parent.parent / "benchmarks" / "serving_load.py"
    command = [sys.executable, str(program), "--seconds=6", "--clients=2", "--swaps=2", "--faults"]
    command += [f"--json={tmp_path / 'load.json'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "load.json").read_text())
    assert figures["failed requests"] == figures["mixed answers"] == 0
    assert figures["requests answered, explain"] and figures["requests answered, classify_with"]
    assert sum(figures[f"answers of version {number}"] for number in (1, 2, 4)) == figures["requests answered"]
    assert figures["answers of version 2"] and figures["answers of version 4"]  # 3 was damaged
    assert figures["left by faulty versions"] == 0
    assert figures["server memory, after the last change"] == "too short to tell"
