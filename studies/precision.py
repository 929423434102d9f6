"""What --precision and --jit change: metrics and seconds of `niwt run` on small birds, beside each other.

    python studies/precision.py [--seeds=0,1,2] [--rows=float32,mixed_bfloat16,mixed_float16,float32+jit] [--epochs=8]

Every row and seed is a run of its own on the same images, split and seed, one after the other; between them nothing is cached.
Printed are means over the seeds, and for every row but the first the mean difference from it, seed by seed, with its 95 %
interval (Student's t). Training starts from random weights, so any other rounding leads to another network: the interval shows
that scatter. Seconds are those of the stages, by their manifests; "all" has the export as well. What half precision and
XLA gain depends on the machine, and XLA's seconds here are mostly those of compiling.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from niwt_tf.data.birds.render import render_birds
from niwt_tf.metrics.intervals import mean_of

ROWS = "float32,mixed_bfloat16,mixed_float16,float32+jit"
METRICS = ("harmonic_mean", "acc_zsl", "ausuc", "acc_seen", "acc_unseen")
STAGES = ("train", "importance", "transfer", "evaluate")


def measured(folder: Path, birds: Path, row: str, seed: int, epochs: int) -> dict[str, float]:
    """Return the metrics and, by "train s" and so on, the seconds of one run."""
    run = folder / f"{row}_{seed}"
    precision, _, jit = row.partition("+")
    flags = [
        f"--data_dir={birds}",
        f"--run_dir={run}",
        f"--export_dir={run}_export",
        f"--precision={precision}",
        f"--jit={str(bool(jit)).lower()}",
        f"--epochs={epochs}",
        f"--seed={seed}",
        "--num_folds=1",
        "--noprogress",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([sys.executable, "-m", "niwt_tf", "run", *flags], check=True, **quiet)  # type: ignore[call-overload]
    metrics = json.loads((run / "metrics.json").read_text())
    manifests = [json.loads(path.read_text()) for path in run.glob("*/manifest.json")]
    seconds = {f"{manifest['stage']} s": manifest["seconds"] for manifest in manifests}
    shutil.rmtree(run)
    return {**{name: metrics[name] for name in METRICS}, **seconds, "all s": sum(seconds.values())}


def difference(first: list[float], second: list[float]) -> str:
    """Return the mean of second - first, seed by seed, with its 95 % interval."""
    return f"{mean_of(np.subtract(second, first).tolist()):+.3f}"


def main() -> None:
    """Print the tables and write every number as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=ROWS)
    parser.add_argument("--species", type=int, default=16)
    parser.add_argument("--images", type=int, default=30, help="of a species")
    parser.add_argument("--size", type=int, default=64, help="of an image in pixels")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    rows, seeds = options.rows.split(","), [int(seed) for seed in options.seeds.split(",")]
    folder = Path(tempfile.mkdtemp(prefix="precision_"))
    found: dict[str, list[dict[str, float]]] = {row: [] for row in rows}
    try:
        birds = render_birds(folder / "birds", options.species, options.images, options.size, seed=0)
        with tqdm(total=len(rows) * len(seeds), unit="run") as bar:
            for seed in seeds:
                for row in rows:
                    found[row].append(measured(folder, birds, row, seed, options.epochs))
                    bar.update()
    finally:
        shutil.rmtree(folder)
    columns = [*METRICS, *(f"{stage} s" for stage in (*STAGES, "all"))]
    print(" ".join([f"{'mean':<16}", *(f"{name:>14}" for name in columns)]))
    for row, runs in found.items():
        print(" ".join([f"{row:<16}", *(f"{np.mean([run[name] for run in runs]):14.3f}" for name in columns)]))
    print(" ".join([f"{'less ' + rows[0]:<16}", *(f"{name:>18}" for name in METRICS)]))
    for row in rows[1:]:
        cells = [difference([run[name] for run in found[rows[0]]], [run[name] for run in found[row]]) for name in METRICS]
        print(" ".join([f"{row:<16}", *(f"{cell:>18}" for cell in cells)]))
    options.json.write_text(json.dumps({"seeds": seeds, "rows": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
