"""Whether explanations are true, over several seeds (each its own unseen classes): a table of every measure beside chance.

python studies/faithfulness.py --seeds=0,1,2 --runs=runs/faithful -- --flagfile=flags/birds.flags --data_dir=data/birds

What follows `--` goes to `niwt run` as it is. Runs that are up to date are not repeated. The interval is Student's 95 % over
the seeds; of one seed it is the run's own, over its classes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from studies.seeds import interval

GROUPS = ("seen", "unseen", "all")
Measured = Mapping[str, Mapping[str, Mapping[str, Any]]]


def measured(seed: int, runs: Path, flags: Sequence[str]) -> Measured:
    """Return `faithfulness` of metrics.json of one seed's run, which is made first."""
    folder = runs / f"seed_{seed}"
    common = [f"--run_dir={folder}", f"--seed={seed}", "--noprogress", *flags]
    for job, more in (("run", ["--until=evaluate"]), ("faithfulness", [])):
        subprocess.run([sys.executable, "-m", "niwt_tf", job, *common, *more], check=True, stdout=subprocess.DEVNULL)
    return json.loads((folder / "metrics.json").read_text())["faithfulness"]


def table(results: Sequence[Measured]) -> str:
    """Return a row for each measure: value with interval and chance, for images of seen, of unseen and of all classes."""
    header = " | ".join(f"{group} | chance" for group in GROUPS)
    lines = [f"| seeds: {len(results)} | {header} |", "|---" * (1 + 2 * len(GROUPS)) + "|"]
    for name in dict.fromkeys(name for result in results for name in result):
        entries = ([result[name][group] for result in results if group in result.get(name, {})] for group in GROUPS)
        cells = [cell for found in entries for cell in _cells(found)]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(found: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    if not found:
        return "", ""
    values = [entry["value"] for entry in found]
    has_interval = len(found) == 1 and found[0].get("low") is not None
    shown = f"{values[0]:.3f} ({found[0]['low']:.3f} to {found[0]['high']:.3f})" if has_interval else interval(values)
    chances = [entry["chance"] for entry in found if entry.get("chance") is not None]
    return shown, f"{statistics.fmean(chances):.3f}" if chances else ""


def main() -> None:
    """Parse the command line, make the runs, print the table and write what it is made of as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("flags", nargs="+")
    arguments = parser.parse_args()
    results = [measured(int(seed), arguments.runs, arguments.flags) for seed in arguments.seeds.split(",")]
    print(table(results))
    (arguments.runs / "faithfulness.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
