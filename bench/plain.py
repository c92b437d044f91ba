"""Training loops as users write them, after PyTorch-GAN's ``dcgan.py`` and ``wgan_gp.py`` on today's torch.

A torchvision dataset whose images go through PIL and transforms one by one, a DataLoader, Adam as it comes, the costs
printed (read with `.item()`) at every step. The fakes of a generator's turn are used again for the discriminator's; a
critic's turn leaves the generator in the graph. Only the precision can be chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import VisionDataset

N_CRITIC = 5


class Images(VisionDataset):
    """Arrays N×H×W or N×H×W×3 as images, in the way of torchvision's MNIST and CIFAR10."""

    def __init__(self, images: np.ndarray, transform: Any) -> None:
        super().__init__(transform=transform)
        self.data = images

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.data[index])), 0

    def __len__(self) -> int:
        return len(self.data)


def loader(images: np.ndarray, size: int, batch_size: int) -> DataLoader[Any]:
    """Batches of images in [-1, 1] of `size` pixels."""
    channels = 3 if images.ndim == 4 else 1
    steps = [transforms.ToTensor(), transforms.Normalize([0.5] * channels, [0.5] * channels)]
    resize = [transforms.Resize(size)] if images.shape[1] != size else []
    dataset = Images(images, transforms.Compose([*resize, *steps]))
    return DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True)


def gan(generator: nn.Module, discriminator: nn.Module, batches: Any, latent_dim: int, bf16: bool) -> Iterator[None]:
    """DCGAN; yields after every generator update, without end."""
    device = next(generator.parameters()).device
    adversarial = nn.BCEWithLogitsLoss()
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=bf16)
    while True:
        for images, _ in batches:
            images = images.to(device)
            valid, fake = torch.ones(len(images), device=device), torch.zeros(len(images), device=device)
            optimizer_g.zero_grad()
            with autocast:
                generated = generator(torch.randn(len(images), latent_dim, device=device))
                g_loss = adversarial(discriminator(generated), valid)
            g_loss.backward()
            optimizer_g.step()
            optimizer_d.zero_grad()
            with autocast:
                real_loss = adversarial(discriminator(images), valid)
                fake_loss = adversarial(discriminator(generated.detach()), fake)
                d_loss = (real_loss + fake_loss) / 2
            d_loss.backward()
            optimizer_d.step()
            print(f"[D loss: {d_loss.item():f}] [G loss: {g_loss.item():f}]")
            yield


def wgan_gp(
    generator: nn.Module, critic: nn.Module, batches: Any, latent_dim: int, bf16: bool, careful: bool = False
) -> Iterator[None]:
    """WGAN-GP; yields after every generator update, without end. `careful` detaches the fakes in critics' turns."""
    device = next(generator.parameters()).device
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=bf16)
    while True:
        for step, (images, _) in enumerate(batches):
            images = images.to(device)
            optimizer_d.zero_grad()
            with autocast:
                fake = generator(torch.randn(len(images), latent_dim, device=device))
                fake = fake.detach() if careful else fake
                alpha = torch.rand(len(images), 1, 1, 1, device=device)
                between = (alpha * images + (1 - alpha) * fake.detach()).requires_grad_()
                scores = critic(between)
                (gradients,) = torch.autograd.grad(
                    scores, between, torch.ones_like(scores), create_graph=True, retain_graph=True
                )
                penalty = ((gradients.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
                d_loss = critic(fake).mean() - critic(images).mean() + 10 * penalty
            d_loss.backward()
            optimizer_d.step()
            optimizer_g.zero_grad()
            if step % N_CRITIC == 0:
                with autocast:
                    fake = generator(torch.randn(len(images), latent_dim, device=device))
                    g_loss = -critic(fake).mean()
                g_loss.backward()
                optimizer_g.step()
                print(f"[D loss: {d_loss.item():f}] [G loss: {g_loss.item():f}]")
                yield
