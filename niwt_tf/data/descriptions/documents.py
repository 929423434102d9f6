"""The text of each class: its images' captions put together, or its own file `descriptions/<class>.txt`."""

from __future__ import annotations

from collections.abc import Sequence

from niwt_tf.data.class_names import plain_name
from niwt_tf.data.readers.tables import read_text, text_files
from niwt_tf.data.schema import Dataset, caption_texts
from niwt_tf.errors import InputError, listed, suggestion

FOLDER = "descriptions"


def caption_documents(dataset: Dataset) -> list[str]:
    """Return each class's `caption_texts`; in a data set whose images have none, its own text.

    Raises:
        InputError: a class has none.
    """
    if dataset.captions is None and dataset.class_texts is not None:
        return _complete(dataset, dataset.class_texts, "captions", "")
    place = (
        "" if dataset.captions else
        " Captions of images are read from text_c10, in the folder of the archive or next to it."
    )
    return _complete(dataset, caption_texts(dataset), "captions", place)


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
