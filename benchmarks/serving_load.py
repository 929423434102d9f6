"""Many clients on a loopback server for a minute, with a new version halfway: failures, mixed answers, times, memory.

    python benchmarks/serving_load.py --seconds=60 --clients=8 --bundle=exports/birds

Half of the clients use gRPC, half REST. Of seven requests one is of `explain` and one of `classify_with`, where the bundle has
them. The server is a process of its own, and its memory is what is watched. Without a bundle a small_vgg of random weights with
50 classes is exported. The bundle is copied; version N+1 is N with every class renamed, so that a label tells which version it
came from. The status is 1 if a request failed or an answer was mixed.

Memory counts as flat if the straight line through the last third, when only N+1 is served, rises by at most 2 % of what the
server has there. What the swap itself left behind is told beside it: loading and freeing a version moves the level once.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
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


def main() -> int:
    """Run the load and print the figures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--bundle", help="a version, or the folder of versions")
    parser.add_argument("--json", help="a file for the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="niwt-load-") as work:
        models = Path(work, "models")
        if given.bundle:
            shutil.copytree(Bundle.open(given.bundle).folder, models / "1")
        else:
            _export_toy(models)
        figures = _measure(models, given.seconds, given.clients)
    for name, value in figures.items():
        print(f"{name:<48}{value if isinstance(value, str) else f'{value:g}'}")
    if given.json:
        Path(given.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(bool(figures["failed requests"] or figures["mixed answers"]))


def _measure(models: Path, seconds: float, clients: int) -> dict[str, float | str]:
    bundle = Bundle.open(models)
    number = int(bundle.folder.name)
    cards = [dataclasses.replace(card, name=f"next {card.name}") for card in bundle.cards]
    load = Load.of(bundle, [card.name for card in cards], _requests())
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
        published = 0.0
        while (now := time.monotonic() - begun) < seconds:
            memory.append((now, _resident(process.pid)))
            if not published and now >= seconds / 2:
                labels = np.array([card.name.encode() for card in cards], object)
                next_version(bundle, variables={"labels": labels}, cards=cards)
                published = time.monotonic()
            time.sleep(max(0.0, begun + len(memory) - time.monotonic()))
        stop.set()
        for thread in threads:
            thread.join()
    together = Observed()
    for one in observed:
        together.add(one)
    for wrong, count in together.failures.most_common(3):
        print(f"failed {count} times: {wrong}", file=sys.stderr)
    return _figures(together, memory, seconds, begun + seconds, published, number)


def _figures(
    observed: Observed, memory: list[tuple[float, float]], seconds: float, end: float, published: float, number: int
) -> dict[str, float | str]:
    times = np.array(observed.seconds or [np.nan])
    first = observed.first.get(number + 1)
    return {
        "seconds": seconds,
        "requests answered": len(observed.seconds),
        "requests answered a second": round(len(observed.seconds) / seconds, 1),
        "requests answered, explain": observed.signatures["explain"],
        "requests answered, classify_with": observed.signatures["classify_with"],
        "failed requests": sum(observed.failures.values()),
        "mixed answers": observed.mixed,
        "answers of version N": observed.answers[number],
        "answers of version N+1": observed.answers[number + 1],
        "s from N+1 on disk to its first answer": "none came" if first is None else round(first - published, 3),
        "ms a request, median": round(1000 * float(np.median(times)), 2),
        "ms a request, 99th percentile": round(1000 * float(np.percentile(times, 99)), 2),
        "server MB, first": round(memory[0][1], 1),
        "server MB, peak": round(max(size for _, size in memory), 1),
        "server MB a minute, after the first third": _slope(memory, seconds / 3, seconds),
        "server MB a minute, from there to N+1": _slope(memory, seconds / 3, seconds / 2),
        "server MB a minute, last third": _slope(memory, 2 * seconds / 3, seconds),
        "server MB, last third above that before N+1": _step(memory, seconds),
        "server memory, last third": verdict([sample for sample in memory if sample[0] >= 2 * seconds / 3]),
    }


def _step(memory: list[tuple[float, float]], seconds: float) -> float | str:
    before = [size for moment, size in memory if seconds / 3 <= moment < seconds / 2]
    after = [size for moment, size in memory if moment >= 2 * seconds / 3]
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
