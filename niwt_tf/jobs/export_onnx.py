"""`niwt export_onnx`: write a run's network as one ONNX file."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from absl import flags

from niwt_tf.errors import InputError
from niwt_tf.jobs.flags import run_folder
from niwt_tf.models.network import Network
from niwt_tf.serving.onnx import export_onnx

_LOG = logging.getLogger("niwt_tf.jobs")


def main(argv: list[str]) -> None:
    """Write the network of the stage `transfer` to --path.

    Raises:
        InputError: the stage is not finished, or see `export_onnx`.
    """
    del argv
    run, given = run_folder(), flags.FLAGS.path
    path = Path("exports", f"{run.resolve().name}.onnx") if given is None else Path(os.path.expanduser(given))
    made = run / "transfer" / "network.keras"
    if not made.is_file():
        raise InputError(f"--run_dir must hold the stage transfer: run niwt run first. Received: {str(run)!r}.")
    network = Network.load(made)
    difference = export_onnx(network, path)
    _LOG.info("%s: %d classes, differs from the network by at most %.1e.", path, len(network.class_names), difference)
