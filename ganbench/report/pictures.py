"""All pictures of a report: which there are, what their files are called, and that none is left of what is gone."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ganbench.contracts import Tables
from ganbench.errors import UserError
from ganbench.report import plots, rank_plots, sheets
from ganbench.report.experiments import architectures, experiment, highlight
from ganbench.report.leaderboard import Ranked
from ganbench.report.study import Study, swept
from ganbench.report.style import FIGURES, saved
from ganbench.store import slug, write_atomically

_KINDS = ("curves", "experiment", "highlight", "architectures", "comparison", "samples", "last", "ranks", "profiles")


def draw(
    tables: Tables | Ranked,
    folder: Path,
    axis: str | None = None,
    *,
    experiments: bool = True,
    figures: Sequence[str] = FIGURES,
) -> list[Path]:
    """Write every picture into `folder` and return their paths; remove those of an earlier report.

    Without `experiments` those of a single experiment (a variant on a dataset) are left out. `figures` are the formats
    of all but sample sheets, which are PNG: ``png``, ``svg``, ``pdf``.
    """
    if folder.is_symlink():
        raise UserError(f"{folder} is a link, and old pictures are deleted there; remove it")
    folder.mkdir(exist_ok=True)
    written = []
    for name, content in _all(Study(tables, axis), experiments, figures):
        write_atomically(folder / name, content)
        written.append(folder / name)
    # A picture of what is no longer part of the run would be taken for a part of it.
    for kind in _KINDS:
        for path in sorted(set(folder.glob(f"{kind}-*")) - set(written)):
            path.unlink()
    return written


def _all(study: Study, experiments: bool, figures: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """File name and content of every picture, one in memory at a time."""
    for name, figure in _figures(study, experiments):
        if figure:
            for suffix, content in saved(figure, figures).items():
                yield f"{name}.{suffix}", content
    for dataset in study.datasets:
        yield f"samples-{slug(dataset)}.png", _png(sheets.samples(study, dataset))
        for variant, (heading, panels) in sheets.last(study, dataset).items() if experiments else ():
            yield f"last-{slug(dataset)}-{slug(variant)}.png", _png(panels, heading)


def _figures(study: Study, experiments: bool) -> Iterator[tuple[str, Figure | None]]:
    for dataset in study.datasets:
        named = slug(dataset)
        for metric in study.metrics:
            yield f"curves-{named}-{slug(metric)}", plots.curves(study, dataset, metric)
        found = study.experiments(dataset) if experiments else {}
        for variant, configurations in found.items():
            # One line that the figure of all variants shows too is no figure.
            if len(configurations) > 1 or len(found) == 1:
                yield f"experiment-{named}-{slug(variant)}", experiment(study, dataset, variant)
            for parameter in swept(configurations):
                figure = highlight(study, dataset, variant, parameter)
                yield f"highlight-{named}-{slug(variant)}-{slug(parameter)}", figure
        yield f"architectures-{named}", architectures(study, dataset)
        yield f"comparison-{named}", plots.comparison(study, dataset)
    ranked = study.ranked
    yield f"ranks-{slug(study.ranking.metric)}", rank_plots.critical_difference(ranked, study.colours)
    yield f"profiles-{slug(study.ranking.metric)}", rank_plots.performance_profile(ranked, study.colours)


def _png(panels: list[sheets.Panel], heading: str = "") -> bytes:
    buffer = io.BytesIO()
    sheets.compose(panels, heading).save(buffer, "PNG")
    return buffer.getvalue()
