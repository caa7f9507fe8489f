"""Scores of anybody's runs, from a CSV file: algorithm, game, seed, score."""

from __future__ import annotations

import csv
import math
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

COLUMNS = ("algorithm", "game", "seed", "score")
_SEED = re.compile("0|[1-9][0-9]*")
_SCORE = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LARGEST = 1e12
_UNSEEN = ("Cc", "Cf", "Zl", "Zp")
"""Control and format characters, line and paragraph separators."""


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
            first = next(reader, [])
            header = [_clean(f"{path}, line 1, column {k}", x) for k, x in enumerate(first, 1)]
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
        run = _run(line, dict(zip(header, row, strict=True)))
        before = lines.setdefault(run[:3], line)
        if before != line:
            raise ValueError(
                f"{line}, column seed: {run.algorithm} has seed {run.seed} of {run.game} already in"
                f" {before.removeprefix(f'{path}, ')}"
            )
        yield run


def _run(line: str, row: dict[str, str]) -> Run:
    values = {name: _clean(f"{line}, column {name}", row[name]) for name in COLUMNS}
    for name, value in values.items():
        if not value:
            raise ValueError(f"{line}, column {name}, must not be empty")
    seed, score = values["seed"], values["score"]
    if not _SEED.fullmatch(seed):
        raise ValueError(
            f"{line}, column seed, must be a whole number such as 0 or 12, without sign, leading"
            f" zeros or decimals, got {seed!r}"
        )
    if not _SCORE.fullmatch(score) or not math.isfinite(float(score)):
        raise ValueError(
            f"{line}, column score, must be a finite number, got {score!r}: write it like -1.5"
        )
    if abs(float(score)) > _LARGEST:
        raise ValueError(f"{line}, column score, must be within ±{_LARGEST:g}, got {score!r}")
    return Run(values["algorithm"], values["game"], seed, float(score), line)


def _clean(where: str, value: str) -> str:
    """Without the blanks around it; nothing else that cannot be seen is let through."""
    value = value.strip(" \t")
    if any(unicodedata.category(character) in _UNSEEN for character in value):
        raise ValueError(f"{where}, must have no control characters, got {value!a}")
    return value.strip()
