"""What the jobs that change a bundle's classes share: --bundle, one change at a time, and what is told of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.versions import one_change, saved_model_folder, versions

if TYPE_CHECKING:
    from niwt_tf.serving.classes.edit import Change

_LOG = logging.getLogger("niwt_tf.jobs")


def bundle_folder() -> Path:
    """Return the version that --bundle means.

    Raises:
        InputError: it was not given, or there is none.
    """
    given = flags.FLAGS.bundle
    if given is None:
        raise InputError("--bundle must be given: an exported network, for instance --bundle=exports/birds.")
    return Path(os.path.abspath(saved_model_folder(os.path.expanduser(given))))


def required(flag: str) -> str:
    """Return the value of a flag.

    Raises:
        InputError: it was not given.
    """
    value = flags.FLAGS[flag].value
    if value is None:
        raise InputError(f"--{flag} must be given.")
    return str(value)


@contextmanager
def bundle_to_change() -> Iterator[Bundle]:
    """Yield the bundle that --bundle means; another process that changes one beside it waits.

    Raises:
        InputError: there is no bundle, or it is not as it was written.
    """
    with one_change(bundle_folder().parent):
        folder = bundle_folder()
        newest = next(reversed(versions(folder.parent).values()), folder)
        if newest.name != folder.name:
            _LOG.warning("Version %s is newer; its changes are not in what follows %s.", newest.name, folder.name)
        yield Bundle.open(folder)


def write(bundle: Bundle, change: Change, said: str, begun: float) -> None:
    """Write a change and tell what was done.

    Args:
        bundle: what is changed.
        change: to it.
        said: what was done, for instance "Added 'owl'".
        begun: `time.monotonic` when the job began.
    """
    from niwt_tf.serving.classes.edit import write_change

    for note in change.notes:
        _LOG.warning("%s", note)
    path = write_change(bundle, change)
    seconds = time.monotonic() - begun
    print(f"{said}: {path} (computed in {change.milliseconds:.1f} ms, {seconds:.1f} s in all)")
