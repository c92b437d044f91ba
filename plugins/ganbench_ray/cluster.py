"""A connection to a Ray cluster, and what room the cluster has."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ganbench.api import UserError

_PATIENCE = 5.0  # seconds for an address to answer


def connect(address: str) -> bool:
    """Connect this process to the cluster at `address`; whether that was done here, and is to be ended here.

    An empty address is what Ray makes of it: ``$RAY_ADDRESS``, else a cluster that runs on this machine, else one that
    is started here and ends with the connection. Raises `UserError` where Ray is not installed or nothing answers.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError(f"Ray cannot be imported ({error}): pip install 'ganbench[ray]'") from error
    if ray.is_initialized():
        return False
    knock(address or os.environ.get("RAY_ADDRESS", ""))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere unless somebody asks for it
    try:
        with _our_signals():
            ray.init(address or None, log_to_driver=False, logging_level=logging.CRITICAL, include_dashboard=False)
        # What raylets say of lost nodes would be printed into the view of the run, and nothing public stops it.
        ray._private.worker._worker_logs_enabled = False
    except Exception as error:
        raise _no_cluster(address, str(error).strip().partition("\n")[0]) from error
    return True


def knock(address: str) -> None:
    """Whether anything listens at HOST:PORT: Ray itself asks for a minute, and then ends the process."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, ValueError) as error:
        raise _no_cluster(address, getattr(error, "strerror", None) or str(error)) from error


def _no_cluster(address: str, why: str) -> UserError:
    wanted = f"no Ray cluster can be reached at {address!r}" if address else "no Ray cluster can be reached or started"
    return UserError(
        f"{wanted} ({why}); `ray status` shows one that runs, and without an address one is started on this machine"
    )


@contextmanager
def _our_signals() -> Iterator[None]:
    """Ray puts a handler of its own in the place of what stops a run."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def room(needs: Mapping[str, float]) -> int:
    """How many tasks that need so much of each resource the cluster's nodes that are alive could run at once."""
    import ray

    return sum(fits(node["Resources"], needs) for node in ray.nodes() if node["Alive"])


def fits(has: Mapping[str, Any], needs: Mapping[str, float]) -> int:
    """How many such tasks a node has room for."""
    # A third of a GPU, three times, is a whole one.
    return min(int(has.get(name, 0.0) / need + 1e-6) for name, need in needs.items())
