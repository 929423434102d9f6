from __future__ import annotations

import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.data.images.duplicates import image_digest
from niwt_tf.data.schema import Dataset, Knowledge, Split
from niwt_tf.files import digest_of, fingerprint
from niwt_tf.runs.fingerprints import (
    annotation_fingerprint,
    data_fingerprint,
    descriptions_fingerprint,
    image_fingerprint,
    method_package,
    other_package,
    package_versions,
    problem_fingerprint,
    support_fingerprint,
    weights_fingerprint,
)
from niwt_tf.runs.run import RunDirectory


def _dataset(root) -> Dataset:
    knowledge = Knowledge(np.eye(3), ("p", "q", "r"), ("", "", ""))
    split = Split("s", seen=[0, 1], unseen=[2], train=[0, 1], test_seen=[], test_unseen=[2])
    return Dataset("folder", root, ("a.png", "b.png", "c.png"), np.arange(3), ("x", "y", "z"), knowledge, split)


def test_it_follows_the_content_and_not_the_place(tmp_path):
    first = tmp_path / "first"
    first.mkdir()
    for name in "abc":
        (first / f"{name}.png").write_bytes(b"12")
    shutil.copytree(first, tmp_path / "second")
    known = data_fingerprint(_dataset(first))
    assert data_fingerprint(_dataset(tmp_path / "second")) == known
    assert data_fingerprint(_dataset(first).replace(labels=[0, 0, 2])) != known
    assert data_fingerprint(_dataset(first).replace(split=None)) != known
    state = (first / "b.png").stat()
    (first / "b.png").write_bytes(b"13")  # of the same size, and as if nothing had been written
    os.utime(first / "b.png", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert data_fingerprint(_dataset(first)) != known


def test_digests_of_the_files_that_were_checked_are_taken(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(b"12")
    data = _dataset(tmp_path)
    read = {path: image_digest((tmp_path / path).read_bytes()) for path in data.paths}
    assert data_fingerprint(data.replace(digests=read)) == data_fingerprint(data)
    read["a.png"] = image_digest(b"13")
    assert data_fingerprint(data.replace(digests=read)) != data_fingerprint(data)


def test_images_of_equal_size_that_change_places_are_other_data_and_other_support(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    before = image_fingerprint(_dataset(tmp_path)), support_fingerprint(str(tmp_path))
    (tmp_path / "a.png").rename(tmp_path / "d.png")
    (tmp_path / "b.png").rename(tmp_path / "a.png")
    (tmp_path / "d.png").rename(tmp_path / "b.png")
    after = image_fingerprint(_dataset(tmp_path)), support_fingerprint(str(tmp_path))
    assert before[0] != after[0] and before[1] != after[1]


def test_networks_do_not_depend_on_descriptions(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(b"12")
    data = _dataset(tmp_path)
    other = data.replace(knowledge=Knowledge(np.ones((3, 1)), ("p",), ("",)))
    assert image_fingerprint(other) == image_fingerprint(data)
    assert data_fingerprint(other) != data_fingerprint(data)
    assert image_fingerprint(data.replace(labels=[0, 0, 2])) != image_fingerprint(data)
    (tmp_path / "b.png").write_bytes(b"123")
    assert image_fingerprint(data) != image_fingerprint(other.replace(split=None))


@pytest.mark.parametrize(("source", "computed"), [("binary", False), ("texts", True), ("mine.csv + captions", True)])
def test_descriptions_made_from_texts_are_not_compared(tmp_path, source, computed):
    data = _dataset(tmp_path)
    known = Knowledge(data.knowledge.values, data.knowledge.names, data.knowledge.groups, source)
    assert (descriptions_fingerprint(data.replace(knowledge=known)) is None) == computed


def test_what_is_known_of_images_is_apart(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(b"12")
    bare = _dataset(tmp_path)
    boxes, parts = np.ones((3, 4), np.float32), np.ones((3, 1, 3), np.float32)
    known = [
        bare,
        bare.replace(boxes=boxes),
        bare.replace(boxes=2 * boxes),
        bare.replace(parts=parts, part_names=("tail",)),
        bare.replace(parts=2 * parts, part_names=("tail",)),
        bare.replace(parts=parts, part_names=("beak",)),
        bare.replace(image_attributes=np.eye(3, dtype=np.float32)),
        bare.replace(image_attributes=np.zeros((3, 3), np.float32)),
    ]
    assert len({str(annotation_fingerprint(dataset)) for dataset in known}) == len(known)
    assert len({data_fingerprint(dataset) for dataset in known}) == 1
    assert annotation_fingerprint(bare.replace(labels=[0, 0, 2])) == annotation_fingerprint(bare)


def test_test_images_count_by_their_names():
    """Two orders of the same files are other test images at the same places."""
    data = _dataset("x")
    other = data.replace(paths=("a.png", "c.png", "b.png"))
    assert problem_fingerprint(other) != problem_fingerprint(data)
    assert problem_fingerprint(data.replace(root="y")) == problem_fingerprint(data)


def test_the_package_that_adds_a_method_counts_by_its_version(tmp_path, monkeypatch):
    versions = {"far": "1.0"}
    point = SimpleNamespace(dist=SimpleNamespace(name="far", version="1.0"))
    monkeypatch.setattr("niwt_tf.runs.fingerprints.added", lambda group: {"faraway": point, "niwt": point})
    monkeypatch.setattr("niwt_tf.runs.fingerprints._version", versions.get)
    assert method_package("faraway") == {"package": ["far", "1.0"]}
    assert method_package("niwt") == method_package("oracle") == {}
    with RunDirectory(tmp_path).locked(Settings()) as run:
        run.use_data("d")
        with run.stage("transfer", ["seed"], extra=method_package("faraway")).writing() as folder:
            (folder / "a").write_text("1")
        made = run.stage("transfer", ["seed"], extra=method_package("faraway"))
        assert made.up_to_date and run.outdated("transfer") == "" and "transfer: package" not in made.choices
        versions["far"] = point.dist.version = "1.1"
        assert run.outdated("transfer") == "was made with another version of far"
        assert run.stage("transfer", ["seed"], extra=method_package("faraway")).reason == "was made with another package"


def test_initial_weights_and_models_count_by_their_contents(tmp_path):
    file, folder = tmp_path / "w.weights.h5", tmp_path / "model"
    file.write_text("weights")
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert weights_fingerprint("imagenet") == weights_fingerprint("none", "small_vgg") == {}
    assert weights_fingerprint(str(file)) == {"weights_file": fingerprint(file)}
    model = tmp_path / "own.keras"
    model.write_text("a model")
    found = weights_fingerprint("none", str(model))
    assert found == {"backbone_model": fingerprint([["own.keras", digest_of(model)]])}
    model.write_text("another")
    assert weights_fingerprint("none", str(model)) != found
    assert weights_fingerprint("none", f"keras_hub:{folder}") == {
        "backbone_model": fingerprint([["config.json", digest_of(folder / "config.json")]])
    }
    assert weights_fingerprint("none", str(tmp_path / "absent.keras")) == {}


@pytest.mark.parametrize("download", [True, False])
def test_a_hub_module_is_told_by_its_own_fingerprint(monkeypatch, download):
    asked = []

    def module(name, download):
        asked.append((name, download))
        return "abc"

    monkeypatch.setattr("niwt_tf.runs.fingerprints.module_fingerprint", module)
    assert weights_fingerprint("none", "hub:some/module", download=download) == {"hub_module": "abc"}
    weights_fingerprint("none", "hub:some/module")
    assert asked == [("some/module", download), ("some/module", False)]


def test_a_named_support_and_what_is_no_folder_have_no_fingerprint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise").mkdir()
    assert [support_fingerprint(name) for name in ("seen", "noise", "absent")] == [{}] * 3


def test_versions_of_packages(monkeypatch):
    monkeypatch.setattr("niwt_tf.runs.fingerprints._VERSIONS", ("numpy", "no-such-package"))
    found = package_versions()
    assert list(found) == ["python", "numpy", "no-such-package"]
    assert (found["numpy"], found["no-such-package"]) == (np.__version__, None)
    assert other_package({}) == other_package({"package": ["numpy", np.__version__]}) == ""
    assert other_package({"package": ["numpy", "0"]}) == other_package({"package": ["numpy", None]}) == "numpy"
