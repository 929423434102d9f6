"""Whether a saved model is as it was written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.normalise import Scale
from niwt_tf.data.folds import main_partition
from niwt_tf.data.schema import Descriptions, Knowledge
from niwt_tf.errors import InputError
from niwt_tf.files import digest_of, sealed
from niwt_tf.methods.base import Trial
from niwt_tf.methods.baselines.class_mean import METHOD
from niwt_tf.methods.task import Task
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.backbones import build_network
from niwt_tf.protocol import saved_model
from niwt_tf.protocol.saved_model import DamagedModelError, SavedModel, load_model, save_model
from niwt_tf.protocol.selection import Chosen


@pytest.fixture
def record(tmp_path):
    for name in ("a.npz", "b.npz"):
        (tmp_path / name).write_bytes(name.encode())
    return sealed({"files": {name: digest_of(tmp_path / name) for name in ("a.npz", "b.npz")}})


def test_what_is_as_it_was_written_is_whole_and_so_is_what_does_not_say(tmp_path, record):
    saved_model._check_whole(tmp_path, record)
    saved_model._check_whole(tmp_path, {"name": "of an earlier version"})


@pytest.mark.parametrize("change", ["changed", "missing", "a folder"])
def test_the_file_that_was_changed_is_named(tmp_path, record, change):
    file = tmp_path / "b.npz"
    file.unlink()
    if change == "changed":
        file.write_bytes(b"other")
    elif change == "a folder":
        file.mkdir()
    with pytest.raises(DamagedModelError, match=r"Received: b\.npz, which was changed or is missing"):
        saved_model._check_whole(tmp_path, record)


def test_a_record_that_was_changed_names_itself(tmp_path, record):
    for changed in ({**record, "files": {}}, {**record, "name": "other"}, {"files": record["files"]}):
        with pytest.raises(DamagedModelError, match=r"Received: model\.json"):
            saved_model._check_whole(tmp_path, changed)


@pytest.mark.parametrize("text", [None, "{", "[]", "7", "{}", '{"format": null}'])
def test_what_is_no_saved_model_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError, match=r"path must be a folder that Niwt\.save wrote"):
        load_model(tmp_path)


def test_a_model_of_another_version_says_which(tmp_path):
    (tmp_path / "model.json").write_text('{"format": 0}')
    with pytest.raises(InputError, match="fit and save it again. Received: 0"):
        load_model(tmp_path)


def test_a_model_is_not_written_over_what_is_none(tmp_path):
    """Each is refused before anything of the model is looked at."""
    file, strange, empty = tmp_path / "a.txt", tmp_path / "strange", tmp_path / "empty"
    file.write_text("mine")
    strange.mkdir()
    (strange / "letter.txt").write_text("mine")
    for path in (file, strange):
        with pytest.raises(InputError, match="path must be new, empty or a saved model"):
            save_model(path, None)
    for inside in (file / "model", file / "deep" / "model"):
        with pytest.raises(InputError, match=r"path must not be inside a file.*a\.txt' is a file"):
            save_model(inside, None)
    assert (file.read_text(), (strange / "letter.txt").read_text()) == ("mine", "mine")
    empty.mkdir()
    (strange / "model.json").write_text("{}")
    for path in (empty, strange, tmp_path / "new" / "model"):
        with pytest.raises(AttributeError):  # what is no model has no parts: the folder itself was fine
            save_model(path, None)


@pytest.mark.parametrize("record", [{"settings": []}, {"settings": 5}, {}, {"settings": {}, "probabilities": []}])
def test_a_record_of_another_form_is_no_saved_model(tmp_path, record):
    for name in ("generator.npz", "classes.npz"):
        np.savez(tmp_path / name, a=np.zeros(1))
    (tmp_path / "model.json").write_text(json.dumps({"format": saved_model._FORMAT, **record}))
    with pytest.raises(InputError, match=r"path must be a folder that Niwt\.save wrote"):
        load_model(tmp_path)


def test_a_damaged_model_is_told_from_what_is_none(tmp_path, record):
    plain = {name: value for name, value in record.items() if name != "seal"}
    (tmp_path / "model.json").write_text(json.dumps(sealed({"format": saved_model._FORMAT, **plain})))
    (tmp_path / "a.npz").write_bytes(b"other")
    with pytest.raises(DamagedModelError, match=r"must be unchanged since Niwt\.save wrote it\. Received: a\.npz"):
        load_model(tmp_path)


@pytest.fixture(scope="module")
def fitted(coloured_seen):
    """Return a method that was fitted, the network of its classes and one more, and what is said of that."""
    network = build_network("small_vgg", coloured_seen.images.class_names, input_size=16)
    settings, reader = Settings(finetune="head", seed=7, method="class_mean", transfer_lambda=(0.25, 4.0)), Reader(network)
    task = Task(settings, main_partition(coloured_seen, 0), network, reader, lambda _, images: reader.features(images))
    candidate = METHOD.candidates(settings, [task])[1]
    trial = Trial(candidate, 0.25, float("nan"), 0.75, {"rank_correlation": float("nan"), "loss": 0.5})
    chosen = Chosen("class_mean", METHOD.fit(task, candidate), trial, [trial], 1.5, Probabilities(2.0, 0.125, {"ece": 0.5}))
    return chosen, settings, chosen.applied(network, Descriptions(("orange",), np.array([[1, 0.5, 0]], np.float32)))[0]


@pytest.mark.parametrize("is_full", [True, False])
def test_a_saved_model_is_what_it_was(fitted, tmp_path, is_full):
    chosen, settings, network = fitted
    values, names, groups = np.arange(18.0).reshape(6, 3), ("red", "green", "blue"), ("colour", "colour", "")
    scale = Scale(np.array([0.0, 1.0, 2.0]), np.array([4.0, 8.0, 16.0])) if is_full else None
    knowledge = Knowledge(values, names, groups, "a table", scale=scale)
    importances = np.arange(10.0).reshape(5, 2) if is_full else None
    explaining = {"rates": np.ones(3), "bounds": np.zeros((2, 2))} if is_full else {}
    photographs, texts = {"red": 5, "orange": 0}, {"orange": "It is orange."} if is_full else {}
    save_model(
        tmp_path / "model", SavedModel(network, settings, chosen, knowledge, photographs, importances, explaining, texts)
    )
    read = load_model(tmp_path / "model")
    assert (read.settings, read.photographs, read.texts) == (settings, photographs, texts)
    assert (read.knowledge.names, read.knowledge.groups, read.knowledge.source) == (names, groups, "a table")
    np.testing.assert_array_equal(read.knowledge.values, values)
    if scale is None:
        assert read.knowledge.scale is None
        assert read.importances is None
    else:
        np.testing.assert_array_equal(read.knowledge.in_units, values * scale.span + scale.low)
        np.testing.assert_array_equal(read.importances, importances)
    assert read.explaining.keys() == explaining.keys()
    for name, array in explaining.items():
        np.testing.assert_array_equal(read.explaining[name], array)
    assert (read.chosen.method, read.chosen.trials, read.chosen.calibration) == ("class_mean", (), 1.5)
    assert read.chosen.probabilities == chosen.probabilities
    trial, expected = read.chosen.trial, chosen.trial
    assert (trial.candidate, trial.calibration, trial.acc_zsl) == (expected.candidate, 0.25, 0.75)
    assert np.isnan([trial.harmonic_mean, trial.figures["rank_correlation"]]).all()
    assert (trial.figures["loss"], len(trial.figures)) == (0.5, 2)
    assert (read.network.class_names, read.network.calibration) == (network.class_names, network.calibration)
    for weight, written in zip(read.network.model.get_weights(), network.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, written)
    later = Descriptions(("violet",), np.array([[0.5, 0, 1]], np.float32))
    made, wanted = (each.generator.generate(later).head for each in (read.chosen, chosen))
    for array, written in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(array, written)
