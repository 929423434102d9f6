"""`niwt refine_class`: update a described class of a bundle from photographs of it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from niwt_tf.compute.quiet_tensorflow import tensorflow_without_keras
from niwt_tf.data.readers.folder import image_names
from niwt_tf.errors import InputError
from niwt_tf.jobs.app import run_job
from niwt_tf.jobs.changed_bundle import bundle_to_change, required, write
from niwt_tf.serving.classes.names import place_of


def image_paths(given: str) -> list[Path]:
    """Return the images of a folder, sorted, or the files with commas between them.

    Raises:
        InputError: a folder without an image, or something that is not there; it is named.
    """
    whole = Path(os.path.expanduser(given))
    if whole.is_dir():
        names = image_names(whole)
        if not names:
            raise InputError(f"--images must be image files or a folder of them. Received: {given!r}, a folder without any.")
        return [whole / name for name in names]
    # A comma may be a part of a single file's name.
    paths = [whole] if whole.exists() else [Path(os.path.expanduser(part.strip())) for part in given.split(",") if part.strip()]
    absent = next((path for path in paths if not path.is_file()), None)
    if absent is not None or not paths:
        received = given if absent is None else str(absent)
        raise InputError(f"--images must be image files or a folder of them. Received: {received!r}, which is not there.")
    return paths


def main(argv: list[str]) -> None:
    """Let the class --name see the photographs --images.

    Raises:
        InputError: a flag is missing, or see `refine_class`.
    """
    del argv
    begun = time.monotonic()
    name, images = required("name"), image_paths(required("images"))
    with bundle_to_change() as bundle:
        known = bundle.labels[place_of(bundle, name)]
        with tensorflow_without_keras():
            from niwt_tf.serving.classes.refine import refine_class

            change = refine_class(bundle, name, images)
            write(bundle, change, f"Refined {known!r} with {len(images)} more photographs", begun)


if __name__ == "__main__":
    sys.exit(run_job("refine_class", main=main))
