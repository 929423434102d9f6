"""Columns of a user's table on one scale, and what is said of a class in the units of its table."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from niwt_tf.data.descriptions.attribute_parser import read_attributes
from niwt_tf.data.descriptions.new_classes import Entry, described
from niwt_tf.data.descriptions.normalise import Scale
from niwt_tf.data.descriptions.sources import choose_knowledge, on_one_scale
from niwt_tf.data.readers.folder import read_folder
from niwt_tf.data.schema import Knowledge
from niwt_tf.data.splits import named_split

RAW = np.array([[0, 0.2, 10], [1, 0.4, 210], [0.5, 0.3, 110], [0, 0.9, 500]], np.float32)
TABLE = Knowledge(RAW, ("fur", "tail", "weight_kg"), ("", "", ""), "classes.csv")
SEEN = np.array([0, 1, 2])


def test_each_column_from_0_to_1_over_the_seen_classes(caplog):
    with caplog.at_level(logging.WARNING, "niwt_tf"):
        known = on_one_scale(TABLE, SEEN)
    np.testing.assert_allclose(known.values, [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [0, 3.5, 2.45]], rtol=1e-5)
    np.testing.assert_allclose(known.in_units, RAW, rtol=1e-5)
    assert "classes.csv: ranges differ from 0.2 (tail) to 200 (weight_kg), so each column is scaled to 0..1" in caplog.text
    assert on_one_scale(known, SEEN) is known


@pytest.mark.parametrize("values", [[[0, 0], [1, 10]], [[0, 5], [1, 5]], [[2, 2], [2, 2]], [[0, 0.1], [1, 0.9]]])
def test_what_differs_by_no_more_than_tenfold_stays(values):
    assert Scale.fit(np.array(values, np.float32)) is None


def test_a_constant_column_is_none_of_the_ranges():
    scale = Scale.fit(np.array([[0, 0, 7], [1, 20, 7]], np.float32))
    assert scale is not None
    np.testing.assert_allclose(scale(np.array([0.5, 10, 8])), [0.5, 0.5, 1])
    again = Scale.from_lists(scale.as_lists())
    assert again is not None
    np.testing.assert_array_equal(again.low, scale.low)


def test_a_new_class_is_described_in_the_units_of_the_table():
    known = on_one_scale(TABLE, SEEN)
    seen = Knowledge(known.values[:3], known.names, known.groups, known.source, scale=known.scale)
    entries = [Entry("fur", 1.0, "x"), Entry("weight_kg", 60.0, "x")]
    made = described(entries, seen, "x", "mean")
    np.testing.assert_allclose(made.values, [1, 0.5, 0.25], rtol=1e-6)
    assert len(made.notes) == 1
    reading = read_attributes("It has fur and weighs 60 kg.", seen)
    np.testing.assert_allclose(reading.values, [1, 0.5, 0.25], atol=0.3)
    assert reading.values[2] == pytest.approx(0.25)
    assert reading.numbers == (("weight_kg", 60.0),)


def test_a_folder_has_its_table_on_one_scale(animals):
    table = animals / "classes.csv"
    lines = table.read_text().splitlines()
    rows = [f"{line},{'weight_kg' if number == 0 else 100 * number}" for number, line in enumerate(lines)]
    table.write_text("\n".join(rows))
    data = named_split(read_folder(animals), [])
    known = choose_knowledge(data).knowledge
    assert known.scale is not None
    of_seen = known.values[data.split.seen]
    assert of_seen.max() <= 1
    assert of_seen.min() >= 0
    np.testing.assert_allclose(known.in_units, data.knowledge.values, rtol=1e-5)
