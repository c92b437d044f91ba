"""Makes the two pictures of the page that the README shows, in headless Chromium.

    ganbench run benchmark.toml && ganbench report results/quickstart
    python docs/screenshots.py results/quickstart/report/index.html

Needs Chromium with its driver (Debian: apt-get install chromium chromium-driver), and selenium (``ganbench[dev]``).
"""

from __future__ import annotations

import io
import shutil
import time
from pathlib import Path

import click
from PIL import Image
from selenium import webdriver

FOLDER = Path(__file__).parent / "images"
#: File -> the part of the page that is at the top, the height in pixels, and whether it is dark.
PICTURES = {"page-leaderboard.png": ("leaderboard", 1360, False), "page-samples.png": ("samples", 760, True)}
WIDTH, COLOURS = 1280, 128


def chromium(dark: bool, height: int) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wanted = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    return driver


@click.command()
@click.argument("page", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(page: Path) -> None:
    """Take the pictures of PAGE, an index.html."""
    FOLDER.mkdir(exist_ok=True)
    for name, (part, height, dark) in PICTURES.items():
        driver = chromium(dark, height)
        try:
            driver.get(page.resolve().as_uri())
            for _ in range(3):  # charts above take their final height as they are drawn
                driver.execute_script("document.getElementById(arguments[0]).scrollIntoView()", part)
                time.sleep(0.7)
            with Image.open(io.BytesIO(driver.get_screenshot_as_png())) as image:
                image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(FOLDER / name, optimize=True)
        finally:
            driver.quit()
        click.echo(f"{FOLDER / name}: {(FOLDER / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
