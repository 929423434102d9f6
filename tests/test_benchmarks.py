"""The harness of benchmarks/ on numbers worked out by hand, and its sides at toy size. Nothing here is timed."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from benchmarks import (
    bench,
    convolutional_tail,
    engine_sides,
    engines,
    grad_cam,
    one_more_class,
    quickstart,
    report,
    serving,
    serving_sides,
    stage3_birds,
    tails,
)
from benchmarks.harness import Comparison, Goal, Measurement, Series, interleaved
from benchmarks.tape import TapeRun, run_tape
from niwt_tf.methods.niwt.transfer import TransferOptions, transfer_columns
from niwt_tf.models.backbones import build_network
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.versions import versions
from niwt_tf.serving.predict import opened
from studies import faithfulness, knowledge, nested_choice, seeds, trials
from tests.serving.answers import verified_here
from tests.shared import further


@pytest.fixture(scope="module")
def toy_problem() -> tails.TailProblem:
    """Return a VGG16-like tail of 6 neurons and 10 features, with 4 unseen classes."""
    keras.utils.set_random_seed(0)
    tail = tails.vgg16_tail(side=4, neurons=6, units=10)
    generator = np.random.default_rng(0)
    maps = tails.random_maps(generator, 12, 4, 6)
    return tails.with_hidden_columns("toy", tail, maps[:9], maps[9:], 4, generator)


@pytest.mark.parametrize("name", bench.MEASUREMENTS)
def test_every_measurement_can_be_imported(name):
    assert callable(importlib.import_module(f"benchmarks.{name}").measure)


def test_a_ratio_is_that_of_the_medians_and_its_spread_that_of_the_repetitions():
    row = Comparison("x", Series("a", [2.0, 6.0, 4.0]), Series("b", [1.0, 2.0, 4.0]), Goal(2.0, at_least=True))
    assert row.ratio == 2.0  # 4 / 2
    assert row.ratios == (1.0, 3.0)  # of 2/1, 6/2 and 4/4
    assert row.is_reached is True


def test_one_repetition_is_compared_with_every_one_of_the_other_side():
    row = Comparison("x", Series("a", [10.0]), Series("b", [1.0, 2.0, 5.0]), Goal(4.0))
    assert row.ratio == 5.0
    assert row.ratios == (2.0, 10.0)
    assert row.is_reached is False


def test_a_goal_holds_for_the_median_where_there_is_one_side():
    assert Comparison("x", Series("a", [0.01, 0.04, 9.0]), goal=Goal(0.05)).is_reached is True
    assert Comparison("x", Series("a", [0.01])).is_reached is None
    assert Comparison("x", Series("a", [0.01]), goal=Goal(0.05), reached=False).is_reached is False


def test_sides_take_turns_and_warm_ups_are_not_counted():
    calls: list[str] = []
    seconds = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2, calls=2, warm_ups=1)
    assert calls == list("aabb" * 3)
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_the_table_shows_median_spread_ratio_and_goal():
    row = Comparison("step", Series("tape", [0.2, 0.4, 0.3]), Series("ours", [0.001, 0.001, 0.001]), Goal(200, at_least=True))
    text = report.table(Measurement("Title", [row], ["a note"]))
    for part in ("### Title", "tape: 300 ms (200..400)", "ours: 1 ms (1..1)", "300 (200..400)", ">= 200", "yes", "- a note"):
        assert part in text
    assert report.as_dict(Measurement("Title", [row]), 1.25)["rows"][0]["ratios"] == pytest.approx([200, 400])


def test_unknown_measurements_and_folders_are_refused(capsys, tmp_path):
    for arguments in (["--only=engine"], [f"--run_dir={tmp_path}"]):
        with pytest.raises(SystemExit):
            bench.parsed(arguments)
        assert "Received" in capsys.readouterr().err


@pytest.mark.slow
def test_the_tape_of_the_benchmark_is_that_of_the_package(toy_problem):
    options = TransferOptions(batch_size=8, max_steps=30, patience=10)
    run = run_tape(toy_problem, options, keep_every=4)
    arguments = toy_problem.support, toy_problem.importances, toy_problem.seen_columns, toy_problem.seen_biases
    expected = transfer_columns(toy_problem.tail, *arguments, options)
    np.testing.assert_allclose(run.losses, expected.losses, rtol=1e-4)
    np.testing.assert_allclose(run.columns[-1], expected.columns, atol=1e-4)
    assert run.steps[-1] == len(expected.losses)


def test_the_best_of_the_kept_columns_is_found(toy_problem):
    # Columns that go from the seen mean to good ones and back.
    good = engine_sides.by_closed_form(toy_problem).columns[0]
    mean = toy_problem.seen_columns.mean(axis=1, keepdims=True)
    shares = np.array([0.0, 0.2, 0.4, 0.5, 0.7, 0.9, 1.0, 0.6, 0.3, 0.1])
    columns = np.stack([mean + share * (good - mean) for share in shares]).astype(np.float32)
    run = TapeRun(TransferOptions(), columns, np.arange(10.0), np.arange(10), np.zeros(10, np.float32))
    half = len(toy_problem.held_out) // 2
    first, second = (
        [tails.validation_loss(toy_problem.tail, maps, each, toy_problem.importances) for each in columns]
        for maps in (toy_problem.held_out[:half], toy_problem.held_out[half:])
    )
    loss, seconds, step = run.best(toy_problem)
    assert step == seconds == int(np.argmin(first))
    assert loss == second[step]


def test_validation_loss_is_nothing_where_importances_are_met(toy_problem):
    columns = toy_problem.seen_columns[:, :3]
    met = tails.pair_importances(toy_problem.tail, toy_problem.held_out[:1], columns)[0]
    assert tails.validation_loss(toy_problem.tail, toy_problem.held_out[:1], columns, met) == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_the_engines_measurement_at_toy_size(toy_problem, monkeypatch):
    monkeypatch.setattr(engines, "BATCHES", (8,))
    solved = {"operator": [], "operator, few steps": [], "closed form": []}
    tape, operator = engines.pair_seconds(toy_problem, repetitions=1, steps=2)
    rows = engines.wall_rows(toy_problem, ((1e-2, "mean"),), Goal(30, at_least=True), solved, repetitions=1)
    rows += engines.pair_rows(toy_problem, tape, operator, solved["closed form"], None)
    assert len(rows) == 2 * 3 + 3  # two times of the tape beside three engines; a pair at one batch size, three sides beside it
    assert all(row.ratio > 0 for row in rows)


def test_a_convolutional_tail_at_toy_size(monkeypatch):
    monkeypatch.setattr(convolutional_tail, "REPETITIONS", 1)
    conv_map = keras.Input((4, 4, 3))
    rectified = keras.layers.ReLU(max_value=6)(keras.layers.Conv2D(5, 1)(keras.layers.DepthwiseConv2D(3)(conv_map)))
    tail = keras.Model(conv_map, keras.layers.Dense(7)(keras.layers.GlobalAveragePooling2D()(rectified)))
    # 2 x 2 places of 3 channels by 9 numbers, of 5 channels by 3, and 7 by 5.
    assert convolutional_tail.multiplications(tail) == 4 * 3 * 9 + 4 * 5 * 3 + 7 * 5
    generator = np.random.default_rng(0)
    maps = tails.random_maps(generator, 6, 4, 3)
    case = tails.with_hidden_columns("toy", tail, maps[:4], maps[4:], 2, generator)
    rows = convolutional_tail.rows(case, TransferOptions(max_steps=3, patience=3), (2,))
    assert [row.name.split(";")[0] for row in rows[:2]] == ["wall, 4 maps", "wall, 2 maps"]
    assert len(rows) == 3 and all(row.ratio > 0 for row in rows)


def test_images_that_are_one_agree(toy_problem):
    same = dataclasses.replace(toy_problem, support=np.repeat(toy_problem.support[:1], 6, axis=0))
    assert tails.agreement(same) == pytest.approx(1, abs=1e-5)


def test_a_column_formula_at_toy_size_gives_a_column():
    columns, biases = one_more_class.made_formula(5, 7, 4, 3, 20)(np.ones((1, 4), np.float32))
    assert columns.shape == (7, 1) and biases.shape == (1,)


def test_quickstart_shares_add_up(tmp_path):
    for stage, seconds in (("train", 6.0), ("transfer", 2.0)):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "manifest.json").write_text(json.dumps({"seconds": seconds}))
    run = SimpleNamespace(path=Path(tmp_path), seconds={}, settings=SimpleNamespace(epochs=2))
    measured = quickstart.measure(run)
    assert [row.ratio for row in measured.rows] == [0.75, 0.25]


def test_the_interval_of_a_difference_of_harmonic_means():
    labels = np.array([0, 0, 1, 1])

    def scored(predictions: list[int]) -> SimpleNamespace:
        return SimpleNamespace(labels=labels, evaluation=SimpleNamespace(predictions=np.array(predictions)))

    assert stage3_birds.harmonic_difference(scored([0, 0, 1, 1]), scored([0, 0, 1, 1]), num_seen=1) == (0.0, 0.0)
    # All right against all wrong: 1 - 0 however the images are drawn.
    assert stage3_birds.harmonic_difference(scored([0, 0, 1, 1]), scored([1, 1, 0, 0]), num_seen=1) == (1.0, 1.0)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> serving_sides.Exported:
    """Return an export of a random small_vgg with two photographs."""
    with verified_here():
        return serving_sides.export("small_vgg", tmp_path_factory.mktemp("serving") / "toy", (40, 64), 2)


@pytest.mark.slow
@pytest.mark.combination
def test_the_sides_of_serving_give_the_same_answers(exported):
    with opened(exported.folder) as servable:
        answers = {name: call() for name, call in serving_sides.sides(exported, servable, 2).items()}
    names, scores = answers["predict_files"]
    np.testing.assert_allclose(answers["serving_default"]["scores"], scores, rtol=1e-4, atol=1e-6)
    assert [[name.decode() for name in row] for row in answers["serving_default"]["labels"]] == names.tolist()
    np.testing.assert_allclose(answers["one_function"][1], scores, rtol=1e-4, atol=1e-6)
    assert answers["one_function"][0].tolist() == answers["serving_default"]["labels"].tolist()
    assert [name.decode() for name in answers["explain"]["label"]] == names[:, 0].tolist()
    np.testing.assert_allclose(answers["logits"]["logits"], answers["predict_pixels"], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_class_more_is_measured_as_it_is_made(exported, monkeypatch):
    monkeypatch.setattr(serving, "VERSIONS", 1)
    rows = serving.class_rows("toy", exported)
    labels = Bundle.open(exported.folder).labels
    later = [Bundle.open(folder).labels for folder in versions(exported.folder.parent).values()]
    assert (*labels, "new 0") in later and (*labels, "also new 0") in later
    computation, written, process = (row.first.values[0] for row in rows)
    assert computation < written < process


@pytest.mark.slow
@pytest.mark.combination
def test_the_other_rows_of_serving_at_toy_size(exported, monkeypatch):
    monkeypatch.setattr(serving, "PROCESSES", 1)
    rows = [*serving.first_rows("toy", exported), *serving.size_rows("toy", exported)]
    signatures = ("logits", "serving_default", "classify", "explain", "explain_class", "classify_with")
    named = [f"toy, {kind}: first {signature}" for kind in ("warm", "cold") for signature in signatures]
    assert [row.name for row in rows] == [*named, "toy: variables", "toy: whole bundle"]
    # The head takes whole pages, and the column formula lies beside it.
    assert 1 < rows[-2].ratio < rows[-1].ratio


def test_the_best_classes_have_the_probabilities_of_a_softmax():
    names, scores = serving_sides.best(np.log([[1.0, 2.0, 5.0]]), np.array(["a", "b", "c"]))
    assert names.tolist() == [["c", "b", "a"]]
    np.testing.assert_allclose(scores, [[0.625, 0.25, 0.125]])


def test_short_sides_are_repeated_more_often_than_long_ones():
    case = serving.ServingCase("small_vgg", (64, 64), 0.02)
    assert [case.repetitions(batch) for batch in (1, 5, 32)] == [100, 20, 9]


def test_the_sides_of_grad_cam_give_the_same_maps():
    network = build_network("small_vgg", ["a", "b", "c"], weights="none", input_size=32)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    (_, ours), *others = grad_cam.sides(network, pixels, np.array([2, 0]))
    assert "plain tape" in dict(others)
    for _, other in others:
        np.testing.assert_allclose(grad_cam.scaled(other()), ours(), atol=1e-5)


HEAVY = ("evidence", "nested_choice", "trials", "turned_photographs")  # they import TensorFlow at once


@pytest.mark.parametrize(
    "name",
    [
        *("faithfulness", "few_shot", "knowledge", "precision", "scale", "seeds", "text_networks"),
        *further(*HEAVY),
    ],
)
def test_a_study_is_run_as_a_file(name, repository, tmp_path):
    # The package is found as an installed one is; the folder of the studies is not beside it.
    (tmp_path / "niwt_tf").symlink_to(repository / "niwt_tf")
    command = [sys.executable, repository / "studies" / f"{name}.py", "--help"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"studies/{name}.py" in done.stdout


def test_the_table_of_faithfulness_has_means_over_seeds_beside_chance():
    runs = [
        {"energy_in_box": {"seen": {"value": value, "low": 0.1, "high": 0.9, "chance": 0.5}, "unseen": {"value": 0.25}}}
        for value in (0.75, 0.85)
    ]
    text = faithfulness.table(runs)
    # Two values 0.1 apart: Student's factor 12.706 times 0.0707 / sqrt(2).
    assert "| `energy_in_box` | 0.800 ± 0.635 | 0.500 | 0.250 ± 0.000 |  |  |  |" in text
    assert "| `energy_in_box` | 0.750 (0.100 to 0.900) | 0.500 | 0.250 |" in faithfulness.table(runs[:1])


def test_the_seconds_of_seeds_part_what_is_shared_from_what_is_a_method_s_own(tmp_path):
    own = {"importance": 5, "map": 1, "transfer": 2, "evaluate": 3}
    took = {"train": 40.0, **own, "baseline_ale": 7, "baseline_dem": 8, "report": 9}
    for name, seconds in took.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(json.dumps({"seconds": seconds}))
    found = seeds.seconds_of(tmp_path)
    assert found == {"training, shared by all": 40, "niwt": 11, "ale": 7, "dem": 8}
    table = seeds.seconds_table([found, {**found, "niwt": 13}])
    assert "| niwt | 11 to 13 | 24 |" in table
    assert table.endswith("| all | | 134 |")


def test_figures_of_seeds_have_student_s_interval():
    assert seeds.interval([0.75, 0.85]) == "0.800 ± 0.635"
    assert (seeds.interval([0.5]), seeds.interval([])) == ("0.500", "n/a")
    table = seeds.figures_table([{"validation_harmonic_mean": 0.75}, {"validation_harmonic_mean": 0.85}])
    assert table.splitlines()[2:] == ["| validation_harmonic_mean | 0.800 ± 0.635 | 0.800 |"]


def test_sources_of_knowledge_are_compared_seed_by_seed():
    def metrics(*values):
        return [{"harmonic_mean": value, "acc_zsl": 0.5, "ausuc": 0.25} for value in values]

    results = {"attributes": metrics(0.2, 0.4), "captions": metrics(0.3, 0.6)}
    first, rule, attributes, captions = seeds.differences(results, knowledge.SHOWN)
    assert first == "| 2 seeds | harmonic_mean | difference | acc_zsl | difference | ausuc | difference |"
    assert rule.count("|") == first.count("|")
    # Student's t of one degree of freedom is 12.706; the standard errors are 0.1, 0.15 and, of the differences, 0.05.
    assert attributes == "| attributes | 0.300 ± 1.271 |  | 0.500 ± 0.000 |  | 0.250 ± 0.000 |  |"
    del results["captions"][0]["ausuc"]
    assert seeds.differences(results, knowledge.SHOWN)[3].endswith("| 0.000 ± 0.000 |  |  |")
    assert captions.startswith("| captions | 0.450 ± 1.906 | 0.150 ± 0.635 | 0.500 ± 0.000 | 0.000 ± 0.000 | 0.250 ±")


def test_features_of_texts_go_to_the_sources_that_have_texts(monkeypatch, tmp_path):
    asked = []

    def ran(command, **_):
        flags = dict(flag.removeprefix("--").partition("=")[::2] for flag in command if flag.startswith("--"))
        asked.append((flags["knowledge"], flags["text_features"]))
        folder = Path(flags["run_dir"])
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text("{}")

    monkeypatch.setattr(knowledge.subprocess, "run", ran)
    for source in ("attributes", "captions", "attributes+texts"):
        knowledge.run(source, 0, tmp_path, ["--text_features=vectors:v.txt"])
    assert asked == [("attributes", "lsa"), ("captions", "vectors:v.txt"), ("attributes+texts", "vectors:v.txt")]
    assert knowledge.run("captions@encoder", 0, tmp_path, ["--text_features=vectors:v.txt"]) == {}
    assert asked[-1] == ("captions", "encoder")


def nested_problem() -> trials.FoldProblem:
    """Return a fold of 6 seen and 2 validation classes; features: the class, 10 times it, and which of three an image is."""
    labels, held = np.repeat(np.arange(6), 3), np.arange(6)

    def features(classes: np.ndarray) -> np.ndarray:
        return np.stack([classes, 10.0 * classes, np.arange(len(classes)) % 3], axis=1)

    evaluated = np.concatenate([held, [6, 7]])
    descriptions = np.eye(8, 5, dtype=np.float32) + np.arange(8)[:, None]
    return trials.FoldProblem(
        *(features(labels), labels, features(held), held, features(evaluated), evaluated),
        *(descriptions[:6], descriptions[6:], np.eye(3), SimpleNamespace()),
    )


def test_inner_problems_choose_on_a_folds_seen_classes_alone():
    problem = nested_problem()
    inner = list(nested_choice.inner_problems(problem, 6, np.random.default_rng(0)))
    assert len(inner) == 6
    taken = []
    for each in inner:
        assert len(each.seen) == 4
        assert len(each.new) == 2
        # A row of descriptions tells its class, and so does a feature.
        classes = [int(np.flatnonzero((problem.seen == row).all(axis=1))[0]) for row in (*each.seen, *each.new)]
        np.testing.assert_array_equal(each.features[:, 0], np.array(classes)[each.labels])
        np.testing.assert_array_equal(each.evaluated[:, 0], np.array(classes)[each.evaluated_labels])
        assert set(each.labels) == set(each.held_labels) == set(range(4))
        assert set(each.evaluated_labels) == set(range(6))
        taken.append(set(classes[4:]))
    # Groups of a permutation share no class; a further permutation begins where one ends.
    assert set.union(*taken[:3]) == set.union(*taken[3:]) == set(range(6))


def test_what_inner_problems_choose_is_what_the_outer_one_is_scored_with():
    labels = np.array([0, 1, 2])
    right = np.array([[3.0, 1.0, 0.0], [1.0, 3.0, 0.0], [1.0, 0.0, 3.0]])
    problem = SimpleNamespace(seen=np.zeros((2, 2)), evaluated_labels=labels)

    def curves(**logits: np.ndarray) -> nested_choice.Curves:
        return {(name,): nested_choice.measured(problem, values) for name, values in logits.items()}

    inside = curves(a=right, b=right[::-1])
    assert nested_choice.reached([inside], curves(a=right, b=right[::-1])) == (1.0, 1.0)
    harmonic, area = nested_choice.reached([inside], curves(a=right[::-1], b=right))
    assert harmonic == 0.0
    assert area < 1.0
