"""`mdpo aggregate`: numbers worked by hand, nothing dropped in silence, every message."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.aggregates import all_aggregates, by_game, stratified_bootstrap
from experiments.procgen.commands import Compare
from experiments.procgen.comparison.aggregate import Aggregation, Settings
from experiments.procgen.comparison.aggregate_command import Aggregate
from experiments.procgen.comparison.aggregate_figure import aggregate_figure, caption
from experiments.procgen.comparison.aggregate_runs import aggregate
from experiments.procgen.comparison.aggregate_tables import letters, tables, to_json
from experiments.procgen.comparison.score_file import Run
from experiments.procgen.config import ProcgenConfig
from mdtheory import command_line
from mdtheory.report import style
from tests.test_procgen_compare import MDPO, PPO, UPDATES, cells, evaluation, write_run

EASY = Settings(mode="easy")
EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "scores.csv"
FLAGS = ["--scores", str(EXAMPLE), "--mode", "easy"]


def mdpo(*arguments: str) -> int:
    commands: dict[str, type[command_line.Command]] = {"aggregate": Aggregate, "compare": Compare}
    return command_line.run("mdpo", "", lambda _: commands, ["aggregate", *arguments])


def runs_of(folder: Path, config: ProcgenConfig, returns: dict[str, Sequence[float]]) -> list[Path]:
    """A run for each return on test levels, by game; on training levels it is 1 higher."""
    return [
        write_run(
            folder / f"{game}-{config.agents}-{seed}",
            dataclasses.replace(config, env=f"procgen:{game}", seed=seed),
            evaluations=[evaluation(UPDATES, [x + 1] * config.agents, [x] * config.agents)],
        )
        for game, values in returns.items()
        for seed, x in enumerate(values)
    ]


def made(scores: dict[str, dict[str, Sequence[float]]], settings: Settings = EASY) -> Aggregation:
    """By algorithm and game, the returns of seeds 0, 1, ..."""
    runs = [
        Run(name, game, str(seed), x, "here")
        for name, own in scores.items()
        for game, values in own.items()
        for seed, x in enumerate(values)
    ]
    return Aggregation(tuple(runs), settings)


def write_scores(folder: Path, *lines: str) -> Path:
    path = folder / "scores.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


HEADER = "algorithm,game,seed,score"


# What is read.


def test_runs_that_differ_in_seed_and_game_are_one_algorithm(tmp_path: Path) -> None:
    games = {"maze": [6.0, 7.0], "coinrun": [8.0, 4.0]}
    found = aggregate([*runs_of(tmp_path, MDPO, games), *runs_of(tmp_path, PPO, games)])
    name = "mutual distillation of 2 agents, alpha = 1"
    assert found.algorithms == (name, "PPO")
    assert found.games == ("coinrun", "maze")
    assert found.settings.mode == "easy"
    assert found.raw[name]["maze"].tolist() == [6, 7]
    # Easy coinrun and maze are from 5 to 10; nothing is clipped.
    assert found.scores["PPO"]["coinrun"].tolist() == pytest.approx([0.6, -0.2])
    assert found.aggregates[name]["mean"].mean == pytest.approx(0.25)
    assert found.aggregates[name]["optimality gap"].mean == pytest.approx(0.75)


def test_training_levels_on_request(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, PPO, {"maze": [6.0, 7.0]})
    found = aggregate(runs, settings=Settings(split="train"))
    assert found.raw["PPO"]["maze"].tolist() == [7, 8]


def test_algorithms_of_one_name_are_told_apart_by_their_settings_not_their_games(
    tmp_path: Path,
) -> None:
    longer = dataclasses.replace(PPO, total_steps=2 * PPO.total_steps)
    runs = runs_of(tmp_path / "a", PPO, {"maze": [6.0], "coinrun": [7.0]})
    runs += runs_of(tmp_path / "b", longer, {"maze": [6.0], "coinrun": [7.0]})
    found = aggregate(runs)
    assert found.algorithms == ("PPO, total_steps 1,280", "PPO, total_steps 2,560")


def test_runs_without_an_evaluation_are_named(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, PPO, {"maze": [6.0, 7.0]})
    runs.append(write_run(tmp_path / "new", dataclasses.replace(PPO, seed=7, env="procgen:maze")))
    sentences = aggregate(runs).sentences
    assert "new was never evaluated on test levels: left out." in sentences
    assert "PPO: evaluated after 1,280 environment steps of all agents together." in sentences


def test_unfinished_runs_are_named_and_looked_at_as_they_were(tmp_path: Path) -> None:
    lines = [evaluation(u, [9.0], [5.0 + u / 10]) for u in (10, 20)]
    run = write_run(tmp_path / "a", PPO, evaluations=lines)
    found = aggregate([run], until=10)
    assert found.raw["PPO"]["coinrun"].tolist() == [6]
    assert found.notes == (
        "a is unfinished, compared as it is after 10 of 20 updates (50%).",
        "PPO: evaluated after 640 environment steps of all agents together.",
    )


def test_a_file_and_runs_go_together(tmp_path: Path) -> None:
    path = write_scores(
        tmp_path,
        f"\ufeff{HEADER},note",
        " theirs ,maze,one,9.5,x",
        "",
        "theirs,maze,two,-4,y,"[:-1],
    )
    found = aggregate(runs_of(tmp_path, PPO, {"maze": [6.0, 7.0]}), path)
    assert found.raw["theirs"]["maze"].tolist() == [9.5, -4]
    assert found.runs[2] == ("theirs", "maze", "one", 9.5, f"{path}, line 2")
    assert f"{path}: not looked at are the columns note." in found.sentences
    (pair,) = found.improvements
    assert (pair.left, pair.right, pair.probability.mean) == ("PPO", "theirs", 0.5)


def test_scores_that_are_normalised_already_may_be_of_any_game(tmp_path: Path) -> None:
    path = write_scores(tmp_path, HEADER, "a,pong,1,0.25", "a,pong,2,0.75")
    found = aggregate(scores=path, settings=Settings(normalization="none"))
    assert found.aggregates["a"]["mean"].mean == 0.5
    assert "not normalised" in caption(found)


def test_the_two_normalizations_differ_in_jumper() -> None:
    scores = {"a": {"jumper": [6.5, 6.5], "maze": [7.5, 7.5]}}
    for name, of_jumper in (("train-procgen", 5.5 / 9), ("procgen-paper", 3.5 / 7)):
        found = made(scores, Settings(mode="easy", normalization=name))
        assert found.aggregates["a"]["mean"].mean == pytest.approx((of_jumper + 0.5) / 2)
        assert f"normalised by {name}, easy mode" in str(tables(found)[0].title)
        assert f"scores normalised by {name}, easy mode".capitalize() in caption(found)


# What is averaged over, and what is said.


def test_aggregates_are_over_common_games_and_pairs_over_theirs() -> None:
    found = made(
        {
            "a": {"coinrun": [8, 9], "maze": [6, 7], "heist": [9, 9]},
            "b": {"coinrun": [7, 7], "maze": [8, 8]},
            "c": {"coinrun": [6, 6]},
        }
    )
    assert found.games == ("coinrun",)
    assert found.aggregates["a"]["mean"].mean == pytest.approx(0.7)
    assert [pair.games for pair in found.improvements] == [
        ("coinrun", "maze"),
        ("coinrun",),
        ("coinrun",),
    ]
    assert [pair.probability.mean for pair in found.improvements] == [0.5, 1, 1]
    assert found.sentences[:3] == [
        "No run of heist by b, c: left out of all aggregates and profiles.",
        "No run of maze by c: left out of all aggregates and profiles.",
        "The aggregates are over 1 of Procgen's 16 games: coinrun.",
    ]
    rows = cells(tables(found)[2])
    assert [row["C"] for row in rows] == [rows[0]["C"], "missing", "missing"]


def test_intervals_are_those_of_the_stratified_bootstrap() -> None:
    returns = np.array([[6.0, 7], [8, 5], [9, 10]])
    settings = Settings(mode="easy", level=0.9, resamples=300, seed=5)
    found = made({"a": {"coinrun": returns[:, 0], "maze": returns[:, 1]}}, settings)
    band = stratified_bootstrap(
        by_game((returns - 5) / 5, ["coinrun", "maze"]), all_aggregates,
        level=0.9, resamples=300, seed=5,
    )  # fmt: skip
    ours = np.array(list(found.aggregates["a"].values()))
    np.testing.assert_allclose(ours, np.array(band).T, rtol=0, atol=1e-15)


def test_one_run_is_never_a_bare_number() -> None:
    found = made({"a": {"coinrun": [8], "maze": [6, 7]}, "b": {"coinrun": [8, 9], "maze": [6, 7]}})
    rows = cells(tables(found)[0])
    assert rows[0]["IQM"].endswith("(no interval)")
    assert "[" in rows[1]["IQM"]
    assert rows[0]["runs of each game"] == "1 to 2"
    (pair,) = cells(tables(found)[1])
    assert pair["probability of improvement"] == "0.375\n(no interval)"
    assert cells(tables(found)[2])[0]["A"].startswith("8.00 (one seed)")
    assert found.sentences[1:] == [
        "Games have different numbers of runs; every game weighs the same.",
        "With one run of a game (a in coinrun) there is no interval, and nothing is known of how"
        " another seed would score.",
        "With 2 runs of a game (b) the intervals are too narrow; with 2 runs, simulated 95 %"
        " intervals of the mean held the truth 50% of the time for one game and 80% for sixteen.",
    ]


def test_an_interval_without_width_is_not_taken_for_certainty() -> None:
    found = made({"a": {"coinrun": [8, 9, 9]}, "b": {"coinrun": [7, 6, 5]}})
    (pair,) = found.improvements
    assert tuple(pair.probability) == (1, 1, 1)
    # All 3 of 6 on one side: 2 of the 20 ways to choose them.
    assert found.sentences[-1] == (
        "The probability that a is better than b has an interval without width, but is not certain:"
        " all runs of one are ahead of all runs of the other in each game, which runs of equal"
        " algorithms are with probability 0.1."
    )
    found = made({"a": {"coinrun": [10, 10]}, "b": {"coinrun": [10, 10]}})
    assert found.sentences[-1].endswith(": drawing the same runs again never changes it.")
    found = made({"a": {"coinrun": [8, 9, 9]}, "b": {"coinrun": [7, 6, 8.5]}})
    assert "without width" not in " ".join(found.sentences)


def test_every_run_is_in_the_table() -> None:
    found = made({"a": {"coinrun": [8.25, 4]}, "b": {"coinrun": [7, 7], "maze": [1.5]}})
    rows = cells(tables(found)[-1])
    assert [(row[""], row["game"], row["score"], row["normalised"]) for row in rows] == [
        ("A", "coinrun", "8.25", "0.650"),
        ("A", "coinrun", "4.00", "-0.200"),
        ("B", "coinrun", "7.00", "0.400"),
        ("B", "coinrun", "7.00", "0.400"),
        ("B", "maze", "1.50", "-0.700"),
    ]


def test_after_z_come_numbers() -> None:
    short = letters([str(k) for k in range(28)])
    assert (short["25"], short["26"], short["27"]) == ("Z", "1", "2")


# The picture and the file.


def test_figure_shows_every_run_and_every_interval() -> None:
    scores = {"a": {"coinrun": [8, 4], "maze": [6, 7]}, "b$_{": {"coinrun": [7, 9], "heist": [9]}}
    found = made(scores)
    figure = aggregate_figure(found)
    axes = figure.axes
    assert [axis.get_title() for axis in axes] == [
        "IQM, more is better", "median, more is better", "mean, more is better",
        "optimality gap, less is better", "every run", "performance profile of runs",
        "performance profile of games", "probability of improvement",
    ]  # fmt: skip
    dots = [line for line in axes[4].get_lines() if line.get_marker() == "o"]
    shown = sorted(float(x) for line in dots for x in np.atleast_1d(line.get_xdata()))
    expected = [*((np.array([8, 4, 6, 7, 7, 9]) - 5) / 5), (9 - 3.5) / 6.5]
    assert shown == pytest.approx(sorted(expected))
    assert [text.get_text() for text in axes[4].texts] == ["A: missing", "B: missing"]
    for axis, kind in zip(axes, found.aggregates["a"], strict=False):
        for bar, name in zip(axis.containers, found.algorithms, strict=True):
            (ends,) = bar.lines[2][0].get_segments()
            band = found.aggregates[name][kind]
            assert ends[:, 0].tolist() == pytest.approx([band.low, band.high])
    assert axes[7].get_yticklabels()[0].get_text() == "A > B"
    assert axes[0].get_xlabel() == "normalised score (train-procgen)"
    assert axes[5].get_ylabel() == "share of runs with score > τ"
    assert style.to_svg(figure) == style.to_svg(aggregate_figure(made(scores)))


def test_figure_of_one_run_has_no_interval_and_says_so() -> None:
    figure = aggregate_figure(made({"a": {"coinrun": [8]}}))
    assert [text.get_text() for text in figure.axes[7].texts] == ["no pair to compare"]
    (ends,) = figure.axes[0].containers[0].lines[2][0].get_segments()
    assert ends[0].tolist() == ends[1].tolist()
    assert "With one run of a game (a) there is no interval" in " ".join(
        figure.get_supxlabel().split()
    )


def test_profiles_reach_as_far_as_scores() -> None:
    found = made({"a": {"coinrun": [0, 10]}})
    assert (found.taus[0], found.taus[-1]) == (-1, 1)
    profile = found.profiles()["a"]
    assert (profile.mean[0], profile.mean[-1]) == (0.5, 0)


def test_file_holds_every_number_and_no_nan() -> None:
    found = made({"a": {"coinrun": [8, 4], "maze": [6, 7]}, "b": {"coinrun": [7]}})
    content = json.loads(json.dumps(to_json(found), allow_nan=False))
    a, b = content["algorithms"]
    assert (a["missing"], b["missing"]) == ([], ["maze"])
    assert a["runs"] == {"coinrun": 2, "maze": 2}
    iqm = found.aggregates["a"]["IQM"]
    assert a["aggregates"]["IQM"] == {"estimate": iqm.mean, "low": iqm.low, "high": iqm.high}
    assert b["aggregates"]["IQM"] == {"estimate": pytest.approx(0.4), "low": None, "high": None}
    assert a["profile"]["runs above"]["estimate"] == found.profiles()["a"].mean.tolist()
    assert content["runs"][1] == {
        "algorithm": "a", "game": "coinrun", "seed": "1", "score": 4, "source": "here",
        "normalized": pytest.approx(-0.2),
    }  # fmt: skip
    assert content["settings"]["normalization"] == "train-procgen"
    assert content["ranges"]["maze"] == [5, 10]
    assert content["sentences"] == found.sentences


# The command.


def test_command_prints_writes_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, output = tmp_path / "x" / "a.png", tmp_path / "y" / "a.json"
    more = ["--normalization", "procgen-paper", "--split", "train", "--level", "0.9",
            "--resamples", "100", "--seed", "3"]  # fmt: skip
    files = ["--picture", str(picture), "--output", str(output)]
    assert mdpo(*FLAGS, *more, *files) == 0
    assert picture.stat().st_size > 10_000
    content = json.loads(output.read_text())
    assert content["settings"] == {
        "normalization": "procgen-paper", "mode": "easy", "split": "train", "level": 0.9,
        "resamples": 100, "seed": 3,
    }  # fmt: skip
    assert content["command"] == (
        f"mdpo aggregate --scores {EXAMPLE} --normalization procgen-paper --mode easy --split train"
        " --level 0.9 --resamples 100 --seed 3 --picture a.png"
    )
    printed = " ".join(capsys.readouterr().out.split())
    for sentence in content["sentences"]:
        assert sentence in printed
    assert "90 % stratified bootstrap" in printed
    assert mdpo(*FLAGS, *files) == 2
    assert f"{picture} exists already" in capsys.readouterr().err
    assert mdpo(*FLAGS, "--output", str(output)) == 2
    assert f"{output} exists already" in capsys.readouterr().err
    assert mdpo(*FLAGS, *files, "--force") == 0


def test_command_takes_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = runs_of(tmp_path, PPO, {"maze": [6.0, 7.0]})
    assert mdpo(*map(str, runs), "--until", "20", "--output", str(tmp_path / "a.json")) == 0
    assert "A: PPO" in capsys.readouterr().out
    command = json.loads((tmp_path / "a.json").read_text())["command"]
    assert command == f"mdpo aggregate {runs[0]} {runs[1]} --until 20"


# Messages.


def both(folder: Path, **change: Any) -> list[Path]:
    """Two runs, the second with other settings."""
    other = dataclasses.replace(PPO, seed=2, **change)
    return [write_run(folder / "a", PPO), write_run(folder / "b", other)]


def of_file(*lines: str, **settings: Any) -> Callable[[Path], Any]:
    return lambda p: aggregate(
        scores=write_scores(p, *lines), settings=dataclasses.replace(EASY, **settings)
    )


BAD: list[tuple[Callable[[Path], Any], str]] = [
    (lambda p: aggregate(),
     "give at least one run, a folder written by `mdpo train`, or --scores"),
    (lambda p: aggregate([p]), "{p} is no run of `mdpo train`: it has no config.json"),
    (lambda p: aggregate(scores=p / "none.csv"),
     "--scores needs --mode easy or --mode hard: returns differ in their range"),
    (lambda p: aggregate(both(p)),
     "none of the runs was ever evaluated on test levels"),
    (lambda p: aggregate(both(p, distribution_mode="hard")),
     "runs must have the same distribution_mode, got easy in a and hard in b"),
    (lambda p: aggregate(both(p, train_levels=7)),
     "runs must have the same train_levels, got 10 in a and 7 in b"),
    (lambda p: aggregate(both(p, first_level=7)),
     "runs must have the same first_level, got 0 in a and 7 in b"),
    (lambda p: aggregate([write_run(p / "a", dataclasses.replace(
        PPO, env="procgen:maze", distribution_mode="memory"))]),
     "a: no returns are known that normalise memory mode"),
    (lambda p: aggregate(both(p), settings=Settings(mode="hard")),
     "--mode must be that of the runs, easy, got hard"),
    (lambda p: aggregate(both(p), settings=Settings(normalization="none")),
     "runs hold raw returns: give --normalization a table's name, got none"),
    (lambda p: aggregate(runs_of(p, PPO, {"maze": [6.0]}), write_scores(
        p, HEADER, "PPO,maze,1,9")),
     "{p}/scores.csv: PPO is also what the runs are: rename one"),
    (of_file(""), "{p}/scores.csv, line 1, must name the column algorithm once, among algorithm,"
     " game, seed, score, got nothing"),
    (of_file("algorithm,game,score,score", "a,maze,1,2"),
     "{p}/scores.csv, line 1, must name the column seed once, among algorithm, game, seed, score,"
     " got algorithm, game, score, score"),
    (of_file(HEADER), "{p}/scores.csv must hold at least one run below its header, got none"),
    (of_file(HEADER, "a,maze,1"), "{p}/scores.csv, line 2, must have 4 values, got 3"),
    (of_file(HEADER, "a,maze,1,2", "a,,1,2"),
     "{p}/scores.csv, line 3, column game, must not be empty"),
    (of_file(HEADER, "a,maze,1,much"),
     "{p}/scores.csv, line 2, column score, must be a finite number, got 'much'"),
    (of_file(HEADER, "a,maze,1,nan"),
     "{p}/scores.csv, line 2, column score, must be a finite number, got 'nan'"),
    (of_file(HEADER, "a,maze,1,2", "", "a,maze,1,3"),
     "{p}/scores.csv, line 4, column seed: a has seed 1 of maze already in line 2"),
    (of_file(HEADER, "a,mase,1,2"),
     "{p}/scores.csv, line 2, column game: unknown game 'mase': did you mean 'maze'?"),
    (of_file(HEADER, 'a,"maze"x,1,2'), "{p}/scores.csv, line 2: "),
    (of_file(HEADER, "a,maze,1,2", "b,heist,1,2"),
     "algorithms must have a game in common, got a: maze; b: heist"),
    (lambda p: Aggregation((), EASY), "there is no run with a score to aggregate"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), BAD)
def test_messages(tmp_path: Path, call: Callable[[Path], Any], message: str) -> None:
    with pytest.raises((ValueError, OSError), match=f"^{re.escape(message.format(p=tmp_path))}"):
        call(tmp_path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_bytes(b"algorithm\xff,game")
    with pytest.raises(ValueError, match=r"scores\.csv must be text in UTF-8$"):
        aggregate(scores=tmp_path / "scores.csv", settings=EASY)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give at least one run"),
        ([*FLAGS, "--picture", "a.gif"], "--picture must end in .svg, .png or .pdf, got a.gif"),
        ([*FLAGS, "--level", "1"], "level must lie in (0, 1), got 1.0"),
        ([*FLAGS, "--resamples", "3"], "resamples must be at least 2 / (1 - level) - 1, got 3"),
        (["--scores", "no/such.csv", "--mode", "easy"], "no/such.csv: No such file or directory"),
        ([*FLAGS, "--normalization", "rliable"], "invalid choice 'rliable'"),
    ],
)
def test_mistakes_are_one_line(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mdpo(*flags) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_the_example_of_the_documentation_lacks_a_game() -> None:
    found = aggregate(scores=EXAMPLE, settings=EASY)
    assert not math.isnan(found.aggregates[found.algorithms[1]]["IQM"].low)
    assert found.games == ("bigfish", "coinrun", "fruitbot", "jumper", "maze")
