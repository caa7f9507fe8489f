"""What a run writes, so that it survives being killed at any instant.

    RUN/config.json                   the configuration
    RUN/checkpoint.safetensors        networks, optimizer, metrics and number of the last update
    RUN/evaluations/000012.safetensors   logits [seed, agent, F, S, A] after update 12
    RUN/tensorboard/                  event files with the metrics' means, to look at while it runs

Every file but TensorBoard's appears whole or not at all.  Random numbers are functions of seed and
update, so a checkpoint needs no generator state.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from experiments import tensor_file
from experiments.config import CONFIG_FILE
from experiments.pixelgrid.config import TrainConfig
from experiments.pixelgrid.networks import BatchedActorCritic

CHECKPOINT = "checkpoint.safetensors"
"""The file that says how far a run is."""


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a run is: updates done, and metrics [update, metric, seed, agent]."""

    update: int
    metrics: Tensor


def save_checkpoint(
    run: Path,
    config: TrainConfig,
    network: BatchedActorCritic,
    optimizer: torch.optim.Adam,
    progress: Progress,
) -> None:
    """Write the state after an update; the one before stays until this is whole."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors["metrics"] = progress.metrics
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{index}.{name}"] = value
    metadata = {"update": str(progress.update), "config": _digest(config)}
    tensor_file.write(run / CHECKPOINT, tensors, metadata)


def load_checkpoint(
    run: Path, config: TrainConfig, network: BatchedActorCritic, optimizer: torch.optim.Adam
) -> Progress | None:
    """Restore network and optimizer in place; None if the run has no checkpoint yet.

    Raises:
        ValueError: the checkpoint is damaged, was changed, or belongs to another configuration.
    """
    path = run / CHECKPOINT
    if not path.exists():
        return None
    tensors, metadata = tensor_file.read(path)
    if metadata.get("config", _digest(config)) != _digest(config):  # older ones have none
        raise ValueError(f"{path} belongs to another configuration than the run's {CONFIG_FILE}")
    try:
        return _restore(tensors, metadata, network, optimizer)
    except (RuntimeError, KeyError, ValueError, IndexError) as error:
        raise ValueError(f"{path} does not fit the run's config.json: {error}") from None


def _digest(config: TrainConfig) -> str:
    """Tells configurations apart; a run may be made longer, or looked at more often."""
    content = json.loads(config.to_json())
    del content["updates"], content["evaluate_every"]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _restore(
    tensors: dict[str, Tensor],
    metadata: dict[str, str],
    network: BatchedActorCritic,
    optimizer: torch.optim.Adam,
) -> Progress:
    update = int(metadata["update"])
    metrics = tensors.pop("metrics")
    states: dict[int, dict[str, Tensor]] = {}
    weights: dict[str, Tensor] = {}
    for key, value in tensors.items():
        part, rest = key.split(".", 1)
        if part == "network":
            weights[rest] = value
        else:
            index, name = rest.split(".")
            states.setdefault(int(index), {})[name] = value
    network.load_state_dict(weights)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})
    return Progress(update=update, metrics=metrics)


def load_metrics(run: Path, config: TrainConfig) -> Tensor:
    """Metrics [update, metric, seed, agent] of the last checkpoint, without its networks."""
    path = run / CHECKPOINT
    if not path.exists():
        raise FileNotFoundError(f"{run} has no checkpoint yet: `mdpo resume {run}` first")
    metrics = tensor_file.read(path)[0].get("metrics")
    if metrics is None or metrics.ndim != 4 or metrics.shape[2:] != (config.seeds, config.agents):
        shape = None if metrics is None else list(metrics.shape)
        raise ValueError(
            f"{path} must hold metrics of shape [updates, metrics, {config.seeds},"
            f" {config.agents}] to fit the run's config.json, got {shape}"
        )
    return metrics


def evaluation_path(run: Path, update: int) -> Path:
    return run / "evaluations" / f"{update:06d}.safetensors"


def save_evaluation(run: Path, update: int, logits: Tensor) -> None:
    """Logits [seed, agent, F, S, A] on every state and rendering."""
    tensor_file.write(evaluation_path(run, update), {"logits": logits}, {})


def load_evaluations(run: Path, config: TrainConfig) -> tuple[list[int], Tensor]:
    """Updates and logits [evaluation, seed, agent, F, S, A] of all evaluations so far."""
    paths = sorted((run / "evaluations").glob("[0-9]*.safetensors"))
    if not paths:
        raise FileNotFoundError(f"{run} has no evaluations yet: `mdpo resume {run}` first")
    world = config.pixelgrid
    leading = (config.seeds, config.agents, world.n_renderings, world.n_states)
    logits = []
    for path in paths:
        found = tensor_file.read(path)[0].get("logits")
        if found is None or found.shape[:-1] != leading or not torch.isfinite(found).all():
            shape = None if found is None else list(found.shape)
            raise ValueError(
                f"{path} must hold finite logits of shape [{', '.join(map(str, leading))}, actions]"
                f" to fit the run's config.json, got {shape}"
            )
        logits.append(found)
    return [int(path.stem) for path in paths], torch.stack(logits)
