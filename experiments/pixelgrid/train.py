"""Mutual-distillation PPO on the pixel grid, every seed and agent in one batched network.

Reads top to bottom: rollout, advantages, minibatches, losses, step, evaluation, checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from experiments import losses
from experiments.config import CONFIG_FILE
from experiments.envs.pixelgrid import make_pixelgrid
from experiments.pixelgrid import rollout
from experiments.pixelgrid.checkpoint import (
    Progress,
    evaluation_path,
    load_checkpoint,
    save_checkpoint,
    save_evaluation,
)
from experiments.pixelgrid.config import TrainConfig
from experiments.pixelgrid.networks import BatchedActorCritic
from experiments.progress import Display, OnUpdate, ignore_update
from mdtheory import files

METRICS = (
    "reward_per_step",
    "policy_loss",
    "value_loss",
    "entropy",
    "distillation_loss",
    "grad_norm",
)
"""Logged at every update for every seed and agent; losses are means over the minibatches."""


@dataclass(frozen=True, eq=False)
class Worlds:
    """The seeds' worlds as tensors: pixels [seed, F·S, D] in [0, 1], next_state [seed, S, A]."""

    pixels: Tensor
    next_state: Tensor

    @classmethod
    def of(cls, config: TrainConfig) -> Worlds:
        worlds = [make_pixelgrid(world) for world in config.worlds]
        images = np.stack([world.images for world in worlds])
        return cls(
            pixels=torch.from_numpy(images).flatten(3).flatten(1, 2).to(torch.float32) / 255,
            next_state=torch.from_numpy(np.stack([world.next_state for world in worlds])),
        )


def train(
    config: TrainConfig,
    run: Path,
    *,
    stop_after: int | None = None,
    on_update: OnUpdate = ignore_update,
) -> None:
    """Train, or go on training, the run in this folder until `config.updates` are done.

    The folder holds `config.json` already or is empty.  Stopping at any instant and calling again
    gives the same files, bit for bit, as never having stopped (same machine and thread count).

    Args:
        config: the run's configuration.
        run: its folder.
        stop_after: leave after this many updates of this call; for tests.
        on_update: called after each update.

    Raises:
        BlockingIOError: another process trains this run.
    """
    (run / "evaluations").mkdir(parents=True, exist_ok=True)
    with files.only_one(run):
        _train(config, run, stop_after, on_update)


def _train(config: TrainConfig, run: Path, stop_after: int | None, on_update: OnUpdate) -> None:
    worlds = Worlds.of(config)
    network, optimizer = build(config, worlds)
    progress = load_checkpoint(run, config, network, optimizer)
    files.write_atomically(run / CONFIG_FILE, config.to_json().encode())
    if progress is None:
        empty = torch.zeros(0, len(METRICS), config.seeds, config.agents)
        progress = Progress(update=0, metrics=empty)
        save_evaluation(run, 0, evaluate(config, network, worlds))
    elif not evaluation_path(run, progress.update).exists():
        save_evaluation(run, progress.update, evaluate(config, network, worlds))
    last = config.updates if stop_after is None else progress.update + stop_after
    updates = range(progress.update, min(last, config.updates))
    history = list(progress.metrics)
    with (
        SummaryWriter(str(run / "tensorboard"), purge_step=progress.update) as board,
        Display(str(run), total=config.updates, done=updates.start) as display,
    ):
        for update in updates:
            history.append(train_once(config, worlds, network, optimizer, update))
            for name, values in zip(METRICS, history[-1], strict=True):
                board.add_scalar(f"train/{name}", values.mean(), update)
            done = update + 1
            saved = done % config.evaluate_every == 0 or done == config.updates
            if saved:
                save_evaluation(run, done, evaluate(config, network, worlds))
                progress = Progress(update=done, metrics=torch.stack(history))
                save_checkpoint(run, config, network, optimizer, progress)
            display.advance()
            on_update(done, saved)


def build(config: TrainConfig, worlds: Worlds) -> tuple[BatchedActorCritic, torch.optim.Adam]:
    """Networks and their one optimizer; Adam works element by element, so agents stay apart."""
    network = BatchedActorCritic(
        n_inputs=worlds.pixels.shape[-1],
        n_actions=worlds.next_state.shape[-1],
        hidden=config.hidden,
        seeds=config.seed_list,
        agents=config.agents,
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, eps=config.adam_eps)
    return network, optimizer


def train_once(
    config: TrainConfig,
    worlds: Worlds,
    network: BatchedActorCritic,
    optimizer: torch.optim.Adam,
    update: int,
) -> Tensor:
    """One rollout and its epochs of minibatches; returns metrics [metric, seed, agent]."""
    numbers = rollout.draw(
        config.seed_list,
        update,
        agents=config.agents,
        n_envs=config.n_envs,
        n_steps=config.rollout_steps,
        epochs=config.epochs,
    )
    n_train = config.pixelgrid.train_renderings
    pixels = worlds.pixels[:, : n_train * config.pixelgrid.n_states]
    with torch.no_grad():
        logits, values = network(pixels)
    data = rollout.collect(logits.softmax(dim=-1), worlds.next_state, n_train, numbers)

    seed = torch.arange(config.seeds)[:, None, None]
    agent = torch.arange(config.agents)[None, :, None]
    value = values[seed, agent, data.observation]
    advantage = losses.generalized_advantages(
        data.reward,
        value,
        values[seed, agent, data.next_observation],
        config.pixelgrid.discount,
        config.gae_lambda,
    )
    samples = {
        "observation": _flat(data.observation),
        "action": _flat(data.action),
        "log_prob": losses.log_prob(
            logits[seed, agent, _flat(data.observation)], _flat(data.action)
        ),
        "value": _flat(value),
        "advantage": _flat(advantage),
        "target": _flat(advantage + value),
    }
    sums = torch.zeros(len(METRICS) - 1, config.seeds, config.agents)
    for permutation in numbers.permutations:
        for chosen in permutation.chunk(config.minibatches, dim=-1):
            batch = {name: tensor.gather(-1, chosen) for name, tensor in samples.items()}
            sums += gradient_step(config, network, optimizer, pixels, batch)
    reward = data.reward.mean(dim=(0, -1))
    metrics = torch.cat([reward[None], sums / (config.epochs * config.minibatches)])
    if not torch.isfinite(metrics).all():
        name, seed_index, _ = np.argwhere(~torch.isfinite(metrics).numpy())[0]
        raise ArithmeticError(
            f"training diverged at update {update}: {METRICS[name]} of seed"
            f" {config.seed_list[seed_index]} is not finite; a smaller learning_rate may help"
        )
    return metrics


def gradient_step(
    config: TrainConfig,
    network: BatchedActorCritic,
    optimizer: torch.optim.Adam,
    pixels: Tensor,
    batch: dict[str, Tensor],
) -> Tensor:
    """One step on one minibatch [seed, agent, n]; returns metrics [metric, seed, agent]."""
    logits_table, value_table = network(pixels)
    # [seed, i, j, n, A]: policy j on the samples of agent i
    by_owner = _lookup(logits_table, batch["observation"])
    own = torch.diagonal(by_owner, dim1=1, dim2=2).movedim(-1, 1)
    value = value_table.gather(-1, batch["observation"])
    advantage = batch["advantage"]
    advantage = (advantage - advantage.mean(dim=-1, keepdim=True)) / (
        advantage.std(dim=-1, keepdim=True) + 1e-8
    )
    policy_loss = losses.clipped_policy_loss(
        losses.log_prob(own, batch["action"]), batch["log_prob"], advantage, config.clip
    ).mean(dim=-1)
    value_loss = losses.clipped_value_loss(
        value, batch["value"], batch["target"], config.clip
    ).mean(dim=-1)
    entropy = losses.entropy(own).mean(dim=-1)
    distillation = losses.mutual_distillation_loss(by_owner).mean(dim=-1)
    loss = (
        policy_loss
        + config.value_coef * value_loss
        - config.entropy_coef * entropy
        + config.distill_coef * distillation
    )
    optimizer.zero_grad()
    loss.mean(dim=-1).sum().backward()  # mean over agents, seeds apart
    norm = clip_gradients(network, config.max_grad_norm)
    optimizer.step()
    return torch.stack([policy_loss, value_loss, entropy, distillation, norm]).detach()


def clip_gradients(network: BatchedActorCritic, max_norm: float) -> Tensor:
    """Shorten each (seed, agent)'s gradient to the norm; returns the norms [seed, agent]."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    norm = torch.stack([g.flatten(2).square().sum(dim=-1) for g in gradients]).sum(dim=0).sqrt()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient *= factor[..., None, None]
    return norm


def evaluate(config: TrainConfig, network: BatchedActorCritic, worlds: Worlds) -> Tensor:
    """Logits [seed, agent, F, S, A] on every state under every rendering."""
    with torch.no_grad():
        logits, _ = network(worlds.pixels)
    return logits.unflatten(2, (config.pixelgrid.n_renderings, config.pixelgrid.n_states))


def _flat(tensor: Tensor) -> Tensor:
    """[t, seed, agent, env] to samples [seed, agent, t·env]."""
    return tensor.movedim(0, -2).flatten(-2)


def _lookup(table: Tensor, observation: Tensor) -> Tensor:
    """table [seed, j, o, A] at observation [seed, i, n]: [seed, i, j, n, A]."""
    seed = torch.arange(table.shape[0])[:, None, None, None]
    other = torch.arange(table.shape[1])[None, None, :, None]
    return table[seed, other, observation[:, :, None, :]]
