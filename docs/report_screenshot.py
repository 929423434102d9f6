"""Makes docs/report.png again, of the report of the birds: give PAGE FILE [WIDTH]."""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ENTRIES, MARGIN = 3, 16


def main(page_file: str, file: str, width: str = "1100") -> None:
    """Photograph the heading and the first entries of the explained images."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": int(width), "height": 900}, color_scheme="light")
        page.goto(Path(page_file).resolve().as_uri())
        top = page.locator("#gallery").bounding_box()["y"] - MARGIN
        boxes = [page.locator(".entry").nth(number).bounding_box() for number in range(ENTRIES)]
        bottom = max(box["y"] + box["height"] for box in boxes) + MARGIN
        clip = {"x": 0, "y": top, "width": int(width), "height": bottom - top}
        picture = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip))).convert("RGB")
        # The colours that stand for something are few among those of photographs: every colour counts the same.
        picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3).save(file, optimize=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
