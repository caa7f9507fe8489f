"""Training on Procgen: PPO and mutual distillation, one code with one coefficient.

Reads top to bottom: rollout, gradient steps, log, evaluation, checkpoint.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from experiments.config import CONFIG_FILE
from experiments.procgen.checkpoint import (
    EVALUATIONS,
    LOG,
    TIMING,
    append_line,
    drop_lines_after,
    load_checkpoint,
    read_lines,
    save_checkpoint,
)
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.learner import (
    LOSS_METRICS,
    Learner,
    explained_variance,
    keep_freed_memory,
    machine_name,
    pick_device,
    prepare,
    use_arithmetic,
)
from experiments.procgen.policy import SNAPSHOTS, write_networks
from experiments.procgen.rollout import Collector, Episodes, draw
from experiments.procgen.training_evaluations import TrainingEvaluations
from experiments.progress import Display, OnUpdate, ignore_update
from mdtheory import files


def train(
    config: ProcgenConfig,
    run: Path,
    *,
    stop_after: int | None = None,
    on_update: OnUpdate = ignore_update,
) -> int:
    """Train, or go on training, the run in this folder until `config.updates` are done.

    The folder holds `config.json` already or is empty.  Stopping at any instant and calling again
    gives the same weights and logs, bit for bit, as never having stopped (on a CPU; same machine
    and thread count).

    Args:
        config: the run's configuration.
        run: its folder.
        stop_after: leave after this many updates of this call; for tests.
        on_update: called after each update.

    Returns:
        The number of updates done.

    Raises:
        ArithmeticError: a loss is not finite; the last checkpoint is from before.
        ValueError: the checkpoint is damaged or of another configuration.
        BlockingIOError: another process trains this run.
    """
    run.mkdir(parents=True, exist_ok=True)
    if not (run / CONFIG_FILE).exists():
        files.write_atomically(run / CONFIG_FILE, config.to_json().encode())
    with files.only_one(run):
        return _train(config, run, stop_after, on_update)


def _train(config: ProcgenConfig, run: Path, stop_after: int | None, on_update: OnUpdate) -> int:
    device = pick_device(config)
    use_arithmetic(config)
    keep_freed_memory()
    learner, collector = build_learner(config, device), Collector(config, device)
    machine = machine_name(device)
    done = load_checkpoint(run, learner, collector)
    drop_lines_after(run, done)
    last = config.updates if stop_after is None else min(done + stop_after, config.updates)
    with (
        SummaryWriter(str(run / "tensorboard"), purge_step=done * config.samples + 1) as board,
        Display(run.name, total=config.updates, done=done) as display,
        TrainingEvaluations(config) as evaluations,
        closing(collector),
        _finish_update_first() as interrupted,
    ):
        if done == 0:
            _keep_snapshot(run, config, learner, done)
        _evaluate(run, evaluations, learner, done)  # which a stop may have prevented
        while done < last:
            start = time.perf_counter()
            line, seconds = train_once(config, learner, collector, done)
            done += 1
            append_line(run / LOG, line)
            append_line(run / TIMING, {**seconds, "machine": machine})
            _show_on_board(board, line)
            display.advance(_summary(config, line, time.perf_counter() - start))
            _keep_snapshot(run, config, learner, done)  # before a checkpoint from which to go on
            saved = done % config.checkpoint_every == 0 or done == last or bool(interrupted)
            if saved:
                save_checkpoint(run, done, learner, collector)
            if interrupted:
                raise KeyboardInterrupt
            _evaluate(run, evaluations, learner, done)
            on_update(done, saved)
    return done


def _evaluate(run: Path, evaluations: TrainingEvaluations, learner: Learner, done: int) -> None:
    """The evaluation that is due after this many updates, if it is and was not made before."""
    if done == 0 or any(line["update"] == done for line in read_lines(run / EVALUATIONS)):
        return
    line = evaluations.line(learner.networks, done)
    if line is not None:
        append_line(run / EVALUATIONS, line)


def _keep_snapshot(run: Path, config: ProcgenConfig, learner: Learner, done: int) -> None:
    """Keep a copy of the weights after this many updates, if one is due."""
    if config.snapshot_every > 0 and done % config.snapshot_every == 0:
        (run / SNAPSHOTS).mkdir(exist_ok=True)
        path = run / SNAPSHOTS / f"update-{done:07d}.safetensors"
        write_networks(path, config, done, learner.networks)


def train_once(
    config: ProcgenConfig, learner: Learner, collector: Collector, update: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One rollout and its gradient steps; returns lines for the log and the timing log."""
    start = time.perf_counter()
    numbers = draw(config, update)
    rollout, episodes = collector.collect(learner.act, numbers.uniforms)
    between = time.perf_counter()
    metrics = learner.update(rollout, numbers, update).tolist()
    explained = list(explained_variance(prepare(rollout, config)))
    end = time.perf_counter()
    done = update + 1
    agents = [
        {
            **_returns(episodes[k]),
            **{name: metrics[m][k] for m, name in enumerate(LOSS_METRICS)},
            "explained_variance": explained[k] if math.isfinite(explained[k]) else None,
        }
        for k in range(config.agents)
    ]
    _require_finite(agents, done)
    line = {"update": done, "steps": done * config.samples, "agents": agents}
    timing = {"update": done, "rollout_s": between - start, "learn_s": end - between}
    return line, timing


def build_learner(config: ProcgenConfig, device: torch.device) -> Learner:
    """The learner for a device."""
    if device.type == "cpu":
        return Learner(config, device)
    from experiments.procgen.cuda import CudaLearner

    return CudaLearner(config, device)


def _returns(episodes: Episodes) -> dict[str, Any]:
    """How many episodes ended, their mean return and mean length; None without any."""
    n = len(episodes.returns)
    return {
        "episodes": n,
        "return": math.fsum(episodes.returns) / n if n else None,
        "length": sum(episodes.lengths) / n if n else None,
    }


def _require_finite(agents: list[dict[str, Any]], update: int) -> None:
    for k, values in enumerate(agents):
        for name, value in values.items():
            if value is not None and not math.isfinite(value):
                raise ArithmeticError(
                    f"training diverged at update {update}: {name} of agent {k} is {value}; a"
                    " smaller learning_rate may help"
                )


def _show_on_board(board: SummaryWriter, line: dict[str, Any]) -> None:
    for k, values in enumerate(line["agents"]):
        for name, value in values.items():
            if value is not None:
                board.add_scalar(f"agent{k}/{name}", value, line["steps"])


def _summary(config: ProcgenConfig, line: dict[str, Any], seconds: float) -> str:
    """Speed and current returns, for the progress display."""
    speed = config.samples * config.agents / seconds
    returns = " ".join(
        "-" if values["return"] is None else f"{values['return']:.2f}" for values in line["agents"]
    )
    return f"{speed:,.0f} steps/s, return {returns}"


@contextmanager
def _finish_update_first() -> Iterator[list[bool]]:
    """Ctrl-C lets the update finish and a checkpoint be written; a second one stops at once.

    Yields a list that is empty until Ctrl-C.
    """
    pressed: list[bool] = []

    def note(number: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)
        print("finishing this update; Ctrl-C again stops at once", flush=True)

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread: whoever owns it handles Ctrl-C
        yield pressed
        return
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
