"""examples/ganbench-sngan is a package as anybody could publish it: public modules only, tested from its own wheel."""

from __future__ import annotations

import ast
import re
import shutil
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from environments import ROOT, Environment

EXAMPLE = ROOT / "examples" / "ganbench-sngan"
#: What it says in its pyproject.toml that it depends on, as modules.
DECLARED = {"numpy", "pytest", "sklearn", "torch", "torch_fidelity"}
TINY = """
name = "tiny"
seeds = 1
budget = { generator_updates = 20 }
evaluate = { times = 2, samples = 100 }
metrics = ["fcd", "kcd"]
requires = ["ganbench-sngan>=0.1"]

[[grid]]
variants = ["sngan/sngan", "sngan/lsgan"]
datasets = ["digits"]
params.width = 8
"""


def imported(source: Path) -> set[str]:
    """Full names of the modules that a file imports, at whatever place."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{source} imports relatively, which this test cannot follow"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == "ganbench" else {module}
    return found


def test_it_imports_nothing_of_ganbench_but_the_api_and_the_kit_and_nothing_undeclared() -> None:
    sources = list(EXAMPLE.rglob("*.py"))
    modules = {module for source in sources for module in imported(source)}
    assert {module for module in modules if module.partition(".")[0] == "ganbench"} == {
        "ganbench.api",
        "ganbench.testing",
    }
    roots = {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names)
    assert roots == {"ganbench", "ganbench_sngan", *DECLARED}


@pytest.mark.slow  # test_scaffold and test_tutorial go the same way with less
def test_its_wheel_passes_its_own_tests_and_runs_on_digits(environment: Environment, tmp_path: Path) -> None:
    environment.run(f"pip wheel -q --no-deps --wheel-dir dist {EXAMPLE}", tmp_path)
    (wheel,) = (tmp_path / "dist").iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith(("/sngan.py", "/py.typed", "/LICENSE"))]
    assert not [name for name in names if "test" in name]
    environment.run(f"pip install -q {wheel}", tmp_path)  # not without its dependencies, so that its bounds are tried
    place = environment.run("python -c 'import ganbench_sngan; print(ganbench_sngan.__file__)'", tmp_path)
    assert Path(place.strip()).is_relative_to(environment.folder)

    # Away from its source, so that the wheel is what is tested; in two halves, as either keeps a core busy.
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    shutil.copy(EXAMPLE / "digits.toml", tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    pytest = "pytest -p no:cacheprovider -q -rfEX tests"
    with ThreadPoolExecutor(1) as pool:
        conformance = pool.submit(environment.run, f"{pytest}/test_conformance.py", tmp_path)
        assert "15 to train" in environment.run("ganbench plan digits.toml", tmp_path)
        assert "2 done" in environment.run("ganbench run tiny.toml --jobs 1 && ganbench report results/tiny", tmp_path)
        others = environment.run(f"{pytest} --ignore tests/test_conformance.py", tmp_path)
    board = (tmp_path / "results" / "tiny" / "leaderboard.md").read_text()
    assert set(re.findall(r"\| +\d \| (\w+) +\|.*\| 1/1 ", board)) == {"sngan", "lsgan"}, board
    assert "kcd ↓" in board
    both = conformance.result() + others
    counts = [int(count) for count in re.findall(r"^(\d+) passed", both, re.MULTILINE)]
    print(counts)
    assert len(counts) == 2
    assert min(counts) > 30
