"""`ganbench doctor DIR`: what is damaged is found, what was left behind is cleared away, nothing else is touched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from ganbench import health
from ganbench.cli import main
from ganbench.health import Health, examine, visible
from ganbench.inspection import LOCKS, Seen
from ganbench.locks import FILE
from ganbench.plan import key
from ganbench.sheets import sheet
from ganbench.store import Store, Unit, write_json
from ganbench.testing.records import axes

PNG = sheet(np.zeros((1, 1, 2, 2), np.uint8))
STATUSES = {0: "done", 1: "done", 2: "failed", 3: "interrupted"}  # by seed; a fifth cell was never begun


def cell(root: Path, seed: int, status: str) -> dict[str, Any]:
    """A cell as a run would have left it, but for sizes; what run.json says of it."""
    identity: dict[str, Any] = {"protocol": 1, "variant": "gans/dcgan", "params": {"lr": 2e-4}, "seed": seed}
    outline = {"key": key(identity), "variant": "dcgan", "dataset": "digits", "seed": seed, "params": {"lr": 2e-4}}
    unit = Store(root).cell(f"dcgan-digits-s{seed}-{outline['key'][:12]}")
    planned = {**outline, "symbols": {"lr": "η"}, "labels": {"lr": "η=2e-4"}, "overrides": {}, "skip": ""}
    if status == "planned":
        return {unit.directory.name: planned}
    unit.create({"unit": "cell", **outline, "identity": identity})
    unit.log.touch()
    events = [{"event": "evaluation", "rounds": n, **axes(n), "metrics": {"fcd": 9.0 / n}} for n in (50, 100)]
    for event in events:
        unit.append(event)
        unit.sample_sheet(event["generator_updates"]).write_bytes(PNG)
    for which in ("best", "last"):
        unit.snapshot(which).write_bytes(save({"weight": np.full(20, seed, np.float32)}))
    facts: dict[str, Any] = {"attempt": 1, "reason": "" if status == "done" else "the moon is full"}
    if status == "done":
        facts |= {"best": events[0], "last": events[1], "metric_versions": {"fcd": "1"}, "extractors": {}}
        paths = [unit.snapshot("best"), unit.snapshot("last")]
        facts["files"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
        probe = unit.probe(Path(PROBE).name)
        identity = {"snapshot": facts["files"][paths[0].name]}
        probe.create({"unit": "probe", "key": outline["key"], "probe": {"name": "inpaint"}, "identity": identity})
        probe.update(status="done", numbers={"error": 0.5}, pictures=["sheet"])
        (probe.directory / "sheet.png").write_bytes(PNG)
        for name in ("neighbours.png", "interpolation.png"):
            (unit.directory / name).write_bytes(PNG)
    if status == "interrupted":
        for rounds in (90, 100):
            checkpoint(unit, rounds)
    unit.update(status=status, **facts)
    for lock in LOCKS:  # whose files stay after every run, or those of an older version
        (unit.directory / lock).touch()
    (unit.directory.parent / FILE).touch()
    return {unit.directory.name: planned}


def checkpoint(unit: Unit, rounds: int) -> Path:
    content = b"state" * rounds
    path = unit.checkpoint(rounds)
    path.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    return path


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder in which nothing is wrong, not to be written into."""
    root = tmp_path_factory.mktemp("good") / "study"
    cells: dict[str, Any] = {}
    for seed, status in {**STATUSES, 4: "planned"}.items():
        cells |= cell(root, seed, status)
    reference = Store(root).reference("digits")
    reference.create({"unit": "reference", "dataset": "digits", "metrics": {"fcd": "1"}})
    (reference.directory / "real.png").write_bytes(PNG)
    reference.update(status="done", shape=[1, 8, 8], classes=10, fingerprint="f", unavailable={})
    run = {"name": "study", "rank": {"metric": "fcd", "at": "best"}, "metrics": {"fcd": {"direction": "lower"}}}
    Store(root).plan({**run, "cells": cells}, "")
    return root


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    """A copy of it without seals, as older versions left it: what a test changes is found without their help."""
    copy = shutil.copytree(good, tmp_path / "study")
    for path in copy.glob("*/*/manifest.json"):
        edit(path, seal=None)
    return copy


def unit(root: Path, seed: int) -> Unit:
    return Unit(next((root / "cells").glob(f"*-s{seed}-*")))


def doctor(root: Path, *options: str) -> Result:
    outcome = CliRunner().invoke(main, ["doctor", str(root), *options])
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exc_info
    return outcome


def said(found: Health, word: str) -> list[tuple[str, str]]:
    return [(where, sentence) for which, where, sentence in found.lines() if which == word]


def repairable(found: Health) -> list[str]:
    return [f"{finding.where}: {finding.what}" for finding in found.findings if finding.repair]


def contents(root: Path) -> dict[str, Any]:
    """Every path below `root`, with what it holds and when that was written."""
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(root.rglob("*"))
    }


def edit(path: Path, **facts: Any) -> None:
    write_json(path, {**json.loads(path.read_text()), **facts})


def edit_plan(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    run = json.loads(path.read_text())
    change(run["cells"])
    write_json(path, run)


def flip(path: Path, at: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


# --- good folders -----------------------------------------------------------------------------------------------------


def test_a_good_folder_has_nothing_damaged_and_its_checksums_are_told(folder: Path) -> None:
    before = contents(folder)
    outcome = doctor(folder)
    assert outcome.exit_code == 0, outcome.output
    assert outcome.output.splitlines() == [
        "ok       checksums: 4 snapshots fit theirs",
        "ok       locks: none held",
        "5 cells: 2 done, 1 failed, 1 interrupted, 1 planned; nothing damaged",
    ]
    assert doctor(folder, "--repair").output == outcome.output
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["manifest.json", "events.jsonl"])
def test_a_done_cell_that_was_edited_does_not_fit_its_seal(good: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(good, tmp_path / "study")
    path = unit(copy, 0).directory / name
    path.write_text(path.read_text().replace('"fcd": 0.18', '"fcd": 0.17'))
    ((where, sentence),) = said(examine(copy), "damaged")
    assert where == f"cells/{unit(copy, 0).directory.name}/manifest.json"
    assert sentence.startswith("does not fit its seal: it or events.jsonl was changed after the unit was done; ")


def test_a_done_cell_without_checksums_is_told(folder: Path) -> None:
    edit(unit(folder, 0).directory / "manifest.json", files=None)
    assert [sentence for _, sentence in said(examine(folder), "note")] == [
        "no checksums of the generators; only their lengths could be checked"
    ]
    os.truncate(unit(folder, 0).snapshot("best"), 20)
    assert examine(folder).damaged == 1


def test_cells_of_an_earlier_plan_and_retired_ones_are_information(folder: Path) -> None:
    shutil.copytree(unit(folder, 0).directory, folder / "retired" / f"{unit(folder, 0).directory.name}~1")
    edit_plan(folder / "run.json", lambda cells: cells.pop(unit(folder, 2).directory.name))
    found = examine(folder, repair=True)
    assert found.damaged == 0
    (left,) = [where for where, sentence in said(found, "note") if "left by an earlier plan" in sentence]
    assert left == f"cells/{unit(folder, 2).directory.name}"
    assert found.summary().startswith("4 cells: 2 done, ")
    assert "1 of an earlier plan, 1 set aside in retired/" in found.summary()


def test_a_cell_that_was_scored_again_has_more_metrics_than_its_events(folder: Path) -> None:
    manifest = unit(folder, 0).manifest
    manifest["last"]["metrics"]["cs"] = 5.0
    unit(folder, 0).update(last=manifest["last"])
    assert examine(folder).damaged == 0
    manifest["last"]["metrics"]["fcd"] = 0.01
    unit(folder, 0).update(last=manifest["last"])
    assert any("are not those of the manifest" in sentence for _, sentence in said(examine(folder), "note"))


def test_what_is_no_results_folder_is_exit_code_2(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "no", tmp_path / "file", tmp_path / "empty"):
        outcome = doctor(place)
        assert outcome.exit_code == 2
        assert f"{place} is not a results folder" in outcome.stderr
    above = doctor(folder.parent)
    assert above.exit_code == 2
    assert f"it holds 1, such as {folder}" in above.stderr
    without = CliRunner().invoke(main, ["doctor", "--repair"])
    assert without.exit_code == 2
    assert "`ganbench doctor DIR --repair`" in without.stderr


# --- damage -----------------------------------------------------------------------------------------------------------


PROBE = "probes/inpaint-0123456789ab"
DAMAGE: dict[str, tuple[int, str, Callable[[Path], object], str]] = {
    "snapshot-changed": (0, "generator-best.safetensors", flip, "does not fit its checksum"),
    "snapshot-missing": (0, "generator-last.safetensors", Path.unlink, "is missing; the scores stand"),
    "snapshot-cut": (3, "generator-best.safetensors", lambda p: os.truncate(p, p.stat().st_size - 1), "is no whole"),
    "key": (0, "cell.json", lambda p: edit(p, key="0" * 64), "its key is not the hash of its identity"),
    "key-of-another": (
        0,
        "cell.json",
        lambda p: shutil.copy(next(p.parents[1].glob("*-s1-*/cell.json")), p),
        "belongs to another cell",
    ),
    "key-of-the-plan": (
        0,
        "cell.json",
        lambda p: edit_plan(p.parents[2] / "run.json", lambda cells: cells[p.parent.name].update(key="f" * 64)),
        "its key is not that of run.json",
    ),
    "identity": (0, "cell.json", lambda p: edit(p, identity={"variant": "x"}), "not the hash of its identity"),
    "seed": (0, "cell.json", lambda p: edit(p, seed=7), "its seed is not that of its identity"),
    "task-schema": (0, "cell.json", lambda p: edit(p, params=[]), "params should be"),
    "task-missing": (0, "cell.json", Path.unlink, "is missing; restore it from a copy"),
    "task-empty": (0, "cell.json", lambda p: p.write_text(""), "is not JSON"),
    "manifest-torn": (0, "manifest.json", lambda p: p.write_bytes(b'{"status": "do'), "is not JSON; restore it"),
    "status": (0, "manifest.json", lambda p: edit(p, status="fine"), "status should be"),
    "no-scores": (0, "manifest.json", lambda p: edit(p, best=None), "should have best"),
    "manifest-missing": (0, "manifest.json", Path.unlink, "is missing; restore it"),
    "events-missing": (0, "events.jsonl", Path.unlink, "is missing; its scores stand"),
    "events-short": (0, "events.jsonl", lambda p: p.write_text(p.read_text().splitlines()[0] + "\n"), "does not end"),
    "event-in-the-middle": (0, "events.jsonl", lambda p: flip(p, 0), "line 1: is not JSON"),
    "event-schema": (0, "events.jsonl", lambda p: p.write_text("{}\n" + p.read_text()), "line 1: generator_updates"),
    "sheet-empty": (0, "samples/00000050.png", lambda p: p.write_bytes(b""), "is not a PNG"),
    "sheet-strange": (2, "samples/00000050.png", lambda p: p.write_text("GIF89a, not a picture"), "is not a PNG"),
    "probe-of-another": (0, f"{PROBE}/task.json", lambda p: edit(p, key="0" * 64), "its key is that of another cell"),
    "probe-task-torn": (0, f"{PROBE}/task.json", lambda p: p.write_text("{"), "is not JSON; delete its directory"),
    "probe-numbers": (0, f"{PROBE}/manifest.json", lambda p: edit(p, numbers={"error": "low"}), "numbers.error should"),
    "probe-picture": (0, f"{PROBE}/sheet.png", Path.unlink, "is missing; delete its directory"),
    "sheet-cut": (0, "samples/00000100.png", lambda p: os.truncate(p, 40), "is cut off"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found_told_with_advice_and_left_as_it_is(kind: str, folder: Path) -> None:
    seed, name, spoil, message = DAMAGE[kind]
    spoil(unit(folder, seed).directory / name)
    before = contents(folder)
    outcome = doctor(folder, "--repair")
    assert outcome.exit_code == 1
    first = outcome.output.splitlines()[0]
    assert first.startswith(f"damaged  cells/{unit(folder, seed).directory.name}/{name}: ")
    assert message in first
    assert "; " in first
    assert "1 damaged" in outcome.output.splitlines()[-1]
    assert contents(folder) == before


def test_before_the_data_is_ready_there_is_no_plan(folder: Path) -> None:
    (folder / "run.json").unlink()
    shutil.rmtree(folder / "cells")
    outcome = doctor(folder)
    assert outcome.exit_code == 0
    assert "note     run.json: is missing; `ganbench run` with the benchmark file writes it anew" in outcome.output


def test_a_damaged_plan_is_damage_and_the_cells_are_still_checked(folder: Path) -> None:
    (folder / "run.json").write_text('{"cells": ')
    flip(unit(folder, 0).snapshot("best"))
    found = examine(folder)
    assert said(found, "damaged")[0][0] == "run.json"
    assert found.damaged == 2
    assert found.summary().startswith("4 cells: ")
    assert not any("earlier plan" in sentence for _, sentence in said(found, "note"))


def test_a_missing_sheet_is_no_damage(folder: Path) -> None:
    unit(folder, 0).sample_sheet(50).unlink()
    found = examine(folder)
    assert found.damaged == 0
    assert any("1 of 2 sample sheets are missing" in sentence for _, sentence in said(found, "note"))


# --- what --repair does -----------------------------------------------------------------------------------------------


def touch(name: str) -> Callable[[Unit], object]:
    return lambda unit: (unit.directory / name).write_text("{}")


def gone(name: str) -> Callable[[Unit], bool]:
    return lambda unit: not (unit.directory / name).exists()


def tear(unit: Unit) -> None:
    with (unit.directory / "events.jsonl").open("a") as file:
        file.write('{"event": "evaluation", "metr')


def cut_the_end_of_a_line(unit: Unit) -> None:
    path = unit.directory / "events.jsonl"
    os.truncate(path, path.stat().st_size - 1)


def whole_events(unit: Unit) -> bool:
    content = (unit.directory / "events.jsonl").read_text()
    return content.endswith("\n") and [json.loads(line)["rounds"] for line in content.splitlines()] == [50, 100]


REPAIRS: dict[str, tuple[int, Callable[[Unit], object], Callable[[Unit], bool]]] = {
    "temporary": (0, touch(".manifest.json.12.tmp"), gone(".manifest.json.12.tmp")),
    "temporary-sheet": (3, touch("samples/.00000050.png.12.tmp"), gone("samples/.00000050.png.12.tmp")),
    "progress": (2, touch("progress.json"), gone("progress.json")),
    "checkpoints-of-done": (0, lambda unit: checkpoint(unit, 90), lambda unit: not unit.checkpoints()),
    "checkpoint": (3, lambda unit: flip(unit.checkpoint(100)), lambda u: u.checkpoints() == [u.checkpoint(90)]),
    "torn": (0, tear, whole_events),
    "torn-unfinished": (3, tear, whole_events),
    "no-end-of-line": (0, cut_the_end_of_a_line, whole_events),
    "killed": (
        3,
        lambda unit: unit.update(status="running", pid=1),
        lambda unit: unit.manifest["reason"] == "its process is gone" and unit.status == "interrupted",
    ),
}


@pytest.mark.parametrize("kind", REPAIRS)
def test_what_was_left_behind_is_told_and_then_put_right(kind: str, folder: Path) -> None:
    seed, spoil, right = REPAIRS[kind]
    others = {path: state for path, state in contents(folder).items() if f"-s{seed}-" not in path}
    spoil(unit(folder, seed))
    before = contents(folder)
    assert len(repairable(examine(folder))) == 1
    assert contents(folder) == before  # nothing is written without --repair
    outcome = doctor(folder, "--repair")
    assert outcome.exit_code == 0, outcome.output
    assert outcome.output.startswith(f"repaired cells/{unit(folder, seed).directory.name}")
    assert right(unit(folder, seed))
    assert all((unit(folder, seed).directory / lock).exists() for lock in LOCKS)
    again = examine(folder, repair=True)
    assert (again.damaged, repairable(again), said(again, "repaired")) == (0, [], [])
    assert {path: state for path, state in contents(folder).items() if f"-s{seed}-" not in path} == others


def test_a_torn_evaluation_of_a_done_cell_stays_damage_after_the_repair(folder: Path) -> None:
    path = unit(folder, 0).directory / "events.jsonl"
    os.truncate(path, path.stat().st_size - 9)
    found = examine(folder, repair=True)
    assert [sentence for _, sentence in said(found, "repaired")] == ["its last line is torn"]
    ((_, sentence),) = said(found, "damaged")
    assert "does not end with the last evaluation" in sentence
    assert len(path.read_text().splitlines()) == 1


def test_what_no_lock_guards_is_told_and_left(folder: Path) -> None:
    (folder / ".run.json.12.tmp").touch()
    assert [where for where, _ in said(examine(folder, repair=True), "note")] == [".run.json.12.tmp"]
    assert (folder / ".run.json.12.tmp").exists()


def test_a_repair_that_fails_is_said(folder: Path) -> None:
    unit(folder, 0).checkpoint(5).mkdir()  # a directory, which is not deleted like a file
    found = examine(folder, repair=True)
    assert said(found, "repaired") == []
    assert any("could not be repaired (" in sentence for _, sentence in said(found, "note"))


# --- locks ------------------------------------------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from filelock import FileLock
from ganbench.store import Unit
path = Path(sys.argv[1])
lock = FileLock(path)
Unit(path.parent).claim() if path.name == "claimed" else lock.acquire()
print(1, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("name", ["claimed", *LOCKS])
def test_a_unit_that_a_run_has_is_not_touched_until_its_process_is_dead(name: str, folder: Path) -> None:
    busy = unit(folder, 3)
    busy.update(status="running")
    touch("progress.json")(busy)
    touch(".manifest.json.12.tmp")(busy)
    tear(busy)
    flip(busy.checkpoint(100))
    process = subprocess.Popen([sys.executable, "-c", HOLD, busy.directory / name], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        before = contents(folder)
        found = examine(folder, repair=True)
        assert said(found, "note") == [("locks", "1 unit in use by a run, not looked at")]
        assert (found.damaged, repairable(found)) == (0, [])
        assert "1 in use" in found.summary()
        assert contents(folder) == before
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    found = examine(folder, repair=True)
    assert len(said(found, "repaired")) == 5
    assert (found.damaged, repairable(found)) == (0, [])
    assert busy.status == "interrupted"


def test_a_unit_that_a_run_takes_while_it_is_looked_at_is_in_use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, look = unit(folder, 3), health.look

    def slow(unit: Unit, outline: dict[str, Any] | None) -> Seen:
        if unit.directory == busy.directory:
            assert busy.claim()
            busy.update(status="running")
        return look(unit, outline)

    monkeypatch.setattr(health, "look", slow)
    assert "1 in use" in examine(folder).summary()
    busy.release()


@pytest.mark.parametrize("worker", [False, True])
def test_a_unit_that_a_run_takes_before_the_repair_is_left_to_it(
    worker: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = unit(folder, 3)
    touch("progress.json")(busy)
    monkeypatch.setattr(health, "_in_use", lambda unit: False)  # not yet, when it was asked
    assert worker or busy.claim()
    with busy.at_work() if worker else nullcontext():
        assert "1 in use" in examine(folder, repair=True).summary()
        assert (busy.directory / "progress.json").exists()
    busy.release()
    assert "1 repaired" in examine(folder, repair=True).summary()


# --- what a stranger may send -----------------------------------------------------------------------------------------


def test_names_cannot_speak_to_the_terminal(folder: Path) -> None:
    evil = "\x1b[2J[red]\u202e\n"
    touch(evil)(unit(folder, 0))
    edit(unit(folder, 1).directory / "manifest.json", files={evil: "0" * 64, "generator-best.safetensors": evil})
    shutil.copytree(unit(folder, 2).directory, folder / "cells" / f"{evil}-s9-")
    (folder / evil).mkdir()
    output = doctor(folder, "--repair").output
    assert not {"\x1b", "\u202e"} & set(output)
    assert output.count("\\x1b[2J[red]\\u202e\\n") == 3
    assert doctor(folder / evil).stderr.count("\n") == 1
    assert visible("a" * 10_000) == "a" * 600 + "..."


def test_links_pipes_and_directories_in_the_place_of_files_neither_hang_nor_lead_elsewhere(
    folder: Path, tmp_path: Path
) -> None:
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    touch("progress.json")(unit(elsewhere, 3))
    before = contents(elsewhere)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for seed in (1, 2):
        path = unit(folder, seed).directory / "manifest.json"
        path.unlink()
        os.mkfifo(path) if seed == 1 else path.mkdir()
    lock = folder / "cells" / FILE
    lock.unlink()
    lock.symlink_to(victim)
    touch("progress.json")(unit(folder, 0))
    shutil.rmtree(unit(folder, 3).directory)
    (folder / "cells" / unit(elsewhere, 3).directory.name).symlink_to(unit(elsewhere, 3).directory)
    found = examine(folder, repair=True)
    assert found.damaged == 2
    assert any("could not be repaired" in sentence for _, sentence in said(found, "note"))
    assert victim.read_text() == "mine"
    assert lock.is_symlink()
    assert contents(elsewhere) == before


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"\xff\xfe{}",
        b"{}",
        b"[]",
        b"\0" * 50,
        b"1" * 9999,
        b'{"status": []}',
        b'{"pid": 1e999}',
        b'{"status": "done", "shape": 5}',
        b'{"cells": {"x": {"skip": []}, "y": 5}}',
    ],
)
def test_any_content_of_any_record_is_a_finding_and_no_crash(content: bytes, folder: Path) -> None:
    names = ["run.json", "references/digits/task.json", "references/digits/manifest.json"]
    names += [str(path.relative_to(folder)) for path in unit(folder, 0).directory.glob("*.json*")]
    names += [str(path.relative_to(folder)) for path in unit(folder, 3).directory.glob("*.json*")]
    for name in names:
        original = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        assert doctor(folder).exit_code == (0 if "-s3-" in name and name.endswith("jsonl") else 1), name
        (folder / name).write_bytes(original)
    for name in names:
        (folder / name).write_bytes(content)
    examine(folder, repair=True)
    assert repairable(examine(folder)) == []


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "truncate", "delete", "append", "empty"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(acts=ACTS)
def test_random_damage_never_crashes_and_repairs_touch_only_what_was_spoiled(
    acts: list[tuple[str, float, float]], good: Path
) -> None:
    root = good.with_name("spoiled")
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(good, root)
    paths = sorted(
        path for path in root.rglob("*.*") if path.is_file() and path.name not in {"benchmark.toml", FILE, *LOCKS}
    )
    spoiled = set()
    for act, where, at in acts:
        path = paths[int(where * len(paths))]
        content = bytearray(path.read_bytes()) if path.exists() else bytearray()
        place = int(at * len(content))
        if act == "flip" and content:
            content[place] ^= 1 << place % 8
        path.write_bytes({"truncate": content[:place], "append": content + b"\xff{", "empty": b""}.get(act, content))
        if act == "delete":
            path.unlink()
        spoiled.add(path)
    units = {path.parts[len(root.parts) + 1] for path in spoiled if path.parent != root}

    def others() -> dict[str, Any]:
        return {path: state for path, state in contents(root).items() if not any(name in path for name in units)}

    before, outcome = others(), doctor(root)
    for path in spoiled:  # what has a checksum cannot be spoiled unnoticed
        if path.match("*-s[01]-*/generator*"):
            same = path.exists() and path.read_bytes() == (good / path.relative_to(root)).read_bytes()
            assert same or outcome.exit_code == 1, path
    repaired = examine(root, repair=True)
    again = examine(root, repair=True)
    assert repairable(repaired) == repairable(again) == said(again, "repaired") == []
    assert again.damaged == repaired.damaged
    assert others() == before


# --- together with a run ----------------------------------------------------------------------------------------------


def test_a_run_is_healthy_and_a_cell_whose_record_is_lost_is_trained_again(
    toml: Callable[..., Path], tmp_path: Path
) -> None:
    def run() -> Result:
        return CliRunner().invoke(main, ["run", str(toml()), "--results", str(tmp_path)])

    assert run().exit_code == 0
    root = tmp_path / "mini"
    healthy = doctor(root, "--repair")
    assert healthy.exit_code == 0, healthy.output
    assert "repaired" not in healthy.output  # the lock files that a run leaves are nothing to be put right
    (trained,) = Store(root).cells()
    scores = trained.manifest["last"]["metrics"]
    os.truncate(trained.directory / "manifest.json", 100)
    assert doctor(root, "--repair").exit_code == 1
    assert "1 trained now" in run().output
    assert trained.manifest["last"]["metrics"] == pytest.approx(scores)
    assert doctor(root).exit_code == 0


def test_many_cells_take_little_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda number: None)
    cells: dict[str, Any] = {}
    for seed in range(100):
        cells |= cell(tmp_path, seed, "done")
    Store(tmp_path).plan({"name": "many", "rank": {"metric": "fcd", "at": "best"}, "metrics": {}, "cells": cells}, "")
    started = time.process_time()
    assert examine(tmp_path).damaged == 0
    assert time.process_time() - started < 1  # 0.1 s when measured, with snapshots of almost no size
