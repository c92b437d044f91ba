"""Running a network over images so that an image's features depend on nothing but the image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """No gradients, no autocast and no reduced-precision products inside; the caller's settings are restored.

    A TF32 product keeps 10 bits of mantissa, which moves a Fréchet distance in its third digit.
    """
    backends = torch.backends
    settings = [backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv]  # type: ignore[attr-defined]
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = precision


def in_blocks(network: Callable[[Tensor], tuple[Tensor, Tensor]], images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Features N×d and logits N×K of uint8 `images` N×C×H×W, computed `size` images at a time.

    The last block is filled up with black images: the kernels that a library picks, and with them the last bits of
    the result, depend on the shape of a block.
    """
    features, logits = [], []
    with exact_float32(images.device):
        for start in range(0, len(images), size):
            block = images[start : start + size]
            missing = size - len(block)
            padded = torch.cat([block, block.new_zeros(missing, *block.shape[1:])]) if missing else block
            outputs = network(padded)
            features.append(outputs[0][: len(block)])
            logits.append(outputs[1][: len(block)])
        return torch.cat(features), torch.cat(logits)
