"""The answers of `niwt classify` as records, and records as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from niwt_tf.jobs.terminal_text import padded, shown, width
from niwt_tf.metrics.probabilities import UNKNOWN
from niwt_tf.serving.client.answers import Explanation, Explanations, Predictions

Record = dict[str, Any]
_COLUMNS = ("image", "rank", "label", "score", "seen", "error")


def predicted(names: Sequence[str], predictions: Predictions, top: int) -> list[Record]:
    """Return a record an image: its name, the version that answered, and `predictions` or `error`."""
    records = []
    for place, name in enumerate(names):
        best = zip(predictions.labels[place], predictions.scores[place], predictions.is_seen[place], strict=True)
        classes = [_class(label, float(score), bool(seen)) for label, score, seen in list(best)[:top]]
        records.append(_record(name, predictions.versions[place], classes, predictions.errors.get(place)))
    return records


def explained(names: Sequence[str], explanations: Explanations) -> list[Record]:
    """Return records as `predicted` does, of the best class alone, with `explanation` in words and weights."""
    records = []
    for place, name in enumerate(names):
        row = explanations.rows[place]
        classes = [_class(row.label, row.score, row.is_seen)] if row else []
        record = _record(name, explanations.versions[place], classes, explanations.errors.get(place))
        records.append({**record, "explanation": _words(row)} if row else record)
    return records


def _record(name: str, version: int | None, classes: list[Record], error: str | None) -> Record:
    outcome: Record = {"predictions": classes} if error is None else {"error": error}
    return {"image": name, "version": version, **outcome}


def _class(label: str, score: float, seen: bool) -> Record:
    return {"label": label, "score": _short(score), "seen": seen}


def _words(row: Explanation) -> Record:
    def weighted(pairs: Sequence[tuple[str, float]]) -> list[Record]:
        return [{"attribute": name, "weight": _short(weight)} for name, weight in pairs]

    return {
        "attributes": weighted(row.attributes),
        "neurons": [{"neuron": neuron, "name": name, "weight": _short(weight)} for neuron, name, weight in row.neurons],
        "runner_up": {"label": row.runner_up, "score": _short(row.runner_up_score)},
        "speaks_for": weighted(row.speaks_for),
        "speaks_against": weighted(row.speaks_against),
    }


def _short(value: float) -> float:
    """Return a float32 as the shortest number that reads back as it: 0.9, not 0.8999999761581421."""
    return float(str(np.float32(value)))


def as_json(records: Sequence[Record]) -> str:
    """Return records as JSON in ASCII, whatever is in the labels."""
    return json.dumps(records, indent=2) + "\n"


def as_csv(records: Sequence[Record]) -> str:
    """Return records as CSV, one line a class or an error."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for record in records:
        for rank, best in enumerate(record.get("predictions", ()), 1):
            writer.writerow({"image": record["image"], "rank": rank, **best, "seen": int(best["seen"])})
        if "error" in record:
            writer.writerow({"image": record["image"], "error": record["error"]})
    return text.getvalue()


def as_table(records: Sequence[Record], abstains: bool = False) -> str:
    """Return records as a table for people, without a character that a terminal would obey.

    Args:
        records: of any images.
        abstains: whether the first label "unknown" is no class but the answer that no class is likely enough.
    """
    names = [shown(record["image"]) for record in records]
    labels = [shown(best["label"]) for record in records for best in record.get("predictions", ())]
    first = max(map(width, [*names, "image"]))
    second = max(map(width, [*labels, "label"]))
    lines = [f"{padded('image', first)}  {padded('label', second)}  score"]
    for name, record in zip(names, records, strict=True):
        if "error" in record:
            lines.append(f"{padded(name, first)}  error: {shown(record['error'])}")
        for rank, best in enumerate(record.get("predictions", ())):
            is_class = rank or not abstains or best["label"] != UNKNOWN
            kind = ("seen" if best["seen"] else "unseen") if is_class else ""
            start = padded("" if rank else name, first)
            lines.append(f"{start}  {padded(shown(best['label']), second)}  {best['score']:.4f}  {kind}".rstrip())
        # Long lines: a column of their own would begin far to the right.
        lines += [f"    {line}" for line in _explanation_lines(record.get("explanation"))]
    return "\n".join(lines) + "\n"


def _explanation_lines(words: Record | None) -> list[str]:
    if words is None:
        return []

    def listed(items: Sequence[Record]) -> str:
        return ", ".join(f"{shown(item['attribute'])} {item['weight']:+.3g}" for item in items) or "nothing"

    neurons = ", ".join(
        f"{shown(item['neuron'])}{' (' + shown(item['name']) + ')' if item['name'] else ''} {item['weight']:+.3g}"
        for item in words["neurons"]
    )
    rival = words["runner_up"]
    return [
        f"because of {listed(words['attributes'])}",
        f"by {neurons}",
        f"rather than {shown(rival['label'])} ({rival['score']:.4f}) because of {listed(words['speaks_for'])};"
        f" for {shown(rival['label'])} speaks {listed(words['speaks_against'])}",
    ]
