"""Locks of the operating system: free as soon as whoever held one is dead, so that none is ever stale.

All units of a folder are locked in one file beside them, which stays empty, each by a byte of its own: a lock costs one
call, and no open file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

FILE = ".claims"
#: Linux has locks that belong to an open file. Those of POSIX belong to the process, and it loses all that it has in a
#: file when it closes any descriptor of that, such as that of a copy it makes.
_OF_OPEN_FILES = sys.platform == "linux" and sys.maxsize > 2**32
_FLOCK = "hhqqi4x"  # struct flock there: type, whence, start, length, process


class _File(NamedTuple):
    """A file that this process has locked bytes of, by one descriptor, which the system lets lock a byte twice."""

    path: Path
    descriptor: int
    taken: set[int]

    def free(self, byte: int) -> None:
        with suppress(OSError):  # it is free when the file is closed, at the latest
            _lock(self.descriptor, byte, fcntl.LOCK_UN)
        self.taken.remove(byte)
        if not self.taken:
            del _files[self.path]
            os.close(self.descriptor)


_files: dict[Path, _File] = {}
_guard = threading.Lock()


def take(directory: Path) -> Callable[[], None] | None:
    """Lock a unit by the name of its directory: what releases it, or None where somebody has it, this process included.

    It stays locked when the directory is renamed. Raises `OSError` where the folder of units knows no locks.
    """
    if sys.platform == "win32":
        lock = FileLock(directory / ".claim", thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        return lock.release
    path, byte = _place(directory)
    with _guard:
        if (file := _files.get(path)) is None:
            file = _File(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), set())
            _files[path] = file
        if byte in file.taken:
            return None
        file.taken.add(byte)
        try:
            _lock(file.descriptor, byte, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException as error:
            file.free(byte)
            if isinstance(error, OSError) and _is_taken(error):
                return None
            raise

    def release() -> None:
        with _guard:
            if byte in file.taken:  # not in a process that was forked since
                file.free(byte)

    return release


def held(directory: Path) -> bool:
    """Whether somebody has the lock of a unit. No file is made, and to be allowed to read is enough."""
    path, byte = _place(directory)
    with _guard:
        if (file := _files.get(path)) is not None:
            return byte in file.taken or _is_locked(file.descriptor, byte)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError:  # nobody ever locked anything there
            return False
        try:
            return _is_locked(descriptor, byte)
        finally:
            os.close(descriptor)


def _place(directory: Path) -> tuple[Path, int]:
    """The file that a unit is locked in, and by which byte: a hash of its name.

    It has 62 bits, so that it is an offset everywhere. Were two names to have the same (by the odds in one folder of
    100,000 units out of 10⁹), one unit would wait for the other.
    """
    digest = hashlib.sha256(os.fsencode(directory.name)).digest()
    folder = directory.parent if _OF_OPEN_FILES else directory.parent.resolve()  # a process has one descriptor of it
    return folder / FILE, int.from_bytes(digest[:8]) >> 2


def _is_taken(error: OSError) -> bool:
    return error.errno in (errno.EAGAIN, errno.EACCES)


if sys.platform != "win32":
    import fcntl

    def _lock(descriptor: int, byte: int, how: int) -> None:
        """As `fcntl.lockf`. Raises `OSError`."""
        if _OF_OPEN_FILES:
            kind = fcntl.F_WRLCK if how & fcntl.LOCK_EX else fcntl.F_UNLCK
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0))
        else:
            fcntl.lockf(descriptor, how, 1, byte)

    def _is_locked(descriptor: int, byte: int) -> bool:
        """Whether another open file, or another process, has the byte."""
        if _OF_OPEN_FILES:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
            kind: int = struct.unpack_from("h", fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))[0]
            return kind != fcntl.F_UNLCK
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, byte)
        except OSError as error:
            return _is_taken(error)
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, byte)
        return False

    def _forked() -> None:
        """A child has none of its parent's locks: it must not release them, nor keep them when the parent is dead."""
        for file in _files.values():
            os.close(file.descriptor)
            file.taken.clear()
        _files.clear()
        _guard.release()

    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_forked)
