"""An executor of plain processes that keeps the contract, and executors that break it in one line each."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from ganbench.api import Executor


class Local(Executor):
    """A new process for every unit."""

    def __init__(self, *, jobs, device, slots_per_gpu=1):
        self._slots, self.running = jobs or 2, {}

    @property
    def slots(self):
        return self._slots

    def submit(self, directory):
        command = [sys.executable, "-m", "ganbench.worker", str(directory)]
        with (directory / "log.txt").open("a") as log:
            self.running[directory] = subprocess.Popen(command, stdout=log, stderr=log)

    def poll(self):
        ended = [(directory, process.poll()) for directory, process in self.running.items()]
        ended = [(directory, code) for directory, code in ended if code is not None]
        for directory, _ in ended:
            del self.running[directory]
        return ended

    def stop(self, directory):
        if directory in self.running:
            self.running[directory].send_signal(signal.SIGTERM)

    def cancel(self):
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running = {}


class NoSummary(Local):
    # no docstring
    pass


class Greedy(Local):
    """More slots than jobs."""

    def __init__(self, *, jobs, device, slots_per_gpu=1):
        super().__init__(jobs=2 if jobs == 1 else jobs, device=device)


class Stammering(Local):
    """It reports what is done twice."""

    again = ()

    def poll(self):
        ended = super().poll()
        again, self.again = list(self.again), [(d, code) for d, code in ended if "done" in d.name]
        return ended + again


class Optimist(Local):
    """All is well."""

    def poll(self):
        return [(directory, code if code < 0 or code > 1 else 0) for directory, code in super().poll()]


class Unstoppable(Local):
    """It does not stop what it is asked to."""

    def stop(self, directory):
        self.running[directory].kill()


class Vague(Local):
    """It knows only that something went wrong."""

    def poll(self):
        return [(directory, min(abs(code), 1)) for directory, code in super().poll()]


class Leaving(Local):
    """It goes away, and units go on."""

    left = ()

    def cancel(self):
        if any("cancelled" in directory.name for directory in self.running):
            Leaving.left = list(self.running.values())
            return
        super().cancel()


class Lingering(Local):
    """A process that waits for nothing when its unit is done."""

    script = """
import sys, time
from ganbench.worker import main
code = main(sys.argv[1:])
open(sys.argv[1] + "/code", "w").write(str(code))
time.sleep(60)
"""

    def submit(self, directory):
        if "left" not in directory.name:
            super().submit(directory)
            return
        self.process = subprocess.Popen([sys.executable, "-c", self.script, str(directory)])
        self.waiting = directory

    def poll(self):
        waiting = getattr(self, "waiting", None)
        if waiting is None:
            return super().poll()
        if not (waiting / "code").exists():
            return []
        time.sleep(0.1)
        self.waiting = None
        return [(waiting, 0)]


VIOLATORS = [
    (NoSummary, "has_a_summary", set()),
    (Greedy, "says_how_many_run_at_once", set()),
    (Stammering, "units_are_done_and_reported_once", set()),
    (Optimist, "a_unit_that_fails_has_its_code_and_hurts_no_other", set()),
    (Unstoppable, "a_unit_that_is_asked_to_stop_stops", set()),
    (Vague, "a_unit_that_is_killed_is_reported", set()),
    (Leaving, "cancel_stops_everything", set()),
    (Lingering, "nothing_is_left_behind", set()),
]
GOOD = [Local]
#: Here every check takes seconds: a violator meets its own and those that read what it declares.
SLOW = {
    "imports_no_torch",
    "units_are_done_and_reported_once",
    "a_unit_that_fails_has_its_code_and_hurts_no_other",
    "a_unit_that_is_asked_to_stop_stops",
    "a_unit_that_is_killed_is_reported",
    "cancel_stops_everything",
    "nothing_is_left_behind",
}
