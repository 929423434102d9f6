"""What results are made with: the versions of Python and of the packages that they depend on."""

from __future__ import annotations

import importlib.metadata
import platform

_VERSIONS = ("niwt-tf", "tensorflow", "keras", "numpy", "scikit-learn", "pillow")


def package_versions() -> dict[str, str | None]:
    """Return the versions by name, Python's first; None for a package that is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _VERSIONS}}


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
