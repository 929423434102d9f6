"""Text in the room there is for it."""

from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from niwt_tf.report.explanation_sheet import DPI, broken, broken_within, cut, cut_start, cut_together, inches

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def test_widths_are_in_proportion_to_the_letters():
    assert inches("", 10) == 0
    assert inches("MM", 10) == pytest.approx(2 * inches("M", 10)) == pytest.approx(inches("MM", 20) / 2, rel=0.1)
    assert inches("i", 10) < inches("W", 10)


@pytest.mark.parametrize("size", [9.0, 10.5])
def test_widths_are_those_of_a_figure(size):
    figure = Figure(dpi=DPI)
    text = figure.text(0, 0, "Neurons that separate them", fontsize=size)
    drawn = text.get_window_extent(FigureCanvasAgg(figure).get_renderer()).width / DPI
    assert inches(text.get_text(), size) == pytest.approx(drawn, abs=0.02)


def test_a_line_is_cut_only_where_it_is_too_wide():
    room = inches("a red bird", 10)
    assert cut("a red bird", 10, room) == "a red bird"
    short = cut("a red bird that flies", 10, room)
    assert short.endswith(ELLIPSIS) and "a red bird".startswith(short[:-1]) and inches(short, 10) <= room
    assert cut("W" * 5000, 10, room).startswith("WW")


def test_the_start_is_cut_where_the_end_says_more():
    room = inches("wing color: red", 9)
    assert cut_start("wing color: red", 9, room) == "wing color: red"
    short = cut_start("a very wing color: red", 9, room)
    assert short[0] == ELLIPSIS and short.endswith("color: red") and inches(short, 9) <= room


def test_lines_are_broken_between_words():
    room = inches("one two", 10)
    assert broken("one two six", 10, room) == ["one two", "six"]
    assert broken("one " + "W" * 50, 10, room)[0] == "one"
    assert all(inches(line, 10) <= room for line in broken("one " + "W" * 50, 10, room))
    assert broken_within("one two six", 10, room, 2) == "one two\nsix"
    assert broken_within("one two six ten", 10, room, 1).startswith("one t")
    assert broken_within("one two six ten", 10, room, 1).endswith(ELLIPSIS)


def test_the_longest_name_is_cut_first():
    assert cut_together(["emu", "a" * 20], lambda names: sum(map(len, names)) <= 13) == ("emu", "a" * 9 + ELLIPSIS)
    assert cut_together(["emu", "owl"], lambda names: False) == (ELLIPSIS, ELLIPSIS)
