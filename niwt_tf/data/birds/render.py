"""Renders the `birds` data set: a small benchmark shaped like CUB-200-2011, in its on-disk layout."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
from PIL import Image

from niwt_tf.data.birds.drawing import PART_NAMES, draw_bird
from niwt_tf.data.birds.species import ATTRIBUTE_NAMES, Species, captions, choose_species
from niwt_tf.errors import InputError
from niwt_tf.files import replacing_directory, write_json

MARKER = "birds.json"
_OWN_ENTRIES = {MARKER, "attributes.txt", "CUB_200_2011", "text_c10"}
_TEST_FRACTION = 0.3
_CERTAINTY = 4  # CUB's "definitely"


def render_birds(
    folder: str | os.PathLike[str],
    num_species: int = 50,
    images_per_species: int = 60,
    size: int = 64,
    seed: int = 0,
    processes: int = 1,
) -> Path:
    """Render the data set and return `folder`, which then holds attributes.txt, CUB_200_2011/ and text_c10/.

    The folder appears whole or not at all, replaces an earlier rendering, and has the same bytes whatever `processes` is.

    Args:
        folder: where to write; it must be absent, empty or an earlier rendering.
        num_species: classes, 2 to 200.
        images_per_species: images of each.
        size: side of each image in pixels, 32 to 1024.
        seed: of everything random, at least 0.
        processes: how many to use; more than 1 needs a caller that a new Python process can import.

    Raises:
        InputError: an argument is out of range, or the folder holds something else.
    """
    folder = Path(folder)
    for argument, value, low, high in (
        ("images_per_species", images_per_species, 1, 10_000),
        ("size", size, 32, 1024),
        ("seed", seed, 0, 2**63 - 1),
        ("processes", processes, 1, 4096),
    ):
        if not low <= value <= high:
            raise InputError(f"{argument} must be from {low} to {high}. Received: {value}.")
    _check_folder(folder)
    species = choose_species(num_species, np.random.default_rng([seed, 0]))
    with replacing_directory(folder.absolute()) as temporary:  # "." has no name to make a sibling of
        work = [(temporary, number, one, images_per_species, size, seed) for number, one in enumerate(species)]
        if processes == 1:
            rendered = [_render_species(*arguments) for arguments in work]
        else:
            # Fork is unsafe once TensorFlow has started threads.
            with multiprocessing.get_context("spawn").Pool(min(processes, num_species)) as pool:
                rendered = pool.starmap(_render_species, work, chunksize=2)
        _write_tables(temporary, species, rendered, images_per_species, seed)
        settings = {"num_species": num_species, "images_per_species": images_per_species, "size": size, "seed": seed}
        write_json(temporary / MARKER, settings)
    return folder


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"folder must be a directory to write. Received a file: {str(folder)!r}.")
    present = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if present and not (MARKER in present and present <= _OWN_ENTRIES):
        raise InputError(
            f"folder must be absent, empty or an earlier rendering of birds, which is replaced. Received: {str(folder)!r}, "
            f"which holds {sorted(present - _OWN_ENTRIES or present)[0]!r}."
        )


def _class_name(number: int, species: Species) -> str:
    return f"{number + 1:03d}.{species.name}"


def _stem(species: Species, index: int) -> str:
    return f"{species.name}_{index + 1:04d}"


def _render_species(
    folder: Path, number: int, species: Species, images: int, size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Write one species' images and captions; return boxes [images, 4] and parts [images, P, 3]."""
    name = _class_name(number, species)
    image_folder, text_folder = folder / "CUB_200_2011" / "images" / name, folder / "text_c10" / name
    image_folder.mkdir(parents=True)
    text_folder.mkdir(parents=True)
    boxes, parts = [], []
    for index in range(images):
        rng = np.random.default_rng([seed, 1, number, index])
        drawing = draw_bird(species.values, size, rng)
        stem = _stem(species, index)
        Image.fromarray(drawing.image).save(image_folder / f"{stem}.jpg", quality=95, subsampling=0)
        (text_folder / f"{stem}.txt").write_text("\n".join(captions(species, rng)) + "\n", encoding="utf-8")
        boxes.append(drawing.box)
        parts.append(drawing.parts)
    return np.array(boxes), np.array(parts)


def _write_tables(
    folder: Path, species: list[Species], rendered: list[tuple[np.ndarray, np.ndarray]], images_per_species: int, seed: int
) -> None:
    cub = folder / "CUB_200_2011"
    names = [_class_name(number, one) for number, one in enumerate(species)]
    owners = [(number, index) for number in range(len(species)) for index in range(images_per_species)]
    is_train = np.random.default_rng([seed, 2]).random(len(owners)) >= _TEST_FRACTION
    boxes = np.concatenate([box for box, _ in rendered])
    parts = np.concatenate([part for _, part in rendered])
    attributes = np.stack([one.attributes for one in species]).astype(int)

    _write(folder / "attributes.txt", _numbered(ATTRIBUTE_NAMES))
    _write(cub / "classes.txt", _numbered(names))
    _write(cub / "images.txt", _numbered([f"{names[c]}/{_stem(species[c], index)}.jpg" for c, index in owners]))
    _write(cub / "image_class_labels.txt", _numbered([str(c + 1) for c, _ in owners]))
    _write(cub / "train_test_split.txt", _numbered([str(int(value)) for value in is_train]))
    _write(cub / "bounding_boxes.txt", _numbered([" ".join(f"{value:.2f}" for value in box) for box in boxes]))
    _write(cub / "parts" / "parts.txt", _numbered(PART_NAMES))
    _write(
        cub / "parts" / "part_locs.txt",
        [f"{m + 1} {p + 1} {x:.2f} {y:.2f} {int(seen)}" for m, rows in enumerate(parts) for p, (x, y, seen) in enumerate(rows)],
    )
    strengths = [" ".join(f"{100.0 * value:.1f}" for value in row) for row in attributes]
    _write(cub / "attributes" / "class_attribute_labels_continuous.txt", strengths)
    labels = [[f"{k + 1} {value} {_CERTAINTY} 1.0" for k, value in enumerate(row)] for row in attributes]
    _write(
        cub / "attributes" / "image_attribute_labels.txt",
        [f"{m + 1} {label}" for m, (c, _) in enumerate(owners) for label in labels[c]],
    )


def _numbered(values: list[str] | tuple[str, ...]) -> list[str]:
    return [f"{number} {value}" for number, value in enumerate(values, start=1)]


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
