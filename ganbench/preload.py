"""Imported once by the server that worker processes are forked from, so that each of them starts at once."""

import torch._dynamo  # noqa: F401  (every optimiser imports it when it is first used: three seconds)

import ganbench.counters
import ganbench.evaluate
import ganbench.train
import ganbench.worker  # noqa: F401
