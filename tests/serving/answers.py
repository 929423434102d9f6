"""What a SavedModel says that image files show."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from niwt_tf.serving import predict as predict_module
from niwt_tf.serving.checks.check_processes import SESSION, ProcessAnswers
from niwt_tf.serving.checks.messages import Message, append_message, read_messages
from niwt_tf.serving.checks.session_process import answer_all
from niwt_tf.serving.export import verification
from niwt_tf.serving.predict import opened


class Predictions(NamedTuple):
    """The best classes of each image, best first."""

    labels: tuple[tuple[str, ...], ...]
    scores: np.ndarray
    is_seen: np.ndarray


def predict(folder: Path, images: Sequence[Path]) -> Predictions:
    """Return what the signature `serving_default` answers."""
    with opened(folder) as servable:
        files = np.array([Path(image).read_bytes() for image in images], object)
        said = servable.run("serving_default", {"image_bytes": files})
    labels = tuple(tuple(label.decode() for label in row) for row in said["labels"])
    return Predictions(labels, said["scores"], said["is_seen"] > 0)


def answered_here(
    command: Sequence[str], folder: Path, requests: Sequence[Message], ports: Mapping[str, Any], opened: Callable = opened
) -> ProcessAnswers:
    """Answer in this process what `ask` has a Session in another one answer, which takes seconds to start."""
    assert command == SESSION
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        questions, answers = Path(name, "requests.bin"), Path(name, "answers.bin")
        for path in (questions, answers):
            path.touch()
        for request in requests:
            append_message(questions, request)
        patch.setattr(predict_module, "opened", opened)
        answer_all(folder, questions, answers)
        return ProcessAnswers(read_messages(answers))


@contextmanager
def verified_here() -> Iterator[None]:
    """Verify exports in this process; that of `finished_run` is verified in another one, as always outside of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "ask", answered_here)
        yield
