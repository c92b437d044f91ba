"""Prepared datasets and trained classifiers of a store: made by one of all machines that need them, and fetched by the
rest.

They are kept beside the benchmarks, for all of one URL (``s3://bucket/prefix/.shared``)::

    claims/<item>.<n>, runners/<id>.json    who is making it (ganbench.leases)
    content/<item>/<sha256>                 its files
    items/<item>.json                       their names, with these hashes: written last, and once
"""

from __future__ import annotations

import hashlib
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ganbench.bucket import Bucket
from ganbench.data import data_root
from ganbench.errors import UserError
from ganbench.leases import Claim, Claims, Runner
from ganbench.mirror import copies
from ganbench.store import Record, read_json, sha256

_WAIT = 1.0  # seconds between looks at what another process makes

Say = Callable[[str], None]


class Shared:
    """What the benchmarks of one URL share. Raises `StorageError` where it cannot be reached."""

    def __init__(self, url: str, *, offer: bool = False) -> None:
        """`offer`: what was prepared on this machine already is given to the others."""
        self.bucket, self.offer = Bucket(url), offer

    @property
    def kept(self) -> Path:
        """Where on this machine what was trained for this store is, apart from what other results were scored with."""
        return copies() / hashlib.sha256(self.bucket.url.encode()).hexdigest()[:16]

    @contextmanager
    def turn(self, item: str, folder: Path, names: Callable[[], Sequence[str]], what: str, say: Say) -> Iterator[None]:
        """Inside, the files `names` of an item are in `folder`, or this is the one process that makes them.

        `names` are none where the item is not there; the last one makes it whole. The caller holds this machine's lock.
        """
        if names():
            if self.offer and self._about(item) is None:
                self._give(item, folder, names())
            yield
            return
        runner = Runner(self.bucket)
        claims = Claims(self.bucket, runner, lambda key, number: None)
        try:
            claim = self._claimed(claims, item, folder, what, say)
            try:
                if claim is not None and (known := data_root() / item).is_file():
                    shutil.copyfile(known, folder / known.name)  # this machine made it for other results
                yield
                if claim is not None and names():
                    self._give(item, folder, names())
            finally:
                if claim is not None:
                    claims.give_back(claim)
        finally:
            runner.end()

    def _claimed(self, claims: Claims, item: str, folder: Path, what: str, say: Say) -> Claim | None:
        """The claim to make an item; None where it was fetched."""
        said = False
        while True:
            if self.fetch(item, folder):
                return None
            claim = claims.take(item)
            if isinstance(claim, Claim):
                if self.fetch(item, folder):  # it was made, and given back, between the two
                    claims.give_back(claim)
                    return None
                return claim
            if not said:
                said = True
                say(f"waiting for {what}, which another machine is making")
            time.sleep(_WAIT)

    def fetch(self, item: str, folder: Path) -> bool:
        """Bring an item's files into `folder`, the last of them last; False where the store has none.

        Raises `UserError` where one does not fit its checksum.
        """
        if (about := self._about(item)) is None:
            return False
        folder.mkdir(parents=True, exist_ok=True)
        for name, digest in about["files"].items():
            where, path = f"content/{item}/{digest}", folder / Path(name).name
            temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
            try:
                if not self.bucket.get_file(where, temporary) or sha256(temporary) != digest:
                    raise UserError(
                        f"{self.bucket.url}/{where} is missing or does not fit its checksum; delete items/{item}.json "
                        "there, and it is made anew"
                    )
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        return True

    def _give(self, item: str, folder: Path, names: Sequence[str]) -> None:
        files = {name: sha256(folder / name) for name in names}
        for name, digest in files.items():
            self.bucket.put_file(f"content/{item}/{digest}", folder / name)
        with suppress(FileExistsError):  # the first has the word
            self.bucket.put_json(f"items/{item}.json", {"files": files}, new=True)

    def _about(self, item: str) -> Record | None:
        about = self.bucket.get_json(f"items/{item}.json")
        return about if about is not None and isinstance(about.get("files"), dict) else None


def beside(url: str) -> str:
    """Where what the benchmark at `url` shares with others is."""
    return f"{url.rpartition('/')[0]}/.shared"


def of(directory: Path, *, offer: bool = False) -> Shared | None:
    """What the unit of work in `directory` shares; None where its results folder is not the copy of a store."""
    for root in directory.absolute().parents[1:4]:
        if root.parent.parent == copies() and (about := read_json(root / "remote.json")):
            return Shared(beside(str(about["url"])), offer=offer)
    return None
