"""That the verification sees what it should: each fault by itself."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from niwt_tf.errors import InputError
from niwt_tf.serving.checks.check_processes import NO_END, ProcessAnswers
from niwt_tf.serving.export import verification
from niwt_tf.serving.export.verification import VerificationError, ask_fresh_process, further_inputs, read_check_images, verify
from tests.serving.answers import verified_here


@pytest.fixture(scope="module")
def images(image_paths):
    return read_check_images(image_paths, 16)


@pytest.fixture(scope="module")
def answer(saved_model, images, network, contents):
    with verified_here():  # a fresh process answers in the export of `finished_run` and in slow tests
        return ask_fresh_process(saved_model, images, further_inputs(network, contents, len(images.paths)))


SIGNATURE_OF = {
    **dict.fromkeys(("logits", "features"), "logits"),
    **dict.fromkeys(("labels", "scores", "is_seen"), "serving_default"),
}


@pytest.fixture
def verified(answer, network, contents, images, monkeypatch):
    """Return a function that verifies an answer with some outputs changed."""

    def call(of=network, **changes):
        changed = {signature: dict(outputs) for signature, outputs in answer.items()}
        for name, value in changes.items():
            output, _, signature = name.partition(" of ")
            changed[signature or SIGNATURE_OF[output]][output] = value
        changed["classify"] = {"classes": changed["serving_default"]["labels"], "scores": changed["serving_default"]["scores"]}
        monkeypatch.setattr(verification, "ask_fresh_process", lambda *_: changed)
        return verify(None, of, contents, images, 3)

    return call


def test_a_true_answer_passes(verified):
    assert verified().largest_score_difference <= 1e-5


def test_two_classes_with_one_logit_may_change_places(answer, network, images, verified):
    told = answer["serving_default"]
    first, second, *_ = (network.index_of(label) for label in told["labels"][0])
    columns, biases = network.columns, network.biases
    columns[:, second], biases[second] = columns[:, first], biases[first]
    if (first < network.num_seen) != (second < network.num_seen):
        biases[second] += 0.75 if second < network.num_seen else -0.75
    tied = network.with_head(columns, biases, network.class_names, network.num_seen)
    logits = np.asarray(tied.model(images.pixels, training=False))
    scores = np.exp(logits / 2) / np.exp(logits / 2).sum(1, keepdims=True)
    order = np.argsort(-logits, axis=1)[:, :3]
    swapped = [[{first: second, second: first}.get(c, c) for c in row] for row in order]
    described = np.array(answer["classify_with"]["logits"])
    described[:, :7] = logits
    explained = {
        "label of explain": [tied.class_names[row[0]] for row in swapped],
        "score of explain": np.take_along_axis(scores, order, 1)[:, 0].tolist(),
        "score of explain_class": scores[:, -1].tolist(),
    }
    verified(
        tied,
        logits=logits,
        scores=np.take_along_axis(scores, order, 1),
        labels=[[tied.class_names[c] for c in row] for row in swapped],
        is_seen=[[float(c < tied.num_seen) for c in row] for row in swapped],
        **{"logits of classify_with": described, **explained},
    )


@pytest.mark.parametrize("what", ["logits", "features", "scores"])
@pytest.mark.parametrize("fault", [0.01, np.nan])
def test_other_numbers_are_seen(answer, verified, what, fault):
    wrong = np.array(answer[SIGNATURE_OF[what]][what])
    wrong[-1, -1] += fault * max(1.0, np.abs(wrong).max())
    with pytest.raises(VerificationError, match=f"{what} must agree"):
        verified(**{what: wrong})


def test_other_shapes_are_seen(answer, verified):
    with pytest.raises(VerificationError, match=r"scores must be \[5, 3\]. Received: \[4, 3\]"):
        verified(scores=answer["serving_default"]["scores"][:-1])


@pytest.mark.parametrize("label", ["cat", "unheard of"])
def test_other_labels_are_seen(answer, verified, label):
    wrong = [list(row) for row in answer["serving_default"]["labels"]]
    wrong[2] = [label, label, label]
    with pytest.raises(VerificationError, match=r"2\.png must be labelled"):
        verified(labels=wrong)


def test_seen_classes_called_unseen_are_seen(answer, verified):
    wrong = [[1.0 - value for value in row] for row in answer["serving_default"]["is_seen"]]
    with pytest.raises(VerificationError, match="known to be seen or unseen"):
        verified(is_seen=wrong)


def test_other_logits_of_described_classes_are_seen(answer, verified):
    wrong = np.array(answer["classify_with"]["logits"])
    wrong[0, -1] += 1.0
    with pytest.raises(VerificationError, match="logits of classify_with must agree"):
        verified(**{"logits of classify_with": wrong})


def test_an_explanation_of_another_class_is_seen(answer, verified):
    runners_up = answer["explain"]["runner_up"]
    with pytest.raises(VerificationError, match="explain must be about the best class"):
        verified(**{"label of explain": runners_up})


@pytest.mark.slow
def test_a_model_that_does_not_load_is_seen(saved_model, images, network, contents, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes((saved_model / "saved_model.pb").read_bytes())
    with pytest.raises(VerificationError, match="does not work without Keras"):
        ask_fresh_process(tmp_path, images, further_inputs(network, contents, len(images.paths)))


def test_a_machine_that_is_too_busy_is_said(saved_model, images, network, contents, monkeypatch):
    """Not that the model does not work: that is not known."""
    monkeypatch.setattr("niwt_tf.serving.export.verification.ask", lambda *_: ProcessAnswers([], NO_END))
    with pytest.raises(InputError, match="give the same command again. Received: no end after 600 s."):
        ask_fresh_process(saved_model, images, further_inputs(network, contents, len(images.paths)))


@pytest.mark.slow
def test_the_fresh_process_needs_no_module_that_imports_keras():
    program = (
        "import sys; sys.modules['keras'] = None\n"
        "import niwt_tf.serving.checks.session_process, niwt_tf.serving.predict\n"
        "print([name for name in sys.modules if name.startswith('niwt_tf.models')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
