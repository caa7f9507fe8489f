"""What robustness measurements spend time on, each beside a peer that does the same work.

Run with `make bench`; the ratios live in benchmarks/README.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from PIL import Image, ImageEnhance

from experiments.envs.procgen import ProcgenOptions, ProcgenVectorEnv
from experiments.envs.procgen.pixels import saturation
from experiments.envs.procgen.rendered import LockstepGames
from experiments.envs.procgen.renderings import default_family
from mdtheory.intervals import ratio_band

N_ENVS, N_STEPS, STRENGTH = 32, 100, 0.6
EASY = ProcgenOptions(distribution_mode="easy")


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Frames of a game, uint8 [256, 64, 64, 3]."""
    env = ProcgenVectorEnv("coinrun", 256, seed=0, options=EASY)
    observation, _ = env.reset()
    env.close()
    return observation


def by_pillow(frames: np.ndarray) -> np.ndarray:
    pictures = [ImageEnhance.Color(Image.fromarray(frame)) for frame in frames]
    return np.stack([np.asarray(picture.enhance(1 + STRENGTH)) for picture in pictures])


@pytest.mark.benchmark(group="saturation of 256 frames")
@pytest.mark.parametrize("whose", ["ours", "Pillow"])
def test_saturation(benchmark: Any, frames: np.ndarray, whose: str) -> None:
    work = by_pillow if whose == "Pillow" else lambda x: saturation(x, STRENGTH)
    found = benchmark(work, frames)
    assert abs(found.astype(int) - by_pillow(frames)).max() <= 1


@pytest.mark.benchmark(group="interval of a ratio over 64 episodes, 1,999 resamples")
@pytest.mark.parametrize("whose", ["ours", "SciPy"])
def test_bootstrap(benchmark: Any, whose: str) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(50, 500, 64).astype(float)
    totals = lengths * rng.beta(2, 8, 64)

    def by_scipy() -> Any:
        found = scipy.stats.bootstrap(
            (totals, lengths),
            lambda x, y, axis: x.sum(axis=axis) / y.sum(axis=axis),
            n_resamples=1999,
            paired=True,
            vectorized=True,
            method="BCa",
            rng=0,
        )
        return found.confidence_interval

    ours = ratio_band(totals, lengths, seed=0)
    theirs = by_scipy()
    assert abs(ours.low - theirs.low) + abs(ours.high - theirs.high) < 0.2 * (ours.high - ours.low)
    benchmark((lambda: ratio_band(totals, lengths, seed=0)) if whose == "ours" else by_scipy)


@pytest.mark.benchmark(group="100 steps of 32 games in 14 renderings")
@pytest.mark.parametrize("whose", ["lockstep", "a game for each"])
def test_renderings(benchmark: Any, whose: str) -> None:
    """All pictures of the default family: one game per look of the engine, or one per rendering
    with nothing shared, which is what one has without `LockstepGames`."""
    family = default_family("coinrun")
    actions = np.random.default_rng(0).integers(0, 15, (N_STEPS, N_ENVS))
    groups = [family] if whose == "lockstep" else [(rendering,) for rendering in family]
    games = [LockstepGames("coinrun", N_ENVS, group, options=EASY) for group in groups]

    def play() -> None:
        for action in actions:
            for one, group in zip(games, groups, strict=True):
                one.step(action)
                for i in range(len(group)):
                    one.pictures(i)

    benchmark.pedantic(play, rounds=3)
    for one in games:
        one.close()
