"""Training on the real Procgen: every game, resuming after kills, refusing what is not whole."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from experiments import tensor_file
from experiments.envs.procgen import GAMES
from experiments.procgen import checkpoint
from experiments.procgen import train as training
from experiments.procgen.config import ALGORITHMS, ProcgenConfig
from experiments.procgen.learner import LOSS_METRICS, Learner, machine_name
from experiments.procgen.rollout import Collector, RandomNumbers, Rollout
from experiments.procgen.train import train
from mdtheory import files
from tests.procgen_killed import KILLED, TINY, FakeEvaluations, train_until_killed

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _short_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations have tests of their own; here only that their lines are written counts."""
    monkeypatch.setattr(training, "TrainingEvaluations", FakeEvaluations)


def written(run: Path) -> dict[str, bytes]:
    """What a run promises to write the same again."""
    names = (checkpoint.CHECKPOINT, checkpoint.LOG, checkpoint.EVALUATIONS)
    return {name: (run / name).read_bytes() for name in names}


def lines(run: Path) -> list[dict[str, object]]:
    return checkpoint.read_lines(run / checkpoint.LOG)


@pytest.mark.parametrize("game", GAMES)
def test_every_game_trains(game: str, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, env=f"procgen:{game}", total_steps=8 * 2)
    assert train(config, tmp_path / "run") == 2
    log = lines(tmp_path / "run")
    assert [line["steps"] for line in log] == [8, 16]
    start = Learner(config, CPU).networks.state_dict()
    _, update, networks = checkpoint.load_networks(tmp_path / "run")
    assert update == 2
    for name, weight in networks.state_dict().items():
        assert torch.isfinite(weight).all()
        assert (weight != start[name]).any(), f"{name} did not move"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_trains_and_resumes_to_the_same_files(
    algorithm: str, tmp_path: Path
) -> None:
    changes = {**ALGORITHMS[algorithm], "total_steps": 8 * 4}
    config = dataclasses.replace(TINY, **changes)  # type: ignore[arg-type]
    train(config, tmp_path / "whole")
    for _ in range(4):
        train(config, tmp_path / "stopped", stop_after=1)
    assert written(tmp_path / "whole") == written(tmp_path / "stopped")
    assert len(lines(tmp_path / "whole")[0]["agents"]) == config.agents  # type: ignore[arg-type]


def test_same_seed_same_result_other_seed_other_result(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(dataclasses.replace(TINY, seed=seed), tmp_path / name)
    assert written(tmp_path / "a") == written(tmp_path / "b")
    assert written(tmp_path / "a")[checkpoint.LOG] != written(tmp_path / "c")[checkpoint.LOG]


def test_threads_of_the_environments_do_not_change_the_result(tmp_path: Path) -> None:
    train(TINY, tmp_path / "one")
    train(dataclasses.replace(TINY, env_threads=3), tmp_path / "three")
    assert written(tmp_path / "one") == written(tmp_path / "three")


def test_independent_agents_do_not_influence_each_other(tmp_path: Path) -> None:
    """Agent 0 of an ensemble is the one agent of PPO: the same code with one field changed."""
    unclipped = {"max_grad_norm": 1e6, "adam_eps": 1e-12}  # the pair's loss is averaged over it
    pair = dataclasses.replace(TINY, distill_coef=0.0, **unclipped)  # type: ignore[arg-type]
    train(pair, tmp_path / "pair")
    train(dataclasses.replace(pair, agents=1), tmp_path / "single")
    both, alone = (checkpoint.load_networks(tmp_path / n)[2][0] for n in ("pair", "single"))
    for mine, theirs in zip(both.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=2e-4)  # a step moves by 5e-4


def test_a_run_continues_its_episodes(tmp_path: Path) -> None:
    """Running returns and lengths are part of a checkpoint, and so are the environments."""
    config = dataclasses.replace(TINY, env="procgen:starpilot")
    first, second = Collector(config, CPU), Collector(config, CPU)
    learner = Learner(config, CPU)
    uniforms = torch.rand(4, 2, 2, generator=torch.Generator().manual_seed(0))
    first.collect(learner.act, uniforms)
    assert (first.lengths == 4).all()
    second.restore(first.tensors())
    assert (second.lengths == 4).all()
    mine, theirs = (c.collect(learner.act, uniforms)[0].observation for c in (first, second))
    assert torch.equal(mine, theirs)
    first.close()
    second.close()


@pytest.mark.slow
def test_a_run_killed_ten_times_ends_as_one_never_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # for what is preloaded
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.procgen_killed"])
    rng = random.Random(0)
    run, updates_at_kill = tmp_path / "killed", []
    for _ in range(10):
        process = context.Process(target=train_until_killed, args=(str(run),))
        process.start()
        target = len(checkpoint.read_lines(run / checkpoint.LOG)) + rng.randint(1, 4)
        while process.is_alive() and len(_whole_lines(run)) < target:
            time.sleep(0.005)
        process.join(timeout=rng.uniform(0, 0.08))
        assert process.is_alive(), "the run must be killed before it is done"
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        updates_at_kill.append(len(_whole_lines(run)))
    assert 10 <= updates_at_kill[-1] < 60
    train(KILLED, run)
    train(KILLED, tmp_path / "whole")
    assert len(lines(run)) == 60
    assert written(run) == written(tmp_path / "whole")


def _whole_lines(run: Path) -> list[dict[str, object]]:
    """Lines of the log now; none while it is being replaced."""
    try:
        return list(checkpoint.read_lines(run / checkpoint.LOG))
    except FileNotFoundError:
        return []


def test_a_half_written_checkpoint_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(TINY, tmp_path / "whole")
    train(TINY, tmp_path / "run", stop_after=1)
    before = (tmp_path / "run" / checkpoint.CHECKPOINT).read_bytes()
    real = os.fsync

    def full(descriptor: int) -> None:
        written = Path(f"/proc/self/fd/{descriptor}").readlink().name
        if written == f"{checkpoint.CHECKPOINT}.partial":
            raise OSError(28, "No space left on device", checkpoint.CHECKPOINT)
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        train(TINY, tmp_path / "run")
    assert (tmp_path / "run" / checkpoint.CHECKPOINT).read_bytes() == before
    monkeypatch.setattr(files.os, "fsync", real)
    train(TINY, tmp_path / "run")
    assert written(tmp_path / "run") == written(tmp_path / "whole")


def test_a_log_line_cut_off_by_a_kill_is_dropped(tmp_path: Path) -> None:
    train(TINY, tmp_path / "whole")
    train(TINY, tmp_path / "run", stop_after=1)
    with (tmp_path / "run" / checkpoint.LOG).open("a") as log:
        log.write('{"update": 2, "steps": 16, "agents": []}\n{"update": 3, "st')
    train(TINY, tmp_path / "run")
    assert written(tmp_path / "run") == written(tmp_path / "whole")


def test_ctrl_c_finishes_the_update_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(TINY, checkpoint_every=100)
    real = training.train_once

    def pressing(*arguments: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "train_once", pressing)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run")
    assert checkpoint.load_networks(tmp_path / "run")[1] == 1
    monkeypatch.setattr(training, "train_once", real)
    train(config, tmp_path / "run")
    train(config, tmp_path / "whole")
    assert written(tmp_path / "run") == written(tmp_path / "whole")


def test_a_loss_that_is_not_finite_stops_with_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Learner.update

    def diverging(self: Learner, rollout: Rollout, numbers: RandomNumbers, update: int) -> Tensor:
        metrics = real(self, rollout, numbers, update)
        return metrics * (float("nan") if update == 1 else 1.0)

    monkeypatch.setattr(Learner, "update", diverging)
    with pytest.raises(
        ArithmeticError, match="diverged at update 2: policy_loss of agent 0 is nan"
    ):
        train(TINY, tmp_path / "run")
    assert checkpoint.load_networks(tmp_path / "run")[1] == 1
    monkeypatch.setattr(Learner, "update", real)
    train(TINY, tmp_path / "run")
    train(TINY, tmp_path / "whole")
    assert written(tmp_path / "run") == written(tmp_path / "whole")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    train(TINY, tmp_path / "run", stop_after=1)
    return tmp_path / "run"


def test_a_damaged_checkpoint_is_refused(run: Path) -> None:
    path = run / checkpoint.CHECKPOINT
    content = bytearray(path.read_bytes())
    for position in (10, len(content) // 2, len(content) - 1):
        changed = content.copy()
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"is damaged|was not written by mdpo"):
            train(TINY, run)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="is damaged"):
        train(TINY, run)
    path.write_bytes(b"cos\nsystem\n(S'touch unpickled'\ntR.")  # a pickle is not even looked at
    with pytest.raises(ValueError, match="is damaged"):
        train(TINY, run)
    assert not Path("unpickled").exists()


def test_a_tampered_number_of_updates_is_refused(run: Path) -> None:
    path = run / checkpoint.CHECKPOINT
    content = path.read_bytes()
    assert content.count(b'\\"update\\": \\"1\\"') == 1
    path.write_bytes(content.replace(b'\\"update\\": \\"1\\"', b'\\"update\\": \\"2\\"'))
    with pytest.raises(ValueError, match="is damaged or was changed"):
        train(TINY, run)


def test_another_runs_checkpoint_is_refused(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    train(dataclasses.replace(TINY, seed=2), other, stop_after=1)
    (run / checkpoint.CHECKPOINT).write_bytes((other / checkpoint.CHECKPOINT).read_bytes())
    with pytest.raises(ValueError, match="belongs to another configuration than the run's"):
        train(TINY, run)


def test_a_checkpoint_with_a_state_of_another_game_is_refused(run: Path, tmp_path: Path) -> None:
    """Sealed anew by somebody who knows how: the game would abort the process."""
    path = run / checkpoint.CHECKPOINT
    tensors, metadata = tensor_file.read(path)
    other = Collector(dataclasses.replace(TINY, env="procgen:maze"), CPU)
    tensors["envs.state.0.0"] = other.tensors()["state.0.0"]
    other.close()
    tensor_file.write(path, tensors, metadata)
    with pytest.raises(ValueError, match=r"states\[env=0\]"):
        train(TINY, run)


@pytest.mark.parametrize("missing", ["network.0.value.bias", "envs.returns", "optimizer.0.step"])
def test_a_checkpoint_that_lacks_something_is_refused(run: Path, missing: str) -> None:
    path = run / checkpoint.CHECKPOINT
    tensors, metadata = tensor_file.read(path)
    del tensors[missing]
    tensor_file.write(path, tensors, metadata)
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors does not fit"):
        train(TINY, run)


def test_two_processes_do_not_train_one_run(run: Path) -> None:
    before = written(run)
    with files.only_one(run), pytest.raises(BlockingIOError, match=f"is at work in {run}"):
        train(TINY, run)
    assert written(run) == before
    train(TINY, run)


def test_a_log_that_lacks_a_line_is_refused(run: Path) -> None:
    (run / checkpoint.LOG).write_text("")
    with pytest.raises(ValueError, match=r"log\.jsonl must hold a line for each of the updates 1"):
        train(TINY, run)


def test_an_evaluation_that_a_stop_prevented_is_made_when_the_run_goes_on(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, evaluate_every=1)
    train(config, tmp_path / "whole")
    train(config, tmp_path / "run", stop_after=2)
    evaluations = tmp_path / "run" / checkpoint.EVALUATIONS
    first, _ = evaluations.read_text().splitlines(keepends=True)
    evaluations.write_text(first)
    train(config, tmp_path / "run")
    assert written(tmp_path / "run") == written(tmp_path / "whole")


def test_tensorboard_keeps_what_the_checkpoint_held(tmp_path: Path) -> None:
    for _ in range(3):
        train(TINY, tmp_path / "run", stop_after=1)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("agent0/entropy")] == [8, 16, 24]


def test_a_log_that_somebody_changed_is_named(run: Path) -> None:
    (run / checkpoint.LOG).write_text("[]\n")
    with pytest.raises(ValueError, match=r"log\.jsonl, line 1, must be a JSON object"):
        train(TINY, run)


def test_the_log_says_what_happened(tmp_path: Path) -> None:
    train(TINY, tmp_path / "run")
    for number, line in enumerate(lines(tmp_path / "run"), start=1):
        assert (line["update"], line["steps"]) == (number, 8 * number)
        for agent in line["agents"]:  # type: ignore[attr-defined]
            expected = {"episodes", "return", "length", "explained_variance", *LOSS_METRICS}
            assert set(agent) == expected
            assert (agent["return"] is None) == (agent["episodes"] == 0)
    timing = checkpoint.read_lines(tmp_path / "run" / checkpoint.TIMING)
    assert [sorted(line) for line in timing] == [["learn_s", "machine", "rollout_s", "update"]] * 3
    assert {line["machine"] for line in timing} == {machine_name(torch.device("cpu"))}
    events = list((tmp_path / "run" / "tensorboard").glob("events*"))
    assert len(events) == 1
    assert ProcgenConfig.load(tmp_path / "run") == TINY
