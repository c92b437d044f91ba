"""``ganbench check``. Importing this module imports neither torch nor any check."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli import PLUGIN
from ganbench.plugins import KINDS

if TYPE_CHECKING:
    from ganbench.testing.outcomes import Outcome

_WORDS = {
    "passed": "passed",
    "failed": "FAILED",
    "expected": "expected to fail",
    "unexpected": "PASSED, BUT EXPECTED TO FAIL",
    "not_applicable": "not applicable",
}


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--kind", type=click.Choice(list(KINDS)), help="Of several kinds with that name only this one.")
@click.option("--device", default="cpu", show_default=True, help="Where torch works: cpu, cuda or cuda:N.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter other than its default.")
@PLUGIN
@click.option("--verbose", "-v", is_flag=True, help="Print every check, with its seconds.")
def check(names: tuple[str, ...], kind: str | None, device: str, settings: tuple[str, ...], verbose: bool) -> None:
    """Check that components keep the contract of their kind: what fails, why, and what to do.

    NAME is what `ganbench show` takes; of a dataset it may go on with a colon and its argument. Exit codes: 0 all is
    well, 1 a check failed (or passed that was expected to fail, or none ran that uses the component), 2 bad input.

    \b
    Examples:
      ganbench check my-gan
      ganbench check my-gan my-metric --verbose
      ganbench check folder:/data/birds --kind datasets --set size=32
    """
    from ganbench.testing.kit import find, suite

    params = dict(map(setting, settings))

    def tell(outcome: Outcome) -> None:
        bad = outcome.status in ("failed", "unexpected")
        if bad or verbose:
            reason = f": {outcome.reason}" if outcome.reason else ""
            click.echo(f"  {_WORDS[outcome.status]} ({outcome.seconds:.1f} s): {outcome.check}{reason}")

    found = [one for name in names for one in find(name, kind or "")]  # a misspelt last name shows before any work
    components = [suite(of, name, device=device, params=params) for of, name in found]
    ok = True
    for component in components:
        if verbose:
            click.echo(component.subject)
        report = component.report(tell)
        click.echo(f"{report.subject}: {report.summary()}")
        ok = ok and report.ok
    sys.exit(0 if ok else 1)


def setting(text: str) -> tuple[str, Any]:
    """``width=8`` as name and value; values are written as in TOML, and texts may go without quotes."""
    import tomllib

    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--set")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value
