"""The page in a real browser: by keyboard, in both schemes, at a phone's width, on paper and without its script."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from niwt_tf.report.page import render
from tests.report.page_contents import HOSTILE, contents_toy, scored_toy

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed.")]
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PATIENCE = 60_000  # milliseconds
# The lowest contrast of a text with what is behind it (WCAG 2.2), and whose it is.
_LOWEST_CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const luminance = c => 0.2126 * light(c[0]) + 0.7152 * light(c[1]) + 0.0722 * light(c[2]);
  const behind = element => {
    for (let each = element; each; each = each.parentElement) {
      const colour = rgba(getComputedStyle(each).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  let lowest = [99, ""];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || element.closest("script, style, title, desc")) continue;
    const style = getComputedStyle(element);
    const colour = rgba(element.closest("svg") ? style.fill : style.color);
    const [a, b] = [luminance(colour), luminance(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < lowest[0]) lowest = [ratio, `${element.tagName}.${element.className.baseVal ?? element.className}: ${element.textContent}`];
  }
  return lowest;
}"""  # noqa: E501


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    """Return a page with hostile names."""
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(contents_toy(scored_toy(3, 6, 8), HOSTILE, 3)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Yield Chromium."""
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def opened(browser, page_file):
    """Return a function that opens the page; whatever the browser complains about or asks for fails the test."""
    said: list[str] = []
    contexts = []

    def open_page(width: int = 1200, **options):
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: said.append(request.url) if request.url[:5] not in ("file:", "data:") else None)
        page.goto(page_file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def _class_rows(page) -> list[list[str]]:
    return page.eval_on_selector_all(
        "#class-rows tr:not([hidden])", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))"
    )


def test_columns_sort_by_keyboard(opened):
    page = opened()
    table = page.locator("table.sortable", has=page.locator("#class-rows"))
    before = _class_rows(page)
    head = table.get_by_role("columnheader", name="Accuracy")
    assert head.get_attribute("aria-sort") == "none"
    head.get_by_role("button").focus()
    for order in ("descending", "ascending"):
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == order
        accuracies = [float(row[3].removesuffix(" %")) for row in _class_rows(page)]
        assert accuracies == sorted(accuracies, reverse=order == "descending") and len(set(accuracies)) > 1
    by_name = table.get_by_role("columnheader", name="Class")
    by_name.get_by_role("button").click()
    assert (head.get_attribute("aria-sort"), by_name.get_attribute("aria-sort")) == ("none", "ascending")
    assert sorted(_class_rows(page)) == sorted(before) and _class_rows(page) != before


def test_empty_cells_come_last_whatever_the_direction(opened):
    page = opened()
    table = page.locator("table.sortable", has=page.locator("#class-rows"))
    for row in (0, 3):
        page.evaluate("row => { document.querySelectorAll('#class-rows tr')[row].cells[4].dataset.sort = ''; }", row)
    for order in ("ascending", "descending"):
        table.get_by_role("columnheader", name="Most often mistaken for").get_by_role("button").click()
        said = page.eval_on_selector_all("#class-rows tr", "rows => rows.map(row => row.cells[4].dataset.sort)")
        assert [text == "" for text in said] == [False] * 4 + [True] * 2, order


def _unfold(page) -> None:
    for button in page.locator(".fold").all():
        button.click()


def test_on_a_phone_sections_are_closed_until_they_are_asked_for(opened):
    page = opened(360)
    assert page.locator("#class-rows").is_hidden() and page.locator("#results table").first.is_visible()
    page.get_by_role("button", name="Show Classes").click()
    assert page.locator("#class-rows").is_visible()
    page.get_by_role("link", name="Faithfulness").click()
    playwright.expect(page.locator("table.faithfulness")).to_be_visible()
    # The list of neurons begins with six.
    page.locator("#neurons .fold").click()
    assert page.locator("#dictionary > li:visible").count() == 6
    page.locator("#neurons").get_by_role("button", name="Show all 12").click()
    assert page.locator("#dictionary > li:visible").count() == 12
    page.get_by_label("Name or number").fill("no such neuron")
    assert page.locator("#dictionary > li:visible").count() == 0


def test_the_navigation_stays_and_marks_what_is_read(opened):
    page = opened(1400)
    assert page.locator(".fold:visible").count() == 0 and page.locator("#dictionary > li:visible").count() == 12
    page.evaluate("document.getElementById('classes').scrollIntoView({behavior: 'instant'})")
    bar = page.locator(".contents").bounding_box()
    assert bar["y"] == 0
    playwright.expect(page.locator(".contents [aria-current]")).to_have_count(1)


def test_a_link_that_is_pressed_stays_under_the_pointer(opened):
    page = opened(360)
    page.get_by_role("button", name="Show Classes").click()
    top = "document.getElementById(id).getBoundingClientRect().top"
    read = f"id => scrollBy({{top: {top} - 0.3 * innerHeight, behavior: 'instant'}})"
    marked = page.locator(".contents [aria-current]")
    page.evaluate(read, "neurons")
    playwright.expect(marked).to_have_text("Neurons")
    box = page.get_by_role("link", name="Faithfulness").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    # The page still scrolls, and the navigation marks another section.
    page.evaluate(read, "classes")
    playwright.expect(marked).to_have_text("Classes")
    page.mouse.up()
    playwright.expect(page.locator("table.faithfulness")).to_be_visible()


def test_a_navigation_that_was_swiped_stays_so(opened):
    page = opened(360)
    bar = page.locator(".contents ul")
    page.evaluate("document.getElementById('gallery').scrollIntoView({behavior: 'instant'})")
    playwright.expect(page.locator(".contents [aria-current]")).to_have_text("Explained images")
    bar.evaluate("bar => bar.scrollTo({left: 400, behavior: 'instant'})")
    before = bar.evaluate("bar => bar.scrollLeft")
    box = bar.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 1)  # between the links and the edge
    page.mouse.down()
    page.mouse.up()
    page.evaluate("new Promise(done => setTimeout(() => requestAnimationFrame(done), 50))")
    assert bar.evaluate("bar => bar.scrollLeft") == before > 0


def test_a_phone_shows_every_headline_and_says_where_there_is_more(opened):
    page = opened(360)
    _unfold(page)
    assert page.evaluate("[...document.querySelectorAll('.stacked')].every(each => each.offsetWidth <= 328)")
    box = page.locator(".scroll", has=page.locator("#class-rows"))
    playwright.expect(box).to_have_class("scroll tall more")
    assert page.locator("#results > .scroll.more").count() == 0
    # The meaning is under its figure, as wide as the table.
    figure, meaning = (page.locator(f".headline tbody tr:first-child > {each}").bounding_box() for each in ("th", ".meaning"))
    assert meaning["y"] >= figure["y"] + figure["height"] and meaning["width"] > 300


def test_filters_hide_what_they_should(opened):
    page = opened()
    classes = page.locator("[data-filters=class-rows]")
    assert len(_class_rows(page)) == 6
    classes.get_by_label("Role").select_option("unseen")
    assert [row[1] for row in _class_rows(page)] == ["unseen"] * 3
    classes.get_by_label("Class").fill("AAAA")
    # The name itself, and whatever was mistaken for it.
    assert 1 <= len(_class_rows(page)) <= 3 and all("aaaa" in "".join(row) for row in _class_rows(page))
    classes.get_by_label("Class").fill("nothing is called so")
    assert _class_rows(page) == [] and classes.locator("output").inner_text() == "0 of 6 shown: no class matches"

    names = page.locator("[data-filters=dictionary]")
    names.get_by_label("Name or number").fill("nothing is called so")
    assert names.locator("output").inner_text() == "0 of 12 shown: no neuron matches"
    names.get_by_label("Name or number").fill("")
    neurons = page.locator("#dictionary > li:visible")
    assert neurons.count() == 12

    entries = page.locator("article.entry:visible")
    assert entries.count() == 4
    wrong = page.get_by_role("button", name="unseen, wrong (1)")
    wrong.focus()
    page.keyboard.press("Enter")
    assert entries.count() == 1 and wrong.get_attribute("aria-pressed") == "true"
    assert "wrong" in entries.first.inner_text()
    page.get_by_role("button", name="all (4)").click()
    assert entries.count() == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(opened, scheme):
    page = opened(color_scheme=scheme)
    page.eval_on_selector_all("details", "each => each.forEach(element => { element.open = true; })")
    ratio, whose = page.evaluate(_LOWEST_CONTRAST)
    assert ratio >= 4.5, whose
    toggle = page.get_by_role("button", name="Light" if scheme == "dark" else "Dark", exact=True)
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    toggle.click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    ratio, whose = page.evaluate(_LOWEST_CONTRAST)
    assert ratio >= 4.5, whose


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_the_page_does_not_scroll_sideways(opened, width):
    page = opened(width)
    if width == 360:
        _unfold(page)
    page.eval_on_selector_all("details", "each => each.forEach(element => { element.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    navigation = "(n => [n.domContentLoadedEventEnd, n.loadEventEnd])(performance.getEntriesByType('navigation')[0])"
    print(f"{width} px wide: loaded after {page.evaluate(navigation)} ms")


def test_the_keyboard_reaches_the_results_and_shows_where_it_is(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    ring = "(style => [style.outlineStyle, parseFloat(style.outlineWidth)])(getComputedStyle(document.activeElement))"
    assert page.evaluate(ring) == ["solid", 3]
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#main")).to_be_focused()


def test_a_cell_of_the_matrix_is_named(opened):
    page = opened()
    matrix = page.locator("#confusion-matrix")
    matrix.scroll_into_view_if_needed()
    box, width = matrix.bounding_box(), matrix.evaluate("svg => svg.viewBox.baseVal.width")
    scale = box["width"] / width
    page.mouse.move(box["x"] + scale * (168 + 6), box["y"] + scale * (168 + 6))
    text = page.locator("#cell").inner_text()
    assert text.startswith(f"{HOSTILE[0]} classified as {HOSTILE[0]}: ") and text.endswith(" of 8 images")


def test_without_its_script_everything_is_there(opened):
    page = opened(java_script_enabled=False)
    assert page.locator(".controls:visible").count() == 0
    assert page.locator("#class-rows tr:visible").count() == 6 and page.locator("article.entry:visible").count() == 4
    assert page.locator("table button").count() == 0


def test_paper_shows_what_was_hidden(opened):
    page = opened()
    page.get_by_role("button", name="unseen, wrong (1)").click()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("article.entry:visible").count() == 4 and page.locator(".controls:visible").count() == 0
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(28, 32, 38)"
    assert page.get_by_text("Candidates for stage 3").is_visible()
    assert page.locator("tr.chosen").is_visible()
    assert page.pdf()[:5] == b"%PDF-"
