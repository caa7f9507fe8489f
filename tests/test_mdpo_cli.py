"""`mdpo`: every flag arrives, errors are one line, nothing is overwritten, the demo can go on."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import cli
from experiments.envs.pixelgrid import PixelGridConfig
from experiments.pixelgrid.config import TrainConfig
from mdtheory.shrinkage import training

TINY = ["--seeds", "2", "--updates", "2", "--evaluate-every", "1", "--n-envs", "2",
        "--rollout-steps", "8", "--minibatches", "2", "--hidden", "8", "--pixelgrid.size", "2",
        "--pixelgrid.heldout-renderings", "2"]  # fmt: skip

CHANGED = TrainConfig(
    agents=3,
    distill_coef=0.25,
    seeds=5,
    first_seed=7,
    updates=11,
    evaluate_every=3,
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
    hidden=32,
    world_per_seed=False,
    pixelgrid=PixelGridConfig(
        size=4,
        cell_pixels=2,
        train_renderings=3,
        heldout_renderings=5,
        background_strength=0.5,
        discount=0.8,
        layout_seed=9,
    ),
)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a call that must end with status 2."""
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("mdpo: error: ")
    return captured.err.removeprefix("mdpo: error: ").strip()


def test_changed_differs_from_the_defaults_in_every_field_but_env() -> None:
    default = TrainConfig()
    for changed, standard in ((CHANGED, default), (CHANGED.pixelgrid, default.pixelgrid)):
        same = [
            f.name
            for f in dataclasses.fields(changed)
            if getattr(changed, f.name) == getattr(standard, f.name)
        ]
        assert same in ([], ["env"])


def test_every_flag_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that a run shows for itself, run, gives the same configuration."""
    arrived = []
    monkeypatch.setattr(
        "experiments.pixelgrid.train.train", lambda config, run: arrived.append(config)
    )
    arguments = CHANGED.command(tmp_path / "run").split()[1:]
    assert cli.main(arguments) == 0
    assert arrived == [CHANGED]


def test_configuration_survives_json() -> None:
    assert TrainConfig.from_json(CHANGED.to_json()) == CHANGED


def test_train_and_report_write_a_page_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    assert cli.main(["train", "--output", run, *TINY]) == 0
    assert cli.main(["report", run]) == 0
    page = tmp_path / "run" / "report.html"
    assert f"page: {page}" in capsys.readouterr().out
    before = page.read_bytes()
    assert f"{page} exists already" in refused(capsys, "report", run)
    assert f"{run} exists already" in refused(capsys, "train", "--output", run, *TINY)
    assert page.read_bytes() == before
    assert cli.main(["report", run, "--force"]) == 0
    assert cli.main(["resume", run]) == 0


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> list[training.Study]:
    """Makes the study of shrinkage tiny, trained once; one entry for every call."""
    tiny = training.study(n_seeds=2, ratios=(0, 1), settings=training.SETTINGS[:1])
    called: list[training.Study] = []

    def study(**_: object) -> training.Study:
        called.append(tiny)
        return tiny

    monkeypatch.setattr(training, "study", study)
    return called


def test_report_trains_the_agents_of_shrinkage_only_if_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, studies: list[training.Study]
) -> None:
    given = []

    def build_page(runs: object, study: training.Study | None) -> tuple[str, list[object]]:
        given.append(study)
        return "", []

    monkeypatch.setattr("experiments.pixelgrid.report.build_page", build_page)
    for k, flags in enumerate(([], ["--shrinkage"])):
        assert cli.main(["report", "run", "--output", str(tmp_path / f"{k}.html"), *flags]) == 0
    assert given == [None, *studies]
    assert len(studies) == 1


def test_chain_prints_every_link_and_draws_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = str(tmp_path / "run"), str(tmp_path / "_a$b")
    picture = tmp_path / "new" / "chain.svg"
    assert cli.main(["train", "--output", run, *TINY]) == 0
    assert cli.main(["train", "--output", other, *TINY, "--distill-coef", "0"]) == 0
    capsys.readouterr()
    assert cli.main(["chain", other, run, "--picture", str(picture)]) == 0
    printed = capsys.readouterr().out
    for link in ("B3 mean TV", "B2 max TV", "B1 R", "A2 gap / A0", "A3 gap / A0"):
        assert link in printed
    assert "run − _a$b, paired by seed, after 2 updates" in " ".join(printed.split())
    before = picture.read_bytes()
    assert before.startswith(b"<?xml")
    message = refused(capsys, "chain", run, "--picture", str(picture))
    assert f"{picture} exists already" in message
    assert picture.read_bytes() == before
    assert cli.main(["chain", run, "--picture", str(picture), "--force"]) == 0
    assert picture.read_bytes() != before


def test_chain_of_runs_of_one_name_shows_their_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        assert cli.main(["train", "--output", f"{folder}/run", *TINY]) == 0
    assert cli.main(["chain", "a/run", "b/run"]) == 0
    printed = capsys.readouterr().out
    assert "a/run" in printed
    assert "b/run" in printed


def test_chain_of_one_agent_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    assert cli.main(["train", "--output", run, *TINY, "--agents", "1", "--distill-coef", "0"]) == 0
    capsys.readouterr()
    message = refused(capsys, "chain", run)
    assert message == f"{run} has one agent; a chain needs two or more, which can disagree"


def test_demo_goes_on_where_it_was_and_keeps_finished_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], studies: list[training.Study]
) -> None:
    arguments = ["demo", "--output", str(tmp_path / "demo"), "--seeds", "2", "--updates", "1"]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "mdpo (agent) - ppo (agent)" in out
    assert out.rstrip().endswith("index.html")
    page = (tmp_path / "demo" / "index.html").read_text()
    for alt in ("Values and bounds from the distillation loss", "Spurious weight, R and gap"):
        assert alt in page
    assert len(studies) == 1
    finished = sorted((tmp_path / "demo").rglob("*.safetensors"))
    times = [path.stat().st_mtime_ns for path in finished]
    assert len(times) == 9
    assert cli.main(arguments) == 0
    assert [path.stat().st_mtime_ns for path in finished] == times
    message = refused(capsys, *arguments[:-1], "2")
    assert "holds a run with other settings, updates 1 instead of 2: choose" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "unknown command 'trian': did you mean 'train'?"),
        (["train", "--output", "x", "--sedes", "3"], "--sedes"),
        (["train", "--output", "x", "--seeds", "many"], "--seeds"),
        (["train", "--output", "x", "--seeds", "0"], "seeds must be from 1 to 10000, got 0"),
        (["train", "--output", "x", "--env", "pixelgrit"], "did you mean 'pixelgrid'?"),
        (["train", "--output", "x", "--agents", "1"], "distill_coef must be 0 for one agent"),
        (["train", "--output", "x", "--minibatches", "7"], "minibatches must divide"),
        (["train", "--output", "x", "--minibatches", "1024"], "at least 2 samples, got 1024"),
        (
            ["train", "--output", "x", "--learning-rate", "nan"],
            "learning_rate must be a finite number, got nan",
        ),
        (["train", "--output", "x", "--distill-coef", "-1"], "distill_coef must be at least 0"),
        (
            ["train", "--output", "x", "--distill-coef", "inf"],
            "distill_coef must be a finite number, got inf",
        ),
        (["train", "--output", "x", "--gae-lambda", "2"], "gae_lambda must lie in [0, 1], got 2"),
        (["train", "--output", "x", "--pixelgrid.discount", "1"], "discount must lie in [0, 1)"),
        (["resume", "nowhere"], "nowhere is no run of `mdpo train`"),
        (["resume", "x", "--seeds", "3"], "--seeds"),
        (["report", "nowhere"], "nowhere is no run of `mdpo train`"),
        (["report"], "give at least one run"),
        (["report", "x", "--shrinkag"], "--shrinkag"),
        (["chain"], "give at least one run"),
        (["chain", "nowhere"], "nowhere is no run of `mdpo train`"),
        (["chain", "x", "--picture", "x.gif"], "must end in .svg, .png or .pdf, got x.gif"),
        (["train", "--env", "procgen:coinru"], "did you mean 'procgen:coinrun'?"),
        (["train", "--env", "procgen:coinrun", "--preset", "papr"], "did you mean 'paper'?"),
        (["train", "--env", "procgen:coinrun", "--algorithm", "ppo-l3"], "did you mean 'ppo-l2'?"),
        (["train", "--env", "procgen:coinrun", "--sed", "1"], "--seed"),
        (["train", "--env", "procgen:coinrun", "--seeds", "1"], "--seed"),
        (["train", "--env", "procgen:coinrun", "--seed", "-1"], "seed must be from 0"),
        (["train", "--env", "procgen:coinrun", "--teacher", "self"], "--teacher"),
        (["train", "--env", "procgen:maze", "--distribution-mode", "extreme"], "must be one of"),
        (["evaluate", "nowhere"], "nowhere does not exist"),
        (["watch", "nowhere"], "nowhere does not exist"),
        (["watch", "nowhere", "--output", "a.avi"], "must end in .mp4 or .gif, got a.avi"),
        (["compare"], "give at least one run"),
        (["compare", "nowhere"], "nowhere is no run of `mdpo train`"),
        (["compare", "x", "--picture", "x.gif"], "must end in .svg, .png or .pdf, got x.gif"),
        (["export", "nowhere"], "nowhere is no run of `mdpo train`"),
        (["levels", "--env", "procgen:pong"], "unknown env 'procgen:pong'"),
        (["levels", "--test", "0"], "must be at least 1, got 0"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message.lower() in refused(capsys, *arguments).lower()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "config.json"),
        (json.dumps({"sedes": 3}), "config.json: unknown key 'sedes': did you mean 'seeds'?"),
        (json.dumps({"seeds": "3"}), "config.json: seeds must be a whole number, got '3'"),
        (json.dumps({"pixelgrid": {"sise": 3}}), "sise"),
        ("[]", "config.json"),
    ],
)
def test_damaged_configurations_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    (tmp_path / "config.json").write_text(content)
    assert message in refused(capsys, "report", str(tmp_path))


@pytest.mark.parametrize("damage", ["checkpoint.safetensors", "evaluations/000001.safetensors"])
def test_damaged_tensors_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    run = tmp_path / "run"
    assert cli.main(["train", "--output", str(run), *TINY]) == 0
    capsys.readouterr()
    (run / damage).write_bytes(b"not a tensor")
    commands = [["chain"], ["resume"] if damage.startswith("checkpoint") else ["report"]]
    for command in commands:
        assert damage.split("/")[-1] in refused(capsys, *command, str(run))


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = None; from experiments.cli import main;"
        " sys.exit(main(['train', '--output', 'run']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    expected = "mdpo: error: torch is not installed: pip install 'mdtheory[experiments]'\n"
    assert (done.returncode, done.stderr) == (2, expected)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_is_not_ours_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.html").write_text("my homepage")
    arguments = ["demo", "--output", str(tmp_path), "--seeds", "1", "--updates", "1"]
    assert cli.main(arguments) == 2
    assert "is no page of mdpo" in capsys.readouterr().err
    assert (tmp_path / "index.html").read_text() == "my homepage"


def test_training_that_diverges_stops_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert cli.main(["train", "--output", str(run), *TINY, "--learning-rate", "1e30"]) == 2
    assert "training diverged at update" in capsys.readouterr().err
    assert not (run / "checkpoint.safetensors").exists()


def test_results_that_do_not_fit_their_configuration_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert cli.main(["train", "--output", str(run), *TINY]) == 0
    capsys.readouterr()
    config = TrainConfig.load(run)
    cases = [
        ({"seeds": 3}, ["report"], "must hold finite logits of shape [3, "),
        ({"hidden": 9}, ["resume"], "belongs to another configuration than the run's config"),
    ]
    for change, command, message in cases:
        (run / "config.json").write_text(dataclasses.replace(config, **change).to_json())
        assert message in refused(capsys, *command, str(run))


def test_lost_evaluations_can_be_made_again(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert cli.main(["train", "--output", str(run), *TINY]) == 0
    before = (run / "evaluations" / "000002.safetensors").read_bytes()
    shutil.rmtree(run / "evaluations")
    assert cli.main(["resume", str(run)]) == 0
    assert (run / "evaluations" / "000002.safetensors").read_bytes() == before
    assert cli.main(["report", str(run)]) == 0


def test_names_of_runs_are_shown_to_the_letter(tmp_path: Path) -> None:
    run = tmp_path / r"_a$\foo$b"
    assert cli.main(["train", "--output", str(run), *TINY]) == 0
    assert cli.main(["report", str(run)]) == 0
