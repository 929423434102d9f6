"""That the verification sees what it should: each fault by itself."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from niwt_tf.serving import verification
from niwt_tf.serving.verification import VerificationError, ask_fresh_process, read_check_images, verify


@pytest.fixture(scope="module")
def images(image_paths):
    return read_check_images(image_paths, 16)


@pytest.fixture(scope="module")
def answer(saved_model, images):
    return ask_fresh_process(saved_model, images)


def _verify(answer, network, images, monkeypatch, **changes):
    monkeypatch.setattr(verification, "ask_fresh_process", lambda *_: {**answer, **changes})
    return verify(None, network, images, 3)


def test_a_true_answer_passes(answer, network, images, monkeypatch):
    assert _verify(answer, network, images, monkeypatch).largest_score_difference <= 1e-5


def test_two_classes_with_one_logit_may_change_places(answer, network, images, monkeypatch):
    first, second, *_ = (network.index_of(label) for label in answer["labels"][0])
    columns, biases = network.columns, network.biases
    columns[:, second], biases[second] = columns[:, first], biases[first]
    if (first < network.num_seen) != (second < network.num_seen):
        biases[second] += 0.75 if second < network.num_seen else -0.75
    tied = network.with_head(columns, biases, network.class_names, network.num_seen)
    logits = np.asarray(tied.model(images.pixels, training=False))
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    order = np.argsort(-logits, axis=1)[:, :3]
    swapped = [[tied.class_names[{first: second, second: first}.get(c, c)] for c in row] for row in order]
    told = {"logits": logits, "scores": np.take_along_axis(scores, order, 1), "labels": swapped}
    _verify(answer, tied, images, monkeypatch, **told)


@pytest.mark.parametrize("what", ["logits", "features", "scores"])
@pytest.mark.parametrize("fault", [0.01, np.nan])
def test_other_numbers_are_seen(answer, network, images, monkeypatch, what, fault):
    wrong = np.array(answer[what])
    wrong[-1, -1] += fault * max(1.0, np.abs(wrong).max())
    with pytest.raises(VerificationError, match=f"{what} must agree"):
        _verify(answer, network, images, monkeypatch, **{what: wrong})


def test_other_shapes_are_seen(answer, network, images, monkeypatch):
    with pytest.raises(VerificationError, match=r"scores must be \[5, 3\]. Received: \[4, 3\]"):
        _verify(answer, network, images, monkeypatch, scores=answer["scores"][:-1])


@pytest.mark.parametrize("label", ["cat", "unheard of"])
def test_other_labels_are_seen(answer, network, images, monkeypatch, label):
    wrong = [list(row) for row in answer["labels"]]
    wrong[2] = [label, label, label]
    with pytest.raises(VerificationError, match=r"2\.png must be labelled"):
        _verify(answer, network, images, monkeypatch, labels=wrong)


def test_a_model_that_does_not_load_is_seen(saved_model, images, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes((saved_model / "saved_model.pb").read_bytes())
    with pytest.raises(VerificationError, match="does not work without Keras"):
        ask_fresh_process(tmp_path, images)


def test_the_fresh_process_needs_no_module_that_imports_keras():
    program = (
        "import sys; sys.modules['keras'] = None\n"
        "import niwt_tf.serving.fresh_process, niwt_tf.serving.predict\n"
        "print([name for name in sys.modules if name.startswith('niwt_tf.models')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
