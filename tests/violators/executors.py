"""An executor of plain processes that keeps the contract, and executors that break it in one line each."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from ganbench.api import Executor, Params, param
from ganbench.executors import context


def work(directory):
    """The unit, in a process that was forked for it."""
    log = os.open(directory / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from ganbench.worker import main

    sys.exit(main([str(directory)]))


def linger(directory):
    """The unit, and a minute of idleness."""
    try:
        work(directory)
    finally:
        (directory / "over").touch()
        time.sleep(60)


@dataclass(frozen=True)
class Patience(Params):
    grace: float = param(10.0, "seconds to end in", min=0)


class Local(Executor):
    """A new process for every unit."""

    Params = Patience
    work = staticmethod(work)

    def __init__(self, *, jobs, device, slots_per_gpu=1, params):
        self._slots, self.running, self.grace = jobs or 2, {}, params.grace

    @property
    def slots(self):
        return self._slots

    def submit(self, directory):
        self.running[directory] = context().Process(target=self.work, args=(directory,))
        self.running[directory].start()

    def poll(self):
        ended = [(directory, process.exitcode) for directory, process in self.running.items()]
        ended = [(directory, code) for directory, code in ended if code is not None]
        for directory, _ in ended:
            del self.running[directory]
        return ended

    def stop(self, directory):
        self.running[directory].terminate()

    def cancel(self):
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.join(self.grace)
            process.kill()
            process.join()
        self.running = {}


class NoSummary(Local):
    # no docstring
    pass


@dataclass(frozen=True)
class Wrong(Params):
    grace: float = param(-1.0, "seconds to end in", min=0)


class WrongDefault(Local):
    """A default out of its range."""

    Params = Wrong


@dataclass(frozen=True)
class Silent(Params):
    grace: float = param(10.0, "", min=0)


class NoHelp(Local):
    """A parameter that says nothing."""

    Params = Silent


@dataclass(frozen=True)
class Changing(Params):
    grace: float = param(10.0, "seconds to end in", min=0)

    def __post_init__(self):
        object.__setattr__(self, "grace", self.grace + 1)


class Other(Local):
    """A parameter that changes."""

    Params = Changing


class Greedy(Local):
    """More slots than jobs."""

    def __init__(self, *, jobs, **more):
        super().__init__(jobs=2 if jobs == 1 else jobs, **more)


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
    """It kills what it is asked to stop."""

    def stop(self, directory):
        self.running[directory].kill()


class Vague(Local):
    """It knows only that something went wrong."""

    def poll(self):
        return [(directory, min(abs(code), 1)) for directory, code in super().poll()]


class Leaving(Local):
    """It goes away, and its units go on."""

    left = ()

    def cancel(self):
        if any("cancelled" in directory.name for directory in self.running):
            Leaving.left = list(self.running.values())
        else:
            super().cancel()


class Lingering(Local):
    """A process that goes on when its unit is done, and is forgotten."""

    work = staticmethod(linger)

    def poll(self):
        over = [directory for directory in self.running if (directory / "over").exists()]
        for directory in over:
            del self.running[directory]
        return [(directory, 0) for directory in over]


VIOLATORS = [
    (NoSummary, "has_a_summary", set()),
    (WrongDefault, "defaults_are_admissible", {"params_round_trip_through_json"}),
    (NoHelp, "every_parameter_has_a_help_text", set()),
    (Other, "params_round_trip_through_json", set()),
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
