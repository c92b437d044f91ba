"""Two results folders compared: what changed between them, by how much, and what could not be compared."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from ganbench.cli import main
from ganbench.errors import UserError
from ganbench.report import compare_text
from ganbench.report.compare import Comparison, compare
from ganbench.store import Store
from ganbench.testing.records import Records

SEEDS = 5


def run(
    root: Path, shift: float = 0.0, *, version: str = "1", seeds: int = SEEDS, key: str = "", **more: object
) -> Store:
    """A run of two variants; `shift` moves the scores of wgan-gp, whose plugin has this `version`."""
    records = Records(root)
    for seed in range(seeds):
        for variant, base in (("dcgan", 5.0), ("wgan-gp", 4.0)):
            ours = variant == "wgan-gp"
            identity = {"protocol": 1, "variant": f"acme/{variant}", "variant_version": version if ours else "1"}
            code = {"ganbench-acme": f"1.{version}", "acme/wgan_gp.py": f"hash-{version}"} if ours else {"a.py": "x"}
            moved = shift + seed / 100 if ours and shift else 0.0
            score = {"fcd": base + seed / 10 + moved, "cs": 7.0}
            task = {"identity": identity, "precision": "fp32", "budget": {"unit": "epochs", "amount": 3.0}}
            packages = {"torch": "2.14"}
            made = {"id": f"acme/{variant}", "version": version if ours else "1"}
            made |= {"distribution": "ganbench-acme", "distribution_version": f"1.{version}"} if ours else {}
            facts = {
                "code": code,
                "components": {"variant": made},
                "environment": {"device": "cpu", "packages": packages},
                **more,
            }
            # Another version makes another key, which does not keep cells from being matched.
            records.cell(variant, seed, score, key=f"{key}{variant}-{seed}", task=task, **facts)
    return records.written()


def shown(found: Comparison) -> str:
    console = Console(file=io.StringIO(), width=160)
    compare_text.terminal(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_one_plugin_version_that_changed_is_named_with_its_effect_and_interval(tmp_path):
    found = compare(run(tmp_path / "before"), run(tmp_path / "after", -1.0, version="2", key="v2"))
    assert found.matched == 10
    assert found.changes == [
        "version of acme/wgan-gp: 1 is now 2 (5 of 10 matched cells)",
        "version of ganbench-acme: 1.1 is now 1.2 (5 of 10 matched cells)",
        "code of wgan-gp: ganbench-acme 1.1 is now 1.2, wgan_gp.py of acme changed (5 of 10 matched cells)",
    ]
    lines = compare_text.sentences(found)
    assert lines == [
        "wgan-gp on digits is better: fcd lower by 0.98 [0.96, 1.00], n = 5, p < 0.001 (Holm)",
        "dcgan on digits: the same to the last digit, n = 5",
    ]
    text = shown(found)
    for line in (*found.changes, *lines):
        assert line in text


def test_settings_libraries_and_devices_that_changed_are_named(tmp_path):
    before = run(tmp_path / "before")
    environment = {"device": "cuda", "packages": {"torch": "2.15"}}
    after = run(tmp_path / "after", environment=environment)
    for unit in after.cells():
        task = json.loads((unit.directory / "cell.json").read_text())
        task["budget"]["amount"] = 6.0
        task["precision"] = "bf16"
        (unit.directory / "cell.json").write_text(json.dumps(task))
    assert set(compare(before, after).changes) == {
        "budget amount: 3.0 is now 6.0",
        "precision: fp32 is now bf16",
        "device: cpu is now cuda",
        "packages torch: 2.14 is now 2.15",
    }


def test_few_seeds_have_no_p_value_and_are_not_called_better_without_a_word(tmp_path):
    found = compare(run(tmp_path / "before", seeds=3), run(tmp_path / "after", 1.0, seeds=3, version="2"))
    assert compare_text.sentences(found)[1] == (
        "wgan-gp on digits is worse with these 3 seeds: fcd higher by 1.01 [0.99, 1.03], n = 3; a p-value needs 5"
    )
    one = compare(run(tmp_path / "b", seeds=1), run(tmp_path / "a", 1.0, seeds=1))
    assert compare_text.sentences(one)[1] == (
        "one seed does not settle whether wgan-gp on digits changed: fcd higher by 1.00, n = 1"
    )


def test_nothing_that_changed_is_said_too(tmp_path):
    found = compare(run(tmp_path / "before"), run(tmp_path / "after"))
    assert found.changes == []
    assert "Nothing on record is different." in shown(found)
    assert {each.verdict for each in found.moved} == {"equal"}


def test_what_is_on_one_side_alone_or_not_done_is_listed(tmp_path):
    before, after = Records(tmp_path / "before"), Records(tmp_path / "after")
    for records in (before, after):
        records.cell("a-gan", 0, {"fcd": 1.0})
    before.cell("b-gan", 0, {"fcd": 1.0})
    after.cell("b-gan", 0, None, status="diverged", reason="cost is NaN")
    before.cell("old-gan", 0, {"fcd": 1.0})
    after.cell("new-gan", 0, {"fcd": 1.0})
    after.cell("new-gan", 1, {"fcd": 1.0})
    before.cell("c-gan", 0, None, skip="needs labels")
    found = compare(before.written(), after.written())
    assert found.unmatched == [
        "only in before: old-gan on digits (1 cell)",
        "only in after: new-gan on digits (2 cells)",
        "b-gan on digits, seed 0: done, now diverged: cost is NaN",
    ]
    for line in found.unmatched:
        assert line in shown(found)


def test_the_command_writes_markdown_and_numbers_in_full_precision(tmp_path):
    before, after = run(tmp_path / "before"), run(tmp_path / "after", -1.0, version="2")
    outcome = CliRunner().invoke(main, ["report", "--compare", str(before.root), str(after.root)])
    assert outcome.exit_code == 0, outcome.output
    assert "version of acme/wgan-gp: 1 is now 2" in outcome.output
    table = pd.read_csv(after.root / "report" / "compare.csv")
    first = table[(table["metric"] == "fcd") & (table["point"] == "best")].iloc[0]
    assert first["change"] == pytest.approx(-0.98)
    assert first["verdict"] == "better"
    assert "wgan-gp on digits is better" in (after.root / "report" / "compare.md").read_text()


def test_hostile_strings_are_text(tmp_path):
    hostile = "=cmd|<script>[red]x[/nope]\x1b[31m\nline"
    stores = []
    for side in ("before", "after"):
        records = Records(tmp_path / side)
        records.cell(f"={hostile}", 0, {"fcd": 1.0}, dataset=hostile, task={"precision": f"{side} {hostile}"})
        records.cell("b", 0, None, status="failed", reason=hostile)
        stores.append(records.written())
    found = compare(*stores)
    assert "[red]x[/nope]" in shown(found)
    assert "\x1b" not in shown(found)
    text = compare_text.markdown(found)
    assert "<script>" not in text
    assert "\n\nline" not in text
    assert "\n=" not in compare_text.csv(found)


@pytest.mark.parametrize("other", ["same", "disjoint", "none"])
def test_what_cannot_be_compared_is_one_sentence(tmp_path, other):
    store = run(tmp_path / "a", seeds=1)
    if other == "disjoint":
        records = Records(tmp_path / "b")
        records.cell("another-gan", 0, {"fcd": 1.0})
        records.written()
    where = {"same": store.root, "disjoint": tmp_path / "b", "none": tmp_path / "nowhere"}[other]
    with pytest.raises(UserError, match=r"with itself|no cell in common|not a results folder"):
        compare(store, Store(where))
