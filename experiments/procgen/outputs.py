"""Where commands on Procgen write: the terminal, and files that are not among those read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console


def wide_console(least: int) -> Console:
    """The terminal, or a wider one with so many characters a line."""
    return Console(width=max(Console().width, least))


def require_apart(read: Iterable[Path], written: Mapping[str, Path | None]) -> None:
    """Raise ValueError if a file to write, by its flag, is one that is read or another's."""
    sources = {path.resolve() for path in read}
    flags: dict[Path, str] = {}
    for flag, path in written.items():
        if path is None:
            continue
        if path.resolve() in sources:
            raise ValueError(f"{flag} must not be a file that is read, got {path}")
        other = flags.setdefault(path.resolve(), flag)
        if other != flag:
            raise ValueError(
                f"{other} and {flag} must be different files, got {written[other]} and {path}"
            )
