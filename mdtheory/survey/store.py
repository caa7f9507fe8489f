"""A survey's folder: its settings, and a line for every finished block.

A line is written and flushed to disk whole; a last one that a kill tore, so that it has no end, is
dropped and its block is done again.  Any other damage is an error.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mdtheory import files
from mdtheory.survey.draw import BATCH
from mdtheory.survey.line import dump_line, load_line, tallies_of
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
        """Merge every line; cut off the last one if it has no end."""
        good = 0
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    self.merge(load_line(line))
                except ValueError as error:
                    raise ValueError(
                        f"{self._path} is damaged in line {number} ({error}): delete that line,"
                        " and its problems are done again"
                    ) from None
                good += len(line)
            if good < size:
                os.truncate(self._path, good)

    def merge(self, record: dict[str, Any]) -> None:
        """Take a block's result into the tallies.

        Raises:
            ValueError: for what is no such result, or was merged already.
        """
        batches, found = tallies_of(record, self.settings)
        if self.done.intersection(batches):
            raise ValueError(f"problem {record['first']} is counted twice")
        for bound, tally in found.items():
            self.tallies[bound].merge(tally)
        self.done.update(batches)

    def append(self, record: dict[str, Any]) -> None:
        """Merge a block's result and put it safely on disk."""
        self.merge(record)
        with self._path.open("ab") as file:
            file.write(dump_line(record))
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

    Settings without any block or result give way to other ones.

    Raises:
        FileExistsError: the folder holds something else.
        NotADirectoryError: it is a file.
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
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    with files.only_one(folder):
        if path.exists():
            earlier = _settings(path, settings)
            if _has_results(folder):
                _require_same(folder, earlier, settings)
        files.write_atomically(path, settings.dump().encode())
        store = Store(folder, settings)
        stop = (max(store.done, default=-1) + 1) * BATCH
        if stop > problems:
            raise ValueError(
                f"{folder} holds problems up to number {stop:,} already, got --problems"
                f" {problems:,}: ask for at least as many, or choose another folder"
            )
        yield store


def _settings(path: Path, settings: Settings) -> dict[str, Any]:
    """Those in the file, which must be named as ours are."""
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        earlier = None
    if not isinstance(earlier, dict) or earlier.keys() != asdict(settings).keys():
        raise ValueError(f"{path} is damaged: choose another folder")
    return earlier


def _has_results(folder: Path) -> bool:
    """Whether there is a whole line, or a file of another name than an unfinished survey's."""
    unfinished = {SETTINGS, SETTINGS + ".partial", BLOCKS, LOCK}
    if {entry.name for entry in folder.iterdir()} - unfinished:
        return True
    with contextlib.suppress(FileNotFoundError), (folder / BLOCKS).open("rb") as file:
        return file.readline().endswith(b"\n")
    return False


def _require_same(folder: Path, earlier: dict[str, Any], settings: Settings) -> None:
    wanted = json.loads(settings.dump())
    for name in wanted:
        if earlier[name] != wanted[name]:
            raise ValueError(
                f"{folder} holds a survey with {name} {_shown(earlier[name])}, not"
                f" {_shown(wanted[name])}: choose another folder"
            )


def _shown(value: Any) -> str:
    return "; ".join(value) if isinstance(value, list) else str(value)
