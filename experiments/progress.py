"""Progress of trainings: a bar with a remark on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mdtheory.progress import Lines, Pace

OnUpdate = Callable[[int, bool], None]
"""Called by trainers after each update with the number of updates done, and whether all that is
needed to go on from there is on the disk."""


def ignore_update(done: int, saved: bool) -> None:
    """What trainers call if nobody wants to know."""


class Display:
    """Updates of a training, with a remark on the latest; a context manager."""

    def __init__(self, label: str, *, total: int, done: int) -> None:
        self._label, self._total, self._done = label, total, done
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[remark]}"),
        )
        self._bar = Progress(*columns, console=console) if console.is_terminal else None
        if self._bar:
            self._task = self._bar.add_task(label, total=total, completed=done, remark="")

    def __enter__(self) -> Display:
        self._pace, self._lines = Pace(self._done / self._total), Lines(at_once=True)
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, remark: str = "") -> None:
        """One update is done."""
        self._done += 1
        if self._bar:
            self._bar.update(self._task, completed=self._done, remark=remark)
            return
        share = self._done / self._total
        words = [f"{self._label}: {self._done}/{self._total}", self._pace.words(share), remark]
        self._lines.show(", ".join(filter(None, words)), share)
