"""What tells whether a bundle is as it was written: a SHA-256 of every file, and of the metadata that lists them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from niwt_tf.errors import InputError

METADATA = "niwt.json"
_PARTS = ("saved_model.pb", "variables", "assets", "assets.extra")
_ENTRY = "fingerprint"


def fingerprints(folder: Path, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each file of the bundle in `folder` by its path in it, and of the metadata itself.

    Files that others put beside the bundle's own are not looked at.
    """
    found: dict[str, str] = {}
    for part in _PARTS:
        path = folder / part
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        found |= {file.relative_to(folder).as_posix(): _digest_of_file(file) for file in files}
    return {**found, METADATA: _digest_of_metadata(metadata)}


def check_fingerprints(folder: Path, metadata: Mapping[str, Any]) -> None:
    """Check that the bundle in `folder` is as it was written.

    Raises:
        InputError: a file was changed, added or removed; the first is named.
    """
    written = metadata.get(_ENTRY)
    if not isinstance(written, dict):
        raise InputError(f"{folder / METADATA} must have the fingerprint of a bundle. Received: none.")
    present = fingerprints(folder, metadata)
    for name in sorted(written.keys() | present.keys()):
        if written.get(name) != present.get(name):
            what = "it is missing" if name not in present else "it is new" if name not in written else "it was changed"
            raise InputError(f"{folder} must be as it was written. Received: {name}, {what}; export the bundle again.")


def _digest_of_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_metadata(metadata: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in metadata.items() if name != _ENTRY}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
