"""Features of trained networks on the same states in several renderings, and over training.

The states are those that the last policies' mixture visits under the first rendering that was
trained on, the same number from every episode; every earlier snapshot is asked about these states.
Numbers are those of `experiments.representations`; they are kept, a line for each snapshot, so that
measuring again computes what is missing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.envs.procgen.rendered import LockstepGames
from experiments.envs.procgen.renderings import Rendering
from experiments.procgen.checkpoint import append_line, drop_torn_line
from experiments.procgen.evaluate import Evaluator, part_of
from experiments.procgen.measures.representation_figures import AgentFeatures, RunCurves
from experiments.procgen.measures.robustness import BATCH, Plan, read_kept
from experiments.procgen.policy import Policy, load_policies, mixture, snapshots
from experiments.representations import (
    cka,
    convergence,
    effective_rank,
    principal_components,
)
from mdtheory import files
from mdtheory.intervals import Band
from mdtheory.progress import OnProgress

FEATURES = "features.jsonl"
PER_EPISODE = 8
"""States taken from every episode, or all of a shorter one."""


class States(NamedTuple):
    """Pictures uint8 [rendering, state, 64, 64, 3], and each state's episode [state]."""

    pictures: np.ndarray
    episode: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class AgentNumbers:
    """One agent's features of the states; bands of arrays are [rendering - 1].

    Attributes:
        convergence: representation convergence, and `each` of a rendering.
        within, between: squared distances of a state's two pictures and of two states.
        cka: alignment of features under a rendering with those under the reference.
        effective_rank: of the reference's features.
    """

    convergence: Band
    each: Band
    within: Band
    between: Band
    cka: Band
    effective_rank: Band


@dataclass(frozen=True, eq=False, kw_only=True)
class Snapshot:
    """All agents after so many updates.

    Attributes:
        update: updates done.
        agents: in order.
        cka: alignment of different agents' features, mean over renderings and pairs of agents, and
            `each_cka` of a rendering, [rendering]; None for one agent.  Ends are means of the ends
            of the pairs' intervals.
    """

    update: int
    agents: tuple[AgentNumbers, ...]
    cka: Band | None
    each_cka: Band | None

    def to_json(self) -> dict[str, Any]:
        return {
            "update": self.update,
            "agents": [
                {name: _listed(getattr(agent, name)) for name in _BANDS} for agent in self.agents
            ],
            "cka": None if self.cka is None else _listed(self.cka),
            "each_cka": None if self.each_cka is None else _listed(self.each_cka),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Snapshot:
        return cls(
            update=content["update"],
            agents=tuple(
                AgentNumbers(**{name: _band(agent[name]) for name in _BANDS})
                for agent in content["agents"]
            ),
            **{
                name: None if content[name] is None else _band(content[name])
                for name in ("cka", "each_cka")
            },
        )


_BANDS = ("convergence", "each", "within", "between", "cka", "effective_rank")


@dataclass(frozen=True, eq=False)
class FeatureHistory:
    """What was measured of a run's features over its training.

    Attributes:
        plan: what was played; its first rendering trained on is the reference.
        renderings: the reference, then the others.
        n_states: how many.
        snapshots: by update; the last one is the run's last checkpoint.
        steps: environment steps of each agent at each snapshot.
    """

    plan: Plan
    renderings: tuple[Rendering, ...]
    n_states: int
    snapshots: tuple[Snapshot, ...]
    steps: tuple[int, ...]

    def curves(self, name: str) -> RunCurves:
        """For `convergence_curve`."""
        found = self.snapshots
        agents = list(zip(*(one.agents for one in found), strict=True))
        averages = np.array([[a.convergence for a in agent] for agent in agents], dtype=float)
        each = np.array([[a.each.mean for a in agent] for agent in agents]).transpose(0, 2, 1)
        aligned = [one.cka for one in found if one.cka is not None]
        return RunCurves(
            name=name,
            steps=np.array(self.steps),
            convergence=Band(*np.moveaxis(averages, -1, 0)),
            each_convergence=each,
            cka=Band(*np.array(aligned, dtype=float).T) if aligned else None,
            each_cka=np.array([o.each_cka.mean for o in found if o.each_cka is not None]).T
            if aligned
            else None,
        )


def collect_states(player: Policy, plan: Plan, on_progress: OnProgress | None = None) -> States:
    """States that a policy visits, drawn uniformly from each episode, in all renderings.

    The reference comes first.
    """
    config, renderings = player.config, _ordered(plan)
    collector = _Collector(len(plan.levels), plan.seed)
    with Evaluator(
        config.game,
        config.options,
        renderings=renderings,
        num_envs=min(32, len(plan.levels)),
        num_threads=config.threads,
    ) as games:
        games.run(
            player,
            plan.levels,
            mode="sampled",
            seed=plan.seed,
            watcher=collector,
            on_progress=on_progress,
        )
    kept = [(row, picture) for row, chosen in enumerate(collector.kept) for picture in chosen]
    return States(
        np.stack([picture for _, picture in kept], axis=1), np.array([row for row, _ in kept])
    )


class _Collector:
    """Keeps a uniform sample of each episode's states (Vitter's algorithm R)."""

    def __init__(self, n_episodes: int, seed: int) -> None:
        self.kept: list[list[np.ndarray]] = [[] for _ in range(n_episodes)]
        self._rngs = [np.random.default_rng([seed, row, 2]) for row in range(n_episodes)]
        self._seen = np.zeros(n_episodes, dtype=int)

    def look(
        self,
        rows: np.ndarray,
        probabilities: np.ndarray,
        games: LockstepGames,
        playing: np.ndarray,
    ) -> None:
        for row, game in zip(rows.tolist(), playing.tolist(), strict=True):
            self._seen[row] += 1
            place = int(self._rngs[row].integers(self._seen[row]))
            if self._seen[row] <= PER_EPISODE:
                self.kept[row].append(_in_all(games, game))
            elif place < PER_EPISODE:
                self.kept[row][place] = _in_all(games, game)

    def paid(self, rows: np.ndarray, rewards: np.ndarray) -> None:
        pass


def _in_all(games: LockstepGames, game: int) -> np.ndarray:
    """One game in every rendering, [rendering, 64, 64, 3]."""
    n = len(games.renderings)
    return np.concatenate([games.pictures(i, np.array([game])) for i in range(n)])


def require_several(plan: Plan) -> None:
    """Raise ValueError if there is nothing to compare the reference with."""
    if len(plan.renderings) < 2:
        raise ValueError("renderings must be at least two, the reference and another, got one")


def measure_features(
    run: Path, agents: Sequence[Policy], plan: Plan, folder: Path, on_progress: OnProgress | None
) -> FeatureHistory:
    """Measure all snapshots of a run, and the agents themselves, on one set of states.

    Args:
        run: whose snapshots are looked at, if it is a folder that has some.
        agents: of its last checkpoint.
        plan: what is played to find states; at least two renderings.
        folder: where results are kept; made if need be.
        on_progress: told the share done.

    Raises:
        ValueError: there is nothing to compare the reference with, or a snapshot is damaged.
        BlockingIOError: another process measures into the same folder.
    """
    require_several(plan)
    folder.mkdir(parents=True, exist_ok=True)
    with files.only_one(folder):
        return _measure(run, agents, plan, folder / FEATURES, on_progress)


def _measure(
    run: Path, agents: Sequence[Policy], plan: Plan, path: Path, on_progress: OnProgress | None
) -> FeatureHistory:
    player = mixture(list(agents)) if len(agents) > 1 else agents[0]
    renderings = _ordered(plan)
    key = {
        "env": player.config.env,
        "mode": player.config.distribution_mode,
        "player": player.digest,
        "levels": [int(level) for level in plan.levels],
        "seed": plan.seed,
        "renderings": [str(rendering) for rendering in renderings],
    }

    def ours(line: dict[str, Any]) -> tuple[Snapshot, int] | None:
        return (Snapshot.from_json(line), int(line["states"])) if line["key"] == key else None

    kept = [found for found in read_kept(path, ours) if found is not None]
    known = {snapshot.update: snapshot for snapshot, _ in kept}
    n_states = kept[-1][1] if kept else 0
    last = agents[0].update
    updates = {u: p for p in snapshots(run) if (u := _update_of(p)) < last}
    drop_torn_line(path)
    states: States | None = None
    todo = [update for update in (*updates, last) if update not in known]
    for i, update in enumerate(todo):
        if states is None:
            states = collect_states(player, plan, part_of(on_progress, 0, 0.5))
            n_states = len(states.episode)
        policies = agents if update == last else load_policies(updates[update])
        features = [_features(p.to(player.device), states) for p in policies]
        known[update] = numbers(features, states, update)
        append_line(path, {"key": key, **known[update].to_json(), "states": n_states})
        if on_progress is not None:
            on_progress(f"features after {update} updates", 0.5 + 0.5 * (i + 1) / len(todo))
    order = sorted((*updates, last))
    return FeatureHistory(
        plan=plan,
        renderings=renderings,
        n_states=n_states,
        snapshots=tuple(known[update] for update in order),
        steps=tuple(update * agents[0].config.samples for update in order),
    )


def numbers(features: Sequence[np.ndarray], states: States, update: int) -> Snapshot:
    """What the agents' features [rendering, state, d] of the states say."""
    pairs = [
        cka(left, right, states.episode) for left, right in itertools.combinations(features, 2)
    ]
    return Snapshot(
        update=update,
        agents=tuple(_agent(one, states.episode) for one in features),
        cka=_mean([pair.average for pair in pairs]),
        each_cka=_mean([pair.each for pair in pairs]),
    )


def _agent(features: np.ndarray, episode: np.ndarray) -> AgentNumbers:
    found = convergence(features, episode)
    reference = np.broadcast_to(features[:1], features[1:].shape)
    return AgentNumbers(
        convergence=found.average,
        each=found.each,
        within=found.within,
        between=found.between,
        cka=cka(reference, features[1:], episode).each,
        effective_rank=effective_rank(features[0], episode),
    )


def panels(
    agents: Sequence[Policy], states: States, found: Snapshot, shown: Sequence[int]
) -> list[AgentFeatures]:
    """For `representation_figure`: the agents' features under some renderings, by their number."""
    drawn = []
    for agent, measured in zip(agents, found.agents, strict=True):
        projection = principal_components(_features(agent, states))
        drawn.append(
            AgentFeatures(
                name=agent.name,
                points=projection.points[list(shown)],
                shares=projection.shares,
                convergence=measured.convergence,
                effective_rank=measured.effective_rank,
            )
        )
    return drawn


def _features(policy: Policy, states: States) -> np.ndarray:
    """[rendering, state, d]."""
    flat = states.pictures.reshape(-1, 64, 64, 3)
    parts = [policy.features(flat[i : i + BATCH]) for i in range(0, len(flat), BATCH)]
    return np.concatenate(parts).reshape(*states.pictures.shape[:2], -1)


def _ordered(plan: Plan) -> tuple[Rendering, ...]:
    """The reference first."""
    return tuple(dict.fromkeys((plan.train[0], *plan.renderings)))


def _update_of(path: Path) -> int:
    return int(path.stem.removeprefix("update-"))


def _mean(bands: Sequence[Band]) -> Band | None:
    if not bands:
        return None
    return Band(*(np.mean([band[i] for band in bands], axis=0) for i in range(3)))


def _listed(band: Band) -> list[Any]:
    return [
        [None if math.isnan(x) else x for x in part.tolist()]
        if np.ndim(part)
        else (None if math.isnan(part) else float(part))
        for part in (np.asarray(part, dtype=np.float64) for part in band)
    ]


def _band(content: list[Any]) -> Band:
    return Band(*(np.array(part, dtype=np.float64) for part in content))  # None is nan
