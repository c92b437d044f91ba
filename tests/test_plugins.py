"""Plugins are found through entry points, and a broken one hurts nobody else."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from ganbench.errors import UserError
from ganbench.plugins import Plugins, installed

Make = Callable[[str, str], EntryPoint]

GOOD = """
from ganbench.api import hookimpl
@hookimpl
def register_variants(register):
    register("good-gan", "ganbench_gans.dcgan:DCGAN")
"""


def load(*extra: EntryPoint) -> Plugins:
    return Plugins([*entry_points(group="ganbench"), *extra])


def test_what_ships_is_registered_by_entry_points_and_all_targets_load() -> None:
    plugins = installed()
    assert {plugin.name for plugin in plugins.plugins} >= {"core", "gans", "data", "metrics"}
    assert not [plugin.error for plugin in plugins.plugins if plugin.error]
    assert set(plugins.names("variants")) >= {"mlp-gan", "dcgan", "cgan", "wgan", "wgan-gp"}
    assert set(plugins.names("datasets")) >= {"digits", "mnist", "fashion-mnist", "cifar10", "npz", "folder"}
    assert set(plugins.names("metrics")) >= {"cs", "fcd", "is", "fid"}
    for component in plugins.components:
        assert component.load()
        assert component.describe()


BAD = {
    "fails-on-import": ("import no_such_module", "no_such_module"),
    "exits-on-import": ("raise SystemExit(3)", "SystemExit"),
    "twice": (
        GOOD + '    register("good-gan", "ganbench_gans.dcgan:DCGAN")\n',
        "variant 'good-gan' is registered twice",
    ),
    "misspelt": (GOOD.replace("register_variants", "register_variant"), "did you mean 'register_variants'?"),
    "wrong-argument": (GOOD.replace("(register)", "(registry)"), "registry"),
    "raises": (GOOD + "    1 / 0\n", "ZeroDivisionError"),
    "bad-name": (GOOD.replace("good-gan", "Good GAN!"), "lower-case"),
    "bad-target": (GOOD.replace(":DCGAN", ""), "module:Class"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_plugin_is_listed_with_its_reason_and_contributes_nothing(name: str, plugin_module: Make) -> None:
    source, reason = BAD[name]
    plugins = load(plugin_module(name, source), plugin_module("fine", GOOD.replace("good-gan", "fine-gan")))
    broken = {plugin.name: plugin.error for plugin in plugins.plugins if plugin.error}
    assert list(broken) == [name]
    assert reason in broken[name]
    assert "good-gan" not in set(plugins.names("variants"))
    assert {"dcgan", "fine-gan"} <= set(plugins.names("variants"))


def test_the_line_of_the_error_is_named(plugin_module: Make) -> None:
    plugins = load(plugin_module("raises", GOOD + "    1 / 0\n"))
    (error,) = (plugin.error for plugin in plugins.plugins if plugin.error)
    assert error.endswith(".py:6)")


def test_a_name_that_two_plugins_provide_must_be_written_in_full(plugin_module: Make) -> None:
    plugins = load(plugin_module("one", GOOD), plugin_module("two", GOOD))
    with pytest.raises(UserError, match=r"one/good-gan and two/good-gan"):
        plugins.find("variants", "good-gan")
    assert plugins.find("variants", "two/good-gan").plugin == "two"
    assert "one/good-gan" in set(plugins.names("variants"))


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"unknown variant 'dcgn'; did you mean 'dcgan'\?; `ganbench list variants`"):
        installed().find("variants", "dcgn")


def test_a_target_of_the_wrong_kind_is_refused_when_used(plugin_module: Make) -> None:
    plugins = load(plugin_module("odd", GOOD.replace("ganbench_gans.dcgan:DCGAN", "pathlib:Path")))
    with pytest.raises(UserError, match=r"odd/good-gan.*not a subclass of ganbench.api.Variant"):
        plugins.find("variants", "good-gan").load()


def test_an_observer_that_raises_is_reported_once_and_silenced(
    plugin_module: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    source = """
from ganbench.api import hookimpl
@hookimpl
def run_finished(folder, statuses):
    raise RuntimeError("no network")
"""
    plugins = load(plugin_module("watcher", source))
    for _ in range(2):
        plugins.notify("run_finished", folder=Path(), statuses={})
    assert capsys.readouterr().err.count("no network") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["list", "variants"], ["list", "metrics"], ["plugins"], ["plan"]])
def test_light_commands_import_no_torch(arguments: list[str], toml: Callable[..., Path]) -> None:
    arguments = [*arguments, str(toml())] if arguments == ["plan"] else arguments
    program = (
        "import sys\nfrom ganbench.cli import main\n"
        f"try: main({arguments!r}, standalone_mode=False)\n"
        "finally: assert 'torch' not in sys.modules, 'torch was imported'"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout


def test_plugins_import_nothing_of_ganbench_but_the_api() -> None:
    folder = Path(__file__).parent.parent / "plugins"
    own = {package.name for package in folder.iterdir()}
    imported: dict[str, set[Path]] = {}
    for source in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{source} imports relatively, which this test cannot follow"
                modules = [
                    f"ganbench.{alias.name}" if node.module == "ganbench" else node.module for alias in node.names
                ]
            else:
                continue
            for module in modules:
                imported.setdefault(module, set()).add(source)
    assert {"ganbench_gans", "ganbench_data", "ganbench_metrics"} <= own
    of_ours = {module: files for module, files in imported.items() if module.partition(".")[0] == "ganbench"}
    assert set(of_ours) <= {"ganbench.api", "ganbench.testing"}, of_ours
    assert len(of_ours["ganbench.api"]) > 20


def test_the_api_is_imported_in_little_time_and_without_torch() -> None:
    program = """
import sys, time
started = time.perf_counter()
import ganbench.api
spent = time.perf_counter() - started
assert not {"torch", "numpy", "pandas", "click"} & set(sys.modules)
assert all(hasattr(ganbench.api, name) for name in ganbench.api.__all__)
print(spent)
"""
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    assert float(outcome.stdout) < 1.0  # usually 0.05
