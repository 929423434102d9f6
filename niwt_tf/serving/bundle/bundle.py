"""A bundle: one exported version with its class cards, read without Keras and without the data it was trained on."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from niwt_tf.config.names import DEFAULT_METHOD, FORMER_FORMULA, FORMULAS
from niwt_tf.data.arrays import read_arrays
from niwt_tf.data.schema import InputForm
from niwt_tf.errors import InputError, brief
from niwt_tf.files import entries_of, files_below, literal_folder, read_json
from niwt_tf.serving.bundle.cards import Card, cards_from_json
from niwt_tf.serving.bundle.versions import saved_model_folder

if TYPE_CHECKING:
    from niwt_tf.methods.formula import ColumnFormula

FORMAT = 2
CARDS = "assets.extra/cards.json"
CHECKPOINT = "variables/variables"
WRITER = "assets.extra/writer"  # the method that wrote the network, where it was written from texts alone
TURNS = "turns_photographs"
EXPLANATIONS = "explanations"
# The entry of a column formula in niwt.json has the name that it had when the first bundles were made. Those of before there
# were several methods have neither "kind", "method" nor "variables" in it.
COLUMN_FORMULA = "column_map"
_OBJECTS = ("knowledge", "probabilities", COLUMN_FORMULA, "validation", EXPLANATIONS, "writer")
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


def checkpoint_key(variable: str) -> str:
    """Return the name that a root variable of the SavedModel has in its checkpoint."""
    return variable + _SUFFIX


def is_synthesized(bundle: Bundle) -> bool:
    """Return whether a bundle was written from texts alone: it is written anew for other classes."""
    return (bundle.folder / WRITER).is_dir()


def is_bundle(folder: Path) -> bool:
    """Return whether a SavedModel was written as a bundle, whatever it has lost since."""
    return (folder / METADATA).is_file() or (folder / CARDS).is_file()


@dataclass(frozen=True)
class Bundle:
    """An exported version, made by `open`: what its niwt.json holds, and a card a class, in the order of the logits."""

    folder: Path
    metadata: Mapping[str, Any]
    cards: tuple[Card, ...]

    @classmethod
    def open(cls, folder: str | os.PathLike[str], check: bool = True) -> Bundle:
        """Read a bundle: a version, or the newest in the folder of the versions.

        With `check` every file is compared with its fingerprint, which reads them all.

        Raises:
            InputError: there is no bundle, it has another format, or it is not as it was written.
        """
        path = Path(os.path.abspath(saved_model_folder(folder)))
        if not (path / METADATA).is_file():
            raise InputError(f"{path} must be a bundle that `niwt export` wrote. Received: a SavedModel without {METADATA}.")
        try:
            metadata = read_json(path / METADATA)
            if not isinstance(metadata, dict):
                raise ValueError(f"no object, but {brief(metadata)}")
            version = metadata.get("format", 1)
        except ValueError as error:
            raise InputError(f"{path / METADATA} must be the JSON that `niwt export` wrote. Received: {error}.") from None
        if version != FORMAT:
            advice = "update niwt-tf" if isinstance(version, int) and version > FORMAT else "export it again"
            raise InputError(f"{path / METADATA} must have format {FORMAT}. Received: {version!r}; {advice}.")
        check_no_links(path)
        if check:
            check_fingerprints(path, metadata)
        try:
            values = read_json(path / CARDS)["cards"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path / CARDS} must hold the cards of a bundle. Received: {type(error).__name__}.") from None
        cards = cards_from_json(values, str(path / CARDS))
        if [card.name for card in cards] != metadata.get("labels"):
            raise InputError(
                f"{path / CARDS} must have a card for each label of {METADATA}, in the same order. Received: other cards."
            )
        _check_form(path, metadata, cards)
        return cls(path, metadata, cards)

    @property
    def labels(self) -> tuple[str, ...]:
        """C class names, in the order of the logits."""
        return tuple(card.name for card in self.cards)

    @property
    def input_form(self) -> InputForm:
        """How its network takes an image."""
        return InputForm(int(self.metadata["input_size"]), self.metadata.get("resize", "squash"))

    @property
    def turns_photographs(self) -> bool:
        """Whether the graph turns a photograph as its EXIF data say; those of earlier versions do not."""
        return bool(self.metadata.get(TURNS))

    @property
    def cautions(self) -> tuple[str, ...]:
        """Which of its explanations are no better than chance, a sentence each; none of a bundle that does not know."""
        return tuple((self.metadata.get(EXPLANATIONS) or {}).get("cautions", ()))

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """K names of the entries of a description.

        Raises:
            InputError: the bundle knows no descriptions.
        """
        knowledge = self.metadata.get("knowledge")
        if knowledge is None:
            raise InputError(f"{self.folder} must have the descriptions of its classes. Received: a bundle without them.")
        return tuple(knowledge["names"])

    def variable(self, name: str) -> np.ndarray:
        """Return a root variable's value; strings are bytes.

        Raises:
            InputError: there is none of that name.
        """
        key = checkpoint_key(name)
        if not self._checkpoint.has_tensor(key):
            raise InputError(f"{self.folder} must hold the variable {name!r}. Received: none.")
        return np.asarray(self._checkpoint.get_tensor(key))

    def check_formula(self) -> None:
        """Check, without TensorFlow, that the bundle has a column formula.

        Raises:
            InputError: it has none.
        """
        if self.metadata.get(COLUMN_FORMULA) is None:
            raise InputError(
                f"{self.folder} must have a column formula. It has none if head columns can only be made by running the "
                "network (--engine=tape or operator, or a method that makes whole heads or networks). Received: a bundle "
                "without it."
            )

    def formula(self) -> ColumnFormula:
        """Return what turns a description into a column and a bias.

        Raises:
            InputError: the bundle has none, or its method is not installed.
        """
        self.check_formula()
        fixed = dict(self.metadata[COLUMN_FORMULA])
        kind, method = fixed.pop("kind", FORMER_FORMULA), fixed.pop("method", DEFAULT_METHOD)
        arrays = {name: self.variable(name) for name in fixed.pop("variables", _FORMER_VARIABLES)}
        arrays |= {name: np.array(value) for name, value in fixed.items()}
        if kind in FORMULAS:  # no method is imported for it, which would take Keras
            module, name = FORMULAS[kind]
            formula: ColumnFormula = getattr(importlib.import_module(module), name).from_arrays(arrays)
            return formula
        from niwt_tf.methods.registry import method_of

        return method_of(method).formula_of(arrays)

    @cached_property
    def _checkpoint(self) -> Any:
        import tensorflow as tf

        return tf.train.load_checkpoint(str(literal_folder(self.folder) / CHECKPOINT))


def _check_form(path: Path, metadata: Mapping[str, Any], cards: Sequence[Card]) -> None:
    """Check that what is read of a bundle's metadata has the form that an export gives it, of which fingerprints say nothing.

    Raises:
        InputError: it has not; the entry is named.
    """
    size, known, labels = metadata.get("input_size", 1), metadata.get("knowledge"), [card.name for card in cards]
    names: Any
    groups: Any
    forms = {name: isinstance(metadata.get(name), dict | None) for name in _OBJECTS}
    if forms[EXPLANATIONS]:
        forms[EXPLANATIONS] = _are((metadata.get(EXPLANATIONS) or {}).get("cautions", []), str)
    forms["labels"] = len({*labels}) == len(labels)
    forms["input_size"] = isinstance(size, int) and size > 0
    forms["resize"] = metadata.get("resize", "squash") in ("squash", "crop", "pad")
    if forms["probabilities"] and forms["validation"]:
        numbers = {name: list((metadata.get(name) or {}).values()) for name in ("probabilities", "validation")}
        forms |= {name: all(isinstance(each, int | float | dict | None) for each in found) for name, found in numbers.items()}
    if isinstance(known, dict):
        names, groups = known.get("names"), known.get("groups")
        lists = isinstance(names, list) and isinstance(groups, list) and len(names) == len(groups)
        forms["knowledge"] = lists and all(isinstance(each, str) for each in (*names, *groups, known.get("source")))
        scale = known.get("scale")
        if forms["knowledge"] and scale is not None:
            rows = [scale.get(name) for name in ("low", "span")] if isinstance(scale, dict) else [None]
            forms["knowledge"] = all(_are(row, int | float) and len(row or ()) == len(names) for row in rows)
    wrong = next((name for name, is_right in forms.items() if not is_right), None)
    if wrong is not None:
        rule = f"{path / METADATA} must be the JSON that `niwt export` wrote"
        raise InputError(f"{rule}. Received: another form of {wrong!r}, {brief(metadata.get(wrong))}.")
    if known is not None:
        count = len(known["names"])
        for card in cards:
            if card.description is not None and len(card.description) != count:
                received = f"{len(card.description)} of {card.name[:80]!r}"
                raise InputError(f"{path / CARDS} must describe each class by {count} numbers. Received: {received}.")


def _are(values: Any, kind: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def extra_arrays(folder: Path, name: str) -> dict[str, np.ndarray] | None:
    """Return the arrays of `assets.extra/<name>.npz` of a bundle, or None where there is no such file.

    Raises:
        InputError: the file cannot be read.
    """
    path = folder / "assets.extra" / f"{name}.npz"
    if not path.is_file():
        return None
    try:
        return read_arrays(path)
    except (OSError, InputError) as error:
        raise InputError(f"{path} must be arrays that `niwt export` wrote. Received: {error}.") from None


METADATA = "niwt.json"
_PARTS = ("saved_model.pb", "variables", "assets", "assets.extra")
_ENTRY = "fingerprint"


def fingerprints(folder: Path, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each file of the bundle in `folder` by its path in it, and of the metadata itself.

    Files that others put beside the bundle's own, and what operating systems leave among them, are not looked at.
    """
    found: dict[str, str] = {}
    for part in _PARTS:
        path = folder / part
        files = [path] if path.is_file() else files_below(path) if path.is_dir() else ()
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
            advice = "remove it, or " if name not in written else ""
            rule = f"{folder} must be unchanged since it was written"
            raise InputError(f"{rule}. Received: {name}, {what}; {advice}export the bundle again.")


def check_no_links(folder: Path) -> None:
    """Check that a bundle holds files and folders alone, all of its own.

    A link in a bundle from elsewhere would put files of this machine into what is copied, and a pipe would never end.

    Raises:
        InputError: it holds something else; the first is named.
    """
    waiting = [folder / name for name in (*_PARTS, METADATA) if os.path.lexists(folder / name)]
    while waiting:
        path = waiting.pop()
        mode = os.lstat(path).st_mode
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            what = f"a link to {os.readlink(path)!r}" if stat.S_ISLNK(mode) else "neither"
            name = path.relative_to(folder).as_posix()
            raise InputError(f"{folder} must hold only its own files and folders. Received: {name}, {what}.")
        if stat.S_ISDIR(mode):
            waiting += sorted(entries_of(path), reverse=True)


def _digest_of_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_metadata(metadata: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in metadata.items() if name != _ENTRY}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


_FORMER_VARIABLES = ("map_weights", "map_bias", "centre", "basis", "means", "covariance", "statistics")


def formula_variables(formula: ColumnFormula) -> dict[str, np.ndarray]:
    """Return the arrays of a formula that become variables, float32."""
    return {name: np.asarray(value, np.float32) for name, value in formula.arrays().items() if name not in formula.fixed}


def formula_entry(formula: ColumnFormula, method: str) -> dict[str, object]:
    """Return what niwt.json keeps of a method's formula: what the graph has built in, and the names of its variables."""
    fixed: dict[str, object] = {name: formula.arrays()[name].tolist() for name in formula.fixed}
    return {**fixed, "kind": formula.kind, "method": method, "variables": list(formula_variables(formula))}
