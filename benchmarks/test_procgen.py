"""Steps of 64 hard games through `ProcgenVectorEnv` against the library's bare loop.

    pytest benchmarks/test_procgen.py --benchmark-enable --benchmark-only

Both play the same episodes with the same actions and look at every observation in place.
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

N_ENVS, N_STEPS = 64, 128
ACTIONS = np.random.default_rng(0).integers(N_ACTIONS, size=(N_STEPS, N_ENVS))


@pytest.fixture(
    params=[(game, threads) for game in ("maze", "coinrun", "starpilot") for threads in (0, 2)],
    ids=lambda game_threads: "{} with {} threads".format(*game_threads),
)
def env(request: Any) -> Iterator[ProcgenVectorEnv]:
    game, threads = request.param
    env = ProcgenVectorEnv(game, N_ENVS, num_threads=threads, copy=False)
    yield env
    env.close()


def bare(games: Games) -> None:
    for actions in ACTIONS:
        games.action[:] = actions
        games.act()
        games.observe()


def wrapped(env: ProcgenVectorEnv) -> None:
    for actions in ACTIONS:
        env.step(actions)


@pytest.mark.benchmark(group="128 steps of 64 hard games")
def test_bare_loop(benchmark: Any, env: ProcgenVectorEnv) -> None:
    benchmark.pedantic(bare, (env._games,), rounds=10, warmup_rounds=1)


@pytest.mark.benchmark(group="128 steps of 64 hard games")
def test_vector_env(benchmark: Any, env: ProcgenVectorEnv) -> None:
    benchmark.pedantic(wrapped, (env,), rounds=10, warmup_rounds=1)


def seconds(play: Callable[..., None], subject: Any) -> float:
    start = time.perf_counter()
    play(subject)
    return time.perf_counter() - start


@pytest.mark.benchmark(group="128 steps of 64 hard games, in turn")
def test_overhead_is_at_most_five_percent(benchmark: Any, env: ProcgenVectorEnv) -> None:
    """Both loops in turn from the same state; the fastest of each, which other work delays least.

    Without threads only: with them, other work on the machine decides about a few percent.
    """
    start = env.get_state()

    def times() -> list[float]:
        found = []
        for play, subject in ((bare, env._games), (wrapped, env)):
            env.set_state(start)
            found.append(seconds(play, subject))
        return found

    fastest = np.min([times() for _ in range(12)], axis=0)
    benchmark.extra_info["ratio"] = fastest[1] / fastest[0]
    benchmark.pedantic(times, rounds=1)
    assert env.num_threads or fastest[1] <= 1.05 * fastest[0]
