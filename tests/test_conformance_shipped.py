"""What ships with ganbench keeps the contracts that it asks of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganbench.api import DataSpec
from ganbench.plugins import installed
from ganbench.testing import check_dataset, parametrize_with_checks
from ganbench.testing.images import digits

OURS = ["mlp-gan", "dcgan", "cgan", "wgan", "wgan-gp"]
THESIS = ["hoeckler-gan", "hoeckler-dcgan", "hoeckler-cgan", "hoeckler-wgan", "hoeckler-wgan-gp"]
METRICS = ["cs", "fcd", "is", "fid"]
TRANSLATION = {  # checked in test_translation.py
    "variants": ["pix2pix", "cyclegan"],
    "datasets": ["edges2digits", "chalk2ink", "facades64", "horse2zebra64", "paired", "unpaired"],
    "metrics": ["l1", "psnr", "ssim", "cycle-error", "label-agreement"],
}
PUBLISHED = ["mnist", "fashion-mnist", "cifar10", "svhn", "flowers48", "celeba48"]


def test_every_shipped_component_is_checked_here() -> None:
    ours = {plugin.name for plugin in installed().plugins if plugin.distribution == "ganbench"}
    shipped = {(c.kind, c.name) for c in installed().components if c.plugin in ours}
    checked = {("variants", name) for name in OURS + THESIS} | {("metrics", name) for name in METRICS}
    checked |= {("datasets", name) for name in ["digits", "npz", "folder", *PUBLISHED]}
    checked |= {("extractors", name) for name in ["classifier", "inception", *EXTRACTORS]}
    checked |= {("executors", "process"), ("executors", "inline")}
    checked |= {(kind, name) for kind, names in TRANSLATION.items() for name in names}
    assert shipped == checked


EXTRACTORS = ["hoeckler-mnist", "hoeckler-fashion", "hoeckler-cifar10"]


@parametrize_with_checks("variants/mlp-gan", "datasets/digits", *[f"metrics/{name}" for name in METRICS])
def test_the_small_ones(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks(*[f"variants/{name}" for name in OURS[1:]], "executors/process", "executors/inline")
def test_the_larger_ones(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks("extractors/classifier", *[f"extractors/{name}" for name in EXTRACTORS])
def test_the_extractors(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks(*[f"variants/{name}" for name in THESIS], params={"width": 0.3})
def test_the_networks_of_the_thesis_made_narrow(check) -> None:
    check()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Digits as an .npz file and as a folder of images, a folder for each class."""
    images, labels, *_ = digits(DataSpec((3, 16, 16), 3))
    np.savez(
        tmp_path / "digits.npz", x_train=images[:60], y_train=labels[:60], x_test=images[60:80], y_test=labels[60:80]
    )
    for index, (image, label) in enumerate(zip(images[:60], labels[:60], strict=True)):
        folder = tmp_path / "digits" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{index}.png")
    return tmp_path


def test_a_file_and_a_folder_of_ones_own_images(pictures: Path) -> None:
    for report in (
        check_dataset(f"npz:{pictures / 'digits.npz'}"),
        check_dataset(f"folder:{pictures / 'digits'}", params={"size": 16}),
    ):
        report.raise_for_failures()
        assert report.substantive >= 7


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_dataset_that_is_not_there_says_so_and_is_not_passed(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets." + installed().find("datasets", name).load().loader, _refused)
    report = check_dataset(name)
    assert not report.failed
    assert not report.ok
    assert "no substantive check ran" in report.summary()
    assert str(tmp_path) in report.summary()
    with pytest.raises(AssertionError, match="no substantive check ran"):
        report.raise_for_failures()


def _refused(*arguments: object, **options: object) -> None:
    raise OSError("no network in tests")
