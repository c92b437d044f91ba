"""The observers that ship: what they write is what the records say, every evaluation once, without torch."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from test_bad_plugins import Bad, put, site

from ganbench import plugins
from ganbench.observed import Observed
from ganbench.store import Store, Unit

__all__ = ["site"]
SCRIPT = """
import sys
from ganbench.cli import main
try:
    main(["run", sys.argv[1], "--results", sys.argv[2]], standalone_mode=False)
finally:
    assert "torch" not in sys.modules
    assert "tensorboardX" in sys.modules
"""
OBSERVED = """
name = "mini"
plugins = ["csv", "jsonl", "tensorboard"]
seeds = 2
budget = { generator_updates = 4 }
evaluate = { times = 2, samples = 100 }
device = "cpu"

[[grid]]
variants = ["mlp-gan"]
datasets = ["digits"]
params.width = 8
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Path:
    """The results of a run that all three have observed, in a process of its own."""
    place = tmp_path_factory.mktemp("observed")
    (place / "bench.toml").write_text(OBSERVED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANBENCH_DATA", str(data_root))
        command = [sys.executable, "-c", SCRIPT, str(place / "bench.toml"), str(place / "results")]
        outcome = subprocess.run(command, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    assert "told nothing more" not in outcome.stderr
    return place / "results/mini"


def test_csv_has_a_row_per_metric_of_every_evaluation_as_the_records_have_it(folder: Path) -> None:
    with (folder / "observers/events.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:3] == ["time", "event", "cell"]
    for unit in Store(folder).cells():
        own = [row for row in rows if row["cell"] == unit.directory.name]
        assert [own[0]["event"], own[-1]["event"], own[-1]["status"]] == ["started", "finished", "done"]
        assert {row["seed"] for row in own} == {str(unit.task["seed"])}
        found = [
            (int(row["generator_updates"]), row["metric"], float(row["value"]))
            for row in own
            if row["event"] == "evaluation"
        ]
        assert found == [(e["generator_updates"], *score) for e in unit.events() for score in e["metrics"].items()]
        best = {row["metric"]: float(row["value"]) for row in own if row["event"] == "best"}
        assert best == unit.manifest["best"]["metrics"]


def test_json_lines_have_a_line_per_event_as_the_records_have_it(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "observers/events.jsonl").read_text().splitlines()]
    assert (lines[0]["event"], lines[0]["cells"]) == ("run_started", 2)
    assert (lines[-1]["event"], lines[-1]["statuses"]) == ("run_finished", {"done": 2})
    for unit in Store(folder).cells():
        own = [line for line in lines if line.get("cell") == unit.directory.name]
        assert [line["event"] for line in own] == ["cell_started", "evaluation", "evaluation", "cell_finished"]
        assert own[0]["params"] == unit.task["params"]
        for line, event in zip(own[1:3], unit.events(), strict=True):
            assert {name: line[name] for name in ("generator_updates", "costs", "metrics", "seconds")} == {
                name: event[name] for name in ("generator_updates", "costs", "metrics", "seconds")
            }
        assert own[3]["best"]["metrics"] == unit.manifest["best"]["metrics"]


def test_tensorboard_gets_scores_costs_samples_and_parameters_by_generator_updates(folder: Path) -> None:
    for unit in Store(folder).cells():
        scalars, images, others = read_events(folder / "observers/tensorboard" / unit.directory.name)
        expected: dict[tuple[str, int], float] = {}
        for event in unit.events():
            updates = event["generator_updates"]
            expected |= {(metric, updates): value for metric, value in event["metrics"].items()}
            expected |= {(f"cost/{player}", updates): value for player, value in event["costs"].items()}
        best = unit.manifest["best"]
        expected |= {(f"best/{m}", best["generator_updates"]): value for m, value in best["metrics"].items()}
        assert dict(scalars) == pytest.approx(expected, rel=1e-6)
        assert len(scalars) == len(expected), "none is there twice"
        assert images == [("samples", 2, 102), ("samples", 4, 102)]
        assert {"cell/text_summary", "_hparams_/experiment", "_hparams_/session_start_info"} <= others


def read_events(folder: Path) -> tuple[list[Any], list[tuple[str, int, int]], set[str]]:
    """What the event files of a TensorBoard run hold: scalars, images (with their width), and the tags of all else."""
    import struct

    from tensorboardX.proto.event_pb2 import Event

    scalars, images, others = [], [], set()
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    scalars.append(((value.tag, event.step), value.simple_value))
                elif value.HasField("image"):
                    images.append((value.tag, event.step, value.image.width))
                else:
                    others.add(value.tag)
    return scalars, images, others


SPY = """
from ganbench.api import hookimpl
heard = []
@hookimpl
def cell_progress(directory, progress, events):
    heard.append((progress.get("updates"), [event["generator_updates"] for event in events]))
"""


@pytest.fixture
def spy(site: Path) -> list[Any]:
    put(site, Bad(SPY, ""))
    sys.modules.pop("ganbench_bad", None)
    assert plugins.installed().find("variants", "dcgan")
    heard: list[Any] = sys.modules["ganbench_bad"].heard
    return heard


def started(directory: Path, *updates: int) -> Unit:
    unit = Unit(directory)
    unit.create({"unit": "cell", "key": "k"})
    for number in updates:
        evaluated(unit, number)
    return unit


def evaluated(unit: Unit, updates: int, value: float = 1.0) -> None:
    unit.append({"event": "evaluation", "generator_updates": updates, "metrics": {"fcd": value}})


def test_progress_is_told_where_it_moves_and_every_evaluation_once(spy: list[Any], tmp_path: Path) -> None:
    unit, observed = started(tmp_path), Observed(plugins.installed())
    observed.started(unit)
    observed.look(unit, {})
    observed.look(unit, {"updates": 1})
    observed.look(unit, {"updates": 1})
    evaluated(unit, 2)
    observed.look(unit, {"updates": 2})
    evaluated(unit, 4)
    evaluated(unit, 6)
    observed.finished(unit, {"status": "done"})
    assert spy == [(1, []), (2, [2]), (None, [4, 6])]


def test_no_evaluation_is_told_twice_when_a_cell_goes_on_in_another_run(spy: list[Any], tmp_path: Path) -> None:
    unit, observed = started(tmp_path), Observed(plugins.installed())
    observed.started(unit)
    evaluated(unit, 2)
    evaluated(unit, 4)
    observed.finished(unit, {"status": "interrupted"})
    # It goes on from the checkpoint at the first evaluation, and makes the second once more.
    unit.keep_events(unit.events()[:1])
    again = Observed(plugins.installed())
    again.started(unit)
    again.look(unit, {"updates": 3})
    evaluated(unit, 4)
    evaluated(unit, 6)
    again.finished(unit, {"status": "done"})
    assert [updates for _, events in spy for updates in events] == [2, 4, 6]


def test_an_observer_that_is_new_hears_of_evaluations_from_before(spy: list[Any], tmp_path: Path) -> None:
    unit = started(tmp_path, 2, 4)
    unit.tell([("somebody-else", "0" * 16)])
    observed = Observed(plugins.installed())
    observed.started(unit)
    observed.look(unit, {})
    assert spy == [(None, [2, 4])]


def test_another_evaluation_at_the_same_place_is_told(spy: list[Any], tmp_path: Path) -> None:
    unit, observed = started(tmp_path, 2), Observed(plugins.installed())
    observed.started(unit)
    observed.look(unit, {})
    unit.keep_events([])
    evaluated(unit, 2, value=3.0)
    observed.look(unit, {})
    assert spy == [(None, [2]), (None, [2])]


def test_a_cell_that_another_run_has_done_is_not_told_of(site: Path, tmp_path: Path) -> None:
    source = "from ganbench.api import hookimpl\n@hookimpl\ndef cell_finished():\n    raise OSError\n"
    put(site, Bad(source, ""))
    sys.modules.pop("ganbench_bad", None)
    found = plugins.installed()
    (watcher,) = found.watchers("cell_finished")
    Observed(found).finished(started(tmp_path, 2), {"status": "done"})
    assert not watcher.silenced


def test_nothing_is_written_down_where_nobody_watches(tmp_path: Path) -> None:
    unit, observed = started(tmp_path, 2), Observed(plugins.installed())
    observed.started(unit)
    observed.look(unit, {"updates": 2})
    observed.finished(unit, {"status": "done"})
    assert not (tmp_path / "told.jsonl").exists()
    assert unit.told() == []


def test_the_observer_in_the_documentation_logs_to_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parent.parent / "docs/plugins.md").read_text()
    source = text.partition("# mlflow_observer.py\n")[2].partition("```")[0]
    (tmp_path / "mlflow_observer.py").write_text(source)
    said: list[Any] = []

    class MlflowClient:
        """As much of MLflow's as the example calls."""

        def get_experiment_by_name(self, name: str) -> None:
            return None

        def create_experiment(self, name: str) -> str:
            return "7"

        def create_run(self, experiment: str, *, run_name: str) -> Any:
            return SimpleNamespace(info=SimpleNamespace(run_id=f"{experiment}/{run_name}"))

        def log_param(self, run: str, name: str, value: Any) -> None:
            said.append((run, name, value))

        def log_metric(self, run: str, name: str, value: float, *, step: int) -> None:
            said.append((run, name, value, step))

        def set_terminated(self, run: str, status: str) -> None:
            said.append((run, status))

    tracking = ModuleType("mlflow.tracking")
    tracking.MlflowClient = MlflowClient  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", tracking)
    found = plugins.use([plugins.name("mlflow_observer.py", tmp_path)])
    plugins.let_go()
    unit = started(tmp_path / "cell", 2)
    unit.create({"unit": "cell", "variant": "gan", "dataset": "digits", "seed": 0, "params": {"lr": 0.1}})
    observed = Observed(found)
    observed.started(unit)
    observed.finished(unit, {"status": "done"})
    assert capsys.readouterr().err == ""
    params = [("variant", "gan"), ("dataset", "digits"), ("seed", 0), ("lr", 0.1)]
    assert said == [("7/cell", *each) for each in [*params, ("fcd", 1.0, 2), ("FINISHED",)]]
