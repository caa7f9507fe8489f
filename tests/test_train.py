"""Training: one update against plain float64 code, resuming after a kill, independence."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.envs.pixelgrid import make_pixelgrid
from experiments.pixelgrid import rollout
from experiments.pixelgrid.checkpoint import load_evaluations
from experiments.pixelgrid.config import TrainConfig
from experiments.pixelgrid.train import METRICS, Worlds, build, gradient_step, train
from tests.small_run import SMALL


def files(run: Path) -> dict[str, bytes]:
    """Everything a run promises to write the same again; not TensorBoard's, which hold times."""
    return {
        str(p.relative_to(run)): p.read_bytes()
        for p in sorted(run.rglob("*"))
        if p.is_file() and p.parent.name != "tensorboard" and p.suffix != ".partial"
    }


def final_logits(run: Path) -> torch.Tensor:
    return load_evaluations(run, TrainConfig.load(run))[1][-1]


def test_same_seed_same_result_other_seed_other_result(tmp_path: Path) -> None:
    train(SMALL, tmp_path / "a")
    train(SMALL, tmp_path / "b")
    train(dataclasses.replace(SMALL, first_seed=7), tmp_path / "c")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert (final_logits(tmp_path / "a") != final_logits(tmp_path / "c")).any()


@pytest.mark.parametrize("stop_after", [1, 2, 3, 5])
def test_a_stopped_run_resumes_to_the_same_files(tmp_path: Path, stop_after: int) -> None:
    train(SMALL, tmp_path / "whole")
    for _ in range(6):
        train(SMALL, tmp_path / "stopped", stop_after=max(stop_after, SMALL.evaluate_every))
    train(SMALL, tmp_path / "stopped")
    assert files(tmp_path / "whole") == files(tmp_path / "stopped")


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_files(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, updates=60)
    train(config, tmp_path / "whole")
    flags = config.command(tmp_path / "killed")[len("mdpo ") :].split()
    command = [sys.executable, "-m", "experiments.cli"]
    process = subprocess.Popen([*command, *flags], stderr=subprocess.DEVNULL)
    evaluations = tmp_path / "killed" / "evaluations"
    deadline = time.monotonic() + 60
    while len(list(evaluations.glob("*.safetensors"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = len(list(evaluations.glob("*.safetensors")))
    assert 3 <= done < 31, "the run must have been killed in the middle"
    again = subprocess.run(
        [*command, "resume", str(tmp_path / "killed")], capture_output=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_seeds_do_not_influence_each_other(tmp_path: Path) -> None:
    train(dataclasses.replace(SMALL, seeds=3), tmp_path / "three")
    train(dataclasses.replace(SMALL, seeds=1, first_seed=2), tmp_path / "one")
    torch.testing.assert_close(
        final_logits(tmp_path / "three")[2:], final_logits(tmp_path / "one"), rtol=1e-4, atol=1e-4
    )


def test_independent_agents_do_not_influence_each_other() -> None:
    """With coefficient 0, what agent 1 saw leaves agent 0's step unchanged; with 1 it does not.

    Agent 1's policy enters agent 0's distillation loss, so its *weights* matter then.
    """
    moved = {}
    for coef in (0.0, 1.0):
        steps = []
        for scale in (1.0, 3.0):
            config = dataclasses.replace(SMALL, distill_coef=coef)
            worlds = Worlds.of(config)
            network, optimizer = build(config, worlds)
            with torch.no_grad():
                network.layers["policy"].weight[:, 1] *= 100 * scale
            gradient_step(config, network, optimizer, pixels(config, worlds), batch(config))
            steps.append(network.layers["body1"].weight[:, 0].detach().clone())
        moved[coef] = not torch.equal(*steps)
    assert moved == {0.0: False, 1.0: True}


def pixels(config: TrainConfig, worlds: Worlds) -> torch.Tensor:
    return worlds.pixels[:, : config.pixelgrid.train_renderings * config.pixelgrid.n_states]


def batch(config: TrainConfig, n: int = 24) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(5)
    shape = (config.seeds, config.agents, n)
    n_observations = config.pixelgrid.train_renderings * config.pixelgrid.n_states
    floats = {
        name: torch.from_numpy(rng.normal(size=shape)).float()
        for name in ("value", "advantage", "target")
    }
    return floats | {
        "observation": torch.from_numpy(rng.integers(0, n_observations, shape)),
        "action": torch.from_numpy(rng.integers(0, 4, shape)),
        "log_prob": torch.from_numpy(np.log(rng.uniform(0.1, 0.5, shape))).float(),
    }


class PlainNetwork(torch.nn.Module):
    """One agent's actor-critic, written plainly, with weights taken from the batched one."""

    def __init__(self, batched: torch.nn.Module, seed: int, agent: int) -> None:
        super().__init__()
        self.parts = torch.nn.ParameterDict()
        for name, layer in batched.layers.items():  # type: ignore[union-attr]
            self.parts[f"{name}_w"] = layer.weight[seed, agent].detach().clone().double()
            self.parts[f"{name}_b"] = layer.bias[seed, agent, 0].detach().clone().double()

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        p = self.parts
        h = torch.tanh((image - 0.5) @ p["body1_w"] + p["body1_b"])
        h = torch.tanh(h @ p["body2_w"] + p["body2_b"])
        return h @ p["policy_w"] + p["policy_b"], (h @ p["value_w"] + p["value_b"])[..., 0]


def plain_gradient_step(
    config: TrainConfig,
    networks: list[PlainNetwork],
    images: torch.Tensor,
    data: list[dict[str, torch.Tensor]],
) -> None:
    """The same step for one seed, agent by agent, sample by sample where it matters."""
    total = torch.zeros((), dtype=torch.float64)
    for i, own in enumerate(data):
        seen = images[own["observation"]]
        logits, value = networks[i](seen)
        advantage = own["advantage"]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        policy = torch.distributions.Categorical(logits=logits)
        ratio = torch.exp(policy.log_prob(own["action"]) - own["log_prob"])
        surrogate = torch.min(
            ratio * advantage,
            torch.clamp(ratio, 1 - config.clip, 1 + config.clip) * advantage,
        )
        moved = own["value"] + torch.clamp(value - own["value"], -config.clip, config.clip)
        squared = torch.max((value - own["target"]) ** 2, (moved - own["target"]) ** 2)
        loss = -surrogate.mean() + config.value_coef * 0.5 * squared.mean()
        loss = loss - config.entropy_coef * policy.entropy().mean()
        others = [j for j in range(len(networks)) if j != i]
        for j in others:
            other = torch.distributions.Categorical(logits=networks[j](seen)[0])
            divergence = torch.distributions.kl_divergence(other, policy).mean()
            loss = loss + config.distill_coef * divergence / len(others)
        total = total + loss / len(data)
    total.backward()
    for network in networks:
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.max_grad_norm)
        torch.optim.Adam(network.parameters(), lr=config.learning_rate, eps=config.adam_eps).step()


@pytest.mark.parametrize(("agents", "coef"), [(1, 0.0), (2, 0.0), (2, 0.5), (3, 0.5)])
def test_one_update_agrees_with_a_plain_float64_implementation(agents: int, coef: float) -> None:
    config = dataclasses.replace(SMALL, agents=agents, distill_coef=coef)
    worlds = Worlds.of(config)
    network, _ = build(config, worlds)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(1)
            )
    network.double()
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, eps=config.adam_eps)
    images = pixels(config, worlds).double()
    data = {k: v.double() if v.is_floating_point() else v for k, v in batch(config).items()}
    plain = [
        [PlainNetwork(network, seed, agent) for agent in range(agents)]
        for seed in range(config.seeds)
    ]
    gradient_step(config, network, optimizer, images, data)
    for seed in range(config.seeds):
        own = [{k: v[seed, agent] for k, v in data.items()} for agent in range(agents)]
        plain_gradient_step(config, plain[seed], images[seed], own)
        for agent in range(agents):
            for name, value in plain[seed][agent].parts.items():
                layer, kind = name.split("_")
                batched = network.layers[layer]
                found = batched.weight[seed, agent] if kind == "w" else batched.bias[seed, agent, 0]
                torch.testing.assert_close(found, value, rtol=1e-10, atol=1e-12)


def test_rollout_follows_the_latent_dynamics_and_the_policy() -> None:
    config = dataclasses.replace(SMALL, n_envs=64, rollout_steps=200)
    worlds = Worlds.of(config)
    numbers = rollout.draw([0, 1], 3, agents=2, n_envs=64, n_steps=200, epochs=1)
    n_observations = config.pixelgrid.train_renderings * config.pixelgrid.n_states
    policy = torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(2, 2, n_observations, 4)
    data = rollout.collect(policy, worlds.next_state, config.pixelgrid.train_renderings, numbers)
    frequency = torch.bincount(data.action.flatten(), minlength=4) / data.action.numel()
    np.testing.assert_allclose(frequency, [0.1, 0.2, 0.3, 0.4], atol=0.005)
    n_states = config.pixelgrid.n_states
    for seed, world in enumerate(config.worlds):
        moves = torch.from_numpy(make_pixelgrid(world).next_state)
        state, action = data.observation[:, seed] % n_states, data.action[:, seed]
        left = moves[state, action] < 0
        assert left.any()
        assert torch.equal(data.reward[:, seed] == 1, left)
        reached = data.next_observation[:, seed] % n_states
        assert torch.equal(reached[~left], moves[state, action][~left])
        assert torch.bincount(reached[left], minlength=n_states).min() > 0
        rendering = data.observation[:, seed] // n_states
        assert torch.equal(rendering, rendering[:1].expand_as(rendering))
    assert torch.equal(data.observation[1:], data.next_observation[:-1])


def test_permutations_are_permutations() -> None:
    numbers = rollout.draw([4], 0, agents=2, n_envs=3, n_steps=5, epochs=2)
    assert torch.equal(
        numbers.permutations.sort(dim=-1).values, torch.arange(15).expand(2, 1, 2, 15)
    )


@pytest.mark.slow
def test_training_learns_the_training_renderings(tmp_path: Path) -> None:
    """A policy that ignores its input cannot reach this return."""
    from experiments.pixelgrid.audit import audit_run

    train(dataclasses.replace(SMALL, updates=60, n_envs=16, rollout_steps=32), tmp_path)
    audit = audit_run(tmp_path)
    reached = audit.values["train_return"][-1].mean(axis=-1)
    assert (reached > 0.8 * audit.optimal_return).all()
    assert audit.violations == 0


def test_a_checkpoint_of_other_seeds_is_refused_and_a_longer_run_goes_on(tmp_path: Path) -> None:
    ours, theirs = (tmp_path / name for name in ("ours", "theirs"))
    train(dataclasses.replace(SMALL, updates=3), ours)
    other = dataclasses.replace(SMALL, updates=3, first_seed=5)
    train(other, theirs)
    shutil.copy(theirs / "checkpoint.safetensors", ours)
    with pytest.raises(ValueError, match="belongs to another configuration than the run's config"):
        train(SMALL, ours)
    assert TrainConfig.load(ours).updates == 3
    train(dataclasses.replace(other, updates=4, evaluate_every=1), theirs)


def test_metrics_are_saved_for_every_update(tmp_path: Path) -> None:
    from experiments.pixelgrid.checkpoint import load_checkpoint

    train(SMALL, tmp_path)
    network, optimizer = build(SMALL, Worlds.of(SMALL))
    progress = load_checkpoint(tmp_path, SMALL, network, optimizer)
    assert progress is not None
    assert progress.metrics.shape == (6, len(METRICS), 2, 2)
    assert torch.isfinite(progress.metrics).all()
    assert (progress.metrics[:, METRICS.index("distillation_loss")] >= 0).all()
