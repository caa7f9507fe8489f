"""The command line: exit statuses, one-line errors, files that are never overwritten."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import sympy

from mdtheory import STATEMENTS, check, cli, command_line
from mdtheory.problem_file import dump_problem, load_problem
from mdtheory.report.atlas import ATLAS_FILE
from mdtheory.statements import EVERY_QUANTITY
from mdtheory.toys import TOYS, environment_id
from tests.random_problems import toy_case

CASE = toy_case("long-horizon")
TEXT = dump_problem(CASE.problem, CASE.policy, CASE.baseline)


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    path = tmp_path / "problem.json"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def false_theory(replace_relation: Any) -> None:
    """A2 with its sign flipped stands among the statements."""
    true = STATEMENTS["A2"]
    replace_relation("A2", sympy.Le(true.lhs, -true.rhs, evaluate=False))


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    status = cli.main([str(x) for x in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def refused(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """Status 2, nothing on stdout, one line on stderr: that line without the program's name."""
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("mdtheory: error: ")
    return err.removeprefix("mdtheory: error: ").strip()


def test_a_problem_that_holds_exits_zero_with_tables(capsys, problem):
    status, out, err = run(capsys, "check", problem)
    assert (status, err) == (0, "")
    assert "float64" in out
    assert all(f"A{k}" in out for k in range(9))


def test_exact_json_is_the_report(capsys, problem):
    status, out, _ = run(capsys, "check", problem, "--exact", "--json")
    assert status == 0
    report = check(CASE.problem, CASE.policy, CASE.baseline)
    assert out == report.to_json() + "\n"
    assert json.loads(out)["bounds"][2]["rhs"] == "625/13"


def test_exact_tables_say_so(capsys, problem):
    _, out, _ = run(capsys, "check", "--exact", problem)
    assert "Quantities (exact)" in out
    assert "625/13" in out


def test_float_json_says_so(capsys, problem):
    _, out, _ = run(capsys, "check", problem, "--json")
    content = json.loads(out)
    assert content["arithmetic"] == "float64"
    assert content["bounds"][2]["rhs"] == pytest.approx(625 / 13)


@pytest.mark.usefixtures("false_theory")
@pytest.mark.parametrize("flags", [(), ("--exact",), ("--json",), ("--exact", "--json")])
def test_a_violated_bound_exits_one_and_says_which(capsys, problem, flags):
    status, out, err = run(capsys, "check", problem, *flags)
    assert (status, err) == (1, "")
    if "--json" in flags:
        verdicts = {b["id"]: b["verdict"] for b in json.loads(out)["bounds"]}
        assert [i for i, verdict in verdicts.items() if verdict == "violated"] == ["A2"]
    else:
        assert [line.split()[1] for line in out.splitlines() if "violated" in line] == ["A2"]


@pytest.mark.usefixtures("false_theory")
def test_a_demo_with_a_violated_bound_exits_one(capsys):
    assert run(capsys, "demo", "two-state")[0] == 1


def test_a_demo_tells_closed_forms_and_rival(capsys):
    status, out, err = run(capsys, "demo", "lucky")
    assert (status, err) == (0, "")
    assert "closed forms: 5 of 5 equal the computed values exactly" in " ".join(out.split())
    assert "Rival" in out


def test_a_demo_without_a_name_runs_every_toy(capsys):
    status, out, _ = run(capsys, "demo")
    assert status == 0
    assert all(f"{name}: " in out for name in TOYS)
    assert out.count("closed forms: ") == len(TOYS)


def test_toys_lists_every_toy_with_its_id(capsys):
    status, out, _ = run(capsys, "toys")
    assert status == 0
    assert all(name in out and environment_id(name) in out for name in TOYS)


def test_statements_lists_claim_latex_and_source(capsys):
    status, out, _ = run(capsys, "statements")
    assert status == 0
    for statement in STATEMENTS.values():
        assert f"{statement.id} {statement.name}: {statement.claim}\n" in out
        assert statement.latex in out
        assert f"source: {statement.source}\n" in out


def test_a_saved_toy_checks_like_the_toy(capsys, tmp_path):
    path = tmp_path / "new" / "toy.json"
    assert run(capsys, "demo", "long-horizon", "--save", path)[0] == 0
    assert path.read_text(encoding="utf-8") == TEXT
    assert run(capsys, "check", path, "--exact")[0] == 0


def test_a_picture_is_written(capsys, tmp_path):
    path = tmp_path / "ladder.svg"
    assert run(capsys, "demo", "two-state", "--picture", path)[0] == 0
    assert "<svg" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("flag", ["--save", "--picture"])
def test_an_existing_file_is_overwritten_only_by_force(capsys, tmp_path, flag):
    path = tmp_path / "mine.svg"
    path.write_text("mine", encoding="utf-8")
    message = refused(capsys, "demo", "two-state", flag, path)
    assert message == f"{path} exists already: choose another path, or pass --force"
    assert path.read_text(encoding="utf-8") == "mine"
    assert run(capsys, "demo", "two-state", flag, path, "--force")[0] == 0
    assert path.read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chek", "x"), "unknown command 'chek': did you mean 'check'? known are check, demo,"),
        (("demo", "two-stat"), "unknown toy 'two-stat': did you mean 'two-state'? known are"),
        (("check", "/nowhere.json"), "/nowhere.json: No such file or directory"),
        (("check", "/"), "/: Is a directory"),
        (("demo", "--save", "x.json"), "--save needs the name of one toy, got none"),
        (("demo", "two-state", "--picture", "/dev/null/x.svg"), "/dev/null: "),
    ],
    ids=lambda x: x[0] if isinstance(x, tuple) else "",
)
def test_bad_arguments_are_one_line_and_status_two(capsys, arguments, message):
    assert refused(capsys, *arguments).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check",), "Missing from mdtheory check: PATH"),
        (("check", "p.json", "--exat"), "--exact"),
        (("toys", "extra"), "extra"),
        (("--nonsense",), "--nonsense"),
        ((), "check"),
    ],
)
def test_flags_that_do_not_fit_are_one_line_and_status_two(capsys, arguments, words):
    assert words in refused(capsys, *arguments)


@pytest.mark.parametrize("arguments", [("check",), ("toys", "extra")])
def test_messages_about_flags_carry_no_frame(capsys, arguments):
    assert "---" not in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"99/100"', "1", "discount must lie in [0, 1), got 1"),
        ('"99/100"', "NaN", "discount must be a finite number, got nan"),
        ('"discount"', '"discont"', "unknown key 'discont': did you mean 'discount'? known are"),
        ("{", "", "the file must be JSON: "),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--exact",)])
def test_bad_files_are_one_line_and_status_two(capsys, problem, old, new, message, flags):
    problem.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    assert refused(capsys, "check", problem, *flags).startswith(message)


def test_bytes_that_are_no_text_are_refused(capsys, problem):
    problem.write_bytes(b"\xff\xfe\x00")
    assert refused(capsys, "check", problem).startswith(f"{problem} must be UTF-8 text: ")


def test_help_exits_zero(capsys):
    status, out, _ = run(capsys, "check", "--help")
    assert status == 0
    assert "--exact" in out


def test_the_installed_program_is_main():
    (program,) = entry_points(group="console_scripts", name="mdtheory")
    assert program.load() is cli.main


def test_a_process_reports_status_and_error_without_a_traceback(problem):
    def process(*arguments: Any) -> subprocess.CompletedProcess[str]:
        code = "import sys; from mdtheory.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = process("check", problem, "--exact", "--json")
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(good.stdout)["arithmetic"] == "exact"
    problem.write_text("{", encoding="utf-8")
    bad = process("check", problem)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("mdtheory: error: the file must be JSON: ")
    assert bad.stderr.count("\n") == 1


def test_an_interrupt_is_one_line_and_status_130(capsys, monkeypatch):
    def interrupt(self: cli.Toys) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.Toys, "run", interrupt)
    assert run(capsys, "toys") == (130, "", "mdtheory: interrupted\n")


@pytest.mark.parametrize("error", [ValueError("a\nb"), ArithmeticError("a b"), OSError("a  b")])
def test_every_error_is_squeezed_into_one_line(capsys, monkeypatch, error):
    def fail(self: cli.Toys) -> int:
        raise error

    monkeypatch.setattr(cli.Toys, "run", fail)
    assert refused(capsys, "toys") == "a b"


def test_a_picture_must_have_a_known_ending(tmp_path, capsys):
    message = refused(capsys, "demo", "lucky", "--picture", str(tmp_path / "x"))
    assert "--picture must end in .svg, .png or .pdf" in message


def test_version_is_told(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == "mdtheory 0.1.0\n"


def test_refute_exits_one_and_its_counterexample_is_confirmed_by_check(capsys, tmp_path):
    bound, path = "gap <= A2 / 2", tmp_path / "new" / "counterexample.json"
    status, out, err = run(capsys, "refute", bound, "--output", path)
    assert (status, err) == (1, "")
    assert out.startswith(f"refuted: {bound}\n")
    assert f"To confirm it, run: mdtheory check {path} --exact --bound '{bound}'" in out
    assert "ratio 2" in out
    status, out, err = run(capsys, "check", path, "--exact", "--bound", bound)
    assert (status, err) == (1, "")
    assert "violated" in out
    status, out, err = run(capsys, "check", path, "--exact", "--bound", "A2", "gap <= A2")
    assert (status, err) == (0, "")


def test_refute_never_overwrites_without_force(capsys, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text("years of work")
    status, out, err = run(capsys, "refute", "gap <= A2 / 2", "--output", path)
    assert (status, out) == (2, "")
    assert err == (
        f"mdtheory: error: {path} exists already: choose another path, or pass --force\n"
    )
    assert path.read_text() == "years of work"
    assert run(capsys, "refute", "gap <= A2 / 2", "--output", path, "--force")[0] == 1
    assert load_problem(path, in_rationals=True).exact


def test_refute_prints_proofs_and_survivors_with_status_zero(capsys):
    status, out, err = run(capsys, "refute", "gap <= 2 * A2")
    assert (status, err) == (0, "")
    assert out.startswith("proved: gap <= 2 * A2\nby ")
    # A machine that takes 10 s to load PyTorch shows progress on stderr.
    status, out, _ = run(capsys, "refute", "gap <= A5", "--budget", "1s", "--no-proof")
    assert status == 0
    assert out.startswith("survived: gap <= A5\n")
    assert "This is no proof" in out


def test_refute_speaks_json(capsys):
    status, out, _ = run(capsys, "refute", "gap <= A2", "--json", "--budget", "60s")
    content = json.loads(out)
    assert (status, content["verdict"]) == (0, "proved")
    assert content["proof"]["by"] in ("SymPy", "Z3")
    assert "A2" in content["proof"]["uses"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gap <=",), "expected a number, a name or '(' at character 7 of the bound, got the end"),
        (("gap <= A2", "--budget", "0"),
         "a duration must be positive, such as 90, 60s, 5m or 1h, got 0"),
        (("gap <= A2", "--budget", "soon"),
         "a duration must be positive, such as 90, 60s, 5m or 1h, got soon"),
        (("gap <= A2", "--budget", "-5s"),
         "a duration must be positive, such as 90, 60s, 5m or 1h, got -5s"),
        (("gap <= __import__('os')",),
         "a bound is made of names, numbers, + - * / ** ( ) , < <= > >= == if and, got \"'\" at"
         " character 19"),
        (("(" * 5000,), "a bound must have at most 2000 characters, got 5000"),
    ],
)  # fmt: skip
def test_bad_input_to_refute_is_one_line_and_status_two(capsys, arguments, message):
    status, out, err = run(capsys, "refute", *arguments)
    assert (status, out) == (2, "")
    assert err == f"mdtheory: error: {message}\n"


def test_quantities_lists_every_quantity(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, _ = run(capsys, "quantities")
    assert status == 0
    for quantity in EVERY_QUANTITY.values():
        assert f" {quantity.name} " in out
        assert f" {quantity.symbol.name} " in out
        assert quantity.domain in out


def test_atlas_goes_on_where_it_was(capsys, monkeypatch, tmp_path):
    path = tmp_path / "atlas.json"
    path.write_bytes(ATLAS_FILE.read_bytes())
    before = path.read_bytes()
    status, out, _ = run(capsys, "atlas", "--output", tmp_path)
    assert status == 0
    assert "A2 is attained to at least 1" in out
    assert path.read_bytes() == before
    assert (tmp_path / "atlas.svg").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("60s", 60), ("1.5m", 90), ("1h", 3600)]
)
def test_durations_are_seconds_minutes_or_hours(text, expected):
    assert command_line.seconds(text) == expected


def test_the_counterexample_is_kept_when_nobody_reads_what_is_printed(monkeypatch, tmp_path):
    def closed(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", closed)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    path = tmp_path / "counterexample.json"
    cli.main(["refute", "gap <= A2 / 2", "--output", str(path)])
    assert load_problem(path, in_rationals=True).exact
