"""The hyper-parameters that the three variants share."""

from __future__ import annotations

from dataclasses import dataclass

from ganbench.api import DataSpec, Optimizer, Params, param
from ganbench_selfex.tables import TABLES, resolutions


@dataclass(frozen=True)
class EncodingParams(Params):
    batch_size: int = param(64, "images per minibatch", symbol="BS", min=2, max=8192)
    table: str = param(
        "mnist",
        "whose of the thesis's tables 4.1 to 4.7 gives kernels, activations and the dense layers of pairs",
        symbol="TABLE",
        choices=tuple(TABLES),
    )
    width: int = param(64, "channels at the highest resolution; all others go with it", symbol="WIDTH", min=1, max=512)
    lr: float = param(2e-4, "step size of all players", symbol="η", notation="scientific", min=1e-8, max=1.0)
    beta1: float = param(0.5, "Adam's decay of the mean gradient", symbol="β1", notation="decimal", min=0.0, max=0.9999)
    beta2: float = param(
        0.999, "Adam's decay of the squared gradient", symbol="β2", notation="decimal", min=0.0, max=0.999999
    )
    ema: float = param(
        0.0, "decay per update of the averaged generator that is sampled; 0 is off", symbol="EMA", min=0.0, max=0.99999
    )

    def adam(self) -> Optimizer:
        """The optimiser of every player."""
        return Optimizer("adam", lr=self.lr, beta1=self.beta1, beta2=self.beta2)


def wrong_size(data: DataSpec) -> str | None:
    """Why the networks cannot be built for images of this shape, or None."""
    if not 8 <= data.size <= 128 or resolutions(data.size)[0] > 7:
        return f"the networks are made for 8 to 128 pixels that can be halved down to 4 to 7, not {data.size}"
    return None
