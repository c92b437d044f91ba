"""Fresh virtual environments that see the packages of this one, so that torch is not installed for every test."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


class Environment:
    """A virtual environment in ``folder/venv`` in which ganbench is installed as in `site`, and no other plugin."""

    def __init__(self, folder: Path, site: Path) -> None:
        self.folder = folder / "venv"
        venv.create(self.folder, symlinks=True)
        (own,) = self.folder.glob("lib/python*/site-packages")
        # Where packages are installed here; this repository itself, which is installed editably, is not among them.
        shared = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        (own / "shared.pth").write_text("\n".join([str(site), *shared]) + "\n")
        for command, module in {"ganbench": "ganbench.cli", "pip": "pip", "pytest": "pytest"}.items():
            script = self.folder / "bin" / command
            script.write_text(f'#!/bin/sh\nexec "{self.folder}/bin/python" -m {module} "$@"\n')
            script.chmod(0o755)

    @property
    def variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return kept | {
            "PATH": f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.folder),
            "PIP_NO_INDEX": "1",  # all there is to install is here
            "PIP_NO_BUILD_ISOLATION": "0",  # which is how pip spells that there is none
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(self, commands: str, where: Path, timeout: float = 300, expect: int = 0) -> str:
        """What shell commands print, standard error included. Asserts that they end with `expect`."""
        outcome = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=where,
            env=self.variables,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
        )
        assert outcome.returncode == expect, outcome.stdout[-5000:]
        return outcome.stdout


def install_ganbench(site: Path) -> None:
    """Build the wheel of this repository and unpack it into the folder `site`."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--target", site, ROOT], check=True, capture_output=True, timeout=120)
