"""A results folder in an object store (``s3://bucket/prefix/<name>``), worked on through a copy on this machine.

The copy is a results folder like any other, below ``$GANBENCH_STORES`` (else ``~/.cache/ganbench/stores``): workers and
the report know nothing of the store. Objects::

    store.json                      made once: which store this is
    run.json, benchmark.toml        as in a folder
    claims/<unit>.<n>               who has a unit, and what it left for the next one when it died (ganbench.leases)
    parcels/<unit>/<what>-<hash>.zip   the files of a unit, named by their content (ganbench.packing)
    manifests/<unit>.<n>.json       how claim n ended: written last, once, with the SHA-256 of every parcel
    runners/<id>.json               who is at work now, and on what
    index/<runner>-<n>.json.gz      the small records of many units in one object: derived (ganbench.index)

where a unit is ``cells/<name>``, ``references/<dataset>`` or ``cells/<name>/probes/<probe>``. What a manifest names is
there and whole, for it is written after it and never changed; of several manifests of a unit the highest number counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganbench import leases, packing
from ganbench.aside import never_fork
from ganbench.bucket import Bucket
from ganbench.errors import StorageError, UserError
from ganbench.index import SMALL, Index, Small
from ganbench.leases import Claim, Claims, Ended, Runner, clock
from ganbench.store import PLANNED, Record, Store, Unit, json_object, read_json, write_atomically, write_json

if TYPE_CHECKING:
    from ganbench.contracts import Tables

_FORMAT = 1
_THREADS = 16  # requests at once
_LOOK = 5.0  # seconds between looks at what other runners do, where this one waits for them
_LOOK_BUSY = 15.0  # and where it does not
_STATES = 300.0  # seconds between uploads of what a running unit would go on from elsewhere
_KINDS = ("cells", "references", "retired")
_PART = re.compile(r"[\w-]([\w.~-]{0,198}[\w~-])?", re.ASCII)
_OVER = ("done", "failed", "oom", "timeout", "diverged", "skipped")


def copies() -> Path:
    """Where the copies of stores are: ``$GANBENCH_STORES``, else ``~/.cache/ganbench/stores``."""
    return Path(os.environ.get("GANBENCH_STORES") or "~/.cache/ganbench/stores").expanduser().absolute()


def _states() -> float:
    """``$GANBENCH_STORE_SECONDS``, else five minutes."""
    try:
        return float(os.environ.get("GANBENCH_STORE_SECONDS") or _STATES)
    except ValueError:
        return _STATES


class MirroredUnit(Unit):
    """A unit of work whose records go to a store when it is given back."""

    def __init__(self, directory: Path, store: Mirror) -> None:
        super().__init__(directory)
        self._store = store
        self.key = directory.relative_to(store.root).as_posix()
        self.unsent = store.marks / self.key.replace("/", "+")
        self.claimed: Claim | None = None
        self.sending = threading.Lock()
        self.sent: set[str] = set()  # the parcels that the store has of this claim
        self.found: Record = {}  # the manifest when it was claimed
        self.lapses = 0
        self.kept = 0.0  # when its state was uploaded last

    def claim(self) -> bool:
        """As `Unit.claim`, among all machines; what others made of it is here then.

        What another run has done meanwhile is not claimed there, for nothing is left to do: `hold` does where there is.
        """
        self._store.look()
        if self.key in self._store.held or not super().claim():
            return False
        self.fresh &= self.key not in self._store.finished
        try:
            if self.key in self._store.finished or self._store.take(self, again=False):
                return True
        except BaseException:
            super().release()
            raise
        super().release()
        return False

    def hold(self) -> bool:
        return self.claimed is not None or self._store.take(self)

    def release(self) -> None:
        """Its records are on their way to the store, and it is free once they are there."""
        if self.claimed is None:
            super().release()
        else:
            self._store.give(self)

    def let_go(self) -> None:
        self.claimed = None
        self.sent.clear()
        super().release()

    def probe(self, name: str) -> Unit:
        return self._store.unit(self.directory / "probes" / name)

    @property
    def own(self) -> int:
        """The number of the claim that this machine did work on which the store may not have; -1 where it has all."""
        try:
            return int(self.unsent.read_text())
        except (OSError, ValueError):
            return -1

    @property
    def number(self) -> int:
        """The claim whose records this machine's copy has; -1 where it has none."""
        number = self.manifest.get("claim", -1)
        return max(self.own, number if isinstance(number, int) else -1)


class Mirror(Store):
    """All records of one benchmark in a store, by way of a copy on this machine."""

    def __init__(self, url: str) -> None:
        """Reads what the store is. One that is empty looks like a results folder without records."""
        never_fork()
        self.bucket = Bucket(url)
        self.url = self.bucket.url
        #: Units that other runners have -> which runner, and how often its lease had been renewed by then.
        self.held: dict[str, tuple[str, int]] = {}
        self.finished: set[str] = set()  # units that other runners had, and have done
        self._units: dict[Path, MirroredUnit] = {}
        self._mine: dict[str, MirroredUnit] = {}
        self._looked = clock()
        self._pool = ThreadPoolExecutor(_THREADS)
        self._error: BaseException | None = None
        self.runner = Runner(self.bucket, self._running)
        self.claims = Claims(self.bucket, self.runner, self._ended)
        self._settle(self.bucket.get_json("store.json"))

    def _settle(self, about: Record | None) -> None:
        self.exists = about is not None
        known = str((about or {}).get("id", "none"))
        name = hashlib.sha256(f"{self.url} {known}".encode()).hexdigest()[:16]
        super().__init__(copies() / name / (self.url.rpartition("/")[2] or "store"))
        self.index = Index(self.bucket, self.root, self.runner.id)
        _open[self.root] = self

    # --- as a results folder -----------------------------------------------------------------------------------------

    @property
    def place(self) -> str:
        return self.url

    @property
    def marks(self) -> Path:
        """A folder with a file for every unit whose records here may be newer than those in the store."""
        return self.root / "unsent"

    def make(self) -> None:
        """Make the store, or find it made. Raises `StorageError` where it does not keep what it promises."""
        made = 0
        for _ in range(2):  # what was made must not be made again
            with suppress(FileExistsError):
                self.bucket.put_json("store.json", {"format": _FORMAT, "id": uuid.uuid4().hex}, new=True)
                made += 1
            if made == 0:
                break
        if made == 2:
            raise StorageError(
                f"{self.url} overwrites an object that is to be made once (If-None-Match), so that two runs could "
                "train the same cell there; use a store that knows conditional writes"
            )
        if not self.exists:
            self._settle(self.bucket.get_json("store.json"))
        self.sync(mend=True)
        self.marks.mkdir(exist_ok=True)
        for path in self.marks.iterdir():  # what was done, and a run of this machine died before it was sent
            unit = self.unit(Path(self._folder(path.name.replace("+", "/"))))
            if unit.status in _OVER and unit.claim():
                unit.release()

    def plan(self, run: Mapping[str, Any], toml: str) -> None:
        super().plan(run, toml)
        for name in ("benchmark.toml", "run.json"):
            self.bucket.put_file(name, self.root / name)

    def unit(self, directory: Path) -> MirroredUnit:
        if directory not in self._units:
            self._units[directory] = MirroredUnit(directory, self)
        return self._units[directory]

    def cell(self, name: str) -> Unit:
        return self.unit(super().cell(name).directory)

    def reference(self, dataset: str) -> Unit:
        return self.unit(super().reference(dataset).directory)

    def retire(self, unit: Unit) -> Path:
        """As `Store.retire`, in the store too, where the old records are a unit of their own."""
        assert isinstance(unit, MirroredUnit)
        claim = unit.claimed
        assert claim is not None
        folder = super().retire(unit)
        old = self.unit(folder)
        record = self._write(old, claim.number, old.manifest)
        self.index.add(old.key, claim.number, _small(folder, record))
        self._manifest(unit.key, claim.number, {**PLANNED, "parcels": {}})
        self.index.known[unit.key] = claim.number
        self._mine.pop(unit.key, None)
        unit.claimed = None
        return folder

    def tables(self) -> Tables:
        for unit in self.references():
            self.complete(unit.directory)
        return super().tables()

    def close(self) -> None:
        """Wait until all is in the store, and give back what this run held. Raises `StorageError` where it fails."""
        try:
            self._pool.shutdown()
            self.check()
            self.index.flush()
        finally:
            self.runner.end()
            self._pool = ThreadPoolExecutor(_THREADS)
        self.sync()

    # --- from the store ----------------------------------------------------------------------------------------------

    def sync(self, *, mend: bool = False) -> None:
        """Bring the copy up to what the store has: the plan, and the small records of every unit that ended.

        With `mend`, what the index lacks is put into it.
        """
        if not self.exists:
            return
        super().make()
        write_json(self.root / "remote.json", {"url": self.url})
        for name in ("benchmark.toml", "run.json"):
            if (content := self.bucket.get(name)) is not None:
                write_atomically(self.root / name, content)
        self.index.read(self._pool, self._apply, self._fetched, mend=mend)

    def _apply(self, key: str, number: int, small: Small) -> None:
        """Write the small files of a unit into the copy, unless what is there is as new."""
        folder = self._folder(key)
        if self.held.pop(key, None) and (json_object(small["manifest.json"].encode()) or {}).get("status") == "done":
            self.finished.add(key)
        try:
            os.makedirs(folder)
        except FileExistsError:
            unit = self.unit(Path(folder))
            if key in self._mine or unit.number >= number:
                return
            for stale in (".have", *SMALL):
                (unit.directory / stale).unlink(missing_ok=True)
        for name, text in small.items():
            if text:
                with open(f"{folder}{os.sep}{name}", "w", encoding="utf-8") as file:
                    file.write(text)

    def _folder(self, key: str) -> str:
        """Where a unit's copy is. Raises `UserError` where the store names none."""
        parts = key.split("/")
        if parts[0] not in _KINDS or len(parts) not in (2, 4) or not all(map(_PART.fullmatch, parts)):
            raise UserError(f"{self.url} holds a record of {key[:80]!r}, which is no unit of work")
        return os.path.join(self.root, *parts)

    def _fetched(self, key: str, number: int) -> Small:
        """The small files of a unit that the index does not have."""
        manifest = self._ended(key, number)
        if manifest is None:
            raise UserError(f"{self.url} has no whole manifests/{key}.{number}.json; delete it, and run again")
        folder = self.root / ".fetched" / uuid.uuid4().hex
        try:
            for name, digest in manifest["parcels"].items():
                if name.startswith("records-"):
                    self._unpack(key, name, digest, folder)
            return _small(folder, manifest)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _unpack(self, key: str, name: str, digest: str, folder: Path) -> None:
        where = f"parcels/{key}/{name}"
        content = self.bucket.get(where)
        if content is None:
            raise UserError(
                f"{self.url}/{where} is missing; delete its manifests/{key}.*, and `ganbench run` makes it anew"
            )
        packing.unpack(content, digest, folder, f"{self.url}/{where}")

    def complete(self, directory: Path) -> None:
        """Bring what a unit has beyond its small records: pictures, snapshots, its log."""
        unit = Unit(directory)
        sent, have = unit.manifest.get("parcels", {}), read_json(directory / ".have") or {}
        for name, digest in sent.items():
            if have.get(name) != digest and not name.startswith("checkpoint-"):
                self._unpack(directory.relative_to(self.root).as_posix(), name, digest, directory)
        if sent and have != sent:
            write_json(directory / ".have", sent, durable=False)

    def look(self) -> None:
        """Now and then, see what became of the units that other runners have. Raises what an upload ended with."""
        self.check()
        if not self.held or clock() - self._looked < (_LOOK_BUSY if self._mine else _LOOK):
            return
        self.index.read_new(self._pool, self._apply)
        for key, (runner, beat) in list(self.held.items()):
            about = self.claims.others.look(runner) or {}
            if key in about.get("running", {}):
                continue
            number = about.get("ended", {}).get(key)
            if number is not None and (left := self._ended(key, number)):
                self._heard(key, left)
            elif about.get("beat", 0) != beat:  # it is dead, or has it no longer; the next claim tells
                del self.held[key]
        self._looked = clock()

    def _heard(self, key: str, left: Record) -> None:
        """How another runner ended a unit, for whoever asks what is left to do; its records come with the index."""
        self.held.pop(key, None)
        if left["status"] == "done":
            self.finished.add(key)
            folder = Path(self._folder(key))
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / "manifest.json", _bare(left), durable=False)

    def elsewhere(self) -> dict[str, Record]:
        """Cell -> progress, of all that is at work now, as the runners said last."""
        found: dict[str, Record] = {}
        for name in self.bucket.list("runners"):
            about = self.bucket.get_json(name) or {}
            if leases.recent(about):
                found |= {key.removeprefix("cells/"): facts for key, facts in about.get("running", {}).items()}
        return found

    # --- claims ------------------------------------------------------------------------------------------------------

    def take(self, unit: MirroredUnit, *, again: bool = True) -> bool:
        """Claim a unit among all machines, and bring what its last holder left; False where somebody has it.

        Unless `again`, what is done by now is not claimed, and there is nothing to hold.
        """
        known = max(unit.own, self.index.known.get(unit.key, -1))
        claim = self.claims.take(unit.key, known + 1, again=again)
        if isinstance(claim, str):
            about = self.claims.others.look(claim) or {}
            more = about.get("running", {}).keys() - self.index.known.keys()
            self.held |= dict.fromkeys((unit.key, *more), (claim, about.get("beat", 0)))
            return False
        if isinstance(claim, Ended):
            self._heard(unit.key, claim.left)
            unit.fresh = False
            return True
        unit.directory.mkdir(parents=True, exist_ok=True)
        if brought := not claim.number or unit.own != claim.number - 1:
            self._bring(unit, claim)
        unit.fresh &= not claim.before
        unit.unsent.write_text(str(claim.number))
        unit.claimed, unit.lapses, unit.kept = claim, self.runner.lapses, clock()
        unit.found = unit.manifest if brought or _is_end(claim.before, claim.number - 1) else dict(PLANNED)
        self._mine[unit.key] = unit
        return True

    def _bring(self, unit: MirroredUnit, claim: Claim) -> None:
        """What the holder before left, in the place of whatever is here."""
        for path in [unit.directory / "manifest.json", *unit.checkpoints(), *packing.files(unit)]:
            path.unlink(missing_ok=True)
        for name, digest in claim.before.get("parcels", {}).items():
            self._unpack(unit.key, name, digest, unit.directory)
        if claim.before.get("parcels"):
            write_json(unit.directory / "manifest.json", _bare(claim.before))

    def _ended(self, key: str, number: int) -> Record | None:
        """How a claim ended; None where it has not."""
        record = self.bucket.get_json(f"manifests/{key}.{number}.json")
        if record is None or not isinstance(record.get("parcels"), dict) or "status" not in record:
            return None
        return {**record, "claim": number}

    def give(self, unit: MirroredUnit) -> None:
        """Send a unit's records in a thread of their own, and let go of it."""
        self._pool.submit(self._give, unit).add_done_callback(self._given)

    def _given(self, upload: Future[None]) -> None:
        self._error = self._error or upload.exception()

    def check(self) -> None:
        """Raise what an upload ended with."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _give(self, unit: MirroredUnit) -> None:
        claim = unit.claimed
        assert claim is not None
        try:
            with unit.sending:
                if unit.manifest == unit.found:  # nothing was done
                    self.claims.give_back(claim)
                elif self._is_mine(unit, claim):
                    record = self._write(unit, claim.number, unit.manifest)
                    self._forget(unit, record["parcels"])
                    self.index.add(unit.key, claim.number, _small(unit.directory, record))
                unit.unsent.unlink(missing_ok=True)
        finally:
            self._mine.pop(unit.key, None)
            unit.let_go()

    def _is_mine(self, unit: MirroredUnit, claim: Claim) -> bool:
        """Whether what was done under a claim counts: the lease has not run out, or nobody took the unit since."""
        if not self.runner.lapsed(unit.lapses):
            return True
        self.runner.renew()
        return self.claims.is_mine(claim)

    def _write(self, unit: MirroredUnit, number: int, manifest: Record) -> Record:
        """All of a unit's parcels, and the manifest after them; the manifest as it is there."""
        record = {**_bare(manifest), "parcels": self._send(unit, done=manifest["status"] in _OVER)}
        self._manifest(unit.key, number, record)
        return {**record, "claim": number}

    def _manifest(self, key: str, number: int, record: Record) -> None:
        with suppress(FileExistsError):  # it is this one: the answer to an earlier try was lost
            self.bucket.put_json(f"manifests/{key}.{number}.json", record, new=True)

    def _send(self, unit: MirroredUnit, *, done: bool) -> Record:
        """Upload the parcels that the store does not have; name -> SHA-256 of all of them."""
        named = {}
        for name, content in packing.pack(unit, done=done):
            if name not in unit.sent:
                self.bucket.put(f"parcels/{unit.key}/{name}", content)
                unit.sent.add(name)
            named[name] = hashlib.sha256(content).hexdigest()
        return named

    # --- while it runs -----------------------------------------------------------------------------------------------

    def _running(self) -> Record:
        """What this runner tells of itself; what it is at work on is uploaded now and then."""
        running = dict(self._mine)
        for unit in running.values():
            if clock() - unit.kept > _states():
                unit.kept = clock()
                with suppress(RuntimeError):  # the run is just ending
                    self._pool.submit(self._keep, unit)
        return {"running": {key: unit.progress() for key, unit in running.items()}, "ended": self.index.pending}

    def _keep(self, unit: MirroredUnit) -> None:
        """Upload what another machine goes on from, should this one die; where that fails, the next time."""
        with unit.sending, suppress(StorageError):
            claim = unit.claimed
            if claim is None or not unit.checkpoints() or not self._is_mine(unit, claim):
                return
            manifest = unit.manifest
            state = {**_bare(manifest), "claim": claim.number, "parcels": self._send(unit, done=False)}
            self.claims.keep(claim, state)
            self._forget(unit, state["parcels"])

    def _forget(self, unit: MirroredUnit, named: Record) -> None:
        """Delete the parcels that this claim has sent and that nothing names any more."""
        for name in unit.sent - named.keys():
            self.bucket.delete(f"parcels/{unit.key}/{name}")
            unit.sent.remove(name)


def _is_end(left: Record, number: int) -> bool:
    """Whether what was left is how that claim ended, and not what it would have been gone on with from."""
    return left.get("claim") == number and left.get("status") != "running"


def _small(folder: Path, manifest: Record) -> Small:
    """The small files of a unit, with the manifest that the store has."""
    texts = {}
    for name in SMALL:
        with suppress(FileNotFoundError):
            texts[name] = (folder / name).read_text(encoding="utf-8", errors="replace")
    return {**texts, "manifest.json": json.dumps(manifest)}


def _bare(manifest: Record) -> Record:
    """A manifest without what the store adds to it."""
    return {name: value for name, value in manifest.items() if name not in ("claim", "parcels")}


_open: dict[Path, Mirror] = {}


def complete(directory: Path) -> None:
    """Bring all of a unit's files here, where its results folder is the copy of a store."""
    if (mirror := _open.get(directory.parent.parent)) is not None:
        mirror.complete(directory)
