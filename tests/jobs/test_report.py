"""`niwt report` on a finished run: the page and the files for TensorBoard, and what it says where something is missing."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from niwt_tf.files import read_json
from niwt_tf.jobs import report


@pytest.fixture(scope="module")
def reported(finished_run, niwt, tmp_path_factory):
    """Return a copy of the finished run with its report, and how the job ended."""
    path = tmp_path_factory.mktemp("reported") / "run"
    shutil.copytree(finished_run.path, path)
    for stage in ("faithfulness", "report"):
        job = niwt(stage, f"--run_dir={path}", "--noprogress")
        assert job.status == 0, job.err
    return path, job


def test_it_names_the_page_it_wrote(reported):
    path, job = reported
    page = Path(job.out.strip())
    assert page == path / "report" / "report.html" and page.stat().st_size < 15_000_000
    text = page.read_text(encoding="utf-8")
    assert "birds: 7 seen classes, 3 unseen classes" in text
    assert f"<code>{read_json(path / 'config.json')['data']}</code>" in text
    assert "--num_unseen=3" in text and "--input_size=32" in text
    metrics = read_json(path / "metrics.json")
    assert f'<td class="number value">{100 * metrics["acc_seen"]:.1f} %</td>' in text
    assert list((path / "report" / "tensorboard").glob("events*")) and metrics["faithfulness"]


def test_it_says_what_the_stages_were_made_with(reported):
    path, _ = reported
    text = (path / "report" / "report.html").read_text(encoding="utf-8")
    versions = read_json(path / "train" / "manifest.json")["versions"]
    assert f"<dt>keras</dt><dd>{versions['keras']}</dd>" in text
    assert str(path) not in text and "niwt report --" not in text


def test_of_a_team_the_chief_alone_makes_the_page(monkeypatch, tmp_path):
    @contextmanager
    def writing():
        yield tmp_path

    done = []
    made = SimpleNamespace(up_to_date=False, writing=writing)
    team, settings = SimpleNamespace(is_chief=False), SimpleNamespace(seed=0)
    run = SimpleNamespace(stage=lambda *_, **__: made, team=team, settings=settings, path=tmp_path)
    dataset = SimpleNamespace(boxes=None, parts=None, part_names=(), image_attributes=None)
    data = SimpleNamespace(test=lambda: None, execution=None, dataset=dataset)
    monkeypatch.setattr(report, "RunFiles", lambda run: SimpleNamespace(network=None, scored=None))
    for name in ("image_embedding", "report_contents", "render", "write_tensorboard"):
        monkeypatch.setattr(report, name, lambda *_, name=name, **__: done.append(name))
    report.stage(run, data)
    assert done == ["image_embedding"] and list(tmp_path.iterdir()) == []


def test_it_is_not_made_twice(reported, niwt):
    path, _ = reported
    before = (path / "report" / "manifest.json").stat().st_mtime_ns
    job = niwt("report", f"--run_dir={path}", "--noprogress")
    assert job.status == 0 and "report is up to date" in job.err
    assert (path / "report" / "manifest.json").stat().st_mtime_ns == before


def test_a_run_without_its_measures_says_which_job_to_run(finished_run, niwt, tmp_path):
    path = shutil.copytree(finished_run.path, tmp_path / "run")
    shutil.rmtree(path / "faithfulness", ignore_errors=True)
    job = niwt("report", f"--run_dir={path}", "--noprogress")
    assert job.status == 2
    assert job.err.strip().splitlines()[-1].endswith(
        f"--run_dir {path} must hold the stage faithfulness, which is missing: run niwt run --run_dir={path} first, "
        "which does all that is missing."
    )
