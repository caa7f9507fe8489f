"""The learning curves of PPO that the authors of Procgen published, thinned (README.md beside).

arXiv 2501.02481 publishes its own curves as pictures only; these are numbers.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

CURVES = Path(__file__).with_name("curves.csv")
SPLITS = ("train", "test")
N_RUNS = 3
WINDOW = 31
"""Updates in the mean of a point."""


class Mode(NamedTuple):
    """Training levels, the environment steps that mark the end, and workers of 64 games each."""

    levels: int
    mark: int
    workers: int


MODES = {"easy": Mode(200, 25_000_000, 1), "hard": Mode(500, 50_000_000, 4)}
"""By name. The runs go on, to 50M steps in easy and 200M in hard mode."""

SOURCE = (
    "Published PPO: openai/train-procgen at 1a2ae219 (MIT licence), three runs, each point the mean"
    f" over the {WINDOW} updates before it of the last 100 episodes of each worker, so it lags;"
    " test levels were played while training went on. It differs from our PPO: TensorFlow, procgen"
    " 0.9.2, and in hard mode 4 training workers of 64 games (65,536 steps an update, ours 16,384;"
    " in easy mode 1). Its steps are those of one agent, all training workers together. The paper"
    " (arXiv 2501.02481) publishes its curves as pictures only, so none of them is here."
)
"""Where the curves come from and what differs, for captions."""


@dataclass(frozen=True, eq=False)
class PublishedCurve:
    """Mean returns of three runs: steps [point], of all workers together; returns [point, run]."""

    steps: np.ndarray
    returns: np.ndarray

    def at(self, steps: float) -> np.ndarray | None:
        """Returns of the runs after so many steps, [run], between points on a straight line.

        None before the first and after the last point.
        """
        if not self.steps[0] <= steps <= self.steps[-1]:
            return None
        return np.array([np.interp(steps, self.steps, run) for run in self.returns.T])


def load_published(mode: str) -> dict[tuple[str, str], PublishedCurve]:
    """The curves of a mode, easy or hard, by game and split."""
    rows: dict[tuple[str, str], list[list[float]]] = {}
    with CURVES.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["mode"] == mode:
                numbers = [row["steps"], *(row[f"run{i}"] for i in range(N_RUNS))]
                rows.setdefault((row["game"], row["split"]), []).append([*map(float, numbers)])
    return {
        key: PublishedCurve(np.array(found)[:, 0], np.array(found)[:, 1:])
        for key, found in rows.items()
    }
