"""Work in a fork of this process, which knows all that this one does, so that nothing has to be handed over.

Where forks are not safe the work is done here: on all but Linux, and where a store was opened, whose threads and
connections a fork would not have.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from ganbench.errors import GanbenchError

Item = TypeVar("Item")
Result = TypeVar("Result")
_FORKS = sys.platform == "linux"
LARGE = 5_000  # with more cells than this a fork is worth it


def never_fork() -> None:
    """Do all work here from now on."""
    global _FORKS
    _FORKS = False


def aside(work: Callable[[], Result], instead: str) -> Callable[[], Result]:
    """Begin `work` in a fork; calling what comes back waits for what it returns, or raises.

    Raises `GanbenchError` when the process died of it; `instead` then says what to do about it.
    """
    if not _FORKS:
        return work
    process, ours = _forked(lambda connection: _answer(work, connection))

    def result() -> Result:
        try:
            done, found = ours.recv()
        except EOFError:
            process.join()
            raise GanbenchError(
                f"a second process ended with exit code {process.exitcode} (-9: killed, perhaps for lack of memory); "
                f"{instead}"
            ) from None
        process.join()
        if not done:
            raise found
        kept: Result = found
        return kept

    return result


def halved(work: Callable[[Sequence[Item]], Result], items: Sequence[Item], chunk: int = 500) -> Iterator[Result]:
    """What `work` makes of each `chunk` of the items, in order; of more than `LARGE` items a fork does every other."""
    chunks = [items[start : start + chunk] for start in range(0, len(items), chunk)]
    if not _FORKS or len(items) <= LARGE:
        yield from map(work, chunks)
        return

    def every_other(connection: Connection) -> None:
        for some in chunks[1::2]:
            connection.send(work(some))

    process, ours = _forked(every_other)
    for number, some in enumerate(chunks):
        found = None
        if number % 2:
            with suppress(EOFError):  # it raised, or was killed: then that is done here, to raise here
                found = ours.recv()
        yield work(some) if found is None else found
    process.join()


def _forked(work: Callable[[Connection], None]) -> tuple[BaseProcess, Connection]:
    forking = multiprocessing.get_context("fork")
    ours, theirs = forking.Pipe(duplex=False)
    process = forking.Process(target=_do, args=(work, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _do(work: Callable[[Connection], None], connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the main process, with which this one ends
    with suppress(BrokenPipeError):  # it has ended
        work(connection)


def _answer(work: Callable[[], Any], connection: Connection) -> None:
    try:
        found = (True, work())
    except Exception as error:
        connection.send((False, error))
    else:
        connection.send(found)
