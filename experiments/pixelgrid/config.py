"""What a run on the pixel grid is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import ClassVar

from experiments.config import PPOConfig, require_within
from experiments.envs.pixelgrid import PixelGridConfig
from mdtheory import validation


@dataclass(frozen=True)
class TrainConfig(PPOConfig):
    """Mutual-distillation PPO. `distill_coef` 0 is independent PPO: the same code, the baseline."""

    ENVIRONMENT: ClassVar[str] = "pixelgrid"

    env: str = "pixelgrid"
    """Which environment: pixelgrid, or procgen:GAME with flags of its own (`mdpo train --env
    procgen:coinrun --help`)."""
    seeds: int = 16
    """Independent repetitions, trained at once."""
    first_seed: int = 0
    """Seeds are first_seed, first_seed + 1, ..."""
    updates: int = 120
    """Rollouts, each followed by `epochs` passes over its samples."""
    evaluate_every: int = 6
    """Updates between two evaluations on all states and renderings."""
    n_envs: int = 16
    rollout_steps: int = 64
    """Steps per environment and rollout; an episode is one rollout long, then cut."""
    epochs: int = 4
    minibatches: int = 4
    learning_rate: float = 1e-3
    """Adam's step size, constant."""
    hidden: int = 64
    """Units in each of the network's two hidden layers."""
    world_per_seed: bool = True
    """Give each seed a maze and backgrounds of its own (layout_seed = seed), so that intervals
    over seeds cover worlds too; otherwise all seeds share pixelgrid.layout_seed."""
    pixelgrid: PixelGridConfig = field(default_factory=PixelGridConfig)
    """The pixel world."""

    def __post_init__(self) -> None:
        if self.env != self.ENVIRONMENT:
            raise ValueError(validation.unknown("env", self.env, (self.ENVIRONMENT,)))
        self.check()
        require_within(
            self,
            {
                "seeds": (1, 10_000),
                "first_seed": (0, 2**53),
                "updates": (1, 10**6),
                "evaluate_every": (1, 10**6),
                "hidden": (1, 4096),
            },
        )
        if self.agents == 1 and self.distill_coef > 0:
            raise ValueError(
                f"distill_coef must be 0 for one agent, which has nobody to distil,"
                f" got {self.distill_coef}"
            )

    @property
    def seed_list(self) -> list[int]:
        return list(range(self.first_seed, self.first_seed + self.seeds))

    @property
    def worlds(self) -> list[PixelGridConfig]:
        """The world of each seed."""
        if not self.world_per_seed:
            return [self.pixelgrid] * self.seeds
        return [dataclasses.replace(self.pixelgrid, layout_seed=s) for s in self.seed_list]

    def has_worlds_of(self, other: TrainConfig) -> bool:
        """Whether seeds can be paired: the same seeds in the same worlds."""
        return self.worlds == other.worlds and self.seed_list == other.seed_list

    @property
    def algorithm(self) -> str:
        """What the run is called on pictures."""
        if self.distill_coef > 0:
            return f"mutual distillation of {self.agents} agents, alpha = {self.distill_coef:g}"
        return "PPO, one agent" if self.agents == 1 else f"PPO, {self.agents} independent agents"
