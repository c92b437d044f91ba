"""Everything a plugin author imports. Importing this module does not import torch.

The names here and those of `ganbench.testing` are the public surface; all others may change without notice.

The promise, which docs/api.md has in full: `API_VERSION` is MAJOR.MINOR. MINOR rises with an addition: a name, an
optional argument, a method with a default, a hook or a further argument of one, a conformance check. MAJOR rises with
what can break a working plugin, and only in a release that raises the first number of ganbench's own version. So a
plugin that was written for ganbench 0.1 asks for ``ganbench>=0.1,<1``. What is to go is deprecated for one minor
release at least.

A component's `version` is its author's: raised whenever the same parameters give other numbers. A metric's is its
protocol version; numbers of different ones are never averaged.
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
    Probe,
    Probed,
    Reporter,
    Split,
    Tables,
    TrainedGame,
    Variant,
)
from ganbench.errors import DatasetError, Diverged, GanbenchError, Unavailable, UserError
from ganbench.game import Batch, Game, Latent, Optimizer, Player
from ganbench.hookspecs import Register
from ganbench.params import Params, param
from ganbench.parcel import Parcel

#: MAJOR.MINOR of what this module and `ganbench.testing` promise: the module's docstring says what each number means.
API_VERSION = "1.1"
#: Marks a function of a plugin's module as the implementation of the hook of that name.
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
    "Parcel",
    "Player",
    "Probe",
    "Probed",
    "Register",
    "Reporter",
    "Split",
    "Tables",
    "TrainedGame",
    "Unavailable",
    "UserError",
    "Variant",
    "hookimpl",
    "param",
]
