"""In place of `niwt run` in a sweep: the same stages, locks and manifests, without images and TensorFlow.

The better a trial on validation classes (the higher --patience), the worse it is on test images.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from absl import flags

from niwt_tf.errors import InputError
from niwt_tf.files import write_json
from niwt_tf.jobs.app import run_from_flags, run_job

SETTINGS_USED = {
    "train": ["epochs", "seed"],
    "importance": ["seen_head"],
    "map": ["map"],
    "transfer": ["patience"],
    "evaluate": [],
}
UNLUCKY = 13


def main() -> None:
    with run_from_flags() as run:
        settings = run.settings
        folder = Path(settings.data_folder)
        # A named split is one problem whatever the seed.
        run.use_data(f"{settings.seed if settings.split == 'random' else 'fixed'} {(folder / 'version').read_text()}")
        above: list[str] = []
        for name, used in SETTINGS_USED.items():
            published = ["metrics.json"] if name == "evaluate" else []
            stage = run.stage(name, used, inputs=above[-1:], publishes=published)
            above.append(name)
            if not stage.up_to_date:
                with stage.writing() as written:
                    if (folder / "wait").exists():
                        (folder / "wait" / str(os.getpid())).touch()
                        limit = time.monotonic() + 300
                        while (folder / "wait").exists() and time.monotonic() < limit:
                            time.sleep(0.05)
                    if settings.patience == UNLUCKY:
                        raise InputError("Thirteen brings no luck.")
                    good = settings.patience / 10 + settings.seed / 100
                    figures = {"validation_harmonic_mean": good, "transfer_cosine": None}
                    write_json(written / "selection.json", {"figures": figures})
                    bad = dict.fromkeys(("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc"), 1 - good)
                    write_json(written / "metrics.json", bad)
            if name == flags.FLAGS.until:
                break


if __name__ == "__main__":
    sys.modules["tensorflow"] = sys  # so that it is not imported
    sys.exit(run_job("run", main=main))
