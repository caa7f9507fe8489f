"""Levels to train on and levels to test on, disjoint by construction.

A level is a seed of Procgen's generator, 0 to 2,147,483,646.  The library draws each episode's
level uniformly from one range of seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

END = 2**31 - 1
"""One more than the last level."""


@dataclass(frozen=True)
class LevelSet:
    """The levels first, first + 1, ..., end − 1."""

    first: int = 0
    end: int = END

    def __post_init__(self) -> None:
        _require_whole("first", self.first, 0)
        _require_whole("end", self.end, 1)
        if not self.first < self.end <= END:
            raise ValueError(
                f"levels must satisfy 0 <= first < end <= {END}, got first={self.first} and"
                f" end={self.end}"
            )

    def __len__(self) -> int:
        return self.end - self.first

    def __contains__(self, level: object) -> bool:
        return isinstance(level, int | np.integer) and self.first <= int(level) < self.end

    def disjoint(self, other: LevelSet) -> bool:
        return self.end <= other.first or other.end <= self.first

    def sample(self, n: int, seed: int) -> list[int]:
        """n different levels in increasing order; the same seed gives the same levels.

        Raises:
            ValueError: there are fewer than n levels.
        """
        _require_whole("n", n, 1)
        _require_whole("seed", seed, 0)
        if n > len(self):
            raise ValueError(f"n must be at most {len(self)}, the levels there are, got {n}")
        rng = np.random.default_rng(seed)
        chosen: set[int] = set()
        if 2 * n > len(self):
            return sorted((self.first + rng.permutation(len(self))[:n]).tolist())
        while len(chosen) < n:
            chosen.update(rng.integers(self.first, self.end, n - len(chosen)).tolist())
        return sorted(chosen)


@dataclass(frozen=True)
class LevelSplit:
    """Levels for training, and all others above them for testing."""

    train: LevelSet
    test: LevelSet

    def __post_init__(self) -> None:
        if not self.train.disjoint(self.test):
            raise ValueError(f"train and test levels must be disjoint, got {self}")


def split(n_train: int, first: int = 0) -> LevelSplit:
    """n_train levels from `first` on for training; all levels after them are test levels.

    Raises:
        ValueError: these are no levels, or none would be left to test on.
    """
    _require_whole("n_train", n_train, 1)
    _require_whole("first", first, 0)
    if first + n_train >= END:
        raise ValueError(f"first + n_train must be below {END}, got {first} + {n_train}")
    return LevelSplit(LevelSet(first, first + n_train), LevelSet(first + n_train, END))


def _require_whole(name: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}")
