"""The checks of variants: the game that a GAN is, played for a few rounds on real images."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from ganbench.contracts import DataSpec
from ganbench.testing import common
from ganbench.testing.cases import Case, Checks
from ganbench.testing.outcomes import NotApplicable, Violation

if TYPE_CHECKING:
    from ganbench.testing.playing import Played

_SIZES = (8, 16, 28, 32, 48, 64)
_LARGE = (96, 128, 256)  # tried where it is made for none of the others
_CLASSES = 10


class VariantCase(Case):
    """A GAN under test, with the image shapes that it does not call unsuitable, smallest first."""

    @cached_property
    def specs(self) -> list[DataSpec]:
        """Grey and colour, labelled and unlabelled, in several sizes."""
        return self._suitable(_SIZES) or self._suitable(_LARGE)

    def _suitable(self, sizes: tuple[int, ...]) -> list[DataSpec]:
        specs = [DataSpec((c, size, size), classes) for size in sizes for c in (1, 3) for classes in (_CLASSES, 0)]
        return [spec for spec in specs if self.cls().unsuitable(spec, self.params) is None]

    @property
    def small(self) -> DataSpec:
        """The smallest suitable shape."""
        if not self.specs:
            raise NotApplicable("it calls all shapes unsuitable")
        return self.specs[0]

    @property
    def kinds(self) -> list[DataSpec]:
        """The smallest suitable shape of each kind: grey and colour, labelled and unlabelled."""
        first: dict[Any, DataSpec] = {}
        for spec in [self.small, *self.specs]:
            first.setdefault((spec.channels, spec.kind), spec)
        return list(first.values())

    @cached_property
    def played(self) -> Played:
        """The game of the smallest shape after two rounds."""
        from ganbench.testing.playing import played

        return played(self, self.small)

    def question(self) -> dict[str, Any]:
        specs = [((c, size, size), classes) for size in _SIZES for c in (1, 3) for classes in (_CLASSES, 0)]
        return {"then": "suitability", "specs": specs, "params": self.values}

    def differently(self, one: Any, other: Any) -> str:
        """Where two states differ: on a CPU in any bit, on a GPU by more than rounding."""
        from ganbench.testing.playing import difference

        return difference(one, other, exactly=self.device == "cpu")


CASE = VariantCase
CHECKS = Checks[VariantCase]()

CHECKS.formal(common.has_a_summary)
CHECKS.formal(common.imports_no_torch)
CHECKS.formal(common.defaults_are_admissible)
CHECKS.formal(common.every_parameter_has_a_help_text)
CHECKS.formal(common.params_round_trip_through_json)


def shown(spec: DataSpec) -> str:
    """``3×32×32, unlabelled``."""
    return f"{'×'.join(map(str, spec.shape))}, {spec.kind}"


@CHECKS.substantive
def builds_for_every_shape_that_it_does_not_refuse(case: VariantCase) -> None:
    """Games can be made for grey and colour images of several sizes, but for those that `unsuitable` gives a reason for.

    At least one of the shapes tried (8 to 64 pixels, else 96 to 256; 1 and 3 channels; with and without labels) has to
    suit it. What is not refused is planned, and would fail in training.
    """
    from ganbench.testing.playing import build

    if not case.specs:
        reason = case.cls().unsuitable(DataSpec((1, 32, 32), _CLASSES), case.params)
        raise Violation(
            f"it calls every shape from 8 to 256 pixels unsuitable (1×32×32, labelled: {reason})",
            wanted="one that it can be built for",
            do="let `unsuitable` return None for it",
        )
    seen: set[tuple[int, ...]] = set()
    for spec in [*case.kinds, *case.specs]:
        if spec.shape in seen and spec not in case.kinds:
            continue
        seen.add(spec.shape)
        try:
            build(case, spec)
        except Violation:
            raise
        except Exception as error:
            raise Violation(
                f"no game can be made for {shown(spec)} ({type(error).__name__}: {error})",
                wanted="a game for every shape that it does not refuse",
                do="build the networks from `data.shape`, or have `unsuitable` return the reason",
            ) from error
