"""Image files in the layouts of pix2pix and CycleGAN, read as dataset `folder` reads its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ganbench_data.folder import SMALLEST, SUFFIXES, read_images

from ganbench.api import Dataset, DatasetError, DataSpec, Params, Split, param

if TYPE_CHECKING:
    from PIL.Image import Image

_TESTS = ("test", "val")  # the first that is there is the test split
A_TO_B, B_TO_A = "a-to-b", "b-to-a"


@dataclass(frozen=True)
class TranslationFolderParams(Params):
    size: int = param(64, "height and width that every image is brought to, in pixels", min=SMALLEST, max=512)
    channels: int = param(3, "3 for colour, 1 for grey", choices=(1, 3))
    direction: str = param(A_TO_B, "what is translated into what", choices=(A_TO_B, B_TO_A))


class _Folders(Dataset):
    """What both layouts have in common: folders of image files, found in sorted order."""

    Params = TranslationFolderParams
    takes_argument = True
    params: TranslationFolderParams
    #: What its folder is to hold, for messages.
    holds: ClassVar[str]

    def top(self) -> Path:
        """The folder that holds those of the splits. Raises `DatasetError`."""
        found = Path(self.argument).expanduser()
        if not found.is_dir():
            raise DatasetError(
                f"there is no folder {found} (looked in {Path.cwd()}); it takes one that holds {self.holds}"
            )
        return found

    def files(self, folder: Path) -> list[Path]:
        """The images in a folder, in the order of their names; hidden files and others are passed over."""
        found = sorted(
            path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        if not found:
            raise DatasetError(f"{folder} holds no images ({', '.join(sorted(SUFFIXES))})")
        return found

    def folders(self, top: Path) -> dict[str, list[Path]]:
        """Split -> its folders. Raises `DatasetError` where one is missing."""
        raise NotImplementedError

    def source(self, root: Path) -> str:
        digest = hashlib.sha256()
        for folders in self.folders(top := self.top()).values():
            for path in [path for folder in folders for path in self.files(folder)]:
                stat = path.stat()
                digest.update(repr((str(path.relative_to(top)), stat.st_size, stat.st_mtime_ns)).encode())
        return digest.hexdigest()

    def missing(self, top: Path, what: str) -> DatasetError:
        return DatasetError(f"{top} has no folder {what}; it is to hold {self.holds}")


class Paired(_Folders):
    """Your own pairs, paired:PATH, as pix2pix has them: pictures of A and B side by side in ``train`` and ``test``.

    The left half of each picture is A, the right half B; `direction` says which is the source. Without ``test``,
    ``val`` is the test split; without both, every tenth pair is held out. Each half is brought to `size`×`size` as
    `folder` does it: shorter side resized (Lanczos), centre kept. Broken and small pictures are an error that names
    them.
    """

    holds = "pictures of pairs side by side in train and test"

    def spec(self) -> DataSpec:
        self.folders(self.top())
        shape = (self.params.channels, self.params.size, self.params.size)
        return DataSpec(shape, source=shape, paired=True)

    def folders(self, top: Path) -> dict[str, list[Path]]:
        if not (top / "train").is_dir():
            raise self.missing(top, "train")
        held_out = [top / name for name in _TESTS if (top / name).is_dir()]
        return {"train": [top / "train"], **({"test": held_out[:1]} if held_out else {})}

    def load(self, root: Path) -> Mapping[str, Split]:
        splits = {}
        for name, (folder,) in self.folders(self.top()).items():
            paths = self.files(folder)
            a, b = (read_images(paths, self.params.size, self.params.channels, half) for half in (_left, _right))
            splits[name] = Split(b, None, a) if self.params.direction == A_TO_B else Split(a, None, b)
        return splits


class Unpaired(_Folders):
    """Two collections of your own images, unpaired:PATH, as CycleGAN has them: folders trainA, trainB, testA and testB.

    A is translated into B, or the other way round by `direction`. Without ``testA`` and ``testB`` every tenth image of
    each is held out. Images are brought to `size`×`size` as `folder` does it.
    """

    holds = "images in trainA, trainB, testA and testB"

    def spec(self) -> DataSpec:
        self.folders(self.top())
        shape = (self.params.channels, self.params.size, self.params.size)
        return DataSpec(shape, source=shape)

    def folders(self, top: Path) -> dict[str, list[Path]]:
        splits = {name: [top / f"{name}A", top / f"{name}B"] for name in ("train", "test")}
        if not any(folder.exists() for folder in splits["test"]):
            del splits["test"]
        for folder in [folder for folders in splits.values() for folder in folders]:
            if not folder.is_dir():
                raise self.missing(top, folder.name)
        return splits

    def load(self, root: Path) -> Mapping[str, Split]:
        splits = {}
        for name, folders in self.folders(self.top()).items():
            a, b = (read_images(self.files(each), self.params.size, self.params.channels) for each in folders)
            splits[name] = Split(b, None, a) if self.params.direction == A_TO_B else Split(a, None, b)
        return splits


def _left(image: Image) -> Image:
    return image.crop((0, 0, image.width // 2, image.height))


def _right(image: Image) -> Image:
    return image.crop((image.width - image.width // 2, 0, image.width, image.height))
