"""Progress with an estimate of the time left: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import track

_SECONDS_BETWEEN_LINES = 10.0


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
