"""All that the report of a run shows, ready to be laid out: plain values, no files, no networks.

Names and titles are for people. Accuracies, shares and estimates are fractions; a figure that was not measured is None.
Dimensions: C classes, seen ones first; P cells of the confusion matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from niwt_tf.metrics.gzsl import CalibrationCurve

if TYPE_CHECKING:
    from niwt_tf.report.comparisons import AnalysisFigure, BaselineRow
    from niwt_tf.report.gallery import GalleryEntry
    from niwt_tf.report.neuron_dictionary import Dictionary


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; None where it was not measured or where no interval can be given."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Facts:
    """A titled list of names and values."""

    title: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class HeadlineRow:
    """One of the main results, what it means in a sentence, what guessing reaches, and if "higher" or "lower" is better."""

    name: str
    meaning: str
    estimate: Estimate
    chance: float | None = None
    better: str = "higher"


@dataclass(frozen=True)
class ClassRow:
    """One class on its test images: the share that got its name, and the class most often named instead ("" for none)."""

    name: str
    seen: bool
    images: int
    accuracy: float | None
    mistaken_for: str = ""
    mistaken_share: float = 0.0


@dataclass(frozen=True)
class Confusion:
    """The cells of a confusion matrix that are not zero.

    Attributes:
        true: int64 [P], classes of the cells' rows.
        predicted: int64 [P], classes of the cells' columns.
        counts: int64 [P], images.
        totals: int64 [C], test images of each class.
    """

    true: np.ndarray
    predicted: np.ndarray
    counts: np.ndarray
    totals: np.ndarray


@dataclass(frozen=True)
class ConfusedPair:
    """A class that was taken for another: on how many of its images, and which share of them that is."""

    true: str
    true_seen: bool
    predicted: str
    predicted_seen: bool
    count: int
    share: float


@dataclass(frozen=True)
class ReliabilityBin:
    """Images whose highest probability lies in (low, high].

    That is a share of all images, every class counting the same; then their mean probability and the share that was right.
    """

    low: float
    high: float
    share: float
    probability: float
    right: float


@dataclass(frozen=True)
class Results:
    """What the evaluation found on the test images, class by class.

    Attributes:
        class_names: C names for people.
        exact_names: the same as the data set spells them, which is what jobs take.
        num_seen: S.
        classes: one row a class.
        confusion: of all classes, at the chosen calibration.
        pairs: the most confused ones.
        num_pairs: how many pairs are confused at all.
        curve: of every calibration, or None without test images of both kinds.
        calibration: the chosen constant.
        reliability: bins that hold images.
    """

    class_names: tuple[str, ...]
    exact_names: tuple[str, ...]
    num_seen: int
    classes: tuple[ClassRow, ...]
    confusion: Confusion
    pairs: tuple[ConfusedPair, ...]
    num_pairs: int
    curve: CalibrationCurve | None
    calibration: float
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class MapFigure:
    """A figure of the maps between descriptions and importance: its name, value and what it tells."""

    name: str
    value: float | None
    meaning: str


@dataclass(frozen=True)
class TrialRow:
    """A candidate of Stage 3 and what it reached on validation classes; `chosen` marks the one that was taken."""

    engine: str
    head_regularization: float | None
    regularization: float | None
    anchor: str
    layer_weights: str
    calibration: float | None
    harmonic_mean: float | None
    acc_zsl: float | None
    mean_cosine: float | None
    chosen: bool
    head_kind: str = ""
    map_regularization: float | None = None


@dataclass(frozen=True)
class FaithfulnessRow:
    """One measure of the explanations: title, meaning, "higher" or "lower", and what its chance level is ("" for none).

    Estimates are by "seen", "unseen" and "all", each with its chance level and on how many images or neurons, or None, and how
    many were left out because they cannot be measured.
    """

    title: str
    meaning: str
    better: str
    chance_is: str
    estimates: dict[str, tuple[Estimate, float | None, int | None, int]]


@dataclass(frozen=True)
class Reproduction:
    """How to make the run again: lines for a shell, versions, the data's fingerprint, and name, seconds, identity of stages."""

    commands: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]
    data: str
    stages: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True)
class Followed:
    """Attributes that the network follows, with their shares, the most first, and those that it does not see."""

    attributes: Sequence[tuple[str, float]]
    unseen: Sequence[str]


@dataclass(frozen=True)
class ReportContents:
    """Everything on the page.

    Attributes:
        title: of the page, the name of the run's folder.
        subject: which data, and how many classes of each kind.
        summary: the main result in one or two sentences.
        facts: what was trained on what.
        headline: the main results.
        interval_note: how the intervals were made.
        results: class by class.
        map_figures: quality of the maps.
        trials: candidates of Stage 3.
        dictionary: the neurons' names, or None.
        gallery: explained images.
        own_attributes: whether a word can be true of the image, whose attributes are known; else one is true of its class.
        faithfulness: what was measured of the explanations.
        unmeasured: a sentence for each measure that was not.
        followed: the attributes that the network follows, or None where that was not learnt.
        cautions: a sentence for each kind of explanation that was no better than chance on the training images.
        calibration_chosen: whether there were validation classes to choose the calibration constant on.
        reproduction: how to make the run again.
        optimistic: why its test figures may have had a part in its choices; empty for a clean run.
        analyses: those that were made, in the order of the page.
        baselines: the run's own row and those of the baselines that were made; empty without one.
    """

    title: str
    subject: str
    summary: str
    facts: tuple[Facts, ...]
    headline: tuple[HeadlineRow, ...]
    interval_note: str
    results: Results
    map_figures: tuple[MapFigure, ...]
    trials: tuple[TrialRow, ...]
    dictionary: Dictionary | None
    gallery: tuple[GalleryEntry, ...]
    own_attributes: bool
    faithfulness: tuple[FaithfulnessRow, ...]
    unmeasured: tuple[str, ...]
    cautions: tuple[str, ...]
    followed: Followed | None
    calibration_chosen: bool
    reproduction: Reproduction
    optimistic: tuple[str, ...] = ()
    analyses: tuple[AnalysisFigure, ...] = ()
    baselines: tuple[BaselineRow, ...] = ()
