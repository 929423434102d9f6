"""Chooses what is known of each class: attributes, texts, published embeddings, a table of the user's, or several of these."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from niwt_tf.config.names import SOURCES, check_text_features
from niwt_tf.data.class_names import plain_name
from niwt_tf.data.descriptions.attributes import binary_attributes, class_sentences
from niwt_tf.data.descriptions.join import join
from niwt_tf.data.descriptions.normalise import Scale
from niwt_tf.data.descriptions.texts import LSA, described_by_texts
from niwt_tf.data.readers.tables import read_class_table, read_text, rows_of_classes, text_files
from niwt_tf.data.schema import Dataset, Knowledge, caption_texts
from niwt_tf.errors import InputError, listed, require, suggestion

# Their attributes have one scale, and stay as they were published.
_PUBLISHED = ("birds", "cub", "awa2", "nabirds", "flowers", "xlsa17")
_LOG = logging.getLogger("niwt_tf")
# Of each class's text, `descriptions/<class>.txt`.
FOLDER = "descriptions"


def choose_knowledge(
    dataset: Dataset,
    knowledge: str = "attributes",
    seen: np.ndarray | None = None,
    text_features: str = LSA,
    split_dir: str | Path | None = None,
    progress: bool = False,
) -> Dataset:
    """Return the data set with the knowledge asked for.

    `knowledge` is one of `SOURCES` or the path of a CSV in the form of classes.csv with a row for every class, or several of
    these with "+" between them, see `niwt_tf.data.descriptions.join`. Whatever is fitted is fitted on the classes `seen`, by
    default those of the split. For `text_features` see `niwt_tf.data.descriptions.texts`; `split_dir` is the folder of the
    published splits and embeddings when it is not near the archive.

    Raises:
        InputError: an unknown source or one named twice, features of texts where there are none, attributes of a data set that
            has none, and all that the single sources raise.
    """
    sources = sources_of(knowledge)
    check_text_features(knowledge, text_features)
    _check_described(dataset, sources, knowledge)
    of_user = dataset.name not in _PUBLISHED
    if sources == ("attributes",) and not of_user:
        return dataset

    def of_table(known: Knowledge) -> Knowledge:
        return known if seen is None and dataset.split is None else on_one_scale(known, fitted_on())

    def fitted_on() -> np.ndarray:
        if seen is not None:
            return np.asarray(seen, np.int64)
        if dataset.split is None:
            raise InputError("seen must name the seen classes when the data set has no split. Received: None.")
        return dataset.split.seen

    def texts(documents: Callable[[Dataset], list[str]], source: str) -> Knowledge:
        return described_by_texts(documents(dataset), dataset.class_names, fitted_on(), source, text_features, progress)

    made: dict[str, Callable[[], Knowledge]] = {
        "attributes": lambda: of_table(dataset.knowledge) if of_user else dataset.knowledge,
        "binary": lambda: binary_attributes(dataset, fitted_on()),
        "captions": lambda: texts(caption_documents, "captions"),
        "sentences": lambda: class_sentences(dataset, split_dir),
        "texts": lambda: texts(text_documents, "texts"),
    }
    parts = []
    for source in sources:
        path = Path(os.path.expanduser(source))
        if source in made:
            parts.append((source, made[source]()))
        else:
            table = rows_of_classes(path, read_class_table(path), dataset.class_names)
            parts.append((path.stem, of_table(table)))
    chosen = parts[0][1] if len(parts) == 1 else join(parts, fitted_on())
    # What is known of single images is about the attributes, and about nothing else.
    of_images = dataset.image_attributes if sources == ("binary",) else None
    # A method that reads words reads those that are asked for, and not captions of an archive that has both.
    own = tuple(text_documents(dataset)) if "texts" in sources else dataset.class_texts
    if sources == ("attributes",):
        return dataset if chosen is dataset.knowledge else dataset.replace(knowledge=chosen)
    return dataset.replace(knowledge=chosen, image_attributes=of_images, class_texts=own)


def on_one_scale(known: Knowledge, seen: np.ndarray) -> Knowledge:
    """Return a user's own table with each column from 0 to 1 over the classes `seen`, if their ranges differ more than tenfold.

    That it is done is said. Without it the column of the largest numbers would be all that tells classes apart.
    """
    scale = None if known.scale is not None or not known.names else Scale.fit(known.values[seen])
    if scale is None:
        return known
    varied = np.flatnonzero(np.ptp(known.values[seen], axis=0) > 0)
    least, most = (varied[place(scale.span[varied])] for place in (np.argmin, np.argmax))
    said = "%s: ranges differ from %g (%s) to %g (%s), so each column is scaled to 0..1 over the seen classes."
    _LOG.warning(said, known.source, scale.span[least], known.names[least], scale.span[most], known.names[most])
    return replace(known, values=scale(known.values), scale=scale)


def sources_of(knowledge: str) -> tuple[str, ...]:
    """Return the sources that a text names, which "+" parts; a path that has one stays whole where it is a file.

    Raises:
        InputError: a source is unknown, empty or named twice.
    """
    parts = [knowledge] if Path(os.path.expanduser(knowledge)).is_file() else [part.strip() for part in knowledge.split("+")]
    for place, part in enumerate(parts):
        if part not in SOURCES and not Path(os.path.expanduser(part)).is_file():
            rule = f"--knowledge must be {', '.join(SOURCES)}, the path of a CSV file, or several of these joined by +"
            raise InputError(f"{rule}. Received: {_strange(part, knowledge)}.{suggestion(part, SOURCES)}")
        require(part not in parts[:place], f"--knowledge must name each source once. Received: {part!r} twice.")
    return tuple(parts)


def _check_described(dataset: Dataset, sources: tuple[str, ...], knowledge: str) -> None:
    """Refuse attributes, as numbers or as yes and no, and captions of a data set that has nothing but texts of its classes."""
    with_attributes = bool(dataset.knowledge.names)
    with_captions = with_attributes or dataset.captions is not None or dataset.class_texts is not None
    has = {"attributes": with_attributes, "binary": with_attributes, "captions": with_captions}
    absent = next((source for source in sources if not has.get(source, True)), None)
    if absent is not None:
        rule = f"--knowledge must be texts or the path of a CSV file for the data set {dataset.name!r}"
        what = "captions" if absent == "captions" else "attributes"
        raise InputError(f"{rule}, which has no {what}. Received: {knowledge!r}.")


def _strange(part: str, knowledge: str) -> str:
    if not part:
        return repr(knowledge)
    path = Path(os.path.expanduser(part))
    if path.is_dir():
        return f"{part!r}, a folder"
    return f"{part!r}, which does not exist" if path.name != part or path.suffix else repr(part)


def caption_documents(dataset: Dataset) -> list[str]:
    """Return each class's `caption_texts`; in a data set whose images have none, its own text.

    Raises:
        InputError: a class has none.
    """
    if dataset.captions is None and dataset.class_texts is not None:
        return _complete(dataset, dataset.class_texts, "captions", "")
    place = " Captions of images are read from text_c10, in the folder of the archive or next to it."
    return _complete(dataset, caption_texts(dataset), "captions", "" if dataset.captions else place)


def text_documents(dataset: Dataset) -> list[str]:
    """Return each class's own text, as the reader found it or from `descriptions` in or beside the archive's folder.

    Raises:
        InputError: there is no such folder, or a class has no text; the nearest file's name is suggested.
    """
    if dataset.class_texts is not None:
        return _complete(dataset, dataset.class_texts, "texts", "")
    official = dataset.root.absolute().parent
    folder = next((inner for inner in (official / FOLDER, official.parent / FOLDER) if inner.is_dir()), None)
    if folder is None:
        raise InputError(
            f"knowledge=texts needs the folder {FOLDER} with a file <class>.txt for each class, in {official} or next to it. "
            "Received: no such folder."
        )
    files = text_files(folder)
    texts = [read_text(files[name]).strip() if name in files else "" for name in map(plain_name, dataset.class_names)]
    absent = next((name for name in dataset.class_names if plain_name(name) not in files), "")
    return _complete(dataset, texts, "texts", suggestion(absent, files) if absent else "")


def _complete(dataset: Dataset, documents: Sequence[str], source: str, hint: str) -> list[str]:
    without = [name for name, text in zip(dataset.class_names, documents, strict=True) if not text.strip()]
    if without:
        raise InputError(
            f"knowledge={source} needs a text for each of {len(documents)} classes. "
            f"Received: none for {len(without)}: {listed(without)}.{hint}"
        )
    return list(documents)
