"""Scores of anybody's runs, from a CSV file: algorithm, game, seed, score."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

COLUMNS = ("algorithm", "game", "seed", "score")


class Run(NamedTuple):
    """One trained run on one game: its return, and where that was found."""

    algorithm: str
    game: str
    seed: str
    score: float
    source: str


def read_scores(path: Path) -> tuple[list[Run], list[str]]:
    """Runs in the file's order, and the names of columns that are not looked at.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: naming file, line, column and value.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            _require_columns(path, header)
            runs = list(_runs(path, header, reader))
        except UnicodeDecodeError:
            raise ValueError(f"{path} must be text in UTF-8") from None
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    if not runs:
        raise ValueError(f"{path} must hold at least one run below its header, got none")
    return runs, [name for name in header if name not in COLUMNS]


def _require_columns(path: Path, header: list[str]) -> None:
    for name in COLUMNS:
        if header.count(name) != 1:
            raise ValueError(
                f"{path}, line 1, must name the column {name} once, among {', '.join(COLUMNS)}, got"
                f" {', '.join(header) or 'nothing'}"
            )


def _runs(path: Path, header: list[str], reader: Iterator[list[str]]) -> Iterator[Run]:
    lines: dict[tuple[str, str, str], str] = {}
    for row in reader:
        if not any(value.strip() for value in row):
            continue
        line = f"{path}, line {reader.line_num}"  # type: ignore[attr-defined]
        if len(row) != len(header):
            raise ValueError(f"{line}, must have {len(header)} values, got {len(row)}")
        run = _run(line, dict(zip(header, map(str.strip, row), strict=True)))
        before = lines.setdefault(run[:3], line)
        if before != line:
            raise ValueError(
                f"{line}, column seed: {run.algorithm} has seed {run.seed} of {run.game} already in"
                f" {before.removeprefix(f'{path}, ')}"
            )
        yield run


def _run(line: str, row: dict[str, str]) -> Run:
    for name in COLUMNS:
        if not row[name]:
            raise ValueError(f"{line}, column {name}, must not be empty")
    try:
        score = float(row["score"])
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(f"{line}, column score, must be a finite number, got {row['score']!r}")
    return Run(row["algorithm"], row["game"], row["seed"], score, line)
