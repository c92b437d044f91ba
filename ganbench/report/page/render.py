"""From plain data to one HTML file that needs nothing else: scripts, styles and data are inside of it.

Whatever a record says stays text: the template escapes it, the data is JSON in which ``<`` cannot occur, and the page
forbids the browser all scripts but its own, by their hashes, and all connections.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

_HERE = Path(__file__).parent
#: In order; those of others first.
_SCRIPTS = (
    "vendor/plotly-basic.min.js", "vendor/dataTables.min.js", "assets/core.js", "assets/tables.js", "assets/export.js",
    "assets/curves.js", "assets/comparisons.js", "assets/samples.js", "assets/start.js",
)  # fmt: skip


def page(data: Mapping[str, Any], **parts: Any) -> str:
    """The page; `data` is for its scripts, `parts` for its template."""
    scripts = [script(name) for name in _SCRIPTS]
    allowed = " ".join(f"'sha256-{digest}'" for _, digest in scripts)
    policy = f"default-src 'none'; img-src 'self' file: data: blob:; style-src 'unsafe-inline'; script-src {allowed}; "
    made = _environment().get_template("template.html").render(
        policy=policy + "base-uri 'none'; form-action 'none'",
        style=Markup((_HERE / "assets" / "page.css").read_text()),
        scripts=[Markup(text) for text, _ in scripts],
        data=Markup(embedded(data)),
        **parts,
    )  # fmt: skip
    return made.lstrip()


def embedded(data: Mapping[str, Any]) -> str:
    """JSON that is safe inside of a ``<script>``: no text in it can end that element or begin a comment."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def markdown(text: str) -> Markup:
    """Markdown of our own making (the roadmap) as HTML. Markup, links and pictures in it stay text."""
    parser = MarkdownIt("commonmark", {"html": False}).disable(
        ["link", "image", "autolink", "html_block", "html_inline"]
    )
    tokens = parser.parse(text)
    for token in tokens:
        if token.tag in ("h1", "h2", "h3"):  # it stands below a heading of the page's own
            token.tag = f"h{int(token.tag[1]) + 1}"
    return Markup(parser.renderer.render(tokens, parser.options, {}))


@cache
def script(name: str) -> tuple[str, str]:
    """A script and the SHA-256 of it, base64, as a content security policy wants it."""
    text = (_HERE / name).read_text(encoding="utf-8")
    return text, base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(_HERE)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
