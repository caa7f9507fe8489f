"""Ranges of Procgen's rewards: complete, consistent, worked by hand, and never left in play."""

from __future__ import annotations

import re

import numpy as np
import pytest

from experiments.envs.procgen import GAMES, ProcgenOptions, ProcgenVectorEnv, libenv
from experiments.envs.procgen.games import EASY_RANGES, HARD_RANGES, modes_of, time_limit
from experiments.envs.procgen.rewards import REWARDS, episode_returns, reason, step_rewards

EVERY = [(game, mode) for game in GAMES for mode in modes_of(game)]


# The table.


def test_every_game_has_an_entry_and_every_count_is_of_its_modes():
    assert tuple(REWARDS) == GAMES
    for game, rewards in REWARDS.items():
        counts = [
            count for event in rewards.events for count in (event.per_step, event.per_episode)
        ]
        for count in counts:
            assert isinstance(count, int) or tuple(count) == modes_of(game)


@pytest.mark.parametrize(("game", "mode"), EVERY)
def test_zero_lies_in_the_step_range_and_that_in_the_range_of_returns(game, mode):
    step, returns = step_rewards(game, mode), episode_returns(game, mode)
    assert returns.low <= step.low <= 0 < step.high <= returns.high


@pytest.mark.parametrize(("game", "mode"), EVERY)
def test_the_time_limit_never_gives_a_smaller_bound(game, mode):
    step, returns, limit = (
        step_rewards(game, mode),
        episode_returns(game, mode),
        time_limit(game, mode),
    )
    assert limit * step.low <= returns.low
    assert returns.high <= limit * step.high


@pytest.mark.parametrize("game", GAMES)
def test_published_returns_of_perfect_play_lie_in_the_range(game):
    for mode, published in (("easy", EASY_RANGES), ("hard", HARD_RANGES)):
        low, high = episode_returns(game, mode)
        assert low <= published[game].low < published[game].high <= high


@pytest.mark.parametrize(
    ("game", "mode", "step", "returns"),
    [
        ("coinrun", "hard", (0, 10), (0, 10)),  # the coin
        ("climber", "easy", (0, 1 + 10), (0, 10 * 1 + 10)),  # the last coin solves the level
        ("miner", "memory", (0, 10), (0, 36 * 1 + 10)),  # diamonds, then the exit
        ("dodgeball", "hard", (0, 6 * 2), (0, 6 * 2 + 10)),  # enemies, then the door
        ("fruitbot", "easy", (19 * -4, 19 * 1 + 2 * 10), (19 * -4, 19 * 1 + 2 * 10)),
    ],
)
def test_ranges_worked_by_hand(game, mode, step, returns):
    assert step_rewards(game, mode) == step
    assert episode_returns(game, mode) == returns


def test_a_reason_names_event_pay_and_line():
    assert reason("climber") == (
        "coin +1 (climber.cpp:94): at most one on each of at most 10 platforms, which are 3 or more"
        " rows apart; all coins +10 (climber.cpp:315): ends the episode"
    )
    assert all("\n" not in reason(game) for game in GAMES)


@pytest.mark.parametrize("ask", [step_rewards, episode_returns])
def test_an_unknown_mode_is_told_what_the_game_has(ask):
    message = "distribution_mode of maze must be one of easy, hard, memory, got extreme"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ask("maze", "extreme")


@pytest.mark.parametrize(
    "ask",
    [lambda game: step_rewards(game, "easy"), lambda game: episode_returns(game, "easy"), reason],
)
def test_an_unknown_game_is_told_the_nearest(ask):
    message = f"unknown game 'cornrun': did you mean 'coinrun'? known are {', '.join(GAMES)}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ask("cornrun")


# Play.


def play(game: str, mode: str, n_steps: int, num_envs: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Rewards and ends of episodes [t, env] under random actions, each held for four steps."""
    actions = np.random.default_rng(0).integers(15, size=(n_steps // 4, num_envs)).repeat(4, axis=0)
    options = ProcgenOptions(distribution_mode=mode, use_backgrounds=False)
    env = ProcgenVectorEnv(game, num_envs, seed=1, options=options, num_threads=0)
    try:
        env.reset()
        steps = [env.step(a) for a in actions]
    finally:
        env.close()
    return np.stack([s[1] for s in steps]), np.stack([s[2] | s[3] for s in steps])


def returns_to_go(reward_tn: np.ndarray, ended_tn: np.ndarray, discount: float) -> np.ndarray:
    """Sums from each step to the end of its episode, or of play."""
    returns_tn = np.zeros((len(reward_tn) + 1, reward_tn.shape[1]))
    for t in reversed(range(len(reward_tn))):
        returns_tn[t] = reward_tn[t] + discount * ~ended_tn[t] * returns_tn[t + 1]
    return returns_tn


def test_returns_to_go_stop_at_the_end_of_an_episode():
    reward, ended = np.array([[1.0], [2.0], [4.0]]), np.array([[False], [True], [False]])
    assert returns_to_go(reward, ended, 0.5).tolist() == [[2.0], [2.0], [4.0], [0.0]]


@pytest.mark.skipif(not libenv.is_installed(), reason="Procgen's wheel is not installed")
@pytest.mark.parametrize("mode", ["easy", "hard"])
@pytest.mark.parametrize("game", GAMES)
def test_rewards_and_returns_of_real_play_lie_in_the_ranges(game, mode):
    reward, ended = play(game, mode, n_steps=80)
    low, high = step_rewards(game, mode)
    assert low <= reward.min() <= reward.max() <= high
    low, high = episode_returns(game, mode)
    for discount in (1, 0.9):
        returns = returns_to_go(reward.astype(float), ended, discount)
        assert low <= returns.min() <= returns.max() <= high
