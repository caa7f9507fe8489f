"""Surveys: the same bytes however they are cut, killed and resumed; wrong bounds are refuted."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdtheory import check, cli, judge
from mdtheory.cluster import Outcome
from mdtheory.problem_file import dump_problem, load_problem
from mdtheory.statements import STATEMENTS
from mdtheory.statements.statement import bound_text
from mdtheory.survey import BATCH, Settings, Tally, batch, kind, problem, store, survey_block
from mdtheory.survey.conclude import Worst, conclude, ratio_text
from mdtheory.survey.draw import with_baseline
from mdtheory.survey.store import opened
from tests.wrong_variants import wrong_variants

pytest.importorskip("ray")

FEW = ("A2", "gap <= A0 / 2", "B1")
"""Bounds of small surveys: one that is attained, one that is wrong, one that needs a baseline."""
FLAGS = ("--bound", *FEW)
WRONG = "gap <= A0 / 2"


def survey(folder: Path, problems: int, *flags: str, address: str = "auto") -> int:
    """The command in this process; "auto" will do where nothing is left for Ray."""
    given = ("--problems", str(problems), "--output", str(folder), "--address", address)
    return cli.main(["survey", *given, *flags])


def results(folder: Path) -> dict[str, bytes]:
    """Every file of a finished survey, but for the order in which its blocks arrived."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name not in (store.BLOCKS, store.LOCK)
    }


def alone(folder: Path, settings: Settings, problems: int, block: int) -> dict[str, bytes]:
    """The survey in this process, without Ray, its blocks in an order of their own."""
    with opened(folder, settings, problems) as found:
        blocks = list(found.missing(problems, block))
        random.Random(0).shuffle(blocks)
        for first, stop in blocks:
            found.append(survey_block(lambda report: None, settings, first, stop))
        conclude(found, problems)
    return results(folder)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """3,000 problems in one process: what every other way must come to."""
    return alone(tmp_path_factory.mktemp("alone"), Settings(bounds=FEW), 3000, 1500)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Ray with one node of two processors; `connected` joins and leaves it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    from ray.cluster_utils import Cluster

    ours = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield ours
    ours.shutdown()


@pytest.fixture
def address(cluster: Any) -> str:
    return str(cluster.address)


def test_a_problem_is_a_function_of_seed_and_number():
    one, again, other = (dump_problem(*problem(seed, 1234)) for seed in (3, 3, 4))
    assert one == again
    assert one != other
    assert one != dump_problem(*problem(3, 1235))
    batch.cache_clear()
    assert dump_problem(*problem(3, 1234)) == one
    floats = batch(3, 1234 // BATCH).single((1234 % BATCH,))
    assert dump_problem(*floats.in_rationals()) == one


def test_every_40000_problems_hold_all_kinds_and_sizes():
    kinds = [str(kind(number)) for number in range(0, 40_000, BATCH)]
    counts = Counter(k.split(",")[0] for k in kinds for _ in range(BATCH))
    assert counts == {"random": 37_000, "structured": 2000, "adversarial": 1000}
    assert {k for k in kinds if k.startswith("structured")} == {
        f"structured, {n} states" for n in (2, 3, 4, 8)
    }
    assert {k.split()[1] for k in kinds if k.startswith("random")} == {"2", "3", "4"}
    discounts = np.concatenate([batch(0, k).problem.mdp.discount for k in range(10)])
    assert 0.999 < discounts.max() <= 0.9999


def test_bounds_that_need_a_baseline_are_put_to_problems_that_have_one():
    found = survey_block(lambda report: None, Settings(bounds=("A2", "B1")), 500, 1500)["bounds"]
    tallies = {b: Tally.from_json(5, tally) for b, tally in found.items()}
    assert kind(1000).name == "adversarial"
    assert (tallies["A2"].problems, tallies["B1"].problems) == (1000, 500)


def test_counts_are_those_of_check():
    settings = Settings(bounds=("A2", WRONG, "B2"), keep=3)
    found = survey_block(lambda report: None, settings, 500, 1000)["bounds"]
    instance = batch(0, 1)
    for result in check(*instance, bounds=settings.bounds).bounds:
        tally = Tally.from_json(3, found[result.bound.id])
        for verdict in ("holds", "violated", "not applicable", "undecided"):
            assert tally.count(verdict) == (result.verdict == verdict).sum()
        has_ratio = ~np.isnan(result.ratio)
        ratio = result.ratio[has_ratio]
        assert [r for _, r in tally.worst] == sorted(ratio, reverse=True)[:3]
        assert all(result.ratio[number - 500] == r for number, r in tally.worst)
        binned = tally.bins.sum() + tally.attained + tally.negative + tally.no_ratio
        assert binned == 500 - tally.count("not applicable")
        assert tally.bins[50:].sum() == ((result.verdict == "violated") & has_ratio).sum()
        numbers = 500 + np.flatnonzero(result.verdict == "violated")
        assert list(tally.violations) == numbers[:3].tolist()
    attained = found["A2"]["attained"]
    exact = [check(*problem(0, 500 + k), bounds="A2").bounds[0] for k in range(500)]
    assert attained == sum(r.slack == 0 and r.ratio is not None for r in exact) > 0


def test_tallies_add_up_in_any_order():
    settings = Settings(bounds=FEW, keep=4)
    parts = [survey_block(lambda r: None, settings, k, k + 500)["bounds"] for k in (0, 500, 1000)]
    whole = survey_block(lambda r: None, settings, 0, 1500)["bounds"]
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        for bound in FEW:
            total = Tally(4)
            for k in order:
                total.merge(Tally.from_json(4, parts[k][bound]))
            assert total.to_json() == whole[bound]


def test_any_blocks_in_any_order_give_the_same_files(expected, tmp_path):
    assert alone(tmp_path, Settings(bounds=FEW), 3000, 500) == expected


def test_ray_gives_what_one_process_gives(expected, tmp_path, address, capsys):
    assert survey(tmp_path / "s", 3000, "--block", "1000", *FLAGS, address=address) == 1
    found = results(tmp_path / "s")
    picture = found.pop("survey.svg")
    assert found == expected
    assert picture.startswith(b"<?xml ")
    assert picture.count(b"<svg ") == 1
    out = capsys.readouterr().out
    assert "3,000 problems, seed 0" in out
    assert f"violated: {WRONG}, by " in out


def test_a_shown_command_confirms_the_violation(expected, tmp_path, monkeypatch, capsys):
    for name, content in expected.items():
        (tmp_path / name).write_bytes(content)
    text = json.loads(expected["survey.json"])["bounds"][WRONG]["violations"][0]["file"]
    command = ["check", str(tmp_path / text), "--exact", "--json", "--bound", WRONG]
    assert cli.main(command) == 1
    assert json.loads(capsys.readouterr().out)["bounds"][0]["decided_by"] == "rationals"


def test_every_worst_case_is_what_its_file_says(expected, tmp_path):
    content = json.loads(expected["survey.json"])["bounds"]
    for bound in FEW:
        entry = content[bound]
        path = tmp_path / "worst.json"
        path.write_bytes(expected[entry["worst_exactly"]["file"]])
        instance = load_problem(path, in_rationals=True)
        result = check(*instance, bounds=bound, require_exact=True).bounds[0]
        assert float(result.ratio) == entry["worst_exactly"]["ratio"]
        kept = {case["problem"]: case["float64_ratio"] for case in entry["worst"]}
        number = entry["worst_exactly"]["problem"]
        assert float(result.ratio) == pytest.approx(kept[number], rel=1e-3)
        assert dump_problem(*problem(0, number)) == path.read_text()
        for other in kept:
            rival = check(*problem(0, other), bounds=bound).bounds[0]
            assert rival.ratio <= result.ratio
    assert content["A2"]["worst_exactly"] == {
        "problem": 549,
        "kind": "structured, 2 states",
        "ratio": 1.0,
        "attained": True,
        "file": "worst-A2.json",
    }


def test_a_killed_driver_goes_on_and_ends_with_the_same_bytes(expected, tmp_path, address):
    folder = tmp_path / "s"
    arguments = ["--problems", "3000", "--output", str(folder), "--address", address, *FLAGS]
    command = [sys.executable, "-m", "mdtheory.cli", "survey", *arguments, "--block", "500"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    blocks = folder / store.BLOCKS
    deadline = time.monotonic() + 60
    while not (blocks.exists() and blocks.read_bytes().count(b"\n") >= 2):
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    n_done = blocks.read_bytes().count(b"\n")
    assert 2 <= n_done < 6
    with blocks.open("ab") as file:
        file.write(b'{"first": 2500, "stop": 30')  # what a kill within a write leaves
    assert survey(folder, 3000, *FLAGS, address=address) == 1
    found = results(folder)
    del found["survey.svg"]
    assert found == expected
    assert blocks.read_bytes().count(b"\n") < 6 + n_done
    lines = [json.loads(line) for line in blocks.read_text().splitlines()]
    assert sum(line["stop"] - line["first"] for line in lines) == 3000


@pytest.mark.slow
def test_blocks_of_a_node_that_dies_are_done_elsewhere(expected, cluster, tmp_path, address):
    node = cluster.add_node(num_cpus=2)
    blocks = tmp_path / "s" / store.BLOCKS

    def unplug() -> None:
        deadline = time.monotonic() + 60
        while not blocks.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=unplug)
    thread.start()
    try:
        status = survey(tmp_path / "s", 3000, "--block", "500", *FLAGS, address=address)
    finally:
        thread.join()
    assert status == 1
    found = results(tmp_path / "s")
    del found["survey.svg"]
    assert found == expected


def test_more_problems_extend_a_survey(expected, tmp_path):
    settings = Settings(bounds=FEW)
    few = alone(tmp_path, settings, 1500, 1000)
    assert json.loads(few["survey.json"])["problems"] == 1500
    assert alone(tmp_path, settings, 3000, 1000) == expected


def test_a_finished_survey_starts_no_ray(expected, tmp_path, monkeypatch, capsys):
    alone(tmp_path / "s", Settings(bounds=FEW), 3000, 2000)
    monkeypatch.setattr("mdtheory.survey.run.connected", None)
    assert survey(tmp_path / "s", 3000, *FLAGS) == 1
    found = results(tmp_path / "s")
    first = found.pop("survey.svg")
    assert found == expected
    assert survey(tmp_path / "s", 3000, *FLAGS) == 1
    assert results(tmp_path / "s")["survey.svg"] == first
    picture = tmp_path / "mine.png"
    picture.write_text("a user's")
    assert survey(tmp_path / "s", 3000, *FLAGS, "--picture", str(picture)) == 2
    assert picture.read_text() == "a user's"
    forced = ("--picture", str(picture), "--force")
    assert survey(tmp_path / "s", 3000, *FLAGS, *forced) == 1
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_every_wrong_variant_of_a2_is_refuted_exactly(tmp_path):
    variants = [v for v in wrong_variants() if v.id == "A2"]
    texts = tuple(bound_text(v.relation, v.requires) for v in variants)
    assert len(set(texts)) >= 15
    settings = Settings(bounds=tuple(dict.fromkeys(texts)), keep=1)
    with opened(tmp_path, settings, 2500) as found:
        for first, stop in found.missing(2500, 2500):
            found.append(survey_block(lambda report: None, settings, first, stop))
        conclusion = conclude(found, 2500)
    assert not conclusion.holds
    for bound, paths in conclusion.violations.items():
        assert paths, bound
        instance = load_problem(paths[0], in_rationals=True)
        result = check(*instance, bounds=bound, require_exact=True).bounds[0]
        assert (result.verdict, result.decided_by) == ("violated", "rationals")
    confirming = [line.strip() for line in conclusion.lines() if line.startswith("    ")]
    program, *arguments = shlex.split(confirming[0])
    assert program == "mdtheory"
    with contextlib.redirect_stdout(io.StringIO()):
        assert cli.main(arguments) == 1


def test_a_violation_that_is_not_confirmed_exactly_is_an_error():
    """As if float64 had called A2 violated where it is attained."""
    true = STATEMENTS["A2"]
    instance = batch(0, 2)
    values = check(*instance, bounds="A2").quantities
    names = {q.name for q in true.quantities}
    wrong = judge(
        true, {n: values[n] for n in names if n in values} | _rest(instance, names, values)
    )
    assert (wrong.verdict == "violated").any()
    with pytest.raises(
        ArithmeticError, match=r"A2 violated by problem 1\d\d\d, exact .* says holds"
    ):
        Tally(5).add(wrong, 1000, lambda number: problem(0, number))


def _rest(instance: Any, names: set[str], known: dict[str, Any]) -> dict[str, Any]:
    from mdtheory import measure

    return {n: v for n, v in measure(instance.problem, instance.policy).items() if n in names}


def test_no_violation_is_called_no_proof(folder, capsys):
    assert survey(folder, 1000, "--bound", "A2") == 0
    out = capsys.readouterr().out
    assert "no violation among 1,000 problems; this is no proof" in out
    assert "picture: " in out
    content = json.loads((folder / "survey.json").read_text())
    assert content["command"] == "mdtheory survey --problems 1000 --seed 0 --bound A2"
    assert content["bounds"]["A2"]["verdicts"].keys() == {"holds"}


def test_progress_says_how_far_how_fast_and_how_close(tmp_path):
    from mdtheory.survey.run import progress_text

    settings = Settings(bounds=FEW)
    with opened(tmp_path, settings, 2000) as found:
        assert progress_text(found, 2000, 0, 0) == "0 of 2,000 problems (0.0%)"
        found.append(survey_block(lambda report: None, settings, 500, 1000))
        text = progress_text(found, 2000, 500, 1234.5)
    assert text.startswith(
        "500 of 2,000 problems (25.0%, 500 done earlier), 1,234/s; worst ratios "
    )
    assert "A2 1" in text
    assert f"{WRONG} violated" in text


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("--problems", "1234"), "problems must be a multiple of 500, .* got 1,234"),
    (("--problems", "0"), "problems must be a multiple of 500, .* got 0"),
    (("--problems", "20000000000"), "problems must be .* up to 10,000,000,000; got 20,000"),
    (("--block", "750"), "block must be a multiple of 500, .* got 750"),
    (("--seed", "-1"), "seed must be a whole number of at least 0, got -1"),
    (("--keep", "0"), "keep must be from 1 to 1000, got 0"),
    (("--retries", "-1"), "retries must be from 0 to 1000, got -1"),
    (("--retries", "1001"), "retries must be from 0 to 1000, got 1001"),
    (("--retries", "9" * 20), "retries must be from 0 to 1000, got 9{20}$"),
    (("--cpus", "0"), "cpus must be positive, got 0"),
    (("--cpus", "-1"), "cpus must be finite and at least 0, got -1"),
    (("--bound", "gap <= "), "expected .* at character .* got the end"),
    (("--bound", "gap <= wealth"), "unknown name 'wealth'"),
    (("--bound", "A9"), "unknown statement 'A9'"),
    (("--bound", "B4"), "average_robustness is no quantity of a policy and a baseline"),
    (("--bound", "A2", "A2"), "every bound must be given once, got A2 twice"),
    (("--bound", "1 <= 2"), "bounds must speak about a quantity of the problem, got 1 <= 2"),
    (("--picture", "x.gif"), "--picture must end in .svg, .png or .pdf, got x.gif"),
    (("--address", "nowhere"), "address must be \"auto\" or HOST:PORT, got 'nowhere'"),
]


@pytest.mark.parametrize(("flags", "message"), REFUSED, ids=[" ".join(f) for f, _ in REFUSED])
def test_bad_input_is_one_line_and_status_2(tmp_path, capsys, flags, message):
    given = ["--problems", "500", *flags, "--output", str(tmp_path / "s")]
    refused(capsys, *given, message=message)
    assert not (tmp_path / "s/blocks.jsonl").exists()


def refused(capsys: pytest.CaptureFixture[str], *flags: str, message: str) -> str:
    assert cli.main(["survey", *flags]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert re.search(message, err)
    return err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A survey of 1,000 problems, in two blocks."""
    alone(tmp_path / "s", Settings(bounds=("A2",)), 1000, 500)
    return tmp_path / "s"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--problems", "1000", "--seed", "1"), "holds a survey with seed 0, not 1: choose"),
        (("--problems", "1000", "--keep", "4"), "holds a survey with keep 5, not 4: choose"),
        (("--problems", "500"), "holds problems up to number 1,000 already, got --problems 500"),
    ],
)
def test_a_folder_with_another_survey_is_refused(folder, capsys, flags, message):
    before = results(folder)
    refused(capsys, *flags, "--bound", "A2", "--output", str(folder), message=message)
    assert results(folder) == before


def test_other_bounds_or_versions_are_refused(folder, capsys):
    other = ("--problems", "1000", "--output", str(folder), "--bound")
    refused(capsys, *other, "A3", message="holds a survey with bounds A2, not A3: choose")
    settings = json.loads((folder / store.SETTINGS).read_text())
    text = json.dumps(settings | {"numpy": "1.26.4"})
    (folder / store.SETTINGS).write_text(text)
    refused(capsys, *other, "A2", message=r"holds a survey with numpy 1.26.4, not")
    with pytest.raises(ValueError, match=r"begun with numpy 1.26.4, got numpy .*round otherwise"):
        survey_block(lambda report: None, Settings(numpy="1.26.4"), 0, 500)
    (folder / store.SETTINGS).write_text("[]")
    refused(capsys, *other, "A2", message=r"settings.json is damaged: choose another folder")


def test_a_folder_of_somebody_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("mine")
    flags = ("--problems", "500", "--output", str(tmp_path))
    refused(capsys, *flags, message="holds thesis.tex and no settings.json, so it is no survey")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    flags = ("--problems", "500", "--output", str(tmp_path / "thesis.tex"))
    refused(capsys, *flags, message="File exists|exists|Not a directory")


def test_two_drivers_do_not_share_a_folder(folder, capsys):
    with opened(folder, Settings(bounds=("A2",)), 1000):
        flags = ("--problems", "1000", "--bound", "A2", "--output", str(folder))
        refused(capsys, *flags, message="another process is at work in")


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"\0\0\0", b"[1]", b'{"first": 0}', b'{"first": 0, "stop": 500']
)
def test_a_torn_last_line_is_done_again_whatever_is_in_it(folder, damage):
    before = results(folder)
    path = folder / store.BLOCKS
    first = path.read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(first + damage)
    with opened(folder, Settings(bounds=("A2",)), 1000) as found:
        assert found.problems == 500
        assert path.read_bytes() == first
    assert alone(folder, Settings(bounds=("A2",)), 1000, 500) == before


def test_a_damaged_line_in_the_middle_is_named(folder, capsys):
    path = folder / store.BLOCKS
    lines = path.read_bytes().splitlines(keepends=True)
    flags = ("--problems", "1000", "--bound", "A2", "--output", str(folder))
    for bad in (b"{\n", lines[1]):
        path.write_bytes(lines[1] + bad + lines[0])
        refused(
            capsys, *flags, message="is damaged in line 2 .* delete that line, and its problems"
        )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"\n", "Expecting value"),
        (b"\0\0\0\n", "Expecting value"),
        (b"\xff\n", "codec can't decode"),
        (b"[" * 100_000 + b"\n", "nested too deeply"),
        (b"[1]\n", "no JSON object"),
        (b'{"first": 0}\n', "no entry 'stop'"),
        (b'{"first": 0, "stop": 500}\n', "no entry 'bounds'"),
        (b'{"first": 0, "stop": 500, "bounds": []}\n', "not laid out as a block is: list"),
        (b'{"first": 0, "stop": 500, "bounds": {"A2": 1}}\n', "not laid out as a block is"),
        (b'{"first": 0, "stop": 500, "crc32": 1}\n', "its crc32 does not fit"),
    ],
)
def test_a_whole_last_line_that_is_damaged_is_named(folder, capsys, damage, message):
    path = folder / store.BLOCKS
    whole = path.read_bytes().splitlines(keepends=True)[0] + damage
    path.write_bytes(whole)
    flags = ("--problems", "1000", "--bound", "A2", "--output", str(folder))
    words = re.escape(f"{path} is damaged in line 2 (") + f".*{message}.*: delete that line"
    refused(capsys, *flags, message=words)
    assert path.read_bytes() == whole


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """Problems 500 to 999, structured: A2 is attained, `WRONG` violated."""
    return survey_block(lambda report: None, Settings(bounds=FEW), 500, 1000)


def without_checksum(folder: Path, record: dict[str, Any]) -> None:
    """A folder with this one line, as earlier versions wrote it."""
    with opened(folder, Settings(bounds=FEW), 1000):
        (folder / store.BLOCKS).write_text(json.dumps(record) + "\n")


def test_a_line_without_checksum_is_read(record, tmp_path):
    without_checksum(tmp_path, record)
    with opened(tmp_path, Settings(bounds=FEW), 1000) as found:
        assert {b: t.to_json() for b, t in found.tallies.items()} == record["bounds"]


IMPOSSIBLE: list[tuple[str, Any, str]] = [
    ("first", 0.0, "first must be a whole number from 0 to 10000000000, got 0.0"),
    ("first", True, "first must be a whole number .* got True"),
    ("first", -500, "first must be a whole number .* got -500"),
    ("first", 600, "multiples of 500, and first less than stop, got 600 and 1000"),
    ("first", 1000, "multiples of 500, and first less than stop, got 1000 and 1000"),
    ("stop", 99999999999999, "stop must be a whole number .* got 99999999999999"),
    ("stop", 10**10, "A2: verdicts in all must be 9999999500, got 500"),
    ("stop", 1500, "A2: verdicts in all must be 1000, got 500"),
    ("A2.verdicts.violated", {"float64": 7}, "A2: verdicts in all must be 500, got 507"),
    ("A2.verdicts.holds.float64", -1, "holds must be a whole number .* got -1"),
    ("A2.verdicts", {"perhaps": {"float64": 500}}, "A2: unknown verdict 'perhaps'"),
    ("A2.attained", 9999, "A2: attained must be from 0 to [0-9]+, got 9999"),
    ("A2.attained", 10**30, "attained must be a whole number .* got 10{30}"),
    ("A2.negative", 1, "A2: bins, attained, negative, no_ratio in all must be 500, got 501"),
    ("A2.bins", [1], "bins must be 101, got 1"),
    ("A2.bins", [10**30] + [0] * 100, "bins must be a whole number .* got 10{30}"),
    ("A2.bins", [0.5] + [0] * 100, "bins must be a whole number .* got 0.5"),
    ("A2.worst", [[-5, 9]], "worst must be a whole number .* got -5"),
    ("A2.worst", [[600, 9]], "a ratio must be a finite float or null, got 9"),
    ("A2.worst", [[600, float("nan")]], "a ratio must be a finite float or null, got nan"),
    ("A2.worst", [[600, None]] * 5, "worst cases without ratio must be 0, got 5"),
    ("A2.worst", [[600, 0.5]], "A2: worst cases must be 5, got 1"),
    ("A2.worst", [[1600, 0.5]] * 5, "A2: .* must be problems 500 to 999, got 1600"),
    ("A2.worst", [[600, 0.5]] * 5, "A2: worst cases must be different problems, the worst first"),
    ("A2.worst", [[600 + k, 0.1 * k] for k in range(5)], "A2: worst cases .* the worst first"),
    ("A2.violations", {"600": {}}, "A2: violations kept must be 0, got 1"),
    (f"{WRONG}.violations", {}, ": violations kept must be 5, got 0"),
    (f"{WRONG}.violations", {str(k): {} for k in range(5)}, ": .* problems 500 to 999, got 0"),
    (f"{WRONG}.violations", {"600": 1}, "not laid out as a block is: 'int' object"),
    (f"{WRONG}.violations", {"six": {}}, "invalid literal for int"),
]


@pytest.mark.parametrize(
    ("place", "value", "message"), IMPOSSIBLE, ids=[f"{p} {m[-20:]}" for p, _, m in IMPOSSIBLE]
)
def test_a_line_of_impossible_numbers_is_named(record, tmp_path, capsys, place, value, message):
    wrong = json.loads(json.dumps(record))
    *way, last = place.split(".")
    entry = wrong["bounds"] if way else wrong
    for word in way:
        entry = entry[word]
    entry[last] = value
    without_checksum(tmp_path, wrong)
    flags = ("--problems", "1000", "--output", str(tmp_path), *FLAGS)
    words = re.escape(f"{tmp_path / store.BLOCKS} is damaged in line 1 (") + f".*{message}"
    refused(capsys, *flags, message=words)


def test_a_possible_number_that_was_edited_does_not_fit_the_checksum(folder, capsys):
    path = folder / store.BLOCKS
    line = json.loads(path.read_text().splitlines()[0])
    line["bounds"]["A2"]["worst"][0][1] += 1e-3
    path.write_text(json.dumps(line) + "\n")
    flags = ("--problems", "1000", "--bound", "A2", "--output", str(folder))
    refused(capsys, *flags, message=r"is damaged in line 1 \(its crc32 does not fit\): delete")


def test_counts_of_problems_with_a_baseline_are_those_of_the_batches():
    for first, stop in ((0, 500), (0, 1000), (1000, 1500), (500, 21_500), (0, 80_000)):
        batches = range(first, stop, BATCH)
        n = BATCH * sum(kind(number).name != "adversarial" for number in batches)
        assert with_baseline(first, stop) == n


@pytest.mark.parametrize("torn", [None, b"", b'{"first": 0, "st'])
def test_settings_give_way_where_nothing_was_computed(tmp_path, torn):
    with opened(tmp_path, Settings(bounds=("A2",)), 500):
        pass
    if torn is not None:
        (tmp_path / store.BLOCKS).write_bytes(torn)
    other = Settings(bounds=("A3",), seed=2)
    with opened(tmp_path, other, 500) as found:
        assert (found.settings, found.problems) == (other, 0)
    assert json.loads((tmp_path / store.SETTINGS).read_text())["seed"] == 2


def test_settings_stay_where_a_result_is(folder, capsys):
    (folder / store.BLOCKS).unlink()
    flags = ("--problems", "1000", "--bound", "A3", "--output", str(folder))
    refused(capsys, *flags, message="holds a survey with bounds A2, not A3")


def test_a_file_is_no_folder(tmp_path, capsys):
    path = tmp_path / "notes"
    path.write_text("mine")
    assert survey(path, 500) == 2
    assert capsys.readouterr().err == f"mdtheory: error: {path}: Not a directory\n"
    assert path.read_text() == "mine"


def test_settings_of_somebody_else_are_left_alone(tmp_path, capsys):
    (tmp_path / store.SETTINGS).write_text('{"editor.tabSize": 4}')
    flags = ("--problems", "500", "--output", str(tmp_path))
    refused(capsys, *flags, message="settings.json is damaged: choose another folder")
    assert (tmp_path / store.SETTINGS).read_text() == '{"editor.tabSize": 4}'


def test_a_survey_without_a_cluster_does_not_fix_its_bounds(tmp_path, capsys):
    flags = ("--problems", "500", "--output", str(tmp_path / "s"), "--address", "localhost:1")
    for bound in ("A2", "A3"):
        refused(capsys, *flags, "--bound", bound, message="no Ray cluster at 'localhost:1'")


def test_violations_without_a_ratio_are_the_worst_cases(tmp_path):
    """Nothing is allowed, so that there is no share of it; problems of gap 0 hold."""
    bound = "gap <= 0 * A2"
    settings = Settings(bounds=(bound,), keep=3)
    block = survey_block(lambda report: None, settings, 0, 500)
    verdict = check(*batch(0, 0), bounds=bound).bounds[0].verdict
    numbers = np.flatnonzero(verdict == "violated").tolist()
    assert 3 < len(numbers) < 500
    assert block["bounds"][bound]["worst"] == [[number, None] for number in numbers[:3]]
    with opened(tmp_path, settings, 500) as found:
        found.append(block)
        worst = conclude(found, 500).worst[bound]
    assert (worst.number, worst.ratio, worst.attained) == (numbers[0], None, False)
    assert ratio_text(worst) == "none allowed"


def test_a_rounded_ratio_does_not_tie_with_an_exact_one(tmp_path):
    tiny = Fraction(1, 10**30)
    attained = Worst(9, Fraction(1), "holds", True, tmp_path)
    below = [
        Worst(1, 1 - tiny, "holds", False, tmp_path),
        Worst(2, 1.0, "holds", False, tmp_path),
        Worst(3, 1.0, "undecided", False, tmp_path),
    ]
    above = [
        Worst(10, 1 + tiny, "violated", False, tmp_path),
        Worst(11, 1.0, "violated", False, tmp_path),
        Worst(12, None, "violated", False, tmp_path),
    ]
    assert {worst.ratio for worst in (*below, attained, *above)} == {1.0, None}
    assert all(attained.rank < worst.rank for worst in below)
    assert all(worst.rank < attained.rank for worst in above)
    assert [ratio_text(worst) for worst in (attained, *below)] == ["1", *["1 (rounded)"] * 3]


def test_a_kill_before_the_settings_were_written_does_not_lock_the_folder(tmp_path):
    for name in (store.LOCK, store.SETTINGS + ".partial"):
        (tmp_path / name).write_text("")
    with opened(tmp_path, Settings(), 500) as found:
        assert found.problems == 0


def test_missing_blocks_fill_the_gaps(tmp_path):
    with opened(tmp_path, Settings(bounds=("A2",)), 10_000) as found:
        found.done.update((1, 2, 7))
        assert list(found.missing(5000, 1000)) == [
            (0, 500),
            (1500, 2500),
            (2500, 3500),
            (4000, 5000),
        ]
        assert list(found.missing(500, 10_000)) == [(0, 500)]


class Stumbling:
    """A cluster on which the first block is done and the second one fails."""

    def run(self, jobs: list[Any], resources: Any, *, retries: int) -> Iterator[Any]:
        assert (resources.cpus, retries) == (0.5, 7)
        first, second = jobs
        yield Outcome(first.name, first.work(lambda report: None, *first.arguments), None)
        yield None
        yield Outcome(second.name, None, "WorkerCrashedError: it died")


def test_a_block_that_fails_ends_the_survey_with_one_line(tmp_path, capsys, monkeypatch):
    there = contextlib.nullcontext(Stumbling())
    monkeypatch.setattr("mdtheory.survey.run.connected", lambda address: there)
    flags = ("--bound", "A2", "--output", str(tmp_path), "--cpus", "0.5", "--retries", "7")
    message = (
        "the block that begins with problem 500 failed: WorkerCrashedError: it died;"
        f" what is done stays in {tmp_path}"
    )
    refused(capsys, "--problems", "1000", "--block", "500", *flags, message=message)
    with opened(tmp_path, Settings(bounds=("A2",)), 1000) as found:
        assert found.done == {0}


def test_a_bound_that_overflows_is_refused_with_the_block(tmp_path):
    with pytest.raises(ArithmeticError, match=r"gap <= exp\(Delta\) overflows float64"):
        survey_block(lambda report: None, Settings(bounds=("gap <= exp(Delta)",)), 0, 1500)
