"""Images in a NumPy .npz file, with the keys that Keras's datasets have."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from ganbench.api import Dataset, DatasetError, DataSpec, Split

KEYS = ("x_train", "y_train", "x_test", "y_test")


class Header(NamedTuple):
    """What an array is, known without reading it."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


class Npz(Dataset):
    """Your own images in a NumPy file, npz:PATH: uint8 arrays x_train and, where you have them, y_train x_test y_test.

    Images are uint8 N×H×W, N×H×W×C or N×C×H×W, square, with C of 1 or 3; labels are integers from 0, of any shape with
    N elements. Labels of a single class say nothing: the images count as unlabelled. Without ``x_test``, every tenth
    image of each class is held out as test image. Of a file without names, as ``np.savez(file, images, labels)`` writes
    it, ``arr_0`` is taken for x_train and ``arr_1`` for y_train.
    """

    takes_argument = True

    def spec(self) -> DataSpec:
        path = Path(self.argument).expanduser()
        headers = read_headers(path)
        keys = _keys(headers)
        if "x_train" not in keys:
            raise DatasetError(f"{path} has no array x_train (it has {', '.join(headers) or 'none'})")
        shape = _layout(path, keys["x_train"], headers[keys["x_train"]])[0]
        classes = _classes(path, read_arrays(path, [keys[key] for key in ("y_train", "y_test") if key in keys]))
        return DataSpec(shape, classes)

    def load(self, root: Path) -> Mapping[str, Split]:
        path, labelled = Path(self.argument).expanduser(), self.spec().classes > 0
        splits = read_splits(path)
        return splits if labelled else {name: Split(split.images) for name, split in splits.items()}

    def source(self, root: Path) -> str:
        path = Path(self.argument).expanduser()
        return f"{path.resolve()} {signature(path)}"


def signature(path: Path) -> str:
    """Size and time of modification; empty where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return ""
    return f"{stat.st_size} bytes, {stat.st_mtime_ns} ns"


def read_splits(path: Path) -> dict[str, Split]:
    """The splits in an .npz file: images uint8 N×C×H×W, labels int64 N or None.

    Raises `DatasetError` when the file is missing or damaged, or naming the array that is not what it should be.
    """
    headers = read_headers(path)
    keys = _keys(headers)
    arrays = read_arrays(path, list(keys.values()))
    splits = {}
    for name in ("train", "test"):
        if key := keys.get(f"x_{name}"):
            axes = _layout(path, key, headers[key])[1]
            images = arrays[key]
            of_labels = keys.get(f"y_{name}")
            splits[name] = Split(
                images[:, None] if axes is None else images.transpose(axes),
                None if of_labels is None else _labels(path, of_labels, arrays[of_labels], len(images)),
            )
    if "train" not in splits:
        raise DatasetError(f"{path} has no array x_train (it has {', '.join(headers) or 'none'})")
    if len({split.labels is None for split in splits.values()}) == 2:
        raise DatasetError(f"{path} has labels for one of x_train and x_test only; it needs both of y_train and y_test")
    return splits


def _keys(headers: Mapping[str, Header]) -> dict[str, str]:
    """Those of `KEYS` that the file has -> what they are called there."""
    if headers.keys() <= {"arr_0", "arr_1"}:
        return {key: name for key, name in (("x_train", "arr_0"), ("y_train", "arr_1")) if name in headers}
    return {key: key for key in KEYS if key in headers}


def read_headers(path: Path) -> dict[str, Header]:
    """Shape and dtype of every array in the file, without reading the arrays. Raises `DatasetError` as above."""
    headers = {}
    with _reading(path), zipfile.ZipFile(path) as archive:
        for member in (name for name in archive.namelist() if name.endswith(".npy")):
            with archive.open(member) as file:
                headers[member.removesuffix(".npy")] = _header(file)
    return headers


def read_arrays(path: Path, keys: list[str]) -> dict[str, np.ndarray]:
    """The arrays called `keys`. Never unpickles anything. Raises `DatasetError` as above."""
    with _reading(path), np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in keys}


def _header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return Header(shape, dtype)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DatasetError(f"there is no file {path} (looked in {path.parent.resolve()})") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, RuntimeError, MemoryError) as error:
        raise DatasetError(
            f"{path} is truncated or damaged, or not an .npz file of plain arrays ({error}); fetch or write it again"
        ) from error


def _layout(path: Path, key: str, header: Header) -> tuple[tuple[int, int, int], tuple[int, ...] | None]:
    """(C, H, W), and the transposition to N×C×H×W (None: an axis has to be added)."""
    shape = header.shape
    found: list[tuple[tuple[int, int, int], tuple[int, ...] | None]] = []
    if header.dtype == np.uint8:
        if len(shape) == 3 and shape[1] == shape[2]:
            found.append(((1, shape[1], shape[2]), None))
        if len(shape) == 4 and shape[3] in (1, 3) and shape[1] == shape[2]:
            found.append(((shape[3], shape[1], shape[2]), (0, 3, 1, 2)))
        if len(shape) == 4 and shape[1] in (1, 3) and shape[2] == shape[3]:
            found.append(((shape[1], shape[2], shape[3]), (0, 1, 2, 3)))
    if len(found) == 1:
        return found[0]
    wanted = "uint8 N×H×W, N×H×W×C or N×C×H×W with H = W and C of 1 or 3"
    what = "which may be N×H×W×C or N×C×H×W" if found else f"not {wanted}"
    raise DatasetError(f"{key} in {path} is {header.dtype} of shape {shape}, {what}; save it anew as {wanted}")


def _labels(path: Path, key: str, labels: np.ndarray, count: int) -> np.ndarray:
    """Labels as int64 N."""
    if labels.dtype.kind not in "iu" or labels.size != count:
        raise DatasetError(
            f"{key} in {path} is {labels.dtype} of shape {labels.shape}, not one integer for each of {count} images"
        )
    return labels.reshape(-1).astype(np.int64)


def _classes(path: Path, labels: Mapping[str, np.ndarray]) -> int:
    """Number of classes, 0 where there are no labels or they are all alike."""
    flat = [_labels(path, key, array, array.size) for key, array in labels.items() if array.size]
    if not flat:
        return 0
    every = np.concatenate(flat)
    if every.min() < 0 or every.max() >= len(every):
        raise DatasetError(
            f"the labels in {path} run from {every.min()} to {every.max()} for {len(every)} images; "
            "number the classes from 0 without gaps"
        )
    return int(every.max()) + 1 if every.max() > 0 else 0
