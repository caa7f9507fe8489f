"""The tightness atlas as heat maps: measured share, and below it the proved supremum."""

from __future__ import annotations

from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mdtheory.report import style
from mdtheory.search.atlas import Atlas
from mdtheory.statements import STATEMENTS
from mdtheory.statements.quantities import R, gamma
from mdtheory.statements.tightness import SUPREMA

ATLAS_FILE = Path(str(resources.files("mdtheory.report").joinpath("atlas.json")))
"""What `mdtheory atlas` measured, published with the package."""


def atlas_figure(atlas: Atlas) -> Figure:
    """A panel per bound: γ downwards, R to the right, the share of the bound that is used."""
    bounds = list(dict.fromkeys(cell.bound for cell in atlas.cells))
    n_columns = 2
    n_rows = -(-len(bounds) // n_columns)
    figure, axes = style.new_figure(
        10.0, 2.0 * n_rows + 0.6, nrows=n_rows, ncols=n_columns, squeeze=False
    )
    images = [_panel(axis, atlas, bound) for axis, bound in zip(axes.flat, bounds, strict=False)]
    for axis in axes.flat[len(bounds) :]:
        axis.set_visible(False)
    figure.colorbar(images[0], ax=axes, shrink=0.6, label="left side / right side")
    return figure


def _panel(axis: Any, atlas: Atlas, bound: str) -> Any:
    cells = {(c.discount, c.robustness): c for c in atlas.cells if c.bound == bound}
    discounts = sorted({g for g, _ in cells}, key=Fraction)
    robustnesses = sorted({r for _, r in cells}, key=Fraction)
    shares = np.full((len(discounts), len(robustnesses)), np.nan)
    for (g, r), cell in cells.items():
        if cell.ratio is not None:
            shares[discounts.index(g), robustnesses.index(r)] = cell.ratio
    image = axis.imshow(shares, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    for i, j in np.ndindex(shares.shape):
        g, r = discounts[i], robustnesses[j]
        text = "none" if np.isnan(shares[i, j]) else _cell_text(bound, float(shares[i, j]), g, r)
        colour = "#1b1f24" if shares[i, j] > 0.5 or np.isnan(shares[i, j]) else "white"
        axis.text(j, i, text, ha="center", va="center", fontsize=6.5, color=colour)
    axis.set_title(f"{bound} {STATEMENTS[bound].name}", fontsize=9)
    axis.set_xticks(range(len(robustnesses)), [_decimal(r) for r in robustnesses])
    axis.set_yticks(range(len(discounts)), [_decimal(g) for g in discounts])
    axis.set_xlabel("R")
    axis.set_ylabel("γ")
    axis.grid(visible=False)
    return image


def _cell_text(bound: str, share: float, discount: str, robustness: str) -> str:
    values = {gamma: Fraction(discount), R: Fraction(robustness)}
    return f"{share:.4f}\n({float(SUPREMA[bound].ratio.subs(values)):.4f})"


def _decimal(text: str) -> str:
    return f"{float(Fraction(text)):g}"
