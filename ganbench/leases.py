"""Who is at work on what, in a store that several machines share and that knows no locks.

A claim is an object that can be made only once (``claims/<key>.<n>``) and names its runner, the process that holds it.
A runner lives as long as it renews its own object (``runners/<id>.json``), a few times a minute for all its claims at
once. Whoever wants what a dead runner held, or what was given back, makes the claim of the next number, so that two
never get the same one. No clock has to be right: a runner is dead when its object has not changed for the length of a
lease, by the clock of whoever watches it; one of this machine as soon as its process is gone.
"""

from __future__ import annotations

import datetime
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ganbench.bucket import Bucket
from ganbench.errors import StorageError
from ganbench.store import Record, now

_LEASE = 60.0  # seconds
_PARTS = 4  # a lease is renewed so many times in its length


def lease_seconds() -> float:
    """After how long without a sign of life a runner's claims are free: ``$GANBENCH_LEASE``, else a minute."""
    try:
        return max(1.0, float(os.environ.get("GANBENCH_LEASE") or _LEASE))
    except ValueError:
        return _LEASE


def clock() -> float:
    """Seconds that also pass while the machine sleeps, where the system can tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True)
class Claim:
    """A claim that this process holds: of what, its number, and what the holder before left (empty: nothing)."""

    key: str
    number: int
    before: Record = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """A claim that is over, with what its holder left; in the place of a claim where nothing is to be done again."""

    number: int
    left: Record


class Runner:
    """The process among those that share a store: it renews its lease from the first claim on, until `end`."""

    def __init__(self, bucket: Bucket, facts: Callable[[], Record] = dict) -> None:
        """`facts`: what else the runner's object tells, asked for at every renewal in a thread of its own."""
        self.bucket, self.id = bucket, uuid.uuid4().hex[:16]
        self._facts, self._beat = facts, 0
        self._renewed, self.lapses = float("-inf"), 0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def begin(self) -> None:
        """From now on the lease is renewed."""
        with self._starting:
            if self._thread is None:
                self.renew()
                self._thread = threading.Thread(target=self._beating, daemon=True)
                self._thread.start()

    def renew(self) -> None:
        """Say that this runner lives. Where it was silent for longer than a lease, its claims may be others' by now."""
        said = clock()
        if said - self._renewed > lease_seconds() and self._beat:
            self.lapses += 1
        self._beat += 1
        about = {"beat": self._beat, "host": platform.node(), "process": _process(), "time": now(), **self._facts()}
        self.bucket.put_json(f"runners/{self.id}.json", about)
        self._renewed = said

    def lapsed(self, since: int) -> bool:
        """Whether the lease ran out after `lapses` was `since`."""
        return self.lapses != since or (self._beat > 0 and clock() - self._renewed > lease_seconds())

    def _beating(self) -> None:
        while not self._over.wait(lease_seconds() / _PARTS):
            with suppress(StorageError):  # whoever uploads says so; the next renewal counts the lapse
                self.renew()

    def end(self) -> None:
        """All claims are free."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            with suppress(StorageError):
                self.bucket.delete(f"runners/{self.id}.json")


class Others:
    """The other runners of a store, as far as they were looked at."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._beats: dict[str, tuple[int, float]] = {}  # runner -> its last beat, and when that was new
        self._looked: dict[str, tuple[float, Record | None]] = {}

    def look(self, runner: str, within: float = 1.0) -> Record | None:
        """What it says of itself, by a look that is not older than `within` seconds; None where it is dead."""
        looked, about = self._looked.get(runner, (float("-inf"), None))
        if clock() - looked > within:
            about = self._bucket.get_json(f"runners/{runner}.json")
            about = about if about is not None and self._lives(about, runner) else None
            self._looked[runner] = (clock(), about)
        return about

    def _lives(self, about: Record, runner: str) -> bool:
        if _is_gone(str(about.get("process", ""))):
            return False
        beat = about.get("beat", 0)
        known, since = self._beats.get(runner, (None, 0.0))
        if known != beat:
            self._beats[runner] = (beat, clock())
            return True
        return clock() - since <= lease_seconds()


class Claims:
    """The claims that this runner makes."""

    def __init__(self, bucket: Bucket, runner: Runner, ended: Callable[[str, int], Record | None]) -> None:
        """`ended`: what the holder of a claim (key, number) left at its end; None while it is held."""
        self.bucket, self.runner, self.others, self._ended = bucket, runner, Others(bucket), ended

    def take(self, key: str, first: int = 0, *, again: bool = True) -> Claim | Ended | str:
        """The claim on `key`, from number `first` on; or the id of the runner that has it.

        Unless `again`, what was done by others since is not claimed another time.
        """
        self.runner.begin()
        before: Record = {}
        number = first
        if first:
            before = self._ended(key, first - 1) or {}
        while True:
            try:
                self.bucket.put_json(self._name(key, number), {"runner": self.runner.id, "before": before}, new=True)
                return Claim(key, number, before)
            except FileExistsError:
                pass
            found = self.bucket.get_json(self._name(key, number)) or {}
            holder = str(found.get("runner", "unknown"))
            about = self.others.look(holder) if holder not in ("", self.runner.id) else None
            if about is not None and key in about.get("running", {}):
                return holder
            left = self._ended(key, number)
            if left is None and about is not None:
                return holder
            if not again and left is not None and left.get("status") == "done":
                return Ended(number, left)
            before = found.get("before", {}) if left is None else left
            number += 1

    def keep(self, claim: Claim, state: Record) -> None:
        """Write down what whoever comes after this runner's death goes on from."""
        self.bucket.put_json(self._name(claim.key, claim.number), {"runner": self.runner.id, "before": state})

    def give_back(self, claim: Claim) -> None:
        """Somebody else may have it, as it was."""
        self.bucket.put_json(self._name(claim.key, claim.number), {"runner": "", "before": claim.before})

    def is_mine(self, claim: Claim) -> bool:
        """Whether nobody took it since: to be asked where the lease has lapsed."""
        return self.bucket.get(self._name(claim.key, claim.number + 1)) is None

    @staticmethod
    def _name(key: str, number: int) -> str:
        return f"claims/{key}.{number}"


def recent(about: Record) -> bool:
    """Whether a runner lives by what its object says and both machines' clocks: to be shown, not to be relied on."""
    if _is_gone(str(about.get("process", ""))):
        return False
    try:
        said = datetime.datetime.fromisoformat(str(about.get("time"))).timestamp()
    except ValueError:
        return False
    return abs(time.time() - said) < 2 * lease_seconds()


def _process() -> str:
    """The name of this process, which no other has; empty where the system does not tell."""
    return _described(os.getpid())


def _described(pid: int) -> str:
    """Boot, process namespace, number and start of a process. Empty where the system does not tell, or it is gone."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if stat[0] in "ZX" else f"{boot} {os.stat('/proc/self/ns/pid').st_ino} {pid} {stat[19]}"
    except (OSError, IndexError):
        return ""


def _is_gone(process: str) -> bool:
    """Whether it is known to be dead: it was one of this boot and namespace."""
    own, parts = _process().split(), process.split()
    if len(parts) != 4 or parts[:2] != own[:2]:
        return False
    return _described(int(parts[2])) != process
