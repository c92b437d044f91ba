"""GANs for points: two dense networks, with a cost and a number of turns to choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Player, Variant
from ganbench_mixtures.params import PointParams

if TYPE_CHECKING:
    from torch import Tensor


class PointGAN(Variant):
    """Generative adversarial network for points: dense networks with ReLU (Goodfellow et al. 2014, arXiv:1406.2661).

    The networks are the thesis's (example 4.2.1); its latent vectors are uniform on [0, 1], these on [-1, 1], which the
    first layer can undo. Costs: the GAN's two, WGAN's with clipped weights (Arjovsky et al. 2017, arXiv:1701.07875) and
    with a penalty on the critic's gradient (Gulrajani et al. 2017, arXiv:1704.00028). A minibatch of real points is
    drawn for each turn but the round's first two, which share one.
    """

    Params = PointParams
    paper = "Goodfellow et al. 2014, Generative Adversarial Nets, arXiv:1406.2661"
    takes = ("points",)
    conditional = False

    def game(self, data: DataSpec, params: PointParams) -> Game:
        from ganbench_mixtures.networks import Dense, gradient_norms

        classes = data.classes if self.conditional else 0
        generator = Dense(params.latent_dim, params.hidden("g"), data.channels, classes)
        discriminator = Dense(data.channels, params.hidden("d"), 1, classes)
        latent = Latent(params.latent_dim, params.latent)
        wasserstein = params.cost in ("wgan", "wgan-gp")

        def discriminator_cost(batch: Batch) -> Tensor:
            import torch
            from torch.nn.functional import softplus

            real, fake = batch.images, generator(latent(len(batch)), batch.labels)
            twice = torch.cat([batch.labels, batch.labels]) if batch.labels is not None else None
            on_real, on_fake = discriminator(torch.cat([real, fake]), twice).chunk(2)
            if not wasserstein:
                return softplus(-on_real).mean() + softplus(on_fake).mean()  # -log D(x) - log(1 - D(G(z)))
            cost = on_fake.mean() - on_real.mean()
            if params.cost == "wgan-gp":
                between = fake + torch.rand(len(real), 1, device=real.device) * (real - fake)
                norms = gradient_norms(lambda points: discriminator(points, batch.labels), between)
                cost = cost + params.gp_weight * (norms - 1).square().mean()
            return cost

        def generator_cost(batch: Batch) -> Tensor:
            from torch.nn.functional import softplus

            score = discriminator(generator(latent(len(batch)), batch.labels), batch.labels)
            if wasserstein:
                return -score.mean()
            return -softplus(score).mean() if params.cost == "minimax" else softplus(-score).mean()

        def clip_weights() -> None:
            for weight in discriminator.parameters():
                weight.clamp_(-params.clip, params.clip)

        return Game(
            players=[
                Player(
                    "critic" if wasserstein else "discriminator",
                    discriminator,
                    discriminator_cost,
                    params.make_optimizer(),
                    turns=params.d_steps,
                    after_turn=clip_weights if params.cost == "wgan" else None,
                ),
                Player("generator", generator, generator_cost, params.make_optimizer(), turns=params.g_steps),
            ],
            sample=lambda n, labels: generator(latent(n), labels),
            generator=generator,
            conditional=self.conditional,
            latent=latent,
            batch_size=params.batch_size,
            ema=params.ema,
        )


class PointCGAN(PointGAN):
    """Conditional GAN for points (Mirza & Osindero 2014, arXiv:1411.1784): both networks are told the component.

    The class is appended to the input of both as a one-hot vector, as in the thesis's example 5.1.1.
    """

    paper = "Mirza & Osindero 2014, Conditional Generative Adversarial Nets, arXiv:1411.1784"
    conditional = True

    def unsuitable(self, data: DataSpec, params: PointParams) -> str | None:
        if data.classes < 2:
            return "a conditional GAN needs labelled points of at least two components"
        return None
