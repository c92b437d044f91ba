"""Every hook is called, when and with what its documentation says."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import MINI, ganbench, install

from ganbench import hookspecs

#: Writes down every call: a line of JSON with the hook's name and its arguments.
SOURCE = '''
import json
import os
from pathlib import Path

import click
from ganbench.api import Executor, Reporter, hookimpl
from ganbench.executors import ProcessExecutor


def note(hook, **arguments):
    with open(os.environ["NOTES"], "a") as file:
        file.write(json.dumps([hook, {name: shown(value) for name, value in arguments.items()}]) + "\\n")


def shown(value):
    return str(value) if isinstance(value, Path) else value


class Own(ProcessExecutor):
    """The usual one under another name."""


class Words(Reporter):
    """Writes a word."""

    def report(self, tables, folder):
        folder.mkdir(exist_ok=True)
        (folder / "word.txt").write_text("done")


@click.command()
def hello():
    """Greet."""
    click.echo("hello")


@hookimpl
def register_variants(register):
    register("all-gan", "ganbench_gans.mlp_gan:MLPGAN")


@hookimpl
def register_datasets(register):
    register("all-digits", "ganbench_data.digits:Digits", summary="the same under another name")


@hookimpl
def register_extractors(register):
    register("all-classifier", "ganbench_metrics.classifier:Classifier")


@hookimpl
def register_metrics(register):
    register("all-fcd", "ganbench_metrics.metrics:FrechetClassifierDistance")


@hookimpl
def register_probes(register):
    register("all-interpolate", "ganbench_probes.interpolate:Interpolate")


@hookimpl
def register_executors(register):
    register("own", "ganbench_all:Own")


@hookimpl
def register_reporters(register):
    register("words", "ganbench_all:Words")


@hookimpl
def register_commands(register):
    register(hello)


@hookimpl
def run_started(folder, cells):
    note("run_started", folder=folder, cells=cells)


@hookimpl
def cell_started(directory, cell):
    note("cell_started", directory=directory, cell=cell)


@hookimpl
def cell_progress(directory, cell, progress, events):
    note("cell_progress", directory=directory, cell=cell, progress=dict(progress), events=list(events))


@hookimpl
def cell_finished(directory, cell, manifest):
    note("cell_finished", directory=directory, cell=cell, manifest=manifest)


@hookimpl
def run_finished(folder, statuses):
    note("run_finished", folder=folder, statuses=dict(statuses))
'''
BENCHMARK = (
    MINI.replace('["mlp-gan"]', '["all-gan"]').replace('"fcd"]', '"all-fcd"]')
    + '\n[extractors]\nclassifier = "all-classifier"\n\n[rank]\nmetric = "all-fcd"\nat = "last"\n'
)


def test_a_plugin_that_implements_every_hook_hears_of_everything(tmp_path: Path) -> None:
    hooks = [name for name, value in vars(hookspecs).items() if hasattr(value, "ganbench_spec")]
    assert [hook for hook in hooks if f"\ndef {hook}(" not in SOURCE] == []
    notes, results = tmp_path / "notes.jsonl", tmp_path / "results"
    environment = {**install(tmp_path / "site", "all", SOURCE), "NOTES": str(notes)}
    (tmp_path / "bench.toml").write_text(BENCHMARK)
    outcome = ganbench(environment, "run", tmp_path / "bench.toml", "--results", results, "--executor", "own")
    assert outcome.returncode == 0, outcome.stderr
    calls = [json.loads(line) for line in notes.read_text().splitlines()]
    names = [name for name, _ in calls]
    assert names[:2] == ["run_started", "cell_started"]
    assert names[-2:] == ["cell_finished", "run_finished"]
    assert set(names[2:-2]) <= {"cell_progress"}
    said = dict(calls)
    assert said["run_started"] == {"folder": str(results / "mini"), "cells": 1}
    assert said["cell_started"]["cell"]["variant"] == "all-gan"
    directory = said["cell_started"]["directory"]
    assert said["cell_finished"]["directory"] == directory
    assert said["cell_finished"]["manifest"] == json.loads((Path(directory) / "manifest.json").read_text())
    assert said["run_finished"] == {"folder": str(results / "mini"), "statuses": {"done": 1}}
    heard = [event for name, arguments in calls if name == "cell_progress" for event in arguments["events"]]
    assert heard == [json.loads(line) for line in (Path(directory) / "events.jsonl").read_text().splitlines()]
    assert ganbench(environment, "hello").stdout == "hello\n"
    assert "the same under another name" in ganbench(environment, "list", "datasets").stdout
    assert ganbench(environment, "report", results / "mini", "--pictures", "none").returncode == 0
    assert (results / "mini" / "report" / "word.txt").read_text() == "done"
