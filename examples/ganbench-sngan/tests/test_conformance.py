"""Everything that this package registers keeps ganbench's contracts, as its conformance kit checks them."""

from __future__ import annotations

from collections.abc import Callable

from ganbench.testing import parametrize_with_checks

SMALL = {"batch_size": 32, "latent_dim": 32, "width": 8, "lr": 2e-3}  # which learns soon


@parametrize_with_checks("variants/sngan/sngan", "variants/sngan/lsgan", params=SMALL)
def test_variants(check: Callable[[], None]) -> None:
    check()


@parametrize_with_checks("datasets/sngan/photo-patches")
def test_dataset(check: Callable[[], None]) -> None:
    check()


@parametrize_with_checks("metrics/sngan/kcd")
def test_metric(check: Callable[[], None]) -> None:
    check()
