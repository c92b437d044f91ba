"""The graph of a feature map: each pixel and the k pixels most like it. Searched in blocks, of bounded memory."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

#: Values that a step holds at a time, in the search and in the layers: 64 MiB of float32.
BLOCK = 2**24


def nearest(maps: Tensor, k: int, *, block: int = BLOCK) -> Tensor:
    """For each pixel the `k` others whose features are nearest, nearest first: N×F×H×W -> int64 N×HW×k.

    A pixel is named by its place, row · W + column. Distances are Euclidean, in float32 whatever the precision of
    training. The 3×3 window around a pixel is left out: the local convolution looks there (section 3.2.2 of the
    thesis). No gradient flows through the choice, no value is read by Python, and of the N × HW × HW distances there
    are at most `block` (or those of one pixel, where these are more) at a time.
    """
    height, width = maps.shape[2:]
    places = height * width
    rows = min(places, max(1, block // places))
    images = max(1, block // (rows * places))
    place = torch.arange(places, device=maps.device)
    row, column = place // width, place % width
    with torch.no_grad(), _exactly(maps.device):
        found = []
        for points in torch.split(maps.detach().float().flatten(2).transpose(1, 2), images):
            squares = points.square().sum(2)[:, None]
            parts = []
            for some in torch.split(place, rows):
                # |a - b|² without |a|², which is the same for all that are compared: n × rows × places.
                distances = torch.baddbmm(squares, points[:, some], points.transpose(1, 2), alpha=-2)
                window = (row[some, None] - row).abs() <= 1
                window &= (column[some, None] - column).abs() <= 1
                parts.append(distances.masked_fill_(window, torch.inf).topk(k, largest=False).indices)
            found.append(torch.cat(parts, dim=1))
        return torch.cat(found)


def gather(values: Tensor, places: Tensor) -> Tensor:
    """The rows of `values` (N×HW×F) in these `places` (int64 N×HW×k) of the same image: N×HW×k×F.

    They are looked up as embeddings are, whose gradients are added up in a fixed order: on a CPU whatever the number of
    threads, where those of an index are not, and by torch's sources on a GPU, where those of `torch.gather` are not.
    Nothing waits for the device.
    """
    n, count, _ = values.shape
    first = torch.arange(0, n * count, count, device=places.device)
    return F.embedding(places + first[:, None, None], values.flatten(0, 1))


def _exactly(device: torch.device) -> AbstractContextManager[object]:
    """No autocast inside: bfloat16 would choose other neighbours. The device ``meta`` has none."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
