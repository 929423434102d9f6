"""What all tabs of the page work on: one bundle, loaded once, and the test images; a saved class takes everybody on to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import RLock

import numpy as np

from niwt_tf.data.class_names import likeness, plain_name
from niwt_tf.data.descriptions.attribute_names import attribute_names, nearest_word
from niwt_tf.data.descriptions.new_classes import DescribedClass, Description, described_in_words
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError
from niwt_tf.explain.sentences import followed_sentence
from niwt_tf.methods.formula import ColumnFormula
from niwt_tf.serving.bundle.bundle import COLUMN_FORMULA, Bundle
from niwt_tf.serving.bundle.descriptions import bundle_words, seen_knowledge
from niwt_tf.serving.bundle.versions import one_change, saved_model_folder, versions
from niwt_tf.serving.classes.edit import add_classes, remove_class, write_change
from niwt_tf.serving.classes.names import new_names
from niwt_tf.studio.composing import Claims, Composition, Range, claims, ranges
from niwt_tf.studio.gallery import Gallery, TestImages, read_images
from niwt_tf.studio.tried_model import TriedModel


@dataclass(frozen=True)
class OpenVersion:
    """A version that is open, its graph, loaded, and the test images as it sees them."""

    bundle: Bundle
    model: TriedModel
    gallery: Gallery

    @cached_property
    def knowledge(self) -> Knowledge:
        """The attributes and the seen classes' values.

        Raises:
            InputError: the bundle knows no descriptions.
        """
        return seen_knowledge(self.bundle)

    @property
    def followed(self) -> str:
        """Which attributes the network follows, in a sentence; "" where that was not learnt."""
        known = self.bundle.metadata.get(COLUMN_FORMULA) is not None and self.bundle.metadata.get("knowledge") is not None
        return followed_sentence(self.formula.followed, self.knowledge.names) if known else ""

    @cached_property
    def formula(self) -> ColumnFormula:
        """What makes a column of a description.

        Raises:
            InputError: the bundle has none.
        """
        return self.bundle.formula()

    @cached_property
    def ranges(self) -> list[Range]:
        """What the slider of each attribute covers, in the units of the table that it comes from."""
        described = np.array([card.description for card in self.bundle.cards if card.description is not None], np.float32)
        return ranges(self.in_units(described), self._numeric)

    @cached_property
    def _numeric(self) -> np.ndarray:
        """Which attributes are measured or counted, bool [K], by their names or since their table has other units."""
        known = self.knowledge
        numeric = np.zeros(len(known.names), bool)
        for name in attribute_names(known):
            numeric[name.place] = bool(name.unit) or name.counts
        if known.scale is not None:
            numeric |= known.in_units.max(axis=0) > 1.0
        return numeric & np.array([not group for group in known.groups])

    def in_units(self, values: np.ndarray) -> np.ndarray:
        """Return descriptions [..., K] in the units of the table that they come from."""
        scale = self.knowledge.scale
        return values if scale is None else scale.undone(values)

    def out_of_units(self, place: int, value: float) -> float:
        """Return the value of an attribute in a description that is `value` in the units of its table."""
        scale = self.knowledge.scale
        return value if scale is None else float((value - scale.low[place]) / scale.span[place])

    def called(self, composition: Composition) -> str:
        """Return the class that has just this description, "" for none."""
        values = composition.values
        same = (card.name for card in self.bundle.cards if np.array_equal(np.array(card.description, np.float32), values))
        return next(same, "")

    def named(self, name: str) -> str:
        """Return the class that a name means already, "" for none."""
        wanted = likeness(plain_name(name))
        return next((label for label in self.bundle.labels if wanted and likeness(label) == wanted), "")

    @cached_property
    def _probabilities(self) -> tuple[float, float]:
        return float(self.bundle.variable("temperature")), float(self.bundle.variable("abstain_below"))

    def start(self, name: str | None) -> Composition:
        """Return a class's description to begin with, or for None the seen classes' mean."""
        if name is None:
            return Composition(self.knowledge.values.mean(axis=0))
        card = next(card for card in self.bundle.cards if card.name == name)
        return Composition(np.array(card.description, np.float32))

    def read(self, text: str) -> tuple[Composition, tuple[str, ...]]:
        """Return the description that a text makes, and what was understood of it.

        Raises:
            InputError: nothing was understood.
        """
        description = described_in_words(text, self.knowledge, bundle_words(self.bundle), nearest_word)
        return Composition(description.values, text=description.text), description.notes

    def claims(self, composition: Composition) -> Claims:
        """Return what a new class would claim of the test images.

        Raises:
            InputError: its description makes no finite column, or the bundle has no column formula.
        """
        columns, biases = self.formula(composition.values[None])
        if not (np.isfinite(columns).all() and np.isfinite(biases).all()):
            raise InputError("The description must give a finite head column. Received: one that does not.")
        return claims(self.gallery, self.bundle.labels, columns[:, 0], float(biases[0]), *self._probabilities)

    @contextmanager
    def with_class(self, composition: Composition) -> Iterator[str]:
        """Make the model answer with a new class for the length of a block, and yield what it is called there."""
        name = "new class"
        while name in self.bundle.labels:
            name += "'"
        change = add_classes(self.bundle, [_described(name, composition)])
        with self.model.trying(change.variables):
            yield name


class Workshop:
    """The open version, which changes when a class is saved."""

    def __init__(self, bundle: str | Path, images: str | Path, most_images: int) -> None:
        """Open a bundle and read the test images.

        Raises:
            InputError: there is no bundle or no image, or they are not in order.
        """
        self._lock = RLock()
        self.bench = _opened(Path(os.path.abspath(saved_model_folder(bundle, "--bundle"))), read_images(images, most_images))

    def save(self, name: str, composition: Composition) -> tuple[Path, tuple[str, ...]]:
        """Write the version after the newest, with a new class, and go on with it.

        Returns:
            The new version's folder, and sentences that warn.

        Raises:
            InputError: the name is taken or not allowed, the bundle cannot be changed, or the newest version is of another
                model than the open one.
            OSError: it cannot be written.
        """
        with self._lock, one_change(self.bench.bundle.folder.parent):
            newest = self._newest()
            new_names(newest, [name])
            change = add_classes(newest, [_described(name, composition)])
            path = write_change(newest, change)
            followed, opened = newest.folder.name, self.bench.bundle.folder.name
            self.bench = _opened(path, self.bench.gallery.images)
        came = [f"Version {followed} is newer than {opened}, which was open. The class was added to {followed}."]
        return path, (*change.notes, *(came if followed != opened else []))

    def take_back(self, name: str) -> Path:
        """Write the version after the newest, without a class that was saved here, and go on with it; none is deleted.

        Raises:
            InputError: there is no such class any more, or the newest version is of another model than the open one.
            OSError: it cannot be written.
        """
        with self._lock, one_change(self.bench.bundle.folder.parent):
            newest = self._newest()
            path = write_change(newest, remove_class(newest, name))
            self.bench = _opened(path, self.bench.gallery.images)
        return path

    def _newest(self) -> Bundle:
        """Return the newest version, which others may have made since this one was opened."""
        opened = self.bench.bundle
        if opened.folder not in versions(opened.folder.parent).values():
            return opened
        newest = Bundle.open(saved_model_folder(opened.folder.parent))
        if _model_of(newest) != _model_of(opened):
            rule = f"The newest version must be of the same model as version {opened.folder.name}, which is open."
            raise InputError(f"{rule} Received: version {newest.folder.name} of another model; start the studio again.")
        return newest


def _model_of(bundle: Bundle) -> tuple[object, object]:
    """Return what stays as it is when classes change: the graph, and what a description means."""
    return bundle.metadata["fingerprint"]["saved_model.pb"], bundle.metadata["knowledge"]


def _opened(folder: Path, images: TestImages) -> OpenVersion:
    bundle = Bundle.open(folder)
    model = TriedModel(folder, bundle.input_form, bundle.turns_photographs)
    return OpenVersion(bundle, model, Gallery.of(images, model))


def _described(name: str, composition: Composition) -> DescribedClass:
    return DescribedClass(name, Description(composition.values, composition.text), "niwt studio")
