"""Attack a bound: structured and random worlds, gradient ascent, exact confirmation; or a proof.

The answer is "refuted", with an exact counterexample; "proved", with a proof that can be checked
again; or "survived", which is no proof: it says how hard the search tried and how close it came.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np

from mdtheory import validation
from mdtheory.check import check
from mdtheory.judge import NOT_APPLICABLE, VIOLATED, BoundResult
from mdtheory.problem import Instance
from mdtheory.problem_file import dump_problem, parse_problem
from mdtheory.proving import prove, z3_available
from mdtheory.search.answer import PROVED, REFUTED, SURVIVED, Answer
from mdtheory.search.objective import CLOSE, score
from mdtheory.search.shrink import shrink
from mdtheory.search.space import (
    Parameters,
    Space,
    build,
    exact_instance,
    random_parameters,
    rounded,
    structured_parameters,
)
from mdtheory.statements import Bound, as_bound

Sizes = tuple[int, int, int, int]
"""States, actions, renderings, training renderings."""

SIZES: tuple[Sizes, ...] = (
    (1, 2, 2, 1),
    (2, 2, 2, 1),
    (2, 2, 3, 1),
    (3, 2, 2, 1),
    (2, 3, 3, 2),
    (3, 3, 3, 1),
)
"""Small worlds first: most errors fit there."""
_DENOMINATORS = (1, 2, 3, 4, 6, 10, 12, 100, 1000, 10**5, 10**8)
_BATCH, _RESTARTS, _REMEMBERED = 4096, 64, 30
_SECONDS_TO_SETTLE = 3.0
"""For deciding exactly, after the budget, which of those remembered comes closest."""


def refute(
    bound: Bound | str,
    *,
    budget: float = 60.0,
    seed: int = 0,
    use_proofs: bool = True,
    use_gradients: bool = True,
    sizes: Sequence[Sizes] = SIZES,
    accepts: Callable[[Instance], bool] = lambda instance: True,
    on_progress: Callable[[str, int, float], None] = lambda stage, tried, share: None,
) -> Answer:
    """Try to refute a bound, then to prove it, then harder to refute it.

    Args:
        bound: a `Bound`, or text as `parse_bound` reads it.
        budget: seconds; refutations and proofs usually need few of them.
        seed: of the random starts; the same seed makes the same starts.
        use_proofs: whether to look for a proof.
        use_gradients: whether to go on with gradient ascent where sampling found nothing; without,
            the search ends after one round of samples.
        sizes: (states, actions, renderings, training renderings) of the worlds to search.
        accepts: which counterexamples count.
        on_progress: called with the stage, the number of instances tried, and the share of the
            budget that is spent.

    Raises:
        ValueError: for text that is no bound, or a budget that is not positive, or a negative seed.
    """
    bound = as_bound(bound)
    if not budget > 0:
        raise ValueError(f"budget must be a positive number of seconds, got {budget}")
    seed = validation.whole_number("seed", seed, 0)
    hunt = _Hunt(bound, seed, budget, on_progress, sizes, accepts)
    for n_rounds, stage in ((1, "small worlds"), (0, "proof"), (None, "gradient ascent")):
        if stage == "proof":
            proof = prove(bound, timeout=min(10.0, budget / 4)) if use_proofs else None
            if proof is not None:
                return hunt.answer(PROVED, proof=proof)
            continue
        if n_rounds is None and not use_gradients:
            break
        attacks = hunt.sampling(n_rounds) if n_rounds else hunt.everything()
        for _ in attacks:
            if hunt.found is not None:
                return hunt.refuted()
            if hunt.spent >= 1:
                break
    return hunt.survived()


@dataclass
class _Hunt:
    """State of one search."""

    bound: Bound
    seed: int
    budget: float
    on_progress: Callable[[str, int, float], None]
    sizes: Sequence[Sizes]
    accepts: Callable[[Instance], bool]
    start: float = field(default_factory=time.monotonic)
    tried: int = 0
    found: Instance | None = None
    best: list[tuple[float, Space, Parameters]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.spaces = [
            Space(
                n_states=n_states,
                n_actions=n_actions,
                n_renderings=n_renderings,
                n_train=n_train,
                with_baseline=self.bound.needs_baseline,
            )
            for n_states, n_actions, n_renderings, n_train in self.sizes
        ]

    @property
    def spent(self) -> float:
        """Share of the budget."""
        return (time.monotonic() - self.start) / self.budget

    def report(self, stage: str) -> None:
        self.on_progress(stage, self.tried, min(1.0, self.spent))

    def sampling(self, n_rounds: int) -> Iterator[None]:
        """Structured and random batches of every size."""
        for _ in range(n_rounds):
            for space in self.spaces:
                for draw in (structured_parameters, random_parameters):
                    self.consider(space, draw(space, self.rng, _BATCH))
                    self.report("small worlds")
                    yield

    def everything(self) -> Iterator[None]:
        """Ascents from random and structured starts, with sampling in between, without end."""
        while True:
            for space in self.spaces:
                if find_spec("torch") is not None:
                    self.ascend(space)
                    self.report("gradient ascent")
                    yield
            yield from self.sampling(1)

    def ascend(self, space: Space) -> None:
        from mdtheory.search.climb import climb  # PyTorch takes a second to load

        random = random_parameters(space, self.rng, _RESTARTS // 2)
        structured = structured_parameters(space, self.rng, _RESTARTS // 2)
        start = {n: np.concatenate([random[n], structured[n]]) for n in random}

        def step() -> None:
            self.tried += _RESTARTS

        deadline = self.start + self.budget
        found, _ = climb(space, self.bound, start, deadline=deadline, on_step=step)
        self.tried -= _RESTARTS  # `consider` counts the results once more
        self.consider(space, found)

    def consider(self, space: Space, parameters: Parameters) -> None:
        """Score a batch; confirm exactly what looks like a violation; remember the closest."""
        with np.errstate(all="ignore"):
            measurement = build(space, parameters, float).measurement
            violation, unmet, allowed = score(self.bound, measurement)
        self.tried += len(violation)
        candidates = np.isfinite(violation) & (unmet <= CLOSE)
        promising = np.where(candidates, violation, -np.inf)
        if not self.bound.is_strict:  # 0 <= 0 is no violation
            promising[~allowed & (violation <= 0)] = -np.inf
        order = np.argsort(-promising, kind="stable")
        for index in order[:3]:
            if promising[index] < -CLOSE:
                break
            one = {name: array[index] for name, array in parameters.items()}
            if self.confirm(space, one):
                return
        promising[~allowed] = -np.inf
        for index in np.argsort(-promising, kind="stable")[:3]:
            one = {name: array[index] for name, array in parameters.items()}
            self.best.append((float(promising[index]), space, one))
        self.best = sorted(self.best, key=lambda entry: -entry[0])[:_REMEMBERED]

    def confirm(self, space: Space, parameters: Parameters) -> bool:
        """Whether some rounding of the parameters violates the bound exactly."""
        for denominator in _DENOMINATORS:
            instance = exact_instance(space, rounded(space, parameters, denominator))
            if self.is_violated(instance):
                self.found = instance
                return True
        return False

    def is_violated(self, instance: Instance) -> bool:
        if not self.accepts(instance):
            return False
        return bool(exact_result(self.bound, instance).verdict == VIOLATED)

    def refuted(self) -> Answer:
        assert self.found is not None
        smallest = shrink(self.found, self.is_violated)
        # Through the file's text, so that what a user gets is what was confirmed.
        instance = parse_problem(dump_problem(*smallest), in_rationals=True)
        return self.answer(REFUTED, instance=instance, result=exact_result(self.bound, instance))

    def survived(self) -> Answer:
        """The closest in exact arithmetic: float64 may have overrated some."""
        found, latest = [], time.monotonic() + _SECONDS_TO_SETTLE
        for _, space, one in self.best:
            pair = _closest(self.bound, space, one)
            if pair[0] is not None:
                found.append(pair)
            if time.monotonic() > latest:
                break
        instance, result = max(found, key=lambda pair: pair[1].ratio, default=(None, None))
        return self.answer(SURVIVED, instance=instance, result=result)

    def answer(self, verdict: str, **parts: Any) -> Answer:
        notes = []
        if find_spec("torch") is None and verdict == SURVIVED:
            notes.append("no gradient ascent without PyTorch: pip install 'mdtheory[search]'")
        if not z3_available() and verdict == SURVIVED:
            notes.append("proofs by SymPy only, not by Z3: pip install 'mdtheory[prove]'")
        return Answer(
            bound=self.bound,
            verdict=verdict,
            tried=self.tried,
            seconds=time.monotonic() - self.start,
            notes=tuple(notes),
            **parts,
        )


def exact_result(bound: Bound, instance: Instance) -> BoundResult:
    """The exact check of one bound on one exact instance."""
    return check(*instance, bounds=bound, require_exact=True).bounds[0]


def _closest(bound: Bound, space: Space, parameters: Parameters) -> tuple[Any, Any]:
    """(instance, result) of the coarsest rounding that comes as close as any, or (None, None)."""
    candidates = []
    for denominator in _DENOMINATORS:
        instance = exact_instance(space, rounded(space, parameters, denominator))
        result = exact_result(bound, instance)
        if result.verdict != NOT_APPLICABLE and result.ratio is not None:
            candidates.append((instance, result))
    if not candidates:
        return None, None
    largest = max(result.ratio for _, result in candidates)
    enough = largest - Fraction(1, 10**6)
    return next(pair for pair in candidates if pair[1].ratio >= enough)


def tightest(
    bound: Bound | str,
    *,
    discount: Any,
    robustness: Any,
    seed: int = 0,
    n_restarts: int = 64,
    n_steps: int = 400,
) -> tuple[Instance | None, BoundResult | None]:
    """How tight a bound can be at given γ and R: the instance of largest ratio that ascent finds.

    Random starts of two and three states, two actions, one training and one held-out rendering.
    The exact ratio is a lower bound on the supremum.

    Args:
        bound: a `Bound`, an id, or text.
        discount: γ in [0, 1), rational ("9/10", `Fraction`).
        robustness: R in (0, 1], rational.
        seed: of the random starts.
        n_restarts, n_steps: of the ascent.

    Returns:
        (instance, its exact check), or (None, None) where the bound never allows anything.

    Raises:
        ValueError: for values outside their ranges.
        ModuleNotFoundError: without PyTorch, the extra `search`.
    """
    from mdtheory.search.climb import climb  # PyTorch takes a second to load

    bound = as_bound(bound)
    gamma, r = (validation.rational(str(value)) for value in (discount, robustness))
    if not 0 <= gamma < 1:
        raise ValueError(f"discount must lie in [0, 1), got {gamma}")
    if not 0 < r <= 1:
        raise ValueError(f"robustness must lie in (0, 1], got {r}")
    rng = np.random.default_rng(seed)
    found = []
    for n_states in (2, 3):
        space = Space(
            n_states=n_states,
            n_actions=2,
            n_renderings=2,
            n_train=1,
            with_baseline=bound.needs_baseline,
            discount=gamma,
            robustness=r,
        )
        start = random_parameters(space, rng, n_restarts)
        start["low"][:] = 0  # an offset of the rewards costs digits and moves no ratio
        parameters, scores = climb(space, bound, start, n_steps=n_steps)
        for index in np.argsort(-scores)[:8]:
            one = {name: array[index] for name, array in parameters.items()}
            instance, result = _closest(bound, space, one)
            if instance is not None:
                found.append((instance, result))
    return max(found, key=lambda pair: pair[1].ratio, default=(None, None))
