"""The costs of a few rounds of every shipped variant, against numbers written down here: what ganbench trains.

A change of a number here is a change of what records mean: it needs a new `plan.PROTOCOL`, or a new `version` of the
variant. They are made anew (printed, to be put in the place of those below) by

    OMP_NUM_THREADS=1 python tests/test_golden.py
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ganbench.api import DataSpec, Split
from ganbench.batches import Batches
from ganbench.plugins import installed
from ganbench.train import Budget, Moment, play

ROUNDS = 4
# Other kernels round sums otherwise, and optimisers, which divide by the size of a gradient, enlarge that. Without AVX,
# with AVX2 in the place of AVX-512, without oneDNN and with two threads these numbers move by at most 4e-6 of their
# value; a step size or an average that is 1 % off moves them by 9e-3 or more.
TOLERANCE = {"rel": 1e-4, "abs": 1e-6}
#: Large steps, so that four rounds tell; WGAN's are less, as its critic's bias has no gradient but rounding.
PARAMS = {
    "mlp-gan": {"width": 16, "lr": 0.01},
    "dcgan": {"width": 8, "lr": 0.01},
    "cgan": {"width": 8, "lr": 0.01},
    "wgan": {"width": 8, "lr": 0.001, "n_critic": 2, "clip": 0.5},
    "wgan-gp": {"width": 8, "lr": 0.01, "n_critic": 2},
}
Golden = dict[str, list[float]]
GOLDEN: dict[str, Golden] = {
    "mlp-gan": {
        "discriminator": [1.417179, 1.244261, 1.078256, 0.9375553],
        "generator": [0.8400343, 0.8293096, 0.814844, 0.7458483],
        "samples": [-0.05290459, 0.2254078],
    },
    "dcgan": {
        "discriminator": [1.405569, 1.347742, 1.221468, 0.9575451],
        "generator": [0.6793988, 0.7199566, 0.891072, 1.131765],
        "samples": [-0.003421211, 0.004904635],
    },
    "cgan": {
        "discriminator": [1.428821, 1.361632, 1.128273, 0.9131743],
        "generator": [0.6716487, 0.8167636, 1.016825, 1.262012],
        "samples": [-0.0009589913, 0.005739806],
    },
    "wgan": {
        "critic": [-0.1022121, -0.4093658, -0.9424286, -1.451672],
        "generator": [0.0854372, 0.2495539, 0.5476535, 0.7554226],
        "samples": [-0.02938807, 0.004639679],
    },
    "wgan-gp": {
        "critic": [2.587168, 0.5584736, -0.4833723, 0.238498],
        "generator": [0.4559356, 0.5513501, 0.1126906, 0.3604317],
        "samples": [-0.005837347, 0.2114178],
    },
}


def played(name: str) -> Golden:
    """Each player's mean cost in each round, and mean and spread of 64 samples after the last."""
    data = load_digits()
    images = np.rint(data.images[:96] * 255 / 16).astype(np.uint8)[:, None]
    batches = Batches(Split(images, data.target[:96].astype(np.int64)), 16, device="cpu", seed=0)
    variant = installed().find("variants", name).load()()
    params = variant.Params.resolve({"batch_size": 16, "latent_dim": 8, "ema": 0.5, **PARAMS[name]})
    torch.manual_seed(0)
    game = variant.game(DataSpec((1, 8, 8), 10), params)
    found: Golden = {player.name: [] for player in game.players}

    def evaluate(moment: Moment) -> None:
        for player, cost in moment.costs.items():
            found[player].append(cost)
        torch.manual_seed(1)
        samples = game.sample(64, torch.arange(64) % 10 if game.conditional else None).double()
        found["samples"] = [float(samples.mean()), float(samples.std())]

    play(game, batches, Budget("generator_updates", ROUNDS), evaluations=ROUNDS, evaluate=evaluate)
    return found


@pytest.mark.parametrize("name", PARAMS)
def test_the_costs_are_those_of_the_records(name: str) -> None:
    found = played(name)
    assert found.keys() == GOLDEN[name].keys()
    for what, values in found.items():
        assert values == pytest.approx(GOLDEN[name][what], **TOLERANCE), what


if __name__ == "__main__":
    for name in PARAMS:
        print(f'    "{name}": {{')
        for what, values in played(name).items():
            print(f'        "{what}": [{", ".join(f"{value:.7g}" for value in values)}],')
        print("    },")
