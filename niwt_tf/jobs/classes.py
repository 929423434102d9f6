"""What is done to the classes of an exported network: listed, added, refined, renamed, removed. A change is its next version.

TensorFlow is not imported to list them, nor before all that can be refused has been.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from niwt_tf.compute.quiet_tensorflow import import_quietly, tensorflow_without_keras
from niwt_tf.data.descriptions.attribute_names import nearest_word
from niwt_tf.data.descriptions.new_classes import (
    DescribedClass,
    described_in_words,
    doubt_of,
    read_described_classes,
    read_description,
)
from niwt_tf.data.readers.class_texts import class_texts_of
from niwt_tf.data.readers.loose_images import image_files
from niwt_tf.data.readers.tables import read_text
from niwt_tf.errors import InputError
from niwt_tf.jobs.flags import bundle_folder, required
from niwt_tf.jobs.terminal_text import escape_what_cannot_be_shown, padded, shown, width
from niwt_tf.serving.bundle.bundle import Bundle, is_synthesized
from niwt_tf.serving.bundle.cards import Card, cards_to_json
from niwt_tf.serving.bundle.descriptions import bundle_words, in_units, seen_knowledge
from niwt_tf.serving.bundle.versions import one_change, versions
from niwt_tf.serving.classes.names import new_names, place_of, removable

if TYPE_CHECKING:
    from niwt_tf.serving.classes.edit import Change

_WAYS = ("attributes", "text", "text_file", "cards")
_COLUMNS = ("class", "trained on photographs", "photographs", "source", "made", "how")
_LOG = logging.getLogger("niwt_tf.jobs")


def list_classes_job() -> None:
    """Print every card of --bundle in the order of the logits.

    Raises:
        InputError: there is no bundle, or it is not as it was written.
    """
    escape_what_cannot_be_shown()
    bundle = Bundle.open(bundle_folder())
    if flags.FLAGS.format == "json":
        value = {"bundle": str(bundle.folder), "classes": cards_to_json(in_units(bundle))}
        print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
        return
    rows = [_COLUMNS, *(_row(card) for card in bundle.cards)]
    widths = [max(width(row[column]) for row in rows) for column in range(len(_COLUMNS) - 1)]
    for row in rows:
        print("  ".join([*(padded(cell, columns) for cell, columns in zip(row, widths, strict=False)), row[-1]]).rstrip())
    print(f"{len(bundle.cards)} classes in {shown(str(bundle.folder))}")


def _row(card: Card) -> tuple[str, ...]:
    """Return what the table has of a card; whoever wrote the bundle chose its texts, so the terminal must not obey them."""
    source = " ".join(card.source.split())
    cells = (card.name, "yes" if card.seen else "no", str(card.images), source, card.made, card.how)
    return tuple(shown(cell) for cell in cells)


def add_class_job() -> None:
    """Add the class that --name and its description make, or all of --cards.

    Raises:
        InputError: a flag, a file or a description is not in order; nothing is written then.
    """
    begun = time.monotonic()
    way = _way()
    with _bundle_to_change() as bundle:
        if is_synthesized(bundle):
            _anew(bundle, _texts(way), begun)
            return
        classes = _described_classes(bundle, way)
        # What can be refused is refused before TensorFlow is waited for.
        names = new_names(bundle, [each.name for each in classes])
        bundle.check_formula()
        _check_understood(classes, way)
        for each in classes:
            for note in each.description.notes:
                _LOG.info("%s: %s", each.name, note)
        with tensorflow_without_keras():
            from niwt_tf.serving.classes.edit import add_classes

            listed = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            _write(bundle, add_classes(bundle, classes), f"Added {listed}", begun)


def _texts(way: str) -> dict[str, str]:
    """Return the text of each class that is added, for a bundle that is written from texts."""
    path = Path(os.path.expanduser(flags.FLAGS[way].value))
    if way == "attributes":
        rule = "--text, --text_file or --cards (class,text) must describe the class if a network was written from texts"
        raise InputError(f"{rule}. Received: --attributes.")
    if way == "cards":
        return class_texts_of(path)
    return {required("name"): flags.FLAGS.text if way == "text" else read_text(path)}


def _anew(bundle: Bundle, texts: dict[str, str], begun: float, without: str = "") -> None:
    """Write a bundle that was written from texts anew, with more classes or without one."""
    import_quietly()
    from niwt_tf.serving.synthesis import with_texts, without_class

    path = without_class(bundle, without) if without else with_texts(bundle, texts)
    listed = repr(without) if without else ", ".join(map(repr, texts))
    said = f"{'Removed' if without else 'Added'} {listed}: {path} ({time.monotonic() - begun:.1f} s)."
    independent = bundle.metadata["writer"].get("independent")
    moved = "the logits of the other classes stay the same" if independent else "the logits of all classes change"
    print(f"{said} The network is written again: {moved}.")


def _way() -> str:
    given = [way for way in _WAYS if flags.FLAGS[way].value is not None]
    listed = ", ".join(f"--{way}" for way in _WAYS)
    if len(given) != 1:
        empty = [f"an empty --{way}" for way in _WAYS if flags.FLAGS[way].present and way not in given]
        received = ", ".join([f"--{way}" for way in given] or empty) or "none"
        raise InputError(f"One of {listed} must be given to describe the class. Received: {received}.")
    if given == ["cards"] and flags.FLAGS["name"].value is not None:
        raise InputError(
            f"--name must not be given with --cards, which has the names. Received: {flags.FLAGS['name'].value!r}."
        )
    if given != ["cards"]:
        required("name")
    return given[0]


def _described_classes(bundle: Bundle, way: str) -> list[DescribedClass]:
    seen, missing, source = seen_knowledge(bundle), flags.FLAGS.missing, flags.FLAGS.source
    given = flags.FLAGS[way].value
    path = Path(os.path.expanduser(given))
    if way == "cards":
        classes = read_described_classes(path, seen, bundle_words(bundle), missing, synonym)
        return [replace(each, source=each.source or source or path.name) for each in classes]
    if way == "attributes":
        description = read_description(path, seen, missing)
    else:
        text = given if way == "text" else read_text(path)
        description = described_in_words(text, seen, bundle_words(bundle), synonym)
    default = "text" if way == "text" else path.name
    return [DescribedClass(required("name"), description, source or default)]


def synonym(word: str, known: Sequence[str]) -> tuple[str, float] | None:
    """Return `nearest_word`, whose sentence encoder runs on TensorFlow."""
    with tensorflow_without_keras():
        return nearest_word(word, known)


def _check_understood(classes: Sequence[DescribedClass], way: str) -> None:
    """Check that at least half of each text was understood, or that it is wanted all the same.

    Raises:
        InputError: it is not.
    """
    doubt = doubt_of(classes)
    if doubt is None or flags.FLAGS.yes:
        return
    if sys.stdin.isatty() and sys.stderr.isatty():
        sys.stderr.write(f"{doubt.note}.\nOnly {doubt.share} was understood{doubt.others}. Save it anyway? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    rule = f"--{way} must be at least half understood, or give --yes to save it anyway"
    raise InputError(f"{rule}. Received: {doubt.share} was understood{doubt.others}: {doubt.note}; nothing was saved.")


def refine_class_job() -> None:
    """Let the class --name see the photographs --images.

    Raises:
        InputError: a flag is missing, or see `refine_class`.
    """
    begun = time.monotonic()
    name, source = required("name"), required("images")
    with _bundle_to_change() as bundle:
        known = bundle.labels[place_of(bundle, name)]
        with tensorflow_without_keras():
            from niwt_tf.serving.classes.refine import refinable, refine_class

            refinable(bundle, name)  # before a folder is searched, which may say much
            images = image_files(source)
            change = refine_class(bundle, name, images)
            _write(bundle, change, f"Refined {known!r} with {len(images)} more photographs", begun)


def rename_class_job() -> None:
    """Rename the class --name to --new_name.

    Raises:
        InputError: there is no such class, or the new name is taken or not allowed.
    """
    begun = time.monotonic()
    name, new_name = required("name"), required("new_name")
    with _bundle_to_change() as bundle:
        before = bundle.labels[place_of(bundle, name)]
        (plain,) = new_names(bundle, [new_name], before)
        with tensorflow_without_keras():
            from niwt_tf.serving.classes.edit import rename_class

            _write(bundle, rename_class(bundle, name, new_name), f"Renamed {before!r} to {plain!r}", begun)


def remove_class_job() -> None:
    """Remove the class --name.

    Raises:
        InputError: there is no such class, or no other.
    """
    begun = time.monotonic()
    name = required("name")
    with _bundle_to_change() as bundle:
        before = bundle.labels[removable(bundle, name)]
        if is_synthesized(bundle):
            _anew(bundle, {}, begun, before)
            return
        with tensorflow_without_keras():
            from niwt_tf.serving.classes.edit import remove_class

            _write(bundle, remove_class(bundle, name), f"Removed {before!r}", begun)


@contextmanager
def _bundle_to_change() -> Iterator[Bundle]:
    """Yield the bundle that --bundle means; another process that changes one beside it waits.

    Raises:
        InputError: there is no bundle, or it is not as it was written.
    """
    with one_change(bundle_folder().parent):
        folder = bundle_folder()
        whole = (each for each in reversed(versions(folder.parent).values()) if (each / "saved_model.pb").is_file())
        newest = next(whole, folder)
        if not newest.samefile(folder):
            _LOG.warning(
                "Version %s is newer; the new version is made from %s and does not have its changes.", newest.name, folder.name,
            )
        yield Bundle.open(folder)


def _write(bundle: Bundle, change: Change, said: str, begun: float) -> None:
    """Write a change and tell what was done."""
    from niwt_tf.serving.classes.edit import write_change

    for note in change.notes:
        _LOG.warning("%s", note)
    path = write_change(bundle, change)
    seconds = time.monotonic() - begun
    print(f"{said}: {path} (computed in {change.milliseconds:.1f} ms, {seconds:.1f} s in all)")
