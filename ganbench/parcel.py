"""A unit of work that is done on another machine: what it needs is told where it is sent, and looked for where it is
done. Nothing is installed there.

Imported with `ganbench.api`, and so light: what it needs besides it imports when it is used.
"""

from __future__ import annotations

import atexit
import os
import platform
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from ganbench.errors import UserError

if TYPE_CHECKING:
    from ganbench.executors import ProcessExecutor
    from ganbench.plugins import Plugins, Settled
    from ganbench.store import Record

_POLL = 0.02  # seconds between looks at the process


@dataclass(frozen=True)
class Parcel:
    """A unit of work for another machine, which must have the same plugins and see the same files. It can be pickled.

    Plugins of a single file travel inside of it.
    """

    directory: str
    host: str
    made: Mapping[str, str] = field(repr=False)
    code: Mapping[str, str] = field(repr=False)
    plugins: Settled = field(repr=False)
    data_root: str
    stores: str
    mark: str

    @classmethod
    def of(cls, directory: Path) -> Parcel:
        """Of the unit in `directory`, which is about to be handed over."""
        from ganbench.data import data_root
        from ganbench.mirror import copies
        from ganbench.plugins import Settled, installed
        from ganbench.store import Unit

        unit = Unit(directory)
        task, plugins = unit.task, installed()
        return cls(
            directory=str(directory.absolute()),
            host=platform.node(),
            made=_made(task, plugins),
            code=_code(task, plugins),
            plugins=Settled.to_bring(),
            data_root=str(data_root().absolute()),
            stores=str(copies()),
            mark=unit.mark(),
        )

    @property
    def waits(self) -> bool:
        """Whether nobody has begun to do it yet."""
        from ganbench.store import Unit

        return Unit(Path(self.directory)).unseen(self.mark)

    def run(self, *, device: str, threads: int, stop: Callable[[], bool]) -> int:
        """Do the unit on this machine, in a process of its own, which is kept for the next one; its exit code.

        Once `stop` says so the unit is asked to end, and killed when it does not within seconds. On a GPU its process
        ends with it: what that holds of the device's memory is for whoever comes next. Raises `UserError`, in one
        sentence, where this machine is not fit for it.
        """
        from ganbench.environment import out_of_memory_kills
        from ganbench.store import Unit

        self._open()
        crew = _crew(device, threads)
        killed, asked = out_of_memory_kills(), False
        try:
            crew.submit(Path(self.directory))
            while not (ended := crew.poll()):
                if not asked and (asked := stop()):
                    crew.stop(Path(self.directory))
                time.sleep(_POLL)
        except BaseException:
            self.dismiss()
            raise
        if device != "cpu":
            self.dismiss()
        ((_, code),) = ended
        if code == -signal.SIGKILL and not asked and out_of_memory_kills() > killed:
            Unit(Path(self.directory)).end("oom", f"{platform.node()} killed its process for lack of memory")
        return code

    def anew(self) -> Parcel:
        """For the same unit, to be done by whoever begins it again."""
        from ganbench.store import Unit

        return replace(self, mark=Unit(Path(self.directory)).mark())

    @staticmethod
    def dismiss() -> None:
        """End the process that `run` keeps, with a checkpoint if it is at work."""
        while _kept:
            _kept.pop()[1].cancel()

    def _open(self) -> None:
        """Make this process one that has what the unit needs. Raises `UserError` where it cannot be."""
        from ganbench.code import changed
        from ganbench.plugins import use_recorded
        from ganbench.store import Unit

        here, unit = platform.node(), Unit(Path(self.directory))
        if not unit.marked(self.mark):
            raise UserError(
                f"{here} does not see {self.directory} as {self.host} does; choose by --results a folder on a file "
                "system that all machines share"
            )
        os.environ.setdefault("GANBENCH_DATA", self.data_root)
        os.environ.setdefault("GANBENCH_STORES", self.stores)
        self.plugins.settle_there()
        task = unit.task
        plugins = use_recorded(task.get("plugins", ()))
        made = _made(task, plugins)
        for name, wanted in self.made.items():
            if made.get(name) != wanted:
                found = f"{made[name]} on {here}" if name in made else f"not there on {here}"
                raise UserError(f"{name} is {wanted} on {self.host} and {found}; install the same on both")
        if differing := changed(self.code, _code(task, plugins)):
            raise UserError(f"from {self.host} to {here}, {differing}; install the same on both")


def _made(task: Record, plugins: Plugins) -> dict[str, str]:
    """What the numbers of a unit depend on that can be told by name and version: ``{"gans/dcgan": "ganbench 0.1.0"}``.

    Of torch without what it was built for, which may differ between a machine with a GPU and one without.
    """
    from ganbench.provenance import of_unit

    made = {name: found for name in ("ganbench", "torch") if (found := _version(name))}

    def add(component: Record) -> None:
        source = f"{component['distribution']} {component['distribution_version']}"
        made[component["id"]] = f"version {component['version']} of {source}"

    for role, found in of_unit(task, plugins).items():
        for component in found.values() if role in ("metrics", "extractors") else [found]:
            add(component)
    return made


def _version(distribution: str) -> str:
    from packaging.version import Version

    try:
        return Version(version(distribution)).public
    except PackageNotFoundError:
        return ""


def _code(task: Record, plugins: Plugins) -> dict[str, str]:
    """Of the unit's variant, where it has one and that is here."""
    from ganbench.code import fingerprint

    try:
        return fingerprint(plugins.find("variants", task["variant_id"]), plugins)
    except (KeyError, UserError):
        return {}


_kept: list[tuple[object, ProcessExecutor]] = []  # the process of the last unit, and what it was made for


def _crew(device: str, threads: int) -> ProcessExecutor:
    """An executor of one process, the last unit's where it fits."""
    from ganbench.executors import ProcessExecutor
    from ganbench.plugins import Settled

    purpose = device, os.environ.get("CUDA_VISIBLE_DEVICES"), threads, Settled.here()
    if not _kept or _kept[0][0] != purpose:
        Parcel.dismiss()
        _kept.append((purpose, ProcessExecutor(jobs=1, device=device, threads=threads)))
        atexit.unregister(Parcel.dismiss)  # once, and before multiprocessing would wait for the process forever
        atexit.register(Parcel.dismiss)
    return _kept[0][1]
