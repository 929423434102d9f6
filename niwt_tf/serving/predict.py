"""Running an exported SavedModel as a server does: through a Session, without Keras and without the Python that made it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from niwt_tf.data.images.decode import decode_image
from niwt_tf.data.images.foreign import read_known, stored_bytes
from niwt_tf.data.schema import InputForm
from niwt_tf.errors import InputError
from niwt_tf.files import literal_folder
from niwt_tf.serving.bundle.versions import saved_model_folder


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
    logger = logging.getLogger("tensorflow")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)  # it warns that loading into a Session is deprecated
        try:
            # Not as a context: a Session's context would turn off eager execution in the caller's block.
            loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(literal_folder(path)))
        finally:
            logger.setLevel(level)
        yield Servable(session, loaded.signature_def)
    finally:
        session.close()


def read_image(path: Path) -> bytes:
    """Return the bytes of an image file as a graph decodes them.

    Raises:
        InputError: it cannot be read; it is named.
    """
    try:
        return read_known(path)
    except InputError as error:
        raise InputError(f"images must be files that can be decoded. Received: {str(path)!r} ({error}).") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def read_file(path: Path) -> bytes:
    """Return the bytes of an image file as they are.

    Raises:
        InputError: it cannot be read; it is named.
    """
    try:
        return stored_bytes(path)
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> InputError:
    reason = error.strerror or type(error).__name__
    return InputError(f"images must be files that can be read. Received: {str(path)!r} ({reason}).")


def read_pixels(path: Path, form: InputForm, argument: str = "images") -> np.ndarray:
    """Return an image file as a network of a form takes it, float32 [S, S, 3], RGB in 0..255.

    Raises:
        InputError: it cannot be read or decoded; it is named. `argument` is what gave it.
    """
    encoded = read_image(path)
    try:
        return np.asarray(decode_image(tf.constant(encoded), form))
    except tf.errors.InvalidArgumentError:
        raise InputError(f"{argument} must be files that can be decoded. Received: {str(path)!r}.") from None
