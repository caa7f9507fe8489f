"""Finals and effects: the table of a sweep, paired differences, Holm's correction, the picture."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil

import numpy as np
import pytest
import scipy.stats

from experiments.cli import main
from experiments.interval import interval
from experiments.pixelgrid import finals
from experiments.pixelgrid.audit import audit_run
from experiments.pixelgrid.effects import (
    CONTROL,
    EVERY_GAME,
    QUESTIONS,
    effects,
    holm,
    over_games,
    sentences,
)
from experiments.pixelgrid.finals import COLUMNS, MEASURES, finals_of, read_finals, to_csv
from experiments.pixelgrid.train import train
from experiments.sweep.job import digests
from experiments.sweep.plan import plan_of
from experiments.sweep.store import NOTE
from mdtheory.cluster import Resources

ALGORITHMS = {
    "ppo": {"agents": 1, "distill_coef": 0.0},
    "ppo-2x-steps": {"agents": 1, "distill_coef": 0.0, "n_envs": 8},
    "ensemble2": {"agents": 2, "distill_coef": 0.0},
    "mdpo2": {"agents": 2, "distill_coef": 1.0},
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A small finished sweep: its plan, its folder, and its table."""
    folder = tmp_path_factory.mktemp("sweep")
    plan = plan_of(
        {
            "seeds": 4,
            "seeds_per_run": 2,
            "settings": {
                "env": "pixelgrid", "n_envs": 4, "rollout_steps": 16, "updates": 3, "hidden": 8,
                "pixelgrid": {"size": 3},
            },
            "games": {"two": {"pixelgrid": {"train_renderings": 2}}, "four": {}},
            "algorithms": ALGORITHMS,
        }
    )  # fmt: skip
    assert plan.resources == Resources()
    for run in plan.runs:
        train(run.config, folder / run.name)
    rows, audited = finals_of(plan, folder)
    table = folder / "finals.csv"
    table.write_text(to_csv(rows))
    assert audited.violations == 0
    assert audited.checked > 0
    return plan, folder, table


def test_the_table_has_the_audits_last_numbers(sweep):
    _, folder, table = sweep
    finals = {(f.game, f.algorithm, f.policy): f for f in read_finals(table)}
    assert len(finals) == 2 * (1 + 1 + 2 + 2)
    one = finals["two", "mdpo2", "agent"]
    assert (one.agents, one.distill_coef, one.steps) == (2, 1.0, 3 * 64)
    assert one.seeds.tolist() == [0, 1, 2, 3]
    audits = [audit_run(folder / "two" / "mdpo2" / f"seed{k}") for k in (0, 2)]
    for name in MEASURES:
        expected = np.concatenate([a.values[name][-1].mean(axis=-1) for a in audits])
        np.testing.assert_allclose(one.values[name], expected, atol=1e-6)
        mixture = np.concatenate([a.ensemble[name][-1] for a in audits])
        np.testing.assert_allclose(
            finals["two", "mdpo2", "mixture"].values[name], mixture, atol=1e-6
        )


def test_each_question_compares_what_it_says(sweep):
    finals = {(f.game, f.algorithm, f.policy): f for f in read_finals(sweep[2])}
    sides = [
        (QUESTIONS[0], ("mdpo2", "agent"), ("ensemble2", "agent")),
        (QUESTIONS[1], ("mdpo2", "mixture"), ("ensemble2", "mixture")),
        (QUESTIONS[2], ("mdpo2", "agent"), ("ensemble2", "mixture")),
        (QUESTIONS[3], ("mdpo2", "agent"), ("ppo-2x-steps", "agent")),
        (QUESTIONS[4], ("mdpo2", "mixture"), ("ppo-2x-steps", "agent")),
        (CONTROL, ("ensemble2", "mixture"), ("ppo-2x-steps", "agent")),
    ]
    for measure in ("heldout_return", "mean_robustness"):
        found = effects(list(finals.values()), measure)
        assert len(found) == 2 * len(sides)
        for question, left, right in sides:
            [e] = [e for e in found if e.question == question and e.game == "four"]
            a, b = (finals[("four", *side)].values[measure] for side in (left, right))
            test = scipy.stats.ttest_rel(a, b)
            ends = test.confidence_interval()
            assert e.difference.mean == pytest.approx((a - b).mean())
            assert e.difference.p == pytest.approx(test.pvalue)
            assert (e.difference.low, e.difference.high) == pytest.approx((ends.low, ends.high))
        tests = [scipy.stats.ttest_rel(*pair_of(e, finals, sides, measure)) for e in found]
        assert [e.decided for e in found] == holm([test.pvalue for test in tests]).tolist()
        assert [e.sign for e in found] == [
            int(np.sign(test.statistic)) * e.decided for e, test in zip(found, tests, strict=True)
        ]


def pair_of(effect, finals, sides, measure):
    """Both sides' values of a comparison, [seed]."""
    [(left, right)] = [(a, b) for question, a, b in sides if question == effect.question]
    return [finals[(effect.game, *side)].values[measure] for side in (left, right)]


def test_holm_rejects_step_by_step():
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05).tolist() == [True, False, False, True]
    assert holm([0.04, 0.02], 0.05).tolist() == [True, True]
    assert holm([0.03, 0.03], 0.05).tolist() == [False, False]  # a bare 5 % would take both
    assert holm([np.nan, 0.001], 0.05).tolist() == [False, True]
    assert holm([]).tolist() == []


def test_holm_is_rarely_wrong_where_nothing_is_true():
    p = np.random.default_rng(0).random((4000, 20))
    wrong = np.mean([holm(row).any() for row in p])
    assert 0.035 < wrong < 0.06
    assert np.mean((p < 0.05).any(axis=1)) > 0.6  # what the correction is for


def test_sentences_count_what_was_decided(tmp_path):
    table = tmp_path / "finals.csv"
    table.write_text(made_up(shift=0.1))
    found = effects(read_finals(table), "heldout_return")
    lines = sentences(found, "held-out return")
    assert lines[0].startswith(
        f"held-out return, {QUESTIONS[0].name}: higher in 1, lower in 0, undecided in 0 of 1"
    )
    table.write_text(made_up(shift=0.0))
    assert "undecided in 1 of 1" in sentences(effects(read_finals(table), "gap"), "gap")[0]


def made_up(shift):
    """A table in which distilled agents differ from independent ones by `shift` and some noise."""
    noise = np.random.default_rng(1).normal(scale=0.001, size=(2, 8))
    rows = [",".join(COLUMNS)]
    for k, (algorithm, alpha) in enumerate((("ensemble2", 0.0), ("mdpo2", 1.0))):
        for seed in range(8):
            value = 0.5 + k * shift + noise[k, seed]
            rows.append(f"g,{algorithm},2,{alpha},64,agent,{seed}," + ",".join([str(value)] * 6))
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.replace("heldout_return,", "x,"), "column heldout_return is missing"),
        (lambda t: t.replace(",64,", ",6.5,", 1), "line 2, column steps, must be a whole number"),
        (lambda t: t.replace("0.5", "nan", 1), "line 2, column .* must be a finite number, got"),
        (
            lambda t: t.replace("agent,1,", "agent,0,"),
            r"seed 0 of g, ensemble2, agent must stand .* got it in lines 2 and 3",
        ),
        (
            lambda t: t.replace(",agent,", ",agnet,", 1),
            "line 2, column policy, must be agent or",
        ),
        (lambda t: t.split("\n", 1)[0] + "\n", "has no rows"),
        (lambda t: t + "x" * 140_000 + "\n", "must be a CSV file in UTF-8: field larger than"),
        (lambda t: "\n".join(t.split("\n")[:9]) + "\n", "must hold agents that distil and a"),
        (
            lambda t: "\n".join(t.split("\n")[:-2]) + "\n",
            "must have the same seeds to be paired, got seed 7 of one",
        ),
    ],
)
def test_wrong_tables_are_named(change, words, tmp_path, capsys):
    table = tmp_path / "finals.csv"
    table.write_text(change(made_up(0.1)))
    assert main(["effects", str(table)]) == 2
    error = capsys.readouterr().err
    assert re.search(words, error)
    assert error.count("\n") == 1


def test_the_commands_write_table_and_picture_once(sweep, tmp_path, capsys):
    _, folder, table = sweep
    file = tmp_path / "sweep.toml"
    file.write_text(
        """
seeds = 4
seeds_per_run = 2
[settings]
env = "pixelgrid"
n_envs = 4
rollout_steps = 16
updates = 3
hidden = 8
pixelgrid.size = 3
[games.two]
pixelgrid.train_renderings = 2
[algorithms.mdpo2]
"""
    )
    new, picture = tmp_path / "new.csv", tmp_path / "effects.png"
    command = ["finals", str(file), "--runs", str(folder), "--table", str(new)]
    assert main(command) == 0
    assert "8 rows" in capsys.readouterr().out
    assert set(new.read_text().split("\n")) < set(table.read_text().split("\n"))
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["effects", str(table), "--picture", str(picture)]) == 0
    assert "undecided in" in capsys.readouterr().out
    assert picture.stat().st_size > 10_000
    assert main(["effects", str(table), "--picture", str(picture)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_two_algorithms_that_a_table_cannot_tell_apart_are_named(tmp_path, capsys):
    table = tmp_path / "finals.csv"
    text = made_up(0.1)
    table.write_text(text + "\n".join(r.replace("mdpo2", "twin") for r in text.split("\n")[9:]))
    assert main(["effects", str(table)]) == 2
    assert "mdpo2 and twin of g have the same N, alpha and steps" in capsys.readouterr().err


def test_runs_of_other_settings_get_no_table(sweep):
    plan, folder, _ = sweep
    other = dataclasses.replace(
        plan.runs[0], config=dataclasses.replace(plan.runs[0].config, learning_rate=0.1)
    )
    with pytest.raises(ValueError, match="has other settings than the sweep's file says"):
        finals_of(dataclasses.replace(plan, runs=(other,)), folder)


def test_violations_are_counted_and_end_with_status_1(sweep, tmp_path, monkeypatch, capsys):
    plan, folder, _ = sweep
    honest = finals.audit_run

    def claims_violations(run):
        return dataclasses.replace(honest(run), violations=2)

    monkeypatch.setattr(finals, "audit_run", claims_violations)
    assert finals_of(plan, folder)[1].violations == 2 * len(plan.runs)
    monkeypatch.setattr("experiments.sweep.plan.load_plan", lambda path: plan)
    command = ["finals", "x.toml", "--runs", str(folder), "--table", str(tmp_path / "t.csv")]
    assert main(command) == 1
    assert f"{2 * len(plan.runs)} of" in capsys.readouterr().out


def test_a_sweep_that_is_not_finished_is_named(sweep, tmp_path, capsys):
    file = tmp_path / "sweep.toml"
    file.write_text('seeds = 1\n[settings]\nenv = "pixelgrid"\n[games.g]\n[algorithms.a]\n')
    assert main(["finals", str(file), "--runs", str(tmp_path)]) == 2
    assert "g/a/seed0 is no run of `mdpo train`" in capsys.readouterr().err
    plan = plan_of(
        {
            "settings": {"env": "pixelgrid", "updates": 4, "evaluate_every": 2},
            "games": {"g": {}},
            "algorithms": {"a": {}},
        }
    )
    train(plan.runs[0].config, tmp_path / plan.runs[0].name, stop_after=2)
    with pytest.raises(ValueError, match="is not finished: 2 of 4 updates"):
        finals_of(plan, tmp_path)


def test_means_of_games_are_over_games_first_and_seeds_then(sweep):
    found = effects(read_finals(sweep[2]), "heldout_return")
    means = over_games(found)
    assert len(means) == len(found) / 2
    for mean in means:
        assert mean.game == EVERY_GAME
        pair = [e for e in found if e.question == mean.question]
        per_seed = np.mean([list(e.per_seed.values()) for e in pair], axis=0)
        test = scipy.stats.ttest_1samp(per_seed, 0)
        assert mean.difference.mean == pytest.approx(per_seed.mean())
        assert mean.difference.p == pytest.approx(test.pvalue)
    assert [e.decided for e in means] == holm([e.difference.p for e in means]).tolist()


def test_a_mean_of_games_decides_what_no_game_does(tmp_path):
    """Eight games, in each of which noise hides the difference."""
    table = tmp_path / "finals.csv"
    head, *rows = made_up(0.0).strip().split("\n")
    rng = np.random.default_rng(3)
    lines = [head]
    for game in "abcdefgh":
        for row in rows:
            cells = row.split(",")
            value = 0.5 + 0.0007 * (cells[1] == "mdpo2") + rng.normal(scale=0.001)
            lines.append(",".join([game, *cells[1:7], *[str(value)] * 6]))
    table.write_text("\n".join(lines) + "\n")
    found = effects(read_finals(table), "gap")
    assert not any(e.decided for e in found)
    [mean] = over_games(found)
    assert mean.decided
    assert "undecided in 8 of 8; in the mean of games higher in 1," in sentences(found, "gap")[0]


def test_games_with_other_seeds_have_no_mean(tmp_path):
    table = tmp_path / "finals.csv"
    rows = made_up(0.1)
    other = "\n".join(r.replace("g,", "h,", 1).replace("agent,7,", "agent,8,")
                      for r in rows.split("\n")[1:])  # fmt: skip
    table.write_text(rows + other)
    found = effects(read_finals(table), "gap")
    assert len(found) == 2
    assert over_games(found) == []
    assert over_games(found[:1]) == []  # one game is its own mean


def test_a_comparison_that_some_game_lacks_has_no_mean(sweep):
    found = effects(read_finals(sweep[2]), "gap")
    mixtures = [e for e in found if e.question == CONTROL and e.game == "four"]
    elsewhere = [dataclasses.replace(e, game="third") for e in mixtures]
    assert {e.question for e in over_games([*found, *elsewhere])} == {CONTROL}


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path):
    table = tmp_path / "finals.csv"
    table.write_bytes(b"\xef\xbb\xbf" + made_up(0.1).replace("\n", "\r\n").encode())
    assert len(read_finals(table)) == 2


def test_a_run_that_is_not_what_its_sweep_left_gets_no_table(sweep, tmp_path):
    plan, folder, _ = sweep
    run = plan.runs[0]
    shutil.copytree(folder / run.name, tmp_path / run.name)
    note = {"update": 3, "seconds": 1.0, "started_at": [0], "digests": digests(tmp_path / run.name)}
    (tmp_path / run.name / NOTE).write_text(json.dumps(note))
    plan = dataclasses.replace(plan, runs=(run,))
    assert finals_of(plan, tmp_path)[0]
    other = folder / plan.runs[0].name.replace("ppo", "ppo-2x-steps")
    last = sorted((other / "evaluations").iterdir())[-1]
    shutil.copy(last, tmp_path / run.name / "evaluations")
    with pytest.raises(ValueError, match=rf"two/ppo/seed0/evaluations/{last.name} is changed: rem"):
        finals_of(plan, tmp_path)


def test_seeds_that_all_agree_decide_nothing():
    same = interval(np.full(8, 0.125))
    assert math.isnan(same.p)
    assert not same.decides
    assert holm([same.p]).tolist() == [False]
