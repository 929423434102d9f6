"""Whether a saved model is as it was written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from niwt_tf.errors import InputError
from niwt_tf.files import digest_of, sealed
from niwt_tf.protocol import saved_model
from niwt_tf.protocol.saved_model import DamagedModelError, load_model, save_model


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
