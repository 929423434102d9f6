"""`niwt refine_class`: update a described class of a bundle from photographs of it."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from absl import flags

from niwt_tf.data.folder import image_names
from niwt_tf.errors import InputError
from niwt_tf.jobs.app import run_job

_EXAMPLES = {"bundle": "exports/birds", "name": "grey owl", "images": "photographs/grey_owl"}
_LOG = logging.getLogger("niwt_tf.jobs")


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
    """Write the next version of the bundle that --bundle names.

    Raises:
        InputError: a flag is missing, or see `refine_class`.
    """
    del argv
    given = {name: flags.FLAGS[name].value for name in _EXAMPLES}
    missing = next((name for name, value in given.items() if not value), None)
    if missing is not None:
        raise InputError(f"--{missing} must be given, for instance --{missing}={_EXAMPLES[missing]!r}.")
    images = image_paths(given["images"])

    from niwt_tf.serving.bundle import Bundle
    from niwt_tf.serving.refining import refine_class

    folder = refine_class(Bundle.open(os.path.expanduser(given["bundle"])), given["name"], images)
    _LOG.info("%s: %r has seen %d more photographs.", folder, given["name"], len(images))


if __name__ == "__main__":
    sys.exit(run_job("refine_class", main=main))
