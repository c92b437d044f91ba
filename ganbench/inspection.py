"""One unit of a results folder, a cell or a dataset's reference, looked at: what is damaged, and what was left behind.

Nothing is written here, whatever the files hold; a finding brings the repair that `ganbench.health` may do.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from safetensors import SafetensorError, safe_open

from ganbench import records
from ganbench.store import KEEPSAKES, Record, Unit, slug, write_atomically

Word = Literal["damaged", "repaired", "note", "ok"]
Repair = Callable[[], object]
LOCKS = (".claim", ".work")  # in a unit's directory; the first is that of older versions' runs
UNREADABLE = (OSError, ValueError, RecursionError)  # what reading a record raises
_SNAPSHOTS = ("generator-best.safetensors", "generator-last.safetensors")
_WORK = {"events.jsonl", "samples", "real.png", *_SNAPSHOTS}  # what is never there without a manifest
_RECORDS = {"cell.json", "task.json", "manifest.json", "progress.json", "log.txt", "told.jsonl", "probes"}
_KNOWN = {*_WORK, *LOCKS, *_RECORDS, *KEEPSAKES, ".slurm", ".have"}
_GOES_ON = ("planned", "running", "interrupted")  # the next run makes the events of these anew
_COUNTERS = ("rounds", "generator_updates", "images")
_OF_ITS_OWN = {"variant", "dataset", "rank", "extractors"}  # what a task means otherwise than its identity does
_ANEW = "delete the directory to have `ganbench run` make it anew"
_RESTORE = f"restore it from a copy, or {_ANEW}"
_LARGEST = 2**28  # bytes of a record: what is larger is none, and could fill the memory


class Finding(NamedTuple):
    """One thing found: `where` is relative to the results folder. With a `repair`, ``--repair`` can put it right."""

    word: Word
    where: str
    what: str
    advice: str = ""
    repair: Repair | None = None


@dataclass
class Seen:
    """What was found of one unit."""

    unit: Unit
    status: str
    findings: list[Finding] = field(default_factory=list)
    fitting: int = 0  # snapshots that fit their checksum

    @property
    def kind(self) -> records.Kind:
        return "cell" if self.unit.directory.parent.name == "cells" else "reference"

    def say(self, word: Word, name: str, what: str, advice: str = "", repair: Repair | None = None) -> None:
        directory = self.unit.directory
        where = "/".join([directory.parent.name, directory.name, *([name] if name else [])])
        self.findings.append(Finding(word, where, what, advice, repair))

    @contextmanager
    def reading(self, name: str, advice: str, word: Word = "damaged", repair: Repair | None = None) -> Iterator[None]:
        """What is raised inside becomes a finding; with its `repair` where the file was read and is wrong."""
        try:
            yield
        except UNREADABLE as error:
            self.say(word, name, reason(error), advice, None if isinstance(error, OSError) else repair)


def look(unit: Unit, outline: Record | None) -> Seen:
    """Everything there is to find of one unit that nobody is at work on.

    `outline` is what the plan says of it, None when the plan leaves it out.
    """
    seen, directory, names = Seen(unit, "unreadable"), unit.directory, set[str]()
    if directory.is_symlink():
        seen.status = "not looked at"
        seen.say("note", "", "a link to another place, not looked at")
        return seen
    with seen.reading("", "make it readable"):
        names = {*os.listdir(directory)}
        seen.status = "planned"
    if outline is None:
        seen.say("note", "", "left by an earlier plan", "the report leaves it out")
    if names <= {*LOCKS}:  # taken by a run, but never begun
        return seen
    name = "cell.json" if seen.kind == "cell" else "task.json"
    with seen.reading(name, _RESTORE):
        task = record(directory / name, records.check_task, seen.kind)
        if problem := _contradiction(task, directory.name, outline or {}):
            raise ValueError(problem)
    if names & {"manifest.json", *_WORK}:
        seen.status, manifest = "unreadable", None
        with seen.reading("manifest.json", _RESTORE):
            manifest = record(directory / "manifest.json", records.check_manifest, seen.kind)
            seen.status = manifest["status"]
            if manifest.get("seal") not in (None, unit.seal(manifest)):  # older records have none
                raise ValueError("does not fit its seal: it or events.jsonl was changed after the unit was done")
        if manifest and seen.kind == "cell":
            events = _events(seen, manifest)
            _snapshots(seen, manifest.get("files") or {}, events, names)
            _sheets(seen, events, names)
            _probes(seen)
        elif seen.status == "done":
            with seen.reading("real.png", _ANEW):
                _check_png(directory / "real.png")
    _checkpoints(seen)
    _leftovers(seen, names)
    return seen


def _contradiction(task: Record, directory: str, outline: Record) -> str:
    """How a task contradicts its key, its directory or the plan; empty when it does not."""
    from ganbench.plan import key

    if task["unit"] == "reference":
        return "" if slug(task["dataset"]) == directory else "it is not the task of this directory"
    identity, said = task.get("identity", {}), task["key"]
    if key(identity) != said:
        return "its key is not the hash of its identity: it was edited or damaged"
    if not directory.endswith(f"-{said[:12]}"):
        return "its key is not that of its directory: it belongs to another cell"
    if outline.get("key", said) != said:
        return "its key is not that of run.json"
    other = [name for name in sorted(task.keys() & identity.keys() - _OF_ITS_OWN) if task[name] != identity[name]]
    return f"its {other[0]} is not that of its identity: it was edited or damaged" if other else ""


def _events(seen: Seen, manifest: Record) -> list[Record]:
    """The events up to the first that cannot be read, against the manifest's last evaluation."""
    path, done, events = seen.unit.directory / "events.jsonl", seen.status == "done", list[Record]()
    word: Word = "note" if seen.status in _GOES_ON else "damaged"
    advice = "`ganbench run` writes them anew" if word == "note" else f"its scores stand; {_ANEW}"
    if not done and not path.exists():
        return events
    with seen.reading(path.name, advice, word):
        content = _bytes(path)
        *lines, torn = content.split(b"\n")
        if torn:  # the process was killed while it wrote
            kept = content.removesuffix(torn)
            try:
                _parsed(torn, records.check_event)
            except UNREADABLE:
                pass
            else:
                lines.append(torn)
                kept = content + b"\n"
            seen.say(
                word, path.name, "its last line is torn", "--repair mends it", lambda: write_atomically(path, kept)
            )
        for number, line in enumerate(lines, 1):
            try:
                events.append(_parsed(line, records.check_event))
            except UNREADABLE as error:
                raise ValueError(f"line {number}: {reason(error)}") from None
        last, end = manifest.get("last") or {}, events[-1] if events else {"metrics": {}}
        if done and any(end.get(name) != last.get(name) for name in _COUNTERS):
            raise ValueError("does not end with the last evaluation of the manifest")
        if done and any(repr(score) != repr(last["metrics"].get(name)) for name, score in end["metrics"].items()):
            what = "the scores of the last evaluation are not those of the manifest"
            seen.say("note", path.name, what, "it was scored again since, with another version of a metric, or edited")
    return events


def _snapshots(seen: Seen, digests: Record, events: list[Record], names: Set[str]) -> None:
    """The saved generators, where something will read them: against their checksums, else that the files are whole."""
    done = seen.status == "done"
    if not done and not (seen.status in _GOES_ON and seen.unit.checkpoints()):
        return
    advice = "it may fail at its end; delete its checkpoints to have it trained from the start"
    if done:
        advice = f"the scores stand, but a new metric cannot be computed; {_ANEW}"
    for name in _SNAPSHOTS:
        if done or events or name in names:
            with seen.reading(name, advice):
                _check_snapshot(seen.unit.directory / name, digests.get(name) if done else None)
                seen.fitting += done and name in digests
    if done and not digests:
        seen.say("note", "manifest.json", "no checksums of the generators", "only their lengths could be checked")


def _check_snapshot(path: Path, digest: str | None) -> None:
    with _opened(path) as file:
        if digest is None:
            try:
                with safe_open(path, "np"):  # which reads the header, and compares the length with it
                    pass
            except SafetensorError:
                raise ValueError("is no whole safetensors file") from None
        elif hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise ValueError("does not fit its checksum")


def _sheets(seen: Seen, events: list[Record], names: Set[str]) -> None:
    """Sample sheets: one PNG for every evaluation."""
    found: set[str] = set()
    if "samples" in names:
        with seen.reading("samples", _ANEW):
            found = {name for name in os.listdir(seen.unit.directory / "samples") if name.endswith(".png")}
    for name in sorted(found):
        with seen.reading(f"samples/{name}", f"delete it; the report does without, or {_ANEW}"):
            _check_png(seen.unit.directory / "samples" / name)
    for name in sorted({*KEEPSAKES} & names):
        with seen.reading(name, "delete it; the report does without"):
            _check_png(seen.unit.directory / name)
    expected = {f"{event['generator_updates']:08d}.png" for event in events}
    if (absent := len(expected - found)) and seen.status not in _GOES_ON:
        seen.say("note", "samples", f"{absent} of {len(expected)} sample sheets are missing")


def _probes(seen: Seen) -> None:
    """What probes found of the cell: records that the report would leave out, and pictures that are not whole."""
    advice = "delete its directory; `ganbench probe` makes it anew"
    for unit in seen.unit.probes():
        name, pictures = f"probes/{unit.directory.name}", list[str]()
        if not (unit.directory / "manifest.json").exists():  # asked for, and never begun
            continue
        task: Record = {}
        with seen.reading(f"{name}/task.json", advice):
            task = record(unit.directory / "task.json", _no_object)
            if not seen.unit.directory.name.endswith(f"-{str(task.get('key'))[:12]}"):
                raise ValueError("its key is that of another cell")
        with seen.reading(f"{name}/manifest.json", advice):
            found = records.joined(task, record(unit.directory / "manifest.json", _no_object))
            if problem := records.check_probed(found) if task else "":
                raise ValueError(problem)
            pictures = found["pictures"] if task else []
        for picture in pictures:
            with seen.reading(f"{name}/{picture}.png", advice):
                _check_png(unit.directory / f"{picture}.png")


def _no_object(found: object) -> str:
    return "" if isinstance(found, dict) else "it is not a JSON object"


def _check_png(path: Path) -> None:
    """Look at the two ends of the picture."""
    with _opened(path) as file:
        start = file.read(8)
        file.seek(max(os.fstat(file.fileno()).st_size - 12, 0))
        end = file.read()
    if start != b"\x89PNG\r\n\x1a\n":
        raise ValueError("is not a PNG")
    if end != b"\0\0\0\0IEND\xaeB`\x82":
        raise ValueError("is cut off")


def _checkpoints(seen: Seen) -> None:
    """Checkpoints: none in a done cell, else each with the checksum in its first line."""
    found = seen.unit.checkpoints()
    if found and seen.status == "done":
        seen.say("note", "", "done, but with checkpoints left", "nothing needs them", seen.unit.clear_checkpoints)
        return
    for path in found:
        before = "the next run goes on from the one before it, or from the start"
        with seen.reading(path.name, before, repair=path.unlink), _opened(path) as file:
            digest = file.readline(65)
            if hashlib.file_digest(file, "sha256").hexdigest().encode() + b"\n" != digest:
                raise ValueError("does not fit its checksum")


def _leftovers(seen: Seen, names: Set[str]) -> None:
    """What processes that are gone left behind, and what was never ganbench's."""
    unit, gone = seen.unit, "its process is gone"
    if seen.status == "running":
        seen.status = "interrupted"
        what, advice = f"interrupted: it says running, but {gone}", "`ganbench run` goes on from there"
        seen.say("note", "manifest.json", what, advice, lambda: unit.update(status="interrupted", reason=gone))
    samples = unit.directory / "samples"
    left = [*unit.directory.glob(".*.tmp"), *unit.directory.glob("progress.json")]
    left += [] if samples.is_symlink() else samples.glob(".*.tmp")
    for path in sorted(left):
        what = "left by a process that is gone"
        seen.say("note", str(path.relative_to(unit.directory)), what, "", path.unlink)
    if strange := names - _KNOWN - {path.name for path in [*left, *unit.checkpoints()]}:
        seen.say("note", "", f"holds what ganbench does not know: {', '.join(sorted(strange))}")


# --- reading what strangers wrote -------------------------------------------------------------------------------------


def record(path: Path, check: Callable[..., str], *kind: records.Kind) -> Record:
    """The record in `path`, which `check` finds nothing wrong with. Raises one of `UNREADABLE` where it is none."""
    return _parsed(_bytes(path), check, *kind)


def _parsed(content: bytes, check: Callable[..., str], *kind: records.Kind) -> Record:
    found: Record = json.loads(content.decode())
    if problem := check(found, *kind):
        raise ValueError(problem)
    return found


def _bytes(path: Path) -> bytes:
    with _opened(path) as file:
        content: bytes = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise OSError(errno.EFBIG, "it is too large for a record")
    return content


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A regular file for reading: a pipe or a device in its place would never end."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no regular file")
    with open(number, "rb") as file:
        yield file


def reason(error: Exception) -> str:
    """What is wrong with a file, after its name."""
    if isinstance(error, FileNotFoundError):
        return "is missing"
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror})"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    return "is not JSON" if isinstance(error, json.JSONDecodeError | UnicodeError) else str(error)
