"""Keras's layers in torch: SAME padding, batch normalisation and initial values with the defaults of TensorFlow 2.3."""

from __future__ import annotations

from typing import Literal

import torch
from ganbench_gans.layers import Conv2d, ConvTranspose2d
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-3
#: Torch's momentum is the weight of the new batch; Keras's 0.99 is that of the old average.
MOMENTUM = 0.01


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, *, size: int) -> list[nn.Module]:
    """Conv2D(padding="same") of square maps: N×inputs×size×size -> N×outputs×m×m with m = ⌈size / stride⌉.

    TensorFlow pads what is missing for the last output; of an odd sum the greater part comes at the bottom and right.
    """
    if kernel == 1 and stride > 1:
        # Only every stride-th value is looked at; taken first, because oneDNN's gradient of such a convolution writes
        # outside its memory (torch 2.15 on a CPU: kernel 1, stride 2, 3 channels to 6).
        return [nn.MaxPool2d(1, stride), *conv(inputs, outputs, kernel, size=-(-size // stride))]
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    before, after = total // 2, total - total // 2
    if before == after:
        return [Conv2d(inputs, outputs, kernel, stride, padding=before)]
    return [nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(inputs, outputs, kernel, stride)]


def transposed(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    """Conv2DTranspose(padding="same"): N×inputs×n×n -> N×outputs×(stride·n)×(stride·n).

    It is the gradient of `conv` with the same kernel and stride, so it crops where that pads: of 2n + 3 rows, kernel 5
    and stride 2 lose one at the top and two at the bottom.
    """
    total = kernel - stride
    if total < 0:
        return [nn.ConvTranspose2d(inputs, outputs, kernel, stride, output_padding=-total)]
    layers: list[nn.Module] = [ConvTranspose2d(inputs, outputs, kernel, stride, padding=total // 2)]
    return [*layers, nn.ZeroPad2d((0, -1, 0, -1))] if total % 2 else layers


def batch_norm(channels: int, dimensions: Literal[1, 2] = 2) -> nn.Module:
    """BatchNormalization() of maps N×channels×H×W, or with `dimensions` 1 of vectors N×channels."""
    kind = nn.BatchNorm2d if dimensions == 2 else _FlatBatchNorm
    return kind(channels, eps=EPSILON, momentum=MOMENTUM)


class _FlatBatchNorm(nn.BatchNorm1d):
    # Keras averages the n - 1 variance of maps as torch does (its fused kernel), but the n variance of vectors.

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        with torch.no_grad():
            mean = input.float().mean(0)
            variance = (input.float() - mean).square_().mean(0)  # torch.var_mean over rows is twenty times slower
            for average, new in ((self.running_mean, mean), (self.running_var, variance)):
                if average is not None:
                    average.lerp_(new, MOMENTUM)
        return functional.batch_norm(input, None, None, self.weight, self.bias, True, eps=self.eps)


def initialise(*modules: nn.Module) -> None:
    """Keras's initial values, in place: Glorot uniform kernels, zero biases, embeddings uniform in ±0.05.

    Draws from torch's default generator. Glorot's bound is symmetric in the fans, so Keras's order of a transposed
    convolution's channels does not matter.
    """
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.Embedding):
                nn.init.uniform_(layer.weight, -0.05, 0.05)
