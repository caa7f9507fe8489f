"""Losses and random numbers of the trainer on Procgen: numbers by hand, and who gets gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from experiments import losses
from experiments.procgen import rollout as rollout_module
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.learner import Learner, explained_variance
from experiments.procgen.rollout import Collector, RewardNormalizer, choose, draw, env_seed
from tests.procgen_reference import RewardScale, forward, log_softmax

CPU = torch.device("cpu")
TINY = ProcgenConfig(
    n_envs=3, rollout_steps=4, minibatches=2, epochs=2, total_steps=5 * 12, device="cpu"
)
"""Five updates of two passes over two minibatches of 6 samples."""

QUIET = replace(TINY, value_coef=0.0, entropy_coef=0.0)
"""Nothing but distillation is charged where advantages are 0."""

HALF, QUARTER = [0.5, 0.5], [0.25, 0.75]
KL_HALF_QUARTER = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
KL_QUARTER_HALF = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)


def logits_of(*policies: list[float]) -> Tensor:
    """[i, j, 1, A]: policy j on the one sample of any agent i; shifted, which softmax ignores."""
    log_p = torch.tensor(policies, dtype=torch.float64).log() + 3.0
    return log_p[None, :, None].repeat(len(policies), 1, 1, 1)


# Distillation.


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("other-self", [KL_QUARTER_HALF, KL_HALF_QUARTER]),
        ("self-other", [KL_HALF_QUARTER, KL_QUARTER_HALF]),
    ],
)
def test_direction_says_under_whose_probabilities_the_logs_differ(
    direction: str, expected: list[float]
) -> None:
    """Agent 0 plays 1/2, 1/2 and agent 1 plays 1/4, 3/4; the divergences are 0.144 and 0.131."""
    found = losses.mutual_distillation_loss(logits_of(HALF, QUARTER), direction)
    torch.testing.assert_close(found[:, 0], torch.tensor(expected, dtype=torch.float64))
    assert (round(KL_HALF_QUARTER, 3), round(KL_QUARTER_HALF, 3)) == (0.144, 0.131)


def test_an_agent_is_charged_the_mean_over_the_others() -> None:
    found = losses.mutual_distillation_loss(logits_of(HALF, QUARTER, HALF))
    expected = [KL_QUARTER_HALF / 2, KL_HALF_QUARTER, KL_QUARTER_HALF / 2]
    torch.testing.assert_close(found[:, 0], torch.tensor(expected, dtype=torch.float64))


def test_distillation_takes_the_others_policies_on_ones_own_samples() -> None:
    """logits[i, j] with i the owner of the samples: what others do on theirs is not charged."""
    logits = torch.zeros(2, 2, 1, 2, dtype=torch.float64)
    logits[0, 1] = torch.tensor(QUARTER).log()
    found = losses.mutual_distillation_loss(logits)
    torch.testing.assert_close(
        found[:, 0], torch.tensor([KL_QUARTER_HALF, 0.0], dtype=torch.float64)
    )


@pytest.mark.parametrize("direction", ["other-self", "self-other"])
@pytest.mark.parametrize(("gradient", "taught"), [("both", True), ("student", False)])
def test_student_keeps_the_gradient_from_the_teachers_logits(
    direction: str, gradient: str, taught: bool
) -> None:
    logits = logits_of(HALF, QUARTER, [0.1, 0.9]).requires_grad_()
    losses.mutual_distillation_loss(logits, direction, gradient)[0].sum().backward()
    assert logits.grad is not None
    received = logits.grad.abs().amax(dim=(-2, -1)) > 0  # [i, j]
    assert received.tolist() == [[True, taught, taught], [False] * 3, [False] * 3]


@pytest.mark.parametrize("gradient", ["both", "student"])
def test_gradient_of_the_divergence_by_hand(gradient: str) -> None:
    """d KL(q || p) / d logits_p = p - q; d / d logits_q = q (ln q/p - KL)."""
    logits = logits_of(HALF, QUARTER).requires_grad_()
    losses.mutual_distillation_loss(logits, "other-self", gradient)[0].sum().backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad[0, 0, 0], torch.tensor([0.25, -0.25]).double())
    first = 0.25 * (math.log(0.5) - KL_QUARTER_HALF) if gradient == "both" else 0.0
    torch.testing.assert_close(logits.grad[0, 1, 0], torch.tensor([first, -first]).double())


# The learner's loss.


def build(config: ProcgenConfig) -> tuple[Learner, dict[str, Tensor]]:
    """A learner with different policies and two samples per agent that PPO charges nothing for."""
    learner = Learner(config, CPU)
    learner.networks.train()
    rng = torch.Generator().manual_seed(0)
    modules = [learner.networks, *([learner.averages] if learner.averages is not None else [])]
    with torch.no_grad():
        for module in modules:
            for network in module:
                weight = network.policy.weight
                weight += 0.3 * torch.randn(weight.shape, generator=rng)
        seen = torch.randint(
            0, 256, (config.agents, 2, 64, 64, 3), dtype=torch.uint8, generator=rng
        )
        logits, value = zip(
            *(n(o) for n, o in zip(learner.networks, seen, strict=True)), strict=True
        )
    action = torch.randint(0, 15, (config.agents, 2), generator=rng)
    return learner, {
        "observation": seen,
        "action": action,
        "log_prob": losses.log_prob(torch.stack(logits), action),
        "value": torch.stack(value),
        "advantage": torch.zeros(config.agents, 2),
        "target": torch.stack(value),
    }


def receivers(learner: Learner, batch: dict[str, Tensor], charged: int) -> list[int]:
    """The agents whose networks get a gradient from the loss of one agent."""
    loss, _ = learner.loss(batch, 1.0)
    learner.optimizer.zero_grad()
    loss[charged].sum().backward()
    return [
        k
        for k, network in enumerate(learner.networks)
        if any(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
    ]


THREE: dict[str, Any] = {"agents": 3}
STUDENT: dict[str, Any] = {"distill_gradient": "student"}


@pytest.mark.parametrize("direction", ["other-self", "self-other"])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [[0, 1], [0, 1]]),
        (STUDENT, [[0], [1]]),
        (THREE, [[0, 1, 2]] * 3),
        ({**THREE, **STUDENT}, [[0], [1], [2]]),
        ({"teacher": "average"}, [[0], [1]]),
        ({"distill_coef": 0.0}, [[], []]),
    ],
)
def test_who_receives_the_gradient_of_whose_distillation(
    changes: dict[str, Any], direction: str, expected: list[list[int]]
) -> None:
    learner, batch = build(replace(QUIET, **{**changes, "distill_direction": direction}))
    assert [receivers(learner, batch, k) for k in range(len(expected))] == expected
    for network in learner.networks:
        heads = [p.grad for p in network.value.parameters()]
        assert all(g is None or not g.any() for g in heads), "values are not distilled"


@pytest.mark.parametrize("changes", [{}, STUDENT, {"teacher": "average"}])
def test_ppo_moves_only_the_agent_that_played(changes: dict[str, Any]) -> None:
    learner, batch = build(replace(TINY, **{**changes, **THREE, "distill_coef": 0.0}))
    batch["advantage"] = torch.ones(3, 2)
    batch["target"] = batch["target"] + 1
    assert [receivers(learner, batch, k) for k in range(3)] == [[0], [1], [2]]


def test_a_moving_average_receives_no_gradient_and_no_step() -> None:
    learner, batch = build(replace(QUIET, teacher="average"))
    assert learner.averages is not None
    loss, parts = learner.loss(batch, 1.0)
    assert (loss > 0.01).all()
    torch.testing.assert_close(loss.detach(), parts[3])
    loss.sum().backward()
    assert all(p.grad is None for p in learner.averages.parameters())
    stepped = {id(p) for group in learner.optimizer.param_groups for p in group["params"]}
    assert stepped == {id(p) for p in learner.networks.parameters()}
    assert not stepped & {id(p) for p in learner.averages.parameters()}


def test_an_agent_is_distilled_on_its_own_samples_only() -> None:
    learner, batch = build(QUIET)
    before, _ = learner.loss(batch, 1.0)
    batch["observation"] = batch["observation"].clone()
    batch["observation"][1] = 0
    after, _ = learner.loss(batch, 1.0)
    torch.testing.assert_close(after[0], before[0])
    assert (after[1] != before[1]).all()


def test_distillation_is_charged_times_its_coefficient() -> None:
    learner, batch = build(QUIET)
    once, parts = learner.loss(batch, 1.0)
    torch.testing.assert_close(once.detach(), parts[3])
    for coef in (0.0, 0.25, 3.0):
        torch.testing.assert_close(learner.loss(batch, coef)[0], coef * once)


def test_entropy_is_paid_for() -> None:
    """A uniform policy earns ln 15 times the coefficient; a sharper one earns less."""
    learner, batch = build(replace(QUIET, agents=1, distill_coef=0.0, entropy_coef=0.5))
    sharp, parts = learner.loss(batch, 0.0)
    logits, _ = forward(learner.networks[0].state_dict(), batch["observation"][0])
    expected = -(log_softmax(logits).exp() * log_softmax(logits)).sum(dim=1)
    torch.testing.assert_close(parts[2, 0].double(), expected, rtol=1e-4, atol=0)
    (network,) = learner.networks
    with torch.no_grad():
        network.policy.weight.zero_()
    batch["log_prob"] = torch.full((1, 2), -math.log(15))
    uniform, _ = learner.loss(batch, 0.0)
    torch.testing.assert_close(uniform, torch.full((1, 2), -0.5 * math.log(15)))
    assert (sharp > uniform).all()


@pytest.mark.parametrize(
    ("clips", "was", "target", "expected"),
    [
        (True, -1.0, 0.0, 0.32),  # from 1 below it may only come to 0.8 below
        (False, -1.0, 0.0, 0.0),
        (True, 1.0, 0.0, 0.32),
        (True, -0.1, 1.0, 0.5),  # a small move is free
        (True, -1.0, -1.0, 0.5),  # going too far costs in full
        (False, -1.0, 2.0, 2.0),
    ],
)
def test_value_loss_by_hand(clips: bool, was: float, target: float, expected: float) -> None:
    """The value then and the target are relative to the value now; half of squared errors."""
    config = replace(QUIET, agents=1, distill_coef=0.0, value_coef=0.25, clip_value_loss=clips)
    learner, batch = build(config)
    now = batch["value"]
    batch["value"], batch["target"] = now + was, now + target
    loss, parts = learner.loss(batch, 0.0)
    torch.testing.assert_close(parts[1], torch.full((1, 2), expected), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss.detach(), 0.25 * parts[1])


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected", "clipped"),
    [(1.5, 1.0, -1.2, 1.0), (0.5, 1.0, -0.5, 1.0), (1.5, -1.0, 1.5, 1.0), (1.1, 2.0, -2.2, 0.0)],
)
def test_policy_loss_and_its_metrics_by_hand(
    ratio: float, advantage: float, expected: float, clipped: float
) -> None:
    """approx_kl is ratio - 1 - ln ratio, which is unbiased and never negative (Schulman 2020)."""
    learner, batch = build(replace(QUIET, agents=1, distill_coef=0.0))
    batch["log_prob"] = batch["log_prob"] - math.log(ratio)
    batch["advantage"] = torch.full((1, 2), advantage)
    loss, parts = learner.loss(batch, 0.0)
    torch.testing.assert_close(loss.detach(), torch.full((1, 2), expected), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts[0], loss.detach())
    kl = ratio - 1 - math.log(ratio)
    torch.testing.assert_close(parts[4], torch.full((1, 2), kl), rtol=1e-4, atol=1e-5)
    assert (parts[5] == clipped).all()


def test_losses_are_float32_also_where_networks_compute_in_bfloat16() -> None:
    """bfloat16 has three digits: too few for a ratio that is clipped at 0.8 and 1.2."""
    learner, batch = build(replace(TINY, precision="bfloat16"))
    with learner.autocast():
        _, parts = learner.loss(batch, 1.0)
    rounded = parts.bfloat16().float()
    for row in (2, 3):  # entropy and divergence
        assert (parts[row] != rounded[row]).all()


def test_explained_variance_by_hand() -> None:
    target = torch.tensor([[0.0, 2.0, 4.0], [0.0, 2.0, 4.0], [1.0, 1.0, 1.0]])
    value = torch.tensor([[0.0, 1.0, 2.0], [5.0, 7.0, 9.0], [0.0, 1.0, 2.0]])
    found = list(explained_variance({"target": target, "value": value}))
    assert found[:2] == [0.75, 1.0]  # half of the way leaves a quarter; a constant is no error
    assert not math.isfinite(found[2])


# Ends of episodes.


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        ([0, 0, 0], [1 + 1.25 / 4, 1 + 1 / 4, 1.0]),
        ([1, 0, 0], [1 - 2.0, 1.25, 1.0]),
        ([0, 1, 0], [1 - 2 / 4, 2 - 4.0, 1.0]),
        ([0, 0, 1], [1 + 0.25 / 4, 1 - 3 / 4, 3 - 6.0]),
        ([1, 1, 1], [1 - 2.0, 2 - 4.0, 3 - 6.0]),
    ],
)
def test_an_end_cuts_the_future_off(done: list[int], expected: list[float]) -> None:
    """With discount and decay 1/2, all TD errors are 1 where nothing ends, and reward - value where
    something does.  An end of the step before or after would give another row of this table.
    """
    reward, value, reached = (torch.tensor(x) for x in ([1.0, 2, 3], [2.0, 4, 6], [4.0, 6, 8]))
    found = losses.generalized_advantages(
        reward, value, reached, discount=0.5, decay=0.5, done=torch.tensor(done).bool()
    )
    assert found.tolist() == expected


def test_nothing_after_an_end_matters_before_it() -> None:
    rng = torch.Generator().manual_seed(0)
    reward, value, reached = (torch.rand(6, 2, generator=rng) for _ in range(3))
    done = torch.zeros(6, 2)
    done[2, 0] = 1
    before = losses.generalized_advantages(reward, value, reached, 0.9, 0.8, done)
    reached[2], reward[3:], value[3:] = 100.0, 100.0, -100.0
    after = losses.generalized_advantages(reward, value, reached, 0.9, 0.8, done)
    assert torch.equal(before[:3, 0], after[:3, 0])
    assert (before[:3, 1] != after[:3, 1]).all()


# Rewards.


def test_rewards_are_divided_by_the_deviation_of_all_returns_so_far() -> None:
    rng = np.random.default_rng(0)
    normalizer, reference = RewardNormalizer(3, 0.9, 2.0), RewardScale(0.9, 2.0)
    clipped = 0
    for _ in range(200):
        reward, done = rng.exponential(size=3) * (rng.random(3) < 0.3), rng.random(3) < 0.1
        found = normalizer(reward, done)
        np.testing.assert_allclose(found, reference(reward.tolist(), done.tolist()), rtol=1e-10)
        clipped += int((found == 2.0).sum())
    assert 5 < clipped < 200


def test_the_first_rewards_by_hand() -> None:
    """Rewards 1 and 3 have variance 1; the pseudo-count of 1e-4 around 0 hardly shows."""
    normalizer = RewardNormalizer(2, 0.5, 10.0)
    ended = np.array([True, False])
    np.testing.assert_allclose(normalizer(np.array([1.0, 3.0]), ended), [1, 3], rtol=2e-4)
    assert normalizer.returns.tolist() == [0.0, 3.0]
    # Returns are now 0 + 4 in the environment that began anew and 3 / 2 + 0.5 in the other.
    deviation = math.sqrt(np.var([1.0, 3.0, 4.0, 2.0]))
    found = normalizer(np.array([4.0, 0.5]), ~ended)
    np.testing.assert_allclose(found, np.array([4.0, 0.5]) / deviation, rtol=2e-4)


def test_rewards_are_clipped_on_both_sides() -> None:
    normalizer = RewardNormalizer(4, 0.5, 1.5)
    found = normalizer(np.array([10.0, -10.0, 0.0, 0.0]), np.zeros(4, dtype=bool))
    np.testing.assert_allclose(found, [math.sqrt(2), -math.sqrt(2), 0, 0], rtol=1e-3)
    found = normalizer(np.array([100.0, -100.0, 0.0, 0.0]), np.zeros(4, dtype=bool))
    assert found.tolist() == [1.5, -1.5, 0.0, 0.0]


# Random numbers.


@pytest.mark.parametrize("order", ["shared", "own"])
def test_minibatches_are_permutations_of_all_samples(order: Literal["shared", "own"]) -> None:
    config = replace(TINY, agents=3, minibatch_order=order)
    permutations = draw(config, 2).permutations
    assert permutations.shape == (2, 3, 12)
    assert torch.equal(permutations.sort(dim=-1).values, torch.arange(12).expand(2, 3, 12))
    assert not torch.equal(permutations[0], permutations[1]), "each pass has an order of its own"
    same = [torch.equal(permutations[:, 0], permutations[:, k]) for k in (1, 2)]
    assert same == [order == "shared"] * 2
    assert torch.equal(permutations[:, 1], permutations[:, 2]) == (order == "shared")


def test_random_numbers_are_a_function_of_seed_and_update() -> None:
    def drawn(seed: int, update: int, **changes: Any) -> list[Any]:
        numbers = draw(replace(TINY, seed=seed, **changes), update)
        return [numbers.uniforms.tolist(), numbers.permutations.tolist(), numbers.dropout_seed]

    first = drawn(1, 4)
    assert first == drawn(1, 4)
    assert first == drawn(1, 4, distill_coef=0.3, learning_rate=1.0, env="procgen:maze")
    for other in (drawn(1, 3), drawn(2, 4), drawn(4, 1)):
        assert all(mine != theirs for mine, theirs in zip(first, other, strict=True))


def test_agents_draw_the_same_whoever_else_there_is() -> None:
    two, three = draw(TINY, 1), draw(replace(TINY, agents=3), 1)
    assert torch.equal(two.uniforms, three.uniforms[:, :2])
    assert torch.equal(two.permutations, three.permutations[:, :2])
    own = [draw(replace(TINY, agents=n, minibatch_order="own"), 1).permutations for n in (2, 3)]
    assert torch.equal(own[0], own[1][:, :2])


def test_agents_and_steps_have_uniforms_of_their_own() -> None:
    uniforms = draw(TINY, 0).uniforms
    assert uniforms.shape == (4, 2, 3)
    assert uniforms.dtype == torch.float32
    assert len(uniforms.unique()) == uniforms.numel()
    many = draw(replace(TINY, rollout_steps=5000, total_steps=15000), 0).uniforms
    assert 0 <= many.min() < 0.001
    assert 0.999 < many.max() < 1


def test_agents_share_a_stream_of_levels_or_have_their_own() -> None:
    shared, own = replace(TINY, agents=4), replace(TINY, agents=4, shared_levels=False)
    assert [env_seed(shared, k) for k in range(4)] == [TINY.seed] * 4
    assert env_seed(own, 0) == TINY.seed
    assert len({env_seed(own, k) for k in range(4)}) == 4
    assert env_seed(replace(own, seed=2), 1) not in {env_seed(own, k) for k in range(4)}
    last = replace(own, agents=64, seed=2**31 - 1)
    assert all(0 <= env_seed(last, k) < 2**31 for k in range(64))


def test_independent_streams_of_different_seeds_never_meet() -> None:
    """Otherwise runs of seeds 1, 2, 3 would share levels between different agents."""
    own = replace(TINY, agents=64, shared_levels=False)
    seeds = [env_seed(replace(own, seed=s), k) for s in range(1, 30) for k in range(64)]
    assert len(set(seeds)) == len(seeds)


# Actions.

ACTIONS = torch.tensor([0.125, 0.25, 0.5, 0.125])


def test_actions_invert_the_distribution_function() -> None:
    """Evenly spread uniforms give each action exactly as often as it is probable."""
    uniform = (torch.arange(800) + 0.5) / 800
    action, log_prob = choose((ACTIONS.log() + 5).expand(800, 4), uniform)
    assert torch.bincount(action, minlength=4).tolist() == [100, 200, 400, 100]
    assert action.tolist() == sorted(action.tolist())
    torch.testing.assert_close(log_prob, ACTIONS.log()[action])


@pytest.mark.parametrize(
    ("uniform", "action"),
    [(0.0, 0), (0.1249999, 0), (0.125, 1), (0.3749999, 1), (0.375, 2), (0.875, 3), (1 - 2**-24, 3)],
)
def test_actions_at_the_edges(uniform: float, action: int) -> None:
    """Each action owns the uniforms from where it begins to just before where the next does."""
    assert choose(ACTIONS.log()[None], torch.tensor([uniform]))[0].item() == action


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-24])
@pytest.mark.parametrize("impossible", [0, 7, 14])
def test_impossible_actions_are_never_chosen(uniform: float, impossible: int) -> None:
    """Not even where rounding leaves the sum of all others a little below 1."""
    rng = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(1000, 15, generator=rng)
    logits[:, impossible] -= 200
    action, log_prob = choose(logits, torch.full((1000,), uniform))
    assert (action != impossible).all()
    assert (log_prob > -40).all()


# Rollouts.


class Scripted:
    """Environments whose pictures are the number of the step and whose rewards are actions."""

    def __init__(self, game: str, num_envs: int, renderings: Any, **options: Any) -> None:
        self.seed, self.n = options["seed"], num_envs
        self.step = 0
        self.acted: list[list[int]] = []

    def reset(self) -> None:
        self.step = 0

    def pictures(self) -> np.ndarray:
        return np.full((self.n, 64, 64, 3), self.step, dtype=np.uint8)

    def act(self, actions: np.ndarray) -> None:
        self.acted.append(actions.tolist())
        self.step += 1

    def observe(self) -> tuple[Any, ...]:
        reward = np.array(self.acted[-1], dtype=np.float32)
        ended, first = (self.step + np.arange(self.n)) % 3 == 0, np.arange(self.n) == 0
        return reward, ended & first, ended & ~first


EPISODES = [([1, 2, 3, 3], [200, 201, 3, 606]), ([3, 3, 3, 3], [309, 12, 615, 318])]
"""Lengths and agent 0's returns of the episodes that end in the first and the second rollout, in
the order of their ends: the first is environment 2's single step, the second environment 1's two.
"""


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[ProcgenConfig], Collector]:
    monkeypatch.setattr(rollout_module, "MixedGames", Scripted)
    return lambda config: Collector(config, CPU)


def act(agent: int, seen: Tensor, uniform: Tensor) -> tuple[Tensor, ...]:
    """Actions and values that tell agent, step and environment."""
    step = seen[:, 0, 0, 0]
    action = step + 20 * agent + 100 * torch.arange(len(seen))
    return action, -uniform, 1000 + action.float()


def test_rollouts_keep_agents_steps_and_environments_in_their_places(
    scripted: Callable[[ProcgenConfig], Collector],
) -> None:
    config = replace(TINY, normalize_rewards=False)
    collector = scripted(config)
    uniforms = draw(config, 0).uniforms
    for number in range(2):
        rollout, ended = collector.collect(act, uniforms)
        k, t, e = torch.meshgrid(torch.arange(2), torch.arange(4), torch.arange(3), indexing="ij")
        t = t + 4 * number
        expected = t + 20 * k + 100 * e
        assert torch.equal(rollout.observation[..., 0, 0, 0].long(), t)
        assert torch.equal(rollout.action, expected)
        assert torch.equal(rollout.value, 1000.0 + expected)
        assert torch.equal(rollout.reward, expected.float())
        assert torch.equal(rollout.done, (t + 1 + e) % 3 == 0)
        assert torch.equal(rollout.log_prob, -uniforms.movedim(1, 0))
        after = 4 * (number + 1) + 20 * k[:, 0] + 100 * e[:, 0]
        assert torch.equal(rollout.last_value, 1000.0 + after)
        for agent, episodes in enumerate(ended):
            assert episodes.lengths == EPISODES[number][0]
            earned = [x + 20 * agent * n for n, x in zip(*EPISODES[number], strict=True)]
            assert episodes.returns == earned


def test_each_agent_has_a_normalizer_of_its_own_that_lives_on(
    scripted: Callable[[ProcgenConfig], Collector],
) -> None:
    collector = scripted(TINY)
    references = [RewardScale(TINY.discount, TINY.reward_clip) for _ in range(2)]
    for number in range(2):
        rollout, _ = collector.collect(act, draw(TINY, number).uniforms)
        for k, reference in enumerate(references):
            for t in range(4):
                reward = [t + 4 * number + 20 * k + 100 * e for e in range(3)]
                expected = reference(reward, rollout.done[k, t].tolist())
                np.testing.assert_allclose(rollout.reward[k, t], expected, rtol=1e-6)
