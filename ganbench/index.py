"""The small records of many units in few objects, so that 100,000 cells are listed and read in seconds.

A segment (``index/<runner>-<n>.json.gz``) has a line per unit that ended: its key, the number of its claim, and the
texts of its small files (task, manifest, events), which need not be parsed to be written again. Segments are derived
from manifests and parcels. What they lack, because a runner died before it wrote one or somebody deleted them, is read
from those, and written into a new segment by the next run.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path

from ganbench.bucket import Bucket
from ganbench.leases import clock
from ganbench.store import json_lines, read_json, write_json

_UNITS = 256  # of one segment
_PATIENCE = 300.0  # seconds that an entry waits for others before a smaller segment is written
_NUMBERED = re.compile(r"manifests/(.+)\.(\d+)\.json")

#: Which they are; the one that makes the others whole comes last.
SMALL = ("cell.json", "task.json", "events.jsonl", "manifest.json")
#: Their names and texts; without text where there is none.
Small = dict[str, str]
Apply = Callable[[str, int, Small], None]


class Index:
    """What this machine's copy knows of the units of a store that ended."""

    def __init__(self, bucket: Bucket, root: Path, runner: str) -> None:
        self._bucket, self._runner = bucket, runner
        self._kept = root / "index.json"
        kept = read_json(self._kept) or {}
        self.known: dict[str, int] = dict(kept.get("known", {}))  # unit -> the number of the claim that ended last
        self._read: set[str] = set(kept.get("segments", ()))
        self._pending: dict[str, tuple[int, Small]] = {}
        self._since = 0.0
        self._segments = 0
        self._lock = threading.Lock()

    def read(self, pool: Executor, apply: Apply, fetch: Callable[[str, int], Small], *, mend: bool) -> None:
        """Hand all that is new to `apply` (key, number, small files): from segments, and what these lack by `fetch`.

        With `mend`, what they lacked is going to be in the next segment.
        """
        self.read_new(pool, apply)
        ended: dict[str, int] = {}
        for name in self._bucket.list("manifests"):
            if found := _NUMBERED.fullmatch(name):
                ended[found[1]] = max(int(found[2]), ended.get(found[1], -1))
        lacking = [(key, number) for key, number in ended.items() if number > self.known.get(key, -1)]
        for (key, number), small in zip(lacking, pool.map(lambda each: fetch(*each), lacking), strict=True):
            apply(key, number, small)
            self.known[key] = number
            if mend:
                self.add(key, number, small)
        self._keep()

    def read_new(self, pool: Executor, apply: Apply) -> None:
        """The same of new segments alone, which takes one request where there are none."""
        new = [name for name in self._bucket.list("index") if name not in self._read]
        for name, content in zip(new, pool.map(self._bucket.get, new), strict=True):
            for key, number, small in _entries(content or b""):
                if number > self.known.get(key, -1):
                    apply(key, number, small)
                    self.known[key] = number
            self._read.add(name)
        if new:
            self._keep()

    def add(self, key: str, number: int, small: Small) -> None:
        """A unit has ended; a segment is written as soon as there are enough of them."""
        with self._lock:
            self.known[key] = number
            self._since = self._since if self._pending else clock()
            self._pending[key] = (number, small)
            due = len(self._pending) >= _UNITS or clock() - self._since > _PATIENCE
        if due:
            self.flush()

    @property
    def pending(self) -> dict[str, int]:
        """The units that ended and are in no segment yet, with the numbers of their claims."""
        with self._lock:
            return {key: number for key, (number, _) in self._pending.items()}

    def flush(self) -> None:
        """Write a segment of all that is in none."""
        with self._lock:
            entries, self._pending = self._pending, {}
            self._segments += bool(entries)
            name = f"index/{self._runner}-{self._segments:06d}.json.gz"
            self._read.add(name)
        if not entries:
            return
        lines = (json.dumps({"key": key, "claim": n, "files": small}) for key, (n, small) in entries.items())
        try:
            self._bucket.put(name, gzip.compress("\n".join(lines).encode(), 6, mtime=0))
        except BaseException:
            with self._lock:
                self._pending = {**entries, **self._pending}
            raise
        self._keep()

    def _keep(self) -> None:
        with self._lock:
            record = {"segments": sorted(self._read), "known": dict(self.known)}
        if self._kept.parent.is_dir():
            write_json(self._kept, record, durable=False)


def _entries(content: bytes) -> Iterator[tuple[str, int, Small]]:
    """Key, number and small files of each line of a segment; of one that is damaged, those up to there."""
    try:
        lines = json_lines(gzip.decompress(content))
    except (OSError, EOFError, ValueError):
        return
    for line in lines:
        try:
            yield str(line["key"]), int(line["claim"]), {name: str(line["files"].get(name, "")) for name in SMALL}
        except (KeyError, TypeError, ValueError, AttributeError):
            return
