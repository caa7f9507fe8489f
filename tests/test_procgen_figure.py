"""The grid of the sixteen games: values of logs and of the published curves, what is missing."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure as Picture

from experiments.envs.procgen.games import GAMES
from experiments.procgen import configure
from experiments.procgen.comparison import published_ppo
from experiments.procgen.comparison.across_games import find_algorithms, steps_in_words
from experiments.procgen.comparison.curves import load_curves
from experiments.procgen.comparison.figure_command import Figure
from experiments.procgen.comparison.figure_grid import caption, grid_figure
from experiments.procgen.comparison.figure_panels import find_panels, usual_levels
from experiments.procgen.comparison.figure_table import find_rows, to_csv, to_json, to_table
from experiments.procgen.comparison.published_ppo import MODES, extract, load_published
from experiments.procgen.config import ProcgenConfig
from mdtheory import command_line
from tests.test_procgen_compare import constant, evaluation, write_run

T2 = 4.302652729911275  # Student's 97.5 % point for 2 degrees
UPDATES = 40
SAMPLES = 16_384

MDPO = dataclasses.replace(
    configure("procgen:maze", "easy"), total_steps=UPDATES * SAMPLES, evaluate_every=0
)
PPO = dataclasses.replace(MDPO, agents=1, distill_coef=0.0)


def seeds_of(
    folder: Path, config: ProcgenConfig, returns: Sequence[float], done: int = UPDATES
) -> list[Path]:
    """Runs with constant returns in training, 1 lower on test levels, evaluated at the end."""
    return [
        write_run(
            folder / f"{config.game}-{config.agents}-{config.train_levels}-{seed}",
            dataclasses.replace(config, seed=seed),
            constant(value),
            done=done,
            evaluations=[
                evaluation(u, [value] * config.agents, [value - 1] * config.agents)
                for u in (done // 2, done)
            ],
        )
        for seed, value in enumerate(returns, start=1)
    ]


def drawn(runs: Sequence[Path], **options: Any) -> Picture:
    chosen = {"splits": ("test",), "total_steps": False, "until": None, "command": "mdpo"}
    return grid_figure(find_panels(runs, options.pop("mode", None)), **{**chosen, **options})


def lines_of(figure: Picture, game: str, gid: str) -> list[Any]:
    axis = figure.axes[GAMES.index(game)]
    return [line for line in axis.get_lines() if line.get_gid() == gid]


def words_of(figure: Picture, game: str) -> str:
    return " ".join(text.get_text() for text in figure.axes[GAMES.index(game)].texts)


def called(*arguments: str | Path) -> int:
    """`mdpo` with these arguments."""
    known: dict[str, type[command_line.Command]] = {"figure": Figure, "other": Figure}
    return command_line.run("mdpo", "", lambda _: known, list(map(str, arguments)))


# The published curves.

AT_THE_MARK = {
    "bigfish": (11.9, 4.8, 2.6, 0.9),
    "bossfight": (8.2, 7.5, 8.4, 8.2),
    "caveflyer": (7.3, 5.3, 3.9, 2.9),
    "chaser": (6.8, 6.1, 3.2, 2.9),
    "climber": (8.6, 5.8, 4.8, 3.4),
    "coinrun": (9.5, 8.7, 7.0, 6.1),
    "dodgeball": (5.0, 2.0, 3.8, 1.6),
    "fruitbot": (29.6, 26.3, 3.7, -1.2),
    "heist": (8.0, 2.7, 2.8, 1.0),
    "jumper": (8.6, 5.7, 5.9, 2.8),
    "leaper": (6.2, 5.9, 2.4, 2.3),
    "maze": (9.3, 5.6, 5.3, 3.2),
    "miner": (12.8, 9.5, 8.9, 7.8),
    "ninja": (7.6, 5.7, 5.6, 4.4),
    "plunder": (5.3, 4.6, 5.0, 3.8),
    "starpilot": (30.1, 23.8, 8.1, 3.7),
}
"""Easy train and test at 25M steps, hard train and test at 50M, worked out from the repository's
logs by other code, to one decimal."""


@pytest.mark.parametrize("mode", MODES)
def test_published_curves_are_those_that_other_code_read_off_the_logs(mode):
    curves, at = load_published(mode), MODES[mode].mark
    assert set(curves) == {(game, split) for game in GAMES for split in ("train", "test")}
    for game, numbers in AT_THE_MARK.items():
        expected = numbers[:2] if mode == "easy" else numbers[2:]
        for split, value in zip(("train", "test"), expected, strict=True):
            runs = curves[game, split].at(at)
            assert runs is not None
            # Half a unit of the table, and a hair for the mark between two updates.
            assert runs.mean() == pytest.approx(value, abs=0.055), (game, split)


def progress_log(path: Path, value: float, rows: int = 3051) -> None:
    """A log whose return is value + 1 from the 1,000th update on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.write("eprewmean,misc/total_timesteps\n")
        for i in range(1, rows + 1):
            file.write(f"{value + (i >= 1000)},{float(SAMPLES * i)}\n")


def test_extraction_counts_the_steps_of_all_workers(tmp_path, monkeypatch):
    for folder, n in (("easy-200", 10.0), ("hard-500", 20.0)):
        for run in range(3):
            for split, more in (("train", 0.0), ("test", 0.5)):
                results = tmp_path / "train_procgen" / "results" / f"{folder}-run{run}"
                progress_log(results / f"progress-maze-{split}.csv", n + run + more)
    monkeypatch.setattr(extract, "GAMES", ("maze",))
    monkeypatch.setattr(published_ppo, "CURVES", tmp_path / "curves.csv")
    (tmp_path / "curves.csv").write_text(extract.extract(tmp_path))
    for mode, workers, first in (("easy", 1, 10.0), ("hard", 4, 20.0)):
        curve = load_published(mode)["maze", "test"]
        assert len(curve.steps) == 75
        assert (curve.steps[49], curve.steps[-1]) == (MODES[mode].mark, 2 * MODES[mode].mark)
        np.testing.assert_allclose(curve.returns[0], first + 0.5 + np.arange(3))
        jump = curve.steps[curve.returns[:, 0] > first + 0.5][0]
        assert 0 <= jump - 1000 * workers * SAMPLES <= MODES[mode].mark / 25


def test_a_point_is_the_mean_of_the_31_updates_before_it():
    thinned = extract.thin(np.arange(3051.0), MODES["easy"])
    assert thinned[0] == pytest.approx(np.mean(np.arange(31)))  # 500,000 / 16,384 = 30.5
    end = 25_000_000 / SAMPLES  # 1525.9
    assert thinned[49] == pytest.approx(np.mean(np.arange(round(end) - 31, round(end))))


def test_the_last_point_of_easy_mode_has_31_updates_too():
    # 50M steps are 3,051.8 updates, and the logs have 3,051.
    thinned = extract.thin(np.arange(3051.0), MODES["easy"])
    assert thinned[-1] == pytest.approx(np.mean(np.arange(3020, 3051)))


def test_logs_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("eprewmean,misc/total_timesteps\n1,16384\n2,65536\n")
    message = f"^{re.escape(str(path))} must have a row for every 16384 steps$"
    with pytest.raises(ValueError, match=message):
        extract.read_progress(path)


def test_between_points_a_straight_line_and_nothing_beyond_them():
    curve = load_published("easy")["coinrun", "test"]
    between = curve.at((curve.steps[3] + curve.steps[4]) / 2)
    np.testing.assert_allclose(between, (curve.returns[3] + curve.returns[4]) / 2)
    assert curve.at(499_999) is None
    assert curve.at(50_000_001) is None


def test_curves_and_licence_are_where_a_wheel_takes_them():
    folder = published_ppo.CURVES.parent
    assert folder.parents[2].name == "experiments"  # results is not in the wheel
    assert "Copyright (c) 2019 OpenAI" in (folder / "LICENSE").read_text()
    assert published_ppo.CURVES.stat().st_size < 300_000


# The picture.


def test_values_drawn_are_those_of_the_logs(tmp_path):
    values = [4.0, 6.0, 9.0]
    figure = drawn(seeds_of(tmp_path, PPO, values), splits=("train", "test"))
    for line, value in zip(lines_of(figure, "maze", "run")[3:], values, strict=True):
        assert line.get_xydata().tolist() == [[20 * SAMPLES, value - 1], [40 * SAMPLES, value - 1]]
    training, test = lines_of(figure, "maze", "mean")
    np.testing.assert_allclose(training.get_ydata(), np.full(UPDATES, np.mean(values)))
    np.testing.assert_allclose(training.get_xdata(), SAMPLES * np.arange(1.0, UPDATES + 1))
    np.testing.assert_allclose(test.get_ydata(), np.full(2, np.mean(values) - 1))
    half = T2 * statistics.stdev(values) / math.sqrt(3)
    bands = [
        c.get_paths()[0].vertices[:, 1] for c in figure.axes[GAMES.index("maze")].collections
    ]  # published and ours, of each split
    assert bands[3].max() == pytest.approx(np.mean(values) - 1 + half)
    assert bands[3].min() == pytest.approx(np.mean(values) - 1 - half)


def test_one_seed_has_a_line_but_neither_mean_nor_interval(tmp_path):
    figure = drawn(seeds_of(tmp_path, PPO, [4.0]))
    assert len(lines_of(figure, "maze", "run")) == 1
    assert lines_of(figure, "maze", "mean") == []


@pytest.mark.parametrize(("total", "factor"), [(False, 1), (True, 2)])
def test_steps_of_two_agents_are_added_up_only_on_request(tmp_path, total, factor):
    figure = drawn(seeds_of(tmp_path, MDPO, [4.0, 5.0]), total_steps=total)
    (mean,) = lines_of(figure, "maze", "mean")
    assert mean.get_xdata().tolist() == [20 * SAMPLES * factor, 40 * SAMPLES * factor]
    # The published agent is one, so its steps stay.
    (published,) = lines_of(figure, "maze", "published test")
    curve = load_published("easy")["maze", "test"]
    shown = curve.steps <= MODES["easy"].mark
    np.testing.assert_allclose(published.get_xdata(), curve.steps[shown])
    np.testing.assert_allclose(published.get_ydata(), curve.returns[shown].mean(axis=1))
    words = figure.get_supxlabel()
    assert ("are added up" in words) is total
    assert ("a run of 2 agents takes 2 times as many" in words) is not total


def test_games_without_a_run_say_so_and_unfinished_ones_how_far_they_are(tmp_path):
    runs = seeds_of(tmp_path, PPO, [4.0, 5.0], done=10)
    figure = drawn(runs)
    assert words_of(figure, "maze") == "unfinished: 164k of 655k steps"
    assert all(words_of(figure, game) == "no run" for game in GAMES if game != "maze")
    bare = write_run(tmp_path / "bare", dataclasses.replace(PPO, env="procgen:ninja"))
    assert "nothing on test levels yet" in words_of(drawn([*runs, bare]), "ninja")
    assert words_of(drawn(seeds_of(tmp_path / "whole", PPO, [4.0])), "maze") == ""


@pytest.mark.parametrize("mode", MODES)
def test_without_runs_sixteen_panels_show_the_published_curves(mode):
    figure = drawn([], mode=mode, splits=("train", "test"))
    assert [axis.get_title() for axis in figure.axes] == list(GAMES)
    for game in GAMES:
        assert words_of(figure, game) == "no run"
        assert len(lines_of(figure, game, "published train")) == 1
        assert len(lines_of(figure, game, "published test")) == 1
        assert figure.axes[0].get_xlim() == (0, MODES[mode].mark)


def test_axes_end_where_asked_and_later_points_are_not_drawn(tmp_path):
    figure = drawn(seeds_of(tmp_path, PPO, [4.0, 5.0]), until=25 * SAMPLES)
    (mean,) = lines_of(figure, "maze", "mean")
    assert mean.get_xdata().tolist() == [20 * SAMPLES]
    assert figure.axes[0].get_xlim() == (0, 25 * SAMPLES)


@pytest.mark.parametrize(("total", "factor"), [(False, 1), (True, 2)])
def test_axes_reach_as_far_as_a_run_beyond_the_mark(tmp_path, total, factor):
    update = 64_000 * 256  # steps of one agent, so that two updates pass the mark
    config = dataclasses.replace(MDPO, n_envs=64_000, total_steps=2 * update)
    figure = drawn(seeds_of(tmp_path, config, [4.0, 5.0], done=2), total_steps=total)
    assert 2 * update > MODES["easy"].mark
    assert figure.axes[0].get_xlim() == (0, 2 * update * factor)
    (mean,) = lines_of(figure, "maze", "mean")
    assert mean.get_xdata()[-1] == 2 * update * factor


def test_there_is_something_to_see_from_two_points_on_or_a_square(tmp_path):
    # Training is drawn from the second bin on, tests (after 20 updates) from the first square.
    panels = find_panels(seeds_of(tmp_path, MDPO, [4.0, 5.0]))
    assert panels.begins(["train", "test"], total_steps=False) == 2 * SAMPLES
    assert panels.begins(["test"], total_steps=False) == 20 * SAMPLES
    assert panels.begins(["test"], total_steps=True) == 2 * 20 * SAMPLES
    assert find_panels([], "easy").begins(["test"], total_steps=True) == 1_000_000


def test_mean_stops_where_a_seed_was_not_evaluated(tmp_path):
    runs = seeds_of(tmp_path, PPO, [4.0, 5.0])
    late = dataclasses.replace(PPO, seed=3)
    runs.append(write_run(tmp_path / "c", late, evaluations=[evaluation(20, [9.0], [8.0])]))
    (mean,) = lines_of(drawn(runs), "maze", "mean")
    assert mean.get_xydata().tolist() == [[20 * SAMPLES, (3 + 4 + 8) / 3]]


def test_one_algorithm_has_one_name_and_colour_in_all_games(tmp_path):
    ninja = dataclasses.replace(PPO, env="procgen:ninja")
    runs = [
        *seeds_of(tmp_path, MDPO, [4.0, 5.0]),
        *seeds_of(tmp_path, PPO, [4.0, 5.0]),
        *seeds_of(tmp_path, ninja, [4.0, 5.0]),
    ]
    found = find_algorithms(map(load_curves, runs), usual_levels("easy"))
    assert [one.label for one in found] == ["mutual distillation of 2 agents, alpha = 1", "PPO"]
    figure = drawn(runs)
    (in_ninja,) = lines_of(figure, "ninja", "mean")
    assert in_ninja.get_color() == lines_of(figure, "maze", "mean")[1].get_color()


def test_runs_on_other_levels_are_algorithms_of_their_own_and_said_to_be(tmp_path):
    few = dataclasses.replace(PPO, train_levels=10)
    runs = [*seeds_of(tmp_path, PPO, [4.0, 5.0]), *seeds_of(tmp_path, few, [6.0, 7.0])]
    panels = find_panels(runs)
    assert [a.label for a in panels.algorithms] == ["PPO", "PPO, trained on levels 0 to 9"]
    (note,) = panels.notes
    assert note.startswith("PPO, trained on levels 0 to 9: not comparable with the published")
    usual, other = (r for r in find_rows(panels, ["test"]) if r.game == "maze")
    assert usual.ppo_at_steps_per_agent.mean is not None
    assert other.ppo_at_steps_per_agent.mean is other.ppo_at_end.mean is None
    assert other.missing == "published runs have other training levels"


def test_other_settings_than_the_published_are_told(tmp_path):
    runs = seeds_of(tmp_path, dataclasses.replace(PPO, discount=0.99, n_envs=32), [4.0])
    assert find_panels(runs).notes == (
        "Other settings than the published runs: n_envs 32, discount 0.99 (PPO).",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_envs", 32),
        ("learning_rate", 1e-4),
        ("discount", 0.99),
        ("normalize_rewards", False),
        ("reward_clip", 5.0),
        ("normalize_advantages", False),
        ("clip_value_loss", False),
        ("anneal_learning_rate", True),
        ("precision", "float32"),
    ],
)
def test_each_setting_that_matters_is_told(tmp_path, name, value):
    runs = seeds_of(tmp_path, dataclasses.replace(PPO, **{name: value}), [4.0])
    (note,) = find_panels(runs).notes
    assert note == f"Other settings than the published runs: {name} {value} (PPO)."


def test_modes_are_never_mixed(tmp_path):
    hard = dataclasses.replace(configure("procgen:maze", "paper", "ppo"), total_steps=40 * SAMPLES)
    runs = [*seeds_of(tmp_path / "e", PPO, [4.0]), *seeds_of(tmp_path / "h", hard, [4.0])]
    message = (
        r"^runs must share one mode, or --mode must choose it, got easy .*maze-1-200-1.* and hard"
    )
    with pytest.raises(ValueError, match=message):
        find_panels(runs)
    panels = find_panels(runs, "hard")
    assert [one.config.distribution_mode for one in panels.algorithms] == ["hard"]
    assert panels.notes == (f"{runs[0].name} is in easy mode and left out.",)
    assert find_panels(runs[1:]).mode == "hard"
    memory = dataclasses.replace(PPO, distribution_mode="memory")
    with pytest.raises(ValueError, match=r"^runs must be in easy or hard mode.*got memory in maze"):
        find_panels(seeds_of(tmp_path / "m", memory, [4.0]))


def test_caption_names_source_licence_differences_and_command(tmp_path):
    panels = find_panels(seeds_of(tmp_path, PPO, [4.0]))
    text = caption(panels, ["test"], False, "mdpo figure here")
    for words in ("openai/train-procgen", "MIT", "4 training workers", "pictures only"):
        assert words in text
    assert text.endswith("Made by: mdpo figure here")


# The table.


def test_rows_by_hand(tmp_path):
    values = [4.0, 6.0, 9.0]
    rows = find_rows(find_panels(seeds_of(tmp_path, MDPO, values)), ["train", "test"])
    train, test = (row for row in rows if row.game == "maze")
    half = T2 * statistics.stdev(values) / math.sqrt(3)
    for row, mean in ((train, np.mean(values)), (test, np.mean(values) - 1)):
        assert (row.seeds, row.missing) == (3, "")
        assert (row.steps_per_agent, row.total_steps) == (40 * SAMPLES, 80 * SAMPLES)
        assert (row.mean, row.low, row.high) == pytest.approx((mean, mean - half, mean + half))
        curve = load_published("easy")["maze", row.split]
        for found, steps in (
            (row.ppo_at_steps_per_agent, 40 * SAMPLES),
            (row.ppo_at_total_steps, 80 * SAMPLES),
            (row.ppo_at_end, 25_000_000),
        ):
            runs = [float(np.interp(steps, curve.steps, run)) for run in curve.returns.T]
            expected = (statistics.mean(runs), min(runs), max(runs))
            assert (found.mean, found.least, found.most) == pytest.approx(expected)
    assert train.ppo_at_steps_per_agent != train.ppo_at_total_steps


def test_training_return_is_that_of_the_last_31_updates_that_all_seeds_have(tmp_path):
    runs = [
        write_run(tmp_path / "a", PPO, lambda u, k: (1, float(u)), done=40),
        write_run(tmp_path / "b", dataclasses.replace(PPO, seed=2), constant(0.0), done=36),
    ]
    (row,) = (r for r in find_rows(find_panels(runs), ["train"]) if r.game == "maze")
    assert row.steps_per_agent == 36 * SAMPLES
    assert row.mean == pytest.approx((sum(range(6, 37)) / 31 + 0) / 2)


def test_what_is_missing_says_why(tmp_path):
    def reasons(runs: Sequence[Path]) -> str:
        rows = find_rows(find_panels(runs), ["test"])
        assert all(r.missing == "no run" and r.seeds == 0 for r in rows if r.game != "maze")
        return next(r.missing for r in rows if r.game == "maze")

    assert reasons(seeds_of(tmp_path / "one", PPO, [4.0])) == "one seed: no interval"
    early = "published curve begins at 500k steps"
    assert reasons(seeds_of(tmp_path / "two", PPO, [4.0, 5.0], done=10)) == early
    bare = write_run(tmp_path / "bare", dataclasses.replace(PPO, seed=3))
    assert reasons([bare]) == "1 of 1 seeds not evaluated"
    runs = [*seeds_of(tmp_path / "three", PPO, [4.0, 5.0]), bare]
    assert reasons(runs) == "1 of 3 seeds not evaluated"


def test_intervals_stand_in_brackets_and_ranges_in_words(tmp_path):
    panels = find_panels(seeds_of(tmp_path, PPO, [4.0, 5.0]))
    rows = find_rows(panels, ["test"])
    columns = {str(c.header): list(c.cells) for c in to_table(rows, panels).columns}
    maze, ninja = GAMES.index("maze"), GAMES.index("ninja")
    assert columns["ours"][maze] == "3.50\n[-2.85, 9.85]"  # 12.706 * 0.5
    assert columns["ours"][ninja] == "–"
    runs = load_published("easy")["maze", "test"].at(25_000_000)
    assert runs is not None
    words = f"{runs.mean():.2f}\n{runs.min():.2f} to {runs.max():.2f}"
    assert columns["PPO, 25M steps"][maze] == words


def test_files_hold_every_row(tmp_path):
    panels = find_panels(seeds_of(tmp_path, PPO, [4.0, 5.0]))
    rows = find_rows(panels, ["train", "test"])
    read = list(csv.DictReader(to_csv(rows).splitlines()))
    assert len(read) == 32
    one = next(r for r in read if (r["game"], r["split"]) == ("maze", "test"))
    assert (float(one["mean"]), one["total_steps"]) == (3.5, str(40 * SAMPLES))
    absent = next(r for r in read if r["game"] == "ninja")
    assert (absent["algorithm"], absent["mean"], absent["missing"]) == ("", "", "no run")
    content = json.loads(to_json(rows, panels, "mdpo figure"))
    assert len(content["rows"]) == 32
    assert "openai/train-procgen" in content["published"]


@pytest.mark.parametrize(
    ("steps", "words"),
    [(0, "0"), (999, "999"), (163_840, "164k"), (1_966_080, "1.97M"), (50_000_000, "50M"),
     (10**9, "1e+03M")],
)  # fmt: skip
def test_steps_in_words(steps, words):
    assert steps_in_words(steps) == words


# The command.


def test_command_writes_picture_and_tables(tmp_path, capsys):
    runs = seeds_of(tmp_path, MDPO, [4.0, 5.0])
    for table in ("t.csv", "t.json"):
        flags = ["--picture", tmp_path / "new" / "p.png", "--table", tmp_path / table, "--force"]
        assert called("figure", *runs, "--split", "both", *flags) == 0
        assert (tmp_path / table).stat().st_size > 1000
    assert (tmp_path / "new" / "p.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert "no run" in out
    assert "picture: " in out


def test_command_works_without_runs(tmp_path, capsys):
    assert called("figure", "--picture", tmp_path / "p.png", "--mode", "easy") == 0
    assert "Procgen, easy mode" in capsys.readouterr().out


def test_command_on_the_picture_repeats_it():
    command = Figure(
        runs=(Path("a b"),), picture=Path("x/p.png"), split="both", until=2e6, x="total-steps"
    ).command()
    flags = "--split both --x total-steps --until 2e+06 --picture p.png"
    assert command == f"mdpo figure 'a b' {flags}"


@pytest.mark.parametrize(
    ("until", "words"),
    [(2e6, "2e+06"), (1_234_567.0, "1234567"), (1_234_567.25, "1234567.25"), (500_000.0, "500000")],
)
def test_command_names_the_end_of_the_axes_exactly(until, words):
    command = Figure(until=until, picture=Path("p.svg")).command()
    assert command == f"mdpo figure --until {words} --picture p.svg"
    assert float(words) == until


def test_command_in_the_table_names_the_table_and_no_picture_that_was_not_asked_for(tmp_path):
    table, picture = tmp_path / "t.json", tmp_path / "p.svg"
    for more in ([], ["--picture", picture, "--force"]):
        assert called("figure", "--mode", "easy", "--table", table, *more) == 0
        command = json.loads(table.read_text())["command"]
        assert command == "mdpo figure --mode easy --table t.json"
    # Text is drawn, and said in comments, where XML allows no two hyphens in a row.
    words = " ".join(re.findall(r"<!-- (.*?) -->", picture.read_text())).replace("- -", "--")
    assert "mdpo figure --mode easy --picture p.svg" in words


def test_neither_what_is_read_is_written_nor_one_file_twice(tmp_path, capsys, monkeypatch):
    run = write_run(tmp_path / "run", PPO)
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in run.iterdir()}
    (tmp_path / "log.svg").symlink_to(run / "log.jsonl")
    (tmp_path / "same.svg").symlink_to(tmp_path / "t.json")
    read = "must not be a file that is read, got"
    for arguments, message in (
        (["--table", "run/config.json"], f"--table {read} run/config.json"),
        (["--table", "run/../run/config.json"], f"--table {read} run/../run/config.json"),
        (["--table", published_ppo.CURVES], f"--table {read} {published_ppo.CURVES}"),
        (["--picture", "log.svg"], f"--picture {read} log.svg"),
        (
            ["--picture", "same.svg", "--table", "t.json"],
            "--picture and --table must be different files, got same.svg and t.json",
        ),
    ):
        assert called("figure", "run", "--force", *arguments) == 2
        assert capsys.readouterr().err == f"mdpo: error: {message}\n"
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    assert not (tmp_path / "t.json").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_means_that_are_not_finite_are_refused_where_they_are_read(tmp_path, capsys, value):
    lines = [evaluation(10, [4.0], [3.0]), evaluation(20, [4.0], [value])]
    run = write_run(tmp_path / "run", PPO, evaluations=lines)
    assert called("figure", run, "--table", tmp_path / "t.json") == 2
    assert capsys.readouterr().err == (
        f"mdpo: error: {run}/evaluations.jsonl, the line of update 20: agent 0, test sampled, mean"
        f" must be finite, got {value}\n"
    )
    official = {"update": 10, "official": {"agent 0": {"mean": value}}}
    run = write_run(tmp_path / "official", PPO, evaluations=[official])
    with pytest.raises(ValueError, match=r"update 10: agent 0, official, mean must be finite, got"):
        load_curves(run)
    run = write_run(tmp_path / "log", PPO, lambda u, k: (1, value if u == 3 else 1.0))
    with pytest.raises(ValueError, match=r"log.jsonl, the line of update 3: agent 0, return must"):
        load_curves(run)


def test_existing_files_are_not_overwritten(tmp_path, capsys):
    for flag, name in (("--picture", "p.png"), ("--table", "t.csv")):
        (tmp_path / name).write_text("mine")
        assert called("figure", flag, tmp_path / name) == 2
        error = capsys.readouterr().err
        assert f"{name} exists already: choose another path, or pass --force" in error
        assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "t.txt"], "--table must end in .csv or .json, got t.txt"),
        (["--picture", "p.gif"], "--picture must end in .svg, .png or .pdf, got p.gif"),
        (["--until", "0"], "until must be a number of steps above 0, got 0"),
        (["--until", "-1234567"], "until must be a number of steps above 0, got -1234567"),
        (
            ["--mode", "easy", "--until", "999999.5"],
            "until must leave something to draw, which begins at 1,000,000 steps, got 999999.5",
        ),
        (["nowhere"], "nowhere is no run of `mdpo train`: it has no config.json"),
    ],
)
def test_messages(arguments, message, capsys):
    assert called("figure", *arguments) == 2
    assert capsys.readouterr().err == f"mdpo: error: {message}\n"
