"""Progress of long work with the time left: a bar on a terminal, lines now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 10.0

OnProgress = Callable[[str, float], None]
"""What long work calls with a text and the share of it that is done."""


class Pace:
    """What work took from a share that was done before, and what the rest will take so."""

    def __init__(self, share: float) -> None:
        self._start, self._share = time.monotonic(), share

    def words(self, share: float) -> str:
        """Such as `60 s, 180 s left`; nothing is known to be left before a first step is done."""
        spent, gained = time.monotonic() - self._start, share - self._share
        left = f", {spent * (1 - share) / gained:,.0f} s left" if gained > 0 else ""
        return f"{spent:,.0f} s{left}"


class Lines:
    """Lines on stderr, seconds apart; with `at_once` the first and the last whenever they come."""

    def __init__(self, *, at_once: bool = False) -> None:
        self._last = -float("inf") if at_once else time.monotonic()
        self._ended = not at_once

    def show(self, text: str, share: float) -> None:
        """Print the text if it is time to, or all is done."""
        now = time.monotonic()
        ends = share >= 1 and not self._ended
        if ends or now - self._last >= _SECONDS_BETWEEN_LINES:
            print(text, file=sys.stderr, flush=True)
            self._last, self._ended = now, self._ended or ends


@contextlib.contextmanager
def progress() -> Iterator[OnProgress]:
    """A function that shows a text and the share done, with the time left.

    Its first call says what was done before.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _shown_in(Lines())
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda text, share: bar.update(task, description=escape(text), completed=share)


def _shown_in(lines: Lines) -> OnProgress:
    pace: Pace | None = None

    def show(text: str, share: float) -> None:
        nonlocal pace
        pace = pace or Pace(share)
        lines.show(f"{text}: {share:.0%}, {pace.words(share)}", share)

    return show
