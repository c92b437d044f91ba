"""What a record says of the machine and the software that made it. Recorded beside the key, never part of it."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_PACKAGES = ("ganbench", "torch", "torchvision", "torch-fidelity", "numpy", "scipy", "scikit-learn")


def environment(device: str) -> dict[str, Any]:
    """Versions, processor, device, driver, threads and git state. Needs torch."""
    import torch

    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "device": device,
        "packages": {name: _version(name) for name in _PACKAGES},
        "git": git_state(Path(__file__).parent),
    }
    if device.startswith("cuda"):
        facts["gpu"] = torch.cuda.get_device_name()
        facts["cuda"] = torch.version.cuda
        facts["cudnn"] = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        facts["driver"] = _run("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").partition("\n")[0]
    return facts


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that the host or the device had no memory left."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The allocator of the CPU and some libraries of CUDA raise plain RuntimeErrors.
    wordings = ("can't allocate memory", "out of memory", "_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(wording in str(error) for wording in wordings)


def out_of_memory_kills() -> int:
    """How many processes the system has killed for lack of memory since it was started; 0 where it does not count."""
    try:
        counters = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counters.get("oom_kill", 0))


def set_up(threads: int | None = None) -> None:
    """Make this process one to train in: so many threads, no denormal numbers, memory kept. Needs torch."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed for what comes next: every turn needs the same again, and pages that the system
    takes back and gives anew cost a CPU 6 to 7 % of a turn's time. Elsewhere nothing is changed.
    """
    with suppress(OSError, AttributeError):
        glibc = ctypes.CDLL("libc.so.6")
        glibc.mallopt(_M_MMAP_THRESHOLD, 2**30)
        glibc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


#: What Linux calls the instructions for bfloat16, and how we do.
_BF16 = {"amx_bf16": "AMX-BF16", "avx512_bf16": "AVX512-BF16", "bf16": "Arm BF16"}


EMULATED = 'the processor has no instructions for bfloat16, so that precision = "bf16" is emulated on it'


def bf16() -> str | None:
    """The processor's instructions for bfloat16: empty where it has none, None where that cannot be told."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next(line for line in lines if line.startswith(("flags", "Features"))).split()
    except (OSError, StopIteration):
        return None
    return ", ".join(name for flag, name in _BF16.items() if flag in flags)


def machine(threads: int) -> str:
    """The processor with its threads, as manifests name the machine of a cell that was trained on it."""
    return f"{processor()}, threads: {threads}"


def gpus() -> list[str]:
    """The names of the GPUs that this process may use, told without torch; none where the driver's tool is missing."""
    lines = _run("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not lines or visible is None:
        return lines
    chosen = [name for name in visible.split(",") if name]
    return [lines[int(name)] if name.isdigit() and int(name) < len(lines) else lines[0] for name in chosen]


@cache
def git_state(folder: Path) -> str:
    """Commit of the working tree that holds `folder`, with ``+`` when it has uncommitted changes; empty outside git."""
    commit = _run("git", "-C", str(folder), "rev-parse", "--short=12", "HEAD")
    changed = commit and _run("git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no")
    return commit + ("+" if changed else "")


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def _run(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
