"""Everything a plugin author imports. Importing this module does not import torch.

The names here are the public surface of ganbench; all others may change without notice.
"""

from __future__ import annotations

import pluggy

from ganbench.contracts import (
    Dataset,
    DataSpec,
    Executor,
    Extractor,
    ExtractorData,
    Features,
    Metric,
    Reporter,
    Split,
    Tables,
    Variant,
)
from ganbench.errors import DatasetError, Diverged, GanbenchError, Unavailable, UserError
from ganbench.game import Batch, Game, Latent, Optimizer, Player
from ganbench.hookspecs import Register
from ganbench.params import Params, param

API_VERSION = "1.0"
hookimpl = pluggy.HookimplMarker("ganbench")

__all__ = [
    "API_VERSION",
    "Batch",
    "DataSpec",
    "Dataset",
    "DatasetError",
    "Diverged",
    "Executor",
    "Extractor",
    "ExtractorData",
    "Features",
    "Game",
    "GanbenchError",
    "Latent",
    "Metric",
    "Optimizer",
    "Params",
    "Player",
    "Register",
    "Reporter",
    "Split",
    "Tables",
    "Unavailable",
    "UserError",
    "Variant",
    "hookimpl",
    "param",
]
