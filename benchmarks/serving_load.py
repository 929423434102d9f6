"""Many clients on a loopback server, new versions meanwhile: failures, mixed answers, times, memory.

    python benchmarks/serving_load.py --seconds=60 --clients=8 --bundle=exports/birds
    python benchmarks/serving_load.py --seconds=600 --clients=8 --bundle=exports/birds --swaps=3 --faults

Half of the clients use gRPC, half REST. Of seven requests one is of `explain` and one of `classify_with`, where the bundle has
them. The server is a process of its own, and its memory is what is watched. Without a bundle a small_vgg of random weights with
50 classes is exported. The bundle is copied. Each new version is the first with every class renamed, so that a label tells
which version it came from. `--faults` puts between the first swap and the second a version with damaged variables, and one that
cannot be written because the system takes no more bytes (a limit on the size of files stands for the full disk). The status is
1 if a request failed, an answer was mixed, or the faulty versions left something.

Whatever changes does so in the middle third, or later where a version takes longer to answer; a third of the time follows.
Memory counts as flat if the straight line through that, when only the newest version is served, rises by at most 2 % of what
the server has there. What the swaps themselves left behind is told beside it: loading and freeing a version moves the level
once. A swap lasts from the version's appearance to its first answer.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import itertools
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

from benchmarks.load_clients import Load, Observed, ask_until
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.classes.rewrite import next_version

_NAME = "model"
_SIDES = (48, 64, 100)
_BATCHES = (1, 1, 2, 4)
_FLAT = 0.02
_SAMPLES = 10
_FULL_BYTES = 64 << 10
_LONGEST = 30


def main() -> int:
    """Run the load and print the figures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--bundle", help="a version, or the folder of versions")
    parser.add_argument("--swaps", type=int, default=1, help="how many new versions appear, one after the other")
    parser.add_argument("--faults", action="store_true", help="a damaged version, and one that cannot be written")
    parser.add_argument("--json", help="a file for the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="niwt-load-") as work:
        models = Path(work, "models")
        if given.bundle:
            shutil.copytree(Bundle.open(given.bundle).folder, models / "1")
        else:
            _export_toy(models)
        figures = _measure(models, given.seconds, given.clients, plan(given.swaps, given.faults))
    for name, value in figures.items():
        print(f"{name:<48}{value if isinstance(value, str) else f'{value:g}'}")
    if given.json:
        Path(given.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(any(figures[name] for name in ("failed requests", "mixed answers", "left by faulty versions")))


def plan(swaps: int, faults: bool) -> list[str]:
    """Return what happens in the middle third, in equal steps."""
    events = ["swap"] * swaps
    return [*events[:1], "damaged", "full", *events[1:]] if faults else events


def _measure(models: Path, seconds: float, clients: int, events: list[str]) -> dict[str, float | str]:
    bundle = Bundle.open(models)
    numbers = itertools.count(int(bundle.folder.name) + 1)
    expected = [None if event == "full" else next(numbers) for event in events]
    renamed = {
        number: [f"{card.name} of {number}" for card in bundle.cards]
        for event, number in zip(events, expected, strict=True)
        if event == "swap" and number is not None
    }
    load = Load.of(bundle, renamed, _requests())
    stop, observed = threading.Event(), [Observed() for _ in range(clients)]
    with _server(models) as (process, addresses):
        threads = [
            threading.Thread(target=ask_until, args=(stop, addresses[client % 2], _NAME, load, observed[client]))
            for client in range(clients)
        ]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        memory: list[tuple[float, float]] = []
        published: dict[int, float] = {}
        left, done, quiet = 0, 0, math.inf
        while (now := time.monotonic() - begun) < max(seconds, quiet + seconds / 3):
            memory.append((now, _resident(process.pid)))
            # The next one only when the one before answers, so that on a slow machine none is passed over.
            answers = all(any(number in one.first for one in observed) for number in published)
            if answers and done == len(events):
                quiet = min(quiet, now)
            elif answers and now >= seconds * (1 + (done + 1) / (len(events) + 1)) / 3:
                event, number = events[done], expected[done]
                done += 1
                if event == "full":
                    left += _published_on_a_full_disk(bundle)
                elif event == "damaged":
                    _publish_damaged(bundle, models / str(number))
                elif number is not None:
                    path = _publish(bundle, renamed[number])
                    published[number] = time.monotonic()
                    left += path.name != str(number)
            if process.poll() is not None or now > _LONGEST * seconds:
                sys.exit("serving_load: the server ended, or a new version never answered")
            time.sleep(max(0.0, begun + len(memory) - time.monotonic()))
        lasted = time.monotonic() - begun
        stop.set()
        for thread in threads:
            thread.join()
    together = Observed()
    for one in observed:
        together.add(one)
    for wrong, count in together.failures.most_common(3):
        print(f"failed {count} times: {wrong}", file=sys.stderr)
    figures = _figures(together, memory, lasted, (seconds / 3, quiet), published, int(bundle.folder.name))
    return {**figures, "left by faulty versions": left}


def _publish(bundle: Bundle, names: list[str]) -> Path:
    cards = [dataclasses.replace(card, name=name) for card, name in zip(bundle.cards, names, strict=True)]
    labels = np.array([name.encode() for name in names], object)
    return next_version(bundle, variables={"labels": labels}, cards=cards)


def _publish_damaged(bundle: Bundle, path: Path) -> None:
    """Put a version there in which the second half of the variables is missing."""
    hidden = path.with_name(f".{path.name}")
    shutil.copytree(bundle.folder, hidden)
    (variables,) = hidden.glob("variables/*.data-*")
    os.truncate(variables, variables.stat().st_size // 2)
    hidden.rename(path)


def _published_on_a_full_disk(bundle: Bundle) -> int:
    """Try to write a version where files may not grow; return how many entries were left, 1 if it did not fail."""
    before = set(os.listdir(bundle.folder.parent))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FULL_BYTES, limits[1]))
    try:
        _publish(bundle, [card.name for card in bundle.cards])
    except OSError:
        return len(set(os.listdir(bundle.folder.parent)) - before)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    return 1


def _figures(
    observed: Observed, memory: list[tuple[float, float]], seconds: float, changes: tuple[float, float],
    published: dict[int, float], first: int,
) -> dict[str, float | str]:
    times, (begun, ended) = np.array(observed.seconds or [np.nan]), changes
    first_answers = [(moment, observed.first.get(number)) for number, moment in published.items()]
    waits = ["none came" if answered is None else str(round(answered - moment, 1)) for moment, answered in first_answers]
    return {
        "seconds": round(seconds, 1),
        "requests answered": len(observed.seconds),
        "requests answered a second": round(len(observed.seconds) / seconds, 1),
        "requests answered, explain": observed.signatures["explain"],
        "requests answered, classify_with": observed.signatures["classify_with"],
        "failed requests": sum(observed.failures.values()),
        "mixed answers": observed.mixed,
        **{f"answers of version {number}": observed.answers[number] for number in (first, *published)},
        "s from a version on disk to its first answer": ", ".join(waits),
        "ms a request, median": round(1000 * float(np.median(times)), 2),
        "ms a request, 99th percentile": round(1000 * float(np.percentile(times, 99)), 2),
        **swap_times(observed, published),
        "server MB, first": round(memory[0][1], 1),
        "server MB, peak": round(max(size for _, size in memory), 1),
        "server MB a minute, before any change": _slope(memory, begun / 2, begun),
        "server MB a minute, after the last": _slope(memory, ended, seconds),
        "server MB, after the last above that before": _step(memory, begun, ended),
        "server memory, after the last change": verdict([sample for sample in memory if sample[0] >= ended]),
    }


def swap_times(observed: Observed, published: dict[int, float]) -> dict[str, float | str]:
    """Return the 99th percentile of requests before the first swap and of those during one, and their ratio."""
    times, ended = np.array(observed.seconds), np.array(observed.ended)
    swaps = [(moment, observed.first[number]) for number, moment in published.items() if number in observed.first]
    if not swaps:
        return {"ms a request, 99th percentile during a swap": "no swap"}
    begun = ended - times
    # The answers of a server's first seconds are slower.
    settled = ended.min() + (swaps[0][0] - ended.min()) / 4
    before = times[(ended >= settled) & (ended <= swaps[0][0])]
    during = times[np.any([(ended >= start) & (begun <= end) for start, end in swaps], axis=0)]
    usual, then = (1000 * float(np.percentile(some, 99)) if len(some) else float("nan") for some in (before, during))
    return {
        "ms a request, 99th percentile before any swap": round(usual, 2),
        "ms a request, 99th percentile during a swap": round(then, 2),
        "times as long": round(then / usual, 2),
    }


def _step(memory: list[tuple[float, float]], begun: float, ended: float) -> float | str:
    before = [size for moment, size in memory if begun / 2 <= moment < begun]
    after = [size for moment, size in memory if moment >= ended]
    return round(float(np.median(after) - np.median(before)), 1) if before and after else "too short"


def verdict(memory: list[tuple[float, float]]) -> str:
    """Return whether memory is flat over samples of (second, MB), and by how much it rises from the first to the last."""
    if len(memory) < _SAMPLES:
        return "too short to tell"
    times, sizes = np.array(memory).T
    rise = float(np.polyfit(times, sizes, 1)[0]) * (times[-1] - times[0])
    level = float(np.median(sizes))
    word = "flat" if rise <= _FLAT * level else "NOT flat"
    return f"{word}: {rise:+.1f} MB in {times[-1] - times[0]:.0f} s, {rise / level:+.1%} (limit {_FLAT:+.0%})"


def _slope(memory: list[tuple[float, float]], start: float, end: float) -> float | str:
    """Return the least-squares slope in MB a minute of the samples between two moments."""
    inside = np.array([sample for sample in memory if start <= sample[0] <= end])
    return round(60 * float(np.polyfit(inside[:, 0], inside[:, 1], 1)[0]), 2) if len(inside) > 2 else "too short"


def _resident(process: int) -> float:
    """Return the resident memory of a process in MB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def _server(models: Path) -> Iterator[tuple[subprocess.Popen[str], tuple[str, str]]]:
    command = [sys.executable, "-m", "niwt_tf.serving.loopback", str(models), _NAME, "--grpc_port=0", "--rest_port=0"]
    above = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([above, *filter(None, [os.environ.get("PYTHONPATH")])])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            assert process.stdout is not None
            addresses = json.loads(process.stdout.readline())
            yield process, (addresses["grpc"], addresses["rest"])
        finally:
            process.terminate()


def _requests() -> list[list[bytes]]:
    """Return requests of one, two and four images of several sizes and both common formats."""
    random = np.random.default_rng(0)
    images = []
    for number in range(12):
        side = _SIDES[number % len(_SIDES)]
        file = io.BytesIO()
        pixels = random.integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(file, "jpeg" if number % 2 else "png")
        images.append(file.getvalue())
    return [[images[(3 * start + i) % len(images)] for i in range(size)] for start, size in enumerate(_BATCHES * 3)]


def _export_toy(models: Path) -> None:
    from benchmarks.serving_sides import contents_for
    from niwt_tf.models.backbones import build_network
    from niwt_tf.serving.export.savedmodel import export_network

    random = np.random.default_rng(0)
    names = [f"class {number}" for number in range(50)]
    seen = build_network("small_vgg", names[:40], input_size=64, seed=0)
    network = seen.with_head(random.standard_normal((seen.num_features, 50)), random.standard_normal(50), names, 40)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "check.png")
        path.write_bytes(_requests()[0][0])
        export_network(network, models, contents=contents_for(network), check_images=[path])


if __name__ == "__main__":
    sys.exit(main())
