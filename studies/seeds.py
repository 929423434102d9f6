"""Run one experiment over several seeds, NIWT and every baseline, and print the leaderboard and what each took.

python studies/seeds.py --seeds=0,1,2 --runs=runs/birds_seeds -- --flagfile=flags/birds.flags --data_dir=data/birds

What follows `--` goes to `niwt run --until=evaluate` and `niwt baseline --methods=all` as it is; a seed draws its own split
where the split is random. What is up to date is not repeated. Then `niwt compare` writes its files into comparison/ of --runs,
and its Markdown is printed with the seconds by the manifests. seeds.json has NIWT's metrics and the seconds of every seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from niwt_tf.metrics.intervals import mean_of

OTHER_FIGURES = ("validation_harmonic_mean", "rank_correlation_within", "rank_correlation_across", "map_rank_correlation")
OWN_STAGES = ("importance", "map", "transfer", "evaluate")
_BASELINE = "baseline_"


def interval(values: Sequence[float]) -> str:
    """Return "mean ± half width" of Student's 95 % interval."""
    mean = mean_of(values)
    return "n/a" if mean is None else f"{mean:.3f}"


def differences(results: Mapping[str, Sequence[Mapping[str, float]]], shown: Sequence[str]) -> list[str]:
    """Return the lines of a table: a row a name, its figures over the seeds and their differences to the first row's.

    A figure that a seed of a row or of the first one lacks is left empty.
    """
    first, *_ = results
    heads = [f"{name} | difference" for name in shown]
    lines = [f"| {len(results[first])} seeds | {' | '.join(heads)} |", "|---" * (1 + 2 * len(shown)) + "|"]
    for row, metrics in results.items():
        cells = []
        for name in shown:
            if any(name not in each for each in (*metrics, *results[first])):
                cells += ["", ""]
                continue
            values, base = [each[name] for each in metrics], [each[name] for each in results[first]]
            cells += [interval(values), interval([a - b for a, b in zip(values, base, strict=True)]) if row != first else ""]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def run(seed: int, runs: Path, flags: Sequence[str]) -> Path:
    """Do whatever is not up to date of one seed and return its run directory."""
    folder = runs / f"seed_{seed}"
    common = [f"--run_dir={folder}", f"--seed={seed}", *flags]
    for job, more in (("run", ["--until=evaluate"]), ("baseline", ["--methods=all"])):
        begun = time.monotonic()
        subprocess.run([sys.executable, "-m", "niwt_tf", job, *common, *more], check=True, stdout=subprocess.DEVNULL)
        print(f"seed {seed}: niwt {job} took {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return folder


def seconds_of(folder: Path) -> dict[str, float]:
    """Return seconds by the manifests: of the training that all methods share, of NIWT's own stages, of each baseline."""
    stages = {path.parent.name: float(json.loads(path.read_text())["seconds"]) for path in folder.glob("*/manifest.json")}
    found = {"training, shared by all": stages["train"], "niwt": sum(stages[name] for name in OWN_STAGES)}
    return found | {name.removeprefix(_BASELINE): stages[name] for name in sorted(stages) if name.startswith(_BASELINE)}


def seconds_table(seconds: Sequence[Mapping[str, float]]) -> str:
    """Return a row a method: the least and most seconds of a seed, and the sum."""
    lines = ["| seconds a run | least to most | all seeds |", "|---|---|---|"]
    for name in dict.fromkeys(name for each in seconds for name in each):
        known = [each[name] for each in seconds if name in each]
        lines.append(f"| {name} | {min(known):.0f} to {max(known):.0f} | {sum(known):.0f} |")
    total = sum(sum(each.values()) for each in seconds)
    return "\n".join([*lines, f"| all | | {total:.0f} |"])


def figures_table(metrics: Sequence[Mapping[str, Any]]) -> str:
    """Return a row for each of NIWT's further figures, which other methods do not have."""
    lines = [f"| NIWT, seeds: {len(metrics)} | mean | median |", "|---|---|---|"]
    for name in OTHER_FIGURES:
        known = [each[name] for each in metrics if each.get(name) is not None]
        if known:
            lines.append(f"| {name} | {interval(known)} | {statistics.median(known):.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run every seed, compare, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("flags", nargs="+")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    folders = [run(seed, arguments.runs, arguments.flags) for seed in seeds]
    out = arguments.runs / "comparison"
    listed = ",".join(map(str, folders))
    command = [sys.executable, "-m", "niwt_tf", "compare", f"--runs={listed}", f"--out={out}", "--noprogress"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
    seconds = [seconds_of(folder) for folder in folders]
    print((out / "comparison.md").read_text(encoding="utf-8"))
    print(f"{figures_table(metrics)}\n\n{seconds_table(seconds)}")
    record = [
        {"seed": seed, "niwt": own, "seconds": took} for seed, own, took in zip(seeds, metrics, seconds, strict=True)
    ]
    (arguments.runs / "seeds.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
