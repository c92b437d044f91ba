"""Locks of the operating system: free as soon as whoever held one is dead, so that none is ever stale."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout


def take(path: Path) -> Callable[[], None] | None:
    """Lock the file `path`, made where there is none: what releases it, or None where another process has it.

    The same lock as filelock's, which looks at the folder ten times for each: too often for thousands of cells.
    """
    if sys.platform == "win32":
        lock = FileLock(path, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        return lock.release
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise
    return lambda: os.close(descriptor)


def room_for(locks: int) -> None:
    """Let this process hold so many locks at once, as far as the system allows: each is an open file."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = locks + 256  # what else is open: pipes of workers, records that are read
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
