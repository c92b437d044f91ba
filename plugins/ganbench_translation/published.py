"""Facades and horse2zebra, the sets that pix2pix and CycleGAN are shown on, brought to 64×64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ganbench.api import Dataset, DatasetError, DataSpec, Params, Split, param
from ganbench_translation.folders import A_TO_B, B_TO_A, Paired, TranslationFolderParams, Unpaired

SIZE = 64


@dataclass(frozen=True)
class FacadesParams(Params):
    direction: str = param(B_TO_A, "labels to photographs, or the other way round", choices=(A_TO_B, B_TO_A))


@dataclass(frozen=True)
class HorseToZebraParams(Params):
    direction: str = param(A_TO_B, "horses to zebras, or the other way round", choices=(A_TO_B, B_TO_A))


class _Published(Dataset):
    """Base of sets looked for below the data root, already reduced or as they are published; nothing is downloaded."""

    #: Folders below the data root, the first that is there is taken.
    names: ClassVar[tuple[str, str]]
    layout: ClassVar[type[Paired] | type[Unpaired]]
    origin: ClassVar[str]

    def spec(self) -> DataSpec:
        shape = (3, SIZE, SIZE)
        return DataSpec(shape, source=shape, paired=self.layout is Paired)

    def load(self, root: Path) -> Mapping[str, Split]:
        found = self._found(root)
        if found is None:
            raise DatasetError(
                f"dataset {self.names[0]!r} is not to be had: there is no {root / self.names[0]} and no "
                f"{root / self.names[1]} with {self.layout.holds}; unpack it there (from {self.origin})"
            )
        return found.load(root)

    def source(self, root: Path) -> str:
        found = self._found(root)
        return found.source(root) if found else ""

    def _found(self, root: Path) -> Paired | Unpaired | None:
        for name in self.names:
            if (root / name).is_dir():
                params = TranslationFolderParams(size=SIZE, direction=self.params.direction)
                return self.layout(str(root / name), params)
        return None


class Facades64(_Published):
    """Façades from label maps, 64×64 in colour: 400 train and 106 test pairs.

    CMP Facades (Tyleček and Šára, "Spatial pattern templates for recognition of objects with regular structure", GCPR
    2013) as pix2pix has them, photograph left and labels right, from ``<data root>/facades64`` or, as published at
    256×256, ``<data root>/facades``. The 100 pairs in ``val`` are left out. Any number of pictures is taken; the
    fingerprint tells a subset from the whole.
    """

    Params = FacadesParams
    names = ("facades64", "facades")
    layout = Paired
    origin = "https://efrosgans.eecs.berkeley.edu/pix2pix/datasets/facades.tar.gz"


class HorseToZebra64(_Published):
    """Horses and zebras, unpaired, 64×64 in colour: 1,067 and 1,334 train, 120 and 140 test photographs.

    ImageNet's horses and zebras as CycleGAN has them (Zhu et al. 2017, section 7.1), from ``<data root>/horse2zebra64``
    or, as published at 256×256, ``<data root>/horse2zebra``. Any number of pictures is taken.
    """

    Params = HorseToZebraParams
    names = ("horse2zebra64", "horse2zebra")
    layout = Unpaired
    origin = "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/horse2zebra.zip"
