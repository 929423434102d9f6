"""The analyses of a run on its page: their pictures, captions and short tables."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from niwt_tf.config.names import compared_methods, title_of
from niwt_tf.experiments.analyses.record import marked_caption, shown_value
from niwt_tf.files import read_json

# In the order of the page; what is not named here comes after, by name.
_ORDER = ("lambda_sweep", "weight_recovery", "layer_depth", "support_images", "consistency")


@dataclass(frozen=True)
class AnalysisFigure:
    """One analysis.

    Attributes:
        name: of its job.
        title: short.
        caption: what the picture shows.
        command: what makes it again.
        picture: a `data:` address.
        width: of the picture in pixels.
        height: of the picture in pixels.
        header: title of each column and whether it holds numbers.
        rows: cells for people.
        optimistic: whether test figures may have had a part in its figures; the caption says why.
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
    """Return the analyses of a run in the order of the page.

    Args:
        folders: where their files are, by name.
        optimistic: why the figures of some are, by name.
    """
    marks = optimistic or {}
    ordered = sorted(folders, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return tuple(_figure(name, folders[name], marks.get(name, ())) for name in ordered)


def _figure(name: str, folder: Path, optimistic: Sequence[str]) -> AnalysisFigure:
    record = read_json(folder / f"{name}.json")
    kept = [(index, title) for index, title in enumerate(record["titles"]) if title]
    kinds = record["kinds"]
    rows = (tuple(shown_value(record["rows"][row][index], kinds[index]) for index, _ in kept) for row in record["shown"])
    picture, width, height = _picture(folder / f"{name}.png")
    return AnalysisFigure(
        name,
        record["title"],
        marked_caption(record["caption"], optimistic),
        record["command"],
        picture,
        width,
        height,
        tuple((title, kinds[index] != "text") for index, title in kept),
        tuple(rows),
        bool(optimistic),
    )


def _picture(path: Path) -> tuple[str, int, int]:
    """Return a picture as a `data:` address, which is lossless and smaller than the PNG, and its size in pixels."""
    from PIL import Image

    file = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(file, format="WEBP", lossless=True, method=4)
        width, height = image.size
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}", width, height


MEASURES = (("acc_seen", "Seen"), ("acc_unseen", "Unseen"), ("harmonic_mean", "H"), ("acc_zsl", "ZSL"), ("ausuc", "AUSUC"))
_FEATURES = {"head": "what the head gets", "map": "mean of the conv map"}


@dataclass(frozen=True)
class BaselineRow:
    """One method on the test images.

    Attributes:
        name: for people.
        features: what it works on.
        values: fractions in the order of `MEASURES`; None where nothing can tell.
        remark: why it is optimistic, "" where it is not.
        own: whether it is the run's own method.
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
    first = BaselineRow(title, _FEATURES["head"], _values(own), _remark(own), own=True)
    order = compared_methods()
    ordered = sorted(others, key=lambda name: (order.index(name) if name in order else len(order), name))
    return (first, *(_row(name, others[name]) for name in ordered))


def _row(name: str, metrics: Mapping[str, Any]) -> BaselineRow:
    features = str(metrics.get("features", ""))
    return BaselineRow(title_of(name), _FEATURES.get(features, features), _values(metrics), _remark(metrics))


def _values(metrics: Mapping[str, Any]) -> tuple[float | None, ...]:
    return tuple(metrics.get(name) for name, _ in MEASURES)


def _remark(metrics: Mapping[str, Any]) -> str:
    # The first say "it uses test labels" of the second.
    reasons = metrics.get("optimistic") or metrics.get("uses_test_labels") or ()
    return f"optimistic: {'; '.join(map(str, reasons))}" if reasons else ""
