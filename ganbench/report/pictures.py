"""All pictures of a report: which there are, what their files are called, and that none is left of what is gone."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ganbench.aside import LARGE, aside
from ganbench.contracts import Tables
from ganbench.environment import cores
from ganbench.errors import UserError
from ganbench.report import plots, rank_plots, ranks, sheets
from ganbench.report.experiments import architectures, experiment, highlight
from ganbench.report.leaderboard import Ranked
from ganbench.report.study import Study, swept
from ganbench.report.style import FIGURES, saved
from ganbench.store import slug, write_atomically

#: So many processes draw at most; with fewer pictures a fork is not worth it.
_FORKS, _FEW = 8, 12
#: With more cells than this so many processes at most.
_HUGE, _HUGE_FORKS = 50_000, 3
_KINDS = ("curves", "experiment", "highlight", "architectures", "comparison", "samples", "last", "ranks", "profiles")


def begin(
    tables: Tables | Ranked,
    folder: Path,
    axis: str | None = None,
    *,
    experiments: bool = True,
    figures: Sequence[str] = FIGURES,
) -> Callable[[], list[Path]]:
    """Begin to write every picture into `folder`; calling what comes back returns their paths, once all are there.

    Where there are many it is forks that draw, meanwhile. Pictures of an earlier report are removed in the end. Without
    `experiments` those of a single experiment (a variant on a dataset) are left out. `figures` are the formats of all
    but sample sheets, which are PNG: ``png``, ``svg``, ``pdf``. Raises `GanbenchError` where a fork dies.
    """
    if folder.is_symlink():
        raise UserError(f"{folder} is a link, and old pictures are deleted there; remove it")
    folder.mkdir(exist_ok=True)
    study = Study(tables, axis)
    jobs = list(_jobs(study, experiments, figures))
    cells, forks = len(study.tables.cells), min(cores(), _FORKS)
    if cells > _HUGE:  # each fork comes to hold hundreds of megabytes, and the first process has as much to do
        forks = max(1, min(forks - 1, _HUGE_FORKS))
    elif forks < 2 or len(jobs) < _FEW:
        forks = int(cells > LARGE)
    if cells > LARGE:  # what all of them need is made before, once
        study.ranked.leaderboards, ranks.ranks(study.ranked)

    def draw(some: Sequence[_Job]) -> list[str]:
        written = []
        for job in some:
            for name, content in job():
                write_atomically(folder / name, content)
                written.append(name)
        return written

    instead = "it drew the pictures: --pictures none leaves them out"
    shares = [aside(partial(draw, jobs[start::forks]), instead) for start in range(forks)] or [partial(draw, jobs)]

    def end() -> list[Path]:
        written = [folder / name for name in sorted({name for share in shares for name in share()})]
        # A picture of what is no longer part of the run would be taken for a part of it.
        for kind in _KINDS:
            for path in sorted(set(folder.glob(f"{kind}-*")) - set(written)):
                path.unlink()
        return written

    return end


#: What makes a picture: pairs of file name and content, one in memory at a time.
_Job = Callable[[], Iterable[tuple[str, bytes]]]


def _jobs(study: Study, experiments: bool, figures: Sequence[str]) -> Iterator[_Job]:
    def figure(name: str, made: Callable[..., Figure | None], *about: Any) -> _Job:
        def job() -> Iterator[tuple[str, bytes]]:
            if drawn := made(*about):
                for suffix, content in saved(drawn, figures).items():
                    yield f"{name}.{suffix}", content

        return job

    def samples(dataset: str) -> Iterator[tuple[str, bytes]]:
        yield f"samples-{slug(dataset)}.png", _png(sheets.samples(study, dataset))
        for variant, (heading, panels) in sheets.last(study, dataset).items() if experiments else ():
            yield f"last-{slug(dataset)}-{slug(variant)}.png", _png(panels, heading)

    for dataset in study.datasets:
        named = slug(dataset)
        for metric in study.metrics:
            yield figure(f"curves-{named}-{slug(metric)}", plots.curves, study, dataset, metric)
        found = study.experiments(dataset) if experiments else {}
        for variant, configurations in found.items():
            # One line that the figure of all variants shows too is no figure.
            if len(configurations) > 1 or len(found) == 1:
                yield figure(f"experiment-{named}-{slug(variant)}", experiment, study, dataset, variant)
            for parameter in swept(configurations):
                name = f"highlight-{named}-{slug(variant)}-{slug(parameter)}"
                yield figure(name, highlight, study, dataset, variant, parameter)
        yield figure(f"architectures-{named}", architectures, study, dataset)
        yield figure(f"comparison-{named}", plots.comparison, study, dataset)
        yield partial(samples, dataset)
    ranked, metric = study.ranked, slug(study.ranking.metric)
    yield figure(f"ranks-{metric}", rank_plots.critical_difference, ranked, study.colours)
    yield figure(f"profiles-{metric}", rank_plots.performance_profile, ranked, study.colours)


def _png(panels: list[sheets.Panel], heading: str = "") -> bytes:
    buffer = io.BytesIO()
    sheets.compose(panels, heading).save(buffer, "PNG")
    return buffer.getvalue()
