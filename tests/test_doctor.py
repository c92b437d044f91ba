"""`ganbench doctor` without a folder, and what is said of processors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import MINI

from ganbench import environment, run
from ganbench.cli import main
from ganbench.doctor import _processes


def test_one_process_per_core_is_compared_with_one_of_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganbench.doctor.cores", lambda: 2)
    (check,) = _processes()
    found = re.fullmatch(
        r"2 processes of one thread train ([\d.]+) times as fast as one of 2 threads "
        r"\(([\d.]+) and ([\d.]+) rounds a second of a DCGAN on 28×28, batch 64, width 32\): (.*)",
        check.message,
    )
    assert found
    times, many, one = map(float, found.groups()[:3])
    assert times == pytest.approx(many / one, rel=0.02)
    assert found[4] == ("the default" if times >= 1 else "for cells like these --jobs 1 is faster")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_bf16", "AMX-BF16, AVX512-BF16"),
        ("flags\t\t: fpu avx512f avx512_bf16", "AVX512-BF16"),
        ("flags\t\t: fpu avx2 avx512f", ""),
        ("Features\t: fp asimd bf16", "Arm BF16"),
        ("processor\t: 0", None),
    ],
)
def test_the_instructions_for_bfloat16_are_read_from_the_processors_flags(line, found, tmp_path, monkeypatch) -> None:
    (tmp_path / "cpuinfo").write_text(f"vendor_id\t: X\n{line}\n")
    monkeypatch.setattr(environment, "Path", lambda path: tmp_path / Path(path).name)
    assert environment.bf16() == found


@pytest.mark.parametrize(("found", "notes"), [("", 1), ("AVX512-BF16", 0), (None, 0)])
def test_a_run_in_bf16_says_where_it_is_emulated(found, notes, toml, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(run, "bf16", lambda: found)
    path = toml('precision = "bf16"\ndevice = "cpu"\n' + MINI, ("generator_updates = 4", "generator_updates = 1"))
    outcome = CliRunner().invoke(main, ["run", str(path), "--results", str(tmp_path / "results")])
    assert outcome.exit_code == 0, outcome.output
    assert outcome.output.count('precision = "bf16" is emulated on it; fp32 is faster there') == notes
