"""Files of strangers: nothing in them runs, nothing in them leaves its folder, and what is shown of them is text."""

import ast
import contextlib
import csv
import hashlib
import io
import json
import math
import os
import pickle
import random
import re
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from ganbench_data.npz import Npz
from ganbench_data.published import CIFAR10, MNIST, SVHN, members_kept_inside
from ganbench_metrics import inception
from ganbench_metrics.classifier import Classifier
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image
from rich.console import Console
from safetensors import SafetensorError
from torchvision.datasets.utils import extract_archive

from ganbench import checkpoints, data
from ganbench.api import Dataset, DatasetError, DataSpec, Split, Unavailable
from ganbench.cli import main
from ganbench.contracts import ExtractorData
from ganbench.errors import UserError
from ganbench.evaluate import load_snapshot
from ganbench.merged import merge
from ganbench.records import check_event, check_manifest, check_run, check_task
from ganbench.report import terminal, write
from ganbench.report.sheets import Panel, compose
from ganbench.store import Store, Unit, slug
from ganbench.testing.records import Records

CODE = Path(__file__).parent.parent


# --- nothing runs -----------------------------------------------------------------------------------------------------


def test_no_module_unpickles_or_evaluates_text():
    files = [*(CODE / "ganbench").rglob("*.py"), *(CODE / "plugins").rglob("*.py")]
    assert len(files) > 50
    loads = 0
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.partition(".")[0] for alias in node.names} | {getattr(node, "module", "") or ""}
                assert not names & {"pickle", "dill", "joblib", "marshal", "shelve", "yaml", "cloudpickle"}, path
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert called not in {"eval", "exec", "compile", "__import__"}, path
                assert not called.endswith((".extractall", ".unpack_archive", ".read_pickle")), path
                if called in ("torch.load", "np.load"):
                    loads += 1
                    assert said.get({"torch.load": "weights_only", "np.load": "allow_pickle"}[called]) == (
                        "True" if called == "torch.load" else "False"
                    ), f"{path}:{node.lineno}"
    assert loads >= 5


class Bomb:
    def __init__(self, crater):
        self.crater = crater

    def __reduce__(self):
        return os.mkdir, (str(self.crater),)


@pytest.fixture
def crater(tmp_path):
    """Where a bomb would go off; the test fails when one did."""
    place = tmp_path / "crater"
    yield place
    assert not place.exists()
    pickle.loads(pickle.dumps(Bomb(place)))
    assert place.exists(), "the bomb does not work"


@pytest.fixture
def offline(monkeypatch):
    """No network, and no file of the right checksum: only ours are there."""

    def fail(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", fail)
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", fail)


def torch_file(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "make", [lambda bomb: torch_file({"key": bomb}), lambda bomb: pickle.dumps(bomb, 2), lambda bomb: torch_file([1])]
)
def test_a_bomb_for_a_checkpoint_with_the_right_checksum_is_not_used(tmp_path, crater, make):
    unit, said = Unit(tmp_path), []
    content = make(Bomb(crater))
    unit.checkpoint(7).write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    assert checkpoints.load(unit, "cpu", said.append) is None
    assert re.fullmatch(r"checkpoint-0+7\.pt is damaged \([^\n]{1,60}\) and not used", said[0])
    assert unit.checkpoints() == []


def test_a_bomb_for_a_snapshot_is_no_snapshot(tmp_path, crater):
    path = tmp_path / "generator-best.safetensors"
    path.write_bytes(torch_file({"weight": Bomb(crater)}))
    with pytest.raises(SafetensorError):
        load_snapshot(SimpleNamespace(generator=torch.nn.Linear(1, 1)), path)


@pytest.mark.parametrize("key", ["x_train", "y_train"])
def test_an_array_of_objects_in_an_npz_is_refused(tmp_path, crater, key):
    arrays = {"x_train": np.zeros((9, 8, 8), np.uint8), "y_train": np.arange(9) % 3}
    path = tmp_path / "bomb.npz"
    np.savez(path, **{**arrays, key: np.array([Bomb(crater)] * 9, object)})
    with pytest.raises(DatasetError, match=r"bomb\.npz"):
        Npz(str(path)).load(tmp_path)


def test_an_npz_that_claims_to_be_huge_is_refused(tmp_path):
    header = io.BytesIO()
    facts = {"descr": "|u1", "fortran_order": False, "shape": (1 << 45, 8, 8)}
    np.lib.format.write_array_header_1_0(header, facts)
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("x_train.npy", header.getvalue())
    with pytest.raises(DatasetError, match=r"huge\.npz is truncated or damaged"):
        Npz(str(tmp_path / "huge.npz")).load(tmp_path)


class Tiny(Dataset):
    def spec(self):
        return DataSpec((1, 8, 8), 2)

    def load(self, root):
        return {"train": Split(np.zeros((20, 1, 8, 8), np.uint8), np.arange(20) % 2)}


def test_a_bomb_among_prepared_arrays_is_replaced(tmp_path, crater):
    prepared = data.prepare("tiny", Tiny(), tmp_path)
    path = prepared.folder / "train-images.npy"
    np.save(path, np.array([Bomb(crater)], object), allow_pickle=True)
    manifest = json.loads((prepared.folder / "manifest.json").read_text())
    manifest["files"][path.name] = path.stat().st_size
    (prepared.folder / "manifest.json").write_text(json.dumps(manifest))
    assert data.lookup("tiny", Tiny(), tmp_path) is None
    assert data.verify(data.prepare("tiny", Tiny(), tmp_path))


def test_cifars_pickles_are_opened_only_with_the_right_checksums(tmp_path, crater, offline):
    folder = tmp_path / "torchvision" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(pickle.dumps({"data": Bomb(crater), "labels": [0]}))
    with pytest.raises(DatasetError, match="not to be had"):
        CIFAR10().load(tmp_path)


def test_mnists_old_pickles_are_not_run(tmp_path, crater, offline):
    folder = tmp_path / "torchvision" / "MNIST" / "processed"
    folder.mkdir(parents=True)
    for name in ("training.pt", "test.pt"):
        (folder / name).write_bytes(torch_file((Bomb(crater), Bomb(crater))))
    with pytest.raises(DatasetError, match="not to be had"):
        MNIST().load(tmp_path)


@pytest.mark.parametrize(
    "content", [lambda bomb: torch_file({"fc.weight": bomb}), lambda bomb: pickle.dumps(bomb, 2), lambda bomb: b""]
)
def test_a_bomb_for_inceptions_weights_is_unavailable_in_one_sentence(tmp_path, crater, monkeypatch, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content(Bomb(crater)))
    monkeypatch.setenv(inception.VARIABLE, str(path))
    with pytest.raises(Unavailable, match=r"weights\.pth is not a plain file of weights") as raised:
        inception.Inception(_extractor_data(tmp_path))
    assert "\n" not in str(raised.value)
    assert "weights_only" not in str(raised.value), "torch's advice is how to run it"


def test_a_bomb_for_a_kept_classifier_is_trained_anew(tmp_path, crater):
    said = []
    data = _extractor_data(tmp_path, said.append)
    Classifier(data)
    (kept,) = tmp_path.glob("*.safetensors")
    kept.write_bytes(torch_file({"head.weight": Bomb(crater)}))
    Classifier(data)
    assert any("is damaged and will be trained anew" in line for line in said)


def _extractor_data(cache, say=lambda message: None):
    images = np.random.default_rng(0).integers(0, 255, (40, 1, 8, 8), dtype=np.uint8)
    return ExtractorData(
        "tiny", DataSpec((1, 8, 8), 2), {"train": Split(images, np.arange(40) % 2)}, "f", "cpu", cache, say
    )


# --- archives ---------------------------------------------------------------------------------------------------------


def _tar(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for name, link in members:
            info = tarfile.TarInfo(name)
            if link:
                info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info, None if link else io.BytesIO())
    return path


def test_archives_and_matrices_of_other_checksums_are_not_opened(tmp_path, offline, monkeypatch):
    folder = tmp_path / "torchvision"
    folder.mkdir()
    _tar(folder / "cifar-10-python.tar.gz", ("cifar-10-batches-py/data_batch_1", ""), ("../escaped", ""))
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        (raw / name).write_bytes(b"\x1f\x8bnot it")
    for split in ("train", "test"):
        (folder / f"{split}_32x32.mat").write_bytes(b"MATLAB")

    def opened(*args, **kwargs):
        raise AssertionError("opened before it was verified")

    monkeypatch.setattr("torchvision.datasets.utils.extract_archive", opened)
    monkeypatch.setattr("scipy.io.loadmat", opened)
    for dataset in (CIFAR10(), MNIST(), SVHN()):
        with pytest.raises(DatasetError, match="no network"):
            dataset.load(tmp_path)


@pytest.mark.parametrize(
    "members",
    [[("../escaped", "")], [("OUTSIDE/escaped", "")], [("link", ".."), ("link/escaped", "")], [("l", "/etc")]],
)
def test_members_of_archives_stay_in_their_folder(tmp_path, members):
    folder = tmp_path / "here"
    folder.mkdir()
    members = [(name.replace("OUTSIDE", str(tmp_path)), link) for name, link in members]
    with contextlib.suppress(tarfile.FilterError), members_kept_inside():
        extract_archive(str(_tar(tmp_path / "bad.tar.gz", *members)), str(folder))
    assert not (tmp_path / "escaped").exists()
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../escaped", "x")
    extract_archive(str(tmp_path / "bad.zip"), str(folder))
    assert not (tmp_path / "escaped").exists()


# --- names ------------------------------------------------------------------------------------------------------------

NAMES = [
    "", ".", "..", "...", "../../etc/passwd", "/etc/passwd", "C:", "C:\\x", "a\\b", "con", "NUL.txt", "com1", "lpt9.a",
    "aux.", "prn", "a.", "a ", " a", "a\nb", "a\0b", "é", "日本", "😀", "x" * 300, "A", "a", "a b", "-", "-rf", "~",
    "e3b0c442", "\ud800", "$(x)", "a/b", "_con", "-con", "con-", ".con", "con.a",
]  # fmt: skip
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def assert_safe(name, length):
    assert 0 < len(name) <= length
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name)
    assert not name.endswith(".")
    assert name.lower().partition(".")[0] not in DEVICES


@pytest.mark.parametrize("name", NAMES)
def test_slugs_of_nasty_names_are_plain_names_of_files(name):
    assert_safe(slug(name), 60)


def test_slugs_of_different_names_differ_also_in_small_letters():
    everything = {*NAMES, *(slug(name) for name in NAMES)}
    assert len({slug(name).lower() for name in everything}) == len(everything)


@given(st.text(alphabet=st.characters() | st.sampled_from("ab.-_/\\:AB0con ")), st.integers(20, 80))
@settings(max_examples=300, deadline=None)
def test_every_slug_is_a_plain_name_of_a_file(text, length):
    assert_safe(slug(text, length), length)
    assert slug(slug(text, length), length) == slug(text, length) or slug(text, length) != text


@given(st.sets(st.text(alphabet="aAbB.-_/ 0con"), min_size=2, max_size=8))
@settings(max_examples=300, deadline=None)
def test_different_texts_have_different_slugs(texts):
    assert len({slug(text).lower() for text in texts}) == len(texts)


def test_usual_names_are_their_own_slugs():
    for name in ("mnist", "wgan-gp", "batch_size", "fashion-mnist", "a.b", "beta1"):
        assert slug(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:",
        "x" * 300,
        "a\0",
        "a\n",
        ".",
        ".x",
        "nul.a",
        "é",
    ],
)
def test_a_cell_of_a_strangers_run_cannot_be_elsewhere(tmp_path, name):
    with pytest.raises(UserError, match="cannot be the name of a folder") as raised:
        Store(tmp_path).cell(name)
    assert len(str(raised.value)) < 300 + len(str(tmp_path))
    assert str(raised.value).isprintable()
    assert Store(tmp_path).reference(name).directory.parent == tmp_path / "references"


# --- a stranger's results folder --------------------------------------------------------------------------------------


def study(root):
    """Three variants, two of them with curves and sheets, and a real row: a cell ``bad`` to be damaged."""
    records = Records(root, budget={"unit": "epochs", "amount": 5.0}, evaluate={"times": 3, "samples": 100})
    for variant, size in (("good", 16), ("good", 32), ("bad", 16)):
        curve = {step: {"fcd": size + 40 / step, "cs": 2 - 1 / step} for step in (20, 60, 100)}
        records.cell(
            variant, 0, curve[60], last=curve[100], curve=curve, params={"batch_size": size},
            sheet=Image.new("L", (102, 102), 90), task={"precision": "fp32"},
        )  # fmt: skip
    Image.new("L", (102, 102), 90).save(records.dataset(real={"fcd": 1.5}) / "real.png")
    return records.written()


def bad(store):
    return store.root / "cells" / "bad-s0-00000002"


def reported(store):
    """All texts of the report: files by name, and ``terminal``."""
    tables = store.tables()
    write(tables, store.root, pictures=False)
    console = Console(file=io.StringIO(), width=150)
    terminal(tables, console)
    texts = {path.name: path.read_text() for path in store.root.iterdir() if path.suffix in (".md", ".csv")}
    return texts | {"terminal": console.file.getvalue()}


def edit(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


MANIFESTS = {
    "status should be 'planned'": {"status": "fine"},
    "status should be 'planned', 'running'": {"status": ["done"]},
    "reason should be a valid string": {"reason": ["x"]},
    "best should be a valid dictionary": {"best": [1]},
    "it should have best": {"best": None},
    "best.metrics.fcd should be a valid number": {"best": {"metrics": {"fcd": "12"}}},
    "best.metrics.fcd should be a number": {"best": {"metrics": {"fcd": 1e300}}},
    "best.generator_updates should be a valid integer": {"best": {"generator_updates": "8"}},
    "last.epochs should be a finite number": {"last": {"epochs": math.inf}},
    "last.seconds should be less than": {"last": {"seconds": 1e300}},
    "images should be greater than": {"images": -1},
    "epochs should be a finite number": {"epochs": math.nan},
    "seconds should be a valid dictionary": {"seconds": [1]},
    "unavailable should be a valid dictionary": {"unavailable": "cs"},
    "conditional should be a valid boolean": {"conditional": "yes"},
}


@pytest.mark.parametrize("words", MANIFESTS)
def test_a_damaged_manifest_is_a_failed_cell(tmp_path, words):
    store = study(tmp_path)

    def change(record):
        for field, value in MANIFESTS[words].items():
            inner = isinstance(value, dict) and isinstance(record.get(field), dict)
            record[field] = {**record[field], **value} if inner else value

    edit(bad(store) / "manifest.json", change)
    (row,) = store.tables().cells.query("variant == 'bad'").to_dict("records")
    assert row["status"] == "failed"
    assert row["reason"].startswith("its manifest.json is damaged: ")
    assert words in row["reason"]


def test_a_damaged_cell_is_said_and_the_others_are_ranked(tmp_path):
    store = study(tmp_path)
    (bad(store) / "manifest.json").write_text('{"status": "fine"}')
    texts = reported(store)
    assert "1 cell failed" in texts["terminal"]
    for text in texts["terminal"], texts["leaderboard.md"]:
        assert "its manifest.json is damaged: status should be" in text
        assert "good batch_size=16" in text


DAMAGES = {
    "text": b"not JSON",
    "empty": b"",
    "a list": b"[]",
    "no text": b"\xff\xfe\x80",
    "deep": b"[" * 100_000,
    "deep in a dict": b'{"status": ' * 5_000 + b"1" + b"}" * 5_000,
    "many digits": b'{"status": ' + b"9" * 5_000 + b"}",
    "too large a number": b'{"status": "failed", "images": 1e999, "test": 1e999}',
    "half a character": b'{"status": "failed", "reason": "\\ud800", "unit": "cell"}',
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["manifest.json", "cell.json"])
def test_a_file_that_is_no_record_is_a_failed_cell(tmp_path, file, damage):
    store = study(tmp_path)
    (bad(store) / file).write_bytes(DAMAGES[damage])
    (row,) = store.tables().cells.query("variant == 'bad'").to_dict("records")
    assert (row["status"], row["reason"].partition(": ")[0]) == ("failed", f"its {file} is damaged")


def test_a_cell_without_a_precision_among_others_is_reported(tmp_path):
    store = study(tmp_path)
    edit(bad(store) / "cell.json", lambda task: task.pop("precision"))
    assert list(store.tables().cells["precision"]) == ["fp32", "fp32", None]
    assert "not at equal precision" not in reported(store)["leaderboard.md"]


LINES = {
    "a list": [],
    "no axis": {"metrics": {"fcd": 1.0}},
    "a text for a score": {"generator_updates": 120, "images": 1, "epochs": 1, "seconds": 1, "metrics": {"fcd": "1"}},
    "backwards": {"generator_updates": 20, "images": 1, "epochs": 1, "seconds": 1, "metrics": {"fcd": 1.0}},
}


@pytest.mark.parametrize("line", LINES)
def test_a_damaged_event_is_a_failed_cell_that_names_the_line(tmp_path, line):
    store = study(tmp_path)
    with (bad(store) / "events.jsonl").open("a") as file:
        file.write(json.dumps(LINES[line]) + "\n")
    assert "its events.jsonl is damaged: line 4: " in reported(store)["leaderboard.md"]


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"[" * 100_000 + b"\n"])
def test_events_that_are_no_text_are_a_failed_cell(tmp_path, content):
    store = study(tmp_path)
    (bad(store) / "events.jsonl").write_bytes(content)
    assert "its events.jsonl is damaged: it has no lines of JSON" in reported(store)["leaderboard.md"]


@pytest.mark.parametrize("file", ["task.json", "manifest.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_dataset_is_said_and_the_cells_are_ranked(tmp_path, file, damage):
    store = study(tmp_path)
    (store.reference("digits").directory / file).write_bytes(DAMAGES[damage])
    tables = store.tables()
    (row,) = tables.datasets.to_dict("records")
    assert (row["status"], row["reason"].partition(": ")[0]) == ("failed", f"its {file} is damaged")
    assert set(tables.cells["status"]) == {"done"}


def test_a_damaged_dataset_is_said_in_the_caption(tmp_path):
    store = study(tmp_path)
    (store.reference("digits").directory / "manifest.json").write_text("[]")
    assert "dataset failed: its manifest.json is damaged: it is not a JSON object" in reported(store)["leaderboard.md"]


RUNS = {
    "name is missing": lambda run: run.pop("name"),
    "cells should be a valid dictionary": lambda run: run.update(cells=[]),
    "rank.at should be 'best' or 'last'": lambda run: run["rank"].update(at="first"),
    "metrics.fcd should be a valid dictionary": lambda run: run["metrics"].update(fcd="lower"),
    "budget.unit should be": lambda run: run["budget"].update(unit="years"),
    "should match pattern": lambda run: run["metrics"].update({"<b>": {"direction": "lower"}}),
    "seed should be a valid integer": lambda run: run["cells"]["bad-s0-00000002"].update(seed="0"),
    "params.x should be a finite number": lambda run: run["cells"]["bad-s0-00000002"]["params"].update(x=[1]),
    "another key for every cell": lambda run: run["cells"]["bad-s0-00000002"].update(key="00000001"),
    "cannot be the name of a folder": lambda run: run["cells"].update({"../x": run["cells"].pop("bad-s0-00000002")}),
}


@pytest.mark.parametrize("words", RUNS)
def test_a_damaged_run_is_one_sentence(tmp_path, words):
    study(tmp_path)
    edit(tmp_path / "run.json", RUNS[words])
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert words in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_that_is_no_record_is_one_sentence(tmp_path, damage):
    store = study(tmp_path)
    (tmp_path / "run.json").write_bytes(DAMAGES[damage])
    with pytest.raises(UserError, match=r"its run\.json is damaged"):
        store.tables()


def test_records_of_a_newer_version_are_read(tmp_path):
    store = study(tmp_path)
    edit(tmp_path / "run.json", lambda run: run.update(format=9, later={"deep": [[1]]}))
    edit(bad(store) / "manifest.json", lambda manifest: manifest.update(later=[1], host="x", pid=1, files={}))
    assert set(store.tables().cells["status"]) == {"done"}


NASTY = [
    None, [], {}, "", "x", True, -1, 0, 2.5, 1e-320, 1e149, 1e308, math.nan, math.inf, 10**30, [1], {"a": 1}, "\ud800",
    "a" * 299, "\0", "done", "skipped", "lower", "best", "epochs", "minutes", "good", "bad", "fcd", "cs", "_x", "a\n",
]  # fmt: skip


def _places(record, at=()):
    yield at
    for key in record if isinstance(record, dict) else range(len(record)) if isinstance(record, list) else ():
        yield from _places(record[key], (*at, key))


def _damaged(record, choose):
    """`record` with something nasty in one place, in the place of a value or of a key, or without it."""
    *path, last = choose.choice([at for at in _places(record) if at])
    inner = record
    for key in path:
        inner = inner[key]
    way = choose.choice(["value", "value", "key", "gone"])
    if way == "key" and isinstance(inner, dict):
        inner[choose.choice([name for name in NASTY if isinstance(name, str)])] = inner.pop(last)
    elif way == "gone":
        del inner[last]
    else:
        inner[last] = choose.choice(NASTY)
    return record


def test_no_damage_is_a_traceback(tmp_path):
    store = study(tmp_path)
    files = {path: path.read_text() for path in sorted(tmp_path.rglob("*.json*"))}
    refused = 0
    for seed in range(20):
        choose = random.Random(seed)
        for path, text in files.items():
            path.write_text(text)
        chosen = choose.sample(sorted(files), choose.choice([1, 1, 3]))
        for path in sorted({*chosen, tmp_path / "run.json"}) if seed % 2 else chosen:
            damaged = [_damaged(json.loads(line), choose) for line in files[path].splitlines()[:1]] if (
                path.suffix == ".jsonl"
            ) else [_damaged(json.loads(files[path]), choose)]  # fmt: skip
            path.write_text("\n".join(map(json.dumps, damaged)) + "\n")
        try:
            reported(store)
        except UserError:
            refused += 1
    assert 0 < refused < 15, "some are refused, others reported on"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["status", "best", "cells"]), inner),
    max_leaves=8,
)


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_checks_answer_any_record_with_one_short_printable_sentence(record):
    for check in (check_run, check_task, check_manifest, check_event):
        said = check(record)
        assert isinstance(said, str)
        assert len(said) <= 200
        assert said.isprintable()


def test_a_folder_among_several_may_be_damaged(tmp_path):
    stores = [study(tmp_path / name) for name in ("one", "two")]
    edit(bad(stores[1]) / "manifest.json", lambda manifest: manifest.update(status=1))
    (stores[1].reference("digits").directory / "task.json").write_text("[]")
    assert set(merge(stores, "both").cells["status"]) == {"done"}
    (bad(stores[0]) / "cell.json").write_text("{}")
    assert "its cell.json is damaged: unit is missing" in set(merge(stores, "both").cells["reason"])


# --- links and pictures -----------------------------------------------------------------------------------------------


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path):
    store, other = study(tmp_path / "stranger"), study(tmp_path / "mine")
    folder = bad(store)
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(bad(other))
    assert "its directory is a link that leads out of the results folder" in reported(store)["leaderboard.md"]
    folder.unlink()
    folder.symlink_to("moved")
    assert set(store.tables().cells["status"]) == {"done"}
    manifest = folder / "manifest.json"
    manifest.unlink()
    manifest.symlink_to("/dev/zero")
    assert "its manifest.json is no plain file" in reported(store)["leaderboard.md"]


def test_a_pipe_is_not_waited_for(tmp_path):
    store = study(tmp_path)
    (bad(store) / "manifest.json").unlink()
    os.mkfifo(bad(store) / "manifest.json")
    assert "its manifest.json is no plain file" in reported(store)["leaderboard.md"]


def test_a_link_in_the_place_of_the_reports_folder_deletes_nothing(tmp_path):
    store, mine = study(tmp_path / "stranger"), tmp_path / "mine"
    mine.mkdir()
    (mine / "last-holidays.png").write_bytes(b"dear to me")
    (store.root / "report").symlink_to(mine)
    with pytest.raises(UserError, match="is a link"):
        write(store.tables(), store.root)
    assert [path.name for path in mine.iterdir()] == ["last-holidays.png"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    store = study(tmp_path)
    (tmp_path / "leaderboard.csv").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write(store.tables(), tmp_path)


def _png(width, height):
    """A whole PNG that says it is so large, with a few bytes of pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        _png(50_000, 50_000),
        _png(1, 2_000_000),
        _png(9_000, 9_000),
        _png(0, 0),
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
    ],
)
def test_a_sheet_that_is_no_sheet_is_left_out(tmp_path, content):
    path = tmp_path / "0.png"
    path.write_bytes(content)
    page = compose([Panel("title", ("line",), path)])
    assert max(page.size) < 1000


def test_pillow_is_asked_for_png_alone(tmp_path, monkeypatch):
    """Pillow reads a file by its content, and for PostScript it starts Ghostscript."""
    Image.new("RGB", (40, 40), (200, 0, 0)).save(tmp_path / "0.png", "EPS")
    monkeypatch.setattr(
        "PIL.EpsImagePlugin.Ghostscript", lambda *args, **kwargs: pytest.fail("Ghostscript was started")
    )
    compose([Panel("title", (), tmp_path / "0.png")])


@pytest.mark.parametrize("size", [(1, 700), (700, 1), (1, 5_000)])
def test_a_narrow_sheet_does_not_grow(tmp_path, size):
    Image.new("L", size).save(tmp_path / "0.png")
    assert max(compose([Panel("title", (), tmp_path / "0.png")]).size) < 1000


def test_a_sheet_larger_than_any_of_ours_is_left_out(tmp_path):
    Image.new("L", (7_000, 40)).save(tmp_path / "0.png")
    page = compose([Panel("title", (), tmp_path / "0.png")])
    assert (0, 0, 0) not in {colour for _, colour in page.getcolors(1 << 20)}


def test_a_sheet_that_is_a_link_is_left_out(tmp_path):
    Image.new("RGB", (40, 40), (200, 0, 0)).save(tmp_path / "private.png")
    (tmp_path / "0.png").symlink_to("private.png")
    page = compose([Panel("title", (), tmp_path / "0.png")])
    assert (200, 0, 0) not in {colour for _, colour in page.getcolors(1 << 20)}


# --- what is shown ----------------------------------------------------------------------------------------------------

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "[x](javascript:alert(1)) ![i](http://x/y.png)",
    "a|b`c`\n\n# head\r\n- item",
    "\x1b[31mred\x1b]0;title\x07\x9b1m",
    "[bold]b[/bold] [/nope] [link=http://x]y[/link]",
    "$\\frac{",
    "\u202eevil 😀 _under_ *star*",
    "# heading",
]


@pytest.fixture
def hostile(tmp_path):
    """A study in which every text that a record has is hostile."""
    records = Records(tmp_path, budget={"unit": "epochs", "amount": 5.0})
    for text, seed in ((text, seed) for text in HOSTILE for seed in range(2)):
        for value in (text, f"{text}2"):
            curve = {step: {"fcd": 5 + 40 / step, "cs": -2.5} for step in (20, 100)}
            records.cell(
                text, seed, curve[100], curve=curve, dataset=HOSTILE[0], params={text: value, "other": 1},
                symbols={text: text}, labels={text: value}, unavailable={"fid": text},
                task={"precision": text},
            )  # fmt: skip
        records.cell(text, 7, None, status="failed", reason=text, dataset=text)
        records.cell(text, 8, None, skip=text, dataset=HOSTILE[0])
    records.dataset(
        HOSTILE[0], real={"fcd": 1.5}, unavailable={"fid": HOSTILE[2]}, extractors={HOSTILE[1]: {"test_accuracy": 0.5}}
    )
    records.dataset(HOSTILE[1], status="failed", reason=HOSTILE[2], shape=None, classes=None)
    records.run["name"] = "".join(HOSTILE)
    return records.written()


def test_hostile_texts_are_text_in_markdown(hostile):
    texts = reported(hostile)
    for name in ("leaderboard.md", "roadmap.md"):
        tree = MarkdownIt("commonmark", {"html": True}).enable("table").parse(texts[name])
        kinds = {token.type for block in tree for token in [block, *(block.children or [])]}
        assert not kinds & {"html_block", "html_inline", "link_open", "image", "fence", "code_block"}, name
        heads = [token for token in tree if token.type == "heading_open"]
        assert [head.level for head in heads] == [0] * len(heads)
        assert "\x1b" not in texts[name]
        assert texts[name].replace("\n", "").isprintable()
        for block in texts[name].split("\n\n"):
            rows = [re.sub(r"\\.", "", line).count("|") for line in block.splitlines() if line.startswith("|")]
            assert len(set(rows)) <= 1


def test_hostile_texts_are_text_in_a_spreadsheet(hostile):
    texts = reported(hostile)
    for name in ("leaderboard.csv", "matched.csv"):
        head, *rows = csv.reader(io.StringIO(texts[name]))
        assert len(rows) > 9
        for row in rows:
            assert len(row) == len(head)
            for cell in row:
                if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
                    float(cell)
    board = list(csv.DictReader(io.StringIO(texts["leaderboard.csv"])))
    assert {float(row["cs_best_mean"]) for row in board if row["cs_best_mean"]} == {-2.5}


def test_hostile_texts_are_text_on_a_terminal(hostile):
    tables = hostile.tables()
    console = Console(file=io.StringIO(), width=4000, force_terminal=True, color_system="truecolor")
    terminal(tables, console)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())
    assert shown.replace("\n", "").isprintable()
    assert "[31mred" in shown
    assert "[bold]b[/bold] [/nope]" in shown
    plain = Console(file=io.StringIO(), width=80)
    terminal(tables, plain)
    assert "\x1b" not in plain.file.getvalue()


def test_hostile_texts_are_text_in_pictures(tmp_path):
    records = Records(tmp_path)
    for position, text in enumerate(HOSTILE[3:8]):
        curve = {step: {"fcd": 5 + position + 40 / step} for step in (20, 100)}
        params, symbols = {text: text, "size": position}, {text: text}
        records.cell(
            HOSTILE[position % 2], 0, curve[100], curve=curve, dataset=HOSTILE[6], params=params, symbols=symbols
        )
    written = write(records.written().tables(), tmp_path)
    for path in written:
        assert path.resolve().is_relative_to(tmp_path.resolve())
        if path.suffix == ".svg":
            ElementTree.parse(path)
    assert len([path for path in written if path.suffix == ".svg"]) > 3


def test_the_messages_about_several_folders_are_printable(tmp_path):
    stores = []
    for name, version in (("one", "1"), ("two", "\x1b[31m2")):
        records = Records(tmp_path / name)
        records.cell(HOSTILE[4], 0, {"fcd": 1.0}, task={"identity": {"variant": "x", "variant_version": version}})
        stores.append(records.written())
    with pytest.raises(UserError, match="not comparable") as raised:
        merge(stores, "both")
    assert str(raised.value).isprintable()
