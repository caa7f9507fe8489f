"""What both command lines share: parsing, one-line errors, exit statuses.

Exit status 0: done; 1: done, and the answer is no (a bound is violated); 2: bad input.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import itertools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import tyro

from mdtheory import validation

_EXTRAS = {
    "mdtheory": {"torch": "search", "ray": "cluster"},
    "mdpo": {
        **dict.fromkeys(
            ("torch", "safetensors", "tensorboard", "imageio", "imageio_ffmpeg"), "experiments"
        ),
        "procgen": "procgen",
        "ray": "cluster",
        "fsspec": "cluster",
        "tomli": "cluster",
        "wandb": "wandb",
    },
}
"""By program, which extra brings a module that it may miss."""


class Command(Protocol):
    """A frozen dataclass whose fields are the flags."""

    def run(self) -> int:
        """Do it; return the exit status."""
        ...


def run(
    program: str,
    description: str,
    commands: Callable[[Sequence[str]], Mapping[str, type[Command]]],
    arguments: Sequence[str] | None,
) -> int:
    """Parse the arguments, run the command, and turn every bad input into one line and status 2.

    `commands` gives the commands by name; it may look at the arguments to choose their flags.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command = _parse(program, description, commands(arguments), arguments)
        return command.run() if command is not None else 0
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        extra = _EXTRAS[program].get((error.name or "").split(".")[0])
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
    arguments: list[str],
) -> Command | None:
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


_DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(s|m|h|)")


def seconds(duration: str) -> float:
    """A duration such as 90, 60s, 5m or 1h."""
    match = _DURATION.fullmatch(duration.strip())
    number = float(match.group(1)) if match else 0.0
    if match is None or not 0 < number < 1e6:
        raise ValueError(f"a duration must be positive, such as 90, 60s, 5m or 1h, got {duration}")
    return number * {"": 1, "s": 1, "m": 60, "h": 3600}[match.group(2)]
