"""The environment of a process that looks at a bundle on its own."""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def child_environment() -> dict[str, str]:
    """Return this process's environment, with this package on the path, and without GPUs, whose memory it may hold whole."""
    above = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(above), **quiet}
