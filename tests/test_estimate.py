"""How long cells will take: what that is told from, in which order they are begun, and what is said of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import MINI
from hypothesis import given
from hypothesis import strategies as st

from ganbench.cli import main
from ganbench.config import read
from ganbench.environment import machine
from ganbench.estimate import Estimates, Round, ends_after, sentence
from ganbench.plan import Cell, resolve
from ganbench.plugins import installed
from ganbench.run import _Training
from ganbench.store import Store

GRID = MINI.replace('["digits"]\nparams.width = 8', '["digits"]\nparams = { width = 8, batch_size = [16, 32] }')


def cells(path: Path) -> dict[int, Cell]:
    """One per batch size."""
    return {cell.params["batch_size"]: cell for cell in resolve(*read(path), installed()).cells({})}


def manifest(*, rounds: int = 10, batch: int = 16, train: float = 5.0, scoring: float = 3.0, **facts: Any) -> Any:
    """Of a cell that took one second besides; with the plan's 3 × 100 samples a sample is scored in 1/100 s."""
    seconds = {"train": train, "evaluate": scoring, "total": train + scoring + 1.0}
    images = rounds * batch
    found = {"status": "done", "rounds": rounds, "generator_updates": rounds, "images": images, "epochs": images / 1000}
    return {**found, "seconds": seconds, "environment": {"device": "cpu"}, **facts}


def test_a_cell_takes_as_long_a_round_as_others_of_its_configuration(toml) -> None:
    plan, estimates = cells(toml(GRID)), Estimates("cpu")
    for train in (5.0, 500.0, 4.0):  # the median counts
        estimates.add_cell(plan[16], manifest(train=train))
    found = estimates.of(plan[16])
    assert found
    assert found.seconds == pytest.approx(4 * 0.5 + 3.0 + 1.0)
    assert found.basis == "configuration"


@pytest.mark.parametrize(
    ("budget", "train"),
    [
        ("generator_updates = 40", 40 * 1.0),  # a round of twice the images takes twice the 0.5 s
        ("images = 640", 20 * 1.0),
        ("epochs = 1", 1000 / 32 * 1.0),
        ("minutes = 2", 120.0),
    ],
)
def test_other_parameters_are_given_the_same_images_per_second_whatever_the_budget(budget, train, toml) -> None:
    plan, estimates = cells(toml(GRID, ("generator_updates = 4", budget))), Estimates("cpu")
    assert estimates.of(plan[32]) is None
    estimates.add_cell(plan[16], manifest())
    found = estimates.of(plan[32])
    assert found
    assert found.seconds == pytest.approx(train + 3.0 + 1.0)
    assert found.basis == "variant"


def test_arithmetic_that_is_known_tells_what_no_cell_of_the_variant_does(toml) -> None:
    text = GRID.replace('["mlp-gan"]', '["mlp-gan", "wgan"]')
    plan = resolve(*read(toml(text)), installed()).cells({})
    known, unknown = (next(cell for cell in plan if cell.variant == name) for name in ("mlp-gan", "wgan"))
    estimates = Estimates("cpu")
    estimates.add_cell(known, manifest(speed={"flops_per_round": 100}))  # 200 a second
    assert estimates.of(unknown) is None
    assert unknown.row.data.spec
    estimates.know(unknown.variant_id, unknown.params, unknown.row.data.spec, Round(600.0, 1.0, 80.0))
    found = estimates.of(unknown)
    assert found
    assert found.seconds == pytest.approx(4 * 3.0 + 3.0 + 1.0)
    assert found.basis == "flops"


def test_records_of_other_devices_are_not_believed_and_those_of_other_machines_only_for_want_of_better(toml) -> None:
    (cell, _), estimates = cells(toml(GRID)).values(), Estimates("cpu", "mine")
    estimates.add_cell(cell, manifest(environment={"device": "cuda"}))
    assert estimates.of(cell) is None
    for name, train in (("other", 10.0), ("other", 10.0), ("mine", 5.0)):
        estimates.add_cell(cell, manifest(train=train, speed={"machine": name}))
        found = estimates.of(cell)
        assert found
        assert found.seconds == pytest.approx(4 * train / 10 + 3.0 + 1.0)


@pytest.mark.parametrize(
    "damage",
    [
        {"seconds": {"train": float("inf"), "evaluate": 1, "total": 2}},
        {"rounds": 0},
        {"epochs": None},
        {"seconds": {}},
        {"speed": 3},
        {"environment": []},
        {"images": "many"},
    ],
)
def test_damaged_records_tell_nothing(damage, toml) -> None:
    (cell, _), estimates = cells(toml(GRID)).values(), Estimates("cpu")
    estimates.add_cell(cell, {**manifest(), **damage})
    assert (estimates.count, estimates.of(cell)) == (0, None)


def test_what_lies_among_the_cells_and_is_none_tells_nothing(toml, tmp_path) -> None:
    store = Store(tmp_path / "results")
    store.make()
    (store.root / "cells" / ".notes txt").write_text("x")
    for name, task in {"a-b-s0-1": {}, "a-b-s1-2": {"params": 3}, "a-b-s2-3": {"params": {"a": []}}}.items():
        unit = store.cell(name)
        unit.create(
            {"unit": "cell", "variant_id": [], "dataset": "digits", "evaluate": {"times": 1, "samples": 1}, **task}
        )
        unit.update(**manifest())
    estimates = Estimates("cpu")
    estimates.add_former(store, cells(toml(GRID)).values())
    assert estimates.count == 0


@given(st.lists(st.floats(0, 1e6), max_size=30), st.integers(1, 5), st.lists(st.floats(0, 1e6), max_size=5))
def test_the_end_of_a_list_schedule_is_between_its_bounds(seconds, slots, busy) -> None:
    busy = busy[:slots]
    end = ends_after(sorted(seconds, reverse=True), slots, busy)
    work, longest = sum(seconds) + sum(busy), max([*seconds, *busy], default=0.0)
    assert end >= max(work / slots, longest) * (1 - 1e-9)
    assert end <= (work / slots + longest) * (1 + 1e-9)


def test_longest_first_ends_early() -> None:
    assert ends_after([4, 3, 2, 2, 1], 2) == 6
    assert ends_after([1, 2, 2, 3, 4], 2) == 7
    assert ends_after([4, 3], 2, busy=[5]) == 7


def test_a_sentence_says_on_what_it_is_based_and_for_how_many_nothing_is_known(toml) -> None:
    text = GRID.replace('["mlp-gan"]', '["mlp-gan", "wgan"]')
    plan, estimates = resolve(*read(toml(text)), installed()).cells({}), Estimates("cpu")
    assert sentence(plan, estimates, 2) == "no estimate of how long that takes: no cell like these is done yet"
    estimates.add_cell(plan[0], manifest())
    assert sentence(plan, estimates, 2) == (
        "at least 8 s left, 2 at a time; based on done cells of the same configuration (1), "
        "the variant's images per second on the dataset (1); no estimate for 2"
    )
    assert sentence(plan[:1], estimates, 1).startswith("about 6 s left, one at a time; ")


def test_a_plan_is_told_from_the_cells_of_an_earlier_one_and_unknown_ones_are_run_first(
    toml, tmp_path, monkeypatch
) -> None:
    results = tmp_path / "results"

    def ganbench(command: str, path: Path) -> str:
        outcome = CliRunner().invoke(main, [command, str(path), "--results", str(results)])
        assert outcome.exit_code == 0, outcome.output
        return outcome.output

    one = MINI.replace("width = 8", "batch_size = 16")
    ganbench("run", toml(one))
    (unit,) = Store(results / "mini").cells()
    assert unit.manifest["speed"]["machine"] == machine(1)  # one thread for each core
    # As if a batch of 16 images had taken a second, so that what is told of others does not depend on this machine.
    rounds = unit.manifest["rounds"]
    unit.update(seconds={"train": 1.0 * rounds, "evaluate": 0.0, "total": 1.0 * rounds})
    longer = one.replace("generator_updates = 4", "generator_updates = 6")
    assert re.search(
        r"about 6 s left, .*; based on done cells of the same configuration \(1\)\n", ganbench("plan", toml(longer))
    )

    begun: list[str] = []
    begin = _Training._begin
    monkeypatch.setattr(_Training, "_begin", lambda self, unit: begun.append(unit.directory.name) or begin(self, unit))
    grid = longer.replace("batch_size = 16", "batch_size = [16, 64, 32]")
    second = '\n[[grid]]\nvariants = ["dcgan"]\ndatasets = ["digits"]\nparams.width = 8\n'
    path = toml(grid + second)
    said = ganbench("run", path)
    assert "no estimate for 1" in said
    plan = {
        cell.directory: (cell.variant, cell.params["batch_size"])
        for cell in resolve(*read(path), installed()).cells({"digits": unit.task["fingerprint"]})
    }
    assert [plan[name] for name in begun] == [("dcgan", 64), ("mlp-gan", 64), ("mlp-gan", 32), ("mlp-gan", 16)]
