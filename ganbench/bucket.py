"""Objects in an fsspec store (S3, Google Cloud Storage, a folder): read, written whole, made once, listed, counted.

fsspec is imported when a URL is opened, and not before. What goes wrong is one sentence: which store, what, what to do.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ganbench.errors import StorageError, UserError, on_one_line
from ganbench.store import Record, json_object

#: Which package knows a protocol, where ganbench has an extra for it.
_EXTRAS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
_PAUSES = (1.0, 3.0, 9.0)  # seconds between tries of what a network may have lost
_PAGE = 1000  # objects that one request of a listing tells of


class Bucket:
    """The objects below one URL.

    `counts` says how many requests of which kind were made: ``get``, ``put`` (also of what must be new), ``list`` (one
    per thousand objects), ``delete``.
    """

    def __init__(self, url: str) -> None:
        """Raises `UserError` for a protocol that is not known or whose package is not installed."""
        self.url = url.rstrip("/")
        self.counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._reached, self._process = False, os.getpid()
        protocol = self.url.partition("://")[0].lower()
        self._options: dict[str, Any] = {"use_listings_cache": False}
        if protocol in ("s3", "s3a"):
            self._options["max_concurrency"] = 1  # with more, s3fs asks for the size of an object before it reads one
        try:
            import fsspec

            self._files, self._root = fsspec.core.url_to_fs(self.url, **self._options)
        except ImportError as error:
            package = "fsspec" if error.name == "fsspec" else _EXTRAS.get(protocol, "")
            extra = {"s3fs": "s3", "gcsfs": "gs"}.get(package, "s3")
            how = f"pip install 'ganbench[{extra}]'" if package else on_one_line(str(error))
            raise UserError(f"{self.url} needs {package or 'a package'} that is not installed: {how}") from None
        except ValueError as error:
            known = "s3://, gs:// and file:// are known, and what else fsspec has a package for"
            raise UserError(f"{self.url} is no store ({on_one_line(str(error), 200)}): {known}") from None
        self._local = protocol in ("file", "local")

    def _files_here(self) -> Any:
        """What speaks with the store, made anew in a fork: its thread and connections are the parent's."""
        if os.getpid() != self._process:
            import fsspec

            self._files, _ = fsspec.core.url_to_fs(self.url, skip_instance_cache=True, **self._options)
            self._process = os.getpid()
        return self._files

    def get(self, key: str) -> bytes | None:
        """The object's content, or None where there is none."""
        try:
            return self._call("get", self._files_here().cat_file, self._path(key))
        except FileNotFoundError as error:
            self._must_exist(error)
            return None

    def get_json(self, key: str) -> Record | None:
        """The JSON object that it holds, or None where there is none, or it is none."""
        content = self.get(key)
        return None if content is None else json_object(content)

    def put(self, key: str, content: bytes, *, new: bool = False) -> None:
        """Write the object whole. With `new`, raises `FileExistsError` where there is one already."""
        path = self._path(key)
        mode = "create" if new else "overwrite"
        write: Callable[..., Any] = _write_file if self._local else self._files_here().pipe_file
        try:
            self._call("put", write, path, content, mode=mode)
        except FileNotFoundError as error:
            raise self._lost(error) from error

    def put_json(self, key: str, record: Mapping[str, Any], *, new: bool = False) -> None:
        self.put(key, json.dumps(record).encode(), new=new)

    def put_file(self, key: str, path: Path) -> None:
        """Write an object from a file, of any size."""
        if self._local:
            self.put(key, path.read_bytes())
            return
        try:
            self._call("put", self._files_here().put_file, str(path), self._path(key))
        except FileNotFoundError as error:
            raise self._lost(error) from error

    def get_file(self, key: str, path: Path) -> bool:
        """Read an object of any size into a file; False where there is none."""
        try:
            self._call("get", self._files_here().get_file, self._path(key), str(path))
        except FileNotFoundError as error:
            self._must_exist(error)
            return False
        return True

    def list(self, folder: str) -> list[str]:
        """The keys of all objects below `folder`, in order."""
        start = len(self._path(""))
        found = self._call("list", self._files_here().find, self._path(folder))
        # One per page; where nothing is found, fsspec asks whether there is an object of that name.
        self._count("list", max(1, -(-len(found) // _PAGE)) - 1 if found else 1)
        return sorted(path[start:] for path in found if not path.rpartition("/")[2].startswith(".tmp-"))

    def delete(self, key: str) -> None:
        with suppress(FileNotFoundError):
            self._call("delete", self._files_here().rm_file, self._path(key))

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"

    def _count(self, kind: str, times: int = 1) -> None:
        with self._counting:  # uploads run in threads
            self.counts[kind] += times

    def _call(self, kind: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """The result of a request, tried again where the network may have lost it. Raises `StorageError`."""
        pauses = iter(_PAUSES if self._reached else ())
        while True:
            self._count(kind)
            try:
                found = function(*arguments, **options)
            except (FileNotFoundError, FileExistsError):
                raise
            except Exception as error:  # each package has exceptions of its own
                pause = None if isinstance(error, PermissionError) else next(pauses, None)
                if pause is None:
                    raise self._lost(error) from error
                time.sleep(pause)
            else:
                self._reached = True
                return found

    def _must_exist(self, error: FileNotFoundError) -> None:
        """Raise where it is not the object that is missing, but the bucket."""
        if "bucket does not exist" in str(error):
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> StorageError:
        kind, text = type(error).__name__, on_one_line(str(error), 300)
        if "bucket does not exist" in text or isinstance(error, FileNotFoundError):
            return StorageError(f"{self.url}: there is no such bucket; make it first, or name another with --results")
        if "Credentials" in kind:
            how = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in as this store wants it"
            return StorageError(f"{self.url} needs credentials, and there are none: {how}")
        if isinstance(error, PermissionError):
            return StorageError(f"{self.url} may not be used with these credentials ({text}); ask for access to it")
        where = os.environ.get("AWS_ENDPOINT_URL", "")
        at = f" at {where}" if where and self.url.startswith("s3") else ""
        return StorageError(
            f"{self.url} cannot be reached{at} ({kind}: {text}); all that it has is whole, and the same command goes "
            "on from there once it can be"
        )


def _write_file(path: str, content: bytes, *, mode: str) -> None:
    """As an object store writes: whole or not at all, and with ``create`` only where there is nothing yet."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(content)
        if mode == "create":
            os.link(temporary, target)
            return
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
