"""Files among the choices of compared runs: one file is one choice, wherever it lay when the run was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from niwt_tf.experiments.leaderboard import Result
from niwt_tf.experiments.options import Option
from niwt_tf.experiments.settings import SETTINGS
from niwt_tf.files import fingerprint
from niwt_tf.jobs.ledger import portable

_DECLARED = {option.name: option for option in SETTINGS if option.path or option.prefixes}


@dataclass(frozen=True)
class FileChoice:
    """A setting's value that names a file.

    Attributes:
        identity: the same for the same contents, as the ledger of test use has it.
        name: the value with the file's name in place of its path.
    """

    identity: str
    name: str


def with_files(choices: Mapping[str, Any], recorded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return choices with a `FileChoice` in place of every path of a file whose contents are known; other paths stay.

    Args:
        choices: settings as the run's stages have them, with paths.
        recorded: the choices of the ledger's entries of the same stage, with contents in place of paths.
    """
    return {name: _choice(_DECLARED.get(name), value, recorded) for name, value in choices.items()}


def named(results: Iterable[Result]) -> list[Result]:
    """Return results with a name in place of every `FileChoice`: one for one file, and different ones for different files."""
    results = list(results)
    identities: dict[tuple[str, str], dict[str, None]] = {}
    first: dict[tuple[str, str], str] = {}
    for result in results:
        for setting, value in result.choices.items():
            if isinstance(value, FileChoice):
                name = first.setdefault((setting, value.identity), value.name)
                identities.setdefault((setting, name), {})[value.identity] = None

    def text(setting: str, value: Any) -> Any:
        if not isinstance(value, FileChoice):
            return value
        name = first[setting, value.identity]
        return name if len(identities[setting, name]) == 1 else f"{name} ({fingerprint(value.identity)[:6]})"

    return [replace(each, choices={name: text(name, value) for name, value in each.choices.items()}) for each in results]


def _choice(option: Option | None, value: Any, recorded: Sequence[Mapping[str, Any]]) -> Any:
    if option is None or not isinstance(value, str):
        return value
    parts = [part if part in option.choices else _name(part) for part in option.parts(value)]
    name = option.joined.join(parts)
    if name == value:
        return value
    known = list(dict.fromkeys(str(each[option.name]) for each in recorded if option.name in each))
    if value in known or "://" in value:
        return value
    if len(known) != 1:  # of several files, the one that is there today
        today = portable({option.name: value}).get(option.name)
        known = [each for each in known if each == today]
    # Of a folder the ledger has the name alone: modules of TensorFlow Hub are all called by their version.
    return FileChoice(known[0], name) if known and known[0] not in (name, f":{name}") else value


def _name(part: str) -> str:
    prefix, colon, path = part.rpartition(":")
    return f"{prefix}{colon}{PurePath(path).name}"
