"""Probes of trained cells: the unit of work that one is, what it is kept by, and how a worker carries it out.

A unit is a directory below the cell's (``probes/inpaint-3f2a...``), named by the hash of all that determines its
result, so that nothing is done twice and a cell that is trained anew has other probes.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganbench.errors import GanbenchError, Unsuitable, UserError, shown
from ganbench.plan import ChosenProbe, key
from ganbench.plugins import installed, recorded
from ganbench.store import Record, Store, Unit, sha256, slug, write_atomically

if TYPE_CHECKING:
    from ganbench.contracts import Extractor, Probe, Probed, Split
    from ganbench.data import Prepared
    from ganbench.game import Game

_SEED = 2**29  # keeps the draws of probes apart from those of scores, sheets and keepsakes
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PNG = b"\x89PNG\r\n\x1a\n"
#: What a probe's task has of its cell's.
_SHARED = (
    *("key", "variant", "variant_id", "params", "dataset", "dataset_id", "dataset_params"),
    *("fingerprint", "seed", "reference"),
)


def unit_of(store: Store, cell: Unit, probe: ChosenProbe, device: str) -> tuple[Unit, Record]:
    """The unit that carries out `probe` on the chosen snapshot of `cell`, and its task; nothing is written.

    Raises `UserError` where the cell is not done.
    """
    manifest, cls = cell.manifest, probe.component.load()
    snapshot = cell.snapshot("best").name
    if manifest["status"] != "done":
        why = f" ({manifest['reason']})" if manifest.get("reason") else ""
        raise UserError(f"{cell.directory.name} is {manifest['status']}{why}; only done cells can be probed")
    if snapshot not in (manifest.get("files") or {}):
        raise UserError(f"{cell.directory.name} has no record of its {snapshot}; train it anew to probe it")
    task, plugins = cell.task, installed()
    asked = {name: task["extractors"].get(name, name) for name in cls.extractors}
    known = store.reference(task["dataset"]).manifest.get("extractors", {})
    about = {"id": probe.component.id, "name": probe.name, "version": cls.version, "params": probe.params.to_dict()}
    identity = {
        "probe": about,
        "cell": task["key"],
        "snapshot": manifest["files"][snapshot],
        "fingerprint": task["fingerprint"],
        "extractors": {name: known.get(name, {}).get("hash", component) for name, component in asked.items()},
    }
    needed = [*task.get("plugins", ())]
    needed += [record for record in recorded(plugins, [probe.component]) if record not in needed]
    whole = {
        "unit": "probe",
        **{name: task[name] for name in _SHARED},
        "probe": about,
        "metrics": {},
        "extractors": asked,
        "device": device,
        "identity": identity,
        **({"plugins": needed} if needed else {}),
    }
    return cell.probe(f"{slug(probe.name, 40)}-{key(identity)[:12]}"), whole


def best_cells(store: Store, rank: Mapping[str, str], cells: Iterable[tuple[str, str, str]]) -> list[Unit]:
    """Of cells (directory, variant, dataset) the best done one of every variant on every dataset, by its ranked score.

    Where none has that score, the first that is done.
    """
    sign = 1.0 if rank["direction"] == "lower" else -1.0
    best: dict[tuple[str, str], tuple[float, Unit]] = {}
    for name, variant, dataset in cells:
        unit = store.cell(name)
        manifest = unit.manifest
        if manifest["status"] != "done":
            continue
        value = sign * manifest[rank["at"]]["metrics"].get(rank["metric"], math.nan)
        value = math.inf if math.isnan(value) else value
        known = best.get((variant, dataset))
        if known is None or value < known[0]:
            best[variant, dataset] = value, unit
    return [unit for _, unit in best.values()]


def carry_out(unit: Unit, task: Record, cell: Unit, data: Prepared, game: Game, say: Callable[[str], None]) -> Record:
    """What the probe of `task` finds of `cell`, whose game at the start is `game`; its pictures are written.

    Raises `Unsuitable` where the game is not for it, `GanbenchError` where what it returns is not what it should be.
    """
    import torch

    from ganbench.contracts import TrainedGame
    from ganbench.evaluate import load_snapshot
    from ganbench.train import evaluating

    about = task["probe"]
    cls: type[Probe] = installed().find("probes", about["id"]).load()
    probe = cls()
    if cls.version != about["version"]:
        raise UserError(f"probe {about['id']} is version {cls.version} by now; `ganbench probe` again asks anew")
    path = cell.snapshot("best")
    if sha256(path) != task["identity"]["snapshot"]:
        raise UserError(f"{path.name} of {cell.directory.name} is not the snapshot that the probe was asked of")
    load_snapshot(game, path)
    if why := probe.refusal(game, data.spec):
        raise Unsuitable(why)
    for player in game.players:
        for module in player.modules():
            module.eval().requires_grad_(False)
    used: dict[str, str] = {}
    trained = TrainedGame(
        game, data.spec, data.splits, task["device"], task["seed"], _extractors(task, data, used, say), say
    )
    with evaluating(game):
        torch.manual_seed((task["seed"] << 32) + _SEED)
        found = probe.run(trained, cls.Params.resolve(about["params"]))
    return {**_written(unit, about["id"], found), "extractors": used}


def _extractors(
    task: Record, data: Prepared, used: dict[str, str], say: Callable[[str], None]
) -> Callable[..., Extractor]:
    """What `TrainedGame.extractor` is; `used` takes in the hashes of those of the dataset itself."""
    import torch

    from ganbench.contracts import ExtractorData
    from ganbench.data import data_root

    kept: dict[str, Extractor] = {}

    def made(name: str, splits: Mapping[str, Split], fingerprint: str, cache: Path) -> Extractor:
        cls = installed().find("extractors", task["extractors"].get(name, name)).load()
        with torch.enable_grad():  # it may have to be trained
            extractor: Extractor = cls(
                ExtractorData(data.name, data.spec, splits, fingerprint, task["device"], cache, say)
            )
        return extractor

    def extractor(name: str, splits: Mapping[str, Split] | None = None) -> Extractor:
        if splits is not None:
            with tempfile.TemporaryDirectory(prefix="ganbench-probe-") as folder:
                return made(name, splits, "made by a probe", Path(folder))
        if name not in kept:
            kept[name] = made(name, data.splits, data.fingerprint, data_root() / "extractors")
            used[name] = kept[name].hash
            wanted = task["identity"]["extractors"].get(name, used[name])
            if re.fullmatch("[0-9a-f]{64}", wanted) and wanted != used[name]:
                raise UserError(
                    f"the {name} of {data.name} is not the one that this results folder was scored with "
                    f"({used[name][:12]} instead of {wanted[:12]}); use a new results folder, or restore the cache"
                )
        return kept[name]

    return extractor


def _written(unit: Unit, who: str, found: Probed) -> Record:
    """Write the pictures and return what the manifest says of a result, which is checked first."""
    numbers: dict[str, Any] = dict(found.numbers)
    for name in (*numbers, *found.pictures):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise GanbenchError(f"probe {who} calls something {shown(name)}, not lower-case letters, digits, hyphens")
    for name, value in numbers.items():
        with suppress(TypeError, ValueError):
            numbers[name] = float(value)
        if not isinstance(numbers[name], float):
            raise GanbenchError(f"probe {who} gives {name} = {shown(value)}, which is no number")
    for name, content in found.pictures.items():
        if not isinstance(content, bytes) or not content.startswith(_PNG):
            raise GanbenchError(f"probe {who} gives {name}, which is no PNG file")
    for path in unit.directory.glob("*.png"):
        path.unlink()
    for name, content in found.pictures.items():
        write_atomically(unit.directory / f"{name}.png", content)
    return {"numbers": numbers, "pictures": list(found.pictures), "note": str(found.note)}
