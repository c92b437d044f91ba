"""What a plugin does wrong is told in one sentence, stays with it, and changes no record of a run beside it."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from conftest import MINI

from ganbench import isolation, plugins, space
from ganbench.cli import main
from ganbench.config import read
from ganbench.plan import resolve
from ganbench.run import Options
from ganbench.run import run as ganbench_run
from ganbench.store import Store

GOOD = """
from ganbench.api import hookimpl
@hookimpl
def register_variants(register):
    register("good-gan", "ganbench_gans.dcgan:DCGAN")
"""
OBSERVER = """
from ganbench.api import hookimpl
@hookimpl
def {hook}:
    {body}
"""


class Bad(NamedTuple):
    """A plugin: the source of its module, what it is called broken for, and how it is packaged."""

    source: str
    sentence: str  # HERE stands for the path of its module
    state: str = "broken"
    name: str = "bad"
    module: str = "ganbench_bad"
    requires: str = ""
    distributions: tuple[str, ...] = ("ganbench-bad",)


BAD = {
    "module that is not there": Bad(
        GOOD,
        "its entry point names the module 'ganbench_worse', and there is no 'ganbench_worse'; is the package whole?",
        module="ganbench_worse",
    ),
    "import of what is not installed": Bad(
        "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module' (HERE:1)"
    ),
    "syntax error": Bad("x = 1\ndef broken(:\n", "SyntaxError: invalid syntax (HERE:2)"),
    "exit on import": Bad("import sys\nsys.exit(3)", "SystemExit: 3 (HERE:2)"),
    "an exception of its own kind": Bad(
        "class Odd(BaseException): ...\nraise Odd('boo\\nhoo')", "Odd: boo hoo (HERE:2)"
    ),
    "an exception that cannot be shown": Bad(
        "class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd",
        "Odd: (an exception that cannot be shown) (HERE:3)",
    ),
    "slow import": Bad(
        "import time\ntime.sleep(0.4)" + GOOD,
        "it took 0.4 s to load, more than the 0.3 s that a plugin may; import what is heavy inside functions (HERE)",
    ),
    "misspelt hook": Bad(
        GOOD.replace("variants(", "variant("),
        "unknown hook 'register_variant'; did you mean 'register_variants'? (HERE:3)",
    ),
    "hook of no known name": Bad(
        GOOD.replace("register_variants(", "train("),
        "unknown hook 'train'; hooks are register_variants, register_datasets, register_extractors, register_metrics, "
        "register_probes, register_executors, register_reporters, register_commands, run_started, cell_started, "
        "cell_progress, cell_finished, run_finished (HERE:3)",
    ),
    "wrong argument": Bad(
        GOOD.replace("(register)", "(registry)"),
        "register_variants asks for registry, which this hook does not have: its argument is register (HERE:3)",
    ),
    "wrong arguments of an observer": Bad(
        OBSERVER.format(hook="cell_finished(cell, status)", body="pass"),
        "cell_finished asks for status, which this hook does not have: its arguments are directory, cell and manifest "
        "(any of them, by name) (HERE:3)",
    ),
    "hook without its mark": Bad(
        GOOD.replace("@hookimpl\n", ""),
        "register_variants lacks its @hookimpl, so that it would never be called (HERE:3)",
    ),
    "async hook": Bad(
        GOOD.replace("def ", "async def "),
        "register_variants is an async function, which nothing would wait for; write a plain one (HERE:3)",
    ),
    "no hook at all": Bad("x = 1", "no function in it is marked with @ganbench.api.hookimpl (HERE)"),
    "a hook that raises after others": Bad(
        GOOD + "@hookimpl\ndef register_commands(register):\n    1 / 0\n",
        "ZeroDivisionError: division by zero (HERE:8)",
    ),
    "a hook that exits": Bad(GOOD + "    raise SystemExit\n", "SystemExit (HERE:6)"),
    "the same name twice": Bad(
        GOOD + '    register("good-gan", "ganbench_gans.wgan:WGAN")\n',
        "variant 'good-gan' is registered twice (HERE:6)",
    ),
    "a name that is none": Bad(
        GOOD.replace("good-gan", "Good GAN!"),
        "variant name 'Good GAN!' is not lower-case letters, digits and hyphens (HERE:5)",
    ),
    "a target of another form": Bad(
        GOOD.replace('"ganbench_gans.dcgan:DCGAN"', "object"),
        "variant 'good-gan': target <class 'object'> is not 'module:Class' (HERE:5)",
    ),
    "a command of ganbench's": Bad(
        "import click" + GOOD + "@hookimpl\ndef register_commands(register):\n    register(click.Command('run'))\n",
        "command 'run' is one of ganbench's own; give it another name (HERE:8)",
    ),
    "changes the process and fails": Bad(
        "import os, sys\nos.chdir('/')\nos.environ['GANBENCH_DATA'] = '/nowhere'\nos.environ['OMP_NUM_THREADS'] = '9'\n"
        "sys.stdout = sys.stderr = None\nsys.path.clear()\nraise OSError('no')",
        "OSError: no (HERE:7)",
    ),
    "a name of a plugin that is none": Bad(
        GOOD, "the entry point's name 'Bad Plugin' is not lower-case-with-hyphens", name="Bad Plugin"
    ),
    "a name that ships": Bad(
        GOOD, "ganbench 0.1.0 has a plugin 'gans' too; uninstall one, or rename its entry point", name="gans"
    ),
    "one name in two distributions": Bad(
        GOOD,
        "ganbench-worse 1.2 has a plugin 'bad' too; uninstall one, or rename its entry point",
        distributions=("ganbench-bad", "ganbench-worse"),
    ),
    "for another ganbench": Bad(
        "raise SystemExit('it was imported')",
        "it is for ganbench>=7, and this is 0.1.0",
        state="incompatible",
        requires="ganbench>=7",
    ),
    "for an older ganbench": Bad(
        "raise SystemExit",
        "it is for ganbench<0.1,>=0.0.1, and this is 0.1.0",
        "incompatible",
        requires="Ganbench (>=0.0.1,<0.1)",
    ),
}


def package(site: Path, name: str, module: str, distribution: str, group: str = "ganbench", requires: str = "") -> None:
    """The metadata of a distribution with one entry point."""
    info = site / f"{distribution.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n{needs}")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages, of which this process hears anew."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    plugins._with.cache_clear()
    yield folder
    plugins._with.cache_clear()


def put(site: Path, bad: Bad) -> Path:
    """Install a bad plugin; the path of its module."""
    path = site / "ganbench_bad.py"
    path.write_text(bad.source)
    for distribution in bad.distributions:
        package(site, bad.name, bad.module, distribution, requires=bad.requires)
    return path


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins.installed()  # imports what is shipped, which on a busy machine takes longer than that
    monkeypatch.setattr(isolation, "PATIENCE", 0.3)


@pytest.fixture(autouse=True)
def _no_estimate_of_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own each time, which takes longer than all else here."""
    monkeypatch.setattr(space, "estimate", lambda *arguments: None)


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith(("ganbench_bad", "ganbench_worse"))]:
        del sys.modules[name]


class Unseen:
    """Nobody watches."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: None


def run(folder: Path, fail_fast: bool = False) -> Counter[str]:
    """The smallest benchmark, in this process and without a report; how its cells ended."""
    toml = folder / "bench.toml"
    toml.write_text(MINI)
    benchmark, source = read(toml)
    plan = resolve(benchmark, source, plugins.installed())
    store = Store(folder / "results" / benchmark.name)
    options = Options(executor="inline", fail_fast=fail_fast)
    return ganbench_run(plan, source.text, store, options, Unseen(), plan.plugins).statuses


def listed() -> str:
    """What `ganbench plugins` says, in one line."""
    outcome = CliRunner().invoke(main, ["plugins"])
    assert outcome.exit_code == 0, outcome.output
    return "".join(outcome.output.split())


def records(folder: Path) -> dict[str, Any]:
    """All of the records of a run but times and processes: tasks, numbers, and the bytes of weights and pictures."""
    found: dict[str, Any] = {}
    store = Store(folder / "results" / "mini")
    for unit in [*store.cells(), *store.references()]:
        manifest = unit.manifest
        facts = {name: manifest.get(name) for name in ("status", "reason", "real", "files", "extractors", "components")}
        finals = {name: manifest[name]["metrics"] for name in ("best", "last") if name in manifest}
        events = [(event["generator_updates"], event["costs"], event["metrics"]) for event in unit.events()]
        pictures = {path.name: path.read_bytes() for path in unit.directory.rglob("*.png")}
        found[unit.directory.name] = (unit.task, facts, finals, events, pictures)
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> dict[str, Any]:
    """The records of a run with no other plugins than ours."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANBENCH_DATA", str(data_root))
        patch.setattr(space, "estimate", lambda *arguments: None)
        assert run(folder) == {"done": 1}
    return records(folder)


@pytest.mark.parametrize("what", BAD)
def test_a_bad_plugin_is_told_in_a_sentence_and_a_run_beside_it_gives_the_same_records(
    what: str, site: Path, tmp_path: Path, alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = BAD[what]
    here = put(site, bad)
    before, variables = Path.cwd(), dict(os.environ)
    assert run(tmp_path) == {"done": 1}
    assert Path.cwd() == before
    assert dict(os.environ) == variables

    sentence = bad.sentence.replace("HERE", str(here))
    found = [plugin for plugin in plugins.installed().plugins if plugin.distribution in bad.distributions]
    assert [plugin.state for plugin in found] == [bad.state] * len(bad.distributions)
    assert re.sub(r"took 0\.\d s", "took 0.4 s", found[0].reason) == sentence
    assert not any(
        (plugin.components, plugin.commands, plugin.hooks, plugin.manager) != ([], [], (), None) for plugin in found
    )
    assert "good-gan" not in set(plugins.installed().names("variants"))
    assert str(found[0]) == f"plugin {bad.name!r} (ganbench-bad 1.2)"
    assert "".join(f"{bad.name} ganbench-bad 1.2 nothing {bad.state}: {found[0].reason}".split()) in listed()
    assert records(tmp_path) == alone


def test_every_way_to_be_bad_is_one_of_at_least_twelve() -> None:
    assert len({bad.sentence for bad in BAD.values()}) == len(BAD) >= 12


@pytest.mark.parametrize(
    ("hook", "body"),
    [
        ("run_started()", "raise SystemExit(4)"),
        ("cell_started(cell)", "import os; os.chdir('/'); 1 / 0"),
        ("cell_progress(events)", "raise SystemExit(4)"),
        ("cell_finished()", "1 / 0"),
    ],
)
def test_an_observer_that_raises_is_told_of_once_and_a_run_beside_it_gives_the_same_records(
    hook: str, body: str, site: Path, tmp_path: Path, alone: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    put(site, Bad(OBSERVER.format(hook=hook, body=body), ""))
    assert run(tmp_path) == {"done": 1}
    errors = capsys.readouterr().err
    error = "SystemExit: 4" if "Exit" in body else "ZeroDivisionError: division by zero"
    said = f"plugin 'bad' (ganbench-bad 1.2) failed in {hook.partition('(')[0]} and is told nothing more: {error} ("
    assert errors.count(said) == 1
    assert f"{site}/ganbench_bad.py:5)" in errors
    assert records(tmp_path) == alone


def test_an_observer_cannot_change_what_others_see(site: Path, tmp_path: Path, alone: dict[str, Any]) -> None:
    source = """
from ganbench.api import hookimpl
@hookimpl
def cell_finished(cell, manifest):
    cell.clear()
    manifest["status"] = "failed"
"""
    put(site, Bad(source, ""))
    assert run(tmp_path, fail_fast=True) == {"done": 1}
    assert records(tmp_path) == alone


def test_a_plugin_that_is_waited_for_is_named_meanwhile(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, BAD["slow import"])
    plugins.installed()
    assert "waiting for plugin 'bad' (ganbench-bad 1.2) to load for 0.3 s now" in capsys.readouterr().err


def test_what_is_slow_in_a_worker_is_not_broken_there(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(site, BAD["slow import"])
    monkeypatch.setattr(isolation, "parent_process", lambda: object())
    (plugin,) = (plugin for plugin in plugins.installed().plugins if plugin.name == "bad")
    assert plugin.state == "ok"


def test_a_command_of_two_plugins_is_that_of_the_first(site: Path) -> None:
    source = """
import click
from ganbench.api import hookimpl
@hookimpl
def register_commands(register):
    register(click.Command("greet", callback=lambda: print("hello")))
"""
    for name in ("first", "second"):
        (site / f"ganbench_bad_{name}.py").write_text(source)
        package(site, name, f"ganbench_bad_{name}", f"ganbench-{name}")
    outcome = CliRunner().invoke(main, ["greet"])
    assert outcome.output == "hello\n"
    broken = {plugin.name: plugin.error for plugin in plugins.installed().plugins if plugin.error}
    reason = "command 'greet' is that of plugin 'first' (ganbench-first 1.2) already; give it another name"
    assert broken == {"second": reason}


def test_a_class_that_lacks_what_it_needs_is_one_sentence(site: Path, tmp_path: Path) -> None:
    source = GOOD.replace("ganbench_gans.dcgan:DCGAN", "ganbench_bad:Half") + (
        "from ganbench.api import Variant\nclass Half(Variant): ...\n"
    )
    put(site, Bad(source, ""))
    with pytest.raises(Exception, match=r"variant 'bad/good-gan' \(ganbench-bad 1\.2\): ganbench_bad:Half lacks what"):
        plugins.installed().find("variants", "good-gan").load()


def test_the_commands_of_ganbench_are_those_that_no_plugin_can_take() -> None:
    assert set(main.commands) == isolation.COMMANDS
