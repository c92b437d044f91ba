"""Gaussian mixtures: data has its moments, metrics agree with closed forms and SciPy, recipes plan, runs report."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import torch
from conftest import ganbench
from ganbench_mixtures.datasets import FourGaussians, Grid25, MixtureParams, OwnMixture, Ring8
from ganbench_mixtures.evolution import DensityEvolution
from ganbench_mixtures.metrics import (
    ClassHistogramDifference,
    ClassHistogramDifference3,
    HighQualityShare,
    HistogramDifference,
    ModeJS,
    ModeKL,
    ModesCovered,
    ModeSpread,
    SlicedW2,
)
from ganbench_mixtures.mixture import Mixture
from ganbench_mixtures.params import PointParams
from ganbench_mixtures.truth import BINS, Histogram, directions, responsibilities
from PIL import Image
from scipy.stats import multivariate_normal

from ganbench.api import DatasetError, DataSpec, Features
from ganbench.merged import merge
from ganbench.store import Store

STUDIES = Path(__file__).parent.parent / "studies" / "mixtures"
FOUR = FourGaussians().mixture()
PARTS = {"weights": FOUR.weights, "means": FOUR.means, "covariances": FOUR.covariances}
TRUTH = {name: torch.from_numpy(part) for name, part in PARTS.items()}
OWN = """
[[component]]
weight = 3
mean = [0.0, 1.0, 2.0]
covariance = [[1, 0, 0], [0, 2, 0.5], [0, 0.5, 1]]

[[component]]
weight = 1
mean = [5, 5, 5]
covariance = [[0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]]
"""


def scored(metric: type, points: np.ndarray, labels: np.ndarray | None = None, mixture: Mixture = FOUR) -> float:
    """The score of points, in two batches, against a mixture."""
    stream, middle = metric(len(points)), len(points) // 3
    told = None if labels is None else torch.from_numpy(labels)
    for part in (slice(middle), slice(middle, None)):
        stream.update(Features(torch.from_numpy(points[part]).float(), None if told is None else told[part]))
    parts = {"weights": mixture.weights, "means": mixture.means, "covariances": mixture.covariances}
    return stream.compute({name: torch.from_numpy(part) for name, part in parts.items()})


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """5,000 independent points of the four Gaussians, and their components."""
    return FOUR.draw(5_000, np.random.default_rng(1))


@pytest.mark.parametrize("dataset", [FourGaussians, Ring8, Grid25])
def test_who_estimates_the_mixture_from_the_train_split_gets_the_true_one(dataset: type) -> None:
    points, labels, *_ = dataset("", dataset.Params.resolve({"points": 20_000})).load(Path())["train"]
    mixture, stream = dataset().mixture(), HistogramDifference(len(points))
    stream.update(Features(torch.from_numpy(points), torch.from_numpy(labels)))
    state = {name: part.numpy() for name, part in stream.state().items()}
    assert np.allclose(state["weights"], mixture.weights, atol=1e-9)
    assert np.allclose(state["means"], mixture.means, atol=1e-6)
    assert np.allclose(state["covariances"], mixture.covariances, rtol=1e-4, atol=1e-6)


def test_train_points_are_gaussian_and_test_points_independent() -> None:
    splits = FourGaussians("", MixtureParams(points=20_000, test=5_000)).load(Path())
    for points, labels, *_ in splits.values():
        first = points[labels == 1] - FOUR.means[1]
        whitened = np.linalg.solve(np.linalg.cholesky(FOUR.covariances[1]), first.T)
        assert scipy.stats.kstest(whitened.ravel(), "norm").pvalue > 0.01
    counts = np.bincount(splits["test"].labels)
    assert not np.array_equal(counts, 5_000 * FOUR.weights)
    assert scipy.stats.chisquare(counts, 5_000 * FOUR.weights).pvalue > 0.01


def test_probabilities_of_bins_are_those_of_scipy() -> None:
    histogram = Histogram(FOUR)
    assert np.allclose(histogram.expected.sum(1), 1)
    x, y = histogram.edges
    for k in (1, 2):
        cumulative = multivariate_normal(FOUR.means[k], FOUR.covariances[k]).cdf
        for i, j in ((16, 22), (7, 9), (0, 31)):
            corners = [cumulative([x[a], y[b]]) for a in (i, i + 1) for b in (j, j + 1)]
            box = corners[3] - corners[2] - corners[1] + corners[0]
            assert histogram.expected[k][i * BINS + j] == pytest.approx(box, abs=1e-9)


def test_the_difference_of_true_points_is_what_multinomial_counts_have(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities = FOUR.weights @ Histogram(FOUR).expected
    mean = (probabilities * (1 - probabilities)).sum() / 5_000
    values = [scored(HistogramDifference, FOUR.draw(5_000, np.random.default_rng(seed))[0]) for seed in range(8)]
    assert np.mean(values) == pytest.approx(mean, rel=0.1)
    # Everything at one place far outside: all but the last bin are missed whole.
    far = scored(HistogramDifference, np.full((10, 2), 100.0))
    assert far == pytest.approx((probabilities[:-1] ** 2).sum() + (1 - probabilities[-1]) ** 2)


def test_classes_are_compared_with_their_own_component(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    points, labels = drawn
    good = scored(ClassHistogramDifference, points, labels)
    third = scored(ClassHistogramDifference3, points, labels)
    histogram = Histogram(FOUR)
    by_hand = np.histogram2d(*points[labels == 2].T, bins=histogram.edges)[0].ravel() / (labels == 2).sum()
    assert third == pytest.approx(np.square(by_hand - histogram.expected[2][:-1]).sum(), abs=1e-6)
    assert scored(ClassHistogramDifference, points, (labels + 1) % 4) > 20 * good
    with pytest.raises(ValueError, match="the classes that points were asked for"):
        scored(ClassHistogramDifference, points)


def test_divergences_of_mode_weights_are_those_of_scipy(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    points = drawn[0][drawn[1] != 2]
    densities = np.stack([w * multivariate_normal(m, c).pdf(points) for w, m, c in zip(*PARTS.values(), strict=True)])
    shares = (densities / densities.sum(0)).mean(1)
    assert np.allclose(responsibilities(FOUR, points).mean(0), shares)
    assert scored(ModeKL, points) == pytest.approx(scipy.stats.entropy(shares, FOUR.weights), rel=1e-5)
    distance = scipy.spatial.distance.jensenshannon(shares, FOUR.weights)
    assert scored(ModeJS, points) == pytest.approx(distance**2, rel=1e-5)


def test_the_mixture_itself_has_its_weights_and_spread_although_components_overlap() -> None:
    points, _ = FOUR.draw(100_000, np.random.default_rng(2))
    assert scored(ModeKL, points) < 1e-4
    assert scored(ModeSpread, points) > 0.99


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_spread_is_the_ratio_of_standard_deviations_where_modes_are_apart(factor: float) -> None:
    ring = Ring8().mixture()
    points, labels = ring.draw(20_000, np.random.default_rng(0))
    scaled = ring.means[labels] + factor * (points - ring.means[labels])
    assert scored(ModeSpread, scaled, mixture=ring) == pytest.approx(0.5, rel=0.02)
    assert scored(ModeSpread, ring.means[labels], mixture=ring) == pytest.approx(0, abs=1e-3)


def test_modes_and_quality_of_a_generator_that_knows_three_of_eight() -> None:
    ring = Ring8().mixture()
    points, labels = ring.draw(20_000, np.random.default_rng(0))
    assert scored(ModesCovered, points, mixture=ring) == 8
    # 1 - exp(-9/2): the square of a Rayleigh variable.
    assert scored(HighQualityShare, points, mixture=ring) == pytest.approx(scipy.stats.chi2(2).cdf(9), abs=0.003)
    three = points[labels < 3]
    assert scored(ModesCovered, three, mixture=ring) == 3
    assert scored(HighQualityShare, np.concatenate([three, 0 * three]), mixture=ring) == pytest.approx(0.494, abs=0.003)


def test_sliced_w2_of_two_gaussians_is_the_closed_form() -> None:
    mean, covariance = np.array([1.0, -2.0]), np.array([[2.0, 0.6], [0.6, 0.5]])
    both = Mixture(np.full(2, 0.5), np.zeros((2, 2)), np.repeat(np.eye(2)[None], 2, 0))  # one Gaussian, said twice
    # No chance in it: normal quantiles, in a random order for the second coordinate, sheared.
    levels = scipy.stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    white = np.stack([levels, np.random.default_rng(0).permutation(levels)], 1)
    points = mean + white @ np.linalg.cholesky(covariance).T
    angles = np.linspace(0, np.pi, 10_000, endpoint=False)
    ways = np.stack([np.cos(angles), np.sin(angles)], 1)
    stds = np.sqrt(np.einsum("li,ij,lj->l", ways, covariance, ways))
    exact = np.sqrt(np.mean((ways @ mean) ** 2 + (stds - 1) ** 2))
    assert scored(SlicedW2, points, mixture=both) == pytest.approx(exact, rel=2e-3)
    assert np.allclose(np.linalg.norm(directions(3), axis=1), 1)


def test_sliced_w2_of_two_samples_comes_to_the_same(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    moved = drawn[0] * 1.3 + 0.5
    truth, _ = FOUR.draw(5_000 * 20, np.random.default_rng(5))
    parts = []
    for way in directions(2):
        many = np.sort(truth @ way).reshape(-1, 20).mean(1)
        parts.append(np.mean((np.sort(moved @ way) - many) ** 2))
    assert scored(SlicedW2, moved) == pytest.approx(np.sqrt(np.mean(parts)), rel=0.01)


def test_points_without_components_have_no_truth_to_compare_with() -> None:
    stream = ModeKL(10)
    stream.update(Features(torch.zeros(10, 2)))
    state = stream.state()
    with pytest.raises(ValueError, match="no labels that say which component"):
        stream.compute(state)
    stream = ModeKL(10)
    stream.update(Features(torch.zeros(10, 2), torch.arange(10) % 2))
    with pytest.raises(ValueError, match="its covariance is not known"):
        stream.compute(stream.state())
    broken = torch.zeros(10, 2)
    broken[3] = torch.nan
    stream = ModeKL(10)
    stream.update(Features(broken))
    with pytest.raises(ValueError, match="not finite"):
        stream.compute(TRUTH)


def test_a_mixture_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    dataset = OwnMixture(str(path), MixtureParams(points=400, test=40))
    assert dataset.spec() == DataSpec((3,), classes=2)
    assert np.array_equal(np.bincount(dataset.load(tmp_path)["train"].labels), [300, 100])
    before = dataset.source(tmp_path)
    path.write_text(OWN.replace("weight = 3", "weight = 4"))
    assert dataset.source(tmp_path) != before


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("weight = 3", "weight = 0", "component 1: weight is 0, not a number above 0"),
        ("weight = 3", "mass = 3", "component 1: it has 'mass', 'mean', 'covariance'"),
        ("[5, 5, 5]", "[5, 5]", "component 2: covariance is .* not a symmetric positive definite 2×2 matrix"),
        ("[0, 2, 0.5]", "[0, 2, 1.5]", "component 1: covariance is .* not a symmetric"),
        ("[0.0, 1.0, 2.0]", '"middle"', "component 1: "),
        ("weight = 1", "weight = 1e-6", "component 2 of the mixture would have 0 of 400 points; ask for more points"),
        ("[[component]]\nweight = 1", "[other]\nweight = 1", "it has 'component', 'other'"),
        ("weight = 1", "weight =", "it cannot be read"),
    ],
)
def test_a_file_that_is_no_mixture_is_refused(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    assert old in OWN
    path.write_text(OWN.replace(old, new))
    with pytest.raises(DatasetError, match=sentence) as error:
        OwnMixture(str(path), MixtureParams(points=400, test=40)).load(tmp_path)
    assert "\n" not in str(error.value).replace("(at line", "")


def test_hidden_layers_are_as_the_thesis_has_them() -> None:
    assert PointParams().hidden("g") == [64, 32]
    assert PointParams(d_depth=3).hidden("d") == [64, 32, 16]
    assert PointParams(g_depth=8, taper=False).hidden("g") == [64] * 8


def test_all_recipes_plan_without_a_skip(tmp_path: Path) -> None:
    files = sorted(STUDIES.rglob("*.toml"))
    assert len(files) >= 12
    done = ganbench(dict(os.environ), "plan", *files, "--results", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "skip" not in done.stdout


def test_a_run_is_scored_by_the_truth_and_drawn(tmp_path: Path, data_root: Path) -> None:
    """Unconditional games have no score by class, with the reason; the report draws how densities came about."""
    file = tmp_path / "small.toml"
    text = (STUDIES / "small.toml").read_text()
    cut = text[: text.index("[[grid]]")] + (
        '[[grid]]\nvariants = ["point-gan", "point-cgan"]\n'
        'datasets = [{ name = "ring8", params = { points = 2000, test = 500 } }]\n'
        "params = { g_width = 8, d_width = 8 }\nbudget = { generator_updates = 4 }\n"
        "evaluate = { times = 2, samples = 200 }\n"
    )
    file.write_text(cut.replace("seeds    = 2", "seeds    = 1"))
    environment = {**os.environ, "GANBENCH_DATA": str(data_root)}
    done = ganbench(environment, "run", file, "--results", tmp_path / "results", "--jobs", 1)
    assert done.returncode == 0, done.stderr
    assert "it needs the labels that samples are asked for by" in done.stdout + done.stderr
    (folder,) = (tmp_path / "results").iterdir()
    DensityEvolution().report(merge([Store(folder)], "mixtures"), tmp_path / "pictures")
    (picture,) = (tmp_path / "pictures").iterdir()
    assert picture.name == "evolution-ring8.png"
    image = Image.open(picture)
    assert image.width > image.height  # two rows: the real density and two evaluations of each GAN
    orange = (np.abs(np.asarray(image.convert("RGB")).astype(int) - (217, 95, 2)).sum(-1) < 60).sum()
    assert orange > 100  # contours of the real density
