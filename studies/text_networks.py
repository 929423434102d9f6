"""Compare ways to write a network from texts over seeds: accuracy of the network of the unseen classes alone, and of all.

python studies/text_networks.py --seeds=0,1,2 --runs=runs/birds200_n3 \
    --ways="head;film:--n3_adapt=film;all:--n3_adapt=all;printed:--n3_form=printed" -- \
    --flagfile=flags/birds200_n3.flags --data_dir=data/birds200

A way is a name and, after a colon, flags that it has beside the common ones, which follow `--`. Networks are trained once a
seed and shared by the ways. Runs that are up to date are not repeated. Intervals are Student's over the seeds; differences are
to the first way, seed by seed. With --baseline=class_mean that method is scored in the run of the first way too, among the
unseen classes alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from studies.seeds import differences

SHOWN = ("acc_alone", "acc_zsl", "harmonic_mean", "meta_seconds")
Metrics = Mapping[str, float]


def run(name: str, own: Sequence[str], seed: int, runs: Path, flags: Sequence[str]) -> tuple[Path, Metrics]:
    """Return the folder and the metrics of one way and seed, run as far as the stage evaluate."""
    folder = runs / name / f"seed_{seed}"
    command = [sys.executable, "-m", "niwt_tf", "run", *flags, *own, f"--seed={seed}", f"--run_dir={folder}"]
    subprocess.run([*command, f"--stage_store={runs / 'store'}", "--until=evaluate"], check=True, stdout=subprocess.DEVNULL)
    metrics = dict(json.loads((folder / "metrics.json").read_text()))
    meta = folder / "meta" / "manifest.json"
    if meta.is_file():
        metrics["meta_seconds"] = json.loads(meta.read_text())["seconds"]
    return folder, metrics


def baseline(method: str, folder: Path) -> Metrics:
    """Return the metrics of a baseline in a run; among the unseen classes alone its scores are those of all classes."""
    command = [sys.executable, "-m", "niwt_tf", "baseline", f"--run_dir={folder}", f"--methods={method}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    metrics = dict(json.loads((folder / f"baseline_{method}" / "metrics.json").read_text()))
    return {**metrics, "acc_alone": metrics["acc_zsl"]}


def main() -> None:
    """Parse the command line, run every way with every seed, print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", default="head")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--baseline", default="", help="a method of niwt baseline")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("flags", nargs="+")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    parted = [way.strip().partition(":") for way in arguments.ways.split(";")]
    ways = {name.strip(): own.split() for name, _, own in parted}
    results: dict[str, list[Metrics]] = {name: [] for name in (*ways, *filter(None, [arguments.baseline]))}
    # Seed by seed, so that what is cut short still compares the ways.
    for seed in seeds:
        folders = []
        for name, own in ways.items():
            folder, metrics = run(name, own, seed, arguments.runs, arguments.flags)
            folders.append(folder)
            results[name].append(metrics)
        if arguments.baseline:
            results[arguments.baseline].append(baseline(arguments.baseline, folders[0]))
    lines = differences(results, SHOWN)
    print("\n".join(lines))
    (arguments.runs / "text_networks.json").write_text(json.dumps({"table": lines, "runs": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
