"""What is written of each image: a record, which is a JSON object, of the answer that a client got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from niwt_tf.explain.words import shortest
from niwt_tf.serving.client.answers import Explanation, Explanations, Predictions

Record = dict[str, Any]


def predicted(
    names: Sequence[str], predictions: Predictions, top: int, seen: Mapping[str, bool] | None = None
) -> list[Record]:
    """Return a record an image: its name, the version that answered, and `predictions` or `error`.

    `seen` says which classes are seen where the predictions do not.
    """
    records = []
    for place, name in enumerate(names):
        labels = predictions.labels[place]
        is_seen = predictions.is_seen[place] if seen is None else [seen.get(label, False) for label in labels]
        best = zip(labels, predictions.scores[place], is_seen, strict=True)
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
        records.append({**record, "explanation": _explanation_record(row)} if row else record)
    return records


def _record(name: str, version: int | None, classes: list[Record], error: str | None) -> Record:
    outcome: Record = {"predictions": classes} if error is None else {"error": error}
    return {"image": name, "version": version, **outcome}


def _class(label: str, score: float, seen: bool) -> Record:
    return {"label": label, "score": shortest(score), "seen": seen}


def _explanation_record(row: Explanation) -> Record:
    def weighted(pairs: Sequence[tuple[str, float]]) -> list[Record]:
        return [{"attribute": name, "weight": shortest(weight)} for name, weight in pairs]

    return {
        "attributes": weighted(row.attributes),
        "neurons": [{"neuron": neuron, "name": name, "weight": shortest(weight)} for neuron, name, weight in row.neurons],
        "runner_up": {"label": row.runner_up, "score": shortest(row.runner_up_score)},
        "speaks_for": weighted(row.speaks_for),
        "speaks_against": weighted(row.speaks_against),
    }
