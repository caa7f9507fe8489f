"""Thin the curves of openai/train-procgen to the few points that a picture needs.

    git clone https://github.com/openai/train-procgen CHECKOUT
    python -m experiments.procgen.comparison.published_ppo.extract CHECKOUT

writes `curves.csv` beside this file.  Every point is the mean over the 31 updates that end nearest
to its number of steps (fewer at the start) of what the log calls `eprewmean`: the mean return of
the last 100 episodes of each worker, averaged over workers.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from experiments.envs.procgen.games import GAMES
from experiments.procgen.comparison.published_ppo import CURVES, MODES, N_RUNS, SPLITS, WINDOW, Mode

_STEPS_OF_A_WORKER = 64 * 256
"""Environment steps of one worker in an update."""


def points(mode: Mode) -> list[int]:
    """Environment steps of all training workers: 50 up to the mark, then 25 to twice of it."""
    step = mode.mark // 50
    return [*range(step, mode.mark, step), *range(mode.mark, 2 * mode.mark + 1, 2 * step)]


def thin(returns: np.ndarray, mode: Mode) -> np.ndarray:
    """One run's returns [update] at the points, [point]."""
    nearest = [round(steps / (mode.workers * _STEPS_OF_A_WORKER)) for steps in points(mode)]
    # 50M steps are 3,051.8 updates of one worker, and the logs have 3,051.
    ends = [min(end, len(returns)) for end in nearest]
    return np.array([returns[max(0, end - WINDOW) : end].mean() for end in ends])


def read_progress(path: Path) -> np.ndarray:
    """The column `eprewmean` of a log, [update].

    Raises:
        FileNotFoundError: there is no such log.
        ValueError: its updates are not those of one worker with 64 games and 256 steps.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    steps = [float(row["misc/total_timesteps"]) for row in rows]
    if steps != [_STEPS_OF_A_WORKER * (i + 1) for i in range(len(rows))]:
        raise ValueError(f"{path} must have a row for every {_STEPS_OF_A_WORKER} steps")
    return np.array([float(row["eprewmean"]) for row in rows])


def extract(checkout: Path) -> str:
    """The content of `curves.csv`."""
    lines = [",".join(["mode", "game", "split", "steps", *(f"run{i}" for i in range(N_RUNS))])]
    for name, mode in MODES.items():
        for game in GAMES:
            for split in SPLITS:
                logs = [
                    checkout / "train_procgen" / "results" / f"{name}-{mode.levels}-run{i}"
                    / f"progress-{game}-{split}.csv" for i in range(N_RUNS)
                ]  # fmt: skip
                curves = [thin(read_progress(log), mode) for log in logs]
                for steps, *values in zip(points(mode), *curves, strict=True):
                    shown = [f"{value:.3f}" for value in values]
                    lines.append(",".join([name, game, split, str(steps), *shown]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    CURVES.write_text(extract(Path(sys.argv[1])), encoding="utf-8")
