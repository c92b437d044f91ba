"""A shift of many slots: what is looked at, claimed and counted does not grow with them."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from ganbench import shift
from ganbench.contracts import Executor
from ganbench.shift import Limits, Shift
from ganbench.store import Store, Unit
from ganbench.view import RunView


class Instant(Executor):
    """Units that are done when they have been polled so often, by this process."""

    def __init__(self, *, jobs: int | None, device: str = "cpu", slots_per_gpu: int = 1, polls: int = 1) -> None:
        self._slots, self._polls = jobs or 1, polls
        self.running: dict[Path, int] = {}
        self.stopped: list[Path] = []
        self.most = 0

    @property
    def slots(self) -> int:
        return self._slots

    def submit(self, directory: Path) -> None:
        self.running[directory] = 0
        self.most = max(self.most, len(self.running))

    def poll(self) -> list[tuple[Path, int]]:
        self.running = {directory: polls + 1 for directory, polls in self.running.items()}
        ended = [directory for directory, polls in self.running.items() if polls >= self._polls]
        for directory in ended:
            Unit(directory).update(status="interrupted" if directory in self.stopped else "done")
            del self.running[directory]
        return [(directory, 143 if directory in self.stopped else 0) for directory in ended]

    def waiting(self) -> Collection[Path]:
        return [directory for directory, polls in self.running.items() if polls < self._polls // 2]

    def stop(self, directory: Path) -> None:
        self.stopped.append(directory)
        self.running[directory] = self._polls

    def cancel(self) -> None:
        pass


@pytest.fixture
def units(tmp_path: Path) -> list[Unit]:
    store = Store(tmp_path / "results")
    store.make()
    return [store.cell(f"cell-{number:03}") for number in range(100)]


def run(executor: Executor, units: list[Unit], limits: Limits | None = None, **more: Any) -> list[str]:
    """The names of the units in the order of their ends."""
    ended: list[str] = []

    def end(unit: Unit, manifest: dict[str, Any]) -> bool:
        ended.append(f"{unit.directory.name} {manifest['status']}")
        return False

    more = {"begin": lambda unit: True, "watch": lambda progress: None, **more}
    Shift(executor, units, limits or Limits(), ended=end, **more).run()
    return ended


def test_all_free_slots_are_filled_at_once_and_in_order(units: list[Unit]) -> None:
    executor = Instant(jobs=60)
    assert run(executor, units) == [f"{unit.directory.name} done" for unit in units]
    assert executor.most == 60


def test_units_of_another_run_are_left_until_there_is_nothing_else(
    units: list[Unit], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = [Unit(unit.directory) for unit in units[:50]]
    assert all(unit.claim() for unit in theirs)
    claims: Counter[Path] = Counter()
    claim = Unit.claim

    def counted(unit: Unit) -> bool:
        claims[unit.directory] += 1
        return claim(unit)

    monkeypatch.setattr(Unit, "claim", counted)
    notes: list[str] = []

    def note(message: str) -> None:
        notes.append(message)
        assert claims[units[0].directory] < 60  # not with every slot that is free
        while theirs:  # the other run dies
            theirs.pop().release()

    ended = run(Instant(jobs=10), units, note=note)
    assert ended == [f"{unit.directory.name} done" for unit in (*units[50:], *units[:50])]
    assert notes == ["waiting for 50 that another run is at work on"]


def test_progress_of_many_is_read_in_turns(units: list[Unit], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "_TURN", 0.0)
    monkeypatch.setattr(shift, "_POLL", 0.0)
    reads: Counter[str] = Counter()
    progress = Unit.progress

    def counted(unit: Unit, facts: Any = None) -> Any:
        if facts is None:
            reads[unit.directory.name] += 1
        return progress(unit, facts)

    monkeypatch.setattr(Unit, "progress", counted)
    seen: list[int] = []

    def watch(units: Any) -> None:
        seen.append(sum(reads.values()))
        assert len(units) in (0, 100)

    run(Instant(jobs=100, polls=11), units, watch=watch)
    assert seen[:10] == [20 * (number + 1) for number in range(10)]
    assert set(reads.values()) == {2}


def test_the_time_in_a_queue_does_not_count(units: list[Unit], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "_WATCH", 0.0)
    patient = Instant(jobs=1, polls=24)  # half of that in the queue
    assert run(patient, units[:1], Limits(minutes=20 * shift._POLL / 60)) == ["cell-000 done"]
    slow = Instant(jobs=1, polls=200)
    assert run(slow, units[1:2], Limits(minutes=20 * shift._POLL / 60)) == ["cell-001 timeout"]


def test_an_executor_can_say_that_memory_was_short(units: list[Unit]) -> None:
    class Short(Instant):
        def poll(self) -> list[tuple[Path, int]]:
            ended, self.running = list(self.running), {}
            return [(directory, self.OUT_OF_MEMORY) for directory in ended]

    assert run(Short(jobs=1), units[:1]) == ["cell-000 oom"]


def test_a_unit_that_is_new_costs_two_calls_to_claim(units: list[Unit]) -> None:
    assert units[1].claim()  # the first makes the file of the locks
    calls: list[str] = []
    watched = [True]

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if watched[0] and event in ("open", "os.mkdir", "os.rename", "os.remove", "fcntl.fcntl"):
            calls.append(event)

    sys.addaudithook(hear)
    try:
        assert units[0].claim()
        assert calls == ["os.mkdir", "fcntl.fcntl"]
        units[0].create({"unit": "cell"})
        assert calls[2:] == ["open", "os.rename"]
    finally:
        watched[0] = False
    assert units[0].fresh
    units[0].release()
    assert units[0].claim()
    assert not units[0].fresh
    units[0].release()
    units[1].release()


def test_a_terminal_shows_some_of_a_thousand_bars_and_every_line(units: list[Unit], tmp_path: Path) -> None:
    class Cell:
        variant, dataset, seed = "gan", "digits", 3

    with (tmp_path / "screen").open("w") as screen:
        console = Console(file=screen, force_terminal=True, width=120, height=60)
        with RunView(console) as view:
            view.started(1000, 0)
            progress = {f"cell-{number:04}-key": {"spent": 0.5} for number in range(1000)}
            began = time.process_time()
            for _ in range(200):
                view.finished(Cell(), {"status": "failed", "reason": "because"})  # type: ignore[arg-type]
            view.running(progress)
            view._progress.refresh()
            assert time.process_time() - began < 2.0
            assert len(view._progress.tasks) == 21
            view.running(dict(list(progress.items())[:5]))
            assert sum(task.visible for task in view._progress.tasks) == 6
    text = (tmp_path / "screen").read_text()
    assert "1,000 run, 20 of them are shown" in text
    found = [text.index(f"[{number}/1000] gan on digits, seed 3 failed: because") for number in range(1, 201)]
    assert found == sorted(found)


# --- bench/cluster.py -------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    bench = Path(__file__).parents[1] / "bench"
    monkeypatch.syspath_prepend(bench)
    spec = importlib.util.spec_from_file_location("cluster", bench / "cluster.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("scale", None)


def test_a_simulated_cluster_ends_all_cells_and_counts_what_that_takes(cluster: ModuleType, tmp_path: Path) -> None:
    found = cluster.simulate(tmp_path, 100, 50, 0.1)
    assert sum(found["statuses"].values()) == found["cells"] == 100
    assert found["attempts"] >= 100
    assert 0.0 <= found["idle_share"] < 1.0
    kinds = found["operations_per_cell"]
    assert kinds["mkdir"] == pytest.approx(1.0, abs=0.05)
    assert kinds["lock"] == 1.0
    # A claim, a task, a manifest, some progress; the lost and tried again are more.
    assert 4.0 < sum(kinds.values()) < 8.0
