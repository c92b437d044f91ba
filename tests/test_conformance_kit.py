"""The conformance kit itself: its counts, expected failures, pytest cases, command and documentation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner
from violators.metrics import Brightness, Reversed
from violators.variants import NoSize, Tiny

from ganbench.cli import main
from ganbench.errors import UserError
from ganbench.testing import Outcome, Report, check_metric, check_variant, parametrize_with_checks
from ganbench.testing.describe import tables
from ganbench.testing.kit import suite
from ganbench.testing.outcomes import Status

NOISE, BLUR = "real_images_score_better_than_noise", "real_images_score_better_than_blurred_ones"


class Confessing(Reversed):
    """The wrong direction, and it says so."""

    expected_failures: ClassVar = {NOISE: "a test", BLUR: "a test"}


class Pessimist(Brightness):
    """It expects a failure that does not come."""

    expected_failures: ClassVar = {NOISE: "a test"}


class Hopeless(Brightness):
    """It expects what is not applicable."""

    needs_reference = False
    expected_failures: ClassVar = {"the_reference_survives_being_kept": "a test"}

    def compute(self, reference):
        return super().compute({"means": 0})


def outcome(status: Status, reason: str = "", *, substantive: bool = True) -> Outcome:
    return Outcome(f"{status}_one", status, reason, 0.1, substantive)


@pytest.mark.parametrize(
    ("outcomes", "ok", "summary"),
    [
        ([outcome("passed")] * 23, True, "23 passed"),
        (
            [outcome("passed"), outcome("expected", "too hard"), *[outcome("not_applicable", "no labels")] * 2],
            True,
            "1 passed, 1 expected failure: too hard, 2 not applicable: no labels (2×)",
        ),
        ([outcome("passed"), outcome("failed", "bad")], False, "1 failed: failed_one, 1 passed"),
        (
            [outcome("passed"), outcome("unexpected", "it passes")],
            False,
            "1 passed but expected to fail: unexpected_one, 1 passed",
        ),
        (
            [outcome("passed", substantive=False), outcome("not_applicable", "no data")],
            False,
            "1 passed, 1 not applicable: no data, no substantive check ran: "
            "every one that uses the component was not applicable",
        ),
    ],
)
def test_a_report_counts(outcomes: list[Outcome], ok: bool, summary: str) -> None:
    report = Report("variants/x", tuple(outcomes))
    assert (report.ok, report.summary()) == (ok, summary)
    if ok:
        report.raise_for_failures()
    else:
        with pytest.raises(AssertionError, match="variants/x: "):
            report.raise_for_failures()


def test_an_expected_failure_carries_its_reason_and_passes() -> None:
    report = check_metric(Confessing)
    assert {one.check: one.reason for one in report.expected} == {NOISE: "a test", BLUR: "a test"}
    assert report.ok


@pytest.mark.parametrize(
    ("cls", "said"), [(Pessimist, "it passes, and was expected to fail: a test"), (Hopeless, "it is not applicable")]
)
def test_an_expected_failure_that_does_not_come_is_a_failure(cls: type, said: str) -> None:
    report = check_metric(cls)
    assert [said in one.reason for one in report.unexpected] == [True]
    assert not report.ok


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (
            {"real_images_score_better_than_noices": "x"},
            r"unknown check .*; did you mean 'real_images_score_better_than_noi",
        ),
        ({NOISE: " "}, "gives no reason"),
    ],
)
def test_a_wrong_expected_failure_is_an_error(expected: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_metric(type("Wrong", (Brightness,), {"expected_failures": expected}))


def test_a_variant_that_suits_nothing_does_not_pass() -> None:
    report = check_variant(NoSize)
    assert [one.check for one in report.failed] == ["builds_for_every_shape_that_it_does_not_refuse"]


CONFORMANCE = """
from violators.metrics import Brightness
from test_conformance_kit import Confessing, Pessimist
from ganbench.testing import parametrize_with_checks

@parametrize_with_checks(Brightness, Confessing, Pessimist, "metrics/cs")
def test_conformance(check):
    check()
"""


def test_pytest_has_a_case_for_each_check(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(CONFORMANCE)
    (tmp_path / "conftest.py").write_text(f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rsxf",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
        "-c",
        "/dev/null",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    checks = len(suite("metrics", Brightness).checks) + 1  # and the one that counts
    # `Confessing` has two expected failures, `Pessimist` one that passes; two of `cs` have nothing to say of it.
    assert f"1 failed, {4 * checks - 5} passed, 2 skipped, 2 xfailed" in done.stdout, done.stdout[-3000:]
    assert "it passes, and was expected to fail: a test" in done.stdout
    assert "it needs no reference" in done.stdout


def test_the_last_case_of_a_subject_fails_where_nothing_substantive_ran(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    monkeypatch.setattr("ganbench_data.published.MNIST.load", _absent)
    cases = parametrize_with_checks("datasets/mnist").args[1]
    with pytest.raises(pytest.fail.Exception, match="no substantive check ran"):
        cases[-1].values[0]()


def _absent(self: object, root: Path) -> None:
    from ganbench.errors import DatasetError

    raise DatasetError(f"there is nothing in {root}")


def test_a_class_of_no_kind_and_an_unknown_name_are_errors() -> None:
    for wrong in (Path, "my-gan", "variant/dcgan", "variants/dcgn"):
        with pytest.raises(UserError):
            parametrize_with_checks(wrong)
    with pytest.raises(UserError, match=r"no subclass of ganbench\.api\.Metric"):
        check_metric(Tiny)
    with pytest.raises(UserError, match="width"):
        check_variant(Tiny, params={"width": -1})


def test_the_command_prints_counts_and_what_failed(plugin_module: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import entry_points

    from ganbench.plugins import Plugins

    source = """
from ganbench.api import hookimpl
@hookimpl
def register_metrics(register):
    register("good", "violators.metrics:Brightness")
    register("bad", "violators.metrics:Reversed")
"""
    plugins = Plugins([*entry_points(group="ganbench"), plugin_module("mine", source)])
    for module in ("cli", "testing.kit", "testing.metrics", "testing.streams", "testing.learning", "evaluate"):
        monkeypatch.setattr(f"ganbench.{module}.installed", lambda: plugins)
    done = CliRunner().invoke(main, ["check", "good"])
    assert (done.exit_code, done.output) == (0, "metrics/mine/good: 15 passed\n")
    done = CliRunner().invoke(main, ["check", "good", "mine/bad"])
    assert done.exit_code == 1
    assert f"): {NOISE}: real images score " in done.output
    assert "\nmetrics/mine/bad: 2 failed: " in done.output
    done = CliRunner().invoke(main, ["check", "godo"])
    assert done.exit_code == 2
    assert "did you mean 'good'?" in done.output
    done = CliRunner().invoke(main, ["check", "good", "--kind", "variants"])
    assert done.exit_code == 2
    done = CliRunner().invoke(main, ["check", "good", "--set", "width=3"])
    assert done.exit_code == 2
    assert "metrics/mine/good has no parameters, so width cannot be set" in done.output


def test_the_kit_imports_neither_torch_nor_pytest() -> None:
    loaded = "[name for name in ('torch', 'pytest') if name in sys.modules]"
    program = f"import sys, ganbench.testing, ganbench.testing.command; print({loaded})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_documentation_lists_every_check_as_it_is() -> None:
    text = (Path(__file__).parent.parent / "docs" / "testing.md").read_text()
    assert tables() in text, "write the output of `python -m ganbench.testing.describe` into docs/testing.md"
