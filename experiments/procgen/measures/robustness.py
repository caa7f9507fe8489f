"""How differently a trained policy acts when the same game looks different.

The policy plays every level to its end under one rendering, which leads, while the same games run
along in other renderings; at each state it is also asked what it would do in those.  Episodes on
one level share their random numbers under all renderings, so returns can be compared in pairs.

What was measured is kept, episode by episode, in a file to which lines are only added: measuring
again, after a kill or with more renderings, computes what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from experiments.envs.procgen.rendered import LockstepGames
from experiments.envs.procgen.renderings import Rendering
from experiments.procgen.checkpoint import append_line, drop_torn_line, read_lines
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.evaluate import Evaluator, part_of
from experiments.procgen.policy import Policy
from mdtheory import files
from mdtheory.progress import OnProgress
from mdtheory.robustness import kl_divergence, total_variation

MEASURED = "measured"
"""Folder of what is measured of a run, in the run's folder or beside an exported file."""
ROBUSTNESS = "robustness.jsonl"

BATCH = 64
"""Pictures that go through a network at once."""

_SMALLEST = float(np.finfo(np.float32).tiny)
"""Probabilities that float32 rounds to 0 count as this in logarithms."""


@dataclass(frozen=True)
class Plan:
    """What is played.

    Attributes:
        levels: each once under every rendering that leads.
        renderings: all of them.
        train: those of them that were trained on, at least one.
        discount: of discounted sums.
        seed: of the actions.
    """

    levels: tuple[int, ...]
    renderings: tuple[Rendering, ...]
    train: tuple[Rendering, ...]
    discount: float
    seed: int = 0

    def __post_init__(self) -> None:
        missing = [str(r) for r in self.train if r not in self.renderings]
        if missing or not self.train:
            raise ValueError(
                "renderings must contain all that were trained on, at least one, and lack"
                f" {', '.join(missing) or 'any'}"
            )
        if not self.levels:
            raise ValueError("levels must be at least one, got none")
        if not 0 <= self.discount < 1:
            raise ValueError(f"discount must lie in [0, 1), got {self.discount}")

    @property
    def heldout(self) -> tuple[Rendering, ...]:
        """Those that were not trained on."""
        return tuple(r for r in self.renderings if r not in self.train)

    def watched(self, lead: Rendering) -> tuple[Rendering, ...]:
        """Whom to compare with `lead`: all others, or for a held-out one those trained on."""
        others = self.renderings if lead in self.train else self.train
        return tuple(r for r in others if r != lead)


class Distances(NamedTuple):
    """How two renderings of the same states differ to a policy, sums over each episode, [n].

    tv, kl (of the leading rendering's action distribution from the other's, nats) and
    value_difference (absolute, in units of the value head) are summed over the states visited,
    agreement counts states with the same likeliest action, discounted_tv is sum_t gamma^t TV_t, and
    largest_tv the largest TV seen.
    """

    tv: np.ndarray
    discounted_tv: np.ndarray
    largest_tv: np.ndarray
    kl: np.ndarray
    agreement: np.ndarray
    value_difference: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class Play:
    """One policy's episodes under one rendering, one on each level, [n].

    Attributes:
        policy: its name.
        lead: the rendering acted on.
        returns: undiscounted; discounted_returns: sum_t gamma^t r_t.
        lengths: states visited.
        entropy: of the action distribution, summed over the states visited, nats.
        solved: whether the level was completed.
        distances: other rendering -> how it differs.
    """

    policy: str
    lead: Rendering
    returns: np.ndarray
    discounted_returns: np.ndarray
    lengths: np.ndarray
    solved: np.ndarray
    entropy: np.ndarray
    distances: Mapping[Rendering, Distances]

    def to_json(self) -> dict[str, Any]:
        return {
            "policy": self.policy,
            "lead": str(self.lead),
            **{name: getattr(self, name).tolist() for name in _COLUMNS},
            "distances": {
                str(rendering): {n: a.tolist() for n, a in found._asdict().items()}
                for rendering, found in self.distances.items()
            },
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Play:
        return cls(
            policy=content["policy"],
            lead=Rendering.parse(content["lead"]),
            distances={
                Rendering.parse(text): Distances(**{n: np.array(a) for n, a in found.items()})
                for text, found in content["distances"].items()
            },
            **{name: np.array(content[name]) for name in _COLUMNS},
        )


_COLUMNS = ("returns", "discounted_returns", "lengths", "solved", "entropy")


@dataclass(frozen=True, eq=False)
class Robustness:
    """What was measured of a run.

    Attributes:
        config: of the run.
        update: updates after which the policies were saved.
        plan: what was played.
        plays: policy's name -> leading rendering -> episodes.
    """

    config: ProcgenConfig
    update: int
    plan: Plan
    plays: Mapping[str, Mapping[Rendering, Play]]


_Kept = TypeVar("_Kept")


def read_kept(path: Path, read: Callable[[dict[str, Any]], _Kept]) -> list[_Kept]:
    """What `read` makes of each line of a file that results are kept in.

    Raises:
        ValueError: a line is damaged, naming file and line.
    """
    found = []
    for number, line in enumerate(read_lines(path), start=1):
        where = f"{path}, line {number},"
        try:
            found.append(read(line))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{where} is damaged: {error!r}") from None
    return found


def measured_folder(run: Path) -> Path:
    """Where results about a run or an exported file are kept."""
    return run / MEASURED if run.is_dir() else run.with_suffix(f".{MEASURED}")


def measure_robustness(
    policies: Sequence[Policy],
    plan: Plan,
    folder: Path,
    *,
    num_envs: int = 32,
    on_progress: OnProgress | None = None,
) -> Robustness:
    """Measure what is not yet in the folder, and return all that the plan asks for.

    Args:
        policies: of one run, whose configuration says game and options.
        plan: what is played.
        folder: where results are kept; made if need be.
        num_envs: games played in parallel.
        on_progress: told the share of episodes played.

    Raises:
        BlockingIOError: another process measures into the same folder.
        ArithmeticError: a policy's probabilities are not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with files.only_one(folder):
        return _measure(policies, plan, folder / ROBUSTNESS, num_envs, on_progress)


def _measure(
    policies: Sequence[Policy],
    plan: Plan,
    path: Path,
    num_envs: int,
    on_progress: OnProgress | None,
) -> Robustness:
    config, update = policies[0].config, policies[0].update
    plays: dict[str, dict[Rendering, Play]] = {policy.name: {} for policy in policies}
    keys = {policy.name: _key(policy, plan) for policy in policies}

    def ours(line: dict[str, Any]) -> Play | None:
        return Play.from_json(line) if line["key"] == keys.get(line["policy"]) else None

    for play in filter(None, read_kept(path, ours)):
        if play.lead in plan.renderings and set(plan.watched(play.lead)) <= set(play.distances):
            plays[play.policy][play.lead] = play
    todo = [lead for lead in plan.renderings if any(lead not in plays[p.name] for p in policies)]
    work = sum(
        1 + len(plan.watched(lead)) for lead in todo for p in policies if lead not in plays[p.name]
    )
    done = 0
    drop_torn_line(path)
    for lead in todo:
        renderings = (lead, *plan.watched(lead))
        with Evaluator(
            config.game,
            config.options,
            renderings=renderings,
            num_envs=min(num_envs, len(plan.levels)),
            num_threads=config.threads,
        ) as games:
            for policy in policies:
                if lead in plays[policy.name]:
                    continue
                progress = part_of(on_progress, done / work, len(renderings) / work)
                play = _play(policy, games, renderings, plan, progress)
                append_line(path, {"update": update, "key": keys[policy.name], **play.to_json()})
                plays[policy.name][lead] = play
                done += len(renderings)
    return Robustness(config, update, plan, plays)


def _key(policy: Policy, plan: Plan) -> dict[str, Any]:
    """Tells measurements apart that must not be mixed."""
    return {
        "env": policy.config.env,
        "mode": policy.config.distribution_mode,
        "weights": policy.digest,
        "levels": [int(level) for level in plan.levels],
        "discount": plan.discount,
        "seed": plan.seed,
    }


def _play(
    policy: Policy,
    games: Evaluator,
    renderings: Sequence[Rendering],
    plan: Plan,
    on_progress: OnProgress | None,
) -> Play:
    observer = _Observer(policy, len(plan.levels), len(renderings) - 1, plan.discount)
    progress = None
    if on_progress is not None:
        progress = lambda text, share: on_progress(f"{text}, {renderings[0]}", share)  # noqa: E731
    table = games.run(
        observer,
        plan.levels,
        mode="sampled",
        seed=plan.seed,
        watcher=observer,
        on_progress=progress,
    )
    return Play(
        policy=policy.name,
        lead=renderings[0],
        returns=table.returns,
        discounted_returns=observer.discounted_returns,
        lengths=table.lengths,
        solved=table.solved,
        entropy=observer.entropy,
        distances={
            rendering: Distances(*observer.sums[:, i]) for i, rendering in enumerate(renderings[1:])
        },
    )


class _Observer:
    """Plays like a policy and remembers what it would have done in the other renderings.

    sums [distance, other rendering, episode], in the order of `Distances`.
    """

    def __init__(self, policy: Policy, n_episodes: int, n_others: int, discount: float) -> None:
        self.name = policy.name
        self._policy, self._discount = policy, discount
        self.sums = np.zeros((len(Distances._fields), n_others, n_episodes))
        self.discounted_returns = np.zeros(n_episodes)
        self.entropy = np.zeros(n_episodes)
        self._weight = np.ones(n_episodes)  # gamma^t
        self._values = np.zeros(0)

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        probabilities, self._values = self._policy.look(observation)
        return probabilities

    def look(
        self,
        rows: np.ndarray,
        probabilities: np.ndarray,
        games: LockstepGames,
        playing: np.ndarray,
    ) -> None:
        mine = probabilities.astype(np.float64)
        self.entropy[rows] -= (mine * np.log(np.maximum(mine, _SMALLEST))).sum(axis=-1)
        n_others = self.sums.shape[1]
        if n_others == 0:
            return
        pictures = np.concatenate([games.pictures(i + 1, playing) for i in range(n_others)])
        parts = [self._policy.look(pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)]
        shape = (n_others, len(rows))
        other = np.concatenate([p for p, _ in parts]).reshape(*shape, -1).astype(np.float64)
        values = np.concatenate([v for _, v in parts]).reshape(shape)
        if not (np.isfinite(other).all() and np.isfinite(values - self._values).all()):
            raise ArithmeticError(f"what {self.name} makes of pictures must be finite, got nan")
        tv = total_variation(mine, other)
        sums = Distances(*self.sums)
        sums.tv[:, rows] += tv
        sums.discounted_tv[:, rows] += self._weight[rows] * tv
        sums.largest_tv[:, rows] = np.maximum(sums.largest_tv[:, rows], tv)
        sums.kl[:, rows] += kl_divergence(
            np.broadcast_to(mine, other.shape), np.maximum(other, _SMALLEST)
        )
        sums.agreement[:, rows] += other.argmax(axis=-1) == mine.argmax(axis=-1)
        sums.value_difference[:, rows] += abs(values - self._values)

    def paid(self, rows: np.ndarray, rewards: np.ndarray) -> None:
        self.discounted_returns[rows] += self._weight[rows] * rewards
        self._weight[rows] *= self._discount
