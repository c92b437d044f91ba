"""Claims of units: a folder has one file of locks, and each is free by itself, at once when its process is dead."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ganbench import locks
from ganbench.errors import StorageError
from ganbench.store import Store, Unit

#: Claims units of a folder by name, says whether that worked, and does the next thing it is told.
OTHER = """
import sys
from pathlib import Path
from ganbench import locks
from ganbench.store import Unit
folder, locks._OF_OPEN_FILES = Path(sys.argv[1]), sys.argv[2] == "True"
units = {}
for line in sys.stdin:
    what, name = line.split()
    unit = units.setdefault(name, Unit(folder / name))
    print(unit.release() if what == "release" else unit.claim(), flush=True)
"""


class Other:
    """Another run, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", OTHER, str(folder), str(locks._OF_OPEN_FILES)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _asked(self, line: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def claims(self, name: str) -> bool:
        return {"True": True, "False": False}[self._asked(f"claim {name}")]

    def releases(self, name: str) -> None:
        assert self._asked(f"release {name}") == "None"

    def close(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture(params=[True, False], ids=["of open files", "of the process"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of units, with locks as Linux has them, and with those of systems that have no others."""
    if request.param and not locks._OF_OPEN_FILES:
        pytest.skip("only Linux has locks of open files")
    monkeypatch.setattr(locks, "_OF_OPEN_FILES", request.param)
    return tmp_path


@pytest.fixture
def others(folder: Path) -> Iterator[Callable[[], Other]]:
    begun: list[Other] = []

    def begin() -> Other:
        begun.append(Other(folder))
        return begun[-1]

    yield begin
    for other in begun:
        other.close()


def test_processes_claim_units_of_one_folder_each_for_itself(folder: Path, others: Callable[[], Other]) -> None:
    one, two, ours = others(), others(), {name: Unit(folder / name) for name in "abcd"}
    assert one.claims("a")
    assert two.claims("b")
    assert ours["c"].claim()
    assert ours["d"].claim()
    assert not one.claims("b")
    assert not two.claims("a")
    assert not two.claims("c")
    assert not ours["a"].claim()
    assert [locks.held(folder / name) for name in "abcde"] == [True] * 4 + [False]
    ours["d"].release()  # and nothing else is free by that
    assert two.claims("d")
    assert not one.claims("c")
    two.releases("d")
    assert one.claims("d")
    one.close()  # killed: what the others have stays theirs
    assert ours["a"].claim()
    assert ours["d"].claim()
    assert not ours["b"].claim()
    assert not two.claims("c")
    for unit in ours.values():
        unit.release()
    assert [path.name for path in folder.iterdir() if path.is_file()] == [".claims"]
    assert (folder / ".claims").stat().st_size == 0


def test_a_second_unit_of_the_same_directory_is_refused_in_the_same_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    unit, same, by_another_name = Unit(folder / "a"), Unit(folder / "a"), Unit(Path("a"))
    assert unit.claim()
    assert not same.claim()
    assert not by_another_name.claim()
    same.release()
    assert locks.held(folder / "a")
    unit.release()
    assert not locks.held(folder / "a")
    assert by_another_name.claim()
    assert not unit.claim()
    by_another_name.release()


def test_no_file_stays_open_once_nothing_is_claimed(folder: Path) -> None:
    before, units = len(os.listdir("/dev/fd")), [Unit(folder / str(number)) for number in range(50)]
    assert all(unit.claim() for unit in units)
    assert not Unit(folder / "7").claim()
    assert len(os.listdir("/dev/fd")) == before + 1
    for unit in units:
        unit.release()
    assert len(os.listdir("/dev/fd")) == before
    assert locks._files == {}


def test_a_forked_child_neither_releases_nor_keeps_what_its_parent_has(
    folder: Path, others: Callable[[], Other]
) -> None:
    other, unit = others(), Unit(folder / "a")
    assert unit.claim()
    read, write = os.pipe()
    if not (child := os.fork()):
        unit.release()
        os.read(read, 1)
        os._exit(0)
    try:
        assert not other.claims("a")
        unit.release()
        assert other.claims("a")  # while the child is there
    finally:
        os.write(write, b"!")
        _, status = os.waitpid(child, 0)
        os.close(read)
        os.close(write)
    assert status == 0


def test_a_file_system_without_locks_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "fcntl" if locks._OF_OPEN_FILES else "lockf", refuse)
    with pytest.raises(StorageError, match=r"a cannot be written \(No locks available; its disk has .*\); make"):
        Unit(folder / "a").claim()
    assert locks._files == {}


@pytest.mark.skipif(not locks._OF_OPEN_FILES, reason="only Linux has locks of open files")
def test_a_copy_of_the_folder_costs_no_claim(tmp_path: Path) -> None:
    unit = Unit(tmp_path / "a")
    assert unit.claim()
    (tmp_path / ".claims").read_bytes()  # as whoever copies it does
    with closing(Other(tmp_path)) as other:
        assert not other.claims("a")
    unit.release()


def test_a_cell_that_is_set_aside_stays_claimed(folder: Path, others: Callable[[], Other]) -> None:
    store = Store(folder / "study")
    store.make()
    unit = store.cell("gan")
    assert unit.claim()
    unit.create({"unit": "cell", "key": "old"})
    assert store.retire(unit) == folder / "study/retired/gan~1"
    assert locks.held(unit.directory)
    assert not store.cell("gan").claim()
    assert (unit.fresh, unit.exists, store.made()) == (True, False, {"gan"})
    unit.create({"unit": "cell", "key": "new"})
    assert unit.task["key"] == "new"
    unit.release()
