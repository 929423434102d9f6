"""Opens gensim's own files of word vectors, KeyedVectors (the extra `niwt-tf[text]`).

gensim writes its own files as pickles, which can run code when they are loaded. So such a file is looked through first: it is
loaded only where all that it names are KeyedVectors and numpy's arrays, and where none of its parts is another pickle: gensim
would load that without a look.
"""

from __future__ import annotations

import pickletools
from pathlib import Path
from typing import Any

from niwt_tf.errors import InputError

_ALLOWED = frozenset(
    (
        ("gensim.models.keyedvectors", "KeyedVectors"),
        ("gensim.models.keyedvectors", "Word2VecKeyedVectors"),
        ("gensim.models.keyedvectors", "Vocab"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "_reconstruct"),
    )
)
# What gensim keeps the names of such parts in.
_PICKLED_PARTS = ("__scipys", "__recursive_saveloads")


def open_native(path: Path) -> Any:
    """Return the KeyedVectors of a file that gensim's `save` wrote; their numbers stay on the disk where it kept them apart.

    Raises:
        InputError: it is another file, or gensim is not installed.
    """
    _check_names(path)
    keyed = _keyed_vectors(path)
    try:
        from gensim.utils import unpickle

        vectors = unpickle(str(path))
        fits = isinstance(vectors, keyed) and all(vars(vectors).get(name, []) == [] for name in _PICKLED_PARTS)
        if fits:  # the second half of gensim's `load`: arrays of their own files
            keyed._load_specials(vectors, str(path), "r", False, lambda *parts: ".".join((*parts, "npy")))
            fits = len(vectors.key_to_index) == len(vectors.vectors)
    except Exception as error:  # what a reader of damaged pickles and arrays raises has no common type
        raise _unlike(path, error) from None
    if not fits:
        raise _unlike(path, "another object")
    return vectors


def _keyed_vectors(path: Path) -> Any:
    try:
        from gensim.models import KeyedVectors
    except ImportError as error:
        raise InputError(
            f"{path} needs gensim, which is not installed: pip install 'niwt-tf[text]' installs it, and files of text "
            f"(.txt, .vec) or in word2vec's binary form (.bin) do without. Received: no module {error.name}."
        ) from None
    return KeyedVectors


def _unlike(path: Path, reason: object) -> InputError:
    return InputError(f"{path} must be word vectors that gensim wrote. Received: {str(reason).rstrip('.')}.")


def _check_names(path: Path) -> None:
    """Check, without loading it, that a pickle names nothing but vectors."""
    try:
        with open(path, "rb") as file:
            named = _named(file)
    except (ValueError, OSError, UnicodeDecodeError, IndexError) as error:
        raise _unlike(path, error) from None
    strange = sorted(named - _ALLOWED)
    if strange:
        rule = f"{path} must hold KeyedVectors alone, saved by gensim (of a model, its wv)"
        raise InputError(f"{rule}. Received: {'.'.join(strange[0])}.")


def _named(file: Any) -> set[tuple[str, str]]:
    # A name that is not told by two texts right before it counts as "?", which is not allowed.
    found: set[tuple[str, str]] = set()
    kept: dict[int, str | None] = {}
    before: list[str | None] = []
    for operation, argument, _ in pickletools.genops(file):
        name = operation.name
        if name in ("GLOBAL", "INST"):
            module, _, attribute = str(argument).partition(" ")
            found.add((module, attribute))
        elif name == "STACK_GLOBAL":
            module, attribute = (["?", "?", *(text or "?" for text in before)])[-2:]
            found.add((module, attribute))
        elif name in ("EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"):
            found.add(("?", name))
        if name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            kept[len(kept) if name == "MEMOIZE" else int(str(argument))] = before[-1] if before else None
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            before = [*before[-1:], kept.get(int(str(argument)))]
        elif name not in ("FRAME", "PROTO"):
            before = [*before[-1:], argument if isinstance(argument, str) and "UNICODE" in name else None]
    return found
