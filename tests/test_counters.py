"""Speed, FLOPs, shares of time and peaks of memory: right, on every record, and without a trace in the numbers."""

from __future__ import annotations

import json
import mmap
import os
import random
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import MINI, ganbench
from test_resume import made
from torch import nn

from ganbench import checkpoints, counters, randomness
from ganbench.contracts import DataSpec
from ganbench.counters import Counters, _counter, flops, flops_of
from ganbench.game import Game, Player
from ganbench.report import write
from ganbench.report.files import markdown
from ganbench.store import Store, Unit
from ganbench.testing.records import Records
from ganbench.train import Budget, play
from ganbench.worker import work

VARIANTS = [
    ("gans", "mlp-gan"),
    ("gans", "dcgan"),
    ("gans", "cgan"),
    ("gans", "wgan"),
    ("gans", "wgan-gp"),
    ("hoeckler", "hoeckler-gan"),
    ("hoeckler", "hoeckler-dcgan"),
    ("hoeckler", "hoeckler-cgan"),
    ("hoeckler", "hoeckler-wgan"),
    ("hoeckler", "hoeckler-wgan-gp"),
]


def counted(plugin, name):
    hoeckler = plugin == "hoeckler"
    params = {"batch_size": 8, "width": 0.05 if hoeckler else 4}
    flops_of.cache_clear()
    return flops_of(f"{plugin}/{name}", json.dumps(params), DataSpec((1, 28, 28) if hoeckler else (1, 8, 8), 10))


def test_flops_are_those_worked_out_by_hand():
    with torch.device("meta"):
        generator, critic = nn.Linear(2, 3), nn.Linear(3, 1, bias=False)
    latent = torch.empty(4, 2, device="meta")
    game = Game(
        [
            Player(
                "critic", critic, lambda b: (critic(generator(latent)) - critic(b.images.flatten(1))).mean(), turns=5
            ),
            Player("generator", generator, lambda b: -critic(generator(latent)).mean()),
        ],
        sample=lambda n, labels: generator(latent[:n]).view(-1, 1, 1, 3),
        generator=generator,
        batch_size=4,
    )
    found = flops(game, DataSpec((1, 1, 3)))
    generate, judge = 2 * 4 * 2 * 3, 2 * 4 * 3 * 1  # a multiplication and an addition each
    # Forward, then the gradients of the player's own weights, and of the images only where they are needed for those.
    assert found.turn == {
        "critic": generate + 2 * judge + 2 * judge,
        "generator": generate + judge + judge + generate,
    }
    assert found.round == 5 * found.turn["critic"] + found.turn["generator"]
    assert found.image == generate / 4


@pytest.mark.parametrize(("plugin", "name"), VARIANTS)
def test_flops_are_those_of_a_round_as_it_is_played(plugin, name):
    found = counted(plugin, name)
    game, batches = made(name)
    with _counter() as counter:
        budget = Budget("generator_updates", game.generator_updates_per_round)
        play(game, batches, budget, evaluations=1, evaluate=lambda moment: None)
    assert found is not None
    assert counter.get_total_flops() == found.round > 0
    assert set(found.turn) == {player.name for player in game.players}
    with _counter() as counter, torch.no_grad():
        game.sample(8, torch.arange(8) if game.conditional else None)
    assert counter.get_total_flops() == 8 * found.image > 0


@pytest.mark.parametrize(("plugin", "name"), VARIANTS)
def test_counting_leaves_no_trace_in_a_game(plugin, name):
    seen = []
    for counts in (True, False):
        game, batches = made(name)

        def between_two_rounds(state, counts=counts):
            assert not counts or counted(plugin, name)

        torch.manual_seed(5)
        budget = Budget("images", 64)
        play(game, batches, budget, evaluations=2, evaluate=lambda moment: None, checkpoint=between_two_rounds)
        networks = [module.state_dict() for player in game.players for module in player.modules()]
        seen.append([tensor for network in networks for tensor in network.values()] + [torch.rand(3)])
    assert all(torch.equal(one, other) for one, other in zip(*seen, strict=True))


class Careless:
    """A variant that draws from every generator, and whose cost looks at a number."""

    Params = SimpleNamespace(resolve=lambda params: params)

    def game(self, data, params):
        torch.rand(2, device="cpu"), np.random.rand(2), random.random()
        network = nn.Linear(2, 3)
        return Game(
            [Player("generator", network, lambda batch: network.weight.sum() * network.bias.max().item())],
            sample=lambda n, labels: network(torch.rand(n, 2)),
            generator=network,
        )


def test_a_game_that_needs_numbers_is_not_counted_and_its_draws_are_undone(monkeypatch):
    component = SimpleNamespace(load=lambda: Careless)
    monkeypatch.setattr(counters, "installed", lambda: SimpleNamespace(find=lambda kind, name: component))
    before = randomness.state(torch.device("cpu"))
    assert flops_of("careless", "{}", DataSpec((1, 1, 3))) is None
    after = randomness.state(torch.device("cpu"))
    assert torch.equal(before.pop("torch"), after.pop("torch"))
    assert str(before) == str(after)


def test_a_peak_of_host_memory_is_that_of_one_cell():
    first = Counters("cpu", time.perf_counter())
    if not first.host_is_known:
        pytest.skip("this system does not let a process begin its peak anew")
    with mmap.mmap(-1, 256 << 20) as large:  # and not what a process may have kept from earlier
        for page in range(0, len(large), mmap.PAGESIZE):
            large[page] = 1
    peaks = [first.so_far()["host"], Counters("cpu", time.perf_counter()).so_far()["host"]]
    assert peaks[0] - peaks[1] > 200 << 20
    assert peaks[1] > 10 << 20


def recorded(unit: Unit):
    events = [{key: event[key] for key in ("generator_updates", "costs")} for event in unit.events()]
    return events, [unit.snapshot(which).read_bytes() for which in ("best", "last")]


@pytest.fixture(scope="module")
def done(tmp_path_factory, data_root):
    """A results folder of one done cell, of images without labels: no classifier needs to be trained for it."""
    folder = tmp_path_factory.mktemp("done")
    np.savez(folder / "plain.npz", x_train=np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8))
    text = MINI.replace("mlp-gan", "dcgan").replace("= 4 }", "= 40 }").replace("digits", f"npz:{folder}/plain.npz")
    (folder / "bench.toml").write_text(text)
    ended = ganbench({**os.environ, "GANBENCH_DATA": str(data_root)}, "run", folder / "bench.toml", "--results", folder)
    assert ended.returncode == 0, ended.stderr
    return folder / "mini"


@pytest.fixture
def mini(done, tmp_path):
    """A copy of it that may be changed."""
    return Store(shutil.copytree(done, tmp_path / "mini"))


def anew(unit: Unit) -> Path:
    """The directory of a cell that is to be trained again."""
    unit.clear()
    (unit.directory / "manifest.json").unlink()
    return unit.directory


def test_counters_are_recorded_and_reported_and_change_no_number(mini, monkeypatch):
    (unit,) = mini.cells()
    speed, seconds = unit.manifest["speed"], unit.manifest["seconds"]
    assert speed["images_per_second"] == pytest.approx(40 * 64 / seconds["train"])
    assert speed["updates_per_second"] == pytest.approx(40 / seconds["train"])
    assert speed["flops_per_second"] == pytest.approx(40 * speed["flops_per_round"] / seconds["train"])
    assert set(speed["flops_per_turn"]) == set(unit.manifest["parameters"])
    shares = [speed[f"{name}_share"] for name in ("train", "evaluate", "checkpoint", "data", "rest")]
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(1)
    assert speed["device_bytes"] is None

    text = (mini.root / "leaderboard.md").read_text()
    assert ": speed\n" in text
    assert speed["machine"] in text
    table = pd.read_csv(mini.root / "speed.csv")
    assert table.loc[0, "images_per_second"] == speed["images_per_second"]

    assert work(anew(unit)) == 0
    with_counters = recorded(unit)
    monkeypatch.setattr(counters, "flops_of", lambda *about: None)
    assert work(anew(unit)) == 0
    assert recorded(unit) == with_counters
    assert "flops_per_round" not in unit.manifest["speed"]
    write(mini.tables(), mini.root, pictures=False)
    assert "GFLOP/s" not in (mini.root / "leaderboard.md").read_text().partition("Means over")[0]


@pytest.mark.parametrize("older", [False, True])
def test_a_resumed_cell_counts_all_of_its_attempts(mini, older):
    (unit,) = mini.cells()
    assert work(anew(unit)) == 0
    whole = recorded(unit)
    rounds = iter(range(1000))
    assert work(anew(unit), lambda: next(rounds) == 30) == 1
    assert unit.status == "interrupted"
    kept = checkpoints.load(unit, "cpu", print)
    assert kept is not None
    before = json.loads(kept["history"])
    trained = kept["game"]["moment"]["seconds"]
    assert before["counters"]["total"] > trained > 0
    if older:
        del before["counters"]
        checkpoints.save(unit, {**kept, "history": json.dumps(before)}, 31)

    assert work(unit.directory) == 0
    assert recorded(unit) == whole
    speed, seconds = unit.manifest["speed"], unit.manifest["seconds"]
    assert seconds["train"] > trained
    assert speed["images_per_second"] == pytest.approx(40 * 64 / seconds["train"])
    if older:
        assert "train_share" not in speed
        assert seconds["total"] > 0
    else:
        assert seconds["total"] > before["counters"]["total"] + seconds["train"] - trained
        assert seconds["data"] > before["counters"]["data"] > 0
        assert sum(speed[f"{name}_share"] for name in ("train", "evaluate", "checkpoint", "data", "rest")) <= 1 + 1e-9


def test_records_without_counters_have_no_table_of_speed(tmp_path: Path):
    records = Records(tmp_path)
    records.cell("dcgan", 0, {"fcd": 3.0})
    (tmp_path / "speed.csv").write_text("of other records")
    store = records.written()
    write(store.tables(), tmp_path, pictures=False)
    assert not (tmp_path / "speed.csv").exists()
    assert "speed" not in (tmp_path / "leaderboard.md").read_text()
    assert "speed" not in pd.read_parquet(tmp_path / "results.parquet").columns


def test_a_row_is_the_mean_over_the_cells_that_were_counted(tmp_path: Path):
    records = Records(tmp_path)
    records.cell("dcgan", 0, {"fcd": 3.0}, speed={"images_per_second": 100, "host_bytes": 2**20, "data_share": 0.25})
    records.cell("dcgan", 1, {"fcd": 3.0}, speed={"images_per_second": 300, "host_bytes": None, "machine": "a <b> | c"})
    records.cell("dcgan", 2, {"fcd": 3.0})
    records.cell("wgan", 0, {"fcd": 3.0}, speed={"images_per_second": 1e3, "flops_per_round": 5e9})
    records.cell("wgan", 1, {"fcd": 3.0}, speed={"images_per_second": "=many"})
    records.cell("cgan", 1, None, status="failed", speed={"images_per_second": 1e9})
    tables = records.written().tables()
    lines = markdown(tables).partition("## digits: speed")[2].splitlines()
    assert lines[2] == r"a &lt;b&gt; \| c"
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "gan" in line][:2] == [
        ["wgan", "1000", "5.000", "–", "–", "1"],
        ["dcgan", "200.0", "–", "25.0", "1.000", "2"],
    ]
    write(tables, tmp_path, pictures=False)
    table = pd.read_csv(tmp_path / "speed.csv")
    assert list(table["variant"]) == ["wgan", "dcgan"]
    assert list(table["n"]) == [1, 2]
