"""The checks as docs/testing.md lists them: ``python -m ganbench.testing.describe`` prints that part of it."""

from __future__ import annotations

import importlib

from ganbench.plugins import KINDS


def tables() -> str:
    """A table for each kind, in Markdown: the checks, and what they demand and why, from their docstrings."""
    parts = []
    for kind in KINDS:
        checks = importlib.import_module(f"ganbench.testing.{kind}").CHECKS
        formal = sum(not check.substantive for check in checks)
        head = f"### {kind.title()}: {len(checks)} checks, {len(checks) - formal} of them substantive"
        rows = [f"| `{check.name}` | {' '.join(check.demand.split())} |" for check in checks]
        parts.append("\n".join([head, "", "| check | what it demands, and why |", "|---|---|", *rows]))
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(tables())
