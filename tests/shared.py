"""What tests and fixtures of several scopes share: what all workers make once, short grids, logging as it was before a job."""

from __future__ import annotations

import dataclasses
import fcntl
import importlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def further(*values: Any) -> list[Any]:
    """Return parameters of a slow test that are further combinations of what other tests try; a tuple is several arguments."""
    marks = [pytest.mark.slow, pytest.mark.combination]
    return [pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=marks) for value in values]


@contextmanager
def made_once(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """Yield a folder that all workers share, and whether it is to be filled; while one does so, the others wait.

    It is a folder of this call of pytest, or of NIWT_TESTS_SHARED, in which several calls on the same files may share it.
    """
    own = tmp_path_factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = Path(os.environ.get("NIWT_TESTS_SHARED") or root) / f"shared-{name}"  # set to nothing, it would be this folder
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "made"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder, not made.exists()
        made.touch()


# In place of the first of a grid where that makes a large network or takes many steps.
_SMALL = {"hidden": 16.0, "steps": 5.0, "epochs": 1.0}


@contextmanager
def unchanged_logging() -> Iterator[None]:
    """Put the package's logger back after a job in this process, which writes to stderr by it; or later tests hear nothing."""
    logger = logging.getLogger("niwt_tf")
    before = list(logger.handlers), logger.level, logger.propagate
    try:
        yield
    finally:
        logger.handlers[:], logger.level, logger.propagate = before


@contextmanager
def shortened_grids() -> Iterator[None]:
    """Leave to each baseline one point of its grid, one kind of features, and small networks."""
    from niwt_tf.config.names import METHOD_MODULES
    from niwt_tf.methods.baselines.linear import GridMethod
    from niwt_tf.methods.registry import method_of

    with pytest.MonkeyPatch.context() as patch:
        for path in METHOD_MODULES.values():
            module = importlib.import_module(path)
            if isinstance(module.METHOD, GridMethod):
                grid = {name: (_SMALL.get(name, values[0]),) for name, values in module.METHOD.grid.items()}
                short = dataclasses.replace(module.METHOD, grid=grid, features=module.METHOD.features[:1])
                patch.setattr(module, "METHOD", short)
        method_of.cache_clear()
        yield
    method_of.cache_clear()
