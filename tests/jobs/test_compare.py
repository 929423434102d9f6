from __future__ import annotations

import csv
import os
import shutil

import pytest

from niwt_tf.experiments.comparison.leaderboard import Result
from niwt_tf.experiments.comparison.runs import FileChoice, named, with_files
from niwt_tf.files import read_json, write_json
from niwt_tf.jobs.compare import FILES
from niwt_tf.runs.ledger import portable
from tests.jobs.miniature_runs import make_run


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return a folder of three seeds; copy it to change it."""
    folder = tmp_path_factory.mktemp("compared") / "runs"
    for seed, (own, ale) in enumerate([(0.6, 0.5), (0.7, 0.5), (0.8, 0.5)]):
        make_run(folder / f"seed_{seed}", own, {"ale": ale, "oracle": 0.9}, seed=seed)
    return folder


@pytest.fixture
def runs(kept, tmp_path):
    return shutil.copytree(kept, tmp_path / "runs")


@pytest.fixture(autouse=True)
def _quick(monkeypatch, request):
    """Draw once, and do not wait for the disk."""
    monkeypatch.setattr("niwt_tf.files._sync", lambda path: None)
    if request.function is not test_the_table_and_its_files:
        monkeypatch.setattr("niwt_tf.jobs.compare.plot_leaderboard", lambda path, tables: path.write_bytes(b"drawn"))


def _rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _compare(niwt, runs, *more):
    named = () if any(flag.startswith("--runs=") for flag in more) else (f"--runs={runs}",)
    return niwt("compare", *named, f"--out={runs.parent / 'out'}", "--noprogress", *more)


def test_the_table_and_its_files(niwt, runs):
    job = _compare(niwt, runs)
    assert job.status == 0, job.err
    assert job.err == ""
    lines = job.out.splitlines()
    assert lines[0] == "birds, split random, 2 seen and 2 unseen classes"
    assert [line.split()[0] for line in lines[2:5]] == ["niwt", "ale", "oracle"]
    assert "70.0 ± 24.8" in lines[2] and "optimistic" not in lines[2]
    assert "-20.0 ± 24.8" in lines[3]
    assert lines[4].count("optimistic") == 7
    out = runs.parent / "out"
    assert sorted(os.listdir(out)) == sorted(FILES)
    niwt_row, ale, oracle = _rows(out / "comparison.csv")
    assert (niwt_row["method"], niwt_row["optimistic"]) == ("niwt", "")
    assert float(niwt_row["harmonic_mean_mean"]) == pytest.approx(0.7)
    assert float(ale["harmonic_mean_difference_mean"]) == pytest.approx(-0.2)
    assert ale["harmonic_mean_difference_excludes_0"] == "0"
    assert (oracle["rank_mean"], oracle["optimistic"]) == ("", "it uses test labels: trained on images of unseen classes")
    problems = _rows(out / "per_problem.csv")
    assert len(problems) == 9
    assert {row["seed"] for row in problems} == {"0", "1", "2"}
    assert problems[0]["folder"] == str(runs / "seed_0" / "evaluate")
    assert "| ale |" in (out / "comparison.md").read_text()


def test_runs_may_be_named_one_by_one_and_along_with_their_folder(niwt, runs):
    one_by_one = _compare(niwt, runs, f"--runs={runs / 'seed_0'},{runs}/seed_1", "--reference=ale")
    assert one_by_one.status == 0, one_by_one.err
    assert "+15.0 ± 63.5" in one_by_one.out
    assert _compare(niwt, runs, f"--runs={runs},{runs}/seed_1").out == _compare(niwt, runs).out


def test_a_flag_that_was_changed_after_a_look_is_seen_whatever_the_figures_say(niwt, runs):
    make_run(runs / "seed_0", 0.99, seed=0, map="cosine")
    make_run(runs / "seed_1", 0.99, seed=1, map="cosine")
    make_run(runs / "seed_2", 0.99, seed=2, map="cosine")
    row = next(line for line in _compare(niwt, runs).out.splitlines() if line.startswith("niwt"))
    assert row.count("optimistic") == 5
    # The baseline does not depend on that flag; its difference to the marked run does.
    ale = _rows(runs.parent / "out" / "comparison.csv")[1]
    assert (ale["method"], ale["optimistic"]) == ("ale", "")


def test_a_file_is_one_choice_wherever_it_lies(niwt, tmp_path):
    runs = tmp_path / "runs"
    for seed, contents in enumerate(("one", "one", "another")):
        file = tmp_path / f"folder_{seed}" / "w.h5"
        file.parent.mkdir()
        file.write_text(contents)
        make_run(runs / f"seed_{seed}", 0.6 + seed / 10, seed=seed, weights=str(file))
        file.unlink()
    rows = {row["method"]: row for row in _rows_of(niwt, runs)}
    first, second = sorted(rows, key=lambda label: rows[label]["harmonic_mean_mean"])
    assert all(label.startswith("niwt --weights=w.h5 (") for label in rows) and first != second
    assert [rows[label]["problems"] for label in (first, second)] == ["2", "1"]
    shutil.rmtree(runs / "seed_2")
    assert [row["method"] for row in _rows_of(niwt, runs)] == ["niwt"]
    make_run(runs / "seed_2", 0.8, seed=2)
    assert {row["method"] for row in _rows_of(niwt, runs)} == {"niwt --weights=w.h5", "niwt --weights=none"}


def _rows_of(niwt, runs):
    job = _compare(niwt, runs)
    assert job.status == 0, job.err
    return _rows(runs.parent / "out" / "comparison.csv")


def test_another_file_of_a_name_and_an_address_are_told_apart():
    hub = {"backbone": "hub:https://a.b/module/1"}
    assert with_files(hub, [hub]) == with_files(hub, []) == hub
    joined = {"knowledge": "attributes+/a/table.csv"}
    recorded = [{"knowledge": "attributes+:12"}, {"knowledge": "attributes+:34"}]
    assert with_files(joined, recorded[:1])["knowledge"] == FileChoice("attributes+:12", "attributes+table.csv")
    # Which of the two it was, nobody knows any more.
    assert with_files(joined, recorded) == with_files(joined, []) == joined
    assert with_files({"knowledge": "captions", "map": "ridge"}, recorded) == {"knowledge": "captions", "map": "ridge"}


def test_folders_of_one_name_are_told_apart(tmp_path):
    """The ledger has the name of a folder alone, and modules of TensorFlow Hub are called by their version."""
    for name, prefix in (("backbone", "hub:"), ("support", "")):
        for place in ("a", "b"):
            (tmp_path / place / "1").mkdir(parents=True, exist_ok=True)
        one, two = ({name: f"{prefix}{tmp_path / place / '1'}"} for place in ("a", "b"))
        assert with_files(one, [portable(one)]) == one and with_files(two, [portable(two)]) == two


def test_joined_files_of_the_same_names_are_told_apart():
    choices = [{"knowledge": FileChoice(f":{first}+:56", "a.csv+b.csv")} for first in ("12", "34")]
    results = [Result("d", "niwt", ("p", 0), "", {}, each) for each in choices]
    assert len({each.choices["knowledge"] for each in named(results)}) == 2
    assert {each.choices["knowledge"] for each in named(results[:1])} == {"a.csv+b.csv"}


def test_a_record_that_was_deleted_is_seen(niwt, runs):
    (runs / "seed_1" / "test_labels.json").unlink()
    out = _compare(niwt, runs).out
    assert "niwt is optimistic: its record of test use is missing or was changed (1 of 3 problems)." in out


def test_figures_that_were_changed_by_hand_are_left_out(niwt, runs):
    path = runs / "seed_1" / "evaluate" / "metrics.json"
    path.write_text(path.read_text().replace("0.7", "0.9"))
    job = _compare(niwt, runs)
    assert job.status == 0
    assert f"Left out: {path.parent} (" in job.err and "(its metrics.json is missing or was changed)" in job.err
    assert "niwt does not have 1" in job.out


@pytest.mark.parametrize("text", ["{", "[]", '{"acc_seen": 63}'])
def test_figures_that_cannot_be_read_are_left_out(niwt, runs, text):
    for path in runs.glob("*/evaluate/metrics.json"):
        path.write_text(text)
        _adopt(path.parent)
    job = _compare(niwt, runs)
    assert job.status == 0
    assert job.err.count("Left out") == 3
    assert "metrics.json" in job.err
    assert "niwt" not in "".join(line for line in job.out.splitlines() if line[:4] == "niwt")


def _adopt(folder):
    """Make a stage's manifest say that its files are as they were written."""
    from niwt_tf.files import fingerprint, sealed

    manifest = read_json(folder / "manifest.json")
    manifest["files"] = {name: (folder / name).stat().st_size for name in manifest["files"]}
    parts = {name: manifest[name] for name in ("settings", "inputs", "data", "extra")}
    manifest["digests"] = {name: fingerprint(folder / name) for name in manifest["files"]}
    manifest["identity"] = fingerprint(parts, manifest["digests"])
    write_json(folder / "manifest.json", sealed(manifest))


def test_what_rounding_puts_above_one_is_one(niwt, runs):
    for path in runs.glob("*/evaluate/metrics.json"):
        path.write_text(path.read_text().replace('"acc_zsl": 1.0', '"acc_zsl": 1.0000000000000095'))
        _adopt(path.parent)
    job = _compare(niwt, runs)
    assert job.err == "" and job.status == 0
    assert _rows(runs.parent / "out" / "comparison.csv")[0]["acc_zsl_mean"] == "1.0"


def test_unfinished_runs_are_named_and_left_out(niwt, runs):
    shutil.rmtree(runs / "seed_0" / "evaluate")
    for name in ("config.json", ".config.json"):
        (runs / "seed_2" / name).write_text("{")
    job = _compare(niwt, runs)
    assert job.status == 0
    assert f"Left out: {runs / 'seed_0' / 'evaluate'} (" in job.err
    assert "must hold the stage evaluate, which is missing" in job.err
    assert "seed_2" in job.err
    for seed in (0, 1):
        shutil.rmtree(runs / f"seed_{seed}" / "train")
    job = _compare(niwt, runs)
    assert job.status == 2
    assert job.err.splitlines()[-1].startswith("niwt compare: --runs must hold a run with finished figures")


def test_other_data_sets_get_a_table_of_their_own(niwt, runs):
    make_run(runs / "animals", 0.4, dataset="awa2", split="ps")
    out = _compare(niwt, runs).out
    assert "awa2, split ps, 2 seen and 2 unseen classes" in out.splitlines()
    assert "There is only one problem, so there is no interval." in out


def test_two_settings_are_two_rows_and_one_problem_twice_is_refused(niwt, runs):
    make_run(runs / "other_0", 0.65, {"ale": 0.5}, seed=0, map="cosine")
    out = _compare(niwt, runs).out
    assert "niwt --map=cosine" in out and "niwt --map=auto" in out
    make_run(runs / "again_0", 0.61, seed=0)
    job = _compare(niwt, runs)
    assert job.status == 2
    assert "two of niwt with the same data" in job.err
    assert str(runs / "again_0" / "evaluate") in job.err and str(runs / "seed_0" / "evaluate") in job.err
    assert job.err.count("\n") == 1


def test_the_bound_is_read_from_the_scores(niwt, runs):
    job = _compare(niwt, runs, "--bound")
    assert job.status == 0, job.err
    row = _rows(runs.parent / "out" / "comparison.csv")[0]
    assert float(row["bound_mean"]) == pytest.approx(1.0)
    (runs / "seed_0" / "evaluate" / "scores.npz").unlink()
    assert "seed_0" in _compare(niwt, runs, "--bound").err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--runs="], "--runs must be given"),
        (["--runs=nowhere"], "or folders that hold some. Received: 'nowhere', which is not a run directory."),
        (["--reference=al"], "--reference must be one of niwt, ale, oracle. Received: 'al'. Did you mean 'ale'?"),
        (["--published=nowhere.csv"], "--published must name a file that can be read"),
    ],
)
def test_bad_flags_are_one_sentence_and_nothing_is_written(niwt, runs, flags, sentence):
    job = _compare(niwt, runs, *flags)
    assert (job.status, job.err.count("\n")) == (2, 1)
    assert sentence in job.err
    assert not (runs.parent / "out").exists()


def test_a_folder_without_runs(niwt, tmp_path):
    job = niwt("compare", f"--runs={tmp_path}")
    assert (job.status, "without any" in job.err) == (2, True)
