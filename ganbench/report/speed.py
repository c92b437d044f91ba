"""What cells cost: rates, arithmetic, where their time went and their memory, as means over done cells."""

from __future__ import annotations

import pandas as pd

from ganbench.contracts import Tables
from ganbench.report.boards import Board
from ganbench.report.leaderboard import Ranked
from ganbench.report.words import MISSING, clean, for_csv, number

LEGEND = (
    "Means over n done cells, fastest first. Rates are of training time alone. FLOP: the matrix products and "
    "convolutions of a round, forward and backward, and of one sampled image. Shares are of the cell's whole time, "
    "memory is its peak."
)
#: Name in the records -> heading, and what one unit of the heading is of the record's.
_NUMBERS: dict[str, tuple[str, float]] = {
    "images_per_second": ("images/s", 1),
    "updates_per_second": ("updates/s", 1),
    "flops_per_round": ("GFLOP/round", 1e9),
    "flops_per_second": ("GFLOP/s", 1e9),
    "flops_per_image": ("MFLOP/sample", 1e6),
    "train_share": ("training %", 0.01),
    "evaluate_share": ("evaluation %", 0.01),
    "checkpoint_share": ("checkpoints %", 0.01),
    "data_share": ("data %", 0.01),
    "rest_share": ("rest %", 0.01),
    "host_bytes": ("host MiB", 2**20),
    "device_bytes": ("device MiB", 2**20),
}


def speeds(tables: Tables | Ranked) -> pd.DataFrame:
    """One row per configuration with counters: ``dataset, variant, configuration, params`` (JSON), ``n`` and the means.

    A mean is over the cells that have the number, and NaN where none has.
    """
    return Ranked.of(tables).kept(_speeds)


def _speeds(ranked: Ranked) -> pd.DataFrame:
    cells = ranked.cells
    cells = cells[(cells["status"] == "done") & cells["speed"].astype(bool)].rename(columns={"config": "names"})
    names = ["dataset", "variant", "configuration", "names"]
    counted = pd.DataFrame(list(cells["speed"]), index=cells.index, columns=list(_NUMBERS)).astype(float)
    groups = cells[names].join(counted).groupby(names)
    means = groups.mean()
    means.insert(0, "n", groups.size())
    order = means.reset_index().sort_values(["dataset", "images_per_second"], ascending=[True, False], kind="stable")
    return order.rename(columns={"names": "params"}).reset_index(drop=True)


def boards(tables: Tables | Ranked) -> list[Board]:
    """One board per dataset; none where no cell was counted."""
    cells = Ranked.of(tables).tables.cells
    return [_board(str(dataset), table, cells) for dataset, table in speeds(tables).groupby("dataset")]


def _board(dataset: str, table: pd.DataFrame, cells: pd.DataFrame) -> Board:
    machines = [speed["machine"] for speed in cells.loc[cells["dataset"] == dataset, "speed"] if speed.get("machine")]
    shown = {name: about for name, about in _NUMBERS.items() if table[name].notna().any()}
    return Board(
        title=clean(f"{dataset}: speed"),
        caption=clean("; ".join(dict.fromkeys(machines))),
        header=["configuration", *(heading for heading, _ in shown.values()), "n"],
        rows=[
            [row["configuration"], *(_text(name, row[name] / unit) for name, (_, unit) in shown.items()), str(row["n"])]
            for row in table.to_dict("records")
        ],
        notes=[],
    )


def _text(name: str, value: float) -> str:
    if name.endswith("_share"):
        return MISSING if pd.isna(value) else f"{value:.1f}"
    return number(value)


def csv(tables: Tables | Ranked) -> str:
    """`speeds` in full precision; empty where no cell was counted."""
    table = speeds(tables).copy()
    if table.empty:
        return ""
    for column in ("dataset", "variant", "configuration", "params"):
        table[column] = [for_csv(str(text)) for text in table[column]]
    return table.to_csv(index=False, lineterminator="\n")
