"""A million random and adversarial problems through A0 to A8 in float64: none may be "violated".

    pytest benchmarks/test_no_false_verdicts.py --benchmark-enable --benchmark-only -s

All statements are theorems, so every "violated" would be an error of the arithmetic.  Prints how
many verdicts needed rationals.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from mdtheory import check
from mdtheory.search.space import random_parameters, structured_parameters
from mdtheory.survey.draw import SPACES, adversarial, drawn

N_RANDOM, N_STRUCTURED, N_ADVERSARIAL, BATCH = 880_000, 100_000, 20_000, 10_000


def verdicts() -> Counter[tuple[str, str]]:
    """(verdict, decided by) -> how often, over all statements and problems."""
    rng = np.random.default_rng(0)
    batches = [(random_parameters, SPACES[k % 2]) for k in range(N_RANDOM // BATCH)]
    batches += [(structured_parameters, SPACES[k % 4]) for k in range(N_STRUCTURED // BATCH)]
    found: Counter[tuple[str, str]] = Counter()
    for draw, space in batches:
        report = check(*drawn(rng, space, draw, BATCH))
        for result in report.bounds:
            found.update(zip(result.verdict, result.decided_by, strict=True))
    for _ in range(N_ADVERSARIAL // 1000):
        for result in check(*adversarial(rng, 1000)).bounds:
            found.update(zip(result.verdict, result.decided_by, strict=True))
    return found


@pytest.mark.slow
def test_a_million_problems_violate_nothing(benchmark: Any) -> None:
    found = benchmark.pedantic(verdicts, rounds=1)
    for (verdict, decided_by), count in sorted(found.items()):
        print(f"{verdict}, decided by {decided_by}: {count:,}")
    assert {verdict for verdict, _ in found} <= {"holds", "not applicable"}
