"""`niwt synthesize`: texts of classes in, a checked bundle of a network for them out, without one photograph."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import numpy as np
from absl import flags

from niwt_tf.config.names import N3
from niwt_tf.data.arrays import read_arrays
from niwt_tf.data.readers.class_texts import read_class_texts
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError
from niwt_tf.files import read_json
from niwt_tf.jobs.flags import run_folder
from niwt_tf.methods.base import Trial
from niwt_tf.methods.registry import method_of
from niwt_tf.models.network import Network
from niwt_tf.protocol.probabilities import load_probabilities
from niwt_tf.protocol.saved_model import SavedModel
from niwt_tf.protocol.selection import Chosen
from niwt_tf.runs.run import RunDirectory
from niwt_tf.serving.synthesis import export_synthesized

_LOG = logging.getLogger("niwt_tf.jobs")


def main() -> None:
    """Write the bundle of the classes that --descriptions describe.

    Raises:
        InputError: the run has no fitted method that writes networks from texts, or the descriptions are not in order.
    """
    values = flags.FLAGS
    if values.descriptions is None:
        raise InputError("--descriptions must be given: a folder of <class>.txt or a CSV file. Received: None.")
    classes = read_class_texts(values.descriptions)
    begun = time.monotonic()
    writer = writer_of(run_folder())
    folder = Path("exports", "synthesized") if values.export_dir is None else Path(os.path.expanduser(values.export_dir))
    path = export_synthesized(writer, classes, folder)
    width = max(len(name) for name in classes.names)
    for name, text in zip(classes.names, classes.texts or (), strict=True):
        print(f"{name:<{width}}  {len(text.split())} words")
    print(f"\nSavedModel   {path}")
    _LOG.info("A network of %d classes in %.1f s.", len(classes), time.monotonic() - begun)


def writer_of(run_dir: Path) -> SavedModel:
    """Return the fitted method of a run that wrote its stage transfer.

    Raises:
        InputError: there is no such run, it is not finished or out of date, or its method writes no networks from texts.
    """
    run = RunDirectory(run_dir).reading()
    settings, folder = run.settings, run.folder("transfer")
    if not (folder / "generator.npz").is_file():
        rule = f"--run_dir must be a finished run of a method that reads texts, as --method={N3}"
        raise InputError(f"{rule}. Received: {str(run_dir)!r}, of {settings.method}.")
    base, method = Network.load(run.folder("train") / "main.keras"), method_of(settings.method)
    generator = method.generator_of(settings, base, read_arrays(folder / "generator.npz"))
    chosen = read_json(folder / "selection.json")["chosen"]
    harmonic, zsl = (float("nan") if chosen[name] is None else float(chosen[name]) for name in ("harmonic_mean", "acc_zsl"))
    trial = Trial(method.candidate_of(chosen), float(chosen["calibration"]), harmonic, zsl)
    fitted = Chosen(method.name, generator, trial, (), 0.0, load_probabilities(folder / "probabilities.json"))
    # Its classes are described by their texts alone.
    knowledge = Knowledge(np.zeros((len(base.class_names), 0), np.float32), (), (), "texts")
    return SavedModel(base, settings, fitted, knowledge, {}, None, {})
