"""Whether importance belongs to a class: rank correlations of two images of one class and of two classes (NIWT Section 3.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.data.sampling import balanced_sample
from niwt_tf.experiments.analyses.record import AnalysisRecord, TableColumn
from niwt_tf.experiments.analyses.rerun import FinishedTransfer
from niwt_tf.methods.importance import class_importance
from niwt_tf.metrics.ranks import standardised_ranks
from niwt_tf.plots.style import BLUE, ORANGE, new_figure, readable_names, save, shorten

PAPER = {"backbone": "VGG16", "data": "AWA2", "within": 0.817, "across": 0.076}
_MOST_IMAGES = 20_000  # importances of more are not kept in memory
_PAIRS = 1000  # of a class; quartiles of more would not differ
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST_NAMES = 60
_COLUMNS = (
    *(TableColumn("class", "Class", "text"), TableColumn("images", "Images", "count")),
    *(TableColumn("within_mean", "Within", "correlation"), TableColumn("across_mean", "Across", "correlation")),
    *(TableColumn(f"within_q{round(100 * share):02d}", kind="correlation") for share in _QUANTILES),
    *(TableColumn(f"across_q{round(100 * share):02d}", kind="correlation") for share in _QUANTILES),
)


def consistency(finished: FinishedTransfer, command: str) -> AnalysisRecord:
    """Return for each seen class how its images' importances agree with each other and with those of other classes.

    Importances are those of training images for their own class, on the head that the run chose. Means are over all pairs;
    quantiles over at most a thousand pairs a class, drawn by the seed.
    """
    settings, head, network = finished.settings, finished.head, finished.main.network
    images = balanced_sample(finished.main.partition.training.images, _MOST_IMAGES, settings.seed)
    headed = network.with_head(head.columns, head.biases, network.class_names, network.num_seen)
    found = class_importance(headed, images, reader=finished.main.reader, keep_vectors=True)
    assert found.vectors is not None
    labels, names = np.asarray(images.labels), readable_names(network.class_names)
    ranks = standardised_ranks(found.vectors)
    matrix = correlation_matrix(ranks, labels, len(names))
    generator = np.random.default_rng([settings.seed, 31])
    rows = []
    for label, name in enumerate(names):
        members, others = np.flatnonzero(labels == label), np.flatnonzero(labels != label)
        within, across = _pairs_within(ranks, members, generator), _pairs_across(ranks, members, others, generator)
        elsewhere = np.delete(matrix[label], label)
        means = matrix[label, label], _mean(elsewhere)
        rows.append((name, len(members), *means, *_quantiles(within), *_quantiles(across)))
    details = {
        "within": found.rank_correlation_within,
        "across": found.rank_correlation_across,
        "paper": PAPER,
        "class_names": list(names),
        "matrix": [[None if np.isnan(value) else round(float(value), 6) for value in row] for row in matrix],
    }
    order = tuple(int(index) for index in np.argsort([-np.nan_to_num(row[2], nan=-2.0) for row in rows], kind="stable"))
    shown = order if len(order) <= 10 else (*order[:5], *order[-5:])
    return AnalysisRecord(
        "Consistency of importance",
        "Spearman's rank correlation of the importances of two training images, each for its own class: "
        f"{found.rank_correlation_within:.3f} on average for two images of the same class, {found.rank_correlation_across:.3f} "
        "for images of two classes. Left: for each seen class the pairs within it and those with images of other classes "
        "(box: middle half; whiskers: 5 % to 95 %). Right: the mean over the pairs of any two classes. No test image is used. "
        f"The paper found {PAPER['within']} and {PAPER['across']} with {PAPER['backbone']} on {PAPER['data']}, other data.",
        command,
        _COLUMNS,
        tuple(rows),
        shown,
        details,
    )


def correlation_matrix(ranks: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the mean correlation of every pair of vectors of two classes, and on the diagonal of one; NaN without a pair.

    Args:
        ranks: [M, N], standardised, see `standardised_ranks`; zero vectors (without an order) are left out.
        labels: [M].
        num_classes: C.
    """
    ordered = np.abs(ranks).max(axis=1) > 0
    counts = np.bincount(labels[ordered], minlength=num_classes).astype(np.float64)
    sums = np.zeros((num_classes, ranks.shape[1]))
    np.add.at(sums, labels[ordered], ranks[ordered])
    pairs = np.outer(counts, counts)
    products = sums @ sums.T
    np.fill_diagonal(pairs, counts * (counts - 1))
    np.fill_diagonal(products, np.diag(products) - counts)
    return np.divide(products, pairs, out=np.full_like(products, np.nan), where=pairs > 0)


def _pairs_within(ranks: np.ndarray, members: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    first, second = np.triu_indices(len(members), 1)
    if len(first) > _PAIRS:
        drawn = generator.choice(len(first), _PAIRS, replace=False)
        first, second = first[drawn], second[drawn]
    return _correlations(ranks, members[first], members[second])


def _pairs_across(ranks: np.ndarray, members: np.ndarray, others: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    if not len(members) or not len(others):
        return np.empty(0)
    return _correlations(ranks, generator.choice(members, _PAIRS), generator.choice(others, _PAIRS))


def _correlations(ranks: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.einsum("pn,pn->p", ranks[first], ranks[second])


def _quantiles(values: np.ndarray) -> list[float]:
    return np.quantile(values, _QUANTILES).tolist() if len(values) else [float("nan")] * len(_QUANTILES)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def draw_consistency(record: AnalysisRecord, path: Path) -> None:
    """Draw a box a class for pairs within and across classes, and the matrix of classes."""
    names, matrix = record.details["class_names"], np.array(record.details["matrix"], np.float64)
    count, named = len(names), len(names) <= _MOST_NAMES
    height = float(np.clip(0.19 * count + 1.6, 4.0, 12.0))
    figure = new_figure(13.5, height)
    left, right = figure.subplots(1, 2, width_ratios=(0.8, 1.4))
    order = np.argsort(np.nan_to_num(record.column("within_mean"), nan=-2.0), kind="stable")
    for side, colour, label in (("within", BLUE, "two images of the class"), ("across", ORANGE, "one image of another class")):
        _boxes(left, record, side, order, colour, label)
    left.axvline(0, color="0.6", linewidth=0.8)
    left.set_xlim(right=1.02)
    left.set(ylim=(-0.8, count - 0.2), xlabel="rank correlation of two importances")
    labels = [shorten(names[index], 24) for index in order]
    left.set_yticks(range(count), labels if named else [""] * count, fontsize=7.5, parse_math=False)
    left.set_title(f"Pairs of images, {count} seen classes", fontsize=11)
    left.grid(axis="x", color="0.9", linewidth=0.8)
    left.set_axisbelow(True)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=2, frameon=False, fontsize=9)
    shown = right.imshow(np.ma.masked_invalid(matrix[np.ix_(order[::-1], order[::-1])]), cmap="RdBu_r", vmin=-1, vmax=1)
    ticks = [shorten(names[index], 24) for index in order[::-1]] if named else []
    right.set_xticks(range(len(ticks)), ticks, rotation=90, fontsize=7, parse_math=False)
    right.set_yticks(range(len(ticks)), ticks, fontsize=7, parse_math=False)
    right.set_title("Mean over the pairs of two classes", fontsize=11)
    figure.colorbar(shown, ax=right, shrink=0.7, label="mean rank correlation")
    save(figure, path)


def _boxes(axes: Any, record: AnalysisRecord, side: str, order: np.ndarray, colour: str, label: str) -> None:
    edges = [record.column(f"{side}_q{round(100 * share):02d}") for share in _QUANTILES]
    keys = ("whislo", "q1", "med", "q3", "whishi")
    shift = 0.2 if side == "within" else -0.2
    known = [(place, index) for place, index in enumerate(order) if np.isfinite(edges[0][index])]
    statistics = [{key: edge[index] for key, edge in zip(keys, edges, strict=True)} | {"fliers": []} for _, index in known]
    line = {"color": colour, "linewidth": 0.9}
    axes.bxp(
        statistics, positions=[place + shift for place, _ in known], widths=0.34, orientation="horizontal", showfliers=False,
        patch_artist=True, manage_ticks=False, boxprops={"facecolor": colour, "alpha": 0.45, "edgecolor": colour},
        medianprops={"color": "black", "linewidth": 1.2}, whiskerprops=line, capprops=line,
    )
    axes.plot([], [], color=colour, linewidth=6, alpha=0.6, label=label)
