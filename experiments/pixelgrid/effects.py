"""What mutual distillation changes: paired differences over seeds, by game, N and alpha.

Five questions, of which the last four are at equal environment steps in total.  All intervals are
Student's over paired seeds; which differences are decided is said after Holm's correction for all
comparisons of one measure.  `over_games` averages a seed's differences over the games, and finds
what is too small to be decided in any of them; these comparisons are corrected among themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from rich.table import Table

from experiments.interval import Interval, interval
from experiments.pixelgrid.finals import Final


@dataclass(frozen=True)
class Question:
    """Left minus right.

    Attributes:
        left: policy of the agents that distil.
        right: policy of the control.
        single: whether the control is one agent with the steps of all, instead of as many agents
            that do not distil.
    """

    name: str
    left: str
    right: str
    single: bool


QUESTIONS = (
    Question(
        "a distilled agent − an independent agent, steps of each equal", "agent", "agent", False
    ),
    Question("mixture of distilled − mixture of independent agents", "mixture", "mixture", False),
    Question("a distilled agent − mixture of independent agents", "agent", "mixture", False),
    Question("a distilled agent − one agent with the steps of all", "agent", "agent", True),
    Question("mixture of distilled − one agent with the steps of all", "mixture", "agent", True),
)
CONTROL = Question(
    "mixture of independent agents − one agent with the steps of all", "mixture", "agent", True
)
"""What many agents do without distillation."""
SIGNIFICANCE = 0.05
"""Of a family of comparisons: how often any is called a difference where there is none."""
EVERY_GAME = "mean of games"
"""The game of an effect that is averaged over all of them."""


@dataclass(frozen=True, eq=False)
class Effect:
    """One difference.

    Attributes:
        question: what is compared.
        game: a name of the sweep file, or `EVERY_GAME`.
        agents, distill_coef: N and alpha of the left side.
        per_seed: seed -> difference.
        decided: whether the mean differs from 0 after the correction.
    """

    question: Question
    game: str
    agents: int
    distill_coef: float
    per_seed: dict[int, float]
    decided: bool = False

    @cached_property
    def difference(self) -> Interval:
        """Their mean with its interval."""
        return interval(np.array(list(self.per_seed.values())))

    @property
    def sign(self) -> int:
        """1 or -1 if decided, else 0."""
        return int(np.sign(self.difference.mean)) if self.decided else 0


def effects(finals: Sequence[Final], measure: str) -> list[Effect]:
    """All comparisons that the table allows, of one measure, corrected for their number.

    Raises:
        ValueError: no two rows can be compared.
    """
    _require_one_each(finals)
    found = [
        Effect(
            question=question,
            game=left.game,
            agents=left.agents,
            distill_coef=left.distill_coef,
            per_seed=_paired(left, right, measure),
        )
        for question in (*QUESTIONS, CONTROL)
        for left in finals
        if left.agents > 1
        and left.policy == question.left
        and (left.distill_coef > 0) != (question is CONTROL)
        for right in finals
        if _is_control(right, left, question)
    ]
    if not found:
        raise ValueError("the table must hold agents that distil and a control of the same game")
    return _corrected(found)


def over_games(found: Sequence[Effect]) -> list[Effect]:
    """The mean of every comparison over the games, corrected for the number of these means.

    Left out are comparisons that not all games have, or not with the same seeds.
    """
    games = {effect.game for effect in found}
    groups: dict[tuple[Question, int, float], list[Effect]] = {}
    for e in found:
        groups.setdefault((e.question, e.agents, e.distill_coef), []).append(e)
    return _corrected([
        replace(
            members[0],
            game=EVERY_GAME,
            per_seed={
                seed: float(np.mean([e.per_seed[seed] for e in members]))
                for seed in members[0].per_seed
            },
        )
        for members in groups.values()
        if 1 < len(members) == len(games)
        and all(e.per_seed.keys() == members[0].per_seed.keys() for e in members)
    ])  # fmt: skip


def _corrected(found: Sequence[Effect]) -> list[Effect]:
    decided = holm([effect.difference.p for effect in found])
    return [replace(e, decided=bool(d)) for e, d in zip(found, decided, strict=True)]


def _require_one_each(finals: Sequence[Final]) -> None:
    """Algorithms of a game must differ in what a comparison is named by."""
    seen: dict[tuple[object, ...], str] = {}
    for one in finals:
        key = (one.game, one.agents, one.distill_coef, one.steps, one.policy)
        other = seen.setdefault(key, one.algorithm)
        if other != one.algorithm:
            raise ValueError(
                f"{other} and {one.algorithm} of {one.game} have the same N, alpha and steps: leave"
                " one of them out"
            )


def _is_control(right: Final, left: Final, question: Question) -> bool:
    agents, steps = (1, left.agents * left.steps) if question.single else (left.agents, left.steps)
    return (
        right.game == left.game
        and right.policy == question.right
        and right.distill_coef == 0
        and (right.agents, right.steps) == (agents, steps)
    )


def _paired(left: Final, right: Final, measure: str) -> dict[int, float]:
    alone = sorted(set(left.seeds.tolist()) ^ set(right.seeds.tolist()))
    if alone:
        raise ValueError(
            f"{left.algorithm} and {right.algorithm} of {left.game} must have the same seeds to be"
            f" paired, got seed {alone[0]} of one of them only"
        )
    differences = left.values[measure] - right.values[measure]
    return dict(zip(left.seeds.tolist(), differences.tolist(), strict=True))


def holm(p: Sequence[float], level: float = SIGNIFICANCE) -> np.ndarray:
    """Which hypotheses Holm's step-down procedure rejects, [hypothesis].

    The probability of any wrong rejection is at most `level`, however the p-values depend on each
    other (Holm 1979).  A p-value that is nan is not rejected.
    """
    values = np.nan_to_num(np.asarray(p, dtype=float), nan=1.0)
    order = np.argsort(values)
    thresholds = level / np.arange(len(values), 0, -1)
    passes = np.cumprod(values[order] <= thresholds).astype(bool)
    rejected = np.zeros(len(values), dtype=bool)
    rejected[order] = passes
    return rejected


def sentences(found: Sequence[Effect], word: str) -> list[str]:
    """For each question, how many differences of one measure, called `word`, are decided how."""
    lines = []
    means = over_games(found)
    for question in (*QUESTIONS, CONTROL):
        mine = [e for e in found if e.question == question]
        if mine:
            line = f"{word}, {question.name}: {_counts(mine)}"
            averaged = [e for e in means if e.question == question]
            line += f"; in the mean of games {_counts(averaged)}" if averaged else ""
            lines.append(f"{line}.")
    return lines


def _counts(found: Sequence[Effect]) -> str:
    up, down = (sum(e.sign == sign for e in found) for sign in (1, -1))
    return f"higher in {up}, lower in {down}, undecided in {len(found) - up - down} of {len(found)}"


def table(found: Sequence[Effect], title: str) -> Table:
    """A row for each question, N and alpha, a column for each game and their mean; * marks what is
    decided."""
    found = [*found, *over_games(found)]
    games = list(dict.fromkeys(e.game for e in found))
    shown = Table(title=title, title_justify="left")
    for column in ("difference", "N", "α", *games):
        shown.add_column(column, overflow="fold")
    for question in (*QUESTIONS, CONTROL):
        mine = [e for e in found if e.question == question]
        name = question.name
        for agents, alpha in sorted({(e.agents, e.distill_coef) for e in mine}):
            by_game = {e.game: e for e in mine if (e.agents, e.distill_coef) == (agents, alpha)}
            cells = [_cell(by_game[game]) if game in by_game else "–" for game in games]
            shown.add_row(name, str(agents), f"{alpha:g}", *cells)
            name = ""
        shown.add_section()
    return shown


def _cell(effect: Effect) -> str:
    return effect.difference.compact(4, "+") + ("*" if effect.decided else "")
