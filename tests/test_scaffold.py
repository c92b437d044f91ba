"""``ganbench new plugin``: for each kind a package that works at once."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner
from environments import Environment

from ganbench import __version__, scaffold
from ganbench.cli import main
from ganbench.errors import UserError
from ganbench.plugins import KINDS
from ganbench.scaffold import NEW, bounds, write

ROOT = Path(__file__).parent.parent
ALL_SIX = """
name = "six"
seeds = 1
budget = { generator_updates = 20 }
evaluate = { times = 2, samples = 100 }
metrics = ["fcd", "new-metric"]
rank = { metric = "new-metric", at = "last" }
extractors = { classifier = "new-extractor" }
requires = ["ganbench-new-variant>=0.1"]
probes = ["new-probe"]
executor = { name = "new-executor", params = { grace = 5.0 } }

[[grid]]
variants = ["new-variant"]
datasets = ["new-dataset"]
"""

#: How many checks of each kind pass at least: those that are not applicable are not among them.
LEAST = {"variant": 23, "dataset": 15, "extractor": 14, "metric": 15, "probe": 11, "executor": 12, "reporter": 9}


@pytest.fixture
def packages(tmp_path: Path) -> dict[str, Path]:
    """One package of each kind."""
    return {kind: write(f"new-{kind}", kind, tmp_path / "packages") for kind in NEW}


def test_every_kind_that_plugins_provide_can_be_written() -> None:
    assert [f"{kind}s" for kind in NEW] == list(KINDS)
    assert set(scaffold._TRY) == set(NEW)


def _conform(kinds: Iterable[str], environment: Environment, folder: Path) -> dict[str, int]:
    """Run the packages' own tests by one pytest: how many checks passed of each kind. Asserts that none failed."""
    tests = " ".join(f"packages/ganbench-new-{kind}/tests" for kind in kinds)
    printed = environment.run(f"pytest -p no:cacheprovider --import-mode=importlib -rA -q {tests}", folder)
    assert not re.findall("^(FAILED|ERROR|XFAIL)", printed, re.MULTILINE), printed
    return {kind: len(re.findall(rf"^PASSED .*\[{kind}s/new-{kind}/", printed, re.MULTILINE)) for kind in kinds}


@pytest.mark.slow
def test_all_kinds_are_installed_from_wheels_conform_and_run_together(
    packages: dict[str, Path], environment: Environment, tmp_path: Path
) -> None:
    folders = " ".join(f"packages/{folder.name}" for folder in packages.values())
    environment.run(f"pip wheel -q --no-deps --wheel-dir dist {folders}", tmp_path)
    environment.run("pip install -q --no-deps dist/*.whl", tmp_path)
    for wheel in (tmp_path / "dist").iterdir():
        names = zipfile.ZipFile(wheel).namelist()
        assert [name for name in names if name.endswith((".py", "/py.typed", "/LICENSE"))]
        assert not [name for name in names if "test" in name]
    # The executor starts Python and torch for every unit: its own checks are slow, and it runs what follows.
    passed = _conform([kind for kind in NEW if kind != "executor"], environment, tmp_path)
    assert {kind: count for kind, count in passed.items() if count < LEAST[kind]} == {}
    (tmp_path / "benchmark.toml").write_text(ALL_SIX)
    environment.run("ganbench run benchmark.toml", tmp_path)
    environment.run("ganbench report results/six", tmp_path)
    table = (tmp_path / "results" / "six" / "report" / "new-reporter.csv").read_text().splitlines()
    assert table[0] == "dataset,variant,configuration,metric,mean,seeds"
    assert len(table) == 2
    assert table[1].startswith("new-dataset,new-variant,BS=64 LDIM=64 WIDTH=256 η=0.001,new-metric,")
    assert len(list((tmp_path / "results" / "six").glob("cells/*/probes/new-probe-*/rays.png"))) == 1
    for folder in packages.values():
        environment.run("ganbench plan benchmark.toml", folder)


@pytest.mark.slow
def test_the_executor_conforms(packages: dict[str, Path], environment: Environment, tmp_path: Path) -> None:
    environment.run("pip install -q --no-deps packages/ganbench-new-executor", tmp_path)
    assert _conform(["executor"], environment, tmp_path)["executor"] >= LEAST["executor"]


@pytest.mark.slow
def test_the_small_benchmark_of_every_kind_runs(packages: dict[str, Path], environment: Environment) -> None:
    folders = " ".join(str(folder) for folder in packages.values())
    environment.run(f"pip install -q --no-deps {folders}", Path())
    for kind, folder in packages.items():
        (commands,) = re.findall(r"```bash\n(ganbench run.*?)```", (folder / "README.md").read_text(), re.DOTALL)
        printed = environment.run(commands, folder)
        assert "2 done" in printed or "4 done" in printed, kind


def test_the_generated_code_is_clean(packages: dict[str, Path], tmp_path: Path) -> None:
    folder = next(iter(packages.values())).parent
    longest = write("a-name-as-long-as-the-longest-that-may-b", "metric", folder)
    assert len(longest.name) == len("ganbench-") + 40
    rules = "E,F,I,B,UP,SIM,C4,PT,RUF,D"
    ignored = "D1,D203,D205,D213,D400,D401,D415,RUF001,RUF002,RUF003"
    for command in [f"check --extend-select {rules} --ignore {ignored}", "format --check"]:
        outcome = subprocess.run(
            [sys.executable, "-m", "ruff", *command.split(), "."], cwd=folder, capture_output=True, text=True
        )
        assert outcome.returncode == 0, outcome.stdout


def _mypy(folders: list[Path], configuration: str, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nstrict = true\n{configuration}")
    sources = [str(folder / "src") for folder in folders]
    command = [sys.executable, "-m", "mypy", "--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(cache)]
    outcome = subprocess.run([*command, *sources], cwd=tmp_path, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout


def test_the_generated_code_is_typed(packages: dict[str, Path], tmp_path: Path) -> None:
    skipped = "[mypy-torch.*,pandas.*,scipy.*,pydantic.*,click.*]\nfollow_imports = skip\n"
    _mypy(list(packages.values()), skipped, tmp_path, tmp_path / "cache")


@pytest.mark.slow
def test_the_generated_code_is_typed_against_torchs_types_too(packages: dict[str, Path], tmp_path: Path) -> None:
    _mypy(list(packages.values()), "", tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("kind", NEW)
def test_the_metadata_say_what_the_package_is(kind: str, tmp_path: Path) -> None:
    folder = write(f"new-{kind}", kind, tmp_path)
    about = tomllib.loads((folder / "pyproject.toml").read_text())
    project = about["project"]
    assert project["name"] == folder.name == f"ganbench-new-{kind}"
    assert project["entry-points"]["ganbench"] == {f"new-{kind}": f"ganbench_new_{kind}"}
    assert project["dependencies"] == [bounds(__version__)]
    assert tomllib.loads((folder / "benchmark.toml").read_text())["name"] == f"try-new-{kind}"
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in written if re.search(r"\$\w|\$\{\w", path.read_text())]
    publish = (folder / ".github" / "workflows" / "publish.yml").read_text()
    assert "id-token: write" in publish
    assert "uses: pypa/gh-action-pypi-publish@release/v1\n" in publish
    for workflow in (folder / ".github" / "workflows").iterdir():
        assert set(re.findall(r"uses: .*@(\S+)", workflow.read_text())) <= {"v6", "v7", "v8", "release/v1"}


@pytest.mark.parametrize(
    ("version", "requirement"),
    [
        ("0.1.0", "ganbench>=0.1,<1"),
        ("0.12.3", "ganbench>=0.12,<1"),
        ("1.4.2", "ganbench>=1.4,<2"),
        ("0.2.0.dev1", "ganbench>=0.2.0.dev1,<1"),
    ],
)
def test_the_bounds_follow_the_promise_of_the_api(version: str, requirement: str) -> None:
    from packaging.requirements import Requirement

    assert bounds(version) == requirement
    admitted = Requirement(requirement).specifier
    assert admitted.contains(version, prereleases=True)
    assert not admitted.contains("2.0" if version.startswith("1") else "1.0")


@pytest.mark.parametrize("name", ["3d-gan", "none", "a", "x1-y2"])
def test_every_slug_gives_a_class_that_python_takes(name: str, tmp_path: Path) -> None:
    folder = write(name, "variant", tmp_path)
    module = folder / "src" / f"ganbench_{name.replace('-', '_')}"
    registered = re.findall(r'variant:(\w+)"', (module / "__init__.py").read_text())
    compiled = compile((module / "variant.py").read_text(), "variant.py", "exec")
    assert registered[0] in compiled.co_names


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("My GAN", "variant", "'My GAN' cannot be the name of a plugin: it takes lower-case letters, digits and"),
        ("my--gan", "variant", "cannot be the name of a plugin"),
        ("a" * 41, "variant", "40 characters at most"),
        ("../escape", "variant", "cannot be the name of a plugin"),
        ("", "variant", "cannot be the name of a plugin"),
        ("ganbench-mine", "variant", "leave ganbench out of 'ganbench-mine'"),
        ("gans", "variant", "a plugin 'gans' is installed already (ganbench "),
        ("dcgan", "variant", "the variant 'dcgan' exists already, in plugin 'gans'"),
        ("random", "metric", "'random' is a module of Python's standard library"),
        ("new-gan", "varant", "unknown kind 'varant'; did you mean 'variant'?; --kind takes one of variant, dataset,"),
        ("new-gan", "command", "unknown kind 'command'"),
        ("new-gan", "variant", "exists already and is left as it is"),
    ],
)
def test_bad_input_is_one_sentence(name: str, kind: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "ganbench-new-gan").mkdir()
    outcome = CliRunner().invoke(main, ["new", "plugin", name, "--kind", kind, "--to", str(tmp_path)])
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("error: ")
    assert sentence in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["ganbench-new-gan"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"ganbench-new-gan cannot be written .*choose another folder by --to"):
        write("new-gan", "variant", tmp_path / "file")


def test_a_dataset_may_have_the_name_of_a_variant(tmp_path: Path) -> None:
    assert write("dcgan", "dataset", tmp_path).is_dir()


def test_it_says_what_to_do_next(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(main, ["new", "plugin", "sharpness", "--kind", "executor", "--to", str(tmp_path)])
    assert outcome.exit_code == 0, outcome.output
    folder = tmp_path / "ganbench-sharpness"
    assert f"wrote {folder}: an executor that works" in outcome.output
    for command in (
        f"cd {folder}",
        'pip install -e ".[dev]"',
        "ganbench check sharpness",
        "ganbench run benchmark.toml",
    ):
        assert f"\n  {command}\n" in outcome.output


def test_the_source_distribution_has_the_templates() -> None:
    """What hatchling would take: the wheel is tried out above, as everything here is generated from it."""
    from hatchling.builders.sdist import SdistBuilder

    files = {file.relative_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "ganbench" / "scaffold").rglob("*.tmpl")}
    assert len(templates) == len(set(scaffold._FILES.values())) + len(NEW) - 1
    assert templates <= files
