"""Where cells run: as a benchmark file says, with parameters, or as the command line says instead."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from conftest import MINI

from ganbench.config import read
from ganbench.errors import UserError
from ganbench.plan import Plan, resolve
from ganbench.plugins import Plugins
from ganbench.run import Options, choose_device, run
from ganbench.store import Store

OWN = """
from dataclasses import dataclass
from ganbench.api import Executor, Params, UserError, hookimpl, param
from ganbench.executors import InlineExecutor

@hookimpl
def register_executors(register):
    register("queue", __name__ + ":Queue")
    register("plain", __name__ + ":Plain")

@dataclass(frozen=True)
class QueueParams(Params):
    partition: str = param("short", "of the cluster")
    minutes: int = param(60, "time limit", min=1)

class Queue(InlineExecutor):
    "Runs cells in a queue."
    Params = QueueParams

    def __init__(self, *, jobs, device, slots_per_gpu=1, params):
        raise UserError(f"no queue {params.partition} for {params.minutes} minutes")

class Plain(InlineExecutor):
    "It knows of no parameters."
    remote = True
"""


@pytest.fixture
def plugins(plugin_module: Callable[[str, str], EntryPoint]) -> Plugins:
    return Plugins([*entry_points(group="ganbench"), plugin_module("own", OWN)])


def planned(plugins: Plugins, path: Path) -> Plan:
    return resolve(*read(path), plugins)


class Quiet:
    def note(self, message: str) -> None:
        pass


def with_executor(toml: Callable[..., Path], line: str) -> Path:
    return toml(MINI, ("seeds = 1", f"seeds = 1\n{line}"))


def test_the_files_parameters_reach_its_executor(toml: Callable[..., Path], plugins: Plugins, tmp_path: Path) -> None:
    path = with_executor(toml, 'executor = { name = "queue", params = { minutes = 5 } }')
    with pytest.raises(UserError, match="no queue short for 5 minutes"):
        run(planned(plugins, path), path.read_text(), Store(tmp_path / "results"), Options(), Quiet(), plugins)


def test_another_executor_of_the_command_line_has_its_defaults(toml: Callable[..., Path], plugins: Plugins) -> None:
    plan = planned(plugins, with_executor(toml, 'executor = { name = "queue", params = { minutes = 5 } }'))
    assert plan.executor_called("queue").params.to_dict() == {"partition": "short", "minutes": 5}
    assert plan.executor_called("plain").params.to_dict() == {}
    assert planned(plugins, toml()).executor_called("queue").params.to_dict() == {"partition": "short", "minutes": 60}
    assert planned(plugins, toml()).executor_called(None).component.id == "core/process"
    with pytest.raises(UserError, match="unknown executor 'queu'; did you mean 'queue'"):
        plan.executor_called("queu")


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ('executor = "queu"', "line 4: unknown executor 'queu'; did you mean 'queue'"),
        (
            'executor.name = "queue"\nexecutor.params.minuts = 5',
            "line 5: unknown parameter 'minuts' of executor 'queue'; did you mean 'minutes'",
        ),
        (
            'executor = { name = "queue", params = { minutes = 0 } }',
            "line 4: minutes of executor 'queue' = 0 is not admissible: it takes int, at least 1",
        ),
        ('executor = { name = "plain", params = { minutes = 5 } }', r"'minutes' of executor 'plain' \(known: none\)"),
        ('executor = { named = "queue" }', r"line 4: unknown key 'executor.named'; did you mean 'name'"),
        ("executor = 5", "line 4: executor = 5 is not admissible: it should be a text in quotes or a table"),
    ],
)
def test_a_mistake_is_told_with_its_line(line: str, mistake: str, toml: Callable[..., Path], plugins: Plugins) -> None:
    path = toml(MINI.replace("seeds = 1", f"seeds = 1\n{line}"))
    with pytest.raises(UserError, match=mistake):
        planned(plugins, path)


def test_where_a_cell_runs_is_no_part_of_it(toml: Callable[..., Path], plugins: Plugins) -> None:
    here = planned(plugins, toml()).cells({"digits": "f"})
    there = planned(plugins, with_executor(toml, 'executor = { name = "queue", params = { minutes = 5 } }'))
    assert [cell.task for cell in there.cells({"digits": "f"})] == [cell.task for cell in here]


def test_the_device_of_other_machines_need_not_be_here() -> None:
    assert choose_device("cuda", elsewhere=True) == "cuda"
    with pytest.raises(UserError, match="is one GPU of this machine, and cells run on others; write 'cuda'"):
        choose_device("cuda:1", elsewhere=True)
