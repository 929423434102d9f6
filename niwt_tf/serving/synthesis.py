"""Networks written from texts alone: bundles of them for classes that nobody photographed, and other classes for these.

Such a bundle keeps the method that wrote it in `assets.extra/writer`, so that it can be written anew. Where every class
has a part in every logit, whoever adds or removes one moves all of them; elsewhere the others stay, but for rounding.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from niwt_tf.data.readers.class_texts import check_class_texts
from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import InputError
from niwt_tf.methods.registry import method_of
from niwt_tf.models.network import Network
from niwt_tf.protocol.saved_model import SavedModel, load_model
from niwt_tf.serving.bundle.bundle import WRITER, Bundle, is_synthesized
from niwt_tf.serving.classes.names import new_names, removable
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.export.savedmodel import export_network
from niwt_tf.serving.export.verification import noise_images

_BEST = 5


def synthesized(writer: SavedModel, classes: Descriptions) -> Network:
    """Return the network that a fitted method writes for K classes alone.

    Raises:
        InputError: the method writes no networks from texts alone, or cannot read a text.
    """
    made = writer.chosen.generator.synthesize(classes).apply(writer.network)
    made.calibration = 0.0  # there is no seen class
    return made


def synthesized_contents(writer: SavedModel, texts: Sequence[str]) -> Contents:
    """Return what goes with such a network into its bundle: texts in the order of its classes, and the method that wrote it."""
    method = writer.chosen.method
    how = method_of(method).how(writer.chosen.trial.candidate)
    return Contents(probabilities=writer.chosen.probabilities, how=how, method=method, texts=texts, writer=writer)


def export_synthesized(writer: SavedModel, classes: Descriptions, folder: str | os.PathLike[str]) -> Path:
    """Write the network of K classes as the next version in `folder`, verified, or write nothing; return the version's folder.

    Raises:
        InputError: see `synthesized`, or `folder` is a file.
        VerificationError: the SavedModel does not answer as the network does.
    """
    network, contents = synthesized(writer, classes), synthesized_contents(writer, classes.texts or ())
    with tempfile.TemporaryDirectory() as images:
        checked = noise_images(Path(images), network.input_size)
        return export_network(network, folder, contents=contents, k=_BEST, check_images=checked)


def with_texts(bundle: Bundle, texts: Mapping[str, str]) -> Path:
    """Write a synthesized bundle anew with more classes, described by texts, and return the new version's folder.

    Raises:
        InputError: a name is taken, or a text is not in order.
    """
    names = new_names(bundle, list(texts))
    return _anew(bundle, {**_texts(bundle), **dict(zip(names, texts.values(), strict=True))})


def without_class(bundle: Bundle, name: str) -> Path:
    """Write a synthesized bundle anew without a class, and return the new version's folder.

    Raises:
        InputError: there is no such class, or too few others.
    """
    place = removable(bundle, name)
    gone = bundle.cards[place].name
    return _anew(bundle, {each: text for each, text in _texts(bundle).items() if each != gone})


def _texts(bundle: Bundle) -> dict[str, str]:
    return {card.name: card.text for card in bundle.cards}


def _anew(bundle: Bundle, texts: dict[str, str]) -> Path:
    if not is_synthesized(bundle):
        raise InputError(f"{bundle.folder} must be a bundle that niwt synthesize wrote. Received: another bundle.")
    return export_synthesized(load_model(bundle.folder / WRITER), check_class_texts(texts, "the bundle"), bundle.folder.parent)
