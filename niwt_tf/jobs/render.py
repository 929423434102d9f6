"""`niwt render`: draw the birds data set."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from absl import flags

from niwt_tf.data.birds.render import MARKER, render_birds
from niwt_tf.files import read_json

_LOG = logging.getLogger("niwt_tf.jobs")


def main() -> None:
    """Render into --data_dir, unless the same rendering is there.

    Raises:
        InputError: --data_dir holds something that was not rendered.
    """
    values = flags.FLAGS
    folder = Path(os.path.expanduser(values.data_dir))
    wanted = {
        "num_species": values.num_species,
        "images_per_species": values.images_per_species,
        "size": values.image_size,
        "seed": values.seed,
    }
    if _earlier(folder) == wanted:
        _LOG.info("%s is up to date.", folder)
        return
    begun = time.monotonic()
    render_birds(folder, **wanted, processes=len(os.sched_getaffinity(0)))
    images = values.num_species * values.images_per_species
    _LOG.info("%d images of %d species in %s, %.1f s.", images, values.num_species, folder, time.monotonic() - begun)


def _earlier(folder: Path) -> object:
    try:
        return read_json(folder / MARKER)
    except (OSError, ValueError):
        return None
