"""A vision transformer of random weights from a preset's folder, from training to an explained, checked and served bundle."""

from __future__ import annotations

import json

import pytest

from niwt_tf.files import read_json
from niwt_tf.serving.loopback.server import loopback


@pytest.mark.slow
@pytest.mark.combination
def test_a_transformer_goes_all_the_way(niwt, tiny_birds, tiny_flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # explanations go there
    keras_hub = pytest.importorskip("keras_hub")
    sizes = {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 16}
    keras_hub.models.ViTBackbone(image_shape=(32, 32, 3), **sizes).save_to_preset(str(tmp_path / "vit"))
    flags = "--dataset=birds", f"--data_dir={tiny_birds}", "--num_unseen=3", f"--backbone=keras_hub:{tmp_path / 'vit'}"
    flags = *flags, *tiny_flags
    begun = niwt("run", *flags, f"--run_dir={tmp_path / 'run'}", "--epochs=1")
    assert begun.status == 2 and "preprocessing must be given" in begun.err
    options = "--preprocessing=tf", "--epochs=1", f"--export_dir={tmp_path / 'bundle'}"
    job = niwt("run", *flags, f"--run_dir={tmp_path / 'run2'}", *options)
    assert job.status == 0, job.err
    assert "when all 10 classes compete" in job.out
    photo = next(tiny_birds.rglob("*.jpg"))
    assert niwt("explain", f"--image={photo}", f"--run_dir={tmp_path / 'run2'}").status == 0
    assert len(read_json(tmp_path / "explanations" / f"{photo.stem}.json")["heat_map"]) == 4
    checked = niwt("check_export", f"--bundle={tmp_path / 'bundle'}")
    assert checked.status == 0, checked.out
    asked = f"--images={photo}", "--format=json", "--explain"
    own = json.loads(niwt("classify", f"--bundle={tmp_path / 'bundle'}", *asked).out)
    with loopback(tmp_path / "bundle", "birds") as server:
        served = json.loads(niwt("classify", f"--server={server.grpc}", "--name=birds", *asked).out)
    assert [best["label"] for best in served[0]["predictions"]] == [best["label"] for best in own[0]["predictions"]]
    assert served[0]["predictions"][0]["score"] == pytest.approx(own[0]["predictions"][0]["score"], rel=1e-4)
