"""What the executor ``ray`` and the parcels that it sends decide, without a cluster (tests/test_ray_cluster.py)."""

from __future__ import annotations

import pickle
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import MINI
from ganbench_ray import cluster

from ganbench import plugins as registry
from ganbench.cli import main
from ganbench.config import read
from ganbench.errors import PluginError, UserError
from ganbench.parcel import Parcel
from ganbench.plan import resolve
from ganbench.plugins import VARIABLE, Plugins, installed, use, use_recorded
from ganbench.store import Store, Unit

OWN = """
from ganbench.api import hookimpl
from ganbench_gans.mlp_gan import MLPGAN

@hookimpl
def register_variants(register):
    register("my-mlp", "my_mlp:Mine")

class Mine(MLPGAN):
    "Mine."
    version = "3"
"""


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a parcel makes of this process, which is not that of another machine, is undone."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(registry, "_brought", ())
    yield
    registry.let_go()


@pytest.fixture
def unit(toml: Callable[..., Path], tmp_path: Path) -> Unit:
    """A cell of a variant that comes in a file."""
    file = tmp_path / "my_mlp.py"
    file.write_text(OWN)
    benchmark, source = read(toml(MINI, ('"mlp-gan"', '"my-mlp"')))
    plan = resolve(benchmark, source, use([registry.name(str(file), tmp_path)]))
    unit = Store(tmp_path / "results").cell("one")
    unit.create(plan.cells({"digits": "f"})[0].task)
    return unit


def opened(parcel: Parcel) -> Plugins:
    """What a node makes of it before its process starts."""
    there: Parcel = pickle.loads(pickle.dumps(parcel))
    registry.let_go()
    there._open()
    return installed()


def test_a_parcel_says_what_its_unit_is_made_of(unit: Unit) -> None:
    made = Parcel.of(unit.directory).made
    assert made["my-mlp/my-mlp"].startswith("version 3 of my_mlp.py sha256:")
    assert {"ganbench", "torch", "data/digits", "metrics/fcd", "metrics/classifier"} <= made.keys()


def test_a_file_that_is_not_on_the_node_is_brought_there(unit: Unit, tmp_path: Path) -> None:
    parcel = Parcel.of(unit.directory)
    (tmp_path / "my_mlp.py").unlink()
    assert opened(parcel).find("variants", "my-mlp").load().version == "3"
    registry.let_go()
    registry._brought = ()
    with pytest.raises(PluginError, match="is gone since the run was planned"):  # where nothing was brought
        use_recorded(unit.task["plugins"])


def test_a_plugin_that_a_node_lacks_matters_only_where_it_is_used(unit: Unit) -> None:
    parcel = Parcel.of(unit.directory)
    settled = parcel.plugins._replace(choice=f"{parcel.plugins.choice},another")
    opened(replace(parcel, plugins=settled))
    settled = settled._replace(choice="core,gans,metrics,another")  # as on a node without the plugin `data`
    again = replace(Parcel.of(unit.directory), plugins=settled, host="head")
    with pytest.raises(UserError, match=r"^data/digits is version \S+ of ganbench \S+ on head and not there on \S+; "):
        opened(again)


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        ({"made": {"ganbench": "9.1"}}, r"^ganbench is 9.1 on head and \S+ on \S+; install the same on both$"),
        ({"made": {"torch": "1.0"}}, r"^torch is 1.0 on head and \S+ on \S+; install the same on both$"),
        ({"code": {"my_mlp.py": "0"}}, r"^from head to \S+, my_mlp.py changed; install the same on both$"),
    ],
)
def test_a_node_that_has_something_else_is_refused(unit: Unit, there: dict[str, dict[str, str]], sentence: str) -> None:
    parcel = replace(Parcel.of(unit.directory), host="head", **there)
    with pytest.raises(UserError, match=sentence):
        opened(parcel)


def test_a_node_that_sees_another_folder_is_refused(unit: Unit, tmp_path: Path) -> None:
    elsewhere = Store(tmp_path / "copy").cell("one")
    elsewhere.create(unit.task)
    parcel = Parcel.of(unit.directory)
    assert parcel.waits
    with pytest.raises(UserError, match=r"does not see .*choose by --results a folder on a file system that all"):
        opened(replace(parcel, directory=str(elsewhere.directory)))
    opened(parcel)
    assert not parcel.waits
    assert sorted(path.name for path in unit.directory.iterdir()) == ["cell.json"]  # no mark is left
    with pytest.raises(UserError, match="does not see"):
        opened(parcel)


def test_an_address_that_nothing_listens_at_is_one_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"^no Ray cluster can be reached at '{address}' \(Connection refused\); "):
            cluster.knock(address)
    with pytest.raises(UserError, match=r"^no Ray cluster can be reached at 'head:port' \("):
        cluster.knock("head:port")
    cluster.knock("auto")  # for Ray to look


@pytest.mark.parametrize(
    ("has", "needs", "count"),
    [
        ({"CPU": 8.0}, {"CPU": 3.0}, 2),
        ({"CPU": 8.0, "GPU": 2.0}, {"CPU": 1.0, "GPU": 1 / 3}, 6),
        ({"CPU": 4.0, "GPU": 2.0}, {"CPU": 1.0, "GPU": 1 / 3}, 4),
        ({"CPU": 8.0}, {"CPU": 1.0, "GPU": 1.0}, 0),
        ({"CPU": 8.0, "memory": 5 * 2**30}, {"CPU": 1.0, "memory": 2.0 * 2**30}, 2),
        ({}, {"CPU": 1.0}, 0),
    ],
)
def test_room_is_counted_node_by_node(has: dict[str, float], needs: dict[str, float], count: int) -> None:
    assert cluster.fits(has, needs) == count


def test_it_is_there_where_it_is_named(toml: Callable[..., Path]) -> None:
    path = toml(MINI, ("seeds = 1", 'seeds = 1\nexecutor = { name = "ray", params = { cpus = 0 } }'))
    outcome = CliRunner().invoke(main, ["plan", str(path)])
    assert "line 4: cpus of executor 'ray' = 0 is not admissible: it takes int, at least 1" in outcome.output
    path.write_text(path.read_text().replace("cpus = 0", "cpus = 2"))
    assert CliRunner().invoke(main, ["plan", str(path)]).exit_code == 0
    assert EntryPoint("ray", "ganbench_ray", "ganbench.optional").load().register_executors


def test_how_a_task_ended_is_an_exit_code_or_the_end_of_the_run() -> None:
    exceptions = pytest.importorskip("ray.exceptions", reason="Ray is not installed: pip install 'ganbench[ray]'")
    from ganbench_ray.executor import RayExecutor, exit_code

    def ended(error: BaseException) -> Future[int]:
        future: Future[int] = Future()
        future.set_exception(error)
        return future

    def of_the_task(cause: Exception) -> BaseException:
        return exceptions.RayTaskError("do", "Traceback", cause)

    assert exit_code(ended(exceptions.WorkerCrashedError())) == -signal.SIGKILL
    assert exit_code(ended(exceptions.NodeDiedError("its node died"))) == -signal.SIGKILL
    assert exit_code(ended(exceptions.OutOfMemoryError("none is left"))) == RayExecutor.OUT_OF_MEMORY
    assert exit_code(ended(exceptions.TaskCancelledError())) == -signal.SIGTERM
    assert exit_code(ended(of_the_task(exceptions.TaskCancelledError()))) == -signal.SIGTERM
    with pytest.raises(UserError, match=r"^torch is 1\.0 on head$"):
        exit_code(ended(of_the_task(UserError("torch is 1.0 on head"))))
    with pytest.raises(UserError, match=r"^a node cannot run cells \(ModuleNotFoundError: no x\); is ganbench"):
        exit_code(ended(of_the_task(ModuleNotFoundError("no x"))))
