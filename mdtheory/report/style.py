"""How every picture looks: colours that colour-blind readers can tell apart, one font, one size."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from mdtheory import files

# Okabe & Ito's palette, fixed to what it stands for on every picture.
COLOURS = {
    "A0": "#999999",
    "A1": "#CC79A7",
    "A2": "#D55E00",
    "A3": "#0072B2",
    "A4": "#56B4E9",
    "A5": "#009E73",
    "gap": "#000000",
}

RUN_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""For runs, algorithms and agents, in their order."""

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 150,
    "svg.hashsalt": "mdtheory",
    "svg.fonttype": "path",
}


def new_figure(width: float, height: float, **subplots: Any) -> tuple[Figure, Any]:
    """A figure in inches with subplots, outside pyplot's global state, in the house style."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        axes = figure.subplots(**subplots)
    return figure, axes


def wrapped(text: str, width: float) -> list[str]:
    """Lines of a caption for a figure of this many inches."""
    return textwrap.wrap(text, int(18.5 * width), break_on_hyphens=False)


def write_below(figure: Figure, lines: Sequence[str]) -> None:
    """A caption under the axes, to the letter."""
    figure.supxlabel(
        "\n".join(lines), x=0.01, ha="left", fontsize=7, linespacing=1.3, parse_math=False
    )


def save(figure: Figure, path: Path) -> None:
    """Write the picture at once whole, the same bytes for the same figure."""
    with warnings.catch_warnings():
        # A user's names may have letters that the font lacks; boxes stand for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        if path.suffix == ".svg":
            content = _svg_file(figure).encode()
        else:
            buffer = io.BytesIO()
            undated = {"CreationDate": None} if path.suffix == ".pdf" else {}
            figure.savefig(buffer, format=path.suffix[1:], metadata=undated)
            content = buffer.getvalue()
    files.write_atomically(path, content)


def literal(name: str) -> str:
    """A user's name as matplotlib shows it to the letter: no mathematics, no hidden labels."""
    shown = name.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def to_svg(figure: Figure) -> str:
    """The figure as inline SVG, the same bytes for the same figure."""
    text = _svg_file(figure)
    return text[text.index("<svg") :]


def _svg_file(figure: Figure) -> str:
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
