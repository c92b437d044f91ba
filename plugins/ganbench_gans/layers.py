"""Layers that compute what torch's do, but for rounding, in less time. Parameters are those of torch's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_FEW = 4  # channels: oneDNN computes sixteen where there are fewer


def conv_transpose2d(input: Tensor, kernel: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """`torch.nn.functional.conv_transpose2d` of a square kernel C×C'×k×k.

    On a CPU and to few channels it is a product of matrices and a sum of what overlaps.
    """
    if input.device.type != "cpu" or kernel.shape[1] > _FEW:
        return F.conv_transpose2d(input, kernel, bias, stride, padding)
    (n, c, h, w), k = input.shape, kernel.shape[2]
    products = input.permute(0, 2, 3, 1).reshape(n, h * w, c) @ kernel.reshape(c, -1)
    if products.element_size() == 2:
        products = products.float()  # autocast's: they are not rounded again as they are added up
    size = ((h - 1) * stride - 2 * padding + k, (w - 1) * stride - 2 * padding + k)
    images = F.fold(products.transpose(1, 2), size, k, stride=stride, padding=padding)
    return images if bias is None else images + bias[:, None, None]


class ConvTranspose2d(nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d`, of square kernels and without output padding; quick to few channels."""

    def forward(self, input: Tensor) -> Tensor:  # type: ignore[override]
        return conv_transpose2d(input, self.weight, self.bias, self.stride[0], int(self.padding[0]))


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`, of square kernels; quick to few channels where the stride is 1."""

    def forward(self, input: Tensor) -> Tensor:
        if self.out_channels > _FEW or self.stride != (1, 1):
            return super().forward(input)
        kernel = self.weight.flip(2, 3).transpose(0, 1)
        return conv_transpose2d(input, kernel, self.bias, 1, self.kernel_size[0] - 1 - int(self.padding[0]))


class UpsampledConv2d(nn.Conv2d):
    """Nearest-neighbour upsampling by 2 and a k×k convolution (k odd, stride 1, ``padding=k // 2``) in one step.

    N×C×H×W -> N×C'×2H×2W. Parameters and, but for rounding, results are those of
    ``nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(C, C', k, padding=k // 2))``.

    A value and its copies meet the same weights added up, so the pair is a transposed convolution of stride 2 with a
    (k + 1)×(k + 1) kernel of such sums: (k + 1)² products per value in the place of (2k)², 16 instead of 36 for k = 3
    (the sub-pixel view of Shi et al. 2016, arXiv:1609.07009), and no enlarged map in between.
    """

    def forward(self, input: Tensor) -> Tensor:
        kernel = F.pad(self.weight, (1, 1, 1, 1))
        kernel = kernel[:, :, 1:] + kernel[:, :, :-1]
        kernel = (kernel[..., 1:] + kernel[..., :-1]).flip(2, 3).transpose(0, 1)
        if self.weight.is_contiguous(memory_format=torch.channels_last):
            kernel = kernel.contiguous(memory_format=torch.channels_last)  # what comes out is then so too
        return conv_transpose2d(input, kernel, self.bias, 2, self.kernel_size[0] // 2)


class _LeakyReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, slope: float) -> Tensor:
        output = F.leaky_relu(input, slope)
        ctx.save_for_backward(output)
        ctx.slope = slope
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (output,) = ctx.saved_tensors
        return torch.ops.aten.leaky_relu_backward(gradient, output.detach(), ctx.slope, True), None


class LeakyReLU(nn.LeakyReLU):
    """`torch.nn.LeakyReLU` (of a slope that is not negative), of quick second derivatives.

    They are zero. torch's backward hands such zeros on as tensors, so that the cost of a gradient penalty is
    differentiated through the layers before as well; here there is no such way.
    """

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = _LeakyReLU.apply(input, self.negative_slope)
        return output


def linear_of_maps(layer: nn.Linear, maps: Tensor) -> Tensor:
    """``layer(maps.flatten(1))`` of maps N×C×H×W.

    Maps of channels last stay as they are, and so do their gradients: activations are far slower where the two differ.
    """
    if not maps.is_contiguous(memory_format=torch.channels_last):
        return layer(maps.flatten(1))
    weight = layer.weight.view(-1, *maps.shape[1:]).permute(0, 2, 3, 1).flatten(1)
    return F.linear(maps.permute(0, 2, 3, 1).flatten(1), weight, layer.bias)
