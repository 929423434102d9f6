from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.experiments.analyses import support_images
from niwt_tf.experiments.analyses.record import AnalysisRecord


@pytest.mark.parametrize("kinds", [1, 2, 3])
def test_no_bar_of_an_interval_crosses_a_number(tmp_path, monkeypatch, kinds):
    drawn = []
    monkeypatch.setattr(support_images, "save", lambda figure, path: drawn.append(figure))
    # Intervals from nothing to everything, none, and values at both ends.
    figures = [0.5, 0.0, 1.0, 0.05, 0.0, 0.6, 1.0, float("nan"), 0.9, 0.8, 1.0], [1.0] * 11, [0.0] * 11
    names = ["seen training images", "images of the folder", "noise"]
    rows = tuple((names[k], *figures[k], "closed_form", 1.0) for k in range(kinds))
    support_images.draw_support_images(AnalysisRecord("", "", "", support_images._COLUMNS, rows), tmp_path / "it.png")
    (figure,) = drawn
    figure.canvas.draw()
    (axes,) = figure.axes
    numbers = [text.get_window_extent() for text in axes.texts]
    assert len(numbers) == 4 * kinds and axes.texts[0].get_text() == "50.0" and axes.texts[3 * kinds].get_text() == "n/a"
    lines = [line for each in axes.collections for line in each.get_segments()]
    caps = [line.get_xydata() for line in axes.lines]
    assert len(lines) == 2 * kinds and caps
    for line in (*lines, *caps):
        ends = axes.transData.transform(np.asarray(line))
        assert not any(number.y0 <= y <= number.y1 and number.x0 <= x <= number.x1 for x, y in ends for number in numbers)
        assert all(ends[:, 1].min() > number.y1 for number in numbers)
    assert not any(one.overlaps(other) for place, one in enumerate(numbers) for other in numbers[place + 1 :])
    ticks = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert not any(number.overlaps(tick) for number in numbers for tick in ticks)
