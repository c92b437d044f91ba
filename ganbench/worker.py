"""One unit of work in one process: ``python -m ganbench.worker DIR`` trains a cell, prepares a dataset's reference, or
carries out a probe.

The directory says all there is to know; what comes of it is written there. Exit code 0 when the unit is done, 1 when
it ended in another status (which, with the reason, is in its manifest), 2 when the directory is no unit, 3 when its
records cannot be written, 4 when it is to go on in a new process (here it does so by itself), 130 or 143 when it was
stopped by SIGINT or SIGTERM.
"""

from __future__ import annotations

import copy
import errno
import json
import os
import platform
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ganbench import shared
from ganbench.code import changed, fingerprint
from ganbench.data import Prepared, data_root, prepare
from ganbench.errors import Diverged, GanbenchError, PluginError, StorageError, Unsuitable, UserError
from ganbench.plugins import in_use, installed, use, use_recorded
from ganbench.provenance import of_unit
from ganbench.store import Record, Status, Store, Unit, cannot_write, now, sha256, write_atomically
from ganbench.trained import new_game, same_data

if TYPE_CHECKING:
    from ganbench.evaluate import Evaluator
    from ganbench.game import Game
    from ganbench.shared import Shared

CANNOT_WRITE, AGAIN = 3, 4  # exit codes
_EAGER = "turns are not replayed from CUDA graphs: "
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def work(
    directory: Path,
    stop: Callable[[], bool] = lambda: False,
    examine: Callable[[BaseException], None] = lambda error: None,
    expendable: bool = False,
) -> int:
    """Do the unit in `directory` and return the exit code. Every way it can end is written into its manifest.

    Training stops with a checkpoint once `stop` says so. `examine` sees what a unit raised before it is written down.
    `expendable`: CUDA graphs may be tried, for the process can be given up when a recording is broken off.
    """
    unit = Unit(directory)
    task = unit.task
    try:
        with unit.at_work(lambda: print("waiting for another process that is at work on this", flush=True)):
            if task["unit"] == "cell" and unit.status == "done":
                return _rescore(unit, task) if lacking(unit.manifest, task["metrics"]) else 0
            return _work(unit, task, stop, examine, expendable)
    except KeyboardInterrupt:  # while waiting: the records are not ours to write
        return 1
    except StorageError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return CANNOT_WRITE


def _work(
    unit: Unit, task: Record, stop: Callable[[], bool], examine: Callable[[BaseException], None], expendable: bool
) -> int:
    from ganbench.graphs import NotRecorded

    started = time.perf_counter()
    unit.sweep()
    lacks: UserError | None = None
    try:
        use_recorded(task.get("plugins", ()))
    except UserError as error:  # to be said once the attempt is on record
        lacks = error
    before, code = unit.manifest, _code(task)
    if not unit.checkpoints():
        unit.clear()
    unit.settle()
    unit.update(
        status="running",
        reason="",
        cause="",
        attempt=before["attempt"] + 1,
        started=now(),
        pid=os.getpid(),
        host=platform.node(),
        code=code,
        components={} if lacks else of_unit(task, installed()),
        eager=before.get("eager", "") if before.get("code") == code else "",
    )
    facts: Record = {}
    status: Status
    try:
        if lacks:
            raise lacks
        if task["unit"] == "cell":
            facts = _train(unit, task, stop, started, expendable)
        else:
            facts = _probe(unit, task) if task["unit"] == "probe" else _reference(unit, task)
        status, reason = "done", ""
    except KeyboardInterrupt:
        status, reason = "interrupted", "stopped before it was done"
    except NotRecorded as error:
        unit.update(eager=str(error))
        say(unit, f"{_EAGER}{error}; going on in a new process")
        return AGAIN
    except StorageError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and _interruption.asked:
            raise
        if isinstance(error, OSError) and error.errno in _DISK:
            raise cannot_write(unit.directory, str(error)) from error
        status, reason = _ending(error)
        facts["cause"] = "plugin" if isinstance(error, PluginError) else ""
        if status != "skipped":
            traceback.print_exc()
            examine(error)
        if status != "oom":
            unit.clear_checkpoints()  # the same would happen again; what was killed or lacked memory goes on from them
    seconds = {"total": time.perf_counter() - started, **facts.pop("seconds", {})}
    unit.end(status, reason, **facts, seconds=seconds)
    if status == "done":
        unit.clear_checkpoints()
    return 0 if status == "done" else 1


def _code(task: Record) -> dict[str, str]:
    """What code the unit is made by."""
    if task["unit"] != "cell":
        return {}
    try:
        return fingerprint(installed().find("variants", task["variant_id"]), installed())
    except UserError:  # its plugin is not there: that is what training will fail with
        return {}


def _ending(error: BaseException) -> tuple[Status, str]:
    """Status and reason of a unit that raised."""
    from ganbench.environment import out_of_memory

    first = re.sub(r"^\[enforce fail at .*?\. (?=\w)", "", str(error).strip().partition("\n")[0])  # of torch's C++
    if isinstance(error, Diverged):
        return "diverged", str(error)
    if isinstance(error, Unsuitable):
        return "skipped", str(error)
    if out_of_memory(error):
        return "oom", first or "out of memory"
    if isinstance(error, GanbenchError):
        return "failed", str(error)
    return "failed", f"{type(error).__name__}: {first}"


def _prepare(unit: Unit, task: Record) -> Prepared:
    """The task's dataset, ready to be mapped."""
    dataset = installed().dataset(task["dataset_id"], task["dataset_params"])
    return prepare(task["dataset"], dataset, data_root(), lambda message: say(unit, message), _shared(unit, task))


def _shared(unit: Unit, task: Record) -> Shared | None:
    """What the unit shares with other machines. What this one has of it is for them where a dataset is made ready."""
    return shared.of(unit.directory, offer=task["unit"] == "reference")


def say(unit: Unit, message: str) -> None:
    """A line for the log, and for who watches the run."""
    print(message, flush=True)
    unit.progress({"doing": message})


def _reference(unit: Unit, task: Record) -> Record:
    """Prepare a dataset: its arrays, its extractors, the metrics' references and the real rows."""
    from ganbench.environment import environment
    from ganbench.evaluate import baselines, real_rows
    from ganbench.pictures import real_picture

    data = _prepare(unit, task)
    evaluator = _evaluator(unit, task, data, list(task["metrics"]))
    test = data.splits["test"]
    write_atomically(unit.directory / "real.png", real_picture(data))
    return {
        "shape": list(data.spec.shape),
        "classes": data.spec.classes,
        "train": len(data.splits["train"].images),
        "test": len(test.images),
        "fingerprint": data.fingerprint,
        "extractors": {name: {**e.info, "hash": e.hash} for name, e in evaluator.extractors.items()},
        "real": real_rows(evaluator, data),
        "baselines": baselines(evaluator, data),
        "unavailable": evaluator.unavailable,
        "inapplicable": evaluator.inapplicable,
        "environment": environment(task["device"]),
    }


def _probe(unit: Unit, task: Record) -> Record:
    """Carry out a probe on the chosen snapshot of the cell that the unit lies in."""
    from ganbench.environment import environment
    from ganbench.probing import carry_out

    cell = Unit(unit.directory.parent.parent)
    data = _prepare(unit, task)
    _, game = _open(cell, task, data, [])
    found = carry_out(unit, task, cell, data, game, say=lambda message: say(unit, message))
    return {**found, "environment": environment(task["device"])}


def _evaluator(unit: Unit, task: Record, data: Prepared, metrics: list[str]) -> Evaluator:
    from ganbench.evaluate import Evaluator

    others = _shared(unit, task)
    return Evaluator(
        data,
        metrics,
        extractors=task["extractors"],
        reference=task["reference"],
        device=task["device"],
        root=others.kept if others else data_root(),
        say=lambda message: say(unit, message),
        shared=others,
    )


_evaluators: dict[str, Evaluator] = {}  # of this process's last cell: the next one usually needs the same


def _kept_evaluator(unit: Unit, task: Record, data: Prepared, metrics: list[str]) -> Evaluator:
    """An evaluator as `_evaluator` makes it, which holds nothing of the cells that it has scored."""
    asked = (task[name] for name in ("dataset", "extractors", "reference"))
    key = json.dumps([data.fingerprint, metrics, *asked, str(unit.directory.parent.parent)])
    kept = _evaluators.get(key)
    _evaluators.clear()
    if kept is None or kept.unavailable:
        kept = _evaluator(unit, task, data, metrics)
    _evaluators[key] = kept
    return kept


def _open(unit: Unit, task: Record, data: Prepared, metrics: list[str]) -> tuple[Evaluator, Game]:
    """What a cell is made of besides its data: the evaluator for `metrics`, and its game at the start."""
    same_data(task, data)
    evaluator = _kept_evaluator(unit, task, data, metrics)
    reference = Store(unit.directory.parent.parent).reference(task["dataset"]).manifest.get("extractors", {})
    for name, found in evaluator.hashes.items():
        known = reference.get(name, {}).get("hash", found)
        if known != found:
            raise UserError(
                f"the {name} of {task['dataset']} is not the one that this results folder was scored with "
                f"({found[:12]} instead of {known[:12]}); use a new results folder, or restore the cache"
            )
    return evaluator, new_game(task, data.spec)


_NOTHING_YET: Record = {"evaluations": [], "chosen": None, "seconds": 0.0, "checkpoint_seconds": 0.0}


def _eager(unit: Unit, task: Record, expendable: bool) -> str:
    """Why turns are not even tried to be recorded, if there is a reason."""
    if not task.get("cuda_graphs", True):
        return "cuda_graphs = false"
    if not expendable:
        return "this process could not be given up if a recording failed"
    return str(unit.manifest["eager"])


def _train(unit: Unit, task: Record, stop: Callable[[], bool], started: float, expendable: bool) -> Record:
    """Play the game, evaluating as planned; then score the chosen snapshot on fresh samples."""
    from ganbench import checkpoints, keepsakes
    from ganbench.batches import Batches
    from ganbench.counters import Counters, flops_of
    from ganbench.environment import environment
    from ganbench.evaluate import load_snapshot, save_snapshot
    from ganbench.graphs import recorder_for
    from ganbench.pictures import sample_sheet
    from ganbench.train import Budget, Moment, State, evaluating, play

    seed, rank = task["seed"], task["rank"]
    times, samples = task["evaluate"]["times"], task["evaluate"]["samples"]
    counters = Counters(task["device"], started)
    with counters.opening():
        data = _prepare(unit, task)
    evaluator, game = _open(unit, task, data, list(task["metrics"]))
    code = unit.manifest["code"]
    kept = checkpoints.load(unit, task["device"], say=lambda message: say(unit, message))
    if kept and (kept.get("key"), kept.get("code")) != (task["key"], code):
        what = changed(kept.get("code", {}), code) or "another version of ganbench"
        say(unit, f"starting anew: the checkpoint is that of other code ({what})")
        kept = None
    history: Record = json.loads(kept["history"]) if kept else copy.deepcopy(_NOTHING_YET)
    evaluations: list[Record] = history["evaluations"]
    chosen: Record | None = history["chosen"]
    evaluate_seconds: float = history["seconds"]
    checkpoint_seconds: float = history["checkpoint_seconds"]
    unit.keep_events([{"event": "evaluation", **evaluation} for evaluation in evaluations])
    if kept:
        counters.earlier = history.get("counters")
        say(unit, f"going on after round {kept['game']['moment']['rounds']:,}")

    def evaluate(moment: Moment) -> None:
        nonlocal chosen, evaluate_seconds
        started = time.perf_counter()
        with _interruption.at_once():  # this would be done again from the start
            scores = evaluator.score_game(game, samples, seed)
            picture = sample_sheet(game, data, task["device"], seed)
        event: Record = {**vars(moment), "metrics": scores}
        write_atomically(unit.sample_sheet(moment.generator_updates), picture)
        save_snapshot(game, unit.snapshot("last"))
        if chosen is None or _preferred(event["metrics"], chosen["metrics"], rank):
            chosen = event
            save_snapshot(game, unit.snapshot("best"))
        event["evaluate_seconds"] = time.perf_counter() - started
        evaluate_seconds += event["evaluate_seconds"]
        evaluations.append(event)
        unit.append({"event": "evaluation", **event})
        tell(moment, len(evaluations) / times)

    def tell(moment: Moment, spent: float) -> None:
        latest = evaluations[-1]["metrics"] if evaluations else {}
        unit.progress({"spent": spent, "updates": moment.generator_updates, "metrics": latest})

    def keep(state: State) -> None:
        nonlocal checkpoint_seconds
        started = time.perf_counter()
        progress = {
            "evaluations": evaluations,
            "chosen": chosen,
            "seconds": evaluate_seconds,
            "checkpoint_seconds": checkpoint_seconds,
            "counters": counters.so_far(),
        }
        content = {"key": task["key"], "code": code, "history": json.dumps(progress), "game": state}
        checkpoints.save(unit, content, state["moment"]["rounds"])
        checkpoint_seconds += time.perf_counter() - started

    with counters.opening():
        split, paired = data.split(task["train_on"]), data.spec.paired
        batches = Batches(split, game.batch_size, device=task["device"], seed=seed, paired=paired)
    recorder = recorder_for(batches.images.device)
    eager = _eager(unit, task, expendable) if recorder else ""
    with _interruption.later():
        last = play(
            game,
            batches,
            Budget(**task["budget"]),
            evaluations=times,
            evaluate=evaluate,
            precision=task["precision"],
            tell=tell,
            checkpoint=keep,
            resume=kept["game"] if kept else None,
            stop=stop,
            recorder=None if eager else recorder,
        )
    if recorder and (eager := eager or recorder.reason):
        say(unit, _EAGER + eager)
    assert chosen is not None  # the end of the budget is always evaluated
    started = time.perf_counter()
    load_snapshot(game, unit.snapshot("best"))
    counts = keepsakes.ClassCounts(evaluator.frequencies)
    with evaluating(game):
        again = evaluator.score_game(game, samples, seed, fresh=True, watch=counts)
        keepsakes.write(unit.directory, game, batches.images, data.spec.classes, seed)
    evaluate_seconds += time.perf_counter() - started
    spent = {"train": last.seconds, "evaluate": evaluate_seconds, "checkpoint": checkpoint_seconds}
    return {
        "generator_updates": last.generator_updates,
        "rounds": last.rounds,
        "images": last.images,
        "epochs": last.epochs,
        "conditional": game.conditional,
        "parameters": {player.name: sum(p.numel() for p in player.parameters()) for player in game.players},
        "best": {**chosen, "selected_at": chosen["metrics"], "metrics": again},
        "last": evaluations[-1],
        "classes": counts.facts,
        "metric_versions": task["metrics"],
        "unavailable": evaluator.unavailable,
        "inapplicable": evaluator.inapplicable,
        "extractors": evaluator.hashes,
        "files": {path.name: sha256(path) for path in (unit.snapshot("best"), unit.snapshot("last"))},
        "environment": environment(task["device"]),
        "eager": eager,
        **counters.facts(flops_of(task["variant_id"], json.dumps(task["params"]), data.spec), last, spent),
    }


def _preferred(one: dict[str, float], other: dict[str, float], rank: dict[str, str]) -> bool:
    """Whether a later snapshot's scores replace the chosen one's. Without the ranked metric the last is chosen."""
    if rank["metric"] not in one:
        return True
    a, b = one[rank["metric"]], other[rank["metric"]]
    return a < b if rank["direction"] == "lower" else a > b


def lacking(manifest: Record, metrics: dict[str, str]) -> list[str]:
    """The metrics that a trained cell has not been scored with, or only with another protocol version.

    Not those that its game cannot be scored with.
    """
    scored = {name: manifest["metric_versions"][name] for name in manifest["last"]["metrics"]}
    scored |= manifest.get("inapplicable", {})
    return [name for name, version in metrics.items() if scored.get(name) != version]


def _rescore(unit: Unit, task: Record) -> int:
    """Add the metrics that a trained cell lacks to its best and its last generator; training is not repeated."""
    from ganbench.evaluate import load_snapshot
    from ganbench.train import evaluating

    manifest = unit.manifest
    best, last = manifest["best"], manifest["last"]
    samples, seed = task["evaluate"]["samples"], task["seed"]
    try:
        use_recorded(task.get("plugins", ()))
        evaluator, game = _open(unit, task, _prepare(unit, task), lacking(manifest, task["metrics"]))
        for final, snapshot, fresh in ((best, unit.snapshot("best"), True), (last, unit.snapshot("last"), False)):
            load_snapshot(game, snapshot)
            with evaluating(game):
                final["metrics"].update(evaluator.score_game(game, samples, seed, fresh=fresh))
    except StorageError:
        raise
    except Exception as error:
        traceback.print_exc()
        unit.update(reason=f"trained, but scoring it again failed: {_ending(error)[1]}")
        return 1
    finally:
        unit.progress({})
    unit.update(
        best=best,
        last=last,
        metric_versions=task["metrics"],
        unavailable=_with_older(manifest, "unavailable", evaluator.unavailable),
        inapplicable=_with_older(manifest, "inapplicable", evaluator.inapplicable),
        extractors={**manifest["extractors"], **evaluator.hashes},
        components=_components_with(manifest, of_unit(task, installed(), evaluator.metrics)),
        reason="",
    )
    return 0


def _with_older(manifest: Record, name: str, now: dict[str, str]) -> dict[str, str]:
    """What is on record of metrics that never apply to this cell, and what was found just now."""
    lasting: dict[str, str] = manifest.get("inapplicable", {})
    return {**{metric: text for metric, text in manifest.get(name, {}).items() if metric in lasting}, **now}


def _components_with(manifest: Record, now: Record) -> Record:
    """The components on record, and those that a cell was scored with just now."""
    before: Record = manifest.get("components", {})
    parts = {role: {**before.get(role, {}), **now.get(role, {})} for role in ("metrics", "extractors")}
    return {**before, **{role: made for role, made in parts.items() if made}}


def run_in_this_process(
    directory: Path,
    threads: int | None = None,
    examine: Callable[[BaseException], None] = lambda error: None,
    *,
    expendable: bool = False,
) -> int:
    """`work`, with the process set up for it: its threads, its settings, and what stops it.

    SIGTERM and Ctrl-C stop training after the current round, with a checkpoint. What a unit changes of the process is
    put back at its end, so that the next one finds it as a new process would be.
    """
    from ganbench.environment import set_up

    set_up(threads)
    heard = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _interruption.heard) for number in heard}
    try:
        with _settings_put_back():
            code = work(directory, lambda: bool(_interruption.asked), examine, expendable)
        return 128 + _interruption.asked if code and _interruption.asked else code
    finally:
        _interruption.asked = 0
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _settings_put_back() -> Iterator[None]:
    """Undo, at the end, what a plugin may change of the process: folder, variables, and torch's settings."""
    import torch

    folder, variables, named = Path.cwd(), dict(os.environ), in_use()
    dtype, gradients, threads = torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    lenient = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    kept = cudnn.enabled, cudnn.benchmark, cudnn.deterministic
    try:
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)
        use(named)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=lenient)
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = kept


class _Interruption:
    """What the first SIGTERM or Ctrl-C means: while a game is played, the end after its current round; else, now.

    `KeyboardInterrupt` must not be raised while weights are exchanged or a checkpoint is made. A second signal ends
    the process as it is: all files are whole at any time, and what goes on goes on from the checkpoint before.
    """

    _now = True
    asked = 0  # the signal's number

    @contextmanager
    def later(self) -> Iterator[None]:
        self._now = False
        try:
            yield
        finally:
            self._now = True
        if self.asked:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        if self.asked:
            raise KeyboardInterrupt
        self._now = True
        try:
            yield
        finally:
            self._now = False

    def heard(self, number: int, frame: object) -> None:
        if self.asked:
            raise SystemExit(128 + number)
        self.asked = number
        if self._now:
            raise KeyboardInterrupt


_interruption = _Interruption()


def main(arguments: list[str]) -> int:
    """The command line of ``python -m ganbench.worker``."""
    if len(arguments) != 1:
        print("usage: python -m ganbench.worker DIR", file=sys.stderr)
        return 2
    try:
        code = run_in_this_process(Path(arguments[0]), expendable=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if code == AGAIN:
        os.execv(sys.executable, [sys.executable, "-m", "ganbench.worker", *arguments])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
