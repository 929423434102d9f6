"""Where a TensorFlow Hub module lies: `hub:` and a handle, a folder, or a folder under TFHUB_CACHE_DIR."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from niwt_tf.config.backbones import KERAS_HUB, MODEL_FILE
from niwt_tf.config.extras import imported
from niwt_tf.errors import InputError, first_line, require
from niwt_tf.files import entries_of, fingerprint

PREFIX = "hub:"
_GRAPH = "saved_model.pb"


def is_hub(backbone: str) -> bool:
    """Return whether a backbone is a module of TensorFlow Hub and not a row of the table."""
    return backbone.startswith(PREFIX)


def absolute_hub(backbone: str) -> str:
    """Return the backbone with a folder that is there made absolute, so that it is found from another folder too."""
    handle = backbone.removeprefix(PREFIX)
    folder = Path(os.path.expanduser(handle))
    return PREFIX + os.path.abspath(folder) if "://" not in handle and folder.is_dir() else backbone


def absolute_backbone(backbone: str) -> str:
    """Return a backbone with the file or folder that it names made absolute; a name stays as it is."""
    if is_hub(backbone):
        return absolute_hub(backbone)
    if backbone.startswith(KERAS_HUB):
        folder = Path(os.path.expanduser(backbone.removeprefix(KERAS_HUB)))
        return KERAS_HUB + os.path.abspath(folder) if folder.is_dir() else backbone
    return os.path.abspath(os.path.expanduser(backbone)) if backbone.endswith(MODEL_FILE) else backbone


def locate(handle: str, *, download: bool = True) -> Path:
    """Return the folder of a module, which holds a SavedModel.

    A folder is taken as it is, or else under TFHUB_CACHE_DIR. An address is looked for in the cache of tensorflow_hub, which is
    imported only to download what is not there. A saved network must not make its reader fetch and run a graph.

    Raises:
        InputError: no such folder, no SavedModel in it, or a module that cannot be fetched.
    """
    if "://" in handle:
        folder = _cached(handle)
        if not (folder / _GRAPH).is_file():
            folder = _fetched(handle, download)
    else:
        folder = Path(os.path.expanduser(handle))
        cache = os.environ.get("TFHUB_CACHE_DIR")
        if not folder.is_dir() and cache:
            folder = Path(cache) / handle
    if not folder.is_dir():
        rule = "must be a handle (https://...), a folder, or a folder under TFHUB_CACHE_DIR"
        raise InputError(f"A hub module {rule}. Received: {handle!r}, not a folder.")
    require((folder / _GRAPH).is_file(), f"A hub module must be a SavedModel. Received: {str(folder)!r}, without {_GRAPH}.")
    return folder


def module_fingerprint(handle: str, *, download: bool = False) -> str:
    """Return 16 hex digits that change with the module's files: its graph and its variables.

    Raises:
        InputError: see `locate`.
    """
    folder = locate(handle, download=download)
    variables = folder / "variables"
    weights = entries_of(variables) if variables.is_dir() else []
    parts = [path for path in (folder / _GRAPH, *weights) if path.is_file()]
    return fingerprint([path.name for path in parts], *parts)


def graph_fingerprint(folder: Path) -> str:
    """Return 16 hex digits that change with the module's graph but not with its variables."""
    return fingerprint(folder / _GRAPH)


def _cached(handle: str) -> Path:
    """Return where tensorflow_hub keeps, or would keep, what it has fetched for a handle."""
    cache = os.environ.get("TFHUB_CACHE_DIR") or os.path.join(tempfile.gettempdir(), "tfhub_modules")
    return Path(cache) / hashlib.sha1(handle.encode()).hexdigest()


def _fetched(handle: str, download: bool) -> Path:
    advice = "set TFHUB_CACHE_DIR to the folder of its cache, or give the path of an unpacked copy"
    # A module is a program: what comes over http:// may be anybody's.
    require(handle.startswith("https://"), f"A handle of a hub module must begin with https://. Received: {handle!r}.")
    require(download, f"The hub module must be in the cache: {advice}. Received: {handle!r}, which is not in the cache.")
    hub = imported("tensorflow_hub", f"backbone={PREFIX}{handle}", f"or {advice}")
    try:
        return Path(hub.resolve(handle))
    except Exception as error:  # sockets, TLS, archives and disks all fail here in types of their own
        rule = f"The hub module must be downloaded once: {advice}"
        raise InputError(f"{rule}. Received: {handle!r} ({first_line(error)}).") from error
