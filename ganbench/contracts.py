"""What plugins provide: variants, datasets, extractors, metrics, probes, executors and reporters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from ganbench.params import Params

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor

    from ganbench.game import Game


Kind = Literal["labelled", "unlabelled", "paired", "unpaired", "points"]


class _Checked:
    """What the classes have in common that `ganbench.testing` checks."""

    #: Checks of `ganbench.testing` that fail, each with the reason; strict: one that passes is a failure.
    expected_failures: ClassVar[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class DataSpec:
    """What is known of a dataset without loading it.

    `shape` is (C, H, W) of images, or (d,) of points; `classes` is 0 for unlabelled data. `source` is the shape
    (C', H', W') of the source images of image-to-image data: every image is what its source is to become (`paired`),
    or both are collections of their own. ``DataSpec((1, 28, 28), classes=10)``, ``DataSpec((2,))``.
    """

    shape: tuple[int, ...]
    classes: int = 0
    source: tuple[int, ...] | None = None
    paired: bool = False

    @property
    def kind(self) -> Kind:
        """What sort of data it is; images with sources are not called labelled, and points neither."""
        if len(self.shape) == 1:
            return "points"
        if self.source is not None:
            return "paired" if self.paired else "unpaired"
        return "labelled" if self.classes else "unlabelled"

    @property
    def channels(self) -> int:
        """Channels of an image; of points, their dimension."""
        return self.shape[0]

    @property
    def size(self) -> int:
        """Height and width of the (square) images in pixels; of points, 1."""
        return self.shape[1] if len(self.shape) == 3 else 1


class Split(NamedTuple):
    """One split of a dataset: `images` uint8 N×C×H×W (or points, float32 N×d), `labels` int64 N or None.

    Of image-to-image data also `sources`, uint8 M×C'×H'×W' (M = N where they are paired), and where they are unpaired
    and labelled `source_labels`, int64 M.
    """

    images: np.ndarray
    labels: np.ndarray | None = None
    sources: np.ndarray | None = None
    source_labels: np.ndarray | None = None

    def at(self, images: Any, sources: Any) -> Split:
        """The images (with their labels) and the sources (with theirs) at these places: slices, indices or masks."""
        return Split(
            self.images[images],
            None if self.labels is None else self.labels[images],
            None if self.sources is None else self.sources[sources],
            None if self.source_labels is None else self.source_labels[sources],
        )


class Variant(_Checked, ABC):
    """A GAN. Subclasses set `Params` and implement `game`; the class docstring's first line is its summary."""

    Params: ClassVar[type[Params]] = Params
    paper: ClassVar[str] = ""
    #: Raised by the author whenever the same parameters give different numbers; part of every cell's key.
    version: ClassVar[str] = "1"
    #: The kinds of data (`DataSpec.kind`) that it can be trained on; on others it is a planned skip.
    takes: ClassVar[tuple[Kind, ...]] = ("labelled", "unlabelled")

    @abstractmethod
    def game(self, data: DataSpec, params: Any) -> Game:
        """Build networks, costs and players for images (or points) of `data.shape`.

        Called with the device as torch's default device and the seed set, so plain module construction suffices.
        """

    def unsuitable(self, data: DataSpec, params: Any) -> str | None:
        """Why this variant cannot be trained on `data` (a planned skip), or None. Must not need torch.

        Only asked about data of a kind that it `takes`.
        """
        return None

    def refusal(self, data: DataSpec, params: Any) -> str | None:
        """`unsuitable`, and before that what `takes` says. Not to be overridden."""
        if data.kind not in self.takes:
            return f"it is made for {' or '.join(self.takes)} data, and this is {data.kind}"
        return self.unsuitable(data, params)


class Dataset(_Checked, ABC):
    """Images to learn from. Constructed with the part of its name after the colon (``folder:PATH``) and its params."""

    Params: ClassVar[type[Params]] = Params
    version: ClassVar[str] = "1"
    #: Whether its name must go on with a colon and something (``folder:PATH``), which it then gets as `argument`.
    takes_argument: ClassVar[bool] = False

    def __init__(self, argument: str = "", params: Any = None) -> None:
        self.argument = argument
        self.params: Any = self.Params() if params is None else params

    @abstractmethod
    def spec(self) -> DataSpec:
        """Shape and classes, without loading the images. Raises `DatasetError` when what it is about is not there."""

    @abstractmethod
    def load(self, root: Path) -> Mapping[str, Split]:
        """The splits ``train`` and, where the source has one, ``test``, read below the data root or downloaded.

        Raises `DatasetError` with where it looked and what to do when the source is missing or damaged.
        """

    def class_names(self) -> Sequence[str]:
        """What the classes are called, in the order of their labels; empty where they are but numbers."""
        return ()

    def source(self, root: Path) -> str:
        """A cheap signature of the source (sizes, times); a prepared copy with another signature is made anew.

        An empty signature says that nothing is there that could have changed, and fits every copy.
        """
        return ""


class Features(NamedTuple):
    """One batch as a metric sees it.

    `images` uint8 N×C×H×W (points: float N×d), `labels` int64 N (those asked of a conditional generator; of the
    sources of a translation) or None, and where the metric names an extractor: `features` float N×d and `logits`
    float N×K. `targets` (like `images`): what they ought to be, the ground truth of paired data or the originals of
    reconstructions. `sources` uint8 N×C'×H'×W': what they are translations of. `latents` and `encoded` float N×dim:
    what samples were made from, and what the encoder sees in them.
    """

    images: Tensor
    labels: Tensor | None = None
    features: Tensor | None = None
    logits: Tensor | None = None
    targets: Tensor | None = None
    sources: Tensor | None = None
    latents: Tensor | None = None
    encoded: Tensor | None = None


class Extractor(_Checked, ABC):
    """A network that turns uint8 images into features and logits. Building one is making it ready, training included.

    Raises `Unavailable` from `__init__` when it cannot work here (no labels to train on, no weights).
    """

    version: ClassVar[str] = "1"
    #: Identity of the exact weights (SHA-256, hex); caches and records carry it.
    hash: str
    #: What the report shows of it, for instance ``{"test_accuracy": 0.991, "seed": 0}``.
    info: dict[str, Any]

    @classmethod
    def ready(cls) -> tuple[bool, str]:
        """For ``ganbench doctor``: whether what it needs from outside is there, and a sentence; empty if nothing."""
        return True, ""

    @abstractmethod
    def __init__(self, data: ExtractorData) -> None: ...

    @abstractmethod
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Uint8 N×C×H×W images on the device -> (features float N×d, logits float N×K), without gradients."""


@dataclass(frozen=True)
class ExtractorData:
    """What an extractor is built from: the prepared dataset, the device, and a folder for what it wants to keep.

    ``with data.turn(path, "the classifier of digits"):`` is where a file below `cache` is read or made: by one process,
    whoever comes first, of this machine, or of all that share a store (`path` is there inside, if another has made it).
    """

    name: str
    spec: DataSpec
    splits: Mapping[str, Split]
    fingerprint: str
    device: str
    cache: Path
    say: Callable[[str], None] = field(default=lambda message: None)
    shared: Callable[[Path, str], AbstractContextManager[object]] | None = None

    @contextmanager
    def turn(self, path: Path, what: str) -> Iterator[None]:
        """Wait for this process's turn at `path`, which is `what`, and hold it until the context is left."""
        from filelock import FileLock, Timeout

        lock = FileLock(f"{path}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            self.say(f"waiting for {what}, which another process is making")
            lock.acquire()
        try:
            with self.shared(path, what) if self.shared else nullcontext():
                yield
        finally:
            lock.release()


class Metric(_Checked, ABC):
    """A score of a stream of images. One object scores one stream; memory must not grow with its length.

    The life of a score: ``Metric(samples)``, `update` per batch, then `compute(reference)`. The reference of a dataset
    is another stream's `state` (the train split's), computed once and cached by content hash.
    """

    #: Name of the extractor whose features it needs; empty for a metric on the images themselves.
    extractor: ClassVar[str] = ""
    direction: ClassVar[Literal["lower", "higher"]] = "lower"
    needs_reference: ClassVar[bool] = False
    minimum_samples: ClassVar[int] = 2
    #: The kinds of data (`DataSpec.kind`) that it can score; on others it is unavailable.
    takes: ClassVar[tuple[Kind, ...]] = ("labelled", "unlabelled", "paired", "unpaired")
    #: What it sees. ``samples``: generated images, or the translations of held-out sources (with their ``targets``).
    #: ``reconstructions``: held-out images encoded and decoded, or held-out sources translated there and back, with
    #: the originals as ``targets``. ``latents``: samples with the ``latents`` that they were made from and as they are
    #: ``encoded``. Unavailable where the game cannot give it.
    stream: ClassVar[Literal["samples", "reconstructions", "latents"]] = "samples"
    #: Whether it needs the labels that samples were asked for by: unavailable where data has none, and where a game is
    #: not conditional.
    needs_labels: ClassVar[bool] = False
    #: The protocol version: numbers of different versions are never compared.
    version: ClassVar[str] = "1"

    def __init__(self, samples: int) -> None:
        """`samples`: how many images the stream will have in all."""
        self.samples = samples

    @abstractmethod
    def update(self, batch: Features) -> None:
        """Take in one batch."""

    def state(self) -> dict[str, Tensor]:
        """What the real side must remember, as named tensors. Only called when `needs_reference`."""
        return {}

    @abstractmethod
    def compute(self, reference: Mapping[str, Tensor]) -> float:
        """The score of the stream. Raises `ValueError` when fewer than `minimum_samples` images were seen."""


@dataclass(frozen=True, eq=False)
class TrainedGame:
    """What a probe is given: the `game` of a done cell with its chosen snapshot.

    Its networks are in evaluation mode and need no gradients, and gradients are off: a probe that searches says
    ``torch.enable_grad()`` and asks for those of its own tensors. `splits` are the data's arrays as `Split` has them
    (uint8 images, to be scaled to [-1, 1]), not to be written to. `seed` is the cell's; torch's random numbers are
    seeded by it. `say` tells who waits what is being done.
    """

    game: Game
    spec: DataSpec
    splits: Mapping[str, Split]
    device: str
    seed: int
    #: ``extractor("classifier")`` is the one that the cell was scored with (`Unavailable` where it cannot be had);
    #: ``extractor("classifier", splits)`` is one of the same kind made of other data, and not kept.
    extractor: Callable[..., Extractor]
    say: Callable[[str], None] = field(default=lambda message: None)

    def scaled(self, images: np.ndarray) -> Tensor:
        """Uint8 images as the game takes them: float on the device, in [-1, 1]."""
        import torch

        from ganbench.batches import scale

        return scale(torch.tensor(images, device=self.device))

    def quantised(self, images: Tensor) -> Tensor:
        """Images of the game as extractors take them: uint8 N×C×H×W."""
        from ganbench.batches import quantise

        return quantise(images.detach())

    def decoded(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the game makes of latent vectors n×dim, float n×C×H×W in [-1, 1]; `labels` where it is conditional."""
        assert self.game.latent is not None
        with self.game.latent.given(latents):
            return self.game.sample(len(latents), labels if self.game.conditional else None)

    def sheet(self, images: Tensor, columns: int) -> bytes:
        """A PNG of images of the game (or uint8 ones), row by row, `columns` to a row."""
        from ganbench.sheets import sheet

        whole = images if images.dtype.itemsize == 1 else self.quantised(images)
        return sheet(whole.cpu().numpy(), columns)


class Probed(NamedTuple):
    """What a probe found: `numbers` by name (finite or not), PNG files by name, and a sentence about it or ""."""

    numbers: Mapping[str, float] = MappingProxyType({})
    pictures: Mapping[str, bytes] = MappingProxyType({})
    note: str = ""


class Probe(_Checked, ABC):
    """An experiment on a trained generator that yields pictures and numbers for the report. Nothing is trained anew.

    Names of numbers and pictures are of lower-case letters, digits and hyphens, such as ``error-inside``.
    """

    Params: ClassVar[type[Params]] = Params
    paper: ClassVar[str] = ""
    #: Raised by the author whenever the same snapshot and parameters give something else.
    version: ClassVar[str] = "1"
    #: The kinds of data (`DataSpec.kind`) of the games that it is for; on others it is skipped.
    takes: ClassVar[tuple[Kind, ...]] = ("labelled", "unlabelled")
    #: Names of the extractors that it asks for, so that what they were is part of what a result is kept by.
    extractors: ClassVar[tuple[str, ...]] = ()

    def unsuitable(self, game: Game, data: DataSpec) -> str | None:
        """Why it cannot be carried out on `game`, trained on data of a kind that it `takes`, or None."""
        return None

    @abstractmethod
    def run(self, trained: TrainedGame, params: Any) -> Probed:
        """Carry it out. The same snapshot, parameters and seed give the same result (on a CPU)."""

    def refusal(self, game: Game, data: DataSpec) -> str | None:
        """`unsuitable`, and before that what `takes` says. Not to be overridden."""
        if data.kind not in self.takes:
            return f"it is for games of {' or '.join(self.takes)} data, and this is {data.kind}"
        return self.unsuitable(game, data)


class Executor(_Checked, ABC):
    """Runs units of work, each a directory that ``python -m ganbench.worker DIR`` completes."""

    #: What a benchmark file may say of it: ``executor = { name = "...", params = { ... } }``.
    Params: ClassVar[type[Params]] = Params
    #: Whether units run on other machines: a `device` ``cuda`` is then theirs, and need not be here.
    remote: ClassVar[bool] = False
    #: What `poll` says in the place of an exit code (no process has it) of a unit that was ended for lack of memory.
    OUT_OF_MEMORY: ClassVar[int] = 1000

    @abstractmethod
    def __init__(self, *, jobs: int | None, device: str, slots_per_gpu: int = 1, params: Any = None) -> None:
        """`jobs`: units to run at once (None: as many as suit the machine, on GPUs `slots_per_gpu` each); `device`:
        ``cpu``, ``cuda``, ``cuda:1``. `params` is only given where `Params` has fields.
        """

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many units can run at once."""

    @abstractmethod
    def submit(self, directory: Path) -> None:
        """Start the unit. Only called while fewer than `slots` units are running."""

    @abstractmethod
    def poll(self) -> list[tuple[Path, int]]:
        """Units that ended since the last call, each with its exit code (negative: the signal that killed it).

        Called many times a second from the first `submit` on: what is to be done now and then can be done here.
        """

    def waiting(self) -> Collection[Path]:
        """Units that were submitted and have not begun, because the machines are taken: their time does not count."""
        return ()

    @abstractmethod
    def stop(self, directory: Path) -> None:
        """Ask one unit to end (SIGTERM, on which it makes a checkpoint), and kill it when it does not within seconds.

        Returns at once; `poll` reports the unit when it has ended.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Stop everything that runs in the same way, wait for it, and give back what the executor holds.

        Called once, at the end, also when nothing runs. A `KeyboardInterrupt` while it waits means: kill at once.
        """


class Tables(NamedTuple):
    """The records of a run, as reporters get them. Every planned cell has a row in `cells`, whatever became of it.

    `run`: content of ``run.json`` but for its cells (``name``, ``rank`` as ``{"metric", "at"}``, ``metrics`` as
    name -> ``direction``, ``budget`` as ``{"unit", "amount"}``), and where cells have several budgets all of them as
    ``budgets``. Of several runs in one report (`ganbench.merged`) also ``folders`` and ``varying``.

    `cells`: ``key, variant, dataset, seed, status, reason, params`` (dict of all resolved parameters), ``symbols``
    (dict parameter -> symbol), ``labels`` (dict parameter -> how names of configurations show it, ``BS=32``; empty
    where they leave it out), ``overrides`` (dict of the parameters that the benchmark file set), ``budget`` (like the
    run's), ``evaluate`` (``{"times", "samples"}``), ``precision`` (each of these None where there is no record of it),
    ``generator_updates, images, epochs, seconds, train_seconds, evaluate_seconds``, ``conditional`` (bool: whether it
    generates by class, so that its sample sheets have a row per class; false until it is done), ``code`` (dict file ->
    hash: what it was trained by), ``unavailable`` (dict metric -> reason), ``speed`` (dict: what was counted of it, as
    docs/report.md says; empty in older records), ``components`` (dict: ``variant``, ``dataset``, and by name
    ``metrics`` and ``extractors``, each ``{"id", "version", "distribution", "distribution_version"}``; less in older
    records), ``environment`` (dict: where it was trained, by which versions; not checked, so that anything may be in
    it), ``classes`` (dict: shares of the classes among its ``samples`` and in ``train``; empty where there are none),
    ``directory`` (Path).

    `scores`: ``key, variant, dataset, seed, point, generator_updates, images, epochs, seconds, metric, value``, where
    `point` is ``curve`` (each evaluation during training), ``best`` (the chosen snapshot, scored again on fresh
    samples) or ``last`` (the final evaluation); `seconds` counts training only.

    `references`: ``dataset, metric, value, samples, note``: real rows, the test split scored as if it were generated;
    ``value`` is NaN and ``note`` says why where there is none; ``metric_id, metric_version, metric_distribution,
    metric_distribution_version``.

    `datasets`: ``dataset, status, reason, shape, classes, train, test, fingerprint``, ``extractors`` (dict
    name -> info, like ``{"classifier": {"test_accuracy": 0.99, ...}}``), ``components`` (like the cells', without a
    variant), ``baselines`` (dict name -> metric -> ``{"value", "samples"}``: the scores of guesses that translations
    have to better; empty for other data), ``directory`` (Path, holds ``real.png``).

    `scored`: images that were not trained here, scored by the same protocol (`ganbench evaluate --into`):
    ``dataset, name, source, sha256`` (of the files), ``samples, resized, metric, value, note``. A ``value`` that does
    not compare with the cells' (another protocol version, extractor, reference or content of the dataset) is NaN, and
    ``note`` says why; of a damaged record there is a row without a metric.
    """

    run: Mapping[str, Any]
    cells: pd.DataFrame
    scores: pd.DataFrame
    references: pd.DataFrame
    datasets: pd.DataFrame
    scored: pd.DataFrame


class Reporter(_Checked, ABC):
    """Writes something from the records of a run; never sees the runner."""

    @abstractmethod
    def report(self, tables: Tables, folder: Path) -> None:
        """Write below `folder`."""
