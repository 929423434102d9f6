"""The analyses of a run: what they find of the run itself is the run's own, and what they cannot measure they say."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.files import read_json
from niwt_tf.jobs.analyses import analysis_stage, check_other_images
from niwt_tf.runs.run import RunDirectory

JOBS = ("lambda_sweep", "weight_recovery", "layer_depth", "support_images", "consistency")
FLAGS = {
    "lambda_sweep": ["--lambda_grid=1e-3,1e3"],
    "weight_recovery": ["--epsilons=0,10", "--noise_seeds=2"],
    "layer_depth": ["--layers=block2_relu,block4_relu,fc1"],
    "support_images": [],
    "consistency": [],
}
SHARED = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc", "validation_harmonic_mean")


def _rows(path: Path, name: str) -> list[dict[str, str]]:
    with open(path / f"analysis_{name}" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", [*JOBS, "baseline", "importance", "map", "transfer", "evaluate", "export", "report"])
def test_a_run_that_is_not_there_is_one_sentence_of_it_and_not_of_the_data(niwt, tmp_path, name):
    job = niwt(name, f"--data_dir={tmp_path / 'none'}", f"--run_dir={tmp_path / 'run'}", "--noprogress")
    needed = {"baseline": "train", "importance": "train", "map": "importance", "transfer": "train"}.get(name, "transfer")
    assert job.status == 2 and job.err == (
        f"niwt {name}: --run_dir {tmp_path / 'run'} must hold the stage {needed}, which is missing: "
        f"run niwt run --run_dir={tmp_path / 'run'} first, which does all that is missing.\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "flag", "sentence"),
    [
        ("lambda_sweep", "--lambda_grid=1,1e-300", "--lambda_grid must be at least 1e-12. Received: (1.0, 1e-300)."),
        ("lambda_sweep", "--lambda_grid=1e300", "--lambda_grid must be less than 1e+12. Received: (1e+300,)."),
        ("weight_recovery", "--epsilons=1e300", "--epsilons must be less than 1e+12. Received: (1e+300,)."),
        ("consistency", f"--stage_store={__file__}", f"--stage_store must be a folder. Received: {__file__!r}."),
    ],
)
def test_a_wrong_flag_is_one_sentence(niwt, tmp_path, name, flag, sentence):
    job = niwt(name, f"--run_dir={tmp_path / 'run'}", flag)
    assert (job.status, job.err) == (2, f"niwt {name}: {sentence}\n")


def test_a_folder_without_images_is_named_by_its_flag(tmp_path):
    for path, received in ((tmp_path, "without an image"), (tmp_path / "none", "not a folder")):
        with pytest.raises(InputError, match=f"^--imagenet_dir must be a folder of images. Received: '{path}', {received}"):
            check_other_images(str(path))


def test_a_run_of_a_method_without_importances_is_not_analysed(tmp_path):
    locked = RunDirectory(tmp_path / "run").locked(Settings(method="eszsl"), given=["method"])
    rule = (
        r"^--method must be a method that measures importance for an analysis, which studies Stages 1 to 3\. Received: "
        r"'eszsl'"
    )
    with pytest.raises(InputError, match=rule), locked as run:
        analysis_stage(run, None, "consistency", None, None)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def analysed(finished_run, niwt, tmp_path_factory):
    """Return a copy of the finished run with every analysis."""
    path = tmp_path_factory.mktemp("analysed") / "run"
    shutil.copytree(finished_run.path, path)
    for name in JOBS:
        job = niwt(name, f"--run_dir={path}", "--noprogress", *FLAGS[name])
        assert job.status == 0, job.err
        assert f"picture  {path / f'analysis_{name}' / f'{name}.png'}" in job.out
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("lambda_sweep", "chosen", "chosen"),
        ("layer_depth", "layer", "block4_relu"),
        ("support_images", "support", "seen training images"),
    ],
)
def test_the_runs_own_row_has_the_runs_own_figures(analysed, name, key, value):
    metrics = read_json(analysed / "metrics.json")
    (row,) = [row for row in _rows(analysed, name) if row[key] == value]
    for measure in SHARED:
        assert float(row[measure]) == pytest.approx(metrics[measure], abs=1e-7), measure


@pytest.mark.slow
def test_figures_chosen_before_are_clean_and_what_is_changed_after_is_not(analysed, niwt, tmp_path):
    path = shutil.copytree(analysed, tmp_path / "run")
    entries = read_json(path / "test_labels.json")["entries"]
    assert [entry["what"] for entry in entries[1:]] == [f"analysis_{name}" for name in JOBS if name != "consistency"]
    job = niwt("baseline", f"--run_dir={path}", "--noprogress", "--methods=class_mean")
    assert job.status == 0, job.err
    assert read_json(path / "baseline_class_mean" / "metrics.json")["optimistic"] == []
    assert RunDirectory(path).reading().optimistic() == ()
    job = niwt("run", f"--run_dir={path}", "--noprogress", "--overwrite", "--column_scale=raw", "--until=evaluate")
    assert job.status == 0, job.err
    marks = read_json(path / "metrics.json")["optimistic"]
    assert "its test images were also scored by analysis_lambda_sweep with another --column_scale" in marks
    assert RunDirectory(path).reading().optimistic("baseline_class_mean") == ()


@pytest.mark.slow
def test_every_look_at_test_images_is_written_down_and_marks_nothing_by_itself(analysed):
    looks = [entry["what"] for entry in read_json(analysed / "test_labels.json")["entries"]]
    assert looks == ["evaluate", *(f"analysis_{name}" for name in JOBS if name != "consistency")]
    for name in JOBS:
        record = read_json(analysed / f"analysis_{name}" / f"{name}.json")
        assert record.get("optimistic") == (None if name == "consistency" else [])
    with RunDirectory(analysed).locked(Settings(), given=[]) as run:
        assert run.optimistic() == ()


@pytest.mark.slow
def test_test_curves_are_for_looking_at(analysed):
    record = read_json(analysed / "analysis_lambda_sweep" / "lambda_sweep.json")
    assert "no choice is made from them" in record["caption"] and record["chosen_on"] == "folds of validation classes"
    assert record["chosen_lambda"] == read_json(analysed / "transfer" / "selection.json")["chosen"]["regularization"]
    assert len(record["rows"]) == 3


@pytest.mark.slow
def test_recovery_is_exact_without_noise(analysed):
    rows = [row for row in _rows(analysed, "weight_recovery") if row["recovered_from"].startswith("every image")]
    exact = [row for row in rows if float(row["epsilon"]) == 0]
    assert len(exact) == 2
    assert {float(row["relative_accuracy"]) for row in exact} == {float(row["same_answers"]) for row in exact} == {1.0}
    record = read_json(analysed / "analysis_weight_recovery" / "weight_recovery.json")
    assert record["mean_operator_rank"] < record["rank"] <= record["features"]
    assert record["difference_from_gradient"] < 1e-4


@pytest.mark.slow
def test_importances_of_the_fully_connected_layer_are_the_same_on_every_image(analysed):
    rows = {row["layer"]: row for row in _rows(analysed, "layer_depth")}
    assert (rows["fc1"]["positions"], rows["block2_relu"]["positions"]) == ("none", "8 x 8")
    assert float(rows["fc1"]["rank_correlation_within"]) == pytest.approx(1.0)


@pytest.mark.slow
def test_consistency_is_that_of_the_run(analysed):
    record, metrics = read_json(analysed / "analysis_consistency" / "consistency.json"), read_json(analysed / "metrics.json")
    assert record["within"] == pytest.approx(metrics["rank_correlation_within"], abs=1e-5)
    assert record["across"] == pytest.approx(metrics["rank_correlation_across"], abs=1e-5)
    assert sum(int(row["images"]) for row in _rows(analysed, "consistency")) > 0


@pytest.mark.slow
def test_a_folder_of_other_images_is_a_row_and_its_absence_is_said(analysed, niwt, tiny_birds, tmp_path):
    record = read_json(analysed / "analysis_support_images" / "support_images.json")
    assert record["supports"] == ["seen", "noise"] and record["missing"] and "--imagenet_dir" in record["caption"]
    path = shutil.copytree(analysed, tmp_path / "run")
    job = niwt("support_images", f"--run_dir={path}", "--noprogress", f"--imagenet_dir={tmp_path / 'absent'}")
    assert job.status == 2 and "a folder of images" in job.err
    job = niwt("support_images", f"--run_dir={path}", "--noprogress", f"--imagenet_dir={tiny_birds}")
    assert job.status == 0, job.err
    rows = _rows(path, "support_images")
    assert [row["support"] for row in rows] == ["seen training images", "images of the folder", "noise"]


@pytest.mark.slow
def test_the_report_is_made_again_for_an_analysis_and_for_a_baseline(analysed, niwt, tmp_path):
    path = shutil.copytree(analysed, tmp_path / "run")

    def report() -> tuple[str, str]:
        job = niwt("report", f"--run_dir={path}", "--noprogress")
        assert job.status == 0, job.err
        return job.err, (path / "report" / "report.html").read_text(encoding="utf-8")

    said, page = report()
    assert "another analyses" in said and page.count('<figure class="analysis">') == len(JOBS)
    assert str(path) not in page and len(page) < 3_000_000
    assert "report is up to date" in report()[0]
    shutil.rmtree(path / "analysis_consistency")
    said, page = report()
    assert "another analyses" in said and page.count('<figure class="analysis">') == len(JOBS) - 1


@pytest.mark.slow
@pytest.mark.combination
def test_a_run_of_few_classes_without_unseen_images_is_analysed_as_far_as_it_goes(own_data, niwt, tmp_path):
    run = f"--run_dir={tmp_path / 'run'}"
    flags = ["--dataset=folder", f"--data_dir={own_data}", "--input_size=32", "--epochs=1", "--num_support=8", "--noprogress"]
    job = niwt("run", run, *flags, "--until=transfer")
    assert job.status == 0, job.err
    for name in JOBS:
        job = niwt(name, run, "--noprogress", *FLAGS[name])
        assert job.status == 0, job.err
    assert "too few seen classes" in read_json(tmp_path / "run" / "analysis_lambda_sweep" / "lambda_sweep.json")["caption"]
    assert all(row["acc_unseen"] == "" for row in _rows(tmp_path / "run", "layer_depth"))


@pytest.mark.slow
def test_a_layer_that_cannot_be_cut_at_is_named(analysed, niwt):
    job = niwt("layer_depth", f"--run_dir={analysed}", "--noprogress", "--layers=block4_rulu")
    assert job.status == 2 and "Received: 'block4_rulu'" in job.err
