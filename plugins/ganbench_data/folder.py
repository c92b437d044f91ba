"""Image files in a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ganbench.api import Dataset, DatasetError, DataSpec, Params, Split, param

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
#: What Pillow may read in them, whatever a file is called: for others (EPS) it starts another program.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SMALLEST = 8
SPLITS = frozenset({"train", "test", "val", "valid", "validation"})


@dataclass(frozen=True)
class FolderParams(Params):
    size: int = param(64, "height and width that every image is brought to, in pixels", min=SMALLEST, max=512)
    channels: int = param(3, "3 for colour, 1 for grey", choices=(1, 3))


class Folder(Dataset):
    """Your own image files, folder:PATH: one sub-folder per class, or all in one folder for unlabelled images.

    Sub-folders ``train`` and ``test`` of PATH (beside nothing but other splits) are the splits, each laid out like
    that; without them every tenth image of each class is held out as test image. The order is that of sorted names.
    Hidden files and files without an image's suffix are passed over; of an animation the first frame is taken.

    Each image is turned upright (EXIF), laid on white where it is transparent, resized so that its shorter side is
    `size` (Lanczos, antialiased), and cropped to its centre. Broken images, and images that would have to be enlarged,
    are an error that names them. Images of a single class count as unlabelled.
    """

    Params = FolderParams
    takes_argument = True
    params: FolderParams

    def spec(self) -> DataSpec:
        classes = len(self._find()[1])
        size = self.params.size
        return DataSpec((self.params.channels, size, size), classes)

    def load(self, root: Path) -> Mapping[str, Split]:
        files, classes = self._find()
        splits = {}
        for name, paths in files.items():
            labels = [classes.index(label) for label, _ in paths] if classes else None
            splits[name] = Split(
                read_images([path for _, path in paths], self.params.size, self.params.channels),
                None if labels is None else np.array(labels, np.int64),
            )
        return splits

    def class_names(self) -> Sequence[str]:
        return self._find()[1]

    def source(self, root: Path) -> str:
        top = Path(self.argument).expanduser()
        digest = hashlib.sha256()
        for paths in self._find()[0].values():
            for _, path in paths:
                stat = path.stat() if path.exists() else None
                facts = (str(path.relative_to(top)), stat and stat.st_size, stat and stat.st_mtime_ns)
                digest.update(repr(facts).encode())
        return digest.hexdigest()

    def _find(self) -> tuple[dict[str, list[tuple[str, Path]]], list[str]]:
        """Split -> (class, file) in sorted order, and the classes in the order of their labels."""
        top = Path(self.argument).expanduser()
        if not top.is_dir():
            raise DatasetError(f"there is no folder {top} (looked in {Path.cwd()}); folder:PATH takes one of images")
        subfolders = set(_visible(entry.name for entry in top.iterdir() if entry.is_dir()))
        # A class may be called "train" too: among buses and trams it is not a split.
        split_up = "train" in subfolders and subfolders <= SPLITS
        names = sorted(subfolders & {"train", "test"}, reverse=True) if split_up else ["train"]
        files = {name: _images(top / name if split_up else top) for name in names}
        classes = sorted({label for label, _ in files["train"]})
        for name, found in files.items():
            if not found:
                raise DatasetError(f"{top / name if split_up else top} holds no images ({', '.join(sorted(SUFFIXES))})")
            if strange := sorted({label or "(none)" for label, _ in found if label not in classes}):
                raise DatasetError(f"{top / name} has classes that {top / 'train'} has not: {_some(strange)}")
        return files, classes if len(classes) > 1 else []


def read_images(
    paths: Sequence[Path], size: int, channels: int, part: Callable[[Image], Image] = lambda image: image
) -> np.ndarray:
    """Image files as uint8 N×`channels`×`size`×`size`, in their order; of each the `part` that is wanted.

    Raises `DatasetError` that names those that are broken or too small.
    """
    images = np.empty((len(paths), channels, size, size), np.uint8)
    broken: list[str] = []
    small: dict[str, tuple[int, int]] = {}

    def read(index: int) -> None:
        try:
            pixels = _pixels(paths[index], size, "RGB" if channels == 3 else "L", part)
        except Exception as error:  # decoders raise anything from OSError to SyntaxError on a damaged file
            broken.append(f"{paths[index]} ({' '.join(str(error).split())})")
            return
        if isinstance(pixels, tuple):
            small[str(paths[index])] = pixels
        else:
            images[index] = pixels.reshape(size, size, channels).transpose(2, 0, 1)

    # Pillow lets go of the interpreter while it decodes and resizes, so threads share the work.
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(read, range(len(paths))):
            pass
    if broken:
        raise DatasetError(
            f"{len(broken)} of {len(paths)} images cannot be read: {_some(sorted(broken))}; repair or remove them"
        )
    if small:
        named = [f"{path} ({width}×{height})" for path, (width, height) in sorted(small.items())]
        most = min(map(min, small.values()))
        advice = f"set size = {most} or less, or remove them" if most >= SMALLEST else "remove them"
        raise DatasetError(
            f"{len(small)} of {len(paths)} images are smaller than size = {size}: {_some(named)}; enlarging them "
            f"would invent detail: {advice}"
        )
    return images


def _visible(names: Iterator[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))


def _images(folder: Path) -> list[tuple[str, Path]]:
    """(class, file) of one split; the class is "" where the images lie in the folder itself."""
    found: list[tuple[str, Path]] = []
    for place, folders, names in os.walk(folder):
        folders[:] = _visible(iter(folders))
        parts = Path(place).relative_to(folder).parts
        label = parts[0] if parts else ""
        found += [(label, Path(place, name)) for name in _visible(iter(names)) if Path(name).suffix.lower() in SUFFIXES]
    labels = {label for label, _ in found}
    if "" in labels and len(labels) > 1:
        raise DatasetError(
            f"{folder} holds images and also folders of images ({_some(sorted(labels - {''}))}): "
            "put every image into the folder of its class, or all into one folder"
        )
    return found


def _pixels(path: Path, size: int, mode: str, part: Callable[[Image], Image]) -> np.ndarray | tuple[int, int]:
    """The part of the image as uint8, size×size (×3); or its width and height when it is too small."""
    from PIL import Image, ImageOps

    with Image.open(path, formats=FORMATS) as file:
        if file.mode[0] in "IF":
            # Pillow's conversion to 8 bits would clip rather than scale these.
            raise ValueError(f"{file.mode} pixels; save it with 8 bits per channel")
        image = ImageOps.exif_transpose(file)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = part(image.convert(mode))
    width, height = image.size
    short = min(width, height)
    if short < size:
        return width, height
    scaled = (max(size, round(width * size / short)), max(size, round(height * size / short)))
    left, top = (scaled[0] - size) // 2, (scaled[1] - size) // 2
    resized = image.resize(scaled, Image.Resampling.LANCZOS)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def _some(names: Sequence[str]) -> str:
    """At most five of them in words."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
