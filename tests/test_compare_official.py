"""The comparison with the official code, without that code: a stand-in has its interface."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from experiments.envs.procgen import N_ACTIONS, ProcgenVectorEnv  # noqa: E402
from experiments.envs.procgen.libenv import is_installed  # noqa: E402
from experiments.procgen.rollout import RewardNormalizer  # noqa: E402


def load() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "compare_official.py"
    spec = importlib.util.spec_from_file_location("compare_official", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["compare_official"] = module
    sys.path.insert(0, str(path.parent))  # as for a script
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


compare: Any = load()
official_side: Any = sys.modules["official"]
needs_games = pytest.mark.skipif(not is_installed(), reason="Procgen's wheel is not installed")

STAND_IN = {
    "model": "",
    "buffer": """
import torch


class Buffer:
    def __init__(self, args):
        self.args, self.steps = args, []

    def push(self, *step):
        self.steps = [*self.steps, step][-self.args.num_steps :]

    def column(self, i):
        return torch.stack([step[i] for step in self.steps]).flatten(0, 1)

    @property
    def values(self):
        return torch.stack([step[3] for step in self.steps])
""",
    "agent": """
import torch
from buffer import Buffer
from experiments.procgen.networks import ImpalaActorCritic
from experiments.procgen.rollout import choose


class Agent(torch.nn.Module):
    def __init__(self, args, envs, writer, device):
        super().__init__()
        self.args, self.envs, self.writer = args, envs, writer
        self.network = ImpalaActorCritic(seed=9)
        self.buffer = Buffer(args)
        self.seen = torch.Tensor(envs.reset())
        assert envs.single_observation_space.shape == (64, 64, 3)
        assert envs.single_action_space.n == self.network.policy.out_features

    @torch.no_grad()
    def act(self, seen):
        logits, value = self.network(seen)
        return *choose(logits, torch.rand(len(seen))), value

    def interaction(self, iteration):
        for _ in range(self.args.num_steps):
            action, log_prob, value = self.act(self.seen)
            seen, reward, done, infos = self.envs.step(action.numpy())
            assert len(infos) == len(done) == self.args.num_envs
            reward = torch.tensor(reward).float()
            self.buffer.push(self.seen, action, log_prob, value, reward, torch.Tensor(done))
            self.seen = torch.Tensor(seen)
        self.advantages = self.returns = self.buffer.column(4)

    def evaluation(self, envs, iteration):
        assert envs.reset().shape[0] == 4
        self.writer.add_scalar("evaluated", iteration, iteration)
""",
    "trainer": """
import torch
from experiments import losses


class Trainer:
    def __init__(self, args, optimizer, agent_1, agent_2):
        self.args, self.optimizer, self.agents = args, optimizer, (agent_1, agent_2)

    def train(self):
        args = self.args
        for _ in range(args.update_epochs):
            for index in torch.randperm(args.batch_size).split(args.minibatch_size):
                self.step(index)

    def step(self, index):
        args, total = self.args, 0.0
        for me, other in (self.agents, self.agents[::-1]):
            seen, action, old, old_value = (me.buffer.column(i)[index] for i in range(4))
            logits, value = me.network(seen)
            advantage = me.advantages[index]
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            log_prob = losses.log_prob(logits, action)
            parts = {
                "policy_loss": losses.clipped_policy_loss(log_prob, old, advantage, args.epsilon),
                "value_loss": losses.clipped_value_loss(
                    value, old_value, me.returns[index], args.epsilon
                ),
                "entropy": losses.entropy(logits),
                "kl_divergence": losses.kl(other.network(seen)[0], logits),
            }
            p, v, h, kl = (part.mean() for part in parts.values())
            total = total + (p + args.c_1 * v - args.c_2 * h + args.alpha * kl) / 2
            for name, part in parts.items():
                me.writer.add_scalar("losses/" + name, part.mean().item(), 0)
        self.optimizer.zero_grad()
        total.backward()
        for agent in self.agents:
            torch.nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
        self.optimizer.step()
""",
}
"""Modules of other code with the official code's interface, which do the same on our networks."""

TINY = ("--envs", "2", "--minibatch", "8", "--scale", "64", "--repeats", "2", "--warm-ups", "0")


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """PyTorch's switches and everybody's random numbers stay as they were."""
    cudnn, precision = torch.backends.cudnn, torch.get_float32_matmul_precision()
    before = cudnn.deterministic, cudnn.allow_tf32
    numbers = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        yield
    np.random.set_state(numbers)  # noqa: NPY002
    cudnn.deterministic, cudnn.allow_tf32 = before
    torch.set_float32_matmul_precision(precision)


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    folder = tmp_path / "stand-in"
    folder.mkdir()
    for name, text in STAND_IN.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def play(env: Any, steps: int, n_envs: int) -> Iterator[Any]:
    """Steps of random actions, a tenth of which end the episode."""
    rng = np.random.default_rng(3)
    for _ in range(steps):
        actions = rng.integers(N_ACTIONS, size=n_envs)
        actions[rng.random(n_envs) < 0.1] = -1
        yield env.step(actions)


# ---- the games as the official code sees them


@needs_games
def test_adapter_shows_the_games_with_normalized_rewards_and_the_ends_of_episodes():
    n, discount = 4, 0.99
    games = [ProcgenVectorEnv("bigfish", n, seed=5, num_threads=0) for _ in range(2)]
    adapter = official_side.GymStyleEnv(games[0], RewardNormalizer(n, discount, 0.5))
    normalize = RewardNormalizer(n, discount, 0.5)
    np.testing.assert_array_equal(adapter.reset(), games[1].reset()[0])
    returns, lengths, episodes, rewards = np.zeros(n), np.zeros(n, dtype=int), 0, 0.0
    pairs = zip(play(adapter, 200, n), play(games[1], 200, n), strict=True)
    for (seen, reward, done, infos), (bare, raw, terminated, truncated, _) in pairs:
        np.testing.assert_array_equal(seen, bare)
        np.testing.assert_array_equal(done, terminated | truncated)
        np.testing.assert_array_equal(reward, normalize(raw, done))
        returns, lengths = returns + raw, lengths + 1
        for i in range(n):
            ended = {"episode": {"r": returns[i], "l": lengths[i]}} if done[i] else {}
            assert infos[i] == ended
        returns[done], lengths[done] = 0, 0
        episodes, rewards = episodes + int(done.sum()), rewards + float(raw.sum())
    assert episodes > 20
    assert rewards > 0
    adapter.close()
    games[1].close()


def test_blank_environments_have_the_games_shapes():
    env = official_side.BlankEnv(3)
    assert env.reset().shape == (3, *env.single_observation_space.shape)
    assert env.single_action_space.n == N_ACTIONS


def test_official_settings_are_the_papers():
    args = official_side.official_args(compare.Options(official=Path()).rollout_config)
    assert vars(args) == {
        "num_envs": 64,
        "num_steps": 256,
        "batch_size": 16384,
        "minibatch_size": 2048,
        "update_epochs": 3,
        "gamma": 0.999,
        "gae_lambda": 0.95,
        "norm_adv": True,
        "clip_value_loss": True,
        "c_1": 0.5,
        "c_2": 0.01,
        "alpha": 1.0,
        "max_grad_norm": 0.5,
        "epsilon": 0.2,
    }


def test_our_side_evaluates_after_every_iteration_by_the_official_protocol_alone():
    config = compare.Options(official=Path()).scaled_config
    assert compare.TrainingEvaluations(config).due(1) == (False, True)


# ---- sizes


@pytest.mark.parametrize(
    ("scale", "steps", "minibatches", "size"),
    [(1, 256, 8, 2048), (8, 32, 1, 2048), (16, 16, 1, 1024), (256, 1, 1, 64)],
)
def test_shorter_rollouts_keep_the_minibatch_as_long_as_they_fill_it(
    scale: int, steps: int, minibatches: int, size: int
):
    options = compare.Options(official=Path(), scale=scale)
    options.check()
    config = options.scaled_config
    assert (config.rollout_steps, config.minibatches) == (steps, minibatches)
    assert compare.minibatch_size(config) == size
    assert options.rollout_config.rollout_steps == 256
    assert bool(options.departures) == (scale > 1)
    assert options.step_config.samples == 2048


# ---- timing and table


def test_sides_take_turns_and_warm_ups_do_not_count():
    calls: list[str] = []
    options = compare.Options(official=Path(), repeats=3, warm_ups=2)
    works = {side: lambda side=side: calls.append(side) for side in ("official", "ours")}
    seconds = compare.in_turn(works, options, torch.device("cpu"), "nothing")
    assert calls == ["official", "ours"] * 5
    assert {side: len(values) for side, values in seconds.items()} == {"official": 3, "ours": 3}


@pytest.mark.parametrize(
    ("unit", "official", "ours", "ratio"),
    [("s", [9.0, 8.0, 1.0], [2.0], 4), ("GiB", [3.0], [1.5], 2), ("steps/s", [50.0], [250.0], 5)],
)
def test_ratio_is_how_many_times_better_ours_is(
    unit: str, official: list[float], ours: list[float], ratio: float
):
    row = compare.Row(work="w", unit=unit, official=official, ours=ours)
    assert row.ratio == ratio
    assert row.to_json()["ratio"] == ratio


def test_table_shows_medians_spread_and_circumstances():
    options = compare.Options(official=Path("there"), scale=8)
    about = {**compare.circumstances(options, ["--official", "there"]), "load_average_after": 1.5}
    rows = [
        compare.Row(work="update", unit="s", official=[17.0, 16.0, 20.0], ours=[4.0, 4.25, 4.5]),
        compare.Row(work="memory", unit="GiB", official=[6.0], ours=[1.5]),
        compare.Row(work="iteration", unit="steps/s", official=[50.0], ours=[12345.0]),
    ]
    lines = compare.as_text(about, compare.Agreement(1e-7, 2e-7, 3e-7, 4e-7), rows).splitlines()
    assert lines[0] == "python benchmarks/compare_official.py --official there"
    assert f"torch {torch.__version__}" in lines[1]
    assert f"{torch.get_num_threads()} threads" in lines[1]
    assert lines[2].endswith("1.50 after")
    assert "32 of 256 steps in 1 minibatches of 2048" in lines[3]
    assert "1.0e-07 in losses, 2.0e-07 in gradient norms, 3.0e-07 in weights, 4.0e-07" in lines[4]
    assert [line.split("  ")[0] for line in lines[5:9]] == ["work", "update", "memory", "iteration"]
    assert "17 s (16 to 20)" in lines[6]
    assert "4.25 s (4 to 4.5)" in lines[6]
    assert lines[6].endswith("4.00")
    assert lines[7].split() == ["memory", "6", "GiB", "1.5", "GiB", "4.00"]
    assert "12,345 steps/s" in lines[8]


# ---- the whole, with the stand-in


def test_one_step_of_other_code_with_the_same_losses_agrees(stand_in, tmp_path, capsys):
    output = tmp_path / "numbers.json"
    flags = ["--official", str(stand_in), "--what", "update", *TINY, "--output", str(output)]
    assert compare.main(flags) == 0
    text = capsys.readouterr().out
    content = json.loads(output.read_text())
    assert max(content["agreement"].values()) < 1e-4
    (row,) = content["rows"]
    assert len(row["official"]) == len(row["ours"]) == 2
    assert row["work"] == "update: one gradient step, 2 agents x 8 samples"
    assert row["work"] in text
    assert content["command"] in text
    assert "minibatches of 8 of 2048 samples" in text


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("args.alpha", "2 * args.alpha"), ("args.epsilon", "0.1"), ("/ 2\n", "\n")],
)
def test_code_that_computes_something_else_is_not_compared(stand_in, capsys, right, wrong):
    path = stand_in / "trainer.py"
    path.write_text(path.read_text().replace(right, wrong))
    assert compare.main(["--official", str(stand_in), "--what", "update", *TINY]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "one gradient step of both sides must agree to 0.001, got" in err


@pytest.mark.parametrize("field", range(4))
@pytest.mark.parametrize("value", [2e-3, float("nan")])
def test_every_difference_counts_and_nan_is_one(field: int, value: float):
    differences = [0.0, 1e-9, 1e-4, 1e-3]
    compare.Agreement(*differences).require()
    differences[field] = value
    with pytest.raises(ArithmeticError, match=r"must agree to 0\.001, got"):
        compare.Agreement(*differences).require()


def test_code_with_another_network_is_not_compared(stand_in, capsys):
    path = stand_in / "agent.py"
    path.write_text(path.read_text().replace("seed=9", "width=2"))
    assert compare.main(["--official", str(stand_in), "--what", "update", *TINY]) == 1
    assert "the official network has other layers than ours" in capsys.readouterr().err


@needs_games
@pytest.mark.parametrize("evaluation", [False, True])
def test_whole_iterations_count_the_steps_of_both_agents(stand_in, monkeypatch, capsys, evaluation):
    evaluated: list[int] = []
    monkeypatch.setattr(
        compare.TrainingEvaluations, "line", lambda _, networks, update: evaluated.append(update)
    )
    logs: list[Any] = []
    add = official_side.Log.add_scalar
    monkeypatch.setattr(
        official_side.Log, "add_scalar", lambda log, *what: (logs.append(what), add(log, *what))
    )
    flags = ["--official", str(stand_in), "--what", "end-to-end", *TINY]
    assert compare.main([*flags, *(["--with-evaluation"] if evaluation else [])]) == 0
    text = capsys.readouterr().out
    assert "end-to-end: coinrun, 16 environment steps, 3 gradient steps" in text
    assert "steps/s" in text
    assert ("and official evaluation" in text) == evaluation
    assert evaluated == ([1, 2] if evaluation else [])
    official = [(name, value) for name, value, _ in logs if name == "evaluated"]
    assert official == ([("evaluated", i) for i in (1, 1, 2, 2)] if evaluation else [])
    assert sum(name == "losses/entropy" for name, *_ in logs) == 2 * 2 * 3


@pytest.mark.slow
def test_memory_is_that_of_two_other_processes(stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(stand_in)
    ballast = np.ones(2**27)  # a gibibyte, which is not theirs
    output = tmp_path / "numbers.json"
    flags = ["--official", ".", "--what", "memory", *TINY, "--output", str(output)]
    assert compare.main(flags) == 0
    row, time = json.loads(output.read_text())["rows"]
    assert (row["unit"], time["unit"]) == ("GiB", "s")
    assert 0 < time["ours_median"] < 1000
    assert 0 < row["official_median"] < ballast.nbytes / 2**30
    assert 0 < row["ours_median"] < ballast.nbytes / 2**30


@pytest.mark.parametrize(
    ("stderr", "words"), [("Traceback\nMemoryError: no room\n", "no room"), ("", "no message")]
)
def test_failure_of_a_memory_process_is_told(stand_in, monkeypatch, capsys, stderr, words):
    failed = SimpleNamespace(returncode=-9, stdout="", stderr=stderr)
    monkeypatch.setattr(compare.subprocess, "run", lambda *_, **__: failed)
    assert compare.main(["--official", str(stand_in), "--what", "memory", *TINY]) == 1
    error = capsys.readouterr().err
    assert "the process for the memory of official ended with -9: " in error
    assert error.endswith(f"{words}\n")


# ---- errors


def test_wrong_path_is_one_line_that_says_what_would_be_right(tmp_path, capsys):
    assert compare.main(["--official", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "compare_official.py: error: --official must be a checkout of"
        " https://github.com/MyRepositories-hub/Mutual-Distillation-Policy-Optimization:"
        f" {tmp_path} has no model.py, buffer.py, agent.py, trainer.py\n"
    )


@pytest.mark.parametrize(
    ("module", "text", "words"),
    [
        ("agent", "import not_there", "does not import: No module named 'not_there'"),
        ("trainer", "", "does not import: module 'trainer' has no attribute 'Trainer'"),
    ],
)
def test_code_that_does_not_import_is_one_line(stand_in, capsys, module, text, words):
    (stand_in / f"{module}.py").write_text(text)
    assert compare.main(["--official", str(stand_in)]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_modules_of_the_same_names_are_not_disturbed(stand_in, monkeypatch):
    mine = ModuleType("agent")
    monkeypatch.setitem(sys.modules, "agent", mine)
    path = list(sys.path)
    assert compare.load_official(stand_in).agent.__module__ == "agent"
    assert sys.modules["agent"] is mine
    assert "trainer" not in sys.modules
    assert sys.path == path


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--repeats", "0"], "repeats must be from 1 to 1000000, got 0"),
        (["--warm-ups", "-1"], "warm_ups must be from 0 to 1000000, got -1"),
        (["--threads", "0"], "threads must be from 1 to 1024, got 0"),
        (["--scale", "3"], "scale must divide 256 steps, got 3"),
        (["--minibatch", "100"], "minibatch must be a multiple of envs = 64, got 100"),
        (
            ["--minibatch", "192"],
            "minibatch must divide 64 environments * 256 steps = 16384, got 192",
        ),
        (["--env", "procgen:chess"], "unknown env 'procgen:chess'"),
    ],
)
def test_impossible_sizes_are_named(stand_in, capsys, flags, words):
    assert compare.main(["--official", str(stand_in), *flags]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_named(stand_in, capsys):
    assert compare.main(["--official", str(stand_in), "--device", "cuda"]) == 2
    assert "PyTorch sees no GPU" in capsys.readouterr().err


def test_unknown_flag_ends_with_status_two(capsys):
    with pytest.raises(SystemExit) as stop:
        compare.main(["--official", ".", "--repeat", "3"])
    assert stop.value.code == 2
    assert "--repeats" in capsys.readouterr().err


def test_numbers_are_not_overwritten(stand_in, tmp_path, capsys):
    output = tmp_path / "numbers.json"
    output.write_text("mine")
    assert compare.main(["--official", str(stand_in), "--output", str(output)]) == 2
    assert f"{output} exists already" in capsys.readouterr().err
    assert output.read_text() == "mine"
    nowhere = tmp_path / "no" / "numbers.json"
    assert compare.main(["--official", str(stand_in), "--output", str(nowhere)]) == 2
    assert f"output must be in a folder that exists, got {nowhere}" in capsys.readouterr().err
