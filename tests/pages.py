"""A made-up study of 200 cells in which everything happens that can, and a browser to look at its page with."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from ganbench.testing.records import Records

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">'&amp; ${1+1} {{ 7*7 }} <b>bold</b>"
SYMBOLS = {"batch_size": "BS", "upsample": "UP"}
ENVIRONMENT = {
    "python": "3.11.7", "system": "Linux", "processor": "Example CPU", "cores": 2, "device": "cpu",
    "packages": {"ganbench": "0.1.0", "torch": "2.15.0"}, "git": "9c0d934efd24",
}  # fmt: skip


def study(root: Path, *, sheets: bool = True) -> Records:
    """200 cells: four variants, five batch sizes, two upsamplings, five seeds, and one of each way to end."""
    with mock.patch("os.fsync"):  # which would take most of the time
        return _study(root, sheets)


def _study(root: Path, sheets: bool) -> Records:
    random, records = np.random.default_rng(0), Records(root)
    records.run |= {"name": "two hundred", "budget": {"unit": "epochs", "amount": 5.0}}
    sheet, buffer = Image.fromarray(random.integers(0, 256, (42, 42), dtype=np.uint8)), io.BytesIO()
    sheet.save(buffer, "PNG")
    ways = {("wgan", 16): "diverged", ("wgan", 256): "failed", ("mlp-gan", 256): "planned", ("mlp-gan", 16): "running",
            ("dcgan", 256): "oom"}  # fmt: skip
    for place, variant in enumerate(("dcgan", "mlp-gan", "wgan", "wgan-gp")):
        for size in (16, 32, 64, 128, 256):
            for upsample in ("nearest", "transposed"):
                for seed in range(5):
                    status = ways.get((variant, size), "done") if seed == 4 or upsample == "nearest" else "done"
                    params = {"batch_size": size, "upsample": upsample, "lr": 0.0002}
                    ends = (3 + 2 * place + size / 100 + (upsample == "nearest")) * float(np.exp(random.normal(0, 0.1)))
                    values = {at: ends + 40 * (place + 1) / at for at in range(10, 101, 10)}
                    curve = {at: {"fcd": value, "cs": 9 - value / 10} for at, value in values.items()}
                    known: dict[str, Any] = {"environment": ENVIRONMENT, "classes": _classes(random)}
                    if status == "done":
                        best: dict[str, float] | None = {"fcd": ends * 1.01, "cs": 9 - ends / 10}
                        known["speed"] = {"flops_per_second": 1e9 * (place + 1), "images_per_second": 900.0 - size}
                    else:
                        best, known = None, {"environment": ENVIRONMENT}
                    if status in ("planned", "running"):
                        curve = {}
                    folder = records.cell(
                        variant, seed, best, status=status, params=params, symbols=SYMBOLS, curve=curve,
                        reason=f"{status}: <b>why</b>" if status in ("failed", "diverged", "oom") else None,
                        task={"budget": records.run["budget"], "evaluate": {"times": 10, "samples": 1000},
                              "precision": "fp32"},
                        **known,
                    )  # fmt: skip
                    if status in ("failed", "diverged"):
                        (folder / "log.txt").write_text("\x1b[31mTraceback\x1b[0m\nValueError: " + HOSTILE + "\n")
                    if sheets and status == "done":
                        (folder / "samples").mkdir()
                        for at in values:
                            (folder / "samples" / f"{at:08d}.png").write_bytes(buffer.getvalue())
    records.cell("cgan", 0, None, skip="digits without labels: " + HOSTILE, params={"lr": 0.0002})
    sheet.save(records.dataset(real={"fcd": 0.4, "cs": 9.2}) / "real.png")
    return records


def _classes(random: np.random.Generator) -> dict[str, list[float]]:
    shares = random.dirichlet([8.0] * 10)
    return {"samples": [float(share) for share in shares], "train": [0.1] * 10}


def browser(width: int = 1400, height: int = 900, *, dark: bool = False) -> Any:
    """Headless Chromium; the test is skipped, with the reason, where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (it is in ganbench[dev])")
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("no Chromium with its driver here (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    sizes = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    made.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sizes)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    reduced = {"name": "prefers-reduced-motion", "value": "reduce"}
    made.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, reduced]})
    return made
