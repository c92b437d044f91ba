"""Datasets made ready: converted once into memory-mapped uint8 arrays below the data root, and found again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from ganbench.contracts import Dataset, DataSpec, Split
from ganbench.errors import DatasetError
from ganbench.store import read_json, slug, write_json

if TYPE_CHECKING:
    from ganbench.shared import Shared

FORMAT = 1
#: Every how-manieth image (of each class) of the train split becomes a test image where the source has no test split.
HOLD_OUT = 10


@dataclass(frozen=True, eq=False)
class Prepared:
    """A dataset on disk, its arrays memory-mapped: opening one reads headers, not images.

    `name` is the full name it was asked for by (``digits``, ``folder:/x/y``); `splits` always has ``train`` and
    ``test``, as `Split` says, labels in 0 .. classes-1 (None for unlabelled data); `fingerprint` is the SHA-256 (hex)
    of the content; `held_out` says that the test split was taken out of the source's train split.
    """

    name: str
    spec: DataSpec
    splits: Mapping[str, Split]
    fingerprint: str
    folder: Path
    held_out: bool = False

    def split(self, name: str) -> Split:
        """The images of ``train``, ``test`` or ``train+test`` (copied into memory, the train images first)."""
        if name != "train+test":
            return self.splits[name]
        train, test = self.splits["train"], self.splits["test"]
        both = zip(train, test, strict=True)
        joined = [None if one is None or other is None else np.concatenate([one, other]) for one, other in both]
        return Split._make(joined)

    @property
    def counts(self) -> dict[str, int]:
        """Number of images per split."""
        return {name: len(split.images) for name, split in self.splits.items()}


def data_root() -> Path:
    """Where datasets are looked for and kept: ``$GANBENCH_DATA``, else ``~/.cache/ganbench``."""
    return Path(os.environ.get("GANBENCH_DATA") or "~/.cache/ganbench").expanduser()


def lookup(name: str, dataset: Dataset, root: Path) -> Prepared | None:
    """The prepared copy of `dataset` below `root`, or None where there is none to rely on.

    A copy counts when it is whole (every file has its recorded size) and was made by today's version of the class,
    with the same parameters, from a source with today's signature. An empty signature (nothing there that could have
    changed) matches any. Reads no image, so a changed byte goes unnoticed here: that is what `verify` is for.
    """
    folder = _folder(name, dataset, root)
    manifest = read_json(folder / "manifest.json") or {}
    try:
        source = dataset.source(root)
        if manifest["format"] != FORMAT or manifest["identity"] != _identity(name, dataset):
            return None
        if source and manifest["source"] != source:
            return None
        if any((folder / file).stat().st_size != size for file, size in manifest["files"].items()):
            return None
        splits = {split: _open(folder, split, manifest["files"]) for split in manifest["splits"]}
        spec = _spec(manifest["spec"])
        return Prepared(name, spec, splits, manifest["fingerprint"], folder, manifest["held_out"])
    except (DatasetError, OSError, KeyError, TypeError, ValueError, RuntimeError):  # the last: links in a circle
        # The source is gone, or the manifest or an array is not what `prepare` writes: no copy to rely on.
        return None


def prepare(
    name: str,
    dataset: Dataset,
    root: Path,
    say: Callable[[str], None] = lambda message: None,
    shared: Shared | None = None,
) -> Prepared:
    """The prepared copy of `dataset` below `root`, made first (and told through `say`) where `lookup` finds none.

    Processes that prepare the same dataset at once wait for the first of them, with `shared` those of other machines
    too. Raises `DatasetError` when the source is missing or damaged, when what the class loads breaks the contract, or
    when `root` cannot be written.
    """
    if (found := lookup(name, dataset, root)) and not (shared and shared.offer):
        return found
    folder = _folder(name, dataset, root)
    with _locked(folder, root), _shared_turn(name, dataset, root, say, shared):
        if found := lookup(name, dataset, root):
            return found
        say(f"preparing {name} in {folder}")
        # Taken before loading: a source that changes meanwhile is then noticed next time.
        source, spec = dataset.source(root), dataset.spec()
        splits, held_out = _checked(name, spec, dataset.load(root))
        manifest = {
            "format": FORMAT,
            "identity": _identity(name, dataset),
            "source": source,
            "spec": asdict(spec),
            "splits": list(splits),
            "held_out": held_out,
            "fingerprint": _fingerprint(splits),
        }
        with _writing(root):
            _write(folder, manifest, splits)
    made = lookup(name, dataset, root)
    if made is None:
        raise DatasetError(f"dataset {name!r} changed while it was being prepared in {folder}; try again")
    say(f"prepared {name}: " + ", ".join(f"{count:,} {split}" for split, count in made.counts.items()))
    return made


def fetch(name: str, dataset: Dataset, root: Path, shared: Shared) -> Prepared | None:
    """The prepared copy of `dataset` below `root`, from `shared` where it is not here; None where it is nowhere."""
    if found := lookup(name, dataset, root):
        return found
    folder = _folder(name, dataset, root)
    with _locked(folder, root):
        shared.fetch(f"prepared/{folder.name}", folder)
    return lookup(name, dataset, root)


def verify(prepared: Prepared) -> bool:
    """Whether the arrays still have the content that the fingerprint names. Reads all of them."""
    return _fingerprint(prepared.splits) == prepared.fingerprint


def _identity(name: str, dataset: Dataset) -> dict[str, Any]:
    return {"name": name, "version": dataset.version, "params": dataset.params.to_dict()}


def _folder(name: str, dataset: Dataset, root: Path) -> Path:
    """Readable, and different for every name, version and choice of parameters."""
    identity = json.dumps(_identity(name, dataset), sort_keys=True)
    return root / "prepared" / f"{slug(name, 40)}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def _spec(kept: Mapping[str, Any]) -> DataSpec:
    """The spec that `asdict` made a record of; JSON knows no tuples."""
    facts: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in kept.items()}
    return DataSpec(**facts)


def _open(folder: Path, split: str, files: Mapping[str, int]) -> Split:
    arrays = {
        kind: np.load(folder / f"{split}-{kind}.npy", mmap_mode="r", allow_pickle=False)
        for kind in Split._fields
        if f"{split}-{kind}.npy" in files
    }
    return Split(**arrays)


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    """What the system says about writing below `root`, as one sentence."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"the data root {root} cannot be written ({error.strerror or error}); "
            "set GANBENCH_DATA to a folder that can hold datasets"
        ) from error


@contextmanager
def _locked(folder: Path, root: Path) -> Iterator[None]:
    """Hold the lock beside `folder`; errors of the body pass through unchanged."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    with _writing(root):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _shared_turn(
    name: str, dataset: Dataset, root: Path, say: Callable[[str], None], shared: Shared | None
) -> AbstractContextManager[None]:
    """Where a dataset is prepared: with `shared`, by one of all machines."""
    if shared is None:
        return nullcontext()
    folder = _folder(name, dataset, root)

    def names() -> list[str]:
        files = (read_json(folder / "manifest.json") or {}).get("files", {}) if lookup(name, dataset, root) else {}
        return [*files, *(["manifest.json"] if files else [])]

    return shared.turn(f"prepared/{folder.name}", folder, names, f"the dataset {name}", say)


def _write(folder: Path, manifest: dict[str, Any], splits: Mapping[str, Split]) -> None:
    """Write beside `folder` and rename, so that a reader sees a whole copy or none. The caller holds the lock."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed process left
    temporary.mkdir()
    try:
        for split, arrays in splits.items():
            for kind, array in arrays._asdict().items():
                if array is not None:
                    with (temporary / f"{split}-{kind}.npy").open("wb") as file:
                        np.save(file, array, allow_pickle=False)
                        file.flush()
                        os.fsync(file.fileno())
        files = {path.name: path.stat().st_size for path in sorted(temporary.iterdir())}
        write_json(temporary / "manifest.json", {**manifest, "files": files})
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _checked(name: str, spec: DataSpec, loaded: Mapping[str, Split]) -> tuple[dict[str, Split], bool]:
    """What `Dataset.load` gave, contiguous and with a test split; and whether that was held out."""

    def refuse(what: str) -> DatasetError:
        return DatasetError(f"dataset {name!r} does not keep its contract: {what}")

    if len(spec.shape) not in (1, 3) or (len(spec.shape) == 3 and spec.shape[1] != spec.shape[2]):
        raise refuse(f"its shape is {spec.shape}, not that of square images, (C, H, W), or of points, (d,)")
    if len(loaded["train"].images if "train" in loaded else ()) < 2:
        raise refuse("its train split has fewer than two images")
    splits = {}
    for part, split in loaded.items():
        try:
            splits[part] = Split._make(None if array is None else np.ascontiguousarray(array) for array in split)
            _check(splits[part], spec, part)
        except ValueError as error:
            raise refuse(str(error)) from None
    if "test" in splits:
        return splits, False
    train, test = _held_out(splits["train"], spec)
    return {**splits, "train": train, "test": test}, True


def _check(split: Split, spec: DataSpec, name: str) -> None:
    """Raises `ValueError` where the arrays are not what `Split` and `spec` say."""
    images, labels, sources, source_labels = split
    kind, what = (np.float32, "points") if spec.kind == "points" else (np.uint8, "images")
    _check_array(images, kind, spec.shape, f"its {name} {what}")
    if spec.kind == "points" and not np.isfinite(images).all():
        raise ValueError(f"its {name} points are not all finite")
    _check_labels(labels, len(images), spec.classes, f"its {name} split", "labels")
    if (sources is not None) != (spec.source is not None):
        given = "no sources" if sources is None else "sources"
        raise ValueError(f"its {name} split has {given}, and its spec says {spec.source} of them")
    if sources is not None:
        assert spec.source is not None
        _check_array(sources, np.uint8, spec.source, f"its {name} sources")
        if spec.paired and len(sources) != len(images):
            raise ValueError(f"its {name} split has {len(sources)} sources for {len(images)} images")
    if source_labels is not None:
        if sources is None or spec.paired:
            raise ValueError(f"its {name} split has labels of sources, which only unpaired sources have")
        _check_labels(source_labels, len(sources), spec.classes, f"its {name} split", "labels of sources")


def _check_array(array: np.ndarray, kind: type[np.generic], shape: tuple[int, ...], who: str) -> None:
    if array.dtype != kind or array.shape[1:] != tuple(shape):
        wanted = f"{np.dtype(kind)} N×{'×'.join(map(str, shape))}"
        raise ValueError(f"{who} are {array.dtype} of shape {array.shape}, not {wanted}")
    if len(array) == 0:
        raise ValueError(f"{who} are none")


def _check_labels(labels: np.ndarray | None, count: int, classes: int, who: str, what: str) -> None:
    if (labels is not None) != (classes > 0):
        given = f"no {what}" if labels is None else what
        raise ValueError(f"{who} has {given}, and its spec says {classes} classes")
    if labels is not None:
        if labels.dtype != np.int64 or labels.shape != (count,):
            raise ValueError(f"{who}: {what} are {labels.dtype} of shape {labels.shape}, not int64 {count}")
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"{who}: {what} run from {labels.min()} to {labels.max()} for {classes} classes")


def _held_out(train: Split, spec: DataSpec) -> tuple[Split, Split]:
    """A train split without every tenth image, and these as the test split; unpaired sources likewise."""
    images, labels, sources, source_labels = train
    test = _every_tenth(len(images), labels)
    of_sources = test if sources is None or spec.paired else _every_tenth(len(sources), source_labels)
    return train.at(~test, ~of_sources), train.at(test, of_sources)


def _every_tenth(count: int, labels: np.ndarray | None) -> np.ndarray:
    """Bool `count`. Class by class, so that no order of the classes (0 1 0 1 ...) leaves one of them out."""
    order = np.arange(count) if labels is None else np.argsort(labels, kind="stable")
    chosen = np.zeros(count, bool)
    chosen[order[::HOLD_OUT]] = True
    return chosen


def _fingerprint(splits: Mapping[str, Split]) -> str:
    """SHA-256 (hex) over names, shapes, dtypes and bytes of all splits."""
    digest = hashlib.sha256()
    for split, arrays in sorted(splits.items()):
        for kind, array in arrays._asdict().items():
            if array is not None:
                digest.update(json.dumps([split, kind, array.shape, array.dtype.str]).encode())
                digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
