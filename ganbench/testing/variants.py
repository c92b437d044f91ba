"""The checks of variants: the game that a GAN is, played for a few rounds on real images."""

from __future__ import annotations

from dataclasses import asdict, replace
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
        """Grey and colour, labelled and unlabelled, in several sizes; of the kinds of data that it takes."""
        return self._suitable(_SIZES) or self._suitable(_LARGE)

    def _suitable(self, sizes: tuple[int, ...]) -> list[DataSpec]:
        return [spec for spec in _specs(sizes) if self.cls().refusal(spec, self.params) is None]

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
        return {"then": "suitability", "specs": [asdict(spec) for spec in _specs(_SIZES)], "params": self.values}

    def differ(self, one: Any, other: Any, what: str) -> str:
        """Where two states differ (a path that begins with `what`): on a CPU in any bit, on a GPU beyond rounding."""
        from ganbench.testing.playing import difference

        return difference(one, other, what, exactly=self.device == "cpu")


CASE = VariantCase
CHECKS = Checks[VariantCase]()

CHECKS.formal(common.has_a_summary)
CHECKS.formal(common.imports_no_torch)
CHECKS.formal(common.defaults_are_admissible)
CHECKS.formal(common.every_parameter_has_a_help_text)
CHECKS.formal(common.params_round_trip_through_json)


def _specs(sizes: tuple[int, ...]) -> list[DataSpec]:
    """Images of these sizes, grey and colour, labelled and not; the same with sources, paired or not; and points."""
    images = [DataSpec((c, size, size), classes) for size in sizes for c in (1, 3) for classes in (_CLASSES, 0)]
    pairs = [replace(spec, source=spec.shape, paired=paired) for paired in (True, False) for spec in images]
    return [*images, *pairs, *(DataSpec((d,), classes) for d in (2, 3) for classes in (_CLASSES, 0))]


def shown(spec: DataSpec) -> str:
    """``3×32×32, unlabelled``."""
    return f"{'×'.join(map(str, spec.shape))}, {spec.kind}"


@CHECKS.substantive
def builds_for_every_shape_that_it_does_not_refuse(case: VariantCase) -> None:
    """Games can be made for grey and colour images of several sizes, but for those that `unsuitable` refuses.

    At least one of the shapes tried (8 to 64 pixels, else 96 to 256; 1 and 3 channels; with and without labels) has to
    suit it. What is not refused is planned, and would fail in training.
    """
    from ganbench.testing.playing import build

    if not case.specs:
        tried = next((spec for spec in _specs((32,)) if spec.kind in case.cls.takes), DataSpec((1, 32, 32), _CLASSES))
        raise Violation(
            "it calls every shape from 8 to 256 pixels unsuitable "
            f"({shown(tried)}: {case.cls().refusal(tried, case.params)})",
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


@CHECKS.substantive
def samples_have_the_shape_that_is_asked_for(case: VariantCase) -> None:
    """`sample(n, labels)` returns n images of `data.shape`, n of 1 included, for every shape that suits it."""
    from ganbench.testing.playing import build, sampled

    for spec in {spec.shape: spec for spec in [*case.specs, *case.kinds]}.values():
        game = build(case, spec)
        for n in (3, 1):
            found = tuple(sampled(case, game, spec, n).shape)
            if found != (n, *spec.shape):
                raise Violation(
                    f"asked for {n}, `sample` returned a tensor of shape {found} ({shown(spec)})",
                    wanted=f"{(n, *spec.shape)}, N×C×H×W",
                    do="give the generator's last layer `data.shape`",
                )


@CHECKS.substantive
def samples_are_floats_between_minus_one_and_one(case: VariantCase) -> None:
    """Samples are floats, of images in [-1, 1] as real ones are in costs: what is beyond is cut off before scoring."""
    from ganbench.testing.playing import build, sampled

    for spec in case.kinds:
        images = sampled(case, build(case, spec), spec, 16)
        if not images.is_floating_point():
            raise Violation(f"the samples are {images.dtype}", wanted="floats in [-1, 1]", do="return what tanh gives")
        least, most = images.nan_to_num(0).min().item(), images.nan_to_num(0).max().item()
        if spec.kind != "points" and (least < -1 - 1e-6 or most > 1 + 1e-6):
            raise Violation(
                f"the samples run from {least:.3g} to {most:.3g} ({shown(spec)})",
                wanted="-1 to 1",
                do="end the generator in tanh, or scale what it returns",
            )


@CHECKS.substantive
def samples_are_finite(case: VariantCase) -> None:
    """Samples are numbers, before the first round and after two: NaN becomes a black pixel and is scored as one."""
    from ganbench.testing.playing import build, sampled

    for when, game in (("before the first round", build(case, case.small)), ("after two", case.played.game)):
        bad = int((~sampled(case, game, case.small, 16).isfinite()).sum())
        if bad:
            raise Violation(
                f"{bad} values of 16 samples are not finite {when}",
                wanted="finite samples",
                do="look for divisions by zero and logarithms of it",
            )


@CHECKS.substantive
def costs_are_finite_scalars(case: VariantCase) -> None:
    """Every player's cost of a real minibatch is one finite number: grey and colour, labelled and unlabelled."""
    from torch import Tensor

    from ganbench.testing.playing import batches, build

    for spec in case.kinds:
        game = build(case, spec)
        batch = batches(case, spec, game).next()
        for player in game.players:
            cost = player.cost(batch)
            if not isinstance(cost, Tensor) or cost.numel() != 1:
                what = f"of shape {tuple(cost.shape)}" if isinstance(cost, Tensor) else f"a {type(cost).__name__}"
                raise Violation(
                    f"the cost of the {player.name} is {what} ({shown(spec)})",
                    wanted="a tensor of one value",
                    do="take the mean over the minibatch",
                )
            if not bool(cost.isfinite()):
                raise Violation(
                    f"the cost of the {player.name} is {cost.item()} in the first round ({shown(spec)})",
                    wanted="a finite number",
                    do="compute it from logits (softplus, log_softmax) instead of logarithms of probabilities",
                )


@CHECKS.substantive
def gradients_are_finite(case: VariantCase) -> None:
    """Every player's gradient is finite, in the first turn: one that is not makes all its weights NaN."""
    import torch

    from ganbench.testing.playing import batches, build

    game = build(case, case.small)
    batch = batches(case, case.small, game).next()
    for player in game.players:
        parameters = [p for p in player.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(player.cost(batch), parameters, allow_unused=True)
        bad = sum(gradient is not None and not bool(gradient.isfinite().all()) for gradient in gradients)
        if bad:
            raise Violation(
                f"the gradients of {bad} of the {len(parameters)} parameters of the {player.name} are not finite",
                wanted="finite gradients",
                do="look for square roots and norms at zero; add a small number below them",
            )


@CHECKS.substantive
def a_turn_changes_nothing_of_other_players(case: VariantCase) -> None:
    """In its turn a player changes no parameter of another player's networks, `after_turn` included.

    What is compared are parameters; buffers, as the running statistics of batch normalisation, may change in anybody's
    turn, for a cost runs other players' networks too. A parameter that two players own is each one's own.
    """
    for player, owner, _ in _changes(case):
        if owner is not None:
            raise Violation(
                f"the turn of the {player} changed a parameter of the {owner}",
                wanted="each player to change its own networks only",
                do="keep optimiser steps and writes to weights out of costs, and `after_turn` to the player's networks",
            )


@CHECKS.substantive
def a_turn_changes_every_network_of_its_player(case: VariantCase) -> None:
    """In its turn a player changes at least one parameter of each of its networks: what never changes never learns.

    A cost that was detached from the networks, or a network that it does not run, leaves them as they were.
    """
    for player, owner, unchanged in _changes(case):
        if owner is None and unchanged:
            raise Violation(
                f"the turn of the {player} left its {unchanged} as it was",
                wanted="a change in each of a player's networks",
                do="look for `detach` and `no_grad` in its cost, and for networks that the cost does not run",
            )


def _changes(case: VariantCase) -> list[tuple[str, str | None, str]]:
    """Of a turn of each: (player, another whose parameter changed, "") and (player, None, network left as it was)."""
    from ganbench.testing.playing import build, difference, sit_down

    game = build(case, case.small)
    table = sit_down(case, case.small, game)
    batch = table.batches.next()
    found: list[tuple[str, str | None, str]] = []
    for seat in table.seats:
        before = {p: p.detach().clone() for other in table.seats for p in other.parameters}
        table._give_gradients_to(seat)
        seat.take_turn(batch, table.autocast)
        changed = {p for p, value in before.items() if difference(p.detach(), value)}
        for other in table.seats:
            if any(p in changed and p not in seat.own for p in other.parameters):
                found.append((seat.player.name, other.player.name, ""))
        for module in seat.player.modules():
            own = set(module.parameters())
            if own and not own & changed:
                found.append((seat.player.name, None, type(module).__name__))
    return found


@CHECKS.substantive
def the_same_seed_gives_the_same_costs(case: VariantCase) -> None:
    """Two games made from the same seed have the same costs in each turn of three rounds.

    On a CPU in every bit; seeds are what makes a benchmark repeatable. Draw from torch's default generator (or
    NumPy's or Python's global one), which are seeded before `game` is called.
    """
    from ganbench.testing.playing import played

    one, other = (played(case, case.small, seed=0, rounds=3).costs for _ in range(2))
    if where := case.differ(one, other, "costs"):
        raise Violation(
            f"two games made from seed 0 differ in {where}",
            wanted="the same costs",
            do="draw from the global generators only, and keep nothing from one game to the next",
        )


@CHECKS.substantive
def another_seed_gives_other_costs(case: VariantCase) -> None:
    """Games made from different seeds differ: else the interval over seeds says nothing."""
    from ganbench.testing.playing import played

    one, other = (played(case, case.small, seed=seed, rounds=2).costs for seed in (0, 1))
    if one == other:
        raise Violation(
            "games made from seeds 0 and 1 have the same costs",
            wanted="weights and noise that depend on the seed",
            do="do not seed generators in the variant",
        )


@CHECKS.substantive
def a_saved_generator_gives_the_same_samples(case: VariantCase) -> None:
    """The state of `Game.generator`, saved and loaded into a new game, gives the same samples in evaluation mode.

    That is how the best snapshot is scored at the end, and how new metrics are added to old cells.
    """
    from ganbench.evaluate import load_snapshot, save_snapshot
    from ganbench.testing.playing import build, sampled, sit_down

    path = case.folder("snapshot") / "generator.safetensors"
    save_snapshot(case.played.game, path)
    anew = build(case, case.small, seed=1)
    sit_down(case, case.small, anew)  # which gives it the memory format, and with it the last bits, of the other
    load_snapshot(anew, path)
    one, other = (sampled(case, game, case.small, 16) for game in (case.played.game, anew))
    if case.differ(one, other, "samples"):
        difference = (one - other).abs().max().item()
        raise Violation(
            f"the samples of a game that loaded the snapshot differ by up to {difference:.3g}",
            wanted="samples that depend on nothing but the state of `Game.generator` and the random draws",
            do="make everything that `sample` uses a part (sub-module or buffer) of `Game.generator`",
        )


@CHECKS.substantive
def going_on_from_a_checkpoint_gives_the_same_numbers(case: VariantCase) -> None:
    """Six rounds straight, and the last three of them from a checkpoint in a new game, end in the same state.

    On a CPU in every bit. A checkpoint holds the players' networks and optimisers, the average, the order of the
    images and the state of the global random generators; nothing else survives a cell that was killed.
    """
    from ganbench.testing.playing import checkpoints

    halfway, straight = checkpoints(case, case.small)
    _, resumed = checkpoints(case, case.small, resume=halfway)
    for state in (straight, resumed):
        del state["moment"]["seconds"]
    if where := case.differ(straight, resumed, "state"):
        raise Violation(
            f"after going on from a checkpoint {where} differs from that of the straight run",
            wanted="the same state, costs included",
            do="keep what later turns depend on in the players' networks (parameters or buffers), not in Python",
        )


@CHECKS.substantive
def a_sample_does_not_depend_on_the_batch_it_is_drawn_in(case: VariantCase) -> None:
    """In evaluation mode the same random numbers (and label) give the same image, whatever else is drawn with it.

    Scores must not depend on how many are sampled at a time. Each row of what is drawn gets numbers of its own.
    """
    import torch

    from ganbench.testing.playing import asked_for
    from ganbench.testing.rows import RandomRows

    game, n = case.played.game, 8
    game.generator.eval()
    labels = asked_for(case, game, case.small, n)
    with torch.no_grad():
        with RandomRows(n) as rows:
            together = game.sample(n, labels)
        if not rows.drawn:
            raise NotApplicable("it draws nothing that has a row for each sample")
        parts = []
        for start, end in ((0, 1), (1, 3), (3, n)):
            with RandomRows(end - start, start):
                parts.append(game.sample(end - start, None if labels is None else labels[start:end]))
    difference = (together - torch.cat(parts)).abs().max().item()
    if not difference < 1e-3:
        raise Violation(
            f"the same 8 samples drawn at once and in parts differ by up to {difference:.3g}",
            wanted="images that depend on their own random numbers only",
            do="make all networks that `sample` runs part of `Game.generator`, which is put in evaluation mode; no "
            "statistics over the batch there",
        )


@CHECKS.substantive
def a_turn_waits_for_nothing(case: VariantCase) -> None:
    """No value is read by Python in a turn, and no shape depends on values: on a GPU each would stop the device.

    Watched are each player's cost, its gradient and `after_turn`: `item`, `bool`, `float`, `print`, `numpy`, `tolist`
    and `cpu` of a tensor, `nonzero`, `unique`, masks as an index, and what else has to wait.
    """
    import torch

    from ganbench.testing.playing import build, sit_down
    from ganbench.testing.waits import watching

    game = build(case, case.small)
    table = sit_down(case, case.small, game)
    batch = table.batches.next()
    for seat in table.seats:
        table._give_gradients_to(seat)
        with watching(case.device) as waits:
            seat.player.cost(batch).backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                if seat.player.after_turn:
                    seat.player.after_turn()
        if waits.seen:
            raise Violation(
                f"the turn of the {seat.player.name} waits for the device: {waits.seen[0]}",
                wanted="turns that only queue work",
                do="stay in tensors (`torch.where`, `clamp`, `masked_fill`), and print nothing",
            )


@CHECKS.substantive
def a_recorded_turn_is_the_turn(case: VariantCase) -> None:
    """Turns that are recorded once and replayed, as CUDA graphs do it, have the costs that played ones have.

    Costs that depend on a Python value that changes (a counter, a list of old images) freeze when recorded. Not
    applicable with `Game(capturable=False)`, or with an optimiser that cannot be recorded.
    """
    from ganbench.graphs import NotRecorded
    from ganbench.testing.playing import played
    from ganbench.testing.recorder import CpuRecorder
    from ganbench.testing.waits import as_on_a_gpu

    with as_on_a_gpu():
        one = played(case, case.small, rounds=3)
    if not one.game.capturable:
        raise NotApplicable("its turns are not to be recorded (capturable=False)")
    if any(not seat.capturable for seat in one.table.seats):
        raise NotApplicable("its optimiser cannot be recorded")
    try:
        with as_on_a_gpu():
            reason = one.table.record(CpuRecorder())
    except NotRecorded as error:
        reason = str(error)
    if reason:
        raise Violation(
            f"recorded turns do not do what played ones do: {reason}",
            wanted="costs whose Python does the same every time",
            do="keep what changes in tensors, or say Game(..., capturable=False)",
        )


@CHECKS.substantive
def floating_point_operations_can_be_counted(case: VariantCase) -> None:
    """The game can be made and played on torch's device ``meta``, which has shapes and no numbers.

    That is how `ganbench report` knows the FLOPs of a cell. Not applicable where torch has an operation there not yet.
    """
    import torch

    from ganbench.counters import flops

    spec = case.small
    try:
        with torch.device("meta"):
            counted = flops(case.cls().game(spec, case.params), spec)
    except NotImplementedError as error:
        raise NotApplicable(f"torch cannot do it without numbers ({str(error).partition(chr(10))[0][:120]})") from None
    except Exception as error:
        raise Violation(
            f"without numbers the game cannot be played ({type(error).__name__}: {error})",
            wanted="a game that is made on the default device and reads no values",
            do="make all tensors on torch's default device in `game`, and on `batch.images.device` in costs",
        ) from error
    if not counted.round:
        raise Violation(
            "a round has no products of matrices and no convolutions",
            wanted="networks that compute something",
            do="look for costs that do not run the networks",
        )


@CHECKS.substantive
def builds_with_every_choice(case: VariantCase) -> None:
    """With each choice of each parameter, one at a time, a game can be made and its costs are finite.

    Choices that `unsuitable` refuses for the shape are left out.
    """
    from ganbench.testing.playing import batches, build

    spec, tried = case.small, 0
    for name, (kind, _, info) in case.cls.Params.fields().items():
        for value in info.choices or ((False, True) if kind is bool else ()):
            params = case.cls.Params.resolve({**case.values, name: value})
            if params == case.params or case.cls().refusal(spec, params) is not None:
                continue
            tried += 1
            try:
                game = build(case, spec, **{name: value})
                batch = batches(case, spec, game).next()
                costs = {player.name: player.cost(batch).item() for player in game.players}
            except Exception as error:
                raise Violation(
                    f"with {name} = {value!r} no round can be played ({type(error).__name__}: {error})",
                    wanted="every choice to work",
                    do="build what it asks for, take it out of the choices, or have `unsuitable` say where it does not",
                ) from error
            if bad := [player for player, cost in costs.items() if not cost * 0 == 0]:
                raise Violation(
                    f"with {name} = {value!r} the cost of the {bad[0]} is {costs[bad[0]]}",
                    wanted="finite costs",
                    do="look at what that choice computes",
                )
    if not tried:
        raise NotApplicable("no parameter has choices")


@CHECKS.substantive
def unsuitable_needs_no_torch(case: VariantCase) -> None:
    """`unsuitable` can be called where torch is not imported: `ganbench plan` calls it for every cell."""
    if case.asked["error"]:
        raise NotApplicable("its modules cannot be imported in a new process")
    if case.asked["unsuitable"]:
        raise Violation(
            f"without torch it raised {case.asked['unsuitable']}",
            wanted="an answer from `data` and `params` alone",
            do="compare sizes, channels and classes as numbers",
        )


@CHECKS.substantive
def a_conditional_game_refuses_unlabelled_data(case: VariantCase) -> None:
    """A variant whose game is conditional calls unlabelled data unsuitable: there are no labels to ask samples for."""
    from ganbench.testing.playing import build

    if not case.played.game.conditional:
        raise NotApplicable("its game is not conditional")
    unlabelled = [spec for spec in case.specs if not spec.classes]
    if unlabelled and build(case, unlabelled[0]).conditional:
        raise Violation(
            f"it does not refuse {shown(unlabelled[0])}, and its game there is conditional",
            wanted="a reason from `unsuitable` where `data.classes` is 0",
            do='return "a conditional GAN needs labelled data" there',
        )


@CHECKS.substantive
def a_conditional_game_follows_its_labels(case: VariantCase) -> None:
    """With the same random numbers, other labels give other images, and every class can be asked for."""
    import torch

    game = case.played.game
    if not game.conditional:
        raise NotApplicable("its game is not conditional")
    game.generator.eval()
    images = []
    for label in range(case.small.classes):
        torch.manual_seed(0)
        with torch.no_grad():
            images.append(game.sample(4, torch.full((4,), label, device=case.device)))
    if any(torch.equal(images[0], other) for other in images[1:]):
        raise Violation(
            "samples of different classes are the same images",
            wanted="images that depend on their labels",
            do="give `labels` to the generator in `sample`, or say conditional=False",
        )


@CHECKS.substantive
def learns(case: VariantCase) -> None:
    """With the default parameters and a small budget its FCD on real digits falls to 0.7 of what it began with.

    Digits are enlarged to the smallest shape that suits it, and its samples reduced again for the digits' classifier.
    Of points it is their energy distance from the digits' principal components. It is looked at every 25 generator
    updates and has 600 of them; most variants need a few seconds. Not applicable to translations.
    """
    if case.small.source is not None:
        raise NotApplicable(f"FCD on digits says nothing of {case.small.kind} data")
    from ganbench.testing.learning import ENOUGH, came_nearer, fell

    points = case.small.kind == "points"
    first, best, updates = (came_nearer if points else fell)(case, case.small)
    if best >= ENOUGH * first:
        raise Violation(
            f"after {updates} generator updates its best {'energy distance' if points else 'FCD'} is {best:.4g}; "
            f"it began with {first:.4g}",
            wanted=f"less than {ENOUGH} of that, {ENOUGH * first:.4g}",
            do="look at the signs of the costs, the step sizes, and whether the networks' outputs saturate",
        )
