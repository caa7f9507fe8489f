"""An aggregation as tables for the terminal, and as one JSON object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from experiments.aggregates import AGGREGATES
from experiments.interval import interval
from experiments.procgen.comparison.aggregate import Aggregation
from experiments.procgen.comparison.compare import interval_cell, letters, new_table
from experiments.procgen.comparison.score_file import Run
from experiments.procgen.interval_words import percent
from mdtheory.intervals import Band


def shown(band: Band) -> str:
    """An estimate with its interval, or that it has none."""
    if math.isnan(band.low):
        return f"{band.mean:.3f}\n(no interval)"
    return f"{band.mean:.3f}\n[{band.low:.3f}, {band.high:.3f}]"


def counted(sizes: Sequence[int]) -> str:
    """`3`, or `2 to 5`."""
    least, most = min(sizes), max(sizes)
    return str(least) if least == most else f"{least} to {most}"


def runs_of_each_game(found: Aggregation, name: str) -> str:
    """How many, in the games averaged over."""
    return counted([len(found.raw[name][game]) for game in found.games])


def tables(found: Aggregation) -> list[Table]:
    """Aggregates, probabilities of improvement, every game and every run."""
    pairs = [_pair_table(found)] if found.improvements else []
    return [_aggregate_table(found), *pairs, _game_table(found), _run_table(found)]


def _aggregate_table(found: Aggregation) -> Table:
    n = len(found.games)
    title = (
        f"aggregates over {n} {'game' if n == 1 else 'games'}, {found.settings.split} levels,"
        f" {found.settings.words}; {percent(found.settings.level)} stratified bootstrap intervals"
    )
    table = new_table(title, "algorithm", "runs of each game", *AGGREGATES)
    for name, letter in letters(found.algorithms).items():
        cells = [shown(band) for band in found.aggregates[name].values()]
        table.add_row(escape(f"{letter}: {name}"), runs_of_each_game(found, name), *cells)
    table.caption = "IQM, median and mean: more is better; optimality gap: less is better"
    return table


def _pair_table(found: Aggregation) -> Table:
    letter = letters(found.algorithms)
    title = "probability that a run of the left scores more than one of the right, mean over games"
    table = new_table(title, "left > right", "games", "probability of improvement")
    for pair in found.improvements:
        names = f"{letter[pair.left]} > {letter[pair.right]}"
        table.add_row(names, str(len(pair.games)), shown(pair.probability))
    return table


def _game_table(found: Aggregation) -> Table:
    letter = letters(found.algorithms)
    title = (
        f"every game: mean score on {found.settings.split} levels before normalisation, 95 %"
        " Student intervals over runs, and the mean normalised score"
    )
    table = new_table(title, "game", "range", *(letter[name] for name in found.algorithms))
    for game in found.all_games:
        low_high = found.settings.ranges[game] if found.settings.ranges else None
        span = f"{low_high.low:g} to {low_high.high:g}" if low_high else "-"
        cells = [_game_cell(found, name, game) for name in found.algorithms]
        table.add_row(escape(game), span, *cells)
    return table


def _game_cell(found: Aggregation, name: str, game: str) -> str:
    if game not in found.raw[name]:
        return "missing"
    scores = found.raw[name][game]
    words = interval_cell(interval(scores), ",.2f", len(scores))
    return f"{words}\nnormalised {found.scores[name][game].mean():.3f}, n = {len(scores)}"


def _run_table(found: Aggregation) -> Table:
    table = new_table("every run", "run", "", "game", "seed", "score", "normalised")
    letter = letters(found.algorithms)
    for run in found.runs:
        table.add_row(
            escape(run.source), letter[run.algorithm], escape(run.game), escape(run.seed),
            f"{run.score:,.2f}", f"{_normalized(found, run):.3f}",
        )  # fmt: skip
    return table


def _normalized(found: Aggregation, run: Run) -> float:
    return float(found.normalized(run.game, np.array(run.score)))


def to_json(found: Aggregation) -> dict[str, Any]:
    """Every number, for other programs; null where there is no interval."""
    settings = found.settings
    profiles = {"runs above": found.profiles(), "games above": found.profiles(average=True)}
    return {
        "command": found.command,
        "settings": {
            "normalization": settings.normalization,
            "mode": settings.mode or None,
            "split": settings.split,
            "level": settings.level,
            "resamples": settings.resamples,
            "seed": settings.seed,
        },
        "ranges": {g: list(settings.ranges[g]) for g in found.all_games} if settings.ranges else {},
        "games": list(found.games),
        "algorithms": [
            {
                "name": name,
                "runs": {game: len(runs) for game, runs in found.raw[name].items()},
                "missing": [game for game in found.all_games if game not in found.raw[name]],
                "aggregates": {k: _band(b) for k, b in found.aggregates[name].items()},
                "profile": {
                    "tau": found.taus.tolist(),
                    **{kind: _band(bands[name]) for kind, bands in profiles.items()},
                },
            }
            for name in found.algorithms
        ],
        "improvements": [
            {"left": p.left, "right": p.right, "games": list(p.games), **_band(p.probability)}
            for p in found.improvements
        ],
        "runs": [{**run._asdict(), "normalized": _normalized(found, run)} for run in found.runs],
        "sentences": found.sentences,
    }


def _band(band: Band) -> dict[str, Any]:
    return {"estimate": _plain(band.mean), "low": _plain(band.low), "high": _plain(band.high)}


def _plain(value: Any) -> Any:
    """Numbers of JSON, null for nan."""
    if isinstance(value, np.ndarray):
        return [_plain(x) for x in value]
    return None if math.isnan(value) else float(value)
