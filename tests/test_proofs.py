"""The gate of the Coq development catches cheats, and Coq's claims are the SymPy statements.

Slow tests ask Coq.  The development is compiled once; cheats compile only what they change.
"""

from __future__ import annotations

import ast
import importlib.util
import random
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import flint
import pytest
import sympy

from mdtheory import judge
from mdtheory.exact import Enclosed
from mdtheory.statements import EVERY_QUANTITY, STATEMENTS, Statement
from mdtheory.statements.quantities import R, gamma, train_mass

ROOT = Path(__file__).parents[1]
PROOFS = ROOT / "proofs"
SOURCES = PROOFS / "coq"

_specification = importlib.util.spec_from_file_location("proofs_check", PROOFS / "check.py")
check = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(check)

needs_coq = pytest.mark.skipif(
    shutil.which("coqc") is None, reason="needs coqc, which `make proofs` installs"
)
TEXTS = check.read(SOURCES)


@lru_cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# The development as it is


@pytest.fixture(scope="module")
def accepted(tmp_path_factory):
    """The gate's status, what it printed (as lines), and the folder that it compiled in."""
    from contextlib import redirect_stdout
    from io import StringIO

    folder, printed = tmp_path_factory.mktemp("build"), StringIO()
    with redirect_stdout(printed):
        status = check.main([], build=folder)
    return status, printed.getvalue().splitlines(), folder


@pytest.fixture
def build(accepted, tmp_path):
    """A folder of one's own with the compiled development."""
    return Path(shutil.copytree(accepted[2], tmp_path / "build"))


@needs_coq
@pytest.mark.slow
def test_the_gate_accepts_the_development_and_names_every_theorem(accepted):
    status, lines, _ = accepted
    assert status == 0
    assert "no axioms: Statements.A2_sharp" in lines
    assert "no axioms: Ladder.sharp_lt" in lines
    proved = sum(len(check.theorems(text)) for text in TEXTS.values())
    assert lines[-1].startswith(f"{proved} theorems and lemmas, none rests on an axiom")
    assert len(lines) == proved + 1


@needs_coq
@pytest.mark.slow
def test_what_is_compiled_is_not_compiled_again(accepted, monkeypatch):
    monkeypatch.setattr(check, "run_coq", lambda *_: pytest.fail("compiled"))
    check.compile_all(TEXTS, accepted[2])


def test_the_gate_leaves_nothing_in_the_sources():
    assert {path.suffix for path in SOURCES.iterdir()} == {".v", ".txt"}


# Cheats that the text alone shows


def with_text(name: str, change: Callable[[str], str]) -> dict[str, str]:
    return TEXTS | {name: change(TEXTS[name])}


def appended(name: str, text: str) -> dict[str, str]:
    return with_text(name, lambda old: old + "\n" + text + "\n")


def without_theorems(*names: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        for name in names:
            text, found = re.subn(rf"Theorem {name}\b.*?Qed\.\n", "", text, flags=re.S)
            assert found == 1
        return text

    return change


TEXT_CHEATS: dict[str, tuple[dict[str, str], str]] = {
    "Admitted": (appended("Tv", "Lemma x : False.\nProof. Admitted."), r"Tv\.v:\d+: Admitted"),
    "admit": (appended("Tv", "Lemma x : False.\nProof. by admit. Qed."), r"Tv\.v:\d+: admit"),
    "give_up": (appended("Tv", "Lemma x : False.\nProof. give_up. Qed."), r"give_up"),
    "Axiom": (appended("Model", "Axiom x : False."), r"Model\.v:\d+: Axiom is not allowed"),
    "Axiom with an attribute": (appended("Model", "#[local] Axiom x : False."), r"Axiom"),
    "Axiom after a comment in a comment": (
        appended("Model", '(* (* "*)" *) *) Axiom x : False.'),
        r"Axiom is not allowed",
    ),
    "Parameter": (appended("Model", "Local Parameter x : False."), r"Parameter is not allowed"),
    "Conjecture": (appended("Model", "Conjecture x : False."), r"Conjecture"),
    "Hypothesis outside a section": (
        appended("Gap", "Hypothesis x : False."),
        r"Gap\.v:\d+: Hypothesis outside a section is an axiom",
    ),
    "Hypothesis after a section": (
        appended("Gap", "Section T.\nEnd T.\nHypotheses x : False."),
        r"Hypotheses outside a section",
    ),
    "Variable outside a section": (appended("Gap", "Variable x : False."), r"Variable outside"),
    "Context outside a section": (appended("Gap", "Context (x : False)."), r"Context outside"),
    "Module Type": (appended("Gap", "Module Type T."), r"Module is not allowed"),
    "Declare Instance": (appended("Gap", "Declare Instance x : Z."), r"Declare is not allowed"),
    "Admit Obligations": (
        appended("Gap", "Program Definition x : False := _.\nAdmit Obligations."),
        r"Admit is not allowed",
    ),
    "guard checking": (appended("Tv", "Unset Guard Checking."), r"Guard Checking is not allowed"),
    "positivity": (appended("Tv", "Unset  Positivity\nChecking."), r"Positivity Checking"),
    "universes": (appended("Tv", "Unset Universe Checking."), r"Universe Checking"),
    "any other option": (appended("Tv", "Set Nested Proofs Allowed."), r"usual preamble"),
    "bypass_check": (
        appended("Tv", "#[bypass_check(guard)] Fixpoint x (n : nat) : False := x n."),
        r"not allowed: #\[bypass_check",
    ),
    "a notation for numbers": (
        appended("Tv", "Number Notation nat Nat.of_num_uint Nat.to_num_uint : nat_scope."),
        r"Number Notation is not allowed",
    ),
    "a coercion in a record": (
        appended("Model", "Record x : Type := X { y :> Type }."),
        r"not allowed: Record x",
    ),
    "a plugin": (appended("Tv", 'Declare ML Module "x".'), r"Declare is not allowed"),
    "Load": (appended("Tv", 'Load "x".'), r"Load is not allowed"),
    "another library": (
        appended("Tv", "From Coq Require Import Classical."),
        r"only MathComp's and our own files may be required",
    ),
    "another library, without From": (
        appended("Tv", "Require Coq.Logic.Classical."),
        r"only MathComp's and our own files may be required",
    ),
    "a notation that looks like another": (
        appended("Model", 'Notation "x <= y" := (x = x) : ring_scope.'),
        r"Notation \" is not allowed",
    ),
    "a proof in Statements.v": (
        with_text("Statements", lambda t: t.replace("exact: gap_sharp.", "by apply: gap_sharp.")),
        r"Statements\.v:\d+: a proof here must be `exact: name\.`",
    ),
    "a lemma in Statements.v": (
        appended("Statements", "Lemma x : True.\nProof. exact: I. Qed."),
        r"Statements\.v:\d+: a proof here must be",
    ),
    "a deleted id": (
        with_text("Statements", without_theorems("A7_generalization")),
        r"no theorem of A7 says where A7_claim is true",
    ),
    "a deleted claim": (
        with_text("Statements", lambda t: t.replace("Definition A4_claim", "Definition A4_x")),
        r"no claim of A4",
    ),
}


@pytest.mark.parametrize(("texts", "message"), TEXT_CHEATS.values(), ids=TEXT_CHEATS.keys())
def test_a_cheat_that_shows_in_the_text_is_rejected_by_name(texts, message):
    with pytest.raises(check.RejectedError, match=message):
        check.check_text(texts)


@pytest.mark.parametrize(
    "harmless",
    ["(* Axiom x : False. (* admit *) Admitted. *)", '(** a "string (* Axiom" here *)'],
)
def test_comments_may_say_what_they_like(harmless):
    check.check_text(appended("Model", harmless))


def test_files_that_require_each_other_are_an_error():
    texts = with_text("Model", lambda t: "From mdtheory Require Import Tv.\n" + t)
    with pytest.raises(check.RejectedError, match=r"require each other: .*, Model\.v, "):
        check.layers(texts)


def test_the_order_of_files_respects_what_they_require():
    order = [name for layer in check.layers(TEXTS) for name in layer]
    assert order[0] == "Model"
    assert order[-1] == "Statements"
    assert sorted(order) == sorted(TEXTS)


# Cheats that only Coq sees


def sources_with(folder: Path, changes: dict[str, str]) -> Path:
    shutil.copytree(SOURCES, folder)
    for name, text in changes.items():
        (folder / f"{name}.v").write_text(text, encoding="utf-8")
    return folder


def rejection(tmp_path: Path, build: Path, changes: dict[str, str]) -> str:
    """What the gate says about the development with some files changed."""
    with pytest.raises(check.RejectedError) as caught:
        check.check(sources_with(tmp_path / "sources", changes), build)
    return str(caught.value)


UNPROVED = {
    "two_numbers": (
        "Lemma two_numbers : exists x y : Coq.Floats.PrimFloat.float, x <> y.\n"
        "Proof. exists Coq.Floats.PrimFloat.zero, Coq.Floats.PrimFloat.one => H.\n"
        "by have := f_equal Coq.Floats.PrimFloat.classify H. Qed.",
        "PrimFloat.float : Set",
    ),
    "by_axiom": (
        "Axiom ax : False.\nLemma by_axiom : 1 = 2.\nProof. by case: ax. Qed.",
        "ax : False",
    ),
    "by_obligation": (
        "Obligation Tactic := idtac.\nProgram Definition hole : False := _.\nAdmit Obligations.\n"
        "Lemma by_obligation : 1 = 2.\nProof. by case: hole. Qed.",
        "hole_obligation_1 : False",
    ),
    "by_parameter": (
        "Module Type T. Parameter par : False. End T.\nDeclare Module M : T.\n"
        "Lemma by_parameter : 1 = 2.\nProof. by case: M.par. Qed.",
        "M.par : False",
    ),
    "by_instance": (
        "Class C := c : False.\nDeclare Instance inst : C.\n"
        "Lemma by_instance : 1 = 2.\nProof. by case: c. Qed.",
        "Extra.inst : Extra.C",
    ),
    "by_recursion": (
        "Unset Guard Checking.\nFixpoint rec (n : nat) : False := rec n.\nSet Guard Checking.\n"
        "Lemma by_recursion : 1 = 2.\nProof. by case: (rec 0). Qed.",
        "rec is assumed to be guarded",
    ),
    "by_hypothesis": (
        "Hypothesis hyp : False.\nLemma by_hypothesis : 1 = 2.\nProof. by case: hyp. Qed.",
        "hyp : False",
    ),
    "by_nothing": ("Lemma by_nothing : True.\nProof. by []. Qed.", ""),
}
"""Lemmas that rest on what Coq only assumes, with the line that says so; the last one is fine."""


def test_the_words_of_a_primitive_are_not_suspicious():
    check.check_text(TEXTS | {"Extra": check.PREAMBLE + "\n" + UNPROVED["two_numbers"][0]})


@needs_coq
@pytest.mark.slow
def test_an_assumption_is_rejected_by_name_whatever_its_words(tmp_path):
    """Past the filter of words: Coq itself reports each of them."""
    parts = [check.PREAMBLE, *(text for text, _ in UNPROVED.values())]
    texts = {"Extra": "\n".join(parts) + "\n"}
    check.compile_all(texts, tmp_path)
    with pytest.raises(check.RejectedError) as caught:
        check.check_assumptions(texts, tmp_path)
    found = str(caught.value).split("Extra.")[1:]
    by_name = {part.split(" rests on this:\n")[0]: part for part in found if " rests on" in part}
    assert set(by_name) == set(UNPROVED) - {"by_nothing"}
    for name, (_, line) in UNPROVED.items():
        if name != "by_nothing":
            assert line in str(caught.value)


def replaced(name: str, old: str, new: str) -> dict[str, str]:
    assert TEXTS[name].count(old) == 1, old
    return {name: TEXTS[name].replace(old, new)}


A0 = "Theorem A0_coverage (F : realFieldType) (I S A : finType) (m : mdp F S A)"
A0_ONE_STATE = "Theorem A0_coverage (F : realFieldType) (I A : finType) (m : mdp F unitF A)"
A2_CLAIM = "gap <= A2_bound train_mass robustness reward_range discount"
RANGE = "(1 - train_mass) * reward_range / (1 - discount)"
AFTER_VALUES = "(forall f, policy (pi f)) -> (forall f, is_value m (pi f) (V f)) ->\n  A0_claim"
LOOKALIKE = """
Section Points.
Variable F : realFieldType.
Definition same (x y : F) := x == y.
Definition never (x y : F) := false.
Fact never_def (x y : F) : never x y = (y != x) && same x y.
Proof. by rewrite /never /same eq_sym andNb. Qed.
Fact same_refl : reflexive same. Proof. by move=> x; apply: eqxx. Qed.
Fact same_anti : antisymmetric same. Proof. by move=> x y /andP[/eqP]. Qed.
Fact same_trans : transitive same. Proof. by move=> y x z /eqP-> /eqP->; apply: eqxx. Qed.
Definition points : porderType ring_display :=
  POrderType ring_display F (LePOrderMixin never_def same_refl same_anti same_trans).
End Points.

Theorem only_at_one (F : realFieldType) (gamma lo hi R : F) :
  0 <= gamma -> gamma < 1 -> 0 <= R -> (R : points F) <= 1 -> lo <= hi ->
  exists (m : mdp F boolF boolF) (pi pi' : boolF -> boolF -> F),
  [/\\ [/\\ discount m = gamma, reward_min m = lo & reward_max m = hi],
      (exists s a, reward m s a = lo) /\\ (exists s a, reward m s a = hi),
      policy pi /\\ policy pi',
      forall s, tv (pi s) (pi' s) = R &
      forall V V', is_value m pi V -> is_value m pi' V' ->
        return_of m V - return_of m V' = sharp gamma (hi - lo) R].
Proof. by move=> g0 g1 R0 R1; apply: sharp_attained => //; have /eqP-> : R == 1 := R1. Qed.
"""
"""An order on a field that is printed as `<=` and is equality; R <= 1 then means R = 1."""


def with_lookalike() -> dict[str, str]:
    changed = replaced("Statements", "exact: sharp_attained.", "exact: only_at_one.")["Statements"]
    start = changed.index("Theorem A2_sharp_attained ")
    there = changed[start:].replace("R <= 1 -> lo <= hi", "(R : points F) <= 1 -> lo <= hi", 1)
    return {"Statements": changed[:start] + there, "Tight": TEXTS["Tight"] + LOOKALIKE}


WEAKENED = {
    "less general": (
        {
            "Statements": replaced("Statements", A0, A0_ONE_STATE)["Statements"].replace(
                "(pi : I -> S -> A -> F) (V : I -> S -> F) :\n  " + AFTER_VALUES,
                "(pi : I -> unitF -> A -> F) (V : I -> unitF -> F) :\n  " + AFTER_VALUES,
            )
        },
        r"statements\.txt does not:\nStatements\.A0_coverage",
    ),
    "an extra premise": (
        replaced("Statements", AFTER_VALUES, AFTER_VALUES.replace("A0_", "0 < discount m -> A0_")),
        r"Statements\.v does not compile:|does not:\nStatements\.A0_coverage",
    ),
    "a factor 2": (
        replaced("Statements", f"  {RANGE}.", f"  2%:R * {RANGE}."),
        r"Statements\.v does not compile:",
    ),
    "strict": (
        replaced("Statements", A2_CLAIM, A2_CLAIM.replace("<=", "<")),
        r"Statements\.v does not compile:",
    ),
    "reversed": (
        replaced("Statements", A2_CLAIM, A2_CLAIM.replace("<=", ">=")),
        r"Statements\.v does not compile:",
    ),
    "an order that looks the same": (
        with_lookalike(),
        r"statements\.txt does not:\nStatements\.A2_sharp_attained",
    ),
    "a companion less": (
        {"Statements": without_theorems("A2_sharp_attained_gap")(TEXTS["Statements"])},
        r"statements\.txt says, but Coq does not:\nStatements\.A2_sharp_attained_gap",
    ),
    "a premise that nothing meets, in a definition": (
        replaced(
            "Divergence",
            "27%:R / (4%:R * (x + 2%:R)) <= lg x).\n\nSection",
            "27%:R / (4%:R * (x + 2%:R)) <= lg x) /\\ 1 = 0 :> F.\n\nSection",
        ),
        r"does not:\nDivergence\.logarithm",
    ),
}


def adapted(changes: dict[str, str]) -> dict[str, str]:
    """With the proofs that a changed definition of the logarithm needs, as a cheat would do it."""
    if "Divergence" in changes:
        text = changes["Divergence"]
        for lemma in ("lgM", "lg_ge"):
            text = re.sub(
                rf"(Lemma {lemma} .*?\nProof\.).*?Qed\.",
                r"\1 by case: lgP => [a [b c]]; auto. Qed.",
                text,
                count=1,
                flags=re.S,
            )
        return {"Divergence": text}
    return changes


@needs_coq
@pytest.mark.slow
@pytest.mark.parametrize(("changes", "message"), WEAKENED.values(), ids=WEAKENED.keys())
def test_a_weakened_statement_is_rejected_by_name(changes, message, tmp_path, build):
    assert all(text != TEXTS[name] for name, text in changes.items())
    assert re.search(message, rejection(tmp_path, build, adapted(changes)))


@needs_coq
@pytest.mark.slow
def test_a_changed_definition_of_the_model_is_not_what_statements_txt_says(tmp_path):
    """Even where every proof could be adapted: total variation without its half."""
    half = "(\\sum_a `|p a - q a|) / 2%:R"
    kept = read(SOURCES / "statements.txt").split("\n\n")
    assert sum(block.startswith("Model.tv = ") for block in kept) == 1
    check.compile_all(
        {"Model": TEXTS["Model"].replace(half, half.removesuffix(" / 2%:R"))}, tmp_path
    )
    answer = check.ask(tmp_path, {"tv": "Print Model.tv."}, ["Model"])["tv"]
    assert answer.startswith("Model.tv = ")
    shown = answer.split("\n\nArguments")[0]
    assert not any(block.startswith(shown) for block in kept)


# The command


def test_without_coq_the_gate_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(check.shutil, "which", lambda _: None)
    assert check.main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    for name in ("libcoq-mathcomp-algebra-tactics", "coq-mathcomp-algebra-tactics", "8.16.1"):
        assert name in printed.err


def test_as_root_on_debian_the_gate_installs_coq_and_says_so(monkeypatch, capsys):
    ran = []

    class Done:
        returncode = 0

    monkeypatch.setattr(check.shutil, "which", lambda name: name == "apt-get" or None)
    monkeypatch.setattr(check.os, "geteuid", lambda: 0)
    monkeypatch.setattr(check.subprocess, "run", lambda command, **_: ran.append(command) or Done)
    assert not check.install_coq()  # as coqc is still not there
    assert [command[0] for command in ran] == ["apt-get", "apt-get"]
    assert "update" in ran[0]
    assert set(check.PACKAGES) | {"install", "--no-install-recommends"} <= set(ran[1])
    assert capsys.readouterr().out.count("Coq or MathComp is missing; running: apt-get") == 2


@needs_coq
def test_a_rejection_is_status_one_and_says_where(tmp_path, capsys):
    folder = sources_with(tmp_path / "sources", appended("Tv", "Axiom x : False."))
    assert check.main(["--sources", str(folder)]) == 1
    assert re.match(r"Tv\.v:\d+: Axiom is not allowed", capsys.readouterr().err)


def test_a_wrong_folder_is_status_two_and_one_line(tmp_path, capsys):
    assert check.main(["--sources", str(tmp_path / "nowhere")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert (
        printed.err == f"--sources must be a folder with Statements.v, got {tmp_path / 'nowhere'}\n"
    )


def test_a_folder_without_statements_is_an_error(tmp_path):
    with pytest.raises(check.RejectedError, match=r"holds no Statements\.v"):
        check.read(tmp_path)


# The tie: Coq's claims are the SymPy statements


@dataclass(frozen=True)
class Point:
    """Numbers at which Coq and SymPy are asked the same question.

    Attributes:
        id: of the statement.
        question: a boolean Coq term over `rat`.
        values: what SymPy's quantities are.
        exactly: SymPy expressions for those that are not rational.
        slope: for A8, a number that is asked whether it is the slope.
    """

    id: str
    question: str
    values: dict[str, Any]
    exactly: dict[str, sympy.Expr] = field(default_factory=dict)
    slope: Fraction | None = None

    def sympy_says(self, statement: Statement) -> bool:
        if self.slope is not None:
            return statement.sides(self.values)[0] == self.slope
        verdict = judge(statement, self.values).verdict
        if verdict == "undecided":  # balls cannot see that irrational expressions are equal
            return self._symbolically(statement)
        return {"holds": True, "violated": False}[verdict]

    def _symbolically(self, statement: Statement) -> bool:
        numbers = self.values | self.exactly
        put = {q.symbol: sympy.sympify(numbers[q.name]) for q in statement.quantities}
        left, right = (
            sympy.simplify(side.subs(put).rewrite(sympy.exp)) for side in statement.relation.args
        )
        return bool(statement.relation.func(left, right))


def rat(number: Fraction | int) -> str:
    """A rational for Coq; its integers are unary, so they should be small."""
    exact = Fraction(number)
    assert max(abs(exact.numerator), exact.denominator) < 5000
    return f"({'-' if exact < 0 else ''} q {abs(exact.numerator)} {exact.denominator})"


@lru_cache
def parameters(definition: str) -> list[str]:
    """The numbers that a definition of Statements.v speaks about, by the names written there."""
    text = " ".join(check.without_comments(TEXTS["Statements"]).split())
    found = re.search(rf"Definition {definition} ((?:\([^)]*\) )*):", text)
    names = re.findall(r"\(([^):]*) : [^)]*\)", found[1])
    return [name for group in names for name in group.split() if name not in ("F", "lg")]


def asked(definition: str, values: dict[str, Any], of: str) -> str:
    """The definition at these numbers, in the order of the parameters of `of`."""
    return " ".join([definition, *(rat(values[name]) for name in parameters(of))])


SHARES = ("discount", "train_mass", "robustness", "pull_correlation")
INSTANCES = 20


def instances(id_: str, rng: random.Random) -> Iterable[tuple[dict[str, Fraction], Fraction]]:
    """Small rationals for the quantities, and the value of the statement's formula there."""
    found = 0
    while found < INSTANCES:
        values = {}
        for quantity in STATEMENTS[id_].quantities:
            share = Fraction(rng.randint(1, 3), rng.randint(4, 5))
            values[quantity.name] = share if quantity.name in SHARES else rng.randint(1, 8) * share
            if quantity.name == "n_agents":
                values[quantity.name] = Fraction(rng.randint(2, 5))
        value = STATEMENTS[id_].sides(values)[0 if id_ == "A8" else 1]
        if max(abs(value.numerator), value.denominator) < 200:
            found += 1
            yield values, value


def around(number: Fraction, step: Fraction = Fraction(1, 20)) -> list[Fraction]:
    return [number, number - step, number + step]


def plain_points(id_: str, rng: random.Random) -> Iterable[Point]:
    """The left quantity exactly at SymPy's right side, a little beside it, and anywhere."""
    (left,) = (q.name for q in STATEMENTS[id_].quantities if q.symbol == STATEMENTS[id_].lhs)
    for values, right in instances(id_, rng):
        for number in [*around(right), Fraction(rng.randint(0, 9), 2)]:
            there = values | {left: number}
            question = asked(f"{id_}_claim", there, f"{id_}_claim")
            if id_ == "B6":  # an equation
                question = f"{rat(number)} == {asked('B6_variance', there, 'B6_variance')}"
            yield Point(id_, question, there)


def slope_points(rng: random.Random) -> Iterable[Point]:
    """A8: its sign, and whether SymPy's derivative is Coq's slope at R' = R."""
    for values, slope in instances("A8", rng):
        arguments = values | {"robustness'": values["robustness"]}
        yield Point("A8", asked("A8_claim", arguments, "A8_claim"), values)
        for number in around(slope):
            question = f"{asked('A8_slope', arguments, 'A8_slope')} == {rat(number)}"
            yield Point("A8", question, values, slope=number)


def divergence_points() -> Iterable[Point]:
    """B2: the divergence at 2 t^2 and at - ln (1 - t^2), and a little beside both.

    Coq's logarithm is a table with one entry, the rounded logarithm of 1 - t^2; its error is far
    smaller than the steps, and any other argument would get 0.
    """
    for k in range(1, INSTANCES):
        t = Fraction(k, INSTANCES)
        logarithm = flint.arb(flint.fmpq(400 - k * k, 400)).log()
        rounded, step = Fraction(round(float(logarithm) * 200), 200), Fraction(1, 50)
        beside = [*around(2 * t**2, step), *around(-rounded, step)[1:]]
        for divergence in filter(lambda number: number > 0, beside):
            table = f"(fun x => if x == {rat(1 - t**2)} then {rat(rounded)} else 0)"
            numbers = f"{rat(t)} {rat(divergence)}"
            question = f"B2_pinsker_claim {numbers} && B2_bretagnolle_huber_claim {table} {numbers}"
            yield Point("B2", question, {"disagreement": t, "divergence": divergence})


def average_points() -> Iterable[Point]:
    """B3: the mean divergence at 2 t^2, and a little beside it."""
    for k in range(1, INSTANCES + 1):
        t = Fraction(k, INSTANCES)
        for divergence in around(2 * t**2, Fraction(1, 400)):
            values = {"mean_disagreement": t, "mean_divergence": divergence}
            yield Point("B3", asked("B3_claim", values, "B3_claim"), values)


def softmax_points() -> Iterable[Point]:
    """B5: an oscillation of 2 ln c for rational c."""
    for k in range(INSTANCES):
        c = Fraction(INSTANCES + 3 * k, INSTANCES)
        ball = Enclosed(lambda c=c: 2 * flint.arb(flint.fmpq(c.numerator, c.denominator)).log())
        exactly = {"logit_oscillation": 2 * sympy.log(sympy.Rational(c))}
        for t in around((c - 1) / (c + 1)):
            values = {"disagreement": t, "logit_oscillation": ball}
            yield Point("B5", f"B5_claim {rat(t)} {rat(c)}", values, exactly)


@lru_cache
def points() -> list[Point]:
    rng = random.Random(0)
    special = {"A8": lambda: slope_points(rng), "B2": divergence_points, "B3": average_points}
    special["B5"] = softmax_points
    return [
        point
        for id_ in STATEMENTS
        for point in (special[id_]() if id_ in special else plain_points(id_, rng))
    ]


TIE = """\
From mathcomp Require Import all_ssreflect all_algebra.
From mdtheory Require Import Statements.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.
Definition q (n d : nat) : rat := fracq (Posz n, Posz d).
"""


@pytest.fixture(scope="module")
def coq_says(accepted):
    """Coq's answers to the questions of `points()`."""
    lines = [f"Eval vm_compute in ({point.question} : bool)." for point in points()]
    (accepted[2] / "Tie.v").write_text(TIE + "\n".join(lines) + "\n", encoding="utf-8")
    printed = re.findall(r"^ *= (true|false)$", check.run_coq(accepted[2], "Tie"), flags=re.M)
    return [answer == "true" for answer in printed]


def disagreements(statement: Statement, coq_says: list[bool]) -> list[Point]:
    return [
        point
        for point, answer in zip(points(), coq_says, strict=True)
        if point.id == statement.id and point.sympy_says(statement) != answer
    ]


@needs_coq
@pytest.mark.slow
@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_coq_and_sympy_say_the_same(statement, coq_says):
    """Strict, as both sides are exact and the points surround equality.

    At 20 random instances Coq's claim, computed in `rat`, is true with the left quantity exactly at
    SymPy's right side; on one side of it it stays true, on the other it is false, as SymPy says.
    Two different rational functions do not agree at all of these points, and a claim that is true
    or false too often, or with other constants, is wrong at one of them: see the next test.
    """
    assert disagreements(statement, coq_says) == []
    answers = {a for p, a in zip(points(), coq_says, strict=True) if p.id == statement.id}
    assert answers == {True, False}
    assert sum(point.id == statement.id for point in points()) >= 3 * (INSTANCES - 1)


FLIPPED = {
    sympy.Le: sympy.Ge,
    sympy.Ge: sympy.Le,
    sympy.StrictLessThan: sympy.StrictGreaterThan,
    sympy.Eq: sympy.Ne,
}


def formula(statement: Statement) -> sympy.Expr:
    """The side that a wrong variant changes."""
    return statement.lhs if statement.id == "A8" else statement.rhs


def with_formula(statement: Statement, new: sympy.Expr) -> Statement:
    sides = (new, statement.rhs) if statement.id == "A8" else (statement.lhs, new)
    return replace(statement, relation=statement.relation.func(*sides, evaluate=False))


def wrong() -> Iterable[tuple[str, Statement]]:
    """Wrong variants of the SymPy statements."""
    for id_, statement in STATEMENTS.items():
        right = formula(statement)
        yield f"{id_}: twice", with_formula(statement, 2 * right)
        yield f"{id_}: 99 percent", with_formula(statement, 99 * right / 100)
        if gamma in right.free_symbols:
            yield f"{id_}: gamma for 1-gamma", with_formula(statement, right.subs(gamma, 1 - gamma))
        if train_mass in right.free_symbols:
            yield f"{id_}: without 1-M", with_formula(statement, right / (1 - train_mass))
        if R in right.free_symbols:
            yield f"{id_}: 1-R for R", with_formula(statement, right.subs(R, 1 - R))
        sides = statement.relation.args
        if isinstance(statement.relation, (sympy.Le, sympy.Ge)):
            flipped = FLIPPED[type(statement.relation)](*sides, evaluate=False)
            yield f"{id_}: flipped", replace(statement, relation=flipped)
        if isinstance(statement.relation, sympy.Le):
            strict = sympy.StrictLessThan(*sides, evaluate=False)
            yield f"{id_}: strict", replace(statement, relation=strict)


@needs_coq
@pytest.mark.slow
@pytest.mark.parametrize("variant", [pytest.param(s, id=label) for label, s in wrong()])
def test_coq_disagrees_with_a_wrong_variant(variant, coq_says):
    assert disagreements(variant, coq_says)


# Pages and index


HEADINGS = (
    "Statement",
    "Assumptions",
    "Proof",
    "When it is tight",
    "Source",
    "What it does not say",
)


def theorem_prefix(statement: Statement) -> str:
    return f"{statement.id}_{re.sub(r'[- ]', '_', statement.name)}"


@pytest.mark.parametrize("definition", re.findall(r"Definition (\w+)", TEXTS["Statements"]))
def test_what_a_claim_speaks_about_are_quantities(definition):
    for name in parameters(definition):
        plain = name.removeprefix("exp_half_").rstrip("'")
        assert plain in EVERY_QUANTITY, name
        assert definition.startswith("B5") or plain == name.rstrip("'")


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_theorems_and_claims_have_the_name_of_their_statement(statement):
    stated = check.theorems(TEXTS["Statements"])
    own = [name for name in stated if name.startswith(f"{statement.id}_")]
    assert theorem_prefix(statement) in own
    assert all(name.startswith(theorem_prefix(statement)) for name in own if "B1_" not in name)
    assert f"(** ** {statement.id}: {statement.name}. " in TEXTS["Statements"]


def test_statements_are_in_the_order_of_the_theory():
    found = re.findall(r"^\(\*\* \*\* (\w\d):", TEXTS["Statements"], flags=re.M)
    assert found == list(STATEMENTS)
    ids = [name.split("_")[0] for name in check.theorems(TEXTS["Statements"])]
    assert list(dict.fromkeys(ids)) == ["foundation", *STATEMENTS]


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_a_human_proof_has_its_headings_in_order(statement):
    page = read(ROOT / statement.proof)
    assert page.startswith(f"# {statement.id}: {statement.name}\n")
    assert re.findall(r"^## (.*)$", page, flags=re.M) == list(HEADINGS)


def test_links_of_the_pages_lead_somewhere():
    for page in PROOFS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)\)", read(page)):
            assert "://" in target or (page.parent / target).exists(), (page.name, target)


def rows() -> dict[str, list[str]]:
    """The index in proofs/README.md: id -> the cells of its row."""
    lines = re.findall(r"^\| (\w\d) \|(.*)\|$", read(PROOFS / "README.md"), flags=re.M)
    return {id_: [cell.strip() for cell in cells.split(" | ")] for id_, cells in lines}


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_index_has_a_row_for_every_statement_in_order():
    assert list(rows()) == list(STATEMENTS)


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_everything_in_a_row_of_the_index_exists(statement):
    name, human, machine, symbolic, tested = rows()[statement.id]
    assert name == statement.name
    assert human == f"[{statement.id}.md]({statement.id}.md)"
    assert ROOT / statement.proof == PROOFS / f"{statement.id}.md"
    stated = check.theorems(TEXTS["Statements"])
    own = [theorem for theorem in stated if theorem.startswith(f"{statement.id}_")]
    assert names_in(machine) == own
    assert is_defined_as(names_in(symbolic)[0], statement)
    assert names_in(tested)
    assert all(is_test(test) for test in names_in(tested))


def is_defined_as(place: str, statement: Statement) -> bool:
    """Whether `file::NAME` is where the SymPy statement is written."""
    file, name = place.split("::")
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    assigned = [
        n.targets[0] for n in ast.parse(read(ROOT / file)).body if isinstance(n, ast.Assign)
    ]
    return getattr(module, name) is statement and name in [getattr(n, "id", "") for n in assigned]


def is_test(place: str) -> bool:
    """Whether `file::function` is a test."""
    file, name = place.split("::")
    tree = ast.parse(read(ROOT / file))
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return name.startswith("test_") and name in functions
