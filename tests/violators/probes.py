"""A probe of samples that keeps the contract, and probes that break it in one line each."""

from __future__ import annotations

from dataclasses import dataclass

from ganbench.api import Params, Probe, Probed, param


@dataclass(frozen=True)
class Shown(Params):
    count: int = param(4, "samples", min=1)


class Samples(Probe):
    """Some samples."""

    Params = Shown

    def unsuitable(self, game, data):
        return None if game.encoder is not None else "it is for games with an encoder"

    def run(self, trained, params):
        images = trained.decoded(trained.game.latent(params.count))
        self.spoil(trained)
        return Probed({"mean": float(images.mean())}, {"samples": trained.sheet(images, 2)})

    def spoil(self, trained):
        """Break something."""


class NoSummary(Samples):
    # no docstring
    pass


@dataclass(frozen=True)
class Wrong(Params):
    count: int = param(0, "samples", min=1)


class WrongDefault(Samples):
    """A default out of its range."""

    Params = Wrong


@dataclass(frozen=True)
class Silent(Params):
    count: int = param(4, "", min=1)


class NoHelp(Samples):
    """A parameter that says nothing."""

    Params = Silent


@dataclass(frozen=True)
class Changing(Params):
    count: int = param(4, "samples", min=1)

    def __post_init__(self):
        object.__setattr__(self, "count", self.count + 1)


class Other(Samples):
    """A parameter that changes."""

    Params = Changing


class Speechless(Samples):
    """It refuses without a word."""

    def unsuitable(self, game, data):
        return None if game.encoder is not None else ""


class Nothing(Samples):
    """It finds nothing."""

    def run(self, trained, params):
        return Probed()


class Tensors(Samples):
    """Its numbers are tensors."""

    def run(self, trained, params):
        return Probed({"mean": trained.decoded(trained.game.latent(2)).mean()})


class Text(Samples):
    """Its picture is a text."""

    def run(self, trained, params):
        return Probed(pictures={"samples": b"none"})


class Counting(Samples):
    """Another one every time."""

    made = 0

    def run(self, trained, params):
        Counting.made += 1
        return Probed({"made": float(self.made)})


class Training(Samples):
    """It changes a weight."""

    def spoil(self, trained):
        next(trained.game.generator.parameters()).add_(1e-3)


class Writing(Samples):
    """It blackens an image."""

    def spoil(self, trained):
        trained.splits["test"].images[0] += 1


VIOLATORS = [
    (NoSummary, "has_a_summary", set()),
    (WrongDefault, "defaults_are_admissible", {"params_round_trip_through_json"}),
    (NoHelp, "every_parameter_has_a_help_text", set()),
    (Other, "params_round_trip_through_json", set()),
    (Speechless, "what_it_is_not_for_it_says_in_a_sentence", set()),
    (Nothing, "it_finds_something", set()),
    (Tensors, "numbers_are_numbers_by_plain_names", set()),
    (Text, "pictures_are_png_files_by_plain_names", set()),
    (Counting, "the_same_seed_gives_the_same", set()),
    (Training, "the_networks_are_left_as_they_are", set()),
    (Writing, "the_data_is_left_as_it_is", set()),
]
GOOD = [Samples]
SLOW = {"imports_no_torch"}
