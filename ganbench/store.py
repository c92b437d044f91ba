"""The results directory: the only code that knows its layout, and the only code that reads or writes it.

::

    results/<name>/
        run.json                        what the last `ganbench run` asked for: name, rank, metrics, budget, cells
        benchmark.toml                  the file it read
        run.log                         what a run in the background said (`ganbench run --detach`)
        slots.json                      how many cells share a GPU, where that was measured
        references/<dataset>/           task.json, manifest.json, real.png, log.txt: one dataset made ready
        cells/<variant>-<dataset>-s<seed>-<key>/
            cell.json                   the unit of work: everything that determines the numbers
            manifest.json               status, reason, times, final scores, environment
            events.jsonl                one line per evaluation
            progress.json               where a running cell is (deleted at the end)
            told.jsonl                  which observer was told of which evaluation (only where there are some)
            samples/<updates>.png       sample sheets of fixed latents
            neighbours.png, interpolation.png   of the chosen snapshot, where they could be drawn
            generator-best.safetensors, generator-last.safetensors
            checkpoint-<rounds>.pt          the last two, what a killed cell goes on from (deleted at the end)
            .work                       lock of the process that is at work on the unit
            .slurm                      which job of Slurm it has, while it has one
            log.txt                     what the process printed, tracebacks included
            probes/<probe>-<hash>/      what probes found: task.json, manifest.json, PNG files; no part of the cell
        cells/.claims                   locks of the runs that took units, in every folder of units (ganbench.locks)
        observers/                      what observers write; not read by ganbench
        slurm/                          what jobs of Slurm were submitted with; empty but for logs when none is left
        scored/<dataset>/<name>.json    scores of images that were not trained here (`ganbench evaluate --into`)
        retired/<cell>~<n>/             cells trained by other code than today's, set aside by `--stale retrain`
        results.parquet, leaderboard.csv, leaderboard.md, report/      derived; deleting them loses nothing
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout
from pydantic_core import from_json

from ganbench import locks
from ganbench.errors import StorageError, UserError

if TYPE_CHECKING:
    from ganbench.contracts import Tables

Status = Literal[
    "planned", "running", "done", "failed", "oom", "timeout", "diverged", "skipped", "interrupted"
]  # a closed set
FORMAT = 1
Record = dict[str, Any]
#: The manifest of a unit that was never started.
PLANNED: Record = {"format": FORMAT, "status": "planned", "attempt": 0}
#: Pictures of the chosen snapshot of a cell.
KEEPSAKES = ("neighbours.png", "interpolation.png")
#: What a manifest says that its seal is not about: the seal itself, and what a store adds (`ganbench.mirror`).
_UNSEALED = ("seal", "claim", "parcels")
#: Names that Windows takes for devices, whatever follows a dot.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def slug(text: str, length: int = 60) -> str:
    """`text` as part of a file name: nothing but letters, digits, dots, hyphens and underscores, never leading dots.

    Text that had to be changed or cut gets a hash of the original at its end, so that different texts stay different,
    also where file names do not tell capital letters from small ones. Names that Windows keeps for devices are changed.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")
    if _DEVICE.match(plain):
        plain = f"_{plain}"
    # What ends like a hash already must not pass for the slug of another text.
    if plain == text == text.lower() and 0 < len(text) <= length and not re.search(r"(^|-)[0-9a-f]{8}$", text):
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{plain[: length - 9]}-{digest}".lstrip("-")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """What the system says about writing in `folder`, as a `StorageError`."""
    try:
        yield
    except OSError as error:
        raise cannot_write(folder, error.strerror or str(error)) from error


def cannot_write(folder: Path, why: str = "") -> StorageError:
    """The sentence for a full disk or a read-only folder."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    room = f"{why + '; ' if why else ''}its disk has {shutil.disk_usage(nearest).free / 2**20:,.0f} MiB free"
    return StorageError(
        f"{folder} cannot be written ({room}); make room or choose another folder with --results: all records are "
        "whole, and the same command goes on from there"
    )


def write_atomically(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Write to a temporary name beside `path`, flush, rename: a reader sees the old file or the new one whole.

    Without `durable` the wait for the disk is saved: after a power cut the file may be gone.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _new(temporary) as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _new(path: Path) -> BufferedWriter:
    """A new file to write to, never through a link that somebody put there."""
    try:
        return path.open("xb")
    except FileExistsError:
        path.unlink(missing_ok=True)
        return path.open("xb")


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def now() -> str:
    """The time in UTC, for records: nothing is decided by it, so that a clock may be wrong."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def read_json(path: Path | str) -> Record | None:
    """The JSON object in `path`, or None where there is none or it is not one."""
    try:
        with open(path, "rb", buffering=0) as file:
            return json_object(file.readall())
    except (OSError, ValueError):
        return None


def json_object(content: bytes) -> Record | None:
    """The JSON object that `content` is, or None where it is none."""
    try:
        found = _parsed(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_lines(path: Path | str) -> list[Any]:
    """What the lines of JSON in `path` say, up to the first that is none; nothing where there is no such file."""
    try:
        with open(path, "rb", buffering=0) as file:
            return json_lines(file.readall())
    except OSError:
        return []


def json_lines(content: bytes) -> list[Any]:
    """What the lines of JSON in `content` say, up to the first that is none."""
    records = []
    with suppress(ValueError, RecursionError):  # which includes what is no UTF-8
        for line in content.decode().splitlines():
            records.append(_parsed(line))
    return records


def _parsed(text: bytes | str) -> Any:
    """As `json.loads`, in a third of the time. Raises `ValueError`."""
    try:
        return from_json(text)
    except ValueError:  # what it refuses json may still take, such as halves of characters
        return json.loads(text if isinstance(text, str) else text.decode())


def write_json(path: Path, record: Mapping[str, Any], *, durable: bool = True) -> None:
    write_atomically(path, json.dumps(record, indent=1, allow_nan=True) + "\n", durable=durable)


def _line_by_line(record: Mapping[str, Any]) -> str:
    """JSON with a line for each of the record's names: with indents inside of them it takes ten times as long."""
    return "{\n" + ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in record.items()) + "\n}\n"


def _lines(run: Mapping[str, Any]) -> str:
    """A run as JSON with a line per cell: with indents inside of them 100,000 cells take half a minute to write."""
    encode = json.JSONEncoder().encode
    cells = ",\n".join(f"{encode(name)}: {encode(cell)}" for name, cell in run["cells"].items())
    about = json.dumps({name: value for name, value in run.items() if name != "cells"}, indent=1)
    return f'{about[:-2]},\n "cells": {{\n{cells}\n}}\n}}\n'


class Unit:
    """One unit of work on disk, a cell or a dataset's reference: what a worker is handed and writes into."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        #: Whether there was nothing of it, no directory even, when this run claimed it.
        self.fresh = False
        self._release: Callable[[], None] | None = None

    def claim(self) -> bool:
        """Take the unit for this run, until `release`; False where another run has it.

        The lock is the operating system's, free as soon as whoever held it is dead, so that none is ever stale. Runs
        on several machines need a shared file system that knows locks (NFS from version 4, Lustre with flock).
        """
        with _writing(self.directory):
            try:
                self.directory.mkdir(parents=True)
                self.fresh = True
            except FileExistsError:
                self.fresh = False
            self._release = locks.take(self.directory)
        return self._release is not None

    def hold(self) -> bool:
        """Called once it is clear that there is work to do on a claimed unit: whether the claim holds for that."""
        return True

    def release(self) -> None:
        if self._release:
            self._release()
            self._release = None

    @contextmanager
    def at_work(self, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Be the one process that writes the unit's records. Where there is another, call `waiting`, which may raise,
        and wait for it: the worker of a run that was killed ends within seconds.
        """
        lock = FileLock(self.directory / ".work")
        with _writing(self.directory):
            try:
                lock.acquire(blocking=False)
            except Timeout:
                waiting()
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @property
    def task(self) -> Record:
        """What to do (``cell.json`` or ``task.json``). Raises `UserError` when the directory is no unit."""
        for name in ("cell.json", "task.json"):
            if (record := read_json(self.directory / name)) is not None:
                return record
        raise UserError(f"{self.directory} holds no readable cell.json; it is not the directory of a cell")

    @property
    def exists(self) -> bool:
        """Whether there is a task, that is, whether it was ever handed to a worker."""
        return (self.directory / "cell.json").exists() or (self.directory / "task.json").exists()

    @property
    def manifest(self) -> Record:
        """The unit's state; ``{"status": "planned"}`` before it was ever started."""
        return read_json(self.directory / "manifest.json") or dict(PLANNED)

    @property
    def status(self) -> Status:
        status: Status = self.manifest["status"]
        return status

    @property
    def log(self) -> Path:
        return self.directory / "log.txt"

    def create(self, task: Mapping[str, Any]) -> None:
        """Make the directory and write down the task, unless that was done before.

        It is the worker that waits for the disk (`settle`), for a run has thousands to hand out.
        """
        with _writing(self.directory):
            if not self._release:  # a claim has made it
                self.directory.mkdir(parents=True, exist_ok=True)
            name = "cell.json" if task["unit"] == "cell" else "task.json"
            if self.fresh or read_json(self.directory / name) != task:
                write_atomically(self.directory / name, _line_by_line(task), durable=False)

    def settle(self) -> None:
        """Wait until the task is on the disk, so that no record of it outlives it in a power cut."""
        for name in ("cell.json", "task.json"):
            with suppress(FileNotFoundError), (self.directory / name).open("rb") as file:
                os.fsync(file.fileno())

    def mark(self) -> str:
        """Leave a file by a name that was never there before, for `marked`; its name."""
        name = f".sent-{secrets.token_hex(8)}.tmp"  # one that nobody looks for is swept away
        with _writing(self.directory):
            (self.directory / name).touch()
        return name

    def marked(self, name: str) -> bool:
        """Whether that file is here, and this the directory that was marked: once, for it is removed."""
        try:
            (self.directory / name).unlink()
        except OSError:
            return False
        return True

    def unseen(self, name: str) -> bool:
        """Whether a mark is still there: nobody has asked for it yet."""
        return (self.directory / name).exists()

    def sweep(self) -> None:
        """Delete what killed processes were just writing. Only for the one that is at work here."""
        for path in [*self.directory.glob(".*.tmp"), *(self.directory / "samples").glob(".*.tmp")]:
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget an unfinished attempt's records, so that a new one starts from nothing."""
        snapshots = ("generator-best.safetensors", "generator-last.safetensors")
        for name in ("events.jsonl", "progress.json", *snapshots, *KEEPSAKES):
            (self.directory / name).unlink(missing_ok=True)
        self.clear_checkpoints()
        for folder in ("samples", "probes"):
            shutil.rmtree(self.directory / folder, ignore_errors=True)

    def update(self, **facts: Any) -> Record:
        """Merge `facts` into the manifest, seal it where the unit is done, and return it."""
        manifest = {**self.manifest, **facts}
        manifest.pop("seal", None)
        with _writing(self.directory):
            if manifest["status"] == "done":
                manifest["seal"] = self.seal(manifest)
            write_json(self.directory / "manifest.json", manifest)
        return manifest

    def seal(self, manifest: Mapping[str, Any]) -> str:
        """SHA-256 (hex) over a manifest and the events there are: who edits either by hand breaks it."""
        content = {name: value for name, value in manifest.items() if name not in _UNSEALED}
        text = json.dumps(json.loads(json.dumps(content)), sort_keys=True)
        with suppress(OSError):
            text += (self.directory / "events.jsonl").read_bytes().decode(errors="replace")
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()

    def end(self, status: Status, reason: str, **facts: Any) -> Record:
        """Write down how an attempt ended; the manifest. What is not done keeps its last evaluation there."""
        if status != "done":
            with suppress(ValueError, RecursionError):
                facts["last_evaluation"] = next(reversed(self.events()), None)
        manifest = self.update(**facts, status=status, reason=reason, finished=now())
        self.progress({})
        return manifest

    def append(self, event: Mapping[str, Any]) -> None:
        """Add one line to the events."""
        with _writing(self.directory), (self.directory / "events.jsonl").open("a") as file:
            file.write(json.dumps(event) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def checkpoint(self, rounds: int) -> Path:
        """Where the checkpoint after so many rounds goes."""
        return self.directory / f"checkpoint-{rounds:012d}.pt"

    def checkpoints(self) -> list[Path]:
        """Those there are, newest first."""
        return sorted(self.directory.glob("checkpoint-*.pt"), reverse=True)

    def clear_checkpoints(self) -> None:
        for path in self.checkpoints():
            path.unlink(missing_ok=True)

    def keep_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Make these all the events there are: what goes on from a checkpoint forgets what came after it."""
        # Whatever is there: half a line at its end would swallow the next one.
        with _writing(self.directory):
            write_atomically(self.directory / "events.jsonl", "".join(json.dumps(event) + "\n" for event in events))

    def events(self) -> list[Record]:
        """All whole lines of the events; a torn last line (the process was killed in mid-write) is not one."""
        return read_lines(self.directory / "events.jsonl")

    def events_written(self) -> tuple[int, int]:
        """Size and time of the file of events, which tell whether it has changed; zeros where there is none."""
        try:
            about = os.stat(self.directory / "events.jsonl")
        except OSError:
            return 0, 0
        return about.st_size, about.st_mtime_ns

    def told(self) -> list[tuple[str, str]]:
        """Which plugins were told of which evaluations."""
        lines = read_lines(self.directory / "told.jsonl")
        pairs = [line for line in lines if isinstance(line, list) and len(line) == 2]
        return [(str(plugin), str(mark)) for plugin, mark in pairs]

    def tell(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Write down that plugins were told of evaluations."""
        with _writing(self.directory), (self.directory / "told.jsonl").open("a") as file:
            file.write("".join(json.dumps(pair) + "\n" for pair in pairs))

    def progress(self, facts: Mapping[str, Any] | None = None) -> Record:
        """Read where the unit is; with `facts`, write it; with ``{}``, remove it."""
        path = self.directory / "progress.json"
        if facts:
            with _writing(self.directory):
                write_json(path, facts, durable=False)  # written twice a second while training
        elif facts is not None:
            path.unlink(missing_ok=True)
        return read_json(path) or {}

    def sample_sheet(self, updates: int) -> Path:
        """Where the sample sheet after `updates` generator updates goes."""
        with _writing(self.directory):
            (self.directory / "samples").mkdir(exist_ok=True)
        return self.directory / "samples" / f"{updates:08d}.png"

    def probe(self, name: str) -> Unit:
        """The unit of a probe of this cell, by the name of its directory."""
        return Unit(self.directory / "probes" / name)

    def probes(self) -> list[Unit]:
        """Those there are, in order of name; none where the folder leads elsewhere."""
        folder = self.directory / "probes"
        try:
            entries = [] if folder.is_symlink() else sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return []
        return [Unit(Path(entry.path)) for entry in entries if entry.is_dir(follow_symlinks=False)]

    def snapshot(self, which: Literal["best", "last"]) -> Path:
        return self.directory / f"generator-{which}.safetensors"


class Store:
    """All records of one benchmark, below ``results/<name>``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._cells = root / "cells"

    @property
    def log(self) -> Path:
        """What a run in the background (`ganbench run --detach`) says."""
        return self.root / "run.log"

    @property
    def place(self) -> str:
        """What it was opened by: the folder, or the URL of a store."""
        return str(self.root)

    def close(self) -> None:
        """All that was asked of a run is done or was broken off."""

    def sync(self) -> None:
        """Bring what is kept elsewhere up to date here."""

    def complete(self, directory: Path) -> None:
        """Bring all files of a unit here, where they are not."""

    def elsewhere(self) -> Mapping[str, Record]:
        """Cells that are at work without that being seen below `root`, each with its progress."""
        return {}

    def make(self) -> None:
        """Make the directory. Raises `StorageError` where it cannot be written."""
        with _writing(self.root):
            (self.root / "cells").mkdir(parents=True, exist_ok=True)
            (self.root / "references").mkdir(exist_ok=True)

    def retire(self, unit: Unit) -> Path:
        """Set the records of a claimed cell aside, so that nothing is lost; where they are now.

        It can be trained anew under the same claim.
        """
        folder = self.root / "retired"
        with _writing(self.root):
            folder.mkdir(exist_ok=True)
            number = 1 + sum(path.name.rpartition("~")[0] == unit.directory.name for path in folder.iterdir())
            moved = unit.directory.rename(folder / f"{unit.directory.name}~{number}")
            unit.directory.mkdir(exist_ok=True)  # a run that waits for the claim may have made it
            unit.fresh = True
        return moved

    def plan(self, run: Mapping[str, Any], toml: str) -> None:
        """Write down what is asked of this folder: the outline of the run, and the benchmark file itself."""
        with _writing(self.root):
            write_atomically(self.root / "benchmark.toml", toml)
            write_atomically(self.root / "run.json", _lines({"format": FORMAT, **run}))

    def run(self) -> Record:
        """What the last run asked for. Raises `UserError` when `root` is not a results folder."""
        record = read_json(self.root / "run.json")
        if record is None:
            raise UserError(f"{self.place} is not a results folder (no readable run.json); `ganbench run` makes one")
        return record

    def slots(self) -> Record:
        """What was measured of how many cells share a GPU; nothing before that."""
        return read_json(self.root / "slots.json") or {}

    def keep_slots(self, record: Mapping[str, Any]) -> None:
        with _writing(self.root):
            write_json(self.root / "slots.json", record)

    def cell(self, name: str) -> Unit:
        """The unit of the cell directory `name`. Raises `UserError` for what is no name of a folder."""
        if not re.fullmatch(r"[\w-]([\w.-]{0,198}[\w-])?", name, re.ASCII) or _DEVICE.match(name):
            raise UserError(
                f"{self.root} names a cell {name[:60]!r}, which cannot be the name of a folder; its run.json is not "
                "what `ganbench run` wrote"
            )
        return Unit(self._cells / name)

    def reference(self, dataset: str) -> Unit:
        """The unit that prepares `dataset` (data, classifier, real rows)."""
        return Unit(self.root / "references" / slug(dataset))

    def made(self) -> set[str]:
        """The names of all cells that have a directory."""
        try:
            return {entry.name for entry in os.scandir(self.root / "cells") if not entry.name.startswith(".")}
        except OSError:
            return set()

    def cells(self) -> Iterator[Unit]:
        """Every cell there is a record of, in order of name."""
        for path in sorted((self.root / "cells").glob("*/cell.json")):
            yield Unit(path.parent)

    def references(self) -> Iterator[Unit]:
        for path in sorted((self.root / "references").glob("*/task.json")):
            yield Unit(path.parent)

    def scored(self, dataset: str) -> list[Path]:
        """The records of images scored against `dataset` that were not trained here, in order of name."""
        return sorted((self.root / "scored" / slug(dataset)).glob("*.json"))

    def keep_scored(self, record: Mapping[str, Any]) -> Path:
        """Write such a record, in the place of one of that name; where it is."""
        path = self.root / "scored" / slug(record["dataset"]) / f"{slug(record['name'])}.json"
        with _writing(self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, record)
        return path

    def tables(self) -> Tables:
        """The records as tables; see `ganbench.contracts.Tables` for the columns."""
        from ganbench import tables

        return tables.build(self)


def latest(results: Path) -> Store:
    """The store below `results` that was run last. Raises `UserError` when there is none."""
    runs = sorted(results.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    if not runs:
        raise UserError(f"there are no results below {results}/; give the folder, or run `ganbench run benchmark.toml`")
    return Store(runs[-1].parent)
