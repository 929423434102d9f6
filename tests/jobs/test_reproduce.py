"""`niwt reproduce` on miniature archives: with runs that take no time, and two real ones at the end."""

from __future__ import annotations

import csv
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from absl import flags

from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.experiments.table1 import needs
from niwt_tf.experiments.table1.paper import TABLE_1
from niwt_tf.files import read_json, write_json
from niwt_tf.jobs import reproduce
from niwt_tf.jobs.flags import define_flags, parse_flags, run_folder, settings_from_flags
from niwt_tf.jobs.options import REPRODUCE_DEFAULTS
from niwt_tf.jobs.reproduce import run_attached
from niwt_tf.jobs.table import JOBS, job_help
from niwt_tf.runs.run import RunDirectory
from tests.data.readers import miniature_archives as miniature
from tests.shared import further

ROWS = [f"cub_vgg16_{knowledge}_{finetune}" for finetune in ("head", "all") for knowledge in ("attributes", "captions")]
UNLUCKY = "13"


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> Path:
    """Return a folder with both archives, cub/ and awa2/."""
    folder: Path = tmp_path_factory.mktemp("archives")
    miniature.write_cub(folder / "cub")
    miniature.write_awa2(folder / "awa2")
    return folder


@pytest.fixture
def call(niwt, archives, tmp_path, monkeypatch):
    """Return a function that reproduces CUB's rows of VGG16 with fake runs; `call.runs` lists those that were started."""
    started: list[str] = []

    def fake_run(arguments: Sequence[str]) -> int:
        values = flags.FlagValues()
        define_flags(JOBS["run"], values)
        parse_flags(arguments[arguments.index("run") + 1 :], values)
        settings, given = settings_from_flags(values)
        started.append(run_folder(values).name)
        if f"{settings.patience}" == UNLUCKY and settings.knowledge == "attributes":
            return 2
        try:
            with RunDirectory(run_folder(values)).locked(settings, values.overwrite, given) as run:
                run.use_data("birds")
                stage = run.stage("evaluate", ["epochs", "knowledge"], publishes=["metrics.json"])
                if not stage.up_to_date:
                    with stage.writing() as written:
                        figures = {"acc_unseen": 0.3, "acc_seen": 0.5, "harmonic_mean": 0.375}
                        write_json(written / "metrics.json", figures)
        except InputError:
            return 2
        return 0

    monkeypatch.setattr(reproduce, "run_attached", fake_run)
    folder = tmp_path / "runs"

    def do(*more: str, data: Path = archives / "cub"):
        return niwt(
            "reproduce", "--table=1", "--dataset=cub", "--backbone=vgg16", f"--data_dir={data}", f"--run_dir={folder}", *more
        )

    return SimpleNamespace(do=do, runs=started, folder=folder)


def _table(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "table1.csv", encoding="utf-8", newline="") as file:
        return {row["row"]: row for row in csv.DictReader(file)}


def test_rows_are_run_one_after_the_other_and_stand_beside_the_papers(call):
    job = call.do()
    assert job.status == 0, job.err
    assert call.runs == ROWS
    table = _table(call.folder)
    assert len(table) == 16 and [name for name, row in table.items() if row["harmonic_mean"]] == ROWS
    published = table["cub_vgg16_attributes_all"]
    assert (published["harmonic_mean"], published["paper_harmonic_mean"]) == ("37.5", "37.0")
    assert published["difference_acc_unseen"] == "-1.5" and published["changed_flags"] == ""
    assert "  difference                        -1.5    +5.1    +0.5" in job.out
    assert "not available" in job.out and str(call.folder / "table1.md") in job.out
    assert (
        "| cub_vgg16_attributes_all | 30.0 | 50.0 | 37.5 | 31.5 | 44.9 | 37.0 | +0.5 |"
        in (call.folder / "table1.md").read_text()
    )


def test_what_is_needed_is_said_first_and_a_dry_run_ends_there(call):
    job = call.do("--dry_run", "--gpu_tflops=10")
    assert job.status == 0 and call.runs == [] and not call.folder.exists()
    for told in (
        "CUB_200_2011.tgz, 1.1 GB",
        "xlsa17.zip",
        "text_c10",
        "keras-applications/vgg16",
        "This is an estimate",
        "10 x 10^12",
    ):
        assert told in job.out
    assert all(f"  {row} " in job.out for row in ROWS) and "MISSING" not in job.out
    assert "64 exist, the official archive has 11,788" in job.out


def test_a_dry_run_of_what_is_missing_prints_it_all_and_has_a_status_of_its_own(call, archives, tmp_path, monkeypatch):
    data = Path(shutil.copytree(archives / "cub", tmp_path / "cub"))
    shutil.rmtree(data / "text_c10")
    job = call.do("--dry_run", data=data)
    assert job.status == 2 and call.runs == [] and not call.folder.exists()
    assert "MISSING" in job.out and all(f"  {row} " in job.out for row in ROWS)
    (line,) = job.err.splitlines()
    assert "All that the rows need must exist" in line and "text_c10" in line
    official = {**needs.ARCHIVES, "cub": dataclasses.replace(needs.ARCHIVES["cub"], num_images=64)}
    monkeypatch.setattr(needs, "ARCHIVES", official)
    assert "official archive has" not in call.do("--dry_run", "--knowledge=attributes", data=data).out
    assert call.do("--dry_run", data=tmp_path / "none").out.count("0 exist, the official archive has 64") == 1


def test_the_help_tells_what_a_flag_that_is_left_out_means():
    told = job_help(JOBS["reproduce"])
    given = "(default: none; you must give it: cub or awa2, or a data set of the table)"
    for line in (given, "(default: for Table 1 both vgg16 and resnet101)"):
        assert line in " ".join(told.split())
    of_rows = {name: {row.settings.get(name, getattr(Settings(), name)) for row in TABLE_1} for name in TABLE_1[0].settings}
    for name, values in of_rows.items():
        if name != "finetune_learning_rate":  # the default of a run
            assert all(str(value) in REPRODUCE_DEFAULTS[name] for value in values - {"texts"}), name
    assert "(default: random)" in job_help(JOBS["run"]) and "(default: random)" not in told


def test_all_that_is_missing_is_one_sentence_before_any_work(call, archives, tmp_path):
    data = Path(shutil.copytree(archives / "cub", tmp_path / "cub"))
    (data / "attributes.txt").unlink()
    (data / "xlsa17/data/CUB/att_splits.mat").unlink()
    shutil.rmtree(data / "text_c10")
    shutil.rmtree(data / "CUB_200_2011/images/002.Laysan_Albatross")
    job = call.do(f"--weights={tmp_path / 'no.h5'}", data=data)
    assert job.status == 2 and call.runs == [] and not call.folder.exists()
    (line,) = job.err.splitlines()
    for told in ("attributes.txt", "8 of 64 images", "'002.Laysan_Albatross/", "att_splits.mat", "text_c10", "no.h5"):
        assert told in line
    assert "res101.mat" not in line and job.out.count("MISSING") == 5
    job = call.do(data=tmp_path / "none")
    assert job.status == 2 and "11788 images in " in job.err and "res101.mat" in job.err
    assert call.do("--knowledge=attributes", "--finetune=head", data=data).err.count("text_c10") == 0


def test_features_of_texts_need_a_row_of_texts(call):
    job = call.do("--dry_run", "--knowledge=attributes", "--text_features=vectors:v.txt")
    assert job.status == 2 and job.out == "" and "Received: 'vectors:" in job.err
    assert job.err.startswith("niwt reproduce: --text_features must be lsa if") and "--knowledge=attributes.\n" in job.err
    assert "--text_features=vectors:" in call.do("--dry_run", "--text_features=vectors:v.txt", "--nooverwrite").out


def test_finished_rows_are_kept_and_changed_ones_are_told(call):
    assert call.do("--finetune=head").status == 0
    assert call.do().status == 0
    assert call.runs == ROWS
    job = call.do("--epochs=3", "--finetune=all", "--knowledge=captions")
    assert job.status == 2  # the run was made with other flags
    assert "1 of 1 rows failed: cub_vgg16_captions_all (status 2)" in job.err
    job = call.do("--epochs=3", "--finetune=all", "--knowledge=captions", "--overwrite")
    assert job.status == 0, job.err
    assert job.out.count("differs from the paper's row: --epochs=3") == 2
    assert _table(call.folder)["cub_vgg16_captions_all"]["changed_flags"] == "'--epochs=3"
    assert "`--epochs=3`" in (call.folder / "table1.md").read_text()


def test_a_row_that_fails_does_not_stop_the_others(call):
    job = call.do(f"--patience={UNLUCKY}")
    assert job.status == 2 and call.runs == ROWS
    assert "2 of 4 rows failed: cub_vgg16_attributes_head (status 2), cub_vgg16_attributes_all (status 2); the same" in job.err
    table = _table(call.folder)
    assert [table[row]["harmonic_mean"] for row in ROWS] == ["", "37.5", "", "37.5"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--dataset=birds"], "--dataset must be cub or awa2, the data sets of Table 1. Received: 'birds'."),
        (["--backbone=resnet50"], "--backbone must be vgg16 or resnet101 in Table 1. Received: 'resnet50'."),
        (["--table=2"], "--table must be one of 1, n3_2, n3_3, n3_4, n3_5, n3_6, n3_adapt, published. Received: '2'."),
        (["--strategy=multiworker"], "--strategy must be none or mirrored"),
        (["--epochs=0"], "--epochs must be at least 1"),
        (["--gpu_tflops=0"], "--gpu_tflops must be greater than 0"),
    ],
)
def test_one_sentence_for_each_wrong_flag(call, given, sentence):
    job = call.do(*given)
    assert job.status == 2 and job.err.count("\n") == 1 and sentence in job.err
    assert call.runs == [] and not call.folder.exists()


def test_the_folder_of_one_run_or_a_file_is_refused(call):
    call.folder.mkdir()
    write_json(call.folder / "config.json", {})
    assert "--run_dir must be a folder of rows, not of one run" in call.do().err
    shutil.rmtree(call.folder)
    call.folder.touch()
    assert "--run_dir must be a folder" in call.do().err


def test_a_matlab_file_in_disorder_stops_before_any_work(niwt, archives, tmp_path):
    data = Path(shutil.copytree(archives / "awa2", tmp_path / "awa2"))
    (data / "xlsa17/data/AWA2/res101.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n")
    job = niwt("reproduce", "--dataset=awa2", "--knowledge=attributes", f"--data_dir={data}", f"--run_dir={tmp_path / 'runs'}")
    assert job.status == 2 and "res101.mat must be a complete HDF5 file" in job.err
    assert not (tmp_path / "runs").exists()


def test_an_interrupted_command_ends_in_order(tmp_path):
    inner = (
        "import pathlib, time\n"
        "try:\n  pathlib.Path('begun').touch()\n  time.sleep(60)\n"
        "except KeyboardInterrupt:\n  pathlib.Path('ended').touch()"
    )
    outer = (
        "import sys; from niwt_tf.jobs.reproduce import run_attached\n"
        f"try:\n  run_attached([sys.executable, '-c', {inner!r}])\nexcept KeyboardInterrupt:\n  sys.exit(130)"
    )
    with subprocess.Popen([sys.executable, "-c", outer], cwd=tmp_path, env=_environment()) as process:
        _wait_for(tmp_path / "begun")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert (tmp_path / "ended").exists()
    assert run_attached([sys.executable, "-c", "raise SystemExit(3)"]) == 3


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def _wait_for(path: Path, seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "finetune", "knowledge"), [("cub", "head", "captions"), *further(("awa2", "all", "attributes"))]
)
def test_a_row_from_a_miniature_archive_to_its_figures(
    niwt: Callable, archives: Path, tmp_path: Path, monkeypatch, dataset: str, finetune: str, knowledge: str
):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    name = f"{dataset}_vgg16_{knowledge}_{finetune}"
    row = [f"--dataset={dataset}", "--backbone=vgg16", f"--finetune={finetune}", f"--knowledge={knowledge}"]
    # The ridge head of 4096 features takes minutes on a processor, whatever the number of images.
    small = ["--weights=none", "--input_size=32", "--epochs=1", "--num_folds=1", "--num_support=8", "--seen_head=softmax"]
    folders = [f"--data_dir={archives / dataset}", f"--run_dir={tmp_path}"]
    job = niwt("reproduce", *row, *folders, *small, "--noprogress", "--cache_gb=0")
    assert job.status == 0, job.err
    run = tmp_path / name
    metrics = read_json(run / "metrics.json")
    assert (metrics["num_seen"], metrics["num_unseen"]) == (6, 2)
    table = _table(tmp_path)
    assert float(table[name]["harmonic_mean"]) == pytest.approx(100 * metrics["harmonic_mean"], abs=0.05)
    assert sum(bool(each["harmonic_mean"]) for each in table.values()) == 1
    assert "--input_size=32" in table[name]["changed_flags"] and "split" not in table[name]["changed_flags"]
    assert read_json(run / "config.json")["settings"]["split"] == "ps"
    again = niwt("reproduce", *row, *folders, *small)
    assert again.status == 0 and f"{name} is finished." in again.out


TOY_N3 = (
    *("--input_size=32", "--epochs=1", "--n3_width=8", "--n3_blocks=1", "--n3_way=3", "--n3_steps=4", "--n3_network_steps=2"),
    *("--num_unseen=3", "--validation_classes=3", "--noprogress", "--cache_gb=0"),
)


@pytest.mark.slow
@pytest.mark.combination
def test_a_table_of_texts_from_drawn_birds_to_its_picture(niwt, tiny_birds, tiny_bert, tmp_path, monkeypatch):
    """Two runs of every layer and of channels alone, with another encoder, which the table says; then they are finished."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    folders = [f"--data_dir={tiny_birds}", f"--run_dir={tmp_path / 'rows'}", f"--text_features=encoder:{tiny_bert}"]
    command = ["reproduce", "--table=n3_adapt", "--dataset=birds", *folders, *TOY_N3]
    job = niwt(*command, "--dry_run")
    assert job.status == 0 and not (tmp_path / "rows").exists(), job.err
    job = niwt(*command)
    assert job.status == 0, job.err
    with open(tmp_path / "rows" / "n3_adapt_birds.csv", encoding="utf-8", newline="") as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["birds_all", "birds_film", "birds_head"]
    for name, row in rows.items():
        metrics = read_json(tmp_path / "rows" / name / "metrics.json")
        assert float(row["accuracy"]) == pytest.approx(100 * metrics["acc_alone"], abs=0.05)
        assert "--n3_steps=4" in row["changed_flags"] and "n3_adapt" not in row["changed_flags"]
    assert (rows["birds_all"]["paper"], rows["birds_head"]["paper"]) == ("17.6", "")
    assert (tmp_path / "rows" / "n3_adapt_birds.png").is_file() and "n3_adapt_birds.md" in job.out
    assert niwt(*command).out.count(" is finished.") == 3


def test_other_methods_are_scored_in_the_run_of_the_row(niwt, archives, tiny_bert, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(reproduce, "run_attached", lambda arguments: started.append(list(arguments[4:])) or 0)
    data = Path(shutil.copytree(archives / "cub", tmp_path / "cub"))
    (data / "descriptions").mkdir()
    for name in (*miniature.CUB_SEEN, *miniature.CUB_UNSEEN):
        (data / "descriptions" / f"{name}.txt").write_text(f"A bird called {name}.")
    command = ["reproduce", "--table=n3_2", "--dataset=cub", "--split=ps", f"--data_dir={data}"]
    job = niwt(*command, f"--run_dir={tmp_path / 'rows'}", f"--text_features=encoder:{tiny_bert}", "--weights=none")
    assert job.status == 0, job.err
    (run, baseline) = started
    assert run[0] == "run" and "--method=n3" in run and "--split=ps" in run and "--validation_classes=50" in run
    assert baseline[:2] == ["baseline", "--methods=pdcnn_fc,pdcnn_conv,megazsl"]
    assert [each for each in baseline if each.startswith("--run_dir=")] == [f"--run_dir={tmp_path / 'rows' / 'cub_ps'}"]


@pytest.mark.slow
@pytest.mark.combination
def test_a_row_of_table_2_with_the_methods_that_it_compares(niwt, archives, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    data = Path(shutil.copytree(archives / "awa2", tmp_path / "awa2"))
    (data / "descriptions").mkdir()
    colours = ("black", "white", "red", "yellow", "green", "blue", "pink", "brown")
    for name, colour in zip(miniature.AWA2_CLASSES, colours, strict=True):
        (data / "descriptions" / f"{name}.txt").write_text(f"a {colour} head with a long tail and {colour} legs.")
    folders = [f"--data_dir={data}", f"--run_dir={tmp_path / 'rows'}", f"--text_features=encoder_words:{tiny_bert}"]
    small = [*(flag for flag in TOY_N3 if "num_unseen" not in flag), "--validation_classes=2", "--n3_adapt=head"]
    command = ["reproduce", "--table=n3_2", "--dataset=awa2", "--split=ps", *folders, *small]
    job = niwt(*command, "--backbone=small_vgg", "--weights=none")
    assert job.status == 0, job.err
    with open(tmp_path / "rows" / "n3_2_awa2.csv", encoding="utf-8", newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file) if row["row"] == "awa2_ps"}
    assert list(rows) == ["n3", "pdcnn_fc", "pdcnn_conv", "megazsl"] and all(row["accuracy"] for row in rows.values())
    assert [row["paper"] for row in rows.values()] == ["37.5", "18.4", "17.2", "10.4"]
    # A figure of eight classes is not compared with one of fifty.
    assert rows["n3"]["difference"] == "" and "8 classes, the paper's data set has 50" in rows["n3"]["note"]
    assert "PDCNN fc+conv" in job.out and (tmp_path / "rows" / "n3_2_awa2.png").is_file()
