"""What was stopped or killed goes on to the very same numbers as if it had never been."""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MINI, ganbench

from ganbench import checkpoints
from ganbench.batches import Batches
from ganbench.contracts import DataSpec, Split
from ganbench.plugins import installed
from ganbench.store import Store, Unit
from ganbench.train import Budget, Moment, play

ROUNDS = 12


def made(name: str, **params):
    variant = installed().find("variants", name).load()()
    torch.manual_seed(3)
    size = 28 if name.startswith("hoeckler") else 8
    width = {"width": 0.05} if name.startswith("hoeckler") else {"width": 4}
    game = variant.game(DataSpec((1, size, size), 10), variant.Params.resolve({"batch_size": 8, **width, **params}))
    images = np.random.default_rng(0).integers(0, 256, (30, 1, size, size), np.uint8)
    return game, Batches(Split(images, np.arange(30) % 10), 8, device="cpu", seed=3)


def played(game, batches, seen, **options):
    def evaluate(moment: Moment) -> None:
        labels = torch.arange(4) if game.conditional else None
        seen.append((moment.rounds, dict(moment.costs), game.sample(4, labels).clone()))

    updates = ROUNDS * game.generator_updates_per_round
    play(game, batches, Budget("generator_updates", updates), evaluations=3, evaluate=evaluate, **options)


CASES = [
    ("mlp-gan", {}),
    ("mlp-gan", {"optimizer": "sgd", "momentum": 0.9}),
    ("dcgan", {"ema": 0.9, "lr_schedule": "linear"}),
    ("cgan", {}),
    ("wgan", {"n_critic": 2}),
    ("wgan-gp", {"n_critic": 2}),
    ("hoeckler-dcgan", {}),
]


@pytest.mark.parametrize(("name", "params"), CASES, ids=[f"{name}-{'-'.join(params)}" for name, params in CASES])
@pytest.mark.parametrize("stopped_after", [1, 4, 7])
def test_a_game_stopped_between_any_two_rounds_goes_on_bit_for_bit(name, params, stopped_after):
    whole: list = []
    game, batches = made(name, **params)
    played(game, batches, whole)
    expected = [p.detach().clone() for player in game.players for p in player.parameters()]

    parts: list = []
    kept: list[bytes] = []

    def checkpoint(state) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        kept.append(buffer.getvalue())

    rounds = 0

    def stop() -> bool:
        nonlocal rounds
        rounds += 1
        return rounds == stopped_after + 1  # asked before the first round too

    game, batches = made(name, **params)
    with pytest.raises(KeyboardInterrupt):
        played(game, batches, parts, checkpoint=checkpoint, stop=stop)
    torch.manual_seed(99)  # another process
    game, batches = made(name, **params)
    torch.manual_seed(99)
    state = torch.load(io.BytesIO(kept[-1]), weights_only=True)
    assert state["moment"]["rounds"] == stopped_after
    played(game, batches, parts, resume=state)
    assert [(at, costs) for at, costs, _ in parts] == [(at, costs) for at, costs, _ in whole]
    assert all(torch.equal(one, other) for (_, _, one), (_, _, other) in zip(parts, whole, strict=True))
    after = [p for player in game.players for p in player.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(after, expected, strict=True))


def test_a_game_resumed_at_its_end_is_not_played_on():
    kept: list = []
    game, batches = made("mlp-gan")
    played(game, batches, [], checkpoint=kept.append)
    weights = [p.detach().clone() for p in game.generator.parameters()]
    seen: list = []
    played(game, batches, seen, resume=kept[-1])
    assert not seen
    assert all(torch.equal(one, other) for one, other in zip(game.generator.parameters(), weights, strict=True))


def test_numpys_and_pythons_generators_go_on_too():
    from ganbench import randomness

    state = randomness.state(torch.device("cpu"))
    buffer = io.BytesIO()
    torch.save(state, buffer)
    drawn = (torch.rand(3), np.random.rand(3), random.random(), random.gauss(0, 1))
    randomness.restore(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    again = (torch.rand(3), np.random.rand(3), random.random(), random.gauss(0, 1))
    assert torch.equal(drawn[0], again[0])
    assert np.array_equal(drawn[1], again[1])
    assert drawn[2:] == again[2:]


def unit(tmp_path: Path) -> Unit:
    made = Unit(tmp_path / "cell")
    made.create({"unit": "cell"})
    return made


def test_two_checkpoints_are_kept_and_a_damaged_one_gives_way_to_the_one_before(tmp_path):
    cell, said = unit(tmp_path), []
    for rounds in (1, 20, 300):
        checkpoints.save(cell, {"rounds": rounds, "tensor": torch.arange(rounds)}, rounds)
    assert len(cell.checkpoints()) == 2
    newest = cell.checkpoints()[0]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    state = checkpoints.load(cell, "cpu", said.append)
    assert state["rounds"] == 20
    assert torch.equal(state["tensor"], torch.arange(20))
    assert said == [f"{newest.name} is damaged (its checksum does not fit) and not used"]
    cell.checkpoints()[0].write_bytes(cell.checkpoints()[0].read_bytes()[:100])
    assert checkpoints.load(cell, "cpu", said.append) is None
    assert not cell.checkpoints()


LONG = MINI.replace("generator_updates = 4", "generator_updates = 600").replace("times = 2", "times = 6")


def numbers(results: Path):
    (cell,) = Store(results / "mini").cells()
    manifest = cell.manifest
    assert manifest["status"] == "done"
    events = [{key: event[key] for key in ("generator_updates", "costs", "metrics")} for event in cell.events()]
    snapshots = [cell.snapshot(which).read_bytes() for which in ("best", "last")]
    sheets = {path.name: path.read_bytes() for path in (cell.directory / "samples").iterdir()}
    return events, manifest["best"]["metrics"], manifest["last"]["metrics"], snapshots, sheets


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, data_root):
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "bench.toml").write_text(LONG)
    import os

    environment = {**os.environ, "GANBENCH_DATA": str(data_root)}
    done = ganbench(environment, "run", folder / "bench.toml", "--results", folder)
    assert done.returncode == 0, done.stderr
    return numbers(folder)


def started(toml: Path, results: Path) -> tuple[subprocess.Popen, Unit]:
    command = [sys.executable, "-m", "ganbench.cli", "run", str(toml), "--results", str(results)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for cell in Store(results / "mini").cells() if (results / "mini").exists() else ():
            if len(cell.events()) >= 2:
                return process, cell
        time.sleep(0.02)
    raise AssertionError("the cell never got to its second evaluation")


@pytest.mark.parametrize("who", ["the worker", "the main process", "both"])
def test_a_killed_cell_goes_on_and_ends_with_the_same_records(who, toml, tmp_path, undisturbed):
    path, results = toml(LONG), tmp_path / "results"
    process, cell = started(path, results)
    worker = cell.manifest["pid"]
    if who != "the worker":
        process.kill()
    if who != "the main process":
        _kill(worker)
    process.wait(60)
    _wait_for_death(worker)
    if who != "the worker":  # that one is lost, and its cell is tried again at once
        assert cell.checkpoints()
    import os

    done = ganbench(dict(os.environ), "run", path, "--results", results)
    assert done.returncode == 0, done.stderr
    assert "going on after round" in cell.log.read_text()
    assert numbers(results) == undisturbed
    assert not cell.checkpoints()
    assert cell.manifest["attempt"] == 2


def test_sigterm_leaves_a_checkpoint_of_that_very_moment(toml, tmp_path, undisturbed):
    path = toml(LONG)
    for attempt in range(4):  # a signal can come just when an evaluation is done
        results = tmp_path / f"results-{attempt}"
        process, cell = started(path, results)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        assert cell.status == "interrupted"
        state = checkpoints.load(cell, "cpu", print)
        assert state is not None
        if rounds := state["game"]["moment"]["rounds"] % 100:
            break
    assert rounds  # not merely that of the last evaluation
    assert len(json.loads(state["history"])["evaluations"]) == len(cell.events())
    import os

    done = ganbench(dict(os.environ), "run", path, "--results", results)
    assert done.returncode == 0, done.stderr
    assert numbers(results) == undisturbed


def _kill(pid: int) -> None:
    import os

    os.kill(pid, signal.SIGKILL)


def _wait_for_death(pid: int) -> None:
    """A worker whose main process was killed ends by itself or plays on: then it is killed here."""
    import os

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
