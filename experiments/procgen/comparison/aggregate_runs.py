"""What is aggregated: runs of `mdpo train`, and scores from a file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from experiments.envs.procgen.games import GAMES
from experiments.procgen.comparison.across_games import find_algorithms, require_one_protocol
from experiments.procgen.comparison.aggregate import RAW, Aggregation, Settings
from experiments.procgen.comparison.compare import compare, order_key
from experiments.procgen.comparison.curves import Curves
from experiments.procgen.comparison.score_file import Run, read_scores
from mdtheory import validation


def aggregate(
    runs: Sequence[Path] = (),
    scores: Path | None = None,
    settings: Settings | None = None,
    *,
    until: int | None = None,
    command: str = "",
) -> Aggregation:
    """Runs of `mdpo train`, by the return of their last evaluation, and a file's scores.

    Args:
        runs: folders; those that differ in seed and game alone are one algorithm. Whoever distils
            most comes first.
        scores: a CSV file (`read_scores`) of raw returns, of already normalised scores with the
            normalization `none`.
        settings: their mode may be empty where there are runs, which know it.
        until: look at runs as they were after this many updates.
        command: that repeats all this, for pictures and files.

    Raises:
        FileNotFoundError: a folder holds no run, or there is no such file.
        ValueError: naming what is wrong with a run, a line of the file or a setting.
    """
    settings = settings or Settings()
    if not runs and scores is None:
        raise ValueError("give at least one run, a folder written by `mdpo train`, or --scores")
    if until is not None and not runs:
        raise ValueError(f"--until is about runs, of which there are none, got {until}")
    if settings.normalization == RAW and settings.mode and not runs:
        raise ValueError(
            f"--mode says how returns are normalised, which --normalization none does not, got"
            f" {settings.mode}: leave one of the two out"
        )
    found: list[Run] = []
    notes: list[str] = []
    if runs:
        found, notes, settings = _of_folders(runs, settings, until)
    if settings.normalization != RAW and not settings.mode:
        raise ValueError("--scores needs --mode easy or --mode hard: returns differ in their range")
    if scores is not None:
        of_file, others = read_scores(scores)
        _require_known(of_file, settings)
        for name in dict.fromkeys(run.algorithm for run in of_file):
            if any(run.algorithm == name for run in found):
                raise ValueError(f"{scores}: {name} is also what the runs are: rename one")
        found += of_file
        if others:
            notes.append(f"{scores}: not looked at are the columns {', '.join(others)}.")
    return Aggregation(tuple(found), settings, tuple(notes), command)


def _require_known(runs: Sequence[Run], settings: Settings) -> None:
    for run in runs:
        if settings.ranges is not None and run.game not in settings.ranges:
            message = validation.unknown("game", run.game, GAMES)
            raise ValueError(f"{run.source}, column game: {message}")


def _of_folders(
    folders: Sequence[Path], settings: Settings, until: int | None
) -> tuple[list[Run], list[str], Settings]:
    """Scores, what must be known about them, and the settings with the runs' mode."""
    if settings.normalization == RAW:
        raise ValueError("runs hold raw returns: give --normalization a table's name, got none")
    comparison = compare(folders, until)
    curves = [run for task in comparison.tasks for run in task.runs]
    require_one_protocol(curves)
    mode = _mode_of(curves[0])
    if settings.mode not in ("", mode):
        raise ValueError(f"--mode must be that of the runs, {mode}, got {settings.mode}")
    algorithms = find_algorithms(curves, curves[0].config.levels.train)
    algorithms.sort(key=lambda one: order_key(one.config))
    found, notes = [], list(comparison.notes)
    steps: dict[str, list[int]] = {}
    for name, run in ((one.label, run) for one in algorithms for run in one.runs):
        kind = f"{settings.split} sampled"
        score, update = run.evaluated(kind), run.evaluated_after(kind)
        if math.isfinite(score) and update is not None:
            steps.setdefault(name, []).append(update * run.config.samples * run.config.agents)
            found.append(Run(name, run.config.game, str(run.config.seed), score, run.name))
        else:
            notes.append(f"{run.name} was never evaluated on {settings.split} levels: left out.")
    if not found:
        raise ValueError(f"none of the runs was ever evaluated on {settings.split} levels")
    for name, taken in steps.items():
        least, most = min(taken), max(taken)
        span = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        notes.append(f"{name}: evaluated after {span} environment steps of all agents together.")
    return found, notes, dataclasses.replace(settings, mode=mode)


def _mode_of(run: Curves) -> str:
    mode = run.config.distribution_mode
    if mode not in ("easy", "hard"):
        raise ValueError(f"{run.name}: no returns are known that normalise {mode} mode")
    return mode
