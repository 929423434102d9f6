"""Tables of analyses as files, and what people read of them."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from niwt_tf.experiments.analyses.record import AnalysisRecord, TableColumn, shown_value, spread, table_text, write_record
from niwt_tf.files import read_json

COLUMNS = (
    TableColumn("name", "Name", "text"), TableColumn("h", "H"),
    TableColumn("hidden"), TableColumn("lambda", "λ", "number"),
)
ROWS = (("a", np.float32(0.5), 1.0, 1e-3), ("b", float("nan"), 0.25, 100.0))


def test_files_hold_everything_and_unknown_numbers_are_empty(tmp_path):
    record = AnalysisRecord("Title", "Caption.", "niwt it", COLUMNS, ROWS, (1,), {"more": [1]})
    write_record(tmp_path, "it", record)
    with open(tmp_path / "it.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["name", "h", "hidden", "lambda"], ["a", "0.5", "1.0", "0.001"], ["b", "", "0.25", "100.0"]]
    written = read_json(tmp_path / "it.json")
    assert written["rows"] == [["a", 0.5, 1.0, 0.001], ["b", None, 0.25, 100.0]] and written["more"] == [1]
    assert table_text(written).splitlines() == ["Name    H    λ", "b     n/a  100"]
    np.testing.assert_array_equal(record.column("h"), [0.5, np.nan])


def test_a_detail_cannot_hide_the_table(tmp_path):
    with pytest.raises(AssertionError, match="detail"):
        write_record(tmp_path, "it", AnalysisRecord("", "", "", COLUMNS, ROWS, None, {"kinds": []}))


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [(0.1234, "percent", "12.3 %"), (1e-6, "number", "1e-06"), (0.0006, "correlation", "0.001"), (7, "count", "7")],
)
def test_values_for_people(value, kind, text):
    assert shown_value(value, kind) == text
    assert shown_value(None, kind) == "n/a"


def test_spread_leaves_out_what_is_unknown():
    mean, low, high = spread([0.2, 0.4, np.nan, 0.6])
    assert mean == pytest.approx(0.4) and low == 0.0 and high == pytest.approx(0.4 + 4.302653 * 0.2 / np.sqrt(3))
    assert np.isnan(spread([])).all()
