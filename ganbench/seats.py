"""Players at the table: their optimisers, their costs so far, and the average of the generator's weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganbench.game import Batch, Optimizer, Player


class Seat:
    """A player at the table: its optimiser, and its costs added up on the device so that no turn waits for them."""

    def __init__(self, player: Player, device: torch.device, *, channels_last: bool = True) -> None:
        self.player = player
        self.parameters = list(player.parameters())
        self.own = set(self.parameters)
        for module in player.modules():
            module.train()
            if channels_last:
                module.to(memory_format=torch.channels_last)
        self.optimizer = _build(player.optimizer, self.parameters, device)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.decays = isinstance(player.optimizer, Optimizer) and player.optimizer.schedule == "linear"
        if self.decays and device.type == "cuda":
            for group in self.optimizer.param_groups:
                group["lr"] = torch.tensor(group["lr"], device=device)  # a recorded turn looks there
        self.total = torch.zeros((), device=device)
        self.finite_turns = torch.zeros((), dtype=torch.int64, device=device)
        self.turns = 0
        self.turns_at_last_mean = 0

    @property
    def capturable(self) -> bool:
        """Whether the optimiser's step can be recorded: it keeps no number on the host that changes."""
        groups = self.optimizer.param_groups
        return isinstance(self.player.optimizer, Optimizer) or all(group.get("capturable") for group in groups)

    def take_turn(self, batch: Batch, autocast: torch.autocast) -> None:
        """One update of the player's parameters, all of it on the device; `turns` is for the caller to count."""
        self.optimizer.zero_grad()
        with autocast:
            cost = self.player.cost(batch)
        cost.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.player.after_turn:
            with torch.no_grad():
                self.player.after_turn()
        # A sum that is once not finite stays so: counting the turns before that finds the first bad one, at no wait.
        self.total += cost.detach()
        self.finite_turns += self.total.isfinite()

    def schedule(self, spent: float) -> None:
        """Set the step size for the next round."""
        if self.decays:
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                now = rate * max(0.0, 1.0 - spent)
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(now)
                else:
                    group["lr"] = now

    def state(self) -> dict[str, Any]:
        """All that later turns depend on, for a checkpoint."""
        return {
            "networks": [module.state_dict() for module in self.player.modules()],
            "optimizer": self.optimizer.state_dict(),
            "total": self.total,
            "finite_turns": self.finite_turns,
            "turns": self.turns,
            "turns_at_last_mean": self.turns_at_last_mean,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`; `schedule` is to be called next."""
        for module, weights in zip(self.player.modules(), state["networks"], strict=True):
            module.load_state_dict(weights)
        rates = [group["lr"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            if self.decays:
                group["lr"] = rate  # on the device where turns are recorded, whatever it was in the checkpoint
        self.total.copy_(state["total"])
        self.finite_turns.copy_(state["finite_turns"])
        self.turns, self.turns_at_last_mean = state["turns"], state["turns_at_last_mean"]

    def mean_cost(self) -> float:
        """The mean cost since the last call."""
        mean = self.total.item() / max(1, self.turns - self.turns_at_last_mean)
        self.total.zero_()
        self.turns_at_last_mean = self.turns
        return mean


class Average:
    """Exponential moving average of a generator's parameters (buffers are taken as they are)."""

    def __init__(self, generator: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = list(generator.parameters())
        self.mean = [parameter.detach().clone() for parameter in self.live]

    @torch.no_grad()
    def update(self) -> None:
        torch._foreach_lerp_(self.mean, [parameter.detach() for parameter in self.live], 1 - self.decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the averaged and the live values."""
        for live, mean in zip(self.live, self.mean, strict=True):
            kept = live.detach().clone()
            live.copy_(mean)
            mean.copy_(kept)


def _build(wanted: object, parameters: list[nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    """The optimiser as the player describes it, in the implementation that is fastest on the device."""
    if not isinstance(wanted, Optimizer):
        assert callable(wanted)
        made: torch.optim.Optimizer = wanted(parameters)
        return made
    on_gpu = device.type == "cuda"  # where all that a step needs must be on the device, to be recorded
    if wanted.kind == "adam":
        betas = (wanted.beta1, wanted.beta2)
        return torch.optim.Adam(parameters, lr=wanted.lr, betas=betas, eps=wanted.eps, fused=True, capturable=on_gpu)
    if wanted.kind == "sgd":
        return torch.optim.SGD(parameters, lr=wanted.lr, momentum=wanted.momentum, fused=True)
    return torch.optim.RMSprop(
        parameters,
        lr=wanted.lr,
        alpha=wanted.beta2,
        eps=wanted.eps,
        momentum=wanted.momentum,
        foreach=on_gpu,
        capturable=on_gpu,
    )
