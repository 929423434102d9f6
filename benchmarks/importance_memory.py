"""Peak memory of `niwt importance` does not grow with the number of images: 1x and 4x, each in a process of its own.

    python benchmarks/importance_memory.py [--species=10] [--images=60] [--size=64]

Renders birds, makes a copy of the folder in which every image is there four times, trains both for one epoch (the network does
not matter here), and then measures `niwt importance` alone: the high-water mark of its process's resident memory, as the kernel
keeps it. Takes about two minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from niwt_tf.data.birds import render_birds

_COPIES = 4
_BYTES_OF_A_VALUE = 4  # float32


def replicated(folder: Path, target: Path, copies: int) -> Path:
    """Write a folder data set that holds every image of the birds in `folder` `copies` times."""
    official = folder / "CUB_200_2011"
    names = [line.split(" ", 1)[1] for line in (official / "classes.txt").read_text().splitlines()]
    values = (official / "attributes" / "class_attribute_labels_continuous.txt").read_text().splitlines()
    columns = [line.split(" ", 1)[1] for line in (folder / "attributes.txt").read_text().splitlines()]
    rows = [",".join([name, *row.split()]) for name, row in zip(names, values, strict=True)]
    target.mkdir()
    (target / "classes.csv").write_text("\n".join([",".join(["class", *columns]), *rows]) + "\n")
    for image in sorted((official / "images").glob("*/*.*")):
        (target / "images" / image.parent.name).mkdir(parents=True, exist_ok=True)
        for copy in range(copies):
            shutil.copy(image, target / "images" / image.parent.name / f"{image.stem}_{copy}{image.suffix}")
    return target


def niwt(job: str, *flags: str) -> float:
    """Do a job in a process of its own and return the peak of its resident memory in MiB."""
    process = subprocess.Popen([sys.executable, "-m", "niwt_tf", job, "--noprogress", *flags])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    return usage.ru_maxrss / 1024  # Linux counts in KiB


def main() -> None:
    """Print the peaks and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--species", type=int, default=10)
    parser.add_argument("--images", type=int, default=60, help="of a species, at 1x")
    parser.add_argument("--size", type=int, default=64, help="of an image in pixels")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="importance_memory_"))
    try:
        birds = render_birds(scratch / "birds", options.species, options.images, options.size)
        peaks = {}
        for copies in (1, _COPIES):
            data, run = replicated(birds, scratch / f"data_{copies}", copies), scratch / f"run_{copies}"
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
            )
            peaks[copies] = niwt("importance", f"--run_dir={run}")
        count = options.species * options.images
        for copies, peak in peaks.items():
            print(f"niwt importance, {copies * count:>6} images: peak {peak:7.1f} MiB")
        further = (_COPIES - 1) * count
        pixels = further * options.size**2 * 3 * _BYTES_OF_A_VALUE / 2**20
        print(f"ratio {peaks[_COPIES] / peaks[1]:.3f}; as arrays the {further} further images would be {pixels:.0f} MiB")
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
