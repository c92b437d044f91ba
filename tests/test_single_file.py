"""Plugins of one file, optional plugins, what a benchmark file requires, and which plugins are left out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import MINI, ganbench
from test_bad_plugins import package

from ganbench import code, plugins
from ganbench.cli import main
from ganbench.config import read
from ganbench.plan import resolve
from ganbench.store import Store
from ganbench.worker import run_in_this_process

Toml = Callable[..., Path]
MY_GAN = '''
from ganbench.api import Variant, hookimpl
from ganbench_gans.mlp_gan import MLPGAN


class MyGAN(MLPGAN):
    """A GAN of one file."""


@hookimpl
def register_variants(register):
    register("my-gan", "my_gan:MyGAN")
'''
WITH_IT = (MINI, ('name = "mini"', 'name = "mini"\nplugins = ["./my_gan.py"]'), ('"mlp-gan"', '"my-gan"'))


@pytest.fixture(autouse=True)
def _nothing_in_use() -> Iterator[None]:
    yield
    plugins.let_go()


@pytest.fixture
def my_gan(tmp_path: Path) -> Path:
    path = tmp_path / "my_gan.py"
    path.write_text(MY_GAN)
    return path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_plugin_of_one_file_is_trained_in_workers_and_stands_in_the_records_with_its_hash(
    toml: Toml, my_gan: Path, tmp_path: Path
) -> None:
    path, results = toml(*WITH_IT), tmp_path / "results"
    done = ganbench(dict(os.environ), "run", path, "--results", results)
    assert done.returncode == 0, done.stderr
    (unit,) = Store(results / "mini").cells()
    sha = plugins.single.read(my_gan).sha256
    assert unit.task["plugins"] == [{"file": str(my_gan), "sha256": sha}]
    assert unit.task["variant_id"] == "my-gan/my-gan"
    made = {"id": "my-gan/my-gan", "version": "1", "distribution": "my_gan.py", "distribution_version": f"sha256:{sha}"}
    assert unit.manifest["components"]["variant"] == made
    assert list(unit.manifest["code"]) == ["my_gan.py"]
    assert "plugins" not in Store(results / "mini").reference("digits").task

    # As `python -m ganbench.worker` does it, and after the file has changed or is gone.
    unit.update(status="interrupted")
    assert run_in_this_process(unit.directory) == 0
    my_gan.write_text(MY_GAN + "# changed\n")
    planned = invoke("plan", path, "--results", results)
    assert "stale: my_gan.py changed" in planned.output
    unit.update(status="interrupted")
    assert run_in_this_process(unit.directory) == 1
    reason = f"{my_gan} has changed since the run was planned; `ganbench run` again plans anew"
    assert (unit.manifest["status"], unit.manifest["reason"], unit.manifest["cause"]) == ("failed", reason, "plugin")
    my_gan.unlink()
    unit.update(status="interrupted")
    assert run_in_this_process(unit.directory) == 1
    gone = f"a plugin of this benchmark is gone since the run was planned: {my_gan} is not there; give the path of a "
    assert unit.manifest["reason"] == gone + "Python file"

    # The report asks for no plugin, and with the file back a run goes on unasked.
    assert invoke("report", results / "mini", "--pictures", "none").exit_code == 0
    my_gan.write_text(MY_GAN)
    again = invoke("run", path, "--results", results, "--executor", "inline")
    assert again.exit_code == 0, again.output
    assert "1 done; 1 trained now" in again.output
    assert not plugins.in_use()


def test_the_key_of_a_cell_does_not_know_where_its_variant_comes_from(
    toml: Toml, my_gan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cell(path: Path) -> Any:
        benchmark, source = read(path)
        named = [plugins.name(text, path.parent) for text in benchmark.plugins]
        (found,) = resolve(benchmark, source, plugins.use(named)).cells({"digits": "f"})
        return found

    as_file = cell(toml(*WITH_IT))
    site = tmp_path / "site"
    package(site, "my-gan", "my_gan", "ganbench-my-gan")
    my_gan.rename(site / "my_gan.py")
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "my_gan")
    plugins._with.cache_clear()
    code._find.cache_clear()
    installed = cell(toml(*WITH_IT, ('plugins = ["./my_gan.py"]', "")))
    assert as_file.key == installed.key
    assert as_file.task["identity"] == installed.task["identity"]
    assert "plugins" not in installed.task
    files = code.fingerprint(installed.row.component, installed.plan.plugins)
    assert files.pop("ganbench-my-gan") == "1.2"
    assert files == code.fingerprint(as_file.row.component, as_file.plan.plugins)
    monkeypatch.undo()
    plugins._with.cache_clear()


def test_the_key_of_what_ships_is_what_it_was(toml: Toml) -> None:
    (cell,) = resolve(*read(toml()), plugins.installed()).cells({"digits": "f" * 64})
    assert cell.key == "1f2eacb82db998caaddd4bcdada1e7c659fdfcd6a743b6b98b4828bab39ed2a9"
    assert set(cell.task) == {
        *("unit", "key", "variant", "variant_id", "params", "dataset", "dataset_id", "dataset_params", "fingerprint"),
        *("seed", "budget", "precision", "evaluate", "train_on", "rank", "metrics", "extractors", "reference"),
        *("device", "cuda_graphs", "identity"),
    }


@pytest.mark.parametrize("command", [["list", "variants"], ["show", "my-gan"], ["plugins"]])
def test_a_file_can_be_given_to_every_command_that_names_components(command: list[str], my_gan: Path) -> None:
    outcome = invoke(*command, "--plugin", my_gan)
    assert outcome.exit_code == 0, outcome.output
    assert "my-gan" in outcome.output
    assert "my-gan" not in invoke("list", "variants").output


def test_a_file_on_the_command_line_is_planned_with_and_two_benchmarks_have_their_own(
    toml: Toml, my_gan: Path, tmp_path: Path
) -> None:
    path = toml(MINI, ('"mlp-gan"', '"my-gan"'))
    assert "my-gan on digits" in invoke("plan", path, "--plugin", my_gan).output
    other = tmp_path / "other"
    other.mkdir()
    (other / "my_gan.py").write_text(MY_GAN.replace("A GAN of one file", "Another").replace("my-gan", "their-gan"))
    (other / "bench.toml").write_text(
        MINI.replace('"mini"', '"theirs"\nplugins = ["my_gan.py"]').replace("mlp-gan", "their-gan")
    )
    both = invoke("plan", toml(*WITH_IT), other / "bench.toml")
    assert both.exit_code == 0, both.output
    assert "their-gan on digits" in both.output


@pytest.mark.parametrize(
    ("file", "source", "sentence"),
    [
        (
            "my_gan.py",
            MY_GAN + "1 / 0\n",
            "plugin 'my-gan' (my_gan.py sha256:{sha}) is broken: ZeroDivisionError: division by zero ({path}:13)",
        ),
        (
            "my_gan.py",
            MY_GAN.replace("variants(", "variant("),
            "unknown hook 'register_variant'; did you mean 'register_variants'? ({path}:10)",
        ),
        ("my_gan.py", "import sys; sys.exit()", "is broken: SystemExit ({path}:1)"),
        ("my_gan.py", "def f(:", "is broken: SyntaxError: invalid syntax ({path}:1)"),
        ("my_gan.py", None, "{path} is not there; give the path of a Python file"),
        ("my-gan.py", MY_GAN, "{path} has a name that no module can have; use letters, digits and underscores"),
        ("random.py", MY_GAN, "there is a module 'random' already ("),
        (
            "gans.py",
            MY_GAN,
            "{path} would be plugin 'gans' (gans.py sha256:{sha}), and there is plugin 'gans' (ganbench 0.1.0) already"
            "; rename the file",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence_with_both_lines(
    file: str, source: str | None, sentence: str, toml: Toml, tmp_path: Path
) -> None:
    path, sha = tmp_path / file, ""
    if source is not None:
        path.write_text(source)
        sha = plugins.single.SingleFile(path, source.encode()).sha256[:12]
    bench = toml(MINI, ('name = "mini"', f'name = "mini"\nplugins = [\n  "csv",\n  "{file}",\n]'))
    for arguments, start in (
        (["plan", bench], f"error: {bench}, line 5: plugin '{file}': "),
        (["plugins", "--plugin", path], f"error: --plugin {path}: "),
    ):
        outcome = invoke(*arguments)
        assert outcome.exit_code == 2, outcome.output
        assert outcome.stderr.startswith(start)
        assert sentence.format(path=path, sha=sha) in outcome.stderr
        assert outcome.stderr.count("\n") == 1
    assert getattr(sys.modules.get(path.stem), "__file__", "") != str(path)


def test_a_module_of_a_broken_file_gives_way_to_the_one_before(my_gan: Path, tmp_path: Path) -> None:
    plugins.use([plugins.name(str(my_gan), Path())])
    before = sys.modules["my_gan"]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/my_gan.py").write_text("raise OSError")
    with pytest.raises(plugins.UserError, match="broken"):
        plugins.use([plugins.name("sub/my_gan.py", tmp_path)])
    assert sys.modules["my_gan"] is before


@pytest.mark.parametrize(
    ("requirement", "sentence"),
    [
        ("ganbench>=7", "it requires 'ganbench>=7', and ganbench 0.1.0 is installed; `pip install 'ganbench>=7'`"),
        (
            "ganbench-acme>=0.2",
            "it requires 'ganbench-acme>=0.2', and ganbench-acme is not installed; `pip install 'ganbench-acme>=0.2'`",
        ),
        ("numpy<1", "it requires 'numpy<1', and numpy "),
        ("what is this", "requires holds 'what is this', which is no requirement; write for example"),
    ],
)
def test_what_a_file_requires_is_checked_with_its_line_before_anything_else(
    requirement: str, sentence: str, toml: Toml
) -> None:
    lines = (
        f'name = "mini"\nrequires = [\n  "torch>=1; python_version < \'3\'", "ganbench>=0.0.1",\n  "{requirement}",\n]'
    )
    bench = toml(MINI, ('name = "mini"', f'{lines}\nplugins = ["./not_there.py"]'))
    outcome = invoke("run", bench)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith(f"error: {bench}, line 5: {sentence}")


def test_requirements_that_are_met_say_nothing(toml: Toml) -> None:
    met = 'name = "mini"\nrequires = ["ganbench>=0.0.1", "numpy", "acme; python_version < \'3\'"]'
    assert invoke("plan", toml(MINI, ('name = "mini"', met))).exit_code == 0


def test_optional_plugins_are_loaded_only_where_they_are_named(toml: Toml) -> None:
    states = {plugin.name: plugin.state for plugin in plugins.installed().plugins}
    assert (states["csv"], states["jsonl"], states["tensorboard"]) == ("optional", "optional", "optional")
    assert "ganbench_observers.csv_rows" not in sys.modules or plugins.in_use() == ()
    lines = [line for line in invoke("plugins", "--plugin", "csv").output.splitlines() if "ganbench" in line]
    (csv,) = [line for line in lines if line.split()[0] == "csv"]
    assert "observer (cell_finished, cell_progress, cell_started, run_started)" in csv
    assert csv.split()[-1] == "ok"
    unknown = invoke("plan", toml(MINI, ('name = "mini"', 'name = "mini"\nplugins = ["cvs"]')))
    assert unknown.exit_code == 2
    assert "line 3: plugin 'cvs': unknown plugin 'cvs'; did you mean 'csv'?" in unknown.stderr
    wrong = invoke("plan", toml(MINI, ('name = "mini"', 'name = "mini"\nplugins = [3]')))
    assert "line 3: plugins holds 3, and each entry should be a text in quotes" in wrong.stderr


def test_plugins_are_left_out_by_option_and_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "left out: by -p or GANBENCH_PLUGINS" in invoke("-p", "no:hoeckler", "plugins").output
    names = invoke("-p", "no:hoeckler", "list", "variants").output
    assert "hoeckler" not in names
    assert "dcgan" in names
    assert plugins.VARIABLE not in os.environ
    monkeypatch.setenv(plugins.VARIABLE, "gans, data")
    assert {c.plugin for c in plugins.installed().components} == {"core", "gans", "data"}
    assert "dcgan" not in invoke("-p", "no:gans", "list", "variants").output
    assert os.environ[plugins.VARIABLE] == "gans, data"
    left_out = invoke("show", "fcd")
    assert left_out.exit_code == 2
    for text, name in (("gons", "gons"), ("no:metrix", "metrix")):
        monkeypatch.setenv(plugins.VARIABLE, text)
        for command in (["list", "variants"], ["--help"]):
            outcome = invoke(*command)
            assert outcome.exit_code == 2
            assert outcome.stderr.startswith(f"error: -p or GANBENCH_PLUGINS: unknown plugin {name!r}; did you mean ")
            assert outcome.stderr.count("\n") == 1
    monkeypatch.setenv(plugins.VARIABLE, "no:core")
    assert "cannot be left out" in invoke("list", "variants").stderr


def test_a_plugin_that_is_left_out_is_not_imported_and_workers_follow(toml: Toml, tmp_path: Path) -> None:
    site, seen = tmp_path / "site", tmp_path / "seen"
    package(site, "noisy", "noisy", "ganbench-noisy")
    (site / "noisy.py").write_text(f"open({str(seen)!r}, 'a').write('imported ')\n" + "raise OSError\n")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    for restricted in ({**environment, plugins.VARIABLE: "no:noisy"}, {**environment, plugins.VARIABLE: "gans"}):
        assert ganbench(restricted, "list", "variants").returncode == 0
    assert ganbench(environment, "-p", "no:noisy", "list", "variants").returncode == 0
    assert not seen.exists()
    # A broken one is imported by the main process alone: workers load what works.
    done = ganbench(environment, "run", toml(), "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert seen.read_text() == "imported "
    assert "plugin 'noisy' (ganbench-noisy 1.2) is broken and left out: OSError" in done.stderr


def test_what_names_a_plugin_is_written_as_json(my_gan: Path) -> None:
    found = plugins.use([plugins.name(str(my_gan), Path()), plugins.name("csv", Path())])
    component = found.find("variants", "my-gan")
    records = json.loads(json.dumps(plugins.recorded(found, [component, found.find("metrics", "fcd")])))
    assert [list(record) for record in records] == [["file", "sha256"]]
    assert plugins.use_recorded(records).find("variants", "my-gan") == component
