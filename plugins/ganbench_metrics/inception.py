"""Inception v3 as torch-fidelity has it, from weights that are on disk already."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ganbench.api import Extractor, ExtractorData, Unavailable

if TYPE_CHECKING:
    from torch import Tensor

VARIABLE = "GANBENCH_INCEPTION_WEIGHTS"
BLOCK = 50


def weights_path() -> Path:
    """Where the weights are looked for: ``$GANBENCH_INCEPTION_WEIGHTS``, else torch hub's folder of checkpoints."""
    if given := os.environ.get(VARIABLE):
        return Path(given).expanduser()
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / _url().rpartition("/")[2]


class Inception(Extractor):
    """Inception v3 (FID's network of 2015-12-05): pool features (d = 2048) and unbiased logits (K = 1008).

    torch-fidelity's ``inception-v3-compat`` with its own TF1-like resize to 299×299, in float32 and blocks of 50
    images. Grey images are repeated to three channels. Nothing is downloaded: `Unavailable` says which file to put
    where.
    """

    def __init__(self, data: ExtractorData) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        if data.spec.channels not in (1, 3):
            raise Unavailable(f"Inception takes 1 or 3 channels; {data.name} has {data.spec.channels}")
        path = weights_path()
        weights, self.hash = _read(path)
        try:
            network = FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=weights
            )
        except (RuntimeError, TypeError, AttributeError) as error:
            raise Unavailable(f"{path} does not hold torch-fidelity's Inception weights: {error}") from error
        self.network = network.to(data.device)
        self.info = {"weights": path.name, "sha256": self.hash}

    @classmethod
    def ready(cls) -> tuple[bool, str]:
        path = weights_path()
        if path.is_file():
            return True, f"Inception weights at {path}"
        return False, f"no Inception weights at {path}; `is` and `fid` need {_url()} there, or {VARIABLE} set to it"

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        from ganbench_metrics.blocks import in_blocks

        return in_blocks(self.network, images.expand(-1, 3, -1, -1), BLOCK)


def _url() -> str:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return str(URL_INCEPTION_V3)


def _read(path: Path) -> tuple[io.BytesIO, str]:
    """The weights as a file in memory that is safe to unpickle, and the SHA-256 of the file on disk.

    torch-fidelity loads with ``weights_only=False``, which runs whatever code a file contains. So the file is read
    once, loaded with ``weights_only=True``, and only what that gave, written anew, is handed on.
    """
    import torch

    try:
        content = path.read_bytes()
    except OSError as error:
        raise Unavailable(
            f"no Inception weights at {path} ({error.strerror}); "
            f"download {_url()} to that place, or set {VARIABLE} to the file"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    promised = path.stem.rpartition("-")[2]  # torch hub's habit: a file's name ends in the start of its SHA-256
    if path.name == _url().rpartition("/")[2] and not digest.startswith(promised):
        raise Unavailable(f"{path} is damaged (SHA-256 {digest[:8]}, not {promised}); download {_url()} again")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file that is something else makes of torch.load
        # Not its words, which tell how to run what a file contains.
        raise Unavailable(
            f"{path} is not a plain file of weights and was not opened ({type(error).__name__})"
        ) from error
    safe = io.BytesIO()
    torch.save(state, safe)
    safe.seek(0)
    return safe, digest
