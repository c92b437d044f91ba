"""The thesis's WGAN-GP with five generators: one game, and what each puts in the place of a convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant
from ganbench_graph.params import ECCParams, GraphGANParams, LightECCParams, NeighbourParams, unsuitable

if TYPE_CHECKING:
    from torch import Tensor, nn

_THESIS = (
    "D'Amico 2020, Image generation using deep adversarial generative models on graphs, "
    "master's thesis, Politecnico di Torino"
)


class Baseline(Variant):
    """WGAN-GP with a convolutional generator, the baseline of the graph GANs (D'Amico 2020, figure 4.2).

    The cost is Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1.
    """

    Params = GraphGANParams
    paper = _THESIS

    def unsuitable(self, data: DataSpec, params: GraphGANParams) -> str | None:
        return unsuitable(data, params)

    def beyond(self, params: Any) -> dict[str, Any]:
        """What the generator has in all blocks but the first to look beyond the 3×3 window."""
        return {}

    def game(self, data: DataSpec, params: GraphGANParams) -> Game:
        import torch
        from ganbench_gans.networks import gradient_norms

        from ganbench_graph.networks import Critic, Generator

        generator = Generator(
            data.shape, params.latent_dim, params.width, batch_norm=params.batch_norm, **self.beyond(params)
        )
        critic = Critic(data.shape, params.critic_width)
        latent = Latent(params.latent_dim, params.latent)

        def critic_cost(batch: Batch) -> Tensor:
            real, fake = batch.images, generator(latent(len(batch)))
            between = fake + torch.rand(len(batch), 1, 1, 1, device=real.device) * (real - fake)
            penalty = (gradient_norms(critic, between) - 1).square().mean()
            return critic(fake).mean() - critic(real).mean() + params.gp_weight * penalty

        def generator_cost(batch: Batch) -> Tensor:
            return -critic(generator(latent(len(batch)))).mean()

        return Game(
            players=[
                Player("critic", critic, critic_cost, params.make_optimizer(), turns=params.n_critic),
                Player("generator", generator, generator_cost, params.make_optimizer()),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            latent=latent,
            batch_size=params.batch_size,
            ema=params.ema,
        )


class EdgeConvGAN(Baseline):
    """WGAN-GP whose generator has graph convolutions by EdgeConv (D'Amico 2020, figure 4.3; arXiv:1801.07829)."""

    Params = NeighbourParams

    def beyond(self, params: NeighbourParams) -> dict[str, Any]:
        from ganbench_graph.layers import EdgeConv, GraphConv2d

        def second(channels: int) -> nn.Module:
            return GraphConv2d(channels, EdgeConv(channels, channels), params.k, bias=not params.batch_norm)

        return {"second": second}


class ECCGAN(Baseline):
    """WGAN-GP whose generator has edge-conditioned convolutions (D'Amico 2020, figure 4.4; arXiv:1704.02901)."""

    Params = ECCParams

    def beyond(self, params: ECCParams) -> dict[str, Any]:
        from ganbench_graph.layers import ECC, GraphConv2d

        def second(channels: int) -> nn.Module:
            return GraphConv2d(channels, ECC(channels, channels, params.delta), params.k, bias=not params.batch_norm)

        return {"second": second}


class LightECCGAN(Baseline):
    """WGAN-GP whose generator has lightweight ECC, low-rank and circulant (D'Amico 2020; arXiv:1907.08448).

    The thesis describes it and trained none: it "caused severe instability problems".
    """

    Params = LightECCParams

    def beyond(self, params: LightECCParams) -> dict[str, Any]:
        from ganbench_graph.layers import GraphConv2d, LightECC

        def second(channels: int) -> nn.Module:
            light = LightECC(channels, channels, params.delta, params.rank, params.circulant)
            return GraphConv2d(channels, light, params.k, bias=not params.batch_norm)

        return {"second": second}


class AttentionGAN(Baseline):
    """WGAN-GP whose generator has self-attention (SAGAN, arXiv:1805.08318) where the others have their graphs.

    The thesis describes it and trained none.
    """

    def beyond(self, params: GraphGANParams) -> dict[str, Any]:
        return {"attention": True}
