"""Algorithms at matched steps, hours and parameters: numbers by hand, warnings, messages."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.aggregates import few_runs, iqm, stratified_bootstrap
from experiments.procgen.checkpoint import TIMING
from experiments.procgen.comparison.compute import Scored, differences, find_matched
from experiments.procgen.comparison.compute_command import Compute
from experiments.procgen.comparison.compute_figure import caption, compute_figure
from experiments.procgen.comparison.compute_words import sentences, table, time_notes
from experiments.procgen.config import ProcgenConfig
from mdtheory import command_line
from mdtheory.intervals import welch
from tests.test_procgen_compare import MDPO, PPO, UPDATES, evaluation, write_run

T2 = 4.302652729911275  # Student's 97.5 % point for 2 degrees
SAMPLES = 64  # of an agent and update


def run_of(
    folder: Path,
    config: ProcgenConfig,
    seed: int,
    returns: dict[int, float],
    seconds: float | None = 3.6,
    done: int = UPDATES,
    machines: Sequence[str] = (),
) -> Path:
    """A run with these returns on test levels by update."""
    return write_run(
        folder / f"{config.game}-{config.agents}-w{config.width}-{seed}",
        dataclasses.replace(config, seed=seed),
        done=done,
        evaluations=[
            evaluation(u, [9.0] * config.agents, [value] * config.agents)
            for u, value in returns.items()
        ],
        seconds=seconds,
        machines=machines,
    )


def pairs(folder: Path, left: Sequence[float], right: Sequence[float]) -> list[Path]:
    """Mutual distillation after 10 updates (0 after 5), and PPO, of one agent, after 20."""
    return [
        *(run_of(folder, MDPO, s, {5: 0.0, 10: x}, done=10) for s, x in enumerate(left, start=1)),
        *(run_of(folder, PPO, s, {10: 0.0, 20: x}) for s, x in enumerate(right, start=1)),
    ]


def called(*arguments: str | Path) -> int:
    """`mdpo` with these arguments."""
    known: dict[str, type[command_line.Command]] = {"compute": Compute, "other": Compute}
    return command_line.run("mdpo", "", lambda _: known, list(map(str, arguments)))


def lines_of(axis: Any, gid: str) -> list[Any]:
    return [line for line in axis.get_lines() if line.get_gid() == gid]


# Budgets.


def test_steps_are_of_all_agents_and_hours_of_the_whole_run(tmp_path):
    matched = find_matched(pairs(tmp_path, [6.0], [4.0]))
    mdpo, ppo = (one.runs[0] for one in matched.algorithms)
    assert matched.scored(mdpo, "steps").cost.tolist() == [2 * 5 * SAMPLES, 2 * 10 * SAMPLES]
    assert matched.scored(ppo, "steps").cost.tolist() == [10 * SAMPLES, 20 * SAMPLES]
    # 3.6 seconds an update, whatever the number of agents.
    assert matched.scored(mdpo, "hours").cost == pytest.approx([5 / 1000, 10 / 1000])
    assert matched.scored(ppo, "hours").cost == pytest.approx([10 / 1000, 20 / 1000])


def test_matched_budget_is_the_largest_that_all_runs_were_evaluated_after(tmp_path):
    runs = pairs(tmp_path, [6.0, 7.0], [4.0, 5.0])
    matched = find_matched(runs)
    assert matched.budget("steps") == 20 * SAMPLES
    assert matched.budget("hours") == pytest.approx(10 / 1000)
    runs.append(run_of(tmp_path, PPO, 3, {10: 0.0, 16: 4.0}))
    assert find_matched(runs).budget("steps") == 16 * SAMPLES


def test_scores_are_read_on_straight_lines_and_never_beyond_evaluations(tmp_path):
    scored = Scored(np.array([10.0, 20.0]), np.array([1.0, 3.0]))
    assert scored.at(15.0) == 2.0
    assert (scored.at(10.0), scored.at(20.0)) == (1.0, 3.0)
    assert math.isnan(scored.at(9.9))
    assert math.isnan(scored.at(20.1))


def test_no_budget_where_one_run_begins_after_another_ends(tmp_path):
    runs = [run_of(tmp_path, MDPO, 1, {20: 5.0}), run_of(tmp_path, PPO, 1, {20: 5.0})]
    matched = find_matched(runs)
    assert matched.budget("steps") is None  # 2,560 steps against 1,280
    text = " ".join(sentences(matched))
    assert "No number of environment steps of all agents together suits all runs" in text
    texts = [t.get_text() for axis in compute_figure(matched, "mdpo").axes for t in axis.texts]
    assert texts == ["no common steps"]


# Numbers.


def test_paired_difference_by_hand(tmp_path):
    left, right = [6.0, 8.0, 13.0], [4.0, 5.0, 9.0]
    steps, hours = differences(find_matched(pairs(tmp_path, left, right)))
    half = T2 * statistics.stdev([2.0, 3.0, 4.0]) / math.sqrt(3)
    assert (steps.cost, steps.paired, steps.seeds) == ("steps", True, (3, 3))
    assert tuple(steps.band) == pytest.approx((3.0, 3.0 - half, 3.0 + half))
    # After the ten updates that distillation took in all, PPO was at 0.
    half = T2 * statistics.stdev(left) / math.sqrt(3)
    assert tuple(hours.band) == pytest.approx((9.0, 9.0 - half, 9.0 + half))


def test_runs_of_other_seeds_are_not_paired(tmp_path):
    runs = [
        *(run_of(tmp_path, MDPO, s, {10: x}) for s, x in ((1, 6.0), (2, 8.0), (3, 13.0))),
        *(run_of(tmp_path, PPO, s, {20: x}) for s, x in ((3, 4.0), (4, 5.0))),
    ]
    (found, *_) = differences(find_matched(runs))
    assert not found.paired
    assert found.seeds == (2, 3)
    assert tuple(found.band) == pytest.approx(
        tuple(welch(np.array([6.0, 8.0, 13.0]), np.array([4.0, 5.0])))
    )
    assert "of independent runs, 2 to 3 seeds" in " ".join(sentences(find_matched(runs)))


def test_as_many_runs_of_other_seeds_are_not_paired(tmp_path):
    left, right = [6.0, 8.0, 13.0], [4.0, 5.0, 9.0]
    runs = [
        *(run_of(tmp_path, MDPO, s, {10: x}) for s, x in zip((1, 2, 3), left, strict=True)),
        *(run_of(tmp_path, PPO, s, {20: x}) for s, x in zip((2, 3, 4), right, strict=True)),
    ]
    (found, *_) = differences(find_matched(runs))
    assert (found.paired, found.seeds) == (False, (3, 3))
    expected = tuple(welch(np.array(left), np.array(right)))
    assert tuple(found.band) == pytest.approx(expected)
    paired = T2 * statistics.stdev([2.0, 3.0, 4.0]) / math.sqrt(3)
    assert found.band.high - found.band.mean > 2 * paired
    assert "of independent runs, 3 seeds" in " ".join(sentences(find_matched(runs)))


def test_a_curve_begins_and_ends_where_all_runs_have_a_score(tmp_path):
    runs = [
        run_of(tmp_path, PPO, 1, {5: 1.0, 10: 2.0, 20: 6.0}),
        run_of(tmp_path, PPO, 2, {10: 4.0, 15: 5.0}),
    ]
    matched = find_matched(runs)
    costs, bands = matched.curve(matched.algorithms[0], "steps")
    assert costs.tolist() == [10 * SAMPLES, 15 * SAMPLES]
    assert [float(band.mean) for band in bands] == [3.0, 4.5]  # 2 and 4; 4, half-way, and 5


def games(folder: Path, left: np.ndarray, right: np.ndarray) -> list[Path]:
    """Returns of both algorithms on coinrun and maze, [game, seed], at 1,280 steps in total."""
    runs = []
    for i, game in enumerate(("coinrun", "maze")):
        for config, at, returns in ((MDPO, 10, left[i]), (PPO, 20, right[i])):
            config = dataclasses.replace(config, env=f"procgen:{game}")
            runs += [
                run_of(folder, config, s, {at: float(x)}) for s, x in enumerate(returns, start=1)
            ]
    return runs


def test_several_games_are_normalised_and_aggregated_by_the_iqm(tmp_path):
    left, right = np.array([[6.0, 8.0, 9.0], [5.0, 9.0, 4.0]]), np.full((2, 3), 5.5)
    matched = find_matched(games(tmp_path, left, right))
    assert matched.games == ("coinrun", "maze")
    # Both games have the range 5 to 10 in easy mode; 4 gives -0.2, which is not clipped.
    scores = {game: (left[i] - 5) / 5 for i, game in enumerate(matched.games)}
    others = {game: (right[i] - 5) / 5 for i, game in enumerate(matched.games)}
    mdpo = matched.algorithms[0]
    found = matched.scores(mdpo, "steps", 20 * SAMPLES)
    for game in matched.games:
        np.testing.assert_allclose(found[game], scores[game])
    assert matched.estimate(found).mean == pytest.approx(np.mean([0.0, 0.2, 0.6, 0.8]))
    difference, *_ = differences(matched)
    expected = stratified_bootstrap([scores, others], lambda a, b: iqm(a) - iqm(b))
    assert tuple(map(float, difference.band)) == pytest.approx(tuple(map(float, expected)))
    text = " ".join(sentences(matched))
    assert "IQM of test returns normalised by train-procgen over 2 games" in text
    assert f"With 3 seeds a game {few_runs(3)}." in text
    figure = compute_figure(matched, "mdpo")
    assert figure.axes[0].get_ylabel() == (
        "IQM of test returns normalised by train-procgen\nover 2 games"
    )


def test_the_other_normalisation_is_at_hand_and_named(tmp_path, capsys):
    paths = [
        run_of(tmp_path, dataclasses.replace(config, env=f"procgen:{game}"), seed, {at: 6.5})
        for config, at in ((MDPO, 10), (PPO, 20))
        for game in ("coinrun", "jumper")
        for seed in (1, 2)
    ]
    for normalization, low in (("train-procgen", 1.0), ("procgen-paper", 3.0)):
        matched = find_matched(paths, normalization)
        one = matched.algorithms[0]
        found = matched.scores(one, "steps", matched.budget("steps"))["jumper"]
        assert found == pytest.approx([(6.5 - low) / (10 - low)] * 2)
    command = Compute((Path("a"),), normalization="procgen-paper", picture=Path("b.svg"))
    assert command.command() == "mdpo compute a --normalization procgen-paper --picture b.svg"
    assert called("compute", *paths, "--normalization", "procgen-paper") == 0
    assert "normalised by procgen-paper over 2 games" in capsys.readouterr().out
    assert called("compute", *paths, "--normalization", "none") == 2


def test_games_that_an_algorithm_lacks_are_left_out_and_named(tmp_path):
    runs = games(tmp_path, np.full((2, 2), 6.0), np.full((2, 2), 5.0))
    matched = find_matched([run for run in runs if "maze-1" not in run.name])
    assert matched.games == ("coinrun",)
    assert matched.dropped == ("maze is left out: no evaluated run of PPO.",)


def test_runs_without_an_evaluation_are_left_out_and_named(tmp_path):
    runs = pairs(tmp_path, [6.0, 8.0], [4.0, 5.0])
    runs.append(run_of(tmp_path, PPO, 3, {}))
    matched = find_matched(runs)
    assert [len(one.runs) for one in matched.algorithms] == [2, 2]
    assert matched.dropped == (
        f"{runs[-1].name} was not yet evaluated on test levels and is left out.",
    )


# Words.


def test_few_seeds_and_single_seeds_are_never_a_bare_mean(tmp_path):
    three = find_matched(pairs(tmp_path / "3", [6.0, 8.0, 13.0], [4.0, 5.0, 9.0]))
    text = " ".join(sentences(three))
    assert "+3.00 [+0.52, +5.48], paired by seed, 3 seeds; higher." in text
    assert "Few seeds give wide intervals: with 3 they reach 4.3 standard errors" in text
    one = find_matched(pairs(tmp_path / "1", [6.0], [4.0]))
    text = " ".join(sentences(one))
    assert "+2.00 (one seed, no interval)" in text
    assert "one seed: no interval, so nothing can be said" in text
    cells = [cell for column in table(one).columns for cell in column.cells]
    assert "6.00 (one seed, no interval)" in cells
    undecided = find_matched(pairs(tmp_path / "2", [6.0, 8.0], [4.0, 9.0]))
    assert "2 seeds; undecided." in " ".join(sentences(undecided))


def test_differences_that_are_all_the_same_decide_nothing(tmp_path):
    text = " ".join(sentences(find_matched(pairs(tmp_path, [6.1, 8.3], [4.0, 6.2]))))
    assert "+2.10 (all the same, no interval), paired by seed, 2 seeds; undecided." in text


def test_parameters_are_of_all_agents_and_said_to_match_or_not(tmp_path):
    single, double = 626_256, 1_252_512
    text = " ".join(sentences(find_matched(pairs(tmp_path / "a", [6.0], [4.0]))))
    assert f"Parameters are not matched: {MDPO.algorithm} {double:,}; PPO {single:,}." in text
    ensemble = dataclasses.replace(MDPO, distill_coef=0.0)
    runs = [
        run_of(tmp_path / "b", MDPO, 1, {10: 6.0}), run_of(tmp_path / "c", ensemble, 1, {10: 4.0})
    ]  # fmt: skip
    assert f"All train {double:,} parameters: matched." in sentences(find_matched(runs))


def test_hours_of_other_devices_speeds_or_without_times_are_told(tmp_path):
    runs = [
        run_of(tmp_path, PPO, 1, {10: 4.0, 20: 5.0}),
        run_of(tmp_path, PPO, 2, {10: 4.0, 20: 5.0}, seconds=36.0),
        run_of(tmp_path, dataclasses.replace(PPO, device="cpu"), 3, {10: 4.0, 20: 5.0}),
        run_of(tmp_path, PPO, 4, {10: 4.0, 20: 5.0}, seconds=None),
    ]
    found = sentences(find_matched(runs))
    assert "Logs do not name the machine: hours compare algorithms on one machine only." in found
    assert "Hours are of different settings: device auto and cpu." in found
    slow, untimed = runs[1].name, runs[3].name
    assert any(f"10.0 times as fast as {slow} (PPO, coinrun): another" in s for s in found)
    assert f"{untimed} was not timed throughout and is missing from the hours." in found
    assert "No number of wall-clock hours suits all runs: some has no evaluation there." in found


def test_machines_that_timed_the_runs_are_told(tmp_path):
    def notes(*machines: Sequence[str]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        runs = [
            run_of(folder, PPO, seed, {10: 4.0}, machines=names)
            for seed, names in enumerate(machines, start=1)
        ]
        return " ".join(time_notes(find_matched(runs))).replace(f"{folder}/", "")

    first, second = (f"coinrun-1-w{PPO.width}-{seed}" for seed in (1, 2))
    assert notes(["A, 2 cores"], ["A, 2 cores"]) == ""
    assert notes(["A, 2 cores"], ["B"]) == (
        "Hours are of different machines and compare no algorithms:"
        f" A, 2 cores ({first}); B ({second})."
    )
    assert notes(["A", "B"], ["B"]).endswith(f": A ({first}); B ({first}, {second}).")
    assert notes(["A"], []) == (
        f"The logs of {second} do not name the machine: hours compare algorithms on one machine"
        " only."
    )


def test_runs_of_one_algorithm_are_unlike_from_half_as_fast_again(tmp_path):
    for times, told in ((1.4, False), (2.0, True)):
        runs = [
            run_of(tmp_path / str(times), PPO, 1, {20: 5.0}),
            run_of(tmp_path / str(times), PPO, 2, {20: 5.0}, seconds=3.6 * times),
        ]
        text = " ".join(sentences(find_matched(runs)))
        assert (f"{runs[0].name} was {times} times as fast as {runs[1].name}" in text) is told
        assert ("another machine, or a shared one" in text) is told


def test_means_that_are_not_finite_are_refused_rather_than_compared(tmp_path, capsys):
    runs = [run_of(tmp_path, PPO, s, {20: x}) for s, x in ((1, 5.0), (2, math.nan))]
    assert called("compute", *runs) == 2
    assert capsys.readouterr().err == (
        f"mdpo: error: {runs[1]}/evaluations.jsonl, the line of update 20: agent 0, test sampled,"
        " mean must be finite, got nan\n"
    )


def test_a_log_of_times_with_a_hole_counts_until_the_hole(tmp_path):
    run = run_of(tmp_path, PPO, 1, {10: 4.0, 20: 5.0})
    lines = (run / TIMING).read_text().splitlines(keepends=True)
    (run / TIMING).write_text("".join(lines[:14] + lines[15:]))
    matched = find_matched([run])
    assert matched.scored(matched.algorithms[0].runs[0], "hours").cost == pytest.approx([0.01])


# The picture.


def test_picture_draws_the_values_of_the_logs(tmp_path):
    left, right = [6.0, 8.0, 13.0], [4.0, 5.0, 9.0]
    figure = compute_figure(find_matched(pairs(tmp_path, left, right)), "mdpo compute")
    steps, hours, parameters = figure.axes
    assert steps.get_xlabel() == "environment steps of all agents together"
    assert hours.get_xlabel() == "wall-clock hours"
    for axis, ends in ((steps, (20 * SAMPLES, 20 * SAMPLES)), (hours, (0.01, 0.02))):
        runs = lines_of(axis, "run")
        assert [line.get_ydata()[-1] for line in runs] == left + right
        for mean, end, values in zip(lines_of(axis, "mean"), ends, (left, right), strict=True):
            assert mean.get_xdata()[-1] == pytest.approx(end)
            assert mean.get_ydata()[-1] == pytest.approx(np.mean(values))
    assert lines_of(steps, "budget")[0].get_xdata() == [20 * SAMPLES] * 2
    dots = lines_of(parameters, "run")
    assert [line.get_ydata().tolist() for line in dots] == [left, right]
    assert [line.get_xdata()[0] for line in dots] == [1_252_512, 626_256]
    half = T2 * statistics.stdev(left) / math.sqrt(3)
    (ends,) = parameters.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(ends[:, 1], [9.0 - half, 9.0 + half])


def test_one_seed_is_a_thin_line_without_mean_or_band(tmp_path):
    axis = compute_figure(find_matched(pairs(tmp_path, [6.0], [4.0])), "mdpo").axes[0]
    assert len(lines_of(axis, "run")) == 2
    assert lines_of(axis, "mean") == []


def test_equal_parameters_stand_side_by_side(tmp_path):
    ensemble = dataclasses.replace(MDPO, distill_coef=0.0)
    runs = [
        *(run_of(tmp_path / "a", MDPO, s, {10: 6.0 + s}) for s in (1, 2)),
        *(run_of(tmp_path / "b", ensemble, s, {10: 4.0 + s}) for s in (1, 2)),
    ]
    axis = compute_figure(find_matched(runs), "mdpo").axes[2]
    left, right = (line.get_xdata()[0] for line in lines_of(axis, "run"))
    assert left < 1_252_512 < right
    assert (left + right) / 2 == pytest.approx(1_252_512)


def test_caption_says_what_was_found_and_how_it_was_made(tmp_path):
    matched = find_matched(pairs(tmp_path, [6.0, 8.0, 13.0], [4.0, 5.0, 9.0]))
    text = caption(matched, "mdpo compute here")
    assert all(sentence in text for sentence in sentences(matched))
    assert text.endswith("Made by: mdpo compute here")


# The command.


def test_command_prints_table_sentences_and_picture(tmp_path, capsys):
    runs = pairs(tmp_path, [6.0, 8.0, 13.0], [4.0, 5.0, 9.0])
    picture = tmp_path / "new" / "c.svg"
    assert called("compute", *runs, "--picture", picture) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "PPO" in out
    assert "9.00 [0.04, 17.96]" in out
    assert "+3.00 [+0.52, +5.48]" in out
    assert "is unfinished, compared as it is after 10 of 20 updates (50%)." in out
    assert picture.read_text().startswith("<?xml")
    assert called("compute", *runs, "--picture", picture) == 2
    assert "exists already" in capsys.readouterr().err


def test_messages(tmp_path, capsys):
    plain = pairs(tmp_path / "a", [6.0], [4.0])
    hard = run_of(tmp_path / "b", dataclasses.replace(MDPO, distribution_mode="hard"), 1, {20: 1.0})
    few = run_of(tmp_path / "c", dataclasses.replace(MDPO, train_levels=5), 1, {20: 1.0})
    maze = run_of(tmp_path / "d", dataclasses.replace(PPO, env="procgen:maze"), 1, {20: 1.0})
    memory = [
        run_of(
            tmp_path / "e",
            dataclasses.replace(PPO, env=f"procgen:{game}", distribution_mode="memory"),
            1,
            {20: 1.0},
        )
        for game in ("maze", "heist")
    ]
    bare = run_of(tmp_path / "f", PPO, 1, {})
    name, same = plain[0].name, "runs must have the same"
    cases: list[tuple[Sequence[Path], str]] = [
        ([], "give at least one run, a folder written by `mdpo train`"),
        (
            [plain[0], hard],
            f"{same} distribution_mode, got easy in {name} and hard in {tmp_path}/b/{hard.name}",
        ),
        (
            [plain[0], few],
            f"{same} train_levels, got 10 in {name} and 5 in {tmp_path}/c/{few.name}",
        ),
        (
            [plain[0], maze],
            "runs must share a game that all algorithms were evaluated on, got none",
        ),
        (memory, "runs on several games must be in easy or hard mode, got memory"),
        ([bare], "runs must have been evaluated on test levels, got none that was"),
        ([tmp_path], f"{tmp_path} is no run of `mdpo train`: it has no config.json"),
    ]
    for runs, message in cases:
        assert called("compute", *runs) == 2
        shown = capsys.readouterr().err.replace(f"{tmp_path}/a/", "")
        assert shown == f"mdpo: error: {message}\n"
