"""Compare what classes are described by: H, ZSL and AUSUC of NIWT for each source of knowledge, over seeds.

python studies/knowledge.py --sources=attributes,captions,attributes+captions --seeds=0,1,2 --runs=runs/cub10_knowledge -- \
    --flagfile=flags/cub10_mobilenet_v2.flags --data_dir=ARCHIVE --weights=FILE

A source of texts may name how they become numbers: captions@encoder, captions@lsa. What follows `--` goes to `niwt run` as
it is, but `--text_features` to sources with texts alone. Networks are trained once a
seed and shared by the sources. Runs that are up to date are not repeated. The interval is Student's over the seeds; differences
are to the first source, seed by seed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from niwt_tf.config.names import TEXTS
from studies.seeds import differences

SHOWN = ("harmonic_mean", "acc_zsl", "ausuc")
Metrics = Mapping[str, float]


def run(source: str, seed: int, runs: Path, flags: Sequence[str]) -> Metrics:
    """Return the metrics of one source and seed, run as far as the stage evaluate."""
    known, _, features = source.partition("@")
    folder = runs / re.sub(r"\W+", "_", source) / f"seed_{seed}"
    begun = time.monotonic()
    command = [sys.executable, "-m", "niwt_tf", "run", *flags, f"--knowledge={known}", f"--seed={seed}"]
    command += [f"--run_dir={folder}", f"--stage_store={runs / 'store'}", "--until=evaluate"]
    if features:
        command.append(f"--text_features={features}")
    elif not set(known.split("+")) & set(TEXTS):
        command.append("--text_features=lsa")  # the last one counts, and any other is refused where there is no text
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    print(f"{source}, seed {seed}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return dict(json.loads((folder / "metrics.json").read_text()))


def main() -> None:
    """Parse the command line, run every source with every seed, print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", default="attributes,captions,attributes+captions")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("flags", nargs="+")
    arguments = parser.parse_args()
    seeds, runs = [int(seed) for seed in arguments.seeds.split(",")], arguments.runs
    # Seed by seed, so that a run that is cut short still compares the sources.
    made = [{source: run(source, seed, runs, arguments.flags) for source in arguments.sources.split(",")} for seed in seeds]
    results = {source: [of_seed[source] for of_seed in made] for source in arguments.sources.split(",")}
    lines = differences(results, SHOWN)
    print("\n".join(lines))
    raw = {source: [{"seed": seed, **each} for seed, each in zip(seeds, of, strict=True)] for source, of in results.items()}
    (runs / "knowledge.json").write_text(json.dumps({"table": lines, "runs": raw}, indent=2) + "\n")


if __name__ == "__main__":
    main()
