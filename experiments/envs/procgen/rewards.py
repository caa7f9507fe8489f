"""What the sixteen games can pay, per step and per episode, as their C++ source bounds it.

A game pays for events.  The source says what an event pays, how many can fall into one step and how
many into one episode; the ranges follow from these three numbers.  They are bounds, not records of
play: an event counts as often as the source cannot rule out, and where it rules out little, `why`
says so.  Line numbers are those of openai/procgen at commit
37b521dbb530f0734fd82f72d921f5e0e715c0d1, whose games are those of release 0.10.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from experiments.envs.procgen.games import require_game, require_mode

Count = int | Mapping[str, int]
"""A number of events, in every mode the same or per distribution mode."""


class RewardRange(NamedTuple):
    """Smallest and largest reward of one step; in `episode_returns`, the same of a return."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that a game pays for."""

    what: str
    pays: float
    line: int
    """Of `procgen/src/games/GAME.cpp`, where the reward is added."""
    per_step: Count
    per_episode: Count
    why: str
    """Why there cannot be more of it."""


@dataclass(frozen=True, kw_only=True)
class GameRewards:
    """All events of a game."""

    events: tuple[Event, ...]
    apart: bool = False
    """No step has events of two kinds."""


def _goal(what: str, line: int, why: str) -> Event:
    return Event(what=what, pays=10, line=line, per_step=1, per_episode=1, why=why)


def _only_goal(what: str, line: int, why: str) -> GameRewards:
    return GameRewards(events=(_goal(what, line, why),))


_ENDS = "ends the episode"

REWARDS: Mapping[str, GameRewards] = {
    "bigfish": GameRewards(events=(
        Event(what="fish eaten", pays=1, line=52, per_step=161, per_episode=29 + 161,
              why="29 leave the level unsolved, then one step eats all fish there are: one appears"
              " per step at most and crosses 20 + 2 * 2 units at 0.15 per step or faster; that they"
              " seldom meet, the source does not prove"),
        _goal("30 eaten", 98, _ENDS),
    )),
    "bossfight": GameRewards(events=(
        Event(what="round won", pays=1, line=150, per_step=2, per_episode=5 + 1,
              why="1 to 5 rounds, and each raises the shields at once but the last, after which"
              " a further bullet of the same step can pay once more"),
        _goal("boss destroyed", 154, _ENDS),
    )),
    "caveflyer": GameRewards(events=(
        Event(what="target destroyed", pays=3, line=105, per_step=10,
              per_episode={"easy": 11, "hard": 19, "memory": 44},
              why="a bullet hits one object and lives 10 steps, one is fired per step; a target per"
              " 80 free cells, and corners are never free"),
        _goal("goal", 60, _ENDS),
    )),
    "chaser": GameRewards(events=(
        Event(what="orb, small or large", pays=0.04, line=377, per_step=2,
              per_episode={"easy": 95, "hard": 130, "extreme": 266},
              why="one per free cell, and a body as wide as the corridor touches two cells; n rooms"
              " make 2 n - 1 free cells, and opening the at most (2 n + 2) / 3 dead ends adds one"
              " each (n = 36, 49, 100); large ones pay in line 124"),
        _goal("all small orbs", 382, _ENDS),
    )),
    "climber": GameRewards(events=(
        Event(what="coin", pays=1, line=94, per_step=1, per_episode=10,
              why="at most one on each of at most 10 platforms, which are 3 or more rows apart"),
        _goal("all coins", 315, _ENDS),
    )),
    "coinrun": _only_goal("coin", 147, f"one cell, {_ENDS}"),
    "dodgeball": GameRewards(apart=True, events=(
        Event(what="enemy hit", pays=2, line=130,
              per_step={"easy": 6, "hard": 6, "extreme": 6, "memory": 8},
              per_episode={"easy": 6, "hard": 6, "extreme": 6, "memory": 19},
              why="3 to 6 enemies, in memory to 19, and never new ones; a ball hits one, and 8 at"
              " most fly, thrown 7 steps apart for 50 steps"),
        _goal("door", 112, f"one door, open from the step after the last hit, {_ENDS}"),
    )),
    "fruitbot": GameRewards(events=(
        Event(what="fruit", pays=1, line=107, per_step=19, per_episode=19,
              why="10 to 19 fruits; all objects lie 1 apart, and a step would take 4 at most, but"
              " after 100 draws in vain the generator lets them overlap"),
        Event(what="other food", pays=-4, line=102, per_step=19, per_episode=19,
              why="10 to 19, placed like fruit"),
        Event(what="present", pays=10, line=112, per_step=2, per_episode=2,
              why=f"in a row, 1 apart, and a body 0.8 wide touches two 1 wide; {_ENDS}"),
    )),
    "heist": _only_goal("gem", 85, f"set, not added; {_ENDS}"),
    "jumper": _only_goal("carrot", 84, f"one, {_ENDS}"),
    "leaper": _only_goal("finish line", 81, f"one, {_ENDS}"),
    "maze": _only_goal("cheese", 118, f"one cell, {_ENDS}"),
    "miner": GameRewards(apart=True, events=(
        Event(what="diamond", pays=1, line=260, per_step=1,
              per_episode={"easy": 3, "hard": 12, "memory": 36},
              why="the one cell under the agent; 3 % of all cells, and never new ones"),
        _goal("exit", 78, f"open from the step after the last diamond, {_ENDS}; an episode's first"
              " step asks for the diamonds of the episode before, but then the exit's cell holds"
              " none"),
    )),
    "ninja": _only_goal("mushroom", 83, f"one, {_ENDS}"),
    "plunder": GameRewards(events=(
        Event(what="target ship hit", pays=1, line=95, per_step=3, per_episode=19 + 3,
              why="19 leave the level unsolved, then one step hits 3: a ball hits one ship, balls"
              " fly 3 or more units apart, and the lanes with their ships are 7.3 units high"),
        _goal("20 hit", 233, _ENDS),
    )),
    "starpilot": GameRewards(events=(
        Event(what="enemy destroyed", pays=1, line=396, per_step=20, per_episode=49 * 5,
              why="a bullet hits one object and crosses the world in 20 steps, one is fired per"
              " step; groups of 5 or fewer, 10 or more steps apart, from step 11 to 500"),
        _goal("finish line", 131, f"one, {_ENDS}"),
    )),
}  # fmt: skip


def step_rewards(game: str, distribution_mode: str) -> RewardRange:
    """Bounds on the reward of any step from any reachable state, with any action and options.

    They hold for the float32 that the library returns, and include 0: most steps pay nothing, and
    nothing is paid after an end.

    Raises:
        ValueError: there is no such game, or it has no such mode.
    """
    require_mode(game, distribution_mode)
    rewards = REWARDS[game]
    amounts = [_number(event.per_step, distribution_mode) * event.pays for event in rewards.events]
    if rewards.apart:
        return RewardRange(min(0, *amounts), max(0, *amounts))
    return _summed(amounts)


def episode_returns(game: str, distribution_mode: str) -> RewardRange:
    """Bounds on the sum of rewards from any reachable state on to the end of the episode.

    The low end adds all that can be lost in an episode and the high end all that can be won, so
    both also bound every discounted sum, and every sum that stops before the end.  They are finite
    in every game without help from the time limit: limit times step is never less.

    With `use_sequential_levels` an episode goes on in another level, and they hold for the rest of
    the level only.

    Raises:
        ValueError: there is no such game, or it has no such mode.
    """
    require_mode(game, distribution_mode)
    return _summed(
        [
            _number(event.per_episode, distribution_mode) * event.pays
            for event in REWARDS[game].events
        ]
    )


def reason(game: str) -> str:
    """What the game pays, why it cannot pay more, and where its source says so; in one line.

    Raises:
        ValueError: there is no such game.
    """
    require_game(game)
    return "; ".join(
        f"{event.what} {event.pays:+g} ({game}.cpp:{event.line}): {event.why}"
        for event in REWARDS[game].events
    )


def _number(count: Count, distribution_mode: str) -> int:
    return count if isinstance(count, int) else count[distribution_mode]


def _summed(amounts: list[float]) -> RewardRange:
    """All that can be lost, and all that can be won."""
    return RewardRange(sum(min(0, a) for a in amounts), sum(max(0, a) for a in amounts))
