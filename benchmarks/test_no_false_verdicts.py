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

from mdtheory import FiniteMDP, Instance, LatentPolicy, Problem, RenderingFamily, check
from mdtheory.search.space import Space, build, random_parameters, structured_parameters
from tests.test_kernel import adversarial

N_RANDOM, N_STRUCTURED, N_ADVERSARIAL, BATCH = 880_000, 100_000, 20_000, 10_000
SIZES = ((2, 2, 2, 1), (3, 2, 3, 2), (4, 3, 3, 1), (8, 4, 4, 2))
"""States, actions, renderings, training renderings; random batches use the first two: where doubles
of very different size meet, deciding a tie of larger worlds in rationals takes a fifth of a second.
"""


def drawn(rng: np.random.Generator, space: Space, draw: Any, longest: float) -> Instance:
    """A validated batch; discounts up to 0.9999."""
    parameters = draw(space, rng, BATCH)
    parameters["discount"] = np.minimum(parameters["discount"], longest)
    worlds = build(space, parameters, float)
    model = worlds.model
    bounds = np.stack([model.reward_min, model.reward_max], axis=-1)
    # r = low + scale u may leave [low, low + scale] by one rounding.
    reward = np.clip(model.reward, bounds[:, None, None, 0], bounds[:, None, None, 1])
    mdp = FiniteMDP(
        transition=model.transition,
        reward=reward,
        initial=model.initial,
        discount=model.discount,
        reward_bounds=bounds,
    )
    family = RenderingFamily.distinct(
        space.n_states, train_mask=space.train_mask, weights=worlds.weights
    )
    problem = Problem(mdp=mdp, renderings=family)
    return Instance(problem, LatentPolicy(worlds.policy), LatentPolicy(worlds.baseline))


def verdicts() -> Counter[tuple[str, str]]:
    """(verdict, decided by) -> how often, over all statements and problems."""
    rng = np.random.default_rng(0)
    spaces = [
        Space(n_states=s, n_actions=a, n_renderings=f, n_train=t, with_baseline=True)
        for s, a, f, t in SIZES
    ]
    batches = [(random_parameters, spaces[k % 2]) for k in range(N_RANDOM // BATCH)]
    batches += [(structured_parameters, spaces[k % 4]) for k in range(N_STRUCTURED // BATCH)]
    found: Counter[tuple[str, str]] = Counter()
    for draw, space in batches:
        report = check(*drawn(rng, space, draw, 0.9999))
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
