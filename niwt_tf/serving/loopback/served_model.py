"""The versions of one model that are being served: loaded from a watched folder, and closed once nobody uses them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from niwt_tf.errors import InputError
from niwt_tf.files import files_below
from niwt_tf.serving.bundle.versions import versions
from niwt_tf.serving.client.transport import RequestError
from niwt_tf.serving.loaded_version import LoadedVersion, load_version

_LOG = logging.getLogger("niwt_tf.serving")
_Stamp = tuple[tuple[str, int, int], ...]


class ServedModel:
    """Loads the newest version of a folder, and those that a label names, and replaces them while requests go on.

    A version is warmed up before it takes requests; one that cannot be loaded leaves what is served as it was. A request that
    has begun ends on the version it began on. Removing the newest version goes back to the one before.

    Raises:
        InputError: no version can be loaded, or no address can have the name.
    """

    def __init__(self, folder: Path, name: str, labels: Mapping[str, int] | None = None) -> None:
        if not name.strip() or set(name) & set("/:"):
            rule = "A served model must have a name, which stands in its address: without / and :"
            raise InputError(f"{rule}. Received: {name!r}.")
        self.folder = folder
        self.name = name
        self.labels = dict(labels or {})
        self._lock = threading.Lock()
        self._loaded: dict[int, LoadedVersion] = {}
        self._failed: dict[int, tuple[_Stamp, str]] = {}
        self.refresh()
        if not self._loaded:
            reasons = "; ".join(f"version {number}: {why}" for number, (_, why) in self._failed.items()) or "no version"
            rule = "The folder of a served model must hold a version that loads."
            raise InputError(f"{rule} Received: {str(folder)!r} ({reasons}).")

    def refresh(self) -> None:
        """Load what the folder should be served as now, then retire the rest. Not to be called by two threads at once."""
        found = versions(self.folder)
        wanted = {number for number in self.labels.values() if self._load(number, found)}
        newest = next((number for number in reversed(found) if self._load(number, found)), None)
        if newest is not None:
            wanted.add(newest)
        if wanted:  # a folder that vanished leaves what is served
            self._retire([number for number in list(self._loaded) if number not in wanted])

    def _load(self, number: int, found: Mapping[int, Path]) -> bool:
        if number not in found:
            return False
        if number in self._loaded:
            return True
        stamp = _stamp(found[number])
        if number in self._failed and self._failed[number][0] == stamp:
            return False
        try:
            loaded = load_version(number, found[number])
        except Exception as error:  # whatever is wrong with a version, the others are served on
            self._failed[number] = (stamp, f"{type(error).__name__}: {error}")
            _LOG.error("Version %d of %s cannot be served: %s", number, self.name, error)
            return False
        with self._lock:
            self._failed.pop(number, None)
            self._loaded[number] = loaded
        _LOG.info("Version %d of %s is served.", number, self.name)
        return True

    def _retire(self, numbers: list[int]) -> None:
        unused = []
        with self._lock:
            for number in numbers:
                version = self._loaded.pop(number)
                version.is_retired = True
                if not version.users:
                    unused.append(version)
        for version in unused:
            version.closing.close()

    @contextmanager
    def lease(self, name: str, version: int | None = None, label: str = "") -> Iterator[LoadedVersion]:
        """Yield a version, by default the newest that is loaded; it stays loaded until the block ends.

        Raises:
            RequestError: another model, no such version, or no such label.
        """
        with self._lock:
            leased = self._find(name, version, label)
            leased.users += 1
        try:
            yield leased
        finally:
            with self._lock:
                leased.users -= 1
                is_last = leased.is_retired and not leased.users
            if is_last:
                leased.closing.close()

    def _find(self, name: str, version: int | None, label: str) -> LoadedVersion:
        if not name:
            raise RequestError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
        if label:
            if label not in self.labels:
                raise RequestError("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
            version = self.labels[label]
        wanted = max(self._loaded, default=None) if version is None else version
        if name != self.name or wanted not in self._loaded:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise RequestError("NOT_FOUND", f"Servable not found for request: {asked}")
        return self._loaded[wanted]

    def states(self) -> dict[int, str | None]:
        """Return the versions, each with what is wrong with it or None if it is served."""
        with self._lock:
            failed: dict[int, str | None] = {number: why for number, (_, why) in self._failed.items()}
            return dict(sorted((failed | dict.fromkeys(self._loaded)).items()))

    def close(self) -> None:
        """Close every version; those in use when the last request ends."""
        self._retire(list(self._loaded))


def _stamp(folder: Path) -> _Stamp:
    """Return what changes when a folder that could not be loaded is completed."""
    try:
        return tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files_below(folder))
    except OSError:
        return ()
