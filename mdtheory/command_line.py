"""What both command lines share: parsing, one-line errors, exit statuses, safe output.

Exit status 0: done; 1: done, and the answer is no (a bound is violated); 2: bad input.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import itertools
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import tyro

from mdtheory import validation

_EXTRAS = {"torch": "experiments", "safetensors": "experiments", "tensorboard": "experiments"}
"""Which extra brings a module that a command may miss."""

_EXISTS = "{path} exists already: choose another path, or pass --force"


class Command(Protocol):
    """A frozen dataclass whose fields are the flags."""

    def run(self) -> int:
        """Do it; return the exit status."""
        ...


def run(
    program: str,
    description: str,
    commands: Mapping[str, type[Command]],
    arguments: Sequence[str] | None,
) -> int:
    """Parse the arguments, run the command, and turn every bad input into one line and status 2."""
    try:
        command = _parse(program, description, commands, arguments)
        return command.run() if command is not None else 0
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        print(
            f"{program}: error: {error.name} is not installed: pip install 'mdtheory[{extra}]'",
            file=sys.stderr,
        )
        return 2
    except (ValueError, OSError, ArithmeticError) as error:
        print(f"{program}: error: {_one_line(error)}", file=sys.stderr)
        return 2


def _parse(
    program: str,
    description: str,
    commands: Mapping[str, type[Command]],
    arguments: Sequence[str] | None,
) -> Command | None:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments == ["--version"]:
        print(f"{program} {importlib.metadata.version('mdtheory')}")
        return None
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        raise ValueError(validation.unknown("command", arguments[0], commands))
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            return tyro.extras.subcommand_cli_from_dict(
                dict(commands),
                prog=program,
                description=description,
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if stop.code in (0, None):  # --help
            return None
        raise ValueError(_without_box(messages.getvalue())) from None


def _without_box(message: str) -> str:
    """tyro draws a box with a title around its message; keep the words before the footer."""
    frame = ("╭", "╰", "+-")
    lines = [line.strip("│| ") for line in message.splitlines() if not line.startswith(frame)]
    words = [line for line in lines if line.strip("─- ")]
    words = [line.replace("__tyro-dummy-inner__.config.", "") for line in words]
    kept = itertools.takewhile(lambda line: not line.startswith("For full helptext"), words)
    return " ".join(kept)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def new_file(path: Path, *, force: bool) -> Path:
    """The path, if it may be written: nothing a user made is overwritten without `--force`."""
    if path.is_dir() or (path.exists() and not force):
        raise FileExistsError(_EXISTS.format(path=path))
    return path


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
