"""Evaluation without bias and by the official protocol: quotas, levels, random numbers, numbers."""

from __future__ import annotations

import dataclasses
import io
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from rich.console import Console
from torch import nn

from experiments import tensor_file
from experiments.envs.procgen import LevelSet, ProcgenOptions, ProcgenVectorEnv, libenv
from experiments.envs.procgen.rendered import LockstepGames
from experiments.envs.procgen.state import with_levels
from experiments.procgen import evaluate as module
from experiments.procgen import official as official_module
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.evaluate import (
    EpisodeTable,
    Evaluation,
    Evaluator,
    evaluate,
    evaluate_run,
    uniforms,
)
from experiments.procgen.learner import Networks, build_networks
from experiments.procgen.official import (
    OfficialEvaluator,
    compare_protocols,
    compare_protocols_of_run,
    official,
)
from experiments.procgen.policy import Policy, mixture
from experiments.procgen.training_evaluations import TrainingEvaluations
from mdtheory.intervals import welch

pytestmark = pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")
EASY = ProcgenOptions(distribution_mode="easy")
LEFT, NO_OP, RIGHT = 1, 4, 7
SHORT = ProcgenConfig(
    env="procgen:fruitbot",
    train_levels=3,
    total_steps=16 * 8 * 10,
    n_envs=16,
    rollout_steps=8,
    evaluate_every=2,
    evaluation_levels=2,
    official_evaluation_every=3,
    env_threads=0,
)
"""A run of ten updates on a game of short episodes."""
ALONE = dataclasses.replace(SHORT, agents=1, distill_coef=0.0)


class Looking:
    """Probabilities that depend on the pixels, one row at a time."""

    name = "looking"

    def __init__(self, forbidden: Sequence[int] = ()) -> None:
        self.weights = np.random.default_rng(0).normal(size=(15, 768))
        self.weights[list(forbidden)] = 0
        self.allowed = np.isin(np.arange(15), forbidden, invert=True)

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        return np.array([self.row(pixels) for pixels in observation], dtype=np.float32)

    def row(self, pixels: np.ndarray) -> np.ndarray:
        logits = self.weights @ pixels[::4, ::4].ravel().astype(np.float64) / 500
        likely = np.exp(logits - logits.max()) * self.allowed
        return likely / likely.sum()


class Tiny(nn.Module):
    """A network that takes next to no time, with dropout."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.hidden = nn.Linear(4 * 4 * 3, 15)
        self.dropout = nn.Dropout(0.5)

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = observation[:, ::16, ::16].flatten(1).float() / 255
        logits = self.hidden(self.dropout(pixels))
        return logits, logits[:, 0]


class Hashing:
    """Another action wherever a single pixel differs."""

    name = "hashing"

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        actions = [zlib.crc32(pixels.tobytes()) % 15 for pixels in observation]
        return np.eye(15, dtype=np.float32)[actions]


class Always:
    """One action."""

    name = "always"

    def __init__(self, action: int) -> None:
        self.action = action

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        return np.tile(np.eye(15, dtype=np.float32)[self.action], (len(observation), 1))


class Uniform:
    """All actions alike."""

    name = "uniform"

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        return np.full((len(observation), 15), 1 / 15, dtype=np.float32)


class Broken:
    name = "broken"

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        return np.full((len(observation), 15), np.nan, dtype=np.float32)


def play(
    game: str,
    policy: Any,
    levels: Sequence[int],
    *,
    options: ProcgenOptions = EASY,
    num_envs: int = 4,
    mode: Any = "sampled",
    **settings: Any,
) -> EpisodeTable:
    with Evaluator(game, options, num_envs=num_envs, num_threads=0) as evaluator:
        return evaluator.run(policy, levels, mode=mode, **settings)


def rows(table: EpisodeTable) -> dict[tuple[int, int], tuple[float, int, bool]]:
    """(level, episode) -> return, length, solved."""
    keys = zip(table.levels.tolist(), table.episodes.tolist(), strict=True)
    values = zip(table.returns.tolist(), table.lengths.tolist(), table.solved.tolist(), strict=True)
    return dict(zip(keys, values, strict=True))


def alone(
    game: str, options: ProcgenOptions, policy: Looking, level: int, noise: Any
) -> tuple[float, int, bool]:
    """One episode in a game of its own that was built for this level."""
    env = ProcgenVectorEnv(
        game, 1, levels=LevelSet(level, level + 1), seed=99, options=options, num_threads=0
    )
    seen, infos = env.reset()
    assert infos["level_seed"].tolist() == [level]
    total, length, over = 0.0, 0, False
    while not over:
        likely = policy.row(seen[0]).astype(np.float32)
        action = likely.argmax()
        if noise is not None:
            action = np.searchsorted(likely.cumsum()[:-1], next(noise), side="right")
        seen, reward, terminated, truncated, infos = env.step(np.array([action]))
        total, length, over = total + float(reward[0]), length + 1, bool(terminated | truncated)
    env.close()
    return total, length, bool(infos["prev_level_complete"][0])


def table_of(levels: Sequence[int], episodes: int, returns: Sequence[float]) -> EpisodeTable:
    n = len(levels) * episodes
    return EpisodeTable(
        levels=np.repeat(levels, episodes),
        episodes=np.tile(np.arange(episodes), len(levels)),
        returns=np.array(returns, dtype=np.float64),
        lengths=np.arange(1, n + 1),
        solved=np.arange(n) % 2 == 0,
    )


def agents_of(config: ProcgenConfig, networks: Networks) -> list[Policy]:
    return [Policy(f"agent {k}", config, 0, (network,)) for k, network in enumerate(networks)]


def tiny_networks(config: ProcgenConfig = SHORT) -> Networks:
    return Networks(Tiny(seed) for seed in range(config.agents)).eval()


def tiny(config: ProcgenConfig = SHORT) -> list[Policy]:
    return agents_of(config, tiny_networks(config))


def untrained(config: ProcgenConfig = SHORT) -> list[Policy]:
    return agents_of(config, build_networks(config).eval())


def text(table: Any) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    return " ".join(console.export_text().split())


# Episodes


def test_every_level_is_played_its_quota_to_the_end():
    table = play("bossfight", Looking(), [900, 3, 2**31 - 2], episodes_per_level=3)
    assert table.levels.tolist() == [900] * 3 + [3] * 3 + [2**31 - 2] * 3
    assert table.episodes.tolist() == [0, 1, 2] * 3
    assert (table.lengths > 0).all()
    assert len(table) == 9


@pytest.mark.parametrize(
    ("game", "options"),
    [
        ("bossfight", EASY),
        ("dodgeball", ProcgenOptions(distribution_mode="extreme")),
        ("coinrun", dataclasses.replace(EASY, debug_mode=14)),
        ("miner", dataclasses.replace(EASY, use_backgrounds=False)),
    ],
)
@pytest.mark.parametrize("mode", ["sampled", "greedy"])
def test_episodes_are_those_of_games_built_for_the_level(game, options, mode):
    levels, policy = [5, 1000, 6], Looking(forbidden=(NO_OP,))
    table = play(
        game, policy, levels, options=options, num_envs=2, mode=mode, seed=3,
        episodes_per_level=2 if mode == "sampled" else 1,
    )  # fmt: skip
    for (level, episode), found in rows(table).items():
        noise = uniforms(3, level, episode) if mode == "sampled" else None
        assert found == alone(game, options, policy, level, noise)


def test_uniforms_are_one_stream_per_seed_level_and_episode():
    rng = np.random.default_rng([1, 2, 3])
    noise = uniforms(1, 2, 3)
    assert all(next(noise) == rng.random(dtype=np.float32) for _ in range(1000))
    firsts = {next(uniforms(*key)) for key in [(1, 2, 3), (1, 3, 2), (2, 1, 3), (0, 2, 3)]}
    assert len(firsts) == 4


def test_episodes_do_not_depend_on_games_in_parallel_nor_on_the_order_of_levels():
    levels = [4, 8, 15, 16, 23]
    expected = rows(play("bossfight", Looking(), levels, num_envs=4, episodes_per_level=2))
    for num_envs, order in ((1, levels), (3, levels[::-1]), (16, [23, 4, 16, 8, 15])):
        found = play("bossfight", Looking(), order, num_envs=num_envs, episodes_per_level=2)
        assert rows(found) == expected


def test_a_game_that_played_before_gives_the_same_as_a_new_one():
    """Also in dodgeball, where a game shows what it has played before."""
    levels = list(range(20))
    new = rows(play("dodgeball", Hashing(), levels, num_envs=20))
    with Evaluator("dodgeball", EASY, num_envs=3, num_threads=0) as kept:
        for _ in range(2):
            assert rows(kept.run(Hashing(), levels, mode="sampled")) == new


def test_a_level_begun_from_any_other_state_can_look_different():
    """Why every episode begins in one and the same state: dodgeball, and no other game."""
    env = ProcgenVectorEnv("dodgeball", 1, num_threads=0)

    def film(state: bytes) -> np.ndarray:
        rng = np.random.default_rng(0)
        env.set_one_state(0, with_levels(state, 3, 4))
        actions = [-1, *rng.integers(15, size=30).tolist()]
        return np.array([env.step(np.array([action]))[0] for action in actions])

    rng = np.random.default_rng(1)
    states = []
    for _ in range(10):
        states += env.get_state()
        for _ in range(50):
            env.step(rng.integers(15, size=1))
    new, *used = map(film, states)
    np.testing.assert_array_equal(film(states[0]), new)
    assert 1 <= sum(not np.array_equal(one, new) for one in used) < 10


def test_the_levels_really_played_are_the_wanted_ones(monkeypatch):
    played: list[int] = []

    class Recording(LockstepGames):
        def step(self, actions: np.ndarray) -> Any:
            result = super().step(actions)
            counts = (result[1] | result[2]) & ~np.isin(actions, (-1, NO_OP))
            played.extend(result[3]["prev_level_seed"][counts].tolist())
            return result

    monkeypatch.setattr(module, "LockstepGames", Recording)
    levels = [7, 2**31 - 2, 500, 12, 13, 14]
    play("bossfight", Looking(forbidden=(NO_OP,)), levels, num_envs=4, episodes_per_level=3)
    assert sorted(played) == sorted(levels * 3)


def test_same_seed_same_episodes_other_seed_other_episodes():
    levels = [1, 2, 3]
    first, again, other = (
        rows(play("bossfight", Looking(), levels, episodes_per_level=2, seed=seed))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert any(first[level, 0] != first[level, 1] for level in levels)


def test_greedy_episodes_follow_from_the_level_alone():
    first, other = (
        rows(play("bossfight", Looking(), [1, 2], mode="greedy", seed=seed)) for seed in (1, 2)
    )
    assert first == other


def test_a_level_that_ends_in_one_step_and_one_that_ends_with_the_time_limit():
    hard = ProcgenOptions()
    assert rows(play("jumper", Always(NO_OP), [58, 59], options=hard, num_envs=1))[58, 0] == (
        0.0, 1, False,
    )  # fmt: skip
    table = play("bossfight", Always(LEFT), [11, 3], options=hard, num_envs=2, mode="greedy")
    assert rows(table) == {(11, 0): (0.0, 24, False), (3, 0): (0.0, 4000, False)}


def test_solved_levels_are_counted_as_such():
    flat = dataclasses.replace(EASY, debug_mode=14)
    table = play("coinrun", Always(RIGHT), [0, 3, 4], options=flat, mode="greedy")
    assert table.solved.tolist() == [False, True, True]
    assert table.returns.tolist() == [0.0, 10.0, 10.0]
    assert not play("maze", Always(NO_OP), [0]).solved.any()


def test_first_finishers_are_shorter_than_episodes_played_to_their_end():
    """What would be counted if games played on until enough episodes had finished."""
    n = 48
    env = ProcgenVectorEnv("dodgeball", n, seed=0, options=EASY, num_threads=0)
    rng = np.random.default_rng(0)
    lengths, finished = np.zeros(n, dtype=int), []
    while len(finished) < n:
        _, _, terminated, truncated, _ = env.step(rng.integers(15, size=n))
        lengths += 1
        over = terminated | truncated
        finished += lengths[over].tolist()
        lengths[over] = 0
    table = play("dodgeball", Uniform(), LevelSet().sample(n, 0), num_envs=n)
    assert np.mean(finished) < 0.8 * table.mean("lengths").low


# Numbers


def test_the_interval_is_over_levels_by_hand():
    """Levels' means 1 and 5: mean 3, standard error 2, and t is 12.706 with one degree."""
    mean, low, high = table_of([8, 9], 2, [0, 2, 4, 6]).mean()
    assert mean == 3
    assert (low, high) == pytest.approx((3 - 2 * 12.7062, 3 + 2 * 12.7062), rel=1e-5)


def test_repeating_the_same_episodes_makes_nothing_surer():
    returns = [1.0, 4.0, 2.0, 8.0]
    once = table_of([1, 2, 3, 4], 1, returns)
    thrice = table_of([1, 2, 3, 4], 3, np.repeat(returns, 3).tolist())
    assert thrice.mean() == pytest.approx(once.mean())


def test_a_single_level_has_no_interval():
    mean, low, high = table_of([5], 2, [1, 2]).mean()
    assert mean == 1.5
    assert np.isnan([low, high]).all()


def test_episodes_on_some_levels_keep_their_numbers():
    part = table_of([5, 6, 7], 2, [0, 1, 2, 3, 4, 5]).on([7, 5])
    assert part.levels.tolist() == [5, 5, 7, 7]
    assert part.by_level("returns").tolist() == [[0, 1], [4, 5]]
    assert part.by_level("lengths").tolist() == [[1, 2], [5, 6]]


def test_welchs_interval_by_hand():
    """Means 1 and 2, variances of the means 1 and 1: t with two degrees of freedom is 4.3027."""
    found = welch(np.array([0.0, 2.0]), np.array([1.0, 3.0]))
    half = 4.3026527 * np.sqrt(2)
    assert found == pytest.approx((-1, -1 - half, -1 + half))


def test_welchs_interval_agrees_with_scipy():
    rng = np.random.default_rng(0)
    left, right = rng.normal(0, 1, 12), rng.normal(1, 5, 40)
    expected = scipy.stats.ttest_ind(left, right, equal_var=False).confidence_interval(0.95)
    assert welch(left, right)[1:] == pytest.approx((expected.low, expected.high))


def test_welchs_interval_of_values_that_do_not_vary_is_a_point():
    assert welch(np.full(3, 10.0), np.full(4, 7.5)) == (2.5, 2.5, 2.5)
    assert np.isnan(welch(np.ones(1), np.ones(5))[1:]).all()


# A run's agents


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(tiny(), SHORT, n_levels=4, episodes_per_level=2, seed=5, num_envs=8)


def test_agents_and_their_mixture_meet_the_same_levels(evaluation):
    assert list(evaluation.tables) == ["agent 0", "agent 1", "mixture"]
    assert evaluation.levels["train"] == [0, 1, 2]
    assert evaluation.levels["test"] == SHORT.levels.test.sample(4, 5)
    for by_mode in evaluation.tables.values():
        for mode, quota in (("sampled", 2), ("greedy", 1)):
            for split, table in by_mode[mode].items():
                assert table.by_level("levels").tolist() == [
                    [level] * quota for level in evaluation.levels[split]
                ]


def test_the_gap_is_train_minus_test_by_hand():
    """9 - 2, squared errors of the means 1 and 1/3, 32/19 degrees of freedom."""
    by_split = {"train": table_of([1, 2], 1, [8, 10]), "test": table_of([5, 6, 7], 1, [1, 2, 3])}
    found = Evaluation(
        config=ALONE,
        update=3,
        seed=0,
        levels={"train": [1, 2], "test": [5, 6, 7]},
        tables={"agent 0": {"sampled": by_split, "greedy": by_split}},
    )
    half = scipy.stats.t.ppf(0.975, 32 / 19) * np.sqrt(4 / 3)
    assert found.gap("agent 0", "greedy") == pytest.approx((7, 7 - half, 7 + half))
    row = f"agent 0 │ sampled │ 9.00 ±12.71 │ 2.00 ±2.48 │ +7.00 ±{half:.2f} │ 67% │ 2 │"
    assert row in text(found.table())


def test_every_return_is_kept_and_can_be_written(evaluation):
    content = json.loads(json.dumps(evaluation.to_json()))
    assert (content["update"], content["seed"]) == (0, 5)
    assert content["levels"] == evaluation.levels
    for name, by_mode in evaluation.tables.items():
        for mode, by_split in by_mode.items():
            for split, table in by_split.items():
                kept = content["policies"][name][mode][split]
                assert np.ravel(kept["returns"]).tolist() == table.returns.tolist()
                assert np.ravel(kept["lengths"]).tolist() == table.lengths.tolist()
                assert np.ravel(kept["solved"]).tolist() == table.solved.tolist()
                assert kept["mean"] == pytest.approx(table.returns.mean())


def test_the_table_has_a_row_per_policy_and_mode_and_says_what_was_done(evaluation):
    shown = text(evaluation.table())
    for words in (
        "fruitbot, hard, after 0 updates",
        "Gap: train minus test.",
        "agent 0 │ sampled",
        "agent 1 │ greedy",
        "mixture │ sampled",
        "All 3 training levels and 4 test levels, each played 2 times with sampled actions",
        "Welch's",
        "the greedy mean is exact",
    ):
        assert words in shown
    some = dataclasses.replace(SHORT, train_levels=500)
    assert "exact" not in dataclasses.replace(evaluation, config=some).caption()


def test_a_given_evaluator_changes_nothing_and_stays_open(evaluation):
    with Evaluator(SHORT.game, SHORT.options, num_envs=8, num_threads=0) as evaluator:
        evaluator.run(Uniform(), [1, 2], mode="sampled")
        found = evaluate(
            tiny(), SHORT, n_levels=4, episodes_per_level=2, seed=5, evaluator=evaluator
        )
        assert found.to_json() == evaluation.to_json()
        evaluator.run(Uniform(), [1], mode="sampled")


def test_one_agent_has_no_mixture():
    found = evaluate(tiny(ALONE), ALONE, n_levels=1, num_envs=2)
    assert list(found.tables) == ["agent 0"]
    assert "±" not in text(found.table())


def test_the_mixture_has_the_mean_of_the_probabilities():
    agents = untrained()
    seen, _ = ProcgenVectorEnv("fruitbot", 3, num_threads=0).reset()
    expected = (agents[0].probabilities(seen) + agents[1].probabilities(seen)) / 2
    np.testing.assert_allclose(mixture(agents).probabilities(seen), expected, rtol=1e-5)
    assert not np.allclose(agents[0].probabilities(seen), expected, rtol=1e-5)


def test_a_run_is_evaluated_from_its_files(tmp_path):
    path = tmp_path / "exported.safetensors"
    metadata = {"update": "7", "config": SHORT.to_json()}
    tensor_file.write(path, build_networks(SHORT).state_dict(), metadata)
    found = evaluate_run(path, n_levels=1, seed=5, num_envs=2, device="cpu")
    expected = evaluate(untrained(), SHORT, n_levels=1, seed=5, num_envs=2)
    assert found.to_json() == {**expected.to_json(), "update": 7}
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        evaluate_run(path, n_levels=1, device="gpu")
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        evaluate_run(Path("none"), n_levels=1)


def test_progress_only_grows_and_ends_at_one():
    told: list[tuple[str, float]] = []
    evaluate(tiny(ALONE), ALONE, n_levels=3, num_envs=2, on_progress=lambda *t: told.append(t))
    assert [name for name, _ in told][:: len(told) - 1] == ["agent 0, sampled", "agent 0, greedy"]
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert shares[0] <= 0.25


# The official protocol


def naive_official(policy: Looking, game: str, level_seed: int, action_seed: Any) -> list[Any]:
    env = ProcgenVectorEnv(game, 4, seed=level_seed, num_threads=0)
    rng = np.random.default_rng(action_seed)
    seen, _ = env.reset()
    running, finished = [[0.0, 0] for _ in range(4)], []
    while len(finished) < 10:
        likely = [policy.row(pixels).astype(np.float32).cumsum()[:-1] for pixels in seen]
        drawn = rng.random(4, dtype=np.float32)
        actions = [np.searchsorted(*pair, side="right") for pair in zip(likely, drawn, strict=True)]
        seen, reward, terminated, truncated, infos = env.step(np.array(actions))
        for i, episode in enumerate(running):
            episode[0] += float(reward[i])
            episode[1] += 1
            if terminated[i] or truncated[i]:
                finished.append((*episode, int(infos["prev_level_seed"][i])))
                running[i] = [0.0, 0]
    env.close()
    return finished


def as_list(found: Any) -> list[Any]:
    columns = (found.returns, found.lengths, found.levels)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_the_official_protocol_is_the_naive_one():
    for game, level_seed, action_seed in (("bossfight", 42, 0), ("starpilot", 7, (1, 2))):
        found = official(Looking(), game, seed=level_seed, action_seed=action_seed)
        expected = naive_official(Looking(), game, level_seed, action_seed)
        assert as_list(found) == expected
        assert found.mean == pytest.approx(np.mean([e[0] for e in expected]))


def test_all_episodes_of_the_last_step_count():
    """With one action that does nothing, all four games of plunder end at once."""
    found = official(Always(NO_OP), "plunder")
    assert len(found.returns) == 12
    assert len(set(found.lengths.tolist())) == 1


def test_official_games_that_are_kept_give_the_same_as_new_ones():
    new = as_list(official(Looking(), "dodgeball", action_seed=3))
    with OfficialEvaluator("dodgeball") as kept:
        for _ in range(3):
            assert as_list(kept.run(Looking(), action_seed=3)) == new
            other = kept.run(Uniform(), action_seed=4)
    assert as_list(other) != new
    assert other.name == "uniform"


def test_the_official_protocol_counts_short_episodes_of_an_untrained_network():
    config = dataclasses.replace(ALONE, env="procgen:dodgeball", distribution_mode="easy")
    policy = untrained(config)[0]
    counted = np.concatenate(
        [official(policy, "dodgeball", EASY, action_seed=seed).lengths for seed in range(3)]
    )
    table = play("dodgeball", policy, config.levels.test.sample(24, 0), num_envs=24)
    assert counted.mean() < 0.6 * table.lengths.mean()


def test_a_comparison_measures_the_bias_towards_short_episodes():
    config = dataclasses.replace(ALONE, env="procgen:dodgeball", distribution_mode="easy")
    told: list[float] = []
    found = compare_protocols(
        tiny(config)[0], n_levels=100, on_progress=lambda _, share: told.append(share)
    )
    assert found.bias("lengths").high < 0
    counted = np.mean([one.lengths.mean() for one in found.elsewhere])
    assert found.bias("lengths").mean == pytest.approx(counted - found.unbiased.lengths.mean())
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    shown = text(found.table())
    for words in (
        "dodgeball, easy, agent 0, sampled",
        "every episode to its end",
        "in 20 repetitions",
        f"last {counted:.0f} steps on average",
        "What finishes early is counted",
    ):
        assert words in shown
    content = json.loads(json.dumps(found.to_json()))
    assert content["unbiased"]["levels"] == config.levels.test.sample(100, 0)
    assert [one["returns"] for one in content["official"]] == [
        one.returns.tolist() for one in found.official
    ]


def test_official_repetitions_share_their_first_levels_and_the_others_do_not():
    found = compare_protocols(tiny(ALONE)[0], n_levels=2, repetitions=3, num_envs=2)

    def common(repetitions: Sequence[Any]) -> set[int]:
        return set.intersection(*(set(one.levels.tolist()) for one in repetitions))

    assert len(common(found.official)) >= 4
    assert not common(found.elsewhere)
    assert as_list(found.official[1]) == as_list(
        official(tiny(ALONE)[0], "fruitbot", action_seed=(0, 1))
    )


def test_a_comparison_says_when_no_bias_is_seen():
    found = compare_protocols(tiny(ALONE)[0], n_levels=2, repetitions=2, num_envs=2)
    short = table_of([1, 2], 1, [0, 0])
    assert "does not show here" in dataclasses.replace(found, unbiased=short).explanation()


def test_all_agents_of_a_run_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(official_module, "OFFICIAL_EPISODES", 1)
    path = tmp_path / "exported.safetensors"
    metadata = {"update": "0", "config": SHORT.to_json()}
    tensor_file.write(path, build_networks(SHORT).state_dict(), metadata)
    told: list[float] = []
    found = compare_protocols_of_run(
        path, n_levels=2, repetitions=2, num_envs=2, on_progress=lambda _, t: told.append(t)
    )
    assert [one.name for one in found] == ["agent 0", "agent 1"]
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)


# While training


def test_what_is_due_after_which_update():
    evaluations = TrainingEvaluations(SHORT)
    assert [evaluations.due(update) for update in range(1, 11)] == [
        (update in (2, 4, 6, 8, 10), update in (3, 6, 9)) for update in range(1, 11)
    ]
    never = TrainingEvaluations(
        dataclasses.replace(SHORT, evaluate_every=0, official_evaluation_every=0)
    )
    assert [u for u in range(1, 11) if any(never.due(u))] == [10]
    assert never.due(10) == (True, False)


def test_lines_are_a_function_of_networks_and_update():
    networks = tiny_networks().train()
    with TrainingEvaluations(SHORT) as kept, TrainingEvaluations(SHORT) as new:
        assert kept.line(networks, 1) is None
        kept.line(networks, 2)
        lines = [evaluations.line(networks, 6) for evaluations in (kept, new)]
    assert json.dumps(lines[0]) == json.dumps(lines[1])
    assert networks.training
    line = lines[0]
    assert line is not None
    assert list(line) == ["update", "steps", "unbiased", "official"]
    assert (line["update"], line["steps"]) == (6, 6 * 128)
    assert list(line["unbiased"]["policies"]) == ["agent 0", "agent 1", "mixture"]
    assert np.shape(line["unbiased"]["policies"]["mixture"]["greedy"]["test"]["returns"]) == (2, 1)
    assert list(line["official"]) == ["agent 0", "agent 1"]
    for result in line["official"].values():
        assert len(result["returns"]) == len(result["levels"]) >= 10


def test_lines_hold_what_is_due_only():
    networks = tiny_networks()
    with TrainingEvaluations(SHORT) as evaluations:
        third, last = (evaluations.line(networks, update) or {} for update in (3, 10))
    assert list(third) == ["update", "steps", "official"]
    assert list(last) == ["update", "steps", "unbiased"]


def test_lines_repeat_what_the_evaluations_say():
    networks = tiny_networks()
    with TrainingEvaluations(SHORT) as evaluations:
        third, last = (evaluations.line(networks, update) or {} for update in (3, 10))
    for policy in tiny():
        found = official(policy, "fruitbot", action_seed=(SHORT.seed, 3))
        assert third["official"][policy.name] == found.to_json()
    expected = evaluate(tiny(), SHORT, n_levels=2, seed=SHORT.seed, num_envs=4)
    assert last["unbiased"] == {**expected.to_json(), "update": 10}


# Errors

ERRORS: list[tuple[Callable[[], Any], str]] = [
    (lambda: play("maze", Uniform(), []), "levels must be at least one, got none"),
    (lambda: play("maze", Uniform(), [3, 1, 3]), "levels must differ, got 3 twice"),
    (lambda: play("maze", Uniform(), [3, -1]), "levels[1] must be from 0 to 2147483646, got -1"),
    (lambda: play("maze", Uniform(), [2**31 - 1]),
     "levels[0] must be from 0 to 2147483646, got 2147483647"),
    (lambda: play("maze", Uniform(), [0.5]), "levels[0] must be a whole number, got 0.5"),
    (lambda: play("maze", Uniform(), [1], mode="gready"),
     "unknown mode 'gready': did you mean 'greedy'? known are sampled, greedy"),
    (lambda: play("maze", Uniform(), [1], mode="greedy", episodes_per_level=2),
     "episodes_per_level must be 1 for greedy actions, which play a level always the same way,"
     " got 2"),
    (lambda: play("maze", Uniform(), [1], episodes_per_level=0),
     "episodes_per_level must be from 1 to 1000000, got 0"),
    (lambda: play("maze", Uniform(), [1], episodes_per_level=True),
     "episodes_per_level must be a whole number, got True"),
    (lambda: play("maze", Uniform(), [1], seed=-1), f"seed must be from 0 to {2**63 - 1}, got -1"),
    (lambda: Evaluator("maze", ProcgenOptions(use_sequential_levels=True)),
     "use_sequential_levels must be false to evaluate on fixed levels, got true"),
    (lambda: Evaluator("maze", ProcgenOptions(use_generated_assets=True)),
     "use_generated_assets must be false to evaluate on fixed levels, got true"),
    (lambda: Evaluator("mace"), "unknown game 'mace': did you mean 'maze'?"),
    (lambda: Evaluator("maze", num_envs=0), "num_envs must be from 1 to 100000, got 0"),
    (lambda: evaluate([], SHORT, n_levels=1), "policies must be at least one, got none"),
    (lambda: evaluate([tiny()[0]] * 2, SHORT, n_levels=1),
     "policies must have different names, got agent 0, agent 0"),
    (lambda: evaluate(tiny(), SHORT, n_levels=0),
     "n_levels must be from 1 to 1000000, got 0"),
    (lambda: evaluate(tiny(), SHORT, n_levels=1.5),
     "n_levels must be a whole number, got 1.5"),
    (lambda: evaluate(tiny(), SHORT, n_levels=1, episodes_per_level=0),
     "episodes_per_level must be from 1 to 1000000, got 0"),
    (lambda: evaluate(tiny(), SHORT, n_levels=1, seed=-1),
     f"seed must be from 0 to {2**63 - 1}, got -1"),
    (lambda: evaluate(tiny(), SHORT, n_levels=1, evaluator=Evaluator("maze", num_envs=1)),
     "evaluator must have game fruitbot, got maze"),
    (lambda: evaluate(tiny(), SHORT, n_levels=1,
                      evaluator=Evaluator("fruitbot", EASY, num_envs=1)),
     "evaluator must have options ProcgenOptions(distribution_mode='hard', "),
    (lambda: compare_protocols(tiny()[0], n_levels=1),
     "n_levels must be from 2 to 1000000, got 1"),
    (lambda: compare_protocols(tiny()[0], repetitions=1),
     "repetitions must be from 2 to 1000000, got 1"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[message for _, message in ERRORS])
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        call()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_probabilities_that_are_no_numbers_are_refused():
    with pytest.raises(ArithmeticError, match=r"^probabilities of broken must be finite, got nan$"):
        play("maze", Broken(), [1])
    with pytest.raises(ArithmeticError, match=r"^probabilities of broken must be finite, got nan$"):
        official(Broken(), "maze")
