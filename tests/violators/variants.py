"""A GAN of two dense layers that keeps the contract, and GANs that break it in one line each."""

from __future__ import annotations

from dataclasses import dataclass

from ganbench.api import DataSpec, Game, Latent, Optimizer, Params, Player, Variant, param


@dataclass(frozen=True)
class TinyParams(Params):
    batch_size: int = param(16, "images per minibatch", min=2)
    width: int = param(32, "units of the hidden layer", min=1)
    lr: float = param(2e-3, "step size", min=0.0, max=1.0)


class Tiny(Variant):
    """A GAN of two dense layers."""

    Params = TinyParams
    conditional = False

    def game(self, data, params):
        import torch
        from torch import nn
        from torch.nn import functional as F

        pixels = data.channels * data.size**2
        hidden = params.width
        generator = nn.Sequential(
            nn.Linear(18, hidden), nn.ReLU(), nn.Linear(hidden, pixels), nn.Tanh(), nn.Unflatten(1, data.shape)
        )
        critic = nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))
        latent = Latent(8)

        def make(n, labels=None):
            told = torch.zeros(n, 10, device=latent.device) if labels is None else F.one_hot(labels, 10).float()
            return generator(torch.cat([latent(n), told], 1))

        def critic_cost(batch):
            fake = make(len(batch), batch.labels if self.conditional else None)
            return F.softplus(-critic(batch.images)).mean() + F.softplus(critic(fake)).mean()

        def generator_cost(batch):
            return F.softplus(-critic(make(len(batch), batch.labels if self.conditional else None))).mean()

        adam = Optimizer("adam", lr=params.lr)
        game = Game(
            players=[
                Player("critic", critic, critic_cost, adam),
                Player("generator", generator, generator_cost, adam),
            ],
            sample=make,
            generator=generator,
            conditional=self.conditional,
            batch_size=params.batch_size,
        )
        self.spoil(game, data)
        return game

    def spoil(self, game: Game, data: DataSpec) -> None:
        """Break something."""

    def unsuitable(self, data, params):
        return "it needs labels" if self.conditional and not data.classes else None


def costing(game, change):
    """Give the critic another cost, made of the one that it has."""
    player = game.players[0]
    original = player.cost
    player.cost = lambda batch: change(original(batch), batch)


class TinyConditional(Tiny):
    """A conditional GAN of two dense layers."""

    conditional = True


class NoSummary(Tiny):
    # no docstring
    pass


class Default(Tiny):
    """A default out of range."""

    @dataclass(frozen=True)
    class Params(TinyParams):
        extra: int = param(0, "a number", min=1)


class NoHelp(Tiny):
    """A parameter without a word."""

    @dataclass(frozen=True)
    class Params(TinyParams):
        extra: int = param(1, "")


class Changing(Tiny):
    """Parameters that change on the way."""

    @dataclass(frozen=True)
    class Params(TinyParams):
        def __post_init__(self):
            object.__setattr__(self, "width", self.width + 1)


class OneSize(Tiny):
    """It does not say that it cannot do 28 pixels."""

    def spoil(self, game, data):
        assert data.size != 28, "28 pixels are not divisible by 8"


class NoSize(Tiny):
    """It wants none."""

    def unsuitable(self, data, params):
        return "no"


class OneTooFew(Tiny):
    """A sample too few of three."""

    def spoil(self, game, data):
        make = game.sample
        game.sample = lambda n, labels: make(2 if n == 3 else n)


class TooBright(Tiny):
    """Samples beyond 1."""

    def spoil(self, game, data):
        make = game.sample
        game.sample = lambda n, labels: make(n) * 1.5 + 1


class NotANumber(Tiny):
    """A pixel that is no number."""

    def spoil(self, game, data):
        make = game.sample
        game.sample = lambda n, labels: make(n) * (float("nan") if n == 16 else 1)


class NaNCost(Tiny):
    """No number without labels."""

    def spoil(self, game, data):
        costing(game, lambda cost, batch: cost if batch.labels is not None else cost * float("nan"))


class TwoCosts(Tiny):
    """A cost for each image of unlabelled data."""

    def spoil(self, game, data):
        costing(game, lambda cost, batch: cost if batch.labels is not None else cost.expand(2))


class NaNGradient(Tiny):
    """A root at zero."""

    def spoil(self, game, data):
        import torch

        critic = game.players[0].networks
        critic.register_parameter("zero", torch.nn.Parameter(torch.zeros(1)))
        costing(game, lambda cost, batch: cost + (0 * critic.zero.abs().sqrt()).nan_to_num().sum())


class Meddler(Tiny):
    """A generator whose turn shrinks the critic."""

    def spoil(self, game, data):
        critic, generator = game.players
        generator.after_turn = lambda: [weight.mul_(0.999) for weight in critic.parameters()]


class Idle(Tiny):
    """A network that nobody runs."""

    def spoil(self, game, data):
        from torch import nn

        game.players[0].networks = [game.players[0].networks, nn.Linear(1, 1)]


class Unseeded(Tiny):
    """Weights of their own accord."""

    def spoil(self, game, data):
        import torch

        own = torch.Generator()
        own.seed()
        for weight in game.generator.parameters():
            weight.data += 0.01 * torch.randn(weight.shape, generator=own, device="cpu").to(weight.device)


class Seeded(Tiny):
    """The same for every seed."""

    def game(self, data, params):
        import torch

        torch.manual_seed(7)
        return super().game(data, params)


class Outside(Tiny):
    """A factor that is in no snapshot."""

    def spoil(self, game, data):
        import torch

        make, factor = game.sample, 0.5 + 0.5 * torch.rand(1)
        game.sample = lambda n, labels: make(n) * factor


class Counting(Tiny):
    """A counter that is in no checkpoint."""

    def spoil(self, game, data):
        turns = []
        costing(game, lambda cost, batch: turns.append(1) or cost + len(turns))
        game.capturable = False


class Frozen(Tiny):
    """A cost that changes from turn to turn, and is said to be recordable."""

    def spoil(self, game, data):
        turns = []
        costing(game, lambda cost, batch: turns.append(1) or cost + 10 * (len(turns) % 3))


class Together(Tiny):
    """Samples that depend on each other."""

    def spoil(self, game, data):
        make = game.sample
        game.sample = lambda n, labels: ((images := make(n)) + 0.2 * images.mean(0)).clamp(-1, 1)


class Waiting(Tiny):
    """A look at the cost."""

    def spoil(self, game, data):
        costing(game, lambda cost, batch: (cost.detach().cpu(), cost)[1])


class Masking(Tiny):
    """As many values as there are bright pixels."""

    def spoil(self, game, data):
        costing(game, lambda cost, batch: cost + 0 * batch.images[batch.images > 0].sum())


class OnTheCPU(Tiny):
    """A tensor that is always on the CPU."""

    def spoil(self, game, data):
        import torch

        costing(game, lambda cost, batch: (cost + torch.zeros(1, device="cpu")).sum())


class Choosy(Tiny):
    """A choice that does not work."""

    @dataclass(frozen=True)
    class Params(TinyParams):
        mode: str = param("a", "what works", choices=("a", "b"))

    def game(self, data, params):
        if params.mode == "b":
            raise NotImplementedError("b")
        return super().game(data, params)


class Asking(Tiny):
    """It asks torch whether an image is suitable."""

    def unsuitable(self, data, params):
        import torch

        return None if torch.zeros(data.shape).numel() else "empty"


class Unlabelled(TinyConditional):
    """Conditional, also where there are no labels."""

    def unsuitable(self, data, params):
        return None


class Deaf(TinyConditional):
    """Conditional, and deaf to labels."""

    def spoil(self, game, data):
        make = game.sample
        game.sample = lambda n, labels: make(n)


class Slow(Tiny):
    """Steps that lead nowhere."""

    @dataclass(frozen=True)
    class Params(TinyParams):
        lr: float = param(1e-6, "step size", min=0.0, max=1.0)


#: What each violates; in the set, what it cannot but violate too.
VIOLATORS = [
    (NoSummary, "has_a_summary", set()),
    (Default, "defaults_are_admissible", {"params_round_trip_through_json"}),
    (NoHelp, "every_parameter_has_a_help_text", set()),
    (Changing, "params_round_trip_through_json", set()),
    (OneSize, "builds_for_every_shape_that_it_does_not_refuse", {"samples_have_the_shape_that_is_asked_for"}),
    (NoSize, "builds_for_every_shape_that_it_does_not_refuse", set()),
    (OneTooFew, "samples_have_the_shape_that_is_asked_for", set()),
    (TooBright, "samples_are_floats_between_minus_one_and_one", set()),
    (NotANumber, "samples_are_finite", set()),
    (NaNCost, "costs_are_finite_scalars", set()),
    (TwoCosts, "costs_are_finite_scalars", set()),
    (NaNGradient, "gradients_are_finite", {"learns", "going_on_from_a_checkpoint_gives_the_same_numbers"}),
    (Meddler, "a_turn_changes_nothing_of_other_players", set()),
    (Idle, "a_turn_changes_every_network_of_its_player", set()),
    (Unseeded, "the_same_seed_gives_the_same_costs", set()),
    (Seeded, "another_seed_gives_other_costs", set()),
    (Outside, "a_saved_generator_gives_the_same_samples", set()),
    (Counting, "going_on_from_a_checkpoint_gives_the_same_numbers", set()),
    (Frozen, "a_recorded_turn_is_the_turn", set()),
    (Together, "a_sample_does_not_depend_on_the_batch_it_is_drawn_in", set()),
    (Waiting, "a_turn_waits_for_nothing", set()),
    (Masking, "a_turn_waits_for_nothing", {"a_recorded_turn_is_the_turn"}),
    (OnTheCPU, "floating_point_operations_can_be_counted", set()),
    (Choosy, "builds_with_every_choice", set()),
    (Asking, "unsuitable_needs_no_torch", set()),
    (Unlabelled, "a_conditional_game_refuses_unlabelled_data", set()),
    (Deaf, "a_conditional_game_follows_its_labels", set()),
    (Slow, "learns", set()),
]
GOOD = [Tiny, TinyConditional]
#: Left out where a violator is not about them: they take longest.
SLOW = {"imports_no_torch", "unsuitable_needs_no_torch", "learns"}
