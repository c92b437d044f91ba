"""Turns that are recorded and replayed: the same numbers as turns that are played, or a reason why not."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MINI, ganbench, install

from ganbench import randomness
from ganbench.api import Batch, DataSpec, Game, Split
from ganbench.batches import Batches
from ganbench.config import read
from ganbench.graphs import CudaRecorder, NotRecorded, Recorder
from ganbench.plan import resolve
from ganbench.plugins import installed
from ganbench.store import Store
from ganbench.testing.recorder import CpuRecorder
from ganbench.train import Budget, Moment, State, play

VARIANTS = ["mlp-gan", "dcgan", "cgan", "wgan", "wgan-gp", "hoeckler-gan", "hoeckler-wgan-gp"]


def make(name: str, **params: object) -> Game:
    variant = installed().find("variants", name).load()()
    torch.manual_seed(0)
    names = set(variant.Params.__dataclass_fields__)
    wanted = {"batch_size": 8, "width": 4, "latent_dim": 6, **params}
    if name.startswith("hoeckler"):
        wanted |= {"batch_size": 16, "width": 0.1, "latent_dim": 50}
    resolved = variant.Params.resolve({name: value for name, value in wanted.items() if name in names})
    game: Game = variant.game(data(name), resolved)
    return game


def data(name: str) -> DataSpec:
    size = 28 if name.startswith("hoeckler") else 8
    return DataSpec((1, size, size), 10)


def run(
    game: Game, spec: DataSpec, recorder: Recorder | None, rounds: int = 12, **more: object
) -> tuple[list[Moment], list[torch.Tensor]]:
    """Every evaluation, and the weights at the end."""
    rng = np.random.default_rng(0)
    batches = Batches(
        Split(rng.integers(0, 256, (40, *spec.shape), dtype=np.uint8), np.arange(40) % 10),
        game.batch_size,
        device="cpu",
        seed=0,
    )
    seen: list[Moment] = []

    def evaluate(moment: Moment) -> None:
        torch.manual_seed(7)
        game.sample(5, torch.arange(5) if game.conditional else None)
        seen.append(Moment(**{**vars(moment), "seconds": 0.0}))

    budget = Budget("generator_updates", rounds)
    play(game, batches, budget, evaluations=3, evaluate=evaluate, recorder=recorder, **more)  # type: ignore[arg-type]
    return seen, [parameter.detach().clone() for player in game.players for parameter in player.parameters()]


def assert_same(one: tuple[list[Moment], list[torch.Tensor]], other: tuple[list[Moment], list[torch.Tensor]]) -> None:
    assert one[0] == other[0]
    assert all(torch.equal(a, b) for a, b in zip(one[1], other[1], strict=True))


@pytest.mark.parametrize("name", VARIANTS)
def test_replayed_turns_give_the_numbers_of_played_ones_bit_for_bit(name: str) -> None:
    recorder = CpuRecorder()
    assert_same(run(make(name), data(name), None), run(make(name), data(name), recorder))
    assert recorder.reason == ""


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_every_optimiser_and_the_average_are_replayed(optimizer: str) -> None:
    def game() -> Game:
        return make("dcgan", optimizer=optimizer, momentum=0.5, ema=0.9)

    recorder = CpuRecorder()
    assert_same(run(game(), data("dcgan"), None), run(game(), data("dcgan"), recorder))
    assert recorder.reason == ""


def test_replayed_turns_run_no_python() -> None:
    calls = 0
    game = make("dcgan")
    cost = game.players[0].cost

    def counted(batch: Batch) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return cost(batch)

    game.players[0].cost = counted
    run(game, data("dcgan"), CpuRecorder(), rounds=100)
    assert calls == 3 + 2 + 1  # to warm up, to compare with, and to record


def test_a_replayed_game_goes_on_from_its_checkpoints() -> None:
    states: list[State] = []

    def keep(state: State) -> None:
        from ganbench.table import _copied

        states.append(_copied(state))

    whole = run(make("wgan-gp"), data("wgan-gp"), CpuRecorder(), rounds=24, checkpoint=keep)
    kept = next(state for state in states if state["moment"]["rounds"] == 8)
    game = make("wgan-gp", ema=0.0)
    torch.manual_seed(3)
    seen, weights = run(game, data("wgan-gp"), CpuRecorder(), rounds=24, resume=kept)
    assert_same((seen, weights), (whole[0][1:], whole[1]))


def changed(change: Callable[[Game], None]) -> str:
    """The reason why a changed game is not replayed, the trying of which changes no number."""
    pairs = []
    recorder = CpuRecorder()
    for one in (None, recorder):
        game = make("dcgan")
        randomness.seed(1)
        change(game)
        pairs.append(run(game, data("dcgan"), one))
    assert_same(*pairs)
    return recorder.reason


def test_a_variant_can_refuse() -> None:
    def refuse(game: Game) -> None:
        game.capturable = False

    assert changed(refuse) == "the variant asks for it (capturable=False)"


def test_an_optimiser_that_counts_on_the_host_is_not_recorded() -> None:
    def choose(game: Game) -> None:
        game.players[1].optimizer = lambda parameters: torch.optim.NAdam(parameters, lr=1e-3)

    assert changed(choose) == "the optimiser of the generator is not capturable"


@pytest.mark.parametrize("draw", [random.random, np.random.random])
def test_a_cost_that_draws_on_the_host_is_not_recorded(draw: Callable[[], float]) -> None:
    def add_noise(game: Game) -> None:
        cost = game.players[0].cost
        game.players[0].cost = lambda batch: cost(batch) * (1 + draw())

    assert changed(add_noise) == "its costs draw from a generator of random numbers on the host"


def test_a_cost_that_depends_on_a_count_is_found_out_and_played() -> None:
    def count(game: Game) -> None:
        cost, calls = game.players[0].cost, 0

        def heavier(batch: Batch) -> torch.Tensor:
            nonlocal calls
            calls += 1
            return cost(batch) * calls

        game.players[0].cost = heavier

    recorder = CpuRecorder()
    game = make("dcgan")
    count(game)
    run(game, data("dcgan"), recorder)
    assert recorder.reason.startswith("the captured costs of the discriminator are ")


def test_a_recording_that_the_device_breaks_off_ends_training_here() -> None:
    game = make("dcgan")
    cost = game.players[1].cost

    def reads(batch: Batch) -> torch.Tensor:
        value = cost(batch)
        assert value.item() < 1e9
        return value

    game.players[1].cost = reads
    with pytest.raises(NotRecorded, match="_local_scalar_dense"):
        run(game, data("dcgan"), CpuRecorder())


def test_step_sizes_on_the_device_decay_as_those_on_the_host() -> None:
    from ganbench.api import Optimizer, Player
    from ganbench.seats import Seat

    layer = torch.nn.Linear(2, 1)
    player = Player("p", layer, lambda batch: layer(batch.images).sum(), Optimizer(lr=0.5, schedule="linear"))
    seat = Seat(player, torch.device("cpu"))
    rate = torch.tensor(0.5)
    seat.optimizer.param_groups[0]["lr"] = rate
    state = seat.state()
    seat.schedule(0.25)
    assert rate.item() == 0.375
    state["optimizer"]["param_groups"][0]["lr"] = 0.1  # as a checkpoint made on a CPU has it
    seat.restore(state)
    seat.schedule(0.5)
    assert seat.optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", VARIANTS)
def test_cuda_graphs_give_the_numbers_of_the_eager_loop(name: str) -> None:
    def weights(recorder: Recorder | None) -> tuple[dict[str, float], list[torch.Tensor]]:
        with torch.device("cuda"):
            game = make(name)
        rng = np.random.default_rng(0)
        split = Split(rng.integers(0, 256, (40, *data(name).shape), dtype=np.uint8), np.arange(40) % 10)
        batches = Batches(split, game.batch_size, device="cuda", seed=0)
        last = play(
            game,
            batches,
            Budget("generator_updates", 20),
            evaluations=2,
            evaluate=lambda moment: None,
            recorder=recorder,
        )
        return last.costs, [parameter.detach().clone() for player in game.players for parameter in player.parameters()]

    recorder = CudaRecorder(torch.device("cuda"))
    (costs, one), (again, other) = weights(None), weights(recorder)
    assert recorder.reason == ""
    assert again == pytest.approx(costs, rel=1e-3, abs=1e-4)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)


BREAKING = """
from ganbench import graphs
from ganbench.api import hookimpl


class Breaking(graphs.Recorder):
    def record(self, work):
        raise graphs.NotRecorded("this device breaks off every recording")


graphs.recorder_for = lambda device: Breaking()


@hookimpl
def register_variants(register):
    pass
"""


def test_a_cell_whose_recording_is_broken_off_goes_on_in_a_new_process(tmp_path: Path, data_root: Path) -> None:
    np.savez(tmp_path / "plain.npz", x_train=np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8))
    text = MINI.replace("mlp-gan", "dcgan").replace("= 4 }", "= 9 }").replace("digits", f"npz:{tmp_path}/plain.npz")
    (tmp_path / "bench.toml").write_text(text)
    environment = {**install(tmp_path / "site", "breaking", BREAKING), "GANBENCH_DATA": str(data_root)}
    ended = ganbench(environment, "run", tmp_path / "bench.toml", "--results", tmp_path / "results")
    assert ended.returncode == 0, ended.stderr
    reason = "this device breaks off every recording"
    assert f"no CUDA graphs ({reason}); trying again" in ended.stdout
    (unit,) = Store(tmp_path / "results" / "mini").cells()

    def check(attempts: int) -> None:
        manifest = unit.manifest
        assert (manifest["status"], manifest["attempt"], manifest["eager"]) == ("done", attempts, reason)
        assert unit.log.read_text().count("going on in a new process") == 1

    check(attempts=2)
    # The same for one who trains a cell by hand.
    alone = [sys.executable, "-m", "ganbench.worker", str(unit.directory)]
    unit.update(status="interrupted", eager="")
    said = subprocess.run(alone, check=True, env=environment, capture_output=True, text=True).stdout
    assert said.count("going on in a new process") == 1
    check(attempts=4)


def test_a_file_can_do_without_cuda_graphs(toml: Callable[..., Path]) -> None:
    def task(*change: tuple[str, str]) -> dict[str, object]:
        plan = resolve(*read(toml(MINI, *change)), installed())
        (cell,) = plan.cells({"digits": "0" * 64})
        return cell.task

    without = task(("seeds = 1", "seeds = 1\ncuda_graphs = false"))
    assert not without["cuda_graphs"]
    assert without["key"] == task()["key"]
