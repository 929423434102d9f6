"""Run one experiment over several seeds (each its own split) and print mean and 95 % interval, NIWT beside ESZSL.

python benchmarks/seeds.py --seeds=0,1,2 --runs=runs/birds_seeds -- --flagfile=flags/birds.flags --data_dir=data/birds

What follows `--` goes to `niwt run` as it is. Runs that are up to date are not repeated. The interval is Student's over the
seeds; a difference is taken seed by seed.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

from scipy.stats import t as student

SHOWN = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc")
UNITLESS = ("validation_harmonic_mean", "rank_correlation_within", "rank_correlation_across", "map_rank_correlation")


def interval(values: list[float]) -> str:
    """Return "mean ± half width" of the 95 % interval."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.3f}"
    half = float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.3f} ± {half:.3f}"


def run(seed: int, runs: Path, flags: list[str]) -> tuple[dict[str, float], dict[str, dict[str, dict[str, float]]], float]:
    """Return NIWT's and ESZSL's metrics of one seed, and the seconds of `niwt run` by the manifests of its stages."""
    folder = runs / f"seed_{seed}"
    common = [f"--run_dir={folder}", f"--seed={seed}", *flags]
    for job, more in (("run", [f"--export_dir={runs / 'exports' / str(seed)}"]), ("baseline", [])):
        begun = time.monotonic()
        subprocess.run([sys.executable, "-m", "niwt_tf", job, *common, *more], check=True, stdout=subprocess.DEVNULL)
        print(f"seed {seed}: niwt {job} took {time.monotonic() - begun:.0f} s", file=sys.stderr)
    stages = [json.loads(path.read_text()) for path in folder.glob("*/manifest.json")]
    seconds = sum(stage["seconds"] for stage in stages if stage["stage"] != "baseline")
    niwt = json.loads((folder / "metrics.json").read_text())
    eszsl = json.loads((folder / "baseline" / "eszsl.json").read_text())
    return niwt, eszsl, seconds


def main() -> None:
    """Parse the command line, run every seed, print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("flags", nargs="+")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    results = [run(seed, arguments.runs, arguments.flags) for seed in seeds]
    print(f"| {len(seeds)} seeds | NIWT | ESZSL, head's features | difference | ESZSL, pooled map | difference |")
    print("|---|---|---|---|---|---|")
    table: dict[str, dict[str, str]] = {}
    for name in SHOWN:
        niwt = [result[0][name] for result in results]
        row = {"niwt": interval(niwt)}
        for source in ("head", "map"):
            eszsl = [result[1][source]["metrics"][name] for result in results]
            row[f"eszsl_{source}"] = interval(eszsl)
            row[f"difference_{source}"] = interval([a - b for a, b in zip(niwt, eszsl, strict=True)])
        table[name] = row
        print(f"| {name} | {' | '.join(row.values())} |")
    for name in UNITLESS:
        values = [result[0][name] for result in results]
        table[name] = {"niwt": interval(values)}
        print(f"| {name} | {interval(values)} | | | | |")
    seconds = [result[2] for result in results]
    print(f"| seconds a run | {min(seconds):.0f} to {max(seconds):.0f} | | | | |")
    raw = [{"seed": seed, "niwt": result[0], "eszsl": result[1]} for seed, result in zip(seeds, results, strict=True)]
    (arguments.runs / "seeds.json").write_text(json.dumps({"table": table, "runs": raw}, indent=2) + "\n")


if __name__ == "__main__":
    main()
