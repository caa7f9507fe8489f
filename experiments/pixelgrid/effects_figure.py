"""The effects of distillation as a picture: a panel for each question and measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from experiments.pixelgrid.effects import CONTROL, QUESTIONS, Effect, Question, over_games
from mdtheory.report import style

_SHIFT = 0.055
"""Between the points of neighbouring settings, so that intervals do not cover each other."""
_MARKERS = {True: "o", False: "s"}


def effects_figure(
    by_measure: dict[str, list[Effect]], words: dict[str, str], command: str
) -> Figure:
    """Rows are measures, columns questions, horizontal axes games, colours N and alpha.

    Args:
        by_measure: measure -> its effects.
        words: measure -> what its axis says.
        command: that made the picture.
    """
    questions = [*QUESTIONS, CONTROL]
    width = 3.1 * len(questions)
    figure, axes = style.new_figure(
        width, 2.9 * len(by_measure) + 0.9, nrows=len(by_measure), ncols=len(questions),
        sharey="row", squeeze=False,
    )  # fmt: skip
    by_measure = {name: [*found, *over_games(found)] for name, found in by_measure.items()}
    first = next(iter(by_measure.values()))
    settings = sorted({(e.agents, e.distill_coef) for e in first})
    colours = {setting: _colour(setting, settings) for setting in settings}
    games = list(dict.fromkeys(e.game for e in first))
    for row, (measure, found) in zip(axes, by_measure.items(), strict=True):
        for axis, question in zip(row, questions, strict=True):
            _panel(axis, found, question, games, colours)
        row[0].set_ylabel(words[measure])
    for axis, question in zip(axes[0], questions, strict=True):
        axis.set_title("\n".join(style.wrapped(question.name, 2.0)), fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("game of the sweep")
    handles: dict[str, Any] = {}
    for row in axes:
        for axis in row:
            handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    order = sorted(handles)
    figure.legend(
        [handles[name] for name in order], order, loc="outside upper center", ncols=len(order),
        fontsize=7.5,
    )  # fmt: skip
    n = {e.difference.n for e in first}
    seeds = f"{min(n)}" if len(n) == 1 else f"{min(n)} to {max(n)}"
    caption = (
        f"Paired differences over {seeds} seeds with 95 % Student intervals, not corrected for"
        " their number; filled: differs from 0 after Holm's correction for all comparisons of the"
        f" row on single games, or for all of the row's means of games. {command}"
    )
    style.write_below(figure, style.wrapped(caption, width))
    return figure


def _panel(
    axis: Any,
    found: Sequence[Effect],
    question: Question,
    games: Sequence[str],
    colours: dict[tuple[int, float], str],
) -> None:
    axis.axhline(0, color="#555555", linewidth=0.8)
    settings = list(colours)
    for k, setting in enumerate(settings):
        mine = [
            e for e in found if e.question == question and (e.agents, e.distill_coef) == setting
        ]
        if not mine:
            continue
        agents, alpha = setting
        for number, e in enumerate(mine):
            x = games.index(e.game) + _SHIFT * (k - (len(settings) - 1) / 2)
            half = (e.difference.high - e.difference.low) / 2
            axis.errorbar(
                x,
                e.difference.mean,
                yerr=half,
                fmt=_MARKERS[alpha > 0],
                color=colours[setting],
                markerfacecolor=colours[setting] if e.decided else "white",
                markersize=4,
                linewidth=1,
                label=f"N = {agents}, α = {alpha:g}" if number == 0 else None,
            )
    axis.set_xticks(range(len(games)), games, fontsize=7, rotation=15)


def _colour(setting: tuple[int, float], settings: Sequence[tuple[int, float]]) -> str:
    return (*style.RUN_COLOURS, "#000000", "#999999")[list(settings).index(setting) % 8]
