from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.files import read_json, write_json
from niwt_tf.runs.integrity import check_run
from niwt_tf.runs.run import RunDirectory


@pytest.fixture
def run(tmp_path):
    """Return a folder with three stages, each of which stands on the one before; the last publishes its figures."""
    with RunDirectory(tmp_path / "run").locked(Settings()) as made:
        made.use_data("d")
        for name, inputs in (("train", []), ("map", ["train"]), ("evaluate", ["map"])):
            publishes = ["metrics.json"] if name == "evaluate" else []
            with made.stage(name, ["seed"], inputs, publishes=publishes).writing() as folder:
                np.savez(folder / "arrays.npz", a=np.arange(9))
                (folder / "metrics.json").write_text('{"h": 0.5}')
        made.scored_test_images("evaluate")
    return tmp_path / "run"


def _seen(run) -> dict[str, tuple]:
    return {part.name: (part.status, part.again) for part in check_run(run)}


WHOLE = dict.fromkeys(("config.json", "test_labels.json", "train", "map", "evaluate", "metrics.json"), ("whole", False))


def test_a_whole_run(run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert _seen(run) == WHOLE and list(_seen(run)) == list(WHOLE)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "seen"),
    [
        ("config.json", {"config.json": ("damaged", True)}),
        (".config.json", {}),
        ("train/arrays.npz", {"train": ("damaged", True), "map": ("whole", None), "evaluate": ("whole", None)}),
        ("map/manifest.json", {"map": ("damaged", True), "evaluate": ("whole", None)}),
        ("evaluate/arrays.npz", {"evaluate": ("damaged", True)}),
        ("metrics.json", {"metrics.json": ("damaged", True)}),
        ("test_labels.json", {"test_labels.json": ("damaged", False)}),
    ],
)
def test_what_was_damaged_is_named(run, file, seen):
    _flip(run / file)
    found = _seen(run)
    if file == "evaluate/arrays.npz":  # whose copy at the top nothing can be said of
        assert "metrics.json" not in found
        found["metrics.json"] = ("whole", False)
    assert found == {**WHOLE, **seen}


def test_what_is_lost(run):
    (run / "metrics.json").unlink()
    assert _seen(run) == {**WHOLE, "metrics.json": ("missing", True)}
    (run / "train" / "manifest.json").unlink()
    (run / "train" / "arrays.npz").unlink()
    (run / "train" / "metrics.json").unlink()
    (run / "train").rmdir()
    assert _seen(run)["train"] == ("missing", True) and _seen(run)["map"] == ("whole", None)


def test_what_another_version_wrote_is_outdated(run, monkeypatch):
    monkeypatch.setattr("niwt_tf.__version__", "99")
    assert {name: seen for name, seen in _seen(run).items() if seen != ("whole", False)} == dict.fromkeys(
        ("train", "map", "evaluate"), ("outdated", True)
    )


def test_a_configuration_that_is_lost_leaves_the_rest_to_be_seen(run):
    for name in ("config.json", ".config.json"):
        _flip(run / name)
    assert _seen(run) == {**WHOLE, "config.json": ("damaged", False)}


def test_every_damaged_file_is_named(run):
    _flip(run / "map" / "arrays.npz")
    (run / "map" / "metrics.json").unlink()
    (part,) = (each for each in check_run(run) if each.name == "map")
    assert part.detail == "missing or changed: arrays.npz, metrics.json"


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match="--run_dir must be the folder of a run .with config.json"):
        check_run(tmp_path)


def test_a_stage_that_holds_a_circle_of_manifests_is_damaged(run):
    """A manifest that was written by hand has no seal, so that nobody follows its inputs."""
    manifest = read_json(run / "train" / "manifest.json")
    write_json(run / "train" / "manifest.json", {**manifest, "inputs": {"evaluate": "x"}})
    assert _seen(run)["train"] == ("damaged", True)


@pytest.mark.parametrize(("count", "more"), [(3, ""), (4, " and 1 more"), (6, " and 3 more")])
def test_of_many_damaged_files_three_are_named(tmp_path, count, more):
    with RunDirectory(tmp_path / "run").locked(Settings()) as made, made.stage("train", ["seed"]).writing() as folder:
        for number in range(6):
            (folder / f"f{number}").write_text("ab")
    for number in range(count):
        (tmp_path / "run" / "train" / f"f{number}").unlink()
    (part,) = (each for each in check_run(tmp_path / "run") if each.name == "train")
    assert part.detail == f"missing or changed: f0, f1, f2{more}"
    assert part.size == 0


def test_what_is_said_of_whole_parts(run):
    parts = {part.name: part for part in check_run(run)}
    assert parts["config.json"].detail == "as it was written"
    assert parts["test_labels.json"].detail == "1 entries"
    assert parts["train"].detail == "2 files as written"
    assert parts["train"].size == sum((run / "train" / name).stat().st_size for name in ("arrays.npz", "metrics.json"))
    assert parts["metrics.json"].detail == "unchanged since its stage wrote it"
    (run / ".config.json").unlink()
    assert next(iter(check_run(run))).detail == "unchanged; its copy is written again"
    with RunDirectory(run).locked(Settings()) as made, made.stage("one", ["seed"]).writing() as folder:
        (folder / "a").write_text("ab")
    (one,) = (part for part in check_run(run) if part.name == "one")
    assert (one.detail, one.size) == ("1 file as written", 2)


def test_stages_stand_behind_all_that_they_were_made_from(tmp_path):
    with RunDirectory(tmp_path).locked(Settings()) as made:
        made.use_data("d")
        for name, inputs in (("z", []), ("y", ["z"]), ("a", []), ("c", ["y", "a"]), ("b", ["a"])):
            with made.stage(name, ["seed"], inputs).writing() as folder:
                (folder / "f").write_text("1")
    assert [part.name for part in check_run(tmp_path) if len(part.name) == 1] == ["a", "z", "b", "y", "c"]


def test_a_stage_says_from_which_damaged_one_it_was_made(run):
    _flip(run / "train" / "arrays.npz")
    parts = {part.name: part for part in check_run(run)}
    for name in ("map", "evaluate"):
        assert "it was made from train, and is made again if that changes" in parts[name].detail
