"""What a saved state says, in the order in which Procgen writes it.

The library ends the whole process on a state that it cannot read, so a state carries a checksum
behind the library's bytes: whatever was cut, mixed up or changed by a flipped bit is refused
before.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.envs.procgen.levels import LevelSet

_VERSION = 0
_CHECKSUM = struct.Struct("<I")
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
_ENTITY_BYTES = 31 * 4
_BETWEEN_ENTITIES_AND_GENERATOR = 19 * 4
_BETWEEN_GENERATOR_AND_GRID = 9 * 4


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
        end: position of the first byte behind the header.
    """

    game: str
    options: dict[str, int]
    offsets: dict[str, int]
    timeout: int
    level_seed: int
    elapsed: int
    end: int


@dataclass(frozen=True)
class StatePicture:
    """What a state says about its picture besides options.

    Attributes:
        image: number of the background image, and where that stands.
        visibility: the bits of how many cells are in view, the same in all levels of a mode, and
            where they stand.
    """

    image: int
    image_at: int
    visibility: int
    visibility_at: int


def seal(raw: bytes) -> bytes:
    """The library's bytes with their checksum: a state."""
    return raw + _CHECKSUM.pack(zlib.crc32(raw))


def unseal(state: bytes) -> bytes:
    """The bytes that the library reads.

    Raises:
        ValueError: this is no state, or not all of it.
    """
    size = _CHECKSUM.size
    if not isinstance(state, bytes) or seal(state[:-size]) != state or len(state) == size:
        raise ValueError(f"state must be bytes of get_state, complete, got {_shown(state)}")
    return state[:-size]


def read_header(state: bytes) -> StateHeader:
    """Read the head of a state.

    Raises:
        ValueError: this is no state, or not all of it.
    """
    reader = _Reader(unseal(state))
    version = reader.integer()
    if version != _VERSION:
        raise ValueError(f"state must be of version {_VERSION}, got {version}")
    game = reader.text().decode("ascii")
    values, offsets = {}, {}

    def read(*names: str) -> None:
        for name in names:
            offsets[name] = reader.position
            values[name] = reader.integer()

    read(*_OPTIONS, "level_seed_low", "level_seed_high", "game_type", "game_index")
    reader.generator()
    reader.generator()
    read(*_AFTER_RANDOM_NUMBERS)
    return StateHeader(
        game=game,
        options={name: values[name] for name in _OPTIONS},
        offsets=offsets,
        timeout=values["timeout"],
        level_seed=values["level_seed"],
        elapsed=values["elapsed"],
        end=reader.position,
    )


def read_picture(state: bytes) -> StatePicture:
    """Read what a state says about its picture.

    Raises:
        ValueError: this is no state, or not all of it.
    """
    reader = _Reader(state, read_header(state).end)
    reader.integer()  # number of the grid's cells
    reader.skip(reader.integer() * _ENTITY_BYTES)
    reader.integer()  # whether the background is generated
    image_at = reader.position
    image = reader.integer()
    reader.skip(_BETWEEN_ENTITIES_AND_GENERATOR - 8)
    reader.generator()
    reader.skip(28)  # size of the level, what is beyond it, scale and place of the picture
    visibility_at = reader.position
    return StatePicture(image, image_at, reader.integer(), visibility_at)


def world_of(state: bytes) -> bytes:
    """Everything that stands in the level, seen or not: the bytes of its objects and of its grid.

    Raises:
        ValueError: this is no state, or not all of it.
    """
    reader = _Reader(state, read_header(state).end)
    reader.integer()  # number of the grid's cells
    entities = reader.skip(reader.integer() * _ENTITY_BYTES)
    reader.skip(_BETWEEN_ENTITIES_AND_GENERATOR)
    reader.generator()
    reader.skip(_BETWEEN_GENERATOR_AND_GRID)
    size = struct.pack("<ii", reader.integer(), reader.integer())
    return size + reader.skip(4 * reader.integer()) + entities


def patched(state: bytes, values: Mapping[int, int]) -> bytes:
    """The state with other whole numbers at some positions; nobody checks that these make sense."""
    changed = bytearray(unseal(state))
    for position, value in values.items():
        struct.pack_into("<i", changed, position, value)
    return seal(bytes(changed))


def drawn(state: bytes, options: Mapping[str, int], background: int | None = None) -> bytes:
    """The same latent state drawn otherwise: with other options, and another background image.

    Args:
        state: of `get_state`.
        options: whole numbers by the names of the header's options.
        background: number of the image, which the caller has checked; None leaves the level's own.

    Raises:
        ValueError: this is no state, or not all of it.
    """
    header = read_header(state)
    values = {header.offsets[name]: value for name, value in options.items()}
    if background is not None:
        values[read_picture(state).image_at] = background
    return patched(state, values)


def with_levels(state: bytes, low: int, high: int) -> bytes:
    """The state, but the levels of all later episodes are drawn from [low, high).

    Raises:
        ValueError: this is no state, or these are no levels.
    """
    levels = LevelSet(low, high)
    offsets = read_header(state).offsets
    return patched(
        state, {offsets["level_seed_low"]: levels.first, offsets["level_seed_high"]: levels.end}
    )


class _Reader:
    """Reads the library's bytes from a position on."""

    def __init__(self, data: bytes, position: int = 0):
        self._data = data
        self.position = position

    def skip(self, length: int) -> bytes:
        self.position += length
        return self._data[self.position - length : self.position]

    def integer(self) -> int:
        return int.from_bytes(self.skip(4), "little", signed=True)

    def text(self) -> bytes:
        return self.skip(self.integer())

    def generator(self) -> None:
        """Random numbers: a flag and a text."""
        self.integer()
        self.text()


def _shown(state: object) -> str:
    if not isinstance(state, bytes):
        return type(state).__name__
    return f"{len(state)} bytes beginning with {state[:8].hex() or 'nothing'}"
