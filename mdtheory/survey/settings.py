"""What fixes a survey's result, apart from how many problems it looks at."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from mdtheory.check import check
from mdtheory.statements import GAP_BOUNDS, PAIR_BOUNDS, UPDATE_BOUNDS, Bound, as_bound
from mdtheory.survey.draw import batch
from mdtheory.validation import whole_number

_MOST_KEPT = 1000


def _versions() -> tuple[str, str]:
    return importlib.metadata.version("mdtheory"), np.__version__


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Seed, bounds and how many cases of each to keep; the same settings give the same survey.

    Attributes:
        seed: of the problems, at least 0.
        bounds: ids of statements, or texts as `parse_bound` reads them; by default all statements
            about one or two policies.
        keep: worst cases, and first violations, to keep by bound.
        mdtheory, numpy: versions, since other ones may draw or round otherwise.

    Raises:
        ValueError: for numbers out of range, text that is no bound, a bound that is there twice, or
            that speaks about other things than a problem and two policies.
        ArithmeticError: for a bound that overflows float64.
    """

    seed: int = 0
    bounds: tuple[str, ...] = ()
    keep: int = 5
    mdtheory: str = ""
    numpy: str = ""

    def __post_init__(self) -> None:
        whole_number("seed", self.seed, 0)
        if not 1 <= self.keep <= _MOST_KEPT:
            raise ValueError(f"keep must be from 1 to {_MOST_KEPT}, got {self.keep}")
        given = [as_bound(bound) for bound in self.bounds]
        for bound in given:
            if not bound.quantities:
                raise ValueError(
                    f"bounds must speak about a quantity of the problem, got {bound.id}"
                )
        ids = [bound.id for bound in given or (*GAP_BOUNDS, *UPDATE_BOUNDS, *PAIR_BOUNDS)]
        for bound_id in ids:
            if ids.count(bound_id) > 1:
                raise ValueError(f"every bound must be given once, got {bound_id} twice")
        object.__setattr__(self, "bounds", tuple(ids))
        if given:
            check(*batch(self.seed, 0), bounds=given)
        mdtheory, numpy = _versions()
        object.__setattr__(self, "mdtheory", self.mdtheory or mdtheory)
        object.__setattr__(self, "numpy", self.numpy or numpy)

    @cached_property
    def parsed(self) -> tuple[Bound, ...]:
        """The bounds, in the order given."""
        return tuple(as_bound(bound) for bound in self.bounds)

    def require_same_versions(self) -> None:
        """Raise unless this process runs the versions that the survey was begun with."""
        for name, here in zip(("mdtheory", "numpy"), _versions(), strict=True):
            if getattr(self, name) != here:
                raise ValueError(
                    f"the survey was begun with {name} {getattr(self, name)}, got {name} {here},"
                    " which may draw or round otherwise"
                )

    def dump(self) -> str:
        """The text of a settings file."""
        return json.dumps(asdict(self), indent=1) + "\n"
