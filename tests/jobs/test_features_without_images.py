"""Published features through whole jobs: a run, other methods, what needs pixels, and the table of published figures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.data.readers.feature_files import write_features

SHORT = ["--num_folds=1", "--num_support=16", "--seed=3", "--noprogress", "--cache_gb=0"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "xlsa17"
    write_features(folder / "data/CUB", form=7.3)
    texts = folder / "data/CUB/descriptions"
    texts.mkdir()
    for number in range(12):
        text = f"The bird of number {number} has a crown, {'red ' * number}wings."
        (texts / f"{number + 1:03d}.Bird_{number}.txt").write_text(text)
    return folder


@pytest.fixture(scope="module")
def run(data, niwt, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "cub"
    done = niwt("run", "--dataset=xlsa17", f"--data_dir={data / 'data/CUB'}", f"--run_dir={path}", *SHORT)
    assert done.status == 0, done.err
    said = "Left out: export, faithfulness, report, heat maps and pictures; the data set has features of the images, not the"
    assert f"{said} images." in done.err and "Traceback" not in done.err and "with random weights" not in done.err
    return path


def test_a_run_follows_from_the_data_set(run):
    config = json.loads((run / "config.json").read_text())
    settings = config.get("settings", config)
    assert [settings[name] for name in ("backbone", "finetune", "split")] == ["features", "head", "ps"]
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["num_seen"], metrics["num_unseen"]) == (9, 3)
    assert metrics["acc_zsl"] > 0.6 and metrics["harmonic_mean"] > 0.5  # a third would be by chance
    assert not (run / "evaluate/predictions.png").exists() and (run / "evaluate/confusion.png").exists()


@pytest.mark.slow
def test_other_methods_work_on_the_same_features(run, niwt):
    done = niwt("baseline", f"--run_dir={run}", "--methods=eszsl,sae,class_mean", "--noprogress", "--cache_gb=0")
    assert done.status == 0, done.err
    found = json.loads((run / "baseline_eszsl/metrics.json").read_text())
    assert found["acc_zsl"] > 0.6


@pytest.mark.slow
def test_a_method_that_reads_texts(data, niwt, tmp_path):
    flags = ["--dataset=xlsa17", f"--data_dir={data / 'data/CUB'}", f"--run_dir={tmp_path / 'run'}", *SHORT]
    done = niwt("run", *flags, "--method=megazsl", "--knowledge=texts", "--until=evaluate")
    assert done.status == 0, done.err
    assert json.loads((tmp_path / "run/metrics.json").read_text())["num_unseen"] == 3


@pytest.mark.parametrize("job", ["export", "faithfulness", "report", "explain", "deploy", "export_onnx"])
def test_what_needs_pixels_says_so(run, niwt, tmp_path, job):
    files = {"explain": "image", "export_onnx": "path", "deploy": "deploy_dir"}
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    names = {"explain": "photo.png", "export_onnx": "a.onnx", "deploy": "deployed"}
    more = {job: [f"--{flag}={tmp_path / names[job]}"] for job, flag in files.items()}
    done = niwt(job, f"--run_dir={run}", *more.get(job, []))
    assert done.status == 2 and "Traceback" not in done.err
    assert f"--run_dir must be a run on images for niwt {job}. Received: a run on features without images." in done.err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--backbone=vgg16"], "--backbone must be features with --dataset=xlsa17, which has no images. Received: 'vgg16'"),
        (["--finetune=all"], "--finetune must be head with --backbone=features"),
        (["--layer=block4_relu"], "--layer must be left out with --backbone=features"),
        (["--support=noise"], "--support must be seen with --backbone=features"),
    ],
)
def test_settings_that_do_not_go_with_features(data, niwt, tmp_path, flags, sentence):
    done = niwt("run", "--dataset=xlsa17", f"--data_dir={data / 'data/CUB'}", f"--run_dir={tmp_path / 'run'}", *flags)
    assert done.status == 2 and sentence in done.err


def test_features_are_no_backbone_of_images(tiny_birds, niwt, tmp_path):
    flags = ["--backbone=features", "--finetune=head", f"--data_dir={tiny_birds}", f"--run_dir={tmp_path / 'run'}"]
    done = niwt("run", *flags)
    assert done.status == 2 and "--backbone must be features for a data set of features" in done.err


def test_what_the_table_needs_is_said(data, niwt, tmp_path):
    done = niwt("reproduce", "--table=published", "--dataset=xlsa17", f"--data_dir={data}", "--dry_run")
    assert done.status == 0, done.err
    assert "CUB   found; version 2 of the Proposed Split; 11,788 images, 200 classes as published" in done.out
    assert "aPY is left out: there is no " in done.out
    assert "CUB is not the published data set" in done.out
    missing = niwt("reproduce", "--table=published", "--dataset=xlsa17", f"--data_dir={tmp_path}", "--dry_run")
    assert missing.status == 2 and missing.out.count("MISSING") == 6 and "SUN/res101.mat" in missing.err
    other = niwt("reproduce", "--table=published", "--dataset=cub", "--dry_run")
    assert other.status == 2 and "--dataset must be xlsa17 for --table=published. Received: 'cub'." in other.err


@pytest.mark.slow
@pytest.mark.combination
def test_the_table_puts_published_figures_beside_ours(data, niwt, tmp_path, monkeypatch):
    from niwt_tf.experiments.published import table

    monkeypatch.setattr(table, "OTHERS", ("eszsl", "class_mean"))
    rows = table.PublishedTable("xlsa17", str(data)).rows
    assert [row.name for row in rows] == ["CUB", "AWA1", "AWA2", "SUN", "APY", "FLO"]
    done = niwt("reproduce", "--table=published", "--dataset=xlsa17", f"--data_dir={data}", f"--run_dir={tmp_path}", *SHORT[:3])
    assert done.status == 0, done.err
    lines = list(csv.DictReader((tmp_path / "published.csv").open()))
    of_eszsl = next(line for line in lines if line["method"] == "ESZSL")
    assert of_eszsl["published_H"] == "21.0" and of_eszsl["source"] == "Xian et al. 2018" and of_eszsl["H"]
    no_row_of_ours = next(line for line in lines if line["method"] == "LATEM")
    assert no_row_of_ours["H"] == "" and no_row_of_ours["published_H"] == "24.0"
    assert lines[0]["method"] == "NIWT" and lines[0]["published_H"] == ""
    assert "arXiv 1707.00600" in (tmp_path / "published.md").read_text()


@pytest.mark.slow
def test_from_python_too(tmp_path):
    from niwt_tf import Niwt, load_dataset
    from niwt_tf.errors import InputError

    dataset = load_dataset("xlsa17", write_features(tmp_path / "CUB"), split="ps")
    model = Niwt("features", finetune="head", weights="imagenet", num_folds=1, num_support=16).fit(dataset)
    assert len(model.classes_) == 12
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match="A prediction needs a network that takes images"):
        model.predict([str(tmp_path / "photo.png")])
    with pytest.raises(InputError, match="An export needs a network that takes images"):
        model.export(tmp_path / "export", check_images=[tmp_path / "photo.png"])
