"""Anybody's images, from a folder or an .npz file, as the images of a dataset are, to be scored against it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganbench.contracts import DataSpec, Split
from ganbench.errors import UserError
from ganbench.plugins import installed
from ganbench.store import sha256

_DRAW = 0  # the seed by which some of many images are chosen


@dataclass(frozen=True, eq=False)
class Foreign:
    """Images to be scored: `split` as the dataset's are, and what is to be known of where they come from.

    `available` is how many there are, of which `split` has all or a fixed random choice; `resized` how many image files
    were of another size. `digest` is the SHA-256 of the .npz file; of a folder, that of the lines ``<SHA-256>  <path>``
    of all its files in order of path, as ``sha256sum`` writes them.
    """

    path: Path
    split: Split
    digest: str
    available: int
    resized: int
    notes: list[str]

    @property
    def samples(self) -> int:
        return len(self.split.images)


def read(
    path: Path,
    spec: DataSpec,
    classes: Sequence[str],
    root: Path,
    *,
    which: str | None = None,
    samples: int | None = None,
    most: int | None = None,
) -> Foreign:
    """The images at `path` as images of `spec`: of the split `which`, where it has several; so many `samples`, or at
    `most` so many.

    A folder is read as dataset ``folder:PATH`` is (larger images are reduced and cropped to their centre, colours made
    grey where the dataset is), an .npz file as ``npz:PATH``, which resizes nothing. Labels are kept where they are the
    dataset's: numbers in its range, or folders called like `classes` or their numbers. Raises `UserError` or
    `DatasetError` with what is missing, broken or of another shape.
    """
    if not path.exists():
        raise UserError(f"there is nothing at {path}; give a folder of images, or an .npz file")
    if not path.is_dir() and path.suffix.lower() != ".npz":
        raise UserError(f"{path} is neither a folder of images nor an .npz file")
    kind = "folder" if path.is_dir() else "npz"
    values = {"size": spec.size, "channels": spec.channels} if kind == "folder" else {}
    dataset = installed().dataset(f"{kind}:{path}", values)
    splits = dataset.load(root)
    if which is None and len(splits) > 1:
        raise UserError(f"{path} has the splits {' and '.join(splits)}; say which to score with --split")
    if which is not None and which not in splits:
        raise UserError(f"{path} has no {which} split (it has {' and '.join(splits)})")
    name = which or next(iter(splits))
    images, labels, *_ = splits[name]
    if images.shape[1:] != spec.shape:
        found, wanted = ("×".join(map(str, shape)) for shape in (images.shape[1:], spec.shape))
        raise UserError(
            f"{path} holds images of {found}, and the dataset's are {wanted}: bring them to that size (of a folder of "
            "image files larger ones are reduced, an .npz file is taken as it is)"
        )
    if samples is not None and samples > len(images):
        raise UserError(f"{path} holds {len(images):,} images, fewer than --samples {samples:,}")
    notes = []
    if labels is not None:
        labels, why = _labels(labels, list(dataset.class_names()), classes)
        notes += [f"{path}: labels are left out: {why}"] if why else []
    chosen = _chosen(len(images), samples or most)
    folder = path / name if kind == "folder" and len(splits) > 1 else path
    digest, resized = _folder(folder, spec.size) if kind == "folder" else (sha256(path), 0)
    if resized:
        notes.append(f"{path}: {resized:,} image files of another size are reduced to {spec.size}×{spec.size}")
    if len(chosen) < len(images):
        notes.append(f"{path}: {len(chosen):,} of its {len(images):,} images, a fixed random choice, are scored")
    split = Split(images[chosen], None if labels is None else labels[chosen])
    return Foreign(path, split, digest, len(images), resized, notes)


def _chosen(available: int, samples: int | None) -> np.ndarray:
    """Which images are scored, in order: any order of theirs, such as by class, must not choose."""
    if samples is None or samples >= available:
        return np.arange(available)
    return np.sort(np.random.default_rng(_DRAW).permutation(available)[:samples])


def _labels(labels: np.ndarray, folders: list[str], classes: Sequence[str]) -> tuple[np.ndarray | None, str]:
    """The labels as the dataset numbers its classes; or None, and why. `folders` are the names of the labels."""
    if not classes:
        return None, "the dataset has none"
    if not folders:
        low, high = int(labels.min()), int(labels.max())
        inside = low >= 0 and high < len(classes)
        return (labels, "") if inside else (None, f"they run from {low} to {high} for {len(classes)} classes")
    places = {name: number for number, name in enumerate(classes)}
    numbers = [places.get(name, int(name) if name.isascii() and name.isdigit() else -1) for name in folders]
    if strange := [name for name, number in zip(folders, numbers, strict=True) if not 0 <= number < len(classes)]:
        return None, f"no class is called like its folder {strange[0]!r}"
    return np.array(numbers, np.int64)[labels], ""


def _folder(folder: Path, size: int) -> tuple[str, int]:
    """The digest of a folder's files, and how many image files are not `size` pixels high and wide."""
    from PIL import Image, UnidentifiedImageError

    digest, resized = hashlib.sha256(), 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not path.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        digest.update(f"{sha256(path)}  {relative.as_posix()}\n".encode(errors="surrogateescape"))
        try:
            with Image.open(path) as image:
                resized += image.size != (size, size)
        except (UnidentifiedImageError, OSError, ValueError):  # not an image, as `folder:` sees it too
            continue
    return digest.hexdigest(), resized
