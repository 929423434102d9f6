"""What --precision and --jit change: metrics and seconds of `niwt run` on small birds, beside each other.

    python benchmarks/precision.py [--species=10] [--images=20] [--epochs=4] [--seed=0] [--json=benchmarks/precision.json]

Every combination is a run of its own on the same images, split and seed, one after the other; between them nothing is cached.
Seconds are those of the stages, by their manifests; "all" has the export as well. Training starts from random weights, so any
other rounding leads to another network: with few epochs and images much of the difference between rows is that scatter, which
--seed shows. What half precision and XLA gain depends on the machine, and XLA's seconds here are mostly those of compiling.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from niwt_tf.data.birds import render_birds

COMBINATIONS = [(precision, jit) for precision in ("float32", "mixed_bfloat16", "mixed_float16") for jit in (False, True)]
METRICS = ("harmonic_mean", "acc_zsl", "ausuc", "acc_seen", "acc_unseen")
STAGES = ("train", "importance", "transfer", "evaluate")


def measured(folder: Path, birds: Path, precision: str, jit: bool, options: argparse.Namespace) -> dict[str, Any]:
    """Return the metrics and the seconds of one run."""
    run = folder / f"{precision}_{jit}"
    flags = [
        f"--data_dir={birds}",
        f"--run_dir={run}",
        f"--export_dir={run}_export",
        f"--precision={precision}",
        f"--jit={str(jit).lower()}",
        f"--epochs={options.epochs}",
        f"--seed={options.seed}",
        "--num_folds=1",
        "--noprogress",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([sys.executable, "-m", "niwt_tf", "run", *flags], check=True, **quiet)  # type: ignore[call-overload]
    metrics = json.loads((run / "metrics.json").read_text())
    manifests = [json.loads(path.read_text()) for path in run.glob("*/manifest.json")]
    seconds = {manifest["stage"]: manifest["seconds"] for manifest in manifests}
    return {
        "precision": precision,
        "jit": jit,
        "metrics": {name: metrics[name] for name in METRICS},
        "seconds": {**{stage: seconds[stage] for stage in STAGES}, "all": sum(seconds.values())},
    }


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", type=int, default=10)
    parser.add_argument("--images", type=int, default=20, help="of a species")
    parser.add_argument("--size", type=int, default=64, help="of an image in pixels")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="precision_"))
    rows = []
    print(" ".join([f"{'':<22}", *(f"{name:>14}" for name in METRICS), *(f"{f'{stage} s':>13}" for stage in (*STAGES, "all"))]))
    try:
        birds = render_birds(folder / "birds", options.species, options.images, options.size, seed=options.seed)
        for precision, jit in COMBINATIONS:
            row = measured(folder, birds, precision, jit, options)
            rows.append(row)
            figures = [f"{value:14.3f}" if value is not None else f"{'n/a':>14}" for value in row["metrics"].values()]
            seconds = [f"{value:13.1f}" for value in row["seconds"].values()]
            print(" ".join([f"{precision + (' --jit' if jit else ''):<22}", *figures, *seconds]), flush=True)
    finally:
        shutil.rmtree(folder)
    options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
