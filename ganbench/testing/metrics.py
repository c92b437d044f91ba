"""The checks of metrics: scores of real digits (or points), of noise and of blurred ones, streamed in several ways."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ganbench.contracts import Features, Metric
from ganbench.plugins import installed
from ganbench.testing import common
from ganbench.testing.cases import Case, Checks
from ganbench.testing.outcomes import NotApplicable, Violation

if TYPE_CHECKING:
    from torch import Tensor

_ENOUGH = 500  # images of a stream, where the metric needs no more
_BLOCK = 100


class MetricCase(Case):
    """A metric under test. What it sees of digits comes from their own classifier, whatever extractor it names.

    Targets are the real images; metrics of translations alone see all of them enlarged to 16×16.
    """

    @property
    def samples(self) -> int:
        """How many images a stream has."""
        return max(_ENOUGH, int(self.cls.minimum_samples))

    @cached_property
    def streams(self) -> dict[str, Features]:
        """``train``, and as many as `samples` of ``real`` (test images), ``noise`` and ``blurred`` (test images).

        Of a metric of points alone these are labelled Gaussians in the plane.
        """
        from ganbench.testing.streams import points, streams

        if set(self.cls.takes) == {"points"}:
            return points(self.samples, self.device)
        enlarged = not {"labelled", "unlabelled"} & set(self.cls.takes)  # windows of 11 pixels are larger than a digit
        return streams(self.samples, self.device, extracted=bool(self.cls.extractor), enlarged=enlarged)

    @cached_property
    def _reference(self) -> dict[str, Tensor]:
        return self.stream(self.streams["train"]).state() if self.cls.needs_reference else {}

    @property
    def reference(self) -> dict[str, Tensor]:
        """The real side, of train images; tensors of its own for each who asks."""
        return copy.deepcopy(self._reference)

    def stream(self, features: Features, blocks: Sequence[int] = (), announced: int = 0) -> Metric:
        """A metric that has seen these images, in blocks of those sizes (and the rest at once)."""
        n = len(features.images)
        metric: Metric = self.cls(announced or n)
        for block in cut(features, blocks or [_BLOCK] * (n // _BLOCK)):
            metric.update(block)
        return metric

    def score(self, features: Features, blocks: Sequence[int] = ()) -> float:
        """The score of these images."""
        return self.stream(features, blocks).compute(self.reference)

    def better(self, one: float, other: float) -> bool:
        """Whether the first score is the better one."""
        return one < other if self.cls.direction == "lower" else one > other


CASE = MetricCase
CHECKS = Checks[MetricCase]()

CHECKS.formal(common.has_a_summary)
CHECKS.formal(common.imports_no_torch)


def cut(features: Features, blocks: Sequence[int]) -> Iterator[Features]:
    """Blocks of these sizes, and then the rest."""
    start, n = 0, len(features.images)
    for size in [*blocks, n]:
        if start < n:
            yield Features(*(None if t is None else t[start : start + size] for t in features))  # type: ignore[arg-type]
        start += size


def taken(features: Features, chosen: Any) -> Features:
    """These rows."""
    return Features(*(None if t is None else t[chosen] for t in features))  # type: ignore[arg-type]


@CHECKS.formal
def declares_what_it_needs(case: MetricCase) -> None:
    """`direction` is lower or higher, `minimum_samples` a number, `version` a text, `extractor` empty or registered."""
    cls = case.cls
    if cls.direction not in ("lower", "higher"):
        raise Violation(f"direction is {cls.direction!r}", wanted="lower or higher", do="say which scores are better")
    if not isinstance(cls.minimum_samples, int) or cls.minimum_samples < 1 or not isinstance(cls.version, str):
        raise Violation(
            f"minimum_samples is {cls.minimum_samples!r} and version {cls.version!r}",
            wanted="a number of at least 1, and a text",
            do="correct the class's attributes",
        )
    if cls.extractor and not any(
        cls.extractor in (c.name, c.id) for c in installed().components if c.kind == "extractors"
    ):
        raise Violation(
            f"no extractor is called {cls.extractor!r}",
            wanted="one of `ganbench list extractors`, or empty for a metric on the images",
            do="correct `extractor`, or register it",
        )


@CHECKS.substantive
def the_score_is_a_finite_float(case: MetricCase) -> None:
    """`compute` returns a Python float, finite for real images: it is written to JSON and compared with others."""
    score = case.score(case.streams["real"])
    if not isinstance(score, float) or not math.isfinite(score):
        raise Violation(
            f"the score of real images is {score!r} ({type(score).__name__})",
            wanted="a finite float",
            do="return float(...), and look for logarithms and divisions at zero",
        )


@CHECKS.substantive
def real_images_score_better_than_noise(case: MetricCase) -> None:
    """Test images score better than uniform noise, in the `direction` that the class declares."""
    _compare(case, "noise")


@CHECKS.substantive
def real_images_score_better_than_blurred_ones(case: MetricCase) -> None:
    """Test images score better than the same images blurred (twice the mean over 3×3 pixels; points: of three each).

    A metric that is not about sharpness says so in `expected_failures`.
    """
    _compare(case, "blurred")


def _compare(case: MetricCase, what: str) -> None:
    real, other = case.score(case.streams["real"]), case.score(case.streams[what])
    if not case.better(real, other):
        raise Violation(
            f"real images score {real:.6g} and {what} {'ones' if what == 'blurred' else ''}".rstrip() + f" {other:.6g}",
            wanted=f"the {case.cls.direction} score for the real ones",
            do="correct `direction`, or the sign of the score",
        )


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6) or (one != one and other != other)


@CHECKS.substantive
def the_same_stream_gives_the_same_score(case: MetricCase) -> None:
    """Two objects that see the same stream give the same score, to the last digit on a CPU."""
    one, other = (case.score(case.streams["blurred"]) for _ in range(2))
    if one != other and not (case.device != "cpu" and _same(one, other)) and one == one:
        raise Violation(
            f"the same images score {one:.9g} and {other:.9g}",
            wanted="one score",
            do="fix the seed of what is drawn at random, and keep nothing in the class",
        )


@CHECKS.substantive
def the_order_of_images_does_not_matter(case: MetricCase) -> None:
    """The same images in another order score the same: a set of images is scored, not a sequence."""
    import torch

    blurred = case.streams["blurred"]
    order = torch.randperm(len(blurred.images), generator=torch.Generator().manual_seed(1)).to(blurred.images.device)
    one, other = case.score(blurred), case.score(taken(blurred, order))
    if not _same(one, other):
        raise Violation(
            f"the same images score {one:.9g} in one order and {other:.9g} in another",
            wanted="the same score",
            do="add up over the stream what does not depend on the order",
        )


@CHECKS.substantive
def the_size_of_batches_does_not_matter(case: MetricCase) -> None:
    """One batch of all images, blocks of 1, 7 and 92 and the rest, and blocks of 100 give the same score.

    Samples come in blocks whose size is ganbench's affair, and the last one is smaller.
    """
    blurred = case.streams["blurred"]
    at_once = case.score(blurred, [len(blurred.images)])
    for blocks in ([1, 7, 92], []):
        streamed = case.score(blurred, blocks)
        if not _same(at_once, streamed):
            how = "blocks of 1, 7, 92 and the rest" if blocks else f"blocks of {_BLOCK}"
            raise Violation(
                f"the same images score {at_once:.9g} at once and {streamed:.9g} in {how}",
                wanted="the same score",
                do="add up sums and counts, not averages of batches",
            )


@CHECKS.substantive
def too_few_samples_are_refused(case: MetricCase) -> None:
    """With one image less than `minimum_samples`, `compute` raises `ValueError`, and nothing else."""
    few = case.cls.minimum_samples - 1
    try:
        metric = case.stream(taken(case.streams["real"], slice(few))) if few else case.cls(0)
        score = metric.compute(case.reference)
    except ValueError:
        return
    except Exception as error:
        raise Violation(
            f"with {few} images it raised {type(error).__name__}: {error}",
            wanted="a ValueError that says how many it needs",
            do="count the images, and look at the count first in `compute`",
        ) from error
    raise Violation(
        f"{few} images score {score!r}, and minimum_samples is {case.cls.minimum_samples}",
        wanted="a ValueError that says how many it needs",
        do="count the images and raise it in `compute`, or lower minimum_samples",
    )


@CHECKS.substantive
def the_minimum_of_samples_is_enough(case: MetricCase) -> None:
    """As many images as `minimum_samples` says get a finite score."""
    least = case.cls.minimum_samples
    try:
        score: float | str = case.score(taken(case.streams["real"], slice(least)))
    except ValueError as error:
        score = f"a ValueError ({error})"
    if isinstance(score, str) or not math.isfinite(score):
        raise Violation(f"{least} images get {score}", wanted="a finite score", do="raise `minimum_samples`")


@CHECKS.substantive
def the_reference_survives_being_kept(case: MetricCase) -> None:
    """`state` is named tensors that safetensors writes and reads, and `compute` gives the same score with them.

    The real side is computed once for a dataset and kept on disk.
    """
    from safetensors.torch import load_file, save_file
    from torch import Tensor

    if not case.cls.needs_reference:
        raise NotApplicable("it needs no reference")
    state = case.reference
    if not state or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        kinds = {name: type(value).__name__ for name, value in state.items()}
        raise Violation(
            f"`state` gives {kinds or 'nothing'}", wanted="named tensors", do="wrap numbers in torch.tensor"
        )
    path = case.folder("reference") / "state.safetensors"
    save_file({name: tensor.cpu().contiguous() for name, tensor in state.items()}, path)
    metric = case.stream(case.streams["blurred"])
    one, other = metric.compute(load_file(path, device=case.device)), case.score(case.streams["blurred"])
    if not _same(one, other):
        raise Violation(
            f"with the reference from disk the score is {one:.9g} in the place of {other:.9g}",
            wanted="the same score",
            do="put all that `compute` needs of the real side into `state`",
        )


@CHECKS.substantive
def memory_does_not_grow_with_the_stream(case: MetricCase) -> None:
    """After ten times as many images the object holds as many bytes as before: 50,000 features do not fit everywhere.

    What depends on the announced number of samples (a byte each, say) is there from the beginning and does not count.
    """
    from ganbench.testing.streams import held

    real = case.streams["real"]
    metric = case.cls(11 * len(real.images))
    metric.update(real)
    before = held(metric)
    for _ in range(10):
        metric.update(real)
    after = held(metric)
    if after > 1.5 * before + 1000:
        raise Violation(
            f"it holds {before:,} bytes after {len(real.images)} images, and {after:,} after {11 * len(real.images)}",
            wanted="the same",
            do="keep sums over the stream, or as many images as it needs and no more",
        )


@CHECKS.substantive
def batches_are_left_as_they_are(case: MetricCase) -> None:
    """`update` writes into none of the tensors that it is given: other metrics get the same ones."""
    import torch

    real = case.streams["real"]
    given = Features(*(None if t is None else t.clone() for t in real))  # type: ignore[arg-type]
    case.cls(len(real.images)).update(given)
    for name, before, after in zip(Features._fields, real, given, strict=True):
        if before is not None and after is not None and not torch.equal(before, after):
            raise Violation(
                f"`update` changed the {name} of its batch", wanted="an untouched batch", do="copy before writing"
            )


@CHECKS.substantive
def the_reference_is_left_as_it_is(case: MetricCase) -> None:
    """`compute` writes into none of the tensors of the reference: it is used again at the next evaluation."""
    if not case.cls.needs_reference:
        raise NotApplicable("it needs no reference")
    given: Mapping[str, Tensor] = {name: tensor.clone() for name, tensor in case.reference.items()}
    case.stream(case.streams["blurred"]).compute(given)
    for name, tensor in given.items():
        if not bool((tensor == case.reference[name]).all()):
            raise Violation(
                f"`compute` changed {name} of its reference", wanted="an untouched reference", do="copy before writing"
            )
