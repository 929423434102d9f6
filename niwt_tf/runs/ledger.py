"""The ledger of test use: what scored a run's test images, and with which choices. It says which results are optimistic.

A result is optimistic when test figures may have had a part in making it. The ledger, `test_labels.json` in the run directory,
only grows, and every entry holds the digest of the one before; the stages keep the digest that they found. So an entry
that is taken out, or a ledger that is deleted or put back, is noticed. It is a guard against accidents, not a lock.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from niwt_tf import __version__
from niwt_tf.config.settings import SETTINGS
from niwt_tf.errors import is_passing
from niwt_tf.files import fingerprint, read_json, replacing, write_json

FILE = "test_labels.json"
# Where a stage and config.json keep the digest of the ledger's last entry.
DIGEST = "test_ledger"
TAMPERED = "its record of test use is missing or was changed"
_LOST = "record lost"
# What parts the images and so makes another problem. All else that a figure depends on may be chosen by it: the seed too, where
# the same images are tested.
_PROBLEM = frozenset(("dataset", "data_dir", "split", "unseen", "num_unseen", "missing_images", "max_bad_images"))
# How it is computed changes last digits alone.
_MEANS = frozenset(("jit", "cache_dtype"))
# What no stage names among its settings, since the fingerprint of the data stands for it.
_DESCRIBING = ("knowledge", "text_features")
_UNHASHED = frozenset(("digest", "time"))
_KEYS = {"what", "problem", "descriptions", "choices", "uses_test_labels", "version", "time", "previous", "digest"}
Entry = Mapping[str, Any]


class Ledger:
    """The entries of a run directory's ledger.

    Attributes:
        entries: in the order of their making.
        whole: whether nothing was taken out or changed, as far as the run directory tells.
    """

    def __init__(self, run_dir: Path) -> None:
        """Read it; a ledger that is not there has no entries."""
        self._path, self._aside = run_dir / FILE, run_dir / f"{FILE}.damaged"
        self.entries, self._readable = _read(self._path)
        known = {entry["digest"] for entry in self.entries}
        lost = any(entry["what"] == _LOST for entry in self.entries)
        self.whole = self._readable and not lost and _is_chain(self.entries) and known.issuperset(_kept_digests(run_dir))

    @property
    def digest(self) -> str | None:
        """That of the last entry."""
        return self.entries[-1]["digest"] if self.entries else None

    def add(
        self, what: str, problem: str | None, descriptions: str | None, choices: Mapping[str, Any],
        uses_test_labels: Sequence[str] = (),
    ) -> None:
        """Append an entry and write the file; an entry that is there already is not repeated.

        What was found missing or changed becomes an entry as well, so that it stays known.

        Args:
            what: the stage that scores test images.
            problem: fingerprint of the test images and of how classes and images were parted.
            descriptions: fingerprint of the class descriptions, or None where they cannot be compared.
            choices: what the figures depend on, by the names of the settings.
            uses_test_labels: what the method does with them beside being scored.
        """
        if not self._readable and self._path.is_file() and not self._aside.exists():
            with replacing(self._aside) as temporary:  # a person may read what this cannot
                shutil.copyfile(self._path, temporary)
        if not self.whole and all(entry["what"] != _LOST for entry in self.entries):
            self._append(_LOST, problem, None, {}, ())
        self._append(what, problem, descriptions, portable(choices), uses_test_labels)

    def _append(
        self, what: str, problem: str | None, descriptions: str | None, choices: Mapping[str, Any], uses: Sequence[str]
    ) -> None:
        entry: dict[str, Any] = {
            "what": what,
            "problem": problem,
            "descriptions": descriptions,
            "choices": dict(choices),
            "uses_test_labels": list(uses),
            "version": __version__,
        }
        if any({**known, **entry} == known for known in self.entries):
            return
        entry["previous"] = self.digest
        entry |= {"time": datetime.now(UTC).isoformat(timespec="seconds"), "digest": _digest(entry)}
        self.entries = [*self.entries, entry]
        write_json(self._path, {"entries": self.entries})

    def reasons(self, what: str, problem: str | None) -> tuple[str, ...]:
        """Return why what that stage found on a problem is optimistic, for people; nothing when it is not.

        The order does not matter: a setting that was changed and changed back was chosen all the same.
        """
        scored = [entry for entry in self.entries if entry["problem"] == problem]
        own = [entry for entry in scored if entry["what"] == what]
        changed: dict[str, dict[str, None]] = {}
        for entry in own:
            for other in scored:
                analysis = other["what"] if other["what"].startswith("analysis_") else ""
                changed.setdefault(analysis, {}).update(dict.fromkeys(_differing(entry, other)))
        found = []
        for analysis, names in changed.items():
            if names:
                by = f" by {analysis}" if analysis else ""
                found.append(f"its test images were also scored{by} with another {_listed(list(names))}")
        uses = dict.fromkeys(use for entry in own for use in entry["uses_test_labels"])
        found += [f"it uses test labels: {use}" for use in uses]
        return (*found, *([] if self.whole else [TAMPERED]))


class UseOfTestImages:
    """What a run knows of the use of its test images.

    Attributes:
        problem: fingerprint of the test images and of how classes and images are parted, whatever describes the classes.
        descriptions: that of the class descriptions, or None where they cannot be compared.
        scored: the ledger's digest of each stage that has scored test images in this process.
    """

    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        self.problem: str | None = config.get("problem")
        self.descriptions: str | None = None
        self.scored: dict[str, str | None] = {}
        self._digest: str | None = config.get(DIGEST)
        self._run_dir = run_dir

    def enter(
        self, what: str, choices: Mapping[str, Any], uses_test_labels: Sequence[str], writes: bool = True
    ) -> dict[str, Any]:
        """Add an entry and return what belongs into the stage's metrics.json: see `Run.scored_test_images`.

        Args:
            what: the stage's name.
            choices: settings that its figures depend on.
            uses_test_labels: what the method does with test labels beside being scored.
            writes: whether this process is the one of its team that writes.
        """
        ledger = Ledger(self._run_dir)
        if writes:
            ledger.add(what, self.problem, self.descriptions, choices, uses_test_labels)
            self._digest = self.scored[what] = ledger.digest
        return {"optimistic": list(ledger.reasons(what, self.problem)), DIGEST: ledger.digest}

    def reasons(self, what: str, known: bool = False) -> tuple[str, ...]:
        """Return why a stage's figures are optimistic by what is known today.

        Args:
            what: the stage's name.
            known: whether there are figures of it, which must then have been written down.
        """
        ledger = Ledger(self._run_dir)
        missing = known and all((entry["what"], entry["problem"]) != (what, self.problem) for entry in ledger.entries)
        found = ledger.reasons(what, self.problem)
        return (*found, TAMPERED) if missing and TAMPERED not in found else found

    def scored_with(self, what: str) -> list[Mapping[str, Any]]:
        """Return the choices that a stage has scored these test images with, in order; a file stands by its contents."""
        entries = Ledger(self._run_dir).entries
        return [entry["choices"] for entry in entries if (entry["what"], entry["problem"]) == (what, self.problem)]

    def kept(self) -> dict[str, str | None]:
        """Return what config.json keeps, so that a lost ledger is noticed."""
        return {"problem": self.problem, DIGEST: self._digest}


def could_be_chosen(name: str) -> bool:
    """Return whether a setting can be chosen by test figures, rather than being part of the problem or a means."""
    return name not in _PROBLEM | _MEANS


def describing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that say how classes are described, on which every result depends."""
    return {name: settings[name] for name in _DESCRIBING if name in settings}


def portable(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings among `choices` that can be a choice, as JSON; a file stands by its contents, wherever it lies."""
    declared = {option.name: option for option in SETTINGS}
    found = {}
    for name, value in choices.items():
        if not could_be_chosen(name):
            continue
        option = declared.get(name)
        if option is not None and (option.path or option.prefixes) and isinstance(value, str):
            parts = option.parts(value)
            found[name] = option.joined.join(part if part in option.choices else _content(part) for part in parts)
        else:
            found[name] = _plain(value)
    return dict(sorted(found.items()))


def _content(text: str) -> str:
    prefix, _, rest = text.rpartition(":")
    path = Path(os.path.expanduser(rest))
    if path.is_file():
        return f"{prefix}:{fingerprint(path)}"
    return f"{prefix}:{path.name}" if path.is_dir() else text


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _differing(entry: Entry, other: Entry) -> Iterator[str]:
    """Yield what both depend on and have otherwise."""
    one, two = entry["choices"], other["choices"]
    differing = (name for name in one if name in two and _as_list(one[name]) != _as_list(two[name]))
    yield from (f"--{name.rpartition(': ')[2]}" for name in differing)
    # Another version may read the same table otherwise.
    both = entry["descriptions"] and other["descriptions"] and entry["version"] == other["version"]
    if both and entry["descriptions"] != other["descriptions"]:
        yield "text or table of class descriptions"


def _as_list(value: Any) -> Any:
    # A setting of one value can become a list of values to choose from in a later version.
    return value if isinstance(value, list) else [value]


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _digest(entry: Entry) -> str:
    return fingerprint({name: value for name, value in entry.items() if name not in _UNHASHED})


def _is_chain(entries: Sequence[Entry]) -> bool:
    before = [None, *(entry["digest"] for entry in entries)]
    return all(
        entry["previous"] == previous and entry["digest"] == _digest(entry)
        for entry, previous in zip(entries, before, strict=False)
    )


def _read(path: Path) -> tuple[list[Entry], bool]:
    """Return the entries that a ledger holds, and whether it can be read at all.

    Raises:
        OSError: whether it can cannot be told now.
    """
    if not path.exists():
        return [], True
    try:
        entries = read_json(path)["entries"]
        readable = all(entry.keys() >= _KEYS and isinstance(entry["choices"], dict) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, OSError) and is_passing(error):  # else its entries would be given up for lost
            raise
        return [], False
    return (entries, True) if readable else ([], False)


def _kept_digests(run_dir: Path) -> Iterator[str]:
    """Yield the digests that config.json, metrics.json and the stages of a run directory hold."""
    kept = [_object(run_dir / "config.json"), _object(run_dir / "metrics.json")]
    for path in run_dir.glob("*/manifest.json"):
        manifest = _object(path)
        if manifest.get("stage") == path.parent.name:  # what lies there besides is none of this run's
            kept += [manifest, _object(path.with_name("metrics.json"))]
    yield from (str(each[DIGEST]) for each in kept if each.get(DIGEST) is not None)


def _object(path: Path) -> Mapping[str, Any]:
    """Return what a JSON file holds, or nothing where there is none."""
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and is_passing(error):
            raise
        return {}
    return found if isinstance(found, dict) else {}
