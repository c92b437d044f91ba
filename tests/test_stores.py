"""Results in an object store: claims among machines, records that travel whole or not at all, and what is shared."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ganbench import leases, mirror, shared
from ganbench.bucket import Bucket
from ganbench.cli import main
from ganbench.errors import StorageError, UserError
from ganbench.mirror import Mirror, MirroredUnit
from ganbench.shared import Shared

CELL = "mlp-gan-digits-s0-0123456789ab"
EVENT = {
    "event": "evaluation",
    "generator_updates": 4,
    "rounds": 4,
    "images": 256,
    "epochs": 0.2,
    "seconds": 0.1,
    "metrics": {"fcd": 3.5},
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket/mini"


@pytest.fixture
def machine(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Mirror]]:
    """The store as a run on another machine sees it: with a copy of its own, and processes that nobody else can see."""
    opened: list[Mirror] = []
    monkeypatch.setattr(leases, "_process", lambda: "")

    def at(name: str) -> Mirror:
        monkeypatch.setenv("GANBENCH_STORES", str(tmp_path / name))
        store = Mirror(url)
        store.make()
        opened.append(store)
        return store

    yield at
    for store in opened:
        store.runner.end()


def unit_of(store: Mirror) -> MirroredUnit:
    unit = store.cell(CELL)
    assert isinstance(unit, MirroredUnit)
    return unit


def begin(store: Mirror) -> MirroredUnit:
    """Take the cell and do half of it."""
    unit = unit_of(store)
    assert unit.claim()
    return half_done(unit)


def half_done(unit: MirroredUnit) -> MirroredUnit:
    assert unit.hold()
    unit.create({"unit": "cell", "key": "0123456789ab"})
    unit.update(status="running", attempt=unit.manifest["attempt"] + 1)
    unit.checkpoint(2).write_bytes(b"half")
    unit.snapshot("best").write_bytes(b"early weights")
    return unit


def finish(unit: MirroredUnit) -> None:
    unit.keep_events([EVENT])
    unit.snapshot("best").write_bytes(b"weights")
    unit.sample_sheet(4).write_bytes(b"picture")
    unit.end("done", "", last=EVENT)
    unit.clear_checkpoints()
    unit.release()


def die(store: Mirror) -> None:
    """As SIGKILL: nothing is given back, and no lease is renewed any more. Its locks are free."""
    store.runner._over.set()
    for unit in list(store._mine.values()):
        unit.let_go()


def test_a_done_cell_is_whole_on_another_machine(machine, tmp_path: Path) -> None:
    one = machine("one")
    finish(begin(one))
    one.close()
    two = machine("two")
    unit = unit_of(two)
    assert unit.manifest["status"] == "done"
    assert unit.events() == [EVENT]
    assert not unit.snapshot("best").exists()  # the small records come first
    mirror.complete(unit.directory)
    assert unit.snapshot("best").read_bytes() == b"weights"
    assert (unit.directory / "samples/00000004.png").read_bytes() == b"picture"
    assert not list((tmp_path / "bucket/mini/runners").iterdir())


def test_a_finished_cell_costs_four_requests(machine) -> None:
    store = machine("one")
    before = store.bucket.counts.total()
    for number in range(20):
        unit = store.unit(store.root / "cells" / f"{CELL}{number}")
        assert unit.claim()
        unit.create({"unit": "cell", "key": str(number)})
        finish(unit)
    store._pool.shutdown()
    store.index.flush()
    store.check()
    renewals = 1
    assert store.bucket.counts.total() - before == 20 * 4 + 1 + renewals


def test_only_one_of_many_claimers_gets_a_cell(url: str) -> None:
    bucket, got, gate = Bucket(url), [], threading.Barrier(8)

    def take() -> None:
        runner = leases.Runner(bucket)
        claims = leases.Claims(bucket, runner, lambda key, number: None)
        gate.wait()
        got.append(claims.take("cells/a"))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(each, leases.Claim) for each in got) == 1
    assert len({each.number if isinstance(each, leases.Claim) else each for each in got}) == 2  # 0, and who has it


def test_a_dead_runners_cell_is_taken_over_with_its_checkpoint(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANBENCH_LEASE", "1")
    one = machine("one")
    one._keep(begin(one))
    die(one)
    two = machine("two")
    unit = unit_of(two)
    assert not unit.claim()  # as far as anybody knows by now, it lives
    monkeypatch.setattr(mirror, "_LOOK", 0.1)
    deadline = time.monotonic() + 10
    while not unit.claim():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert unit.manifest["attempt"] == 1
    assert unit.checkpoint(2).read_bytes() == b"half"
    assert unit.snapshot("best").read_bytes() == b"early weights"
    finish(unit)
    two.close()


def test_one_of_this_machine_is_dead_as_soon_as_its_process_is(url: str) -> None:
    bucket = Bucket(url)
    boot, namespace, number, start = leases._process().split()
    cases = {
        f"{boot} {namespace} {number} {start}": True,
        f"{boot} {namespace} 4194305 {start}": False,  # a number that no process can have
        f"{boot} {namespace} {number} 1": False,  # another process has the number by now
        f"{boot} 1 4194305 {start}": True,  # in another container: nobody here can tell
        f"elsewhere {namespace} 4194305 {start}": True,
        "": True,
    }
    for case, (process, lives) in enumerate(cases.items()):
        bucket.put_json(f"runners/{case}.json", {"beat": 1, "process": process})
        assert (leases.Others(bucket).look(str(case)) is not None) is lives, process


def test_whoever_was_silent_for_a_lease_does_not_overwrite_its_successor(
    machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANBENCH_LEASE", "1")
    one = machine("one")
    late = begin(one)
    one.runner._over.set()  # stopped, but not dead
    two = machine("two")
    claim = two.claims.take(f"cells/{CELL}")
    assert isinstance(claim, str)
    time.sleep(1.3)
    two.claims.others._looked.clear()
    successor = begin(two)
    finish(successor)
    two.close()
    finish(late)
    one.close()
    assert two.bucket.list("manifests/cells") == [f"manifests/cells/{CELL}.1.json"]


def test_a_run_killed_between_any_two_uploads_leaves_a_done_cell_or_none(machine, url: str, monkeypatch) -> None:
    monkeypatch.setattr(mirror, "_LOOK", 0.0)
    seen = []
    for puts in range(6):
        one = machine(f"one{puts}")
        unit = one.unit(one.root / "cells" / f"{CELL}{puts}")
        left, put = iter(range(puts)), one.bucket.put

        def dying(key: str, content: bytes, *, new: bool = False, left=left, put=put) -> None:
            if next(left, None) is None:
                raise StorageError("the cable was pulled")
            put(key, content, new=new)

        one.bucket.put = dying  # type: ignore[method-assign]
        try:
            if unit.claim():
                unit.create({"unit": "cell", "key": str(puts)})
                finish(unit)
            one.close()
        except StorageError:
            pass
        one.bucket.delete(f"runners/{one.runner.id}.json")
        two = machine(f"two{puts}")
        there = two.unit(two.root / "cells" / f"{CELL}{puts}")
        seen.append(there.status)
        if there.status == "done":
            two.complete(there.directory)
            assert there.snapshot("best").read_bytes() == b"weights"
        else:
            assert there.claim()
            assert there.manifest == {"format": 1, "status": "planned", "attempt": 0}
            there.release()
    assert seen == ["planned"] * 5 + ["done"]  # runner, claim, two parcels, manifest; the index is not needed


def test_whoever_waits_hears_that_it_was_done_and_claims_nothing(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "_LOOK", 0.0)
    monkeypatch.setattr(leases, "lease_seconds", lambda: 60.0)
    one, two = machine("one"), machine("two")
    theirs, ours = begin(one), unit_of(two)
    assert not ours.claim()
    assert not ours.claim()
    finish(theirs)
    one._pool.shutdown()
    one.runner.renew()  # which tells, long before it is in the index
    two.claims.others._looked.clear()
    assert ours.claim()
    assert ours.manifest["status"] == "done"
    ours.release()
    one.runner.end()
    two.close()
    assert two.bucket.list("claims/cells") == [f"claims/cells/{CELL}.0"]
    assert ours.events() == [EVENT]


def test_a_cell_that_is_trained_again_keeps_its_old_records(machine) -> None:
    one = machine("one")
    finish(begin(one))
    one.close()
    two = machine("two")
    unit = unit_of(two)
    assert unit.claim()
    assert unit.hold()
    two.retire(unit)
    half_done(unit)
    assert unit.manifest["attempt"] == 1
    unit.snapshot("last").write_bytes(b"of the second time")
    finish(unit)
    two.close()
    three = machine("three")
    three.complete(unit_of(three).directory)
    assert unit_of(three).snapshot("last").read_bytes() == b"of the second time"
    old = three.unit(three.root / "retired" / f"{CELL}~1")
    three.complete(old.directory)
    assert old.manifest["status"] == "done"
    assert not old.snapshot("last").exists()


def test_what_could_not_be_sent_is_sent_by_the_next_run_of_the_machine(
    machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine("one")
    unit = begin(one)

    def unreachable(key: str, content: bytes, *, new: bool = False) -> None:
        raise StorageError("the cable was pulled")

    monkeypatch.setattr(one.bucket, "put", unreachable)
    finish(unit)
    with pytest.raises(StorageError, match="the cable was pulled"):
        one.close()
    one.bucket.delete(f"runners/{one.runner.id}.json")
    machine("one").close()
    other = machine("two")
    assert unit_of(other).status == "done"
    other.complete(unit_of(other).directory)
    assert unit_of(other).snapshot("best").read_bytes() == b"weights"


def test_an_index_that_is_lost_is_built_again(machine, tmp_path: Path) -> None:
    one = machine("one")
    finish(begin(one))
    one.close()
    (segment,) = (tmp_path / "bucket/mini/index").iterdir()
    segment.unlink()
    two = machine("two")
    assert unit_of(two).events() == [EVENT]
    two.close()
    assert len(list((tmp_path / "bucket/mini/index").iterdir())) == 1
    three = machine("three")
    assert three.bucket.counts["get"] < 8
    assert unit_of(three).status == "done"


def test_damage_in_a_store_is_named(machine, tmp_path: Path) -> None:
    one = machine("one")
    finish(begin(one))
    one.close()
    (parcel,) = (tmp_path / "bucket/mini/parcels/cells" / CELL).glob("generators-*")
    parcel.write_bytes(b"torn")
    two = machine("two")
    with pytest.raises(UserError, match=r"generators-\w+\.zip does not fit its checksum"):
        two.complete(unit_of(two).directory)


def test_a_store_that_cannot_refuse_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANBENCH_STORES", str(tmp_path / "one"))
    store = Mirror(url)
    put = store.bucket.put
    monkeypatch.setattr(store.bucket, "put", lambda key, content, new=False: put(key, content))
    with pytest.raises(StorageError, match="overwrites an object that is to be made once"):
        store.make()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("zz://bucket/x", "zz://bucket/x is no store (Protocol not known: zz): s3://, gs:// and file:// are known"),
        ("gs://bucket/x", "gs://bucket/x needs gcsfs that is not installed: pip install 'ganbench[gs]'"),
        ("memory://none/x", "memory://none/x is not a results folder (no readable run.json)"),
    ],
)
def test_what_is_no_store_is_said_in_one_sentence(place: str, said: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_STORES", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    result = CliRunner().invoke(main, ["status", place])
    assert result.exit_code == 2
    assert result.output.startswith(f"error: {said}")
    assert result.output.count("\n") == 1


# --- datasets and classifiers -----------------------------------------------------------------------------------------


def nodes(url: str, tmp_path: Path, count: int, make: Callable[[Path], None], said: list[str]) -> list[Path]:
    """So many machines that need the same file at once; where each has it."""
    folders = [tmp_path / f"node{number}" for number in range(count)]

    def work(folder: Path) -> None:
        path = folder / "classifier.safetensors"
        names = lambda: [path.name] if path.exists() else []  # noqa: E731
        with Shared(url).turn("extractors/classifier", folder, names, "the classifier", said.append):
            if not path.exists():
                make(path)

    threads = [threading.Thread(target=work, args=(folder,)) for folder in folders]
    for folder, thread in zip(folders, threads, strict=True):
        folder.mkdir(exist_ok=True)
        thread.start()
    for thread in threads:
        thread.join(20)
    return [folder / "classifier.safetensors" for folder in folders]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_WAIT", 0.05)
    monkeypatch.setenv("GANBENCH_LEASE", "1")


def test_of_several_machines_one_trains_the_classifier_and_the_others_fetch_it(url, tmp_path, quick) -> None:
    trained, said = [], []

    def train(path: Path) -> None:
        trained.append(path)
        time.sleep(0.4)
        path.write_bytes(b"weights of " + path.parent.name.encode())

    paths = nodes(url, tmp_path, 4, train, said)
    assert len(trained) == 1
    assert {path.read_bytes() for path in paths} == {b"weights of " + trained[0].parent.name.encode()}
    assert said == ["waiting for the classifier, which another machine is making"] * 3


def test_when_the_one_that_trains_dies_another_takes_over(url, tmp_path, quick, monkeypatch) -> None:
    monkeypatch.setattr(leases, "_process", lambda: "")
    bucket = Bucket(url)
    dead = leases.Runner(bucket)
    assert isinstance(leases.Claims(bucket, dead, lambda key, number: None).take("extractors/classifier"), leases.Claim)
    dead._over.set()
    began, trained = time.monotonic(), []

    def train(path: Path) -> None:
        trained.append(time.monotonic() - began)
        path.write_bytes(b"weights")

    paths = nodes(url, tmp_path, 2, train, [])
    assert len(trained) == 1
    assert trained[0] > 0.8  # not before its lease was over
    assert [path.read_bytes() for path in paths] == [b"weights"] * 2


def test_one_that_fails_to_make_it_leaves_it_to_the_next(url, tmp_path, quick) -> None:
    with pytest.raises(ZeroDivisionError), Shared(url).turn("a", tmp_path / "x", list, "a", print):
        1 / 0  # noqa: B018
    (path,) = nodes(url, tmp_path, 1, lambda path: path.write_bytes(b"weights") and None, [])
    assert path.read_bytes() == b"weights"
