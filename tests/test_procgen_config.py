"""Configurations of the trainer on Procgen: the paper's protocol, presets, algorithms, messages."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
import sys
import typing
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.config import PPOConfig
from experiments.envs.procgen import GAMES
from experiments.procgen import config as config_module
from experiments.procgen.commands import TrainProcgen
from experiments.procgen.config import ALGORITHMS, PRESETS, ProcgenConfig, configure

COINRUN = "procgen:coinrun"
FIELDS = {f.name: f for f in dataclasses.fields(ProcgenConfig)}

CHANGED = ProcgenConfig(
    agents=3,
    distill_coef=0.25,
    n_envs=6,
    rollout_steps=10,
    epochs=2,
    minibatches=5,
    learning_rate=2e-3,
    adam_eps=1e-6,
    gae_lambda=0.9,
    clip=0.1,
    value_coef=0.4,
    entropy_coef=0.02,
    max_grad_norm=0.7,
    env="procgen:maze",
    seed=7,
    total_steps=6000,
    distribution_mode="memory",
    train_levels=40,
    first_level=1000,
    shared_levels=False,
    train_renderings=("original", "hue=0.25", "random-conv=0.5,seed=3"),
    discount=0.99,
    normalize_rewards=False,
    reward_clip=5.0,
    normalize_advantages=False,
    clip_value_loss=False,
    anneal_learning_rate=True,
    distill_direction="self-other",
    distill_gradient="student",
    distill_final_factor=0.1,
    teacher="average",
    average_decay=0.9,
    minibatch_order="own",
    weight_decay=1e-3,
    dropout=0.05,
    width=3,
    evaluate_every=4,
    evaluation_levels=12,
    official_evaluation_every=3,
    checkpoint_every=2,
    snapshot_every=9,
    precision="bfloat16",
    chunk=16,
    compile=False,
    device="cpu",
    env_threads=1,
)


# Fields.


def test_changed_differs_from_the_defaults_in_every_field() -> None:
    default = ProcgenConfig()
    assert [n for n in FIELDS if getattr(CHANGED, n) == getattr(default, n)] == []


def test_every_field_survives_json(tmp_path: Path) -> None:
    assert ProcgenConfig.from_json(CHANGED.to_json()) == CHANGED
    (tmp_path / "config.json").write_text(CHANGED.to_json())
    assert ProcgenConfig.load(tmp_path) == CHANGED


def attributes_read(tree: ast.AST, of: Callable[[ast.expr], bool]) -> set[str]:
    """Names of the attributes that are read of expressions of some kind."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and of(node.value)
    }


def is_config(node: ast.expr) -> bool:
    """`config` or `anything.config`."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name == "config"


def test_every_field_is_read_by_the_trainer() -> None:
    """A flag that nothing reads promises what does not happen.

    Reading counts outside of the configuration, and in those of its properties that are read
    themselves; checking a field or putting it into a name or a command does not.
    """
    room = Path(config_module.__file__).parent
    files = [path for path in room.glob("*.py") if path.name != "config.py"]
    read = set().union(*(attributes_read(ast.parse(p.read_text()), is_config) for p in files))
    inside: dict[str, set[str]] = {}
    for path in (room / "config.py", room.parent / "config.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                mine = attributes_read(node, lambda of: getattr(of, "id", "") == "self")
                inside[node.name] = inside.get(node.name, set()) | mine
    for name in ("algorithm", "command"):
        del inside[name]
    waiting = list(read)
    while waiting:
        new = inside.get(waiting.pop(), set()) - read
        read |= new
        waiting += new
    assert [name for name in FIELDS if name not in read] == []


def test_every_field_has_help() -> None:
    """The text under a field is what `mdpo train --help` says about it."""
    texts: dict[str, str] = {}
    for kind in (PPOConfig, ProcgenConfig):
        path = Path(str(sys.modules[kind.__module__].__file__))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
                for field, text in zip(node.body, node.body[1:], strict=False):
                    if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                        assert isinstance(field.target, ast.Name)
                        texts[field.target.id] = ast.literal_eval(text.value)
    assert [name for name in FIELDS if not texts.get(name)] == []


# The paper's protocol.

WHERE_AND_HOW_FAST = {
    "env",
    "seed",
    "checkpoint_every",
    "snapshot_every",
    "precision",
    "chunk",
    "compile",
    "device",
    "env_threads",
}

PROTOCOL: dict[str, Any] = {
    "distribution_mode": "hard",
    "train_levels": 500,
    "first_level": 0,
    "total_steps": 50_000_000,
    "n_envs": 64,
    "rollout_steps": 256,
    "minibatches": 8,
    "epochs": 3,
    "discount": 0.999,
    "gae_lambda": 0.95,
    "learning_rate": 5e-4,
    "anneal_learning_rate": False,
    "adam_eps": 1e-5,
    "clip": 0.2,
    "clip_value_loss": True,
    "value_coef": 0.5,
    "entropy_coef": 0.01,
    "max_grad_norm": 0.5,
    "normalize_advantages": True,
    "normalize_rewards": True,
    "reward_clip": 10.0,
    "agents": 2,
    "distill_coef": 1.0,
    "distill_direction": "other-self",
    "distill_gradient": "both",
    "distill_final_factor": 1.0,
    "teacher": "peers",
    "average_decay": 0.999,
    "minibatch_order": "shared",
    "shared_levels": True,
    "train_renderings": ("original",),
    "weight_decay": 0.0,
    "dropout": 0.0,
    "width": 1,
    "evaluate_every": 0,
    "evaluation_levels": 100,
    "official_evaluation_every": 1,
}
"""Of arXiv 2501.02481's official code; average_decay and the evaluation levels are ours, and play
no part in it."""

EASY = {
    "distribution_mode": "easy",
    "train_levels": 200,
    "total_steps": 25_000_000,
    "evaluate_every": 76,
    "official_evaluation_every": 0,
}
SMOKE = {
    "distribution_mode": "easy",
    "train_levels": 10,
    "total_steps": 8192,
    "n_envs": 16,
    "rollout_steps": 64,
    "evaluation_levels": 4,
    "official_evaluation_every": 0,
}
SINGLE = {"agents": 1, "distill_coef": 0.0}


def content(config: ProcgenConfig) -> dict[str, Any]:
    """The settings that make a run what it is."""
    return {n: v for n, v in dataclasses.asdict(config).items() if n not in WHERE_AND_HOW_FAST}


def test_the_paper_preset_is_the_protocol_of_arxiv_2501_02481() -> None:
    assert content(configure(COINRUN)) == PROTOCOL
    assert configure(COINRUN) == configure(COINRUN, "paper", "mdpo") == ProcgenConfig()


@pytest.mark.parametrize("game", GAMES)
def test_every_game_has_every_preset(game: str) -> None:
    for preset in PRESETS:
        config = configure(f"procgen:{game}", preset)
        assert config.game == game
        assert replace(config, env=COINRUN) == configure(COINRUN, preset)


@pytest.mark.parametrize(("preset", "changes"), [("paper", {}), ("easy", EASY), ("smoke", SMOKE)])
def test_presets_change_how_much(preset: str, changes: dict[str, Any]) -> None:
    assert content(configure(COINRUN, preset)) == {**PROTOCOL, **changes}
    assert set(PRESETS) == {"paper", "easy", "smoke"}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("algorithm", "changes", "name"),
    [
        ("mdpo", {}, "mutual distillation of 2 agents, alpha = 1"),
        ("ppo", SINGLE, "PPO"),
        ("ppo-l2", {**SINGLE, "weight_decay": 1e-4}, "PPO, L2 0.0001"),
        ("ppo-dropout", {**SINGLE, "dropout": 0.1}, "PPO, dropout 0.1"),
        ("ppo-2x-steps", {**SINGLE, "total_steps": "those of two"}, "PPO"),
        ("ppo-2x-width", {**SINGLE, "width": 2}, "PPO, width x2"),
        ("ppo-ensemble", {"distill_coef": 0.0}, "PPO, 2 independent agents"),
        (
            "ppo-average",
            {"agents": 1, "teacher": "average"},
            "PPO distilled from its average, alpha = 1",
        ),
    ],
)
def test_algorithms_change_what(
    preset: str, algorithm: str, changes: dict[str, Any], name: str
) -> None:
    base, config = configure(COINRUN, preset), configure(COINRUN, preset, algorithm)
    if "total_steps" in changes:
        changes = {**changes, "total_steps": config.total_steps}
    assert content(config) == {**content(base), **changes}
    assert config.algorithm == name


def test_all_algorithms_are_in_the_tables_and_are_flags() -> None:
    hints = typing.get_type_hints(TrainProcgen, include_extras=False)
    assert typing.get_args(hints["preset"]) == tuple(PRESETS)
    assert typing.get_args(hints["algorithm"]) == tuple(ALGORITHMS)
    assert len(ALGORITHMS) == 8, "test_algorithms_change_what lists them all"


@pytest.mark.parametrize("preset", PRESETS)
def test_twice_the_steps_are_as_many_environment_steps_as_those_of_two_agents(preset: str) -> None:
    """Steps that are taken: whole rollouts."""
    distilled, single = (configure(COINRUN, preset, name) for name in ("mdpo", "ppo-2x-steps"))
    taken = [c.agents * c.updates * c.samples for c in (distilled, single)]
    assert taken[0] == taken[1]
    assert single.updates == 2 * distilled.updates
    assert 2 * distilled.total_steps - single.total_steps < 2 * distilled.samples


def test_names_of_other_algorithms() -> None:
    config = replace(ProcgenConfig(), agents=3, distill_coef=0.25, weight_decay=0.01, dropout=0.5)
    expected = "mutual distillation of 3 agents, alpha = 0.25, L2 0.01, dropout 0.5"
    assert config.algorithm == expected
    averages = replace(config, teacher="average", width=4)
    expected = "PPO distilled from its average, alpha = 0.25, L2 0.01, dropout 0.5, width x4"
    assert averages.algorithm == expected


# What follows from the fields.


def test_updates_are_whole_rollouts() -> None:
    config = ProcgenConfig()
    assert config.samples == 64 * 256
    assert config.updates == 50_000_000 // 16_384 == 3051
    assert replace(config, total_steps=16_384 * 3 - 1).updates == 2


def test_levels_are_trained_on_from_the_first_and_tested_after_the_last() -> None:
    levels = replace(ProcgenConfig(), first_level=30, train_levels=20).levels
    assert (levels.train.first, levels.train.end) == (30, 50)
    assert levels.test.first == 50


def test_games_are_played_in_the_mode_asked_for() -> None:
    assert replace(ProcgenConfig(), distribution_mode="easy").options.distribution_mode == "easy"


@pytest.mark.parametrize(
    ("changes", "learning_rate", "coef"),
    [
        ({}, [0.1] * 5, [0.5] * 5),
        ({"anneal_learning_rate": True}, [0.1, 0.08, 0.06, 0.04, 0.02], [0.5] * 5),
        ({"distill_final_factor": 0.2}, [0.1] * 5, [0.5, 0.4, 0.3, 0.2, 0.1]),
        ({"distill_final_factor": 0.0}, [0.1] * 5, [0.5, 0.375, 0.25, 0.125, 0.0]),
        ({"distill_final_factor": 3.0}, [0.1] * 5, [0.5, 0.75, 1.0, 1.25, 1.5]),
    ],
)
def test_annealing_by_hand(
    changes: dict[str, Any], learning_rate: list[float], coef: list[float]
) -> None:
    """Over five updates; the learning rate would be 0 in the sixth, the factor is final in the
    fifth."""
    config = ProcgenConfig(
        total_steps=5 * 16_384 + 1, learning_rate=0.1, distill_coef=0.5, **changes
    )
    assert [config.learning_rate_at(u) for u in range(5)] == pytest.approx(learning_rate)
    assert [config.distill_coef_at(u) for u in range(5)] == pytest.approx(coef)
    assert [config.share_done(u) for u in range(5)] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_single_update_is_at_the_start() -> None:
    config = ProcgenConfig(total_steps=16_384, distill_final_factor=0.0, anneal_learning_rate=True)
    assert (config.share_done(0), config.distill_coef_at(0)) == (0.0, 1.0)
    assert config.learning_rate_at(0) == config.learning_rate


@pytest.mark.parametrize(
    ("changes", "peers", "averages"),
    [
        ({}, True, False),
        ({"distill_coef": 0.0}, False, False),
        ({"teacher": "average"}, False, True),
        ({"teacher": "average", "distill_coef": 0.0}, False, False),
    ],
)
def test_who_teaches(changes: dict[str, Any], peers: bool, averages: bool) -> None:
    config = replace(ProcgenConfig(), **changes)
    assert (config.peers, config.averages) == (peers, averages)


# Commands.


def flags_of(config: ProcgenConfig) -> list[str]:
    """What follows the parts that every command has."""
    run = Path("runs/a run")
    start = ["mdpo", "train", "--env", config.env, "--output", "runs/a run"]
    words = shlex.split(config.command(run))
    assert words[: len(start)] == start
    return words[len(start) :]


def meant_by(env: str, flags: list[str]) -> ProcgenConfig:
    """The configuration of some flags: preset and algorithm first, the others change it."""
    values: dict[str, Any] = {}
    words = deque(flags)
    while words:
        word = words.popleft()
        name = word.removeprefix("--").replace("-", "_")
        kind = FIELDS[name].type if name in FIELDS else "str"
        if kind == "bool":
            values[name] = True
        elif name not in FIELDS and name.startswith("no_"):
            values[name.removeprefix("no_")] = False
        elif kind == "tuple[str, ...]":
            values[name] = ()
            while words and not words[0].startswith("--"):
                values[name] += (words.popleft(),)
        else:
            convert = {"int": int, "float": float}.get(str(kind), str)
            values[name] = convert(words.popleft())
    chosen = {name: values.pop(name) for name in ("preset", "algorithm") if name in values}
    return replace(configure(env, **chosen), **values)


def length(config: ProcgenConfig, preset: str, algorithm: str) -> int:
    """Words of the command that changes a preset and an algorithm into a configuration."""
    start = configure(config.env, preset, algorithm)
    changed = [n for n in FIELDS if getattr(start, n) != getattr(config, n)]
    chosen = (preset != "paper") + (algorithm != "mdpo")
    values = [getattr(config, n) for n in changed]
    words = [0 if isinstance(v, bool) else len(v) if isinstance(v, tuple) else 1 for v in values]
    return 2 * chosen + len(changed) + sum(words)


SWITCHED: dict[str, Any] = {
    n: not getattr(ProcgenConfig(), n) for n, f in FIELDS.items() if f.type == "bool"
}
COMMANDS = [
    *(configure(COINRUN, preset, name) for preset in PRESETS for name in ALGORITHMS),
    *(replace(configure(COINRUN, "easy", name), seed=3, device="cpu") for name in ALGORITHMS),
    CHANGED,
    replace(ProcgenConfig(), **SWITCHED),
    replace(configure("procgen:maze"), total_steps=25_000_000, learning_rate=1e-7),
]


@pytest.mark.parametrize("config", COMMANDS, ids=range(len(COMMANDS)))
def test_commands_repeat_the_run_in_as_few_words_as_possible(config: ProcgenConfig) -> None:
    flags = flags_of(config)
    assert meant_by(config.env, flags) == config
    assert len(flags) == min(length(config, p, a) for p in PRESETS for a in ALGORITHMS)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (configure("procgen:maze"), ""),
        (configure(COINRUN, "easy", "ppo-2x-width"), "--preset easy --algorithm ppo-2x-width"),
        (configure(COINRUN, "smoke"), "--preset smoke"),
        (configure(COINRUN, "easy", "ppo-2x-steps"), "--preset easy --algorithm ppo-2x-steps"),
        (replace(configure(COINRUN, algorithm="ppo"), seed=2), "--algorithm ppo --seed 2"),
        (replace(ProcgenConfig(), anneal_learning_rate=True), "--anneal-learning-rate"),
        (replace(ProcgenConfig(), shared_levels=False), "--no-shared-levels"),
        (replace(ProcgenConfig(), learning_rate=1e-4), "--learning-rate 0.0001"),
    ],
)
def test_commands_by_hand(config: ProcgenConfig, expected: str) -> None:
    assert flags_of(config) == expected.split()


# Messages.


def changed(**changes: Any) -> Callable[[], ProcgenConfig]:
    return lambda: replace(ProcgenConfig(), **changes)


GAMES_LISTED = ", ".join(f"procgen:{game}" for game in GAMES)
ALGORITHMS_LISTED = ", ".join(ALGORITHMS)

LIMITS: dict[str, tuple[int, int]] = {
    "agents": (1, 64),
    "n_envs": (1, 10**5),
    "rollout_steps": (1, 10**5),
    "epochs": (1, 1000),
    "minibatches": (1, 10**6),
    "seed": (0, 2**31 - 1),
    "total_steps": (16_384, 10**12),
    "train_levels": (1, 2**31 - 2),
    "first_level": (0, 2**31 - 2),
    "width": (1, 64),
    "evaluate_every": (0, 10**9),
    "evaluation_levels": (1, 10**6),
    "official_evaluation_every": (0, 10**9),
    "checkpoint_every": (1, 10**9),
    "snapshot_every": (0, 10**9),
    "chunk": (0, 10**9),
    "env_threads": (0, 1024),
}

CHOICES: dict[str, tuple[str, ...]] = {
    "distribution_mode": ("easy", "hard", "extreme", "memory"),
    "distill_direction": ("other-self", "self-other"),
    "distill_gradient": ("both", "student"),
    "teacher": ("peers", "average"),
    "minibatch_order": ("shared", "own"),
    "precision": ("float32", "tf32", "bfloat16"),
    "device": ("auto", "cpu", "cuda"),
}

ERRORS: list[tuple[Callable[[], object], str]] = [  # a message that goes on ends in dots
    *(
        (changed(**{name: value}), f"{name} must be a whole number, got {value!r}")
        for name, f in FIELDS.items()
        if f.type == "int"
        for value in (1.5, 2.0, True, "3", None)
    ),
    *(
        (changed(**{name: value}), f"{name} must be true or false, got {value!r}")
        for name, f in FIELDS.items()
        if f.type == "bool"
        for value in (1, "yes", None)
    ),
    *(
        (changed(**{name: value}), f"{name} must be a finite number, got {value!r}")
        for name, f in FIELDS.items()
        if f.type == "float"
        for value in (float("nan"), float("inf"), True, "0.5", None)
    ),
    *(
        (changed(**{name: value}), f"{name} must be from {low} to {high}, got {value}")
        for name, (low, high) in LIMITS.items()
        for value in (low - 1, high + 1)
    ),
    *(
        (changed(**{name: value}), f"unknown {name} {value!r}: known are {', '.join(known)}")
        for name, known in CHOICES.items()
        for value in ("", None, 3)
    ),
    *(
        (
            changed(**{name: f"{known[0]}x"}),
            f"unknown {name} '{known[0]}x': did you mean {known[0]!r}? known are"
            f" {', '.join(known)}",
        )
        for name, known in CHOICES.items()
    ),
    *(
        (changed(**{name: -0.1}), f"{name} must be at least 0, got -0.1")
        for name in (
            "distill_coef",
            "value_coef",
            "entropy_coef",
            "weight_decay",
            "distill_final_factor",
        )
    ),
    *(
        (changed(**{name: 0.0}), f"{name} must be above 0, got 0.0")
        for name in ("learning_rate", "adam_eps", "clip", "max_grad_norm", "reward_clip")
    ),
    *(
        (changed(**{name: value}), f"{name} must lie in [0, 1), got {value}")
        for name in ("discount", "average_decay", "dropout")
        for value in (-0.1, 1.0)
    ),
    (changed(gae_lambda=1.1), "gae_lambda must lie in [0, 1], got 1.1"),
    (changed(gae_lambda=-0.1), "gae_lambda must lie in [0, 1], got -0.1"),
    (
        changed(minibatches=7),
        "minibatches must divide n_envs * rollout_steps = 16384 and leave each at least 2 samples,"
        " got 7",
    ),
    (
        changed(minibatches=16384),
        "minibatches must divide n_envs * rollout_steps = 16384 and leave each at least 2 samples,"
        " got 16384",
    ),
    (
        changed(distribution_mode="extreme"),
        "distribution_mode of coinrun must be one of easy, hard, got extreme",
    ),
    (
        changed(env="procgen:maze", distribution_mode="extreme"),
        "distribution_mode of maze must be one of easy, hard, memory, got extreme",
    ),
    (
        changed(agents=1),
        "distill_coef must be 0 for one agent, which has nobody to distil but with --teacher"
        " average, got 1.0",
    ),
    (
        changed(first_level=2**31 - 501),
        "first + n_train must be below 2147483647, got 2147483147 + 500",
    ),
    (
        changed(env="coinrun"),
        f"unknown env 'coinrun': did you mean {COINRUN!r}? known are {GAMES_LISTED}",
    ),
    (changed(env=None), f"unknown env None: known are {GAMES_LISTED}"),
    (lambda: configure("pixelgrid"), f"unknown env 'pixelgrid': known are {GAMES_LISTED}"),
    (
        lambda: configure("procgen:coinrn"),
        f"unknown env 'procgen:coinrn': did you mean {COINRUN!r}? known are {GAMES_LISTED}",
    ),
    (
        lambda: configure("procgen:coinrun2", "easy", "ppo"),
        f"unknown env 'procgen:coinrun2': did you mean {COINRUN!r}? known are {GAMES_LISTED}",
    ),
    (
        lambda: configure(COINRUN, "papr"),
        "unknown preset 'papr': did you mean 'paper'? known are paper, easy, smoke",
    ),
    (lambda: configure(COINRUN, "x"), "unknown preset 'x': known are paper, easy, smoke"),
    (
        lambda: configure(COINRUN, "easy", "ppo-2x-step"),
        "unknown algorithm 'ppo-2x-step': did you mean 'ppo-2x-steps'? known are"
        f" {ALGORITHMS_LISTED}",
    ),
    (
        lambda: configure(COINRUN, "easy", "dreamer"),
        f"unknown algorithm 'dreamer': known are {ALGORITHMS_LISTED}",
    ),
    (lambda: ProcgenConfig.from_json("{"), "must be JSON: Expecting property name..."),
    (lambda: ProcgenConfig.from_json("[]"), "must hold a JSON object, got list"),
    (
        lambda: ProcgenConfig.from_json('{"distil_coef": 1.0}'),
        "unknown key 'distil_coef': did you mean 'distill_coef'? known are agents, ...",
    ),
    (
        lambda: ProcgenConfig.from_json('{"ENVIRONMENT": "procgen:"}'),
        "unknown key 'ENVIRONMENT': known are agents, ...",
    ),
    (
        lambda: ProcgenConfig.from_json('{"env": "pixelgrid"}'),
        "this is a run on pixelgrid, which `mdpo report` and `mdpo chain` look at",
    ),
    (lambda: ProcgenConfig.from_json('{"seed": -1}'), "seed must be from 0 to 2147483647, got -1"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_messages(call: Callable[[], object], message: str) -> None:
    start = message.removesuffix("...")
    end = "" if start != message else "$"
    with pytest.raises(ValueError, match=f"^{re.escape(start)}{end}"):
        call()


def test_the_tables_of_limits_and_choices_are_complete() -> None:
    assert set(LIMITS) == {name for name, f in FIELDS.items() if f.type == "int"}
    literals = {n for n, f in FIELDS.items() if str(f.type).startswith("Literal")}
    assert set(CHOICES) == literals
    rest = {n for n, f in FIELDS.items() if f.type not in ("int", "bool", "float")} - literals
    assert rest == {"env", "train_renderings"}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_themselves_are_allowed(name: str) -> None:
    low, high = LIMITS[name]
    small = {"n_envs": 2, "rollout_steps": 2, "minibatches": 1, "total_steps": 10**12}
    small |= {"distill_coef": 0, "train_levels": 1}
    if name == "total_steps":
        assert replace(ProcgenConfig(), total_steps=low).updates == 1
        low = 4
    for value in (low, high):
        changes: dict[str, Any] = {**small, name: value}
        if name == "minibatches":
            changes["n_envs"], changes["rollout_steps"] = 1000, 2000
        if name == "first_level" and value == high:
            continue  # no level would be left to test on
        assert getattr(replace(ProcgenConfig(), **changes), name) == value


def test_a_damaged_configuration_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"clip": 0}')
    message = f"{tmp_path}/config.json: clip must be above 0, got 0"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ProcgenConfig.load(tmp_path)
    message = f"{tmp_path}/none is no run of `mdpo train`: it has no config.json"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        ProcgenConfig.load(tmp_path / "none")
