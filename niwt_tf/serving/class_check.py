"""Does a version with other classes answer for all that it kept as the version before did, to the last bit?"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from niwt_tf.serving.bundle import CHECKPOINT

_IMAGES = 2


class ClassCheckError(RuntimeError):
    """A version that does not load, or answers otherwise for classes that did not change."""


def check_classes(before: Path, after: Path, old_slots: np.ndarray, new_slots: np.ndarray, labels: Sequence[str]) -> None:
    """Load a new version as a server does and compare it on noise with the version that it was made from.

    The old version's variables are then restored into the same graph: the two have one, and its loading takes most of the time.

    Args:
        before: the version that it was made from.
        after: the new version.
        old_slots: int64, of the old version's classes; a class is the same where its slot is, and -1 is none.
        new_slots: int64, of the new version's classes.
        labels: of the new version.

    Raises:
        ClassCheckError: it does not load, its answers are not finite or have other labels, or a kept class's logit differs.
    """
    session = tf.compat.v1.Session(graph=tf.Graph())
    try:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(after))
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
        session.run(saver.restore_op_name, {saver.filename_tensor_name: str(before / CHECKPOINT)})
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
        raise ClassCheckError(f"Other classes' logits must stay as they are, to the bit. Received: others of {changed[0]!r}.")


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
