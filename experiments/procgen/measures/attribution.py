"""At which moments a trained policy loses when its game is drawn otherwise.

The policy plays levels under one rendering, `other`.  What it loses there against the `reference`
rendering is by the performance difference identity a sum over the moments of its play,

    J_other − J_reference = E Σ_t γ^t TV_t E[Q(s_t, a') − Q(s_t, a)],

a' an action that the policy prefers under `other`, a one that it prefers under `reference`, and Q
the action values under `reference` (see `attribution_estimator`).  Procgen's states can be saved
and played on, so Q needs no model: the game goes on from s_t with the action given, then with the
policy looking at `reference`, to the episode's end.

A moment's *cost* is minus its summand: above 0 the rendering loses there.

Moments are chosen by a pilot and then measured anew, with rollouts that the choice has not seen.
Otherwise those would be chosen whose estimates happen to be too large (the winner's curse).
"""

from __future__ import annotations

import base64
import dataclasses
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from experiments.envs.procgen import ProcgenOptions
from experiments.envs.procgen.renderings import Rendering
from experiments.procgen.evaluate import (
    MOST,
    Player,
    float_band,
    part_of,
    require_whole,
)
from experiments.procgen.measures import attribution_estimator as estimator
from experiments.procgen.measures.attribution_estimator import Steps
from experiments.procgen.measures.attribution_rollouts import Arena, Rollouts, Scene
from mdtheory.intervals import Band
from mdtheory.progress import OnProgress

APART = 10
"""Steps between two moments of one level that are shown."""
CANDIDATES = 4
"""For each moment to be shown, so many of the pilot's go into its second round."""
PILOT_PAIRS = 4
"""Pairs of rollouts of a candidate in the second round."""

_OWN_STREAM = (0, 0, 1)
"""Sets the draw of moments apart from the episodes' random numbers."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Moment:
    """One step of an episode that was played under the other rendering.

    Attributes:
        level: played.
        step: of its episode, from 0.
        tv: total variation between the policy's actions under both renderings.
        weight: γ^step tv.
        cost: −weight E[Q(a') − Q(a)] with the 95 % Student interval over the pairs; above 0 the
            other rendering loses here. In units of the discounted return, for this episode.
        difference: E[Q(a') − Q(a)], the same without sign and weight.
        pairs: of rollouts behind both; none of them took part in choosing the moment.
        reference_picture, other_picture: what the policy sees, uint8 [64, 64, 3].
        reference_probabilities, other_probabilities: what it makes of them, [15].
    """

    level: int
    step: int
    tv: float
    weight: float
    cost: Band
    difference: Band
    pairs: int
    reference_picture: np.ndarray
    other_picture: np.ndarray
    reference_probabilities: np.ndarray
    other_probabilities: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Everything; pictures as PNG files in base64."""
        return {f.name: _to_json(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Moment:
        bands = {name: _band_from(content[name]) for name in ("cost", "difference")}
        of_renderings = {
            f"{which}_{name}": read(content[f"{which}_{name}"])
            for which in ("reference", "other")
            for name, read in (("picture", _picture_from), ("probabilities", np.array))
        }
        return cls(**{**content, **bands, **of_renderings})


@dataclass(frozen=True, eq=False, kw_only=True)
class Attribution:
    """Where a policy's return under one rendering is lost against another.

    Attributes:
        policy: its name.
        game, distribution_mode: played.
        reference: rendering that the return is compared with.
        other: rendering that the moments were played under.
        levels: one episode on each, under both renderings.
        discount: γ.
        seed: of everything.
        identity: J_other − J_reference by the identity, from the moments drawn.
        measured: the same from the episodes' returns, in pairs of one level. Both intervals are
            Student's over levels, at 95 %; both estimates share the episodes under `other`.
        distance: Σ_t γ^t TV_t of an episode, mean over levels with its interval.
        drawn: moments drawn with probability proportional to their weights.
        worst: moments of largest cost in the pilot, in its order, measured anew.
        best: the same for the smallest (most negative) costs.
        rollouts: played to the end of their episode.
        steps: played in all.
    """

    policy: str
    game: str
    distribution_mode: str
    reference: Rendering
    other: Rendering
    levels: tuple[int, ...]
    discount: float
    seed: int
    identity: Band
    measured: Band
    distance: Band
    drawn: int
    worst: tuple[Moment, ...]
    best: tuple[Moment, ...]
    rollouts: int
    steps: int

    def to_json(self) -> dict[str, Any]:
        return {f.name: _to_json(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Attribution:
        """What `to_json` gave, pictures included."""
        read: dict[str, Callable[[Any], Any]] = {
            **dict.fromkeys(("reference", "other"), Rendering.parse),
            **dict.fromkeys(("identity", "measured", "distance"), _band_from),
            **dict.fromkeys(("worst", "best"), lambda found: tuple(map(Moment.from_json, found))),
            "levels": tuple,
        }
        return cls(**{name: read.get(name, _as_it_is)(value) for name, value in content.items()})


def attribute(
    policy: Player,
    game: str,
    options: ProcgenOptions | None = None,
    *,
    reference: Rendering,
    other: Rendering,
    levels: Sequence[int],
    discount: float,
    seed: int = 0,
    n_moments: int = 64,
    n_worst: int = 6,
    n_best: int = 0,
    pairs_per_moment: int = 16,
    num_envs: int = 32,
    num_threads: int = 4,
    on_progress: OnProgress | None = None,
) -> Attribution:
    """Attribute the difference of a policy's discounted returns under two renderings to moments.

    Args:
        policy: actions are sampled from its probabilities.
        game: one of `GAMES`.
        options: of the game, by default Procgen's own; renderings change them.
        reference: rendering to compare with, whose action values judge.
        other: rendering that is played.
        levels: different ones, one episode on each; they are the independent draws.
        discount: γ, in [0, 1).
        seed: of everything; episodes have the random numbers of an `Evaluator` with this seed.
        n_moments: drawn for the difference, with one pair of rollouts each.
        n_worst, n_best: moments shown that cost most and that help most, fewer if no more are found
            that cost or help, `APART` steps from each other.
        pairs_per_moment: of fresh rollouts for each moment shown.
        num_envs: games played in parallel.
        num_threads: of the library.
        on_progress: told what is done and its share.

    Raises:
        ValueError: naming the argument and its value.
        ArithmeticError: the policy's probabilities are not finite.
        RuntimeError: an episode that was played again came out otherwise, or a rendering changed
            more than pictures.
    """
    _check(discount, n_moments, n_worst, n_best, pairs_per_moment)
    require_whole("num_envs", num_envs, 1, 10**5)
    options = ProcgenOptions() if options is None else options
    arena = Arena(policy, game, options, discount, seed, num_envs, num_threads)
    shown = n_worst + n_best
    rollouts = [n_moments, CANDIDATES * PILOT_PAIRS * shown, pairs_per_moment * shown]
    progress = _parts(on_progress, [len(levels), len(levels), *(2 * n for n in rollouts)])

    played = arena.play((other, reference), levels, next(progress))
    compared = arena.play((reference,), levels, next(progress))
    steps = played.steps
    rng = np.random.default_rng([seed, *_OWN_STREAM])
    drawn = estimator.draw_in_proportion(steps.weight, n_moments, rng.random())
    scenes = arena.revisit(played, levels, (reference, other), np.unique(drawn))

    with arena.games((reference,)) as games:
        judge = Rollouts(policy, games, scenes, discount)
        judge.on_progress = next(progress)
        pilot = estimator.differences(steps, drawn, judge, rng)
        worst, best = _choose(steps, drawn, pilot, judge, rng, (n_worst, n_best), progress)
        judge.on_progress = next(progress)
        measured = np.repeat(np.concatenate([worst, best]), pairs_per_moment)
        fresh = estimator.differences(steps, measured, judge, rng).reshape(-1, pairs_per_moment)
    moments = [
        _moment(steps, step, levels, scenes[step], difference)
        for step, difference in zip([*worst.tolist(), *best.tolist()], fresh, strict=True)
    ]
    distance = np.bincount(steps.level, weights=steps.weight, minlength=steps.n_levels)
    if on_progress is not None:
        on_progress("done", 1.0)
    return Attribution(
        policy=policy.name,
        game=game,
        distribution_mode=options.distribution_mode,
        reference=reference,
        other=other,
        levels=tuple(int(level) for level in levels),
        discount=float(discount),
        seed=int(seed),
        identity=estimator.total_difference(steps, drawn, pilot),
        measured=float_band(played.returns - compared.returns),
        distance=float_band(distance),
        drawn=len(drawn),
        worst=tuple(moments[: len(worst)]),
        best=tuple(moments[len(worst) :]),
        rollouts=judge.n_rollouts,
        steps=len(played.actions) + len(compared.actions) + judge.n_steps,
    )


def _choose(
    steps: Steps,
    drawn: np.ndarray,
    pilot: np.ndarray,
    judge: Rollouts,
    rng: np.random.Generator,
    quotas: tuple[int, int],
    progress: Iterator[OnProgress | None],
) -> tuple[np.ndarray, np.ndarray]:
    """The steps that cost most and those that help most: the best candidates of the pilot are
    judged again, and chosen by the mean of all that is then known."""

    def pick(chosen: np.ndarray, mean: np.ndarray, factor: int) -> list[np.ndarray]:
        gain = steps.weight[chosen] * mean
        return [
            estimator.largest_apart(steps, chosen, sign * gain, n=factor * n, apart=APART)
            for sign, n in zip((-1, 1), quotas, strict=True)
        ]

    judge.on_progress = next(progress)
    candidates = pick(*estimator.mean_by_step(drawn, pilot), CANDIDATES)
    again = np.repeat(np.concatenate(candidates), PILOT_PAIRS)
    more = estimator.differences(steps, again, judge, rng)
    chosen, mean = estimator.mean_by_step(
        np.concatenate([drawn, again]), np.concatenate([pilot, more])
    )
    known = np.isin(chosen, again)
    worst, best = pick(chosen[known], mean[known], 1)
    return worst, best


def _moment(
    steps: Steps, step: int, levels: Sequence[int], scene: Scene, difference: np.ndarray
) -> Moment:
    gain = estimator.contribution(float(steps.weight[step]), difference)
    return Moment(
        level=int(levels[steps.level[step]]),
        step=int(steps.time[step]),
        tv=float(steps.tv[step]),
        weight=float(steps.weight[step]),
        cost=Band(0.0 - gain.mean, 0.0 - gain.high, 0.0 - gain.low),
        difference=float_band(difference),
        pairs=len(difference),
        reference_picture=scene.pictures[0],
        other_picture=scene.pictures[-1],
        reference_probabilities=steps.reference[step],
        other_probabilities=steps.other[step],
    )


def _parts(on_progress: OnProgress | None, sizes: Sequence[int]) -> Iterator[OnProgress | None]:
    """Progress of parts of these sizes, one after the other."""
    for before, size in zip(np.cumsum([0, *sizes]).tolist(), sizes, strict=False):
        yield part_of(on_progress, before / sum(sizes), size / sum(sizes))


def _check(
    discount: float, n_moments: int, n_worst: int, n_best: int, pairs_per_moment: int
) -> None:
    if not 0 <= discount < 1:
        raise ValueError(f"discount must lie in [0, 1), got {discount}")
    require_whole("n_moments", n_moments, 1, MOST)
    require_whole("n_worst", n_worst, 0, MOST)
    require_whole("n_best", n_best, 0, MOST)
    require_whole("pairs_per_moment", pairs_per_moment, 2, MOST)


def _to_json(value: Any) -> Any:
    if isinstance(value, Band):
        return [None if math.isnan(end) else end for end in value]
    if isinstance(value, Rendering):
        return str(value)
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        buffer = io.BytesIO()
        Image.fromarray(value).save(buffer, format="PNG")
        return base64.b64encode(buffer.getvalue()).decode("ascii")
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return [_to_json(entry) for entry in value]
    return value.to_json() if isinstance(value, Moment) else value


def _band_from(ends: Sequence[float | None]) -> Band:
    return Band(*(math.nan if end is None else end for end in ends))


def _picture_from(text: str) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(base64.b64decode(text))))


def _as_it_is(value: Any) -> Any:
    return value
