"""The disk space that a plan will need is told before it is started, without torch in the main process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import MINI, install

from ganbench import checkpoints, space
from ganbench.batches import Batches
from ganbench.cli import main
from ganbench.contracts import DataSpec, Split
from ganbench.errors import UserError
from ganbench.plugins import installed
from ganbench.sheets import sheet
from ganbench.space import Need, check, estimate
from ganbench.store import Store, Unit
from ganbench.train import Budget, play

DIGITS = DataSpec((1, 8, 8), 10)
SPECS = {"digits": DIGITS}


def task(variant: str = "gans/dcgan", times: int = 3, dataset: str = "digits", **params: Any) -> dict[str, Any]:
    """As much of a cell's task as says how large it becomes."""
    resolved = installed().find("variants", variant).load().Params.resolve(params).to_dict()
    name = variant.partition("/")[2]
    return {
        "variant": name,
        "variant_id": variant,
        "params": resolved,
        "dataset": dataset,
        "evaluate": {"times": times, "samples": 100},
    }


def used(folder: Path) -> int:
    """What du says."""
    return sum(path.lstat().st_blocks * 512 for path in (folder, *folder.rglob("*")))


def test_a_cell_keeps_about_what_was_estimated(toml: Callable[..., Path], tmp_path: Path) -> None:
    path = toml(MINI, ("params.width = 8", ""), ('["mlp-gan"]', '["mlp-gan", "dcgan"]'))
    outcome = CliRunner().invoke(main, ["run", str(path), "--results", str(tmp_path / "results")])
    assert outcome.exit_code == 0, outcome.output
    cells = list(Store(tmp_path / "results/mini").cells())
    assert len(cells) == 2
    for cell in cells:
        need = estimate([cell.task], SPECS, 1)
        assert need is not None
        assert 1.0 <= need.kept / used(cell.directory) <= 1.2


# In SGD's state there is nothing but the momentum; RMSprop has one copy of the parameters, Adam two.
CASES = [
    ("gans/dcgan", {}),
    ("gans/dcgan", {"ema": 0.999, "width": 128}),
    ("gans/dcgan", {"optimizer": "rmsprop"}),
    ("gans/mlp-gan", {"optimizer": "sgd", "momentum": 0.0}),
    ("gans/mlp-gan", {"optimizer": "sgd", "momentum": 0.5}),
    ("gans/cgan", {}),
    ("gans/wgan", {}),
    ("gans/wgan-gp", {"n_critic": 1}),
    ("hoeckler/hoeckler-dcgan", {"width": 0.3}),
]


@pytest.mark.parametrize(("variant", "params"), CASES, ids=[f"{name}-{'-'.join(params)}" for name, params in CASES])
def test_a_running_cell_has_at_most_three_checkpoints_of_the_size_that_was_estimated(
    variant: str, params: dict[str, Any], tmp_path: Path
) -> None:
    spec = DataSpec((1, 28, 28), 10) if "hoeckler" in variant else DIGITS
    asked = task(variant, **params, batch_size=8)
    size = space._size(variant, asked["params"], spec)
    assert size is not None
    generator, checkpoint = size
    cls = installed().find("variants", variant).load()
    game = cls().game(spec, cls.Params.resolve(asked["params"]))
    # As many images as the estimate takes datasets to have.
    images = np.zeros((100_000, *spec.shape), np.uint8)
    batches = Batches(Split(images, np.zeros(len(images), np.int64)), 8, device="cpu", seed=0)
    unit = Unit(tmp_path)
    play(
        game,
        batches,
        Budget("generator_updates", 1),
        evaluations=1,
        evaluate=lambda moment: None,
        checkpoint=lambda state: checkpoints.save(unit, {"game": state}, 1),
    )
    (written,) = unit.checkpoints()
    assert 1.0 <= checkpoint / written.stat().st_size <= 1.1
    need = estimate([asked], {"digits": spec}, 1)
    assert need
    assert need.running >= 3 * written.stat().st_size + generator


def test_all_cells_keep_and_as_many_as_there_are_slots_run() -> None:
    small, large = task(width=8), task(width=64)
    one, other = estimate([small], SPECS, 1), estimate([large], SPECS, 1)
    both = estimate([small, small, large], SPECS, 2)
    assert one
    assert other
    assert both
    assert other.kept > one.kept
    assert both == Need(2 * one.kept + other.kept, other.running + one.running)
    assert estimate([small, large], SPECS, 1) == Need(one.kept + other.kept, other.running)
    assert both.bytes == both.kept + both.running


def test_every_evaluation_keeps_a_sheet_of_a_hundred_images() -> None:
    few, many = estimate([task(times=10)], SPECS, 1), estimate([task(times=110)], SPECS, 1)
    assert few
    assert many
    noise = np.random.default_rng(0).integers(0, 256, (100, 1, 8, 8), np.uint8)
    assert (many.kept - few.kept) / 100 >= 0.8 * len(sheet(noise))


def test_no_cells_need_nothing_and_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(space, "apart")
    assert estimate([], SPECS, 2) == Need(0, 0)


def test_a_dataset_of_unknown_shape_is_counted_as_nothing_and_its_variant_named() -> None:
    need = estimate([task(), task(dataset="elsewhere")], {"digits": DIGITS}.get, 1)
    known = estimate([task()], SPECS, 1)
    assert need
    assert known
    assert need.unknown == ("dcgan",)
    assert need.running == known.running


ACME = '''
import os, sys, time
from ganbench.api import Variant, hookimpl
from ganbench_gans.mlp_gan import MLPGAN

NAMES = ("values", "loud", "raises", "ends", "dies", "sleeps", "own")

@hookimpl
def register_variants(register):
    for name in NAMES:
        register(name, f"ganbench_acme:{name.title()}")

class Values(MLPGAN):
    """Looks at a number, so it cannot be built without values."""
    def game(self, data, params):
        game = super().game(data, params)
        float(next(game.generator.parameters()).sum())
        return game

class Loud(MLPGAN):
    def game(self, data, params):
        game = super().game(data, params)
        with open(os.environ["BUILDS"], "a") as file:
            file.write(f"{params.width} {next(game.generator.parameters()).device}\\n")
        print("much to say")
        os.write(2, b"much to say")
        return game

class Raises(MLPGAN):
    def game(self, data, params):
        raise RuntimeError("the moon is full")

class Ends(MLPGAN):
    def game(self, data, params):
        sys.exit(3)

class Dies(MLPGAN):
    def game(self, data, params):
        os._exit(7)

class Sleeps(MLPGAN):
    def game(self, data, params):
        time.sleep(60)

class Own(MLPGAN):
    """Brings an optimiser of its own making."""
    def game(self, data, params):
        import torch
        game = super().game(data, params)
        for player in game.players:
            player.optimizer = torch.optim.AdamW
        return game
'''

PROGRAM = """
import json, sys, time
from ganbench.contracts import DataSpec
from ganbench.space import estimate

def task(variant, **params):
    own = {"batch_size": 8, "latent_dim": 4, "width": 16, **params}
    return {"variant": variant.partition("/")[2], "variant_id": variant, "params": own, "dataset": "digits",
            "evaluate": {"times": 1, "samples": 100}}

def asked(*tasks, **options):
    need = estimate(tasks, {"digits": DataSpec((1, 8, 8), 10)}, 1, **options)
    return need and [need.kept, need.running, list(need.unknown)]

if __name__ == "__main__":
    found = {
        name: asked(task(f"acme/{name}")) for name in ("values", "loud", "raises", "ends", "dies", "own")
    }
    started = time.perf_counter()
    found["sleeps"] = asked(task("acme/sleeps"), patience=0.5)
    found["seconds"] = time.perf_counter() - started
    found["mlp-gan"] = asked(task("gans/mlp-gan"))
    found["several"] = asked(*[task("acme/loud", width=8)] * 3, task("acme/raises"), task("acme/gone"))
    assert "torch" not in sys.modules, "torch was imported"
    print(json.dumps(found))
"""


def test_variants_of_all_kinds_are_counted_in_silence_by_a_process_of_their_own(tmp_path: Path) -> None:
    environment = install(tmp_path / "site", "acme", ACME)
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], os.environ.get("PYTHONPATH", "")])
    environment["BUILDS"] = str(tmp_path / "builds")
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py")]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr == ""
    found = json.loads(outcome.stdout)
    kept, running, _ = found["mlp-gan"]
    assert found["values"] == found["loud"] == found["own"] == [kept, running, []]
    for name in ("raises", "ends"):
        assert found[name][2] == [name]
        assert found[name][0] < kept
    assert found["dies"] is None
    assert found["sleeps"] is None
    assert found["seconds"] < 30
    assert found["several"][2] == ["gone", "raises"]
    assert (tmp_path / "builds").read_text() == "16 meta\n8 meta\n", "once each, without values"


Usage = namedtuple("Usage", "total used free")


def test_what_does_not_fit_is_refused_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or Usage(0, 0, 3_000_000_000))
    root = tmp_path / "not" / "yet" / "results"
    with pytest.raises(UserError) as refused:
        check(root, Need(11_000_000_000, 1_200_000_000))
    assert str(refused.value) == (
        f"this plan needs about 12 GB in {root}, where 3 GB are free; make room or choose another disk with --results"
    )
    assert asked == [tmp_path]
    assert not root.parent.parent.exists()
    check(root, Need(2_000_000_000, 1_000_000_000))
    check(root, None)


def test_a_folder_below_the_present_one_is_looked_for_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(Path("results"), Need(1, 0))
    with pytest.raises(UserError, match="in results, where"):
        check(Path("results"), Need(10**18, 0))


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 kB"), (1, "1 kB"), (2_500_000, "2.5 MB"), (12_400_000_000, "12 GB"), (3_000_000_000_000, "3 TB")],
)
def test_sizes_are_told_with_two_digits(size: int, text: str) -> None:
    assert space._text(size) == text
