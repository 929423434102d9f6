"""Photographs of a class that a bundle knows from a description alone: its column is updated, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from niwt_tf.data.images.duplicates import image_digest
from niwt_tf.data.schema import InputForm
from niwt_tf.errors import InputError
from niwt_tf.methods.few_shot import FewShotPrior
from niwt_tf.serving.bundle.bundle import Bundle, extra_arrays
from niwt_tf.serving.bundle.cards import now
from niwt_tf.serving.bundle.paged_head import column_of, with_column
from niwt_tf.serving.classes.edit import Change
from niwt_tf.serving.classes.names import place_of
from niwt_tf.serving.predict import Servable, opened, read_file, read_pixels

FEW_SHOT = "few_shot"
# On the class's card; with it further images weigh no more than those before.
SCALE = "column_scale"
_REFINED = "; refined with "
_BATCH = 32


def refine_class(bundle: Bundle, name: str, images: Sequence[Path]) -> Change:
    """Return what gives a class, which a bundle was not trained on, a column that has seen at least one photograph of it.

    The logits of all other classes stay as they are, to the last bit. Photographs that come later are added to those that the
    class's card counts: the order and the number of calls do not matter. A file that it knows already, whatever its name, is
    left out, and so is one that is given twice.

    Raises:
        InputError: the class is unknown or was trained on, there is no image, none that is new, or one that cannot be decoded
            (it is named), or the bundle does not hold what this needs.
    """
    place, prior = refinable(bundle, name)
    if not images:
        raise InputError("images must name at least one file. Received: none.")
    card, pages = bundle.cards[place], bundle.variable("columns")
    new = _new_photographs(images, card.photographs)
    if not new:
        rule = f"images must name at least one photograph that {name!r} was not refined with"
        raise InputError(f"{rule}. Received: {len(images)} that it already knows.")
    left_out = len(images) - len(new)
    slot, biases = int(bundle.variable("slots")[place]), np.array(bundle.variable("biases"))
    with opened(bundle.folder) as servable:
        features = features_of(servable, list(new.values()), bundle.input_form)
    begun = time.perf_counter()
    column, bias = column_of(pages, slot), float(biases[place])
    refined = prior.refine(column, bias, features, images=card.images, scale=card.figures.get(SCALE))
    biases[place] = refined.bias
    cards = list(bundle.cards)
    plural = "" if refined.images == 1 else "s"
    cards[place] = replace(
        card,
        made=now(),
        how=f"{card.how.partition(_REFINED)[0]}{_REFINED}{refined.images} image{plural}",
        images=refined.images,
        figures={**card.figures, SCALE: refined.scale},
        photographs=(*card.photographs, *new),
    )
    variables = {"columns": with_column(pages, slot, refined.column), "biases": biases}
    said = f"{left_out} of {len(images)} photographs are already known or given twice, and are not used."
    notes = (said,) if left_out else ()
    return Change(variables, tuple(cards), 1000 * (time.perf_counter() - begun), notes, recomputed=(slot,))


def _new_photographs(images: Sequence[Path], known: Sequence[str]) -> dict[str, Path]:
    """Return the files whose contents are not known, each once, by their digests."""
    new: dict[str, Path] = {}
    for path in images:
        digest = image_digest(read_file(path)).hex()
        if digest not in known:
            new.setdefault(digest, path)
    return new


def refinable(bundle: Bundle, name: str) -> tuple[int, FewShotPrior]:
    """Return the place of a class and what refines its column.

    Raises:
        InputError: see `described_place` and `few_shot_prior_of`.
    """
    return described_place(bundle, name), few_shot_prior_of(bundle)


def few_shot_prior_of(bundle: Bundle) -> FewShotPrior:
    """Return what refines the columns of a bundle.

    Raises:
        InputError: the bundle does not hold it, or not as it was written.
    """
    arrays = extra_arrays(bundle.folder, FEW_SHOT)
    if arrays is None:
        rule = f"{bundle.folder} must hold assets.extra/{FEW_SHOT}.npz"
        raise InputError(f"{rule}, which the export of a run whose method refines columns writes. Received: none.")
    try:
        return FewShotPrior.from_arrays(arrays)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{bundle.folder}/assets.extra/{FEW_SHOT}.npz must be unchanged since it was written. Received: {error}."
        ) from None


def features_of(servable: Servable, images: Sequence[Path], form: InputForm) -> np.ndarray:
    """Return the features float32 [n, D] of image files by the loaded bundle's own graph, which takes pixels of that form.

    Raises:
        InputError: a file cannot be read or decoded; it is named.
    """
    parts = []
    for start in range(0, len(images), _BATCH):
        pixels = np.stack([read_pixels(path, form) for path in images[start : start + _BATCH]])
        parts.append(servable.run("logits", {"images": pixels})["features"])
    return np.concatenate(parts)


def described_place(bundle: Bundle, name: str) -> int:
    """Return the place of a class that was made from a description.

    Raises:
        InputError: there is no such class, or it was trained on photographs.
    """
    place = place_of(bundle, name)
    if bundle.cards[place].seen:
        rule = (
            "name must be a class that was made from a description; the column of a seen class already uses all photographs "
            "that the"
        )
        raise InputError(f"{rule} network was trained on. Received: {name!r}.")
    return place
