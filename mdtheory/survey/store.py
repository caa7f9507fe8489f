"""A survey's folder: its settings, and a line for every finished block.

A line is written and flushed to disk whole; one that a kill tore is dropped and its block is done
again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mdtheory import files
from mdtheory.survey.draw import BATCH
from mdtheory.survey.settings import Settings
from mdtheory.survey.tally import Tally

SETTINGS, BLOCKS, LOCK = "settings.json", "blocks.jsonl", "lock"


class Store:
    """The blocks that are done, merged; made by `opened`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.tallies = {bound: Tally(settings.keep) for bound in settings.bounds}
        self.done: set[int] = set()
        """Indices of batches."""
        self._path = folder / BLOCKS
        self._load()

    def _load(self) -> None:
        """Merge every line; cut off the last one if it is torn."""
        good = 0
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            for number, line in enumerate(file, start=1):
                try:
                    if not line.endswith(b"\n"):
                        raise ValueError("torn")
                    self.merge(json.loads(line))
                except (ValueError, LookupError, TypeError, AttributeError) as error:
                    if file.tell() < size:
                        raise ValueError(
                            f"{self._path} is damaged in line {number} ({error}): delete that line,"
                            " and its problems are done again"
                        ) from None
                    break
                good += len(line)
            if good < size:
                os.truncate(self._path, good)

    def merge(self, record: dict[str, Any]) -> None:
        """Take a block's result into the tallies.

        Raises:
            LookupError, TypeError, ValueError: for what is no such result, or was merged already.
        """
        batches = range(record["first"] // BATCH, record["stop"] // BATCH)
        if self.done.intersection(batches):
            raise ValueError(f"problem {record['first']} is counted twice")
        found = {
            bound: Tally.from_json(self.settings.keep, record["bounds"][bound])
            for bound in self.tallies
        }
        for bound, tally in found.items():
            self.tallies[bound].merge(tally)
        self.done.update(batches)

    def append(self, record: dict[str, Any]) -> None:
        """Merge a block's result and put it safely on disk."""
        self.merge(record)
        with self._path.open("ab") as file:
            file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    @property
    def problems(self) -> int:
        """How many are done."""
        return len(self.done) * BATCH

    def missing(self, problems: int, block: int) -> Iterator[tuple[int, int]]:
        """(first, stop) of blocks that are still to be done, none of them longer than `block`."""
        start: int | None = None
        for index in range(problems // BATCH + 1):
            at_end = index == problems // BATCH or index in self.done
            if start is not None and (at_end or (index - start) * BATCH >= block):
                yield start * BATCH, index * BATCH
                start = None
            if start is None and not at_end:
                start = index


@contextlib.contextmanager
def opened(folder: Path, settings: Settings, problems: int) -> Iterator[Store]:
    """A new survey in this folder, or the one that is there, held against other processes.

    Raises:
        FileExistsError: the folder holds something else.
        ValueError: the survey there has other settings, or more problems; or a file is damaged.
        BlockingIOError: another process is at work on it.
    """
    path = folder / SETTINGS
    if not path.exists() and folder.is_dir():
        others = sorted({entry.name for entry in folder.iterdir()} - {LOCK, SETTINGS + ".partial"})
        if others:
            raise FileExistsError(
                f"{folder} holds {others[0]} and no {SETTINGS}, so it is no survey: choose another"
                " folder"
            )
    folder.mkdir(parents=True, exist_ok=True)
    with files.only_one(folder):
        if path.exists():
            _require_same(path, settings)
        else:
            files.write_atomically(path, settings.dump().encode())
        store = Store(folder, settings)
        stop = (max(store.done, default=-1) + 1) * BATCH
        if stop > problems:
            raise ValueError(
                f"{folder} holds problems up to number {stop:,} already, got --problems"
                f" {problems:,}: ask for at least as many, or choose another folder"
            )
        yield store


def _require_same(path: Path, settings: Settings) -> None:
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        earlier = None
    wanted = json.loads(settings.dump())
    if not isinstance(earlier, dict) or earlier.keys() != wanted.keys():
        raise ValueError(f"{path} is damaged: choose another folder")
    for name in asdict(settings):
        if earlier[name] != wanted[name]:
            raise ValueError(
                f"{path.parent} holds a survey with {name} {_shown(earlier[name])}, not"
                f" {_shown(wanted[name])}: choose another folder"
            )


def _shown(value: Any) -> str:
    return "; ".join(value) if isinstance(value, list) else str(value)
