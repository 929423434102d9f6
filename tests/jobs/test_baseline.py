"""`niwt baseline` on a finished run."""

from __future__ import annotations

import logging
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from niwt_tf.config.names import COMPARED, DEFAULT_METHOD, METHOD_STAGES
from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions
from niwt_tf.files import read_json
from niwt_tf.jobs import baseline
from niwt_tf.methods.registry import method_of
from niwt_tf.metrics.gzsl import evaluate_scores

pytestmark = pytest.mark.slow


@pytest.fixture
def flags(run_copy, finished_run):
    return [f"--run_dir={run_copy}", f"--export_dir={finished_run.exports}", "--noprogress"]


def test_all_methods_beside_niwt(niwt, run_copy, flags, short_grids):
    job = niwt("baseline", *flags)
    assert job.status == 0, job.err
    own = read_json(run_copy / "metrics.json")
    reading = [name for name in COMPARED if name != "oracle" and method_of(name).reads_texts]
    assert reading == ["n3", "pdcnn_fc", "pdcnn_conv", "megazsl"]
    said = "PDCNN fc, PDCNN fc+conv, MEGAZSL need texts and are left out: no part of --knowledge=attributes is a text."
    assert job.err.count(said) == 1
    assert not any((run_copy / f"baseline_{name}").exists() for name in (*reading, *METHOD_STAGES))
    for name in set(COMPARED) - set(reading) - set(METHOD_STAGES):
        folder = run_copy / f"baseline_{name}"
        metrics, chosen = read_json(folder / "metrics.json"), read_json(folder / "chosen.json")
        assert (metrics["method"], metrics["features"]) == (name, "head")
        assert metrics["uses_test_labels"] == (["trained on images of unseen classes"] if name == "oracle" else [])
        for shared in ("num_seen", "num_unseen", "num_test_images", "chance_zsl", "seed"):
            assert metrics[shared] == own[shared]
        with np.load(folder / "scores.npz", allow_pickle=False) as file, np.load(run_copy / "evaluate" / "scores.npz") as ours:
            np.testing.assert_array_equal(file["labels"], ours["labels"])
            found = evaluate_scores(file["logits"], file["labels"], own["num_seen"], metrics["calibration"]).scalars()
        assert {key: metrics[key] for key in found} == pytest.approx(found)
        assert chosen["chosen"] in chosen["trials"]
        assert metrics["validation_harmonic_mean"] == chosen["chosen"]["harmonic_mean"]
    rows = [line.split()[0] for line in job.out.splitlines()[1:-1]]
    assert rows == ["NIWT", "ALE", "DEM", "ESZSL", "SynC", "CNZSL", "SAE", "CVAE", "class", "class", "random", "oracle"]
    assert job.out.splitlines()[-1] == "oracle is optimistic: it uses test labels: trained on images of unseen classes."
    assert [line.endswith("  optimistic") for line in job.out.splitlines()[1:-1]] == [False] * 11 + [True]
    assert read_json(run_copy / "metrics.json") == own


def test_a_method_with_stages_is_a_method_like_others(niwt, run_copy, flags):
    """What the run's own method comes to in a run is what it comes to beside one."""
    job = niwt("baseline", f"--methods={DEFAULT_METHOD}", *flags)
    assert job.status == 0, job.err
    own, beside = read_json(run_copy / "metrics.json"), read_json(run_copy / f"baseline_{DEFAULT_METHOD}" / "metrics.json")
    for name in ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc", "validation_harmonic_mean"):
        assert beside[name] == pytest.approx(own[name], abs=1e-6), name
    assert [line.split("  ")[0] for line in job.out.splitlines()[1:]] == ["NIWT (this run)", "NIWT"]
    job = niwt("baseline", f"--methods={DEFAULT_METHOD}", "--baseline_features=map", "--overwrite", *flags)
    assert job.status == 2
    assert f"--baseline_features must be head for --methods={DEFAULT_METHOD}. Received: 'map'." in job.err


def test_a_finished_method_is_kept_and_another_source_is_not_the_same(niwt, run_copy, flags, short_grids):
    assert niwt("baseline", "--methods=random,class_mean", *flags).status == 0
    shutil.rmtree(run_copy / "baseline_random")
    job = niwt("baseline", "--methods=class_mean,random", *flags)
    assert "baseline_class_mean is up to date." in job.err
    assert "baseline_random is up to date." not in job.err
    assert not (run_copy / "baseline_ale").exists()
    before = read_json(run_copy / "baseline_class_mean" / "metrics.json")
    job = niwt("baseline", "--methods=all", "--baseline_features=map", *flags)
    assert job.status == 2 and "--baseline_features must be head, as class_mean was scored in" in job.err
    assert read_json(run_copy / "baseline_class_mean" / "metrics.json") == before
    job = niwt("baseline", "--methods=class_mean", "--baseline_features=map", "--overwrite", *flags)
    assert "baseline_class_mean is made again: it was made with another baseline_features." in job.err
    assert read_json(run_copy / "baseline_class_mean" / "metrics.json")["features"] == "map"
    assert "class mean is optimistic: its test images were also scored with another --baseline_features." in job.out


def test_the_method_is_that_of_the_run_and_what_is_scored_is_named_otherwise(niwt, run_copy, flags):
    for name in ("method", "head"):
        job = niwt("baseline", f"--{name}=class_mean", *flags)
        assert job.status == 2
        assert f"--method was {DEFAULT_METHOD}, now class_mean. Give --overwrite" in job.err
        assert job.err.endswith("The methods to score beside the method of the run are given by --methods.\n")
        assert not (run_copy / "baseline_class_mean").exists()
        assert ("--head is now called --method." in job.err) == (name == "head")


def test_a_misspelt_method_is_one_sentence(niwt, run_copy, flags):
    job = niwt("baseline", "--methods=alle", *flags)
    assert (job.status, job.err.count("\n")) == (2, 1)
    assert "--methods must be one of all, niwt, n3, ale, dem" in job.err
    job = niwt("baseline", "--methods=ale,ale", *flags)
    assert job.status == 2 and "--methods must not name anything twice. Received: ('ale', 'ale')." in job.err


@pytest.mark.parametrize(
    ("options", "texts", "why"),
    [
        ({}, ("red",), "no part of --knowledge=attributes is a text."),
        ({"knowledge": "texts"}, ("",), "A method that reads words needs a text for each class. Received: none for 'a'."),
        ({"knowledge": "texts", "text_features": "encoder:/nowhere"}, ("red",), "/nowhere"),
        ({"knowledge": "texts", "text_features": "encoder_words:{bert}"}, ("red",), None),
    ],
)
def test_all_leaves_out_what_finds_no_texts_and_whatever_is_named_stays(options, texts, why, tiny_bert, caplog):
    settings = Settings(**{name: value.format(bert=tiny_bert) for name, value in options.items()})
    run = SimpleNamespace(settings=settings)
    data = SimpleNamespace(seen=SimpleNamespace(descriptions=Descriptions(("a",), np.zeros((1, 2), np.float32), texts)))
    every = ("ale", "pdcnn_fc", "pdcnn_conv", "oracle")
    with caplog.at_level(logging.INFO, "niwt_tf"):
        assert baseline._readable(run, data, every, ("all",)) == (("ale", "oracle") if why else every)
        assert [line.startswith("PDCNN fc, PDCNN fc+conv need texts and are left out: ") for line in caplog.messages] == [
            True
        ] * bool(why)
        assert not why or why in caplog.text
        caplog.clear()
        assert baseline._readable(run, data, every, every) == every  # each says itself what it lacks
        assert not caplog.messages
