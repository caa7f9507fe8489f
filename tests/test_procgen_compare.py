"""Runs side by side: numbers worked by hand, intervals by another route, every message."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import math
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from experiments.config import CONFIG_FILE
from experiments.procgen import ProcgenConfig, configure
from experiments.procgen.checkpoint import EVALUATIONS, LOG, TIMING
from experiments.procgen.comparison.compare import (
    MEASURES,
    Comparison,
    compare,
    tables,
)
from experiments.procgen.comparison.compare_figure import binned, caption, compare_figure
from experiments.procgen.comparison.curves import load_curves, parse_evaluation
from experiments.procgen.evaluate import EpisodeTable, Evaluation
from mdtheory.report import style
from tests.small_run import SMALL as PIXELGRID

UPDATES = 20
MDPO = dataclasses.replace(
    configure("procgen:coinrun", "smoke"),
    n_envs=4,
    rollout_steps=16,
    minibatches=2,
    total_steps=64 * UPDATES,
)
PPO = dataclasses.replace(MDPO, agents=1, distill_coef=0.0)
T2, T1 = 4.302652729911275, 12.706204736432095  # Student's 97.5 % points for 2 and 1 degrees

Result = tuple[int, float | None]
"""Episodes that ended, and their mean return."""


def evaluation(update: int, train: Sequence[float], test: Sequence[float]) -> dict[str, Any]:
    """A line with mean returns of the agents; greedy ones are 1 higher, the mixture's 2."""

    def modes(low: float, high: float) -> dict[str, Any]:
        return {
            mode: {"train": {"mean": low + more}, "test": {"mean": high + more}}
            for mode, more in (("sampled", 0), ("greedy", 1))
        }

    policies = {f"agent {k}": modes(*x) for k, x in enumerate(zip(train, test, strict=True))}
    if len(train) > 1:
        policies["mixture"] = modes(max(train) + 2, max(test) + 2)
    return {"update": update, "steps": 64 * update, "unbiased": {"policies": policies}}


def write_run(
    run: Path,
    config: ProcgenConfig = MDPO,
    result: Callable[[int, int], Result] = lambda update, agent: (1, float(update)),
    done: int = UPDATES,
    evaluations: Sequence[dict[str, Any]] = (),
    seconds: float | None = 3.6,
    machines: Sequence[str] = (),
) -> Path:
    """A run's folder with logs; `result` is what ended in an update for an agent."""
    run.mkdir(parents=True)
    (run / CONFIG_FILE).write_text(config.to_json())
    lines = []
    for update in range(1, done + 1):
        agents = [result(update, k) for k in range(config.agents)]
        named = [{"episodes": n, "return": mean, "length": 1.0} for n, mean in agents]
        lines.append({"update": update, "steps": 64 * update, "agents": named})
    write_lines(run / LOG, lines)
    write_lines(run / EVALUATIONS, evaluations)
    if seconds is not None:
        spent = {"rollout_s": seconds / 3, "learn_s": 2 * seconds / 3}
        named = [{"machine": machine} for machine in machines] or [{}]
        updates = zip(range(1, done + 1), itertools.cycle(named), strict=False)
        write_lines(run / TIMING, [{"update": u, **spent, **machine} for u, machine in updates])
    return run


def write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def constant(value: float) -> Callable[[int, int], Result]:
    return lambda update, agent: (1, value)


def seeds_of(folder: Path, config: ProcgenConfig, returns: dict[int, float]) -> list[Path]:
    """Runs of one algorithm: returns by seed, in training; 1 lower on test levels."""
    return [
        write_run(
            folder / f"{config.agents}-seed{seed}",
            dataclasses.replace(config, seed=seed),
            constant(value),
            evaluations=[evaluation(UPDATES, [value] * config.agents, [value - 1] * config.agents)],
        )
        for seed, value in returns.items()
    ]


def cells(table: Table) -> list[dict[str, str]]:
    """Rows by header."""
    columns = [(str(c.header), list(c.cells)) for c in table.columns]
    return [{name: str(found[i]) for name, found in columns} for i in range(table.row_count)]


def printed(comparison: Comparison) -> str:
    console = Console(width=300, file=io.StringIO())
    for table in tables(comparison):
        console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


# Numbers of one run.


def test_final_training_return_is_that_of_the_episodes_of_the_last_tenth(tmp_path):
    ended = {(19, 0): (1, 4.0), (20, 0): (3, 8.0), (19, 1): (2, 1.0), (20, 1): (0, None)}
    run = write_run(tmp_path / "a", result=lambda u, k: ended.get((u, k), (9, 100.0)))
    # Agent 0: (4 + 3 * 8) / 4 = 7; agent 1: 1.
    assert load_curves(run).train_return == pytest.approx(4.0)


def test_agents_without_an_episode_are_left_out_of_the_mean(tmp_path):
    run = write_run(tmp_path / "a", result=lambda u, k: (1, 6.0) if k else (0, None))
    assert load_curves(run).train_return == 6.0


def test_measures_by_hand(tmp_path):
    lines = [evaluation(10, [1.0, 1.0], [1.0, 1.0]), evaluation(20, [9.0, 9.5], [6.0, 8.0])]
    lines.append({"update": 20, "steps": 1280, "official": {"agent 0": {"mean": 3.0}}})
    run = load_curves(write_run(tmp_path / "a", evaluations=lines))
    assert {name: measure.of(run) for name, measure in MEASURES.items()} == pytest.approx(
        {
            "training return": 19.5,  # updates 19 and 20
            "test return, sampled": 7.0,
            "test return, greedy": 8.0,
            "gap, sampled": 9.25 - 7.0,
            "normalized test return": (7.0 - 5.0) / (10.0 - 5.0),  # easy coinrun: 5 to 10
            "test return of the mixture": 10.0,
            "official protocol": 3.0,
            "steps per agent": 20 * 4 * 16,
            "environment steps": 2 * 20 * 4 * 16,
            "parameters": 2 * 626_256,
            "hours": 20 * 3.6 / 3600,
            "steps/s": 2560 / 72,
        }
    )


@pytest.mark.parametrize("width", [1, 2])
def test_parameters_are_those_of_the_architecture_counted_layer_by_layer(tmp_path, width):
    def convolution(n_in: int, n_out: int) -> int:
        return 9 * n_in * n_out + n_out

    sizes, hidden, total = [3, 16 * width, 32 * width, 32 * width], 256 * width, 0
    for n_in, n_out in itertools.pairwise(sizes):
        total += convolution(n_in, n_out) + 4 * convolution(n_out, n_out)
    total += (64 * sizes[-1] + 1) * hidden + (hidden + 1) * (15 + 1)
    run = load_curves(write_run(tmp_path / "a", dataclasses.replace(PPO, width=width)))
    assert run.parameters == total


def test_normalized_returns_are_never_clipped_and_need_a_range(tmp_path):
    low = load_curves(write_run(tmp_path / "a", evaluations=[evaluation(20, [9, 9], [4, 4])]))
    assert low.normalized == pytest.approx(-0.2)
    hard = dataclasses.replace(MDPO, env="procgen:maze", distribution_mode="hard")
    run = load_curves(write_run(tmp_path / "b", hard, evaluations=[evaluation(20, [9, 9], [7, 7])]))
    assert run.normalized == pytest.approx((7 - 4) / (10 - 4))
    memory = dataclasses.replace(hard, distribution_mode="memory")
    run = load_curves(
        write_run(tmp_path / "c", memory, evaluations=[evaluation(20, [9, 9], [7, 7])])
    )
    assert math.isnan(run.normalized)


def test_bins_weigh_episodes_alike_and_are_at_most_a_hundred(tmp_path):
    config = dataclasses.replace(PPO, total_steps=64 * 250)
    run = write_run(tmp_path / "a", config, lambda u, k: (u, float(u)), done=250)
    updates, hours, returns = binned(load_curves(run))
    assert updates.shape == (84,)  # bins of 3 updates, and one of the last
    assert (updates[0], updates[-1]) == (2.0, 250.0)
    assert hours[0] == pytest.approx((3.6 + 7.2 + 10.8) / 3 / 3600)
    assert returns[0] == pytest.approx((1 + 4 + 9) / (1 + 2 + 3))


def test_evaluations_are_read_as_the_evaluation_writes_them():
    def table(returns: list[list[float]]) -> EpisodeTable:
        shape = np.array(returns).shape
        return EpisodeTable(
            levels=np.repeat(np.arange(shape[0]), shape[1]),
            episodes=np.tile(np.arange(shape[1]), shape[0]),
            returns=np.array(returns).ravel(),
            lengths=np.ones(shape[0] * shape[1], dtype=np.int64),
            solved=np.zeros(shape[0] * shape[1], dtype=bool),
        )

    by_mode = {
        "sampled": {"train": table([[8.0], [6.0]]), "test": table([[5.0], [2.0]])},
        "greedy": {"train": table([[1.0], [1.0]]), "test": table([[0.0], [1.0]])},
    }
    other = {mode: {s: table([[0.0], [0.0]]) for s in ("train", "test")} for mode in by_mode}
    content = Evaluation(
        config=MDPO,
        update=3,
        seed=1,
        levels={"train": [0, 1], "test": [10, 11]},
        tables={"agent 0": by_mode, "agent 1": other, "mixture": by_mode},
    ).to_json()
    line = json.loads(json.dumps({"update": 3, "steps": 192, "unbiased": content}))
    assert parse_evaluation(line) == (
        3,
        {
            "train sampled": 3.5,
            "test sampled": 1.75,
            "train greedy": 0.5,
            "test greedy": 0.25,
            "mixture train sampled": 7.0,
            "mixture test sampled": 3.5,
            "mixture train greedy": 1.0,
            "mixture test greedy": 0.5,
        },
    )


# Many runs.


def test_seeds_are_repetitions_with_a_student_interval(tmp_path):
    runs = seeds_of(tmp_path, MDPO, {2: 7.0, 1: 5.0, 3: 9.5})
    (task,) = compare(runs).tasks
    (group,) = task.groups
    assert group.seeds == (1, 2, 3)
    found = group.interval("training return")
    assert found is not None
    values = [5.0, 7.0, 9.5]
    half = T2 * statistics.stdev(values) / math.sqrt(3)
    mean = statistics.mean(values)
    assert (found.mean, found.low, found.high) == pytest.approx((mean, mean - half, mean + half))
    (row,) = cells(tables(compare(runs))[0])
    assert row["training return"] == f"{mean:.2f}\n[{mean - half:.2f}, {mean + half:.2f}]"
    assert row["seeds"] == "3"


def test_differences_are_paired_by_the_common_seeds(tmp_path):
    runs = [
        *seeds_of(tmp_path, PPO, {1: 6.0, 2: 7.0, 3: 0.0}),
        *seeds_of(tmp_path, MDPO, {1: 7.0, 2: 9.0, 5: 99.0}),
    ]
    (task,) = compare(runs).tasks
    (difference,) = task.differences
    assert difference.left == "mutual distillation of 2 agents, alpha = 1"
    assert difference.right == "PPO"
    assert (difference.seeds, difference.steps_ratio) == ((1, 2), 2.0)
    found = difference.intervals["test return, sampled"]
    assert found is not None
    half = T1 * statistics.stdev([1.0, 2.0]) / math.sqrt(2)
    assert (found.mean, found.low, found.high) == pytest.approx((1.5, 1.5 - half, 1.5 + half))
    (row,) = cells(tables(compare(runs))[2])
    assert row["left - right"] == "B - A"  # in the order given, PPO is A
    assert (row["pairs"], row["steps, left / right"]) == ("2", "2.00")
    assert row["training return"] == f"+1.50\n[{1.5 - half:+.2f}, {1.5 + half:+.2f}]"


def test_algorithms_without_common_seeds_are_not_paired(tmp_path):
    runs = [*seeds_of(tmp_path, PPO, {1: 6.0}), *seeds_of(tmp_path, MDPO, {2: 7.0})]
    comparison = compare(runs)
    assert comparison.tasks[0].differences == ()
    assert "paired" not in printed(comparison)


def test_one_seed_has_no_interval_and_says_so(tmp_path):
    table, *_ = tables(compare(seeds_of(tmp_path, MDPO, {1: 7.0})))
    (row,) = cells(table)
    assert row["test return, sampled"] == "6.00 (one seed)"
    assert "95 % intervals, none for one seed" in str(table.title)
    assert "range of coinrun in easy mode" in str(table.caption)


def test_runs_that_lack_a_number_are_counted(tmp_path):
    runs = seeds_of(tmp_path, MDPO, {1: 7.0, 2: 7.0})
    runs.append(write_run(tmp_path / "bare", dataclasses.replace(MDPO, seed=3), seconds=None))
    (row,) = cells(tables(compare(runs))[0])
    assert row["test return, sampled"] == "6.00\n[6.00, 6.00]\n(2 of 3 seeds)"
    (cost,) = cells(tables(compare(runs))[1])
    assert cost["hours"] == "0.02\n[0.02, 0.02]\n(2 of 3 seeds)"
    (row,) = cells(tables(compare(runs[1:]))[0])
    assert row["test return, sampled"] == "6.00\n(1 of 2 seeds)"


def test_runs_without_episodes_evaluations_or_times_say_so(tmp_path):
    run = write_run(tmp_path / "a", result=lambda u, k: (0, None), seconds=None)
    comparison = compare([run])
    (row,) = cells(tables(comparison)[-1])
    assert row["training return"] == "no episode ended"
    assert row["test return, sampled"] == row["gap, sampled"] == "not evaluated"
    assert row["hours"] == row["steps/s"] == "not timed"
    assert not {"official protocol", "test return of the mixture"} & row.keys()
    assert comparison.notes == []


def test_unfinished_runs_are_compared_as_they_are_and_named(tmp_path):
    runs = [
        write_run(tmp_path / "whole", dataclasses.replace(PPO, seed=1)),
        write_run(
            tmp_path / "part",
            dataclasses.replace(PPO, seed=2),
            done=5,
            evaluations=[evaluation(4, [9.0], [6.0])],
        ),
        write_run(tmp_path / "new", dataclasses.replace(PPO, seed=3), done=0),
    ]
    comparison = compare(runs)
    assert comparison.notes == [
        "part is unfinished, compared as it is after 5 of 20 updates (25%).",
        "part was last evaluated on test levels after 4 of the 5 updates done.",
        "new is unfinished, compared as it is after 0 of 20 updates (0%).",
    ]
    group = comparison.tasks[0].groups[0]
    np.testing.assert_array_equal(group.values("training return"), [19.5, 5.0, np.nan])
    assert cells(tables(comparison)[1])[0]["steps per agent"] == "0 to 1,280"
    assert [row["updates"] for row in cells(tables(comparison)[-1])] == [
        "20 of 20", "5 of 20", "0 of 20",
    ]  # fmt: skip


def test_other_games_modes_and_levels_have_tables_of_their_own(tmp_path):
    changes: list[dict[str, Any]] = [
        {},
        {"env": "procgen:maze"},
        {"distribution_mode": "hard"},
        {"train_levels": 5},
        {"first_level": 5},
    ]
    runs = [
        write_run(tmp_path / str(i), dataclasses.replace(MDPO, **change))
        for i, change in enumerate(changes)
    ]
    comparison = compare(runs)
    assert [task.title for task in comparison.tasks] == [
        "coinrun, easy, trained on levels 0 to 9",
        "maze, easy, trained on levels 0 to 9",
        "coinrun, hard, trained on levels 0 to 9",
        "coinrun, easy, trained on levels 0 to 4",
        "coinrun, easy, trained on levels 5 to 14",
    ]
    assert all(len(task.runs) == 1 for task in comparison.tasks)


def test_machine_and_times_of_evaluation_do_not_tell_algorithms_apart(tmp_path):
    other = dataclasses.replace(
        MDPO, seed=2, env_threads=1, checkpoint_every=7, evaluate_every=9, chunk=8, device="cpu"
    )
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b", other)]
    assert [len(group.runs) for group in compare(runs).tasks[0].groups] == [2]


def test_algorithms_of_one_name_are_told_apart_by_their_settings(tmp_path):
    longer = dataclasses.replace(PPO, total_steps=2 * PPO.total_steps, learning_rate=1e-3)
    runs = [
        write_run(tmp_path / "a", PPO),
        write_run(tmp_path / "b", longer),
        write_run(tmp_path / "c", MDPO),
    ]
    assert [group.label for group in compare(runs).tasks[0].groups] == [
        "PPO, learning_rate 0.0005, total_steps 1,280",
        "PPO, learning_rate 0.001, total_steps 2,560",
        "mutual distillation of 2 agents, alpha = 1",
    ]


def test_algorithms_are_told_apart_by_the_renderings_trained_on(tmp_path):
    looks = [("original", "monochrome"), ("original", "hue=0.25"), ("original",)]
    runs = [
        write_run(tmp_path / name, dataclasses.replace(PPO, train_renderings=renderings))
        for name, renderings in zip("abc", looks, strict=True)
    ]
    assert [group.label for group in compare(runs).tasks[0].groups] == [
        "PPO, 2 renderings, train_renderings original monochrome",
        "PPO, 2 renderings, train_renderings original hue=0.25",
        "PPO",
    ]


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    runs = [
        write_run(tmp_path / "x" / "run", MDPO),
        write_run(tmp_path / "y" / "run", dataclasses.replace(MDPO, seed=2)),
    ]
    assert [run.name for run in compare(runs).tasks[0].runs] == list(map(str, runs))


def test_every_value_of_every_run_is_printed(tmp_path):
    values = {1: 6.11, 2: 7.22, 3: 8.33}
    text = printed(compare(seeds_of(tmp_path, MDPO, values)))
    assert all(f" {value:.2f} " in text for value in values.values())
    assert all(f" {value - 1:.2f} " in text for value in values.values())
    assert "1,252,512" in text


# The picture.


def lines_of(figure: Figure, panel: int, gid: str) -> list[Any]:
    return [line for line in figure.axes[panel].get_lines() if line.get_gid() == gid]


def test_figure_has_units_a_line_per_run_and_one_for_their_mean(tmp_path):
    runs = [
        *seeds_of(tmp_path, PPO, {1: 6.0}),
        *seeds_of(tmp_path, MDPO, {1: 7.0, 2: 9.0, 3: 8.0}),
    ]
    figure = compare_figure(compare(runs))
    assert [axis.get_xlabel() for axis in figure.axes] == [
        "environment steps of all agents together",
        "wall-clock time (hours)",
    ]
    for panel, axis in enumerate(figure.axes):
        assert axis.get_ylabel() == "return, undiscounted"
        assert axis.get_title() == "coinrun, easy, trained on levels 0 to 9"
        assert len(lines_of(figure, panel, "seed")) == 4
        ppo, mdpo = lines_of(figure, panel, "mean")
        np.testing.assert_allclose(mdpo.get_ydata(), np.full(UPDATES, 8.0))
        np.testing.assert_allclose(ppo.get_ydata(), np.full(UPDATES, 6.0))
        last = (UPDATES * 64 * 2, UPDATES * 3.6 / 3600)[panel]
        assert mdpo.get_xdata()[-1] == pytest.approx(last)
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"PPO", "mutual distillation of 2 agents, alpha = 1", "test levels"} <= legend


def test_band_and_error_bars_are_students(tmp_path):
    values = [7.0, 9.5, 8.0]
    runs = seeds_of(tmp_path, MDPO, dict(enumerate(values)))
    axis = compare_figure(compare(runs)).axes[0]
    half = T2 * statistics.stdev(values) / math.sqrt(3)
    mean = statistics.mean(values)
    band = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((mean - half, mean + half))
    (bars,) = axis.containers
    ends = bars.lines[2][0].get_segments()[0]
    np.testing.assert_allclose(ends, [[2560, mean - 1 - half], [2560, mean - 1 + half]])


def test_mean_ends_where_a_seed_ends_and_test_points_take_who_is_there(tmp_path):
    lines = [evaluation(u, [9.0], [float(u)]) for u in (5, 10)]
    runs = [
        write_run(tmp_path / "a", PPO, constant(4.0), evaluations=lines),
        write_run(
            tmp_path / "b",
            dataclasses.replace(PPO, seed=2),
            constant(6.0),
            done=8,
            evaluations=[evaluation(5, [9.0], [7.0])],
        ),
    ]
    figure = compare_figure(compare(runs))
    (mean,) = lines_of(figure, 0, "mean")
    np.testing.assert_allclose(mean.get_ydata(), np.full(8, 5.0))
    points, by_hours = (axis.containers[0].lines[0].get_xydata() for axis in figure.axes)
    assert points.tolist() == [[5 * 64, 6.0], [10 * 64, 10.0]]
    assert by_hours[:, 0].tolist() == pytest.approx([5 * 3.6 / 3600, 10 * 3.6 / 3600])


def test_figure_has_a_row_for_each_task_and_survives_emptiness(tmp_path):
    runs = [
        write_run(tmp_path / "a", MDPO, done=0, seconds=None),
        write_run(tmp_path / "b$_{x", dataclasses.replace(MDPO, env="procgen:maze")),
    ]
    figure = compare_figure(compare(runs))
    assert len(figure.axes) == 4
    texts = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert texts == [["nothing to show yet"], ["nothing to show yet"], [], []]
    assert style.to_svg(figure) == style.to_svg(compare_figure(compare(runs)))


def test_caption_says_how_it_was_made(tmp_path):
    run = write_run(tmp_path / "a run", MDPO, done=5)
    comparison = compare([run])
    assert comparison.command == f"mdpo compare '{run}' --picture compare.svg"
    text = caption(comparison)
    assert text.endswith(f"Made by: {comparison.command}")
    assert "bins of updates, at most 100 a run" in text
    assert "a run is unfinished, compared as it is after 5 of 20 updates (25%)." in text
    shown = compare_figure(comparison).get_supxlabel()
    assert " ".join(shown.split()) == text


# Messages.


def damaged(folder: Path, name: str, line: dict[str, Any]) -> Path:
    """A run whose log has a last line that is whole, but wrong."""
    run = write_run(folder / "run")
    with (run / name).open("a") as file:
        file.write(json.dumps(line) + "\n")
    return run


def pixelgrid(folder: Path) -> Path:
    (folder / CONFIG_FILE).write_text(PIXELGRID.to_json())
    return folder


def misspelt(folder: Path) -> Path:
    (folder / CONFIG_FILE).write_text(MDPO.to_json().replace("seed", "sed"))
    return folder


STRANGE = "the line of update {} is not as this version writes it"
ERRORS: list[tuple[Callable[[Path], Sequence[Path]], type[Exception], str]] = [
    (lambda p: [], ValueError, "give at least one run, a folder written by `mdpo train`"),
    (lambda p: [p], FileNotFoundError, "{path} is no run of `mdpo train`: it has no config.json"),
    (lambda p: [pixelgrid(p)], ValueError,
     "{path}/config.json: this is a run on pixelgrid, which `mdpo report` and `mdpo chain` look"
     " at"),
    (lambda p: [misspelt(p)], ValueError,
     "{path}/config.json: unknown key 'sed': did you mean 'seed'?"),
    (lambda p: [write_run(p / "a"), write_run(p / "b")], ValueError,
     "runs must differ in seed or settings, got seed 1 in both a and b"),
    (lambda p: [write_run(p / "a")] * 2, ValueError,
     "runs must differ in seed or settings, got seed 1 in both {path}/a and {path}/a"),
    (lambda p: [damaged(p, LOG, {"update": 22, "agents": []})], ValueError,
     "{path}/run/log.jsonl must hold the updates 1, 2, 3, ... in this order"),
    (lambda p: [damaged(p, LOG, {"update": 21, "agents": []})], ValueError,
     "{path}/run/log.jsonl: " + STRANGE.format(21)),
    (lambda p: [damaged(p, LOG, {"update": 21})], ValueError,
     "{path}/run/log.jsonl: " + STRANGE.format(21)),
    (lambda p: [damaged(p, LOG, {"note": "hello"})], ValueError,
     "{path}/run/log.jsonl, line 21, must be a JSON object with an update number"),
    (lambda p: [damaged(p, TIMING, {"update": 20, "rollout_s": None, "learn_s": 1})], ValueError,
     "{path}/run/timing.jsonl: " + STRANGE.format(20)),
    (lambda p: [damaged(p, TIMING, {"update": 20, "rollout_s": 1, "learn_s": 1, "machine": 3})],
     ValueError, "{path}/run/timing.jsonl: " + STRANGE.format(20)),
    (lambda p: [damaged(p, EVALUATIONS, {"update": 20, "unbiased": []})], ValueError,
     "{path}/run/evaluations.jsonl: " + STRANGE.format(20)),
    (lambda p: [damaged(p, EVALUATIONS, {"update": 20, "official": {"agent 0": 3}})], ValueError,
     "{path}/run/evaluations.jsonl: " + STRANGE.format(20)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), ERRORS)
def test_messages(tmp_path, make, error, message):
    with pytest.raises(error, match=f"^{re.escape(message.format(path=tmp_path))}"):
        compare(make(tmp_path))


def test_a_last_line_that_a_kill_cut_off_is_left_out(tmp_path):
    run = write_run(tmp_path / "a", done=6)
    for name in (LOG, TIMING):
        path = run / name
        path.write_text(path.read_text()[:-5])
    curves = load_curves(run)
    assert curves.done == 5
    assert curves.total_hours == pytest.approx(5 * 3.6 / 3600)
