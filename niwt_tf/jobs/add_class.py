"""`niwt add_class`: describe classes, and the next version of an exported network knows them."""

from __future__ import annotations

import logging
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from absl import flags

from niwt_tf.compute.quiet_tensorflow import tensorflow_without_keras
from niwt_tf.data.descriptions.new_classes import DescribedClass, described_in_words, read_described_classes, read_description
from niwt_tf.data.readers.tables import read_text
from niwt_tf.errors import InputError
from niwt_tf.jobs.app import run_job
from niwt_tf.jobs.changed_bundle import bundle_to_change, required, write
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.descriptions import bundle_words, seen_knowledge
from niwt_tf.serving.classes.names import new_names

_WAYS = ("attributes", "text", "text_file", "cards")
_LOG = logging.getLogger("niwt_tf.jobs")


def main(argv: list[str]) -> None:
    """Add the class that --name and its description make, or all of --cards.

    Raises:
        InputError: a flag, a file or a description is not in order; nothing is written then.
    """
    del argv
    begun = time.monotonic()
    way = _way()
    with bundle_to_change() as bundle:
        classes = _classes(bundle, way)
        # What can be refused is refused before TensorFlow is waited for.
        names = new_names(bundle, [each.name for each in classes])
        bundle.check_column_map()
        for each in classes:
            for note in each.description.notes:
                _LOG.info("%s: %s", each.name, note)
        with tensorflow_without_keras():
            from niwt_tf.serving.classes.edit import add_classes

            listed = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            write(bundle, add_classes(bundle, classes), f"Added {listed}", begun)


def _way() -> str:
    given = [way for way in _WAYS if flags.FLAGS[way].value is not None]
    listed = ", ".join(f"--{way}" for way in _WAYS)
    if len(given) != 1:
        received = ", ".join(f"--{way}" for way in given) or "none"
        raise InputError(f"One of {listed} must be given, which describes the class. Received: {received}.")
    if given == ["cards"] and flags.FLAGS["name"].value is not None:
        raise InputError(f"--name must not be given with --cards, which has names. Received: {flags.FLAGS['name'].value!r}.")
    if given != ["cards"]:
        required("name")
    return given[0]


def _classes(bundle: Bundle, way: str) -> list[DescribedClass]:
    seen, missing, source = seen_knowledge(bundle), flags.FLAGS.missing, flags.FLAGS.source
    given = flags.FLAGS[way].value
    path = Path(os.path.expanduser(given))
    if way == "cards":
        classes = read_described_classes(path, seen, bundle_words(bundle), missing)
        return [replace(each, source=each.source or source or path.name) for each in classes]
    if way == "attributes":
        description = read_description(path, seen, missing)
    else:
        text = given if way == "text" else read_text(path)
        description = described_in_words(text, seen, bundle_words(bundle))
    default = "text" if way == "text" else path.name
    return [DescribedClass(required("name"), description, source or default)]


if __name__ == "__main__":
    sys.exit(run_job("add_class", main=main))
