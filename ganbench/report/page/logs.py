"""The end of what a cell's process printed, as plain text that is safe to show."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

_BYTES, _LINES, _WIDTH = 8_192, 30, 240
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def excerpt(directory: Path) -> str:
    """The last lines of ``log.txt``; empty where there is none, or a link leads elsewhere."""
    path = directory / "log.txt"
    try:
        root = os.path.realpath(directory.parent.parent)
        if not Path(os.path.realpath(directory)).is_relative_to(root) or not stat.S_ISREG(os.lstat(path).st_mode):
            return ""
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _BYTES))
            text = file.read(_BYTES).decode(errors="replace")
    except (OSError, ValueError):
        return ""
    lines = _ESCAPES.sub("", text).replace("\r", "\n").split("\n")
    plain = ["".join(c if c.isprintable() else " " for c in line.expandtabs(4)).rstrip()[:_WIDTH] for line in lines]
    return "\n".join([line for line in plain if line][-_LINES:])
