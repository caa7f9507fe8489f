"""The tightness atlas: for each bound, the largest share of what it allows that any MDP uses,
as a function of γ and R, measured by gradient ascent and confirmed exactly.

Every cell keeps the instance that attains it, so that anybody can check it again.  The file grows
cell by cell; a run that was killed goes on where it was and ends with the same file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mdtheory import exact, files
from mdtheory.problem import Instance
from mdtheory.problem_file import dump_problem, parse_problem
from mdtheory.progress import OnProgress
from mdtheory.search.hunt import tightest
from mdtheory.statements.tightness import SUPREMA

DISCOUNTS = ("0", "1/2", "9/10", "99/100")
ROBUSTNESSES = ("1/20", "1/10", "1/4", "1/2", "3/4", "9/10", "1")


@dataclass(frozen=True)
class Cell:
    """A bound at one γ and R: the largest ratio found, and where; None if nothing is allowed."""

    bound: str
    discount: str
    robustness: str
    ratio: Fraction | None
    instance: Instance | None


@dataclass(frozen=True, kw_only=True)
class Atlas:
    """Cells with the settings of the search that found them."""

    seed: int
    n_restarts: int
    n_steps: int
    cells: tuple[Cell, ...] = ()

    @classmethod
    def load(cls, text: str) -> Atlas:
        """From the text of an atlas file."""
        content = json.loads(text)
        settings = {name: content[name] for name in ("seed", "n_restarts", "n_steps")}
        return cls(**settings, cells=tuple(_cell(entry) for entry in content["cells"]))

    def dump(self) -> str:
        """The text of an atlas file."""
        lines = [
            f'"seed": {self.seed}',
            f'"n_restarts": {self.n_restarts}',
            f'"n_steps": {self.n_steps}',
            '"cells": [\n    ' + ",\n    ".join(_line(cell) for cell in self.cells) + "\n  ]",
        ]
        return "{\n  " + ",\n  ".join(lines) + "\n}\n"


def _cell(entry: dict[str, Any]) -> Cell:
    ratio, instance = entry["ratio"], entry["instance"]
    return Cell(
        bound=entry["bound"],
        discount=entry["discount"],
        robustness=entry["robustness"],
        ratio=None if ratio is None else Fraction(ratio),
        instance=None if ratio is None else parse_problem(json.dumps(instance), in_rationals=True),
    )


def _line(cell: Cell) -> str:
    content = {
        "bound": cell.bound,
        "discount": cell.discount,
        "robustness": cell.robustness,
        "ratio": None if cell.ratio is None else exact.text(cell.ratio),
        "instance": None if cell.instance is None else json.loads(dump_problem(*cell.instance)),
    }
    return json.dumps(content)


def measure_tightness(
    path: Path,
    *,
    bounds: Sequence[str] = tuple(SUPREMA),
    discounts: Sequence[str] = DISCOUNTS,
    robustnesses: Sequence[str] = ROBUSTNESSES,
    seed: int = 0,
    n_restarts: int = 64,
    n_steps: int = 400,
    on_progress: OnProgress = lambda text, share: None,
) -> Atlas:
    """Measure every cell that the file at `path` does not hold yet.

    Args:
        path: the atlas file; written anew after every cell, in one step.
        bounds: ids of statements.
        discounts, robustnesses: the grid of γ and R, as rationals.
        seed, n_restarts, n_steps: of the search in each cell.
        on_progress: called with a text and the share of cells done.

    Raises:
        ValueError: when the file was made with other settings.
    """
    atlas = Atlas(seed=seed, n_restarts=n_restarts, n_steps=n_steps)
    if path.exists():
        earlier = Atlas.load(path.read_text(encoding="utf-8"))
        for name in ("seed", "n_restarts", "n_steps"):
            if getattr(earlier, name) != getattr(atlas, name):
                raise ValueError(
                    f"{path} was made with {name} {getattr(earlier, name)}, not"
                    f" {getattr(atlas, name)}: choose another file"
                )
        atlas = earlier
    known = {(cell.bound, cell.discount, cell.robustness): cell for cell in atlas.cells}
    keys = [(b, g, r) for b in bounds for g in discounts for r in robustnesses]
    for n_done, key in enumerate(keys):
        bound, gamma, r = key
        on_progress(f"{bound} at gamma = {gamma}, R = {r}", n_done / len(keys))
        if key in known:
            continue
        instance, result = tightest(
            bound,
            discount=gamma,
            robustness=r,
            seed=seed,
            n_restarts=n_restarts,
            n_steps=n_steps,
        )
        ratio = None if result is None else result.ratio
        known[key] = Cell(*key, ratio, instance)
        atlas = Atlas(
            seed=seed, n_restarts=n_restarts, n_steps=n_steps, cells=tuple(known.values())
        )
        files.write_atomically(path, atlas.dump().encode())
    return atlas
