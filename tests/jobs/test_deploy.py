"""`niwt deploy`: every class that has photographs, as a measured run chose; and what a run says of classes that it hides."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from niwt_tf.data.schema import Dataset, Knowledge
from niwt_tf.data.splits import random_split
from niwt_tf.jobs.run import _in_words, _say_hidden, _typical, time_left


def _data(num_unseen: int) -> Any:
    names = ("ape", "bear", "cat", "dog", "eel")
    labels = np.repeat(np.arange(4), 3)
    paths = tuple(f"{names[label]}/{number}.jpg" for number, label in enumerate(labels))
    dataset = Dataset("folder", cast(Any, None), paths, labels, names, Knowledge(np.eye(5), names, ("",) * 5))
    return SimpleNamespace(dataset=random_split(dataset, num_unseen, 0))


def test_a_run_names_the_classes_that_it_hides(caplog):
    with caplog.at_level(logging.INFO, "niwt_tf.jobs"):
        _say_hidden(cast(Any, SimpleNamespace(path="runs/pets")), _data(2))
        said = caplog.text
        _say_hidden(cast(Any, SimpleNamespace(path="runs/pets")), _data(0))
    assert caplog.text == said
    hidden = said.partition("without photographs: ")[2].partition(". ")[0].split(", ")
    assert len(hidden) == 2
    assert "eel" not in hidden
    assert "niwt deploy --run_dir=runs/pets" in said


def test_there_must_be_a_measured_run(niwt, tmp_path):
    job = niwt("deploy", f"--run_dir={tmp_path}/none")
    assert job.status == 2
    assert "--run_dir must be the folder of a run" in job.err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_every_class_is_trained_as_the_measured_run_chose(niwt, run_copy, tmp_path):
    job = niwt("deploy", f"--run_dir={run_copy}", f"--deploy_dir={tmp_path}/all", f"--export_dir={tmp_path}/ex")
    assert job.status == 0, job.err
    chosen, again = (
        json.loads((run / "transfer/selection.json").read_text())["chosen"] for run in (run_copy, tmp_path / "all")
    )
    figures = {"harmonic_mean", "acc_zsl", "calibration"}
    own = {name for name in chosen if name not in figures and not isinstance(chosen[name], float)}
    assert {name: chosen[name] for name in own} == {name: again[name] for name in own}
    metadata = json.loads((tmp_path / "ex/1/niwt.json").read_text())
    assert metadata["unseen"] == []
    measured = json.loads((run_copy / "metrics.json").read_text())
    assert metadata["estimates"]["harmonic_mean"] == measured["harmonic_mean"]
    assert "estimates    for classes that have only a description, from" in job.out


@pytest.mark.parametrize(
    ("took", "at", "head", "seconds"),
    [
        # A pace of 2: importance, map and transfer are expected to take 2 * (7 + 1 + 4).
        ({"train": 200.0}, "importance", False, 24),
        ({"train": 200.0, "importance": 30.0, "map": 2.0}, "transfer", False, 4 * 232 / 108),
        # What was made before takes as long again.
        ({"train": 200.0, "importance": 50.0}, "importance", False, 50 + 2 * 5),
        ({"train": 10.0}, "importance", True, 29.6),
    ],
)
def test_the_time_left(took, at, head, seconds):
    run = cast(Any, SimpleNamespace(settings=SimpleNamespace(method="niwt", finetune="head" if head else "all")))
    typical = _typical(run, ["train", "importance", "map", "transfer"])
    assert time_left(took, typical, at) == pytest.approx(seconds)


@pytest.mark.parametrize(("seconds", "words"), [(0, "10 s"), (44, "40 s"), (89, "90 s"), (100, "2 min"), (7200, "2.0 h")])
def test_the_time_left_in_words(seconds, words):
    assert _in_words(seconds) == f"about {words}"
