"""`niwt remove_class`: the next version of an exported network no longer has a class."""

from __future__ import annotations

import sys
import time

from niwt_tf.compute.quiet_tensorflow import tensorflow_without_keras
from niwt_tf.jobs.app import run_job
from niwt_tf.jobs.changed_bundle import bundle_to_change, required, write
from niwt_tf.serving.classes.names import removable


def main(argv: list[str]) -> None:
    """Remove the class --name.

    Raises:
        InputError: there is no such class, or no other.
    """
    del argv
    begun = time.monotonic()
    name = required("name")
    with bundle_to_change() as bundle:
        before = bundle.labels[removable(bundle, name)]
        with tensorflow_without_keras():
            from niwt_tf.serving.classes.edit import remove_class

            write(bundle, remove_class(bundle, name), f"Removed {before!r}", begun)


if __name__ == "__main__":
    sys.exit(run_job("remove_class", main=main))
