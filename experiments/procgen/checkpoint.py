"""What a run on Procgen writes, so that it survives being killed at any instant.

    RUN/config.json                the configuration
    RUN/checkpoint.safetensors     everything that the next update depends on, sealed
    RUN/log.jsonl                  one line per update; the same bytes whether or not it was stopped
    RUN/evaluations.jsonl          one line per evaluation, with every episode; likewise
    RUN/timing.jsonl               one line per update with its seconds; never the same twice
    RUN/snapshots/                 weights after every `snapshot_every` updates
    RUN/tensorboard/               event files, to look at while it runs
    RUN/lock                       held by the process that trains the run

A checkpoint holds weights, optimizer, moving averages, reward normalizers, running episodes and the
environments' states; random numbers are functions of seed and update.  Lines of the logs that are
newer than the checkpoint are dropped when a run goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from experiments import tensor_file
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.learner import Learner, Networks, build_networks, under
from experiments.procgen.rollout import Collector
from mdtheory import files

CHECKPOINT, LOG, EVALUATIONS, TIMING = (
    "checkpoint.safetensors",
    "log.jsonl",
    "evaluations.jsonl",
    "timing.jsonl",
)


def save_checkpoint(run: Path, update: int, learner: Learner, collector: Collector) -> None:
    """Write the state after `update` updates; the one before stays until this is whole."""
    tensors = learner.tensors() | {f"envs.{n}": t for n, t in collector.tensors().items()}
    metadata = {"update": str(update), "config": config_digest(learner.config)}
    tensor_file.write(run / CHECKPOINT, tensors, metadata)


def load_checkpoint(run: Path, learner: Learner, collector: Collector) -> int:
    """Restore everything in place; the number of updates done, 0 if there is no checkpoint.

    Raises:
        ValueError: the checkpoint is damaged, was changed, or belongs to another configuration.
    """
    if not (run / CHECKPOINT).exists():
        return 0
    tensors, update = _read(run, learner.config)
    try:
        learner.restore(tensors)
        collector.restore(under("envs.", tensors))
    except (RuntimeError, KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"{run / CHECKPOINT} does not fit the run's config.json: {error}"
        ) from None
    return update


def load_networks(run: Path) -> tuple[ProcgenConfig, int, Networks]:
    """Configuration, updates done, and the agents' networks of a run's last checkpoint.

    Raises:
        FileNotFoundError: the folder holds no run, or the run no checkpoint yet.
        ValueError: the checkpoint is damaged, was changed, or belongs to another configuration.
    """
    config = ProcgenConfig.load(run)
    if not (run / CHECKPOINT).exists():
        raise FileNotFoundError(f"{run} has no checkpoint yet: `mdpo resume {run}` first")
    tensors, update = _read(run, config)
    networks = build_networks(config).eval()
    networks.load_state_dict(under("network.", tensors))
    return config, update, networks


def config_digest(config: ProcgenConfig) -> str:
    """Tells configurations apart; where and how fast a run is computed does not matter."""
    content = json.loads(config.to_json())
    names = ["device", "env_threads", "checkpoint_every", "compile", "snapshot_every"]
    if not config.augmented:
        names.append("train_renderings")  # checkpoints that are older than it stay valid
    for name in names if config.dropout > 0 else [*names, "chunk"]:
        del content[name]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read(run: Path, config: ProcgenConfig) -> tuple[dict[str, Tensor], int]:
    path = run / CHECKPOINT
    tensors, metadata = tensor_file.read(path)
    if metadata.get("config") != config_digest(config):
        raise ValueError(f"{path} belongs to another configuration than the run's config.json")
    return tensors, int(metadata["update"])


def append_line(path: Path, content: Mapping[str, Any]) -> None:
    """Add one JSON object to a log, on the disk before a later checkpoint is."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(content) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a log; a last line that a kill cut off is left out.

    Raises:
        ValueError: another line is no JSON object, naming file and line.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1].splitlines()
    lines = []
    for number, line in enumerate(whole, start=1):
        try:
            content = json.loads(line)
        except json.JSONDecodeError:
            content = None
        if not isinstance(content, dict) or not isinstance(content.get("update"), int):
            raise ValueError(f"{path}, line {number}, must be a JSON object with an update number")
        lines.append(content)
    return lines


def drop_torn_line(path: Path) -> None:
    """Remove a last line that a kill cut off, so that more can be added."""
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        files.write_atomically(path, whole)


def drop_lines_after(run: Path, update: int) -> None:
    """Leave only what the logs said up to the checkpoint.

    Raises:
        ValueError: the log does not say it.
    """
    logged = [line["update"] for line in read_lines(run / LOG)][:update]
    if logged != list(range(1, update + 1)):
        raise ValueError(
            f"{run / LOG} must hold a line for each of the updates 1 to {update}, after which the"
            " checkpoint was written, in this order"
        )
    for name in (LOG, EVALUATIONS, TIMING):
        kept = [line for line in read_lines(run / name) if line["update"] <= update]
        content = "".join(json.dumps(line) + "\n" for line in kept)
        files.write_atomically(run / name, content.encode())
