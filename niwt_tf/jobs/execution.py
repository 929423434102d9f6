"""How the flags of a job say that networks are run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from absl import flags

from niwt_tf.compute.execution import Execution
from niwt_tf.compute.feature_cache import GIGABYTE, RowCache
from niwt_tf.jobs.team import is_chief
from niwt_tf.runs.run import Run

CACHE_FOLDER = ".cache"


def execution_of(run: Run) -> Execution:
    """Return the execution that the run's settings and the job's flags ask for."""
    settings = run.settings
    given = _flag("cache_dir", None)
    folder = run.path / CACHE_FOLDER if given is None else Path(os.path.abspath(os.path.expanduser(given)))
    cache = RowCache(folder, int(_flag("cache_gb", 0.0) * GIGABYTE), settings.cache_dtype)
    return Execution(
        precision=settings.precision, jit=settings.jit, team=run.team, progress=show_progress(), cache=cache
    )


def show_progress() -> bool:
    """Return --progress; true where no job defined it, false in the workers of a team but its chief."""
    return is_chief() and bool(_flag("progress", True))


def _flag(name: str, default: Any) -> Any:
    return flags.FLAGS[name].value if name in flags.FLAGS else default
