"""How long the search needs for what it is for; no peer searches for counterexamples to bounds."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from mdtheory.search import refute, tightest


@pytest.mark.parametrize(
    "text",
    [
        "gap <= (1 - M) * R * Delta / (1 - gamma)",
        "gap <= (1 - M) * Rbar * Delta / ((1 - gamma) * (1 - gamma * (1 - Rbar)))",
        "eta >= L - gamma * epsilon * D / (1 - gamma)**2",
        "eta >= L - 0.99 * 2 * gamma * epsilon * D / (1 - gamma)**2",
        "zeta >= zeta0 if R < R0 and eta == eta0",
    ],
)
@pytest.mark.benchmark(group="refutations")
def test_refutation(benchmark: Any, text: str) -> None:
    answer = benchmark.pedantic(refute, (text,), rounds=1)
    assert answer.verdict == "refuted"


@pytest.mark.parametrize("robustness", ["1/10", "1/2", "9/10"])
@pytest.mark.benchmark(group="equality case of A2 from random starts")
def test_equality_case(benchmark: Any, robustness: str) -> None:
    arguments = {"discount": "9/10", "robustness": robustness}
    _, result = benchmark.pedantic(tightest, ("A2",), arguments, rounds=1)
    assert result.ratio >= Fraction(999, 1000)
