"""Compare ways to write a network from texts over seeds: accuracy of the network of the unseen classes alone, and of all.

python studies/text_networks.py --seeds=0,1,2 --runs=runs/birds200_n3 \
    --ways="head;all:--n3_adapt=all;all always:--n3_adapt=all --non3_adapt_if_better;printed:--n3_form=printed" -- \
    --flagfile=flags/birds200_n3.flags --data_dir=data/birds200

A way is a name and, after a colon, flags that it has beside the common ones, which follow `--`. Networks are trained once a
seed and shared by the ways. Runs that are up to date are not repeated. Intervals are Student's over the seeds; differences are
to the first way, seed by seed. --baselines names methods of `niwt baseline` in the same form, a method and its flags after the
colon: --baselines="class_mean;pdcnn max:pdcnn_fc --text_pooling=max". They are scored among the unseen classes alone as well.
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


def command(job: str, *flags: str) -> None:
    """Run a job of this package; what it prints goes to no one."""
    subprocess.run([sys.executable, "-m", "niwt_tf", job, *flags], check=True, stdout=subprocess.DEVNULL)


def run(own: Sequence[str], common: Sequence[str], folder: Path) -> Metrics:
    """Return the metrics of one way and seed, run as far as the stage evaluate."""
    command("run", *common, *own, f"--run_dir={folder}", "--until=evaluate")
    metrics = dict(json.loads((folder / "metrics.json").read_text()))
    meta = folder / "meta" / "manifest.json"
    if meta.is_file():
        metrics["meta_seconds"] = json.loads(meta.read_text())["seconds"]
    return metrics


def baseline(own: Sequence[str], common: Sequence[str], folder: Path) -> Metrics:
    """Return the metrics of a baseline on the same network; its scores among the unseen classes need no other ones."""
    method, *flags = own
    command("run", *common, *flags, f"--run_dir={folder}", "--until=train")
    command("baseline", *flags, f"--run_dir={folder}", f"--methods={method}")
    metrics = dict(json.loads((folder / f"baseline_{method}" / "metrics.json").read_text()))
    return {**metrics, "acc_alone": metrics["acc_zsl"]}


def parted(ways: str) -> dict[str, list[str]]:
    """Return "name:flags;name:flags" as a mapping of names to flags."""
    named = [way.partition(":") for way in ways.split(";") if way.strip()]
    return {name.strip(): own.split() for name, _, own in named}


def main() -> None:
    """Parse the command line, run every way with every seed, print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", default="head")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--baselines", default="", help="methods of niwt baseline")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("flags", nargs="+")
    arguments = parser.parse_args()
    ways = parted(arguments.ways)
    baselines = {name: own or [name] for name, own in parted(arguments.baselines).items()}
    results: dict[str, list[Metrics]] = {name: [] for name in (*ways, *baselines)}
    # Seed by seed, so that what is cut short still compares the ways.
    for seed in map(int, arguments.seeds.split(",")):
        common = [*arguments.flags, f"--seed={seed}", f"--stage_store={arguments.runs / 'store'}"]
        for name, own in (ways | baselines).items():
            folder = arguments.runs / name.replace(" ", "_") / f"seed_{seed}"
            results[name].append((run if name in ways else baseline)(own, common, folder))
    lines = differences(results, SHOWN)
    print("\n".join(lines))
    (arguments.runs / "text_networks.json").write_text(json.dumps({"table": lines, "runs": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
