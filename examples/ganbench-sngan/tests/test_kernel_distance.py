"""The kernel distance against torch-fidelity's, which keeps all features and makes all pairs."""

from __future__ import annotations

import math

import pytest
import torch
from ganbench.api import Features
from torch import Tensor
from torch_fidelity.metric_kid import kid_features_to_metric

from ganbench_sngan.kernel_distance import MOST_FEATURES, KernelClassifierDistance


def draw(n: int, d: int, shift: float = 0.0, seed: int = 0) -> Tensor:
    """Features like a classifier's: correlated, and zero where a unit is off."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=torch.Generator().manual_seed(99), dtype=torch.float64) / d**0.5
    return (torch.randn(n, d, generator=generator, dtype=torch.float64) @ mix + shift).clamp_min(0)


def stream(rows: Tensor, batch: int = 50) -> KernelClassifierDistance:
    score = KernelClassifierDistance(len(rows))
    for part in rows.split(batch):
        score.update(Features(torch.zeros(len(part), 1, 8, 8, dtype=torch.uint8), features=part))
    return score


def distance(generated: Tensor, real: Tensor) -> float:
    return stream(generated).compute(stream(real).state())


def fidelity(generated: Tensor, real: Tensor, subsets: int, size: int) -> tuple[float, float]:
    """Mean and standard deviation over subsets."""
    options = {"kid_subsets": subsets, "kid_subset_size": size, "kid_kernel": "poly", "kid_kernel_poly_degree": 3}
    options |= {"kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1, "rng_seed": 2020, "verbose": False}
    both = kid_features_to_metric(generated, real, **options)
    return both["kernel_inception_distance_mean"], both["kernel_inception_distance_std"]


@pytest.mark.parametrize("shift", [0.0, 0.1, 3.0])
def test_it_is_torch_fidelitys_number_where_one_subset_holds_all_images(shift: float) -> None:
    generated, real = draw(300, 24, shift, seed=1), draw(300, 24, seed=2)
    expected, _ = fidelity(generated, real, subsets=1, size=300)
    scale = float(((real @ real.T / 24 + 1) ** 3).mean())
    assert distance(generated, real) == pytest.approx(expected, rel=1e-10, abs=1e-12 * scale)


def test_it_is_what_torch_fidelitys_mean_over_subsets_estimates() -> None:
    generated, real = draw(600, 16, 0.1, seed=3), draw(800, 16, seed=4)
    mean, deviation = fidelity(generated, real, subsets=400, size=100)
    assert distance(generated, real) == pytest.approx(mean, abs=4 * deviation / 400**0.5)


def test_it_is_unbiased_and_therefore_negative_about_half_the_time_for_the_same_distribution() -> None:
    values = torch.tensor([distance(draw(60, 8, seed=2 * i), draw(80, 8, seed=2 * i + 1)) for i in range(200)])
    assert abs(values.mean()) < 4 * values.std() / 200**0.5
    assert 60 < (values < 0).sum() < 160
    shifted = torch.tensor([distance(draw(60, 8, 0.3, seed=2 * i), draw(80, 8, seed=2 * i + 1)) for i in range(50)])
    assert shifted.mean() > 4 * shifted.std() / 50**0.5


def test_float32_features_are_summed_in_float64() -> None:
    generated, real = draw(300, 24, 0.1, seed=1).float(), draw(300, 24, seed=2).float()
    assert distance(generated, real) == pytest.approx(distance(generated.double(), real.double()), rel=1e-12)


def test_its_memory_does_not_grow_with_the_stream() -> None:
    short, long = stream(draw(50, 24)).state(), stream(draw(1000, 24)).state()
    assert {name: value.shape for name, value in long.items()} == {name: value.shape for name, value in short.items()}
    assert set(vars(stream(draw(1000, 24)))) == {"samples", "count", "_sums"}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_features_that_are_not_finite_have_no_distance(bad: float) -> None:
    generated = draw(50, 8)
    generated[3, 5] = bad
    with pytest.raises(ValueError, match="infinite features, or some that are not numbers"):
        distance(generated, draw(50, 8))


def test_what_does_not_fit_is_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="8 dimensions, the reference 9"):
        distance(draw(50, 8), draw(50, 9))
    with pytest.raises(ValueError, match=f"at most {MOST_FEATURES} features"):
        stream(torch.zeros(2, MOST_FEATURES + 1))
    with pytest.raises(ValueError, match="at least 2 samples; 1 were seen"):
        distance(draw(1, 8), draw(50, 8))
    with pytest.raises(ValueError, match="needs the features of extractor 'classifier'"):
        KernelClassifierDistance(2).update(Features(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)))
