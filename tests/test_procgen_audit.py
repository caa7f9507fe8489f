"""The audit on Procgen: numbers per level, statements with their verdicts, the moments shown."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from experiments.envs.pixelgrid import PixelGridConfig, make_pixelgrid
from experiments.envs.procgen import libenv
from experiments.envs.procgen.renderings import ORIGINAL, Rendering
from experiments.envs.procgen.rewards import episode_returns
from experiments.interval_statements import FAMILY, PLAYED, interval_statements
from experiments.pixelgrid.audit import softmax
from experiments.pixelgrid.sampled import sample_episodes
from experiments.procgen.measures import moments
from experiments.procgen.measures.attribution import Attribution
from experiments.procgen.measures.audit import (
    ALL,
    HEADER,
    STATEMENTS,
    about,
    audit,
    caption,
    cells,
    require_heldout,
    tables,
)
from experiments.procgen.measures.moments import (
    MOMENTS,
    costliest,
    measure_moments,
    require_other,
    sentence,
)
from experiments.procgen.measures.robustness import (
    Distances,
    Plan,
    Play,
    Robustness,
    measure_robustness,
)
from mdtheory import LatentPolicy, Problem, files, measure
from mdtheory.intervals import Band
from mdtheory.judge import HOLDS, UNDECIDED, VIOLATED
from tests.procgen_scripted import BLACK, CAMERA, CONFIG, HUE, IMAGE, Decided

BOSSFIGHT = dataclasses.replace(CONFIG, env="procgen:bossfight")
"""A step can pay 2 rounds and 10 for the boss, an episode 6 rounds and 10: Delta = 12, W = 16."""
TRAIN, HELDOUT = (ORIGINAL, IMAGE), (HUE, CAMERA, BLACK)
PLAN = Plan((4, 8, 9, 12), (HUE, ORIGINAL, CAMERA, IMAGE, BLACK), TRAIN, 0.9)


def a_play(lead: Rendering, returns: Any, tv: dict[Rendering, Any]) -> Play:
    """Whose undiscounted sums are nothing like the discounted ones."""
    n = len(returns)
    return Play(
        policy="agent 0",
        lead=lead,
        returns=np.array(returns, float) + 3,
        discounted_returns=np.array(returns, float),
        lengths=np.full(n, 50),
        solved=np.zeros(n, bool),
        entropy=np.zeros(n),
        distances={
            other: Distances(
                tv=np.array(sums, float) * 3 + 1,
                discounted_tv=np.array(sums, float),
                largest_tv=np.ones(n),
                kl=np.ones(n),
                agreement=np.ones(n),
                value_difference=np.ones(n),
            )
            for other, sums in tv.items()
        },
    )


PLAYS = {
    ORIGINAL: a_play(ORIGINAL, [8, 2, 6, 4], {
        HUE: [1, 0, 2, 0], CAMERA: [3, 0, 0, 2], BLACK: [2, 3, 1, 1], IMAGE: [7, 7, 7, 7]}),
    IMAGE: a_play(IMAGE, [6, 2, 8, 2], {
        HUE: [0, 0, 4, 1], CAMERA: [0, 2, 2, 1], BLACK: [0, 1, 3, 1], ORIGINAL: [7, 7, 7, 7]}),
    HUE: a_play(HUE, [3, 0, 6, 3], {ORIGINAL: [5, 4, 5, 4], IMAGE: [6, 5, 6, 6]}),
    CAMERA: a_play(CAMERA, [0, 3, 3, 0], {ORIGINAL: [4, 4, 6, 5], IMAGE: [5, 6, 5, 5]}),
    BLACK: a_play(BLACK, [6, 0, 3, 3], {ORIGINAL: [6, 6, 4, 5], IMAGE: [4, 5, 4, 6]}),
}  # fmt: skip
MEASURED = Robustness(BOSSFIGHT, 7, PLAN, {"agent 0": PLAYS})
ETA, XI, TV = [7, 2, 7, 3], [3, 1, 4, 2], [1, 1, 2, 1]


def test_numbers_per_level_by_hand():
    everything, *alone = audit(MEASURED)
    assert [one.about for one in (everything, *alone)] == [
        ALL,
        "hue=0.1",
        "camera",
        "no-background",
    ]
    assert {one.policy for one in (everything, *alone)} == {"agent 0"}
    sample = everything.sample
    assert sample.train_return.tolist() == ETA
    assert sample.heldout_return.tolist() == XI
    np.testing.assert_allclose(sample.tv_sum, TV, rtol=1e-15)
    assert (sample.discount, sample.confidence, sample.drawn) == (0.9, 0.95, False)
    assert (sample.reward_range, sample.return_range, sample.train_mass) == (12, 16, 2 / 5)
    assert sample.n_clusters == 4

    hue = alone[0].sample
    assert hue.train_return.tolist() == ETA
    assert hue.heldout_return.tolist() == [3, 0, 6, 3]
    assert hue.tv_sum.tolist() == [0.5, 0, 3, 0.5]
    assert hue.train_mass == 2 / 3


def test_ranges_are_those_of_the_game_that_can_also_take_away():
    """Fruitbot: 19 fruits and 2 presents of 10 to win, 19 times 4 to lose, in a step if need be."""
    sample = audit(dataclasses.replace(MEASURED, config=CONFIG))[0].sample
    assert (sample.reward_range, sample.return_range) == (39 + 76, 39 + 76)


def mean_over(pairs: list[tuple[Rendering, Rendering]], column: str = "discounted_tv") -> Any:
    return np.mean([getattr(PLAYS[f].distances[h], column) for f, h in pairs], axis=0)


@pytest.mark.parametrize(
    "wrong",
    [
        mean_over([(f, h) for f in TRAIN for h in HELDOUT], "tv"),
        mean_over([(h, f) for f in TRAIN for h in HELDOUT]),
        mean_over([(ORIGINAL, h) for h in HELDOUT]),
        mean_over([(f, h) for f in TRAIN for h in HELDOUT[:2]]),
        mean_over([(f, h) for f in TRAIN for h in PLAN.renderings if h != f]),
        np.sum([PLAYS[f].distances[h].discounted_tv for f in TRAIN for h in HELDOUT], axis=0),
    ],
    ids=["not discounted", "T and H swapped", "one of T forgotten", "one of H forgotten",
         "T among H", "sum for mean"],
)  # fmt: skip
def test_wrong_sums_of_tv_would_be_found(wrong):
    assert not np.allclose(wrong, TV)


def test_sides_of_the_statements_by_hand():
    """M = 2/5: the gap is 3/5 |2.5 - 4.75|, Rbar = 0.1 * 5/4, A0 = 3/5 * 12 / 0.1."""
    (report,) = audit(MEASURED)[0].reports
    assert report.estimates["heldout_minus_train"].mean == pytest.approx(-2.25)
    assert report.estimates["gap"].mean == pytest.approx(0.6 * 2.25)
    assert report.estimates["mean_robustness"].mean == pytest.approx(0.125)
    sides = {statement.id: statement.rhs.mean for statement in report.statements}
    assert sides == pytest.approx(
        {
            "A0": 0.6 * 12 / 0.1,
            "A3": 0.6 * 12 / 0.1 * 1.25,
            "A0 with return range": 0.6 * 16,
            "A3 with return range": 0.6 * 16 * 1.25,
        }
    )
    assert tuple(sides) == STATEMENTS
    assert {report[name].verdict for name in STATEMENTS} == {HOLDS}


def test_reports_are_those_of_the_sample():
    for method in ("student", "bernstein"):
        for one in audit(MEASURED, method=method, confidence=0.8):
            (expected,) = interval_statements(one.sample, method=method)
            (report,) = one.reports
            assert (report.method, report.confidence, report.about) == (method, 0.8, PLAYED)
            for mine, theirs in zip(report.statements, expected.statements, strict=True):
                assert (mine.id, mine.verdict, mine.rhs) == (theirs.id, theirs.verdict, theirs.rhs)


def other_world(**columns: dict[Rendering, Any]) -> Robustness:
    """One rendering trained on and one held out."""
    plays = {
        ORIGINAL: a_play(ORIGINAL, columns["returns"][ORIGINAL], {HUE: columns["tv"][ORIGINAL]}),
        HUE: a_play(HUE, columns["returns"][HUE], {ORIGINAL: columns["tv"][HUE]}),
    }
    plan = Plan(tuple(range(len(plays[HUE].returns))), (ORIGINAL, HUE), (ORIGINAL,), 0.9)
    return Robustness(BOSSFIGHT, 7, plan, {"agent 0": plays})


def test_a_violated_bound_is_called_so():
    """Impossible numbers: the return falls by 10 though the policy hardly sees a difference."""
    spread = np.linspace(0, 0.01, 30)
    measured = other_world(
        returns={ORIGINAL: 10 + spread, HUE: spread[::-1]},
        tv={ORIGINAL: spread, HUE: np.full(30, 9.0)},
    )
    (one,) = audit(measured)
    verdicts = {statement.id: statement.verdict for statement in one.reports[0].statements}
    assert verdicts == {
        "A0": HOLDS, "A3": VIOLATED, "A0 with return range": HOLDS,
        "A3 with return range": VIOLATED,
    }  # fmt: skip


def test_one_level_decides_nothing_but_can_be_shown():
    measured = other_world(returns={ORIGINAL: [10], HUE: [0]}, tv={ORIGINAL: [1], HUE: [1]})
    (one,) = audit(measured)
    assert {s.verdict for s in one.reports[0].statements} == {UNDECIDED}
    assert cells(one.reports[0])[:2] == ["-10.00", "0.1000"]
    assert "nan" not in printed(*tables(measured, [one], "run"))


def test_without_a_heldout_rendering_there_is_nothing_to_say():
    seen = dataclasses.replace(PLAN, renderings=TRAIN)
    with pytest.raises(ValueError, match="held out at least one, all were trained on"):
        audit(dataclasses.replace(MEASURED, plan=seen))
    with pytest.raises(ValueError, match="held out at least one, all were trained on"):
        require_heldout(seen)
    assert require_heldout(PLAN) == HELDOUT


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "wilson"}, "unknown method 'wilson'"),
        ({"confidence": 1.0}, r"confidence must lie in \(0, 1\), got 1.0"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        audit(MEASURED, **settings)


def test_drawn_renderings_add_their_family():
    everything, *alone = audit(MEASURED, drawn=True)
    assert [report.about for report in everything.reports] == [PLAYED, FAMILY]
    assert everything.sample.heldout_renderings == 3
    assert everything.sample.train_renderings is None
    assert all(len(one.reports) == 1 and not one.sample.drawn for one in alone)
    played, family = everything.reports
    for name in ("heldout_return", "mean_robustness"):
        assert family.estimates[name].low <= played.estimates[name].low
    assert [about(everything, r) for r in everything.reports] == [ALL, f"{ALL}, their family"]


def test_a_single_rendering_drawn_speaks_about_its_family_too():
    measured = dataclasses.replace(
        MEASURED, plan=dataclasses.replace(PLAN, renderings=(*TRAIN, HUE))
    )
    (one,) = audit(measured, drawn=True)
    assert one.about == "hue=0.1"
    assert [report.about for report in one.reports] == [PLAYED, FAMILY]
    assert one.sample.heldout_renderings == 1


def test_two_renderings_held_out_are_looked_at_together_too():
    plan = dataclasses.replace(PLAN, renderings=(*TRAIN, HUE, BLACK))
    together, *alone = audit(dataclasses.replace(MEASURED, plan=plan))
    assert [one.about for one in (together, *alone)] == [ALL, "hue=0.1", "no-background"]
    assert together.sample.heldout_return.tolist() == [4.5, 0, 4.5, 3]
    assert together.sample.train_mass == 2 / 4


def test_several_policies_are_audited_each_by_itself():
    other = {
        lead: dataclasses.replace(play, discounted_returns=play.discounted_returns / 2)
        for lead, play in PLAYS.items()
    }
    measured = dataclasses.replace(MEASURED, plays={"agent 0": PLAYS, "mixture": other})
    audits = audit(measured)
    assert [one.policy for one in audits] == ["agent 0"] * 4 + ["mixture"] * 4
    assert audits[4].sample.train_return.tolist() == [x / 2 for x in ETA]


# The whole chain, with known truth.


@pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")
def test_a_policy_without_chance_keeps_within_the_bound_on_every_level(tmp_path):
    """Then every level is a deterministic MDP: its returns and TV sums are the expectations, and
    |J_h - J_f| <= W sum_t gamma^t TV_t is a theorem about each."""
    config = dataclasses.replace(CONFIG, env="procgen:fruitbot")
    plan = Plan(tuple(range(20)), (ORIGINAL, HUE, BLACK), (ORIGINAL,), 0.99)
    measured = measure_robustness([Decided(config=config)], plan, tmp_path)  # type: ignore[list-item]
    pays = episode_returns("fruitbot", "easy")
    width, differ = pays.high - pays.low, 0
    for one in audit(measured, method="bernstein", confidence=0.5):
        sample = one.sample
        lost = abs(sample.heldout_return - sample.train_return)
        assert (lost <= width * sample.tv_sum + 1e-9).all()
        assert VIOLATED not in {s.verdict for s in one.reports[0].statements}
        differ += (lost > 0).sum()
    assert differ > 20
    for lead in (HUE, BLACK):  # where the actions never differ, nothing does
        tv = measured.plays["agent 0"][ORIGINAL].distances[lead].tv
        same = tv == 0
        home, there = (measured.plays["agent 0"][r].returns for r in (ORIGINAL, lead))
        np.testing.assert_array_equal(home[same], there[same])


def test_samples_of_the_pixel_grid_come_out_as_the_truth():
    """Every exit of the maze pays 30 in place of 1, which is the width of starpilot's rewards."""
    world = make_pixelgrid(PixelGridConfig())
    noise = np.random.default_rng(1).normal(size=(32, *world.next_state.shape))
    policy = softmax(1.5 * noise[:1] + noise)
    exact = world.problem
    problem = Problem(mdp=exact.mdp.to_float(), renderings=exact.renderings)
    truth = measure(problem, LatentPolicy(policy))
    sample = sample_episodes(world, policy, clusters=400, seed=2).sample
    plays = {
        ORIGINAL: a_play(ORIGINAL, 30 * sample.train_return[0], {HUE: sample.tv_sum[0]}),
        HUE: a_play(HUE, 30 * sample.heldout_return[0], {ORIGINAL: 0 * sample.tv_sum[0]}),
    }
    plan = Plan(tuple(range(400)), (ORIGINAL, HUE), (ORIGINAL,), float(exact.mdp.discount))
    config = dataclasses.replace(CONFIG, env="procgen:starpilot")
    (one,) = audit(Robustness(config, 7, plan, {"agent 0": plays}))
    estimates = one.reports[0].estimates
    for name, factor in (("train_return", 30), ("heldout_return", 30), ("mean_robustness", 1)):
        assert estimates[name].low < factor * float(truth[name]) < estimates[name].high
    difference = 30 * float(truth["heldout_return"] - truth["train_return"])
    found = estimates["heldout_minus_train"]
    assert found.low < difference < found.high
    allowed = 0.5 * 30 / 0.1**2 * float(truth["mean_robustness"])
    statement = one.reports[0]["A3"]
    assert statement.rhs.low < allowed < statement.rhs.high
    assert statement.verdict == HOLDS
    assert abs(0.5 * difference) <= allowed


# Tables.


def printed(*shown: Any) -> str:
    console = Console(width=180, record=True, file=io.StringIO())
    for table in shown:
        console.print(table)
    return console.export_text()


def test_tables_show_the_reports():
    audits = audit(MEASURED, drawn=True)
    (table,) = tables(MEASURED, audits, "my [bold] run")
    text = printed(table)
    assert "my [bold] run, agent 0: bossfight, easy, 4 levels, discount 0.9" in text
    for header in ("held out", *HEADER):
        assert header in text
    for one in audits:
        for report in one.reports:
            assert about(one, report) in text
            for cell in cells(report):
                assert all(part in text for part in cell.splitlines())
    words = " ".join(text.split())
    assert "width Delta = 12 and returns-to-go W = 16" in words
    assert "M = 0.4 for the first line" in words
    assert f"at 95 % each {PLAYED} and 90 % each {FAMILY}, method student" in words


def test_captions_say_the_confidence_to_the_letter():
    for confidence, said in ((0.95, "at 95 % each, "), (0.999, "at 99.9 % each, ")):
        assert said in caption(audit(MEASURED, confidence=confidence)[0])
    assert "method bernstein" in caption(audit(MEASURED, method="bernstein")[0])


def test_cells_by_hand():
    found = cells(audit(MEASURED)[0].reports[0])
    assert [cell.splitlines()[0] for cell in found] == [
        "-2.25", "0.1250", "1.35", "72", "90", "9.6", "12",
    ]  # fmt: skip
    assert [cell.splitlines()[-1] for cell in found[3:]] == [HOLDS] * 4
    assert found[3] == f"72\n{HOLDS}"  # A0 is no estimate, it has no interval
    assert found[0].splitlines()[1].startswith("[-")
    assert len(found) == len(HEADER)


def test_without_a_smaller_return_range_two_statements_are_left():
    plan = dataclasses.replace(PLAN, discount=0.1)  # Delta / 0.9 = 13.3 < 16
    plays = {
        lead: dataclasses.replace(
            play,
            distances={
                r: d._replace(discounted_tv=d.discounted_tv / 10) for r, d in play.distances.items()
            },
        )
        for lead, play in PLAYS.items()
    }
    found = cells(audit(dataclasses.replace(MEASURED, plan=plan, plays={"a": plays}))[0].reports[0])
    assert found[5:] == ["no smaller range"] * 2
    assert "no smaller range" not in found[:5]


def test_several_policies_have_a_table_each_and_one_caption():
    measured = dataclasses.replace(MEASURED, plays={"agent 0": PLAYS, "mixture": PLAYS})
    shown = tables(measured, audit(measured), "run")
    assert [str(table.title).split(":")[0] for table in shown] == ["run, agent 0", "run, mixture"]
    assert [table.caption is None for table in shown] == [True, False]
    assert [table.row_count for table in shown] == [4, 4]


# Moments.


def an_attribution(**settings: Any) -> Attribution:
    """Without a moment."""
    of_rendering = {name: settings[name] for name in ("reference", "other")}
    return Attribution(
        policy="agent 0", game="fruitbot", distribution_mode="easy", **of_rendering,
        levels=tuple(settings["levels"]), discount=settings["discount"], seed=settings["seed"],
        identity=Band(-1.234, -2.0, -0.5), measured=Band(-1.5, math.nan, math.nan),
        distance=Band(1.0, 0.5, 1.5), drawn=64, worst=(), best=(), rollouts=1234, steps=56789,
    )  # fmt: skip


class Loaded(Decided):
    """Stands in for a loaded policy."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `attribute` was asked for, in place of attributing."""
    calls: list[dict[str, Any]] = []

    def note(policy: Any, game: str, options: Any, **settings: Any) -> Attribution:
        calls.append({"policy": policy.name, "game": game, "options": options, **settings})
        return an_attribution(**settings)

    agents = [Loaded(k, name=f"agent {k}", config=BOSSFIGHT) for k in range(2)]
    monkeypatch.setattr(moments, "attribute", note)
    monkeypatch.setattr(moments, "load_on", lambda run, device: agents)
    return calls


BOTH = dataclasses.replace(MEASURED, plays={"agent 0": PLAYS, "agent 1": PLAYS})


def test_the_costliest_rendering_pays_least():
    assert costliest(MEASURED, "agent 0") == CAMERA
    dear = dataclasses.replace(PLAYS[IMAGE], returns=PLAYS[IMAGE].returns - 100)  # trained on
    plays = {"agent 0": {**PLAYS, IMAGE: dear}, "agent 1": {**PLAYS, BLACK: PLAYS[CAMERA],
                                                            CAMERA: PLAYS[BLACK]}}  # fmt: skip
    plays["agent 1"] = {
        lead: dataclasses.replace(play, lead=lead) for lead, play in plays["agent 1"].items()
    }
    measured = dataclasses.replace(MEASURED, plays=plays)
    assert costliest(measured, "agent 0") == CAMERA
    assert costliest(measured, "agent 1") == BLACK
    seen = dataclasses.replace(MEASURED, plan=dataclasses.replace(PLAN, renderings=TRAIN))
    with pytest.raises(ValueError, match="held out at least one"):
        costliest(seen, "agent 0")


def test_everything_about_moments_arrives(asked, tmp_path):
    found = measure_moments(tmp_path, BOTH, agent=1, of=BLACK, n_moments=5, on_progress=print)
    assert asked == [
        {
            "policy": "agent 1", "game": "bossfight", "options": BOSSFIGHT.options,
            "reference": ORIGINAL, "other": BLACK, "levels": PLAN.levels, "discount": 0.9,
            "seed": 0, "n_moments": 24 * 4, "n_worst": 5, "num_threads": 1, "on_progress": print,
        }
    ]  # fmt: skip
    assert found.other == BLACK
    measure_moments(tmp_path, BOTH)
    assert (asked[1]["policy"], asked[1]["other"], asked[1]["n_worst"]) == ("agent 0", CAMERA, 6)


@pytest.mark.parametrize(
    "changed",
    [{"agent": 1}, {"of": BLACK}, {"n_moments": 5}, {"levels": (4, 8)}, {"discount": 0.8},
     {"seed": 1}, {"train": (IMAGE, ORIGINAL)}],
)  # fmt: skip
def test_moments_are_measured_once_for_each_setting(changed, asked, tmp_path):
    first = measure_moments(tmp_path, BOTH)
    path = tmp_path / "measured" / MOMENTS
    kept = path.read_bytes()
    settings = {k: v for k, v in changed.items() if k in ("agent", "of", "n_moments")}
    plan = dataclasses.replace(PLAN, **{k: v for k, v in changed.items() if k not in settings})
    measure_moments(tmp_path, dataclasses.replace(BOTH, plan=plan), **settings)
    assert len(asked) == 2
    again = measure_moments(tmp_path, BOTH)
    assert len(asked) == 2
    assert again.to_json() == first.to_json()
    assert path.read_bytes().startswith(kept)
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize("change", [{"env": "procgen:dodgeball"}, {"distribution_mode": "hard"}])
def test_moments_of_equal_weights_in_another_game_or_mode_do_not_mix(change, asked, tmp_path):
    measure_moments(tmp_path, BOTH)
    config = dataclasses.replace(BOTH.config, **change)
    measure_moments(tmp_path, dataclasses.replace(BOTH, config=config))
    assert len(asked) == 2


def test_moments_survive_a_kill_and_a_damaged_line_is_named(asked, tmp_path):
    first = measure_moments(tmp_path, BOTH)
    path = tmp_path / "measured" / MOMENTS
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert measure_moments(tmp_path, BOTH).to_json() == first.to_json()
    assert path.read_bytes() == whole
    line = json.loads(whole)
    del line["attribution"]["worst"]
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match="line 1, is damaged: TypeError"):
        measure_moments(tmp_path, BOTH)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"agent": 2}, "agent must be from 0 to 1, got 2"),
        ({"agent": -1}, "agent must be from 0 to 1, got -1"),
        ({"of": ORIGINAL}, "must differ from the reference original, got it"),
        ({"of": Rendering.parse("background=999")}, "must name one of the images"),
    ],
)
def test_moments_that_cannot_be_are_refused(settings, message, asked, tmp_path):
    with pytest.raises(ValueError, match=message):
        measure_moments(tmp_path, BOTH, **settings)
    assert asked == []
    assert list(tmp_path.iterdir()) == []


def test_moments_of_one_folder_are_measured_by_one_process(asked, tmp_path):
    (tmp_path / "measured").mkdir()
    with (
        files.only_one(tmp_path / "measured"),
        pytest.raises(BlockingIOError, match="another process is at work in"),
    ):
        measure_moments(tmp_path, BOTH)


def test_a_rendering_to_compare_must_be_another_one_of_the_game():
    require_other(HUE, "bossfight", PLAN)
    require_other(IMAGE, "bossfight", PLAN)


def test_the_sentence_says_both_differences():
    settings = {"reference": ORIGINAL, "other": HUE, "levels": [1], "discount": 0.9, "seed": 0}
    assert sentence(an_attribution(**settings)) == (
        "agent 0, hue=0.1 against original, discounted returns: -1.23 [-2.00, -0.50] by the"
        " identity from 64 moments, -1.50 as played; 1,234 rollouts, 56,789 steps"
    )
