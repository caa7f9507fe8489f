"""A run that tests kill; a module of its own, so that a child process loads little."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from experiments.procgen import train as training
from experiments.procgen.config import ProcgenConfig, configure

TINY = dataclasses.replace(
    configure("procgen:coinrun", "smoke"),
    n_envs=2,
    rollout_steps=4,
    minibatches=2,
    epochs=1,
    total_steps=8 * 3,
    evaluate_every=2,
    evaluation_levels=1,
    env_threads=1,
    device="cpu",
)
KILLED = dataclasses.replace(TINY, agents=1, distill_coef=0.0, total_steps=8 * 60)


class FakeEvaluations:
    """Evaluations have tests of their own; where these stand in, only their lines matter."""

    def __init__(self, config: ProcgenConfig) -> None:
        self.every = config.evaluate_every

    def __enter__(self) -> FakeEvaluations:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def line(self, networks: torch.nn.ModuleList, update: int) -> dict[str, object] | None:
        return None if update % self.every else {"update": update}


def train_until_killed(run: str) -> None:
    torch.set_num_threads(1)
    training.TrainingEvaluations = FakeEvaluations  # type: ignore[misc, assignment]
    training.train(KILLED, Path(run))
