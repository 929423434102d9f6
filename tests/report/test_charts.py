"""Places of points in the drawings, worked out by hand."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from niwt_tf.metrics.gzsl import CalibrationCurve
from niwt_tf.report.charts import Frame, area, drawing, label, line, round_ticks
from niwt_tf.report.contents import Confusion, ReliabilityBin
from niwt_tf.report.curves import (
    at_calibrations,
    ausuc_chart,
    calibration_chart,
    calibration_range,
    confusion_chart,
    geometry,
    reliability_chart,
    table_of,
)

FRAME = Frame((0, 2), (0, 1), width=230, height=130, left=20, right=10, top=10, bottom=20)
# Seen accuracy falls from 1 to 0 in two steps, unseen accuracy rises from 0 to 0.8.
CURVE = CalibrationCurve(np.array([-np.inf, -1.0, 2.0]), np.array([1.0, 0.5, 0.0]), np.array([0.0, 0.4, 0.8]))


def test_a_line_goes_through_its_points():
    assert line(FRAME, np.array([0, 1, 2]), np.array([0, 0.5, 1]), "x") == '<polyline class="x" points="20,110 120,60 220,10"/>'


def test_points_too_near_to_tell_apart_are_left_out():
    x = np.linspace(0, 2, 10_001)
    assert line(FRAME, x, x / 2, "x").count(",") < 700
    near = line(FRAME, np.array([0, 0.0001, 0.0002, 2]), np.zeros(4), "x")
    assert near == '<polyline class="x" points="20,110 220,110"/>'


def test_an_area_reaches_the_bottom():
    drawn = area(FRAME, np.array([0, 1]), np.array([1, 0.5]), "x")
    assert drawn == '<polygon class="x" points="20,110 20,10 120,60 120,110"/>'


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-0.31, 0.42, [-0.2, 0, 0.2, 0.4]), (99, 1301, [200, 400, 600, 800, 1000, 1200])],
)
def test_ticks_are_round(low, high, ticks):
    made = round_ticks(low, high)
    assert [value for value, _ in made] == pytest.approx(ticks)
    assert [float(text) for _, text in made] == pytest.approx(ticks)


def test_texts_are_escaped():
    made = drawing("n", "<t>", 'a "d" & c', 10, 20, [label(1, 2, "</svg><script>", "end", "x", -90)])
    svg = ElementTree.fromstring(made)
    assert [each.text for each in svg] == ["<t>", 'a "d" & c', "</svg><script>"]
    assert svg[2].attrib["transform"] == "rotate(-90 1 2)"


def test_accuracies_at_a_constant():
    # A step holds above its own edge up to and with the next one's.
    seen, unseen, both = at_calibrations(CURVE, np.array([-5, -1, -0.9, 2, 2.1]))
    assert seen.tolist() == [1, 1, 0.5, 0.5, 0] and unseen.tolist() == [0, 0, 0.4, 0.4, 0.8]
    assert both == pytest.approx([0, 0, 4 / 9, 4 / 9, 0])


def test_the_table_holds_what_the_charts_mark():
    rows = table_of(CURVE, 1.0)
    assert [row[:3] for row in rows if row[4] == "chosen"] == [(1.0, 0.5, 0.4)]
    assert [row[0] for row in rows if row[4] == "none"] == [0.0]
    low, high = calibration_range(CURVE, 5.0)
    assert low < -0.9 and high > 5


def test_the_charts_say_their_figures():
    drawn = ElementTree.fromstring(ausuc_chart(CURVE, 1.0))
    # The area is 0.4 * 0.75 + 0.4 * 0.25.
    assert "40.0 %" in drawn[1].text and "40.0 % unseen and 50.0 % seen" in drawn[1].text
    drawn = ElementTree.fromstring(calibration_chart(CURVE, 1.0))
    assert "H 44.4 %" in drawn[1].text
    bins = [ReliabilityBin(0.4, 0.5, 0.25, 0.45, 0.5), ReliabilityBin(0.9, 1.0, 0.75, 0.96, 0.9)]
    drawn = ElementTree.fromstring(reliability_chart(bins, 0.0575))
    circles = [each for each in drawn if each.tag == "circle"]
    assert "5.8 %" in drawn[1].text and len(circles) == 2
    assert float(circles[0].attrib["cx"]) == pytest.approx(58 + 0.45 * (420 - 58 - 14), abs=0.01)


def test_the_matrix_has_its_cells_and_no_others():
    confusion = Confusion(np.array([0, 0, 1]), np.array([0, 2, 1]), np.array([3, 1, 4]), np.array([4, 4, 0]))
    names = ("a", "<b>", "c")
    svg = ElementTree.fromstring(confusion_chart(confusion, names, 2))
    shaded = [each.attrib for each in svg if "fill-opacity" in each.attrib]
    cells = {(each["class"], each["d"], each["fill-opacity"]) for each in shaded}
    left, size = geometry(names)
    assert (left, size) == (30, 12) and geometry(("a" * 300,)) == (168, 12)  # the longest name has three characters
    assert geometry(("北极熊", "cat")) == (39, 12)  # which are as wide as four and a half
    assert svg.attrib["viewBox"] == "0 0 520 74"  # as high as it needs; wide, so that a page does not make it huge
    # The shade is the square root of the share in eighths: 0.75 is 7, 0.25 is 4, 1 is 8.
    assert cells == {
        ("cells right", "M30 30h12v12h-12z", "0.875"),
        ("cells wrong", "M54 30h12v12h-12z", "0.5"),
        ("cells right", "M42 42h12v12h-12z", "1"),
    }
    assert next(each.attrib["d"] for each in svg if each.attrib.get("class") == "no-images") == "M30 54h36v12h-36z"
    assert next(each.attrib["d"] for each in svg if each.attrib.get("class") == "divider") == "M30 54h36M54 30v36"
    assert [each.text for each in svg if each.attrib.get("class") == "name"] == ["a", "a", "<b>", "<b>", "c", "c"]
    assert "8 test images, 1 of them classified wrongly" in svg[1].text


def test_many_classes_have_no_names_along_the_matrix():
    names = tuple(map(str, range(200)))
    every = np.arange(200)
    svg = ElementTree.fromstring(confusion_chart(Confusion(every, every, every + 1, every + 1), names, 150))
    assert [each.text for each in svg if each.tag == "text"] == ["150 seen", "150 seen", "50 unseen", "50 unseen"]
