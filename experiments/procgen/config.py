"""What a run on Procgen is: presets for how much, algorithms for what.

The defaults are the protocol of arXiv 2501.02481's official code; every field that departs from it
is an option, and the preset `paper` sets none.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from experiments.config import PPOConfig, changed_flags, require_choices, require_within
from experiments.envs.procgen import GAMES, LevelSplit, ProcgenOptions, split
from experiments.envs.procgen.games import modes_of
from experiments.envs.procgen.renderings import Rendering, parse_all
from mdtheory import validation

PREFIX = "procgen:"
"""An environment's name is this and a game."""


@dataclass(frozen=True)
class ProcgenConfig(PPOConfig):
    """Mutual-distillation PPO. `distill_coef` 0 is independent PPO: the same code, the baseline."""

    ENVIRONMENT: ClassVar[str] = PREFIX

    env: str = "procgen:coinrun"
    """procgen: and one of the sixteen games."""
    seed: int = 1
    """Seed of weights, actions, minibatches and levels drawn."""
    total_steps: int = 50_000_000
    """Environment steps per agent; whole rollouts only."""
    distribution_mode: Literal["easy", "hard", "extreme", "memory"] = "hard"
    """Difficulty of the levels."""
    train_levels: int = 500
    """Levels trained on, from first_level on; all levels after them are test levels."""
    first_level: int = 0
    """The first level trained on."""
    shared_levels: bool = True
    """Let all agents' environments draw the same levels in the same order; otherwise each agent
    has a stream of its own."""
    train_renderings: tuple[str, ...] = ("original",)
    """Renderings trained on; each agent's environments take them in turn (`mdpo renderings` lists
    them)."""
    discount: float = 0.999
    """Discount factor of the returns and of the reward normalizer."""
    normalize_rewards: bool = True
    """Divide rewards by the running standard deviation of the discounted return."""
    reward_clip: float = 10.0
    """Normalized rewards are cut to +- this."""
    normalize_advantages: bool = True
    """Shift and scale advantages to mean 0 and deviation 1 in each minibatch."""
    clip_value_loss: bool = True
    """Clip the value's move by `clip` in the value loss."""
    anneal_learning_rate: bool = False
    """Let the learning rate fall linearly to 0 over the run."""
    distill_direction: Literal["other-self", "self-other"] = "other-self"
    """Which divergence an agent is charged: KL(other || self) or KL(self || other)."""
    distill_gradient: Literal["both", "student"] = "both"
    """Who receives its gradient: both policies, or only the one on whose samples it is taken."""
    distill_final_factor: float = 1.0
    """distill_coef is multiplied by a factor that moves linearly from 1 to this over the run."""
    teacher: Literal["peers", "average"] = "peers"
    """Whom an agent distils from: the other agents, or a moving average of its own weights."""
    average_decay: float = 0.999
    """Share of the moving average kept in each gradient step, for `teacher average`."""
    minibatch_order: Literal["shared", "own"] = "shared"
    """Whether all agents use the same indices in each minibatch, or each its own."""
    weight_decay: float = 0.0
    """L2 regularization: this times the weights is added to the clipped gradients."""
    dropout: float = 0.0
    """Probability of dropping a hidden unit before the heads, in gradient steps only."""
    width: int = 1
    """Multiplies channels and hidden units of the network."""
    evaluate_every: int = 0
    """Updates between unbiased evaluations on train and test levels; 0 only at the end."""
    evaluation_levels: int = 100
    """Levels of each unbiased evaluation, half the episodes sampled and half greedy."""
    official_evaluation_every: int = 1
    """Updates between evaluations by the official protocol (first ten episodes to finish of four
    environments on all levels); 0 never."""
    checkpoint_every: int = 10
    """Updates between checkpoints."""
    snapshot_every: int = 0
    """Updates between copies of the weights that are kept in RUN/snapshots, to see how
    representations change over training; 0 never."""
    precision: Literal["float32", "tf32", "bfloat16"] = "tf32"
    """Arithmetic of the networks in gradient steps and on GPUs. tf32, PyTorch's own default for
    convolutions, differs from float32 on GPUs only."""
    chunk: int = 0
    """Samples per agent whose gradient is computed at once and then added up; 0 picks 32 on CPUs
    and the whole minibatch on GPUs. Changes rounding only, and with dropout what is dropped."""
    compile: bool = True
    """On GPUs, let torch.compile fuse the loss's kernels. Changes rounding only."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks are; auto is a GPU if there is one."""
    env_threads: int = 0
    """Threads that step each agent's environments; 0 picks the number of processors, at most 16."""

    def __post_init__(self) -> None:
        game_of(self.env)
        self.check()
        require_choices(self)
        require_within(
            self,
            {
                "seed": (0, 2**31 - 1),
                "total_steps": (self.samples, 10**12),
                "train_levels": (1, 2**31 - 2),
                "first_level": (0, 2**31 - 2),
                "width": (1, 64),
                "evaluate_every": (0, 10**9),
                "evaluation_levels": (1, 10**6),
                "official_evaluation_every": (0, 10**9),
                "checkpoint_every": (1, 10**9),
                "snapshot_every": (0, 10**9),
                "chunk": (0, 10**9),
                "env_threads": (0, 1024),
            },
        )
        self._check_ranges()
        if self.distribution_mode not in modes_of(self.game):
            raise ValueError(
                f"distribution_mode of {self.game} must be one of"
                f" {', '.join(modes_of(self.game))}, got {self.distribution_mode}"
            )
        if self.agents == 1 and self.teacher == "peers" and self.distill_coef > 0:
            raise ValueError(
                f"distill_coef must be 0 for one agent, which has nobody to distil but with"
                f" --teacher average, got {self.distill_coef}"
            )
        split(self.train_levels, self.first_level)
        n_renderings = len(parse_all(self.train_renderings, self.game))
        if self.n_envs < n_renderings:
            raise ValueError(
                f"n_envs must be at least one for each of the {n_renderings} train_renderings, got"
                f" {self.n_envs}"
            )

    def _check_ranges(self) -> None:
        for name in ("discount", "average_decay", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        for name in ("weight_decay", "distill_final_factor"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not self.reward_clip > 0:
            raise ValueError(f"reward_clip must be above 0, got {self.reward_clip}")

    @property
    def game(self) -> str:
        return game_of(self.env)

    @property
    def threads(self) -> int:
        """Threads that step one vector of games."""
        return self.env_threads or min(16, os.cpu_count() or 1)

    @property
    def levels(self) -> LevelSplit:
        return split(self.train_levels, self.first_level)

    @property
    def seen_renderings(self) -> tuple[Rendering, ...]:
        """The renderings trained on."""
        return parse_all(self.train_renderings, self.game)

    @property
    def options(self) -> ProcgenOptions:
        """The games' options in training and in evaluations."""
        return ProcgenOptions(distribution_mode=self.distribution_mode)

    @property
    def updates(self) -> int:
        """Rollouts, each followed by `epochs` passes over its samples."""
        return self.total_steps // self.samples

    @property
    def augmented(self) -> bool:
        """Whether anything but the game's own pictures is trained on."""
        return self.train_renderings != ("original",)

    @property
    def peers(self) -> bool:
        """Whether agents see each other's samples."""
        return self.distill_coef > 0 and self.teacher == "peers"

    @property
    def averages(self) -> bool:
        """Whether agents distil from moving averages of themselves."""
        return self.distill_coef > 0 and self.teacher == "average"

    def share_done(self, update: int) -> float:
        """Where in the run an update is, from 0 to 1."""
        return update / max(self.updates - 1, 1)

    def learning_rate_at(self, update: int) -> float:
        left = 1 - update / self.updates
        return self.learning_rate * (left if self.anneal_learning_rate else 1.0)

    def distill_coef_at(self, update: int) -> float:
        return self.distill_coef * (1 + (self.distill_final_factor - 1) * self.share_done(update))

    @property
    def algorithm(self) -> str:
        """What the run is called on pictures."""
        extras = [f"{len(self.train_renderings)} renderings"] if self.augmented else []
        extras += [
            f"{name} {getattr(self, field):g}"
            for field, name in (("weight_decay", "L2"), ("dropout", "dropout"))
            if getattr(self, field) > 0
        ]
        if self.width > 1:
            extras.append(f"width x{self.width}")
        if self.averages:
            name = f"PPO distilled from its average, alpha = {self.distill_coef:g}"
        elif self.distill_coef > 0:
            name = f"mutual distillation of {self.agents} agents, alpha = {self.distill_coef:g}"
        else:
            name = "PPO" if self.agents == 1 else f"PPO, {self.agents} independent agents"
        return ", ".join([name, *extras])

    def command(self, run: Path) -> str:
        """The shortest command that repeats the run."""
        choices = [
            [*choice, *changed_flags(self, configure(self.env, preset, algorithm))]
            for preset in PRESETS
            for algorithm in ALGORITHMS
            for choice in [_choice(preset, algorithm)]
        ]
        flags = min(choices, key=len)
        return shlex.join(["mdpo", "train", "--env", self.env, "--output", str(run), *flags])


PRESETS: dict[str, dict[str, int | str]] = {
    "paper": {},
    "easy": {
        "distribution_mode": "easy",
        "train_levels": 200,
        "total_steps": 25_000_000,
        "evaluate_every": 76,
        "official_evaluation_every": 0,
    },
    "smoke": {
        "distribution_mode": "easy",
        "train_levels": 10,
        "total_steps": 8 * 16 * 64,
        "n_envs": 16,
        "rollout_steps": 64,
        "evaluation_levels": 4,
        "official_evaluation_every": 0,
        "checkpoint_every": 1,
    },
}
"""By name, the settings that differ from the paper's."""

ALGORITHMS: dict[str, dict[str, int | float | str]] = {
    "mdpo": {},
    "ppo": {"agents": 1, "distill_coef": 0.0},
    "ppo-l2": {"agents": 1, "distill_coef": 0.0, "weight_decay": 1e-4},
    "ppo-dropout": {"agents": 1, "distill_coef": 0.0, "dropout": 0.1},
    "ppo-2x-steps": {"agents": 1, "distill_coef": 0.0},
    "ppo-2x-width": {"agents": 1, "distill_coef": 0.0, "width": 2},
    "ppo-ensemble": {"distill_coef": 0.0},
    "ppo-average": {"agents": 1, "teacher": "average"},
}
"""By name, the settings that differ from mutual distillation of two agents. The strengths of L2 and
dropout are those of Procgen's authors (arXiv 1812.02341); the paper does not give its own."""


def configure(env: str, preset: str = "paper", algorithm: str = "mdpo") -> ProcgenConfig:
    """The configuration of a preset and an algorithm.

    Raises:
        ValueError: an unknown game, preset or algorithm.
    """
    if preset not in PRESETS:
        raise ValueError(validation.unknown("preset", preset, tuple(PRESETS)))
    if algorithm not in ALGORITHMS:
        raise ValueError(validation.unknown("algorithm", algorithm, tuple(ALGORITHMS)))
    game_of(env)
    changes: dict[str, object] = {**PRESETS[preset], **ALGORITHMS[algorithm]}
    config = dataclasses.replace(ProcgenConfig(), env=env, **changes)  # type: ignore[arg-type]
    if algorithm == "ppo-2x-steps":
        config = dataclasses.replace(config, total_steps=2 * config.updates * config.samples)
    return config


def game_of(env: str) -> str:
    """The game in `procgen:GAME`."""
    game = env.removeprefix(PREFIX) if isinstance(env, str) and env.startswith(PREFIX) else ""
    if game not in GAMES:
        raise ValueError(validation.unknown("env", env, tuple(PREFIX + known for known in GAMES)))
    return game


def _choice(preset: str, algorithm: str) -> list[str]:
    """Flags of the presets that are not the default."""
    flags = ["--preset", preset] if preset != "paper" else []
    return flags + (["--algorithm", algorithm] if algorithm != "mdpo" else [])
