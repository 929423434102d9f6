"""Requests to a bundle that this process loads itself, without a server."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.bundle import METADATA, Bundle
from niwt_tf.serving.bundle.versions import saved_model_folder
from niwt_tf.serving.client.loaded import load_version
from niwt_tf.serving.client.transport import Outputs


class LocalTransport:
    """A SavedModel, or the newest version in a folder, in a Session of its own.

    A bundle is compared with its fingerprints first; another SavedModel is taken as it is.

    Raises:
        InputError: there is none, it is not as it was written, or it cannot be loaded.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        path = saved_model_folder(folder)
        if (path / METADATA).is_file():
            Bundle.open(path)
        try:
            self._loaded = load_version(int(path.name) if path.name.isdecimal() else 0, path)
        except InputError:
            raise
        except (tf.errors.OpError, OSError, ValueError, RuntimeError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            rule = "folder must be an exported SavedModel that can be loaded."
            raise InputError(f"{rule} Received: {str(path)!r} ({reason}).") from None

    def call(self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float) -> Outputs:
        """See `Transport.call`; it takes the time that it takes."""
        del seconds
        return Outputs(self._loaded.run(signature, inputs), self._loaded.number or None)

    def close(self) -> None:
        """Free the model."""
        self._loaded.closing.close()
