"""What a saved state says in its first bytes, in the order in which Procgen writes it.

The library aborts the whole process on a state that it cannot read; `read_header` refuses it
before.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_VERSION = 0
_END = struct.pack("<I", 0xCAFECAFE)
_OPTIONS = (
    "paint_vel_info",
    "use_generated_assets",
    "use_monochrome_assets",
    "restrict_themes",
    "use_backgrounds",
    "center_agent",
    "debug_mode",
    "distribution_mode",
    "use_sequential_levels",
    "use_easy_jump",
    "plain_assets",
    "physics_mode",
    "grid_step",
)
_AFTER_RANDOM_NUMBERS = (
    "reward",
    "done",
    "level_complete",
    "action",
    "timeout",
    "level_seed",
    "prev_level_seed",
    "episodes_remaining",
    "episode_done",
    "last_reward_timer",
    "last_reward",
    "default_action",
    "fixed_asset_seed",
    "elapsed",
    "is_waiting_for_step",
)


@dataclass(frozen=True)
class StateHeader:
    """The part that all games share.

    Attributes:
        game: name of the game.
        options: the game's options as whole numbers, by name.
        offsets: position in bytes of every option and of level_seed_low, level_seed_high, ...
        timeout: the longest episode, in steps.
        level_seed: level being played.
        elapsed: steps since the episode began.
        end: position of the first byte that belongs to the game.
    """

    game: str
    options: dict[str, int]
    offsets: dict[str, int]
    timeout: int
    level_seed: int
    elapsed: int
    end: int


def read_header(state: bytes) -> StateHeader:
    """Read the head of a state.

    Raises:
        ValueError: these bytes are no complete state of Procgen.
    """
    if not isinstance(state, bytes) or not state.endswith(_END):
        raise ValueError(
            f"state must be bytes of get_state, complete to their end mark, got {_shown(state)}"
        )
    try:
        return _read(state)
    except (struct.error, UnicodeDecodeError, _NoStateError):
        raise ValueError(f"state must be bytes of get_state, got {_shown(state)}") from None


def with_levels(state: bytes, low: int, high: int) -> bytes:
    """The state, but the levels of all later episodes are drawn from [low, high)."""
    header = read_header(state)
    changed = bytearray(state)
    for name, value in (("level_seed_low", low), ("level_seed_high", high)):
        struct.pack_into("<i", changed, header.offsets[name], value)
    return bytes(changed)


class _NoStateError(Exception):
    pass


def _read(state: bytes) -> StateHeader:
    position = 0

    def integer() -> int:
        nonlocal position
        position += 4
        return int(struct.unpack_from("<i", state, position - 4)[0])

    def text() -> bytes:
        nonlocal position
        length = integer()
        if not 0 <= length <= len(state) - position:
            raise _NoStateError
        position += length
        return state[position - length : position]

    if integer() != _VERSION:
        raise _NoStateError
    game = text().decode("ascii")
    values, offsets = {}, {}
    for name in (*_OPTIONS, "level_seed_low", "level_seed_high", "game_type", "game_index"):
        offsets[name] = position
        values[name] = integer()
    for _ in ("levels", "game"):  # two generators: a flag and a text each
        integer()
        text()
    for name in _AFTER_RANDOM_NUMBERS:
        offsets[name] = position
        values[name] = integer()
    return StateHeader(
        game=game,
        options={name: values[name] for name in _OPTIONS},
        offsets=offsets,
        timeout=values["timeout"],
        level_seed=values["level_seed"],
        elapsed=values["elapsed"],
        end=position,
    )


def _shown(state: object) -> str:
    if not isinstance(state, bytes):
        return type(state).__name__
    return f"{len(state)} bytes beginning with {state[:8].hex() or 'nothing'}"
