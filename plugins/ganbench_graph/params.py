"""The hyper-parameters of the graph GANs; each variant has those alone that mean something to it."""

from __future__ import annotations

from dataclasses import dataclass

from ganbench_gans.params import GANParams, wrong_size

from ganbench.api import DataSpec, param


@dataclass(frozen=True)
class GraphGANParams(GANParams):
    """What all five have. `paper` is the thesis's value; where there is none, its text is silent."""

    batch_size: int = param(32, "images per minibatch", symbol="BS", min=2, max=8192, paper=32)
    latent_dim: int = param(132, "dimension of the latent vectors", symbol="LDIM", min=1, max=4096, paper=132)
    optimizer: str = param(
        "rmsprop", "optimiser of both players", symbol="OPT", choices=("sgd", "adam", "rmsprop"), paper="rmsprop"
    )
    lr: float = param(
        1e-4, "step size of both players", symbol="η", notation="scientific", min=1e-8, max=1.0, paper=1e-4
    )
    beta2: float = param(
        0.99,
        "Adam's decay of the squared gradient (RMSprop's α)",
        symbol="β2",
        notation="decimal",
        min=0.0,
        max=0.999999,
    )
    lr_schedule: str = param(
        "linear", "step size over the budget", symbol="SCHED", choices=("constant", "linear"), paper="linear"
    )
    n_critic: int = param(5, "critic turns per generator turn", symbol="NCRIT", min=1, max=1000, paper=5)
    gp_weight: float = param(10.0, "weight of the gradient penalty", symbol="λ", min=0.0, max=1e4)
    batch_norm: bool = param(True, "batch normalisation in the generator", symbol="BN")
    width: int = param(
        66, "the generator's channels at the highest resolution", symbol="WIDTH", min=1, max=1024, paper=66
    )
    critic_width: int = param(128, "channels of the critic's first layer", symbol="CWIDTH", min=1, max=1024)


@dataclass(frozen=True)
class NeighbourParams(GraphGANParams):
    """What those have that build a graph."""

    k: int = param(8, "neighbours of each pixel in the graph", symbol="k", min=1, max=1024, paper=8)


@dataclass(frozen=True)
class ECCParams(NeighbourParams):
    """What those have whose weights depend on the edge."""

    delta: float = param(
        10.0, "squared distance at which an edge's weight has fallen to 1/e", symbol="δ", min=1e-6, max=1e6
    )


@dataclass(frozen=True)
class LightECCParams(ECCParams):
    """What the low-rank form has."""

    rank: int = param(11, "rank of an edge's matrix", symbol="r", min=1, max=1024)
    circulant: int = param(3, "shifted copies that make up a circulant layer; 1 is a dense one", symbol="CIRC", min=1)


def unsuitable(data: DataSpec, params: GraphGANParams) -> str | None:
    """Why the networks cannot be built for such images and parameters, or None."""
    if reason := wrong_size(data):
        return reason
    if isinstance(params, NeighbourParams) and params.k > (most := smallest_graph(data.size) ** 2 - 9):
        return f"k is at most {most} at {data.size} pixels: the pixels outside of a 3×3 window, where these are fewest"
    if isinstance(params, LightECCParams) and params.rank * params.width % params.circulant:
        return f"rank × width must be a multiple of circulant, not {params.rank} × {params.width} of {params.circulant}"
    return None


def smallest_graph(size: int) -> int:
    """Height and width of the coarsest feature map with a graph: the generator's second block has the first one.

    The generator's resolutions are `ganbench_gans.networks.resolutions`, without torch.
    """
    halvings = 0
    while size % 2 == 0 and (size >= 8 or halvings < 2):
        size, halvings = size // 2, halvings + 1
    return size * 4
