"""Running an exported SavedModel as a server does: through a Session, without Keras and without the Python that made it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.versions import saved_model_folder

_BATCH = 32


class Servable:
    """A SavedModel in a Session of its own. Made by `opened`."""

    def __init__(self, session: tf.compat.v1.Session, signatures: Mapping[str, object]) -> None:
        self._session = session
        self._signatures = dict(signatures)

    @property
    def signatures(self) -> tuple[str, ...]:
        """Names of the signatures."""
        return tuple(sorted(name for name in self._signatures if not name.startswith("__")))

    def inputs(self, signature: str) -> tuple[str, ...]:
        """Return the names of a signature's inputs."""
        return tuple(self._signatures[signature].inputs)  # type: ignore[attr-defined]

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs, by name, of one signature.

        Raises:
            tf.errors.OpError: the signature cannot be computed on these inputs.
        """
        tensors = self._signatures[signature]
        feed = {tensors.inputs[name].name: value for name, value in inputs.items()}  # type: ignore[attr-defined]
        fetch = {name: info.name for name, info in tensors.outputs.items()}  # type: ignore[attr-defined]
        return dict(self._session.run(fetch, feed))


@contextmanager
def opened(folder: str | os.PathLike[str]) -> Iterator[Servable]:
    """Load a SavedModel, or the newest version in a folder of them, and yield it.

    Raises:
        InputError: there is none.
    """
    path = saved_model_folder(folder)
    session = tf.compat.v1.Session(graph=tf.Graph())
    try:
        # Not as a context: a Session's context would turn off eager execution in the caller's block.
        with _session_is_meant():
            loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        yield Servable(session, loaded.signature_def)
    finally:
        session.close()


@contextmanager
def _session_is_meant() -> Iterator[None]:
    """Keep TensorFlow from warning that loading into a Session is deprecated."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@dataclass(frozen=True)
class Predictions:
    """The best classes of B images.

    Attributes:
        labels: B tuples of k class names, best first.
        scores: float32 [B, k], their probabilities.
        is_seen: bool [B, k], whether the network was trained on photographs of them.
    """

    labels: tuple[tuple[str, ...], ...]
    scores: np.ndarray
    is_seen: np.ndarray


def predict(folder: str | os.PathLike[str], images: Sequence[str | os.PathLike[str]], batch_size: int = _BATCH) -> Predictions:
    """Classify image files by an exported SavedModel.

    Args:
        folder: a version of an export, or the folder of its versions (the newest is taken).
        images: at least one file.
        batch_size: images a request, at least 1.

    Raises:
        InputError: no SavedModel, no image, or a file that cannot be read or decoded; it is named.
    """
    with opened(folder) as servable:
        return classify(servable, images, batch_size)


def classify(servable: Servable, images: Sequence[str | os.PathLike[str]], batch_size: int = _BATCH) -> Predictions:
    """Classify image files as `predict` does, by a SavedModel that is loaded already.

    Raises:
        InputError: no image, or a file that cannot be read or decoded; it is named.
    """
    if not images:
        raise InputError("images must name at least one file. Received: none.")
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1. Received: {batch_size}.")
    paths = [Path(image) for image in images]
    answers = [_answer(servable, paths[start : start + batch_size]) for start in range(0, len(paths), batch_size)]
    labels = [tuple(name.decode() for name in row) for answer in answers for row in answer["labels"]]
    scores, is_seen = (np.concatenate([answer[name] for answer in answers]) for name in ("scores", "is_seen"))
    return Predictions(tuple(labels), scores, is_seen > 0)


def _answer(servable: Servable, images: Sequence[Path]) -> dict[str, np.ndarray]:
    encoded = [read_image(image) for image in images]
    try:
        return servable.run("serving_default", {"image_bytes": np.array(encoded, object)})
    except tf.errors.InvalidArgumentError:
        # One bad image fails its whole batch; alone it can be named.
        for image, content in zip(images, encoded, strict=True):
            try:
                servable.run("serving_default", {"image_bytes": np.array([content], object)})
            except tf.errors.InvalidArgumentError:
                raise InputError(f"images must be files that can be decoded. Received: {str(image)!r}.") from None
        raise


def read_image(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        InputError: it cannot be read; it is named.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"images must be files that can be read. Received: {str(path)!r} ({reason}).") from None


_ROOT = Path(__file__).resolve().parents[2]


def child_environment() -> dict[str, str]:
    """Return this process's environment, with this package on the path, and without GPUs, whose memory it may hold whole."""
    above = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(above), **quiet}
