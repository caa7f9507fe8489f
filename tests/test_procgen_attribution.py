"""Attribution of a difference of returns to moments: against the exact identity, and on Procgen."""

from __future__ import annotations

import dataclasses
import json
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest

from experiments.envs.procgen import ProcgenOptions, ProcgenVectorEnv, libenv
from experiments.envs.procgen.rendered import RenderedVectorEnv
from experiments.envs.procgen.renderings import ORIGINAL, Rendering
from experiments.procgen.evaluate import Evaluator, choose_actions, uniforms
from experiments.procgen.measures import attribution_estimator as estimator
from experiments.procgen.measures.attribution import APART, Attribution, Moment, attribute
from experiments.procgen.measures.attribution_estimator import Steps
from experiments.procgen.measures.attribution_figure import moments_figure
from experiments.procgen.measures.attribution_rollouts import Arena, Rollouts, Start, play_out
from mdtheory import FiniteMDP, evaluate, performance_difference
from mdtheory.intervals import Band

needs_procgen = pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")

# --- The estimator, on a finite MDP whose truth is known ---

GAMMA, END, N_LEVELS, N_DRAWN, REPETITIONS = 0.9, 4, 12, 24, 1500
MDP_RNG = np.random.default_rng(9)


def chain() -> FiniteMDP:
    """Four states, three actions, and an end that is reached with probability 1/4 a step."""
    transition = MDP_RNG.dirichlet(np.ones(4) / 2, size=(5, 3)) * 0.75
    transition = np.concatenate([transition, np.full((5, 3, 1), 0.25)], axis=-1)
    transition[END] = np.eye(5)[END]
    reward = MDP_RNG.normal(size=(5, 3)) * 3
    reward[END] = 0
    return FiniteMDP(
        transition=transition, reward=reward, initial=[0.6, 0.4, 0, 0, 0], discount=GAMMA
    )


MDP = chain()
REFERENCE, OTHER = (MDP_RNG.dirichlet(np.ones(3) / 2, size=5) for _ in range(2))
TRUTH = float(performance_difference(MDP, [REFERENCE], [OTHER]).sum())


def played(policy_sa: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """States of n episodes, [n, t], long enough for all but one in 10 million to have ended."""
    state, states = rng.choice(5, size=n, p=MDP.initial), []
    for _ in range(60):
        states.append(state)
        action = (rng.random(n)[:, None] > policy_sa[state].cumsum(-1)[:, :-1]).sum(-1)
        upto = MDP.transition[state, action].cumsum(-1)[:, :-1]
        state = (rng.random(n)[:, None] > upto).sum(-1)
    return np.stack(states, axis=-1)


def steps_of(
    states: np.ndarray, kind: type[Steps] = Steps, discount: float = GAMMA, **swapped: Any
) -> Steps:
    level, time = np.nonzero(states != END)
    state = states[level, time]
    looks = {"other": OTHER[state], "reference": REFERENCE[state]} | {
        name: policy[state] for name, policy in swapped.items()
    }
    return kind(level=level, time=time, discount=discount, n_levels=len(states), **looks)


def judging(steps_states: np.ndarray, policy: np.ndarray) -> estimator.Judge:
    """Exact differences of action values plus skewed noise."""
    q = evaluate(MDP, [policy]).action_value[0]
    state = steps_states[steps_states != END]

    def judge(drawn: np.ndarray, a: np.ndarray, b: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(int(seeds[0])).exponential(size=len(drawn)) - 1
        return q[state[drawn], a] - q[state[drawn], b] + 2 * noise

    return judge


class WithoutTv(Steps):
    """Forgets the total variation in the weight."""

    @property
    def weight(self) -> np.ndarray:  # type: ignore[override]
        return self.discount**self.time


def repeated(seed: int, plays: np.ndarray = OTHER, judge: np.ndarray = REFERENCE, **steps: Any):
    """Bands of many repetitions, each with levels, steps and judgements of its own."""
    rng = np.random.default_rng(seed)
    bands = []
    for states in played(plays, REPETITIONS * N_LEVELS, rng).reshape(REPETITIONS, N_LEVELS, -1):
        found = steps_of(states, **steps)
        drawn = estimator.draw_in_proportion(found.weight, N_DRAWN, rng.random())
        difference = estimator.differences(found, drawn, judging(states, judge), rng)
        bands.append(estimator.total_difference(found, drawn, difference))
    return Band(*np.array(bands).T)


def z_score(bands: Band) -> float:
    return float((bands.mean.mean() - TRUTH) / (bands.mean.std() / np.sqrt(len(bands.mean))))


def test_the_total_is_without_bias_and_its_interval_covers_the_truth():
    bands = repeated(0)
    assert abs(TRUTH) > 1
    assert abs(z_score(bands)) < 3.5
    assert 0.925 < ((bands.low <= TRUTH) & (bands.high >= TRUTH)).mean() < 0.985


@pytest.mark.parametrize(
    "wrong",
    [
        {"discount": 1.0},
        {"kind": WithoutTv},
        {"plays": REFERENCE},
        {"judge": OTHER},
        {"other": REFERENCE, "reference": OTHER},
    ],
    ids=["no discount", "no TV", "steps of the reference", "values of the other", "swapped"],
)
def test_wrong_variants_of_the_estimator_are_caught(wrong):
    assert abs(z_score(repeated(0, **wrong))) > 6


def test_residuals_of_the_coupling_by_hand():
    gained, lost = estimator.coupling_residuals(
        np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]), np.array([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    )
    np.testing.assert_allclose(gained, [[0.6, 0.4, 0], [0, 0, 0]], atol=1e-15)
    np.testing.assert_allclose(lost, [[0, 0, 1], [0, 0, 0]], atol=1e-15)


def test_weights_by_hand():
    steps = Steps(
        level=np.zeros(2, int), time=np.array([0, 2]), discount=0.5, n_levels=1,
        other=np.array([[1.0, 0.0], [0.5, 0.5]]), reference=np.array([[0.0, 1.0], [1.0, 0.0]]),
    )  # fmt: skip
    assert steps.tv.tolist() == [1, 0.5]
    assert steps.weight.tolist() == [1, 0.125]
    total = estimator.total_difference(steps, np.array([0, 1]), np.array([4.0, -2.0]))
    assert total.mean == (4 - 2) * 1.125 / 2
    assert np.isnan(total.low)


def test_draws_are_in_proportion_and_never_of_weight_zero():
    weight = np.array([0.0, 1.0, 0.0, 3.0, 0.0])
    for uniform in (0.0, 0.3, 1 - 2**-53):
        assert estimator.draw_in_proportion(weight, 4, uniform).tolist() == [1, 3, 3, 3]
    grid = (np.arange(1000) + 0.5) / 1000
    counts = np.bincount(
        np.concatenate([estimator.draw_in_proportion(weight, 3, u) for u in grid]), minlength=5
    )
    np.testing.assert_allclose(counts / 1000, 3 * weight / 4, atol=1e-3)
    assert len(estimator.draw_in_proportion(np.zeros(3), 4, 0.5)) == 0
    assert len(estimator.draw_in_proportion(np.zeros(0), 4, 0.5)) == 0


def test_actions_of_a_pair_come_from_the_residuals():
    n = 20_000
    one = Steps(
        level=np.zeros(1, int), time=np.zeros(1, int), discount=0.5, n_levels=1,
        other=np.array([[0.0, 0.5, 0.4, 0.1, 0.0]]),
        reference=np.array([[0.0, 0.1, 0.2, 0.3, 0.4]]),
    )  # fmt: skip
    got: list[np.ndarray] = []

    def judge(*arrays: np.ndarray) -> np.ndarray:
        got.extend(arrays)
        return np.zeros(n)

    estimator.differences(one, np.zeros(n, int), judge, np.random.default_rng(0))
    _, a, b, seeds = got
    np.testing.assert_allclose(np.bincount(a, minlength=5) / n, [0, 4 / 6, 2 / 6, 0, 0], atol=0.02)
    np.testing.assert_allclose(np.bincount(b, minlength=5) / n, [0, 0, 0, 2 / 6, 4 / 6], atol=0.02)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03
    assert len(set(seeds.tolist())) == n


def level_and_time(level: list[int], time: list[int]) -> Steps:
    nothing = np.zeros((len(level), 2))
    return Steps(
        level=np.array(level), time=np.array(time), discount=0.9, n_levels=max(level) + 1,
        other=nothing, reference=nothing,
    )  # fmt: skip


def test_the_largest_are_taken_once_per_scene():
    steps = level_and_time([0, 0, 0, 1, 1], [3, 5, 13, 3, 40])
    score = np.array([2.0, 3.0, 1.0, 2.5, -1.0])
    every = np.arange(5)
    assert estimator.largest_apart(steps, every, score, n=9, apart=10).tolist() == [1, 3]
    assert estimator.largest_apart(steps, every, score, n=9, apart=8).tolist() == [1, 3, 2]
    assert estimator.largest_apart(steps, every, score, n=1, apart=8).tolist() == [1]
    assert estimator.largest_apart(steps, every[3:], score[3:], n=9, apart=1).tolist() == [3]
    assert len(estimator.largest_apart(steps, every, score, n=0, apart=8)) == 0


def test_estimates_of_one_step_are_averaged():
    chosen, mean = estimator.mean_by_step(np.array([7, 2, 7]), np.array([1.0, 5.0, 2.0]))
    assert (chosen.tolist(), mean.tolist()) == ([2, 7], [5, 1.5])


def test_measuring_anew_escapes_the_winners_curse():
    """All steps cost nothing: the pilot's largest seem to cost much, measured anew they do not."""
    rng = np.random.default_rng(1)
    steps = level_and_time([0] * 40, [20 * t for t in range(40)])
    pilots, bands = [], []
    for _ in range(300):
        pilot = rng.normal(size=40)
        worst = estimator.largest_apart(steps, np.arange(40), pilot, n=3, apart=10)
        pilots.extend(pilot[worst])
        bands.extend(estimator.contribution(2.0, rng.normal(size=8)) for _ in worst)
    mean, low, high = np.array(bands).T
    assert np.mean(pilots) > 1
    assert abs(mean.mean()) < 4 * mean.std() / np.sqrt(900)
    assert mean.std() == pytest.approx(2 / np.sqrt(8), rel=0.1)
    assert 0.93 < ((low <= 0) & (high >= 0)).mean() < 0.97


# --- On Procgen ---

EASY = ProcgenOptions(distribution_mode="easy")
MONOCHROME, BACKGROUND = Rendering("monochrome"), Rendering.parse("background=3")
GAME, LEVELS, DISCOUNT = "fruitbot", (3, 2), 0.99


class Looking:
    """Smooth probabilities of single pixels, computed row by row; remembers what it looked at."""

    name = "looking"

    def __init__(self) -> None:
        self.weights = np.random.default_rng(0).normal(size=(15, 192)) / 3000
        self.seen: set[bytes] = set()

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        self.seen.update(picture.tobytes() for picture in observation)
        rows = [self.weights @ p[::8, ::8].ravel().astype(np.float64) for p in observation]
        likely = np.exp(np.array(rows))
        return (likely / likely.sum(-1, keepdims=True)).astype(np.float32)


class Hashing:
    """One action for certain, another wherever a pixel differs."""

    name = "hashing"

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        actions = [zlib.crc32(np.ascontiguousarray(p).data) % 15 for p in observation]
        return np.eye(15, dtype=np.float32)[actions]


class Broken:
    name = "broken"

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        return np.full((len(observation), 15), np.nan, dtype=np.float32)


def small(**changes: Any) -> Attribution:
    settings: dict[str, Any] = {
        "policy": Looking(), "game": GAME, "options": EASY, "reference": ORIGINAL,
        "other": MONOCHROME, "levels": LEVELS, "discount": DISCOUNT, "n_moments": 32,
        "n_worst": 2, "pairs_per_moment": 3, "num_envs": 6, "num_threads": 0,
    }  # fmt: skip
    return attribute(**(settings | changes))


def arena(policy: Any = None, num_envs: int = 4) -> Arena:
    return Arena(Looking() if policy is None else policy, GAME, EASY, DISCOUNT, 0, num_envs, 0)


@pytest.fixture(scope="module")
def found() -> Attribution:
    return small(n_best=1)


@needs_procgen
def test_the_same_seed_gives_the_same_and_another_seed_another(found):
    assert small(n_best=1, num_envs=3).to_json() == found.to_json()  # however many games
    assert small(n_best=1, seed=1).to_json() != found.to_json()


@needs_procgen
def test_an_attribution_says_what_was_played(found):
    assert (found.policy, found.game, found.distribution_mode) == ("looking", GAME, "easy")
    assert (found.levels, found.drawn) == (LEVELS, 32)
    assert (len(found.worst), len(found.best)) == (2, 1)
    candidates = found.rollouts / 2 - 32 - 3 * len(found.worst + found.best)
    assert 0 < candidates <= 4 * 4 * 3
    assert candidates % 4 == 0
    for moment in (*found.worst, *found.best):
        assert moment.level in LEVELS
        assert moment.pairs == 3
        assert moment.weight == pytest.approx(DISCOUNT**moment.step * moment.tv)
        assert moment.cost.mean == pytest.approx(-moment.weight * moment.difference.mean)
        assert moment.cost.low <= moment.cost.mean <= moment.cost.high
        likely = moment.other_probabilities, moment.reference_probabilities
        assert moment.tv == pytest.approx(abs(np.subtract(*likely)).sum() / 2)
        for pixels, row in zip(
            (moment.other_picture, moment.reference_picture), likely, strict=True
        ):
            assert Looking().probabilities(pixels[None])[0] == pytest.approx(row, abs=1e-7)
        assert not np.array_equal(moment.other_picture, moment.reference_picture)
    steps = [(m.level, m.step) for m in found.worst]
    for i, (level, step) in enumerate(steps):
        assert all(level != l or abs(step - t) >= APART for l, t in steps[:i])  # noqa: E741


@needs_procgen
def test_equal_pictures_leave_nothing_to_attribute():
    found = small(game="chaser", other=Rendering.parse("background=0"))  # there is one image
    assert found.identity == found.measured == found.distance == (0, 0, 0)
    assert (found.drawn, found.worst, found.best, found.rollouts) == (0, (), (), 0)
    figure = moments_figure(found, command="x")
    assert figure.axes[2].get_title(loc="left") == "no moment was found that costs or helps"


@needs_procgen
def test_the_measured_difference_is_that_of_two_evaluations(found):
    returns = []
    for rendering in (MONOCHROME, ORIGINAL):
        trace = arena().play((rendering,), LEVELS, None)
        with Evaluator(GAME, EASY, renderings=(rendering,), num_envs=2, num_threads=0) as games:
            table = games.run(Looking(), LEVELS, mode="sampled")
        assert np.bincount(trace.steps.level).tolist() == table.lengths.tolist()
        returns.append(trace.returns)
    assert found.measured.mean == pytest.approx((returns[0] - returns[1]).mean())


@needs_procgen
def test_the_identity_is_exact_for_a_policy_without_randomness():
    """Two routes: the returns of both renderings, and all steps where the actions differ."""
    place = arena(Hashing(), num_envs=16)
    other, reference = (
        place.play(renderings, LEVELS, None) for renderings in ((MONOCHROME, ORIGINAL), (ORIGINAL,))
    )
    steps = other.steps
    assert set(steps.tv.tolist()) == {0.0, 1.0}
    differ = np.flatnonzero(steps.tv)
    scenes = place.revisit(other, LEVELS, (ORIGINAL, MONOCHROME), differ)
    with place.games((ORIGINAL,)) as games:
        judge = Rollouts(place.policy, games, scenes, DISCOUNT)
        difference = estimator.differences(steps, differ, judge, np.random.default_rng(0))
    by_level = np.bincount(steps.level[differ], weights=steps.weight[differ] * difference)
    assert abs(other.returns - reference.returns).max() > 0.1
    np.testing.assert_allclose(by_level, other.returns - reference.returns, atol=1e-5)


@needs_procgen
@pytest.mark.parametrize(("reference", "other"), [(ORIGINAL, BACKGROUND), (MONOCHROME, ORIGINAL)])
def test_moments_are_reached_again_exactly(reference, other):
    policy = Looking()
    place = arena(policy, num_envs=1)  # one after the other
    trace = place.play((other, reference), LEVELS, None)
    wanted = np.arange(0, len(trace.actions), 23)
    scenes = place.revisit(trace, LEVELS, (reference, other), wanted)
    assert list(scenes) == wanted.tolist()
    for scene in scenes.values():
        assert {picture.tobytes() for picture in scene.pictures} <= policy.seen
    env = RenderedVectorEnv(GAME, 1, rendering=reference, options=EASY, num_threads=0)
    for step, scene in scenes.items():
        env.set_one_state(0, scene.state)
        assert np.array_equal(env.current()[0][0], scene.pictures[0])
        assert policy.probabilities(scene.pictures[1][None])[0] == pytest.approx(
            trace.steps.other[step], abs=1e-7
        )
    env.close()


@needs_procgen
def test_an_episode_that_comes_out_otherwise_is_an_error():
    place = arena()
    trace = place.play((MONOCHROME, ORIGINAL), LEVELS, None)
    wanted = np.array([int(trace.steps.level.searchsorted(1)) + 30])  # on the second level
    changed = trace._replace(actions=np.full_like(trace.actions, 1))
    message = (
        r"^level 2 looked otherwise at step 30 when it was played again with the same actions$"
    )
    with pytest.raises(RuntimeError, match=message):
        place.revisit(changed, LEVELS, (ORIGINAL, MONOCHROME), wanted)


@needs_procgen
def test_a_rollout_with_an_episodes_own_numbers_gives_what_was_left_of_its_return():
    place = arena()
    trace = place.play((ORIGINAL,), LEVELS, None)
    begin = trace.steps.level.searchsorted([0, 1])
    wanted = np.concatenate([begin, begin + 25])
    scenes = place.revisit(trace, LEVELS, (ORIGINAL,), wanted)

    def start(step: int) -> Start:
        level, time = LEVELS[trace.steps.level[step]], int(trace.steps.time[step])
        noise = islice(uniforms(0, level, 0), time + 1, None)
        return Start(scenes[step].state, int(trace.actions[step]), noise)

    with place.games((ORIGINAL,)) as games:
        returns, lengths = play_out(
            place.policy, games, list(map(start, wanted.tolist())), DISCOUNT
        )
    np.testing.assert_allclose(returns[:2], trace.returns, atol=1e-9)
    assert lengths.tolist() == [n - t for t in (0, 25) for n in np.bincount(trace.steps.level)]
    env = ProcgenVectorEnv(GAME, 1, options=EASY, num_threads=0)
    for step, found, length in zip(wanted[2:], returns[2:], lengths[2:], strict=True):
        total = by_hand(env, place.policy, start(int(step)), int(length))
        assert found == pytest.approx(total, abs=1e-9)
    env.close()


def by_hand(env: ProcgenVectorEnv, policy: Any, start: Start, length: int) -> float:
    """The discounted return of a rollout played alone; it must end after `length` steps."""
    env.set_one_state(0, start.state)
    action, total, noise = start.action, 0.0, start.noise
    for t in range(length):
        seen, reward, terminated, truncated, _ = env.step(np.array([action]))
        total += DISCOUNT**t * float(reward[0])
        assert bool(terminated[0] | truncated[0]) == (t == length - 1)
        action = int(choose_actions(policy.probabilities(seen), [next(noise)])[0])
    return total


@needs_procgen
def test_rollouts_of_a_pair_share_their_numbers():
    place = arena()
    trace = place.play((MONOCHROME, ORIGINAL), LEVELS, None)
    wanted = np.array([20, 20, 20, 40])
    scenes = place.revisit(trace, LEVELS, (ORIGINAL, MONOCHROME), np.unique(wanted))
    with place.games((ORIGINAL,)) as games:
        judge = Rollouts(place.policy, games, scenes, DISCOUNT)
        seeds = np.array([5, 5, 6, 5])
        assert judge(wanted, wanted % 15, wanted % 15, seeds).tolist() == [0] * 4
        left, right = np.full(4, 1), np.full(4, 7)
        first = judge(wanted, left, right, seeds)
        assert first[0] == first[1]
        assert judge(wanted, right, left, seeds) == pytest.approx(-first)
    assert judge.n_rollouts == 24
    assert judge.n_steps > 24


@needs_procgen
def test_actions_are_told_before_they_are_paid():
    order: list[str] = []
    acted: list[tuple[list[int], list[int]]] = []

    class Listening:
        def look(self, *_: Any) -> None:
            order.append("look")

        def paid(self, *_: Any) -> None:
            order.append("paid")

    def on_actions(rows: np.ndarray, actions: np.ndarray) -> None:
        order.append("acted")
        acted.append((rows.tolist(), actions.tolist()))

    with Evaluator(GAME, EASY, num_envs=2, num_threads=0) as games:
        table = games.run(
            Hashing(), LEVELS, mode="greedy", watcher=Listening(), on_actions=on_actions
        )
    assert [told for told in order if told != "paid"] == ["look", "acted"] * (len(acted))
    rows = np.concatenate([rows for rows, _ in acted])
    assert np.bincount(rows).tolist() == table.lengths.tolist()
    assert len({action for _, actions in acted for action in actions}) > 5


@needs_procgen
def test_progress_rises_to_the_end():
    told: list[tuple[str, float]] = []
    small(on_progress=lambda text, share: told.append((text, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert told[-1] == ("done", 1.0)
    assert {text for text, _ in told} == {"looking, sampled", "looking, rollouts", "done"}


@needs_procgen
def test_a_single_level_has_no_intervals_of_totals_and_survives_json():
    alone = small(levels=[3], n_worst=1)
    assert np.isnan([alone.identity.low, alone.measured.high]).all()
    again = Attribution.from_json(json.loads(json.dumps(alone.to_json(), allow_nan=False)))
    assert np.isnan(again.identity.low)
    assert again.to_json() == alone.to_json()


@needs_procgen
def test_json_keeps_everything(found):
    again = Attribution.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    for field in dataclasses.fields(Attribution):
        if field.name not in ("worst", "best"):
            assert getattr(again, field.name) == getattr(found, field.name)
    for mine, its in zip(found.worst + found.best, again.worst + again.best, strict=True):
        for field in dataclasses.fields(Moment):
            value = getattr(mine, field.name)
            assert type(getattr(its, field.name)) is type(value)
            assert np.array_equal(getattr(its, field.name), value)


ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"discount": 1.0}, "discount must lie in [0, 1), got 1.0"),
    ({"discount": -0.1}, "discount must lie in [0, 1), got -0.1"),
    ({"n_moments": 0}, "n_moments must be from 1 to 1000000, got 0"),
    ({"n_moments": 2.0}, "n_moments must be a whole number, got 2.0"),
    ({"n_worst": -1}, "n_worst must be from 0 to 1000000, got -1"),
    ({"n_best": True}, "n_best must be a whole number, got True"),
    ({"pairs_per_moment": 1}, "pairs_per_moment must be from 2 to 1000000, got 1"),
    ({"levels": []}, "levels must be at least one, got none"),
    ({"levels": [3, 3]}, "levels must differ, got 3 twice"),
    ({"other": ORIGINAL}, "renderings must differ, got original twice"),
    ({"seed": -1}, f"seed must be from 0 to {2**63 - 1}, got -1"),
    ({"num_envs": 0}, "num_envs must be from 1 to 100000, got 0"),
    (
        {"other": Rendering.parse("background=99")},
        "background=99 must name one of the images 0 to 8 of fruitbot",
    ),
]


@needs_procgen
@pytest.mark.parametrize(("changes", "message"), ERRORS, ids=[text for _, text in ERRORS])
def test_wrong_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        small(**changes)


@needs_procgen
def test_a_policy_that_is_not_finite_is_an_error():
    with pytest.raises(ArithmeticError, match=r"^probabilities of broken must be finite, got nan$"):
        small(policy=Broken())


def texts(figure: Any) -> Iterator[str]:
    yield figure.get_suptitle()
    yield figure.get_supxlabel()
    for axis in figure.axes:
        yield axis.get_title()
        yield axis.get_title(loc="left")


@needs_procgen
def test_the_picture_shows_every_moment_and_says_what_it_shows(found):
    moments = [*found.worst, *found.best]
    figure = moments_figure(found, command="mdpo attribute $run$")
    assert len(figure.axes) == 3 * len(moments)
    said = " ".join(texts(figure)).replace("\n", " ")
    assert said.startswith("looking on fruitbot, easy: monochrome against original")
    for words in ("by the identity", "measured", "drawn with probability", "made afterwards alone"):
        assert words in said
    assert said.count("Made by: mdpo attribute $run$") == 1
    for row, moment in zip(np.reshape(figure.axes, (-1, 3)), moments, strict=True):
        shown = [axis.images[0].get_array() for axis in row[:2]]
        assert np.array_equal(shown[0], moment.reference_picture)
        assert np.array_equal(shown[1], moment.other_picture)
        heights = [bar.get_height() for bar in row[2].patches]
        likely = np.concatenate([moment.reference_probabilities, moment.other_probabilities])
        assert heights == pytest.approx(likely)
        title = row[2].get_title(loc="left")
        assert title.startswith(f"level {moment.level}, step {moment.step}: TV {moment.tv:.2f}")
        assert f"{moment.cost.mean:+.2f}".replace("-", "−") in title
