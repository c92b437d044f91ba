"""The simple GAN (section 5.1 of the thesis): a dense generator against a convolutional discriminator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.api import Batch, DataSpec, Game, Latent, Optimizer, Player, Variant, param
from ganbench_hoeckler.params import AdamParams, SizeParams, SmoothParams, WidthParams, unsuitable

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GANParams(WidthParams, SmoothParams, AdamParams, SizeParams):
    optimizer: str = param("Adam", "optimiser of the generator", symbol="OPT", choices=("Adam", "SGD"))
    discriminator_optimizer: str = param(
        "same", "optimiser of the discriminator: the generator's, or Adam", symbol="DOPT", choices=("same", "Adam")
    )
    momentum: float = param(0.9, "momentum of SGD", symbol="MOM", min=0.0, max=0.9999)


class GAN(Variant):
    """Generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661) with the thesis's networks.

    The non-saturating cost. In the thesis an SGD generator plays against an Adam discriminator
    (``discriminator_optimizer = "Adam"``).
    """

    Params = GANParams
    paper = "Goodfellow et al. 2014, Generative Adversarial Nets, arXiv:1406.2661"

    def unsuitable(self, data: DataSpec, params: GANParams) -> str | None:
        return unsuitable(data)

    def game(self, data: DataSpec, params: GANParams) -> Game:
        from ganbench_hoeckler import costs
        from ganbench_hoeckler.networks import DenseGenerator, Discriminator

        generator = DenseGenerator(data.shape, params.latent_dim, width=params.width)
        discriminator = Discriminator(data.shape, width=params.width)
        latent = Latent(params.latent_dim)

        def discriminator_cost(batch: Batch) -> Tensor:
            fake = generator(latent(len(batch)))
            return costs.discriminator_cost(discriminator(batch.images), discriminator(fake), params.smooth)

        def generator_cost(batch: Batch) -> Tensor:
            return costs.generator_cost(discriminator(generator(latent(len(batch)))))

        adam = params.adam()
        chosen = adam if params.optimizer == "Adam" else Optimizer("sgd", lr=params.lr, momentum=params.momentum)
        return Game(
            players=[
                Player(
                    "discriminator",
                    discriminator,
                    discriminator_cost,
                    chosen if params.discriminator_optimizer == "same" else adam,
                ),
                Player("generator", generator, generator_cost, chosen),
            ],
            sample=lambda n, labels: generator(latent(n)),
            generator=generator,
            latent=latent,
            batch_size=params.batch_size,
        )
