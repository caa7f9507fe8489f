"""Policies that are known functions of pixels, and games known by heart, for tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from experiments.envs.procgen import LevelSet, ProcgenOptions
from experiments.envs.procgen.rendered import RenderedVectorEnv
from experiments.envs.procgen.renderings import ORIGINAL, Rendering
from experiments.procgen import evaluate
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.policy import Policy

EASY = ProcgenOptions(distribution_mode="easy")
CONFIG = ProcgenConfig(
    env="procgen:fruitbot", distribution_mode="easy", agents=1, distill_coef=0.0, env_threads=1
)
BLACK, HUE, IMAGE, CAMERA = (
    Rendering.parse(text) for text in ("no-background", "hue=0.1", "background=2", "camera")
)
CODES = {ORIGINAL: 0, BLACK: 1, HUE: 2, IMAGE: 3, CAMERA: 4}
"""What the pictures of `KnownGames` say of their rendering."""


class KnownGames:
    """In place of `LockstepGames`: level n lasts n steps, which pay 1, 2, ..., n, and is solved if
    n is even; the first pixel of a picture says rendering, level and step."""

    def __init__(
        self, game: str, num_envs: int, renderings: Sequence[Rendering], **_: object
    ) -> None:
        self.num_envs, self.renderings = num_envs, tuple(renderings)
        self._level, self._next, self._step = np.zeros((3, num_envs), dtype=int)

    def pictures(self, rendering: int = 0, games: Any = slice(None)) -> np.ndarray:
        shown = np.zeros((self.num_envs, 64, 64, 3), dtype=np.uint8)
        shown[:, 0, 0, 0] = CODES[self.renderings[rendering]]
        shown[:, 0, 0, 1], shown[:, 0, 0, 2] = self._level, self._step
        return shown[games]

    def step(self, actions: np.ndarray) -> Any:
        self._step += 1
        reward, forced = self._step.astype(np.float32), actions == -1
        over = forced | (self._step >= self._level)
        complete = self._level % 2 == 0
        self._level = np.where(over, self._next, self._level)
        self._step[over] = 0
        return np.where(forced, 0, reward), over, forced, {"prev_level_complete": complete}

    def get_one_state(self, env: int) -> int:
        return 0

    def set_one_state(self, env: int, state: int) -> None:
        self._next[env] = state

    def close(self) -> None:
        pass


def play_known_games(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let evaluators play `KnownGames`."""
    monkeypatch.setattr(evaluate, "LockstepGames", KnownGames)
    monkeypatch.setattr(evaluate, "with_levels", lambda state, level, end: level)


def no_games(*_: object, **__: object) -> None:
    """In place of `LockstepGames` where nothing may be played."""
    raise AssertionError("a game was built")


def note_devices(monkeypatch: pytest.MonkeyPatch, run: Path, agents: list[Policy]) -> list[str]:
    """Let `load_on` give these agents of a run; returns the devices it is asked for."""
    devices: list[str] = []

    def load_on(path: Path, device: str) -> list[Policy]:
        assert path == run
        devices.append(device)
        return agents

    monkeypatch.setattr(evaluate, "load_on", load_on)
    return devices


class Player:
    """What measurements need of a `Policy`, with the number of pictures it looked at.

    Args:
        seed: of what it does; two seeds are two policies.
        stop_after: pictures after which it is interrupted, as a run by Ctrl-C.
        config: of its run.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        name: str = "agent 0",
        stop_after: int | None = None,
        config: ProcgenConfig = CONFIG,
    ) -> None:
        self.name, self.seed, self.config, self.update = name, seed, config, 7
        self.digest = f"{type(self).__name__} {seed}"
        self.stop_after, self.looked = stop_after, 0

    def look(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.looked += len(observation)
        if self.stop_after is not None and self.looked > self.stop_after:
            raise KeyboardInterrupt
        rows = [self.row(picture) for picture in observation]
        return (
            np.array([p for p, _ in rows], dtype=np.float32),
            np.array([v for _, v in rows], dtype=np.float32),
        )

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        return self.look(observation)[0]

    def row(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        raise NotImplementedError


class Known(Player):
    """For `KnownGames`: `share` is the probability of action 1, the rest is that of action 0."""

    def row(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        code, level, step = picture[0, 0].tolist()
        x, probabilities = self.share(code, level, step), np.zeros(15)
        probabilities[:2] = 1 - x, x
        return probabilities, self.worth(code, step)

    def share(self, code: int, level: int, step: int) -> float:
        return ((3 + self.seed) * code + level * step + step) % 5 / 4

    def worth(self, code: int, step: int) -> float:
        return code * (step + 1) / 2


class Looking(Player):
    """All pixels count, every fourth one by another weight; some actions are never taken."""

    def __init__(self, seed: int = 0, **settings: Any) -> None:
        super().__init__(seed, **settings)
        rng = np.random.default_rng(seed)
        self.weights = rng.normal(size=(16, 768)) / 500
        self.allowed = np.arange(15) != 4

    def row(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        *logits, value = (self.weights * picture[::4, ::4].ravel().astype(np.float64)).sum(axis=1)
        likely = np.exp(np.array(logits) - max(logits)) * self.allowed
        return likely / likely.sum(), value


class Decided(Looking):
    """The same with one action of probability 1."""

    def row(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        probabilities, value = super().row(picture)
        return np.eye(15)[probabilities.argmax()], value


class Blind(Player):
    """All actions alike, whatever is seen."""

    def row(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        return np.full(15, 1 / 15), 3.0


class TinyNetwork(nn.Module):
    """Features, logits and value of the first pixel and of some others."""

    def __init__(self, seed: int, width: int = 6) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.hidden = nn.Linear(48, width)
            self.heads = nn.Linear(width, 16)

    def features(self, observation: torch.Tensor) -> torch.Tensor:
        pixels = observation[:, ::16, ::16] / torch.tensor([1.0, 20.0, 20.0])
        return torch.tanh(self.hidden(pixels.flatten(1)))

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        heads = self.heads(self.features(observation))
        return heads[:, :15], heads[:, 15]


def tiny_agents(n: int, *, first_seed: int = 0, update: int = 7) -> list[Policy]:
    """Real policies of tiny networks."""
    config = dataclasses.replace(CONFIG, agents=n)
    networks = [TinyNetwork(first_seed + k).eval() for k in range(n)]
    return [
        Policy(f"agent {k}", config, update, (network,))  # type: ignore[arg-type]
        for k, network in enumerate(networks)
    ]


def film(
    game: str, renderings: Sequence[Rendering], policy: Player, level: int, seed: int
) -> list[tuple[list[np.ndarray], float, bool]]:
    """One episode step by step: pictures in each rendering, then what the step pays and solves.

    Each rendering is an environment of its own, built for the level; the policy looks at the first.
    """
    envs = [
        RenderedVectorEnv(
            game,
            1,
            rendering=rendering,
            levels=LevelSet(level, level + 1),
            seed=99,
            options=EASY,
            num_threads=0,
        )
        for rendering in renderings
    ]
    seen, noise = [env.reset()[0][0] for env in envs], evaluate.uniforms(seed, level, 0)
    steps, over = [], False
    while not over:
        likely = policy.probabilities(seen[:1])[0]
        action = np.searchsorted(likely.cumsum()[:-1], next(noise), side="right")
        results = [env.step(np.array([action])) for env in envs]
        _, reward, terminated, truncated, infos = results[0]
        over = bool(terminated[0] | truncated[0])
        steps.append((seen, float(reward[0]), bool(infos["prev_level_complete"][0])))
        seen = [result[0][0] for result in results]
    for env in envs:
        env.close()
    return steps
