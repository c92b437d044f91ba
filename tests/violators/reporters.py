"""A reporter of lines that keeps the contract, and reporters that break it in one line each."""

from __future__ import annotations

from pathlib import Path

from ganbench.api import Reporter


class Lines(Reporter):
    """A line for every cell."""

    def report(self, tables, folder):
        lines = [f"{cell.variant} {cell.seed} {cell.status}" for cell in tables.cells.itertuples()]
        (folder / "cells.txt").write_text("\n".join(lines))
        self.spoil(tables, folder)

    def spoil(self, tables, folder):
        """Break something."""


class NoSummary(Lines):
    # no docstring
    pass


class Nothing(Lines):
    """Nothing to say."""

    def report(self, tables, folder):
        pass


class Here(Lines):
    """It writes to the working directory, wherever that is."""

    def spoil(self, tables, folder):
        if Path.cwd().name.startswith("elsewhere-"):
            Path("report.txt").write_text("here")


class Home(Lines):
    """It writes to the home folder."""

    def spoil(self, tables, folder):
        (Path(__file__).parent / "report.tmp").write_text("here")
        (Path(__file__).parent / "report.tmp").unlink()


class AllWell(Lines):
    """All cells are done."""

    def spoil(self, tables, folder):
        assert set(tables.cells.status) <= {"done"} or set(tables.cells.status) == {"planned"}, "a cell is not done"


class Several(Lines):
    """Several seeds."""

    def spoil(self, tables, folder):
        assert len(tables.cells) > 1, "one cell"


class Scored(Lines):
    """Scores, of which there are some."""

    def spoil(self, tables, folder):
        tables.scores.value.iloc[0]


class Dated(Lines):
    """Another one every time."""

    made = 0

    def spoil(self, tables, folder):
        Dated.made += 1
        (folder / "number.txt").write_text(str(self.made))


class Sorting(Lines):
    """It adds a column for itself."""

    def spoil(self, tables, folder):
        tables.cells["mine"] = 1


VIOLATORS = [
    (NoSummary, "has_a_summary", set()),
    (Nothing, "something_is_written", set()),
    (Here, "only_the_folder_is_written_to", set()),
    (Home, "only_the_folder_is_written_to", set()),
    (AllWell, "cells_that_did_not_end_well_are_reported", set()),
    (Several, "a_run_of_one_seed_is_reported", set()),
    (Scored, "a_run_in_which_nothing_is_done_is_reported", set()),
    (Dated, "the_same_records_give_the_same_files", set()),
    (Sorting, "tables_are_left_as_they_are", set()),
]
GOOD = [Lines]
SLOW = {"imports_no_torch"}
