"""Steps of 64 hard games through `ProcgenVectorEnv` against the library's bare loop.

    pytest benchmarks/test_procgen.py --benchmark-enable --benchmark-only

Both play the same episodes with the same actions and leave every observation in place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from experiments.envs.procgen import N_ACTIONS, ProcgenVectorEnv
from experiments.envs.procgen.libenv import Games, is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="no wheel of Procgen")

N_ENVS, N_STEPS, N_PAIRS = 64, 32, 60
ACTIONS = np.random.default_rng(0).integers(N_ACTIONS, size=(N_STEPS, N_ENVS))
GAMES = ["maze", "coinrun", "starpilot"]


def environment(game: str, num_threads: int) -> Iterator[ProcgenVectorEnv]:
    env = ProcgenVectorEnv(game, N_ENVS, num_threads=num_threads, copy=False)
    yield env
    env.close()


@pytest.fixture(params=GAMES)
def env(request: Any) -> Iterator[ProcgenVectorEnv]:
    yield from environment(request.param, num_threads=2)


@pytest.fixture(params=GAMES)
def env_without_threads(request: Any) -> Iterator[ProcgenVectorEnv]:
    yield from environment(request.param, num_threads=0)


def bare(games: Games) -> None:
    for actions in ACTIONS:
        games.action[:] = actions
        games.act()
        games.observe()


def wrapped(env: ProcgenVectorEnv) -> None:
    for actions in ACTIONS:
        env.step(actions)


@pytest.mark.benchmark(group="32 steps of 64 hard games")
def test_bare_loop(benchmark: Any, env: ProcgenVectorEnv) -> None:
    benchmark.pedantic(bare, (env._games,), rounds=30, warmup_rounds=3)


@pytest.mark.benchmark(group="32 steps of 64 hard games")
def test_vector_env(benchmark: Any, env: ProcgenVectorEnv) -> None:
    benchmark.pedantic(wrapped, (env,), rounds=30, warmup_rounds=3)


@pytest.mark.benchmark(group="32 steps of 64 hard games, in turn")
def test_overhead_is_at_most_five_percent(
    benchmark: Any, env_without_threads: ProcgenVectorEnv
) -> None:
    """Processor time of both loops in turn from the same state: what other work disturbs least."""
    env = env_without_threads
    start = env.get_state()

    def seconds(play: Callable[..., None], subject: Any) -> float:
        env.set_state(start)
        before = time.process_time()
        play(subject)
        return time.process_time() - before

    def ratio() -> float:
        return seconds(wrapped, env) / seconds(bare, env._games)

    ratios = [ratio() for _ in range(N_PAIRS)]
    benchmark.extra_info["ratio"] = float(np.median(ratios))
    benchmark.pedantic(ratio, rounds=1)
    assert np.median(ratios) <= 1.05
