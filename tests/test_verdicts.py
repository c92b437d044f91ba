"""What reports say of variants: verdicts in words, ranks, profiles, chosen snapshots; and in every format."""

from __future__ import annotations

import io
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from ganbench import report
from ganbench.cli import main
from ganbench.report import Ranked, verdicts
from ganbench.report.evidence import selections, verdict_legend
from ganbench.report.files import markdown
from ganbench.report.latex import document
from ganbench.report.rank_plots import critical_difference, performance_profile
from ganbench.report.ranks import profiles, ranks, sentences
from ganbench.report.selection import gaps
from ganbench.report.study import Study
from ganbench.report.style import saved
from ganbench.report.words import for_latex
from ganbench.store import Store
from ganbench.testing.records import Records

HOSTILE = "=cmd()|<script>alert(1)</script>[red]x[/nope] $\\frac{a}{b}$ \x1b[31m & 100% #1_2^3~\nline"


def study(root: Path, scores: dict[str, list[list[float | None]]], **run: object) -> Ranked:
    """Variant -> by dataset the scores of its seeds; None fails."""
    records = Records(root, **run)
    for variant, datasets in scores.items():
        for number, seeds in enumerate(datasets):
            for seed, value in enumerate(seeds):
                best = None if value is None else {"fcd": value, "cs": value}
                status = "failed" if value is None else "done"
                records.cell(variant, seed, best, dataset=f"data-{number}", status=status, reason="boom")
    return Ranked(records.written().tables())


def said(ranked: Ranked) -> list[tuple[str, str]]:
    return [(each.verdict, each.sentence) for each in verdicts.verdicts(ranked)]


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_a_variant_beats_another_with_five_seeds_that_say_so(tmp_path):
    ranked = study(tmp_path, {"dcgan": [[5.0, 5.2, 5.1, 5.3, 4.9]], "wgan-gp": [[4.4, 4.5, 4.6, 4.5, 4.5]]})
    sentence = (
        "wgan-gp beats dcgan on data-0: fcd lower by 0.60 [0.40, 0.80], n = 5, p = 0.001 (Holm), better with 5 of 5"
    )
    assert said(ranked) == [("beats", sentence)]
    (each,) = verdicts.verdicts(ranked)
    assert each.p_holm == each.p  # one test alone needs no correction
    assert each.probability == 1
    assert each.probability_low == pytest.approx(0.4782, abs=1e-4)


def test_higher_is_better_turns_the_verdict_round(tmp_path):
    scores = {"dcgan": [[5.0, 5.2, 5.1, 5.3, 4.9]], "wgan-gp": [[4.4, 4.5, 4.6, 4.5, 4.5]]}
    ((verdict, sentence),) = said(study(tmp_path, scores, metric="cs"))
    assert verdict == "beats"
    assert sentence.startswith("dcgan beats wgan-gp on data-0: cs higher by 0.60 [0.40, 0.80]")


def test_with_fewer_than_five_seeds_nothing_has_a_p_value_or_beats_another(tmp_path):
    ranked = study(tmp_path, {"a-gan": [[1.0, 1.1, 1.2]], "b-gan": [[9.0, 9.2, 9.1]], "c-gan": [[1.1, 0.9, 1.4]]})
    found = {(each.a, each.b): each for each in verdicts.verdicts(ranked)}
    assert all(math.isnan(each.p) for each in found.values())
    ahead, open_ = found["a-gan", "b-gan"], found["a-gan", "c-gan"]
    assert ahead.verdict == "ahead"
    assert ahead.sentence.endswith("better with 3 of 3; a p-value needs 5 seeds")
    assert open_.sentence.startswith("these 3 seeds do not settle a-gan against c-gan on data-0: fcd lower by 0.03 [")
    assert "There is no p-value for fewer than 5 shared seeds" in verdict_legend(ranked)


def test_one_seed_settles_nothing_and_is_said_so(tmp_path):
    ((verdict, sentence),) = said(study(tmp_path, {"a-gan": [[1.0]], "b-gan": [[2.0]]}))
    assert verdict == "one seed"
    assert sentence == "one seed does not settle a-gan against b-gan on data-0: fcd lower by 1.00, n = 1"


def test_what_has_no_score_is_not_compared_and_not_hidden(tmp_path):
    scores = {"a-gan": [[1.0, 2.0, None]], "b-gan": [[None, None, None]], "c-gan": [[2.0, 1.0, 2.5]]}
    found = dict(
        zip(
            [(v.a, v.b) for v in verdicts.verdicts(study(tmp_path, scores))], said(study(tmp_path, scores)), strict=True
        )
    )
    assert found["a-gan", "b-gan"] == (
        "not compared",
        "a-gan and b-gan on data-0 are not compared: a-gan: 1 failed; b-gan: 3 failed",
    )
    assert "n = 2 of 3 shared seeds, better with 1 of 2 (a-gan: 1 failed)" in found["a-gan", "c-gan"][1]


def test_many_comparisons_are_corrected_together_and_the_sentence_says_when_that_decides(tmp_path):
    rng = np.random.default_rng(3)
    ranked = study(tmp_path, {f"gan-{i}": [list(rng.normal(5 + i / 4, 0.4, 5))] for i in range(5)})
    found = verdicts.verdicts(ranked)
    assert len(found) == 10
    undecided = [each for each in found if each.p < 0.05 <= each.p_holm]
    assert undecided
    for each in undecided:
        assert each.verdict == "not settled"
        assert f"(Holm; alone {verdicts.p_text(each.p)})" in each.sentence
    assert all(each.p_holm >= each.p for each in found)


def test_verdicts_stand_on_the_terminal_in_markdown_and_in_full_precision_in_a_file(tmp_path):
    ranked = study(tmp_path, {"dcgan": [[5.0, 5.2, 5.1, 5.3, 4.9]], "wgan-gp": [[4.4, 4.5, 4.6, 4.5, 4.5]]})
    console = Console(file=io.StringIO(), width=200)
    report.terminal(ranked, console)
    assert "  wgan-gp beats dcgan on data-0: fcd lower by 0.60 [0.40, 0.80], n = 5" in console.file.getvalue()
    assert "- wgan-gp beats dcgan on data-0: fcd lower by 0.60 \\[0.40, 0.80\\]" in markdown(ranked)
    report.write(ranked, tmp_path, pictures=False)
    (row,) = pd.read_csv(tmp_path / "comparisons.csv").to_dict("records")
    (each,) = verdicts.verdicts(ranked)
    assert row["p"] == each.p
    assert row["difference"] == each.difference
    assert row["sentence"] == each.sentence


def test_one_variant_has_no_verdicts_and_no_file_of_them(tmp_path):
    ranked = study(tmp_path, {"a-gan": [[1.0, 2.0]]})
    (tmp_path / "comparisons.csv").write_text("of an earlier report")
    report.write(ranked, tmp_path, pictures=False)
    assert not (tmp_path / "comparisons.csv").exists()
    assert verdicts.verdicts(ranked) == []
    assert sentences(ranked) == []


# --- chosen snapshots -------------------------------------------------------------------------------------------------


def test_the_luck_of_choosing_is_shown_per_configuration(tmp_path):
    records = Records(tmp_path)
    for seed, (chosen, again) in enumerate([(4.0, 4.5), (5.0, 5.3)]):
        records.cell("a-gan", seed, {"fcd": again}, curve={40: {"fcd": 9.0}, 80: {"fcd": chosen}, 100: {"fcd": 8.0}})
    records.cell("b-gan", 0, {"fcd": 4.5})  # no evaluation on record says what it was chosen by
    ranked = Ranked(records.written().tables())
    (row,) = gaps(ranked).to_dict("records")
    assert (row["configuration"], row["chosen"], row["again"], row["n"]) == ("a-gan", 4.5, 4.9, 2)
    assert row["gap"] == pytest.approx(0.4)
    assert row["low"] < 0.4 < row["high"]
    assert selections(ranked)[0].rows == [["a-gan", "4.500", "4.900", "+0.40 ± 1.27", "2"]]
    assert "chosen snapshots scored 0.4 worse on fresh samples than when they were chosen" in markdown(ranked)


# --- across datasets --------------------------------------------------------------------------------------------------


def test_few_datasets_have_ranks_and_the_reason_why_there_is_no_test(tmp_path):
    ranked = study(tmp_path, {"a-gan": [[1.0], [2.0]], "b-gan": [[2.0], [1.0]], "c-gan": [[3.0], [3.0]]})
    assert sentences(ranked) == [
        "mean ranks over 2 datasets (1 is best): a-gan 1.50, b-gan 1.50, c-gan 3.00",
        "no test of ranks and no critical-difference diagram: 2 datasets are fewer than 5",
    ]


def test_enough_datasets_are_tested_drawn_and_name_what_failed_or_was_left_out(tmp_path):
    rng = np.random.default_rng(0)
    scores: dict[str, list[list[float | None]]] = {
        f"gan-{i}": [[float(1 + i + d + rng.uniform(0, 0.3)) for _ in range(2)] for d in range(8)] for i in range(4)
    }
    scores["gan-0"][3] = [None, None]
    scores["late-gan"] = scores["gan-1"][:5]
    ranked = study(tmp_path, scores)
    found = ranks(ranked)
    assert found is not None
    assert list(found.mean) == ["gan-0", "gan-1", "gan-2", "gan-3"]
    assert found.differ
    assert ("gan-0", "gan-3") in found.apart()
    lines = sentences(ranked)
    assert "last in rank for lack of any score: gan-0 on data-3" in lines
    assert "not planned on every dataset, so without a rank: late-gan" in lines
    assert lines[-1].startswith(
        "Friedman's test says that the variants differ (p < 0.001); Nemenyi's tells apart gan-0 from"
    )
    made = profiles(ranked)
    assert next(iter(made)) == "gan-0"
    assert made["gan-0"].share[-1] == 14 / 16  # the failed seeds are never reached
    for draw in (critical_difference, performance_profile):
        figure = draw(ranked, Study(ranked).colours)
        assert figure is not None
        drawn = saved(figure, ("svg", "pdf"))
        assert drawn["pdf"].startswith(b"%PDF")
        assert b"gan-3" in drawn["svg"]
    figure = critical_difference(ranked, Study(ranked).colours)
    assert figure is not None
    bars = [list(line.get_xdata()) for line in figure.axes[0].lines if line.get_linewidth() == 3]
    assert bars
    assert bars == [sorted(bar) for bar in bars]  # the same picture in every process


def test_figures_that_no_longer_apply_are_removed(tmp_path):
    ranked = study(tmp_path, {"a-gan": [[1.0]], "b-gan": [[2.0]]})
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "ranks-fcd.png").write_bytes(b"old")
    report.write(ranked, tmp_path)
    assert not (tmp_path / "report" / "ranks-fcd.png").exists()


# --- formats ----------------------------------------------------------------------------------------------------------


def _mixed(root: Path, text: str = "boom") -> Store:
    """Done, failed, diverged, skipped and planned cells on two datasets."""
    records = Records(root)
    for dataset in ("digits", "@other|[b]"):
        for seed in range(2):
            records.cell("a-gan", seed, {"fcd": 2.0 + seed, "cs": 5}, dataset=dataset, curve={80: {"fcd": 1.9 + seed}})
        records.cell(f"=b {text}", 0, {"fcd": 3.0}, dataset=dataset, params={"mode": text})
        records.cell(f"=b {text}", 1, None, status="diverged", reason=text, dataset=dataset, params={"mode": text})
        records.cell("c-gan", 0, None, status="failed", reason=text, dataset=dataset)
        records.cell("d-gan", 0, None, skip=text, dataset=dataset)
        records.cell("e-gan", 0, None, status="planned", dataset=dataset)
        records.dataset(dataset, real={"fcd": 0.5})
    return records.written()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--format", "latex"], {"leaderboard.tex"}),
        (["--format", "md"], {"leaderboard.md", "roadmap.md"}),
        (["--format", "csv,md"], {"leaderboard.md", "roadmap.md", "leaderboard.csv", "matched.csv", "comparisons.csv",
                                  "results.parquet"}),
    ],
)  # fmt: skip
def test_formats_choose_the_files(tmp_path, options, expected):
    store = _mixed(tmp_path / "run")
    out = tmp_path / "out"
    outcome = CliRunner().invoke(main, ["report", str(store.root), "--to", str(out), "--pictures", "none", *options])
    assert outcome.exit_code == 0, outcome.output
    assert {path.name for path in out.iterdir()} == expected


@pytest.mark.parametrize("options", [["--format", "word"], ["--figures", "png,gif"]])
def test_unknown_formats_are_refused_with_those_there_are(tmp_path, options):
    outcome = CliRunner().invoke(main, ["report", str(tmp_path), *options])
    assert outcome.exit_code == 2
    assert "is not one of" in outcome.output


def test_no_status_is_hidden_and_hostile_strings_are_text_in_every_format(tmp_path):
    store = _mixed(tmp_path, HOSTILE)
    ranked = Ranked(store.tables())
    report.write(ranked, tmp_path, pictures=False, formats=("md", "latex", "csv"))
    texts = {name: (tmp_path / name).read_text() for name in ("leaderboard.md", "leaderboard.tex", "comparisons.csv")}
    for status in ("1 diverged", "1 failed", "1 planned", "skipped"):
        assert status in texts["leaderboard.md"]
        assert status in texts["leaderboard.tex"]
    assert {"c-gan", "e-gan"} <= set(pd.read_csv(tmp_path / "comparisons.csv")["b"])
    assert "<script>" not in texts["leaderboard.md"]
    assert all("\x1b" not in text for text in texts.values())
    assert not re.search(r'(^|,)"?=', texts["comparisons.csv"], re.MULTILINE)
    _is_balanced(texts["leaderboard.tex"])


def _is_balanced(text: str) -> None:
    """As far as that can be told without LaTeX: braces, environments and mathematics end, no character is special."""
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    bare = re.sub(r"\\[\\{}$&#%_]", "", plain)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert "#" not in bare
    assert "^" not in bare.replace("\\textasciicircum", "")
    assert re.findall(r"\\begin\{(\w+)\}", plain).count("table") == re.findall(r"\\end\{(\w+)\}", plain).count("table")


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b & 5% #1", r"a\_b \& 5\% \#1"),
        ("β1=0.5 ± 2", r"$\beta$1=0.5 $\pm$ 2"),
        ("-1.5 [-2, 3]", "$-$1.5 [$-$2, 3]"),
        ("wgan-gp--x", "wgan-gp-{}-x"),
        ("[x] *", "{}[x] *"),
        ("漢\\input{x}", r"?\textbackslash{}input\{x\}"),
    ],
)
def test_texts_for_latex(text, latex):
    assert for_latex(text) == latex


def test_a_long_table_may_run_over_pages(tmp_path):
    records = Records(tmp_path)
    for number in range(45):
        records.cell("a-gan", 0, {"fcd": 1.0 + number}, params={"width": number})
    text = document(records.written().tables())
    assert text.count(r"\begin{longtable}") == 1
    _is_balanced(text)


def test_the_terminal_needs_neither_scipy_stats_nor_torch(tmp_path):
    store = _mixed(tmp_path)
    code = (
        "import sys, io; from pathlib import Path; from rich.console import Console; from ganbench import report\n"
        "from ganbench.store import Store\n"
        f"report.terminal(Store(Path({str(store.root)!r})).tables(), Console(file=io.StringIO()))\n"
        "print([name for name in ('torch', 'scipy.stats', 'seaborn', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr
