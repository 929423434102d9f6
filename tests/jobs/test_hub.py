"""`niwt run` with a hub module as the backbone."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.config.settings import SETTINGS
from niwt_tf.files import read_json
from niwt_tf.jobs.flags import absolute
from niwt_tf.models.network import Network
from niwt_tf.runs.fingerprints import weights_fingerprint
from tests.hub_modules import save_reusable
from tests.shared import further


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return save_reusable(tmp_path_factory.mktemp("modules") / "any", size=None)


@pytest.fixture
def flags(tiny_birds, tiny_flags, module, tmp_path):
    folders = [f"--data_dir={tiny_birds}", f"--run_dir={tmp_path / 'run'}", f"--export_dir={tmp_path / 'exports'}"]
    return [*folders, "--num_unseen=3", *tiny_flags, f"--backbone=hub:{module}", "--layer=net/first"]


def _module_weights(path):
    return [weight.numpy() for weight in Network.load(path).model.get_layer("net_first").trainable_weights]


@pytest.mark.slow
@pytest.mark.parametrize("finetune", further("head", "all"))
def test_a_whole_run(finetune, flags, niwt, module, tmp_path):
    rates = ["--finetune_learning_rate=1e-3", "--learning_rate=1e-2"]
    job = niwt("run", *flags, f"--finetune={finetune}", *rates)
    assert job.status == 0, job.err
    assert "with random weights" not in job.err
    run = tmp_path / "run"
    assert 0 <= read_json(run / "metrics.json")["harmonic_mean"] <= 1
    history = read_json(run / "train" / "history.json")["main"]
    assert [record["phase"] for record in history] == ["head"] * 2 + ["all"] * (2 if finetune == "all" else 0)
    from niwt_tf.models.backbones import build_network

    fresh = build_network(f"hub:{module}", ("a",), layer="net/first", input_size=32).model.get_layer("net_first")
    moved = [
        np.abs(own.numpy() - trained).max()
        for own, trained in zip(fresh.trainable_weights, _module_weights(run / "train" / "main.keras"), strict=True)
    ]
    assert all(step > 1e-4 for step in moved) if finetune == "all" else moved == [0.0] * len(moved)
    made = read_json(run / "train" / "manifest.json")["identity"]
    again = niwt("run", *flags, f"--finetune={finetune}", *rates)
    assert again.status == 0, again.err
    assert read_json(run / "train" / "manifest.json")["identity"] == made


@pytest.mark.slow
@pytest.mark.combination
def test_an_export_needs_no_module(flags, niwt, module, tmp_path):
    own = shutil.copytree(module, tmp_path / "own")
    job = niwt("run", *flags, f"--backbone=hub:{own}", "--finetune=head")
    assert job.status == 0, job.err
    images = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    expected = np.asarray(Network.load(tmp_path / "run" / "transfer" / "network.keras").model(images, training=False))
    shutil.rmtree(own)
    saved = tf.saved_model.load(str(tmp_path / "exports" / "1"))
    np.testing.assert_allclose(saved.signatures["logits"](tf.constant(images))["logits"], expected, rtol=1e-4, atol=1e-5)
    assert niwt("train", *flags, f"--backbone=hub:{own}", "--finetune=head").status == 2


def test_a_missing_module_is_one_sentence(flags, niwt, tmp_path):
    job = niwt("train", *flags, f"--backbone=hub:{tmp_path / 'nowhere'}")
    assert job.status == 2
    assert job.err.strip().splitlines()[-1].startswith("niwt train: A hub module must be a handle")
    assert not (tmp_path / "run" / "train").exists()


def test_a_folder_is_made_absolute_by_the_command_line(module, monkeypatch):
    monkeypatch.chdir(module.parent)
    declared = next(option for option in SETTINGS if option.name == "backbone")
    assert absolute(declared, "hub:any") == f"hub:{module}"
    assert absolute(declared, "small_vgg") == "small_vgg"


def test_the_stage_depends_on_what_the_module_holds(module, tmp_path):
    copy = shutil.copytree(module, tmp_path / "copy")
    first = weights_fingerprint("none", f"hub:{copy}")
    assert first == weights_fingerprint("none", f"hub:{module}")
    assert weights_fingerprint("none", "small_vgg") == {}
    data = next((copy / "variables").glob("*data*"))
    data.write_bytes(data.read_bytes()[:-1] + b"?")
    assert first != weights_fingerprint("none", f"hub:{copy}")
