"""What the configurations of all runs share: checked fields, JSON, and the command they stand for.

A configuration is one frozen dataclass, saved beside the results; each field is a flag of
`mdpo train` and the text under it is the flag's help.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from mdtheory import validation

CONFIG_FILE = "config.json"
"""Name of a run's configuration in the run's folder."""

ADVICE = {
    "pixelgrid": "which `mdpo report` and `mdpo chain` look at",
    "procgen": "which `mdpo compare`, `mdpo evaluate` and `mdpo watch` look at",
}
"""What to say of a run that was given to a command for another environment."""

Config = TypeVar("Config", bound="PPOConfig")


@dataclass(frozen=True)
class PPOConfig:
    """Mutual-distillation PPO. `distill_coef` 0 is independent PPO: the same code, the baseline."""

    ENVIRONMENT: ClassVar[str] = ""
    """How the names of the environments begin that a subclass is for."""

    agents: int = 2
    """Agents N that distil each other."""
    distill_coef: float = 1.0
    """Weight alpha of the mutual distillation loss; 0 trains independent agents."""
    n_envs: int = 64
    """Parallel environments per agent."""
    rollout_steps: int = 256
    """Steps per environment and rollout."""
    epochs: int = 3
    """Passes over a rollout's samples."""
    minibatches: int = 8
    """Minibatches per pass."""
    learning_rate: float = 5e-4
    """Adam's step size at the start."""
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
    """Largest gradient norm per agent, of the loss averaged over the agents; longer gradients are
    shortened to it."""

    def check(self) -> None:
        """Raise ValueError, naming field and value, for settings that no run can have."""
        require_types(self)
        require_within(
            self,
            {
                "agents": (1, 64),
                "n_envs": (1, 10**5),
                "rollout_steps": (1, 10**5),
                "epochs": (1, 1000),
                "minibatches": (1, 10**6),
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
        if self.samples % self.minibatches or self.samples < 2 * self.minibatches:
            raise ValueError(
                f"minibatches must divide n_envs * rollout_steps = {self.samples} and leave each at"
                f" least 2 samples, got {self.minibatches}"
            )

    @property
    def samples(self) -> int:
        """Samples per agent and rollout."""
        return self.n_envs * self.rollout_steps

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls: type[Config], text: str) -> Config:
        """The configuration of a saved run; unknown keys are errors."""
        try:
            content: Any = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"must be JSON: {error}") from None
        env = content.get("env") if isinstance(content, dict) else None
        room = str(env).split(":")[0]
        if room in ADVICE and not cls.ENVIRONMENT.startswith(room):
            raise ValueError(f"this is a run on {room}, {ADVICE[room]}")
        found = _from_object(cls, content)
        if env is None:
            raise ValueError("must say what it is a run on: the key env is missing")
        return found

    @classmethod
    def load(cls: type[Config], run: Path) -> Config:
        path = run / CONFIG_FILE
        if not path.is_file():
            raise FileNotFoundError(f"{run} is no run of `mdpo train`: it has no {CONFIG_FILE}")
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def command(self, run: Path) -> str:
        """The command that repeats the run: every setting that is not the default."""
        flags = changed_flags(self, type(self)())
        return shlex.join(["mdpo", "train", "--output", str(run), *flags])


def _from_object(kind: type, content: Any) -> Any:
    """The dataclass of a JSON object, if all its keys are fields."""
    if not isinstance(content, dict):
        raise ValueError(f"must hold a JSON object, got {type(content).__name__}")
    hints = typing.get_type_hints(kind)
    known = {f.name: hints[f.name] for f in dataclasses.fields(kind)}
    fields = {}
    for key, value in content.items():
        if key not in known:
            raise ValueError(validation.unknown("key", key, list(known)))
        nested = dataclasses.is_dataclass(known[key])
        if nested and not isinstance(value, dict):
            raise ValueError(f"{key} must hold a table of settings, got {value!r}")
        if isinstance(value, list):
            value = tuple(value)
        fields[key] = _from_object(known[key], value) if nested else value
    return kind(**fields)


def require_runs(runs: Sequence[Path]) -> None:
    """Raise ValueError if there is no run to look at."""
    if not runs:
        raise ValueError("give at least one run, a folder written by `mdpo train`")


def other_settings(run: object, found: PPOConfig, wanted: PPOConfig) -> str:
    """What to say of a run that is there already, but another one."""
    theirs, ours = _flat(found), _flat(wanted)
    name = next(name for name in ours if theirs[name] != ours[name])
    return (
        f"{run} holds a run with other settings, {name} {theirs[name]} instead of {ours[name]}:"
        " choose another --output"
    )


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """The settings by name, inner ones as `table.name`."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        inner = dataclasses.is_dataclass(value)
        found |= _flat(value, f"{prefix}{f.name}.") if inner else {f"{prefix}{f.name}": value}
    return found


def changed_flags(value: Any, default: Any, prefix: str = "") -> list[str]:
    """The flags that turn the default configuration into this one."""
    flags = []
    for f in dataclasses.fields(value):
        name = f"{prefix}{f.name.replace('_', '-')}"
        mine, theirs = getattr(value, f.name), getattr(default, f.name)
        if dataclasses.is_dataclass(mine):
            flags += changed_flags(mine, theirs, f"{name}.")
        elif mine is not theirs and isinstance(mine, bool):
            flags.append(f"--{name}" if mine else f"--no-{name}")
        elif mine != theirs and isinstance(mine, tuple):
            flags += [f"--{name}", *map(str, mine)]
        elif mine != theirs:
            flags += [f"--{name}", str(mine)]
    return flags


def require_types(config: Any) -> None:
    """Every number of a configuration must be of its field's type, and finite.

    Raises:
        ValueError: naming field and value.
    """
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if f.type == "int" and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError(f"{f.name} must be a whole number, got {value!r}")
        if f.type == "bool" and not isinstance(value, bool):
            raise ValueError(f"{f.name} must be true or false, got {value!r}")
        if f.type.startswith("tuple[str") and not (
            isinstance(value, tuple) and all(isinstance(text, str) for text in value)
        ):
            raise ValueError(f"{f.name} must be a list of texts, got {value!r}")
        if f.type == "float" and (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ValueError(f"{f.name} must be a finite number, got {value!r}")


def require_choices(config: Any) -> None:
    """Every field with a fixed set of values must have one of them.

    Raises:
        ValueError: naming field and value, with the nearest known value.
    """
    for name, hint in typing.get_type_hints(type(config)).items():
        if typing.get_origin(hint) is typing.Literal:
            known, value = typing.get_args(hint), getattr(config, name)
            if value not in known:
                raise ValueError(validation.unknown(name, value, known))


def require_within(config: Any, limits: Mapping[str, tuple[int, int]]) -> None:
    """Whole numbers of a configuration must lie within what memory and time can bear.

    Raises:
        ValueError: naming field and value.
    """
    for name, (low, high) in limits.items():
        if not low <= getattr(config, name) <= high:
            raise ValueError(f"{name} must be from {low} to {high}, got {getattr(config, name)}")
