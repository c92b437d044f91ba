"""Fixtures shared by all tests: a data root of the session's own, tiny plugins, and benchmark files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from environments import Environment, install_ganbench
from forked import Command

# One thread, so that results do not depend on the machine's number of cores; set before torch starts its own.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root that the whole session shares, so that digits are prepared and classified once."""
    return tmp_path_factory.mktemp("data-root")


@pytest.fixture(scope="session")
def ganbench_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which ganbench was installed from its wheel."""
    site = tmp_path_factory.mktemp("site")
    install_ganbench(site)
    return site


@pytest.fixture
def environment(tmp_path: Path, ganbench_site: Path) -> Environment:
    """A fresh virtual environment with ganbench, from its wheel."""
    return Environment(tmp_path, ganbench_site)


@pytest.fixture(autouse=True)
def _own_data_root(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(data_root))


@pytest.fixture(autouse=True)
def _forks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports fork, whatever stores another test has opened."""
    monkeypatch.setattr("ganbench.aside._FORKS", sys.platform == "linux")


@pytest.fixture(autouse=True)
def _denormal_numbers() -> Iterator[None]:
    """What trains in this process sets denormal numbers to zero, which hypothesis does not work with."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)


@pytest.fixture
def plugin_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], EntryPoint]:
    """Make a module from source text and return an entry point of group ``ganbench`` that names it."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, source: str) -> EntryPoint:
        module = f"plugin_{name.replace('-', '_')}_{abs(hash(source))}"
        (tmp_path / f"{module}.py").write_text(source)
        return EntryPoint(name, module, "ganbench")

    return make


MINI = """
name = "mini"
seeds = 1
budget = { generator_updates = 4 }
evaluate = { times = 2, samples = 100 }
metrics = ["cs", "fcd"]

[[grid]]
variants = ["mlp-gan"]
datasets = ["digits"]
params.width = 8
"""


@pytest.fixture
def toml(tmp_path: Path) -> Callable[..., Path]:
    """Write a benchmark file: the smallest one, or `text`, with replacements ``old=new`` applied."""

    def write(text: str = MINI, *replacements: tuple[str, str]) -> Path:
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "bench.toml"
        path.write_text(text)
        return path

    return write


def install(site: Path, name: str, source: str) -> dict[str, str]:
    """Put a distribution of one module and its entry point into `site`; the environment in which it is installed."""
    info = site / f"{name}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[ganbench]\n{name} = ganbench_{name}\n")
    (site / f"ganbench_{name}.py").write_text(source)
    return {**os.environ, "PYTHONPATH": str(site)}


def ganbench(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = Command(arguments, environment)
    try:
        stdout, stderr = command.communicate(120)
    finally:
        command.kill()
    return subprocess.CompletedProcess(["ganbench", *map(str, arguments)], command.wait(), stdout, stderr)
