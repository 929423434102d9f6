"""What may be wrong with a data set. Said in full by `niwt check_data`, and in a line each whenever a data set is read.

TensorFlow is not imported. Dimensions: C classes, K attributes.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from niwt_tf.data.descriptions.quantities import unit_of
from niwt_tf.data.images.duplicates import Duplicates, duplicates_in, near_duplicates_in
from niwt_tf.data.schema import Dataset
from niwt_tf.errors import listed

if TYPE_CHECKING:
    from niwt_tf.data.images.pipeline import FileVerdict

ERROR, WARNING, NOTE = "error", "warning", "note"
LEVELS = (ERROR, WARNING, NOTE)
_FEW = 3  # photographs that a class needs to be trained, chosen on and tested
_UNEVEN = 10  # times as many photographs as the smallest class has
_ENOUGH_CLASSES = 15  # seen ones; below, few attributes are shared by several
_SHARE_HIDDEN = 5  # one class in so many is held out
_SPREAD = 0.3  # standard deviation of the accuracy between unseen classes, as on the animals (docs/results/animals.md)
_LEVEL_GAP = 0.05  # of an attribute's range; values that are nearer are as good as the same
_TRACE = 0.2  # of an attribute's range; a class with less has nothing of it
_FEWEST_ATTRIBUTES = 4  # that classes must be described by for all but one to be much
_MOST_COMPARED = 2000  # classes, each with each
_MOST_NAMED = 10
_NO_ATTRIBUTE = re.compile(r"(dimension|topic) \d+")  # numbers of a text, which mean nothing alone
# What reading logs by itself.
_SAID_ELSEWHERE = frozenset({"undecodable", "emptied_class"})
_LOG = logging.getLogger("niwt_tf")


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found.

    Attributes:
        kind: what a program knows it by.
        level: "error" where it spoils results, "warning" where it may, "note" for advice.
        sentence: what it is and what follows, with the first few by name.
        about: what `groups` are of: "images" (paths), "classes" or "attributes"; "" where there are none.
        groups: all of them; what belongs together, such as copies of one photograph, is one group.
        remarks: what there is to say of each group, or nothing.
    """

    kind: str
    level: str
    sentence: str
    about: str = ""
    groups: tuple[tuple[str, ...], ...] = ()
    remarks: tuple[str, ...] = ()


class ClassSize(NamedTuple):
    """Photographs of a class that can be decoded, how many of them are for what, and how many cannot be decoded."""

    name: str
    role: str  # "seen", "hidden" of an unseen class that has photographs, or "described"
    photographs: int
    train: int
    test: int
    undecodable: int


def findings_of(dataset: Dataset, judged: Mapping[str, FileVerdict] | None = None) -> list[Finding]:
    """Return what there is to say of a data set with a split, the worst first.

    Args:
        dataset: with its knowledge chosen.
        judged: what the decoder made of its images, by path; None where they were not decoded.
    """
    judged = judged or {}
    found = [*_of_files(dataset, judged), *_of_copies(dataset, judged), *_of_sizes(dataset, judged), *_of_descriptions(dataset)]
    return sorted([*found, *_advice(dataset)], key=lambda finding: LEVELS.index(finding.level))


def say_findings(findings: Iterable[Finding]) -> None:
    """Warn of all that is no mere note, a line each."""
    said = [finding for finding in findings if finding.level != NOTE and finding.kind not in _SAID_ELSEWHERE]
    for finding in said:
        _LOG.warning("%s", finding.sentence)
    if any(finding.about == "images" and len(finding.groups[0]) > 1 for finding in said):
        _LOG.info("niwt check_data shows them, with --page=FILE.html.")


def class_sizes(dataset: Dataset, judged: Mapping[str, FileVerdict] | None = None) -> list[ClassSize]:
    """Return the size of each class, in the order of the classes."""
    assert dataset.split is not None
    split, count = dataset.split, len(dataset.class_names)
    usable = _usable(dataset, judged or {})
    tested = np.concatenate([split.test_seen, split.test_unseen])
    every, seen = np.bincount(dataset.labels, minlength=count), set(split.seen.tolist())
    good, train, test = (
        np.bincount(dataset.labels[np.intersect1d(part, usable)], minlength=count) for part in (usable, split.train, tested)
    )
    sizes = []
    for label, name in enumerate(dataset.class_names):
        role = "seen" if label in seen else "hidden" if every[label] else "described"
        numbers = (int(column[label]) for column in (good, train, test, every - good))
        sizes.append(ClassSize(name, role, *numbers))
    return sizes


def constant_entries(dataset: Dataset) -> tuple[str, ...]:
    """Return the knowledge entries that have one value over all seen classes: nothing can be learnt of them."""
    assert dataset.split is not None
    seen = dataset.knowledge.values[dataset.split.seen]
    constant = np.flatnonzero((seen == seen[0]).all(axis=0))
    return tuple(dataset.knowledge.names[k] for k in constant)


def advised_unseen(with_images: int) -> int:
    """Return how many of the classes that have photographs should be held out: a fifth, or two where that is fewer."""
    return max(min(max(2, with_images // _SHARE_HIDDEN), with_images - 2), 0)


def _usable(dataset: Dataset, judged: Mapping[str, FileVerdict]) -> np.ndarray:
    good = [place for place, path in enumerate(dataset.paths) if path not in judged or not judged[path].fault]
    return np.array(good, np.int64)


def _of_files(dataset: Dataset, judged: Mapping[str, FileVerdict]) -> list[Finding]:
    found = []
    bad = [(path, judged[path].fault) for path in dataset.paths if path in judged and judged[path].fault]
    if bad:
        named = listed_with_remarks(bad)
        sentence = f"{_photographs(len(bad))} cannot be decoded, so niwt run stops: {named}."
        found.append(_images("undecodable", ERROR, sentence, [(path,) for path, _ in bad], [fault for _, fault in bad]))
    usable = set(dataset.labels[_usable(dataset, judged)].tolist())
    emptied = [dataset.class_names[label] for label in np.unique(dataset.labels) if label not in usable]
    if emptied:
        sentence = (
            f"None of the photographs of {listed(emptied)} can be decoded. Without photographs a class would count as unseen."
        )
        found.append(_classes("emptied_class", ERROR, sentence, [(name,) for name in emptied]))
    looks = {path: each.look for path, each in judged.items() if each.look is not None}
    plain = [path for path in dataset.paths if path in looks and looks[path].is_plain]
    if plain:
        shows = _counted(len(plain), "photograph shows", "photographs show")
        sentence = f"{shows} only one colour: {listed(plain)}."
        found.append(_images("one_colour", WARNING, sentence, [(path,) for path in plain]))
    return found


def _of_copies(dataset: Dataset, judged: Mapping[str, FileVerdict]) -> list[Finding]:
    digests = {path: each.digest for path, each in judged.items() if not each.fault}
    looks = {path: each.look for path, each in judged.items() if each.look is not None}
    kinds = (("identical", duplicates_in(dataset, digests)), ("nearly identical", near_duplicates_in(dataset, digests, looks)))
    return [finding for word, copies in kinds for finding in _copies(word, copies)]


def _copies(word: str, copies: Duplicates) -> list[Finding]:
    kinds = (
        ("across_classes", ERROR, "in several classes, so one of these is wrong"),
        ("across_roles", ERROR, "in both training and test, which makes figures too good"),
        ("within", WARNING if word == "identical" else NOTE, "within their class"),
    )
    found = []
    for (kind, level, where), groups in zip(kinds, copies, strict=True):
        if groups:
            named = listed([" = ".join(group[:5]) for group in groups])
            sentence = f"{sum(map(len, groups))} photographs are {word} {where}: {named}."
            found.append(_images(f"{word.replace(' ', '_')}_{kind}", level, sentence, groups))
    return found


def _of_sizes(dataset: Dataset, judged: Mapping[str, FileVerdict]) -> list[Finding]:
    sizes = [size for size in class_sizes(dataset, judged) if size.photographs]
    found = []
    few = [(size.name, str(size.photographs)) for size in sizes if size.photographs < _FEW]
    if few:
        shown = ", ".join(f"{name!r} ({count})" for name, count in few[:_MOST_NAMED])
        more = f" and {len(few) - _MOST_NAMED} more" if len(few) > _MOST_NAMED else ""
        sentence = f"A class needs {_FEW} photographs for training and test. These have fewer: {shown}{more}."
        found.append(_classes("few_photographs", WARNING, sentence, [(name,) for name, _ in few], [count for _, count in few]))
    least, most = (choose(sizes, key=lambda size: size.photographs, default=None) for choose in (min, max))
    if least is not None and most is not None and most.photographs >= _UNEVEN * least.photographs:
        sentence = (
            f"{most.name!r} has {_photographs(most.photographs)}, {least.name!r} has {least.photographs}: "
            "the more photographs a class has, the better it is learnt."
        )
        remarks = [str(most.photographs), str(least.photographs)]
        found.append(_classes("uneven_sizes", NOTE, sentence, [(most.name,), (least.name,)], remarks))
    return found


def _of_descriptions(dataset: Dataset) -> list[Finding]:
    assert dataset.split is not None
    known, seen = dataset.knowledge, dataset.split.seen
    found = []
    constant = constant_entries(dataset)
    if constant:
        named = ", ".join(constant[:5]) + (" and others" if len(constant) > 5 else "")
        counted = f"{len(constant)} of {len(known.names)} attributes"
        sentence = f"{counted} have the same value for all seen classes and cannot be learnt: {named}."
        found.append(_attributes("constant", WARNING, sentence, constant))
    alike = [tuple(dataset.class_names[label] for label in group) for group in _same(known.values)]
    if alike:
        named = listed([" = ".join(group[:5]) for group in alike])
        sentence = (
            f"{sum(map(len, alike))} classes have the same description as another class, so descriptions cannot tell them "
            f"apart: {named}."
        )
        found.append(_classes("identical_descriptions", ERROR, sentence, alike))
    texts = dataset.class_texts or ()
    told = [tuple(dataset.class_names[label] for label in group) for group in _same_texts(texts)]
    if told and told != alike:
        named = listed([" = ".join(group[:5]) for group in told])
        sentence = f"{sum(map(len, told))} classes have the same text as another class: {named}."
        found.append(_classes("identical_texts", WARNING, sentence, told))
    if known.scale is not None:
        varied = np.flatnonzero(np.ptp(known.values[seen], axis=0) > 0)
        small, large = (varied[place(known.scale.span[varied])] for place in (np.argmin, np.argmax))
        sentence = (
            f"Ranges of attributes differ from {known.scale.span[small]:g} ({known.names[small]}) to "
            f"{known.scale.span[large]:g} ({known.names[large]}), so each is scaled to 0..1 over the seen classes."
        )
        found.append(_attributes("scales", NOTE, sentence, [known.names[k] for k in (small, large)]))
    columns = np.array([k for k, name in enumerate(known.names) if not _NO_ATTRIBUTE.search(name)], np.int64)
    spans = np.ptp(known.values, axis=0) if known.scale is None else known.scale.span
    measured = np.array([spans[k] > 100 or unit_of(known.names[k]) is not None for k in columns], bool)
    if len(columns):
        found += _of_attributes(dataset, known.values[:, columns], np.array([known.names[k] for k in columns]), measured)
    return found


def _of_attributes(dataset: Dataset, values: np.ndarray, names: np.ndarray, measured: np.ndarray) -> list[Finding]:
    """Return what there is to say of attributes [C, K], each of which a class has or has not by the middle of its range.

    But for those that are `measured`: every class has a weight, and the heaviest has not another attribute than the others.
    """
    assert dataset.split is not None
    seen, unseen, classes = dataset.split.seen, dataset.split.unseen, np.array(dataset.class_names)
    low, span = values.min(axis=0), np.ptp(values, axis=0)
    shares = (values - low) / np.where(span > 0, span, 1.0)
    has = (shares > 0.5) & (span > 0) & ~measured
    shared = has[seen].sum(axis=0)
    found = _nearly_the_same(shares, names, classes)
    alone = np.flatnonzero((shared == 1) & ((shares[seen] > _TRACE).sum(axis=0) == 1))
    if len(alone):
        of = [str(classes[seen[has[seen, k].argmax()]]) for k in alone]
        shown = listed_with_remarks(list(zip(names[alone], of, strict=True)))
        one, several = "attribute belongs to only one seen class, so the network cannot tell it from the class", (
            "attributes belong to only one seen class each, so the network cannot tell them from these classes"
        )
        counted = _counted(len(alone), one, several)
        sentence = f"{counted}: {shown}."
        found.append(_attributes("of_one_class", NOTE, sentence, names[alone], of))
    lonely = [str(classes[c]) for c in seen if has[c].any() and not (has[c] & (shared > 1)).any()]
    if lonely:
        sentence = (
            f"No other seen class shares an attribute with {listed(lonely)}: what is learnt there does not help other "
            "classes."
        )
        found.append(_classes("shares_nothing", WARNING, sentence, [(name,) for name in lonely]))
    new = [(str(classes[c]), ", ".join(names[has[c] & (shared == 0)][:_MOST_NAMED])) for c in unseen]
    new = [(name, of) for name, of in new if of]
    if new:
        sentence = f"Unseen classes have attributes that no seen class has even half as strongly: {listed_with_remarks(new)}."
        found.append(_classes("beyond_the_seen", NOTE, sentence, [(name,) for name, _ in new], [of for _, of in new]))
    return found


def _nearly_the_same(shares: np.ndarray, names: np.ndarray, classes: np.ndarray) -> list[Finding]:
    """Return which classes are as good as the same, and which differ in one attribute; identical ones are told elsewhere."""
    varied = np.ptp(shares, axis=0) > 0
    shares, names = shares[:, varied], names[varied]
    if len(names) < _FEWEST_ATTRIBUTES or len(classes) > _MOST_COMPARED:
        return []
    pairs: dict[int, list[tuple[str, str]]] = {0: [], 1: []}
    of: list[str] = []
    for first in range(len(classes) - 1):
        gaps = np.abs(shares[first + 1 :] - shares[first])
        differ = (gaps > _LEVEL_GAP).sum(axis=1)
        for other in np.flatnonzero((differ <= 1) & (gaps > 0).any(axis=1)):
            pairs[int(differ[other])].append((str(classes[first]), str(classes[first + 1 + other])))
            of += [str(names[gaps[other].argmax()])] if differ[other] else []
    found = []
    if pairs[0]:
        named = listed([" and ".join(pair) for pair in pairs[0]])
        sentence = f"No attribute of these classes differs by more than {_LEVEL_GAP:.0%} of its range: {named}."
        found.append(_classes("nearly_identical_descriptions", WARNING, sentence, pairs[0]))
    if pairs[1]:
        named = listed_with_remarks([(" and ".join(pair), name) for pair, name in zip(pairs[1], of, strict=True)])
        sentence = f"These classes differ in only one attribute: {named}."
        found.append(_classes("one_attribute_apart", NOTE, sentence, pairs[1], of))
    return found


def _advice(dataset: Dataset) -> list[Finding]:
    assert dataset.split is not None
    split, count = dataset.split, len(np.unique(dataset.labels))
    described, hidden = len(dataset.class_names) - count, len(np.unique(dataset.labels[split.test_unseen]))
    advised = advised_unseen(count)
    found = []
    if count < _ENOUGH_CLASSES:
        has = _counted(count, "class has", "classes have")
        sentence = (
            f"{has} photographs. The network understands a description through seen classes that share its attributes: "
            f"use {_ENOUGH_CLASSES} classes or more."
        )
        found.append(Finding("few_classes", NOTE, sentence))
    if advised:
        points = round(100 * min(1.96 * _SPREAD / math.sqrt(advised), 0.5))
        sentence = (
            f"To measure the accuracy of classes without photographs, hide {advised} of {count} that have photographs: "
            f"--num_unseen={advised}. Their accuracy is then known to about ± {points} points; "
            "runs with other seeds make it more exact."
        )
        if hidden:
            sentence += f" Here {_counted(hidden, 'class is', 'classes are')} hidden."
        elif described:
            without = _counted(described, "class", "classes")
            sentence += f" Here no class is hidden, so the accuracy of the {without} without photographs is not measured."
        found.append(Finding("num_unseen", NOTE, sentence))
    return found


def listed_with_remarks(pairs: Sequence[tuple[str, str]]) -> str:
    """Return the first three names, each with what is said of it in brackets, and how many more there are."""
    shown = ", ".join(f"{name!s} ({remark})" for name, remark in pairs[:3])
    return shown + (f" and {len(pairs) - 3} more" if len(pairs) > 3 else "")


def _same(values: np.ndarray) -> list[np.ndarray]:
    """Return the groups of rows that are the same, in the order of their first."""
    _, group_of = np.unique(values, axis=0, return_inverse=True)
    groups = (np.flatnonzero(group_of == group) for group in np.flatnonzero(np.bincount(group_of.ravel()) > 1))
    return sorted(groups, key=lambda group: int(group[0]))


def _same_texts(texts: Sequence[str]) -> list[np.ndarray]:
    written = np.array([place for place, text in enumerate(texts) if text.strip()], np.int64)
    words = [" ".join(texts[place].split()).lower() for place in written]
    number_of = {text: number for number, text in enumerate(dict.fromkeys(words))}
    return [written[group] for group in _same(np.array([[number_of[text]] for text in words]))] if words else []


def _photographs(count: int) -> str:
    return _counted(count, "photograph", "photographs")


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _images(kind: str, level: str, sentence: str, groups: Iterable[Sequence[str]], remarks: Sequence[str] = ()) -> Finding:
    return Finding(kind, level, sentence, "images", tuple(tuple(group) for group in groups), tuple(remarks))


def _classes(kind: str, level: str, sentence: str, groups: Iterable[Sequence[str]], remarks: Sequence[str] = ()) -> Finding:
    return Finding(kind, level, sentence, "classes", tuple(tuple(group) for group in groups), tuple(remarks))


def _attributes(kind: str, level: str, sentence: str, names: Iterable[str], remarks: Sequence[str] = ()) -> Finding:
    return Finding(kind, level, sentence, "attributes", tuple((str(name),) for name in names), tuple(remarks))
