from __future__ import annotations

import pytest

from niwt_tf.errors import InputError
from niwt_tf.jobs import quickstart
from niwt_tf.jobs.packaged_files import flag_file, flag_names, with_flag_files


def test_every_flag_file_is_in_the_package(repository, niwt):
    assert flag_names() == sorted(path.stem for path in (repository / "flags").glob("*.flags"))
    done = niwt("flags", "--list")
    assert done.status == 0 and "niwt:birds " in done.out and "The rendered birds: 40 seen and 10 unseen" in done.out
    assert niwt("flags").out == done.out
    assert niwt("flags", "--show=birds").out == (repository / "flags/birds.flags").read_text()


def test_a_flag_file_is_named_by_the_package():
    path = str(flag_file("birds"))
    assert with_flag_files(["--flagfile=niwt:birds", "--seed=1"]) == [f"--flagfile={path}", "--seed=1"]
    assert with_flag_files(["--flagfile", "niwt:birds", "--text=niwt:birds"]) == ["--flagfile", path, "--text=niwt:birds"]
    with pytest.raises(InputError, match="niwt flags --list shows. Received: 'brids'. Did you mean 'birds'"):
        with_flag_files(["--flagfile=niwt:brids"])


def test_a_job_takes_it(niwt, tmp_path):
    done = niwt("run", "--flagfile=niwt:birds", f"--data_dir={tmp_path / 'none'}", f"--run_dir={tmp_path / 'run'}")
    assert done.status == 2 and "--data_dir must hold the drawn birds" in done.err


def test_files_are_copied_to_a_new_folder(niwt, repository, tmp_path):
    done = niwt("flags", f"--copy_to={tmp_path / 'mine'}")
    assert done.status == 0 and str(tmp_path / "mine/exports/compose.yaml") in done.out
    for name in ("flags/birds.flags", "exports/compose.yaml", "exports/Dockerfile", "exports/batching.config"):
        assert (tmp_path / "mine" / name).read_bytes() == (repository / name).read_bytes()
    again = niwt("flags", f"--copy_to={tmp_path / 'mine'}")
    assert again.status == 2 and "--copy_to must be a new folder. Received: " in again.err


@pytest.mark.parametrize("fails", ["", "render", "run"])
def test_quickstart_draws_and_runs(niwt, monkeypatch, fails, tmp_path):
    done: list[list[str]] = []

    def run(command: list[str]) -> int:
        done.append(command)
        return 2 if fails and fails in command else 0

    monkeypatch.setattr(quickstart, "run_attached", run)
    places = [f"--{name}={tmp_path / name}" for name in ("data_dir", "run_dir", "export_dir")]
    job = niwt("quickstart", *places, "--noprogress")
    jobs = [next(word for word in command if word in ("render", "run")) for command in done]
    if fails:
        assert job.status == 2 and f"niwt {fails} must succeed. Received: status 2; the same command goes on" in job.err
    else:
        assert job.status == 0 and job.out.startswith("quickstart: ") and jobs == ["render", "run"]
        assert done[1][-5:] == ["--flagfile=niwt:birds", *places, "--noprogress"]
    assert places[0] in done[0]


def test_a_small_quickstart_has_folders_of_its_own(niwt, monkeypatch, tmp_path):
    done: list[list[str]] = []
    monkeypatch.setattr(quickstart, "run_attached", lambda command: done.append(command) or 0)
    assert niwt("quickstart", "--small", f"--run_dir={tmp_path / 'run'}").status == 0
    (render, run) = done
    assert {"--data_dir=data/birds-small", "--num_species=10"} <= set(render)
    assert {"--data_dir=data/birds-small", f"--run_dir={tmp_path / 'run'}", "--export_dir=exports/birds-small"} <= set(run)
    assert run.index("--flagfile=niwt:birds") < run.index("--num_unseen=3")  # what comes later wins


def test_a_copy_that_fails_leaves_nothing(tmp_path, niwt, monkeypatch):
    copied = []

    def full(source, target):
        if len(copied) == 3:
            raise OSError(28, "No space left on device", str(target))
        copied.append(target)

    monkeypatch.setattr("niwt_tf.jobs.packaged_files.shutil.copyfile", full)
    done = niwt("flags", f"--copy_to={tmp_path / 'mine'}")
    assert done.status == 2 and "No space left on device" in done.err and done.out == ""
    assert list(tmp_path.iterdir()) == []
