"""What a sweep file asks for: one configuration for every game, algorithm and seed.

    seeds = 32              # how many; also first_seed, and seeds_per_run on the pixel grid
    retries = 3             # how often a run goes on elsewhere after its worker or node died

    [resources]             # of each run
    cpus = 1
    gpus = 0.25

    [settings]              # of all runs, by the names in config.json
    total_steps = 2_000_000

    [games.coinrun]         # a name of yours, and at least its env
    env = "procgen:coinrun"

    [algorithms.mdpo]       # a name of yours, and what differs
    distill_coef = 1.0

On Procgen `preset` and `algorithm` are settings too, as in `mdpo train`.  Settings of an algorithm
win over those of a game, and these over [settings].
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.config import CONFIG_FILE, PPOConfig, other_settings
from experiments.envs.procgen.games import GAMES
from experiments.pixelgrid.config import TrainConfig
from experiments.procgen.config import PREFIX, ProcgenConfig, configure
from mdtheory import validation
from mdtheory.cluster import Resources

_KEYS = (
    "seeds", "first_seed", "seeds_per_run", "retries", "resources", "settings", "games",
    "algorithms",
)  # fmt: skip
_OF_PROCGEN = ("preset", "algorithm")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True)
class Run:
    """One run of a sweep.

    Attributes:
        game, algorithm: names of the sweep file.
        seed: the first, of a run with several.
        config: what is trained.
    """

    game: str
    algorithm: str
    seed: int
    config: TrainConfig | ProcgenConfig

    @property
    def name(self) -> str:
        """Its folder, below that of the sweep."""
        return f"{self.game}/{self.algorithm}/seed{self.seed}"


@dataclass(frozen=True)
class Plan:
    """A whole sweep; runs of the first seed come first, so that all can be compared early."""

    runs: tuple[Run, ...]
    resources: Resources
    retries: int


def load_plan(path: Path) -> Plan:
    """Read a sweep file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: naming the file, the place in it, and the value.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} must be TOML: {error}") from None
    try:
        return plan_of(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def plan_of(content: Mapping[str, Any]) -> Plan:
    """The plan that the tables of a sweep file describe.

    Raises:
        ValueError: naming the place in the file, and the value.
    """
    for key in content:
        if key not in _KEYS:
            raise ValueError(validation.unknown("key", key, _KEYS))
    tables = {key: _table(content, key) for key in ("resources", "settings", "games", "algorithms")}
    known = [f.name for f in dataclasses.fields(Resources)]
    for key in tables["resources"]:
        if key not in known:
            raise ValueError("resources: " + validation.unknown("key", key, known))
    for kind in ("games", "algorithms"):
        if not tables[kind]:
            raise ValueError(f"{kind} must hold at least one table, such as [{kind}.{_LIKE[kind]}]")
    per_run = _whole(content, "seeds_per_run", 1, least=1)
    seeds = _whole(content, "seeds", 1, least=1, most=100_000)
    first = _whole(content, "first_seed", 0, least=0)
    if seeds % per_run:
        raise ValueError(f"seeds_per_run must divide seeds = {seeds}, got {per_run}")
    runs = [
        Run(game, algorithm, seed, _config(settings, game, algorithm, seed, per_run))
        for seed in range(first, first + seeds, per_run)
        for game, algorithm, settings in _cells(tables)
    ]
    try:
        resources = Resources(**tables["resources"])
    except ValueError as error:
        raise ValueError(f"resources: {error}") from None
    return Plan(tuple(runs), resources, _whole(content, "retries", 3, least=0, most=1000))


_LIKE = {"games": "coinrun", "algorithms": "mdpo"}


def _cells(tables: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each game and algorithm with the settings of both."""
    for game in tables["games"]:
        for algorithm in tables["algorithms"]:
            parts = [tables["settings"], _table(tables["games"], game, "games.")]
            parts.append(_table(tables["algorithms"], algorithm, "algorithms."))
            for kind, name in (("games", game), ("algorithms", algorithm)):
                if not _NAME.fullmatch(name):
                    raise ValueError(
                        f"{kind}: a name becomes a folder, so it must begin with one of a-z, A-Z,"
                        f" 0-9 and go on with these or . _ + -, up to 100 in all, got {name!r}"
                    )
            settings: dict[str, Any] = {}
            for part in parts:
                settings = _merged(settings, part)
            yield game, algorithm, settings


def _config(
    settings: dict[str, Any], game: str, algorithm: str, seed: int, per_run: int
) -> TrainConfig | ProcgenConfig:
    try:
        env = settings.get("env")
        if env is None:
            raise ValueError('env must be given, such as "pixelgrid" or "procgen:coinrun"')
        for name in ("seed", "seeds", "first_seed"):
            if name in settings:
                raise ValueError(f"{name} is no setting here: it stands at the top of the file")
        if str(env).startswith(PREFIX):
            return _procgen_config(settings, seed, per_run)
        for name in _OF_PROCGEN:
            if name in settings:
                raise ValueError(f"{name} is a setting on Procgen only, got {settings[name]!r}")
        if env != TrainConfig.ENVIRONMENT:
            known = (TrainConfig.ENVIRONMENT, *(PREFIX + game for game in GAMES))
            raise ValueError(validation.unknown("env", env, known))
        return TrainConfig.from_json(
            json.dumps({**settings, "first_seed": seed, "seeds": per_run}, default=str)
        )
    except ValueError as error:
        raise ValueError(f"game {game}, algorithm {algorithm}: {error}") from None


def _procgen_config(settings: dict[str, Any], seed: int, per_run: int) -> ProcgenConfig:
    rest = dict(settings)
    chosen = {name: str(rest.pop(name)) for name in _OF_PROCGEN if name in rest}
    base = configure(str(rest.pop("env")), **chosen)
    if per_run > 1:
        raise ValueError(f"seeds_per_run must be 1 on Procgen, got {per_run}")
    content = {**dataclasses.asdict(base), "seed": seed}
    return ProcgenConfig.from_json(json.dumps({**content, **rest}, default=str))


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables, inner ones too; what is above wins."""
    both = dict(below)
    for key, value in above.items():
        inner = both.get(key)
        nested = isinstance(value, Mapping) and isinstance(inner, Mapping)
        both[key] = _merged(inner, value) if nested else value  # type: ignore[arg-type]
    return both


def _table(content: Mapping[str, Any], key: str, where: str = "") -> dict[str, Any]:
    table = content.get(key, {})
    if not isinstance(table, dict):
        raise ValueError(f"{where}{key} must be a table, got {table!r}")
    return table


def _whole(
    content: Mapping[str, Any], key: str, default: int, *, least: int, most: int = 2**31
) -> int:
    value = content.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{key} must be a whole number from {least} to {most}, got {value!r}")
    return value


def require_same(config: PPOConfig, saved: str, run: str) -> None:
    """Raise unless a run's config.json says the same as a configuration.

    Raises:
        FileExistsError: it says something else, naming a setting and both values.
        ValueError: it is damaged.
    """
    try:
        found = type(config).from_json(saved)
    except ValueError as error:
        raise ValueError(
            f"{run}/{CONFIG_FILE}: {error}: choose another --output, or remove the run"
        ) from None
    if found != config:
        raise FileExistsError(other_settings(run, found, config))
