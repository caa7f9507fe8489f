"""RESULTS.md says what the committed numbers say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.pixelgrid.effects import (
    CONTROL,
    EVERY_GAME,
    QUESTIONS,
    Effect,
    effects,
    over_games,
)
from experiments.pixelgrid.finals import read_finals
from experiments.sweep.plan import load_plan

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "results" / "pixelgrid"
TABLES = {
    "Held-out return": ("sweep.toml", "finals.csv", "heldout_return"),
    "Mean R": ("sweep.toml", "finals.csv", "mean_robustness"),
    "Held-out return, more updates": ("longer.toml", "longer.csv", "heldout_return"),
}
"""Sweep, finals and measure of the tables of differences, by the first cell of their head."""


def shown() -> dict[str, list[list[str]]]:
    """The rows of the tables of differences in RESULTS.md, by the first cell of their head."""
    tables: dict[str, list[list[str]]] = {}
    for block in re.findall(r"(?:^\|.*\n)+", (ROOT / "RESULTS.md").read_text("utf-8"), re.M):
        head, _, *rows = ([cell.strip() for cell in x.strip("|\n").split("|")] for x in
                          block.strip().split("\n"))  # fmt: skip
        if head[0] in TABLES:
            tables[head[0]] = rows
    return tables


def cell(effect: Effect) -> str:
    difference = effect.difference
    mean = f"{difference.mean:+.3f}".replace("-", "−")
    half = (difference.high - difference.low) / 2
    return f"{f'**{mean}**' if effect.decided else mean} ± {half:.3f}"


@pytest.mark.parametrize("head", TABLES)
def test_the_tables_are_what_the_command_computes(head):
    sweep, table, measure = TABLES[head]
    found = effects(read_finals(FOLDER / table), measure)
    found += over_games(found)
    games = [*dict.fromkeys(run.game for run in load_plan(FOLDER / sweep).runs), EVERY_GAME]
    rows = shown()[head]
    assert rows
    for name, agents, alpha, *cells in rows:
        [question] = [q for q in (*QUESTIONS, CONTROL) if q.name == name]
        mine = {
            e.game: cell(e)
            for e in found
            if (e.question, e.agents, f"{e.distill_coef:g}") == (question, int(agents), alpha)
        }
        assert cells == [mine[game] for game in games]


@pytest.mark.parametrize(
    ("sweep", "table"), [("sweep.toml", "finals.csv"), ("longer.toml", "longer.csv")]
)
def test_the_table_of_finals_is_of_the_whole_sweep(sweep, table):
    plan = load_plan(FOLDER / sweep)
    finals = read_finals(FOLDER / table)
    assert all(final.seeds.tolist() == list(range(32)) for final in finals)
    agents = {(run.game, run.algorithm): run.config.agents for run in plan.runs}
    wanted = {(*cell, "agent") for cell in agents}
    wanted |= {(*cell, "mixture") for cell, n in agents.items() if n > 1}
    assert {(final.game, final.algorithm, final.policy) for final in finals} == wanted


def test_the_sweep_of_the_paper_asks_for_all_games():
    plan = load_plan(ROOT / "results" / "paper.toml")
    assert len(plan.runs) == 16 * 3 * 3
    assert {run.config.distribution_mode for run in plan.runs} == {"hard"}
