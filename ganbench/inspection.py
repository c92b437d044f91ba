"""One unit of a results folder, a cell or a dataset's reference, looked at: what is damaged, and what was left behind.

Nothing is written here, whatever the files hold; a finding brings the repair that `ganbench.health` may do.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from filelock import FileLock, Timeout

from ganbench import records
from ganbench.store import Record, Unit, slug, write_atomically

Word = Literal["damaged", "repaired", "note", "ok"]
LOCKS = (".claim", ".work")
TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp|generator-(?:best|last)\.tmp")
_SNAPSHOTS = ("generator-best.safetensors", "generator-last.safetensors")
_SET_ASIDE = "manifest.json.damaged"
_KNOWN = {"cell.json", "task.json", "manifest.json", "events.jsonl", "progress.json", "log.txt", "real.png", "samples"}
_KNOWN |= {*_SNAPSHOTS}
_GOES_ON = ("planned", "running", "interrupted")  # the next run makes the events of these anew
_COUNTERS = ("rounds", "generator_updates", "images")
_IN_BOTH = {
    "params",
    "dataset_params",
    "fingerprint",
    "seed",
    "budget",
    "precision",
    "evaluate",
    "train_on",
    "reference",
}
_TRAIN_AGAIN = "delete the directory to have it trained again"
_LARGEST = 2**28  # bytes of a record or a header: what is larger is none, and could fill the memory


class Finding(NamedTuple):
    """One thing found: `where` is relative to the results folder. With a `repair`, ``--repair`` can put it right."""

    word: Word
    where: str
    what: str
    advice: str = ""
    repair: Callable[[], object] | None = None


@dataclass
class Seen:
    """What was found of one unit."""

    unit: Unit
    where: str
    status: str = "planned"
    findings: list[Finding] = field(default_factory=list)
    fitting: int = 0  # snapshots that fit their checksum
    untold: bool = False  # done without checksums

    @property
    def kind(self) -> records.Kind:
        return "cell" if self.unit.directory.parent.name == "cells" else "reference"

    def say(
        self, word: Word, name: str, what: str, advice: str = "", repair: Callable[[], object] | None = None
    ) -> None:
        self.findings.append(Finding(word, f"{self.where}/{name}" if name else self.where, what, advice, repair))


def look(unit: Unit, outline: Record | None, *, busy: bool = False, mine: bool = False) -> Seen:
    """Everything there is to find of one unit, unless it is `busy`.

    `outline` is what the plan says of it, None when the plan leaves it out. `mine`: this process holds its locks.
    """
    directory = unit.directory
    seen = Seen(unit, f"{directory.parent.name}/{directory.name}")
    if directory.is_symlink():
        seen.status = "not looked at"
        seen.say("note", "", "a link to another place, not looked at")
        return seen
    locks = {name: "free" if mine else lock_state(directory / name) for name in LOCKS}
    if busy or "held" in locks.values():
        seen.status = "in use"
        seen.say("note", "", "in use by a run, not looked at")
        return seen
    try:
        entries = {entry.name: entry for entry in os.scandir(directory)}
    except OSError as error:
        seen.status = "unreadable"
        seen.say("damaged", "", reason(error), "make it readable")
        return seen

    if outline is None:
        seen.say("note", "", "left by an earlier plan", "the report leaves it out")
    present = {name for name in LOCKS if name in entries and entries[name].is_file(follow_symlinks=False)}
    stale = not mine and any(locks[name] == "free" for name in present)
    names = entries.keys() - present
    if not names:  # claimed by a run, but never begun
        _leftovers(seen, names, stale=stale)
        return seen
    intact = _task(seen, "cell.json" if seen.kind == "cell" else "task.json", outline)
    manifest = _manifest(seen, names, intact)
    if seen.status == "running" and "unknown" in locks.values():
        seen.status = "in use"
        seen.say("note", "", "in use by a run, as far as can be told: its locks are somebody else's")
        return seen
    if manifest is not None:
        if seen.kind == "cell":
            events = _events(seen, manifest)
            _snapshots(seen, manifest, events, names)
            _sheets(seen, events, entries)
        elif seen.status == "done" and (problem := _png(directory / "real.png")):
            seen.say("damaged", "real.png", problem, "delete the directory to have the dataset prepared again")
    _checkpoints(seen)
    if seen.status == "running":
        seen.status = "interrupted"
        gone = "its process is gone"
        seen.say(
            "note",
            "manifest.json",
            f"interrupted: it says running, but {gone}",
            "`ganbench run` goes on from there",
            lambda: unit.update(status="interrupted", reason=gone),
        )
    _leftovers(seen, names, stale=stale)
    return seen


def _task(seen: Seen, name: str, outline: Record | None) -> bool:
    """Whether the task is good: against its own key, its directory and the plan."""
    advice = f"restore it from a copy, or {_TRAIN_AGAIN}"
    directory = seen.unit.directory
    try:
        task = json_object(directory / name)
    except (OSError, ValueError) as error:
        seen.say("damaged", name, reason(error), advice)
        return False
    problem = checked(records.check_task, task, seen.kind)
    if not problem and seen.kind == "cell":
        problem = _tampered(task, directory.name, outline or {})
    elif not problem and slug(task["dataset"]) != directory.name:
        problem = "it is not the task of this directory"
    if problem:
        seen.say("damaged", name, problem, advice)
    return not problem


def _tampered(task: Record, directory: str, outline: Record) -> str:
    """How a cell's task contradicts its key; empty when it does not."""
    from ganbench.plan import key

    identity, said = task.get("identity"), task["key"]
    try:
        right = isinstance(identity, dict) and key(identity) == said
    except (ValueError, RecursionError):  # what no plan can have hashed
        right = False
    if not isinstance(identity, dict) or not right:
        return "its key is not the hash of its identity: it was edited or damaged"
    if not directory.endswith(f"-{said[:12]}"):
        return "its key is not that of its directory: it belongs to another cell"
    if outline.get("key", said) != said:
        return "its key is not that of run.json"
    other = [name for name in sorted(_IN_BOTH & task.keys() & identity.keys()) if task[name] != identity[name]]
    return f"its {other[0]} is not that of its identity: it was edited or damaged" if other else ""


def _manifest(seen: Seen, names: Set[str], intact: bool) -> Record | None:
    """The manifest, when it can be relied on; its status goes to `seen`. `intact`: the task is good."""
    path = seen.unit.directory / "manifest.json"
    aside = sorted(name for name in names if name.startswith(_SET_ASIDE))
    again = f"`ganbench run` {'trains' if seen.kind == 'cell' else 'prepares'} it again"
    try:
        manifest = json_object(path)
    except FileNotFoundError:
        if aside:
            seen.say("note", "", f"its record was damaged and is set aside as {aside[-1]}", again)
        elif names & {"events.jsonl", "samples", "real.png", *_SNAPSHOTS}:
            seen.say("damaged", path.name, "is missing, though there was work done", again)
        return None
    except OSError as error:
        seen.status = "unreadable"
        seen.say("damaged", path.name, reason(error), "make it readable")
        return None
    except ValueError as error:
        seen.status = "unreadable"
        to = path.with_name(_SET_ASIDE if _SET_ASIDE not in names else f"{_SET_ASIDE}-{len(aside) + 1}")
        # Without a good task the next run could not go on from what there is.
        repair = (lambda: path.rename(to)) if intact and to.name not in names else None
        advice = f"its record is lost; {'--repair sets it aside' if repair else 'move it away'} and {again}"
        seen.say("damaged", path.name, reason(error), advice, repair)
        return None
    if aside:
        seen.say("note", "", "holds a damaged record that was set aside", "delete it once it is of no use")
    if problem := checked(records.check_manifest, manifest, seen.kind):
        seen.status = "unreadable"
        advice = f"restore it from a copy, or move it away and {again}"
        seen.say("damaged", path.name, problem, advice)
        return None
    seen.status = str(manifest["status"])
    return manifest


def _events(seen: Seen, manifest: Record) -> list[Record]:
    """The events up to the first that cannot be read, against the manifest's last evaluation."""
    path, done = seen.unit.directory / "events.jsonl", seen.status == "done"
    word: Word = "note" if seen.status in _GOES_ON else "damaged"
    advice = "`ganbench run` writes them anew" if word == "note" else f"its scores stand; {_TRAIN_AGAIN}"
    try:
        content = _bytes(path)
    except OSError as error:
        if done or not isinstance(error, FileNotFoundError):
            seen.say(word, path.name, reason(error), advice)
        return []
    whole, newline, torn = content.rpartition(b"\n")
    if torn:  # what follows the last line's end: the process was killed while it wrote
        kept = whole + newline
        if _event(torn)[0]:
            kept = content + b"\n"
        seen.say(word, path.name, "its last line is torn", "--repair cuts it off", lambda: write_atomically(path, kept))
        whole = kept[:-1]
    events: list[Record] = []
    for number, line in enumerate(whole.split(b"\n") if whole else [], 1):
        event, problem = _event(line)
        if event is None or problem:
            seen.say(word, path.name, f"line {number}: {problem}", advice)
            return events
        events.append(event)
    last = manifest.get("last")
    if done and isinstance(last, dict):
        ends = events[-1] if events else {}
        if any(ends.get(name) != last.get(name) for name in _COUNTERS):
            seen.say("damaged", path.name, "does not end with the last evaluation of the manifest", advice)
        elif any(repr(value) != repr(member(last, "metrics").get(m)) for m, value in member(ends, "metrics").items()):
            what = "the scores of the last evaluation are not those of the manifest"
            seen.say("note", path.name, what, "it was scored again since, with another version of a metric, or edited")
    return events


def _event(line: bytes) -> tuple[Record | None, str]:
    try:
        event = _parsed(line)
    except ValueError as error:
        return None, reason(error)
    return event, checked(records.check_event, event)


def _snapshots(seen: Seen, manifest: Record, events: list[Record], names: Set[str]) -> None:
    """The saved generators: against their checksums where the manifest has them, else that the files are whole."""
    done = seen.status == "done"
    if not done and not (seen.status in _GOES_ON and seen.unit.checkpoints()):
        return  # nothing reads them
    advice = f"the scores stand, but a new metric cannot be computed; {_TRAIN_AGAIN}"
    if not done:
        advice = "it may fail at its end; delete its checkpoints to have it trained from the start"
    digests = member(manifest, "files")
    for name in _SNAPSHOTS:
        path = seen.unit.directory / name
        if name not in names and not done and not events:
            continue
        try:
            problem = _snapshot(path, digests.get(name) if done else None)
        except OSError as error:
            problem = reason(error)
        if problem:
            seen.say("damaged", name, problem, advice)
        elif done and name in digests:
            seen.fitting += 1
    seen.untold = done and not digests


def _snapshot(path: Path, digest: Any) -> str:
    """What is wrong with a safetensors file: eight bytes of a length, so much JSON, and the tensors it tells of."""
    with _opened(path) as file:
        if digest is not None:
            return "" if hashlib.file_digest(file, "sha256").hexdigest() == digest else "does not fit its checksum"
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if not size:
            return "is empty"
        if length > min(size - 8, _LARGEST):
            return "is cut off, or no safetensors file"
        try:
            tensors = _parsed(file.read(length))
            ends = [facts["data_offsets"][1] for name, facts in tensors.items() if name != "__metadata__"]
            whole = max(ends, default=0) == size - 8 - length
        except (ValueError, TypeError, LookupError):
            return "is no safetensors file"
        return "" if whole else "has not the length that its header tells"


def _sheets(seen: Seen, events: list[Record], entries: Mapping[str, os.DirEntry[str]]) -> None:
    """Sample sheets: one PNG for every evaluation."""
    folder = seen.unit.directory / "samples"
    names: set[str] = set()
    if folder.name in entries:
        try:
            names = {entry.name for entry in os.scandir(folder)}
        except OSError as error:
            seen.say("damaged", folder.name, reason(error), _TRAIN_AGAIN)
            return
        if not entries[folder.name].is_symlink():
            _temporaries(seen, folder, names)
    strange = sorted(name for name in names if not name.endswith(".png") and not TEMPORARY.fullmatch(name))
    if strange:
        seen.say("note", "samples", f"holds what ganbench does not know: {', '.join(strange)}")
    advice = f"delete it; the report does without, or {_TRAIN_AGAIN}"
    for name in sorted(name for name in names if name.endswith(".png")):
        if problem := _png(folder / name):
            seen.say("damaged", f"samples/{name}", problem, advice)
    expected = {f"{event['generator_updates']:08d}.png" for event in events}
    if (absent := len(expected - names)) and seen.status not in _GOES_ON:
        seen.say("note", "samples", f"{absent} of {len(expected)} sample sheets are missing")


def _png(path: Path) -> str:
    """What is wrong with the picture, by its two ends."""
    try:
        with _opened(path) as file:
            start = file.read(8)
            file.seek(max(os.fstat(file.fileno()).st_size - 12, 0))
            end = file.read()
    except OSError as error:
        return reason(error)
    if not start:
        return "is empty"
    if start != b"\x89PNG\r\n\x1a\n":
        return "is not a PNG"
    return "" if end == b"\0\0\0\0IEND\xaeB`\x82" else "is cut off"


def _checkpoints(seen: Seen) -> None:
    """Checkpoints: none in a done cell, else each with the checksum in its first line."""
    unit, found = seen.unit, seen.unit.checkpoints()
    if found and seen.status == "done":
        word = "checkpoint" if len(found) == 1 else "checkpoints"
        seen.say("note", "", f"done, but there are {word} left", "nothing needs them", unit.clear_checkpoints)
        return
    for path in found:
        try:
            with _opened(path) as file:
                digest = file.readline(65)
                whole = hashlib.file_digest(file, "sha256").hexdigest().encode() + b"\n" == digest
        except OSError as error:
            seen.say("damaged", path.name, reason(error), "make it readable, or delete it")
            continue
        if not whole:
            before = "the next run goes on from the one before it, or from the start"
            seen.say("damaged", path.name, "does not fit its checksum", before, path.unlink)


def _leftovers(seen: Seen, names: Set[str], *, stale: bool) -> None:
    """What processes that are gone left behind, and what was never ganbench's."""
    unit = seen.unit
    if stale:
        seen.say("note", "", "lock files that nobody holds", "they do no harm", released)
    if "progress.json" in names:
        seen.say("note", "progress.json", "left by a process that is gone", "", lambda: unit.progress({}))
    _temporaries(seen, unit.directory, names)
    strange = sorted(
        name
        for name in names - _KNOWN
        if not (TEMPORARY.fullmatch(name) or name.startswith((_SET_ASIDE, "checkpoint-")))
    )
    if strange:
        seen.say("note", "", f"holds what ganbench does not know: {', '.join(strange)}")


def released() -> None:
    """Nothing: whoever repairs a unit holds its locks, and deletes them when it is done."""


def _temporaries(seen: Seen, folder: Path, names: Iterable[str]) -> None:
    for name in sorted(name for name in names if TEMPORARY.fullmatch(name)):
        path = folder / name
        what = "a temporary file of a process that is gone"
        seen.say("note", str(path.relative_to(seen.unit.directory)), what, "", path.unlink)


def lock_state(path: Path) -> Literal["free", "held", "unknown"]:
    """Whether somebody holds a lock; ``free`` where there is none. No file is created."""
    if path.is_symlink() or not path.is_file():
        return "free"
    try:
        with FileLock(path, timeout=0):
            return "free"
    except Timeout:
        return "held"
    except OSError:
        return "unknown"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A regular file for reading: a pipe or a device in its place would never end."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no regular file")
    with open(number, "rb") as file:
        yield file


def _bytes(path: Path) -> bytes:
    with _opened(path) as file:
        content: bytes = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise OSError(errno.EFBIG, "it is too large for a record")
    return content


def json_object(path: Path) -> Record:
    """The JSON object in `path`. Raises OSError when it cannot be read and ValueError when it is none."""
    return _parsed(_bytes(path))


def _parsed(content: bytes) -> Record:
    try:
        record = json.loads(content.decode())
    except (ValueError, RecursionError):
        raise ValueError("is not JSON" if content.strip(b"\0 \n") else "is empty") from None
    if not isinstance(record, dict):
        raise ValueError("is not a JSON object")
    return record


def reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing"
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror})"
    return str(error)


def checked(check: Callable[..., str], record: Record, *kind: records.Kind) -> str:
    try:
        return check(record, *kind)
    except RecursionError:
        return "is nested too deeply"


def member(record: Record | None, name: str) -> Record:
    """The object called `name` in `record`; an empty one where it is not there or something else."""
    found = (record or {}).get(name)
    return found if isinstance(found, dict) else {}
