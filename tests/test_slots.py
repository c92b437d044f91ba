"""How many cells share a GPU: when doubling stops, what is kept, and that a probe plays and fails as it should."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import MINI

from ganbench import slots
from ganbench.cli import main
from ganbench.config import read
from ganbench.contracts import DataSpec
from ganbench.plan import Plan, resolve
from ganbench.plugins import installed
from ganbench.rates import Play, Rate, RateError, rate
from ganbench.store import Store

MIB = 2**20


def measured(*rounds: float, peak: int = 0, free: int = 0) -> tuple[Callable[[int], Rate], list[int]]:
    """A probe that finds these rates with 1, 2, 4 ... processes and fails beyond, and the numbers it was asked for."""
    asked: list[int] = []

    def measure(number: int) -> Rate:
        asked.append(number)
        if len(asked) > len(rounds):
            raise RateError("out of memory")
        return Rate(rounds[len(asked) - 1], peak, free)

    return measure, asked


@pytest.mark.parametrize(
    ("rounds", "chosen", "tried", "why"),
    [
        ((100, 190, 300, 320, 999), 4, [1, 2, 4, 8], "8 gain less than 10%"),  # 320 < 1.1 × 300
        ((100, 100), 1, [1, 2], "2 gain less than 10%"),
        ((100, 110.1, 200), 4, [1, 2, 4, 8], "with 8 it failed: out of memory"),
        ((100, 200, 400, 800, 1600, 3200), 16, [1, 2, 4, 8, 16], "more than 16 are not tried"),
    ],
)
def test_processes_are_doubled_while_that_pays(rounds, chosen, tried, why) -> None:
    measure, asked = measured(*rounds)
    choice = slots.choose(measure, 16)
    assert (choice.slots, asked) == (chosen, tried)
    assert why in choice.why


@pytest.mark.parametrize(
    ("peak", "data", "room"),  # of 16,000 MiB half is to be had, and each process takes 600 beside
    [(200 * MIB, 0, 8), (1400 * MIB, 0, 4), (1401 * MIB, 0, 2), (1000 * MIB, 401 * MIB, 2), (9000 * MIB, 0, 1)],
)
def test_half_of_the_memory_is_left(peak, data, room) -> None:
    measure, asked = measured(1, 2, 4, 8, 16, 32, peak=peak, free=16_000 * MIB)
    choice = slots.choose(measure, 64, data)
    assert choice.slots == asked[-1] == room
    assert "half of the GPU's memory has room for" in choice.why


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.fixture
def auto(toml) -> Callable[..., Plan]:
    """A plan of three sizes, with replacements."""

    def make(*replacements: tuple[str, str]) -> Plan:
        text = 'slots_per_gpu = "auto"\n' + MINI.replace("params.width = 8", "params.width = [8, 1024, 64]")
        return resolve(*read(toml(text, *replacements)), installed())

    return make


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Play, int]]:
    """A GPU that is not there, on which four processes are best; what was played."""
    played: list[tuple[Play, int]] = []

    def measure(play: Play, processes: int, threads: int) -> Rate:
        played.append((play, processes))
        return Rate({1: 10.0, 2: 20.0, 4: 30.0}.get(processes, 31.0), 10 * MIB, 10**11)

    monkeypatch.setattr(slots, "rate", measure)
    monkeypatch.setattr(slots, "gpu_ids", lambda device: ["3"])
    monkeypatch.setattr(slots, "gpus", lambda: ["A GPU"])
    monkeypatch.setattr(slots, "cores", lambda: 16)
    return played


def test_the_configuration_of_median_arithmetic_is_measured_once(auto, gpu, tmp_path: Path) -> None:
    store, notes = Store(tmp_path / "results"), list[str]()
    store.make()
    plan = auto()
    assert slots.kept(plan, store) == 0
    assert slots.per_gpu(plan, store, "cuda", notes.append) == 4
    assert [processes for _, processes in gpu] == [1, 2, 4, 8]
    (play, _), *_ = gpu
    assert (play.params["width"], play.device, play.gpu) == (64, "cuda", "3")
    assert "slots_per_gpu: 4 (rounds per second: 10 with 1, 20 with 2, 30 with 4, 31 with 8; 8 gain less" in notes[-1]

    assert slots.per_gpu(auto(("seeds = 1", "seeds = 5")), store, "cuda", notes.append) == 4
    assert len(gpu) == 4  # nothing more was played
    assert notes[-1] == "4 cells share a GPU, as measured before (slots.json)"
    slots.per_gpu(auto(("1024", "512")), store, "cuda", notes.append)
    assert len(gpu) == 8


def test_what_fails_with_one_process_already_is_not_kept(auto, gpu, tmp_path: Path, monkeypatch) -> None:
    store, notes = Store(tmp_path / "results"), list[str]()
    store.make()
    monkeypatch.setattr(slots, "rate", lambda play, processes, threads: measured()[0](processes))
    monkeypatch.setattr(slots, "apart", lambda *arguments, patience: None)  # nor can anything be counted
    assert slots.per_gpu(auto(), store, "cuda", notes.append) == 1
    assert notes[-1] == "slots_per_gpu: 1, since it cannot be measured (RateError: out of memory)"
    assert store.slots() == {}


def test_what_fails_means_one_and_a_note(auto, gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, notes = Store(tmp_path / "results"), list[str]()
    store.make()

    def broken(device: str) -> list[str]:
        raise RuntimeError("no driver")

    monkeypatch.setattr(slots, "gpu_ids", broken)
    assert slots.per_gpu(auto(), store, "cuda", notes.append) == 1
    assert notes == ["slots_per_gpu: 1, since it cannot be measured (RuntimeError: no driver)"]
    assert store.slots() == {}


def test_a_number_is_taken_as_it_is_and_on_a_cpu_there_is_nothing_to_measure(auto, gpu, tmp_path: Path) -> None:
    store, notes = Store(tmp_path / "results"), list[str]()
    assert slots.per_gpu(auto(('"auto"', "3")), store, "cuda", notes.append) == 3
    assert slots.per_gpu(auto(), store, "cpu", notes.append) == 1
    assert (gpu, notes) == ([], [])


def test_a_run_on_the_cpu_takes_auto_and_measures_nothing(toml, gpu, tmp_path: Path) -> None:
    path = toml('slots_per_gpu = "auto"\ndevice = "cpu"\n' + MINI)
    outcome = CliRunner().invoke(main, ["run", str(path), "--results", str(tmp_path / "results")])
    assert outcome.exit_code == 0, outcome.output
    assert gpu == []
    assert "share a GPU" not in outcome.output


# --- what is played ---------------------------------------------------------------------------------------------------

DIGITS = DataSpec((1, 8, 8), 10)


def test_two_processes_play_at_once_and_their_rates_add_up() -> None:
    play = Play("gans/mlp-gan", {"width": 8, "batch_size": 4}, DIGITS)
    found = rate(play, 2, 1, seconds=0.3)
    assert found.rounds > 20
    assert (found.peak, found.free) == (0, 0)


def test_what_cannot_be_played_says_why_and_leaves_nothing_behind() -> None:
    import multiprocessing

    with pytest.raises(RateError, match=r"ParamError: .*width"):
        rate(Play("gans/mlp-gan", {"width": -1}, DIGITS), 2, 1, seconds=0.1)
    with pytest.raises(RateError, match=r"longer than 0\.5 s"):
        rate(Play("gans/mlp-gan", {"width": 8}, DIGITS), 1, 1, seconds=60, patience=0.5)
    time.sleep(0.1)
    assert not multiprocessing.active_children()
