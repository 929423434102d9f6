"""Measure both sides of every claim about speed, one beside the other, and print ratios with their spread.

    python benchmarks/bench.py [--only=engines,importance] [--json=PATH] [--run_dir=PATH]

Sides take turns (A, B, A, B, ...) in one process, so that a slow minute hits both. A ratio is that of the medians; its spread
is the lowest and highest ratio of one repetition. Nothing here is a test: what is not reached is shown and does not fail.
Numbers from a machine that does something else meanwhile are worth little. All of it takes a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if sys.path[0] == str(ROOT / "benchmarks"):
    sys.path[0] = str(ROOT)  # run as a file, Python would look in this folder alone
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")

MEASUREMENTS = (
    "engines", "convolutional_tail", "one_more_class", "relevance_map", "stage3_birds", "importance", "inference", "grad_cam",
    "training", "quickstart", "serving",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements, print their tables as they come and write the JSON; 1 if one of them broke."""
    options = parsed(arguments)
    from niwt_tf.compute.quiet_tensorflow import import_quietly

    import_quietly()
    from benchmarks import report
    from benchmarks.birds_run import BirdsRun
    from benchmarks.harness import say

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    facts = report.machine()
    print(f"## Benchmarks\n\n{report.machine_line(facts)}\n", flush=True)
    results: dict[str, dict[str, Any]] = {}
    broken = 0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="niwt-bench-") as scratch:
        birds = BirdsRun(Path(scratch), options.run_dir, options.epochs)
        for name in options.only:
            say(f"{name} ...")
            started = time.monotonic()
            try:
                measured = importlib.import_module(f"benchmarks.{name}").measure(birds)
            except Exception:  # the others are still worth their time
                traceback.print_exc()
                broken += 1
                results[name] = {"error": traceback.format_exc(limit=1).strip().splitlines()[-1]}
                continue
            seconds = time.monotonic() - started
            results[name] = report.as_dict(measured, seconds)
            print(f"{report.table(measured)}\n", flush=True)
            say(f"{name} took {seconds:.0f} s")
    report.write_json(options.json, facts, results)
    print(f"{time.monotonic() - begun:.0f} s in all; every number: {options.json}")
    return 1 if broken else 0


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(MEASUREMENTS), help=f"some of {','.join(MEASUREMENTS)}")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "bench.json", help="where numbers go")
    parser.add_argument("--run_dir", type=Path, help="a finished run on the birds; by default one is made")
    parser.add_argument("--epochs", type=int, default=6, help="of the run that is made")
    options = parser.parse_args(arguments)
    options.only = [name.strip() for name in options.only.split(",") if name.strip()]
    unknown = [name for name in options.only if name not in MEASUREMENTS]
    if unknown or not options.only:
        parser.error(f"--only must be some of {', '.join(MEASUREMENTS)}. Received: {','.join(unknown)!r}.")
    if options.run_dir is not None and not (options.run_dir / "config.json").is_file():
        parser.error(f"--run_dir must be a finished run, with its config.json. Received: {str(options.run_dir)!r}.")
    return options


if __name__ == "__main__":
    sys.exit(main())
