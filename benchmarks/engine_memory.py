"""Peak memory of Stage 3 on VGG16's tail at its real size, each engine in a process of its own.

Run as a module it is that process: `python -m benchmarks.engine_memory ENGINE` prints JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from benchmarks.harness import Comparison, Goal, Series, say

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("tape", "operator", "closed_form")
GIGABYTE = 1e9


def memory_rows() -> list[Comparison]:
    """Return each engine's peak in GB, with the limit of twice the tail's weights and 1 GB."""
    peaks = {}
    for engine in ENGINES:
        say(f"memory of {engine} on VGG16's tail, a process of its own")
        peaks[engine] = in_own_process(engine)
    rows = []
    for engine in ENGINES[1:]:
        found = peaks[engine]
        limit = Goal(round((2 * found["tail"] + GIGABYTE) / GIGABYTE, 2))
        before, imports = found["before"] / GIGABYTE, found["imports"] / GIGABYTE
        title = f"vgg16: peak memory, {before:.2f} held before ({imports:.2f} by imports)"
        peak = Series(engine.replace("_", " "), [found["peak"] / GIGABYTE], "GB")
        rows.append(Comparison(title, peak, None, limit))
        tape = Series("tape", [peaks["tape"]["peak"] / GIGABYTE], "GB")
        rows.append(Comparison("vgg16: peak memory, tape beside it", tape, peak))
    return rows


def in_own_process(engine: str) -> dict[str, float]:
    """Return bytes: `tail` weights, held after `imports`, `before` the engine starts, `peak` of the whole process."""
    command = [sys.executable, "-m", "benchmarks.engine_memory", engine]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    return json.loads(done.stdout.decode().strip().splitlines()[-1])


def resident() -> float:
    """Return the bytes that this process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def peak() -> float:
    """Return the most bytes that this process held, since `forget_peak` where the system can."""
    # Not getrusage: its maximum begins with what the process that started this one had held.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def forget_peak() -> None:
    """Let the kernel count the peak anew: drawing the weights, which loading them would not need, is no engine's doing."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def run(engine: str) -> dict[str, float]:
    """Do Stage 3 with an engine in this process and return what it held."""
    from benchmarks import engine_sides
    from benchmarks.tails import unanswered_vgg16
    from niwt_tf.methods.niwt.transfer import TransferOptions, transfer_columns

    imports = resident()
    case = unanswered_vgg16()
    forget_peak()
    before = resident()
    if engine == "tape":
        options = TransferOptions(max_steps=3)
        transfer_columns(case.tail, case.support, case.importances, case.seen_columns, case.seen_biases, options)
    elif engine == "operator":
        engine_sides.by_operator(case, TransferOptions(max_steps=30))
    else:
        engine_sides.by_closed_form(case)
    return {"tail": case.tail_bytes, "imports": imports, "before": before, "peak": peak()}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1])))
