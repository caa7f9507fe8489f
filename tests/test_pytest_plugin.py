"""The pytest plugin in a project of somebody else: real runs, outcomes and what they print."""

from __future__ import annotations

import pickle
import re
import shlex
import subprocess
import sys
import unittest
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.sparse
import sympy
from hypothesis import Phase, example, seed, settings

from mdtheory import (
    STATEMENTS,
    Bound,
    Instance,
    LatentPolicy,
    Problem,
    Quantity,
    RenderingFamily,
    SparseMDP,
    check,
    cli,
    dump_problem,
    load_problem,
    make_toy,
)
from mdtheory.problem_file import parse_problem
from mdtheory.testing import (
    BoundError,
    BoundUndecidedError,
    BoundViolatedError,
    assert_bound,
    bound_test,
)

HALF = Fraction(1, 2)
TOY = make_toy("two-state")
INSTANCE = Instance(TOY.problem, TOY.policy.latent(TOY.problem.renderings))
FALSE = "gap <= A2/2"


def run_python(code: str) -> Instance:
    scope: dict[str, Any] = {}
    exec(code, scope)
    return scope["instance"]


def is_violated(bound: str | Bound, instance: Instance) -> bool:
    return check(*instance, bounds=bound).bounds[0].verdict == "violated"


def error_of(bound: str | Bound, instance: Instance) -> BoundError:
    with pytest.raises(BoundError) as caught:
        assert_bound(bound, instance)
    return caught.value


# assert_bound


@pytest.mark.parametrize("bound", ["A2", "gap <= A2", STATEMENTS["A2"]], ids=str)
def test_a_bound_that_holds_gives_its_result(bound):
    result = assert_bound(bound, INSTANCE)
    assert (result.verdict, result.slack) == ("holds", 0)


def test_a_bound_that_does_not_apply_is_no_failure():
    assert assert_bound("gap <= 0 if M == 1", INSTANCE).verdict == "not applicable"


def test_the_message_has_the_numbers_exactly_the_code_and_the_file():
    error = error_of(FALSE, INSTANCE)
    assert type(error) is BoundViolatedError
    assert isinstance(error, AssertionError)
    assert error.summary == (
        "gap <= A2/2 is violated\n"
        "  left side           75/11\n"
        "  right side          75/22\n"
        "  slack               -75/22\n"
        "  discount gamma      9/10\n"
        "  gap                 75/11\n"
        "  reward_range Delta  1\n"
        "  robustness R        1/2\n"
        "  train_mass M        1/4"
    )
    assert str(error) == (
        f"{error.summary}\n\n"
        f"mdtheory: the instance in Python:\n\n{error.code}\n\n"
        f'mdtheory: the instance as a problem file, for {error.command}:\n\n{error.file_text}'
    )  # fmt: skip
    assert error.command == "mdtheory check FILE --exact --bound 'gap <= A2/2'"
    assert is_violated(FALSE, run_python(error.code))
    assert is_violated(FALSE, parse_problem(error.file_text, in_rationals=True))


def test_a_float_instance_is_shown_in_rationals():
    error = error_of(FALSE, INSTANCE.in_floats())
    instance = run_python(error.code)
    assert instance.exact
    assert is_violated(FALSE, instance)
    slack = check(*instance, bounds=FALSE).bounds[0].slack
    assert f"  slack               {slack}\n" in error.summary


def test_of_a_batch_the_first_violated_instance_is_shown():
    same, half = [[[1, 0], [1, 0]]] * 2, [[Fraction(3, 4), Fraction(1, 4)]] * 2
    batch = LatentPolicy([same, [same[0], half], INSTANCE.policy.probabilities.tolist()])
    error = error_of("R <= 0", INSTANCE._replace(policy=batch))
    shown = run_python(error.code)
    assert shown.policy.probabilities.tolist() == [same[0], half]
    assert "left side     1/4" in error.summary


def test_what_nothing_can_decide_is_an_error_of_its_own():
    error = error_of("sqrt(2) * sqrt(R) <= 1", INSTANCE)
    assert type(error) is BoundUndecidedError
    assert error.summary.startswith("sqrt(2) * sqrt(R) <= 1 is undecided\n")


def sparse_instance() -> Instance:
    mdp = SparseMDP(
        transition=scipy.sparse.csr_array(np.ones((2, 1))),
        reward=[[1.0, 0.0]],
        initial=[1.0],
        discount=0.0,
    )
    looks = RenderingFamily.distinct(1, train_mask=[True, False])
    return Instance(Problem(mdp=mdp, renderings=looks), LatentPolicy([[[1, 0]], [[0, 1]]]))


def test_a_sparse_instance_is_too_large_to_show():
    error = error_of("R <= 0", sparse_instance())
    assert str(error) == (
        "R <= 0 is violated\n  left side     1\n  right side    0\n  slack         -1\n"
        "  robustness R  1"
    )


def test_a_bound_with_quantities_of_its_own_has_no_command():
    own = Quantity(
        name="states",
        symbol=sympy.Symbol("states"),
        meaning="how many",
        domain="positive",
        measure=lambda measurement: measurement.policy[0, 0, 0] * 0 + measurement.policy.shape[-2],
    )
    bound = Bound(relation=sympy.Le(own.symbol, 1), own_quantities=(own,), id="few")
    error = error_of(bound, INSTANCE)
    assert error.command is None
    assert "few is violated\n  left side   2\n" in str(error)
    assert "mdtheory: the instance as a problem file:\n" in str(error)


@pytest.mark.parametrize(
    ("bound", "typed"),
    [
        (replace(STATEMENTS["A2"], relation=sympy.Le(STATEMENTS["A2"].lhs, 0)), "gap <= 0"),
        (Bound(relation=sympy.Le(STATEMENTS["A2"].lhs, 0), id="no gap"), "gap <= 0"),
        (Bound(relation=sympy.Le(STATEMENTS["A2"].lhs, 0), id="gap<=0"), "gap<=0"),
    ],
    ids=["a false statement", "a name", "a text"],
)
def test_the_command_names_the_bound_so_that_it_can_be_read(bound, typed):
    assert error_of(bound, INSTANCE).command == f"mdtheory check FILE --exact --bound '{typed}'"


BAD: list[tuple[Any, str]] = [
    (lambda: assert_bound("gap <= A2", INSTANCE[:2]), "instance must be an Instance, got tuple"),
    (lambda: assert_bound(2, INSTANCE), "a bound must be a Bound, an id or text, got int"),
    (lambda: assert_bound("A22", INSTANCE),
     f"unknown statement 'A22': did you mean 'A2'? known are {', '.join(STATEMENTS)}"),
    (lambda: assert_bound("A7", INSTANCE), "statement A7 needs a baseline, a second policy"),
    (lambda: bound_test("gap <="),
     "expected a number, a name or '(' at character 7 of the bound, got the end"),
    (lambda: bound_test("A2", max_discount=1), "max_discount must be below 1, got 1"),
    (lambda: bound_test("A2")(int), "bound_test decorates functions, got <class 'int'>"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_a_wrong_call_is_refused(call, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        call()
    assert str(error.value) == message


# bound_test


@bound_test("gap <= A2", max_states=2, exact=False)
@settings(max_examples=10)
def test_settings_below_the_decorator_win(instance, tmp_path, request):
    assert not instance.exact
    assert instance.problem.mdp.n_states <= 2
    assert tmp_path.is_dir()
    counted(request, 10)


@settings(max_examples=10)
@bound_test(STATEMENTS["A7"], max_states=1)
def test_settings_above_the_decorator_win(request, instance):
    assert instance.baseline is not None
    counted(request, 10)


@pytest.mark.parametrize("n_states", [1, 2])
@settings(max_examples=5)
@bound_test("A2", max_states=1)
def test_parameters_are_those_of_pytest(instance, n_states):
    assert instance.problem.mdp.n_states == 1 <= n_states


@example(instance=INSTANCE)
@settings(max_examples=5, phases=[Phase.explicit])
@bound_test("A2")
def test_explicit_examples_are_checked(instance):
    assert instance is INSTANCE


def test_what_the_search_finds_may_hold_after_all(monkeypatch):
    # In float64, say, where a rational violation was rounded away.
    monkeypatch.setattr("mdtheory.testing._searched", lambda *_: [INSTANCE])
    seen: list[Instance] = []

    @settings(max_examples=2, database=None)
    @bound_test("gap <= A2")
    def body(instance: Instance) -> None:
        seen.append(instance)

    body()
    assert seen[0] is INSTANCE


def test_a_seed_makes_the_same_instances_again():
    def texts(number: int) -> list[str]:
        seen: list[str] = []

        @seed(number)
        @bound_test("A2", max_states=2)
        @settings(max_examples=10)
        def body(instance: Instance) -> None:
            seen.append(dump_problem(*instance))

        body()
        return seen

    assert texts(1) == texts(1) != texts(2)


def test_without_hypothesis_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ModuleNotFoundError) as error:
        bound_test("A2")
    assert str(error.value) == "bound_test needs hypothesis: pip install 'mdtheory[testing]'"


def counted(request: pytest.FixtureRequest, most: int) -> None:
    """Fails the test that calls it more often than allowed."""
    seen = request.node.stash.setdefault(COUNT, [])
    seen.append(1)
    assert len(seen) <= most


COUNT = pytest.StashKey[list[int]]()


class TestInAClass:
    @settings(max_examples=5)
    @bound_test("A2")
    def test_methods_get_their_object(self, instance):
        assert type(self) is TestInAClass
        assert instance.baseline is None


class TestOfUnittest(unittest.TestCase):
    @settings(max_examples=5)
    @bound_test("A6")
    def test_methods_of_unittest_are_run(self):
        assert isinstance(self, TestOfUnittest)


def test_a_bound_that_applies_to_nothing_fails():
    @settings(max_examples=20, database=None)
    @bound_test("gap <= A2 if M > 2")
    def never() -> None:
        raise AssertionError("the body runs where the bound applies")

    with pytest.raises(AssertionError, match=r"^gap <= A2 if M > 2 applied to none of 20 instan"):
        never()


def test_the_body_runs_only_where_the_bound_applies():
    seen: list[Instance] = []

    @settings(max_examples=60, database=None)
    @bound_test("gap <= A2 if gamma == 0")
    def body(instance: Instance) -> None:
        seen.append(instance)

    body()
    assert 0 < len(seen) < 60
    assert all(instance.problem.mdp.discount == 0 for instance in seen)


@pytest.mark.parametrize(("bound", "exact"), [(FALSE, True), ("gap <= (1-M)*R*Delta", False)])
def test_a_false_bound_is_refuted_by_one_state(bound, exact):
    @settings(max_examples=1000, database=None, derandomize=True)
    @bound_test(bound, exact=exact)
    def body() -> None:
        pass

    with pytest.raises(BoundViolatedError) as error:
        body()
    instance = run_python(error.value.code)
    assert instance.policy.probabilities.shape == (2, 1, 2)
    assert is_violated(bound, instance)


def test_what_is_undecided_fails():
    @settings(max_examples=10, database=None)
    @bound_test("sqrt(2) * sqrt(R) <= 1", min_robustness=HALF, max_robustness=HALF)
    def body() -> None:
        pass

    with pytest.raises(BoundUndecidedError):
        body()


def test_unittest_alone_prints_everything():
    class Alone(unittest.TestCase):
        @settings(max_examples=100, database=None, derandomize=True)
        @bound_test("R <= 0", min_robustness=1)
        def test_false(self):
            pass

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Alone).run(result)
    ((_, text),) = result.failures
    code = text[text.index("from fractions") : text.index("mdtheory: the instance as a")]
    assert is_violated("R <= 0", run_python(code))


# A project of somebody else

MINE = """
import unittest

import pytest
from hypothesis import given, settings, strategies as st

from mdtheory import FiniteMDP, Instance
from mdtheory.testing import assert_bound, bound_test


@bound_test("gap <= A2", max_states=2)
def test_true():
    pass


@bound_test("gap <= A2/2", max_states=2, min_robustness=1)
def test_false():
    pass


@bound_test("A2", max_states=2)
def test_body(instance, tmp_path):
    assert instance.problem.mdp.n_states == 1


@bound_test("gap <= A2/2", max_states=2, min_robustness=1)
def test_both():
    raise ValueError("an error of another kind, where the bound holds")


class Test:
    @bound_test("gap <= (1-M)*R*Delta", min_discount="9/10", max_states=2, exact=False)
    def test_method(self, instance):
        pass


class Unit(unittest.TestCase):
    @bound_test("zeta >= eta", max_states=2)
    def test_unit(self):
        pass


@given(st.from_type(FiniteMDP))
def test_from_type(mdp):
    assert mdp.exact


@settings(max_examples=100)
@given(st.from_type(Instance))
def test_assert(instance):
    assert_bound("zeta <= eta", instance)


@bound_test("gap <= A2 if M > 2")
def test_never():
    pass


def test_settings_are_mine():
    assert settings.default.max_examples == 17
"""
CONFTEST = """
from hypothesis import Phase, settings

phases = set(Phase) - {Phase.explain}
settings.register_profile(
    "mine", max_examples=17, deadline=None, derandomize=True, phases=phases
)
settings.load_profile("mine")
"""
FAILING = {
    "test_false": "gap <= A2/2",
    "test_both": "gap <= A2/2",
    "test_method": "gap <= (1-M)*R*Delta",
    "test_unit": "zeta >= eta",
    "test_assert": "zeta <= eta",
}
PAGE = (Path(__file__).parents[1] / "docs" / "testing.md").read_text(encoding="utf-8")
OF_PAGE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, flags=re.S))
PASSING = {"test_true", "test_from_type", "test_settings_are_mine", "test_sharp", "test_no_horizon"}


def project(folder: Path, **files: str) -> Path:
    """A folder with a pytest.ini of its own and these Python files."""
    folder.mkdir()
    ini = "[pytest]\naddopts = --strict-markers --strict-config\nfilterwarnings = error\n"
    (folder / "pytest.ini").write_text(ini, encoding="utf-8")
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:benchmark", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def outcomes(folder: Path) -> dict[str, bool]:
    """Whether each test of `--junit-xml=junit.xml` passed."""
    cases = ElementTree.parse(folder / "junit.xml").iter("testcase")
    return {case.attrib["name"]: case.find("failure") is None for case in cases}


def parts(output: str) -> dict[str, str]:
    """What pytest printed about each failed test, by the test's own name."""
    found = re.split(r"^_{3,} (.+?) _{3,}$", output.partition("short test summary")[0], flags=re.M)
    return {
        name.rpartition(".")[2]: text for name, text in zip(found[1::2], found[2::2], strict=True)
    }


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a project that was tested once, and what that printed."""
    folder = tmp_path_factory.mktemp("foreign") / "their project"
    project(folder, test_mine=MINE, test_page=OF_PAGE, conftest=CONFTEST)
    done = run_pytest(folder, "--junit-xml=junit.xml", "-o", "junit_family=xunit1")
    assert done.returncode == 1, done.stdout + done.stderr
    return folder, done.stdout


def test_true_bounds_pass_and_false_ones_fail(foreign):
    folder, output = foreign
    expected = dict.fromkeys([*FAILING, "test_body", "test_never"], False)
    assert outcomes(folder) == expected | dict.fromkeys(PASSING, True)
    assert "mdtheory profile" not in output
    assert "applied to none of 100 instances" in parts(output)["test_never"]


@pytest.mark.parametrize(("test", "bound"), FAILING.items())
def test_printed_code_runs_and_violates_the_bound(foreign, test, bound):
    text = parts(foreign[1])[test]
    code = re.split(r"^-+ mdtheory: the instance in Python -+$", text, flags=re.M)[1]
    instance = run_python(code)
    assert instance.exact
    assert is_violated(bound, instance)
    assert max(instance.policy.probabilities.shape) <= 2


@pytest.mark.parametrize(("test", "bound"), FAILING.items())
def test_the_kept_file_and_the_printed_command_confirm_it(
    foreign, test, bound, monkeypatch, capsys
):
    folder, output = foreign
    monkeypatch.chdir(folder)
    command = re.search(r"^[E| ]+(mdtheory check .*)$", parts(output)[test], flags=re.M)
    program, name, path, *options = shlex.split(command[1])
    assert (program, name, options) == ("mdtheory", "check", ["--exact", "--bound", bound])
    assert Path(path).is_relative_to(".pytest_cache")
    instance = load_problem(path, in_rationals=True)
    assert is_violated(bound, instance)
    assert cli.main([name, path, *options]) == 1
    assert "violated" in capsys.readouterr().out


def test_the_traceback_ends_in_the_test_itself(foreign):
    text = parts(foreign[1])["test_false"]
    assert re.search(r"^test_mine\.py:\d+: BoundViolatedError$", text, flags=re.M)
    assert re.search(r"^>   def test_false\(\):$", text, flags=re.M)
    assert "testing.py" not in text


def test_the_documented_failure_is_what_is_printed(foreign):
    shown = re.search(r"^    (E   mdtheory.testing.*?)^    E   problem", PAGE, flags=re.M | re.S)[1]
    assert shown.replace("\n    ", "\n") in parts(foreign[1])["test_false"]


def test_a_failing_body_shows_its_instance_as_code(foreign):
    text = parts(foreign[1])["test_body"]
    code = "\n".join(line[1:].removeprefix(" ") for line in text.splitlines() if line[:1] == "E")
    code = re.search(r"^ *from fractions.*?^ *\)$", code, flags=re.M | re.S)
    margin = len(code[0]) - len(code[0].lstrip())
    instance = run_python("\n".join(line[margin:] for line in code[0].splitlines()))
    assert instance.problem.mdp.n_states == 2


def test_two_processes_find_the_same(tmp_path):
    folder = project(tmp_path / "mine", test_mine=MINE, conftest=CONFTEST)
    done = run_pytest(folder, "-n", "2", "--junit-xml=junit.xml", "-k", "false or from_type")
    assert done.returncode == 1
    assert outcomes(folder) == {"test_false": False, "test_from_type": True}
    assert len(list(folder.glob(".pytest_cache/d/mdtheory/*.json"))) == 1
    assert "mdtheory: the instance in Python" in parts(done.stdout)["test_false"]


def test_without_cache_and_sections_everything_is_in_the_message(tmp_path):
    folder = project(tmp_path / "mine", test_mine=MINE, conftest=CONFTEST)
    done = run_pytest(folder, "-p", "no:cacheprovider", "--show-capture=no", "-k", "test_false")
    text = parts(done.stdout)["test_false"]
    message = "\n".join(line[4:] for line in text.splitlines() if line[:1] == "E")
    code = message[message.index("from fractions") : message.index("mdtheory: the instance as a")]
    assert is_violated(FALSE, run_python(code))
    assert "for mdtheory check FILE --exact --bound 'gap <= A2/2':" in message
    file_text = message[message.index("\n{") : message.index("\n}") + 2]
    assert is_violated(FALSE, parse_problem(file_text, in_rationals=True))


COUNTING = """
import pytest
from hypothesis import settings
from mdtheory.testing import bound_test

seen = []


@bound_test("A2", max_states=1, max_renderings=2, structure="any")
def test_count(instance):
    seen.append(settings.default)
    if settings.default.max_examples > 1000:
        pytest.skip("too many to wait for")


def test_print():
    print("\\ncounted", len(seen), seen[0].max_examples, seen[0].derandomize, seen[0].deadline)
"""


@pytest.mark.parametrize(
    ("arguments", "counted", "profile"),
    [
        (["-o", "mdtheory_profile=ci", "--mdtheory-profile=dev"], "100 100 .* None", []),
        (["--mdtheory-profile=ci"], "1000 1000 True None", ["ci"]),
        (["-o", "mdtheory_profile=nightly"], "1 10000 False None", ["nightly"]),
    ],
    ids=["dev", "ci", "nightly"],
)
def test_the_profile_says_how_many_instances_there_are(tmp_path, arguments, counted, profile):
    folder = project(tmp_path / "mine", test_count=COUNTING)
    done = run_pytest(folder, "-s", *arguments)
    assert re.search(f"^counted {counted}$", done.stdout, flags=re.M)
    assert re.findall(r"^mdtheory profile: (\w+)$", done.stdout, flags=re.M) == profile


@pytest.mark.parametrize(
    "arguments", [["--mdtheory-profile=weekly"], ["-o", "mdtheory_profile=weekly"]], ids=str
)
def test_an_unknown_profile_is_a_usage_error_with_the_known_names(tmp_path, arguments):
    done = run_pytest(project(tmp_path / "mine", test_nothing=""), *arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    message = "ERROR: unknown mdtheory profile 'weekly': known are dev, ci, nightly"
    assert message in done.stderr.splitlines()


def test_a_project_without_bounds_pays_for_nothing(tmp_path):
    text = """
import sys

def test_loaded():
    assert "mdtheory_pytest" in sys.modules
    heavy = {"mdtheory", "numpy", "sympy", "hypothesis", "flint", "gymnasium"}
    assert not heavy & set(sys.modules)
"""
    done = run_pytest(project(tmp_path / "theirs", test_nothing=text))
    assert done.returncode == 0, done.stdout
    assert "mdtheory profile" not in done.stdout


def test_errors_survive_pickling():
    error = error_of(FALSE, INSTANCE)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))
