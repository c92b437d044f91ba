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
PROBES = ["interpolate", "latent-arithmetic", "reconstruct", "iterate", "neighbourhood", "train-on-synthetic"]
SEARCHES = {"inpaint": {"images": 2, "starts": 4, "steps": 5}, "latent-map": {"samples": 60}}
GRAPH = ["graph-baseline", "graph-attention", "graph-edgeconv", "graph-ecc", "graph-ecc-light"]
#: What makes these quick to check.
NARROW = {"width": 6, "critic_width": 8, "latent_dim": 16, "batch_size": 16, "n_critic": 2, "lr": 2e-3}
POINT_GANS = ["point-gan", "point-cgan"]
METRICS = ["cs", "fcd", "is", "fid"]
POINT_METRICS = [
    "histogram",
    "class-histogram",
    *(f"class-histogram-{number}" for number in (1, 2, 3, 4)),
    *("modes", "high-quality", "mode-spread", "mode-kl", "mode-js", "sliced-w2"),
]
MIXTURES = ["four-gaussians", "ring8", "grid25"]
PUBLISHED = ["mnist", "mnist32", "fashion-mnist", "cifar10", "svhn", "flowers48", "celeba48"]
ENCODING = ["selfex-gan", "bigan", "infogan"]
THERE_AND_BACK = ["reconstruction-error", "reconstruction-agreement", "latent-agreement"]
TRANSLATION = {  # checked in test_translation.py
    "variants": ["pix2pix", "cyclegan"],
    "datasets": ["edges2digits", "chalk2ink", "facades64", "horse2zebra64", "paired", "unpaired"],
    "metrics": ["l1", "psnr", "ssim", "cycle-error", "label-agreement"],
}


def test_every_shipped_component_is_checked_here() -> None:
    ours = {plugin.name for plugin in installed().plugins if plugin.distribution == "ganbench"}
    shipped = {(c.kind, c.name) for c in installed().components if c.plugin in ours}
    checked = {("variants", name) for name in OURS + THESIS + GRAPH + POINT_GANS + ENCODING}
    checked |= {("metrics", name) for name in METRICS + POINT_METRICS + THERE_AND_BACK}
    checked |= {("datasets", name) for name in ["digits", "npz", "folder", "mixture", *MIXTURES, *PUBLISHED]}
    checked |= {("extractors", name) for name in ["classifier", "inception", *EXTRACTORS]}
    checked |= {("probes", name) for name in [*PROBES, *SEARCHES]}
    checked |= {("executors", "process"), ("executors", "inline"), ("reporters", "density-evolution")}
    checked |= {(kind, name) for kind, names in TRANSLATION.items() for name in names}
    assert shipped == checked


EXTRACTORS = ["hoeckler-mnist", "hoeckler-fashion", "hoeckler-cifar10"]


@parametrize_with_checks(
    "variants/mlp-gan", "datasets/digits", *[f"metrics/{name}" for name in METRICS + THERE_AND_BACK]
)
def test_the_small_ones(check) -> None:
    check()


@parametrize_with_checks("metrics/histogram", "metrics/mode-spread", "metrics/sliced-w2")
def test_the_metrics_of_points(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks(
    *[f"variants/{name}" for name in POINT_GANS],
    *[f"datasets/{name}" for name in MIXTURES],
    *[f"metrics/{name}" for name in POINT_METRICS],
    "reporters/density-evolution",
)
def test_mixtures(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks(*[f"variants/{name}" for name in OURS[1:]], "executors/process", "executors/inline")
def test_the_larger_ones(check) -> None:
    check()


@parametrize_with_checks(*[f"probes/{name}" for name in PROBES])
def test_the_probes(check) -> None:
    check()


@parametrize_with_checks("probes/inpaint", params=SEARCHES["inpaint"])
def test_the_probe_that_searches_made_short(check) -> None:
    check()


@parametrize_with_checks("probes/latent-map", params=SEARCHES["latent-map"])
def test_the_probe_that_embeds_made_small(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks("extractors/classifier", *[f"extractors/{name}" for name in EXTRACTORS])
def test_the_extractors(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks(*[f"variants/{name}" for name in THESIS], params={"width": 0.3})
def test_the_networks_of_the_thesis_made_narrow(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks("variants/graph-ecc-light", params={**NARROW, "k": 4, "rank": 3})
def test_the_graph_gan_with_the_most_parts_made_narrow(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks("variants/graph-baseline", "variants/graph-attention", params=NARROW)
def test_the_graph_gans_without_a_graph_made_narrow(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks("variants/graph-edgeconv", "variants/graph-ecc", params={**NARROW, "k": 4})
def test_the_graph_gans_with_one_made_narrow(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks(*[f"variants/{name}" for name in ENCODING], params={"width": 8, "batch_size": 32, "lr": 1e-3})
def test_the_ones_that_encode(check) -> None:
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


def test_a_file_with_a_mixture(tmp_path: Path) -> None:
    component = "[[component]]\nweight = 1\nmean = [{}, 0]\ncovariance = [[1, 0], [0, 1]]\n"
    (tmp_path / "two.toml").write_text(component.format(0) + component.format(9))
    report = check_dataset(f"mixture:{tmp_path / 'two.toml'}", params={"points": 400, "test": 40})
    report.raise_for_failures()
    assert report.substantive >= 7


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
