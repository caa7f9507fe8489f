"""The official protocol: the first ten or so episodes to finish of four games played side by side.

That favours short episodes; `compare_protocols` measures by how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from experiments.envs.procgen import LevelSet, ProcgenOptions, ProcgenVectorEnv
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.evaluate import (
    MOST,
    Closing,
    EpisodeTable,
    Player,
    build_evaluator,
    check_mode,
    choose_actions,
    finite_probabilities,
    float_band,
    load_on,
    part_of,
    require_whole,
    sample_levels,
)
from experiments.procgen.interval_words import with_ends, with_half_width
from experiments.procgen.policy import Policy
from mdtheory.intervals import Band, welch
from mdtheory.progress import OnProgress

OFFICIAL_ENVS, OFFICIAL_EPISODES, OFFICIAL_SEED = 4, 10, 42
"""Games, least number of episodes, and seed of the levels, in the official code."""


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


class OfficialEvaluator(Closing):
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
                choose_actions(finite_probabilities(policy, seen), drawn)
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
                with_half_width(float_band(_means(repetitions, column)), digits=digits)
                for column, digits in (("returns", 2), ("lengths", 0))
            ]
            shown.add_row(name, *means, *_counts(lengths, levels))
        table = self.unbiased
        means = [
            with_half_width(table.mean("returns")),
            with_half_width(table.mean("lengths"), digits=0),
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
            f" {self.unbiased.lengths.mean():.0f} (difference {with_ends(longer, '+', 0)}); they"
            f" return {_means(self.elsewhere, 'returns').mean():.2f} against"
            f" {self.unbiased.returns.mean():.2f} (difference {with_ends(more, '+')})."
        )


def compare_protocols(
    policy: Policy,
    *,
    n_levels: int = 200,
    episodes_per_level: int = 1,
    seed: int = 0,
    repetitions: int = 20,
    num_envs: int = 64,
    on_progress: OnProgress | None = None,
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
    require_whole("n_levels", n_levels, 2, MOST)
    check_mode("sampled", episodes_per_level)
    require_whole("repetitions", repetitions, 2, MOST)
    require_whole("seed", seed, 0, 2**63 - 1)
    levels = sample_levels(config.levels.test, n_levels, seed)
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
    with build_evaluator(config, num_envs) as evaluator:
        unbiased = evaluator.run(
            policy,
            levels,
            mode="sampled",
            episodes_per_level=episodes_per_level,
            seed=seed,
            on_progress=part_of(on_progress, done / total, 1 - done / total),
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
    on_progress: OnProgress | None = None,
) -> list[ProtocolComparison]:
    """`compare_protocols` for each agent of a run's last checkpoint, or of an exported file.

    Raises:
        FileNotFoundError, ValueError: as `load_policies` and `compare_protocols`; or there is no
            such device.
    """
    policies = load_on(run, device)
    return [
        compare_protocols(
            policy,
            n_levels=n_levels,
            episodes_per_level=episodes_per_level,
            seed=seed,
            repetitions=repetitions,
            num_envs=num_envs,
            on_progress=part_of(on_progress, k / len(policies), 1 / len(policies)),
        )
        for k, policy in enumerate(policies)
    ]


def _means(repetitions: Sequence[OfficialEvaluation], column: str) -> np.ndarray:
    """[repetition]."""
    return np.array([getattr(one, column).mean() for one in repetitions])


def _together(repetitions: Sequence[OfficialEvaluation], column: str) -> np.ndarray:
    """A column of all episodes."""
    return np.concatenate([getattr(one, column) for one in repetitions])


def _counts(lengths: np.ndarray, levels: np.ndarray) -> list[str]:
    """Median length, episodes, different levels."""
    return [f"{np.median(lengths):.0f}", f"{len(levels)}", f"{len(np.unique(levels))}"]
