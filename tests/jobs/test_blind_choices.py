"""The jobs choose the same whatever the test images show."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.load import load_dataset
from niwt_tf.data.schema import test_data as images_to_test
from niwt_tf.files import read_json
from niwt_tf.jobs import run_data


def _assert_same(found: object, expected: object, where: str) -> None:
    """Compare what two JSON files hold, numbers within rounding.

    One run reads features from its cache that the other computes in batches of other sizes, which some processors round
    differently, and ALE's stochastic descent makes more of it: 1e-3 of a calibration. An accuracy that is another differs by an
    image's share of its class, a tenth.
    """
    if isinstance(expected, dict):
        assert isinstance(found, dict) and found.keys() == expected.keys(), where
        for name, value in expected.items():
            _assert_same(found[name], value, f"{where} {name}")
    elif isinstance(expected, list):
        assert isinstance(found, list) and len(found) == len(expected), where
        for place, value in enumerate(expected):
            _assert_same(found[place], value, f"{where} {place}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-2, abs=1e-3), where
    else:
        assert found == expected, where


def _garbage(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(file, "JPEG", quality=5)
    return file.getvalue()


@pytest.mark.slow
def test_baselines_and_transfer_choose_the_same_whatever_the_test_images_show(
    niwt, finished_run, tiny_birds, tmp_path, monkeypatch
):
    birds = shutil.copytree(tiny_birds, tmp_path / "birds")
    images = images_to_test(load_dataset("birds", birds, num_unseen=3, seed=3)).images
    colours = np.random.default_rng(0).integers(0, 256, (len(images), 3)).tolist()
    for path, colour in zip(images.paths, colours, strict=True):
        (images.root / path).write_bytes(_garbage(tuple(colour)))
    clean_images = tiny_birds / images.root.relative_to(birds)
    for name in ("data_fingerprint", "image_fingerprint"):
        # Contents are a part of the data; here they must not tell, so that the network stays as it was trained.
        of_data = getattr(run_data, name)
        monkeypatch.setattr(run_data, name, lambda data, of=of_data: of(data.replace(root=clean_images, digests={})))
    clean, blind = (shutil.copytree(finished_run.path, tmp_path / name) for name in ("clean", "blind"))
    shutil.rmtree(blind / ".cache", ignore_errors=True)
    for stage in ("transfer", "evaluate", "faithfulness", "report"):
        shutil.rmtree(blind / stage)
    methods = "--methods=eszsl,ale,class_mean"
    assert niwt("baseline", f"--run_dir={clean}", methods, "--noprogress").status == 0
    flags = [f"--run_dir={blind}", f"--data_dir={birds}", "--overwrite", "--noprogress"]
    job = niwt("run", *flags, "--until=evaluate")
    assert job.status == 0, job.err
    assert "train is up to date." in job.err
    assert niwt("baseline", f"--run_dir={blind}", methods, "--noprogress").status == 0
    chosen = ["transfer/selection.json", *(f"baseline_{name}/chosen.json" for name in ("eszsl", "ale", "class_mean"))]
    for name in chosen:
        _assert_same(read_json(blind / name), read_json(clean / name), name)
    for stage in ("evaluate", "baseline_eszsl"):
        one, other = (read_json(run / stage / "metrics.json")["acc_seen"] for run in (clean, blind))
        assert one != other
