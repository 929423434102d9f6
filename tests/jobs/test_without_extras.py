"""Jobs where packages of extras are not there: what is left out is said in a line, what cannot be done in a sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

PICTURES = ("confusion.png", "ausuc.png", "predictions.png")


@pytest.fixture
def absent(monkeypatch):
    """Return a function that hides packages."""

    def hide(*names: str) -> None:
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


def test_evaluate_leaves_its_pictures_out(niwt, run_copy, absent):
    before = (run_copy / "evaluate/metrics.json").read_bytes()
    assert all((run_copy / "evaluate" / name).is_file() for name in PICTURES)
    shutil.rmtree(run_copy / "evaluate")
    absent("matplotlib")
    job = niwt("evaluate", f"--run_dir={run_copy}")
    assert job.status == 0, job.err
    assert f"Left out: {', '.join(PICTURES)}, for want of Matplotlib: pip install 'niwt-tf[plots]'." in job.err
    assert not [name for name in PICTURES if (run_copy / "evaluate" / name).exists()]
    assert (run_copy / "evaluate/metrics.json").read_bytes() == before


def test_explain_writes_its_record_and_no_picture(niwt, finished_run, tiny_birds, absent, tmp_path):
    photo = Path(shutil.copy(sorted(tiny_birds.rglob("images/*/*.jpg"))[0], tmp_path / "photo.jpg"))
    asked = ["explain", f"--image={photo}", f"--run_dir={finished_run.path}", f"--out={tmp_path / 'out'}"]
    assert niwt(*asked).out.count(f"Picture and record: {tmp_path / 'out/photo.png'}, {tmp_path / 'out/photo.json'}\n") == 1
    absent("matplotlib")
    job = niwt(*asked)
    assert job.status == 0, job.err
    assert job.out.endswith(f"\nRecord: {tmp_path / 'out/photo.json'}\n")
    assert f"Left out: the picture {tmp_path / 'out/photo.png'}, for want of Matplotlib" in job.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo.json"]


@pytest.mark.parametrize(
    ("module", "job", "name", "extra"),
    [
        ("matplotlib", "lambda_sweep", "Matplotlib", "plots"),
        ("optuna", "sweep", "Optuna", "sweep"),
        ("onnxruntime", "export_onnx", "ONNX Runtime", "onnx"),
        ("ai_edge_litert", "export_litert", "ai-edge-litert", "litert"),
        ("streamlit", "studio", "Streamlit", "studio"),
    ],
)
def test_a_job_that_cannot_do_without_says_so_before_any_work(niwt, absent, module, job, name, extra):
    absent(module)
    done = niwt(job)
    assert (done.status, done.out) == (2, "")
    assert done.err == f"niwt {job}: niwt {job} needs {name}: pip install 'niwt-tf[{extra}]'. Received: no {module}.\n"


def test_a_client_over_grpc_names_the_other_way(niwt, absent, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    absent("tensorflow_serving")
    done = niwt("classify", "--server=grpc://localhost:1", "--name=birds", f"--images={tmp_path / 'a.png'}")
    rule = "A server at grpc:// needs tensorflow-serving-api: pip install 'niwt-tf[serve]', or ask it over http://"
    assert done.status == 2 and f"{rule}. Received: no tensorflow_serving." in done.err


@pytest.mark.slow
def test_the_loopback_server_says_what_it_needs(repository):
    code = (
        "import runpy, sys; sys.modules['tensorflow_serving'] = None; sys.argv[1:] = ['folder', 'birds'];"
        "runpy.run_module('niwt_tf.serving.loopback', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False)
    rule = "loopback: The loopback server needs tensorflow-serving-api: pip install 'niwt-tf[serve]'"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"{rule}. Received: no tensorflow_serving.")


@pytest.mark.slow
def test_a_report_without_tensorboard_is_a_page_alone(niwt, run_copy, absent):
    shutil.rmtree(run_copy / "report")
    absent("tensorboard")
    job = niwt("report", f"--run_dir={run_copy}")
    assert job.status == 0, job.err
    assert "Left out: tensorboard/, for want of TensorBoard: pip install 'niwt-tf[plots]'." in job.err
    assert sorted(path.name for path in (run_copy / "report").iterdir()) == ["manifest.json", "report.html"]
