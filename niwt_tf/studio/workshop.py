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

from niwt_tf.data.descriptions.new_classes import DescribedClass, Description, described_in_words
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError
from niwt_tf.methods.formula import ColumnFormula
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.descriptions import bundle_words, seen_knowledge
from niwt_tf.serving.bundle.versions import one_change, saved_model_folder, versions
from niwt_tf.serving.classes.edit import add_classes, write_change
from niwt_tf.serving.classes.names import new_names
from niwt_tf.studio.composing import Claims, Composition, Range, claims, ranges
from niwt_tf.studio.gallery import Gallery, TestImages, read_images
from niwt_tf.studio.tried_model import TriedModel


@dataclass(frozen=True)
class Bench:
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

    @cached_property
    def formula(self) -> ColumnFormula:
        """What makes a column of a description.

        Raises:
            InputError: the bundle has none.
        """
        return self.bundle.formula()

    @cached_property
    def ranges(self) -> list[Range]:
        """What the slider of each attribute covers."""
        return ranges(np.array([card.description for card in self.bundle.cards if card.description is not None], np.float32))

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
        description = described_in_words(text, self.knowledge, bundle_words(self.bundle))
        return Composition(description.values, text=description.text), description.notes

    def claims(self, composition: Composition) -> Claims:
        """Return what a new class would claim of the test images.

        Raises:
            InputError: its description makes no finite column, or the bundle has no column formula.
        """
        columns, biases = self.formula(composition.values[None])
        if not (np.isfinite(columns).all() and np.isfinite(biases).all()):
            raise InputError("The description must make a finite column. Received: one that does not.")
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
        self.bench = _opened(Path(os.path.abspath(saved_model_folder(bundle))), read_images(images, most_images))

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
        came = [f"Version {followed} came after {opened}, which was open; the class was added to {followed}."]
        return path, (*change.notes, *(came if followed != opened else []))

    def _newest(self) -> Bundle:
        """Return the newest version, which others may have made since this one was opened."""
        opened = self.bench.bundle
        if opened.folder not in versions(opened.folder.parent).values():
            return opened
        newest = Bundle.open(saved_model_folder(opened.folder.parent))
        if _model_of(newest) != _model_of(opened):
            rule = f"The newest version must be of the same model as version {opened.folder.name}, which is open."
            raise InputError(f"{rule} Received: version {newest.folder.name} of another; start the studio again.")
        return newest


def _model_of(bundle: Bundle) -> tuple[object, object]:
    """Return what stays as it is when classes change: the graph, and what a description means."""
    return bundle.metadata["fingerprint"]["saved_model.pb"], bundle.metadata["knowledge"]


def _opened(folder: Path, images: TestImages) -> Bench:
    bundle = Bundle.open(folder)
    model = TriedModel(folder, int(bundle.metadata["input_size"]))
    return Bench(bundle, model, Gallery.of(images, model))


def _described(name: str, composition: Composition) -> DescribedClass:
    return DescribedClass(name, Description(composition.values, composition.text), "niwt studio")
