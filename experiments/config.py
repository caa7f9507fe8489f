"""What a run is: one frozen dataclass, saved beside the results as JSON."""

from __future__ import annotations

import dataclasses
import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.envs.pixelgrid import PixelGridConfig, require_types, require_within
from mdtheory import validation

ENVIRONMENTS = ("pixelgrid",)


@dataclass(frozen=True)
class TrainConfig:
    """Mutual-distillation PPO. `distill_coef` 0 is independent PPO: the same code, the baseline."""

    env: str = "pixelgrid"
    """Which environment; only pixelgrid so far."""
    agents: int = 2
    """Agents N per seed that distil each other."""
    distill_coef: float = 1.0
    """Weight alpha of the mutual distillation loss; 0 trains independent agents."""
    seeds: int = 16
    """Independent repetitions, trained at once."""
    first_seed: int = 0
    """Seeds are first_seed, first_seed + 1, ..."""
    updates: int = 120
    """Rollouts, each followed by `epochs` passes over its samples."""
    evaluate_every: int = 6
    """Updates between two evaluations on all states and renderings."""
    n_envs: int = 16
    """Parallel environments per agent."""
    rollout_steps: int = 64
    """Steps per environment and rollout; an episode is one rollout long, then cut."""
    epochs: int = 4
    """Passes over a rollout's samples."""
    minibatches: int = 4
    """Minibatches per pass."""
    learning_rate: float = 1e-3
    """Adam's step size, constant."""
    adam_eps: float = 1e-5
    """Adam's epsilon."""
    gae_lambda: float = 0.95
    """Decay of generalized advantage estimation."""
    clip: float = 0.2
    """Clipping range of PPO's probability ratio and of its value update."""
    value_coef: float = 0.5
    """Weight of the value loss."""
    entropy_coef: float = 0.01
    """Weight of the entropy bonus."""
    max_grad_norm: float = 0.5
    """Largest gradient norm per agent, of the loss averaged over a seed's agents; longer gradients
    are shortened to it."""
    hidden: int = 64
    """Units in each of the network's two hidden layers."""
    world_per_seed: bool = True
    """Give each seed a maze and backgrounds of its own (layout_seed = seed), so that intervals
    over seeds cover worlds too; otherwise all seeds share pixelgrid.layout_seed."""
    pixelgrid: PixelGridConfig = field(default_factory=PixelGridConfig)
    """The pixel world."""

    def __post_init__(self) -> None:
        require_types(self)
        if self.env not in ENVIRONMENTS:
            raise ValueError(validation.unknown("env", self.env, ENVIRONMENTS))
        require_within(
            self,
            {
                "agents": (1, 64),
                "seeds": (1, 10_000),
                "first_seed": (0, 2**53),
                "updates": (1, 10**6),
                "evaluate_every": (1, 10**6),
                "n_envs": (1, 10**5),
                "rollout_steps": (1, 10**5),
                "epochs": (1, 1000),
                "minibatches": (1, 10**6),
                "hidden": (1, 4096),
            },
        )
        for name in ("distill_coef", "value_coef", "entropy_coef"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in ("learning_rate", "adam_eps", "clip", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.gae_lambda <= 1:
            raise ValueError(f"gae_lambda must lie in [0, 1], got {self.gae_lambda}")
        if self.agents == 1 and self.distill_coef > 0:
            raise ValueError(
                f"distill_coef must be 0 for one agent, which has nobody to distil,"
                f" got {self.distill_coef}"
            )
        if self.samples % self.minibatches or self.samples < 2 * self.minibatches:
            raise ValueError(
                f"minibatches must divide n_envs * rollout_steps = {self.samples} and leave each at"
                f" least 2 samples, got {self.minibatches}"
            )

    @property
    def samples(self) -> int:
        """Samples per agent and rollout."""
        return self.n_envs * self.rollout_steps

    @property
    def seed_list(self) -> list[int]:
        return list(range(self.first_seed, self.first_seed + self.seeds))

    @property
    def worlds(self) -> list[PixelGridConfig]:
        """The world of each seed."""
        if not self.world_per_seed:
            return [self.pixelgrid] * self.seeds
        return [dataclasses.replace(self.pixelgrid, layout_seed=s) for s in self.seed_list]

    @property
    def algorithm(self) -> str:
        """What the run is called on pictures."""
        if self.distill_coef > 0:
            return f"mutual distillation of {self.agents} agents, alpha = {self.distill_coef:g}"
        return "PPO, one agent" if self.agents == 1 else f"PPO, {self.agents} independent agents"

    def command(self, run: Path) -> str:
        """The command that repeats the run: every setting that is not the default."""
        flags = _changed_flags(self, TrainConfig(), "")
        return shlex.join(["mdpo", "train", "--output", str(run), *flags])

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """The configuration of a saved run; unknown keys are errors."""
        try:
            content: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"must be JSON: {error}") from None
        fields = _known_keys(cls, content)
        fields["pixelgrid"] = PixelGridConfig(
            **_known_keys(PixelGridConfig, fields.get("pixelgrid", {}))
        )
        return cls(**fields)

    @classmethod
    def load(cls, run: Path) -> TrainConfig:
        path = run / "config.json"
        if not path.is_file():
            raise FileNotFoundError(f"{run} is no run of `mdpo train`: it has no config.json")
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _known_keys(kind: type, content: Any) -> dict[str, Any]:
    """The JSON object, if all its keys are fields of the dataclass."""
    if not isinstance(content, dict):
        raise ValueError(f"must hold a JSON object, got {type(content).__name__}")
    known = [f.name for f in dataclasses.fields(kind)]
    for key in content:
        if key not in known:
            raise ValueError(validation.unknown("key", key, known))
    return dict(content)


def _changed_flags(value: Any, default: Any, prefix: str) -> list[str]:
    flags = []
    for f in dataclasses.fields(value):
        name = f"{prefix}{f.name.replace('_', '-')}"
        mine, theirs = getattr(value, f.name), getattr(default, f.name)
        if dataclasses.is_dataclass(mine):
            flags += _changed_flags(mine, theirs, f"{name}.")
        elif mine is not theirs and isinstance(mine, bool):
            flags.append(f"--{name}" if mine else f"--no-{name}")
        elif mine != theirs:
            flags += [f"--{name}", str(mine)]
    return flags
