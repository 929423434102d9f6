"""Contents of a page with names that would break a careless one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from niwt_tf.explain.words import WeightedAttribute
from niwt_tf.metrics.gzsl import calibration_curve, evaluate_scores
from niwt_tf.protocol.scoring import Scored
from niwt_tf.report.contents import (
    Estimate,
    Facts,
    FaithfulnessRow,
    Followed,
    MapFigure,
    ReportContents,
    Reproduction,
    TrialRow,
)
from niwt_tf.report.gallery import GalleryEntry, ShownNeuron
from niwt_tf.report.headline_intervals import NOTE, headline_estimates
from niwt_tf.report.neuron_dictionary import Dictionary, NeuronEntry
from niwt_tf.report.summary import headline_of, summary_of
from niwt_tf.report.tables import results_of

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
HOSTILE = (
    "<script>alert(1)</script>",
    "\"quotes' & </style></script>",
    "\u05e2\u05d1\u05e8\u05d9\u05ea \u202e\u05d4\u05e4\u05d5\u05da",
    "\N{PARROT}\N{ZERO WIDTH JOINER}\N{BLACK LARGE SQUARE} {{ 7 * 7 }} {% raw %}",
    "a" * 300,
    "javascript:alert(1)//<img src=x onerror=alert(2)>",
)


def scored_toy(num_seen: int, classes: int, images: int, seed: int = 0, only_seen: bool = False) -> Scored:
    """Return random answers, right more often than not."""
    random = np.random.default_rng(seed)
    labels = np.tile(np.arange(num_seen if only_seen else classes), images)
    logits = random.normal(size=(len(labels), classes)).astype(np.float32)
    logits[np.arange(len(labels)), labels] += 1.5
    evaluation = evaluate_scores(logits, labels, num_seen, 0.25)
    return Scored(logits, labels, evaluation, calibration_curve(logits, labels, num_seen))


def contents_toy(
    scored: Scored,
    names: tuple[str, ...],
    num_seen: int,
    neurons: int = 12,
    explained: bool = True,
    estimates: dict[str, Estimate] | None = None,
    own_attributes: bool = True,
) -> ReportContents:
    """Return a page's contents; without `explained` every part that may be absent is."""
    estimates = estimates or headline_estimates(scored, num_seen, 1.0)
    num_unseen = len(names) - num_seen
    trial = TrialRow("closed_form", 10.0, 0.1, "mean", "1", -0.5, 0.7, 0.6, None, True)
    return ReportContents(
        title=f"folder <{names[0]}>",
        subject="birds: 40 seen classes, 10 unseen classes",
        summary=summary_of(estimates, num_seen, num_unseen),
        facts=(Facts("Data", (("Folder", names[0]), ("Split", names[1]))),),
        headline=headline_of(estimates, num_seen, num_unseen),
        interval_note=NOTE,
        results=results_of(scored, names, num_seen, 1.0),
        map_figures=(MapFigure("Inverse map", None, "Not known here."),),
        trials=(trial, TrialRow("tape", 10.0, 1.0, "zero", "1", 0.25, 0.5, 0.6, 0.9, False)),
        dictionary=_dictionary(neurons) if explained else None,
        gallery=_gallery(names, num_seen) if explained else (),
        own_attributes=own_attributes,
        faithfulness=_faithfulness() if explained else (),
        cautions=() if explained else ("No heat map was measured.",),
        followed=Followed([(names[0], 0.75), ("size", 0.25)], ["tail"]) if explained else None,
        unmeasured=() if explained else ("Energy in the box: not measured, the data set has no boxes for its images.",),
        calibration_chosen=explained,
        reproduction=Reproduction(("niwt run --run_dir='<x>'",), (("python", "3"),), "0" * 16, (("train", 1.5, "f" * 16),)),
    )


def _dictionary(neurons: int) -> Dictionary:
    entries = tuple(
        NeuronEntry(n, f"has_{name}::{n}", 1 - n / 100, 0.9, None, 0.8, None if n % 2 else 0.4, ((PIXEL, name),) * 4)
        for n, name in enumerate((HOSTILE * 10)[: min(neurons, 60)])
    )
    return Dictionary(entries, neurons, neurons)


def _gallery(names: tuple[str, ...], num_seen: int) -> tuple[GalleryEntry, ...]:
    entries = []
    beaks = (("has_beak::long", "has_beak", 0.5), ("has_beak::dark_red", "has_beak", 0.25))
    words = tuple(WeightedAttribute(*each) for each in ((names[0], "", 1.0), *beaks))
    against = (WeightedAttribute(names[1], "", -0.75),)
    neuron = ShownNeuron(3, names[0], 0.99, 0.1, PIXEL, f"Where neuron 3 ({names[0]}) is active in the image of {names[1]}")
    other = replace(neuron, neuron=4, auc=0.76)
    for true in (len(names) - 1, 0):
        for right in (True, False):
            named = true if right else 1
            entries.append(
                GalleryEntry(
                    image=PIXEL,
                    heat=PIXEL,
                    path=f"{names[true]}/0.png",
                    true_class=names[true],
                    true_seen=true < num_seen,
                    predicted=names[named],
                    predicted_seen=named < num_seen,
                    score=0.5,
                    right=right,
                    speaks_for=words,
                    speaks_against=against,
                    rival=names[2],
                    neurons=(neuron, other) if right else (),
                    true_attributes=frozenset([names[0]]),
                    against_true=() if right else words,
                    heat_is_empty=not right,
                )
            )
    return tuple(entries)


def _faithfulness() -> tuple[FaithfulnessRow, ...]:
    sides = {"seen": (Estimate(0.8, 0.7, 0.9), 0.3, 1200, 34), "unseen": (Estimate(-0.1), None, None, 0)}
    return (FaithfulnessRow("energy in the box", "Share of the map on the <object>.", "higher", "the box's share", sides),)
