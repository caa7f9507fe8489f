"""`mdpo aggregate`: numbers worked by hand, nothing dropped in silence, every message."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.aggregates import (
    all_aggregates,
    average_profile,
    by_game,
    performance_profile,
    stratified_bootstrap,
)
from experiments.procgen.commands import Compare
from experiments.procgen.comparison.aggregate import Aggregation, Settings
from experiments.procgen.comparison.aggregate_command import Aggregate
from experiments.procgen.comparison.aggregate_figure import aggregate_figure, caption
from experiments.procgen.comparison.aggregate_runs import aggregate
from experiments.procgen.comparison.aggregate_tables import tables, to_json
from experiments.procgen.comparison.compare import letters
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


def test_steps_are_those_of_all_agents_together(tmp_path: Path) -> None:
    sentences = aggregate(runs_of(tmp_path, MDPO, {"maze": [6.0]})).sentences
    # 20 updates of 4 environments times 16 steps, for each of 2 agents.
    assert sentences[-1] == (
        "mutual distillation of 2 agents, alpha = 1: evaluated after 2,560 environment steps of all"
        " agents together."
    )


def test_who_distils_most_comes_first_in_any_order_of_runs(tmp_path: Path) -> None:
    half = dataclasses.replace(MDPO, distill_coef=0.5)
    alone = dataclasses.replace(MDPO, distill_coef=0.0)
    runs = [
        run
        for k, config in enumerate((half, PPO, MDPO, alone))
        for run in runs_of(tmp_path / str(k), config, {"maze": [6.0, 7.0]})
    ]
    expected = tuple(config.algorithm for config in (MDPO, half, alone, PPO))
    for order in (runs, runs[::-1]):
        found = aggregate(order)
        assert found.algorithms == expected
        assert [(p.left, p.right) for p in found.improvements] == [
            *itertools.combinations(expected, 2)
        ]


def test_renderings_that_few_games_have_do_not_depend_on_the_order_of_runs(tmp_path: Path) -> None:
    """Coinrun has many background images, maze few: none of its names is another's."""
    painted = dataclasses.replace(PPO, train_renderings=("original", "background=20"))
    runs = [*runs_of(tmp_path / "a", painted, {"coinrun": [6.0, 7.0]}),
            *runs_of(tmp_path / "b", PPO, {"maze": [6.0, 7.0], "coinrun": [8.0, 9.0]})]  # fmt: skip
    for order in (runs, runs[::-1]):
        found = aggregate(order)
        assert {x: set(own) for x, own in found.raw.items()} == {
            "PPO, 2 renderings": {"coinrun"},
            "PPO": {"coinrun", "maze"},
        }


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
        " theirs ,maze,1,9.5,x",
        "",
        "theirs,maze,2,-4,y,"[:-1],
    )
    found = aggregate(runs_of(tmp_path, PPO, {"maze": [6.0, 7.0]}), path)
    assert found.raw["theirs"]["maze"].tolist() == [9.5, -4]
    assert found.runs[2] == ("theirs", "maze", "1", 9.5, f"{path}, line 2")
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
        " all runs of a are ahead of all runs of b in every game, as all of one of two equal"
        " algorithms are, whichever of the two, with probability 0.1."
    )
    found = made({"a": {"coinrun": [10, 10]}, "b": {"coinrun": [10, 10]}})
    assert found.sentences[-1].endswith(": drawing the same runs again never changes it.")
    found = made({"a": {"coinrun": [8, 9, 9]}, "b": {"coinrun": [7, 6, 8.5]}})
    assert "without width" not in " ".join(found.sentences)


def test_being_ahead_in_every_game_is_as_likely_as_orders_of_equal_runs_say() -> None:
    two = {"b": {"coinrun": [8, 9], "maze": [9, 9.5]}, "a": {"coinrun": [7, 6], "maze": [5, 6, 7]}}
    found = made(two)
    chance = 2 / (math.comb(4, 2) * math.comb(5, 2))
    assert "all runs of b are ahead of all runs of a in every game" in found.sentences[-1]
    assert found.sentences[-1].endswith(f"with probability {chance:.2g}.")
    turned = made(dict(reversed(two.items())))
    assert "all runs of b are ahead of all runs of a in every game" in turned.sentences[-1]
    # Another route: equal runs in random order.
    rng = np.random.default_rng(0)
    ranks = [rng.permuted(np.tile(np.arange(n), (40_000, 1)), axis=1) for n in (4, 5)]
    ahead = np.stack([r[:, :2].min(axis=1) > r[:, 2:].max(axis=1) for r in ranks]).all(axis=0)
    behind = np.stack([r[:, :2].max(axis=1) < r[:, 2:].min(axis=1) for r in ranks]).all(axis=0)
    deviation = math.sqrt(chance * (1 - chance) / 40_000)
    assert abs((ahead | behind).mean() - chance) < 4 * deviation


def test_games_won_by_different_sides_are_not_said_to_be_won_by_one() -> None:
    found = made(
        {"a": {"coinrun": [8, 9], "maze": [5, 6]}, "b": {"coinrun": [7, 6], "maze": [8, 9]}}
    )
    assert tuple(found.improvements[0].probability) == (0.5, 0.5, 0.5)
    assert found.sentences[-1].endswith(": drawing the same runs again never changes it.")
    assert "ahead of" not in " ".join(found.sentences)


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


def test_figure_draws_profiles_of_runs_and_of_games_where_their_titles_say() -> None:
    returns = {"a": {"coinrun": [8, 4], "maze": [6, 7]}, "b": {"coinrun": [7, 9], "maze": [5, 9]}}
    found = made(returns)
    of = {"runs": performance_profile, "games": average_profile}
    for axis, (kind, profile) in zip(aggregate_figure(found).axes[5:7], of.items(), strict=True):
        assert axis.get_title() == f"performance profile of {kind}"
        for line, name in zip(axis.get_lines(), found.algorithms, strict=True):
            assert np.asarray(line.get_xdata()).tolist() == found.taus.tolist()
            expected = profile(found.common(name), found.taus)
            assert np.asarray(line.get_ydata()).tolist() == expected.tolist()


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
    (lambda p: aggregate([
        write_run(p / "a", dataclasses.replace(PPO, env="procgen:fruitbot")),
        write_run(p / "b", dataclasses.replace(
            PPO, env="procgen:heist", distribution_mode="memory"))]),
     "runs must have the same distribution_mode, got easy in a and memory in b"),
    (lambda p: aggregate([
        write_run(p / "a", dataclasses.replace(
            PPO, env="procgen:heist", distribution_mode="memory")),
        write_run(p / "b", dataclasses.replace(PPO, env="procgen:fruitbot"))]),
     "runs must have the same distribution_mode, got memory in a and easy in b"),
    (of_file(HEADER, "a,maze,1,2", normalization="none"),
     "--mode says how returns are normalised, which --normalization none does not, got easy: leave"
     " one of the two out"),
    (lambda p: aggregate(scores=EXAMPLE, settings=EASY, until=3),
     "--until is about runs, of which there are none, got 3"),
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
    (of_file(HEADER, "a,maze,1,-1e13"),
     "{p}/scores.csv, line 2, column score, must be within ±1e+12, got '-1e13'"),
    (of_file(HEADER, "a,maze,1,nan"),
     "{p}/scores.csv, line 2, column score, must be a finite number, got 'nan'"),
    *((of_file(HEADER, "a,maze,1,2", f"a,maze,{seed},2"),
       "{p}/scores.csv, line 3, column seed, must be a whole number such as 0 or 12, without sign,"
       f" leading zeros or decimals, got '{seed}'")
      for seed in ("01", "1.0", "00", "-1", "+1", "1_0", "\u0661", "\u00b2", "one", "1e0")),
    *((of_file(HEADER, f"a,maze,1,{score}"),
       "{p}/scores.csv, line 2, column score, must be a finite number,"
       f" got '{score}': write it like -1.5")
      for score in ("1_0", "\u0661", "inf", "-Infinity", "1e999", "0x1p3", "1 0", ".", "e5")),
    (of_file(HEADER, "a,maze,1,2", "a\x1b[2Jb,maze,1,2"),
     r"{p}/scores.csv, line 3, column algorithm, must have no control characters, got"
     r" 'a\x1b[2Jb'"),
    (of_file(HEADER, '"a\nb",maze,1,2'),
     r"{p}/scores.csv, line 3, column algorithm, must have no control characters, got 'a\nb'"),
    (of_file(HEADER, "a,maze\x1f,1,2"),
     r"{p}/scores.csv, line 2, column game, must have no control characters, got 'maze\x1f'"),
    (of_file(HEADER, "a\u200b,maze,1,2"),
     r"{p}/scores.csv, line 2, column algorithm, must have no control characters, got 'a\u200b'"),
    (of_file(f"{HEADER},x\x07", "a,maze,1,2,3"),
     r"{p}/scores.csv, line 1, column 5, must have no control characters, got 'x\x07'"),
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


@pytest.mark.parametrize(
    "content",
    [
        b"algorithm\xff,game",
        HEADER.encode("utf-16"),
        f"{HEADER}\n".encode()
        + "".join(f"a,maze,{k},2\n" for k in range(10_000)).encode()
        + "\u00e9,maze,1,2\n".encode("latin-1"),
    ],
)
def test_a_file_that_is_no_text_is_refused(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    assert mdpo("--scores", str(path), "--mode", "easy") == 2
    assert f"{path} must be text in UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("score", ["-1.5", "+2", ".5", "3.", "1e-05", "2E3", "007.50"])
def test_scores_are_what_they_say(tmp_path: Path, score: str) -> None:
    found = aggregate(scores=write_scores(tmp_path, HEADER, f"a,maze,0,{score}"), settings=EASY)
    assert found.runs[0].score == float(score)


def test_what_is_read_is_never_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = write_scores(tmp_path, HEADER, "a,maze,1,2")
    (run,) = runs_of(tmp_path, PPO, {"maze": [6.0]})
    before = scores.read_bytes()
    link = tmp_path / "link.svg"
    link.symlink_to(scores)
    flags = ["--scores", str(scores), "--mode", "easy", "--force"]
    roundabout = tmp_path / "maze-1-0" / ".." / "scores.csv"
    for more in (["--output", str(scores)], ["--output", str(roundabout)], ["--picture", str(link)],
                 [str(run), "--output", str(run / "config.json")]):  # fmt: skip
        assert mdpo(*flags, *more) == 2
        expected = f"{more[-2]} must not be a file that is read, got {more[-1]}"
        assert expected in capsys.readouterr().err
    assert scores.read_bytes() == before
    same = tmp_path / "x.png"
    (link := tmp_path / "x.json").symlink_to(same)
    for output in (same, link):
        assert mdpo(*flags, "--output", str(output), "--picture", str(same)) == 2
        expected = f"--output and --picture must be different files, got {output} and {same}"
        assert expected in capsys.readouterr().err
    assert not same.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give at least one run"),
        ([*FLAGS, "--picture", "a.gif"], "--picture must end in .svg, .png or .pdf, got a.gif"),
        ([*FLAGS, "--level", "1"], "level must lie in (0, 1), got 1.0"),
        ([*FLAGS, "--output", "a.txt"], "--output must end in .json, got a.txt"),
        ([*FLAGS, "--resamples", "0"], "resamples must be at least 39 at level 0.95, got 0"),
        ([*FLAGS, "--resamples", "1000001"], "resamples must be at most 1,000,000, got 1,000,001"),
        ([*FLAGS, "--seed", "-1"], "seed must be at least 0, got -1"),
        ([*FLAGS, "--until", "3"], "--until is about runs, of which there are none, got 3"),
        ([*FLAGS, "--normalization", "none"], "leave one of the two out"),
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
