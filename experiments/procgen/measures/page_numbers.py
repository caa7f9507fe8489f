"""What the page about Procgen is made of: all that is known of each run, and their differences."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from experiments.envs.procgen.renderings import Rendering
from experiments.procgen.checkpoint import EVALUATIONS, read_lines
from experiments.procgen.comparison import compare
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.evaluate import EpisodeTable, Evaluation, float_band
from experiments.procgen.measures import audit
from experiments.procgen.measures.attribution import Attribution
from experiments.procgen.measures.features import FeatureHistory
from experiments.procgen.measures.page_sentences import Difference
from experiments.procgen.measures.representation_figures import AgentFeatures
from experiments.procgen.measures.robustness import Robustness
from experiments.procgen.measures.robustness_summary import (
    PolicyRows,
    Row,
    per_state,
    policy_rows,
    shown_name,
)
from mdtheory.intervals import Band

MIXTURE = "mixture"


@dataclass(frozen=True, eq=False, kw_only=True)
class RunFindings:
    """All that the page shows of one run.

    Attributes:
        name: on the page.
        run: folder of `mdpo train`, or file of `mdpo export`.
        measured: returns and distances.
        history: what was measured of features.
        shown, panels: renderings and agents of the picture of features.
        moments: at which a rendering costs most; None if n_moments, the number asked for, is 0.
        evaluation: the last one without bias that the run has logged.
    """

    name: str
    run: Path
    measured: Robustness
    history: FeatureHistory
    shown: Sequence[str]
    panels: Sequence[AgentFeatures]
    moments: Attribution | None
    n_moments: int
    evaluation: Evaluation | None

    @property
    def config(self) -> ProcgenConfig:
        return self.measured.config

    @property
    def steps_per_agent(self) -> int:
        return self.measured.update * self.config.samples

    @property
    def reference(self) -> Rendering:
        """The rendering that others are compared with."""
        return self.measured.plan.train[0]

    @cached_property
    def audits(self) -> list[audit.Audit]:
        return audit.audit(self.measured)

    @cached_property
    def policies(self) -> dict[str, PolicyRows]:
        """By a policy's name, its rows, the reference first."""
        return policy_rows(self.measured)

    def changes(self, policy: str) -> dict[str, Band]:
        """Return under each other rendering minus that under the reference, by rendering."""
        others = self.policies[policy].rows[1:]
        return {shown_name(row, self.config.game): row.change for row in others}

    def heldout(self, policy: str) -> list[Row]:
        """A policy's rows of renderings that were not trained on."""
        heldout = self.measured.plan.heldout
        return [row for row in self.policies[policy].rows if row.rendering in heldout]

    def mean_tv(self, policy: str) -> Band:
        """Mean R over the held-out renderings, per state visited under the reference."""
        play = self.measured.plays[policy][self.reference]
        each = [play.distances[rendering].tv for rendering in self.measured.plan.heldout]
        return per_state(np.mean(each, axis=0), play)

    def by_level(self, renderings: Sequence[Rendering]) -> tuple[np.ndarray, np.ndarray]:
        """Mean R and return under these renderings, [level], means over renderings and agents.

        Mean R of a level is the mean over the states visited on it under the reference.
        """
        agents = [plays for name, plays in self.measured.plays.items() if name != MIXTURE]
        tv = [
            plays[self.reference].distances[rendering].tv / plays[self.reference].lengths
            for plays in agents
            for rendering in renderings
        ]
        returns = [plays[rendering].returns for plays in agents for rendering in renderings]
        return np.mean(tv, axis=0), np.mean(returns, axis=0)


def tasks(found: Sequence[RunFindings]) -> dict[str, list[RunFindings]]:
    """Runs by game, mode and training levels, in words."""
    by_title: dict[str, list[RunFindings]] = {}
    for run in found:
        by_title.setdefault(compare.task_title(run.config), []).append(run)
    return by_title


def differences(runs: Sequence[RunFindings]) -> list[Difference]:
    """Between each two algorithms among the runs of one task, more distillation first."""
    by_algorithm: dict[str, list[RunFindings]] = {}
    for run in sorted(runs, key=lambda r: compare.order_key(r.config)):
        by_algorithm.setdefault(compare.algorithm_key(run.config), []).append(run)
    groups = list(by_algorithm.values())
    labels = compare.labels([members[0].config for members in groups])
    pairs = itertools.combinations(zip(labels, groups, strict=True), 2)
    return [_difference(*left, *right) for left, right in pairs]


def _difference(
    left: str, left_runs: list[RunFindings], right: str, right_runs: list[RunFindings]
) -> Difference:
    by_seed = [{run.config.seed: run for run in runs} for runs in (left_runs, right_runs)]
    seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
    pairs = [(by_seed[0][seed], by_seed[1][seed]) for seed in seeds]
    if len(pairs) < 2:
        pairs = pairs or [(left_runs[0], right_runs[0])]
        (one, other) = pairs[0]
        left, right, seeds = f"{one.name} ({left})", f"{other.name} ({right})", []
    common = [run.measured.plan.heldout for pair in pairs for run in pair]
    renderings = tuple(r for r in common[0] if all(r in heldout for heldout in common))
    bands = _bands(pairs, renderings) if renderings else [Band(*[float("nan")] * 3)] * 2
    mine, theirs = zip(*pairs, strict=True)
    return Difference(
        left=left,
        right=right,
        seeds=tuple(seeds),
        n_levels=len(pairs[0][0].measured.plan.levels),
        n_renderings=len(renderings),
        steps=(_steps(mine), _steps(theirs)),
        robustness=bands[0],
        returned=bands[1],
    )


def _bands(
    pairs: Sequence[tuple[RunFindings, RunFindings]], renderings: Sequence[Rendering]
) -> list[Band]:
    """Mean R and return, left minus right, over pairs or, of a single one, over levels."""
    by_level = np.array(
        [
            np.subtract(left.by_level(renderings), right.by_level(renderings))
            for left, right in pairs
        ]
    )  # [pair, number, level]
    values = by_level.mean(axis=-1).T if len(pairs) > 1 else by_level[0]
    return [float_band(each) for each in values]


def _steps(runs: Sequence[RunFindings]) -> str:
    each = [run.steps_per_agent for run in runs]
    in_all = [steps * run.config.agents for steps, run in zip(each, runs, strict=True)]
    return f"{_range(each)} per agent and {_range(in_all)} in all"


def _range(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def load_evaluation(run: Path, config: ProcgenConfig, update: int) -> Evaluation | None:
    """The last evaluation without bias that a run has logged, up to an update.

    Raises:
        ValueError: a damaged log, naming the file.
    """
    path = run / EVALUATIONS
    lines = read_lines(path) if run.is_dir() else []
    logged = [line for line in lines if "unbiased" in line and line["update"] <= update]
    if not logged:
        return None
    try:
        return _evaluation(config, logged[-1]["update"], logged[-1]["unbiased"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError(
            f"{path}: the line of update {logged[-1]['update']} is not as this version writes it"
        ) from None


def _evaluation(config: ProcgenConfig, update: int, content: Mapping[str, Any]) -> Evaluation:
    """What `Evaluation.to_json` wrote."""
    levels = content["levels"]
    return Evaluation(
        config=config,
        update=update,
        seed=content["seed"],
        levels=levels,
        tables={
            policy: {
                mode: {split: _table(levels[split], by_split[split]) for split in by_split}
                for mode, by_split in by_mode.items()
            }
            for policy, by_mode in content["policies"].items()
        },
    )


def _table(levels: Sequence[int], content: Mapping[str, Any]) -> EpisodeTable:
    columns = {name: np.array(content[name]) for name in ("returns", "lengths", "solved")}
    shapes = {column.shape for column in columns.values()}
    ((n_levels, n_episodes),) = shapes  # all the same: [level, episode]
    if n_levels != len(levels) or not n_levels * n_episodes:
        raise ValueError
    return EpisodeTable(
        levels=np.repeat(np.array(levels, dtype=np.int64), n_episodes),
        episodes=np.tile(np.arange(n_episodes), len(levels)),
        **{name: column.ravel() for name, column in columns.items()},
    )


def same_renderings(runs: Sequence[RunFindings], most: int) -> list[list[RunFindings]]:
    """Runs that one picture can show: of the same renderings, and at most so many policies (or one
    run's)."""
    groups: list[list[RunFindings]] = []
    for run in runs:
        for group in groups:
            plan, mine = group[0].measured.plan, run.measured.plan
            n_policies = sum(len(one.policies) for one in (*group, run))
            fits = (plan.train, set(plan.renderings)) == (mine.train, set(mine.renderings))
            if fits and n_policies <= most:
                group.append(run)
                break
        else:
            groups.append([run])
    return groups


def rows_by_label(runs: Sequence[RunFindings]) -> dict[str, PolicyRows]:
    """Rows by run and policy, for pictures."""
    return {f"{run.name}, {policy}": rows for run in runs for policy, rows in run.policies.items()}
