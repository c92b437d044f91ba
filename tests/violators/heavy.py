"""A GAN that keeps its contract, in a module that imports torch."""

from __future__ import annotations

import torch  # noqa: F401

from violators.variants import Tiny


class Heavy(Tiny):
    """A GAN."""
