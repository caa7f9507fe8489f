"""The sixteen games and what is known about them without playing."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from mdtheory import validation

GAMES = (
    "bigfish",
    "bossfight",
    "caveflyer",
    "chaser",
    "climber",
    "coinrun",
    "dodgeball",
    "fruitbot",
    "heist",
    "jumper",
    "leaper",
    "maze",
    "miner",
    "ninja",
    "plunder",
    "starpilot",
)

DISTRIBUTION_MODES = {"easy": 0, "hard": 1, "extreme": 2, "memory": 10}
"""The library's numbers of the modes."""

_EXTREME = ("chaser", "dodgeball", "leaper", "starpilot")
_MEMORY = ("caveflyer", "dodgeball", "heist", "jumper", "maze", "miner")


def modes_of(game: str) -> tuple[str, ...]:
    """The distribution modes that a game has."""
    extreme = ("extreme",) if game in _EXTREME else ()
    memory = ("memory",) if game in _MEMORY else ()
    return ("easy", "hard", *extreme, *memory)


def require_game(game: str) -> None:
    """Raise ValueError if there is no such game."""
    if game not in GAMES:
        raise ValueError(validation.unknown("game", game, GAMES))


def require_mode(game: str, distribution_mode: str) -> None:
    """Raise ValueError if there is no such game, or it does not have this mode."""
    require_game(game)
    if distribution_mode not in modes_of(game):
        raise ValueError(
            f"distribution_mode of {game} must be one of {', '.join(modes_of(game))},"
            f" got {distribution_mode}"
        )


_TIME_LIMITS = {"bigfish": 6000, "bossfight": 4000, "leaper": 500, "maze": 500, "plunder": 4000}


def time_limit(game: str, distribution_mode: str) -> int:
    """The longest episode, in steps."""
    if (game, distribution_mode) == ("jumper", "memory"):
        return 2000
    return _TIME_LIMITS.get(game, 1000)


ACTIONS = (
    "left+down",
    "left",
    "left+up",
    "down",
    "no-op",
    "up",
    "right+down",
    "right",
    "right+up",
    "D",
    "A",
    "W",
    "S",
    "Q",
    "E",
)
"""The keys that each action presses; some games give the letters a meaning, all others ignore
them."""

N_ACTIONS = len(ACTIONS)
NO_OP = ACTIONS.index("no-op")
END_EPISODE = -1
"""Beside the actions: what ends an episode."""


_BACKGROUND_GROUPS = {
    ("climber", "coinrun", "jumper", "miner", "ninja"): 62,
    ("bossfight", "caveflyer", "starpilot"): 13,
    ("dodgeball", "fruitbot", "heist", "leaper", "maze"): 9,
    ("bigfish",): 7,
    ("plunder",): 4,
    ("chaser",): 1,
}

N_BACKGROUNDS = {game: n for games, n in _BACKGROUND_GROUPS.items() for game in games}
"""Background images of a game, one of which each level draws; another number ends the process."""


class ReturnRange(NamedTuple):
    """Returns of a trivial and of a perfect policy, by which scores are normalised."""

    low: float
    high: float

    def normalized(self, returns: Any) -> Any:
        """0 at the low and 1 at the high end; never clipped."""
        return (returns - self.low) / (self.high - self.low)


EASY_RANGES = {
    "bigfish": ReturnRange(1, 40),
    "bossfight": ReturnRange(0.5, 13),
    "caveflyer": ReturnRange(3.5, 12),
    "chaser": ReturnRange(0.5, 13),
    "climber": ReturnRange(2, 12.6),
    "coinrun": ReturnRange(5, 10),
    "dodgeball": ReturnRange(1.5, 19),
    "fruitbot": ReturnRange(-1.5, 32.4),
    "heist": ReturnRange(3.5, 10),
    "jumper": ReturnRange(1, 10),
    "leaper": ReturnRange(1.5, 10),
    "maze": ReturnRange(5, 10),
    "miner": ReturnRange(1.5, 13),
    "ninja": ReturnRange(3.5, 10),
    "plunder": ReturnRange(4.5, 30),
    "starpilot": ReturnRange(2.5, 64),
}
"""Easy mode, `constants.py` of openai/train-procgen; other sources give jumper and leaper another
low, see `NORMALIZATIONS`."""

HARD_RANGES = {
    "bigfish": ReturnRange(0, 40),
    "bossfight": ReturnRange(0.5, 13),
    "caveflyer": ReturnRange(2, 13.4),
    "chaser": ReturnRange(0.5, 14.2),
    "climber": ReturnRange(1, 12.6),
    "coinrun": ReturnRange(5, 10),
    "dodgeball": ReturnRange(1.5, 19),
    "fruitbot": ReturnRange(-0.5, 27.2),
    "heist": ReturnRange(2, 10),
    "jumper": ReturnRange(1, 10),
    "leaper": ReturnRange(1.5, 10),
    "maze": ReturnRange(4, 10),
    "miner": ReturnRange(1.5, 20),
    "ninja": ReturnRange(2, 10),
    "plunder": ReturnRange(3, 30),
    "starpilot": ReturnRange(1.5, 35),
}
"""Hard mode, `constants.py` of openai/train-procgen."""

Normalization = Literal["train-procgen", "procgen-paper"]

NORMALIZATIONS: dict[str, dict[str, dict[str, ReturnRange]]] = {
    "train-procgen": {"easy": EASY_RANGES, "hard": HARD_RANGES},
    "procgen-paper": {
        "easy": EASY_RANGES | {"jumper": ReturnRange(3, 10), "leaper": ReturnRange(3, 10)},
        "hard": HARD_RANGES,
    },
}
"""Ranges by name, mode and game: of openai/train-procgen's `constants.py`, and of the appendix of
the Procgen paper (arXiv 1912.01588; Impoola, arXiv 2503.05546, uses it too).  They differ in the
low of easy jumper and leaper alone, 1 and 1.5 against 3.  Whoever normalises says by which name; a
return below the low gives a negative score."""
