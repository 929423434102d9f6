"""Requests to a bundle that this process loads itself, without a server."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from niwt_tf.data.images.files import upright_file
from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.bundle import Bundle, is_bundle
from niwt_tf.serving.bundle.versions import saved_model_folder
from niwt_tf.serving.client.transport import Outputs
from niwt_tf.serving.loaded_version import load_version

_FILES = "image_bytes"


class LocalTransport:
    """A SavedModel, or the newest version in a folder, in a Session of its own.

    A bundle is compared with its fingerprints first; another SavedModel is taken as it is.

    Raises:
        InputError: there is none, it is not as it was written, or it cannot be loaded.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        path = saved_model_folder(folder)
        self.folder = path
        try:
            self._loaded = load_version(int(path.name) if path.name.isdecimal() else 0, path)
        except InputError:
            raise
        except (tf.errors.OpError, OSError, ValueError, RuntimeError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            rule = "folder must be an exported SavedModel that can be loaded."
            raise InputError(f"{rule} Received: {str(path)!r} ({reason}).") from None
        self._turns = not is_bundle(path) or Bundle.open(path, check=False).turns_photographs  # it was checked by now

    def call(self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float) -> Outputs:
        """See `Transport.call`; it takes the time that it takes."""
        del seconds
        if not self._turns and _FILES in inputs:
            upright = np.empty(len(inputs[_FILES]), object)
            upright[:] = [upright_file(encoded) for encoded in inputs[_FILES]]
            inputs = {**inputs, _FILES: upright}
        return Outputs(self._loaded.run(signature, inputs), self._loaded.number or None)

    def close(self) -> None:
        """Free the model."""
        self._loaded.closing.close()
