"""Where a sweep keeps its runs: a folder that all nodes see, or a URL of fsspec's.

In a folder, runs are written in place.  Behind a URL, a worker has a copy of the run it works on
and sends what changed: the checkpoint after all that it may need, the sweep's own note last.  Being
killed in between leaves what being killed in training leaves, newer logs than the checkpoint, and
trainers go on from that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

NOTE = "sweep.json"
"""In each run's folder: how far it is, what it cost, and digests of what it found."""
_LAST = ("checkpoint.safetensors", NOTE)
_NEVER = ("lock",)


Workplace = tuple[Path, Callable[[], None]]
"""A run's folder on this machine, with all that is kept of it, and a function that keeps what is in
it now."""


class Store(Protocol):
    """Files by name, and a folder to work on a run in."""

    def read(self, names: Sequence[str]) -> list[str | None]:
        """Their texts; None where there is none."""
        ...

    def work_on(self, run: str) -> contextlib.AbstractContextManager[Workplace]:
        """Where to work on a run."""
        ...


def open_store(where: str) -> Store:
    """The store at a path or a URL.

    Raises:
        ValueError: no such kind of URL, or what it needs is not installed.
        NotADirectoryError: the path is a file.
    """
    return _Remote(where) if "://" in where else _Folder(Path(where))


class _Folder:
    def __init__(self, root: Path) -> None:
        if root.exists() and not root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))
        self._root = root

    def read(self, names: Sequence[str]) -> list[str | None]:
        paths = [self._root / name for name in names]
        return [p.read_text("utf-8", "replace") if p.is_file() else None for p in paths]

    @contextlib.contextmanager
    def work_on(self, run: str) -> Iterator[Workplace]:
        folder = self._root / run
        folder.mkdir(parents=True, exist_ok=True)
        yield folder, lambda: None


class _Remote:
    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self._files: Any
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError, OSError) as error:
            raise ValueError(f"{url} cannot be used: {error}") from None
        if type(self._files).__name__ == "MemoryFileSystem":
            raise ValueError(f"{url} cannot be used: workers do not share their memory")
        self._root = self._root.rstrip("/")

    def read(self, names: Sequence[str]) -> list[str | None]:
        if not names:
            return []
        self._files.invalidate_cache()
        paths = [f"{self._root}/{name}" for name in names]
        found = self._files.cat(paths, on_error="return")
        return [_text(found[path]) for path in paths]

    @contextlib.contextmanager
    def work_on(self, run: str) -> Iterator[Workplace]:
        there = f"{self._root}/{run}"
        with tempfile.TemporaryDirectory(prefix="mdpo-") as scratch:
            folder = Path(scratch) / Path(run).name
            folder.mkdir()
            self._fetch(there, folder)
            [note] = self.read([f"{run}/{NOTE}"])
            if note is not None and not (folder / NOTE).exists():  # listing may hide errors
                raise OSError(f"{there} could not be read, though it has a {NOTE}")
            sent = _state(folder)

            def keep() -> None:
                nonlocal sent
                now = _state(folder)
                for name in sorted((n for n in now if now[n] != sent.get(n)), key=_order):
                    self._send(folder / name, f"{there}/{name}")
                sent = now

            yield folder, keep

    def _fetch(self, there: str, folder: Path) -> None:
        self._files.invalidate_cache()
        for path in self._files.find(there):
            name = path[path.index(there) + len(there) :].lstrip("/")
            if name.endswith(".partial"):
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            self._files.get_file(path, str(folder / name))

    def _send(self, path: Path, there: str) -> None:
        """Whole or not at all, also where writing is not atomic."""
        self._files.makedirs(there.rsplit("/", 1)[0], exist_ok=True)
        self._files.put_file(str(path), f"{there}.partial")
        self._files.mv(f"{there}.partial", there)


def _text(content: bytes | Exception) -> str | None:
    """What a file holds, None if there is none; any other failure is no absence."""
    if isinstance(content, FileNotFoundError):
        return None
    if isinstance(content, Exception):
        raise content
    return content.decode(errors="replace")


def fetch(store: Store, runs: Sequence[str], output: Path) -> None:
    """Copy runs into a folder, so that other commands can look at them.

    Raises:
        FileExistsError: a run's folder is there already.
    """
    for run in runs:
        if (output / run).exists():
            raise FileExistsError(f"{output / run} exists already: choose another folder")
    for run in runs:
        partial = output / f"{run}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        with store.work_on(run) as (folder, _):
            shutil.copytree(folder, partial)
        partial.rename(output / run)


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file that is to be kept."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in _NEVER and path.suffix != ".partial":
            stat = path.stat()
            found[path.relative_to(folder).as_posix()] = (stat.st_size, stat.st_mtime_ns)
    return found


def _order(name: str) -> tuple[int, str]:
    return (_LAST.index(name) + 1 if name in _LAST else 0, name)
