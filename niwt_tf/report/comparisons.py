"""The analyses of a run on its page: their pictures, captions and short tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from niwt_tf.config.names import compared_methods, title_of
from niwt_tf.experiments.analyses.record import marked_caption, shown_value
from niwt_tf.files import read_json
from niwt_tf.report.pictures import data_uri

# In the order of the page; what is not named here comes after, by name.
_ORDER = ("lambda_sweep", "weight_recovery", "layer_depth", "support_images", "consistency")


@dataclass(frozen=True)
class AnalysisFigure:
    """One analysis, by the name of its job, with the command that makes it again.

    The picture is a `data:` address; width and height are in pixels. The header has the title of each column and whether it
    holds numbers. If `optimistic`, test figures may have had a part in its figures; the caption says why.
    """

    name: str
    title: str
    caption: str
    command: str
    picture: str
    width: int
    height: int
    header: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]
    optimistic: bool = False


def analysis_figures(
    folders: Mapping[str, Path], optimistic: Mapping[str, Sequence[str]] | None = None
) -> tuple[AnalysisFigure, ...]:
    """Return the analyses of a run, by name the folders of their files and why some are optimistic, in the page's order."""
    marks = optimistic or {}
    ordered = sorted(folders, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return tuple(_figure(name, folders[name], marks.get(name, ())) for name in ordered)


def _figure(name: str, folder: Path, optimistic: Sequence[str]) -> AnalysisFigure:
    from PIL import Image

    record = read_json(folder / f"{name}.json")
    kept = [(index, title) for index, title in enumerate(record["titles"]) if title]
    kinds = record["kinds"]
    rows = (tuple(shown_value(record["rows"][row][index], kinds[index]) for index, _ in kept) for row in record["shown"])
    # Lossless, and smaller than the PNG.
    with Image.open(folder / f"{name}.png") as image:
        picture, size = data_uri(image.convert("RGB"), lossless=True), image.size
    header = tuple((title, kinds[index] != "text") for index, title in kept)
    caption = marked_caption(record["caption"], optimistic)
    return AnalysisFigure(
        name, record["title"], caption, record["command"], picture, *size, header, tuple(rows), bool(optimistic)
    )


MEASURES = (("acc_seen", "Seen"), ("acc_unseen", "Unseen"), ("harmonic_mean", "H"), ("acc_zsl", "ZSL"), ("ausuc", "AUSUC"))
_FEATURES = {"head": "what the head gets", "map": "mean of the conv map"}


@dataclass(frozen=True)
class BaselineRow:
    """One method on the test images, and what it works on.

    Values are fractions in the order of `MEASURES`, None where nothing can tell; the remark says why it is optimistic, if so.
    """

    name: str
    features: str
    values: tuple[float | None, ...]
    remark: str
    own: bool = False


def baseline_rows(own: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]], method: str) -> tuple[BaselineRow, ...]:
    """Return the run's own row and those of the baselines, or nothing where there is no baseline.

    Args:
        own: the run's metrics.json, with all that is known today under "optimistic".
        others: the baselines' metrics.json, by method, likewise.
        method: the run's own.
    """
    if not others:
        return ()
    title = f"{title_of(method)}, this run" if method in others else title_of(method)
    order = compared_methods()
    ordered = sorted(others, key=lambda name: (order.index(name) if name in order else len(order), name))
    return (_row(title, own, own=True), *(_row(title_of(name), others[name]) for name in ordered))


def _row(title: str, metrics: Mapping[str, Any], own: bool = False) -> BaselineRow:
    features = "head" if own else str(metrics.get("features", ""))
    # The first say "it uses test labels" of the second.
    reasons = metrics.get("optimistic") or metrics.get("uses_test_labels") or ()
    remark = f"optimistic: {'; '.join(map(str, reasons))}" if reasons else ""
    values = tuple(metrics.get(name) for name, _ in MEASURES)
    return BaselineRow(title, _FEATURES.get(features, features), values, remark, own)
