"""benchmark.toml: what it means, and what is said of a mistake in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import MINI

from ganbench.cli import main
from ganbench.config import read
from ganbench.errors import UserError
from ganbench.plan import Cell, Plan, resolve
from ganbench.plugins import installed

Toml = Callable[..., Path]

HEAD = """
name = "grid"
seeds = 2
budget = { epochs = 3 }
"""


def load(path: Path) -> Plan:
    benchmark, source = read(path)
    return resolve(benchmark, source, installed())


def cells(path: Path) -> list[Cell]:
    return load(path).cells({"digits": "f" * 64})


MISTAKES = {
    "not toml": (("seeds = 1", "seeds = = 1"), "not valid TOML", 3),
    "unknown key": (("seeds = 1", "sedes = 1"), "unknown key 'sedes'; did you mean 'seeds'?", 3),
    "unknown key in a table": (("times = 2", "tmes = 2"), "unknown key 'evaluate.tmes'; did you mean 'times'?", 5),
    "unknown variant": (('"mlp-gan"', '"mlp-gn"'), "unknown variant 'mlp-gn'; did you mean 'mlp-gan'?", 9),
    "unknown dataset": (('"digits"', '"digit"'), "unknown dataset 'digit'; did you mean 'digits'?", 10),
    "unknown metric": (('"cs", "fcd"', '"cs", "fcd", "fdi"'), "unknown metric 'fdi'", 6),
    "unknown parameter": (("params.width", "params.widht"), "unknown parameter 'widht' of mlp-gan; did you mean", 11),
    "parameter out of range": (
        ("params.width = 8", "params.width = 0"),
        "it takes int, 1 to 8192 (default 256; the paper uses 1200)",
        11,
    ),
    "parameter of the wrong type": (("params.width = 8", 'params.width = "wide"'), "width of mlp-gan = 'wide'", 11),
    "empty sweep": (("params.width = 8", "params.width = []"), "params.width is an empty list", 11),
    "empty list of variants": (('["mlp-gan"]', "[]"), "grid.variants = [] is not admissible", 9),
    "negative budget": (("generator_updates = 4", "generator_updates = -4"), "should be greater than 0", 4),
    "two budgets": (("generator_updates = 4", "epochs = 1, images = 3"), "budget takes exactly one of", 4),
    "too few samples": (("samples = 100", "samples = 1"), "evaluate.samples = 1 is not admissible", 5),
    "a seed twice": (("seeds = 1", "seeds = [1, 2, 1]"), "seed 1 is there twice", 3),
    "no seeds": (("seeds = 1", "seeds = 0"), "seeds is empty", 3),
    "a name that is a path": (('"mini"', '"../mini"'), "not a folder name", 2),
    "ranked but not measured": (('["cs", "fcd"]', '["cs"]'), "rank.metric is 'fcd', which is not among", None),
    "no grid": (("[[grid]]", "[grid]"), "grid", 8),
    "a path where none belongs": (('"digits"', '"digits:8"'), "takes nothing after a colon", 10),
    "a dataset without its path": (('"digits"', '"folder"'), "needs a path after a colon", 10),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_mistake_is_one_sentence_with_its_line_and_nothing_is_created(
    mistake: str, command: str, toml: Toml, tmp_path: Path
) -> None:
    from conftest import MINI

    replacement, expected, line = MISTAKES[mistake]
    path = toml(MINI, replacement)
    results = tmp_path / "results"
    outcome = CliRunner().invoke(main, [command, str(path), "--results", str(results)])
    assert outcome.exit_code == 2, outcome.output
    assert expected in outcome.stderr
    assert outcome.stderr.startswith("error: ")
    assert outcome.stderr.count("\n") == 1
    assert str(path) in outcome.stderr
    if line:
        assert f"line {line}" in outcome.stderr
    assert not results.exists()


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(main, ["run", str(tmp_path / "no.toml")])
    assert outcome.exit_code == 2
    assert "no.toml cannot be read (No such file or directory)" in outcome.stderr


def test_lists_are_swept_scalars_are_fixed_and_seeds_are_an_axis(toml: Toml) -> None:
    path = toml(
        HEAD
        + """
[[grid]]
variants = ["dcgan", "wgan"]
datasets = ["digits"]
params.batch_size = [16, 32, 64]
params.upsample = ["nearest", "bilinear"]
params.width = 8
"""
    )
    planned = cells(path)
    assert len(planned) == 2 * 3 * 2 * 2
    assert len({cell.key for cell in planned}) == len(planned)
    assert {cell.params["width"] for cell in planned} == {8}
    assert {(c.params["batch_size"], c.params["upsample"]) for c in planned} == {
        (size, up) for size in (16, 32, 64) for up in ("nearest", "bilinear")
    }


def test_configs_are_exact_rows_and_not_a_product(toml: Toml) -> None:
    path = toml(
        HEAD
        + """
[[grid]]
variants = ["wgan"]
datasets = ["digits"]
configs = [{ n_critic = 5, clip = 0.01 }, { n_critic = 1, clip = 0.99, batch_norm = false }]
"""
    )
    rows = {(c.params["n_critic"], c.params["clip"], c.params["batch_norm"]) for c in cells(path)}
    assert rows == {(5, 0.01, True), (1, 0.99, False)}


def test_order_of_keys_and_lists_does_not_change_the_keys_of_cells(toml: Toml) -> None:
    one = HEAD + 'metrics = ["cs", "fcd"]\n[[grid]]\nvariants = ["dcgan", "wgan"]\ndatasets = ["digits"]\n'
    one += "params.batch_size = [16, 32]\nparams.width = 8\n"
    other = 'budget = { epochs = 3.0 }\nseeds = [1, 0]\nmetrics = ["fcd", "cs"]\nname = "other"\n[[grid]]\n'
    other += 'params.width = 8\nparams.batch_size = [32, 16]\ndatasets = ["digits"]\n'
    other += 'variants = ["wgan", "gans/dcgan"]\n'
    assert {cell.key for cell in cells(toml(one))} == {cell.key for cell in cells(toml(other))}


@pytest.mark.parametrize(
    "change",
    [("epochs = 3", "epochs = 4"), ("width = 8", "width = 9"), ('["digits"]', '["digits"]\nparams.lr = 0.1')],
)
def test_what_changes_the_numbers_changes_the_key(change: tuple[str, str], toml: Toml) -> None:
    text = HEAD + '[[grid]]\nvariants = ["dcgan"]\ndatasets = ["digits"]\nparams.width = 8\n'
    before = {cell.key for cell in cells(toml(text))}
    assert before.isdisjoint(cell.key for cell in cells(toml(text, change)))


def test_the_data_is_part_of_the_key(toml: Toml) -> None:
    plan = load(toml())
    assert plan.cells({"digits": "a"})[0].key != plan.cells({"digits": "b"})[0].key


def test_the_same_cell_in_two_grids_is_planned_once(toml: Toml) -> None:
    grid = '[[grid]]\nvariants = ["dcgan"]\ndatasets = ["digits"]\n'
    assert len(cells(toml(HEAD + grid + grid))) == 2


def test_a_cell_that_makes_no_sense_is_a_planned_skip(toml: Toml, tmp_path: Path) -> None:
    import numpy as np

    np.savez(tmp_path / "plain.npz", x_train=np.zeros((20, 8, 8), np.uint8))
    path = toml(HEAD + f'[[grid]]\nvariants = ["cgan", "dcgan"]\ndatasets = ["npz:{tmp_path}/plain.npz"]\n')
    outcome = CliRunner().invoke(main, ["plan", str(path), "--results", str(tmp_path / "results")])
    assert outcome.exit_code == 0, outcome.output
    assert outcome.output.count("skipped: a conditional GAN needs labelled data") == 2
    assert "4 cells, 2 to train (2 skipped)" in outcome.output


def test_fewer_samples_than_a_metric_needs_is_a_mistake(toml: Toml) -> None:
    from conftest import MINI

    path = toml(MINI, ("samples = 100", "samples = 9"), ('["cs", "fcd"]', '["is", "fcd"]'))
    outcome = CliRunner().invoke(main, ["plan", str(path)])
    assert outcome.exit_code == 2
    assert "line 5: evaluate.samples = 9 is too few: is needs 20" in outcome.stderr


BUDGETS = """
name = "b"
budget = { epochs = 2 }
evaluate = { times = 2, samples = 100 }
[[grid]]
variants = ["mlp-gan"]
datasets = ["digits"]
[[grid]]
variants = ["dcgan"]
datasets = ["digits"]
budget = { epochs = 3 }
evaluate = { times = 3, samples = 50 }
"""


def test_a_grid_can_have_a_budget_and_evaluations_of_its_own(toml):
    first, second = cells(toml(BUDGETS))
    assert first.task["budget"] == {"unit": "epochs", "amount": 2.0}
    assert second.task["budget"] == {"unit": "epochs", "amount": 3.0}
    assert second.task["evaluate"] == {"times": 3, "samples": 50}


def test_the_same_configuration_with_two_budgets_is_refused_with_its_line(toml):
    path = toml(BUDGETS, ('["dcgan"]', '["mlp-gan"]'))
    with pytest.raises(UserError, match=r"line 9: mlp-gan on digits is there twice .* another budget"):
        cells(path)


def test_too_few_samples_in_a_grid_are_refused(toml):
    path = toml('metrics = ["is"]\nrank = { metric = "is" }\n' + BUDGETS, ("samples = 50", "samples = 5"))
    with pytest.raises(UserError, match=r"evaluate.samples = 5 is too few: is needs 20"):
        cells(path)


@pytest.mark.parametrize(
    "line", ['train_on = "train+test"', 'reference = "train+test"', 'extractors = { classifier = "hoeckler-mnist" }']
)
def test_what_is_trained_on_compared_with_and_looked_through_is_part_of_the_key(toml, line):
    plain, (changed,) = cells(toml()), cells(toml(f"{line}\n{MINI}"))
    assert changed.key != plain[0].key


def test_extractors_must_be_asked_for_by_a_metric_and_exist(toml):
    with pytest.raises(UserError, match=r"line 1: extractors.classifer; did you mean 'classifier'\?: no metric asks"):
        cells(toml(f'extractors = {{ classifer = "hoeckler-mnist" }}\n{MINI}'))
    with pytest.raises(UserError, match=r"line 1: unknown extractor 'hoeckler-mist'; did you mean 'hoeckler-mnist'"):
        cells(toml(f'extractors = {{ classifier = "hoeckler-mist" }}\n{MINI}'))
