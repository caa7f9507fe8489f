"""Bounds in a test-suite: `assert_bound` for one instance, `bound_test` for a thousand.

Both fail with the numbers, the instance as Python and as a problem file.  pytest loads the plugin
`mdtheory_pytest` by itself; it keeps the file and chooses how many instances there are.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from mdtheory import validation
from mdtheory.check import LARGEST_EXACT, Report, check
from mdtheory.judge import HOLDS, UNDECIDED, VIOLATED, BoundResult
from mdtheory.mdp import SparseMDP
from mdtheory.problem import Instance
from mdtheory.problem_code import python_code
from mdtheory.problem_file import check_command, dump_problem
from mdtheory.statements import STATEMENTS, Bound, Statement, as_bound, parse_bound
from mdtheory.statements.statement import bound_text
from mdtheory_hooks import DEFAULT_PROFILE, PROFILES, SEARCH_SECONDS

_tally: ContextVar[Counter[str] | None] = ContextVar("tally", default=None)
"""Verdicts of the `bound_test` that runs now."""


class BoundError(AssertionError):
    """A bound that could not be asserted.

    Attributes:
        summary: the bound, its sides, its slack and its quantities.
        code: the instance as Python; None where it is too large to show.
        file_text: the same as a problem file.
        command: what checks that file; None if only Python can.
        path: where the file is, as one types it; None while there is none.
        apart: whether code and file are shown elsewhere.
    """

    path: str | None = None
    apart: bool = False

    def __init__(
        self, summary: str, code: str | None, file_text: str | None, command: str | None
    ) -> None:
        super().__init__(summary, code, file_text, command)
        self.summary, self.code, self.file_text, self.command = self.args

    def __str__(self) -> str:
        parts = [self.summary]
        if self.path is not None:
            parts.append(f"problem file: {self.path}")
            if self.command is not None:
                parts.append(self.command.replace("FILE", self.path))
        if not self.apart:
            parts += [f"\n{title}:\n\n{text}" for title, text in self.sections]
        return "\n".join(parts)

    @property
    def sections(self) -> list[tuple[str, str]]:
        """Titles and texts that are made for copying."""
        found = []
        if self.code is not None:
            found.append(("mdtheory: the instance in Python", self.code))
        if self.file_text is not None and self.path is None:
            use = f", for {self.command}" if self.command is not None else ""
            found.append((f"mdtheory: the instance as a problem file{use}", self.file_text))
        return found


class BoundViolatedError(BoundError):
    """An instance on which a bound is false."""


class BoundUndecidedError(BoundError):
    """An instance on which a bound is neither proved nor refuted."""


_ERRORS: dict[str, type[BoundError]] = {
    VIOLATED: BoundViolatedError,
    UNDECIDED: BoundUndecidedError,
}


def assert_bound(bound: Bound | str, instance: Instance) -> BoundResult:
    """Raise unless a bound holds of an instance, or does not apply to it.

    Args:
        bound: a bound, a statement's id ("A2") or a text ("gap <= A2").
        instance: in rationals, or in float64, which `check` decides as rigorously.

    Returns:
        The result; its `verdict` is "holds" or "not applicable".

    Raises:
        BoundViolatedError: an AssertionError with the numbers and the instance.
        BoundUndecidedError: likewise, when neither rationals nor balls can tell.
        ValueError: for what is no bound or no instance.
    """
    __tracebackhide__ = True
    bound = as_bound(bound)
    if not isinstance(instance, Instance):
        raise ValueError(f"instance must be an Instance, got {type(instance).__name__}")
    report = check(*instance, bounds=bound)
    verdict = np.asarray(report.bounds[0].verdict)
    for word, failure in _ERRORS.items():
        if (verdict == word).any():
            raise _failure(failure, word, report, instance, validation.first(verdict == word))
    return report.bounds[0]


def bound_test(
    bound: Bound | str, *, exact: bool = True, **limits: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: attack a bound, then assert it of generated instances.

    First the search looks for a counterexample within the limits, as long as the profile says; then
    Hypothesis draws instances, and finds the smallest that violates the bound.

    The function may take an `instance`, on which the bound then holds, and asserts more of it; its
    other arguments are pytest's fixtures, the same for all instances.  A baseline is generated when
    the bound needs one.  The profile says how many instances there are, unless the function has
    `@settings` of its own.

    Args:
        bound: a bound, a statement's id ("A2") or a text ("gap <= A2").
        exact: instances in rationals, or in float64.
        limits: as in `mdtheory.strategies.instances`.

    Raises:
        BoundError: when called, as `assert_bound`.
        AssertionError: when called and no instance was one to which the bound applies.
        ValueError: for what is no bound, and for wrong limits.
    """
    try:
        import hypothesis

        from mdtheory import strategies
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"bound_test needs {error.name}: pip install 'mdtheory[testing]'"
        ) from None
    bound = as_bound(bound)
    instances = strategies.instances(baseline=bound.needs_baseline, exact=exact, **limits)

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        if not inspect.isfunction(test):
            raise ValueError(f"bound_test decorates functions, got {test!r}")
        checked_test = _with_bound(bound, test)
        drawn_test = hypothesis.given(instance=instances.map(_Drawn))(checked_test)

        @functools.wraps(drawn_test)
        def run(*arguments: Any, **others: Any) -> None:
            __tracebackhide__ = True
            choose_settings()
            tally: Counter[str] = Counter()
            token = _tally.set(tally)
            try:
                for found in _searched(bound, limits, exact):
                    checked_test(*arguments, instance=found, __tracebackhide__=False, **others)
                drawn_test(*arguments, **others)
            finally:
                _tally.reset(token)
            if not tally[HOLDS]:
                raise AssertionError(f"{_name(bound)} applied to none of {tally.total()} instances")

        def choose_settings() -> None:
            _choose_settings(run)
            # Decorators above this one have left their marks on the outer function.
            vars(drawn_test).update({k: v for k, v in vars(run).items() if "hypothesis" in k})

        vars(run)["choose_settings"] = choose_settings
        return run

    return decorate


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """An instance that Hypothesis names by its sizes; its numbers are shown in a better form."""

    instance: Instance

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        n_renderings, n_states, n_actions = self.instance.policy.probabilities.shape
        printer.text(f"<{n_states=}, {n_actions=}, {n_renderings=}>")


@dataclasses.dataclass(frozen=True)
class _Code:
    """An instance as Python, written out only if Hypothesis shows it."""

    instance: Instance

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(python_code(self.instance))


def _with_bound(bound: Bound, test: Callable[..., Any]) -> Callable[..., Any]:
    """The test with the bound before it, and an argument `instance` in any case."""
    from hypothesis import currently_in_test_context, note

    signature = inspect.signature(test)
    parameters = [p for p in signature.parameters.values() if p.name != "instance"]
    takes_instance = len(parameters) < len(signature.parameters)
    added = inspect.Parameter("instance", inspect.Parameter.KEYWORD_ONLY)

    def checked(*arguments: Any, instance: _Drawn | Instance, **others: Any) -> Any:
        __tracebackhide__ = True
        drawn = instance.instance if isinstance(instance, _Drawn) else instance
        result = assert_bound(bound, drawn)
        tally = _tally.get()
        if tally is not None:
            tally[str(result.verdict)] += 1
        if result.verdict != HOLDS:
            return None
        if currently_in_test_context():
            note(_Code(drawn))
        others |= {p.name: value for p, value in zip(parameters, arguments, strict=False)}
        return test(**others, instance=drawn) if takes_instance else test(**others)

    def body(*arguments: Any, __tracebackhide__: bool = True, **others: Any) -> Any:
        return checked(*arguments, **others)

    # Hypothesis calls this from a frame in its image: so pytest shows the test where it fails.
    place = {name: getattr(test.__code__, name) for name in ("co_filename", "co_firstlineno")}
    body.__code__ = body.__code__.replace(**place)
    functools.update_wrapper(body, test)
    ordered = sorted([*parameters, added], key=lambda parameter: parameter.kind)
    vars(body)["__signature__"] = signature.replace(parameters=ordered)
    return body


def _searched(bound: Bound, limits: dict[str, Any], exact: bool) -> list[Instance]:
    """A counterexample of the search, if it meets one: drawing alone would rarely find some."""
    from mdtheory.search.within import counterexample

    seconds = SEARCH_SECONDS[_profile()]
    found = counterexample(bound, limits, budget=seconds, use_gradients=seconds > 1)
    return [] if found is None else [found if exact else found.in_floats()]


def _profile() -> str:
    plugin = sys.modules.get("mdtheory_pytest")
    return DEFAULT_PROFILE if plugin is None else str(plugin.current_profile())


def _choose_settings(test: Any) -> None:
    """What the function's own `@settings` say, else the profile.

    Of its own settings, what is as by default counts as not said.
    """
    from hypothesis import HealthCheck, Phase, settings

    chosen: Any = test._hypothesis_internal_use_settings
    # A deadline would fail slow machines only; an explanation names lines of this package only.
    phases = [phase for phase in chosen.phases if phase is not Phase.explain]
    ours: dict[str, Any] = {"deadline": None, "phases": phases}
    if hasattr(test, "_hypothesis_internal_settings_applied"):
        default = settings.default
        ours = {k: v for k, v in ours.items() if getattr(chosen, k) == getattr(default, k)}
    else:
        ours |= PROFILES[_profile()]
    ours["suppress_health_check"] = {
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
    }.union(chosen.suppress_health_check)
    test._hypothesis_internal_use_settings = settings(chosen, **ours)


def _failure(
    failure: type[BoundError], word: str, report: Report, instance: Instance, index: Any
) -> BoundError:
    """The error about one instance of a batch, at an index; in rationals where that is possible."""
    bound = report.bounds[0].bound
    sparse = isinstance(instance.problem.mdp, SparseMDP)
    if not sparse:
        instance = instance.single(index) if instance.batch_shape else instance
        if not instance.exact:
            instance = instance.in_rationals()
            if instance.problem.mdp.n_states <= LARGEST_EXACT:
                report, index = check(*instance, bounds=bound), ()
    summary = "\n".join([f"{_name(bound)} is {word}", *_numbers(report, index)])
    if sparse:
        return failure(summary, None, None, None)
    command = None if bound.own_quantities else check_command("FILE", _typed(bound))
    return failure(summary, python_code(instance), dump_problem(*instance), command)


def _numbers(report: Report, index: Any) -> list[str]:
    """Sides, slack and quantities of the report's only bound, a line each."""
    result = report.bounds[0]
    rows = {"left side": result.lhs, "right side": result.rhs, "slack": result.slack}
    for q in result.bound.quantities:
        name = q.name if q.name == q.symbol.name else f"{q.name} {q.symbol}"
        rows[name] = report.quantities[q.name]
    width = max(map(len, rows))
    picked = {name: np.asarray(value)[index] for name, value in rows.items()}
    return [f"  {name:{width}}  {_shown(value)}" for name, value in picked.items()]


def _shown(value: Any) -> str:
    return "undefined" if value is None else validation.shown(value)


def _name(bound: Bound) -> str:
    return f"{bound.id} {bound.name}" if isinstance(bound, Statement) else bound.id


def _typed(bound: Bound) -> str:
    """The bound as the command line reads it."""
    if STATEMENTS.get(bound.id) is bound:
        return bound.id
    try:
        same = parse_bound(bound.id)
    except ValueError:
        return bound_text(bound.relation, bound.requires)
    reads_alike = (same.relation, same.requires) == (bound.relation, bound.requires)
    return bound.id if reads_alike else bound_text(bound.relation, bound.requires)
