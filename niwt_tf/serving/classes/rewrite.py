"""The next version of a bundle, with other classes: new variables and cards around the same graph."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from niwt_tf.errors import InputError
from niwt_tf.files import is_litter, literal_folder, write_json
from niwt_tf.serving.bundle.bundle import CARDS, CHECKPOINT, METADATA, Bundle, check_no_links, checkpoint_key, fingerprints
from niwt_tf.serving.bundle.cards import Card, cards_to_json
from niwt_tf.serving.bundle.versions import new_version, versions


def next_version(
    bundle: Bundle, *, variables: Mapping[str, np.ndarray], cards: Sequence[Card], check: Callable[[Path], None] | None = None
) -> Path:
    """Write the version after the newest beside `bundle`, or write nothing, and return its folder; no other version is touched.

    Every file is copied, but for the variables that change, the cards and the metadata, whose `labels`, `seen` and `unseen`
    follow from the cards. Variables have the names of root variables and the old types; shapes may grow or shrink with the
    classes. Cards are one a class, in the order of the logits. `check` is called with the new version before it appears; what
    it raises stops it.

    Raises:
        InputError: the bundle does not lie in a folder of versions, a file was changed since it was opened, or a variable is
            unknown.
        OSError: it cannot be written.
    """
    parent = bundle.folder.parent
    if bundle.folder not in versions(parent).values():
        rule = "The folder of a bundle must have its version as its name, so that the next version can be put next to it."
        raise InputError(f"{rule} Received: {str(bundle.folder)!r}.")
    seen, unseen = ([card.name for card in cards if card.seen == wanted] for wanted in (True, False))
    names = {"labels": [card.name for card in cards], "seen": seen, "unseen": unseen}
    changed = {**bundle.metadata, **names, "made_from": bundle.folder.name}
    # Measured on other classes than these.
    changed["metrics_of"] = bundle.metadata.get("metrics_of", bundle.folder.name)
    with new_version(parent) as version:
        for entry in ("saved_model.pb", "assets", "assets.extra"):
            _copy(bundle.folder / entry, version.work / entry)
        _check_copied(bundle, version.work)
        _write_variables(bundle, version.work, variables)
        write_cards(version.work, cards)
        write_metadata(version.work, changed)
        if check is not None:
            check(version.work)
    return version.path


def write_cards(folder: Path, cards: Sequence[Card]) -> None:
    """Write the cards of the bundle in `folder`."""
    (folder / CARDS).parent.mkdir(exist_ok=True)
    write_json(folder / CARDS, {"cards": cards_to_json(cards)})


def write_metadata(folder: Path, metadata: Mapping[str, Any]) -> None:
    """Write niwt.json of the bundle in `folder`, after every other file: with their fingerprints."""
    write_json(folder / METADATA, {**metadata, "fingerprint": fingerprints(folder, metadata)})


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        # A bundle without links was opened; one that came since stays a link.
        shutil.copytree(source, target, symlinks=True, ignore=lambda _, names: filter(is_litter, names))
    elif source.exists():
        try:
            shutil.copyfile(source, target, follow_symlinks=False)
        except OSError as error:
            # It names the source, which nothing is wrong with.
            raise OSError(error.errno, error.strerror, str(target)) from error


def _check_copied(bundle: Bundle, copy: Path) -> None:
    """Check that what was copied is what a bundle had when it was written: a file may have been changed since it was opened."""
    try:
        check_no_links(copy)
    except InputError as error:
        raise InputError(str(error).replace(str(copy), str(bundle.folder))) from None
    written, present = (
        {name: digest for name, digest in found.items() if name != METADATA and not name.startswith("variables/")}
        for found in (bundle.metadata.get("fingerprint", {}), fingerprints(copy, {}))
    )
    changed = next((name for name in sorted(written | present) if written.get(name) != present.get(name)), None)
    if changed is not None:
        rule = f"{bundle.folder} must be unchanged since it was written"
        raise InputError(f"{rule}. Received: {changed}, it was changed meanwhile; export the bundle again.")


def _write_variables(bundle: Bundle, folder: Path, changed: Mapping[str, np.ndarray]) -> None:
    reader = tf.train.load_checkpoint(str(literal_folder(bundle.folder) / CHECKPOINT))
    types = reader.get_variable_to_dtype_map()
    values = {checkpoint_key(name): value for name, value in changed.items()}
    unknown = next((key for key in values if key not in types), None)
    if unknown is not None:
        raise InputError(f"variables must name root variables of the bundle. Received: {unknown.partition('/')[0]!r}.")
    names = sorted(types)
    with tf.device("CPU:0"):
        tensors = [tf.constant(values.get(name, reader.get_tensor(name)), types[name]) for name in names]
        prefix = literal_folder(folder) / CHECKPOINT
        prefix.parent.mkdir()
        part = f"{prefix}_part"
        tf.raw_ops.SaveV2(prefix=part, tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)
        # Gives the one data file the name that a SavedModel's loader looks for.
        tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=[part], destination_prefix=str(prefix))


_IMAGES = 2


class ClassCheckError(RuntimeError):
    """A version that does not load, or answers otherwise for classes that did not change."""


def check_classes(before: Path, after: Path, old_slots: np.ndarray, new_slots: np.ndarray, labels: Sequence[str]) -> None:
    """Load a new version as a server does and compare it on noise with the version that it was made from.

    The old version's variables are then restored into the same graph: the two have one, and its loading takes most of the time.
    A class is the same where its slot, int64, is; -1 is none. Labels are those of the new version.

    Raises:
        ClassCheckError: it does not load, its answers are not finite or have other labels, or a kept class's logit differs.
    """
    session = tf.compat.v1.Session(graph=tf.Graph())
    try:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(literal_folder(after)))
        of_pixels, of_bytes = loaded.signature_def["logits"], loaded.signature_def["serving_default"]
        size = of_pixels.inputs["images"].tensor_shape.dim[1].size
        pixels = np.random.default_rng(0).integers(0, 256, (_IMAGES, size, size, 3)).astype(np.uint8)
        files = np.array([_png(image) for image in pixels], object)
        logits, feed = of_pixels.outputs["logits"].name, {of_pixels.inputs["images"].name: pixels.astype(np.float32)}
        outputs = {name: info.name for name, info in of_bytes.outputs.items()}
        # In one run: the graph is made ready once.
        both = {**feed, of_bytes.inputs["image_bytes"].name: files}
        new, best = session.run((logits, outputs), both)
        saver = loaded.saver_def
        session.run(saver.restore_op_name, {saver.filename_tensor_name: str(literal_folder(before) / CHECKPOINT)})
        old = session.run(logits, feed)
    except (tf.errors.OpError, KeyError, ValueError) as error:
        raise ClassCheckError(f"The new version does not work: {error}") from error
    finally:
        session.close()
    if new.shape != (_IMAGES, len(labels)) or not np.isfinite(new).all() or not np.isfinite(best["scores"]).all():
        raise ClassCheckError(f"The new version must give {len(labels)} finite logits. Received: shape {list(new.shape)}.")
    given = {label.decode() for label in best["labels"][:, 1:].ravel()}
    if not given <= set(labels):
        raise ClassCheckError(f"The new version must answer with its own labels. Received: {sorted(given - set(labels))[:3]}.")
    old_places = {slot: place for place, slot in enumerate(old_slots.tolist())}
    kept = [(old_places[slot], place) for place, slot in enumerate(new_slots.tolist()) if slot in old_places]
    changed = [labels[now] for then, now in kept if new[:, now].tobytes() != old[:, then].tobytes()]
    if changed:
        raise ClassCheckError(
            f"The logits of other classes must not change by a bit. Received: other logits of {changed[0]!r}."
        )


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
