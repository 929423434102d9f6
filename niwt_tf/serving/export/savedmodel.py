"""A network as a SavedModel that a server can run: image files in, names and scores out."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf.errors import InputError, brief
from niwt_tf.files import literal_folder
from niwt_tf.models.feature_network import check_takes_images
from niwt_tf.models.network import Network
from niwt_tf.protocol.saved_model import save_model
from niwt_tf.serving.bundle.bundle import WRITER
from niwt_tf.serving.bundle.versions import new_version
from niwt_tf.serving.bundle.warmup import Request, example, write_warmup
from niwt_tf.serving.classes.rewrite import write_cards, write_metadata
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.export.graph import ServedNetwork
from niwt_tf.serving.export.metadata import describe
from niwt_tf.serving.export.verification import CheckImages, read_check_images, verify
from niwt_tf.serving.predict import read_image

_LOG = logging.getLogger("niwt_tf")
_MOST_WARMUP = 4  # images; a record holds them whole


def export_network(
    network: Network,
    folder: str | os.PathLike[str],
    *,
    contents: Contents | None = None,
    k: int = 5,
    check_images: Sequence[str | os.PathLike[str]],
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a network as the next version in `folder`, verified, or write nothing; return the version's folder.

    The versions are named 1, 2, ...; earlier ones are not touched. The signatures, all batch-first, are those of
    `signature_forms`, with `k` classes an answer, at least 1 and at most C. By at least one check image the SavedModel is
    compared with the network in a fresh process, and a server is warmed up. The metadata go into niwt.json beside the model,
    under names of their own.

    Raises:
        InputError: k is below 1, `folder` is a file, a check image cannot be decoded, the contents do not fit, or metadata
            takes a name that is taken.
        VerificationError: the SavedModel does not answer as the network does.
        OSError: the folder cannot be written.
    """
    if not isinstance(k, int | np.integer):
        raise InputError(f"k must be an integer. Received: {brief(k)}.")
    if k < 1:
        raise InputError(f"k must be at least 1. Received: {k}.")
    contents = contents or Contents()
    contents.check(len(network.class_names))
    description = {**describe(network, contents, k), "checked": {}}
    taken = sorted(description.keys() & (metadata or {}).keys())
    if taken:
        raise InputError(f"metadata must not repeat a field that the export writes itself. Received: {taken[0]!r}.")
    check_takes_images(network, "An export")
    images = read_check_images(check_images, network.input_form)
    with new_version(folder) as version:
        _write(network, contents, version.work, k)
        write_cards(version.work, contents.cards(network.class_names, network.num_seen))
        for extra, arrays in contents.extra_arrays().items():
            np.savez(version.work / "assets.extra" / f"{extra}.npz", **arrays)  # type: ignore[arg-type]
        if contents.writer is not None:
            save_model(version.work / WRITER, contents.writer)
        checked = verify(version.work, network, contents, images, k)
        description["checked"] = {"images": checked.images, "largest_score_difference": checked.largest_score_difference}
        name = Path(os.path.abspath(folder)).name
        write_warmup(version.work, _warmup_requests(contents, images), name)
        write_metadata(version.work, {"name": name, **description, **(metadata or {})})
    _LOG.info("%s gives the same answers as the network on %d images.", version.path, checked.images)
    return version.path


def _write(network: Network, contents: Contents, folder: Path, k: int) -> None:
    served = ServedNetwork(network, contents, k)
    images = tf.TensorSpec([None, network.input_size, network.input_size, 3], tf.float32)
    for training, endpoints in itertools.product((False, True), repeat=2):
        served.__call__.get_concrete_function(images, training=training, return_endpoints=endpoints)
    place = str(literal_folder(folder))
    tf.saved_model.save(served, place, signatures=served.signatures())
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(place)
    updater.replace_method_name("classify", tf.saved_model.CLASSIFY_METHOD_NAME)
    updater.save()
    # TensorFlow's own fingerprint is of the files before that, and of the variables before a class is added.
    (folder / "fingerprint.pb").unlink(missing_ok=True)


def _warmup_requests(contents: Contents, images: CheckImages) -> list[Request]:
    """Return what a server replays while it loads: every signature, those of files with one image and with several."""
    # Pixels take much more room than files: one image must do.
    requests: list[Request] = [("logits", {"images": images.pixels[:1]})]
    for count in sorted({1, min(len(images.paths), _MOST_WARMUP)}):
        encoded = [read_image(Path(path)) for path in images.paths[:count]]
        files = {"image_bytes": np.array(encoded, object)}
        examples = {"inputs": np.array([example(content) for content in encoded], object)}
        requests += [("serving_default", files), ("classify", examples)]
        if contents.explainer is not None:
            best = {name: np.array([b""] * count, object) for name in ("class_name", "rival")}
            requests += [("explain", files), ("explain_class", {**files, **best})]
        if contents.formula is not None and contents.knowledge is not None:
            described = np.tile(contents.knowledge.in_units[-1:], (count, 1, 1)).astype(np.float32)
            requests.append(("classify_with", {**files, "descriptions": described}))
    return requests
