"""Makes docs/studio.png and docs/studio.webp again, while `niwt studio` shows the birds: give ADDRESS PICTURE ANIMATION.

The words describe a Rosy Breasted Bunting. So that the new class gets its images, first remove the class from the bundle:
`niwt remove_class --bundle=exports/birds --name=037.Rosy_Breasted_Bunting`.

It also prints how long it took from an arrow key on a slider to the answer on the page.
"""

import io
import shutil
import sys
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WORDS = "A bird with a black crown, green barred wings, a pink striped breast, a green tail and an ivory bill."


SIZE, SMALL_SIZE, SMALL_WIDTH = (1280, 1640), (1280, 860), 900  # of the page for each, and of the animation, in pixels
SECONDS = 2.5  # that each picture of the animation stands
MOST_BYTES = 1_000_000


def main(address: str, file: str, animation: str) -> None:
    """Describe a bird in words, move a slider, and photograph the page, at each step and at the end."""
    with sync_playwright() as started:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport=dict(zip(("width", "height"), SMALL_SIZE, strict=True)))
        page.set_default_timeout(600_000)  # a busy machine reads the images for minutes
        page.goto(address)
        page.get_by_text("Where the network looks").first.wait_for()
        steps = [photograph(page)]
        page.get_by_role("tab", name="Compose a class").click()
        page.get_by_text("Computed in").first.wait_for()
        steps.append(photograph(page))
        page.get_by_label("Or describe the class in words").fill(WORDS)
        steps.append(photograph(page))
        page.get_by_role("button", name="Read the text").click()
        page.get_by_text("Of the text").first.wait_for()
        steps.append(photograph(page))
        page.get_by_text("leg_length").first.click()
        page.get_by_role("slider").first.focus()
        times = sorted(answered(page, key) for key in ["ArrowRight", "ArrowLeft"] * 7 + ["ArrowRight"])
        print(f"from key to answer: median {times[7]:.2f} s, from {times[0]:.2f} to {times[-1]:.2f} s over 15 keys")
        page.set_viewport_size(dict(zip(("width", "height"), SIZE, strict=True)))
        photograph(page).quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
        browser.close()
    size = SMALL_WIDTH, SMALL_SIZE[1] * SMALL_WIDTH // SMALL_SIZE[0]
    small = [step.resize(size, Image.Resampling.LANCZOS) for step in steps]
    options = {"append_images": small[1:], "duration": int(SECONDS * 1000), "loop": 0, "quality": 80, "method": 6}
    small[0].save(animation, save_all=True, **options)
    written = Path(animation).stat().st_size
    print(f"{animation}: {len(small)} pictures, {written} bytes")
    assert written < MOST_BYTES


def photograph(page) -> Image.Image:
    """Return the top of the page, once it is at rest."""
    page.wait_for_timeout(2000)
    page.get_by_text("Computing the explanation").wait_for(state="hidden")  # what a slow machine is still at
    page.get_by_test_id("stMain").evaluate("main => main.scrollTop = 0")
    page.wait_for_timeout(2000)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def answered(page, key: str) -> float:
    """Return the seconds from a key to the claims that follow from it."""
    page.wait_for_timeout(2000)  # until nothing is left of the answer before
    # The computation's own time stands there; it is hardly ever the same to a hundredth of a millisecond.
    caption = page.get_by_text("Computed in").first.inner_text()
    begun = time.perf_counter()
    page.keyboard.press(key)
    page.wait_for_function("before => !document.body.innerText.includes(before)", arg=caption, polling=20)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main(*sys.argv[1:])
