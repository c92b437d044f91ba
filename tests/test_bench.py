"""bench/loop.py: both loops train the same networks, and its figures are of what it says; bench/graph.py too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ganbench.api import Split
from ganbench.batches import Batches

pytestmark = pytest.mark.usefixtures("bench")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The scripts' own modules, for the time of a test."""
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "bench")
    yield
    for name in ("graph", "loop", "networks", "plain"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("cost", ["gan", "wgan-gp"])
def test_quick_networks_are_those_of_torchs_layers(cost: str) -> None:
    from networks import LATENT_DIM, Case, build

    case = Case("", cost, (1, 32, 32), "plain")
    pairs = zip(build(case), build(case._replace(layers="quick")), strict=True)
    inputs = (torch.randn(2, LATENT_DIM), torch.randn(2, 1, 32, 32))
    for (plain, quick), given in zip(pairs, inputs, strict=True):
        assert [p.shape for p in plain.parameters()] == [p.shape for p in quick.parameters()]
        for one, other in zip(plain.parameters(), quick.parameters(), strict=True):
            other.data.copy_(one.data)
        torch.testing.assert_close(plain.eval()(given), quick.eval()(given))


@pytest.mark.parametrize("cost", ["gan", "wgan-gp"])
def test_both_loops_take_the_turns_of_a_generator_update(cost: str, capsys: pytest.CaptureFixture[str]) -> None:
    import plain
    from loop import game_of, ours
    from networks import LATENT_DIM, Case, build

    case = Case("", cost, (1, 8, 8), "ganbench")
    images = np.random.default_rng(0).integers(0, 256, (640, 8, 8), dtype=np.uint8)
    networks = build(case)
    before = [[parameter.clone() for parameter in network.parameters()] for network in networks]
    steps = (plain.wgan_gp if cost == "wgan-gp" else plain.gan)(
        *networks, plain.loader(images, 8, 64), LATENT_DIM, False
    )
    next(steps)
    next(steps)
    assert capsys.readouterr().out.count("[D loss") == 2
    for network, kept in zip(networks, before, strict=True):
        moved = [not torch.equal(a, b) for a, b in zip(network.parameters(), kept, strict=True)]
        assert moved[0]  # the bias of a critic's score has no gradient

    game = game_of(case)
    taken = ours(game, Batches(Split(images[:, None]), 64, device="cpu", seed=0), 5, "fp32")
    assert taken.round > 0
    assert 0 < taken.overhead < 1
    assert game.batches_per_round == (plain.N_CRITIC if cost == "wgan-gp" else 1)


def test_turns_of_graph_gans_are_measured_in_a_process_of_their_own() -> None:
    from graph import Job, alone, game_of

    job = Job("graph-edgeconv", {"k": 4, "width": 6, "critic_width": 4}, "cpu", 1, batch=4, rounds=2, size=8)
    found = alone(job)
    assert 0 < found.generator < found.update == 5 * found.critic + found.generator
    generator = game_of(job, n_critic=1).generator
    assert found.parameters == sum(p.numel() for p in generator.parameters())
    assert found.flops > 0
    assert 0 < found.memory < 2**30
