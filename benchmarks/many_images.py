"""`niwt classify --answers` on many images: memory at several counts, images a second by workers, and three kills.

    python benchmarks/many_images.py --bundle=exports/birds --images=data/birds

Every image is a symbolic link to one of the files, so 20,000 need no disk. Each job is a process of its own; its peak is the
sum of the peaks of it and its workers. Images a second count from the first answer, so that loading the model is left out. The
kills are SIGKILL of the job at a quarter, half and three quarters; the file must then have the bytes of one without kills.
The status is 1 if they differ, or if the peak at the largest count is above that at the smallest by more than a twentieth.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import say
from niwt_tf.config.surroundings import child_environment, python_command
from niwt_tf.data.readers.loose_images import image_files
from niwt_tf.files import read_json

_FLAT = 1.05
_A_FOLDER = 1000
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Job:
    """How a job went: its exit status, images a second from the first answer on, and the bytes of its peak."""

    status: int
    rate: float
    peak: float


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", required=True, help="a version, or the folder of versions")
    parser.add_argument("--images", required=True, help="image files, or folders of them")
    parser.add_argument("--counts", default="1250,2000,5000,20000", help="images of the jobs whose memory is measured")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--more", default="", help="more flags for niwt classify, with blanks between")
    parser.add_argument("--json", help="a file for the figures")
    given = parser.parse_args()
    counts, workers = ([int(part) for part in text.split(",")] for text in (given.counts, given.workers))
    files = [path.resolve() for path in image_files(given.images)]
    more = given.more.split()
    with tempfile.TemporaryDirectory(prefix="niwt-many-") as work:
        folder = Path(work)
        for count in counts:
            _link(files, folder / str(count), count)

        def job(count: int, number: int, name: str, watch: Callable[[int], bool] = lambda done: False) -> Job:
            flags = [f"--bundle={given.bundle}", f"--images={folder / str(count)}", f"--workers={number}", *more]
            return run_job(flags, folder / name, watch)

        figures: dict[str, object] = {"images": len(files)}
        peaks = {count: _said(f"{count} images", job(count, 1, f"m{count}.csv")).peak for count in counts}
        figures["peaks"] = peaks
        rates: dict[int, list[float]] = {number: [] for number in workers}
        for repetition in range(given.repetitions):
            for number in workers:
                done = _said(f"{number} workers", job(counts[-1], number, f"r{repetition}_{number}.csv"))
                rates[number].append(done.rate)
        figures["rates"] = rates
        whole = _digest(folder / f"m{counts[-1]}.csv")
        for quarter in (1, 2, 3):
            at = counts[-1] * quarter // 4
            killed = job(counts[-1], 1, "killed.csv", lambda done, at=at: done >= at)
            _said(f"killed at {at} or later, status {killed.status}", killed)
        last = _said("after three kills", job(counts[-1], 1, "killed.csv"))
        same = _digest(folder / "killed.csv") == whole and last.status == 0
        figures["same_after_kills"] = same
    flat = peaks[counts[-1]] <= _FLAT * peaks[counts[0]]
    print("\n| images | peak, MB |\n|---|---|")
    print("\n".join(f"| {count:,} | {peak / 1e6:.0f} |" for count, peak in peaks.items()))
    print("\n| workers | images a second, median (each) | of the first |\n|---|---|---|")
    middle = {number: statistics.median(values) for number, values in rates.items()}
    for number, values in rates.items():
        each = ", ".join(f"{value:.0f}" for value in values)
        print(f"| {number} | {middle[number]:.0f} ({each}) | {middle[number] / middle[workers[0]]:.2f} |")
    print(f"\nmemory {'is flat' if flat else 'GROWS'}; killed three times, the file {'is the same' if same else 'DIFFERS'}")
    if given.json:
        Path(given.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if same and flat else 1


def _said(what: str, job: Job) -> Job:
    say(f"{what}: {job.rate:.0f} images a second, peak {job.peak / 1e6:.0f} MB")
    return job


def _link(files: list[Path], folder: Path, count: int) -> None:
    for number, file in enumerate(itertools.islice(itertools.cycle(files), count)):
        inner = folder / f"{number // _A_FOLDER:04d}"
        inner.mkdir(parents=True, exist_ok=True)
        (inner / f"{number:07d}{file.suffix}").symlink_to(file)


def run_job(flags: list[str], answers: Path, ends: Callable[[int], bool] = lambda done: False) -> Job:
    """Run `niwt classify --answers`; `ends` is asked with the images that are noted as done, and true kills the job."""
    command = [*python_command("niwt_tf"), "classify", *flags, f"--answers={answers}", "--noprogress"]
    progress, peaks = answers.with_name(f"{answers.name}.unfinished") / "progress.json", dict[int, float]()
    first: tuple[float, int] | None = None
    images, done = 0, 0
    with subprocess.Popen(command, env=child_environment(), stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            for pid in (process.pid, *_children(process.pid)):
                peaks[pid] = max(peaks.get(pid, 0.0), _peak(pid))
            with suppress(OSError, ValueError):
                found = read_json(progress)
                images, done = found["images"], found["done"]
            if first is None and done:
                first = time.perf_counter(), done
            if ends(done):
                process.send_signal(signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
        now = time.perf_counter()
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    begun, before = first or (now - 1, done)
    answered = (images if process.returncode == 0 else done) - before
    return Job(process.returncode, answered / (now - begun), sum(peaks.values()))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def _peak(pid: int) -> float:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return 0.0


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
