"""A trained generator out of a results folder: which cell is meant."""

from __future__ import annotations

import difflib

from ganbench.errors import UserError, shown
from ganbench.plugins import Named, in_use, use
from ganbench.store import Record, Store, Unit

_SHOWN = 5  # cells that a sentence names


def find_cell(store: Store, text: str) -> Unit:
    """The cell whose directory is called `text`, or whose directory or key alone begins with it.

    Raises `UserError` where there is none, or where there are several.
    """
    from ganbench.records import check_run

    run = store.run()
    if wrong := check_run(run):
        raise UserError(f"{store.root} has a damaged run.json: {wrong}; `ganbench doctor {store.root}` shows more")
    keys = {name: str(outline["key"]) for name, outline in run["cells"].items()}
    if text in keys:
        return store.cell(text)
    found = [name for name, key in keys.items() if text and (name.startswith(text) or key.startswith(text))]
    if len(found) == 1:
        return store.cell(found[0])
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        which = f"{', '.join(found[:_SHOWN])}{more}"
        raise UserError(f"{len(found)} cells of {store.root} begin with {shown(text)}: {which}; write more of one")
    beginnings = {name[: len(text)]: name for name in keys}
    close = [beginnings[each] for each in difflib.get_close_matches(text, beginnings, n=1, cutoff=0.6)]
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UserError(
        f"{store.root} has no cell {shown(text)}{hint}; name a folder of {store.root / 'cells'}, or the beginning of "
        "its name or of its key"
    )


def use_named(task: Record) -> None:
    """Use the optional plugins that a unit of work was made by.

    Those of one file are not run because a record names them: the folder may be a stranger's. Raises `UserError` where
    they were not given with ``--plugin``.
    """
    named = list(in_use())
    for record in task.get("plugins", ()):
        if "file" not in record:
            named.append(Named(record["name"]))
        elif not any(each.file and each.file.sha256 == record["sha256"] for each in named):
            raise UserError(
                f"this was made by the plugin {record['file']} (sha256 {record['sha256'][:12]}): give that file, "
                "unchanged, with --plugin"
            )
    use(named)
