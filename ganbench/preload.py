"""Imported once by the server that worker processes are forked from, so that each of them starts at once."""

import gc

import torch._dynamo  # noqa: F401  (every optimiser imports it when it is first used: three seconds)

import ganbench.counters
import ganbench.evaluate
import ganbench.train
import ganbench.worker  # noqa: F401

gc.freeze()  # what was imported is no garbage: a worker that looks for some there copies every page of it
