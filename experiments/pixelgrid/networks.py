"""Many small actor-critics in one: every parameter carries leading axes [seed, agent]."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BatchedActorCritic(nn.Module):
    """Two hidden tanh layers shared by a policy and a value head, one network per (seed, agent).

    Each network's initial weights depend only on its own seed and agent number, not on how many
    others are trained beside it.
    """

    def __init__(
        self, *, n_inputs: int, n_actions: int, hidden: int, seeds: list[int], agents: int
    ):
        super().__init__()
        sizes = {
            "body1": (n_inputs, hidden, 2**0.5),
            "body2": (hidden, hidden, 2**0.5),
            "policy": (hidden, n_actions, 0.01),
            "value": (hidden, 1, 1.0),
        }
        generators = [
            [torch.Generator().manual_seed(1000 * seed + agent) for agent in range(agents)]
            for seed in seeds
        ]
        self.layers = nn.ModuleDict()
        for name, (fan_in, fan_out, gain) in sizes.items():
            weights = torch.stack(
                [
                    torch.stack([_orthogonal(fan_in, fan_out, gain, g) for g in row])
                    for row in generators
                ]
            )
            self.layers[name] = _BatchedLinear(weights)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [seed, agent, n, A] and values [seed, agent, n] of observations [seed, n, D].

        All agents of a seed see the same observations, floats in [0, 1].
        """
        x = observations.unsqueeze(1) - 0.5
        x = torch.tanh(self.layers["body1"](x))
        x = torch.tanh(self.layers["body2"](x))
        return self.layers["policy"](x), self.layers["value"](x).squeeze(-1)


class _BatchedLinear(nn.Module):
    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weights)  # [seed, agent, in, out]
        self.bias = nn.Parameter(torch.zeros(*weights.shape[:2], 1, weights.shape[-1]))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


def _orthogonal(fan_in: int, fan_out: int, gain: float, generator: torch.Generator) -> Tensor:
    weight = torch.empty(fan_in, fan_out)
    nn.init.orthogonal_(weight, gain=gain, generator=generator)
    return weight
