"""The official archives in miniature: every file in the official form and order, with a few small images a class.

The counts differ from the real archives', the forms do not: a test on real files compares the two.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

IMAGES_PER_CLASS, TESTED_PER_CLASS = 8, 2
CUB_SEEN = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "010.Red_winged_Blackbird", "093.Clark_Nutcracker")
CUB_SEEN += ("095.Baltimore_Oriole", "200.Common_Yellowthroat")
CUB_UNSEEN = ("004.Groove_billed_Ani", "185.Bohemian_Waxwing")
AWA2_CLASSES = ("antelope", "grizzly+bear", "killer+whale", "beaver", "dalmatian", "horse", "sheep", "bat")
AWA2_UNSEEN = ("sheep", "bat")
_ATTRIBUTES = ("has_bill_shape::curved_(up_or_down)", "has_bill_shape::dagger", "has_wing_color::blue", "has_wing_color::red")
_ATTRIBUTES += ("has_wing_color::green", "has_size::small_(5_-_9_in)", "has_breast_pattern::striped", "has_crown_color::white")
_PREDICATES = ("black", "white", "blue", "furry", "toughskin", "hooves", "flippers", "nestspot")
# Nodes of NABirds' hierarchy, its root and a family among them; five categories have images, of four species.
NABIRDS_NODES = {
    0: "Birds", 4: "Falcons", 295: "American Kestrel (Adult male)", 313: "Common Loon (Breeding)", 817: "Oak Titmouse",
    901: "American Kestrel", 902: "American Kestrel (Female, immature)", 1010: "Blue Jay",
}
NABIRDS_CATEGORIES = (295, 313, 817, 902, 1010)
FLOWERS_CATEGORIES = (1, 12, 54, 102)  # pink primrose, colt's foot, sunflower, blackberry lily
_PARTS = ("back", "beak", "belly", "left eye")
_SIZE = (40, 36)


def write_cub(folder: Path, seed: int = 0) -> Path:
    """Write CUB_200_2011, attributes.txt, text_c10 and xlsa17/data/CUB into `folder` and return it."""
    random = np.random.default_rng(seed)
    official = folder / "CUB_200_2011"
    classes = tuple(sorted((*CUB_SEEN, *CUB_UNSEEN)))
    strengths = _strengths(random, len(classes), len(_ATTRIBUTES))
    names = [_cub_images(name) for name in classes]
    images = [(label, f"{name}/{image}") for label, name in enumerate(classes) for image in names[label]]
    ids = range(1, len(images) + 1)
    _write(official / "classes.txt", (f"{c} {name}" for c, name in enumerate(classes, start=1)))
    _write(official / "images.txt", (f"{i} {path}" for i, (_, path) in zip(ids, images, strict=True)))
    _write(official / "image_class_labels.txt", (f"{i} {label + 1}" for i, (label, _) in zip(ids, images, strict=True)))
    _write(official / "train_test_split.txt", (f"{i} {i % 2}" for i in ids))
    _write(official / "bounding_boxes.txt", (f"{i} 4.0 3.0 {_SIZE[0] - 8}.0 {_SIZE[1] - 6}.0" for i in ids))
    _write(official / "README", ["A miniature."])
    _write(official / "parts/parts.txt", (f"{p} {name}" for p, name in enumerate(_PARTS, start=1)))
    _write(
        official / "parts/part_locs.txt",
        (
            f"{i} {p} {3.0 * p * (i + p & 1)} {2.0 * p * (i + p & 1)} {i + p & 1}"
            for i in ids
            for p in range(1, len(_PARTS) + 1)
        ),
    )
    _write(folder / "attributes.txt", (f"{k} {name}" for k, name in enumerate(_ATTRIBUTES, start=1)))
    of_classes = official / "attributes/class_attribute_labels_continuous.txt"
    _write(of_classes, (" ".join(f"{value:.10g}" for value in row) for row in strengths))
    _write(official / "attributes/certainties.txt", ["1 not visible", "2 guessing", "3 probably", "4 definitely"])
    present = [[int(random.random() * 100 < value) for value in strengths[label]] for label, _ in images]
    rows = [f"{i} {k} {is_in} 3 27.7080" for i, row in zip(ids, present, strict=True) for k, is_in in enumerate(row, start=1)]
    _write(official / "attributes/image_attribute_labels.txt", rows)
    for label, path in images:
        _draw(official / "images" / path, strengths[label], random)
        spelt = path.replace("093.Clark_Nutcracker", "093.Clarks_Nutcracker")  # the two archives differ in some names
        _write(folder / "text_c10" / Path(spelt).with_suffix(".txt"), _sentences(strengths[label], random))
    stored = "/BS/Deep_Fragments/work/MSc/CUB_200_2011/CUB_200_2011/images/"
    _write_xlsa17(folder / "xlsa17/data/CUB", classes, CUB_UNSEEN, images, strengths, stored, random)
    _write(folder / "xlsa17/data/CUB/allclasses.txt", classes)
    return folder


def write_awa2(folder: Path, seed: int = 0) -> Path:
    """Write Animals_with_Attributes2 and xlsa17/data/AWA2 into `folder` and return it."""
    random = np.random.default_rng(seed)
    official = folder / "Animals_with_Attributes2"
    strengths = _strengths(random, len(AWA2_CLASSES), len(_PREDICATES))
    images = [
        (label, f"{name}/{name}_{number}.jpg")
        for label, name in enumerate(AWA2_CLASSES)
        for number in range(10001, 10001 + IMAGES_PER_CLASS)
    ]
    _write(official / "classes.txt", (f"{c:6d}\t{name}" for c, name in enumerate(AWA2_CLASSES, start=1)))
    _write(official / "predicates.txt", (f"{k:6d}\t{name}" for k, name in enumerate(_PREDICATES, start=1)))
    told = strengths.copy()
    told[0, 0] = -1  # nobody was asked
    _write(official / "predicate-matrix-continuous.txt", ("".join(f"{value:7.2f}" for value in row) for row in told))
    _write(official / "predicate-matrix-binary.txt", (" ".join(str(int(value > 30)) for value in row) for row in strengths))
    _write(official / "testclasses.txt", AWA2_UNSEEN)
    _write(official / "trainvalclasses.txt", (name for name in AWA2_CLASSES if name not in AWA2_UNSEEN))
    for readme in ("README-attributes.txt", "README-images.txt"):
        _write(official / readme, ["A miniature."])
    for label, path in images:
        _draw(official / "JPEGImages" / path, strengths[label], random)
    stored = "/BS/xian/work/data/Animals_with_Attributes2//JPEGImages/"
    _write_xlsa17(folder / "xlsa17/data/AWA2", AWA2_CLASSES, AWA2_UNSEEN, images, strengths, stored, random)
    return folder


def write_awa2_texts(folder: Path, seed: int = 0) -> None:
    """Write a text a class beside the official folder, as a user would."""
    random = np.random.default_rng(seed)
    for name in AWA2_CLASSES:
        words = random.choice(_PREDICATES, 4, replace=False)
        _write(folder / "descriptions" / f"{name}.txt", [f"An animal that is {words[0]} and {words[1]}.", " ".join(words[2:])])


def write_nabirds(folder: Path, seed: int = 0) -> Path:
    """Write nabirds/ and a text for each species into `folder` and return it."""
    random = np.random.default_rng(seed)
    official = folder / "nabirds"
    rows = []
    for category in NABIRDS_CATEGORIES:
        for _ in range(IMAGES_PER_CLASS):
            digits = random.bytes(16).hex()
            parts = digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]
            rows.append(("-".join(parts), f"{category:04d}/{digits}.jpg", category))
    rows.sort()  # the official list is in the order of the ids
    _write(official / "images.txt", (f"{image} {path}" for image, path, _ in rows))
    _write(official / "image_class_labels.txt", (f"{image} {category}" for image, _, category in rows))
    _write(official / "classes.txt", (f"{number} {name}" for number, name in NABIRDS_NODES.items()))
    _write(official / "hierarchy.txt", (f"{child} {parent}" for child, parent in ((4, 0), (901, 4), (295, 901), (902, 901))))
    _write(official / "bounding_boxes.txt", (f"{image} 4 3 {_SIZE[0] - 8} {_SIZE[1] - 6}" for image, _, _ in rows))
    _write(official / "sizes.txt", (f"{image} {_SIZE[0]} {_SIZE[1]}" for image, _, _ in rows))
    _write(official / "train_test_split.txt", (f"{image} {place % 2}" for place, (image, _, _) in enumerate(rows)))
    _write(official / "parts/parts.txt", (f"{number} {name}" for number, name in enumerate(("bill", "crown", "nape"))))
    places = (f"{image} {part} {3 * part} {2 * part} 1" for image, _, _ in rows for part in range(3))
    _write(official / "parts/part_locs.txt", places)
    for _, path, category in rows:
        _draw(official / "images" / path, _strengths(np.random.default_rng(category), 1, 4)[0], random)
    for name in ("American Kestrel", "Common Loon", "Oak Titmouse", "Blue Jay"):
        _write(folder / "descriptions" / f"{name}.txt", [f"A bird called {name.lower()}."])
    return folder


def write_flowers(folder: Path, seed: int = 0) -> Path:
    """Write jpg/, imagelabels.mat and setid.mat into `folder`, as its publishers' files unpack, and return it."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(FLOWERS_CATEGORIES, IMAGES_PER_CLASS)).astype(np.uint8)
    for number, category in enumerate(labels, start=1):
        of_category = _strengths(np.random.default_rng(int(category)), 1, 4)[0]
        _draw(folder / "jpg" / f"image_{number:05d}.jpg", of_category, random)
    savemat(folder / "imagelabels.mat", {"labels": labels[None]})
    ids = np.arange(1, len(labels) + 1, dtype=np.uint16)[None]
    savemat(folder / "setid.mat", {"trnid": ids[:, ::4], "valid": ids[:, 1::4], "tstid": ids[:, 2::2]})
    return folder


def _write_xlsa17(
    folder: Path,
    classes: tuple[str, ...],
    unseen: tuple[str, ...],
    images: list[tuple[int, str]],
    strengths: np.ndarray,
    stored: str,
    random: np.random.Generator,
) -> None:
    """Write both .mat files, with classes and images in orders of their own, and the lists of classes."""
    order = random.permutation(len(classes))
    numbers = {int(label): number for number, label in enumerate(order, start=1)}
    rows = [images[row] for row in random.permutation(len(images))]
    folder.mkdir(parents=True)
    files = _cells([stored + path for _, path in rows])
    labels = np.array([[numbers[label]] for label, _ in rows], np.uint8)
    features = random.random((2048, len(rows))).astype(np.float32)
    savemat(folder / "res101.mat", {"features": features, "image_files": files, "labels": labels}, do_compression=True)
    of_unseen = np.array([classes[label] in unseen for label, _ in rows])
    seen = random.permutation(np.flatnonzero(~of_unseen))
    # Every seen class has images of both kinds, as in the real split.
    earlier = [sum(rows[other][0] == rows[row][0] for other in seen[:place]) for place, row in enumerate(seen)]
    tested = np.array(earlier) < TESTED_PER_CLASS
    splits = {
        "allclasses_names": _cells([classes[label] for label in order]),
        "att": (strengths[order] / np.linalg.norm(strengths[order], axis=1, keepdims=True)).T,
        "original_att": strengths[order].T,
        "test_seen_loc": _column(seen[tested]),
        "test_unseen_loc": _column(np.flatnonzero(of_unseen)),
        "trainval_loc": _column(seen[~tested]),
    }
    savemat(folder / "att_splits.mat", splits, do_compression=True)
    _write(folder / "testclasses.txt", unseen)
    seen_names = [name for name in classes if name not in unseen]
    _write(folder / "trainvalclasses.txt", seen_names)
    _write(folder / "trainclasses1.txt", seen_names[:-1])
    _write(folder / "valclasses1.txt", seen_names[-1:])


def _cub_images(class_name: str) -> list[str]:
    name = class_name.partition(".")[2].title()
    return [f"{name}_{number:04d}_{1000 + 7 * number}.jpg" for number in range(1, IMAGES_PER_CLASS + 1)]


def _strengths(random: np.random.Generator, classes: int, entries: int) -> np.ndarray:
    return np.round(np.clip(random.normal(25, 30, (classes, entries)), 0.5, 100), 2)


def _draw(path: Path, strengths: np.ndarray, random: np.random.Generator) -> None:
    """Save a JPEG whose colours and stripes follow the first strengths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    across = np.sin(np.arange(_SIZE[0]) * (0.2 + strengths[3] / 50))[None, :, None]
    pixels = 2.2 * strengths[:3] + 30 * across + random.normal(0, 12, (_SIZE[1], _SIZE[0], 3))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=90)


def _sentences(strengths: np.ndarray, random: np.random.Generator) -> list[str]:
    words = [name.partition("::")[2].partition("_(")[0] for name in _ATTRIBUTES]
    chance = strengths / strengths.sum()
    drawn = [random.choice(words, 2, replace=False, p=chance) for _ in range(10)]
    return [f"this bird is {first} and has a {second} part." for first, second in drawn]


def _cells(texts: list[str]) -> np.ndarray:
    cells = np.empty((len(texts), 1), object)
    cells[:, 0] = texts
    return cells


def _column(rows: np.ndarray) -> np.ndarray:
    return (np.asarray(rows, np.uint16) + 1).reshape(-1, 1)


def _write(path: Path, lines) -> None:  # type: ignore[no-untyped-def]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
