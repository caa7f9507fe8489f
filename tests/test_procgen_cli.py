"""`mdpo` on Procgen: every flag arrives, mistakes are one line, nothing is lost."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import cli
from experiments.procgen import commands, load_policies, load_policy
from experiments.procgen import train as training
from experiments.procgen.config import ALGORITHMS, PRESETS, ProcgenConfig, configure
from experiments.procgen.train import train
from tests.procgen_killed import TINY, FakeEvaluations
from tests.test_mdpo_cli import refused
from tests.test_procgen_config import CHANGED

SHORT = dataclasses.replace(TINY, env="procgen:fruitbot")


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ProcgenConfig, Path, str]]:
    """What `mdpo train` and `mdpo resume` would have trained, in place of training."""
    calls: list[tuple[ProcgenConfig, Path, str]] = []

    def note(config: ProcgenConfig, run: Path, *, wandb: str = "") -> None:
        calls.append((config, run, wandb))

    monkeypatch.setattr(commands, "train_run", note)
    return calls


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny trained run in a game of short episodes."""
    torch.set_num_threads(1)
    monkeypatch.setattr(training, "TrainingEvaluations", FakeEvaluations)
    train(SHORT, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_presets_and_algorithms_arrive(
    preset: str, algorithm: str, tmp_path: Path, arrived: list[tuple[ProcgenConfig, Path, str]]
) -> None:
    flags = ["--preset", preset, f"--algorithm={algorithm}", "--output", str(tmp_path / "run")]
    assert cli.main(["train", "--env", "procgen:maze", *flags]) == 0
    assert arrived == [(configure("procgen:maze", preset, algorithm), tmp_path / "run", "")]


def test_every_flag_arrives(tmp_path: Path, arrived: list[tuple[ProcgenConfig, Path, str]]) -> None:
    """The command that a configuration shows for itself, run, gives the same configuration."""
    arguments = CHANGED.command(tmp_path / "run").split()[1:]
    assert cli.main([*arguments, "--wandb", "here"]) == 0
    assert arrived == [(CHANGED, tmp_path / "run", "here")]


def test_a_run_without_output_is_named_after_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arrived: list[tuple[ProcgenConfig, Path, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "--env", "procgen:coinrun", "--preset", "paper", "--seed", "2"]
    assert cli.main(arguments) == 0
    (config, run, _), name = arrived[0], "runs/coinrun-paper-mdpo-seed2"
    assert run == Path(name)
    assert config == dataclasses.replace(ProcgenConfig(), seed=2)


def test_resume_reads_the_runs_own_settings(
    run: Path, arrived: list[tuple[ProcgenConfig, Path, str]]
) -> None:
    assert cli.main(["resume", str(run), "--wandb", "project"]) == 0
    assert arrived == [(SHORT, run, "project")]


def test_a_finished_run_is_never_overwritten(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    arguments = ["train", "--env", "procgen:coinrun", "--preset", "smoke", "--output", str(run)]
    assert f"{run} exists already" in refused(capsys, *arguments)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    mine = run.parent / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    message = refused(capsys, *arguments[:-1], str(mine), "--force")
    assert "holds no config.json" in message
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_evaluate_prints_and_writes_every_episode(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "evaluation.json"
    arguments = ["evaluate", str(run), "--levels", "2", "--output", str(output), "--seed", "3"]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    for word in ("agent 0", "agent 1", "mixture", "sampled", "greedy", "train", "test"):
        assert word in printed
    content = json.loads(output.read_text())
    assert (content["seed"], len(content["levels"]["test"])) == (3, 2)
    assert f"{output} exists already" in refused(capsys, *arguments)
    assert "n_levels must be" in refused(capsys, "evaluate", str(run), "--levels", "0")


@pytest.mark.slow
def test_evaluate_shows_what_the_official_protocol_says(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--levels", "2", "--official", "--repetitions", "2"]
    assert cli.main(["evaluate", str(run), *flags]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("every episode to its end") == 2
    assert "The official protocol takes the first 10" in printed


def test_watch_films_and_keeps_the_film(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["watch", str(run), "--max-steps", "3", "--level", "7"]
    assert cli.main(arguments) == 0
    assert "training level 7: return 0 in 3 steps, cut" in capsys.readouterr().out
    assert (run / "watch.mp4").stat().st_size > 1000
    assert "watch.mp4 exists already" in refused(capsys, *arguments)
    assert cli.main([*arguments, "--force"]) == 0


def test_compare_prints_tables_and_draws_once(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "curves.svg"
    arguments = ["compare", str(run), "--until", "2", "--picture", str(picture)]
    assert cli.main(arguments) == 0
    assert "2 of 3 updates" in " ".join(capsys.readouterr().out.split())
    before = picture.read_bytes()
    assert before.startswith(b"<?xml")
    assert f"{picture} exists already" in refused(capsys, *arguments)
    assert picture.read_bytes() == before


def test_exported_weights_are_the_trained_policies(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["export", str(run)]) == 0
    assert "exists already" in refused(capsys, "export", str(run))
    observation = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    trained, loaded = load_policies(run), load_policies(run / "policy.safetensors")
    assert [p.name for p in loaded] == ["agent 0", "agent 1"]
    for mine, theirs in zip(loaded, trained, strict=True):
        probabilities = mine.probabilities(observation)
        np.testing.assert_array_equal(probabilities, theirs.probabilities(observation))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_array_equal(mine.value(observation), theirs.value(observation))
        assert (mine.config, mine.update) == (SHORT, 3)


def test_levels_counts_duplicates(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["levels", "--env", "procgen:maze", "--preset", "easy", "--test", "300"]
    assert cli.main(arguments) == 0
    first, *pairs = capsys.readouterr().out.splitlines()
    assert first.startswith("maze, easy: ")
    assert "of 300 test levels repeat one of 200 training levels" in " ".join(first.split())
    assert len(pairs) == int(first.split()[2])


@pytest.mark.parametrize(
    ("function", "command", "arguments", "expected"),
    [
        (
            "evaluate.evaluate_run",
            "evaluate",
            ["--levels", "7", "--episodes", "3", "--seed", "5", "--device", "cpu"],
            {"n_levels": 7, "episodes_per_level": 3, "seed": 5, "device": "cpu"},
        ),
        (
            "official.compare_protocols_of_run",
            "evaluate",
            ["--official", "--levels", "7", "--episodes", "3", "--repetitions", "4", "--seed", "5",
             "--device", "cpu"],
            {"n_levels": 7, "episodes_per_level": 3, "repetitions": 4, "seed": 5, "device": "cpu"},
        ),
        (
            "watch.watch",
            "watch",
            ["--agent", "1", "--level", "9", "--train", "--episodes", "2", "--max-steps", "8",
             "--seed", "5", "--greedy", "--force"],
            {"agent": 1, "level": 9, "held_out": False, "episodes": 2, "max_steps": 8, "seed": 5,
             "greedy": True, "force": True},
        ),
    ],
)  # fmt: skip
def test_every_flag_of_the_other_commands_arrives(
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    command: str,
    arguments: list[str],
    expected: dict[str, object],
) -> None:
    """All that the function takes is given to it, and comes from the flags."""
    given = []

    def note(run: Path, *positional: object, on_progress: object, **settings: object) -> None:
        given.append((run, settings))
        raise ValueError("arrived")

    monkeypatch.setattr(f"experiments.procgen.{function}", note)
    assert cli.main([command, "RUN", *arguments]) == 2
    assert given == [(Path("RUN"), expected)]


def test_a_gpu_that_is_not_there_is_named_before_a_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = refused(capsys, "train", "--env", "procgen:maze", "--device", "cuda")
    assert message == "device must be cpu or auto: PyTorch sees no GPU, got cuda"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device", "checkpoint"), "checkpoint: No space left"),
        (ArithmeticError("training diverged"), "training diverged; "),
    ],
)
def test_whatever_stops_a_run_says_how_to_go_on(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    message: str,
) -> None:
    def stop(*_: object) -> None:
        raise error

    monkeypatch.setattr(training, "train", stop)
    shown = refused(capsys, "resume", str(run))
    assert message in shown
    assert "last checkpoint" in shown


def test_ctrl_c_says_how_to_go_on(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", stop)
    assert cli.main(["resume", str(run)]) == 130
    assert f"go on with `mdpo resume {run}`" in capsys.readouterr().err


def test_weights_and_biases_is_an_extra(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    message = refused(capsys, "resume", str(run), "--wandb", "project")
    assert message == "wandb is not installed: pip install 'mdtheory[wandb]'"


def test_a_policy_wants_pixels(run: Path) -> None:
    policy = load_policy(run)
    with pytest.raises(ValueError, match=r"must be uint8 of shape \[n, 64, 64, 3\], got float64"):
        policy.probabilities(np.zeros((1, 64, 64, 3)))
    with pytest.raises(IndexError, match="agent must be from 0 to 1, got 2"):
        load_policy(run, agent=2)


def test_each_kind_of_run_names_the_command_for_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = tmp_path / "grid"
    flags = ["--seeds", "1", "--updates", "1", "--hidden", "8", "--output", str(grid)]
    assert cli.main(["train", *flags]) == 0
    capsys.readouterr()
    assert "`mdpo compare`" in refused(capsys, "chain", str(run))
    for command in ("compare", "evaluate", "watch", "export"):
        assert "`mdpo report`" in refused(capsys, command, str(grid))
