"""`niwt check_export`: is a bundle what TensorFlow Serving would take and answer from?"""

from __future__ import annotations

import os

from absl import flags

from niwt_tf.data.readers.loose_images import image_files
from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.versions import saved_model_folder


def main() -> None:
    """Print a line a check.

    Raises:
        InputError: there is no SavedModel, an image cannot be read, or a check failed.
    """
    from niwt_tf.serving.checks.checking import check_export

    values = flags.FLAGS
    if values.bundle is None:
        raise InputError("--bundle must be given: the folder of a bundle, for instance --bundle=exports/birds.")
    folder = saved_model_folder(os.path.expanduser(values.bundle), "--bundle")
    images = image_files(values.images) if values.images else []
    failed = []
    for check in check_export(folder, images):
        print(f"{check.status:<9}{check.name:<14}{check.detail}", flush=True)
        if check.status == "FAILED":
            failed.append(check.name)
    if failed:
        raise InputError(f"--bundle must name a bundle that passes every check. Received: one that fails {', '.join(failed)}.")
