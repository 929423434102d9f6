"""Records of images as text, part by part: a table for people, CSV, JSON, JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from niwt_tf.data.csv_text import csv_text
from niwt_tf.jobs.terminal_text import padded, shown, width
from niwt_tf.metrics.probabilities import UNKNOWN
from niwt_tf.serving.client.records import Record

COLUMNS = ("image", "rank", "label", "score", "seen", "error")


class AnswerText(Protocol):
    """A form of text that grows with the records."""

    def part(self, records: Sequence[Record]) -> str:
        """Return what further records add, with what stands before the first."""

    def end(self) -> str:
        """Return what stands after the last."""


class JsonText:
    """A list of records as JSON in ASCII, whatever is in the labels."""

    def __init__(self) -> None:
        self._before = "[\n  "

    def part(self, records: Sequence[Record]) -> str:
        """See `AnswerText`."""
        text = ""
        for record in records:
            text += self._before + json.dumps(record, indent=2).replace("\n", "\n  ")
            self._before = ",\n  "
        return text

    def end(self) -> str:
        """See `AnswerText`."""
        return "\n]\n"


class CsvText:
    """A line a class or an error."""

    def __init__(self, columns: Sequence[str] = COLUMNS) -> None:
        self._columns = columns
        self._begun = False

    def part(self, records: Sequence[Record]) -> str:
        """See `AnswerText`."""
        rows = [] if self._begun else [self._columns]
        self._begun = True
        return csv_text([*rows, *([line.get(name, "") for name in self._columns] for line in lines_of(records))])

    def end(self) -> str:
        """See `AnswerText`."""
        return ""


def lines_of(records: Sequence[Record]) -> list[Record]:
    """Return the records of tables: one a class, with its rank, or an error; `seen` is 0 or 1."""
    lines: list[Record] = []
    for record in records:
        common = {"image": record["image"], "version": "" if record["version"] is None else record["version"]}
        for rank, best in enumerate(record.get("predictions", ()), 1):
            lines.append({**common, "rank": rank, **best, "seen": int(best["seen"])})
        if "error" in record:
            lines.append({**common, "error": record["error"]})
    return lines


class TableText:
    """A table for people, without a character that a terminal would obey; columns are as wide as what came so far.

    With `abstains` the first label "unknown" is no class but the answer that no class is likely enough.
    """

    def __init__(self, abstains: bool = False) -> None:
        self._abstains = abstains
        self._first = self._second = 0

    def part(self, records: Sequence[Record]) -> str:
        """See `AnswerText`."""
        is_first = not self._first
        names = [shown(record["image"]) for record in records]
        labels = [shown(best["label"]) for record in records for best in record.get("predictions", ())]
        self._first = max(self._first, *map(width, [*names, "image"]))
        self._second = max(self._second, *map(width, [*labels, "label"]))
        lines = [f"{padded('image', self._first)}  {padded('label', self._second)}  score"] if is_first else []
        for name, record in zip(names, records, strict=True):
            if "error" in record:
                lines.append(f"{padded(name, self._first)}  error: {shown(record['error'])}")
            for rank, best in enumerate(record.get("predictions", ())):
                start = padded("" if rank else name, self._first)
                label = padded(shown(best["label"]), self._second)
                lines.append(f"{start}  {label}  {best['score']:.4f}  {self._kind(rank, best)}".rstrip())
            # Long lines: a column of their own would begin far to the right.
            lines += [f"    {line}" for line in _explanation_lines(record.get("explanation"))]
        return "".join(f"{line}\n" for line in lines)

    def _kind(self, rank: int, best: Record) -> str:
        if not rank and self._abstains and best["label"] == UNKNOWN:
            return ""
        return "described" if best.get("described") else "seen" if best["seen"] else "unseen"

    def end(self) -> str:
        """See `AnswerText`."""
        return ""


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
        f"neurons {neurons}",
        f"rather than {shown(rival['label'])} ({rival['score']:.4f}) because of {listed(words['speaks_for'])};"
        f" evidence for {shown(rival['label'])}: {listed(words['speaks_against'])}",
    ]
