"""The checks of probes: carried out on small games of digits, with an encoder, or conditional."""

from __future__ import annotations

import copy
import hashlib
import io
import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ganbench.contracts import DataSpec, Extractor, ExtractorData, Probe, Probed, Split, TrainedGame
from ganbench.game import Game, Latent, Player
from ganbench.testing import common
from ganbench.testing.cases import Case, Checks
from ganbench.testing.outcomes import NotApplicable, Violation

if TYPE_CHECKING:
    from torch import Tensor, nn

_SPEC = DataSpec((1, 8, 8), classes=10)
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LARGEST = 6_000  # pixels along a side: a report shows no larger picture


class _NearestMean(Extractor):
    """The classifier of the kit: pixels as features, and logits by the distance to the mean of each class."""

    def __init__(self, data: ExtractorData) -> None:
        import torch

        images = torch.tensor(data.splits["train"].images, device=data.device).flatten(1).float() / 255
        labels = torch.tensor(data.splits["train"].labels, device=data.device)
        chosen = [images[labels == label] for label in range(data.spec.classes)]
        self.means = torch.stack([part.mean(0) if len(part) else images.new_full((64,), 9.0) for part in chosen])
        self.hash = hashlib.sha256(self.means.cpu().numpy().tobytes()).hexdigest()
        self.info: dict[str, Any] = {}

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        features = images.flatten(1).float() / 255
        return features, -torch.cdist(features, self.means)


def _game(kind: str, device: str) -> Game:
    """A game at the end of no training: ``encoding`` or ``conditional``. Its generator draws from a mean of digits."""
    import torch
    from torch import nn

    class Labelled(nn.Module):
        """A dense network that is told the class."""

        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.dense, self.classes = nn.Linear(inputs, outputs), nn.Embedding(10, outputs)

        def forward(self, values: Tensor, labels: Tensor) -> Tensor:
            return self.dense(values.flatten(1)) + self.classes(labels)

    with torch.device(device):
        latent = Latent(8)
        conditional = kind == "conditional"
        core: nn.Module = Labelled(8, 64) if conditional else nn.Linear(8, 64)
        encoder = None if conditional else nn.Sequential(nn.Flatten(), nn.Linear(64, 8))
        flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0))
        discriminator = Labelled(64, 1) if conditional else flat

    def sample(n: int, labels: Tensor | None) -> Tensor:
        inputs = (latent(n), labels) if conditional else (latent(n),)
        return core(*inputs).tanh().view(n, 1, 8, 8)

    def cost(batch: Any) -> Tensor:
        return sample(len(batch), batch.labels).mean()

    networks = [core] if encoder is None else [core, encoder]
    players = [Player("discriminator", discriminator, cost), Player("generator", networks, cost)]
    return Game(
        players,
        sample,
        core,
        latent=latent,
        encoder=encoder,
        discriminator=discriminator,
        conditional=conditional,
    )


class ProbeCase(Case):
    """A probe under test, with the first of the kit's games that it is for."""

    @cached_property
    def splits(self) -> dict[str, Split]:
        from ganbench.testing.images import digits

        images, labels, *_ = digits(_SPEC)
        assert labels is not None
        return {"train": Split(images[:300], labels[:300]), "test": Split(images[300:400], labels[300:400])}

    @cached_property
    def refusals(self) -> dict[str, Any]:
        """What it says of each game."""
        return {kind: self.cls().refusal(_game(kind, self.device), _SPEC) for kind in ("encoding", "conditional")}

    @cached_property
    def kind(self) -> str:
        """The game that it is tested with. Not applicable where it is for neither."""
        for kind, refusal in self.refusals.items():
            if refusal is None:
                return kind
        raise NotApplicable(f"it is not for the kit's games of digits: {next(iter(self.refusals.values()))}")

    def subject(self) -> TrainedGame:
        """A game of `kind`, the same every time."""
        import torch

        torch.manual_seed(0)
        game = _game(self.kind, self.device)
        for player in game.players:
            for module in player.modules():
                module.eval().requires_grad_(False)

        def extractor(name: str, splits: Mapping[str, Split] | None = None) -> Extractor:
            made = splits or self.splits
            return _NearestMean(ExtractorData("digits", _SPEC, made, "kit", self.device, self.folder("cache")))

        return TrainedGame(game, _SPEC, self.splits, self.device, 0, extractor)

    def carry_out(self, trained: TrainedGame) -> Probed:
        """As a worker does it."""
        import torch

        probe: Probe = self.cls()
        torch.manual_seed(1)
        with torch.no_grad():
            found = probe.run(trained, self.params)
        if not isinstance(found, Probed):
            raise Violation(f"`run` returned {type(found).__name__}", wanted="a ganbench.api.Probed", do="return one")
        return found

    @cached_property
    def found(self) -> Probed:
        """What it finds."""
        return self.carry_out(self.subject())


CASE = ProbeCase
CHECKS = Checks[ProbeCase]()

CHECKS.formal(common.has_a_summary)
CHECKS.formal(common.imports_no_torch)
CHECKS.formal(common.defaults_are_admissible)
CHECKS.formal(common.every_parameter_has_a_help_text)
CHECKS.formal(common.params_round_trip_through_json)


@CHECKS.formal
def what_it_is_not_for_it_says_in_a_sentence(case: ProbeCase) -> None:
    """`unsuitable` returns None or a sentence: the record of a skipped probe has it as its reason."""
    for kind, refusal in case.refusals.items():
        if refusal is not None and not (isinstance(refusal, str) and refusal.strip()):
            raise Violation(
                f"of a game that is {kind} it says {refusal!r}", wanted="None, or a sentence", do="say what is missing"
            )


@CHECKS.substantive
def it_finds_something(case: ProbeCase) -> None:
    """Carried out on a game that it is for, it finds numbers or pictures."""
    if not case.found.numbers and not case.found.pictures:
        raise Violation("it found nothing", wanted="numbers, pictures or both", do="say in `unsuitable` why not")


@CHECKS.substantive
def numbers_are_numbers_by_plain_names(case: ProbeCase) -> None:
    """Numbers are floats (or become some) by names of lower-case letters, digits and hyphens: a table has them."""
    for name, value in case.found.numbers.items():
        if not _NAME.fullmatch(name) or isinstance(value, bool) or not isinstance(value, int | float):
            raise Violation(
                f"it gives {name!r} = {type(value).__name__}",
                wanted="a float by a name such as error-inside",
                do="convert tensors with float(...)",
            )


@CHECKS.substantive
def pictures_are_png_files_by_plain_names(case: ProbeCase) -> None:
    """Pictures are the bytes of PNG files, no side longer than 6,000 pixels: the report's page shows them."""
    from PIL import Image

    for name, content in case.found.pictures.items():
        try:
            with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
                picture.load()
                fits = max(picture.size) <= _LARGEST
        except Exception:
            fits = False
        if not fits or not _NAME.fullmatch(name):
            raise Violation(
                f"it gives {name!r}, which cannot be shown",
                wanted="a PNG file of up to 6,000 pixels a side, by a name such as face-to-face",
                do="use `trained.sheet(images, columns)`",
            )


@CHECKS.substantive
def the_same_seed_gives_the_same(case: ProbeCase) -> None:
    """Twice on the same game with the same random numbers it finds the same: results are kept and not made again."""
    again = case.carry_out(case.subject())
    same = repr(dict(again.numbers)) == repr(dict(case.found.numbers))
    if not same or dict(again.pictures) != dict(case.found.pictures):
        raise Violation(
            "the second time it found something else",
            wanted="the same numbers and pictures",
            do="draw random numbers from torch's generator, which is seeded, and write no times",
        )


@CHECKS.substantive
def the_networks_are_left_as_they_are(case: ProbeCase) -> None:
    """No parameter or buffer is another afterwards, and none needs gradients: a probe trains no game."""
    trained = case.subject()
    modules: list[nn.Module] = [module for player in trained.game.players for module in player.modules()]
    before = [copy.deepcopy(module.state_dict()) for module in modules]
    case.carry_out(trained)
    for module, kept in zip(modules, before, strict=True):
        changed = [name for name, tensor in module.state_dict().items() if not bool((tensor == kept[name]).all())]
        if changed or any(parameter.requires_grad for parameter in module.parameters()):
            raise Violation(
                f"{changed[0] if changed else 'a parameter'} is not as it was",
                wanted="networks as the snapshot has them",
                do="search for inputs, not for weights, or work on a copy",
            )


@CHECKS.substantive
def the_data_is_left_as_it_is(case: ProbeCase) -> None:
    """The arrays of the data are not written to: they are mapped from files that all cells share."""
    before = copy.deepcopy(case.splits)
    case.carry_out(case.subject())
    for name, split in case.splits.items():
        if split.images.tobytes() != before[name].images.tobytes():
            raise Violation(f"it changed the {name} split", wanted="untouched arrays", do="copy before writing")
