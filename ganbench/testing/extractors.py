"""The checks of extractors: features and logits of real digits, brought to a shape that the extractor takes."""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ganbench.contracts import DataSpec, Extractor, ExtractorData, Split
from ganbench.errors import Unavailable
from ganbench.testing import common
from ganbench.testing.cases import Case, Checks
from ganbench.testing.outcomes import NotApplicable, Violation

if TYPE_CHECKING:
    from torch import Tensor

_SHAPES = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 48, 48), (3, 64, 64))
_TRAIN, _TEST, _PROBE = 60, 40, 24  # images
_CLOSE = 1e-4  # of the largest value


class ExtractorCase(Case):
    """An extractor under test, built from the first shape of digits that it takes."""

    @cached_property
    def _built(self) -> tuple[Extractor, ExtractorData] | Exception:
        refusal: Exception | None = None
        for shape in _SHAPES:
            data = self.data(DataSpec(shape, 10))
            try:
                return self.cls(data), data
            except Unavailable as error:
                refusal = refusal or error
            except Exception as error:
                return error
        assert refusal is not None
        return refusal

    def data(self, spec: DataSpec, *, first: int = 0) -> ExtractorData:
        """60 train images, from the digit numbered `first` on, and 40 others, in a cache of their own."""
        from ganbench.testing.images import digits

        images, labels, *_ = digits(spec)
        middle, last = first + _TRAIN, first + _TRAIN + _TEST
        splits = {
            name: Split(images[part], None if labels is None else labels[part])
            for name, part in (("train", slice(first, middle)), ("test", slice(middle, last)))
        }
        name = f"digits of {spec.size} pixels"
        fingerprint = f"{first}-{spec.shape}-{spec.classes}"
        return ExtractorData(name, spec, splits, fingerprint, self.device, self.folder("cache"))

    @property
    def built(self) -> Extractor:
        """The extractor. Not applicable where it is unavailable."""
        if isinstance(self._built, Unavailable):
            raise NotApplicable(f"it is unavailable here: {self._built}")
        if isinstance(self._built, Exception):
            raise NotApplicable("it cannot be built")
        return self._built[0]

    @property
    def source(self) -> ExtractorData:
        """What it is built from."""
        _ = self.built
        assert not isinstance(self._built, Exception)
        return self._built[1]

    def images(self, count: int = _PROBE) -> Tensor:
        """Digits it was not built from, uint8 on the device."""
        import torch

        from ganbench.testing.images import digits

        return torch.tensor(digits(self.source.spec).images[-count:], device=self.device)


CASE = ExtractorCase
CHECKS = Checks[ExtractorCase]()

CHECKS.formal(common.has_a_summary)
CHECKS.formal(common.imports_no_torch)


def _far(one: Tensor, other: Tensor) -> float:
    """How far two tensors are apart, as a share of the largest value."""
    one, other = one.detach(), other.detach()
    return float((one - other).abs().max() / one.abs().max().clamp_min(1e-12))


@CHECKS.formal
def ready_says_what_is_missing(case: ExtractorCase) -> None:
    """`ready` returns whether all is there, and a sentence if not: `ganbench doctor` prints it."""
    found = case.cls.ready()
    fits = isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], bool) and isinstance(found[1], str)
    if not fits or (not found[0] and not found[1].strip()):
        raise Violation(
            f"`ready` gives {found!r}", wanted="(bool, sentence)", do="say what is missing and how to get it"
        )


@CHECKS.formal
def is_built_or_says_that_it_is_unavailable(case: ExtractorCase) -> None:
    """Building it works, or raises `Unavailable` with a sentence: its metrics are left out, and the rest goes on."""
    error = case._built
    if isinstance(error, Unavailable):
        if not str(error).strip():
            raise Violation("Unavailable has no message", wanted="what is missing", do="say it, and how to get it")
    elif isinstance(error, Exception):
        raise Violation(
            f"building it raised {type(error).__name__}: {error}",
            wanted="an extractor, or ganbench.api.Unavailable",
            do="raise Unavailable where it cannot work here",
        ) from error


@CHECKS.substantive
def features_and_logits_are_rows_of_finite_floats(case: ExtractorCase) -> None:
    """N images give features N×d and logits N×K, finite floats on the device, for N of 1 as for many."""
    widths: set[tuple[int, int]] = set()
    for n in (_PROBE, 1):
        found = case.built(case.images(n))
        for name, rows in zip(("features", "logits"), found, strict=True):
            if rows.ndim != 2 or len(rows) != n or not rows.is_floating_point():
                raise Violation(
                    f"the {name} of {n} images are {rows.dtype} of shape {tuple(rows.shape)}",
                    wanted=f"floats of shape ({n}, ...) with one row for each image",
                    do="flatten or pool maps to rows",
                )
            if not bool(rows.isfinite().all()):
                raise Violation(
                    f"some {name} are not finite", wanted="finite numbers", do="look at what is divided by 0"
                )
        widths.add((found[0].shape[1], found[1].shape[1]))
    if len(widths) > 1:
        raise Violation(
            f"d and K are {sorted(widths)}", wanted="the same for any N", do="flatten all but the first axis"
        )


@CHECKS.substantive
def the_same_images_give_the_same_features(case: ExtractorCase) -> None:
    """Twice the same images give the same features and logits, to the last digit on a CPU: no dropout, no noise."""
    one, other = case.built(case.images()), case.built(case.images())
    far = max(_far(a, b) for a, b in zip(one, other, strict=True))
    if far > (0 if case.device == "cpu" else _CLOSE):
        raise Violation(
            f"the same images differ by {far:.2g} of the largest value", wanted="no difference", do="call eval()"
        )


@CHECKS.substantive
def features_do_not_depend_on_the_batch(case: ExtractorCase) -> None:
    """An image has the same features alone and among others: running statistics, not those of the batch."""
    images = case.images()
    together = case.built(images)
    parts = [case.built(part) for part in (images[:1], images[1:6], images[6:])]
    import torch

    for index, rows in enumerate(together):
        far = _far(rows, torch.cat([part[index] for part in parts]))
        if not far < _CLOSE:
            raise Violation(
                f"the same images in other batches differ by {far:.2g} of the largest value",
                wanted="features of the image alone",
                do="put the network in evaluation mode, and normalise with fixed numbers",
            )


@CHECKS.substantive
def images_are_told_apart(case: ExtractorCase) -> None:
    """Different images have different features: else every generator is perfect."""
    features = case.built(case.images())[0]
    if not bool((features != features[0]).any()):
        raise Violation(
            f"{_PROBE} digits have the same features", wanted="features of the image", do="look at what it returns"
        )


@CHECKS.substantive
def features_carry_no_gradients(case: ExtractorCase) -> None:
    """Features and logits need no gradient: they would keep the activations of all samples in memory."""
    if any(rows.requires_grad for rows in case.built(case.images())):
        raise Violation("they need gradients", wanted="plain tensors", do="compute them under torch.no_grad()")


@CHECKS.substantive
def images_are_left_as_they_are(case: ExtractorCase) -> None:
    """The images that it is given are not written to: other extractors and metrics see the same ones."""
    images = case.images()
    before = images.clone()
    case.built(images)
    if not bool((images == before).all()):
        raise Violation("it changed the images that it was given", wanted="untouched images", do="copy before writing")


@CHECKS.substantive
def the_hash_is_the_same_when_built_again(case: ExtractorCase) -> None:
    """Built again from the same data with the same cache it has the same hash, 64 hexadecimal digits (SHA-256).

    References and results are kept by it; another process has to find them.
    """
    one, other = case.built.hash, case.cls(case.source).hash
    if not re.fullmatch("[0-9a-f]{64}", str(one)):
        raise Violation(f"the hash is {one!r}", wanted="SHA-256 of the weights in hex", do="use hashlib.sha256")
    if one != other:
        raise Violation(
            f"built twice it has the hashes {one[:12]} and {other[:12]}",
            wanted="one hash",
            do="keep trained weights in `data.cache`, and hash nothing that changes (times, addresses)",
        )


@CHECKS.substantive
def the_hash_changes_with_the_weights(case: ExtractorCase) -> None:
    """Built from other images it has another hash if, and only if, it gives other features."""
    import torch

    other = case.cls(case.data(case.source.spec, first=_TRAIN + _TEST))
    features = [extractor(case.images())[0] for extractor in (case.built, other)]
    same = features[0].shape == features[1].shape and torch.equal(*features)
    if same != (case.built.hash == other.hash):
        raise Violation(
            f"built from other images it has {'the same' if same else 'other'} features and "
            f"{'another' if same else 'the same'} hash",
            wanted="a hash that names the weights",
            do="hash every weight and buffer, and nothing else",
        )


@CHECKS.substantive
def unlabelled_data_is_served_or_refused(case: ExtractorCase) -> None:
    """Without labels it works, or raises `Unavailable` with a sentence, and nothing else."""
    data = case.data(DataSpec(case.source.spec.shape, 0))
    try:
        features = case.cls(data)(case.images())[0]
    except Unavailable as error:
        if not str(error).strip():
            raise Violation("Unavailable has no message", wanted="why", do="say that it needs labels") from None
        return
    except Exception as error:
        raise Violation(
            f"without labels it raised {type(error).__name__}: {error}",
            wanted="features, or ganbench.api.Unavailable",
            do="raise Unavailable where `data.spec.classes` is 0",
        ) from error
    if len(features) != _PROBE:
        raise Violation(
            f"without labels it gives {len(features)} rows", wanted=f"{_PROBE}", do="look at what it returns"
        )


@CHECKS.substantive
def its_facts_can_be_recorded(case: ExtractorCase) -> None:
    """`info` is a dict that JSON holds: manifests and reports show it."""
    info: Any = getattr(case.built, "info", None)
    try:
        fits = isinstance(info, dict) and json.loads(json.dumps(info)) == info
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise Violation(f"info is {info!r}", wanted="a dict of texts and numbers", do="convert tensors with float(...)")
