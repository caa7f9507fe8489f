"""Robustness of Procgen policies: numbers by a route of their own, what is kept, what is shown."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from rich.console import Console

from experiments.envs.procgen import libenv
from experiments.envs.procgen.renderings import ORIGINAL, Rendering
from experiments.procgen import evaluate
from experiments.procgen.measures.robustness import (
    _COLUMNS,
    ROBUSTNESS,
    Distances,
    Plan,
    Play,
    Robustness,
    measure_robustness,
    measured_folder,
    read_kept,
)
from experiments.procgen.measures.robustness_figure import rendering_figure, strength_figure
from experiments.procgen.measures.robustness_summary import (
    CAPTION,
    HEADER,
    PolicyRows,
    Row,
    between,
    by_policy,
    cells,
    shown_name,
    summarise,
    tables,
)
from mdtheory import files
from mdtheory.intervals import Band, band, ratio_band
from mdtheory.report.style import RUN_COLOURS
from tests.procgen_scripted import (
    BLACK,
    CAMERA,
    CODES,
    CONFIG,
    HUE,
    IMAGE,
    Blind,
    Decided,
    Known,
    Looking,
    Player,
    film,
    no_games,
    play_known_games,
)

needs_games = pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")
PLAN = Plan(levels=(3, 1, 4, 2, 6), renderings=(ORIGINAL, BLACK, HUE), train=(ORIGINAL,),
            discount=0.5, seed=3)  # fmt: skip
TINY = float(np.finfo(np.float32).tiny)


@pytest.fixture
def known_games(monkeypatch: pytest.MonkeyPatch) -> None:
    play_known_games(monkeypatch)


def measured(
    folder: Path, policy: Player | Sequence[Player], plan: Plan = PLAN, **settings: Any
) -> Robustness:
    policies = [policy] if isinstance(policy, Player) else policy
    return measure_robustness(policies, plan, folder, **settings)  # type: ignore[arg-type]


def content(found: Robustness) -> dict[str, dict[str, Any]]:
    """All numbers."""
    return {
        name: {str(lead): play.to_json() for lead, play in plays.items()}
        for name, plays in found.plays.items()
    }


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / ROBUSTNESS).read_text().splitlines()]


# Distances and returns.


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    pairs = zip(p.tolist(), q.tolist(), strict=True)
    return sum(x * math.log(x / max(y, TINY)) for x, y in pairs if x > 0)


def assert_is_what_films_say(play: Play, policy: Player, films: list[Any], discount: float) -> None:
    """`films`: of each level, its steps: pictures (the lead's first), reward, solved."""
    others = list(play.distances)
    for row, steps in enumerate(films):
        assert play.lengths[row] == len(steps)
        assert play.returns[row] == pytest.approx(sum(pays for _, pays, _ in steps))
        assert play.solved[row] == steps[-1][2]
        expected = sum(discount**t * pays for t, (_, pays, _) in enumerate(steps))
        assert play.discounted_returns[row] == pytest.approx(expected, rel=1e-12)
        acted = [policy.row(pictures[0])[0].astype(np.float32).tolist() for pictures, *_ in steps]
        entropy = -sum(x * math.log(x) for p in acted for x in p if x > 0)
        assert play.entropy[row] == pytest.approx(entropy, rel=1e-6)
        for i, other in enumerate(others):
            tv, kl, same, apart = [], [], [], []
            for pictures, *_ in steps:
                (p, v), (q, w) = (policy.row(pictures[k]) for k in (0, i + 1))
                p, q = (one.astype(np.float32).astype(np.float64) for one in (p, q))
                tv.append(0.5 * sum(abs(x - y) for x, y in zip(p, q, strict=True)))
                kl.append(max(0.0, divergence(p, q)))
                same.append(int(np.argmax(p) == np.argmax(q)))
                apart.append(abs(float(np.float32(v) - np.float32(w))))
            found = {name: column[row] for name, column in play.distances[other]._asdict().items()}
            assert found == pytest.approx(
                {
                    "tv": sum(tv),
                    "discounted_tv": sum(discount**t * x for t, x in enumerate(tv)),
                    "largest_tv": max(tv),
                    "kl": sum(kl),
                    "agreement": sum(same),
                    "value_difference": sum(apart),
                },
                rel=1e-9,
                abs=1e-12,
            )


@needs_games
@pytest.mark.parametrize(
    ("game", "kind", "images"), [("fruitbot", Looking, 1), ("bossfight", Decided, 2)]
)
def test_numbers_are_those_of_environments_stepped_side_by_side(game, kind, images, tmp_path):
    policy = kind(config=dataclasses.replace(CONFIG, env=f"procgen:{game}"))
    train = (ORIGINAL, IMAGE)[:images]
    plan = Plan(levels=(900, 3, 12), renderings=(*train, BLACK, HUE), train=train,
                discount=0.97, seed=5)  # fmt: skip
    found = measured(tmp_path, policy, plan, num_envs=2)
    (plays,) = found.plays.values()
    assert tuple(plays) == plan.renderings
    for lead, play in plays.items():
        watched = [r for r in (plan.renderings if lead in train else train) if r != lead]
        assert (play.lead, list(play.distances)) == (lead, watched)
        films = [film(game, (lead, *watched), policy, level, plan.seed) for level in plan.levels]
        assert_is_what_films_say(play, policy, films, plan.discount)
    assert len(set(plays[ORIGINAL].lengths.tolist())) == 3
    assert plays[ORIGINAL].distances[HUE].tv.min() > 0


def test_hand_worked_episode(known_games, tmp_path):
    """Level 3 under the original: action 1 has probability 0, 1 and 3/4; in black 3/4, 1/2, 1/4."""
    plan = dataclasses.replace(PLAN, levels=(3,), renderings=(ORIGINAL, BLACK))
    play = measured(tmp_path, Known(), plan).plays["agent 0"][ORIGINAL]
    assert (play.returns.tolist(), play.lengths.tolist()) == ([1 + 2 + 3], [3])
    assert play.discounted_returns.tolist() == [1 + 2 / 2 + 3 / 4]
    assert play.solved.tolist() == [False]
    assert play.entropy.tolist() == pytest.approx([2 * math.log(2) - 0.75 * math.log(3)])
    found = play.distances[BLACK]
    assert found.tv.tolist() == [0.75 + 0.5 + 0.5]
    assert found.discounted_tv.tolist() == [0.75 + 0.5 / 2 + 0.5 / 4]
    assert found.largest_tv.tolist() == [0.75]
    kl = math.log(4) + math.log(2) + (0.75 * math.log(3) - 0.25 * math.log(3))
    assert found.kl.tolist() == pytest.approx([kl])
    assert found.agreement.tolist() == [0]  # of 1/2 and 1/2 the first action counts
    assert found.value_difference.tolist() == [0.5 + 1.0 + 1.5]


@pytest.mark.parametrize("num_envs", [1, 2, 3, 32])
def test_games_that_are_used_again_begin_anew(num_envs, known_games, tmp_path):
    """Episodes of different length, in order of levels, whoever plays beside them."""
    policy = Known()
    found = measured(tmp_path, policy, num_envs=num_envs)
    for lead, play in found.plays["agent 0"].items():
        watched = [r for r in PLAN.renderings if lead == ORIGINAL or r == ORIGINAL]
        renderings = [lead, *(r for r in watched if r != lead)]
        films = []
        for level in PLAN.levels:
            shown = np.zeros((level, len(renderings), 64, 64, 3), dtype=np.uint8)
            shown[..., 0, 0, 0] = [CODES[r] for r in renderings]
            shown[..., 0, 0, 1] = level
            shown[..., 0, 0, 2] = np.arange(level)[:, None]
            films.append([(list(s), t + 1.0, level % 2 == 0) for t, s in enumerate(shown)])
        assert play.lengths.tolist() == list(PLAN.levels)
        assert_is_what_films_say(play, policy, films, PLAN.discount)


@needs_games
def test_games_that_are_used_again_begin_anew_in_procgen(tmp_path):
    plan = dataclasses.replace(PLAN, levels=(1, 900, 7, 8, 2000), renderings=(ORIGINAL, BLACK))
    few, many = (measured(tmp_path / str(n), Looking(), plan, num_envs=n) for n in (2, 5))
    assert content(few) == content(many)


@needs_games
def test_a_blind_policy_is_the_same_in_all_renderings(tmp_path):
    plan = dataclasses.replace(PLAN, levels=(5, 6), renderings=(ORIGINAL, BLACK, HUE))
    plays = measured(tmp_path, Blind(), plan).plays["agent 0"]
    for play in plays.values():
        for found in play.distances.values():
            for name in ("tv", "discounted_tv", "largest_tv", "kl", "value_difference"):
                assert not getattr(found, name).any()
            np.testing.assert_array_equal(found.agreement, play.lengths)
        np.testing.assert_array_equal(play.returns, plays[ORIGINAL].returns)
    for row in summarise(measured(tmp_path, Blind(), plan)):
        assert (row.mean_tv, row.agreement) == (Band(0, 0, 0), Band(1, 1, 1))


@needs_games
def test_two_names_of_one_picture_differ_by_nothing(tmp_path):
    """In leaper the camera sees the whole level anyway, and a hue is shifted by nothing."""
    policy = Looking(config=dataclasses.replace(CONFIG, env="procgen:leaper"))
    same = (CAMERA, Rendering.parse("hue=0"))
    plan = dataclasses.replace(PLAN, levels=(1, 2), renderings=(ORIGINAL, *same, BLACK))
    plays = measured(tmp_path, policy, plan).plays["agent 0"]
    for rendering in same:
        for found in (plays[ORIGINAL].distances[rendering], plays[rendering].distances[ORIGINAL]):
            for name in ("tv", "discounted_tv", "largest_tv", "kl", "value_difference"):
                assert not getattr(found, name).any()
        np.testing.assert_array_equal(plays[rendering].returns, plays[ORIGINAL].returns)
    assert plays[ORIGINAL].distances[BLACK].tv.min() > 0


def test_a_probability_that_is_not_finite_is_refused_in_every_rendering(known_games, tmp_path):
    class Broken(Known):
        def row(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
            likely, value = super().row(picture)
            return (likely * np.nan, value) if picture[0, 0, 0] == self.seed else (likely, value)

    class Worthless(Known):
        def worth(self, code: int, step: int) -> float:
            return math.nan if code == self.seed else 1.0

    for policy in (Broken(0), Broken(2), Worthless(0), Worthless(2)):
        with pytest.raises(ArithmeticError, match=r"of agent 0 must be|agent 0 makes of pictures"):
            measured(tmp_path, policy)
    assert not (tmp_path / ROBUSTNESS).exists()


def test_a_rendering_alone_is_played_with_nothing_to_compare(known_games, tmp_path):
    plan = dataclasses.replace(PLAN, renderings=(ORIGINAL,))
    found = measured(tmp_path, Known(), plan)
    assert found.plays["agent 0"][ORIGINAL].distances == {}
    (row,) = summarise(found)
    assert (row.rendering, row.mean_tv) == (ORIGINAL, Band(0, 0, 0))
    assert content(measured(tmp_path, Known(stop_after=0), plan)) == content(found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": ()}, "contain all that were trained on, at least one, and lack any"),
        ({"train": (ORIGINAL, IMAGE)}, "at least one, and lack background=2"),
        ({"levels": ()}, "levels must be at least one, got none"),
        ({"discount": 1.0}, r"discount must lie in \[0, 1\), got 1.0"),
        ({"discount": -0.1}, r"discount must lie in \[0, 1\), got -0.1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PLAN, **changes)


def test_who_is_compared_with_whom():
    plan = Plan((1,), (BLACK, ORIGINAL, HUE, IMAGE), (ORIGINAL, IMAGE), 0.9)
    assert plan.heldout == (BLACK, HUE)
    assert plan.watched(ORIGINAL) == (BLACK, HUE, IMAGE)
    assert plan.watched(BLACK) == (ORIGINAL, IMAGE)


# What is kept.


def test_what_was_measured_is_not_measured_again(known_games, tmp_path, monkeypatch):
    first = measured(tmp_path, [Known(), Known(1, name="agent 1")])
    before = (tmp_path / ROBUSTNESS).read_bytes()
    monkeypatch.setattr(evaluate, "LockstepGames", no_games)
    again = measured(tmp_path, [Known(stop_after=0), Known(1, name="agent 1", stop_after=0)])
    assert content(again) == content(first)
    assert (again.update, again.plan, again.config) == (7, PLAN, CONFIG)
    assert (tmp_path / ROBUSTNESS).read_bytes() == before
    fewer = dataclasses.replace(PLAN, renderings=(ORIGINAL, HUE))
    found = measured(tmp_path, Known(stop_after=0), fewer).plays["agent 0"]
    assert found[HUE].to_json() == first.plays["agent 0"][HUE].to_json()


def test_more_renderings_compute_what_is_missing(known_games, tmp_path):
    measured(tmp_path / "kept", Known())
    before, policy = (tmp_path / "kept" / ROBUSTNESS).read_bytes(), Known()
    more = dataclasses.replace(PLAN, renderings=(*PLAN.renderings, IMAGE))
    found = measured(tmp_path / "kept", policy, more)
    assert (tmp_path / "kept" / ROBUSTNESS).read_bytes().startswith(before)
    assert [line["lead"] for line in lines(tmp_path / "kept")[3:]] == ["original", "background=2"]
    states = sum(PLAN.levels)
    assert policy.looked == states * (1 + 3) + states * (1 + 1)
    assert content(found) == content(measured(tmp_path / "new", Known(), more))


def test_another_policy_computes_what_is_its_own(known_games, tmp_path):
    first, other = Known(), Known(1, name="mixture")
    measured(tmp_path, first)
    again = Known(stop_after=0)
    found = measured(tmp_path, [again, other])
    assert list(found.plays) == ["agent 0", "mixture"]
    assert [line["policy"] for line in lines(tmp_path)] == 3 * ["agent 0"] + 3 * ["mixture"]
    assert content(found)["mixture"] == content(measured(tmp_path, other))["mixture"]


@pytest.mark.parametrize(
    "changes",
    [{"levels": (3, 1)}, {"levels": (1, 3, 4, 2, 6)}, {"discount": 0.6}, {"seed": 4}],
)
def test_other_settings_do_not_mix(changes, known_games, tmp_path):
    first = measured(tmp_path, Known())
    other = dataclasses.replace(PLAN, **changes)
    found = measured(tmp_path, Known(), other)
    assert len(lines(tmp_path)) == 6
    assert content(found) == content(measured(tmp_path / "alone", Known(), other))
    assert content(measured(tmp_path, Known(stop_after=0))) == content(first)


def test_other_weights_of_the_same_name_do_not_mix(known_games, tmp_path):
    measured(tmp_path, Known(0))
    found = measured(tmp_path, Known(1))
    assert content(found) == content(measured(tmp_path / "alone", Known(1)))
    assert len(lines(tmp_path)) == 6


@pytest.mark.parametrize("change", [{"env": "procgen:dodgeball"}, {"distribution_mode": "hard"}])
def test_equal_weights_in_another_game_or_mode_do_not_mix(change, known_games, tmp_path):
    first = measured(tmp_path, Known())
    measured(tmp_path, Known(config=dataclasses.replace(CONFIG, **change)))
    assert len(lines(tmp_path)) == 6
    assert content(measured(tmp_path, Known(stop_after=0))) == content(first)


def test_levels_may_be_numbers_of_numpy(known_games, tmp_path):
    levels = tuple(np.array([3, 1]))
    first = measured(tmp_path, Known(), dataclasses.replace(PLAN, levels=levels))
    again = dataclasses.replace(PLAN, levels=(3, 1))
    assert content(measured(tmp_path, Known(stop_after=0), again)) == content(first)


def test_measuring_that_was_killed_goes_on_to_the_same_file(known_games, tmp_path):
    whole = content(measured(tmp_path / "whole", [Known(), Known(1, name="agent 1")]))
    expected = (tmp_path / "whole" / ROBUSTNESS).read_bytes()
    kills = 0
    for stop_after in (0, 20, 60, 90, 140):
        folder = tmp_path / str(stop_after)
        with pytest.raises(KeyboardInterrupt):
            measured(folder, [Known(stop_after=stop_after), Known(1, name="agent 1", stop_after=9)])
        path = folder / ROBUSTNESS
        kills += path.exists()
        assert expected.startswith(path.read_bytes() if path.exists() else b"")
        assert content(measured(folder, [Known(), Known(1, name="agent 1")])) == whole
        assert path.read_bytes() == expected
    assert kills >= 3


def test_a_line_cut_off_by_a_kill_is_measured_again(known_games, tmp_path):
    whole = content(measured(tmp_path, Known()))
    path = tmp_path / ROBUSTNESS
    expected = path.read_bytes()
    for cut in (1, 10, len(expected) // 2, len(expected) - 1):
        path.write_bytes(expected[:cut])
        assert content(measured(tmp_path, Known())) == whole
        assert path.read_bytes() == expected


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda line: "{", "must be a JSON object with an update number"),
        (lambda line: json.dumps({"update": 3}), "is damaged: KeyError('key')"),
        (lambda line: line.replace('"lengths"', '"lenghts"'), "is damaged: KeyError('lengths')"),
        (lambda line: line.replace('"kl"', '"lk"'), "is damaged: TypeError("),
        (lambda line: line.replace("hue=0.1", "hue=9"), "is damaged: ValueError("),
        (lambda line: json.dumps({**json.loads(line), "distances": []}), "damaged: AttributeError"),
    ],
)
def test_a_damaged_line_is_named(spoil, what, known_games, tmp_path):
    measured(tmp_path, Known())
    path = tmp_path / ROBUSTNESS
    first, *rest = path.read_text().splitlines()
    spoiled = [first, spoil(rest[-1])]
    path.write_text("\n".join(spoiled) + "\n")
    with pytest.raises(ValueError, match="line 2") as caught:
        measured(tmp_path, Known())
    assert what in str(caught.value)
    assert str(caught.value).startswith(f"{path}, line 2,")
    assert path.read_text().splitlines() == spoiled


def test_read_kept_gives_what_is_read_of_each_line(tmp_path):
    path = tmp_path / "file"
    assert read_kept(path, lambda line: line["a"]) == []
    path.write_text('{"update": 1, "a": 5}\n{"update": 1, "a": null}\n{"update": 1, "a"')
    assert read_kept(path, lambda line: line["a"]) == [5, None]


def test_two_processes_do_not_measure_into_one_folder(known_games, tmp_path):
    with (
        files.only_one(tmp_path),
        pytest.raises(BlockingIOError, match=f"^another process is at work in {tmp_path}$"),
    ):
        measured(tmp_path, Known())
    measured(tmp_path, Known())


def test_progress_rises_to_one(known_games, tmp_path):
    shown: list[tuple[str, float]] = []
    policies = [Known(), Known(1, name="agent 1")]
    measured(tmp_path, policies, on_progress=lambda text, share: shown.append((text, share)))
    shares = [share for _, share in shown]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert shown[0][0] == "agent 0, sampled, original"
    assert shown[-1][0] == "agent 1, sampled, hue=0.1"


def test_results_are_beside_a_file_and_within_a_folder(tmp_path):
    (tmp_path / "policy.safetensors").touch()
    assert measured_folder(tmp_path) == tmp_path / "measured"
    assert measured_folder(tmp_path / "policy.safetensors") == tmp_path / "policy.measured"


def test_a_play_is_all_in_its_json(known_games, tmp_path):
    for play in measured(tmp_path, Known()).plays["agent 0"].values():
        text = json.dumps(play.to_json())
        again = Play.from_json(json.loads(text))
        assert json.dumps(again.to_json()) == text
        assert (again.lead, again.solved.dtype, again.lengths.dtype) == (play.lead, bool, int)


# Summary.


def distances(**columns: list[float]) -> Distances:
    zeros = np.zeros(2)
    return Distances(**{n: np.array(columns.get(n, zeros), float) for n in Distances._fields})


def a_play(lead: Rendering, returns: list[float], lengths: list[int], **others: Any) -> Play:
    return Play(
        policy="agent 0",
        lead=lead,
        returns=np.array(returns, float),
        discounted_returns=np.array(returns, float) / 2,
        lengths=np.array(lengths),
        solved=np.array(returns) > 0,
        entropy=np.array(returns, float) / 4,
        distances={Rendering.parse(name): found for name, found in others.items()},
    )


HOME = a_play(
    ORIGINAL, [4, 6], [2, 6],
    **{
        "no-background": distances(tv=[1, 1], largest_tv=[0.5, 0.25], kl=[2, 4],
                                   agreement=[1, 5], value_difference=[10, 6]),
        "background=2": distances(tv=[0.5, 1.5], agreement=[2, 6]),
    },
)  # fmt: skip
THERE = a_play(BLACK, [1, 5], [4, 6], original=distances(tv=[4, 1], largest_tv=[0.75, 1 / 8]))
FOREST = a_play(IMAGE, [4, 6], [3, 3], original=distances(tv=[3, 0], largest_tv=[0.125, 0]))
BY_HAND = Robustness(
    CONFIG,
    7,
    Plan((1, 2), (BLACK, ORIGINAL, IMAGE), (ORIGINAL,), 0.5),
    {"agent 0": {BLACK: THERE, ORIGINAL: HOME, IMAGE: FOREST}},
)


def test_rows_by_hand():
    reference, black, forest = summarise(BY_HAND)
    assert [r.rendering for r in (reference, black, forest)] == [ORIGINAL, BLACK, IMAGE]
    assert [r.standing for r in (reference, black, forest)] == [
        "seen", "out of distribution", "in distribution",
    ]  # fmt: skip
    assert reference.mean_tv == reference.mean_tv_there == reference.kl == Band(0, 0, 0)
    assert reference.agreement == Band(1, 1, 1)
    assert (reference.largest_tv, reference.change) == (0, Band(0, 0, 0))
    assert reference.returned == Band(*band(np.array([4.0, 6])))

    assert black.policy == "agent 0"
    assert black.mean_tv.mean == 2 / 8  # of sums: the mean of the levels' ratios is 1/3
    assert black.mean_tv_there.mean == 5 / 10
    assert black.largest_tv == 0.75  # seen under the other rendering
    assert black.kl.mean == 6 / 8
    assert black.agreement.mean == 6 / 8
    assert black.value_difference.mean == 16 / 8
    assert black.returned == Band(*band(np.array([1.0, 5])))
    assert black.entropy.mean == (1 + 5) / 4 / 10  # of those that it acts on
    assert black.change == Band(*band(np.array([-3.0, -1])))  # in pairs: -3 and -1

    assert forest.mean_tv == Band(0.25, 0.25, 0.25)  # 0.5 / 2 = 1.5 / 6: no spread
    assert forest.mean_tv_there.mean == 0.5
    assert forest.largest_tv == 0.125
    assert forest.agreement == Band(1, 1, 1)


def test_an_image_that_no_training_level_draws_is_out_of_distribution():
    coinrun = dataclasses.replace(CONFIG, env="procgen:coinrun")
    for mode, expected in (("easy", "out of distribution"), ("hard", "in distribution")):
        config = dataclasses.replace(coinrun, distribution_mode=mode)
        *_, forest = summarise(dataclasses.replace(BY_HAND, config=config))
        assert (forest.rendering, forest.standing) == (IMAGE, expected)


def test_largest_is_over_both_directions():
    found = dataclasses.replace(THERE, distances={ORIGINAL: distances(largest_tv=[0.25, 0.125])})
    plays = {"agent 0": {**BY_HAND.plays["agent 0"], BLACK: found}}
    assert summarise(dataclasses.replace(BY_HAND, plays=plays))[1].largest_tv == 0.5


def test_intervals_are_those_over_episodes_cut_to_what_is_possible(known_games, tmp_path):
    rng = np.random.default_rng(0)
    lengths, tv = rng.integers(5, 50, 12), rng.random(12)
    home = dataclasses.replace(
        HOME, lengths=lengths, returns=rng.random(12), entropy=rng.random(12),
        distances={BLACK: Distances(tv * lengths, *np.zeros((2, 12)), tv * lengths,
                                    lengths - 2.0, tv * lengths)},
    )  # fmt: skip
    there = dataclasses.replace(
        THERE, lengths=lengths, returns=rng.random(12), entropy=2 * tv * lengths,
        distances={ORIGINAL: Distances(*np.zeros((6, 12)))},
    )  # fmt: skip
    plan = dataclasses.replace(BY_HAND.plan, renderings=(ORIGINAL, BLACK))
    row = summarise(Robustness(CONFIG, 7, plan, {"a": {ORIGINAL: home, BLACK: there}}))[1]
    expected = ratio_band(tv * lengths, lengths, seed=0)
    assert 0 < expected.low < expected.high < 1
    assert row.mean_tv == row.kl == row.value_difference == expected
    assert row.agreement == ratio_band(lengths - 2, lengths, seed=0)
    assert row.entropy == ratio_band(2 * tv * lengths, lengths, seed=0)
    # With two episodes half of all resamples have no spread.
    assert np.isinf(ratio_band(np.array([1.0, 1]), np.array([2, 6]), seed=0).high)
    black = summarise(BY_HAND)[1]
    assert black.mean_tv == Band(0.25, 0, 1)
    assert black.agreement == Band(0.75, 0, 1)
    assert black.kl == Band(0.75, 0, math.inf)
    assert black.value_difference == Band(2, 0, math.inf)


def test_one_level_has_no_intervals(known_games, tmp_path):
    found = measured(tmp_path, Known(), dataclasses.replace(PLAN, levels=(3,)))
    row = summarise(found)[1]
    assert math.isnan(row.mean_tv.low)
    assert math.isnan(row.change.high)
    assert cells(row)[0] == f"{row.mean_tv.mean:.3f}"
    assert cells(row)[HEADER.index("return")] == "6.00"


def test_the_reference_is_the_first_trained_on(known_games, tmp_path):
    plan = dataclasses.replace(PLAN, train=(HUE, ORIGINAL))
    reference, original, black = summarise(measured(tmp_path, Known(), plan))
    assert [r.rendering for r in (reference, original, black)] == [HUE, ORIGINAL, BLACK]
    assert [r.standing for r in (reference, original)] == ["seen", "seen"]
    plays = measured(tmp_path, Known(), plan).plays["agent 0"]
    sums = plays[HUE].distances[ORIGINAL].tv
    assert original.mean_tv.mean == sums.sum() / sum(PLAN.levels)


def printed(*shown: Any) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    for table in shown:
        console.print(table)
    return console.export_text()


def test_tables_show_the_rows(known_games, tmp_path):
    found = measured(tmp_path, [Known(), Known(1, name="mixture")])
    shown = tables(found, "my [bold] run")
    assert [table.row_count for table in shown] == [3, 3]
    assert [table.caption for table in shown] == [None, CAPTION]
    text = printed(*shown)
    for name in ("agent 0", "mixture"):
        assert f"my [bold] run, {name}: fruitbot, easy, 5 levels, after 7 updates" in text
    for header in ("rendering", *HEADER):
        assert header in text
    for row in summarise(found):
        for cell in cells(row):
            assert all(part in text for part in cell.splitlines())
    assert " ".join(CAPTION.split()[:5]) in text
    assert text.count("mean R: total variation") == 1


def test_cells_by_hand():
    assert cells(summarise(BY_HAND)[1]) == [
        "0.250\n[0.000, 1.000]", "0.500\n[0.000, 1.000]", "0.750", "0.750", "75%", "2.00",
        "0.15", "3.00 ±25.41", "-2.00 ±12.71",
    ]  # fmt: skip
    assert cells(summarise(BY_HAND)[0])[-1] == "–"  # of itself
    same = dataclasses.replace(summarise(BY_HAND)[1], change=Band(-2.0, -2.0, -2.0))
    assert cells(same)[-1] == "-2.00 (all the same)"
    assert len(HEADER) == len(cells(summarise(BY_HAND)[1]))
    assert between(Band(0.25, math.nan, math.nan)) == "0.250"
    assert between(Band(7.256, 7.1, 7.4), 1) == "7.3\n[7.1, 7.4]"


def test_names_say_what_is_special_about_a_rendering():
    rows = {str(row.rendering): row for row in summarise(BY_HAND)}
    assert shown_name(rows["original"], "fruitbot") == "original (seen)"
    assert shown_name(rows["no-background"], "fruitbot") == "no-background"
    assert shown_name(rows["background=2"], "fruitbot") == "background=2 (in distribution)"
    still = dataclasses.replace(rows["no-background"], rendering=CAMERA)
    assert shown_name(still, "leaper") == "camera (no effect in leaper)"


def test_rows_by_policy_of_several_runs(known_games, tmp_path):
    found = {
        name: measured(tmp_path / name, [Known(seed), Known(seed + 1, name="agent 1")])
        for seed, name in enumerate(("a", "b"))
    }
    policies = by_policy(found)
    assert list(policies) == ["a, agent 0", "a, agent 1", "b, agent 0", "b, agent 1"]
    one = policies["b, agent 1"]
    assert (one.game, one.n_levels) == ("fruitbot", 5)
    assert one.rows == [row for row in summarise(found["b"]) if row.policy == "agent 1"]


# Pictures.


def drawn_dots(axis: Any) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, str]]:
    """Of each policy: x, y, ends of the bars [n, 2], colour."""
    found = []
    for container in axis.containers:
        line, _, (bars,) = container
        ends = np.array([segment[:, 0] for segment in bars.get_segments()])
        found.append((line.get_xdata(), line.get_ydata(), ends, to_hex(line.get_color()).upper()))
    return found


def words_of(figure: Any) -> str:
    return " ".join(figure.get_supxlabel().split())


def test_the_picture_of_renderings_shows_the_rows(known_games, tmp_path):
    plan = dataclasses.replace(PLAN, renderings=(ORIGINAL, BLACK, HUE, CAMERA))
    leaper = dataclasses.replace(CONFIG, env="procgen:leaper")
    found = {
        name: measured(tmp_path / name, Known(seed, config=leaper), plan)
        for seed, name in enumerate(("_a", "cheap $5"))
    }
    policies = by_policy(found)
    figure = rendering_figure(policies, command="mdpo robustness _a 'cheap $5'")
    figure.savefig(tmp_path / "figure.svg")
    left, right = figure.axes
    shown = [label.get_text() for label in left.get_yticklabels()]
    assert shown == ["original (seen)", "no-background", "hue=0.1"]  # the camera has no effect
    assert (left.get_xlabel(), right.get_xlabel()) == ("mean R", "return, undiscounted")
    for axis, name in ((left, "mean_tv"), (right, "returned")):
        for k, ((x, y, ends, colour), policy) in enumerate(
            zip(drawn_dots(axis), policies.values(), strict=True)
        ):
            bands = [getattr(row, name) for row in policy.rows[:3]]
            np.testing.assert_allclose(x, [one.mean for one in bands])
            np.testing.assert_allclose(ends, [one[1:] for one in bands], atol=1e-12)
            np.testing.assert_allclose(y, np.arange(3) + (-0.15, 0.15)[k])
            assert colour == RUN_COLOURS[k].upper()
    low, high = left.get_ylim()
    assert low > 2 > 0 > high
    assert left.get_xlim()[0] == 0
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [r" _a, agent 0", r"cheap \$5, agent 0"]
    assert "leaper" in left.get_title()
    words = words_of(figure)
    assert "the reference, original." in words
    assert "95 % intervals over 5 levels" in words
    assert "Made by: mdpo robustness _a 'cheap $5'" in words


def test_a_picture_of_two_levels_can_be_drawn(tmp_path):
    """Whose bootstrap intervals would be infinite."""
    figure = rendering_figure(by_policy({"run": BY_HAND}), command="mdpo")
    figure.savefig(tmp_path / "figure.png")
    assert figure.axes[0].get_xlim()[1] < 1.2
    ((x, _, ends, _),) = drawn_dots(figure.axes[0])
    assert x.tolist() == [0, 0.25, 0.25]
    np.testing.assert_allclose(ends, [(0, 0), (0, 1), (0.25, 0.25)])
    one = dataclasses.replace(BY_HAND, plays={"a": {r: first_level(p) for r, p in
                                                    BY_HAND.plays["agent 0"].items()}})  # fmt: skip
    rendering_figure(by_policy({"run": one}), command="mdpo").savefig(tmp_path / "one.png")


def first_level(play: Play) -> Play:
    return dataclasses.replace(
        play,
        **{n: getattr(play, n)[:1] for n in _COLUMNS},
        distances={r: Distances(*(a[:1] for a in d)) for r, d in play.distances.items()},
    )


def a_row(rendering: str, tv: float, returned: float) -> Row:
    def around(x: float) -> Band:
        return Band(x, x - 0.1, x + 0.2)

    flat = Band(0.0, 0.0, 0.0)
    return Row(
        policy="a", rendering=Rendering.parse(rendering), standing="out of distribution",
        mean_tv=around(tv), mean_tv_there=flat, largest_tv=0.0, kl=flat, agreement=flat,
        value_difference=flat, entropy=flat, returned=around(returned), change=flat,
    )  # fmt: skip


def test_the_picture_of_strengths_shows_the_rows(tmp_path):
    rows = [
        a_row("original", 0, 9), a_row("hue=0.2", 0.3, 5), a_row("no-background", 1, 1),
        a_row("hue=-0.1", 0.2, 7), a_row("hue=0.1", 0.1, 8), a_row("contrast=0.5", 0.4, 4),
        a_row("contrast=1", 0.4, 4), a_row("random-conv=0.5,seed=0", 0.6, 3),
        a_row("random-conv=1,seed=0", 0.8, 2), a_row("random-conv=0.2,seed=0", 0.5, 6),
        a_row("random-conv=0.9,seed=1", 0.9, 0),
    ]  # fmt: skip
    policies = {
        "a": PolicyRows("maze", 9, rows),
        "b": PolicyRows("maze", 9, rows[::-1][-1:] + rows[1:]),
    }
    figure = strength_figure(policies, command="mdpo robustness a b --strengths")
    figure.savefig(tmp_path / "figure.svg")
    axes = np.array(figure.axes).reshape(2, -1)
    assert [axis.get_title() for axis in axes[0]] == ["hue", "random-conv"]
    expected = {
        0: [(-0.1, 0.2, 7), (0, 0, 9), (0.1, 0.1, 8), (0.2, 0.3, 5)],
        1: [(0, 0, 9), (0.2, 0.5, 6), (0.5, 0.6, 3), (1, 0.8, 2)],
    }
    for column, points in expected.items():
        for row in (0, 1):
            axis = axes[row, column]
            assert len(axis.get_lines()) == 2
            for k, line in enumerate(axis.get_lines()):
                x, *y = np.array(points).T
                np.testing.assert_allclose(line.get_xdata(), x)
                np.testing.assert_allclose(line.get_ydata(), y[row])
                assert to_hex(line.get_color()).upper() == RUN_COLOURS[k].upper()
            filled = axis.collections[0].get_paths()[0].vertices
            assert filled[:, 1].min() == pytest.approx(min(y[row]) - 0.1)
            assert filled[:, 1].max() == pytest.approx(max(y[row]) + 0.2)
    assert axes[0, 0].get_ylabel() == "mean R"
    assert axes[1, 0].get_ylabel() == "return, undiscounted"
    assert axes[1, 0].get_xlabel() == "strength (0: original)"
    assert axes[0, 0].get_ylim()[0] == 0
    words = words_of(figure)
    assert "over 9 levels" in words
    assert "Made by: mdpo robustness a b --strengths" in words


def test_a_picture_of_strengths_needs_some():
    rows = [a_row("original", 0, 9), a_row("hue=0.2", 0.3, 5), a_row("hue=0.1", 0.3, 5)]
    with pytest.raises(ValueError, match="must have several strengths of a transformation"):
        strength_figure({"a": PolicyRows("maze", 9, rows)}, command="mdpo")
