"""Time, memory and disk of `niwt importance` at 1x, 4x and 16x the images, and the slopes: what a million images would take.

    python studies/scale.py [--species=10] [--images=30] [--size=64] [--json=studies/scale.json]

Renders birds and makes folders in which every image is there 4 and 16 times, by links. Each is trained for one epoch of the
head (the network does not matter here); then `niwt importance` is measured alone, twice, each time in a process of its own:
with an empty cache, and with the cache that this left. Seconds are the stage's own, without starting Python and reading the
lists; memory is the high-water mark of the process's resident memory, as the kernel keeps it. A line is fitted through the
three sizes. What stands under "extrapolated" is that line continued, not a measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.data.birds.render import render_birds

SCALES = (1, 4, 16)
_MILLION = 1_000_000
_MIB = 2**20


def replicated(birds: Path, target: Path, copies: int) -> Path:
    """Write a folder data set that holds every image of the rendered birds `copies` times, as links."""
    official = birds / "CUB_200_2011"
    names = [line.split(" ", 1)[1] for line in (official / "classes.txt").read_text().splitlines()]
    values = (official / "attributes" / "class_attribute_labels_continuous.txt").read_text().splitlines()
    columns = [line.split(" ", 1)[1] for line in (birds / "attributes.txt").read_text().splitlines()]
    rows = [",".join([name, *row.split()]) for name, row in zip(names, values, strict=True)]
    target.mkdir()
    (target / "classes.csv").write_text("\n".join([",".join(["class", *columns]), *rows]) + "\n")
    for image in sorted((official / "images").glob("*/*.*")):
        (target / "images" / image.parent.name).mkdir(parents=True, exist_ok=True)
        for copy in range(copies):
            os.link(image, target / "images" / image.parent.name / f"{image.stem}_{copy}{image.suffix}")
    return target


def niwt(job: str, *flags: str) -> float:
    """Do a job in a process of its own and return the peak of its resident memory in MiB."""
    process = subprocess.Popen([sys.executable, "-m", "niwt_tf", job, "--noprogress", *flags], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"niwt {job} {' '.join(flags)} ended with status {process.returncode}.")
    return usage.ru_maxrss / 1024  # Linux counts in KiB


def measured(scratch: Path, birds: Path, copies: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return what the stage took with a cold and with a warm cache, for every image `copies` times."""
    data, run, cache = replicated(birds, scratch / "data", copies), scratch / "run", scratch / "cache"
    niwt(
        "train",
        "--dataset=folder",
        f"--data_dir={data}",
        f"--run_dir={run}",
        f"--num_unseen={max(1, options.species // 5)}",
        f"--input_size={options.size}",
        "--finetune=head",
        "--epochs=1",
        "--num_folds=1",
        "--cache_gb=0",
    )
    results = []
    for state in ("cold", "warm"):
        shutil.rmtree(run / "importance", ignore_errors=True)
        peak = niwt("importance", f"--run_dir={run}", f"--cache_dir={cache}", "--cache_gb=1000")
        seconds = json.loads((run / "importance" / "manifest.json").read_text())["seconds"]
        held = sum(file.stat().st_size for file in cache.glob("*/*.bin"))
        results.append({"cache": state, "seconds": seconds, "peak_mib": peak, "cache_mib": held / _MIB})
    for folder in (data, run, cache):
        shutil.rmtree(folder)
    return results


def slopes(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return what a thousand more images add and the line's value at a million, by least squares over the sizes."""
    images = np.array([row["images"] for row in rows], float)
    found: dict[str, float] = {}
    for name in ("seconds", "peak_mib", "cache_mib"):
        slope, start = np.polyfit(images, [row[name] for row in rows], 1)
        found[f"{name}_per_thousand"] = float(1000 * slope)
        found[f"{name}_of_a_million_extrapolated"] = float(start + _MILLION * slope)
    return found


def main() -> None:
    """Print the table and the slopes, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", type=int, default=10)
    parser.add_argument("--images", type=int, default=30, help="of a species, at 1x")
    parser.add_argument("--size", type=int, default=64, help="of an image in pixels")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="scale_"))
    rows: list[dict[str, Any]] = []
    try:
        birds = render_birds(scratch / "birds", options.species, options.images, options.size)
        for copies in SCALES:
            for result in measured(scratch, birds, copies, options):
                rows.append({"scale": copies, "images": copies * options.species * options.images, **result})
                print("{scale:>3}x {images:>7} images  {cache} cache: {seconds:7.2f} s, peak {peak_mib:7.1f} MiB, "
                      "cache {cache_mib:8.1f} MiB".format(**rows[-1]), flush=True)  # fmt: skip
    finally:
        shutil.rmtree(scratch)
    fitted = {state: slopes([row for row in rows if row["cache"] == state]) for state in ("cold", "warm")}
    for state, line in fitted.items():
        print(
            f"{state}: {line['seconds_per_thousand']:.2f} s, {line['peak_mib_per_thousand']:+.2f} MiB of memory and "
            f"{line['cache_mib_per_thousand']:.1f} MiB of cache for a thousand images more"
        )
        if line["seconds_per_thousand"] <= 0:
            print(f"{state}: the seconds do not grow beyond their scatter; nothing is extrapolated")
            continue
        print(
            f"{state}, extrapolated to 1,000,000 images (not measured): "
            f"{line['seconds_of_a_million_extrapolated'] / 60:.0f} min, "
            f"{line['peak_mib_of_a_million_extrapolated'] / 1024:.1f} GiB of memory, "
            f"{line['cache_mib_of_a_million_extrapolated'] / 1024:.0f} GiB of cache"
        )
    options.json.write_text(json.dumps({"rows": rows, "fitted": fitted}, indent=2) + "\n")


if __name__ == "__main__":
    main()
