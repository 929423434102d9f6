"""Analyses and baselines on the page: only those that there are, with their marks."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from niwt_tf.experiments.analyses.record import AnalysisRecord, TableColumn, marked_caption, write_record
from niwt_tf.report.comparisons import analysis_figures, baseline_rows
from niwt_tf.report.page import render
from tests.report.page_contents import HOSTILE, contents_toy, scored_toy

OWN = {"acc_seen": 0.9, "acc_unseen": 0.5, "harmonic_mean": 0.643, "acc_zsl": 0.6, "ausuc": None}


def _folder(path, name: str, title: str):
    folder = path / f"analysis_{name}"
    folder.mkdir()
    columns = TableColumn("layer", "Layer", "text"), TableColumn("h", "H")
    write_record(folder, name, AnalysisRecord(title, HOSTILE[0], "niwt it", columns, ((HOSTILE[1], 0.5), ("x", None))))
    Image.new("RGB", (40, 30), "white").save(folder / f"{name}.png")
    return folder


def test_analyses_and_baselines_are_shown(tmp_path):
    folders = {name: _folder(tmp_path, name, f"Title of {name}") for name in ("zeta", "consistency", "lambda_sweep")}
    figures = analysis_figures(folders)
    assert [each.name for each in figures] == ["lambda_sweep", "consistency", "zeta"]
    assert figures[0].picture.startswith("data:image/webp;base64,") and (figures[0].width, figures[0].height) == (40, 30)
    assert figures[0].rows == ((HOSTILE[1], "50.0 %"), ("x", "n/a"))
    oracle = {**OWN, "features": "head", "uses_test_labels": ["trained on images of unseen classes"]}
    rows = baseline_rows(OWN, {"oracle": oracle, "eszsl": {**OWN, "features": "map", "uses_test_labels": []}}, "niwt")
    assert [row.name for row in rows] == ["NIWT", "ESZSL", "oracle"]
    assert [row.remark for row in rows] == ["", "", "optimistic: trained on images of unseen classes"]
    plain = contents_toy(scored_toy(3, 6, 8), HOSTILE, 3)
    page = render(replace(plain, analyses=figures, baselines=rows))
    assert 'href="#analyses"' in page and 'href="#baselines"' in page and page.count('<figure class="analysis">') == 3
    assert "<script>alert(1)" not in page and "optimistic: trained on images of unseen classes" in page
    bare = render(plain)
    assert "Analyses</h2>" not in bare and "Baselines</h2>" not in bare and 'href="#analyses"' not in bare


def test_an_optimistic_analysis_is_called_so_in_its_heading_and_its_caption(tmp_path):
    folders = {name: _folder(tmp_path, name, f"Title of {name}") for name in ("zeta", "lambda_sweep")}
    figures = analysis_figures(folders, {"lambda_sweep": ("its layer was chosen by them",), "zeta": ()})
    page = render(replace(contents_toy(scored_toy(3, 6, 8), HOSTILE, 3), analyses=figures))
    section = page[page.index('<section id="analyses"') :]
    section = section[: section.index("</section>")]
    assert section.count('<span class="optimistic">optimistic</span>') == 1
    assert '<h3>Title of lambda_sweep <span class="optimistic">optimistic</span></h3>' in section
    assert section.count("because its layer was chosen by them.</figcaption>") == 1
    told = marked_caption("Curves.", ("a", "its layer"))
    assert told == "Curves. Optimistic: test images may have helped to make the run's choices, because a; its layer."
    assert marked_caption("Since another --map_x.", ("another --map",)).endswith("because another --map.")
    assert marked_caption(told, ("its layer",)) == told and marked_caption("Curves.", ()) == "Curves."


def test_optimistic_figures_are_called_so_in_their_own_cells_and_the_run_s_method_by_its_name():
    looked = {**OWN, "features": "head", "uses_test_labels": [], "optimistic": ["its layer was chosen by them"]}
    rows = baseline_rows(OWN, {"dem": looked, "ale": {**looked, "optimistic": []}}, "eszsl")
    assert [row.name for row in rows] == ["ESZSL", "ALE", "DEM"]
    assert [row.remark for row in rows] == ["", "", "optimistic: its layer was chosen by them"]
    page = render(replace(contents_toy(scored_toy(3, 6, 8), HOSTILE, 3), baselines=rows))
    section = page[page.index('<section id="baselines"') :]
    line = next(line for line in section.splitlines() if ">DEM<" in line)
    assert line.count('<span class="optimistic">') == 5
    assert section[: section.index("</section>")].count('<span class="optimistic">') == 5


def test_without_a_baseline_there_is_no_table():
    assert baseline_rows(OWN, {}, "niwt") == ()
