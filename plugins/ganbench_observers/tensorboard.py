"""Cells for TensorBoard in ``observers/tensorboard``: a run per cell, with its metrics and costs by generator updates,
its sample sheets, and its parameters as hyper-parameters.

``tensorboard --logdir results/<name>/observers/tensorboard`` shows them while they are trained.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ganbench.api import hookimpl

if importlib.util.find_spec("tensorboardX") is None:
    raise ImportError("tensorboardX is not installed: pip install 'ganbench[tensorboard]'")

_FOLDER = Path("observers", "tensorboard")
_writers: dict[Path, Any] = {}  # of the cells that are running


@cache
def _tensorboard() -> Any:
    """TensorboardX without torch, which it would import to take tensors: that takes seconds and half a gigabyte."""
    held_back = "torch" not in sys.modules
    if held_back:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        import tensorboardX.summary

        return tensorboardX
    finally:
        if held_back:
            del sys.modules["torch"]


@hookimpl
def cell_started(directory: Path, cell: Mapping[str, Any]) -> None:
    folder = directory.parent.parent / _FOLDER / directory.name
    writer = _writers[directory] = _tensorboard().SummaryWriter(str(folder), flush_secs=10)
    facts = {name: cell[name] for name in ("variant", "dataset", "seed")} | dict(cell["params"])
    writer.add_text("cell", "\n".join(["| | |", "|---|---|", *(f"| {name} | {facts[name]} |" for name in facts)]), 0)


@hookimpl
def cell_progress(directory: Path, events: list[dict[str, Any]]) -> None:
    writer = _writers[directory]
    for event in events:
        updates = event["generator_updates"]
        for metric, value in event["metrics"].items():
            writer.add_scalar(metric, value, updates)
        for player, cost in event.get("costs", {}).items():
            writer.add_scalar(f"cost/{player}", cost, updates)
        _show_samples(writer, directory / "samples" / f"{updates:08d}.png", updates)
    if events:
        writer.flush()


def _show_samples(writer: Any, path: Path, updates: int) -> None:
    if not path.is_file():
        return
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        writer.add_image("samples", np.asarray(image.convert("RGB")), updates, dataformats="HWC")


@hookimpl
def cell_finished(directory: Path, cell: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    writer = _writers.pop(directory)
    if manifest["status"] == "done":
        best = manifest["best"]
        scores = {f"best/{metric}": value for metric, value in best["metrics"].items()}
        facts = {name: cell[name] for name in ("variant", "dataset", "seed")} | dict(cell["params"])
        for summary in _tensorboard().summary.hparams(facts, scores):
            writer.file_writer.add_summary(summary)
        for name, value in scores.items():
            writer.add_scalar(name, value, best["generator_updates"])
    writer.close()


@hookimpl
def run_finished() -> None:
    for writer in _writers.values():  # of cells that were stopped
        writer.close()
    _writers.clear()
