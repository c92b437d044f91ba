"""A GAN is a game of players: each owns networks, has a cost and takes turns. The core knows only this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """One minibatch of real data, on the device.

    `images`: float N×C×H×W in [-1, 1]; points are float N×d as they are. `labels`: int64 N, or None for unlabelled
    data. `sources`: float N×C'×H'×W' in [-1, 1], the sources of image-to-image data (paired: those of `images`;
    unpaired: drawn by themselves), or None.
    """

    images: Tensor
    labels: Tensor | None = None
    sources: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)


class Latent:
    """A distribution of latent vectors; calling it with n draws n×`dim` float32 values on the game's device.

    `kind`: ``normal`` (standard), ``uniform`` (on [-1, 1]) or ``sphere`` (uniform on the sphere of radius √dim, so that
    its coordinates have unit variance like the normal's). Draws come from torch's default generator of the device.
    """

    def __init__(self, dim: int, kind: str = "normal") -> None:
        import torch

        self.dim = dim
        self.kind = kind
        self.device = torch.get_default_device()  # `Variant.game` is called with the game's device as the default
        self._given: Tensor | None = None

    def __call__(self, n: int) -> Tensor:
        import torch

        if self._given is not None:
            return self._next(n)
        if self.kind == "uniform":
            return torch.rand(n, self.dim, device=self.device) * 2 - 1
        noise = torch.randn(n, self.dim, device=self.device)
        if self.kind == "sphere":
            noise = torch.nn.functional.normalize(noise) * self.dim**0.5
        return noise

    @contextmanager
    def given(self, vectors: Tensor) -> Iterator[None]:
        """Inside, calls return the rows of `vectors` (n×`dim`) in their order instead of drawing.

        Raises `ValueError` when more are asked for than there are, and at the end when some were not: then whatever was
        sampled inside is not what these vectors give.
        """
        self._given = vectors.to(self.device)
        try:
            yield
            if len(self._given):
                raise ValueError(f"{len(self._given)} of {len(vectors)} given latent vectors were not asked for")
        finally:
            self._given = None

    def _next(self, n: int) -> Tensor:
        assert self._given is not None
        if n > len(self._given):
            raise ValueError(f"{n} latent vectors were asked for, of {len(self._given)} that are given")
        taken, self._given = self._given[:n], self._given[n:]
        return taken

    def between(self, a: Tensor, b: Tensor, steps: int) -> Tensor:
        """`steps` vectors from each row of `a` to that of `b` (n×`dim`), both included: n×`steps`×`dim`.

        Along the great circle (White 2016, arXiv:1609.04468, spherical interpolation), where all of them are as likely
        as the ends; in a straight line for ``uniform``.
        """
        import torch

        share = torch.linspace(0, 1, steps, device=a.device)[None, :, None]
        a, b = a[:, None], b[:, None]
        straight = (1 - share) * a + share * b
        if self.kind == "uniform":
            return straight
        angle = torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1).acos()[..., None]
        curved = (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)
        return torch.where(torch.sin(angle) > 1e-4, curved, straight)


@dataclass(frozen=True)
class Optimizer:
    """Which optimiser a player uses; the training loop builds it with the options that suit the device.

    `lr` is the step size η; `beta1`, `beta2` belong to Adam (β2 also is RMSprop's smoothing constant α);
    `momentum` to SGD and RMSprop; `eps` is added to the denominator of Adam and RMSprop.
    `schedule` ``linear`` decays the step size to zero over the budget.
    """

    kind: Literal["sgd", "adam", "rmsprop"] = "adam"
    lr: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    momentum: float = 0.0
    schedule: Literal["constant", "linear"] = "constant"
    eps: float = 1e-8


@dataclass
class Player:
    """One player: `networks` are its strategy, `cost` maps a `Batch` to the scalar it minimises in its turn.

    Only the parameters of `networks` receive gradients and are updated in its turn, so costs need no ``detach``.
    `turns` is how often it plays in a round; `after_turn` runs after each of its updates, without gradients
    (weight clipping).
    `optimizer` is an `Optimizer`, or a callable from parameters to a torch optimiser.
    """

    name: str
    networks: nn.Module | Sequence[nn.Module]
    cost: Callable[[Batch], Tensor]
    optimizer: Optimizer | Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = Optimizer()
    turns: int = 1
    after_turn: Callable[[], None] | None = None

    def modules(self) -> tuple[nn.Module, ...]:
        """The networks as a tuple, whether one or several were given."""
        return tuple(self.networks) if isinstance(self.networks, Sequence) else (self.networks,)

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters this player controls."""
        for module in self.modules():
            yield from module.parameters()


@dataclass
class Game:
    """A GAN ready to be played: its players in order of play, and how to sample from it.

    `batch_size` is the number of real images that the loop draws at a time.
    `sample(n, labels)` returns n images, float n×C×H×W in [-1, 1] (or points, float n×d); `labels` (int64 n) is None
    unless `conditional`. A game that `translates` gets n source images in their place, float n×C'×H'×W' in [-1, 1].
    `generator` is the module whose state determines the samples: it is put in evaluation mode for sampling, averaged
    when `ema` > 0 (the decay per generator update, for instance 0.999) and saved as the snapshot.
    `latent`: the `Latent` that `sample` draws from, one row for each image, if there is one: samples between two of its
    vectors are then kept with the records (`Latent.given`).
    `encoder`: a module from images to their latent vectors, n×`dim`, if there is one: it is saved with the snapshot
    (and never averaged), and ``sample`` of what it returns is taken for a reconstruction.
    `discriminator`: a module that says of images (and labels int64 n, where the game is conditional) how real they are,
    n numbers, higher for more real, if there is one: it is saved with the snapshot (and never averaged) for probes.
    `back`: of a game that translates, the way back from images to sources, if it learns one.
    `capturable`: on a GPU each player's turn is recorded once as a CUDA graph and replayed; say False where a cost or
    `after_turn` depends on Python values that change between calls, such as a counter (nothing is wrong on a CPU).
    """

    players: Sequence[Player]
    sample: Callable[[int, Tensor | None], Tensor]
    generator: nn.Module
    batch_size: int = 64
    conditional: bool = False
    ema: float = 0.0
    capturable: bool = True
    latent: Latent | None = None
    encoder: nn.Module | None = None
    discriminator: nn.Module | None = None
    translates: bool = False
    back: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        names = [player.name for player in self.players]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"a game needs players of distinct names, not {names}")
        if any(player.turns < 1 for player in self.players):
            raise ValueError("every player takes at least one turn a round")
        if not self.generator_updates_per_round:
            raise ValueError("no player controls the parameters of the generator")
        if self.encoder is not None and self.latent is None:
            raise ValueError("a game with an encoder names the `latent` that it encodes to")
        if self.translates and self.conditional:
            raise ValueError("a game that translates is asked for images by their sources, not by labels")

    @property
    def sampled_by(self) -> list[nn.Module]:
        """The modules that samples and reconstructions come from: the generator, and the encoder if there is one."""
        return [self.generator] if self.encoder is None else [self.generator, self.encoder]

    @property
    def batches_per_round(self) -> int:
        """Real batches drawn in one round: one, and one more for each repeated turn."""
        return 1 + sum(player.turns - 1 for player in self.players)

    @property
    def generator_players(self) -> list[Player]:
        """The players that control parameters of `generator`."""
        owned = {id(parameter) for parameter in self.generator.parameters()}
        return [player for player in self.players if any(id(p) in owned for p in player.parameters())]

    @property
    def generator_updates_per_round(self) -> int:
        """Turns of these players in one round."""
        return sum(player.turns for player in self.generator_players)
