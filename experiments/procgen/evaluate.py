"""How good frozen policies are: on fixed levels without bias, and by the official protocol.

Without bias: every level of a list is played the same number of times, each episode to its end.
Whoever counts the first episodes to finish of games played side by side counts short ones; the
official protocol does (the first ten or so of four games), `compare_protocols` shows by how much.

An episode is a function of policy, level, actions' seed and the episode's number alone: not of what
was played before, beside or after it, up to the rounding of networks whose batches differ in size.
So policies that are evaluated with one seed meet the same levels and the same random numbers.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import scipy.stats
import torch
from rich.table import Table

from experiments.envs.procgen import ACTIONS, LevelSet, ProcgenOptions, ProcgenVectorEnv
from experiments.envs.procgen.levels import END
from experiments.envs.procgen.state import with_levels
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.learner import Networks
from experiments.procgen.policy import Policy, load_policies, mixture
from experiments.procgen.rollout import choose
from mdtheory import validation
from mdtheory.intervals import LEVEL, Band, band

Mode = Literal["sampled", "greedy"]
Progress = Callable[[str, float], None]
"""Told what is being done and the share of it that is."""

MODES: tuple[Mode, ...] = ("sampled", "greedy")
SPLITS = ("train", "test")
OFFICIAL_ENVS, OFFICIAL_EPISODES, OFFICIAL_SEED = 4, 10, 42
"""Games, least number of episodes, and seed of the levels, in the official code."""

_NO_OP = ACTIONS.index("no-op")
_END_EPISODE = -1
_FREE = -1
_BLOCK = 256
_MOST = 10**6


class Player(Protocol):
    """What is evaluated: a `Policy`, or anything with its name and probabilities."""

    @property
    def name(self) -> str: ...

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        """Action probabilities [n, 15] of pixels uint8 [n, 64, 64, 3]."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class EpisodeTable:
    """Episodes, the same number on each level, each an entry of all arrays [n], level by level.

    Attributes:
        levels: the level played.
        episodes: the episode's number on its level, from 0.
        returns: sum of the game's own rewards.
        lengths: in steps.
        solved: whether the game calls the level complete.
    """

    levels: np.ndarray
    episodes: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray
    solved: np.ndarray

    def __len__(self) -> int:
        return len(self.levels)

    def on(self, levels: Sequence[int]) -> EpisodeTable:
        """The episodes on some of the levels."""
        chosen = np.isin(self.levels, levels)
        return EpisodeTable(**{f.name: getattr(self, f.name)[chosen] for f in _COLUMNS})

    def by_level(self, column: str) -> np.ndarray:
        """A column as [level, episode]."""
        return getattr(self, column).reshape(-1, 1 + int(self.episodes.max()))

    def mean(self, column: str = "returns") -> Band:
        """Mean of a column with the 95 % Student interval over the levels' means.

        The interval is about the mean over all levels that these are independent draws of: test
        levels of all levels there are.  Episodes on one level are no independent draws, so they
        only make the level's mean surer.  If the levels are a whole training set, the set's own
        mean is unsure by the actions' sampling noise only (greedy: not at all), and this interval,
        too wide for that, is about other training levels that one might have drawn.
        """
        return _band(self.by_level(column).mean(axis=-1))

    def to_json(self) -> dict[str, Any]:
        """Mean return, and everything but the levels, each [level, episode]."""
        return {
            "mean": self.mean().mean,
            **{name: self.by_level(name).tolist() for name in ("returns", "lengths", "solved")},
        }


_COLUMNS = dataclasses.fields(EpisodeTable)


def welch(left: np.ndarray, right: np.ndarray) -> Band:
    """Difference of the means of two independent samples with Welch's 95 % interval.

    Variances may differ; nan ends if a sample has a single value.
    """
    difference = float(left.mean() - right.mean())
    sizes = np.array([len(left), len(right)])
    if sizes.min() < 2:
        return Band(difference, float("nan"), float("nan"))
    errors = np.array([left.var(ddof=1), right.var(ddof=1)]) / sizes  # of the means, squared
    if not errors.any():
        return Band(difference, difference, difference)
    freedom = errors.sum() ** 2 / (errors**2 / (sizes - 1)).sum()
    half = float(scipy.stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(errors.sum()))
    return Band(difference, difference - half, difference + half)


def uniforms(seed: int, level: int, episode: int) -> Iterator[np.float32]:
    """The random numbers of one episode's actions, without end."""
    rng = np.random.default_rng([seed, level, episode])
    while True:
        yield from rng.random(_BLOCK, dtype=np.float32)


_Games = TypeVar("_Games", bound="_Closing")


class _Closing(ABC):
    """Closes at the end of a `with`."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self: _Games) -> _Games:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Evaluator(_Closing):
    """Games that are built once and play whatever level is asked for; a context manager.

    Every episode begins in the same state, that of the first game just built, but for the level.
    (In dodgeball, what a game has played before can show in its pictures.)

    Args:
        game: one of `GAMES`.
        options: of the game; by default Procgen's own.
        num_envs: games played in parallel.
        num_threads: of the library.

    Raises:
        ValueError: options under which a game leaves its level or has no states.
    """

    def __init__(
        self,
        game: str,
        options: ProcgenOptions | None = None,
        *,
        num_envs: int = 64,
        num_threads: int = 4,
    ) -> None:
        self.game, self.options = game, ProcgenOptions() if options is None else options
        for name in ("use_sequential_levels", "use_generated_assets"):
            if getattr(self.options, name):
                raise ValueError(f"{name} must be false to evaluate on fixed levels, got true")
        self._env = ProcgenVectorEnv(
            game, num_envs, options=self.options, num_threads=num_threads, copy=False
        )
        self._start = self._env.get_state()[0]

    def run(
        self,
        policy: Player,
        levels: Sequence[int],
        *,
        mode: Mode,
        episodes_per_level: int = 1,
        seed: int = 0,
        on_progress: Progress | None = None,
    ) -> EpisodeTable:
        """Play every level the same number of times.

        Args:
            policy: who plays.
            levels: different levels, in any order.
            mode: "sampled" draws actions, "greedy" takes a most probable one.
            episodes_per_level: 1 for greedy, which plays a level always the same way.
            seed: of the actions' random numbers.
            on_progress: told of every step in which an episode ended.

        Raises:
            ValueError: naming the argument and its value.
            ArithmeticError: the policy's probabilities are not finite.
        """
        _check_levels(levels)
        _check_mode(mode, episodes_per_level)
        _require_whole("seed", seed, 0, 2**63 - 1)
        level = np.repeat(np.array(levels, dtype=np.int64), episodes_per_level)
        table = EpisodeTable(
            levels=level,
            episodes=np.tile(np.arange(episodes_per_level), len(levels)),
            returns=np.zeros(len(level)),
            lengths=np.zeros(len(level), dtype=np.int64),
            solved=np.zeros(len(level), dtype=bool),
        )
        ended = 0
        for count in self._play(policy, table, seed if mode == "sampled" else None):
            ended += count
            if on_progress is not None and count:
                on_progress(f"{policy.name}, {mode}", ended / len(table))
        return table

    def _play(self, policy: Player, table: EpisodeTable, seed: int | None) -> Iterator[int]:
        """Fill the table, greedily without a seed; yields how many episodes each step ended."""
        env = self._env
        waiting = deque(range(len(table)))
        row = np.full(env.num_envs, _FREE)  # of the table, by game
        noise: dict[int, Iterator[np.float32]] = {}
        while waiting or (row != _FREE).any():
            actions = np.full(env.num_envs, _NO_OP)
            playing, free = np.flatnonzero(row != _FREE), np.flatnonzero(row == _FREE)
            if len(playing):
                seen, _ = env.current()
                drawn = None if seed is None else [next(noise[game]) for game in playing.tolist()]
                actions[playing] = _choose_actions(policy, seen[playing], drawn)
            for game in free[: len(waiting)].tolist():
                row[game] = waiting.popleft()
                level, episode = (int(c[row[game]]) for c in (table.levels, table.episodes))
                env.set_one_state(game, with_levels(self._start, level, level + 1))
                actions[game] = _END_EPISODE
                if seed is not None:
                    noise[game] = uniforms(seed, level, episode)
            _, reward, terminated, truncated, infos = env.step(actions)
            table.returns[row[playing]] += reward[playing]
            table.lengths[row[playing]] += 1
            over = playing[(terminated | truncated)[playing]]
            table.solved[row[over]] = infos["prev_level_complete"][over] != 0
            row[over] = _FREE
            yield len(over)

    def close(self) -> None:
        self._env.close()


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """Agents, and the mixture of several, on training and test levels, sampled and greedy.

    Attributes:
        config: of the run.
        update: updates after which the policies were saved.
        seed: of the choice of levels and of the actions.
        levels: "train" and "test" to the levels played.
        tables: policy's name -> mode -> "train" or "test" -> episodes.
    """

    config: ProcgenConfig
    update: int
    seed: int
    levels: Mapping[str, Sequence[int]]
    tables: Mapping[str, Mapping[str, Mapping[str, EpisodeTable]]]

    def gap(self, name: str, mode: Mode) -> Band:
        """Mean return on training levels minus that on test levels, with Welch's 95 % interval
        over the levels' means."""
        train, test = (self.tables[name][mode][split] for split in SPLITS)
        return welch(train.by_level("returns").mean(-1), test.by_level("returns").mean(-1))

    def to_json(self) -> dict[str, Any]:
        """Everything but the configuration."""
        return {
            "update": self.update,
            "seed": self.seed,
            "levels": {split: list(levels) for split, levels in self.levels.items()},
            "policies": {
                name: {
                    mode: {split: table.to_json() for split, table in by_split.items()}
                    for mode, by_split in by_mode.items()
                }
                for name, by_mode in self.tables.items()
            },
        }

    def table(self) -> Table:
        """For the terminal."""
        shown = Table(
            title=f"{self.config.game}, {self.config.distribution_mode}, after {self.update}"
            " updates: mean return and 95 % interval",
            caption=self.caption(),
            title_justify="left",
            caption_justify="left",
        )
        for header in ("policy", "actions"):
            shown.add_column(header, no_wrap=True)
        for header in ("train", "test", "gap", "solved", "steps"):
            shown.add_column(header, justify="right", no_wrap=True)
        for name, by_mode in self.tables.items():
            for mode in MODES:
                train, test = (by_mode[mode][split] for split in SPLITS)
                shown.add_row(
                    name,
                    mode,
                    _with_half_width(train.mean()),
                    _with_half_width(test.mean()),
                    _with_half_width(self.gap(name, mode), "+"),
                    f"{test.solved.mean():.0%}",
                    f"{test.lengths.mean():.0f}",
                )
        return shown

    def caption(self) -> str:
        """What was played, and what the intervals are about."""
        n_train, n_test = (len(self.levels[split]) for split in SPLITS)
        n_sampled = len(next(iter(self.tables.values()))["sampled"]["test"])
        every = n_train == len(self.config.levels.train)
        text = (
            f"{'All ' if every else ''}{n_train} training levels and {n_test} test levels, each"
            f" played {_times(n_sampled // n_test)} with sampled actions and once with greedy ones,"
            " every episode to its end. Gap: train minus test. Solved and steps: on test levels."
            " Intervals: Student's over the levels' means, Welch's for the gap."
        )
        if every:
            text += (
                " On these training levels the greedy mean is exact and the sampled one unsure"
                " only by the draw of actions; their intervals, and so that of the gap, are about"
                " other training levels drawn alike."
            )
        return text


def evaluate(
    policies: Sequence[Policy],
    config: ProcgenConfig,
    *,
    n_levels: int,
    episodes_per_level: int = 1,
    seed: int = 0,
    evaluator: Evaluator | None = None,
    num_envs: int = 64,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a run's agents and, if there are several, their mixture.

    Args:
        policies: the agents.
        config: of their run.
        n_levels: training levels drawn, and test levels drawn; all training levels if there are no
            more than that.
        episodes_per_level: with sampled actions; greedily each level is played once.
        seed: of the choice of levels and of the actions.
        evaluator: of the run's game and options; otherwise built, with `num_envs` games, and
            closed.
        num_envs: games played in parallel, if no evaluator is given.
        on_progress: told the share of episodes played.

    Raises:
        ValueError: naming the argument and its value.
    """
    _require_whole("n_levels", n_levels, 1, _MOST)
    _check_mode("sampled", episodes_per_level)
    _require_whole("seed", seed, 0, 2**63 - 1)
    if not policies:
        raise ValueError("policies must be at least one, got none")
    names = [policy.name for policy in policies]
    if len(set(names)) < len(names):
        raise ValueError(f"policies must have different names, got {', '.join(names)}")
    for name in ("game", "options"):
        if evaluator is not None and getattr(evaluator, name) != getattr(config, name):
            raise ValueError(
                f"evaluator must have {name} {getattr(config, name)}, got"
                f" {getattr(evaluator, name)}"
            )
    levels = {split: _sample(getattr(config.levels, split), n_levels, seed) for split in SPLITS}
    everybody = [*policies, mixture(list(policies))] if len(policies) > 1 else list(policies)
    quotas = {"sampled": episodes_per_level, "greedy": 1}
    tables: dict[str, dict[str, dict[str, EpisodeTable]]] = {}
    done, total = 0, len(everybody) * sum(quotas.values())
    with _evaluator(config, num_envs) if evaluator is None else nullcontext(evaluator) as games:
        for policy in everybody:
            tables[policy.name] = {}
            for mode in MODES:
                played = games.run(
                    policy,
                    [*levels["train"], *levels["test"]],
                    mode=mode,
                    episodes_per_level=quotas[mode],
                    seed=seed,
                    on_progress=_part(on_progress, done / total, quotas[mode] / total),
                )
                tables[policy.name][mode] = {split: played.on(levels[split]) for split in SPLITS}
                done += quotas[mode]
    return Evaluation(
        config=config, update=policies[0].update, seed=seed, levels=levels, tables=tables
    )


def evaluate_run(
    run: Path,
    *,
    n_levels: int,
    episodes_per_level: int = 1,
    seed: int = 0,
    num_envs: int = 64,
    device: str = "auto",
    on_progress: Progress | None = None,
) -> Evaluation:
    """`evaluate` the agents of a run's last checkpoint, or of an exported file.

    Raises:
        FileNotFoundError, ValueError: as `load_policies` and `evaluate`; or there is no such
            device.
    """
    policies = _load(run, device)
    return evaluate(
        policies,
        policies[0].config,
        n_levels=n_levels,
        episodes_per_level=episodes_per_level,
        seed=seed,
        num_envs=num_envs,
        on_progress=on_progress,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class OfficialEvaluation:
    """Episodes in the order in which they finished, each an entry of all arrays [n].

    Attributes:
        name: of the policy.
        returns: sum of the game's own rewards.
        lengths: in steps.
        levels: the level played.
    """

    name: str
    returns: np.ndarray
    lengths: np.ndarray
    levels: np.ndarray

    @property
    def mean(self) -> float:
        """The number that the official code reports."""
        return float(self.returns.mean())

    def to_json(self) -> dict[str, Any]:
        columns = {name: getattr(self, name).tolist() for name in ("returns", "lengths", "levels")}
        return {"mean": self.mean, **columns}


class OfficialEvaluator(_Closing):
    """The four games of the official protocol, put back to their beginning before each run.

    Args:
        game: one of `GAMES`.
        options: of the game; by default Procgen's own.
        seed: of the levels.
    """

    def __init__(
        self, game: str, options: ProcgenOptions | None = None, *, seed: int = OFFICIAL_SEED
    ) -> None:
        self._env = ProcgenVectorEnv(
            game, OFFICIAL_ENVS, levels=LevelSet(), seed=seed, options=options, copy=False
        )
        self._start = self._env.get_state()

    def run(self, policy: Player, action_seed: int | Sequence[int] = 0) -> OfficialEvaluation:
        """Play until at least ten episodes have finished.

        Raises:
            ArithmeticError: the policy's probabilities are not finite.
        """
        rng = np.random.default_rng(action_seed)
        seen, _ = self._env.set_state(self._start)
        returns, lengths = np.zeros(OFFICIAL_ENVS), np.zeros(OFFICIAL_ENVS, dtype=np.int64)
        finished: list[tuple[float, int, int]] = []
        while len(finished) < OFFICIAL_EPISODES:
            drawn = rng.random(OFFICIAL_ENVS, dtype=np.float32)
            seen, reward, terminated, truncated, infos = self._env.step(
                _choose_actions(policy, seen, drawn)
            )
            returns += reward
            lengths += 1
            over = terminated | truncated
            columns = (returns, lengths, infos["prev_level_seed"])
            finished += zip(*(column[over].tolist() for column in columns), strict=True)
            returns[over], lengths[over] = 0, 0
        names = ("returns", "lengths", "levels")
        arrays = dict(zip(names, map(np.array, zip(*finished, strict=True)), strict=True))
        return OfficialEvaluation(name=policy.name, **arrays)

    def close(self) -> None:
        self._env.close()


def official(
    policy: Player,
    game: str,
    options: ProcgenOptions | None = None,
    *,
    seed: int = OFFICIAL_SEED,
    action_seed: int | Sequence[int] = 0,
) -> OfficialEvaluation:
    """The official code's evaluation of arXiv 2501.02481: four new games on all levels, sampled
    actions, and the mean of the first episodes to finish, ten or as many more as end in the same
    step as the tenth."""
    with OfficialEvaluator(game, options, seed=seed) as evaluator:
        return evaluator.run(policy, action_seed)


@dataclass(frozen=True, eq=False, kw_only=True)
class ProtocolComparison:
    """One policy by the official protocol and without bias, with sampled actions.

    Attributes:
        config: of the run.
        official: repetitions that differ in the actions' random numbers only.
        elsewhere: repetitions that differ in the levels too, as no official ones do: what is left
            of the difference then is no luck with the levels.
        unbiased: episodes on test levels.
    """

    config: ProcgenConfig
    official: Sequence[OfficialEvaluation]
    elsewhere: Sequence[OfficialEvaluation]
    unbiased: EpisodeTable

    @property
    def name(self) -> str:
        """Of the policy."""
        return self.official[0].name

    def bias(self, column: str) -> Band:
        """What the official protocol adds to the mean of a column ("returns" or "lengths"), with
        Welch's 95 % interval: repetitions elsewhere against levels."""
        return welch(_means(self.elsewhere, column), self.unbiased.by_level(column).mean(axis=-1))

    def to_json(self) -> dict[str, Any]:
        levels = self.unbiased.by_level("levels")[:, 0].tolist()
        return {
            "official": [one.to_json() for one in self.official],
            "elsewhere": [one.to_json() for one in self.elsewhere],
            "unbiased": {"levels": levels, **self.unbiased.to_json()},
        }

    def table(self) -> Table:
        """For the terminal."""
        shown = Table(
            title=f"{self.config.game}, {self.config.distribution_mode}, {self.name}, sampled"
            " actions: means and 95 % intervals",
            caption=self.explanation(),
            title_justify="left",
            caption_justify="left",
        )
        shown.add_column("protocol", no_wrap=True)
        for header in ("return", "steps", "median", "episodes", "levels"):
            shown.add_column(header, justify="right")
        for name, repetitions in (
            ("official", self.official),
            ("official, other levels", self.elsewhere),
        ):
            lengths, levels = (_together(repetitions, c) for c in ("lengths", "levels"))
            means = [
                _with_half_width(_band(_means(repetitions, column)), digits=digits)
                for column, digits in (("returns", 2), ("lengths", 0))
            ]
            shown.add_row(name, *means, *_counts(lengths, levels))
        table = self.unbiased
        means = [
            _with_half_width(table.mean("returns")),
            _with_half_width(table.mean("lengths"), digits=0),
        ]
        shown.add_row("every episode to its end", *means, *_counts(table.lengths, table.levels))
        return shown

    def explanation(self) -> str:
        """Where the difference comes from, in measured numbers."""
        longer, more = self.bias("lengths"), self.bias("returns")
        n_levels = len(np.unique(_together(self.official, "levels")))
        words = "What finishes early is counted and what still runs is not:"
        if not longer.high < 0:
            words = "That it favours short episodes does not show here:"
        return (
            f"The official protocol takes the first {OFFICIAL_EPISODES} or so episodes to finish of"
            f" {OFFICIAL_ENVS} games that always begin on the same levels: {n_levels} different"
            f" ones in {len(self.official)} repetitions with other actions, and its interval is"
            f" about these levels only. {words} on other levels each time, its episodes last"
            f" {_means(self.elsewhere, 'lengths').mean():.0f} steps on average, those on"
            f" {len(np.unique(self.unbiased.levels))} test levels played to their end"
            f" {self.unbiased.lengths.mean():.0f} (difference {_with_ends(longer, 0)}); they return"
            f" {_means(self.elsewhere, 'returns').mean():.2f} against"
            f" {self.unbiased.returns.mean():.2f} (difference {_with_ends(more, 2)})."
        )


def compare_protocols(
    policy: Policy,
    *,
    n_levels: int = 200,
    episodes_per_level: int = 1,
    seed: int = 0,
    repetitions: int = 20,
    num_envs: int = 64,
    on_progress: Progress | None = None,
) -> ProtocolComparison:
    """Evaluate a policy by both protocols, with sampled actions.

    Args:
        policy: of a run, whose configuration says game, options and test levels.
        n_levels: test levels; at least 2.
        episodes_per_level: on each.
        seed: of the choice of levels and of all actions.
        repetitions: of the official protocol, on its own levels and on others; at least 2.
        num_envs: games played in parallel on test levels.
        on_progress: told the share done.

    Raises:
        ValueError: naming the argument and its value.
    """
    config = policy.config
    _require_whole("n_levels", n_levels, 2, _MOST)
    _check_mode("sampled", episodes_per_level)
    _require_whole("repetitions", repetitions, 2, _MOST)
    _require_whole("seed", seed, 0, 2**63 - 1)
    levels = _sample(config.levels.test, n_levels, seed)
    level_seeds = np.random.default_rng(seed).integers(2**31 - 1, size=repetitions).tolist()
    done, total = 0, 2 * repetitions * OFFICIAL_EPISODES + len(levels) * episodes_per_level
    repeated: dict[str, list[OfficialEvaluation]] = {"official": [], "official, other levels": []}
    for name, seeds in zip(repeated, ([OFFICIAL_SEED] * repetitions, level_seeds), strict=True):
        for repetition, level_seed in enumerate(seeds):
            played = official(
                policy,
                config.game,
                config.options,
                seed=level_seed,
                action_seed=(seed, repetition),
            )
            repeated[name].append(played)
            done += OFFICIAL_EPISODES
            if on_progress is not None:
                on_progress(f"{policy.name}, {name}", done / total)
    with _evaluator(config, num_envs) as evaluator:
        unbiased = evaluator.run(
            policy,
            levels,
            mode="sampled",
            episodes_per_level=episodes_per_level,
            seed=seed,
            on_progress=_part(on_progress, done / total, 1 - done / total),
        )
    same_levels, other_levels = repeated.values()
    return ProtocolComparison(
        config=config, official=same_levels, elsewhere=other_levels, unbiased=unbiased
    )


def compare_protocols_of_run(
    run: Path,
    *,
    n_levels: int = 200,
    episodes_per_level: int = 1,
    seed: int = 0,
    repetitions: int = 20,
    num_envs: int = 64,
    device: str = "auto",
    on_progress: Progress | None = None,
) -> list[ProtocolComparison]:
    """`compare_protocols` for each agent of a run's last checkpoint, or of an exported file.

    Raises:
        FileNotFoundError, ValueError: as `load_policies` and `compare_protocols`; or there is no
            such device.
    """
    policies = _load(run, device)
    return [
        compare_protocols(
            policy,
            n_levels=n_levels,
            episodes_per_level=episodes_per_level,
            seed=seed,
            repetitions=repetitions,
            num_envs=num_envs,
            on_progress=_part(on_progress, k / len(policies), 1 / len(policies)),
        )
        for k, policy in enumerate(policies)
    ]


class TrainingEvaluations(_Closing):
    """The evaluations that a run's configuration asks for while it trains; a context manager.

    Games are built when first needed and kept.  Levels and actions of the unbiased ones are the
    same after every update, and for all runs with one seed.
    """

    def __init__(self, config: ProcgenConfig) -> None:
        self.config = config
        self._evaluator: Evaluator | None = None
        self._official: OfficialEvaluator | None = None

    def due(self, update: int) -> tuple[bool, bool]:
        """Whether, after this many updates, the unbiased and the official evaluation are due."""
        config = self.config
        unbiased = update == config.updates or _divides(config.evaluate_every, update)
        return unbiased, _divides(config.official_evaluation_every, update)

    def line(
        self, networks: Networks, update: int, on_progress: Progress | None = None
    ) -> dict[str, Any] | None:
        """What evaluations say after this many updates, None if none is due.

        A function of networks and update alone.  Beside "update" and "steps" it has "unbiased",
        that is `Evaluation.to_json()`, and "official", agent's name to
        `OfficialEvaluation.to_json()`, each if due.
        """
        config = self.config
        unbiased, official = self.due(update)
        if not unbiased and not official:
            return None
        policies = [
            Policy(f"agent {k}", config, update, (network,)) for k, network in enumerate(networks)
        ]
        line: dict[str, Any] = {"update": update, "steps": update * config.samples}
        with _without_dropout(networks):
            if unbiased:
                n_levels = config.evaluation_levels
                self._evaluator = self._evaluator or _evaluator(config, min(64, 2 * n_levels))
                line["unbiased"] = evaluate(
                    policies,
                    config,
                    n_levels=n_levels,
                    seed=config.seed,
                    evaluator=self._evaluator,
                    on_progress=on_progress,
                ).to_json()
            if official:
                if self._official is None:
                    self._official = OfficialEvaluator(config.game, config.options)
                line["official"] = {
                    policy.name: self._official.run(policy, (config.seed, update)).to_json()
                    for policy in policies
                }
        return line

    def close(self) -> None:
        for evaluator in (self._evaluator, self._official):
            if evaluator is not None:
                evaluator.close()
        self._evaluator = self._official = None


@contextmanager
def _without_dropout(networks: Networks) -> Iterator[None]:
    before = networks.training
    networks.eval()
    try:
        yield
    finally:
        networks.train(before)


def _choose_actions(
    policy: Player, seen: np.ndarray, drawn: Sequence[np.float32] | np.ndarray | None
) -> np.ndarray:
    """Actions [n] by the uniforms drawn [n], or most probable ones without any."""
    probabilities = policy.probabilities(seen)
    if not np.isfinite(probabilities).all():
        raise ArithmeticError(f"probabilities of {policy.name} must be finite, got nan")
    if drawn is None:
        return probabilities.argmax(axis=-1)
    logits = torch.from_numpy(probabilities).log()
    return choose(logits, torch.from_numpy(np.array(drawn, dtype=np.float32)))[0].numpy()


def _load(run: Path, device: str) -> list[Policy]:
    from experiments.procgen.train import pick_device  # which needs this module

    policies = load_policies(run)
    found = pick_device(dataclasses.replace(policies[0].config, device=device))  # type: ignore[arg-type]
    return [policy.to(found.type) for policy in policies]


def _evaluator(config: ProcgenConfig, num_envs: int) -> Evaluator:
    return Evaluator(config.game, config.options, num_envs=num_envs, num_threads=config.env_threads)


def _sample(levels: LevelSet, n: int, seed: int) -> list[int]:
    return levels.sample(min(int(n), len(levels)), int(seed))


def _part(on_progress: Progress | None, before: float, share: float) -> Progress | None:
    """Progress of a part, as progress of the whole."""
    if on_progress is None:
        return None
    return lambda text, done: on_progress(text, before + share * done)


def _divides(every: int, update: int) -> bool:
    """Whether something done every so many updates, never if 0, is due."""
    return every > 0 and update % every == 0


def _band(values: np.ndarray) -> Band:
    return Band(*map(float, band(values)))


def _means(repetitions: Sequence[OfficialEvaluation], column: str) -> np.ndarray:
    """[repetition]."""
    return np.array([getattr(one, column).mean() for one in repetitions])


def _together(repetitions: Sequence[OfficialEvaluation], column: str) -> np.ndarray:
    """A column of all episodes."""
    return np.concatenate([getattr(one, column) for one in repetitions])


def _counts(lengths: np.ndarray, levels: np.ndarray) -> list[str]:
    """Median length, episodes, different levels."""
    return [f"{np.median(lengths):.0f}", f"{len(levels)}", f"{len(np.unique(levels))}"]


def _with_half_width(value: Band, sign: str = "", digits: int = 2) -> str:
    half = "" if np.isnan(value.low) else f" ±{(value.high - value.low) / 2:.{digits}f}"
    return f"{value.mean:{sign}.{digits}f}{half}"


def _with_ends(value: Band, digits: int) -> str:
    return " ".join(
        [f"{value.mean:+.{digits}f}", f"[{value.low:+.{digits}f}, {value.high:+.{digits}f}]"]
    )


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _check_mode(mode: str, episodes_per_level: int) -> None:
    if mode not in MODES:
        raise ValueError(validation.unknown("mode", mode, MODES))
    _require_whole("episodes_per_level", episodes_per_level, 1, _MOST)
    if mode == "greedy" and episodes_per_level != 1:
        raise ValueError(
            "episodes_per_level must be 1 for greedy actions, which play a level always the same"
            f" way, got {episodes_per_level}"
        )


def _check_levels(levels: Sequence[int]) -> None:
    if not len(levels):
        raise ValueError("levels must be at least one, got none")
    for i, level in enumerate(levels):
        _require_whole(f"levels[{i}]", level, 0, END - 1)
    if len(set(levels)) < len(levels):
        twice = next(level for i, level in enumerate(levels) if level in levels[:i])
        raise ValueError(f"levels must differ, got {twice} twice")


def _require_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {value}")
