"""Renders the `birds` data set: a small benchmark shaped like CUB-200-2011, in its on-disk layout."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
from PIL import Image

from niwt_tf.data.birds.drawing import PART_NAMES, draw_bird
from niwt_tf.data.birds.species import ATTRIBUTE_NAMES, Species, captions, choose_species
from niwt_tf.errors import InputError, require
from niwt_tf.files import entries_of, replacing_directory, write_json

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

    The folder must be absent, empty or an earlier rendering, which is replaced. It appears whole or not at all, and has the
    same bytes whatever `processes` is; more than 1 need a caller that a new Python process can import. There are 2 to 200
    species, and images of 32 to 1024 pixels a side.

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
        require(low <= value <= high, f"{argument} must be from {low} to {high}. Received: {value}.")
    _check_folder(folder)
    chosen = choose_species(num_species, np.random.default_rng([seed, 0]))
    species = {f"{number:03d}.{one.name}": one for number, one in enumerate(chosen, start=1)}
    with replacing_directory(folder.absolute()) as temporary:  # "." has no name to make a sibling of
        work = [(temporary, name, number, species[name], images_per_species, size, seed) for number, name in enumerate(species)]
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
    require(not folder.exists() or folder.is_dir(), f"folder must be a directory to write. Received a file: {str(folder)!r}.")
    present = {entry.name for entry in entries_of(folder)} if folder.exists() else set()
    if present and not (MARKER in present and present <= _OWN_ENTRIES):
        raise InputError(
            f"folder must be new, be empty, or hold birds drawn earlier, which are replaced. Received: {str(folder)!r}, "
            f"which holds {sorted(present - _OWN_ENTRIES or present)[0]!r}."
        )


def _render_species(
    folder: Path, name: str, number: int, species: Species, images: int, size: int, seed: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Write the images and captions of one species, the class `name`; return the box [4] and the parts [P, 3] of each image."""
    image_folder, text_folder = folder / "CUB_200_2011" / "images" / name, folder / "text_c10" / name
    image_folder.mkdir(parents=True)
    text_folder.mkdir(parents=True)
    boxes, parts = [], []
    for index in range(images):
        rng = np.random.default_rng([seed, 1, number, index])
        drawing = draw_bird(species.values, size, rng)
        stem = f"{species.name}_{index + 1:04d}"
        Image.fromarray(drawing.image).save(image_folder / f"{stem}.jpg", quality=95, subsampling=0)
        (text_folder / f"{stem}.txt").write_text("\n".join(captions(species, rng)) + "\n", encoding="utf-8")
        boxes.append(drawing.box)
        parts.append(drawing.parts)
    return boxes, parts


def _write_tables(
    folder: Path,
    species: dict[str, Species],
    rendered: list[tuple[list[np.ndarray], list[np.ndarray]]],
    images: int,
    seed: int,
) -> None:
    names, owners = list(species), [(number, index) for number in range(len(species)) for index in range(images)]
    is_train = np.random.default_rng([seed, 2]).random(len(owners)) >= _TEST_FRACTION
    parts = [part for _, of_species in rendered for part in of_species]
    attributes = np.stack([one.attributes for one in species.values()]).astype(int)
    labels = [[f"{k + 1} {value} {_CERTAINTY} 1.0" for k, value in enumerate(row)] for row in attributes]
    numbered = {
        "../attributes": ATTRIBUTE_NAMES,
        "classes": names,
        "images": [f"{names[c]}/{species[names[c]].name}_{index + 1:04d}.jpg" for c, index in owners],
        "image_class_labels": [c + 1 for c, _ in owners],
        "train_test_split": is_train.astype(int),
        "bounding_boxes": [" ".join(f"{value:.2f}" for value in box) for boxes, _ in rendered for box in boxes],
        "parts/parts": PART_NAMES,
    }
    tables = {file: [f"{number} {value}" for number, value in enumerate(rows, start=1)] for file, rows in numbered.items()}
    tables["parts/part_locs"] = [
        f"{m + 1} {p + 1} {x:.2f} {y:.2f} {int(seen)}" for m, rows in enumerate(parts) for p, (x, y, seen) in enumerate(rows)
    ]
    strengths = [" ".join(f"{100.0 * value:.1f}" for value in row) for row in attributes]
    tables["attributes/class_attribute_labels_continuous"] = strengths
    tables["attributes/image_attribute_labels"] = [f"{m + 1} {label}" for m, (c, _) in enumerate(owners) for label in labels[c]]
    for file, lines in tables.items():
        path = folder / "CUB_200_2011" / f"{file}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
