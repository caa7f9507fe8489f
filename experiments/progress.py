"""Progress with an estimate of the time left: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    track,
)

_SECONDS_BETWEEN_LINES = 10.0

OnUpdate = Callable[[int, bool], None]
"""Called by trainers after each update with the number of updates done, and whether all that is
needed to go on from there is on the disk."""


def ignore_update(done: int, saved: bool) -> None:
    """What trainers call if nobody wants to know."""


def tracked(steps: Iterable[int], *, done: int, total: int, label: str) -> Iterator[int]:
    """The steps, reporting after each how many of `total` are done and how long it will take."""
    console = Console(stderr=True)
    if console.is_terminal:
        remaining = list(steps)
        yield from track(remaining, label, total=total, completed=done, console=console)
        return
    start = last = time.monotonic()
    for count, step in enumerate(steps, start=1):
        yield step
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES or done + count == total:
            left = (now - start) / count * (total - done - count)
            print(
                f"{label}: {done + count}/{total}, {now - start:.0f} s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
            last = now


class Display:
    """Progress of a long run with a remark on its latest step; a context manager."""

    def __init__(self, label: str, *, total: int, done: int) -> None:
        self._label, self._total, self._done, self._first = label, total, done, done
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
        self._start = time.monotonic()
        self._last = -float("inf")
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, remark: str) -> None:
        """One step is done."""
        self._done += 1
        if self._bar:
            self._bar.update(self._task, completed=self._done, remark=remark)
            return
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_LINES or self._done == self._total:
            spent = now - self._start
            left = spent / (self._done - self._first) * (self._total - self._done)
            print(
                f"{self._label}: {self._done}/{self._total}, {spent:.0f} s, {left:.0f} s left,"
                f" {remark}",
                file=sys.stderr,
                flush=True,
            )
            self._last = now
