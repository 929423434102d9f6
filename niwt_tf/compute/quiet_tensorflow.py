"""Importing TensorFlow without the lines that it writes before its log level is heeded."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from niwt_tf.config.surroundings import check_keras_settings


@contextmanager
def tensorflow_without_keras() -> Iterator[None]:
    """Import TensorFlow as `import_quietly` does, but not Keras with it, for jobs that only run what was exported.

    TensorFlow imports Keras, and that scikit-learn, where they can be found; without them it is there in half the time. In a
    process that has either already nothing is kept from it.
    """
    if "keras" in sys.modules or "tensorflow" in sys.modules:
        import_quietly()
        yield
        return
    sys.modules["keras"] = None  # type: ignore[assignment]
    try:
        import_quietly()
        yield
    finally:
        del sys.modules["keras"]


def import_quietly() -> None:
    """Import TensorFlow silently, unless the user set TF_CPP_MIN_LOG_LEVEL: then it says what they asked for.

    Raises:
        InputError: the user's keras.json would end it.
        Exception: the import fails; what it wrote is then shown.
    """
    if "tensorflow" in sys.modules:
        return
    check_keras_settings()
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    # Its Python half warns of every function that is traced for a fold's network, which is meant.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Errors that matter are raised as well; the level of errors alone reports on every machine without a GPU.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        # TensorFlow's C++ half writes to the descriptor itself, not to sys.stderr.
        os.dup2(said.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
