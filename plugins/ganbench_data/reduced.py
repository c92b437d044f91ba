"""Published photographs cut to a square and reduced to 48×48, as Höckler (2021, section 5.7) prepared them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ganbench.api import Split
from ganbench_data.published import Published

if TYPE_CHECKING:
    from PIL.Image import Image

SIZE = 48


class Reduced(Published):
    """Base of photographs brought to 48×48 colour: each is cut to a square, and that is scaled by `resampling`.

    Nobody publishes them at that size, so ``<data root>/<name>.npz`` is taken when it has 48×48 colour images and
    fitting labels, whatever their number (a subset, say); where it has no x_test, every tenth image is held out. The
    fingerprint tells such a file from the whole set. What torchvision reads has to be the whole set.
    """

    shape = (3, SIZE, SIZE)
    any_number = True
    #: Our split -> the splits of the torchvision class that it is made of.
    parts: ClassVar[Mapping[str, tuple[str, ...]]]
    #: The name of the filter in `PIL.Image.Resampling` to scale by.
    resampling: ClassVar[str]

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The square to keep of an image of `width` by `height` pixels: left, top, right, bottom (ends exclusive).

        Raises `ValueError` for an image that cannot be one of this dataset.
        """
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """What the torchvision class needs to be told so that its images come unread, each with its file's name."""
        raise NotImplementedError

    def read(self, loader: Callable[..., Any], folder: Path, split: str) -> Split:
        options = {"transform": self._scaled, "download": True, **self.options()}
        parts = [loader(folder, split=part, **options) for part in self.parts[split]]
        count = sum(len(part) for part in parts)
        # Filled image by image: the photographs together would be many times what is kept of them.
        images = np.empty((count, *self.shape), np.uint8)
        labels = np.empty(count, np.int64)
        index = 0
        for part in parts:
            for position in range(len(part)):
                images[index], label = part[position]
                if self.classes:
                    labels[index] = label
                index += 1
        return Split(images, labels if self.classes else None)

    def _scaled(self, image: Image) -> np.ndarray:
        """The photograph as uint8 3×48×48."""
        from PIL.Image import Resampling

        try:
            if image.format not in ("JPEG", "MPO"):  # opened, but not read yet: for EPS Pillow starts another program
                raise ValueError(f"it is {image.format}, not JPEG as the photographs are")
            # Cropped before it is scaled: resize(box=...) would let pixels from outside the box bleed in.
            square = image.convert("RGB").crop(self.box(*image.size))
        except (OSError, SyntaxError, ValueError) as error:  # what decoders raise, without naming the file
            raise ValueError(f"{getattr(image, 'filename', 'an image')}: {error}") from error
        return np.asarray(square.resize((SIZE, SIZE), Resampling[self.resampling])).transpose(2, 0, 1)


class Flowers48(Reduced):
    """8,189 photographs of flowers, 48×48 in colour, 102 classes (2,040 train, 6,149 test).

    Oxford Flowers-102: Nilsback and Zisserman, "Automated flower classification over a large number of classes", Indian
    Conference on Computer Vision, Graphics and Image Processing, 2008; published without a licence, for research. Each
    photograph is cut to its central square (500×500, as their shorter sides are) and scaled to 48×48 by Pillow's
    bicubic filter (BICUBIC, what its `resize` does by default), antialiased; the class is the published one less 1.
    Train is the official train and val splits, test the official test split, which is the largest of the three. Any
    number of images of that form are taken from ``<data root>/flowers48.npz``.
    """

    name = "flowers48"
    loader = "Flowers102"
    classes = 102
    counts: ClassVar[Mapping[str, int]] = {"train": 2_040, "test": 6_149}
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {"train": ("train", "val"), "test": ("test",)}
    resampling = "BICUBIC"
    by_hand = (
        "unpack 102flowers.tgz into flowers-102 in that folder with imagelabels.mat and setid.mat beside its jpg (from "
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/), or "
    )

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        side = min(width, height)
        if side < SIZE:
            raise ValueError(f"{width}×{height} pixels, smaller than {SIZE}×{SIZE}")
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side

    def options(self) -> dict[str, Any]:
        import PIL.Image

        return {"loader": PIL.Image.open}


class CelebA48(Reduced):
    """202,599 faces of celebrities, 48×48 in colour, unlabelled (182,637 train, 19,962 test).

    CelebA, aligned and cropped: Liu, Luo, Wang and Tang, "Deep learning face attributes in the wild", ICCV 2015,
    arXiv:1411.7766; for non-commercial research only. Of each photograph, 178 wide and 218 high, columns 41 to 137 and
    rows 85 to 181 (from 0, ends exclusive) are kept and scaled to 48×48 by Pillow's box filter (BOX), which averages
    areas, here 2×2 pixels. Train is the official train and validation splits, test the official test split; the
    attributes are left out. Any number of images of that form are taken from ``<data root>/celeba48.npz``. Reading all
    photographs takes minutes.
    """

    name = "celeba48"
    loader = "CelebA"
    classes = 0
    counts: ClassVar[Mapping[str, int]] = {"train": 182_637, "test": 19_962}
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {"train": ("train", "valid"), "test": ("test",)}
    resampling = "BOX"
    by_hand = (
        "unpack img_align_celeba.zip into celeba in that folder with list_eval_partition.txt, identity_CelebA.txt, "
        "list_bbox_celeba.txt, list_landmarks_align_celeba.txt and list_attr_celeba.txt beside its img_align_celeba "
        "(from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html), or "
    )

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        if (width, height) != (178, 218):
            raise ValueError(f"{width}×{height} pixels, not 178×218 as the aligned photographs are")
        return 41, 85, 137, 181

    def options(self) -> dict[str, Any]:
        return {"target_type": []}
