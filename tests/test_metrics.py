"""CS, FCD, IS and FID against torch-fidelity and against exact values; streaming in constant memory."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from ganbench_metrics import frechet
from ganbench_metrics.metrics import (
    ClassifierScore,
    FrechetClassifierDistance,
    FrechetInceptionDistance,
    InceptionScore,
)
from ganbench_metrics.moments import Moments
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric

from ganbench.api import Features
from ganbench.plugins import installed

SCORES, DISTANCES = [ClassifierScore, InceptionScore], [FrechetClassifierDistance, FrechetInceptionDistance]


@pytest.fixture
def draw():
    """Correlated, ReLU-like float64 features N×d, another draw at each call."""
    generator = torch.Generator().manual_seed(0)

    def features(n, d, shift=0.0, dead=()):
        mix = torch.randn(d, d, generator=generator, dtype=torch.float64) / d**0.5
        values = (torch.randn(n, d, generator=generator, dtype=torch.float64) @ mix + shift).clamp_min(-0.5)
        values[:, list(dead)] = 0
        return values

    return features


def stream(metric, rows, sizes=(50,)):
    """A score that has seen `rows` as features and logits, in batches of the given sizes, over and over."""
    score, start, turn = metric(len(rows)), 0, 0
    while start < len(rows):
        batch = rows[start : start + sizes[turn % len(sizes)]]
        score.update(Features(torch.zeros(len(batch), 1, 8, 8, dtype=torch.uint8), None, batch, batch))
        start, turn = start + len(batch), turn + 1
    return score


def distance(generated, real):
    return stream(FrechetInceptionDistance, generated).compute(stream(FrechetInceptionDistance, real).state())


def fidelity(generated, real):
    statistics = [fid_features_to_statistics(rows) for rows in (generated, real)]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def exact(generated, real):
    """The distance from the centred features themselves: no covariance, so no digit is lost when it is singular."""
    one, other = ((rows - rows.mean(0)) / math.sqrt(len(rows) - 1) for rows in (generated, real))
    root = torch.linalg.svdvals(one @ other.T).sum()
    between = (generated.mean(0) - real.mean(0)).square().sum()
    return float(between + one.square().sum() + other.square().sum() - 2 * root)


# --- Fréchet distance -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dead_generated", "dead_real"),
    [((), ()), ((1, 5), ()), ((), (1, 5)), ((1, 5), (1, 5)), ((1, 5), (2, 7)), (range(48), ())],
    ids=["regular", "dead-generated", "dead-real", "dead-in-both", "dead-differently", "all-dead"],
)
def test_frechet_distance_agrees_with_torch_fidelity_also_with_dead_units(draw, dead_generated, dead_real):
    generated, real = draw(400, 48, dead=dead_generated), draw(500, 48, 0.1, dead_real)
    assert distance(generated, real) == pytest.approx(fidelity(generated, real), rel=1e-9)
    assert distance(generated, real) == pytest.approx(exact(generated, real), rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(30, 400), (400, 30), (30, 25)], ids=["generated", "real", "both"])
def test_frechet_distance_is_exact_with_fewer_samples_than_dimensions(draw, n, m):
    generated, real = draw(n, 64), draw(m, 64, 0.1)
    assert distance(generated, real) == pytest.approx(exact(generated, real), rel=1e-12)
    # torch-fidelity takes roots of eigenvalues that are rounding noise: √1e-16 each, so eight digits at best.
    assert distance(generated, real) == pytest.approx(fidelity(generated, real), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_frechet_distance_is_exact_when_nearly_singular_at_any_scale(draw, scale):
    spread = scale * torch.logspace(0, -5, 48, dtype=torch.float64)
    generated, real = draw(400, 48) * spread, draw(500, 48, 0.1) * spread
    assert distance(generated, real) == pytest.approx(exact(generated, real), rel=1e-11)


def test_frechet_distance_of_known_gaussians():
    state = {
        "mean": torch.zeros(2, dtype=torch.float64),
        "trace": torch.tensor(5.0, dtype=torch.float64),
        "factor": torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64)),
        "regular": torch.tensor(True),
    }
    other = {**state, "mean": torch.tensor([3.0, 4.0], dtype=torch.float64), "trace": torch.tensor(25.0).double()}
    other["factor"] = torch.diag(torch.tensor([3.0, 4.0], dtype=torch.float64))
    one, two = (frechet.from_state(side, torch.device("cpu")) for side in (state, other))
    assert frechet.distance(one, two) == pytest.approx(25 + (3 - 1) ** 2 + (4 - 2) ** 2, rel=1e-14)


def test_frechet_distance_to_itself_is_zero_and_never_negative(draw):
    for rows in (draw(400, 32), draw(20, 32), draw(400, 32, dead=range(32))):
        assert 0 <= distance(rows, rows) < 1e-12


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_features_that_are_not_finite_have_no_distance(draw, bad):
    generated, real = draw(100, 16), draw(100, 16)
    generated[3, 5] = bad
    with pytest.raises(ValueError, match="infinite features, or some that are not numbers"):
        distance(generated, real)


def test_dead_units_take_the_quick_way_and_a_nearly_singular_covariance_does_not(draw):
    spread = torch.logspace(0, -5, 48, dtype=torch.float64)
    sides = [stream(FrechetInceptionDistance, rows) for rows in (draw(400, 48, dead=(1, 5)), draw(400, 48) * spread)]
    (dead, near) = (side.state() for side in sides)
    assert (dead["factor"].shape, dead["regular"]) == ((48, 46), True)
    assert (near["factor"].shape, near["regular"]) == ((48, 48), False)


def test_reference_of_another_extractor_is_refused(draw):
    with pytest.raises(ValueError, match="32 dimensions, the reference 16"):
        distance(draw(100, 32), draw(100, 16))


# --- Scores -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [20, 64, 1003])
def test_scores_agree_with_torch_fidelity(draw, n):
    logits = draw(n, 100) * 5
    whole = isc_features_to_metric(logits, splits=1)["inception_score_mean"]
    split = isc_features_to_metric(logits, splits=10)["inception_score_mean"]
    assert abs(whole - split) > 1e-2  # else the test would not tell the two apart
    assert stream(ClassifierScore, logits).compute({}) == pytest.approx(whole, rel=1e-12)
    assert stream(InceptionScore, logits).compute({}) == pytest.approx(split, rel=1e-12)


def test_classifier_score_is_the_number_of_classes_for_perfect_classes_and_one_for_a_single_one():
    perfect = 1000 * torch.eye(10).repeat(5, 1)
    assert stream(ClassifierScore, perfect).compute({}) == pytest.approx(10, rel=1e-12)
    assert stream(ClassifierScore, perfect[:1].repeat(50, 1)).compute({}) == pytest.approx(1, rel=1e-12)


def test_inception_score_refuses_another_number_of_samples_than_announced(draw):
    for announced in (39, 41):
        score = InceptionScore(announced)
        with pytest.raises(ValueError, match=f"{announced} announced"):  # noqa: PT012
            score.update(Features(torch.zeros(0), logits=draw(40, 10)))
            score.compute({})


# --- Streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [*SCORES, *DISTANCES])
def test_value_does_not_depend_on_the_size_of_batches(draw, metric):
    rows, reference = draw(300, 24), stream(FrechetInceptionDistance, draw(300, 24, 0.2)).state()
    whole = stream(metric, rows, sizes=(300,)).compute(reference)
    for sizes in ((1,), (7,), (299,), (3, 64, 1)):
        assert stream(metric, rows, sizes).compute(reference) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("metric", [ClassifierScore, *DISTANCES])
def test_value_does_not_depend_on_the_order_of_samples(draw, metric):
    rows, reference = draw(300, 24), stream(FrechetInceptionDistance, draw(300, 24, 0.2)).state()
    shuffled = rows[torch.randperm(300, generator=torch.Generator().manual_seed(1))]
    assert stream(metric, shuffled).compute(reference) == pytest.approx(
        stream(metric, rows).compute(reference), rel=1e-12
    )


@pytest.mark.parametrize("metric", [*SCORES, *DISTANCES])
def test_too_few_samples_are_refused(draw, metric):
    few, reference = metric.minimum_samples - 1, stream(FrechetInceptionDistance, draw(300, 24)).state()
    with pytest.raises(ValueError, match=f"at least {metric.minimum_samples} samples; {few} were seen"):
        stream(metric, draw(few, 24)).compute(reference)
    assert math.isfinite(stream(metric, draw(few + 1, 24)).compute(reference))


def test_moments_keep_their_digits_at_a_mean_of_a_million_standard_deviations(draw):
    rows = draw(2000, 8) + 1e6
    moments = Moments()
    for batch in rows.split(33):
        moments.update(batch)
    exactly = rows.numpy().astype(np.longdouble)
    mean = exactly.mean(0)
    covariance = ((exactly - mean).T @ (exactly - mean) / (len(rows) - 1)).astype(np.float64)
    error = np.abs(moments.covariance().numpy() - covariance).max() / np.abs(covariance).max()
    naive = (rows.T @ rows - len(rows) * torch.outer(rows.mean(0), rows.mean(0))) / (len(rows) - 1)
    assert error < 1e-11 < np.abs(naive.numpy() - covariance).max() / np.abs(covariance).max()
    assert moments.mean.numpy() == pytest.approx(mean.astype(np.float64), rel=1e-15)


def test_merged_moments_equal_those_of_one_stream(draw):
    rows = draw(500, 8, 3.0)
    parts = []
    for part in rows.split([1, 199, 300]):
        parts.append(Moments())
        parts[-1].update(part)
    merged = Moments()
    for part in (Moments(), *parts):
        merged.merge(part)
    assert merged.count == 500
    torch.testing.assert_close(merged.covariance(), torch.cov(rows.T), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(merged.mean, rows.mean(0), rtol=1e-13, atol=0)


def test_streaming_ten_times_the_samples_takes_no_more_memory():
    code = """
import resource, torch
from ganbench.api import Features
from ganbench_metrics.metrics import *
torch.set_num_threads(1)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
real = FrechetClassifierDistance(1000)
real.update(Features(torch.zeros(0), features=torch.randn(1000, 128)))
features, logits = torch.randn(500, 128), torch.randn(500, 256)
def score(n):
    streams = [metric(n) for metric in (ClassifierScore, InceptionScore, FrechetClassifierDistance)]
    for start in range(0, n, 500):
        for stream in streams:
            stream.update(Features(torch.zeros(0), None, features.clone(), logits.clone()))
    for stream in streams:
        stream.compute(real.state())
score(10_000); before = peak(); score(100_000); print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 50  # MB; the logits alone would be 102


# --- Registration -----------------------------------------------------------------------------------------------------


def test_metrics_declare_what_the_plan_needs_without_torch():
    code = """
import sys, ganbench_metrics
from ganbench_metrics.metrics import *
for m in ClassifierScore, FrechetClassifierDistance, InceptionScore, FrechetInceptionDistance:
    print(m.extractor, m.direction, m.needs_reference, m.version, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "classifier higher False 1 False",
        "classifier lower True 1 False",
        "inception higher False 1 False",
        "inception lower True 1 False",
    ]


@pytest.mark.parametrize("name", ["cs", "fcd", "is", "fid"])
def test_metrics_are_registered_with_a_summary(name):
    component = installed().find("metrics", name)
    assert component.id == f"metrics/{name}"
    assert component.describe().endswith("is better).")
