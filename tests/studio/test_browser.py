"""The page as people use it: `niwt studio` in a process of its own and a real browser, by keyboard, also at a phone's width."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from niwt_tf.serving.bundle.bundle import Bundle
from tests.studio.conftest import HOSTILE, png

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("streamlit", reason="streamlit is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed.")]
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120_000  # milliseconds
# How the element with the focus is marked.
_RING = "(style => `${style.boxShadow} ${style.outlineStyle}`)(getComputedStyle(document.activeElement))"


@pytest.fixture
def served(exported, images, tmp_path, repository) -> Iterator[tuple[str, Path]]:
    """Yield the page's address and its folder of versions; the server must end at once and well when it is interrupted."""
    folder = tmp_path / "toy"
    shutil.copytree(exported, folder / "1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [f"--bundle={folder}", f"--images={images}", f"--port={port}"]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "niwt_tf", "studio", *flags], stdout=log, stderr=log, env=environment, cwd=tmp_path
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address, server, tmp_path / "log")
        yield address, folder
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE / 1000) == 0
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        server.kill()
        server.wait()


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            with urlopen(f"{address}/_stcore/health", timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(log.read_text())


def test_a_class_is_composed_by_keyboard_and_saved(served, tmp_path):
    address, folder = served
    said, asked = [], []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)

        page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
            {"name": "<i>mine</i>.png", "mimeType": "image/png", "buffer": png(7)}
        )
        _image(page, "The image <i>mine</i>.png").wait_for()
        _image(page, "Heat map").wait_for()
        rows = page.locator("[data-testid=stDataFrame] td", has_text=HOSTILE)
        rows.first.wait_for(state="attached")
        # The bundle answers with four classes, each with its probability.
        best = page.get_by_test_id("stDataFrame").first.locator("tbody tr")
        assert best.count() == 4

        page.get_by_role("tab", name="Try an image").focus()
        page.keyboard.press("ArrowRight")
        heading = page.get_by_role("heading", name="The new class gets")
        heading.wait_for()
        before = heading.inner_text()
        _tab_to(page, "fur")
        assert page.evaluate(_RING) != "none none"
        _press_until_changed(page, heading, before)
        assert page.get_by_role("slider").count() == 6
        label = page.get_by_test_id("stSlider").nth(3).get_by_test_id("stWidgetLabel")
        assert label.inner_text().replace("\u2060", "").strip() == HOSTILE
        assert page.locator("img[src=x], a[href^=javascript], .katex").count() == 0

        page.set_viewport_size({"width": 390, "height": 844})
        heading.scroll_into_view_if_needed()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.screenshot(path=tmp_path / "phone.png")

        page.get_by_label("Name of the new class").fill(f"zebra {HOSTILE}")
        page.keyboard.press("Tab")
        page.get_by_role("button", name="Save the class").click()
        page.get_by_text("Saved. This page now uses the new version").wait_for()
        page.get_by_text("version 2").wait_for()
        assert page.locator("img[src=x], a[href^=javascript], .katex").count() == 0
        browser.close()
    assert Bundle.open(folder).folder.name == "2"
    assert Bundle.open(folder).labels[-1] == f"zebra {HOSTILE}"
    assert said == []
    assert {url for url in asked if not url.startswith((address, f"ws{address[4:]}", "data:", "blob:"))} == set()
    assert (tmp_path / "phone.png").stat().st_size > 1000


def _image(page, name):
    return page.get_by_role("img", name=name)


def _tab_to(page, name: str) -> None:
    """Go on by the tab key until the slider of that name has the focus."""
    slider = page.get_by_role("slider", name=name)
    slider.wait_for()
    for _ in range(40):
        page.keyboard.press("Tab")
        if slider.evaluate("e => e === document.activeElement"):
            return
    raise AssertionError(f"The tab key does not reach the slider {name!r}.")


def _press_until_changed(page, heading, before: str) -> None:
    """Move this slider and the next ones by arrow keys until other images are claimed."""
    for key in ("ArrowRight", "ArrowLeft"):
        for _ in range(6):
            for _ in range(50):
                page.keyboard.press(key)
            end = time.monotonic() + 10
            while time.monotonic() < end:
                if heading.inner_text() != before:
                    return
                page.wait_for_timeout(200)
            page.keyboard.press("Tab" if key == "ArrowRight" else "Shift+Tab")
    raise AssertionError("No slider changes what is claimed.")
