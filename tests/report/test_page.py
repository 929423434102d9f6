"""The page is one whole, well-formed file whatever the names are and whatever is absent."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from niwt_tf.report.contents import Estimate
from niwt_tf.report.headline_intervals import headline_estimates
from niwt_tf.report.page import breakable, figure, interval, page_sources, percent, render
from tests.report.page_contents import HOSTILE, PIXEL, contents_toy, scored_toy

VOID = {"meta", "link", "img", "br", "wbr", "input", "hr"}


class Page(HTMLParser):
    """Collects the elements and complains about one that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert len({name for name, _ in attributes}) == len(attributes), (tag, attributes)
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for each, attributes in self.elements if each == tag]


@pytest.fixture(scope="module")
def text():
    return render(contents_toy(scored_toy(3, 6, 8), HOSTILE, 3))


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_names_are_texts_and_nothing_else(page):
    assert [attributes.get("type") for attributes in page.all("script")] == ["application/json", None]
    assert len(page.all("style")) == 1
    whole = "".join(page.texts)
    for name in HOSTILE:
        assert name in whole
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert {attributes["src"] for attributes in page.all("img")} == {PIXEL}
    assert {attributes["href"][0] for attributes in page.all("a")} == {"#"}


def test_nothing_is_asked_of_the_network(text, page):
    assert re.findall(r"(?:https?:|@import|url\()", text) == []
    policy = next(each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;") and "script-src 'sha256-" in policy


def test_it_can_be_read_without_seeing_it(page):
    assert all(attributes.get("alt") for attributes in page.all("img"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("caption") == tags.count("table") and tags.count("main") == 1
    assert all(attributes.get("scope") for attributes in page.all("th"))
    identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(identities)) == len(identities)
    named = " ".join(attributes.get("aria-labelledby") or "" for _, attributes in page.elements).split()
    targets = {each["href"][1:] for each in page.all("a")} | set(named)
    assert targets <= set(identities)
    assert tags.count("title") == tags.count("svg") + 1 and tags.count("desc") == tags.count("svg") == 4


def test_controls_are_hidden_until_the_script_runs(page):
    hidden = [attributes for _, attributes in page.elements if "controls" in (attributes.get("class") or "").split()]
    assert len(hidden) >= 5 and all("hidden" in attributes for attributes in hidden)


def test_how_many_were_left_out_is_said_beside_how_many_were_measured(page):
    place = page.texts.index("n = 1,200")
    assert page.texts[place + 1] == "34 left out"
    assert sum(each.endswith(" left out") for each in page.texts) == 1  # nothing is said of none


def test_what_is_absent_is_said():
    names = ("ant", "bee", "cat")
    text = render(contents_toy(scored_toy(2, 3, 4, only_seen=True), names, 2, explained=False))
    Page(text)
    assert "There is no test image of an unseen class" in text
    assert "need test images of both kinds" in text and "The curves as tables" not in text
    assert "not measured, the data set has no boxes" in text
    assert "No neuron has a name that is confirmed" in text and "There are no test images to explain." in text
    assert "Grey rows have no test image" in text


def test_an_optimistic_result_is_called_so_beside_its_figure():
    contents = contents_toy(scored_toy(3, 6, 2), HOSTILE, 3)
    assert "optimistic</span>" not in render(contents)
    text = render(replace(contents, optimistic=("its <images> were seen", "so")))
    Page(text)
    assert text.count('% <span class="optimistic">optimistic</span></td>') == len(contents.headline)
    assert "because its &lt;images&gt; were seen; so." in text


def test_without_any_test_image():
    scored = scored_toy(2, 3, 0)
    text = render(contents_toy(scored, ("ant", "bee", "cat"), 2, explained=False))
    Page(text)
    assert "There are no test images, so nothing could be measured." in text
    assert "nan" not in re.sub(r"<(script|style).*?</\1>", "", text, flags=re.S)


def test_large_ones_stay_small():
    names = tuple(f"class {c}" for c in range(1600))
    scored = scored_toy(1400, 1600, 2)
    estimates = headline_estimates(scored_toy(3, 6, 2), 3, 1.0)
    contents = contents_toy(scored, names, 1400, neurons=10_000, estimates=estimates)
    text = render(contents)
    assert len(text) < 2_500_000
    assert "the first 1,500 of 1,600 classes" in text and "10,000 of 10,000 neurons have a confirmed name" in text
    assert text.count('<tr data-text="') == 1500
    assert f"30 of {contents.results.num_pairs:,}" in text


def test_filters_of_texts():
    assert percent(0.1234) == "12.3 %" and percent(None) == percent(float("nan")) == "n/a"
    assert interval(Estimate(0.5, 0.25, 1.0)) == "25.0 to 100.0" and interval(Estimate(0.5)) == ""
    assert figure(-0.5) == "\N{MINUS SIGN}0.500" and figure(None) == "n/a"
    assert breakable("a_b/<c>") == "a_<wbr>b/<wbr>&lt;c&gt;"


def _gallery_of(text):
    return text[text.index('<section id="gallery"') : text.index('<section id="faithfulness"')]


def test_names_of_neurons_carry_what_was_measured(text):
    shown = re.sub(r"<[^>]*>", "", _gallery_of(text))
    assert "no. 3, AUC 0.99" in shown and "no. 4, AUC 0.76" in shown and "sure" not in shown
    dictionary = re.sub(r"<[^>]*>", "", text[text.index('<section id="neurons"') : text.index('<section id="maps"')])
    assert "12 of 12 neurons have a confirmed name" in dictionary
    assert "(the lower 90 % bound of its AUC must be above 0.75)" in dictionary


def test_why_a_figure_of_a_neuron_is_absent(text):
    assert "n/a if all test images have the attribute, or none" in text


def test_a_word_is_true_of_the_image_only_where_that_is_known(text):
    of_class = render(contents_toy(scored_toy(3, 6, 8), HOSTILE, 3, own_attributes=False))
    assert "true of the image" in text and "true of its class" not in text
    assert "true of the image" not in of_class and 'title="true of its class"' in of_class


def test_words_of_one_group_stand_together(text):
    entry = _gallery_of(text).partition("<article")[2].partition("<h4>Neurons")[0]
    words = " ".join(re.sub(r"<[^>]*>", " ", entry.partition('<ul class="words for">')[2]).split())
    assert words.count("beak") == 1 and "beak long +0.50 dark red +0.25" in words


def test_the_page_changes_with_its_sources():
    names = {path.name for path in page_sources()}
    assert {"report.html.j2", "report.css", "report.js"} <= names


def test_cells_are_named_by_the_record_of_the_page(text):
    import json

    record = json.loads(re.search(r'id="cells">(.*?)</script>', text, re.S)[1])
    assert record["names"][0] == HOSTILE[0] and sum(record["cells"][2]) == sum(record["totals"]) == 48
    assert np.all(np.array(record["totals"]) == 8)


def test_a_name_can_be_copied_as_jobs_take_it():
    names = ("001.Red_Finch", "Owl", "002.Blue_Finch")
    text = render(contents_toy(scored_toy(2, 3, 4), names, 2))
    classes = text[text.index('<section id="classes"') : text.index('<section id="again"')]
    assert '<bdi title="001.Red_Finch">Red Finch</bdi> <code' in classes
    row = re.sub(r"<[^>]*>", "", classes.partition('<th scope="row">')[2].partition("</th>")[0])
    assert row == "Red Finch 001.Red_Finch"
    assert 'title="Owl">Owl</bdi></th>' in classes  # nothing to add where they are the same
    before = text[: text.index('<section id="classes"')]
    assert '<bdi title="002.Blue_Finch">Blue Finch</bdi>' in before[before.index('<section id="confusions"') :]


def test_an_empty_map_is_said_to_be_empty(text):
    entries = _gallery_of(text).split("<article")[1:]
    assert ["no place of the image supports" in entry for entry in entries] == ["entry wrong" in entry for entry in entries]


def test_how_the_calibration_was_chosen(text):
    contents = contents_toy(scored_toy(3, 6, 8), HOSTILE, 3)
    without = render(replace(contents, calibration_chosen=False))
    assert "it was chosen on validation classes" in text and "so it is 0" not in text
    assert "it was chosen on validation classes" not in without
    assert "too few seen classes to choose it on, so it is 0" in without


def test_that_no_neuron_has_a_name(text):
    contents = contents_toy(scored_toy(3, 6, 8), HOSTILE, 3)
    assert contents.dictionary is not None
    without = render(replace(contents, dictionary=replace(contents.dictionary, entries=(), num_named=0)))
    assert "No neuron has a name that is confirmed" in without and "No neuron has a name that is confirmed" not in text



def test_a_side_on_which_nothing_was_measured_has_no_column():
    contents = contents_toy(scored_toy(3, 6, 8), HOSTILE, 3)
    (row,) = contents.faithfulness
    for sides in (["seen", "all"], ["unseen"]):
        given = replace(row, estimates={side: row.estimates["seen"] for side in sides})
        page = render(replace(contents, faithfulness=(given, given)))
        table = page.split('<table class="faithfulness">')[1].split("</table>")[0]
        assert re.findall('class="number">(.*?)</th>', table) == [side.capitalize() for side in sides]
        assert table.count("<td") == 2 * len(sides)


def test_an_interval_without_a_width_is_a_dash():
    estimates = headline_estimates(scored_toy(3, 6, 2), 3, 1.0) | {"acc_zsl": Estimate(1.0)}
    text = render(contents_toy(scored_toy(3, 6, 2), HOSTILE, 3, estimates=estimates))
    row = text.partition('<th scope="row">ZSL</th>')[2].partition("</tr>")[0]
    assert '<td class="number range">–</td>' in row
