"""How good frozen policies are, without bias: on fixed levels, every episode to its end.

Every level of a list is played the same number of times.  Whoever counts the first episodes to
finish of games played side by side counts short ones, as the official protocol does: see
`compare_protocols` in `official`.

An episode is a function of policy, level, actions' seed and the episode's number alone: not of what
was played before, beside or after it, up to the rounding of networks whose batches differ in size.
So policies that are evaluated with one seed meet the same levels and the same random numbers.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch
from rich.table import Table

from experiments.envs.procgen import LevelSet, ProcgenOptions
from experiments.envs.procgen.games import END_EPISODE, NO_OP
from experiments.envs.procgen.levels import END
from experiments.envs.procgen.rendered import LockstepGames
from experiments.envs.procgen.renderings import ORIGINAL, Rendering
from experiments.envs.procgen.state import with_levels
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.interval_words import with_half_width
from experiments.procgen.learner import pick_device
from experiments.procgen.policy import Policy, load_policies, mixture
from experiments.procgen.rollout import choose
from mdtheory import validation
from mdtheory.intervals import Band, band, welch
from mdtheory.progress import OnProgress

Mode = Literal["sampled", "greedy"]

MODES: tuple[Mode, ...] = ("sampled", "greedy")
SPLITS = ("train", "test")

FREE = -1
"""Instead of a row, of a game that plays nothing."""
_BLOCK = 256
MOST = 10**6
"""Levels, episodes on each or repetitions that one may ask for."""


class Player(Protocol):
    """What is evaluated: a `Policy`, or anything with its name and probabilities."""

    @property
    def name(self) -> str: ...

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        """Action probabilities [n, 15] of pixels uint8 [n, 64, 64, 3]."""
        ...


class Watcher(Protocol):
    """Who is told of every step that is played."""

    def look(
        self, rows: np.ndarray, probabilities: np.ndarray, games: LockstepGames, playing: np.ndarray
    ) -> None:
        """Before a step: episodes [n] by their rows in the table, what the policy makes of them
        [n, 15], and where to look at them."""
        ...

    def paid(self, rows: np.ndarray, rewards: np.ndarray) -> None:
        """After the step: the episodes' rewards [n]."""
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
        return float_band(self.by_level(column).mean(axis=-1))

    def to_json(self) -> dict[str, Any]:
        """Mean return, and everything but the levels, each [level, episode]."""
        return {
            "mean": self.mean().mean,
            **{name: self.by_level(name).tolist() for name in ("returns", "lengths", "solved")},
        }


_COLUMNS = dataclasses.fields(EpisodeTable)


def uniforms(seed: int, level: int, episode: int) -> Iterator[np.float32]:
    """The random numbers of one episode's actions, without end."""
    rng = np.random.default_rng([seed, level, episode])
    while True:
        yield from rng.random(_BLOCK, dtype=np.float32)


_Games = TypeVar("_Games", bound="Closing")


class Closing(ABC):
    """Closes at the end of a `with`."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self: _Games) -> _Games:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Evaluator(Closing):
    """Games that are built once and play whatever level is asked for; a context manager.

    Every episode begins in the same state, that of the first game just built, but for the level.
    (In dodgeball, what a game has played before can show in its pictures.)

    Args:
        game: one of `GAMES`.
        options: of the game; by default Procgen's own.
        renderings: the policy looks at the first; a watcher can look at all of them.
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
        renderings: Sequence[Rendering] = (ORIGINAL,),
        num_envs: int = 64,
        num_threads: int = 4,
    ) -> None:
        self.game, self.options = game, ProcgenOptions() if options is None else options
        for name in ("use_sequential_levels", "use_generated_assets"):
            if getattr(self.options, name):
                raise ValueError(f"{name} must be false to evaluate on fixed levels, got true")
        self._env = LockstepGames(
            game, num_envs, renderings, options=self.options, num_threads=num_threads
        )
        self._start = self._env.get_one_state(0)

    def run(
        self,
        policy: Player,
        levels: Sequence[int],
        *,
        mode: Mode,
        episodes_per_level: int = 1,
        seed: int = 0,
        watcher: Watcher | None = None,
        on_actions: Callable[[np.ndarray, np.ndarray], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> EpisodeTable:
        """Play every level the same number of times.

        Args:
            policy: who plays.
            levels: different levels, in any order.
            mode: "sampled" draws actions, "greedy" takes a most probable one.
            episodes_per_level: 1 for greedy, which plays a level always the same way.
            seed: of the actions' random numbers.
            watcher: told of every step.
            on_actions: told, between the watcher's `look` and `paid`, the actions taken: episodes
                [n] by their rows in the table, and actions [n].
            on_progress: told of every step in which an episode ended.

        Raises:
            ValueError: naming the argument and its value.
            ArithmeticError: the policy's probabilities are not finite.
        """
        _check_levels(levels)
        check_mode(mode, episodes_per_level)
        require_whole("seed", seed, 0, 2**63 - 1)
        level = np.repeat(np.array(levels, dtype=np.int64), episodes_per_level)
        table = EpisodeTable(
            levels=level,
            episodes=np.tile(np.arange(episodes_per_level), len(levels)),
            returns=np.zeros(len(level)),
            lengths=np.zeros(len(level), dtype=np.int64),
            solved=np.zeros(len(level), dtype=bool),
        )
        ended = 0
        drawn_by = seed if mode == "sampled" else None
        for count in self._play(policy, table, drawn_by, watcher, on_actions):
            ended += count
            if on_progress is not None and count:
                on_progress(f"{policy.name}, {mode}", ended / len(table))
        return table

    def _play(
        self,
        policy: Player,
        table: EpisodeTable,
        seed: int | None,
        watcher: Watcher | None,
        on_actions: Callable[[np.ndarray, np.ndarray], None] | None,
    ) -> Iterator[int]:
        """Fill the table, greedily without a seed; yields how many episodes each step ended."""
        env = self._env
        waiting = deque(range(len(table)))
        row = np.full(env.num_envs, FREE)  # of the table, by game
        noise: dict[int, Iterator[np.float32]] = {}
        while waiting or (row != FREE).any():
            actions = np.full(env.num_envs, NO_OP)
            playing, free = np.flatnonzero(row != FREE), np.flatnonzero(row == FREE)
            if len(playing):
                drawn = None if seed is None else [next(noise[game]) for game in playing.tolist()]
                probabilities = finite_probabilities(policy, env.pictures(0, playing))
                actions[playing] = choose_actions(probabilities, drawn)
                if watcher is not None:
                    watcher.look(row[playing], probabilities, env, playing)
                if on_actions is not None:
                    on_actions(row[playing], actions[playing])
            for game in free[: len(waiting)].tolist():
                row[game] = waiting.popleft()
                level, episode = (int(c[row[game]]) for c in (table.levels, table.episodes))
                env.set_one_state(game, with_levels(self._start, level, level + 1))
                actions[game] = END_EPISODE
                if seed is not None:
                    noise[game] = uniforms(seed, level, episode)
            reward, terminated, truncated, infos = env.step(actions)
            if watcher is not None:
                watcher.paid(row[playing], reward[playing])
            table.returns[row[playing]] += reward[playing]
            table.lengths[row[playing]] += 1
            over = playing[(terminated | truncated)[playing]]
            table.solved[row[over]] = infos["prev_level_complete"][over] != 0
            row[over] = FREE
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
                    with_half_width(train.mean()),
                    with_half_width(test.mean()),
                    with_half_width(self.gap(name, mode), "+"),
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
    on_progress: OnProgress | None = None,
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
    require_whole("n_levels", n_levels, 1, MOST)
    check_mode("sampled", episodes_per_level)
    require_whole("seed", seed, 0, 2**63 - 1)
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
    levels = {
        split: sample_levels(getattr(config.levels, split), n_levels, seed) for split in SPLITS
    }
    everybody = [*policies, mixture(list(policies))] if len(policies) > 1 else list(policies)
    quotas = {"sampled": episodes_per_level, "greedy": 1}
    tables: dict[str, dict[str, dict[str, EpisodeTable]]] = {}
    done, total = 0, len(everybody) * sum(quotas.values())
    with (
        build_evaluator(config, num_envs) if evaluator is None else nullcontext(evaluator) as games
    ):
        for policy in everybody:
            tables[policy.name] = {}
            for mode in MODES:
                played = games.run(
                    policy,
                    [*levels["train"], *levels["test"]],
                    mode=mode,
                    episodes_per_level=quotas[mode],
                    seed=seed,
                    on_progress=part_of(on_progress, done / total, quotas[mode] / total),
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
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """`evaluate` the agents of a run's last checkpoint, or of an exported file.

    Raises:
        FileNotFoundError, ValueError: as `load_policies` and `evaluate`; or there is no such
            device.
    """
    policies = load_on(run, device)
    return evaluate(
        policies,
        policies[0].config,
        n_levels=n_levels,
        episodes_per_level=episodes_per_level,
        seed=seed,
        num_envs=num_envs,
        on_progress=on_progress,
    )


def finite_probabilities(policy: Player, seen: np.ndarray) -> np.ndarray:
    """What a policy makes of pixels, [n, 15].

    Raises:
        ArithmeticError: a probability is not finite.
    """
    probabilities = policy.probabilities(seen)
    if not np.isfinite(probabilities).all():
        raise ArithmeticError(f"probabilities of {policy.name} must be finite, got nan")
    return probabilities


def choose_actions(
    probabilities: np.ndarray, drawn: Sequence[np.float32] | np.ndarray | None
) -> np.ndarray:
    """Actions [n] by the uniforms drawn [n], or most probable ones without any."""
    if drawn is None:
        return probabilities.argmax(axis=-1)
    logits = torch.from_numpy(probabilities).log()
    return choose(logits, torch.from_numpy(np.array(drawn, dtype=np.float32)))[0].numpy()


def load_on(run: Path, device: str) -> list[Policy]:
    """A run's policies on a device, which may be "auto"."""
    policies = load_policies(run)
    found = pick_device(dataclasses.replace(policies[0].config, device=device))  # type: ignore[arg-type]
    return [policy.to(found.type) for policy in policies]


def build_evaluator(config: ProcgenConfig, num_envs: int) -> Evaluator:
    """Games as a run has them."""
    return Evaluator(config.game, config.options, num_envs=num_envs, num_threads=config.threads)


def sample_levels(levels: LevelSet, n: int, seed: int) -> list[int]:
    """That many different levels, or all if there are no more."""
    return levels.sample(min(int(n), len(levels)), int(seed))


def part_of(on_progress: OnProgress | None, before: float, share: float) -> OnProgress | None:
    """Progress of a part, as progress of the whole."""
    if on_progress is None:
        return None
    return lambda text, done: on_progress(text, before + share * done)


def float_band(values: np.ndarray) -> Band:
    """`band` of values [n], in floats."""
    return Band(*map(float, band(values)))


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def check_mode(mode: str, episodes_per_level: int) -> None:
    """Raise ValueError for an unknown mode, or so many episodes that it does not play."""
    if mode not in MODES:
        raise ValueError(validation.unknown("mode", mode, MODES))
    require_whole("episodes_per_level", episodes_per_level, 1, MOST)
    if mode == "greedy" and episodes_per_level != 1:
        raise ValueError(
            "episodes_per_level must be 1 for greedy actions, which play a level always the same"
            f" way, got {episodes_per_level}"
        )


def _check_levels(levels: Sequence[int]) -> None:
    if not len(levels):
        raise ValueError("levels must be at least one, got none")
    for i, level in enumerate(levels):
        require_whole(f"levels[{i}]", level, 0, END - 1)
    if len(set(levels)) < len(levels):
        twice = next(level for i, level in enumerate(levels) if level in levels[:i])
        raise ValueError(f"levels must differ, got {twice} twice")


def require_whole(name: str, value: object, low: int, high: int) -> None:
    """Raise ValueError, naming the argument, unless it is a whole number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {value}")
