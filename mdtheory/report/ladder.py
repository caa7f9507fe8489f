"""The ladder: every bound on the gap, and the gap itself, as a fraction of A0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from mdtheory.report import style
from mdtheory.statements import GAP_BOUNDS

_SHOWN_AS_ZERO = 3e-4  # where the logarithmic axis shows 0


@dataclass(frozen=True)
class LadderRow:
    """A row of the picture: bounds by statement id, and the gap, both divided by A0."""

    label: str
    bounds: Mapping[str, float]
    gap: float


def ladder_figure(rows: Sequence[LadderRow]) -> Figure:
    """One row per problem; what lies right of 1 says less than no knowledge of the policy."""
    figure, axis = style.new_figure(5.0, 0.5 * len(rows) + 1.5)
    right = 2 * max(10.0, *(max(row.bounds.values()) for row in rows))
    for position, row in enumerate(rows):
        first = position == 0
        axis.axhline(position, color="#dddddd", linewidth=0.8, zorder=0)
        for rank, statement in enumerate(GAP_BOUNDS):
            axis.plot(
                max(row.bounds[statement.id], _SHOWN_AS_ZERO),
                position + 0.3 - 0.12 * rank,
                "o",
                color=style.COLOURS[statement.id],
                markersize=5,
                label=f"{statement.id} {statement.name}" if first else None,
            )
        axis.plot(
            [max(row.gap, _SHOWN_AS_ZERO)] * 2,
            [position - 0.4, position + 0.4],
            color=style.COLOURS["gap"],
            linewidth=2.5,
            solid_capstyle="butt",
            label="true gap" if first else None,
        )
    axis.set_xscale("log")
    axis.set_xlim(_SHOWN_AS_ZERO / 1.5, right)
    axis.set_xticks([_SHOWN_AS_ZERO, 1e-3, 1e-2, 1e-1, 1, 10])
    axis.set_xticklabels(["0", "0.001", "0.01", "0.1", "1", "10"])
    axis.set_yticks(range(len(rows)), [row.label for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
    axis.axvspan(1, right, color="#cc79a7", alpha=0.08, linewidth=0)
    axis.text(1.1, len(rows) - 0.53, "vacuous: above A0", fontsize=7, color="#884466")
    axis.set_xlabel("fraction of A0, the bound that knows nothing of the policy")
    figure.legend(loc="outside upper center", ncols=4, fontsize=8, columnspacing=1)
    return figure
