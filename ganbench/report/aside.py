"""Work in a second process that knows all that this one does, so that nothing has to be handed over."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from ganbench.errors import GanbenchError

Result = TypeVar("Result")


def aside(work: Callable[[], Result]) -> Callable[[], Result]:
    """Begin `work` in a fork of this process; calling what comes back waits for what it returns, or raises.

    Where forks are not safe (all but Linux) it is done when it is called for. Raises `GanbenchError` when the process
    died of it.
    """
    if sys.platform != "linux":
        return work
    forking = multiprocessing.get_context("fork")
    ours, theirs = forking.Pipe(duplex=False)
    process = forking.Process(target=_do, args=(work, theirs), daemon=True)
    process.start()
    theirs.close()

    def result() -> Result:
        try:
            done, found = ours.recv()
        except EOFError:
            process.join()
            raise GanbenchError(
                f"the process that drew the pictures ended with exit code {process.exitcode} (-9: killed, perhaps for "
                "lack of memory); --pictures none leaves them out"
            ) from None
        process.join()
        if not done:
            raise found
        kept: Result = found
        return kept

    return result


def _do(work: Callable[[], Any], connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the main process, with which this one ends
    try:
        connection.send((True, work()))
    except Exception as error:
        connection.send((False, error))
