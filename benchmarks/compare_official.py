"""Training against the official code of arXiv 2501.02481: the same work, machine and run.

    python benchmarks/compare_official.py --official PATH

PATH is a checkout of the official repository, which is imported, never copied.  Each side runs with
the switches that its own main program sets.  The official side gets our games behind the interface
of gym 0.23's wrappers, and a log that keeps numbers instead of writing files; both cost less than
what its main program uses.  Neither side saves anything or, without `--with-evaluation`, evaluates.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from official import (
    Agreement,
    OfficialCode,
    OfficialIterations,
    agreement,
    filled_run,
    load_official,
    minibatch_size,
    our_samples,
    our_step,
    use_arithmetic_of,
)

from experiments.config import changed_flags, require_within
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.learner import keep_freed_memory, machine_name, pick_device
from experiments.procgen.rollout import Collector
from experiments.procgen.train import build_learner, train_once
from experiments.procgen.training_evaluations import TrainingEvaluations
from experiments.progress import Display
from mdtheory import files

SIDES = ("official", "ours")

MEMORY_STEPS = 2
"""Gradient steps of a memory measurement: the first one allocates Adam's state."""

_MEMORY_OF = "--memory-of"
"""First argument, before a side, of the processes that measure memory."""

_PAPER = ProcgenConfig()


# ---- what is asked for


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line."""

    official: Path
    """A checkout of the official repository."""
    what: Literal["all", "update", "memory", "end-to-end"] = "all"
    """update: one gradient step of both agents, once it is sure that both sides compute the same.
    memory: of a process that holds a rollout and makes two gradient steps. end-to-end: whole
    iterations, both agents' rollouts and all gradient steps."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where both sides' networks are."""
    precision: Literal["float32", "tf32", "bfloat16"] = _PAPER.precision
    """Arithmetic of our timed side. The official one computes in PyTorch's default, on GPUs tf32
    for convolutions, but in float32 throughout if this is float32. On CPUs tf32 is float32."""
    repeats: int = 3
    """Timed runs of each side, in turn; the median counts."""
    warm_ups: int = 1
    """Untimed runs of each side before them."""
    scale: int = 1
    """N for an end-to-end rollout of 1/N of the official steps; up to 8, its minibatches stay of
    the official size."""
    with_evaluation: bool = False
    """End each end-to-end iteration with the official evaluation: per agent, the first ten episodes
    to finish in four environments."""
    env: str = _PAPER.env
    """procgen: and one of the sixteen games."""
    envs: int = _PAPER.n_envs
    """Environments per agent."""
    minibatch: int = _PAPER.samples // _PAPER.minibatches
    """Samples per agent in a gradient step."""
    threads: int | None = None
    """Threads of PyTorch; by default its own choice."""
    output: Path | None = None
    """Write all numbers to this new JSON file."""

    def check(self) -> None:
        """Raise ValueError or FileExistsError, naming the flag, for what cannot be done."""
        require_within(
            self,
            {
                "repeats": (1, 10**6),
                "warm_ups": (0, 10**6),
                "scale": (1, _PAPER.rollout_steps),
                "envs": (1, 10**5),
                "minibatch": (2, 10**9),
            },
        )
        if self.threads is not None:
            require_within(self, {"threads": (1, 1024)})
        if self.minibatch % self.envs:
            raise ValueError(
                f"minibatch must be a multiple of envs = {self.envs}, got {self.minibatch}"
            )
        if _PAPER.rollout_steps % self.scale:
            raise ValueError(f"scale must divide {_PAPER.rollout_steps} steps, got {self.scale}")
        for config in (self.step_config, self.rollout_config, self.scaled_config):
            pick_device(config)
        if self.output is not None:
            files.new_file(self.output, force=False)
            if not self.output.parent.is_dir():
                raise ValueError(f"output must be in a folder that exists, got {self.output}")

    def does(self, work: str) -> bool:
        return self.what in ("all", work)

    def _config(self, steps: int, **changes: Any) -> ProcgenConfig:
        """The paper's, of this many steps; one smaller minibatch if they do not fill one."""
        samples = self.envs * steps
        if samples > self.minibatch and samples % self.minibatch:
            raise ValueError(
                f"minibatch must divide {self.envs} environments * {steps} steps = {samples},"
                f" got {self.minibatch}"
            )
        return dataclasses.replace(
            _PAPER,
            env=self.env,
            n_envs=self.envs,
            rollout_steps=steps,
            minibatches=max(1, samples // self.minibatch),
            precision=self.precision,
            device=self.device,
            **changes,
        )

    @property
    def step_config(self) -> ProcgenConfig:
        """A rollout of one minibatch, gone through once."""
        return self._config(self.minibatch // self.envs, epochs=1)

    @property
    def rollout_config(self) -> ProcgenConfig:
        """The official rollout."""
        return self._config(_PAPER.rollout_steps)

    @property
    def scaled_config(self) -> ProcgenConfig:
        """A rollout of fewer steps."""
        return self._config(_PAPER.rollout_steps // self.scale)

    @property
    def departures(self) -> list[str]:
        """What is not of the official size."""
        parts, default = [], Options(official=self.official)
        if self.envs != default.envs:
            parts.append(f"{self.envs} of {default.envs} environments per agent")
        if self.minibatch != default.minibatch:
            parts.append(f"minibatches of {self.minibatch} of {default.minibatch} samples")
        if self.scale > 1 and self.does("end-to-end"):
            scaled = self.scaled_config
            parts.append(
                f"end-to-end rollouts of {scaled.rollout_steps} of {_PAPER.rollout_steps} steps in"
                f" {scaled.minibatches} minibatches of {minibatch_size(scaled)} samples"
            )
        return parts


# ---- the comparisons


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison: a number per repeat and side, in `unit`."""

    work: str
    unit: str
    official: list[float]
    ours: list[float]

    @property
    def medians(self) -> tuple[float, float]:
        """Of the official side and of ours."""
        return statistics.median(self.official), statistics.median(self.ours)

    @property
    def ratio(self) -> float:
        """How many times better ours is: faster or, of memory, less."""
        official, ours = self.medians
        return ours / official if self.unit.endswith("/s") else official / ours

    def to_json(self) -> dict[str, Any]:
        official, ours = self.medians
        return {
            **dataclasses.asdict(self),
            "official_median": official,
            "ours_median": ours,
            "ratio": self.ratio,
        }


def compare_update(options: Options, code: OfficialCode) -> Row:
    config, device = options.step_config, pick_device(options.step_config)
    official, learner = filled_run(code, config, device), build_learner(config, device)
    samples = our_samples(config, device)
    seconds = in_turn(
        {"official": official.trainer.train, "ours": lambda: our_step(learner, samples, config)},
        options,
        device,
        "update",
    )
    size = f"{config.agents} agents x {config.samples:,} samples"
    return Row(work=f"update: one gradient step, {size}", unit="s", **seconds)


def compare_end_to_end(options: Options, code: OfficialCode) -> Row:
    config, device = options.scaled_config, pick_device(options.scaled_config)
    sides: dict[str, Any] = {
        "official": OfficialIterations(code, config, device, evaluate=options.with_evaluation),
        "ours": OurIterations(config, device, evaluate=options.with_evaluation),
    }
    works = {side: iterations.iterate for side, iterations in sides.items()}
    seconds = in_turn(works, options, device, "end-to-end")
    for iterations in sides.values():
        iterations.close()
    steps = config.agents * config.samples
    n_steps = config.epochs * config.minibatches
    work = f"end-to-end: {config.game}, {steps:,} environment steps, {n_steps} gradient steps"
    return Row(
        work=work + (" and official evaluation" if options.with_evaluation else ""),
        unit="steps/s",
        **{side: [steps / s for s in values] for side, values in seconds.items()},
    )


class OurIterations:
    """What `train` repeats, without log files and checkpoints."""

    def __init__(self, config: ProcgenConfig, device: torch.device, *, evaluate: bool) -> None:
        self.config, self.evaluate, self.count = config, evaluate, 0
        self.learner, self.collector = build_learner(config, device), Collector(config, device)
        self.evaluations = TrainingEvaluations(config)

    def iterate(self) -> None:
        train_once(self.config, self.learner, self.collector, self.count)
        self.count += 1
        if self.evaluate:
            self.evaluations.line(self.learner.networks, self.count)

    def close(self) -> None:
        self.evaluations.close()
        self.collector.close()


def in_turn(
    works: Mapping[str, Callable[[], object]], options: Options, device: torch.device, name: str
) -> dict[str, list[float]]:
    """Seconds by side and repeat: official, ours, official, ours, and so on; without warm-ups."""
    seconds: dict[str, list[float]] = {side: [] for side in works}
    total = options.warm_ups + options.repeats
    with Display(name, total=total, done=0) as display:
        for _ in range(total):
            for side, work in works.items():
                use_arithmetic_of(side, options.step_config)
                _synchronize(device)
                start = time.perf_counter()
                work()
                _synchronize(device)
                seconds[side].append(time.perf_counter() - start)
            display.advance()
    return {side: values[options.warm_ups :] for side, values in seconds.items()}


def compare_memory(options: Options) -> list[Row]:
    """Memory and seconds of a gradient step, each side in a process of its own."""
    config = options.rollout_config
    peaks = {side: _memory_of(side, options) for side in SIDES}
    size = (
        f"{config.rollout_steps} steps x {config.n_envs} environments x {config.agents} agents, "
        f"minibatch {minibatch_size(config):,}"
    )
    rows = [
        Row(
            work=f"memory beyond the imports: {size}",
            unit="GiB",
            **{side: [p["peak"] - p["baseline"]] for side, p in peaks.items()},
        )
    ]
    seconds = {side: [p["seconds"]] for side, p in peaks.items()}
    work = "one gradient step there, in a process of its own as in training"
    rows.append(Row(work=work, unit="s", **seconds))
    if options.device == "cuda":
        gpu = {side: [p["gpu"]] for side, p in peaks.items()}
        rows.append(Row(work="memory of the GPU in tensors: the same", unit="GiB", **gpu))
    return rows


def _memory_of(side: str, options: Options) -> dict[str, float]:
    """`measure_memory` in a process of its own."""
    flags = changed_flags(options, Options(official=options.official))
    done = subprocess.run(
        [sys.executable, __file__, _MEMORY_OF, side, f"--official={options.official}", *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = (done.stderr.strip() or "no message").splitlines()[-1]
        raise ArithmeticError(
            f"the process for the memory of {side} ended with {done.returncode}: {words}"
        )
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def measure_memory(side: str, options: Options) -> dict[str, float]:
    """GiB of this process, at most, after imports, and in tensors on the GPU (0 without one), and
    seconds per gradient step, the first one among them."""
    config, device = options.rollout_config, pick_device(options.rollout_config)
    code = load_official(options.official)
    torch.zeros(1, device=device)  # which loads CUDA
    baseline = resident_peak()
    use_arithmetic_of(side, config)
    n_steps = min(MEMORY_STEPS, config.minibatches)
    n_samples = n_steps * minibatch_size(config)
    if side == "official":
        official = filled_run(code, config, device)
        official.args.batch_size, official.args.update_epochs = n_samples, 1
        start = time.perf_counter()
        official.trainer.train()
    else:
        learner, samples = build_learner(config, device), our_samples(config, device)
        learner.networks.train()
        keep_freed_memory()  # as training does; it would help the other side in one process
        order = torch.randperm(config.samples, device=device)[:n_samples]
        start = time.perf_counter()
        for index in order.expand(config.agents, -1).chunk(n_steps, dim=-1):
            learner.gradient_step(samples, index, config.distill_coef)
    _synchronize(device)
    seconds = (time.perf_counter() - start) / n_steps
    gpu = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    return {"peak": resident_peak(), "baseline": baseline, "gpu": gpu, "seconds": seconds}


def resident_peak() -> float:
    """The largest resident memory of this program so far, in GiB.

    getrusage's ru_maxrss would not do: a new process takes over that of the one that started it.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) / 2**20


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


# ---- what is shown


def circumstances(options: Options, arguments: Sequence[str]) -> dict[str, Any]:
    """Everything beside the numbers that a reader needs to repeat them."""
    return {
        "command": shlex.join(["python", "benchmarks/compare_official.py", *arguments]),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "device": machine_name(torch.device(options.device)),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
        "precision": options.precision,
        "load_average_before": os.getloadavg()[0],
        "departures": options.departures,
    }


def as_text(about: dict[str, Any], same: Agreement | None, rows: Sequence[Row]) -> str:
    """The circumstances, what agrees, and the table."""
    lines = [
        about["command"],
        f"{about['date']}; {about['device']}; Python {about['python']}, torch {about['torch']},"
        f" numpy {about['numpy']}; {about['threads']} threads; ours in {about['precision']}",
        f"load average {about['load_average_before']:.2f} before,"
        f" {about['load_average_after']:.2f} after",
        f"not of the official size: {'; '.join(about['departures'])}"
        if about["departures"]
        else "of the official size",
    ]
    if same is not None:
        lines.append(f"one gradient step in float32 differs, relatively, by {same}")
    cells = [("work", "official", "ours", "ratio")]
    cells += [
        (row.work, _spread(row.official, row.unit), _spread(row.ours, row.unit), f"{row.ratio:.2f}")
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    for line in cells:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    lines.append("medians (smallest to largest); ratio: how many times faster or smaller ours is")
    return "\n".join(lines)


def _spread(values: Sequence[float], unit: str) -> str:
    middle = f"{_digits(statistics.median(values))} {unit}"
    if len(values) == 1:
        return middle
    return f"{middle} ({_digits(min(values))} to {_digits(max(values))})"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def compare(options: Options, arguments: Sequence[str]) -> None:
    """Run what is asked for; print it, and write it to the output."""
    code = load_official(options.official)
    about = circumstances(options, arguments)
    same, rows = None, list[Row]()
    if options.does("update"):
        same = agreement(code, options.step_config, pick_device(options.step_config))
        same.require()
        rows.append(compare_update(options, code))
    if options.does("memory"):
        rows += compare_memory(options)
    if options.does("end-to-end"):
        rows.append(compare_end_to_end(options, code))
    about["load_average_after"] = os.getloadavg()[0]
    print(as_text(about, same, rows))
    if options.output is not None:
        content = {
            **about,
            "agreement": same and dataclasses.asdict(same),
            "rows": [row.to_json() for row in rows],
        }
        files.write_atomically(options.output, (json.dumps(content, indent=2) + "\n").encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 2 for bad input, 1 if a comparison failed."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    side = arguments[1] if arguments[:1] == [_MEMORY_OF] else None
    options = tyro.cli(
        Options,
        prog="compare_official.py",
        description="Speed and memory of training, beside the official code's.",
        args=arguments if side is None else arguments[2:],
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    try:
        options.check()
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        if side is not None:
            print(json.dumps(measure_memory(side, options)))
        else:
            compare(options, arguments)
    except (ValueError, OSError, ArithmeticError) as error:
        print(f"compare_official.py: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1 if isinstance(error, ArithmeticError) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
