"""The disk space that a plan will take, told before it is started. The main process imports no torch for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganbench.contracts import DataSpec
from ganbench.errors import UserError
from ganbench.executors import apart
from ganbench.game import Optimizer
from ganbench.plugins import installed
from ganbench.store import Record

if TYPE_CHECKING:
    from torch import Tensor

    from ganbench.game import Game, Player

# Measured on 4,750 sheets of real runs, per pixel of an image: on average 0.9 bytes on MNIST, 1.2 on Fashion-MNIST, 2.3
# on digits and in colour, nowhere more than 2.6 for 95 of 100; the noise of untrained generators 2.7, in colour 3.1.
_SHEET = 100 * 2.75  # bytes per pixel position: a sheet shows 100 images
_EVENT = 500  # bytes of an evaluation's line: its moment, costs and metrics
_BLOCK = 4096  # bytes that files and folders are rounded up to
_FEW = 7  # of these: the cell's two folders, its task, log and progress, and its manifest, which can take two
_TENSOR = 400  # bytes that torch.save spends on a tensor beside its values
_ORDER = 8 * 100_000  # bytes of a checkpoint's order of the images, for the size of the usual datasets
_RANDOMNESS = 25_000  # bytes of the states of the generators of random numbers
_CHECKPOINTS = 3  # two are kept, and one is being written
_COPIES = {"sgd": 0, "adam": 2, "rmsprop": 1}  # of the parameters, in an optimiser's state; momentum is one more

_Size = tuple[int, int]  # bytes of a snapshot, and of a checkpoint


@dataclass(frozen=True)
class Need:
    """Bytes: `kept` in the end by all cells, `running` beside that at most while they are trained.

    `unknown` names the variants whose networks could not be built to be counted, and counted as nothing.
    """

    kept: int = 0
    running: int = 0
    unknown: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """The most there will be at once."""
        return self.kept + self.running


def estimate(
    tasks: Sequence[Mapping[str, Any]],
    spec_of: Callable[[str], DataSpec | None] | Mapping[str, DataSpec],
    slots: int,
    *,
    patience: float = 60.0,
) -> Need | None:
    """What the cells of `tasks` need, `slots` of them running at a time; `spec_of` gives the shape of each dataset.

    The networks are built without values, once for each choice of parameters and shape, in one process of their own.
    None where that takes longer than `patience` seconds (torch's import not counted, which a run has to wait for
    anyway) or breaks down: then there is nothing to go by.
    """
    look_up = spec_of.get if isinstance(spec_of, Mapping) else spec_of
    specs = {name: look_up(name) for name in {task["dataset"] for task in tasks}}
    builds: dict[str, tuple[str, Record, DataSpec]] = {}
    for task in tasks:
        if spec := specs[task["dataset"]]:
            builds.setdefault(_build(task, spec), (task["variant_id"], task["params"], spec))
    counted = apart(_sizes, list(builds.values()), patience=patience) if builds else []
    if counted is None:
        return None
    sizes: dict[str, _Size | None] = dict(zip(builds, counted, strict=True))
    kept, running, unknown = 0, [], set[str]()
    for task in tasks:
        spec, times = specs[task["dataset"]], task["evaluate"]["times"]
        size = sizes[_build(task, spec)] if spec else None
        if size is None:
            unknown.add(task["variant"])
        snapshot, checkpoint = size or (0, 0)
        pixels = spec.size**2 if spec else 0
        kept += _FEW * _BLOCK + 2 * _on_disk(snapshot) + times * _on_disk(_SHEET * pixels) + _on_disk(_EVENT * times)
        # A snapshot that is being replaced is there twice.
        running.append(_CHECKPOINTS * _on_disk(checkpoint + _EVENT * times) + _on_disk(snapshot))
    return Need(kept, sum(sorted(running, reverse=True)[:slots]), tuple(sorted(unknown)))


def check(root: Path, need: Need | None) -> None:
    """Raises `UserError` when the disk of the results folder `root` has less free than `need`."""
    there = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if need and need.bytes > free:
        raise UserError(
            f"this plan needs about {_text(need.bytes)} in {root}, where {_text(free)} are free; "
            "make room or choose another disk with --results"
        )


def _text(size: int) -> str:
    """``12 GB``: two digits, which is as much as an estimate is worth."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB")):
        if size >= unit:
            return f"{size / unit:.{int(size < 10 * unit)}f}".removesuffix(".0") + f" {name}"
    return f"{-(-size // 1000)} kB"


def _on_disk(size: float) -> int:
    return -(-int(size) // _BLOCK) * _BLOCK


def _build(task: Mapping[str, Any], spec: DataSpec) -> str:
    """What the size of a task's networks depends on."""
    return json.dumps([task["variant_id"], task["params"], spec.shape, spec.classes], sort_keys=True)


def _sizes(builds: Iterable[tuple[str, Record, DataSpec]]) -> list[_Size | None]:
    """Of all builds, None for those that fail."""
    return [_size(*build) for build in builds]


def _size(variant_id: str, values: Record, spec: DataSpec) -> _Size | None:
    """Of one game; None when it can be built neither without values nor on the CPU."""
    import torch
    from torch.overrides import TorchFunctionMode

    class NoValues(TorchFunctionMode):
        # Initial values are not needed, and for normal ones on "meta" torch imports its compiler: three seconds.
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            named = kwargs or {}
            if function == torch.Tensor.normal_ or getattr(function, "__module__", "") == "torch.nn.init":
                return args[0] if args else named["tensor"]
            return function(*args, **named)

    for device, mode in (("meta", NoValues()), ("cpu", nullcontext())):
        try:
            variant = installed().find("variants", variant_id).load()()
            with torch.device(device), mode:
                return _bytes(variant.game(spec, variant.Params.resolve(values)))
        except (Exception, SystemExit):  # whatever it is, its cells will fail with it and say so
            continue
    return None


def _bytes(game: Game) -> _Size:
    """Of a snapshot, and of a checkpoint: all networks, optimisers, the average, order and randomness."""
    kept = filter(None, (game.generator, game.encoder, game.discriminator))
    snapshot = [tensor for module in kept for tensor in (*module.parameters(), *module.buffers())]
    networks = {id(tensor): tensor for player in game.players for tensor in _tensors(player)}
    checkpoint = _saved(networks.values())
    for player in game.players:
        parameters = list(player.parameters())
        checkpoint += _copies(player.optimizer) * _saved(parameters) + _TENSOR * len(parameters)  # and a step number
    if game.ema:
        checkpoint += _saved(game.generator.parameters())
    return _saved(snapshot), checkpoint + _ORDER + _RANDOMNESS


def _tensors(player: Player) -> list[Tensor]:
    return [tensor for module in player.modules() for tensor in (*module.parameters(), *module.buffers())]


def _saved(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() + _TENSOR for tensor in tensors)


def _copies(optimizer: Any) -> int:
    """How many numbers an optimiser keeps for each parameter; of one that the plugin makes itself, as many as Adam."""
    if not isinstance(optimizer, Optimizer):
        return _COPIES["adam"]
    return _COPIES[optimizer.kind] + (optimizer.kind != "adam" and optimizer.momentum > 0)
