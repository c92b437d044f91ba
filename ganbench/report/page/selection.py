"""What of a large study the page shows, so that it opens quickly; what it leaves out, it says."""

from __future__ import annotations

import pandas as pd

#: So many configurations stand in the leaderboards, so many have curves, and so many cells are listed as not done.
ROWS, CHARTED, UNFINISHED = 1_000, 300, 500


def shown(leaderboards: pd.DataFrame) -> pd.DataFrame:
    """The configurations that the page shows, in the order of the leaderboards, and whether each is `charted`.

    Every dataset gets an equal share. Of a dataset that has more, the best of every variant come first, then the others
    by rank.
    """
    rows = leaderboards[leaderboards["row"] == "configuration"]
    datasets = max(1, rows["dataset"].nunique())
    # The best of every variant before anything else; the order is by rank already.
    follows = rows.duplicated(["dataset", "variant"])
    order = rows.assign(_follows=follows).sort_values(["dataset", "_follows"], kind="stable")
    place = order.groupby("dataset").cumcount()
    order["charted"] = (place < max(10, CHARTED // datasets)) & order["rank"].notna()
    return order[place < max(20, ROWS // datasets)].drop(columns="_follows").sort_index()
