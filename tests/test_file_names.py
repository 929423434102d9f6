"""Names and paths: short and temporary ones, what is none of the user's, and what TensorFlow can read."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

import pytest

from niwt_tf import files
from niwt_tf.files import entries_of, files_below, is_litter, literal_folder, replacing, replacing_directory, short_name


@pytest.mark.parametrize("name", ["a[1]", "a*", "a?b", "a\\b"])
def test_a_folder_that_tensorflow_takes_for_a_pattern_has_another_path(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "x").write_text(name)
    path = literal_folder(tmp_path / name)
    assert not set(str(path)) & set("*?[\\") and (path / "x").read_text() == name
    assert literal_folder(tmp_path / name) == path and literal_folder(tmp_path) == tmp_path


def test_litter_is_left_out_at_every_depth(tmp_path):
    hidden = (".DS_Store", "a/._b", "a/.nfs0000", "__MACOSX/c", "~$d.xlsx", "h.txt~")
    for name in (*hidden, "Thumbs.db", "a/desktop.ini", "@eaDir/e"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "f").touch()
    (tmp_path / "g").symlink_to("a")
    (tmp_path / "a" / "up").symlink_to("..")
    assert [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)] == ["a/f", "g/f"]
    assert [path.name for path in files_below(tmp_path / "a")] == ["f"]  # not back into a folder above it


def test_a_folder_whose_path_is_not_utf8_has_one_that_is(tmp_path):
    """Of an old archive: TensorFlow takes no such path."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "x").write_text("y")
    path = literal_folder(folder)
    assert str(path).isascii() and (path / "x").read_text() == "y"
    assert literal_folder(tmp_path / "caf\u00e9") == tmp_path / "caf\u00e9"


@pytest.mark.parametrize("name", [b"a[1]", b"caf\xe9", b"a[\xe9]"])
def test_links_lie_where_tensorflow_finds_them(tmp_path, monkeypatch, name):
    own, other = tmp_path / os.fsdecode(name), tmp_path / "plain"
    own.mkdir()
    other.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(own))
    assert Path(files._folder_of_links.__wrapped__()).parent == Path("/tmp")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(other))
    assert Path(files._folder_of_links.__wrapped__()).parent == other


@pytest.mark.parametrize(
    ("length", "suffix", "kept"), [(200, ".json", True), (201, ".json", False), (250, "." + "s" * 30, False)]
)  # fmt: skip
def test_a_long_name_has_a_short_one_of_its_own_with_its_suffix(length, suffix, kept):
    name = "n" * (length - len(suffix)) + suffix
    expected = name if kept else hashlib.sha256(name.encode()).hexdigest()[:16] + suffix
    assert short_name(Path("folder") / name) == expected
    for long in ("." + "s" * 31, "." + "s" * 40):
        assert short_name(Path("n" * 200 + long)) == hashlib.sha256(("n" * 200 + long).encode()).hexdigest()[:16]


def test_a_temporary_name_says_what_it_is_for(tmp_path):
    with replacing(tmp_path / "a.txt") as temporary:
        assert re.fullmatch(r"\.tmp-x[0-9a-f]{8}-a\.txt", temporary.name) and temporary.parent == tmp_path
        temporary.write_text("1")
    with replacing_directory(tmp_path / "d") as folder:
        assert re.fullmatch(r"\.tmp-x[0-9a-f]{8}-d", folder.name)


@pytest.mark.parametrize(
    ("name", "litter"),
    [
        (".hidden", True), ("__MACOSX", True), ("~$a.xlsx", True), ("a.txt~", True), ("Thumbs.DB", True), ("desktop.ini", True),
        ("$RECYCLE.BIN", True), ("lost+found", True), ("_a", False), ("a.txt", False), ("~a", False), ("thumbs", False),
    ],
)  # fmt: skip
def test_what_is_litter(name, litter):
    assert is_litter(name) == litter


def test_what_lies_in_a_folder_is_sorted_and_without_litter(tmp_path):
    for name in ("b", "a", ".c", "Thumbs.db"):
        (tmp_path / name).touch()
    assert [path.name for path in entries_of(tmp_path)] == ["a", "b"]
