"""Small archives in the layouts that the readers know; image files are empty, since no reader opens them."""

from __future__ import annotations

from pathlib import Path

import pytest

CUB_CLASSES = ("001.Red_Finch", "002.Blue_Wren", "003.Clarks_Tern", "004.Grey_Owl")
AWA2_CLASSES = ("antelope", "grizzly+bear", "pig", "rat")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.fixture
def cub(tmp_path: Path) -> Path:
    """Four classes of three images with ids that are not 1..M in order, two attributes, two parts, captions."""
    official = tmp_path / "CUB_200_2011"
    write(official / "classes.txt", "".join(f"{c} {name}\n" for c, name in enumerate(CUB_CLASSES, start=1)))
    images = [(10 * c + n, name, n) for c, name in enumerate(CUB_CLASSES, start=1) for n in (1, 2, 3)]
    write(official / "images.txt", "".join(f"{i} {name}/bird_{n}_{i}.jpg\n" for i, name, n in images))
    # In another order than images.txt: rows belong together by id alone.
    write(official / "image_class_labels.txt", "".join(f"{i} {i // 10}\n" for i, _, _ in reversed(images)))
    write(official / "bounding_boxes.txt", "".join(f"{i} {i}.0 2.0 30.0 40.0\n" for i, _, _ in reversed(images)))
    write(official / "parts/parts.txt", "1 back\n2 left eye\n")
    write(official / "parts/part_locs.txt", "".join(f"{i} {p} {i}.5 {p}.0 {p - 1}\n" for i, _, _ in images for p in (1, 2)))
    write(tmp_path / "attributes.txt", "1 has_bill_shape::curved_(up_or_down)\n2 has_size::small_(5_-_9_in)\n")
    write(official / "attributes/class_attribute_labels_continuous.txt", "0.0 100.0\n50.0 25.0\n10.0 0.0\n75.5 1.0\n")
    rows = [f"{i} {k} {int(k == 1)} 3 27.7\n" for i, _, _ in images for k in (1, 2)]
    rows[3] = rows[3].replace("27.7", "0 27.7")  # a row with an extra column, as the official file has
    write(official / "attributes/image_attribute_labels.txt", "".join(rows))
    for i, name, n in images:
        _touch(official / "images" / name / f"bird_{n}_{i}.jpg")
        spelled = name.replace("Clarks", "Clark")
        colour = name.split(".")[1].split("_")[0].lower()
        write(tmp_path / "text_c10" / spelled / f"bird_{n}_{i}.txt", f"a {colour} bird with wings.\nthis bird is {colour}.\n\n")
    return tmp_path


@pytest.fixture
def awa2(tmp_path: Path) -> Path:
    """Four classes of three images and three predicates, the first of antelope missing."""
    official = tmp_path / "Animals_with_Attributes2"
    write(official / "classes.txt", "".join(f"     {c}\t{name}\n" for c, name in enumerate(AWA2_CLASSES, start=1)))
    write(official / "predicates.txt", "     1\tblack\n     2\twhite\n     3\thunter\n")
    write(
        official / "predicate-matrix-continuous.txt", " -1.00  5.00  1.00\n 30.00  0.00  2.00\n 60.00  1.0  3.0\n 0.0 2.0 4.0\n"
    )
    write(official / "predicate-matrix-binary.txt", "0 1 0\n1 0 1\n1 1 0\n0 0 1\n")
    for name in AWA2_CLASSES:
        for n in (10001, 10002, 10003):
            _touch(official / "JPEGImages" / name / f"{name}_{n}.jpg")
    return tmp_path


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Five classes of four images in a user's own layout, and one ("unicorn") that is only described."""
    names = ("ape", "bear", "cat", "dog", "wolf")
    rows = "".join(f"{name},{k},0.{k},1\n" for k, name in enumerate((*names, "unicorn")))
    write(tmp_path / "classes.csv", "class,furry,colour::brown,alive\n" + rows)
    for name in names:
        for n in range(4):
            _touch(tmp_path / "images" / name / f"{n}.{('jpg', 'PNG', 'jpeg', 'bmp')[n]}")
    return tmp_path
