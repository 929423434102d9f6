"""The commands that make a run again, and what it was made with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from niwt_tf.experiments.settings import SETTINGS, Settings
from niwt_tf.report.contents import Reproduction

_LONGEST_LINE = 60
# Not the run's own folder: there every stage is up to date, and a run that is moved would keep a page with its old place.
_NEW_RUN = "runs/again"
_RENDERED = {"num_species": "num_species", "images_per_species": "images_per_species", "size": "image_size", "seed": "seed"}


def given_flags(settings: Settings) -> list[str]:
    """Return the flags of what differs from the defaults, as a shell takes them."""
    return [_flag(declared.name, getattr(settings, declared.name)) for declared in SETTINGS if _differs(settings, declared)]


def reproduction_of(
    settings: Settings,
    versions: Mapping[str, str],
    data: str,
    stages: Sequence[tuple[str, float, str]],
    rendered: Mapping[str, Any] | None = None,
) -> Reproduction:
    """Return how to make the run again, in another folder.

    Args:
        settings: of the run.
        versions: of what it was made with.
        data: fingerprint of the data set.
        stages: name, seconds and identity of the finished ones.
        rendered: what the birds were rendered with, or None.
    """
    commands = []
    if rendered is not None:
        arguments = [_flag(flag, rendered[name]) for name, flag in _RENDERED.items() if name in rendered]
        commands.append(_command("niwt render", _flag("data_dir", settings.data_folder), *arguments))
    commands.append(_command("niwt run", _flag("run_dir", _NEW_RUN), *given_flags(settings)))
    return Reproduction(tuple(commands), tuple(versions.items()), data, tuple(stages))


def versions_of(stages: Mapping[str, Mapping[str, str | None]]) -> dict[str, str]:
    """Return what the stages were made with, by name; where they differ, each version with its stages.

    Args:
        stages: by stage, versions by name. What no stage has is left out.
    """
    users: dict[str, dict[str, list[str]]] = {}
    for stage, versions in stages.items():
        for name, version in versions.items():
            if version:
                users.setdefault(name, {}).setdefault(version, []).append(stage)
    return {
        name: next(iter(found)) if len(found) == 1 else "; ".join(f"{each} ({', '.join(by)})" for each, by in found.items())
        for name, found in users.items()
    }


def _command(*parts: str) -> str:
    """Return one line, or where that is long one a flag."""
    line = " ".join(parts)
    return line if len(line) <= _LONGEST_LINE else " \\\n  ".join(parts)


def _differs(settings: Settings, declared: Any) -> bool:
    return bool(getattr(settings, declared.name) != declared.default)


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{'' if value else 'no'}{name}"
    text = ",".join(str(item) for item in value) if isinstance(value, tuple) else "" if value is None else str(value)
    return f"--{name}={shlex.quote(text) if text else ''}"
