"""What a person sees of a run: a live display on a terminal, one plain line per finished cell elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from itertools import islice
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from ganbench.errors import on_one_line
from ganbench.plan import Cell
from ganbench.store import Record

_BARS = 20  # of running cells on a terminal; there can be a thousand


def scores(metrics: Mapping[str, float]) -> str:
    """``fcd 12.3  cs 9.41``."""
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def duration(seconds: float) -> str:
    """``48 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class RunView(AbstractContextManager["RunView"]):
    """Shows notes, finished cells and, where the console is a terminal, a bar for the run and for each running cell."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._total = self._finished = 0
        self._needless = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            _Facts(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._overall: TaskID | None = None
        self._bars: list[TaskID] = []
        self._lines: list[str] = []  # of cells that have finished, not printed yet
        self._began = time.perf_counter()
        self._end: float | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._print_finished()
        self._progress.stop()

    def note(self, message: str) -> None:
        self._print_finished()
        self._print(message)

    def _print(self, *messages: str) -> None:
        text = "\n".join(escape(on_one_line(message)) for message in messages)
        self.console.print(text, highlight=False, soft_wrap=True)

    def _print_finished(self) -> None:
        """Print the lines of cells that have finished: on a terminal together, as the bars are drawn anew each time."""
        lines, self._lines = self._lines, []
        if lines:
            self._print(*lines)

    def started(self, total: int, done: int) -> None:
        self._total, self._finished, self._needless = total, done, done
        self._began = time.perf_counter()
        self._overall = self._progress.add_task(f"{done}/{total} cells", total=total, completed=done, facts="")
        if done:
            self.note(f"{done} of {total} cells need no training")

    def expect(self, seconds: float | None) -> None:
        """When all will be done, told from records; None where they do not tell."""
        self._end = None if seconds is None else time.perf_counter() + seconds

    def running(self, units: Mapping[str, Record]) -> None:
        self._print_finished()
        shown = list(islice(units.items(), _BARS))
        while len(self._bars) < len(shown):
            self._bars.append(self._progress.add_task("", total=1.0, facts=""))
        for bar, (name, progress) in zip(self._bars, shown, strict=False):
            doing = on_one_line(progress.get("doing", ""))
            updates = f"update {progress['updates']:,}  " if "updates" in progress else doing
            about = {"description": escape(name.rpartition("-")[0]), "completed": progress.get("spent", 0.0)}
            self._progress.update(bar, visible=True, facts=updates + scores(progress.get("metrics", {})), **about)
        for bar in self._bars[len(shown) :]:
            self._progress.update(bar, visible=False)
        share = sum(progress.get("spent", 0.0) for progress in units.values())
        if self._overall is not None:
            trained = self._finished - self._needless + share
            left = ""
            if self._end is not None:
                left = f"about {duration(max(0.0, self._end - time.perf_counter()))} left"
            elif trained > 0.2:
                todo = self._total - self._finished - share
                left = f"about {duration(todo * (time.perf_counter() - self._began) / trained)} left"
            if len(units) > len(shown):
                left += f"; {len(units):,} run, {len(shown)} of them are shown"
            self._progress.update(self._overall, completed=self._finished + share, facts=left)

    def finished(self, cell: Cell, manifest: Record) -> None:
        self._finished += 1
        status, seconds = manifest["status"], manifest.get("seconds", {}).get("total", 0.0)
        what = f"{cell.variant} on {cell.dataset}, seed {cell.seed}"
        if status == "done":
            outcome = f"done in {duration(seconds)}: {scores(manifest['best']['metrics'])}"
        else:
            outcome = f"{status}: {manifest['reason']}"
        self._lines.append(f"[{self._finished}/{self._total}] {what} {outcome}")
        if self._progress.disable:
            self._print_finished()
        if self._overall is not None:
            self._progress.update(self._overall, description=f"{self._finished}/{self._total} cells")


class _Facts(ProgressColumn):
    """The free text at the end of a bar."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("facts", "")), no_wrap=True, overflow="ellipsis")
