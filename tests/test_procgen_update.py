"""Whole updates of the trainer on Procgen against `procgen_reference` in float64, by option.

A small network on small pictures stands in for the large one where size does not matter: the
reference takes all sizes from the weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from experiments.procgen import learner as learner_module
from experiments.procgen import networks as network_module
from experiments.procgen.checkpoint import config_digest
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.cuda import CudaLearner
from experiments.procgen.learner import LOSS_METRICS, Learner, build_networks
from experiments.procgen.networks import ImpalaActorCritic
from experiments.procgen.rollout import RandomNumbers, Rollout, draw
from tests.procgen_reference import METRICS, Played, Reference, forward, log_softmax

CPU = torch.device("cpu")
BASE = ProcgenConfig(
    n_envs=4, rollout_steps=8, minibatches=2, epochs=2, total_steps=4 * 32, device="cpu"
)
"""Four updates of two passes over two minibatches of 16 samples."""

TOLERANCE = 1e-10
"""Relative to the largest entry of each tensor."""


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    """Networks, and the sums in which the learner collects its metrics, are float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class SmallNetwork(ImpalaActorCritic):
    """The same architecture for 16 x 16 pixels."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        kept = self.hidden.weight.detach()[:, : self.hidden.in_features // 16]
        self.hidden.weight = nn.Parameter(kept.clone())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks with few channels on small pictures."""
    monkeypatch.setattr(network_module, "CHANNELS", (3, 4, 5))
    monkeypatch.setattr(network_module, "HIDDEN", 12)
    monkeypatch.setattr(learner_module, "ImpalaActorCritic", SmallNetwork)


def build(config: ProcgenConfig) -> tuple[Learner, Reference]:
    """A learner whose policies differ, and the reference with the same weights."""
    learner = Learner(config, CPU)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for network in learner.networks:
            for parameter in network.parameters():
                spread = 0.3 * parameter[0].numel() ** -0.5  # of each weight into a unit
                parameter.add_(spread * torch.randn(parameter.shape, generator=rng))
            network.hidden.bias.add_(0.5)
            network.policy.weight.mul_(4)
    if learner.averages is not None:
        learner.averages.load_state_dict(learner.networks.state_dict())
    return learner, Reference(config, [network.state_dict() for network in learner.networks])


def play(learner: Learner, update: int) -> Rollout:
    """A made-up rollout near enough to the policies that some samples are clipped and some not."""
    config = learner.config
    rng = torch.Generator().manual_seed(update)
    shape = (config.agents, config.rollout_steps, config.n_envs)
    side = 16 if isinstance(learner.networks[0], SmallNetwork) else 64
    observation = torch.randint(0, 256, (*shape, side, side, 3), dtype=torch.uint8, generator=rng)
    action = torch.randint(0, 15, shape, generator=rng)
    log_prob, value = torch.zeros(shape), torch.zeros(shape)
    for k, network in enumerate(learner.networks):
        for t in range(config.rollout_steps):
            logits, value[k, t] = forward(network.state_dict(), observation[k, t])
            log_prob[k, t] = log_softmax(logits)[range(config.n_envs), action[k, t]]
    return Rollout(
        observation=observation,
        action=action,
        log_prob=log_prob + 0.3 * torch.randn(shape, generator=rng),
        value=value + 0.3 * torch.randn(shape, generator=rng),
        reward=torch.randn(shape, generator=rng),
        done=torch.rand(shape, generator=rng) < 0.2,
        last_value=torch.randn(shape[0], shape[2], generator=rng),
    )


def hidden_weight(learner: Learner) -> Tensor:
    """Of the first agent."""
    return next(iter(learner.networks)).hidden.weight.detach()


def by_agent(rollout: Rollout) -> list[Played]:
    return [
        Played(
            pixels=rollout.observation[k],
            action=rollout.action[k],
            log_prob=rollout.log_prob[k],
            value=rollout.value[k],
            reward=rollout.reward[k],
            done=rollout.done[k],
            last_value=rollout.last_value[k],
        )
        for k in range(len(rollout.reward))
    ]


def assert_close(found: Tensor, expected: Tensor, name: str) -> None:
    assert found.dtype == torch.float64
    error, scale = (found - expected).abs().max().item(), expected.abs().max().item()
    assert error <= TOLERANCE * scale, f"{name}: {error} of {scale}"


def assert_same_state(learner: Learner, reference: Reference) -> None:
    """Weights, Adam's moments and moving averages agree."""
    content = learner.tensors()
    names = [name for name, _ in learner.networks.named_parameters()]
    assert len(names) == sum(len(agent.weights) for agent in reference.agents)
    for index, full_name in enumerate(names):
        k, _, name = full_name.partition(".")
        agent = reference.agents[int(k)]
        assert_close(content[f"network.{full_name}"], agent.weights[name], full_name)
        moments = [content[f"optimizer.{index}.{key}"] for key in ("exp_avg", "exp_avg_sq")]
        assert_close(moments[0], agent.first_moment[name], f"first moment of {full_name}")
        assert_close(moments[1], agent.second_moment[name], f"second moment of {full_name}")
        assert content[f"optimizer.{index}.step"] == reference.steps
        if learner.config.averages:
            average = content[f"average.{full_name}"]
            assert_close(average, agent.average[name], f"average of {full_name}")
            assert not torch.equal(average, content[f"network.{full_name}"])


def assert_agrees(
    config: ProcgenConfig, chunks: tuple[int, ...] = (0, 3, 8), updates: tuple[int, ...] = (1, 3)
) -> list[list[float]]:
    """Learners of any chunk and the reference do the same; returns the last metrics."""
    pairs = [build(replace(config, chunk=chunk)) for chunk in chunks]
    reference = pairs[0][1]
    metrics: list[list[float]] = []
    for update in updates:
        rollout, numbers = play(pairs[0][0], update), draw(config, update)
        metrics = reference.update(by_agent(rollout), numbers.permutations.tolist(), update)
        for learner, _ in pairs:
            found = learner.update(rollout, numbers, update)
            for name, row, expected in zip(LOSS_METRICS, found, metrics, strict=True):
                assert_close(row, torch.tensor(expected), name)
            assert_same_state(learner, reference)
    return metrics


EVERYTHING: dict[str, Any] = {
    "agents": 3,
    "distill_coef": 0.7,
    "learning_rate": 2e-3,
    "adam_eps": 1e-3,
    "gae_lambda": 0.8,
    "clip": 0.3,
    "value_coef": 0.9,
    "entropy_coef": 0.2,
    "max_grad_norm": 0.3,
    "discount": 0.9,
    "epochs": 1,
    "minibatches": 4,
}

AVERAGE: dict[str, Any] = {"teacher": "average", "average_decay": 0.9, "learning_rate": 0.02}
"""Long steps, so that weights leave their average soon."""

OPTIONS: dict[str, dict[str, Any]] = {
    "the paper's protocol": {},
    "independent agents": {"distill_coef": 0.0},
    "one agent": {"agents": 1, "distill_coef": 0.0},
    "three agents": {"agents": 3},
    "four independent agents": {"agents": 4, "distill_coef": 0.0},
    "KL(self || other)": {"distill_direction": "self-other"},
    "gradient into the student": {"distill_gradient": "student"},
    "own minibatches": {"minibatch_order": "own"},
    "annealed distillation": {"distill_final_factor": 0.25},
    "distillation that ends at zero": {"distill_final_factor": 0.0},
    "growing distillation": {"distill_final_factor": 3.0},
    "annealed learning rate": {"anneal_learning_rate": True},
    "one agent in long steps": {"agents": 1, "distill_coef": 0.0, "learning_rate": 0.02},
    "average teaches one agent": {"agents": 1, **AVERAGE, "average_decay": 0.5},
    "averages teach two agents": AVERAGE,
    "KL(self || average)": {**AVERAGE, "distill_direction": "self-other"},
    "L2": {"weight_decay": 0.1},
    "advantages as they are": {"normalize_advantages": False},
    "value loss without clipping": {"clip_value_loss": False},
    "short gradients": {"max_grad_norm": 1e3},
    "every coefficient changed": EVERYTHING,
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("changes", OPTIONS.values(), ids=OPTIONS)
def test_updates_agree_with_the_reference(changes: dict[str, Any]) -> None:
    assert_agrees(replace(BASE, **changes))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("direction", "gradient", "order", "teacher"),
    [
        *(
            (*choices, "peers")
            for choices in itertools.product(
                ("other-self", "self-other"), ("both", "student"), ("shared", "own")
            )
        ),
        ("other-self", "both", "own", "average"),
    ],
)
def test_updates_agree_with_the_reference_in_every_combination(
    direction: str, gradient: str, order: str, teacher: str
) -> None:
    choices = {
        "distill_direction": direction,
        "distill_gradient": gradient,
        "minibatch_order": order,
        "teacher": teacher,
        "weight_decay": 0.01,
        "anneal_learning_rate": True,
        "distill_final_factor": 0.5,
    }
    config = replace(BASE, **{**EVERYTHING, **choices})
    assert_agrees(config, chunks=(3,), updates=(2,))


@pytest.mark.usefixtures("small")
def test_no_two_options_give_the_same_update() -> None:
    """Otherwise the agreement with the reference would not show that an option arrives."""
    seen = {}
    for name, changes in OPTIONS.items():
        config = replace(BASE, n_envs=2, rollout_steps=4, total_steps=4 * 8, **changes)
        learner, _ = build(config)
        learner.update(play(learner, 2), draw(config, 2), 2)
        seen[name] = hidden_weight(learner).flatten().tolist()
    same = [pair for pair in itertools.combinations(seen, 2) if seen[pair[0]] == seen[pair[1]]]
    assert same == []


@pytest.mark.usefixtures("small")
def test_the_inputs_reach_every_branch() -> None:
    """Some ratios and values are clipped and some are not; some gradients are and some are not."""
    metrics = dict(zip(METRICS, assert_agrees(BASE, chunks=(0,), updates=(0,)), strict=True))
    assert all(0.1 < share < 0.9 for share in metrics["clip_fraction"])
    assert all(norm > BASE.max_grad_norm for norm in metrics["grad_norm"])
    assert all(norm < 1e3 for norm in metrics["grad_norm"])
    assert all(loss > 0.01 for loss in metrics["distillation_loss"])
    learner, _ = build(BASE)
    rollout = play(learner, 0)
    moved = rollout.value - torch.stack(
        [
            forward(network.state_dict(), seen.flatten(0, 1))[1]
            for network, seen in zip(learner.networks, rollout.observation, strict=True)
        ]
    ).view_as(rollout.value)
    assert 0.1 < (moved.abs() > BASE.clip).double().mean() < 0.9
    assert rollout.done[:, -1].any()
    assert rollout.done[:, :-1].any()


@pytest.mark.parametrize("changes", [{}, {"width": 2, "agents": 1, "distill_coef": 0.0}])
def test_updates_of_the_large_network_agree_with_the_reference(changes: dict[str, Any]) -> None:
    config = replace(BASE, n_envs=2, rollout_steps=4, epochs=1, total_steps=8, **changes)
    learner, _ = build(config)
    assert hidden_weight(learner).shape == (256 * config.width, 2048 * config.width)
    assert_agrees(config, chunks=(3,), updates=(0,))


def test_float32_is_near_the_reference() -> None:
    """As training runs: no test's default dtype, and nothing that float32 cannot bear."""
    torch.set_default_dtype(torch.float32)
    config = replace(BASE, n_envs=2, rollout_steps=4, epochs=1, total_steps=8)
    learner, reference = build(config)
    rollout, numbers = play(learner, 0), draw(config, 0)
    found = learner.update(rollout, numbers, 0)
    expected = reference.update(by_agent(rollout), numbers.permutations.tolist(), 0)
    torch.testing.assert_close(
        found.double(), torch.tensor(expected).double(), rtol=1e-4, atol=1e-5
    )
    for network, agent in zip(learner.networks, reference.agents, strict=True):
        for name, weight in network.state_dict().items():
            assert weight.dtype == torch.float32
            torch.testing.assert_close(weight.double(), agent.weights[name], rtol=0, atol=2e-4)


@pytest.mark.usefixtures("small")
def test_metrics_are_as_exact_as_the_rollout() -> None:
    """Float64 networks and rollouts give float64 metrics, whatever the default is."""
    learner, reference = build(BASE)
    rollout, numbers = play(learner, 0), draw(BASE, 0)
    torch.set_default_dtype(torch.float32)
    found = learner.update(rollout, numbers, 0)
    expected = reference.update(by_agent(rollout), numbers.permutations.tolist(), 0)
    for name, row, metric in zip(LOSS_METRICS, found, expected, strict=True):
        assert_close(row, torch.tensor(metric, dtype=torch.float64), name)


def test_weights_depend_on_seed_and_agent_alone() -> None:
    """Agents differ from each other, and the first is the same whoever else there is."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    two, three = build_networks(BASE), build_networks(replace(BASE, agents=3, epochs=1))
    other = build_networks(replace(BASE, seed=2))
    assert torch.equal(torch.get_rng_state(), before)
    for name, weight in two[0].state_dict().items():
        assert torch.equal(weight, three[0].state_dict()[name])
        if not name.endswith(("policy.bias", "value.bias")):
            for different in (two[1], other[0], other[1]):
                assert not torch.equal(weight, different.state_dict()[name])


def test_heads_start_orthogonal_with_gains_of_a_hundredth_and_of_one() -> None:
    for network in build_networks(BASE):
        for head, gain in ((network.policy, 0.01), (network.value, 1.0)):
            expected = gain**2 * torch.eye(len(head.weight))
            torch.testing.assert_close(head.weight @ head.weight.T, expected)
            assert not head.bias.any()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("changes", [{}, AVERAGE, {"weight_decay": 0.1, "dropout": 0.3}])
def test_a_restored_learner_goes_on_bit_for_bit(changes: dict[str, Any]) -> None:
    config = replace(BASE, **changes, anneal_learning_rate=True)
    learner, _ = build(config)
    learner.update(play(learner, 0), draw(config, 0), 0)
    restored = Learner(config, CPU)
    restored.restore({name: tensor.clone() for name, tensor in learner.tensors().items()})
    rollout = play(learner, 1)
    metrics = [one.update(rollout, draw(config, 1), 1) for one in (learner, restored)]
    assert torch.equal(*metrics)
    content = restored.tensors()
    assert learner.tensors().keys() == content.keys()
    assert all(torch.equal(tensor, content[name]) for name, tensor in learner.tensors().items())


@pytest.mark.usefixtures("small")
def test_restored_moments_lie_in_memory_like_their_weights_on_gpus() -> None:
    """A fused optimizer walks over both as they lie: channels last there, first in files.

    Nothing of it needs a GPU but the steps themselves.
    """
    learner, _ = build(BASE)
    learner.update(play(learner, 0), draw(BASE, 0), 0)
    content = {name: tensor.clone().contiguous() for name, tensor in learner.tensors().items()}
    restored = CudaLearner(replace(BASE, compile=False), CPU)
    restored.restore(content)
    kernel = next(iter(restored.networks)).sequences[0].get_parameter("conv.weight")
    assert kernel.stride() == (27, 1, 9, 3)
    for weight, state in restored.optimizer.state.items():
        for moment in (state["exp_avg"], state["exp_avg_sq"]):
            assert moment.stride() == weight.stride()
    assert restored.tensors().keys() == content.keys()
    assert all(torch.equal(tensor, content[name]) for name, tensor in restored.tensors().items())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "changes", [{}, {"distill_gradient": "student"}, {"distill_coef": 0.0}, AVERAGE]
)
def test_precision_changes_only_rounding(changes: dict[str, Any]) -> None:
    """tf32 means nothing to CPUs; bfloat16 has three digits, weights and metrics stay float32."""
    torch.set_default_dtype(torch.float32)
    found = {}
    for precision in ("float32", "tf32", "bfloat16"):
        # Without clips, since rounding decides which samples near the edge are clipped.
        learner, _ = build(replace(BASE, **{**changes, "clip": 1e6, "precision": precision}))
        found[precision] = learner.update(play(learner, 0), draw(BASE, 0), 0)
        assert {p.dtype for p in learner.networks.parameters()} == {torch.float32}
    assert torch.equal(found["float32"], found["tf32"])
    assert not torch.equal(found["float32"], found["bfloat16"])
    assert found["bfloat16"].dtype == torch.float32
    torch.testing.assert_close(found["float32"], found["bfloat16"], rtol=0.05, atol=0.05)


def with_recorded_masks(
    learner: Learner, rollout: Rollout, numbers: RandomNumbers
) -> tuple[Tensor, dict[int, list[Tensor]]]:
    """The metrics of update 0 and, by agent, what multiplied the hidden units in each pass."""
    masks: dict[int, list[Tensor]] = {k: [] for k in range(len(learner.networks))}
    handles = []
    for k, network in enumerate(learner.networks):

        def note(module: Any, given: tuple[Tensor], out: Tensor, k: int = k) -> None:
            if module.training:
                masks[k].append(torch.where(given[0] > 0, out / given[0], 0).detach())

        handles.append(network.dropout.register_forward_hook(note))
    metrics = learner.update(rollout, numbers, 0)
    for handle in handles:
        handle.remove()
    return metrics, masks


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("gradient", ["both", "student"])
def test_dropout_multiplies_hidden_units_by_masks_of_their_own(
    gradient: Literal["both", "student"],
) -> None:
    """Given the masks, updates agree with the reference; a teacher without gradient has none."""
    config = replace(BASE, agents=3, dropout=0.3, distill_gradient=gradient)
    learner, reference = build(config)
    rollout, numbers = play(learner, 0), draw(config, 0)
    learner.act(0, rollout.observation[0, 0], torch.rand(4))  # after which dropout is on again
    found, recorded = with_recorded_masks(learner, rollout, numbers)
    steps = config.epochs * config.minibatches
    assert {len(own) for own in recorded.values()} == {steps}
    masks = []
    for step in range(steps):
        if gradient == "both":
            owners = {(i, j): m for j in range(3) for i, m in enumerate(recorded[j][step].chunk(3))}
        else:
            owners = {(j, j): recorded[j][step] for j in range(3)}
        masks.append(owners)
    expected = reference.update(by_agent(rollout), numbers.permutations.tolist(), 0, masks)
    for name, row, metric in zip(LOSS_METRICS, found, expected, strict=True):
        assert_close(row, torch.tensor(metric), name)
    assert_same_state(learner, reference)


def test_dropout_keeps_the_mean_of_each_hidden_unit() -> None:
    """Kept units are scaled by 1 / (1 - p); each is dropped with probability p, on its own."""
    config = replace(BASE, dropout=0.25, agents=2, epochs=1, distill_coef=0.0)
    learner, _ = build(config)
    rollout = play(learner, 0)
    with torch.no_grad():
        for network in learner.networks:
            network.hidden.bias.fill_(100.0)  # all units are active: 0 means dropped
    _, recorded = with_recorded_masks(learner, rollout, draw(config, 0))
    first, second = (torch.cat(recorded[k]) for k in range(2))
    for mask in (first, second):
        assert mask.shape == (32, 256)
        kept = mask > 0
        torch.testing.assert_close(mask[kept], torch.full_like(mask[kept], 4 / 3))
        assert 0.73 < kept.double().mean() < 0.77  # 0.75 +- 4 deviations of 8192 draws
        assert len(torch.unique(kept, dim=0)) == 32
    assert not torch.equal(first, second)


@pytest.mark.usefixtures("small")
def test_dropout_is_a_function_of_seed_and_update_and_leaves_the_global_generator_alone() -> None:
    config = replace(BASE, dropout=0.3)
    results = []
    for seed, update, disturbance in ((1, 0, 5), (1, 0, 6), (1, 2, 5), (2, 0, 5)):
        learner, _ = build(config)
        rollout, fixed = play(learner, 0), draw(config, 0).permutations
        torch.manual_seed(disturbance)
        before = torch.get_rng_state()
        numbers = replace(draw(replace(config, seed=seed), update), permutations=fixed)
        learner.update(rollout, numbers, 0)
        assert torch.equal(torch.get_rng_state(), before)
        results.append(hidden_weight(learner))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert not torch.equal(results[0], results[3])


@pytest.mark.usefixtures("small")
def test_dropout_is_off_when_acting_also_after_an_update() -> None:
    learner, _ = build(replace(BASE, dropout=0.5))
    rollout = play(learner, 0)
    pixels = rollout.observation[0, 0]
    for _ in range(2):
        logits, expected = forward(learner.networks[0].state_dict(), pixels)
        action, log_prob, value = learner.act(0, pixels, torch.rand(4))
        torch.testing.assert_close(value, expected)
        chosen = log_softmax(logits)[range(4), action]
        torch.testing.assert_close(log_prob.double(), chosen, rtol=1e-5, atol=1e-6)
        learner.update(rollout, draw(learner.config, 0), 0)


@pytest.mark.parametrize(("dropout", "same"), [(0.0, True), (0.3, False)])
def test_a_run_may_go_on_with_another_chunk_unless_it_drops_units(
    dropout: float, same: bool
) -> None:
    """Chunks change rounding only, but which units are dropped is drawn chunk by chunk."""
    digests = {config_digest(replace(BASE, dropout=dropout, chunk=chunk)) for chunk in (0, 8)}
    assert (len(digests) == 1) == same
