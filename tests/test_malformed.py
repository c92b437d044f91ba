"""The corpus of malformed benchmark files: each is refused with one sentence and exit code 2, and creates nothing."""

from __future__ import annotations

import datetime
import math
import os
import re
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from conftest import ganbench
from hypothesis import given, settings
from hypothesis import strategies as st

from ganbench import cli
from ganbench.config import read
from ganbench.errors import UserError
from ganbench.plan import resolve
from ganbench.plugins import Plugins, installed

#: A benchmark file in which every key is used. The tables below break it.
GOOD = """\
name = "mini"
seeds = [0, 1]
budget = { generator_updates = 4 }
metrics = ["cs", "fcd"]
evaluate = { times = 2, samples = 100 }
rank = { metric = "fcd", at = "best" }
train_on = "train"
reference = "train"
extractors = { classifier = "hoeckler-mnist" }
device = "cpu"
precision = "fp32"

[[grid]]
variants = ["mlp-gan", "dcgan"]
datasets = ["digits", { name = "folder:no-such-folder", params = { size = 16 } }]
params.batch_size = [16, 32]
params.lr = 0.001
params.latent = "normal"
configs = [{ beta1 = 0.5 }, { beta1 = 0.0, ema = 0.9 }]
budget = { epochs = 2.5 }
evaluate = { times = 1, samples = 50 }
"""
HEAD, GRID = GOOD.split("\n[[grid]]\n")
GRID_LINE = GOOD.splitlines().index("[[grid]]") + 1
MINI = 'name = "mini"\nbudget = { epochs = 1 }\n'  # line 3 is the next one
MINI_GRID = '[[grid]]\nvariants = ["mlp-gan"]\ndatasets = ["digits"]\n'
DIGITS_5000, LONG = "9" * 5000, "x" * 300

#: Part of what pydantic, tomllib or Python would say to programmers.
JARGON = ("Traceback", "input should", "valid dictionary", "pydantic", "recursion", "namespace", "set_int_max", "loc=")


class Refused(NamedTuple):
    """What is said of a malformed file: words of the sentence, and the line that it names."""

    says: str
    line: int | None = None


@pytest.fixture
def refused(tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Check that a file is refused as it should be by `run` and by `plan`; the sentence."""
    monkeypatch.chdir(tmp_path)

    def check(content: str | bytes | Path, *expected: str, line: int | None = None) -> str:
        path = content if isinstance(content, Path) else tmp_path / "bench.toml"
        if not isinstance(content, Path):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        before = _files(tmp_path), _files(data_root)
        for command in ("run", "plan"):
            outcome = CliRunner().invoke(cli.main, [command, str(path), "--results", str(tmp_path / "results")])
            assert isinstance(outcome.exception, SystemExit), outcome.output
            assert outcome.exit_code == 2
            assert outcome.stdout == ""
            one_sentence(outcome.stderr)
            for words in expected:
                assert words in outcome.stderr
            if line:
                assert re.search(rf"\bline {line}\b", outcome.stderr), outcome.stderr
        assert (_files(tmp_path), _files(data_root)) == before
        return outcome.stderr

    return check


def one_sentence(said: str) -> None:
    assert said.startswith("error: ")
    assert said.endswith("\n")
    assert said[:-1].isprintable(), said  # so it holds no line end and no escape code of terminals either
    assert len(said) < 1500
    for word in JARGON:
        assert word not in said


def _files(folder: Path) -> list[tuple[str, int]]:
    """Everything below `folder`, with times of change."""
    return sorted((str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*"))


def short(case: object) -> str:
    return str(case)[:60]


# --- one line of the good file replaced by another --------------------------------------------------------------------

TYPED = "is not admissible: it should be"
IN_HEAD: dict[str, str] = {
    # name
    "name = 3": f"name = 3 {TYPED} a text in quotes",
    "name = true": TYPED,
    'name = ["mini"]': TYPED,
    "name = {}": TYPED,
    "name = 1979-05-27": f"name = 1979-05-27 {TYPED}",
    'name = ""': "not a folder name",
    'name = "../mini"': "not a folder name",
    'name = "a/b"': "not a folder name",
    r'name = "a\\b"': "not a folder name",
    'name = "/etc/mini"': "not a folder name",
    'name = "C:mini"': "not a folder name",
    'name = "my run"': "not a folder name",
    'name = " mini"': "not a folder name",
    'name = "mini "': "not a folder name",
    'name = "."': "not a folder name",
    'name = ".."': "not a folder name",
    'name = ".mini"': "not a folder name",
    'name = "-mini"': "not a folder name",
    'name = "mini."': "not a folder name",
    f'name = "{LONG}"': "not a folder name",
    r'name = "mini\n"': "not a folder name",
    r'name = "mi\nni"': "not a folder name",
    r'name = "mi\u0000ni"': "not a folder name",
    r'name = "mi\u001b[31mni"': "not a folder name",
    'name = "größe"': "not a folder name",
    'name = "mini\u202e"': "not a folder name",
    'name = "con"': "Windows",
    'name = "NUL"': "Windows",
    'name = "aux.txt"': "Windows",
    'name = "com1"': "Windows",
    'name = "Lpt9.tar.gz"': "Windows",
    'name = "prn"': "Windows",
    # seeds
    "seeds = 0": "seeds is empty",
    "seeds = []": "seeds is empty",
    "seeds = -3": "seeds = -3",
    "seeds = 2.0": f"seeds = 2.0 {TYPED} an integer or a list",
    "seeds = nan": TYPED,
    "seeds = true": TYPED,
    'seeds = "3"': TYPED,
    "seeds = {}": TYPED,
    "seeds = [0, 1, 0]": "seed 0 is there twice",
    "seeds = [-1]": "seed -1 is not between 0 and 2147483647",
    "seeds = [2147483648]": "seed 2147483648 is not between",
    "seeds = [0, true]": "seeds holds True",
    'seeds = [0, "1"]': "seeds holds '1'",
    "seeds = [0.5]": "seeds holds 0.5",
    "seeds = [[0]]": "seeds holds [0]",
    "seeds = 1_000_000_000": "more than 100,000 cells",
    "seeds = 9223372036854775808": "more than 100,000 cells",
    f"seeds = 0x{DIGITS_5000}": "more than 100,000 cells",
    f"seeds = [0x{DIGITS_5000}]": "is not between",
    # budget
    "budget = 5": f"budget = 5 {TYPED} a table, such as budget = {{ epochs = 10 }}",
    'budget = "5 epochs"': TYPED,
    "budget = []": TYPED,
    "budget = [{ epochs = 1 }]": TYPED,
    "budget = {}": "budget takes exactly one of generator_updates, epochs, images, minutes",
    "budget = { epochs = 1, images = 5 }": "budget takes exactly one of",
    "budget = { steps = 5 }": "unknown key 'budget.steps'",
    "budget = { epoch = 5 }": "unknown key 'budget.epoch'; did you mean 'epochs'?",
    "budget = { hours = 5 }": "unknown key 'budget.hours'",
    "budget = { generator_updates = 0 }": "should be greater than 0",
    "budget = { generator_updates = -4 }": "should be greater than 0",
    "budget = { generator_updates = 4.0 }": "should be an integer",
    "budget = { generator_updates = 1e3 }": "should be an integer",
    "budget = { generator_updates = true }": "should be an integer",
    'budget = { generator_updates = "4" }': "should be an integer",
    "budget = { generator_updates = [4] }": "should be an integer",
    "budget = { generator_updates = 9223372036854775808 }": "should be at most 1000000000000",
    f"budget = {{ generator_updates = 0x{DIGITS_5000} }}": "should be at most 1000000000000",
    "budget = { epochs = 0 }": "should be greater than 0",
    "budget = { epochs = -0.5 }": "should be greater than 0",
    "budget = { epochs = nan }": "budget.epochs = nan",
    "budget = { epochs = inf }": "budget.epochs = inf",
    "budget = { epochs = -inf }": "budget.epochs = -inf",
    "budget = { epochs = 1e400 }": "budget.epochs = inf",
    "budget = { epochs = 1e300 }": "should be at most 1000000000000",
    "budget = { epochs = true }": "should be a number",
    'budget = { epochs = "2" }': "should be a number",
    f"budget = {{ epochs = 0x{DIGITS_5000} }}": "budget.epochs",
    "budget = { images = 0 }": "should be greater than 0",
    "budget = { images = 5.5 }": "should be an integer",
    "budget = { images = 18446744073709551616 }": "should be at most",
    "budget = { minutes = 0 }": "should be greater than 0",
    "budget = { minutes = nan }": "budget.minutes = nan",
    "budget = { minutes = 1e400 }": "budget.minutes = inf",
    "budget = { minutes = 07:32:00 }": "should be a number",
    # metrics
    "metrics = []": "at least one entry",
    'metrics = "fcd"': f"metrics = 'fcd' {TYPED} a list",
    "metrics = {}": TYPED,
    "metrics = 1": TYPED,
    'metrics = ["cs", 1]': "metrics holds 1, and each entry should be a text in quotes",
    'metrics = ["fcd", ["cs"]]': "metrics holds ['cs']",
    'metrics = ["fcd", "fdi"]': "unknown metric 'fdi'; did you mean 'fid'?",
    'metrics = ["fcd", ""]': "unknown metric ''",
    'metrics = ["fcd", "FCD"]': "unknown metric 'FCD'",
    'metrics = ["fcd", "fcd:2"]': "unknown metric 'fcd:2'",
    'metrics = ["fcd", "cs", "cs"]': "metric 'cs' is there twice",
    'metrics = ["fcd", "metrics/fcd"]': "metric 'fcd' is there twice",
    # evaluate
    "evaluate = 10": TYPED,
    "evaluate = { times = 0 }": "evaluate.times = 0 is not admissible: it should be at least 1",
    "evaluate = { times = -1 }": "at least 1",
    "evaluate = { times = 10_001 }": "at most 10000",
    "evaluate = { times = 2.5 }": "an integer",
    "evaluate = { times = true }": "an integer",
    "evaluate = { times = 9223372036854775808 }": "at most 10000",
    "evaluate = { samples = 0 }": "at least 2",
    "evaluate = { samples = 1e4 }": "an integer",
    "evaluate = { samples = 10_000_001 }": "at most 10000000",
    "evaluate = { samples = inf }": "an integer",
    "evaluate = { sample = 100 }": "did you mean 'samples'?",
    "evaluate = { times = 2, smples = 100 }": "did you mean 'samples'?",
    # rank
    'rank = "fcd"': TYPED,
    'rank = { metric = "is" }': "rank.metric is 'is', which is not among the metrics",
    'rank = { metric = "fcdd" }': "unknown metric 'fcdd'; did you mean 'fcd'?",
    'rank = { metric = "" }': "unknown metric ''",
    "rank = { metric = 1 }": "rank.metric = 1",
    'rank = { metric = ["fcd"] }': "rank.metric = ['fcd']",
    'rank = { at = "first" }': "rank.at = 'first' is not admissible: it should be 'best' or 'last'",
    'rank = { at = "Best" }': "'best' or 'last'",
    "rank = { at = true }": "'best' or 'last'",
    'rank = { by = "fcd" }': "unknown key 'rank.by'",
    # the rest of the head
    'train_on = "test"': "should be 'train' or 'train+test'",
    "train_on = 1": "should be 'train' or 'train+test'",
    'train_on = ["train"]': "should be 'train' or 'train+test'",
    'reference = ""': "should be 'train' or 'train+test'",
    "reference = {}": "should be 'train' or 'train+test'",
    'extractors = "hoeckler-mnist"': TYPED,
    'extractors = ["hoeckler-mnist"]': TYPED,
    "extractors = { classifier = 1 }": "extractors.classifier = 1",
    'extractors = { classifier = "resnet" }': "unknown extractor 'resnet'",
    'extractors = { classifier = "" }': "unknown extractor ''",
    'extractors = { inception = "hoeckler-mnist" }': "no metric asks for it",
    'extractors = { clasifier = "hoeckler-mnist" }': "did you mean 'classifier'?",
    'device = "gpu"': "device = 'gpu'",
    'device = ""': "auto, cpu, cuda or cuda:N",
    'device = "cuda:"': "auto, cpu, cuda or cuda:N",
    'device = "cuda:-1"': "auto, cpu, cuda or cuda:N",
    'device = "cuda:1,2"': "auto, cpu, cuda or cuda:N",
    'device = "CPU"': "auto, cpu, cuda or cuda:N",
    'device = " cpu"': "auto, cpu, cuda or cuda:N",
    r'device = "cpu\n"': "auto, cpu, cuda or cuda:N",
    'device = "cuda:\u0663"': "auto, cpu, cuda or cuda:N",  # an Arabic three is a digit to some
    f'device = "cuda:{DIGITS_5000}"': "auto, cpu, cuda or cuda:N",
    "device = 0": TYPED,
    'precision = "fp16"': "precision = 'fp16' is not admissible: it should be 'fp32', 'tf32' or 'bf16'",
    "precision = 32": "'fp32', 'tf32' or 'bf16'",
    "precision = []": "'fp32', 'tf32' or 'bf16'",
}

IN_GRID: dict[str, str] = {
    # variants
    "variants = []": "at least one entry",
    'variants = "dcgan"': f"grid.variants = 'dcgan' {TYPED} a list",
    "variants = {}": TYPED,
    "variants = 1": TYPED,
    "variants = [1]": "grid.variants holds 1",
    'variants = ["dcgan", true]': "grid.variants holds True",
    'variants = [["dcgan"]]': "grid.variants holds ['dcgan']",
    'variants = ["dcgn"]': "unknown variant 'dcgn'; did you mean 'dcgan'?",
    'variants = ["DCGAN"]': "unknown variant 'DCGAN'; did you mean 'dcgan'?",
    'variants = [""]': "unknown variant ''",
    'variants = [" dcgan"]': "unknown variant ' dcgan'",
    'variants = ["gans/"]': "unknown variant 'gans/'",
    'variants = ["hoeckler/dcgan"]': "unknown variant",
    'variants = ["dcgan:"]': "unknown variant 'dcgan:'",
    'variants = ["dcgan:x"]': "unknown variant 'dcgan:x'",
    'variants = ["dcgan", "dcgan"]': "variant 'dcgan' is there twice",
    'variants = ["dcgan", "gans/dcgan"]': "variant 'dcgan' is there twice",
    r'variants = ["dc\ngan"]': r"unknown variant 'dc\ngan'",
    r'variants = ["\u001b[31mdcgan\u0007"]': r"unknown variant '\x1b[31mdcgan\x07'",
    f'variants = ["{LONG * 3000}"]': "unknown variant",
    # datasets
    "datasets = []": "at least one entry",
    'datasets = "digits"': TYPED,
    'datasets = { name = "digits" }': TYPED,
    "datasets = [1]": "grid.datasets holds 1, and each entry should be a text in quotes or a table",
    'datasets = [["digits"]]': "grid.datasets holds ['digits']",
    "datasets = [{}]": "'grid.datasets.name' is missing",
    "datasets = [{ params = { size = 8 } }]": "'grid.datasets.name' is missing",
    'datasets = [{ nme = "digits" }]': "unknown key 'grid.datasets.nme'; did you mean 'name'?",
    'datasets = [{ name = "digits", param = {} }]': "did you mean 'params'?",
    "datasets = [{ name = 1 }]": "grid.datasets.name = 1",
    'datasets = [{ name = "digits", params = 1 }]': "grid.datasets.params = 1",
    'datasets = [{ name = "digits", params = { size = 8 } }]': "unknown parameter 'size' of dataset 'digits'",
    'datasets = [{ name = "folder:x", params = { sise = 8 } }]': "did you mean 'size'?",
    'datasets = [{ name = "folder:x", params = { size = 7 } }]': "it takes int, 8 to 512",
    'datasets = [{ name = "folder:x", params = { size = 16.0 } }]': "it takes int, 8 to 512",
    'datasets = [{ name = "folder:x", params = { size = true } }]': "it takes int, 8 to 512",
    'datasets = [{ name = "folder:x", params = { size = [16, 32] } }]': "grid.datasets.params.size = [16, 32]",
    'datasets = [{ name = "folder:x", params = { channels = 2 } }]': "one of 1, 3",
    'datasets = [{ name = "folder:x" }, { name = "folder:x", params = { size = 8 } }]': "with different params",
    'datasets = ["digit"]': "unknown dataset 'digit'; did you mean 'digits'?",
    'datasets = [""]': "unknown dataset ''",
    'datasets = [":digits"]': "unknown dataset ''",
    'datasets = ["folder"]': "needs a path after a colon",
    'datasets = ["folder:"]': "needs a path after a colon",
    'datasets = ["npz"]': "needs a path after a colon",
    'datasets = ["mnist:foo"]': "dataset 'mnist' takes nothing after a colon",
    'datasets = ["mnist:"]': "dataset 'mnist' takes nothing after a colon",
    'datasets = ["digits", "digits"]': "dataset 'digits' is there twice",
    'datasets = ["digits", "data/digits"]': "is there twice",
    'datasets = ["folder:~no-such-user/x"]': "folder:~no-such-user/x",
    f'datasets = ["folder:{LONG}{LONG}"]': "dataset 'folder:xxx",
    # params
    "params.batch_size = 0": "it takes int, 2 to 8192 (default 64; the paper uses 100)",
    "params.batch_size = []": "params.batch_size is an empty list",
    "params.batch_size = [16, 32, 16]": "params.batch_size has 16 twice",
    'params.batch_size = [16, "32"]': "batch_size of mlp-gan = '32'",
    "params.batch_size = [16, true]": "batch_size of mlp-gan = True",
    "params.batch_size = [16, [32]]": "grid.params.batch_size holds [32]",
    "params.batch_size = [16, {}]": "grid.params.batch_size holds {}",
    "params.batch_size = {}": "grid.params.batch_size = {}",
    "params.batch_size = { min = 2, max = 8 }": "grid.params.batch_size = {",
    "params.batch_size = 16.0": "batch_size of mlp-gan = 16.0",
    "params.batch_size = -16": "batch_size of mlp-gan = -16",
    "params.batch_size = 9223372036854775808": "it takes int",
    f"params.batch_size = 0x{DIGITS_5000}": "it takes int",
    "params.batch_size = 1979-05-27": "grid.params.batch_size = ",
    "params.batchsize = 16": "unknown parameter 'batchsize' of mlp-gan; did you mean 'batch_size'?",
    'params."" = 16': "unknown parameter ''",
    'params."int" = {}': "grid.params.int = {}",
    'params."a[b]" = {}': "grid.params.a[b] = {}",
    "params.lr = nan": "lr of mlp-gan = nan",
    "params.lr = inf": "lr of mlp-gan = inf",
    "params.lr = 1e400": "lr of mlp-gan = inf",
    "params.lr = -0.1": "lr of mlp-gan = -0.1",
    "params.lr = [0.1, nan]": "lr of mlp-gan = nan",
    "params.lr = true": "lr of mlp-gan = True",
    'params.lr = "fast"': "lr of mlp-gan = 'fast'",
    f"params.lr = 0x{DIGITS_5000}": "it takes float",
    'params.latent = "gauss"': "it takes one of normal, uniform, sphere",
    "params.latent = 1": "it takes one of normal, uniform, sphere",
    r'params.latent = "nor\nmal"': r"'nor\nmal'",
    "params = 3": "grid.params = 3",
    "params = [{ lr = 0.1 }]": "grid.params = [{",
    # configs
    "configs = []": "at least one entry",
    "configs = {}": TYPED,
    "configs = { beta1 = 0.5 }": TYPED,
    "configs = 1": TYPED,
    "configs = [1]": "grid.configs holds 1, and each entry should be a table",
    "configs = [[]]": "grid.configs holds []",
    "configs = [{ beta1 = [0.5, 0.9] }]": "grid.configs.beta1 = [0.5, 0.9]",
    "configs = [{ beta = 0.5 }]": "unknown parameter 'beta' of mlp-gan",
    "configs = [{}, { beta1 = 1.5 }]": "beta1 of mlp-gan = 1.5",
    "configs = [{ beta1 = true }]": "beta1 of mlp-gan = True",
    # budget and evaluate of a grid
    "budget = 3": "grid.budget = 3",
    "budget = {}": "budget takes exactly one of",
    "budget = { epochs = 1, minutes = 1 }": "budget takes exactly one of",
    "budget = { epochs = -1 }": "grid.budget.epochs = -1",
    "budget = { epoch = 1 }": "unknown key 'grid.budget.epoch'; did you mean 'epochs'?",
    "evaluate = { times = 0 }": "grid.evaluate.times = 0",
    "evaluate = { sampels = 50 }": "unknown key 'grid.evaluate.sampels'; did you mean 'samples'?",
    "evaluate = []": "grid.evaluate = []",
}


def replaced(text: str, line: str, first: int) -> tuple[str, int]:
    """`text` with `line` in the place of the one that assigns the same key, and its number; `text` begins at `first`.

    A key that is not there takes the place of one with the same beginning (``params.batchsize`` that of ``params.``).
    """
    lines = text.splitlines()
    for key in (line.partition("=")[0], line.partition(".")[0] + "."):
        for index, old in enumerate(lines):
            if old.startswith(key):
                lines[index] = line
                return "\n".join(lines) + "\n", first + index
    return text.replace('params.batch_size = [16, 32]\nparams.lr = 0.001\nparams.latent = "normal"\n', line + "\n"), (
        first + next(index for index, old in enumerate(lines) if old.startswith("params."))
    )


@pytest.mark.parametrize("line", IN_HEAD, ids=short)
def test_a_mistake_in_the_head_is_one_sentence_with_its_line(line: str, refused: Callable[..., str]) -> None:
    head, number = replaced(HEAD, line, 1)
    refused(f"{head}\n[[grid]]\n{GRID}", IN_HEAD[line], line=number)


@pytest.mark.parametrize("line", IN_GRID, ids=short)
def test_a_mistake_in_a_grid_is_one_sentence_with_its_line(line: str, refused: Callable[..., str]) -> None:
    grid, number = replaced(GRID, line, GRID_LINE + 1)
    refused(f"{HEAD}\n[[grid]]\n{grid}", IN_GRID[line], line=number)


# --- keys that are missing, unknown, misplaced ------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["name", "budget"])
def test_a_missing_key_of_the_head_is_named_with_an_example(key: str, refused: Callable[..., str]) -> None:
    text = "\n".join(line for line in HEAD.splitlines() if not line.startswith(f"{key} ="))
    said = refused(f"{text}\n[[grid]]\n{GRID}", f"'{key}' is missing", f"{key} = ")
    assert ", line" not in said


@pytest.mark.parametrize("key", ["variants", "datasets"])
def test_a_missing_key_of_a_grid_is_named_with_the_line_of_the_grid(key: str, refused: Callable[..., str]) -> None:
    text = "\n".join(line for line in GRID.splitlines() if not line.startswith(f"{key} ="))
    refused(f"{HEAD}\n[[grid]]\n{GRID}\n[[grid]]\n{text}", f"'grid.{key}' is missing", f"{key} = ", line=23)


UNKNOWN: dict[str, tuple[str, Refused]] = {
    "in the head": (f"{MINI}seads = 3\n{MINI_GRID}", Refused("unknown key 'seads'; did you mean 'seeds'?", 3)),
    "in the head, like nothing": (
        f"{MINI}colour = 3\n{MINI_GRID}",
        Refused("unknown key 'colour' (known here: name", 3),
    ),
    "named like a type": (f"{MINI}int = 3\n{MINI_GRID}", Refused("unknown key 'int'", 3)),
    "with a bracket": (f'{MINI}"a[b]" = 3\n{MINI_GRID}', Refused("unknown key 'a[b]'", 3)),
    "empty": (f'{MINI}"" = 3\n{MINI_GRID}', Refused("unknown key ''")),
    "dotted": (f"{MINI}a.b.c = 3\n{MINI_GRID}", Refused("unknown key 'a'", 3)),
    "with control characters": (f'{MINI}"a\\n\\u001b[2J" = 3\n{MINI_GRID}', Refused("unknown key 'a\\n\\x1b[2J'")),
    "very long": (f"{MINI}{'k' * 500_000} = 3\n{MINI_GRID}", Refused("unknown key 'kkk")),
    "a table": (
        f"{MINI}[budgets]\nepochs = 3\n{MINI_GRID}",
        Refused("unknown key 'budgets'; did you mean 'budget'?", 3),
    ),
    "in a table": (
        'name = "mini"\n[budget]\nepochs = 3\nepoch = 2\n' + MINI_GRID,
        Refused("unknown key 'budget.epoch'; did you mean 'epochs'?", 4),
    ),
    "of the head in a table": (
        'name = "mini"\n[budget]\nepochs = 3\nseeds = 2\n' + MINI_GRID,
        Refused("unknown key 'budget.seeds'; 'seeds' belongs above the first [table]", 4),
    ),
    "of the head in a grid": (
        f"{MINI}{MINI_GRID}seeds = 3\n",
        Refused("unknown key 'grid.seeds'; 'seeds' belongs above the first [table]", 6),
    ),
    "of a grid in the head": (
        f'{MINI}variants = ["dcgan"]\n{MINI_GRID}',
        Refused("unknown key 'variants'; 'variants' belongs below [[grid]]", 3),
    ),
    "in a grid": (
        f"{MINI}{MINI_GRID}varients = []\n",
        Refused("unknown key 'grid.varients'; did you mean 'variants'?", 6),
    ),
    "a parameter beside params": (f"{MINI}{MINI_GRID}lr = 0.1\n", Refused("unknown key 'grid.lr' (known here:", 6)),
    "in the second grid": (f"{MINI}{MINI_GRID}{MINI_GRID}x = 1\n", Refused("unknown key 'grid.x'", 9)),
    "in a grid's table": (f"{MINI}{MINI_GRID}[grid.budget]\nepoch = 1\n", Refused("'grid.budget.epoch'; did you", 7)),
    "misspelt and so missing": (f'nane = "x"\n{MINI_GRID}', Refused("unknown key 'nane'; did you mean 'name'?", 1)),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_unknown_key_is_named_with_the_nearest_one(case: str, refused: Callable[..., str]) -> None:
    text, expected = UNKNOWN[case]
    refused(text, expected.says, line=expected.line)


NESTED: dict[str, tuple[str, Refused]] = {
    "no grid": (MINI, Refused("'grid' is missing; write for example a [[grid]]")),
    "[grid] for [[grid]]": (
        f"{MINI}{MINI_GRID.replace('[[grid]]', '[grid]')}",
        Refused("write [[grid]] in double brackets", 3),
    ),
    "[grid.params] alone": (f"{MINI}[grid.params]\nlr = 0.1\n", Refused("write [[grid]] in double brackets", 3)),
    "[[grids]]": (
        f"{MINI}{MINI_GRID.replace('grid', 'grids')}",
        Refused("unknown key 'grids'; did you mean 'grid'?", 3),
    ),
    "empty grid": (f"{MINI}[[grid]]\n", Refused("'grid.variants' is missing", 3)),
    "empty list of grids": (f"{MINI}grid = []\n", Refused("at least one entry", 3)),
    "list of no grids": (f"{MINI}grid = [1]\n", Refused("grid holds 1, and each entry should be a table", 3)),
    "grid is a word": (f'{MINI}grid = "dcgan"\n', Refused("grid = 'dcgan'", 3)),
    "inline grid": (
        f'{MINI}grid = [\n  {{ variants = ["dcgan"], datasets = ["digits"], x = 1 }},\n]\n',
        Refused("unknown key 'grid.x'", 4),
    ),
    "[[budget]]": (f'name = "mini"\n[[budget]]\nepochs = 1\n{MINI_GRID}', Refused("budget = [{'epochs': 1}]", 2)),
    "[[grid.params]]": (f"{MINI}{MINI_GRID}[[grid.params]]\nlr = 0.1\n", Refused("grid.params = [{'lr': 0.1}]", 6)),
    "[grid.configs]": (f"{MINI}{MINI_GRID}[grid.configs]\nlr = 0.1\n", Refused("grid.configs = {'lr': 0.1}", 6)),
    "[[grid.configs]]": (f"{MINI}{MINI_GRID}[[grid.configs]]\nlrr = 0.1\n", Refused("unknown parameter 'lrr'", 7)),
    "[grid.params]": (
        f"{MINI}{MINI_GRID}[grid.params]\nbatch_size = 8\nlrr = 0.1\n",
        Refused("'lrr' of mlp-gan; did you mean 'lr'?", 8),
    ),
    "params of a params": (
        f"{MINI}{MINI_GRID}params.params.lr = 0.1\n",
        Refused("grid.params.params = {'lr': 0.1}", 6),
    ),
    "everything in a table": (f"[benchmark]\n{MINI}", Refused("unknown key 'benchmark'", 1)),
    "mistake in the second grid": (
        f"{MINI}{MINI_GRID}params.width = 8\n{MINI_GRID}params.width = 0\n",
        Refused("width of mlp-gan = 0", 10),
    ),
    "same key in configs": (
        f"{MINI}{MINI_GRID}configs = [{{ lr = 0.1 }}]\nparams.ema = 0.5\nparams.lr = 7\nparams.beta1 = 2.0\n",
        Refused("beta1 of mlp-gan = 2.0", 9),
    ),
    "row of configs": (
        f"{MINI}{MINI_GRID}configs = [\n  {{ beta1 = 0.5 }},\n  {{ ema = 0.5, beta1 = 1.5 }},\n]\n",
        Refused("beta1 of mlp-gan = 1.5", 8),
    ),
    "row of configs of a wrong type": (
        f"{MINI}{MINI_GRID}configs = [\n  {{ beta1 = 0.5 }},\n  {{ beta1 = [] }},\n]\n",
        Refused("grid.configs.beta1 = []", 8),
    ),
    "row of configs with a header": (
        f"{MINI}{MINI_GRID}[[grid.configs]]\nbeta1 = 0.5\n[[grid.configs]]\nbeta1 = 1.5\n",
        Refused("beta1 of mlp-gan = 1.5", 9),
    ),
    "list over lines": (
        f'{MINI}[[grid]]\nvariants = [\n  "dcgan",\n  "dcgn",\n]\ndatasets = ["digits"]\n',
        Refused("unknown variant 'dcgn'", 6),
    ),
    "strange line ends in comments": (
        f"# \u2028 \x85 are no line ends to TOML\n{MINI}{MINI_GRID}x = 1\n",
        Refused("unknown key 'grid.x'", 7),
    ),
    "Windows line ends": (f"{MINI}{MINI_GRID}x = 1\n".replace("\n", "\r\n"), Refused("unknown key 'grid.x'", 6)),
    "ranked by the default": (f'{MINI}metrics = ["cs"]\n{MINI_GRID}', Refused("rank.metric is 'fcd', which is not", 3)),
    "twice with two budgets": (
        f"{MINI}{MINI_GRID}{MINI_GRID}budget = {{ epochs = 2 }}\n",
        Refused("is there twice with the same parameters and another budget", 7),
    ),
    "two params for a dataset": (
        f"{MINI}{MINI_GRID.replace('digits', 'folder:x')}"
        '[[grid]]\nvariants = ["dcgan"]\ndatasets = [{ name = "folder:x", params = { size = 8 } }]\n',
        Refused("dataset 'folder:x' is used with different params", 8),
    ),
    "too few samples for a metric": (
        f'{MINI}metrics = ["is", "fcd"]\nevaluate = {{ samples = 5 }}\n{MINI_GRID}',
        Refused("evaluate.samples = 5 is too few: is needs 20", 4),
    ),
}


@pytest.mark.parametrize("case", NESTED)
def test_wrong_nesting_is_one_sentence_with_its_line(case: str, refused: Callable[..., str]) -> None:
    text, expected = NESTED[case]
    refused(text, expected.says, line=expected.line)


# --- no TOML ----------------------------------------------------------------------------------------------------------

NO_TOML: dict[str, tuple[str | bytes, Refused]] = {
    "prose": ("Please train a DCGAN on MNIST.\n", Refused("not valid TOML", 1)),
    "JSON": ('{"name": "mini"}\n', Refused("not valid TOML", 1)),
    "YAML": ("name: mini\nseeds: 3\n", Refused("not valid TOML", 1)),
    "XML": ("<?xml version='1.0'?>\n", Refused("not valid TOML", 1)),
    "Python": ("import ganbench\n", Refused("not valid TOML", 1)),
    "no value": ("name =\n", Refused("a value is missing", 1)),
    "no key": ('= "mini"\n', Refused("not valid TOML", 1)),
    "no equals sign": ('name "mini"\n', Refused("not valid TOML", 1)),
    "two equals signs": ("seeds = = 1\n", Refused("not valid TOML", 1)),
    "colon": ('name : "mini"\n', Refused("not valid TOML", 1)),
    "no quotes": ("name = mini\n", Refused("texts need quotes", 1)),
    "one quote": ('name = "mini\nseeds = 1\n', Refused("a quote is not closed", 1)),
    "typographic quotes": ("name = “mini”\n", Refused("not valid TOML", 1)),
    "open list": (f"{MINI}metrics = [\n", Refused("not valid TOML")),
    "open table": (f"{MINI}evaluate = {{ times = 2\n", Refused("not valid TOML", 3)),
    "table over lines": (f"{MINI}evaluate = {{\n  times = 2,\n}}\n", Refused("not valid TOML", 3)),
    "comma at the end of a table": (f"{MINI}evaluate = {{ times = 2, }}\n", Refused("not valid TOML", 3)),
    "missing comma": (f'{MINI}metrics = ["cs" "fcd"]\n', Refused("not valid TOML", 3)),
    "wrong bracket": (f'{MINI}metrics = ["cs")\n', Refused("not valid TOML", 3)),
    "open header": (f"{MINI}[[grid]\n", Refused("not valid TOML", 3)),
    "empty header": (f"{MINI}[]\n", Refused("not valid TOML", 3)),
    "spaced header": (f"{MINI}[ [grid] ]\n", Refused("not valid TOML", 3)),
    "two keys on a line": ('name = "mini" seeds = 1\n', Refused("not valid TOML", 1)),
    "python's None": (f"{MINI}seeds = None\n", Refused("not valid TOML", 3)),
    "Python's True": (f"{MINI}seeds = True\n", Refused("not valid TOML", 3)),
    "null": (f"{MINI}seeds = null\n", Refused("not valid TOML", 3)),
    "arithmetic": (f"{MINI}seeds = 10**9\n", Refused("not valid TOML", 3)),
    "a power of two": (f"{MINI}seeds = 2^31\n", Refused("not valid TOML", 3)),
    "leading zero": (f"{MINI}seeds = 03\n", Refused("not valid TOML", 3)),
    "point without digits": (f"{MINI}params.lr = .5\n", Refused("not valid TOML", 3)),
    "comma for a point": (f"{MINI}x = 0,5\n", Refused("not valid TOML", 3)),
    "a unit": (f"{MINI}x = 5px\n", Refused("not valid TOML", 3)),
    "NaN in capitals": (f"{MINI}x = NaN\n", Refused("not valid TOML", 3)),
    "no such day": (f"{MINI}x = 2024-02-31\n", Refused("not valid TOML", 3)),
    "no such hour": (f"{MINI}x = 25:00:00\n", Refused("not valid TOML", 3)),
    "unknown escape": (f'{MINI}x = "C:\\data"\n', Refused("not valid TOML", 3)),
    "surrogate": (f'{MINI}x = "\\ud800"\n', Refused("not valid TOML", 3)),
    "beyond Unicode": (f'{MINI}x = "\\UFFFFFFFF"\n', Refused("not valid TOML", 3)),
    "comment of C": (f"{MINI}// seeds\n", Refused("not valid TOML", 3)),
    "merge conflict": (f"{MINI}<<<<<<< HEAD\nseeds = 1\n=======\n", Refused("not valid TOML", 3)),
    "key twice": (f'{MINI}name = "other"\n', Refused("twice", 3)),
    "key twice in a table": (f"{MINI}evaluate = {{ times = 1, times = 2 }}\n", Refused("twice", 3)),
    "table twice": (f"{MINI}[evaluate]\ntimes = 1\n[evaluate]\nsamples = 9\n", Refused("twice", 5)),
    "inline table and header": (f"{MINI}[budget]\nimages = 5\n", Refused("twice", 3)),
    "inline table and dotted key": (f"{MINI}budget.images = 5\n", Refused("twice", 3)),
    "dotted key of a value": (f"{MINI}name.x = 5\n", Refused("twice", 3)),
    "[grid] and [[grid]]": (f"{MINI}{MINI_GRID}[grid]\n", Refused("twice", 6)),
    "inline and [[grid]]": (f"{MINI}grid = []\n{MINI_GRID}", Refused("twice", 4)),
    "NUL": (b'name = "mi\x00ni"\n', Refused("not valid TOML", 1)),
    "only NULs": (b"\x00" * 4096, Refused("not valid TOML", 1)),
    "bell": (b'name = "mi\x07ni"\n', Refused("not valid TOML", 1)),
    "escape code": (b'name = "\x1b[31mmini"\n', Refused("not valid TOML", 1)),
    "delete": (b'name = "mi\x7fni"\n', Refused("not valid TOML", 1)),
    "form feed": (b'name = "mini"\n\x0cseeds = 1\n', Refused("not valid TOML", 2)),
    "vertical tab": (b'name = "mini"\n\x0bseeds = 1\n', Refused("not valid TOML", 2)),
    "no-break space": (f"{MINI}seeds\u00a0= 1\n", Refused("not valid TOML", 3)),
    "zero-width space": (f"{MINI}\u200bseeds = 1\n", Refused("not valid TOML", 3)),
    "mark in the middle": (f"{MINI}\ufeffseeds = 1\n", Refused("not valid TOML", 3)),
    "two marks": (b"\xef\xbb\xbf\xef\xbb\xbf" + GOOD.encode(), Refused("not valid TOML", 1)),
    "Latin-1": (GOOD.replace("mini", "größe").encode("latin-1"), Refused("not a text file in UTF-8")),
    "UTF-16": (GOOD.encode("utf-16"), Refused("not a text file in UTF-8")),
    "UTF-16 without mark": (GOOD.encode("utf-16-le"), Refused("not valid TOML", 1)),
    "UTF-32": (GOOD.encode("utf-32"), Refused("UTF-8")),
    "surrogate in UTF-8": (b'name = "\xed\xa0\x80"\n', Refused("not a text file in UTF-8")),
    "overlong UTF-8": (b'name = "\xc0\xaf"\n', Refused("not a text file in UTF-8")),
    "cut UTF-8": ('name = "größe"'.encode()[:-3], Refused("not a text file in UTF-8")),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", Refused("not a text file in UTF-8")),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", Refused("not a text file in UTF-8")),
    "empty": (b"", Refused("'name' is missing")),
    "white space": (b" \n\t\n\r\n", Refused("'name' is missing")),
    "comments": (b"# nothing\n# yet\n", Refused("'name' is missing")),
    "a mark alone": (b"\xef\xbb\xbf", Refused("'name' is missing")),
    "5 MB": (GOOD + "# padding\n" * 500_000, Refused("longer than")),
    "5 MB on a line": (f'name = "{"x" * 5_000_000}"\n', Refused("longer than")),
    "deep list": (f"{MINI}x = {'[' * 50_000}{']' * 50_000}\n", Refused("nested too deeply")),
    "deep open list": (f"{MINI}x = {'[' * 50_000}\n", Refused("nested too deeply")),
    "deep table": (f"{MINI}x = {'{a = ' * 5_000}1{'}' * 5_000}\n", Refused("nested too deeply")),
    "deep dotted key": (f"{MINI}{'.'.join('a' * 1_500)} = 1\n{MINI_GRID}", Refused("unknown key 'a'")),
    "deep header": (f"{MINI}[budget.{'.'.join('a' * 1_500)}]\n{MINI_GRID}", Refused("twice")),
    "deep value": (f"{MINI}evaluate.times.{'.'.join('a' * 1_500)} = 1\n{MINI_GRID}", Refused("evaluate.times")),
    "deep list below the limit": (f"{MINI}seeds = {'[' * 80}{']' * 80}\n{MINI_GRID}", Refused("seeds holds [[", 3)),
    "5000 digits": (f"{MINI}seeds = {DIGITS_5000}\n", Refused("too many digits")),
    "-5000 digits": (f"{MINI}{MINI_GRID}params.lr = -{DIGITS_5000}\n", Refused("too many digits")),
    "5000 digits in a float": (f"{MINI}{MINI_GRID}params.lr = {DIGITS_5000}.0\n", Refused("lr of mlp-gan = inf", 6)),
}


@pytest.mark.parametrize("case", NO_TOML)
def test_what_is_no_toml_is_one_sentence(case: str, refused: Callable[..., str]) -> None:
    content, expected = NO_TOML[case]
    refused(content, expected.says, line=expected.line)


def test_every_table_of_the_corpus_counts() -> None:
    assert sum(map(len, (IN_HEAD, IN_GRID, UNKNOWN, NESTED, NO_TOML))) >= 300


# --- sizes ------------------------------------------------------------------------------------------------------------

HUGE: dict[str, str] = {
    "twenty lists of ten": "".join(f"params.p{i} = [{', '.join(map(str, range(10)))}]\n" for i in range(20)),
    "a thousand lists of ten": "".join(f"params.p{i} = [{', '.join(map(str, range(10)))}]\n" for i in range(1000)),
    "ten thousand lists of four": "".join(f"params.p{i} = [1, 2, 3, 4]\n" for i in range(10_000)),
    "one long list": f"params.batch_size = [{', '.join(map(str, range(100_001)))}]\n",
}


@pytest.mark.parametrize("case", HUGE)
def test_a_grid_of_too_many_cells_is_refused_before_it_is_expanded(case: str, refused: Callable[..., str]) -> None:
    refused(f"{MINI}{MINI_GRID}{HUGE[case]}", "more than 100,000 cells", line=3)


def test_cells_are_counted_over_all_grids_and_seeds(refused: Callable[..., str]) -> None:
    some = f"params.batch_size = [{', '.join(map(str, range(2, 302)))}]\n"
    refused(f"seeds = 200\n{MINI}{MINI_GRID}{some}{MINI_GRID}{some}", "more than 100,000 cells", line=8)


def test_many_cells_that_are_few_enough_are_planned(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(f"seeds = 100\n{MINI}{MINI_GRID}params.batch_size = [16, 32]\n")
    benchmark, source = read(path)
    assert len(resolve(benchmark, source, installed()).cells({})) == 200


# --- what is no file, or a strange one --------------------------------------------------------------------------------


def test_a_folder_is_one_sentence(tmp_path: Path, refused: Callable[..., str]) -> None:
    refused(tmp_path, "cannot be read (Is a directory)")


def test_a_missing_file_is_one_sentence(tmp_path: Path, refused: Callable[..., str]) -> None:
    refused(tmp_path / "no.toml", "cannot be read (No such file or directory)", "give the path of a benchmark.toml")


def test_a_file_below_a_file_is_one_sentence(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "no.toml", "cannot be read (Not a directory)")


def test_a_circle_of_links_is_one_sentence(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    refused(tmp_path / "loop.toml", "cannot be read (")


def test_an_unreadable_file_is_one_sentence(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "secret.toml"
    path.write_text(GOOD)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user (root?) can read every file")
    refused(path, "cannot be read (Permission denied)")


@pytest.mark.parametrize("name", [LONG, "no\nsuch.toml", "\x1b[31mred.toml", "\udcff.toml"])
def test_a_strange_path_is_one_sentence(name: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    refused(tmp_path / name, "cannot be read (")


def test_an_endless_file_is_one_sentence(refused: Callable[..., str]) -> None:
    refused(Path("/dev/zero"), "longer than")


def test_the_file_that_all_of_this_breaks_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bench.toml").write_text(GOOD)
    outcome = CliRunner().invoke(cli.main, ["plan", "bench.toml"])
    assert outcome.exit_code == 0, outcome.output
    assert "16 configurations, 32 cells, 32 to train" in outcome.stdout


def test_a_byte_order_mark_is_taken_and_lines_are_still_counted(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert CliRunner().invoke(cli.main, ["plan", str(path)]).exit_code == 0
    refused(b"\xef\xbb\xbf" + GOOD.replace("name", "nmae", 1).encode(), "unknown key 'nmae'", line=1)


def test_a_dataset_may_have_any_characters_in_its_path(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(MINI + MINI_GRID.replace("digits", r"folder:/x/[/b][bold]\u001b[31m\nend"), encoding="utf-8")
    outcome = CliRunner().invoke(cli.main, ["plan", str(path)])
    assert outcome.exit_code == 0, outcome.output
    assert r"folder:/x/[/b][bold]\x1b[31m\nend" in outcome.stdout
    assert "\x1b" not in outcome.output


def test_a_mistake_in_the_last_of_several_files_is_found_first(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(GOOD)
    bad.write_text(GOOD.replace("mini", "con"))
    outcome = CliRunner().invoke(cli.main, ["run", str(good), str(bad), "--results", str(tmp_path / "results")])
    assert outcome.exit_code == 2
    one_sentence(outcome.stderr)
    assert not (tmp_path / "results").exists()


TWIN = """
from ganbench.api import hookimpl
@hookimpl
def register_variants(register):
    register("dcgan", "ganbench_gans.dcgan:DCGAN")
"""


def test_an_ambiguous_variant_is_one_sentence_that_names_both(
    plugin_module: Callable[[str, str], EntryPoint], monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    both = Plugins([*entry_points(group="ganbench"), plugin_module("twin", TWIN)])
    monkeypatch.setattr("ganbench.plugins._with", lambda choice, named: both)
    refused(GOOD, "'dcgan' is provided by several plugins; write gans/dcgan and twin/dcgan in full", line=14)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(GOOD.replace("seeds = [0, 1]", "seeds = 1_000_000_000").encode(), id="billion seeds"),
        pytest.param(f"x = {'[' * 50_000}".encode(), id="deep"),
        pytest.param(f'"{"k" * 200_000}\\n\\u001b[2J\u2028" = 1'.encode(), id="control characters"),
    ],
)
def test_a_process_of_its_own_says_the_same_even_where_only_ascii_can_be_printed(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "bench.toml"
    path.write_bytes(content)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "GANBENCH_DATA": str(tmp_path / "data")}
    done = ganbench(environment, "run", path, "--results", tmp_path / "results")
    assert (done.returncode, done.stdout) == (2, "")
    one_sentence(done.stderr)
    assert [entry.name for entry in tmp_path.iterdir()] == ["bench.toml"]


# --- files that nobody thought of -------------------------------------------------------------------------------------

NUMBERS = ["nan", "inf", "-1", "0", "3", "0x", "1e400", "9223372036854775808", "1_000_000_000"]
WORDS = [*NUMBERS, "true", "[]", "{}", "[[]]", "''", *'"=,.[]{}#\\\n\0\x1bé']
KEYS = sorted({word for line in GOOD.splitlines() if (word := line.partition(" ")[0].rpartition(".")[2])})


def edits() -> st.SearchStrategy[Callable[[str], str]]:
    """Something that happens to a text file."""
    place = st.floats(0, 0.999)

    def on_lines(change: Callable[[list[str], int, int], None]) -> st.SearchStrategy[Callable[[str], str]]:
        def edit(one: float, other: float) -> Callable[[str], str]:
            def apply(text: str) -> str:
                lines = text.split("\n")
                change(lines, int(one * len(lines)), int(other * len(lines)))
                return "\n".join(lines)

            return apply

        return st.builds(edit, place, place)

    def delete(lines: list[str], one: int, other: int) -> None:
        del lines[one]

    def repeat(lines: list[str], one: int, other: int) -> None:
        lines.insert(other, lines[one])

    def swap(lines: list[str], one: int, other: int) -> None:
        lines[one], lines[other] = lines[other], lines[one]

    def exchange(lines: list[str], one: int, other: int) -> None:
        lines[one] = lines[one].partition("=")[0] + "=" + lines[other].partition("=")[2]

    def insert(at: float, what: str, over: int) -> Callable[[str], str]:
        return lambda text: text[: int(at * len(text))] + what + text[int(at * len(text)) + over :]

    def swap_words(old: str, new: str) -> Callable[[str], str]:
        return lambda text: text.replace(old, new, 1)

    found = sorted({word.strip("[]{},") for word in GOOD.split()} - {"", "="})
    written = st.sampled_from(WORDS + KEYS) | st.text(max_size=8) | st.integers().map(str) | st.floats().map(str)
    return st.one_of(
        *map(on_lines, (delete, repeat, swap, exchange)),
        st.builds(insert, place, written, st.integers(0, 6)),
        st.builds(swap_words, st.sampled_from(found), written),
    )


def values() -> st.SearchStrategy[Any]:
    """Any value that TOML has."""
    plain = (
        st.booleans()
        | st.integers(-3, 40)
        | st.integers()
        | st.sampled_from([2**31, 2**63, 2**64, 10**400, -(10**400), 1e300, math.inf, math.nan])
        | st.floats()
        | st.dates()
        | st.times()
        | st.datetimes()
        | st.sampled_from(["dcgan", "digits", "fcd", "train", "con", "cuda:0", "folder:x"])
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    )
    keys = st.sampled_from(KEYS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    return st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3))


def as_toml(value: Any) -> str:
    """A value as TOML writes it, tables inline."""
    if isinstance(value, str):
        return '"' + "".join(c if c.isalnum() else f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_toml(key)} = {as_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def parts(table: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Every (container, key or index) in a TOML document."""
    for key, inner in list(table.items() if isinstance(table, dict) else enumerate(table)):
        yield table, key
        if isinstance(inner, dict | list):
            yield from parts(inner)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def planned_or_refused(content: str, scratch: Path) -> None:
    """Whatever is in the file, either it has cells or it is refused with one sentence; nothing else happens."""
    path = scratch / "bench.toml"
    path.write_text(content, encoding="utf-8", errors="replace", newline="")
    before = _files(scratch)
    try:
        benchmark, source = read(path)
        plan = resolve(benchmark, source, installed())
    except UserError:
        outcome = CliRunner().invoke(cli.main, ["run", str(path), "--results", str(scratch / "results")])
        assert outcome.exit_code == 2, outcome.output
        assert outcome.stdout == ""
        one_sentence(outcome.stderr)
    else:
        seeds = benchmark.seeds if isinstance(benchmark.seeds, int) else len(benchmark.seeds)
        assert 0 < seeds * len(plan.rows) <= 100_000
        if seeds * len(plan.rows) <= 50:
            outcome = CliRunner().invoke(cli.main, ["plan", str(path), "--results", str(scratch / "results")])
            assert outcome.exit_code == 0, outcome.output
    assert _files(scratch) == before


@settings(deadline=None, max_examples=120)
@given(changes=st.lists(edits(), min_size=1, max_size=4))
def test_a_file_edited_at_random_is_planned_or_refused(changes: list[Callable[[str], str]], scratch: Path) -> None:
    text = GOOD
    for change in changes:
        text = change(text)
    planned_or_refused(text, scratch)


@settings(deadline=None, max_examples=120)
@given(data=st.data())
def test_a_file_with_a_random_value_anywhere_is_planned_or_refused(data: st.DataObject, scratch: Path) -> None:
    import tomllib

    content = tomllib.loads(GOOD)
    for _ in range(data.draw(st.integers(1, 2))):
        container, key = data.draw(st.sampled_from(list(parts(content))))
        match data.draw(st.sampled_from(["replace", "replace", "delete", "add"])):
            case "replace":
                container[key] = data.draw(values())
            case "delete":
                del container[key]
            case "add" if isinstance(container, dict):
                container[data.draw(st.sampled_from(KEYS) | st.text(max_size=5))] = data.draw(values())
    text = "".join(f"{as_toml(key)} = {as_toml(value)}\n" for key, value in content.items())
    planned_or_refused(text, scratch)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.toml"
    path.write_bytes(content)
    outcome = CliRunner().invoke(cli.main, ["plan", str(path)])
    assert outcome.exit_code == 2
    one_sentence(outcome.stderr)
