from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from niwt_tf import files
from niwt_tf.files import (
    claimed_directory,
    digest_of,
    files_below,
    read_json,
    recover,
    remove_abandoned,
    replacing,
    replacing_all,
    replacing_directory,
    write_json,
)


def test_a_pipe_and_a_device_are_written_to_and_stay_what_they_are(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_json(pipe, [1])
        assert os.read(reader, 100) == b"[\n  1\n]\n"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)
    kept = os.lstat("/dev/stdout")
    code = "from niwt_tf.files import write_json; print('before', flush=True); write_json('/dev/stdout', [1]); print('after')"
    with open(tmp_path / "out", "wb") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text().split() == ["before", "[", "1", "]", "after"]
    assert os.lstat("/dev/stdout").st_ino == kept.st_ino


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with replacing(target) as temporary:
        temporary.write_text("one")
        assert not target.exists()
        assert temporary.suffix == ".txt"
    assert target.read_text() == "one"
    assert os.listdir(target.parent) == ["a.txt"]


def test_a_file_stays_when_its_writing_fails(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("ne")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_files_are_replaced_together(tmp_path):
    targets = tmp_path / "new" / "a.txt", tmp_path / "new" / "deep" / "b.txt"
    for text in ("one", "two"):
        with replacing_all(*targets) as temporaries:
            for temporary in temporaries:
                temporary.write_text(text)
        assert [target.read_text() for target in targets] == [text, text]
    assert sorted(os.listdir(tmp_path / "new")) == ["a.txt", "deep"] and os.listdir(tmp_path / "new" / "deep") == ["b.txt"]


@pytest.mark.parametrize("existing", [True, False])
def test_of_files_that_belong_together_none_is_replaced_when_one_cannot_be(tmp_path, monkeypatch, existing):
    targets = tmp_path / "new" / "a.txt", tmp_path / "new" / "b.txt"
    if existing:
        targets[0].parent.mkdir()
        targets[0].write_text("old")
    real = os.replace

    def replace(source, target):
        if target == targets[1]:
            raise OSError("no")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="no"), replacing_all(*targets) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")
    assert os.listdir(tmp_path) == (["new"] if existing else [])
    if existing:
        assert os.listdir(tmp_path / "new") == ["a.txt"] and targets[0].read_text() == "old"


def test_the_error_of_a_full_disk_is_told_where_nothing_could_be_put_in_the_place_of_the_first(tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError) as raised, replacing_all(tmp_path / "new" / "a") as (temporary,):
        temporary.write_text("new")
    assert raised.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


def test_a_directory_is_replaced_whole_or_stays(tmp_path):
    target = tmp_path / "d"
    for text in ("one", "two"):
        with replacing_directory(target) as temporary:
            (temporary / text).write_text(text)
        assert os.listdir(target) == [text]
    with pytest.raises(RuntimeError), replacing_directory(target) as temporary:
        raise RuntimeError
    assert os.listdir(target) == ["two"]
    assert os.listdir(tmp_path) == ["d"]


_HOLDER = """
import os, sys, time
from niwt_tf.files import claimed_directory
from pathlib import Path
with claimed_directory(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half")
    print(folder, flush=True)
    time.sleep(100)
"""


def _held_elsewhere(target, *before):
    """Return a process, and the temporary folder that it holds beside a target."""
    process = subprocess.Popen([*before, sys.executable, "-c", _HOLDER, str(target)], stdout=subprocess.PIPE, text=True)
    return process, Path(process.stdout.readline().strip())


def _contained() -> list[str]:
    """Return what runs a command with numbers of processes of its own, as a container has; nothing where it is not allowed."""
    command = ["unshare", "--pid", "--fork", "--kill-child"]
    try:
        return command if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0 else []
    except FileNotFoundError:
        return []


def test_what_another_container_is_writing_stays_until_that_ends(tmp_path):
    process, folder = _held_elsewhere(tmp_path / "d", *_contained())
    try:
        for name in ("", "d"):
            remove_abandoned(tmp_path, name)
            assert (folder / "half").read_text() == "half"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    deadline = time.monotonic() + 600
    while os.listdir(tmp_path) and time.monotonic() < deadline:  # of a container the first process ends first
        remove_abandoned(tmp_path)
    assert os.listdir(tmp_path) == []


def test_what_nobody_holds_is_removed_and_what_is_not_temporary_stays(tmp_path):
    for name in (".tmp-x00000001-d", ".tmp-x00000002-e", ".tmp-my-d", ".tmp-notes", ".tmp-77-d"):
        (tmp_path / name).mkdir()
    (tmp_path / ".tmp-x00000003-old-a.json").write_text("")
    with replacing_directory(tmp_path / "d"):
        pass
    assert not (tmp_path / ".tmp-x00000001-d").exists() and (tmp_path / ".tmp-x00000002-e").exists()
    remove_abandoned(tmp_path)
    # An earlier version, perhaps in another container, names its work by a number and holds nothing.
    assert sorted(os.listdir(tmp_path)) == [".tmp-77-d", ".tmp-my-d", ".tmp-notes", "d"]
    os.utime(tmp_path / ".tmp-77-d", (0, 0))
    remove_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".tmp-my-d", ".tmp-notes", "d"]
    os.mkfifo(tmp_path / ".tmp-x00000004-pipe")
    (tmp_path / ".tmp-x00000005-link").symlink_to("nowhere")
    (tmp_path / ".tmp-x00000006-link").symlink_to("d")
    (tmp_path / ".tmp-77-link").symlink_to("d")  # what a link leads to is new, and stays
    remove_abandoned(tmp_path)  # a pipe that nobody writes to is not waited for
    assert sorted(os.listdir(tmp_path)) == [".tmp-my-d", ".tmp-notes", "d"]


def test_where_nothing_can_be_locked_what_is_new_stays(tmp_path, monkeypatch):
    def refused(descriptor, operation):
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", refused)
    for name in (".tmp-x00000001-d", ".tmp-x00000002-d"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / ".tmp-x00000001-d", (0, 0))
    with replacing_directory(tmp_path / "d"):
        pass
    assert sorted(os.listdir(tmp_path)) == [".tmp-x00000002-d", "d"]


def test_folders_change_places_in_one_step(tmp_path, monkeypatch):
    """So there is no moment at which a process that is killed leaves neither."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").touch()
    monkeypatch.setattr(os, "replace", None)
    with replacing_directory(tmp_path / "d") as temporary:
        (temporary / "new").touch()
    assert os.listdir(tmp_path) == ["d"] and os.listdir(tmp_path / "d") == ["new"]
    monkeypatch.chdir(tmp_path)
    with replacing_directory("d") as temporary:
        (temporary / "newer").touch()
    assert os.listdir(".") == ["d"] and os.listdir("d") == ["newer"]


@pytest.mark.parametrize("by", [recover, lambda path: remove_abandoned(path.parent)])
def test_a_folder_that_was_moved_aside_comes_back(tmp_path, monkeypatch, by):
    """Where the system cannot exchange two, a process may be killed between its two steps."""
    target, real = tmp_path / "d", os.replace
    target.mkdir()
    (target / "old").touch()
    moves = []

    def stopping(source, destination):
        if moves:
            raise KeyboardInterrupt
        moves.append(source)
        real(source, destination)

    monkeypatch.setattr("niwt_tf.files._exchanged", lambda *_: False)
    monkeypatch.setattr(os, "replace", stopping)
    with pytest.raises(KeyboardInterrupt), replacing_directory(target) as temporary:
        (temporary / "new").touch()
    monkeypatch.setattr(os, "replace", real)
    assert not target.exists()
    by(target)
    assert os.listdir(target) == ["old"] and os.listdir(tmp_path) == ["d"]
    with replacing_directory(target) as temporary:
        (temporary / "new").touch()
    assert os.listdir(target) == ["new"] and os.listdir(tmp_path) == ["d"]


@pytest.mark.parametrize("replaces", [replacing, replacing_all, replacing_directory])
def test_what_is_replaced_is_on_the_disk_before_it_has_its_name_and_its_folder_after(tmp_path, monkeypatch, replaces):
    target, done = tmp_path / "a", []
    real, names = (os.fsync, os.replace), {}

    def fsync(descriptor):
        status = os.fstat(descriptor)
        done.append(names.get(status.st_ino, "folder" if status.st_ino == tmp_path.stat().st_ino else "other"))
        real[0](descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("named"), real[1](*paths)))
    with replaces(target) as temporary:
        inside = temporary / "f" if replaces is replacing_directory else temporary
        file = inside[0] if isinstance(inside, tuple) else inside
        file.write_text("x")
        names[file.stat().st_ino] = "contents"
    kept = [step for step in done if step != "other"]
    assert kept == ["contents", "named", "folder"]


def _write_to_a_full_disk():
    with open("/dev/full", "w") as file:
        file.write("x")


@pytest.mark.parametrize("replaces", [replacing, replacing_directory])
def test_a_full_disk_names_the_file_that_was_to_be_written(tmp_path, replaces):
    with pytest.raises(OSError, match="No space left on device: .*made") as raised, replaces(tmp_path / "made"):
        _write_to_a_full_disk()
    assert raised.value.filename == str(tmp_path / "made")
    with pytest.raises(OSError, match="other") as raised, replaces(tmp_path / "made"):
        raise OSError(errno.ENOSPC, "full", str(tmp_path / "other"))
    with pytest.raises(OSError, match="reset") as raised, replaces(tmp_path / "made"):
        raise OSError(errno.ECONNRESET, "reset")  # of a server, say: no fault of the file's
    assert raised.value.filename is None
    os.symlink("/dev/full", tmp_path / "device")
    with pytest.raises(OSError, match="No space left on device: .*device"), replacing(tmp_path / "device") as temporary:
        temporary.write_text("x" * 1000)


def test_a_name_that_fits_the_file_system_has_a_temporary_one_that_does(tmp_path):
    target = tmp_path / ("ä" * 123 + ".json")  # 251 bytes
    write_json(target, 1)
    with replacing_all(target) as (temporary,):
        assert temporary.suffix == ".json"
        write_json(temporary, 2)
    assert read_json(target) == 2 and os.listdir(tmp_path) == [target.name]
    abandoned = tmp_path / temporary.name
    abandoned.touch()
    remove_abandoned(tmp_path, target.name)
    assert not abandoned.exists()


def test_what_another_process_has_just_removed_is_nothing_abandoned(tmp_path, monkeypatch):
    (tmp_path / ".tmp-x00000000-a.json").write_text("1")
    opened = os.open

    def gone(path, *flags):
        if str(path).endswith("a.json"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return opened(path, *flags)

    monkeypatch.setattr(os, "open", gone)
    remove_abandoned(tmp_path)
    assert os.listdir(tmp_path) == [".tmp-x00000000-a.json"]


@pytest.mark.parametrize("reader", [read_json, digest_of])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path, reader):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(OSError, match="Not a regular file"):
        reader(tmp_path / "a.json")
    with pytest.raises(OSError, match="Not a regular file"):
        reader("/dev/zero")


@pytest.mark.parametrize("when", ["before it is opened", "before it is locked"])
def test_a_folder_that_another_process_takes_for_abandoned_before_it_is_held_is_made_again(tmp_path, monkeypatch, when):
    opened, gone = os.open, []

    def racing(path, *flags, **options):
        if when == "before it is opened" and not gone:
            gone.append(path)
            os.rmdir(path)
        descriptor = opened(path, *flags, **options)
        if not gone:
            gone.append(path)
            os.rmdir(path)
        return descriptor

    monkeypatch.setattr(os, "open", racing)
    with claimed_directory(tmp_path / "d") as folder:
        assert [folder.name] == os.listdir(tmp_path) and folder != gone[0]
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_removed_of_an_old_folder_does_not_keep_the_new_one_away(tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").touch()

    def busy(path, **_):
        raise OSError(errno.EBUSY, "Device or resource busy", str(path))

    monkeypatch.setattr(os, "unlink", busy)
    with replacing_directory(tmp_path / "d") as temporary:
        (temporary / "new").touch()
    assert os.listdir(tmp_path / "d") == ["new"]


@pytest.mark.parametrize(("hours", "stays"), [(23.5, True), (24.5, False)])
def test_what_holds_no_lock_is_abandoned_after_a_day(tmp_path, hours, stays):
    folder = tmp_path / ".tmp-77-d"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a").touch()
    then = time.time() - hours * 3600
    for path in (folder / "deep" / "a", folder / "deep", folder):
        os.utime(path, (then, then))
    remove_abandoned(tmp_path)
    assert folder.exists() == stays
    if stays:  # one old and one new file are not left either
        os.utime(folder, (0, 0))
        os.utime(folder / "deep", (0, 0))
        remove_abandoned(tmp_path)
        assert folder.exists()


def test_a_descriptor_of_this_process_is_written_to(tmp_path):
    with open(tmp_path / "a", "w+b") as file:
        for name in (f"/dev/fd/{file.fileno()}", f"/proc/self/fd/{file.fileno()}"):
            write_json(name, [1])
        file.seek(0)
        assert file.read() == b"[\n  1\n]\n" * 2
    assert os.listdir(tmp_path) == ["a"]


def test_a_link_back_into_a_folder_that_it_lies_in_is_not_followed(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x").touch()
    (tmp_path / "a" / "b" / "back").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "gone").symlink_to(tmp_path / "nothing")
    assert [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)] == ["a/b/x", "a/gone"]


def test_folders_are_left_as_they_are_where_nothing_was_moved_aside(tmp_path):
    (tmp_path / ".tmp-x00000001-old-d").mkdir()
    (tmp_path / "d").mkdir()
    recover(tmp_path / "d")
    assert sorted(os.listdir(tmp_path)) == [".tmp-x00000001-old-d", "d"]
    recover(tmp_path / "absent" / "d")
    assert sorted(os.listdir(tmp_path)) == [".tmp-x00000001-old-d", "d"]
    (tmp_path / "d").rmdir()
    recover(tmp_path / "d")
    assert os.listdir(tmp_path) == ["d"]


def test_of_files_that_belong_together_the_first_is_gone_again_if_it_was_new(tmp_path):
    target, folder = tmp_path / "a", tmp_path / "b"
    with pytest.raises(OSError), replacing_all(target, folder) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")
        folder.mkdir()
    assert os.listdir(tmp_path) == ["b"]


@pytest.mark.parametrize("replaces", [replacing, replacing_all, replacing_directory])
def test_folders_above_are_made_at_every_depth(tmp_path, replaces):
    for _ in range(2):
        with replaces(tmp_path / "one" / "two" / "a") as temporary:
            file = temporary[0] if isinstance(temporary, tuple) else temporary
            (file / "b" if replaces is replacing_directory else file).write_text("x")
    assert os.listdir(tmp_path / "one" / "two") == ["a"]


@pytest.mark.parametrize("fault", [AttributeError, OSError])
def test_where_two_folders_cannot_be_exchanged_the_old_one_is_moved_aside(tmp_path, monkeypatch, fault):
    """An older C library has no such function, or none is found at all."""

    def none(*_, **__):
        raise fault

    monkeypatch.setattr(files.ctypes, "CDLL", none)
    for text in ("one", "two"):
        with replacing_directory(tmp_path / "d") as temporary:
            (temporary / text).touch()
    assert os.listdir(tmp_path) == ["d"] and os.listdir(tmp_path / "d") == ["two"]


def test_the_old_folder_comes_back_where_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").touch()
    real, moves = os.replace, []

    def refusing(source, target):
        moves.append((source, target))
        if len(moves) == 2:
            raise OSError("no")
        real(source, target)

    monkeypatch.setattr(files, "_exchanged", lambda *_: False)
    monkeypatch.setattr(os, "replace", refusing)
    with pytest.raises(OSError, match="no"), replacing_directory(tmp_path / "d"):
        pass
    assert os.listdir(tmp_path) == ["d"] and os.listdir(tmp_path / "d") == ["old"]


def test_at_the_end_of_the_process_links_are_gone_and_nothing_is_said(tmp_path):
    code = """
import shutil, sys
from niwt_tf.files import literal_folder
link = literal_folder(sys.argv[1])
print(link.parent)
shutil.rmtree(link.parent) if sys.argv[2] == "gone" else None
"""
    (tmp_path / "a[1]").mkdir()
    for before in ("there", "gone"):
        arguments = [sys.executable, "-c", code, str(tmp_path / "a[1]"), before]
        ended = subprocess.run(arguments, capture_output=True, text=True, check=True)
        assert not Path(ended.stdout.strip()).exists() and ended.stderr == ""
