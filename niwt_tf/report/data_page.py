"""The page of a check of data: what was found, with the pictures that it is about, as one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from niwt_tf.data.checks import ClassSize, Finding
from niwt_tf.data.schema import Dataset
from niwt_tf.report.page import MOST_CLASSES, framed_page
from niwt_tf.report.pictures import data_uri, picture_of

_SIDE = 160  # pixels
_MOST_GROUPS, _MOST_IN_GROUP, _MOST_ROWS = 60, 6, 500  # of one finding
_TITLES = {
    "reading": "Messages from reading the files",
    "undecodable": "Photographs that cannot be decoded",
    "emptied_class": "Classes without a photograph that can be decoded",
    "one_colour": "Photographs with only one colour",
    "identical_across_classes": "The same photograph in several classes",
    "identical_across_roles": "The same photograph in training and test",
    "identical_within": "The same photograph twice in a class",
    "nearly_identical_across_classes": "Near duplicates in several classes",
    "nearly_identical_across_roles": "Near duplicates in training and test",
    "nearly_identical_within": "Near duplicates within a class",
    "few_photographs": "Few photographs",
    "uneven_sizes": "Uneven classes",
    "constant": "Attributes with the same value for all seen classes",
    "identical_descriptions": "Identical descriptions",
    "nearly_identical_descriptions": "Nearly identical descriptions",
    "one_attribute_apart": "Classes that differ in only one attribute",
    "identical_texts": "Identical texts",
    "scales": "Ranges of attributes",
    "of_one_class": "Attributes of only one seen class",
    "shares_nothing": "Classes that share no attribute with another",
    "beyond_the_seen": "Attributes that no seen class has",
    "few_classes": "Few classes",
    "num_unseen": "How many classes to hide",
}


@dataclass(frozen=True)
class ShownPicture:
    """A photograph: `data:` address, path, and its class with what it is for."""

    image: str
    path: str
    role: str


@dataclass(frozen=True)
class ShownGroup:
    """Photographs that belong together and what there is to say of them."""

    pictures: tuple[ShownPicture, ...]
    remark: str


@dataclass(frozen=True)
class ShownFinding:
    """A finding as the page has it: groups of pictures, or rows of names with remarks; `left_out` are not shown."""

    kind: str
    level: str
    title: str
    sentence: str
    pictures: tuple[ShownGroup, ...]
    rows: tuple[tuple[tuple[str, ...], str], ...]
    left_out: int


@dataclass(frozen=True)
class DataPage:
    """Everything on the page. `left_out` classes are not in its table."""

    summary: str
    findings: tuple[ShownFinding, ...]
    sizes: tuple[ClassSize, ...]
    left_out: int


def data_page(title: str, summary: str, dataset: Dataset, findings: Sequence[Finding], sizes: Sequence[ClassSize]) -> str:
    """Return the page as HTML; the photographs are read from the data set, which has a split.

    Args:
        title: of the page, such as the name of the data's folder.
        summary: what was checked and found, in a sentence.
        dataset: what was checked.
        findings: what was found, in the order of the page.
        sizes: of the classes.
    """
    roles = _roles(dataset)
    shown = tuple(_shown(dataset, finding, roles) for finding in findings)
    page = DataPage(summary, shown, tuple(sizes[:MOST_CLASSES]), max(len(sizes) - MOST_CLASSES, 0))
    return framed_page("data.html.j2", title, page=page)


def _roles(dataset: Dataset) -> dict[str, str]:
    """Return what each image is of and for, by its path."""
    assert dataset.split is not None
    roles = {}
    for role in ("train", "test_seen", "test_unseen"):
        for place in getattr(dataset.split, role):
            use = "training" if role == "train" else "test"
            roles[dataset.paths[place]] = f"{dataset.class_names[dataset.labels[place]]}, {use}"
    return roles


def _shown(dataset: Dataset, finding: Finding, roles: dict[str, str]) -> ShownFinding:
    remarks = finding.remarks or ("",) * len(finding.groups)
    pairs = list(zip(finding.groups, remarks, strict=True))
    pictures: list[ShownGroup] = []
    rows: list[tuple[tuple[str, ...], str]] = []
    if finding.about == "images":
        for paths, remark in pairs[:_MOST_GROUPS]:
            more = f"and {len(paths) - _MOST_IN_GROUP} more" if len(paths) > _MOST_IN_GROUP else ""
            found = (
                ShownPicture(data_uri(picture_of(dataset.root / path, _SIDE)), path, roles.get(path, "not used"))
                for path in paths[:_MOST_IN_GROUP]
            )
            pictures.append(ShownGroup(tuple(found), remark or more))
    else:
        rows = pairs[:_MOST_ROWS]
    title = _TITLES.get(finding.kind, finding.kind.replace("_", " ").capitalize())
    left_out = len(pairs) - len(pictures) - len(rows)
    return ShownFinding(finding.kind, finding.level, title, finding.sentence, tuple(pictures), tuple(rows), left_out)
