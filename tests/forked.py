"""The command in processes that are forked from one that has imported torch, which then need not import it themselves.

A command sees what a new interpreter would give it: environment, `sys.path`, ``sitecustomize``, signals, ``__main__``;
its server of workers is a process of its own that knows no more than a new one would. What must be a new interpreter
(what is imported when, what stands in ``/proc/PID/environ``) is tested with `subprocess`.
"""

from __future__ import annotations

import fcntl
import functools
import gc
import importlib
import json
import multiprocessing.util
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

#: What a run imports, but for plugins: which of these are imported is the command's to find out.
MODULES = (
    *("ganbench.preload", "ganbench.run", "ganbench.report", "ganbench.checkpoints", "ganbench.rates"),
    *("ganbench.tables", "PIL.Image", "pandas", "pyarrow.parquet", "rich.console", "scipy.linalg", "scipy.stats"),
)
_LONGEST = 2**17  # bytes of a request: arguments and environment


class Command:
    """``ganbench ARGUMENTS`` at work, as `subprocess.Popen` would show it."""

    def __init__(self, arguments: Sequence[object], environment: dict[str, str]) -> None:
        theirs, ours = [], []
        for _ in range(3):
            reading, writing = os.pipe()
            ours.append(os.fdopen(reading))
            theirs.append(writing)
        request = {"arguments": [*map(str, arguments)], "environment": environment, "folder": os.getcwd()}
        socket.send_fds(_parent(os.getpid()), [json.dumps(request).encode()], theirs)
        for descriptor in theirs:
            os.close(descriptor)
        stdout, stderr, self._state = ours
        self.pid = int(self._state.readline())
        self.returncode: int | None = None
        self._said = _Reader(stdout), _Reader(stderr)
        self._ended = _Reader(self._state)

    def poll(self) -> int | None:
        if self.returncode is None and not self._ended.is_alive():
            self.returncode = int(self._ended.text)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._ended.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired("ganbench", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it wrote to the standard output and error, which every process that it started must have closed."""
        deadline = time.monotonic() + timeout if timeout else None
        for reader in self._said:
            reader.join(max(0.0, deadline - time.monotonic()) if deadline else None)
            if reader.is_alive():
                raise subprocess.TimeoutExpired("ganbench", timeout or 0)
        self.wait(timeout)
        return self._said[0].text, self._said[1].text

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Reader(threading.Thread):
    """Reads a pipe to its end."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.text = ""
        self.start()

    def run(self) -> None:
        with self._stream:
            self.text = self._stream.read()


@functools.cache
def _parent(pid: int) -> socket.socket:
    """The way to the process from which commands of this one are forked. It ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = (
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import forked; forked.serve({theirs.fileno()})"
    )
    from ganbench.executors import context

    context()  # what it sets in the environment before torch is imported
    subprocess.Popen([sys.executable, "-c", program], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()
    return ours


# --- the process that is forked ---------------------------------------------------------------------------------------


def serve(descriptor: int) -> None:
    """Fork a command for every request, until nobody is left to ask. Returns in the end, or exits as a command does."""
    for module in MODULES:
        importlib.import_module(module)
    gc.freeze()  # no fork copies the pages of what was imported to look for garbage there
    requests = socket.socket(fileno=descriptor)
    path = [entry for entry in sys.path[2:] if entry not in os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for pytest
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the minders
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, _LONGEST, 3)
        if not message:
            return
        if os.fork():
            for received in descriptors:
                os.close(received)
            continue
        requests.close()
        stdout, stderr, state = descriptors
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if pid := os.fork():  # a minder, who tells what becomes of its command
            os.close(stdout)
            os.close(stderr)
            os.write(state, b"%d\n" % pid)
            _, status = os.waitpid(pid, 0)
            os.write(state, b"%d" % os.waitstatus_to_exitcode(status))
            os._exit(0)
        os.close(state)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for target, source in ((1, stdout), (2, stderr)):
            os.dup2(source, target)
            os.close(source)
        _command(**json.loads(message), path=path)


def _command(arguments: list[str], environment: dict[str, str], folder: str, path: list[str]) -> None:
    """``python -m ganbench.cli ARGUMENTS``."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *path]
    importlib.invalidate_caches()
    with suppress(ModuleNotFoundError):
        import sitecustomize  # noqa: F401
    spares = [_Spare(), _Spare()]  # for multiprocessing's resource tracker and its server

    def spawn(path: str, arguments: Sequence[str], descriptors: Sequence[int]) -> int:
        return spares.pop(0).become(arguments[arguments.index("-c") + 1], descriptors)

    multiprocessing.util.spawnv_passfds = spawn  # type: ignore[attr-defined]
    sys.argv[:] = ["ganbench", *arguments]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it is known that the module may have been imported
        runpy.run_module("ganbench.cli", run_name="__main__", alter_sys=True)


class _Spare:
    """A fork that knows nothing yet, for a program that would otherwise be given to a new interpreter."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            self._ours.close()
            message, received, _, _ = socket.recv_fds(theirs, _LONGEST, 100)
            theirs.close()
            if message:
                program = json.loads(message)
                high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 500) for descriptor in received]
                for descriptor, wanted in zip(high, program["descriptors"], strict=True):
                    os.dup2(descriptor, wanted, inheritable=False)
                os.closerange(3, min(program["descriptors"], default=3))
                for descriptor in high:
                    os.close(descriptor)
                exec(program["source"], {})
            os._exit(0)
        theirs.close()

    def become(self, source: str, descriptors: Sequence[int]) -> int:
        """Run `source` with these descriptors open, under the same numbers; its process."""
        wanted = [int(descriptor) for descriptor in descriptors]
        socket.send_fds(self._ours, [json.dumps({"source": source, "descriptors": wanted}).encode()], wanted)
        self._ours.close()
        return self._pid
