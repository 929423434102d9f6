"""One stage of a run: whether its folder is up to date, and how that folder is written."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from niwt_tf.compute.distributed import Team
from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError, is_passing
from niwt_tf.files import (
    digest_of,
    fingerprint,
    has_seal,
    is_sealed,
    read_json,
    replacing,
    replacing_directory,
    sealed,
    write_json,
)
from niwt_tf.runs.fingerprints import PACKAGE, package_versions
from niwt_tf.runs.ledger import DIGEST, UseOfTestImages, describing
from niwt_tf.runs.store import StageStore, link_files

# File systems of clusters keep what a process has looked at for up to a minute.
_SEEN_WITHIN = 120.0
_LOG = logging.getLogger("niwt_tf.jobs")
Manifest = dict[str, Any]
# Entries of what a stage's result depends on beside its settings: the form of its files, and the package that wrote them.
CODE = ("format", "version")
OTHER_VERSION = "was written by another version of niwt-tf"
_KEYS = {"stage", "settings", "inputs", "data", "extra", "identity", "files", "publishes", "seconds", "shapes", "metrics"}


def read_manifest(folder: Path, stage: str | None = None) -> Manifest | None:
    """Return the manifest of a finished stage's folder, or None when it is not one or its files are not as they were written.

    The contents of all files are compared, which reads them once in a process and again after they were written.
    """
    manifest = stated_manifest(folder, stage)
    return manifest if manifest is not None and not broken_files(folder, manifest) else None


def stated_manifest(folder: Path, stage: str | None = None) -> Manifest | None:
    """Return the manifest itself, if it is as it was written, and of the stage that the folder is called after or of `stage`.

    Raises:
        OSError: whether it is cannot be told now.
    """
    try:
        manifest = read_json(folder / "manifest.json")
    except OSError as error:
        if is_passing(error):  # else what is whole would be made again
            raise
        return None
    except ValueError:
        return None
    if not isinstance(manifest, dict) or not manifest.keys() >= _KEYS or not _has_form(manifest):
        return None
    if manifest["stage"] != (stage or folder.name):  # the folder of another stage was put in its place
        return None
    if is_sealed(manifest):
        return manifest
    # That of an earlier version, so that this is said of it.
    former = "version" not in manifest["extra"] and "digests" not in manifest
    return manifest if former and not has_seal(manifest) else None


def _has_form(manifest: Manifest) -> bool:
    """Return whether a manifest's entries are of their types, and name what lies in its own run alone.

    What it publishes is replaced and removed.
    """
    objects = ("settings", "inputs", "extra", "files", "shapes", "metrics")
    if not isinstance(manifest["publishes"], list) or not all(isinstance(manifest[name], dict) for name in objects):
        return False
    named = (*manifest["publishes"], *manifest["inputs"])
    return all(isinstance(name, str) and name not in ("", ".", "..") and name == os.path.basename(name) for name in named)


def broken_files(folder: Path, manifest: Manifest) -> list[str]:
    """Return which of a stage's files are not as they were written."""
    digests = manifest.get("digests", {})
    return [name for name, size in manifest["files"].items() if not _is_whole(folder / name, size, digests.get(name))]


def _is_whole(path: Path, size: int, digest: str | None) -> bool:
    try:
        return os.stat(path).st_size == size and digest in (None, digest_of(path))
    except OSError as error:
        if is_passing(error):
            raise
        return False
    except ValueError:  # a name that no file can have
        return False


def choices_of(folder: Path) -> dict[str, Any]:
    """Return the settings that a finished stage and what it was made from were made with; nothing for one that is not."""
    manifest = read_manifest(folder)
    if manifest is None:
        return {}
    found: dict[str, Any] = {}
    for upstream in manifest["inputs"]:
        found |= choices_of(folder.parent / upstream)
    return {**found, **manifest["settings"]}


def fault_of(folder: Path) -> str:
    """Return why `read_manifest` gives None of a stage's folder, for people."""
    if not folder.exists():
        return "is missing"
    manifest = stated_manifest(folder)
    broken = ["manifest.json"] if manifest is None else broken_files(folder, manifest)
    return f"is not complete (its {broken[0] if broken else 'manifest.json'} is missing or was changed)"


class RunOfStage(Protocol):
    """What a stage needs of its run."""

    path: Path
    settings: Settings
    team: Team
    store: StageStore | None
    test_use: UseOfTestImages
    finished: bool

    def started(self, stage: str) -> None:
        """Take it that a stage is being written."""

    def publisher(self, published: str, stage: str) -> str:
        """Return the stage whose file of that name belongs at the top of the run directory."""


class Stage:
    """A stage of a run. Made by `Run.stage`.

    Attributes:
        name: the stage's name.
        folder: where its finished files are (or will be).
        up_to_date: whether `folder` already holds what would be written.
        reason: why it does not, for people; "" when it does.
    """

    def __init__(self, run: RunOfStage, name: str, parts: Mapping[str, Any], publishes: Sequence[str]) -> None:
        self.name = name
        self.folder = run.path / name
        self._run = run
        self._parts = dict(parts)
        self._publishes = list(publishes)
        self._shapes: dict[str, list[int]] = {}
        self._metrics: dict[str, float] = {}
        self.reason = self._why_not()
        # Shared file systems show a change late to others, so the chief's look at the folder holds for all.
        (finished,) = run.team.of_chief(np.array(not self.reason, np.int64))
        self.up_to_date = bool(finished)
        if self.up_to_date:
            _LOG.info("%s is up to date.", name)
            self._publish()
            self._remove_work()  # of a process that was killed once the stage was finished
        elif run.store is not None and self._take_from(run.store):
            self.reason, self.up_to_date = "", True
            self._publish()
        elif self.reason != "is missing":
            _LOG.info("%s is made again: it %s.", name, self.reason)

    @property
    def choices(self) -> dict[str, Any]:
        """The settings that its result depends on, by itself or by what it is made from: what the ledger of test use holds."""
        found = describing(self._run.settings.as_dict())
        for upstream in self._parts["inputs"]:
            found |= choices_of(self._run.path / upstream)
        # Only this stage's: two baselines may be fitted on other features.
        own = {f"{self.name}: {name}": value for name, value in self._parts["extra"].items() if name not in (*CODE, PACKAGE)}
        return {**found, **self._parts["settings"], **own}

    @property
    def work(self) -> Path:
        """A scratch folder that outlives an interruption, for checkpoints; emptied when the stage is finished or changes."""
        folder = self._run.path / f".work-{self.name}"
        if not self._run.team.is_chief:
            self._run.team.barrier()
            return folder
        self._prepare(folder)
        self._run.team.barrier()
        return folder

    def _prepare(self, folder: Path) -> None:
        stamp = folder / "identity.json"
        identity = fingerprint(self._parts)
        try:
            if read_json(stamp) == identity:
                return
        except (OSError, ValueError):
            pass
        self._run.started(self.name)
        if folder.is_symlink():  # what it leads to is not this run's to empty
            folder.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write_json(stamp, identity)

    def record(self, *, shapes: Mapping[str, Sequence[int]] | None = None, metrics: Mapping[str, float] | None = None) -> None:
        """Add shapes of arrays and (finite) metrics to the manifest; call it inside `writing`."""
        self._shapes.update({name: [int(size) for size in shape] for name, shape in (shapes or {}).items()})
        self._metrics.update({name: float(value) for name, value in (metrics or {}).items()})

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Yield a temporary folder that becomes `folder`, with its manifest.json, when the block ends well.

        However the block or the process ends otherwise, `folder` is as it was. Of a team, the chief's folder is kept; the
        others get one to be thrown away, and wait here until they see what the chief wrote.

        Raises:
            InputError: the chief's folder is not seen by this process.
            OSError: the folder cannot be written.
            ValueError: a recorded metric is not finite.
        """
        if not self._run.team.is_chief:
            with tempfile.TemporaryDirectory() as scratch:
                yield Path(scratch)
                self._run.team.barrier()
            self._await_chief()
            return
        self._run.started(self.name)
        begun = time.monotonic()
        with replacing_directory(self.folder) as temporary:
            yield temporary
            self._run.team.barrier()  # the others may still read the scratch folder of this stage
            files = sorted(path for path in temporary.rglob("*") if path.is_file())
            contents = {path.relative_to(temporary).as_posix(): fingerprint(path) for path in files}
            manifest: Manifest = {
                "stage": self.name,
                **self._parts,
                "identity": fingerprint(self._parts, contents),
                "files": {name: (temporary / name).stat().st_size for name in contents},
                "digests": contents,
                "publishes": self._publishes,
                "seconds": round(time.monotonic() - begun, 3),
                "versions": package_versions(),
                "shapes": self._shapes,
                "metrics": self._metrics,
                DIGEST: self._run.test_use.scored.get(self.name),
            }
            write_json(temporary / "manifest.json", sealed(manifest))
        self._run.finished = True
        self.reason, self.up_to_date = "", True
        self._publish()
        self._remove_work()
        if self._run.store is not None:
            self._run.store.keep(self.name, self._parts, self.folder)
        self._run.team.of_chief(_number_of(manifest["identity"]))
        _LOG.info("%s took %.1f s.", self.name, time.monotonic() - begun)

    def _await_chief(self) -> None:
        (identity,) = self._run.team.of_chief(np.zeros(1, np.int64))
        self.reason, self.up_to_date = "", True
        deadline = time.monotonic() + _SEEN_WITHIN
        while time.monotonic() < deadline:
            manifest = read_manifest(self.folder)
            if manifest is not None and _number_of(manifest["identity"]) == identity:
                return
            time.sleep(0.2)
        raise InputError(
            "--run_dir must be on a file system that all workers share. Received: "
            f"{str(self._run.path)!r}, where worker {self._run.team.index} does not see the chief's stage {self.name}."
        )

    @property
    def manifest(self) -> Manifest:
        """The manifest of the finished stage: settings, inputs, data, files, seconds, versions, shapes, metrics."""
        return dict(read_json(self.folder / "manifest.json"))

    def _take_from(self, store: StageStore) -> bool:
        """Link the stage from the store if another run has made it; otherwise it is this run's to make for the others."""
        kept = store.find(self.name, self._parts)
        if kept is None or self._why_not(kept):
            return False
        self._run.started(self.name)
        with replacing_directory(self.folder) as temporary:
            link_files(kept, temporary)
        store.release(self.name, self._parts)
        self._run.finished = True
        _LOG.info("%s is reused from %s.", self.name, kept)
        return True

    def _why_not(self, folder: Path | None = None) -> str:
        folder = folder or self.folder
        manifest = read_manifest(folder, self.name)
        if manifest is None:
            return fault_of(folder)
        if any(manifest["extra"].get(name) != self._parts["extra"].get(name) for name in CODE):
            return OTHER_VERSION
        if manifest["data"] != self._parts["data"]:
            return "was made from other data"
        texts = {
            "settings": "was made with another --{}",
            "inputs": "was made from another {}",
            "extra": "was made with another {}",
        }
        for kind, text in texts.items():
            old, new = manifest[kind], self._parts[kind]
            changed = [name for name in {**old, **new} if name not in old or name not in new or old[name] != new[name]]
            if changed:
                return text.format(changed[0])
        return "" if manifest["publishes"] == self._publishes else "publishes other files"

    def _remove_work(self) -> None:
        if self._run.team.is_chief:
            shutil.rmtree(self._run.path / f".work-{self.name}", ignore_errors=True)

    def _publish(self) -> None:
        if not self._run.team.is_chief:
            return
        for name in self._publishes:
            target = self._run.path / name
            text = (self._run.path / self._run.publisher(name, self.name) / name).read_bytes()
            if not target.exists() or target.read_bytes() != text:
                with replacing(target) as temporary:
                    temporary.write_bytes(text)


def _number_of(identity: str) -> np.ndarray:
    return np.array([int(identity[:15], 16)], np.int64)
