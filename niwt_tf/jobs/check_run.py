"""`niwt check_run`: what of a run directory is whole, what is damaged, and what `niwt run` would make again?"""

from __future__ import annotations

import json
import time
from dataclasses import asdict

from absl import flags

from niwt_tf.errors import InputError
from niwt_tf.jobs.flags import run_folder
from niwt_tf.jobs.terminal_text import shown

_AGAIN = {True: "made again", False: "", None: "perhaps"}


def main() -> None:
    """Print a line a part, or all as JSON.

    Raises:
        InputError: --run_dir is no run's folder, or a part is damaged or missing.
    """
    from niwt_tf.runs.integrity import check_run

    begun = time.monotonic()
    parts = check_run(run_folder())
    seconds = time.monotonic() - begun
    if flags.FLAGS.format == "json":
        print(json.dumps([asdict(part) for part in parts], indent=2))
    else:
        width = max(len(part.name) for part in parts) + 2
        for part in parts:
            print(shown(f"{part.status:<10}{part.name:<{width}}{_AGAIN[part.again]:<12}{part.detail}"))
        print(f"{sum(part.size for part in parts) / 1e6:.1f} MB of stages read in {seconds:.2f} s")
    wrong = [part.name for part in parts if part.status in ("damaged", "missing")]
    if wrong:
        rule = f"--run_dir must be complete; niwt run --run_dir={run_folder()} repairs what it can."
        raise InputError(f"{rule} Received: one where {', '.join(wrong)} is damaged or missing.")
