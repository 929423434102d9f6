"""What the flags of a job say of how it works: on which devices, beside which other processes, with which cache."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from absl import flags

from niwt_tf.compute.distributed import ALONE, Team, team_of
from niwt_tf.compute.execution import Execution
from niwt_tf.compute.feature_cache import GIGABYTE, RowCache
from niwt_tf.errors import InputError
from niwt_tf.runs.run import Run

CACHE_FOLDER = ".cache"
# Made once a process.
_TEAMS: dict[str, Team] = {"none": ALONE}
# What TensorFlow raises in the workers that are left: which one depends on what they were doing.
_GONE = ("UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError", "FailedPreconditionError")


def execution_of(run: Run) -> Execution:
    """Return the execution that the run's settings and the job's flags ask for."""
    settings = run.settings
    given = _flag("cache_dir", None)
    folder = run.path / CACHE_FOLDER if given is None else Path(os.path.abspath(os.path.expanduser(given)))
    cache = RowCache(folder, int(_flag("cache_gb", 0.0) * GIGABYTE), settings.cache_dtype)
    return Execution(precision=settings.precision, jit=settings.jit, team=run.team, progress=show_progress(), cache=cache)


def show_progress() -> bool:
    """Return --progress; true where no job defined it, false in the workers of a team but its chief."""
    return is_chief() and bool(_flag("progress", True))


def team_from_flags() -> Team:
    """Return the team of --strategy. Call it before TensorFlow has done anything; later calls give the same team.

    Every process but the chief keeps quiet from here on: it logs errors alone.

    Raises:
        InputError: TF_CONFIG is absent or wrong, or a worker does not come.
    """
    strategy = _flag("strategy", "none")
    if strategy not in _TEAMS:
        _TEAMS[strategy] = team_of(strategy)
    team = _TEAMS[strategy]
    if not team.is_chief:
        logging.getLogger("niwt_tf").setLevel(logging.ERROR)
    return team


def is_chief() -> bool:
    """Return whether this process reports and writes; true before any team was made."""
    return all(team.is_chief for team in _TEAMS.values())


def lost_worker(error: BaseException) -> str | None:
    """Return a sentence if the error says that another worker of this process's team is gone."""
    team = next((team for team in _TEAMS.values() if team.size > 1), None)
    if team is None:
        return None
    cause: BaseException | None = error
    while cause is not None:
        if _is_loss(cause):
            return (
                f"--strategy=multiworker: a worker has stopped or cannot be reached, as worker {team.index} of "
                f"0..{team.size - 1} noticed. When no worker is running any more, start the same command on every worker to go "
                "on."
            )
        cause = cause.__cause__ or cause.__context__
    return None


def _is_loss(error: BaseException) -> bool:
    errors = getattr(sys.modules.get("tensorflow"), "errors", None)
    if errors is None or isinstance(error, InputError) or not isinstance(error, errors.OpError):
        return False
    return type(error).__name__ in _GONE or "ollective" in str(error)


def _flag(name: str, default: Any) -> Any:
    return flags.FLAGS[name].value if name in flags.FLAGS else default
