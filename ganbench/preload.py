"""Imported once by the server that worker processes are forked from, so that each of them starts at once."""

import torch  # noqa: F401

import ganbench.evaluate
import ganbench.train
import ganbench.worker  # noqa: F401
