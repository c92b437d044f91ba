"""A trained generator out of a results folder: which cell is meant, and its game with a saved snapshot in it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ganbench.code import changed, fingerprint
from ganbench.contracts import DataSpec
from ganbench.data import Prepared, data_root, prepare
from ganbench.errors import DatasetError, UserError, on_one_line, shown
from ganbench.plugins import Named, in_use, installed, use
from ganbench.store import Record, Store, Unit, sha256

if TYPE_CHECKING:
    from ganbench.game import Game

Point = Literal["best", "last"]
_SHOWN = 5  # cells that a sentence names
_NEEDED = ("variant_id", "params", "dataset_id", "dataset_params", "fingerprint", "seed")


@dataclass(frozen=True, eq=False)
class Trained:
    """A done cell: its records, its data, and its game with the generator's snapshot `at` best or last.

    `train.evaluating` puts the game into the mode that it is scored in.
    """

    unit: Unit
    task: Record
    manifest: Record
    at: Point
    data: Prepared
    game: Game


def find_cell(store: Store, text: str) -> Unit:
    """The cell whose directory is called `text`, or whose directory or key alone begins with it.

    Raises `UserError` where there is none, or where there are several.
    """
    from ganbench.records import sound_run

    run = sound_run(store)
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


def same_data(task: Record, data: Prepared) -> None:
    """Raise `DatasetError` where the images are not those that the cell was planned for."""
    if data.fingerprint != task["fingerprint"]:
        raise DatasetError(f"{task['dataset']} changed since the run was planned; `ganbench run` again plans anew")


def new_game(task: Record, data: DataSpec) -> Game:
    """The game of a cell at its start, on the task's device."""
    import torch

    from ganbench import randomness

    variant = installed().find("variants", task["variant_id"]).load()()
    with torch.device(task["device"]):
        randomness.seed(task["seed"])
        game: Game = variant.game(data, variant.Params.resolve(task["params"]))
    return game


def open_cell(
    store: Store, unit: Unit, *, at: Point | None, device: str, say: Callable[[str], None] = lambda message: None
) -> Trained:
    """The cell `unit` with its snapshot at best or last; where `at` is None, at the point that its run is ranked by.

    Nothing is trained and no record is written. Raises `UserError` where the cell is not done, its snapshot is not
    there or not what it was, or what it was made by is not installed.
    """
    from ganbench.evaluate import load_snapshot
    from ganbench.tables import trusted

    name = unit.directory.name
    task, manifest, _ = trusted(store, unit, "cell")
    if manifest["status"] != "done":
        reason = f" ({on_one_line(manifest['reason'])})" if manifest.get("reason") else ""
        raise UserError(
            f"{name} is {manifest['status']}{reason} and so has no snapshot to draw from: only done cells do; "
            f"`ganbench status {store.root}` shows which are"
        )
    if lacking := [field for field in _NEEDED if field not in task]:
        raise UserError(f"{name} cannot be opened: its cell.json does not say its {lacking[0]}")
    point: Point = at or store.run()["rank"]["at"]
    path = unit.snapshot(point)
    if not path.is_file() or path.is_symlink():
        raise UserError(
            f"{name} has no {path.name} to draw from; copy it there, or delete {unit.directory} to have `ganbench run` "
            "train the cell anew"
        )
    if manifest.get("files", {}).get(path.name, known := sha256(path)) != known:
        raise UserError(f"{path} does not fit its checksum; `ganbench doctor {store.root}` says what to do")
    use_named(task)
    task = {**task, "device": device}
    component = installed().find("variants", task["variant_id"])
    if what := changed(manifest.get("code", {}), fingerprint(component, installed())):
        say(f"{task['variant']} is not what the cell was trained by: {on_one_line(what)}")
    dataset = installed().dataset(task["dataset_id"], task["dataset_params"])
    data = prepare(task["dataset"], dataset, data_root(), say=say)
    same_data(task, data)
    game = new_game(task, data.spec)
    try:
        load_snapshot(game, path)
    except RuntimeError as error:  # names or shapes of the networks
        raise UserError(
            f"{path} does not fit today's {task['variant']} ({on_one_line(str(error).partition(chr(10))[0], 200)}); "
            "train the cell anew, or install what it was trained by"
        ) from error
    return Trained(unit, task, manifest, point, data, game)


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
