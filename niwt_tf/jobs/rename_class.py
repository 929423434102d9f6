"""`niwt rename_class`: the next version of an exported network calls a class by another name."""

from __future__ import annotations

import sys
import time

from niwt_tf.compute.quiet_tensorflow import tensorflow_without_keras
from niwt_tf.jobs.app import run_job
from niwt_tf.jobs.changed_bundle import bundle_to_change, required, write
from niwt_tf.serving.classes.names import new_names, place_of


def main(argv: list[str]) -> None:
    """Rename the class --name to --new_name.

    Raises:
        InputError: there is no such class, or the new name is taken or not allowed.
    """
    del argv
    begun = time.monotonic()
    name, new_name = required("name"), required("new_name")
    with bundle_to_change() as bundle:
        before = bundle.labels[place_of(bundle, name)]
        (plain,) = new_names(bundle, [new_name])
        with tensorflow_without_keras():
            from niwt_tf.serving.classes.edit import rename_class

            write(bundle, rename_class(bundle, name, new_name), f"Renamed {before!r} to {plain!r}", begun)


if __name__ == "__main__":
    sys.exit(run_job("rename_class", main=main))
