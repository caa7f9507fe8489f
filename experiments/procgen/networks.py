"""The IMPALA CNN (Espeholt et al. 2018, without the LSTM) as actor and critic of one agent."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from experiments.envs.procgen import N_ACTIONS

CHANNELS = (16, 32, 32)
HIDDEN = 256


class ImpalaActorCritic(nn.Module):
    """Three convolution sequences and a hidden layer, shared by a policy and a value head.

    Args:
        width: multiplies channels and hidden units.
        dropout: probability of dropping a hidden unit, in training mode.
        seed: of the initial weights: PyTorch's own for the body, orthogonal for the heads (0.01
            policy, 1.0 value).
    """

    def __init__(self, *, width: int = 1, dropout: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        hidden = width * HIDDEN
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            sizes = [3, *(width * channels for channels in CHANNELS)]
            self.sequences = nn.ModuleList(_ConvSequence(*p) for p in itertools.pairwise(sizes))
            self.hidden = nn.Linear(sizes[-1] * 8 * 8, hidden)
            self.dropout = nn.Dropout(dropout)
            self.policy = _head(hidden, N_ACTIONS, 0.01)
            self.value = _head(hidden, 1, 1.0)

    def features(self, observation: Tensor) -> Tensor:
        """Hidden units after their activation, [n, hidden], of uint8 pixels [n, 64, 64, 3]."""
        dtype = self.hidden.weight.dtype
        x = observation.permute(0, 3, 1, 2).to(dtype) / 255  # channels last in memory already
        for sequence in self.sequences:
            x = sequence(x)
        return torch.relu(self.hidden(torch.relu(x).flatten(1)))

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [n, 15] and values [n] of uint8 pixels [n, 64, 64, 3]."""
        hidden = self.dropout(self.features(observation))
        return self.policy(hidden), self.value(hidden).squeeze(-1)


class _ConvSequence(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.blocks = nn.Sequential(_ResidualBlock(n_out), _ResidualBlock(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.pool(self.conv(x)))


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        # in place where no gradient needs what is overwritten: fewer large buffers
        return self.conv2(self.conv1(x.relu()).relu_()).add_(x)


def _head(n_in: int, n_out: int, gain: float) -> nn.Linear:
    layer = nn.Linear(n_in, n_out)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
