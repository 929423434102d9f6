"""Whole runs on other descriptions than attributes, and classes that are added to what they export."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.files import read_json
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.descriptions import bundle_words


def _word_vectors(birds: Path, path: Path) -> Path:
    """Write a vector of four random numbers for every word of the birds' captions."""
    texts = " ".join(file.read_text() for file in (birds / "text_c10").rglob("*.txt"))
    words = sorted(set(re.findall(r"\w+", texts.lower())))
    vectors = np.random.default_rng(0).normal(size=(len(words), 12))
    rows = [f"{word} {' '.join(f'{number:.4f}' for number in row)}" for word, row in zip(words, vectors, strict=True)]
    path.write_text("\n".join([f"{len(words)} 12", *rows]) + "\n")
    return path


@pytest.mark.slow
@pytest.mark.combination
def test_word_vectors_and_joined_sources_through_every_stage(niwt, tiny_birds, tiny_flags, tmp_path):
    vectors = _word_vectors(tiny_birds, tmp_path / "v.vec")
    common = [f"--data_dir={tiny_birds}", "--num_unseen=3", *tiny_flags, f"--stage_store={tmp_path / 'store'}"]
    common += [f"--text_features=vectors:{vectors}"]
    exported = tmp_path / "exports"
    job = niwt(
        "run", "--knowledge=captions", f"--run_dir={tmp_path}/a", f"--export_dir={exported}", "--until=export", *common
    )
    assert job.status == 0, job.err
    words = bundle_words(Bundle.open(exported))
    assert words is not None
    assert len(Bundle.open(exported).attribute_names) == len(words.names) == 12
    job = niwt("add_class", f"--bundle={exported}", "--name=new", "--text=a bird with a red crown and blue wings")
    assert job.status == 0, job.err
    assert Bundle.open(exported).labels[-1] == "new"
    job = niwt("run", "--knowledge=binary+captions", f"--run_dir={tmp_path}/b", "--until=evaluate", *common)
    assert job.status == 0, job.err
    assert "train is reused from" in job.err
    first, second = ({name: read_json(tmp_path / run / name / "manifest.json") for name in ("train", "map")} for run in "ab")
    assert first["train"]["identity"] == second["train"]["identity"]
    assert first["map"]["data"] != second["map"]["data"]
