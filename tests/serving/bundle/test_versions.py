from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import pytest

from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.cards import Card, cards_from_json
from niwt_tf.serving.bundle.versions import new_version, one_change, saved_model_folder, versions


def _add(folder, text="x"):
    with new_version(folder) as version:
        (version.work / "saved_model.pb").write_text(text)
    return version.path


def test_versions_count_up_and_leave_the_earlier_ones(tmp_path):
    folder = tmp_path / "exports" / "toy"
    assert _add(folder, "a") == folder / "1"
    assert _add(folder, "b") == folder / "2"
    (folder / "007").mkdir()
    (folder / "9.tmp").mkdir()
    (folder / "99999999999999999999").mkdir()
    assert _add(folder, "c") == folder / "8"
    assert list(versions(folder)) == [1, 2, 7, 8]
    assert [(folder / name / "saved_model.pb").read_text() for name in "128"] == ["a", "b", "c"]
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


def test_nothing_is_left_of_a_version_that_failed(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_version(tmp_path / "exports" / "toy") as version:
        (version.work / "saved_model.pb").write_text("x")
        assert versions(tmp_path / "exports" / "toy") == {}
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_a_version_made_meanwhile_is_not_replaced(tmp_path):
    with new_version(tmp_path) as version:
        (version.work / "saved_model.pb").write_text("first begun")
        assert _add(tmp_path, "first done") == tmp_path / "1"
    assert version.path == tmp_path / "2"
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "first done"


def test_a_version_appears_between_the_changes_of_others(tmp_path):
    """An export that appeared while a class is added would be overtaken by a version that knows nothing of it."""
    _add(tmp_path, "base")
    code = "import sys; from pathlib import Path; from niwt_tf.serving.bundle.versions import new_version\n"
    code += "with new_version(sys.argv[1]) as made: (made.work / 'saved_model.pb').write_text('exported')"
    with one_change(tmp_path):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
        thread = threading.Thread(target=_add, args=(tmp_path, "exported"))
        thread.start()
        limit = time.monotonic() + 600
        # Until both have written and need but a number.
        while len(list(tmp_path.glob(".tmp-*/saved_model.pb"))) < 2 and process.poll() is None:
            assert time.monotonic() < limit
            time.sleep(0.02)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        assert thread.is_alive() and list(versions(tmp_path)) == [1]
        followed = (saved_model_folder(tmp_path) / "saved_model.pb").read_text()
        assert _add(tmp_path, f"{followed} and a class") == tmp_path / "2"  # does not wait for itself
    thread.join(120)
    assert process.wait(120) == 0 and not thread.is_alive()
    texts = [(path / "saved_model.pb").read_text() for path in versions(tmp_path).values()]
    assert texts == ["base", "base and a class", "exported", "exported"]


def test_a_folder_that_cannot_be_locked_is_written_all_the_same(tmp_path, monkeypatch, caplog):
    def refused(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    assert _add(tmp_path) == tmp_path / "1"
    assert "cannot be locked (No locks available)" in caplog.text


def test_what_a_killed_process_left_is_swept(tmp_path):
    (tmp_path / ".tmp-x0123abcd-version").mkdir()
    _add(tmp_path)
    assert os.listdir(tmp_path) == ["1"]


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"must not be a file or be inside.*file"), new_version(tmp_path / "file" / "toy"):
        pass


def test_the_newest_whole_version_is_found(tmp_path):
    _add(tmp_path)
    newest = _add(tmp_path)
    (tmp_path / "3").mkdir()
    assert saved_model_folder(tmp_path) == newest
    assert saved_model_folder(tmp_path / "1") == tmp_path / "1"
    with pytest.raises(InputError, match="must be an exported SavedModel or hold versions of one"):
        saved_model_folder(tmp_path / "3")


def test_a_folder_that_may_be_meant_is_named(tmp_path):
    _add(tmp_path / "toys")
    for wrong in (tmp_path, tmp_path / "toy"):
        with pytest.raises(InputError, match=r"Did you mean '.*/toys'\?$"):
            saved_model_folder(wrong)
    # Of two that are near the nearer is named; what cannot be read, or is hidden, is none.
    _add(tmp_path / "toys200")
    (tmp_path / "loop").symlink_to("loop")
    _add(tmp_path / ".toy")
    with pytest.raises(InputError, match=r"Did you mean '.*/toys'\?$"):
        saved_model_folder(tmp_path / "toyss")
    for wrong in (tmp_path / "horses", tmp_path / "none" / "toys"):
        with pytest.raises(InputError, match=r"Received: '[^']*'\.$"):
            saved_model_folder(wrong)


def test_a_link_to_a_version_is_that_version(tmp_path):
    (tmp_path / "b" / "3").mkdir(parents=True)
    (tmp_path / "b" / "3" / "saved_model.pb").touch()
    (tmp_path / "b" / "current").symlink_to("3")
    (tmp_path / "b" / "4").symlink_to("3")
    assert saved_model_folder(tmp_path / "b" / "current") == tmp_path / "b" / "3"
    assert saved_model_folder(tmp_path / "b") == tmp_path / "b" / "4"


def test_after_the_largest_number_there_is_no_version(tmp_path):
    (tmp_path / str(2**63 - 1)).mkdir()
    with pytest.raises(InputError, match="must have a version number left, at most 9223372036854775807"), new_version(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [str(2**63 - 1)]


@pytest.mark.parametrize("value", ["0.5", None, [1], float("nan"), 10**400])
def test_a_card_has_finite_numbers(value):
    card = {**asdict(Card("a")), "description": [0.5, value]}
    with pytest.raises(InputError, match=r"cards\.json must hold the cards of a bundle"):
        cards_from_json([card], "cards.json")
    assert cards_from_json([{**card, "description": [1, 0.5]}], "cards.json")[0].description == (1.0, 0.5)
