"""The picture of an attribution: moments as the policy sees them, and what it makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.envs.procgen import ACTIONS
from experiments.procgen.interval_words import with_ends
from experiments.procgen.measures.attribution import APART, Attribution, Moment
from mdtheory.intervals import Band
from mdtheory.report import style

WIDTH = 9.4
CAPTION = (
    "Each row is a step of an episode played under {other}: what the policy sees there and, in the"
    " same latent state, under {reference}, and its action probabilities, in the colours of the"
    " frames. Cost = γ^step · TV · (Q of the actions preferred under {reference} − Q of those"
    " preferred under {other}); Q by rollouts to the episode's end under {reference}; in units of"
    " the discounted return, γ = {discount:g}, for this episode. By the performance difference"
    " identity the costs of all steps add up, in the mean over episodes, to what {other} loses."
    " Rows were chosen by a pilot among {drawn} steps drawn with probability proportional to"
    " γ^step · TV, at least {apart} steps apart, and stand in its order{best}; costs are from"
    " rollouts made afterwards alone, with Student's 95 % interval for each one by itself. Totals:"
    " 95 % intervals over {levels}."
)


def moments_figure(attribution: Attribution, *, command: str) -> Figure:
    """A row for each moment that costs most, then for each that helps most."""
    moments = [*attribution.worst, *attribution.best]
    words = style.wrapped(f"{_caption(attribution)} Made by: {command}", WIDTH)
    n_rows = max(1, len(moments))
    figure, axes = style.new_figure(
        WIDTH, 1.45 * n_rows + 1.5 + 0.14 * len(words), nrows=n_rows, ncols=3, squeeze=False,
        gridspec_kw={"width_ratios": [1, 1, 4.2]},
    )  # fmt: skip
    colours = dict(zip((attribution.reference, attribution.other), style.RUN_COLOURS, strict=False))
    for row, moment in zip(axes, moments, strict=False):
        _picture(row[0], moment.reference_picture, colours[attribution.reference])
        _picture(row[1], moment.other_picture, colours[attribution.other])
        _actions(row[2], moment, attribution, colours)
    if not moments:
        for axis in axes[0]:
            axis.set_axis_off()
        axes[0, 2].set_title("no moment was found that costs or helps", fontsize=9, loc="left")
    else:
        for axis, name in zip(axes[0], (attribution.reference, attribution.other), strict=False):
            axis.set_title(str(name), fontsize=8.5, color=colours[name], parse_math=False)
        for row in axes[:-1]:
            row[2].tick_params(labelbottom=False)
        axes[-1, 2].tick_params(axis="x", rotation=40)
    figure.suptitle(_title(attribution), fontsize=9.5, parse_math=False)
    style.write_below(figure, words)
    return figure


def _title(attribution: Attribution) -> str:
    a = attribution
    return (
        f"{a.policy} on {a.game}, {a.distribution_mode}: {a.other} against {a.reference}\n"
        f"difference of discounted returns: {_signed(a.identity)} by the identity,"
        f" {_signed(a.measured)} measured"
    )


def _caption(attribution: Attribution) -> str:
    n = len(attribution.levels)
    return CAPTION.format(
        reference=attribution.reference,
        other=attribution.other,
        discount=attribution.discount,
        drawn=attribution.drawn,
        apart=APART,
        best=", those that help after those that cost" if attribution.best else "",
        levels=f"{n} level{'' if n == 1 else 's'}",
    )


def _picture(axis: Any, picture: np.ndarray, colour: str) -> None:
    axis.imshow(picture, interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set(visible=True, color=colour, linewidth=1.5)


def _actions(axis: Any, moment: Moment, attribution: Attribution, colours: Any) -> None:
    """Both action distributions side by side, and the moment's numbers above."""
    places = np.arange(len(ACTIONS))
    for side, rendering, probabilities in (
        (-0.2, attribution.reference, moment.reference_probabilities),
        (0.2, attribution.other, moment.other_probabilities),
    ):
        axis.bar(places + side, probabilities, 0.4, color=colours[rendering], label=str(rendering))
    axis.set_xticks(places, ACTIONS, fontsize=7.5)
    axis.grid(axis="x", visible=False)
    axis.set_ylim(bottom=0)
    axis.set_title(
        f"level {moment.level}, step {moment.step}: TV {moment.tv:.2f},"
        f" cost {_signed(moment.cost)}, {moment.pairs} pairs",
        fontsize=8.5,
        loc="left",
    )


def _signed(value: Band) -> str:
    """The mean and its interval, if there is one."""
    return with_ends(value, "+").replace("-", "−")
