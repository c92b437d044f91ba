"""What the README and the docs promise, tried out."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from conftest import MINI, ganbench, install

from ganbench.store import Store

ROOT = Path(__file__).parent.parent


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_the_readmes_variant_runs_and_learns(tmp_path: Path) -> None:
    (source,) = (block for block in blocks("README.md", "python") if "LSGAN" in block)
    plugin = tmp_path / "ganbench_lsgan.py"
    plugin.write_text(source)
    listed = ganbench(dict(os.environ), "list", "variants", "--plugin", plugin)
    assert "Least squares GAN (Mao et al. 2017" in listed.stdout
    text = MINI.replace('["mlp-gan"]', '["lsgan"]').replace("params.width = 8", "params.lr = 1e-3")
    text = text.replace("generator_updates = 4", "generator_updates = 400").replace("times = 2", "times = 10")
    (tmp_path / "bench.toml").write_text(text.replace("samples = 100", "samples = 1000"))
    bench, results = tmp_path / "bench.toml", tmp_path / "results"
    outcome = ganbench(dict(os.environ), "run", bench, "--plugin", plugin, "--results", results)
    assert outcome.returncode == 0, outcome.stderr
    (unit,) = Store(tmp_path / "results" / "mini").cells()
    fcd = [event["metrics"]["fcd"] for event in unit.events()]
    assert fcd[-1] < fcd[0] / 2


def test_the_metric_of_the_plugin_page_scores_a_run(tmp_path: Path) -> None:
    (source,) = (block for block in blocks("docs/plugins.md", "python") if "Brightness" in block)
    source += """

from ganbench.api import hookimpl

@hookimpl
def register_metrics(register):
    register("brightness", "ganbench_bright:Brightness")
"""
    environment = install(tmp_path / "site", "bright", source)
    (tmp_path / "bench.toml").write_text(MINI.replace('"fcd"]', '"fcd", "brightness"]'))
    outcome = ganbench(environment, "run", tmp_path / "bench.toml", "--results", tmp_path / "results")
    assert outcome.returncode == 0, outcome.stderr
    tables = Store(tmp_path / "results" / "mini").tables()
    values = tables.scores[tables.scores["metric"] == "brightness"]["value"]
    assert len(values) == 4
    real = tables.references.set_index("metric").loc["brightness", "value"]
    assert 0 < real < values.min()


def test_the_benchmark_files_of_the_repository_can_be_planned() -> None:
    from click.testing import CliRunner

    from ganbench.cli import main

    files = [ROOT / "benchmark.toml", *sorted((ROOT / "studies").rglob("*.toml"))]
    assert len(files) >= 2
    for file in files:
        outcome = CliRunner().invoke(main, ["plan", str(file)])
        assert outcome.exit_code == 0, outcome.output


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
def test_the_benchmark_files_of_the_pages_can_be_planned(page: str, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from ganbench.cli import main

    found = [block for block in blocks(page, "toml") if "[[grid]]" in block]
    assert found
    for text in found:
        (tmp_path / "bench.toml").write_text(text)
        outcome = CliRunner().invoke(main, ["plan", str(tmp_path / "bench.toml")])
        assert outcome.exit_code == 0, outcome.output


def test_the_hook_table_names_every_hook_with_its_arguments() -> None:
    import inspect

    from ganbench import hookspecs

    page = (ROOT / "docs" / "plugins.md").read_text()
    specs = [value for value in vars(hookspecs).values() if hasattr(value, "ganbench_spec")]
    assert len(specs) >= 11
    for spec in specs:
        arguments = ", ".join(inspect.signature(spec).parameters)
        assert f"`{spec.__name__}({arguments})`" in page


def test_relative_links_of_the_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in pages:
        for link in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
