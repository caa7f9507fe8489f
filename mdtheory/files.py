"""Writing files so that nothing a user made is lost, and nothing is ever half written."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_EXISTS = "{path} exists already: choose another path, or pass --force"


def new_file(path: Path, *, force: bool) -> Path:
    """The path, if it may be written: nothing a user made is overwritten without `--force`."""
    if path.is_dir() and force:
        raise FileExistsError(f"{path} is a folder: choose another path")
    if path.exists() and not force:
        raise FileExistsError(_EXISTS.format(path=path))
    above = next((parent for parent in path.parents if parent.exists()), None)
    if above is not None and not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(above))
    return path


def new_picture(path: Path, force: bool, flag: str = "--picture") -> Path:
    """`new_file` for the picture that a flag names; its suffix says its format."""
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise ValueError(f"{flag} must end in .svg, .png or .pdf, got {path}")
    return new_file(path, force=force)


def new_folder(path: Path, *, force: bool, marker: str) -> Path:
    """An empty folder at this path, new or empty already.

    With `force`, an existing folder is replaced if it holds the file `marker`, which says that this
    program wrote it; anything else may be a user's and stays.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        if not force or not path.is_dir():
            raise FileExistsError(_EXISTS.format(path=path))
        if not (path / marker).is_file():
            raise FileExistsError(
                f"{path} is not replaced even with --force: it holds no {marker}, so it was not"
                " written by this program"
            )
        shutil.rmtree(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes of this program; the system lets go of it with the
    process, however that ends.

    Raises:
        BlockingIOError: another process holds it.
    """
    import fcntl  # not on Windows, where the theory runs all the same

    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"another process is at work in {folder}") from None
        yield


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the file, flush to disk, then rename over it; the folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
