"""One stage of a run: whether its folder is up to date, and how that folder is written."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niwt_tf.files import fingerprint, read_json, replacing, replacing_directory, sync_tree, write_json
from niwt_tf.jobs.stage_store import StageStore, link_files

if TYPE_CHECKING:
    from niwt_tf.jobs.run_directory import Run

_LOG = logging.getLogger("niwt_tf.jobs")
Manifest = dict[str, Any]
_KEYS = {"stage", "settings", "inputs", "data", "extra", "identity", "files", "publishes", "seconds", "shapes", "metrics"}


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a finished stage's folder, or None when it is not one or its files were tampered with."""
    try:
        manifest = read_json(folder / "manifest.json")
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or not manifest.keys() >= _KEYS:
        return None
    intact = all(_size(folder / name) == size for name, size in manifest["files"].items())
    return manifest if intact else None


class Stage:
    """A stage of a run. Made by `Run.stage`.

    Attributes:
        name: the stage's name.
        folder: where its finished files are (or will be).
        up_to_date: whether `folder` already holds what would be written.
        reason: why it does not, for people; "" when it does.
    """

    def __init__(self, run: Run, name: str, parts: Mapping[str, Any], publishes: Sequence[str]) -> None:
        self.name = name
        self.folder = run.path / name
        self._run = run
        self._parts = dict(parts)
        self._publishes = list(publishes)
        self._shapes: dict[str, list[int]] = {}
        self._metrics: dict[str, float] = {}
        self.reason = self._why_not()
        self.up_to_date = not self.reason
        if self.up_to_date:
            _LOG.info("%s is up to date.", name)
            self._publish()
        elif run.store is not None and self._take_from(run.store):
            self.reason, self.up_to_date = "", True
            self._publish()
        elif self.reason != "is not there":
            _LOG.info("%s is done again: it %s.", name, self.reason)

    @property
    def work(self) -> Path:
        """A scratch folder that outlives an interruption, for checkpoints; emptied when the stage is finished or changes."""
        folder = self._run.path / f".work-{self.name}"
        stamp = folder / "identity.json"
        identity = fingerprint(self._parts)
        try:
            if read_json(stamp) == identity:
                return folder
        except (OSError, ValueError):
            pass
        self._run._started(self.name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write_json(stamp, identity)
        return folder

    def record(self, *, shapes: Mapping[str, Sequence[int]] | None = None, metrics: Mapping[str, float] | None = None) -> None:
        """Add shapes of arrays and (finite) metrics to the manifest; call it inside `writing`."""
        self._shapes.update({name: [int(size) for size in shape] for name, shape in (shapes or {}).items()})
        self._metrics.update({name: float(value) for name, value in (metrics or {}).items()})

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Yield a temporary folder that becomes `folder`, with its manifest.json, when the block ends well.

        However the block or the process ends otherwise, `folder` is as it was.

        Raises:
            OSError: the folder cannot be written.
            ValueError: a recorded metric is not finite.
        """
        self._run._started(self.name)
        begun = time.monotonic()
        with replacing_directory(self.folder) as temporary:
            yield temporary
            files = sorted(path for path in temporary.rglob("*") if path.is_file())
            contents = {path.relative_to(temporary).as_posix(): fingerprint(path) for path in files}
            manifest = {
                "stage": self.name,
                **self._parts,
                "identity": fingerprint(self._parts, contents),
                "files": {name: (temporary / name).stat().st_size for name in contents},
                "publishes": self._publishes,
                "seconds": round(time.monotonic() - begun, 3),
                "shapes": self._shapes,
                "metrics": self._metrics,
            }
            write_json(temporary / "manifest.json", manifest)
            sync_tree(temporary)
        self._run._finished = True
        self.reason, self.up_to_date = "", True
        self._publish()
        shutil.rmtree(self._run.path / f".work-{self.name}", ignore_errors=True)
        if self._run.store is not None:
            self._run.store.keep(self.name, self._parts, self.folder)
        _LOG.info("%s took %.1f s.", self.name, time.monotonic() - begun)

    @property
    def manifest(self) -> Manifest:
        """The manifest of the finished stage: settings, inputs, data, files, seconds, shapes, metrics."""
        return dict(read_json(self.folder / "manifest.json"))

    def _take_from(self, store: StageStore) -> bool:
        """Link the stage from the store if another run has made it; otherwise it is this run's to make for the others."""
        kept = store.find(self.name, self._parts)
        if kept is None or self._why_not(kept):
            return False
        self._run._started(self.name)
        with replacing_directory(self.folder) as temporary:
            link_files(kept, temporary)
            sync_tree(temporary)
        store.release(self.name, self._parts)
        self._run._finished = True
        _LOG.info("%s is taken from %s.", self.name, kept)
        return True

    def _why_not(self, folder: Path | None = None) -> str:
        folder = folder or self.folder
        manifest = read_manifest(folder)
        if manifest is None:
            return "is not complete" if folder.exists() else "is not there"
        if manifest["data"] != self._parts["data"]:
            return "was made of other data"
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

    def _publish(self) -> None:
        for name in self._publishes:
            target = self._run.path / name
            text = (self.folder / name).read_bytes()
            if not target.exists() or target.read_bytes() != text:
                with replacing(target) as temporary:
                    temporary.write_bytes(text)


def _size(path: Path) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None
