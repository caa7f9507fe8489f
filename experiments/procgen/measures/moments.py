"""The moments at which a rendering costs a run's policy most, measured once and then kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.envs.procgen.renderings import Rendering
from experiments.procgen.checkpoint import append_line, drop_torn_line
from experiments.procgen.evaluate import load_on
from experiments.procgen.interval_words import with_ends
from experiments.procgen.measures.attribution import Attribution, attribute
from experiments.procgen.measures.audit import require_heldout
from experiments.procgen.measures.robustness import Plan, Robustness, measured_folder, read_kept
from mdtheory import files
from mdtheory.progress import OnProgress

MOMENTS = "moments.jsonl"
DRAWN_PER_LEVEL = 24
"""Moments drawn for the identity; with few, the interval of its total is wide and may be off."""


def costliest(measured: Robustness, policy: str) -> Rendering:
    """The held-out rendering under which a policy's mean return is lowest."""
    plays = measured.plays[policy]
    return min(require_heldout(measured.plan), key=lambda r: plays[r].returns.mean())


def require_other(other: Rendering, game: str, plan: Plan) -> None:
    """Raise ValueError for a rendering that cannot be compared with the reference."""
    other.require_game(game)
    if other == plan.train[0]:
        raise ValueError(f"the rendering must differ from the reference {plan.train[0]}, got it")


def measure_moments(
    run: Path,
    measured: Robustness,
    *,
    agent: int = 0,
    of: Rendering | None = None,
    n_moments: int = 6,
    device: str = "auto",
    on_progress: OnProgress | None = None,
) -> Attribution:
    """What one agent's return under a rendering is lost at, on the levels that were measured.

    Args:
        run: folder of `mdpo train`, or a file of `mdpo export`.
        measured: of this run.
        agent: whose.
        of: the rendering; by default the one with the lowest return.
        n_moments: to show.
        device: where the networks are.
        on_progress: told what is done and its share.

    Raises:
        ValueError: there is no such agent; or as `attribute`.
        BlockingIOError: another process measures into the same folder.
    """
    agents, plan, config = load_on(run, device), measured.plan, measured.config
    if not 0 <= agent < len(agents):
        raise ValueError(f"agent must be from 0 to {len(agents) - 1}, got {agent}")
    policy = agents[agent]
    other = costliest(measured, policy.name) if of is None else of
    require_other(other, config.game, plan)
    key = {
        "env": config.env,
        "mode": config.distribution_mode,
        "weights": policy.digest,
        "levels": list(plan.levels),
        "discount": plan.discount,
        "seed": plan.seed,
        "reference": str(plan.train[0]),
        "other": str(other),
        "moments": n_moments,
        "drawn_per_level": DRAWN_PER_LEVEL,
    }
    folder = measured_folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    with files.only_one(folder):

        def ours(line: dict[str, Any]) -> Attribution | None:
            return Attribution.from_json(line["attribution"]) if line["key"] == key else None

        for kept in filter(None, read_kept(folder / MOMENTS, ours)):
            return kept
        found = attribute(
            policy,
            config.game,
            config.options,
            reference=plan.train[0],
            other=other,
            levels=plan.levels,
            discount=plan.discount,
            seed=plan.seed,
            n_moments=DRAWN_PER_LEVEL * len(plan.levels),
            n_worst=n_moments,
            num_threads=config.threads,
            on_progress=on_progress,
        )
        drop_torn_line(folder / MOMENTS)
        line = {"update": measured.update, "key": key, "attribution": found.to_json()}
        append_line(folder / MOMENTS, line)
    return found


def sentence(found: Attribution) -> str:
    """What the identity says of the difference, beside what was measured."""
    return (
        f"{found.policy}, {found.other} against {found.reference}, discounted returns:"
        f" {with_ends(found.identity, '+')} by the identity from {found.drawn} moments,"
        f" {with_ends(found.measured, '+')} as played; {found.rollouts:,} rollouts,"
        f" {found.steps:,} steps"
    )
