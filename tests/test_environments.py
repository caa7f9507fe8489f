"""Toys as Gymnasium environments: the API, seeds, splits, and simulation against exact values."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import mdtheory
from mdtheory import Problem, RenderingFamily, make_toy, measure
from mdtheory.toys import TOYS, RenderedMDPEnv, environment_id, register_environments
from tests.random_problems import float_case


def make(name: str, **options: Any) -> gymnasium.Env:
    return gymnasium.make(environment_id(name), **options)


def act(policy: np.ndarray, observation: int, rng: np.random.Generator) -> int:
    """An action from π(· | o), given all its rows."""
    return int(np.searchsorted(policy[observation].cumsum(), rng.random(), side="right"))


def trajectory(name: str, seed: int, steps: int = 40) -> list[Any]:
    """Renderings, observations and rewards of four episodes of random actions."""
    environment = make(name)
    rng = np.random.default_rng(0)
    seen: list[Any] = []
    for episode in range(4):
        observation, info = environment.reset(seed=seed if episode == 0 else None)
        seen.append((int(observation), info["rendering"]))
        for _ in range(steps):
            action = int(rng.integers(environment.action_space.n))
            observation, reward, *_ = environment.step(action)
            seen.append((int(observation), reward))
    return seen


def test_ids_are_the_names_in_camel_case():
    assert environment_id("two-state") == "mdtheory/TwoState-v0"
    assert all(environment_id(name) in gymnasium.registry for name in TOYS)


def test_registering_twice_changes_nothing():
    before = dict(gymnasium.registry)
    register_environments()
    assert gymnasium.registry == before
    assert mdtheory.register_environments is register_environments


@pytest.mark.parametrize("name", TOYS)
def test_environment_passes_gymnasiums_own_checker(name):
    check_env(make(name).unwrapped)
    check_env(make(name, render_mode="ansi").unwrapped)


@pytest.mark.parametrize("name", TOYS)
def test_same_seed_same_trajectory_other_seed_other_trajectory(name):
    assert trajectory(name, seed=1) == trajectory(name, seed=1)
    others = [trajectory(name, seed=k) for k in range(2, 8)]
    assert any(other != trajectory(name, seed=1) for other in others)


def test_random_transitions_follow_the_seed():
    problem = float_case(np.random.default_rng(6), concentration=5.0).problem

    def states(seed: int) -> list[int]:
        environment = RenderedMDPEnv(problem)
        environment.reset(seed=seed)
        return [environment.step(k % 3)[-1]["state"] for k in range(50)]

    assert states(1) == states(1)
    assert states(1) != states(2)


def test_observation_and_info_follow_rendering_and_state():
    environment = RenderedMDPEnv(float_case(np.random.default_rng(0)).problem)
    observation, info = environment.reset(seed=0)
    rendering = info["rendering"]
    for k in range(50):
        assert observation == rendering * 4 + info["state"]
        assert info["rendering"] == rendering
        assert info["train"] == (rendering < 2)
        observation, _, terminated, truncated, info = environment.step(np.int64(k % 3))
        assert not terminated
        assert not truncated


def test_reward_and_next_state_follow_the_mdp():
    case = float_case(np.random.default_rng(1), n_states=3, n_actions=2)
    mdp = case.problem.mdp
    environment = RenderedMDPEnv(case.problem)
    _, info = environment.reset(seed=0)
    counts = np.zeros((3, 2, 3))
    rng = np.random.default_rng(2)
    for _ in range(6000):
        state, action = info["state"], int(rng.integers(2))
        _, reward, _, _, info = environment.step(action)
        assert reward == mdp.reward[state, action]
        counts[state, action, info["state"]] += 1
    visits = counts.sum(axis=-1, keepdims=True)
    error = np.sqrt(mdp.transition * (1 - mdp.transition) / np.maximum(visits, 1))
    frequency = counts / np.maximum(visits, 1)
    assert (abs(frequency - mdp.transition) <= 4.5 * error + 1 / np.maximum(visits, 1))[
        np.broadcast_to(visits > 20, counts.shape)
    ].all()
    assert (visits > 20).sum() >= 4


@pytest.mark.parametrize(
    ("split", "allowed"), [("all", {0, 1, 2, 3}), ("train", {0, 1}), ("heldout", {2, 3})]
)
def test_renderings_are_drawn_from_the_split_with_their_weights(split, allowed):
    weights = np.array([0.1, 0.3, 0.4, 0.2])
    family = RenderingFamily.distinct(4, train_mask=[True, True, False, False], weights=weights)
    mdp = float_case(np.random.default_rng(3)).problem.mdp
    environment = RenderedMDPEnv(Problem(mdp=mdp, renderings=family), split=split)
    environment.reset(seed=0)
    n = 4000
    counts = np.bincount([environment.reset()[1]["rendering"] for _ in range(n)], minlength=4)
    expected = np.where([f in allowed for f in range(4)], weights, 0)
    expected /= expected.sum()
    assert (abs(counts / n - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / n)).all()
    assert set(np.flatnonzero(counts)) == allowed


def test_a_rendering_may_be_chosen_at_reset():
    environment = make("chain")
    for f in (2, 0, 3):
        observation, info = environment.reset(options={"rendering": f})
        assert (int(observation), info["rendering"]) == (f * 6, f)


def test_parameters_reach_the_toy():
    environment = make("two-state", robustness="1/3", discount="1/2", train_mass="1/5")
    family = environment.unwrapped.problem.renderings
    assert family.train_mass[()] == Fraction(1, 5)
    assert environment.unwrapped.problem.mdp.discount[()] == Fraction(1, 2)


def test_render_says_rendering_and_state_only_when_asked():
    environment = make("two-state", render_mode="ansi")
    environment.reset(seed=0, options={"rendering": 1})
    assert environment.render() == "f1: state 0"
    environment.step(1)
    assert environment.render() == "f1: state 1"
    assert RenderedMDPEnv(make_toy("two-state").problem).render() is None


def test_episodes_are_cut_after_a_thousand_steps_and_never_end_before():
    environment = make("two-doors")
    environment.reset(seed=0)
    ends = [environment.step(0)[2:4] for _ in range(1000)]
    assert ends == [(False, False)] * 999 + [(False, True)]


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize(
    ("split", "quantity"),
    [("all", "general_return"), ("train", "train_return"), ("heldout", "heldout_return")],
)
def test_simulation_agrees_with_the_exact_value(name, split, quantity):
    discount, steps, episodes = 0.7, 30, 400
    parameters: dict[str, Any] = {"discount": "7/10"}
    if name == "rare-fork":
        parameters["chance"] = "1/3"
    toy = make_toy(name, **parameters)
    policy = toy.policy.probabilities.astype(np.float64)
    exact = float(measure(toy.problem, toy.policy.latent(toy.problem.renderings))[quantity])
    environment = make(name, split=split, **parameters).unwrapped
    rng = np.random.default_rng(4)
    environment.reset(seed=5)
    samples = np.zeros(episodes)
    for k in range(episodes):
        observation, _ = environment.reset()
        for t in range(steps):
            observation, reward, *_ = environment.step(np.int64(act(policy, observation, rng)))
            samples[k] += discount**t * reward
    tail = discount**steps / (1 - discount)
    error = samples.std(ddof=1) / np.sqrt(episodes)
    assert abs(samples.mean() - exact) <= 4 * error + tail + 1e-12


def test_simulation_would_notice_a_wrong_split():
    toy = make_toy("two-state", discount="7/10")
    values = measure(toy.problem, toy.policy.latent(toy.problem.renderings))
    assert float(values["train_return"] - values["heldout_return"]) > 1


@pytest.mark.parametrize("rendering", [0.5, True, "0"])
def test_a_rendering_that_is_no_index_is_refused(rendering):
    with pytest.raises(ValueError, match=r"^options\['rendering'\] must be "):
        make("chain").unwrapped.reset(options={"rendering": rendering})


def test_batched_weights_are_refused():
    family = RenderingFamily.distinct(2, train_mask=[True, False], weights=[[0.5, 0.5]] * 3)
    problem = Problem(mdp=make_toy("two-state").problem.mdp, renderings=family)
    with pytest.raises(ValueError, match=r"^problem must be a single problem"):
        RenderedMDPEnv(problem)
