"""RESULTS.md says what the committed numbers say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.pixelgrid.effects import CONTROL, QUESTIONS, Effect, effects
from experiments.pixelgrid.finals import read_finals
from experiments.sweep.plan import load_plan

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "results" / "pixelgrid"
MEASURES = {"Held-out return": "heldout_return", "Mean R": "mean_robustness"}
"""The tables of differences by the first cell of their head."""


def shown() -> dict[str, list[list[str]]]:
    """The rows of the tables of differences in RESULTS.md, by measure."""
    tables: dict[str, list[list[str]]] = {}
    for block in re.findall(r"(?:^\|.*\n)+", (ROOT / "RESULTS.md").read_text("utf-8"), re.M):
        head, _, *rows = ([cell.strip() for cell in x.strip("|\n").split("|")] for x in
                          block.strip().split("\n"))  # fmt: skip
        if head[0] in MEASURES:
            tables[MEASURES[head[0]]] = rows
    return tables


def cell(effect: Effect) -> str:
    difference = effect.difference
    mean = f"{difference.mean:+.3f}".replace("-", "−")
    half = (difference.high - difference.low) / 2
    return f"{f'**{mean}**' if effect.decided else mean} ± {half:.3f}"


@pytest.mark.parametrize("measure", MEASURES.values())
def test_the_tables_are_what_the_command_computes(measure):
    found = effects(read_finals(FOLDER / "finals.csv"), measure)
    games = list(load_plan_games())
    rows = shown()[measure]
    assert rows
    for name, agents, alpha, *cells in rows:
        [question] = [q for q in (*QUESTIONS, CONTROL) if q.name == name]
        mine = {
            e.game: cell(e)
            for e in found
            if (e.question, e.agents, f"{e.distill_coef:g}") == (question, int(agents), alpha)
        }
        assert cells == [mine[game] for game in games]


def load_plan_games() -> dict[str, None]:
    return dict.fromkeys(run.game for run in load_plan(FOLDER / "sweep.toml").runs)


def test_the_table_of_finals_is_of_the_whole_sweep():
    plan = load_plan(FOLDER / "sweep.toml")
    finals = read_finals(FOLDER / "finals.csv")
    assert all(final.seeds.tolist() == list(range(32)) for final in finals)
    agents = {(run.game, run.algorithm): run.config.agents for run in plan.runs}
    wanted = {(*cell, "agent") for cell in agents}
    wanted |= {(*cell, "mixture") for cell, n in agents.items() if n > 1}
    assert {(final.game, final.algorithm, final.policy) for final in finals} == wanted


def test_the_sweep_of_the_paper_asks_for_all_games():
    plan = load_plan(ROOT / "results" / "paper.toml")
    assert len(plan.runs) == 16 * 3 * 3
    assert {run.config.distribution_mode for run in plan.runs} == {"hard"}
