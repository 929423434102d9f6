"""Data as they come in Python: arrays, paths, tables, a tf.data.Dataset; descriptions in a dict, a table or a text.

They become a data set to learn from (everything later reads image files, so pixels are written as PNG files into a folder that
the caller removes), the row of knowledge of one more class, or the logits of a network. Tables are known
by what they offer (`columns`, `index`), so that pandas is not needed.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf.compute.features import Reader
from niwt_tf.data.class_names import check_apart, likeness, plain_name
from niwt_tf.data.descriptions.new_classes import DescribedClass, described_in_words, doubt_of
from niwt_tf.data.descriptions.sources import choose_knowledge
from niwt_tf.data.images.decode import fitted
from niwt_tf.data.images.files import check_pixels
from niwt_tf.data.images.pipeline import usable_images
from niwt_tf.data.load import checked_dataset
from niwt_tf.data.readers.tables import group_of, read_class_table
from niwt_tf.data.schema import Dataset, Images, Knowledge, Split, dimension_names, no_knowledge
from niwt_tf.errors import InputError, brief, require, suggestion
from niwt_tf.models.feature_network import check_takes_images
from niwt_tf.models.network import Network

_PATH_COLUMNS, _CLASS_COLUMNS = ("path", "file", "filename", "image"), ("class", "label")
_LOG = logging.getLogger("niwt_tf")
_BATCH = 32
_RULE = "images must be a list of paths or an array [M, H, W, 3]"
_FORMS = (
    "X must be an array [M, H, W, 3], a list of paths, a DataFrame with a column path, a tf.data.Dataset of images and labels, "
    "or what load_dataset returns"
)


def dataset_of(
    data: Any, labels: Any, descriptions: Any, class_names: Sequence[str] | None, folder: Path, text_features: str,
    progress: bool
) -> Dataset:
    """Return a data set all of whose images are for training; classes that have only a description are unseen.

    Args:
        data: images, see `Niwt.fit`.
        labels: the class of each image.
        descriptions: see `descriptions_of_classes`.
        class_names: what integer labels index; None are those of the data.
        folder: where pixels are written.
        text_features: how texts become numbers.
        progress: show a bar.

    Raises:
        InputError: any of them is not in order.
    """
    if descriptions is None:
        rule = "descriptions must be given with images: the description of each class, by its name"
        raise InputError(f"{rule}. Received: None.")
    names, knowledge, texts = descriptions_of_classes(descriptions)
    index = {plain_name(name): number for number, name in enumerate(names)}
    paths, found = [], []
    for number, (image, label) in enumerate(_examples(data, labels, class_names)):
        name = plain_name(label)
        if name not in index:
            raise InputError(f"descriptions must have every class of y. Received: none for {label!r}.{suggestion(name, names)}")
        paths.append(_path_of(image, folder, number))
        found.append(index[name])
    require(paths, "X must hold at least one image. Received: none.")
    is_seen = np.isin(np.arange(len(names)), found)
    seen, unseen = np.flatnonzero(is_seen), np.flatnonzero(~is_seen)
    split = Split("given", seen, unseen, np.arange(len(paths)), np.empty(0), np.empty(0), all_seen=not len(unseen))
    made = Dataset("given", Path("/"), tuple(paths), np.array(found, np.int32), tuple(names), knowledge, split)
    source = "attributes" if texts is None else "texts"
    made = choose_knowledge(made.replace(class_texts=texts), source, text_features=text_features, progress=progress)
    return checked_dataset(made, 0, progress)


def descriptions_of_classes(descriptions: Any) -> tuple[list[str], Knowledge, tuple[str, ...] | None]:
    """Return C names, their attributes (none where they have texts), and their texts or None.

    Args:
        descriptions: by class name a text, K numbers, or a number by attribute name; or a DataFrame with a row a class (its
            index, or its column class) and a column an attribute, or one column text; or the path of a classes.csv.

    Raises:
        InputError: another form, classes that differ in their attributes, or values that are not finite.
    """
    if isinstance(descriptions, str | os.PathLike):
        table = read_class_table(Path(descriptions))
        return list(table.class_names), table.knowledge, None
    if _is_table(descriptions):
        titles = [likeness(str(column)) for column in descriptions.columns]
        own = [column for column, title in zip(descriptions.columns, titles, strict=True) if title == "class"]
        kept = [column for column, title in zip(descriptions.columns, titles, strict=True) if title != "class"]
        names_of, uses = [str(column) for column in kept], Counter(titles)
        twice = next((name for name in names_of if uses[likeness(name)] > 1), None) or ("class" if own[1:] else None)
        require(twice is None, f"descriptions must name each column once. Received: {twice!r} twice.")
        keys = list(descriptions[own[0]] if own else descriptions.index)
        check_apart(list(map(str, keys)), "descriptions")  # a dict would keep the last of them
        rows = zip(*(descriptions[column] for column in kept), strict=True)
        descriptions = {
            str(key): row[0] if names_of == ["text"] else dict(zip(names_of, row, strict=True))
            for key, row in zip(keys, rows, strict=True)
        }
    if not isinstance(descriptions, Mapping) or not descriptions:
        rule = (
            "descriptions must be a dict by class name, a DataFrame with one row for each class, or the path of a classes.csv"
        )
        raise InputError(f"{rule}. Received: {brief(descriptions)}.")
    check_apart(list(map(str, descriptions)), "descriptions")
    names, said = [plain_name(str(name)) for name in descriptions], list(map(_by_name, descriptions.values()))
    if all(isinstance(each, str) for each in said):
        empty = next((name for name, text in zip(names, said, strict=True) if not text.strip()), None)
        require(empty is None, f"descriptions must hold a text for each class. Received: an empty one for {empty!r}.")
        return names, no_knowledge(len(names)), tuple(said)
    attributes = tuple(map(str, said[0])) if isinstance(said[0], Mapping) else None
    rows_of_numbers = [_numbers(name, each, attributes) for name, each in zip(names, said, strict=True)]
    widths = {len(row) for row in rows_of_numbers}
    require(
        len(widths) == 1 and widths != {0},
        f"descriptions must all have the same number of values. Received: {sorted(widths)}."
    )
    attributes = attributes or dimension_names(widths.pop())
    groups = tuple(group_of(attribute) for attribute in attributes)
    return names, Knowledge(np.stack(rows_of_numbers), attributes, groups, source="descriptions"), None


def named_labels(labels: Any, class_names: Sequence[str] | None) -> list[str]:
    """Return the class name of each label; integers index `class_names`.

    Raises:
        InputError: labels of another form, or integers where no names are known or beyond them.
    """
    values = np.asarray(labels)
    if not values.size:
        return []
    if values.ndim == 2 and values.shape[1] > 1 and values.dtype.kind in "fiub":  # one column a class
        several = np.flatnonzero((values == values.max(axis=1, keepdims=True)).sum(axis=1) != 1)
        if len(several):
            rule = "y must name one class of each image: of a row with a column a class, one number must be the greatest"
            raise InputError(f"{rule}. Received: {brief(values[several[0]].tolist())} in row {several[0]}.")
        values = values.argmax(axis=1)
    values = values.reshape(-1)
    if values.dtype.kind in "OSU":
        return [label.decode() if isinstance(label, bytes) else str(label) for label in values.tolist()]
    if values.dtype.kind not in "iu" and not (values.dtype.kind == "f" and (values == np.rint(values)).all()):
        raise InputError(f"y must hold names of classes, or integers that index class_names. Received: {values.dtype}.")
    if class_names is None:
        rule = "class_names must be given if y holds integers, which index these names"
        raise InputError(f"{rule}. Received: None, and y of {values.dtype}.")
    if isinstance(class_names, Mapping) and set(class_names) == set(range(len(class_names))):
        class_names = [class_names[number] for number in range(len(class_names))]
    if isinstance(class_names, str | bytes | Mapping | Set) or not hasattr(class_names, "__len__"):
        raise InputError(f"class_names must be a list of names. Received: {brief(class_names)}.")
    class_names = list(class_names)
    strange = values[(values < 0) | (values >= len(class_names))]
    require(not len(strange), f"y must index the {len(class_names)} class_names. Received: {strange[:1].tolist()}.")
    return [str(class_names[int(value)]) for value in values]


def examples_of(data: Any, labels: Any) -> tuple[Any, Any, Sequence[str] | None]:
    """Return images, labels and the class names that a table or a tf.data.Dataset brings with it.

    Raises:
        InputError: labels stand beside data that have their own, or a column is missing.
    """
    own = getattr(data, "class_names", None)
    if _is_table(data):
        columns = {str(column).lower(): column for column in data.columns}
        path = next((columns[name] for name in _PATH_COLUMNS if name in columns), None)
        require(path is not None, f"{_FORMS}. Received: columns {', '.join(map(str, data.columns))}.")
        if labels is None:
            name = next((columns[name] for name in _CLASS_COLUMNS if name in columns), None)
            labels = None if name is None else list(data[name])
        return list(data[path]), labels, own
    if is_stream(data):
        require(labels is None, "y must be None if X is a tf.data.Dataset, which has the labels. Received: both.")
    return data, labels, own


def named_and_predicted(
    data: Any, labels: Any, predict: Callable[[Any], np.ndarray], known: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the name of the class of each image, and what `predict` calls it.

    Raises:
        InputError: there is no image, not a label for each, or one that is not of a `known` class.
    """
    named: list[str] = []
    predicted: list[str] = []
    for images, labelled in _labelled(data, labels):
        names = list(map(plain_name, labelled))
        strange = next((name for name in dict.fromkeys(names) if name not in known), None)
        if strange is not None:
            near = suggestion(strange, known)
            raise InputError(f"y must be of classes that the model knows. Received: {strange!r}.{near}")
        named += names
        predicted += predict(images).tolist()
    require(named, "X must hold at least one image. Received: none.")
    return named, predicted


def _labelled(data: Any, labels: Any) -> Iterator[tuple[Any, list[str]]]:
    """Yield images in a form of `Niwt.predict`, and the name of the class of each, all at once or batch by batch.

    A tf.data.Dataset is gone through once: it may be shuffled anew each time.

    Raises:
        InputError: there are no labels, or not one for each image.
    """
    images, labels, names = examples_of(data, labels)
    if is_stream(images):
        for pixels, batch in batches_of(images):
            require(batch is not None, "X must be a tf.data.Dataset of images and labels. Received: only images.")
            yield pixels, named_labels(batch, names)
        return
    require(labels is not None, "y must be the class of each image. Received: None.")
    named = named_labels(labels, names)
    require(len(named) == len(images), f"y must have a class for each of {len(images)} images. Received: {len(named)}.")
    yield images, named


def batches_of(data: Any) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield pixels [B, H, W, 3] and labels (None without) of a tf.data.Dataset, batched or not.

    Raises:
        InputError: its elements are not images, or images and labels.
    """
    for element in data:
        images, labels = element[:2] if isinstance(element, tuple) and len(element) >= 2 else (element, None)
        if not hasattr(images, "shape") or len(images.shape) not in (3, 4):
            raise InputError(f"X must be a tf.data.Dataset of images and labels. Received: {brief(element)}.")
        alone = len(images.shape) == 3
        pixels = np.asarray(images)[None] if alone else np.asarray(images)
        yield pixels, None if labels is None else np.asarray(labels)[None] if alone else np.asarray(labels)


def _examples(data: Any, labels: Any, class_names: Sequence[str] | None) -> Iterator[tuple[Any, str]]:
    """Yield each image, a path or pixels [H, W, 3], and the name of its class."""
    data, labels, own = examples_of(data, labels)
    class_names = own if class_names is None else class_names
    if is_stream(data):
        for pixels, batch in batches_of(data):
            require(batch is not None, "X must be a tf.data.Dataset of images and labels. Received: only images.")
            check_pixels(pixels)
            yield from zip(pixels, named_labels(batch, class_names), strict=True)
        return
    require(labels is not None, "y must be the class of each image. Received: None.")
    names = named_labels(labels, class_names)
    if isinstance(data, np.ndarray) and data.dtype.kind not in "OSU":
        check_pixels(data)
    elif isinstance(data, str | os.PathLike) or not isinstance(data, Sequence | np.ndarray):
        raise InputError(f"{_FORMS}. Received: {type(data).__name__}.")
    require(len(data) == len(names), f"y must have a class for each of {len(data)} images. Received: {len(names)}.")
    yield from zip(data, names, strict=True)


def _path_of(image: Any, folder: Path, number: int) -> str:
    if isinstance(image, str | os.PathLike):
        path = os.path.abspath(os.path.expanduser(os.fspath(image)))
        require(os.path.isfile(path), f"X must name files that exist. Received: {path!r}.")
        return path.lstrip("/")
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.dtype.kind not in "iuf":
        raise InputError(f"{_FORMS}. Received: {brief(image)} in a list.")
    check_pixels(pixels[None])
    from PIL import Image

    path = str(folder / f"{number:07d}.png")
    Image.fromarray(np.rint(pixels).astype(np.uint8)).save(path, compress_level=1)
    return path.lstrip("/")


def _by_name(description: Any) -> Any:
    """Return a row of a DataFrame, whose index names its numbers, as a dict; another description as it is."""
    is_row = hasattr(description, "dtype") and hasattr(description, "index") and hasattr(description, "items")
    if not is_row:
        return description
    if all(isinstance(key, int | np.integer) for key in description.index):
        return np.asarray(description)
    return {str(key): value for key, value in description.items()}


def _numbers(name: str, said: Any, attributes: tuple[str, ...] | None) -> np.ndarray:
    if isinstance(said, Mapping) != (attributes is not None) or isinstance(said, str):
        raise InputError(f"descriptions must have the same form for all classes. Received: another form for {name!r}.")
    if isinstance(said, Mapping):
        given = {str(key): value for key, value in said.items()}
        strange = next((key for key in given if key not in (attributes or ())), None)
        if strange is not None:
            raise InputError(f"descriptions must name the same attributes for all classes. Received: {strange!r} of {name!r}.")
        absent = next((key for key in attributes or () if key not in given), None)
        require(absent is None, f"descriptions must give {name!r} every attribute. Received: none for {absent!r}.")
        said = [given[key] for key in attributes or ()]
    try:
        values = np.asarray(said, np.float32).reshape(-1)
    except (TypeError, ValueError):
        values = np.array([np.nan], np.float32)
    rule = "descriptions must be finite numbers or texts"
    require(bool(np.isfinite(values).all()), f"{rule}. Received: {brief(said)} of {name!r}.")
    return values


def _is_table(data: Any) -> bool:
    return hasattr(data, "columns") and hasattr(data, "index") and hasattr(data, "__getitem__")


def is_stream(data: Any) -> bool:
    """Return whether data are a tf.data.Dataset."""
    return hasattr(data, "element_spec") and hasattr(data, "__iter__")


def row_of_text(name: str, text: str, known: Knowledge) -> np.ndarray:
    """Return float32 [K] of a text of the class `name`, and say what was understood of it.

    `known` has the seen classes' values [S, K].

    Raises:
        InputError: less than half of the text is understood, or words alone cannot make such a description.
    """
    made = described_in_words(text, known, known.words)
    doubt = doubt_of([DescribedClass(name, made)])
    if doubt is not None:
        rule = "at least half of the text must be understood"
        raise InputError(f"{rule}. Received: {doubt.share}. {doubt.note}.")
    for note in made.notes:
        _LOG.warning("%s: %s", name, note)
    return made.values


def values_of(description: Any, knowledge: Knowledge) -> np.ndarray:
    """Return float32 [K] of K numbers or of a value by name for all K, in the units of the data set's table.

    Raises:
        InputError: a name is unknown or missing, or it is not K finite numbers.
    """
    names, given = knowledge.names, description
    description = _by_name(given)
    if hasattr(given, "dtype") and isinstance(description, Mapping) and not set(description) & set(names):
        description = np.asarray(given)  # a row of other names is K numbers
    if isinstance(description, Mapping):
        unknown = [name for name in description if name not in names]
        if unknown:
            raise InputError(f"description has an unknown entry. Received: {unknown[0]!r}.{suggestion(str(unknown[0]), names)}")
        absent = [name for name in names if name not in description]
        if absent:
            raise InputError(f"description must give all {len(names)} entries. Received: none for {absent[0]!r}.")
        description = [description[name] for name in names]
    try:
        values = np.asarray(description, np.float32)
    except (TypeError, ValueError):
        values = np.empty(0, np.float32)
    if values.shape != (len(names),) or not np.isfinite(values).all():
        raise InputError(f"description must be {len(names)} finite numbers or a value by name. Received: {brief(description)}.")
    return values if knowledge.scale is None else knowledge.scale(values)


def logits_of(images: Any, reader: Reader) -> np.ndarray:
    """Return the reader's network's logits float32 [M, C] of images in any form; see `Niwt.predict`.

    Raises:
        InputError: images of another form, or a file that is not there.
    """
    images, _, _ = examples_of(images, None)
    if isinstance(images, Images):
        return reader.logits(images)
    if is_stream(images):
        parts = [_logits_of_pixels(pixels, reader.network) for pixels, _ in batches_of(images)]
        return np.concatenate(parts) if parts else _logits_of_pixels(np.empty((0, 1, 1, 3)), reader.network)
    if isinstance(images, np.ndarray) and images.dtype.kind not in "UO":
        return _logits_of_pixels(images, reader.network)
    if isinstance(images, str | os.PathLike) or not isinstance(images, Sequence | np.ndarray):
        raise InputError(f"{_RULE}. Received: {type(images).__name__}.")
    strange = [path for path in images if not isinstance(path, str | os.PathLike)]
    if strange:
        raise InputError(f"{_RULE}. Received: {brief(strange[0])} in a list.")
    paths = tuple(os.path.abspath(os.path.expanduser(path)) for path in images)
    absent = next((path for path in paths if not os.path.isfile(path)), None)
    if absent is not None:
        raise InputError(f"images must be files that exist. Received: {absent!r}.")
    return _logits_of_files(Images(Path("/"), paths, np.zeros(len(paths), np.int32), ("any",)), reader)


def _logits_of_files(images: Images, reader: Reader) -> np.ndarray:
    check_takes_images(reader.network, "A prediction")
    try:
        return reader.logits(images)
    except tf.errors.InvalidArgumentError:
        usable_images(images, progress=False)  # names the file
        raise


def _logits_of_pixels(pixels: np.ndarray, network: Network) -> np.ndarray:
    check_pixels(pixels)
    check_takes_images(network, "A prediction")
    form, logits = network.input_form, []
    for start in range(0, len(pixels), _BATCH):
        batch = tf.cast(pixels[start : start + _BATCH], tf.float32)
        resized = tf.map_fn(lambda image: fitted(image, form), batch)
        logits.append(network.model(resized, training=False).numpy())
    return np.concatenate(logits) if logits else np.empty((0, len(network.class_names)), np.float32)
