"""`mdpo robustness`, `audit`, `representations`: flags arrive, mistakes are one line, pictures."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from experiments import cli
from experiments.envs.procgen import libenv
from experiments.envs.procgen.renderings import (
    ORIGINAL,
    default_family,
    strength_family,
)
from experiments.procgen import evaluate
from experiments.procgen import train as training
from experiments.procgen.checkpoint import CHECKPOINT
from experiments.procgen.learner import build_networks
from experiments.procgen.measures import audit as audit_module
from experiments.procgen.measures import features_summary, moments, representation_figures
from experiments.procgen.measures.features import FEATURES
from experiments.procgen.measures.measure_commands import (
    COMMANDS,
    Audit,
    Played,
    Representations,
    Robustness,
    command_of,
    each,
    new_pictures,
    run_names,
)
from experiments.procgen.measures.robustness import ROBUSTNESS
from experiments.procgen.policy import load_policies, write_networks
from experiments.procgen.train import train
from mdtheory import files
from mdtheory.judge import VIOLATED
from tests.procgen_killed import TINY, FakeEvaluations
from tests.procgen_scripted import BLACK, HUE, no_games, note_devices
from tests.test_mdpo_cli import refused
from tests.test_procgen_audit import an_attribution

pytestmark = pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")
CONFIG = dataclasses.replace(TINY, env="procgen:bossfight", total_steps=8 * 2, snapshot_every=1)
ASKED = ["--levels", "2", "--renderings", "no-background", "hue=0.1", "--no-mixture"]
DRAWN = ["--levels", "2", "--no-mixture", "--renderings", "random-conv=0.3,seed=0",
         "random-conv=0.3,seed=4"]  # fmt: skip
PLAYED = Played(renderings=("no-background", "hue=0.1"), levels=2, mixture=False)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run of two agents on a game of short episodes, with snapshots and all measured."""
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "TrainingEvaluations", FakeEvaluations)
        train(CONFIG, run)
    assert cli.main(["robustness", str(run), *ASKED]) == 0
    assert cli.main(["representations", str(run), *ASKED]) == 0
    return run


@pytest.fixture(scope="module")
def with_draws(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it, measured under draws of random convolutions too."""
    run = shutil.copytree(trained, tmp_path_factory.mktemp("draws") / "run")
    assert cli.main(["robustness", str(run), *DRAWN]) == 0
    return run


@pytest.fixture
def measured(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run itself, of which nothing more may be played, to be left as it is."""
    monkeypatch.setattr(evaluate, "LockstepGames", no_games)
    return trained


@pytest.fixture
def run(measured: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(measured, tmp_path / "run")


def exported(path: Path, **changes: Any) -> Path:
    """Weights that no training has touched, as `mdpo export` writes them."""
    config = dataclasses.replace(CONFIG, **changes)
    write_networks(path, config, 0, build_networks(config))
    return path


def words(text: str) -> str:
    return " ".join(text.split())


# What the commands do.


def test_robustness_prints_a_table_for_each_policy(measured: Path, capsys: Capture) -> None:
    before = (measured / "measured" / ROBUSTNESS).read_bytes()
    assert cli.main(["robustness", str(measured), *ASKED]) == 0
    printed = capsys.readouterr().out
    for agent in (0, 1):
        assert f"run, agent {agent}: bossfight, easy, 2 levels, after 2 updates" in printed
    for word in ("original (seen)", "no-background", "hue=0.1", "mean R there", "100%"):
        assert word in printed
    assert "mixture" not in printed
    assert (measured / "measured" / ROBUSTNESS).read_bytes() == before
    assert len(before.splitlines()) == 2 * 3


def test_the_mixture_of_several_agents_is_measured_too(
    trained: Path, tmp_path: Path, capsys: Capture
) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    assert cli.main(["robustness", str(run), *ASKED[:-1]]) == 0
    lines = (run / "measured" / ROBUSTNESS).read_text().splitlines()
    assert [json.loads(line)["policy"] for line in lines[6:]] == ["mixture"] * 3
    assert "run, mixture: bossfight" in capsys.readouterr().out


def test_a_picture_is_written_and_never_overwritten(run: Path, capsys: Capture) -> None:
    picture = run.parent / "new" / "robustness.svg"
    arguments = ["robustness", str(run), *ASKED, "--picture", str(picture)]
    assert cli.main(arguments) == 0
    assert f"picture: {picture}" in capsys.readouterr().out
    before = picture.read_bytes()
    assert before.startswith(b"<?xml")
    picture.write_text("mine")
    assert f"{picture} exists already" in refused(capsys, *arguments)
    assert picture.read_text() == "mine"
    assert cli.main([*arguments, "--force"]) == 0
    assert picture.read_bytes().startswith(b"<?xml")


def test_representations_follow_the_snapshots(run: Path, capsys: Capture) -> None:
    picture, curve = run.parent / "pca.png", run.parent / "curve.svg"
    arguments = ["representations", str(run), *ASKED, "--curve", str(curve)]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "states of 2 levels, after 2 updates" in printed
    for word in ("agent 0, mean", "agent 1, hue=0.1", "CKA between agents"):
        assert word in printed
    assert words(features_summary.CAPTION) in words(printed)
    assert curve.read_bytes().startswith(b"<?xml")
    shown = PLAYED.features(run, lambda text, share: None)
    assert [one.update for one in shown.snapshots] == [0, 1, 2]
    assert shown.steps == (0, 8, 16)
    assert shown.curves("run").each_convergence.shape == (2, 2, 3)
    assert [one.cka is not None for one in shown.snapshots] == [True] * 3
    lines = (run / "measured" / FEATURES).read_text().splitlines()
    assert [json.loads(line)["update"] for line in lines] == [0, 1, 2]
    assert f"{curve} exists already" in refused(capsys, *arguments)
    assert not picture.exists()


def test_the_picture_of_representations_is_written(
    trained: Path, tmp_path: Path, capsys: Capture
) -> None:
    run, picture = shutil.copytree(trained, tmp_path / "run"), tmp_path / "pca.png"
    arguments = ["representations", str(run), *ASKED, "--picture", str(picture)]
    assert cli.main(arguments) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    before = picture.read_bytes()
    assert f"{picture} exists already" in refused(capsys, *arguments)
    assert picture.read_bytes() == before


def test_audit_prints_verdicts(measured: Path, capsys: Capture) -> None:
    assert cli.main(["audit", str(measured), *ASKED, "--moments", "0"]) == 0
    printed = words(capsys.readouterr().out)
    assert "run, agent 0: bossfight, easy, 2 levels, discount 0.999" in printed
    for word in ("all held out", "no-background", "hue=0.1", "A3 with return range", "undecided"):
        assert word in printed
    assert "Intervals and verdicts at 95 % each, method student" in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_no_cell_is_cut_however_narrow_the_terminal(
    command: str,
    measured: Path,
    with_draws: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    capsys.readouterr()
    if command == "audit":
        arguments = [str(with_draws), *DRAWN, "--moments", "0", "--drawn"]
    else:
        arguments = [str(measured), *ASKED]
    assert cli.main([command, *arguments]) == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert ("their family" if command == "audit" else "no-background") in printed


def test_a_violated_bound_is_status_1(
    measured: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    real = audit_module.interval_statements

    def violated(*arguments: Any, **settings: Any) -> Any:
        (report,) = real(*arguments, **settings)
        first, *rest = report.statements
        first = dataclasses.replace(first, verdict=VIOLATED)
        return (dataclasses.replace(report, statements=(*rest, first)),)

    monkeypatch.setattr(audit_module, "interval_statements", violated)
    assert cli.main(["audit", str(measured), *ASKED, "--moments", "0"]) == 1
    assert VIOLATED in capsys.readouterr().out


def test_settings_of_an_audit_arrive(
    with_draws: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    given: list[dict[str, Any]] = []
    real = audit_module.audit

    def note(measured: Any, **settings: Any) -> Any:
        given.append(settings)
        return real(measured, **settings)

    def note_moments(path: Path, measured: Any, **settings: Any) -> Any:
        assert path == with_draws
        assert settings.pop("on_progress") is not None
        given.append(settings)
        plan = measured.plan
        return an_attribution(reference=ORIGINAL, other=settings["of"] or BLACK,
                              levels=plan.levels, discount=0.9, seed=0)  # fmt: skip

    monkeypatch.setattr(audit_module, "audit", note)
    monkeypatch.setattr(moments, "measure_moments", note_moments)
    picture = tmp_path / "moments.svg"
    own = ["--method", "bernstein", "--confidence", "0.9", "--drawn", "--moments", "3", "--of",
           "hue=0.1", "--agent", "1", "--picture", str(picture)]  # fmt: skip
    assert cli.main(["audit", str(with_draws), *DRAWN, *own, "--device", "cpu"]) == 0
    assert given == [
        {"method": "bernstein", "confidence": 0.9, "drawn": True},
        {"agent": 1, "of": HUE, "n_moments": 3, "device": "cpu"},
    ]
    printed = capsys.readouterr().out
    assert "all held out, their family" in printed
    assert "by the identity from 64 moments" in words(printed)
    assert picture.exists()
    given.clear()
    assert cli.main(["audit", str(with_draws), *ASKED]) == 0
    assert given == [
        {"method": "student", "confidence": 0.95, "drawn": False},
        {"agent": 0, "of": None, "n_moments": 6, "device": "auto"},
    ]


def test_several_runs_are_told_apart(
    run: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shutil.copytree(run, run.parent / "elsewhere" / "run")
    picture = run.parent / "both.svg"
    arguments = ["robustness", str(run), str(other), *ASKED, "--picture", str(picture)]
    assert cli.main(arguments) == 0
    printed = words(capsys.readouterr().out)
    for one in (run, other):
        for agent in (0, 1):
            assert f"{one}, agent {agent}: bossfight" in printed
    assert picture.exists()
    curve, drawn = run.parent / "curve.svg", []
    real = representation_figures.convergence_curve
    monkeypatch.setattr(
        representation_figures,
        "convergence_curve",
        lambda curves, *, command: drawn.extend(curves) or real(curves, command=command),
    )
    both = ["representations", str(run), str(other), *ASKED, "--curve", str(curve)]
    assert cli.main(both) == 0
    assert curve.exists()
    assert [one.name for one in drawn] == [str(run), str(other)]


def test_moments_are_those_of_the_first_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = shutil.copytree(run, run.parent / "other")
    found: dict[Path, Any] = {}
    shown: list[tuple[Path, Any]] = []
    real = Played.measure

    def measure(self: Played, path: Path, show: Any) -> Any:
        return found.setdefault(path, real(self, path, show))

    def note(path: Path, measured: Any, **_: object) -> Any:
        shown.append((path, measured))
        return an_attribution(reference=ORIGINAL, other=HUE, levels=[1], discount=0.9, seed=0)

    monkeypatch.setattr(Played, "measure", measure)
    monkeypatch.setattr(moments, "measure_moments", note)
    assert cli.main(["audit", str(run), str(other), *ASKED]) == 0
    assert list(found) == [run, other]
    assert len(shown) == 1
    assert shown[0][0] == run
    assert shown[0][1] is found[run]


def test_an_exported_file_is_measured_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    path = exported(tmp_path / "policy.safetensors", agents=1, distill_coef=0.0)
    one = ["--levels", "1", "--renderings", "hue=0.1"]
    assert cli.main(["robustness", str(path), *one]) == 0
    assert "policy, agent 0: bossfight, easy, 1 levels" in capsys.readouterr().out
    assert (tmp_path / "policy.measured" / ROBUSTNESS).exists()
    monkeypatch.setattr(evaluate, "LockstepGames", no_games)
    assert cli.main(["audit", str(path), *one, "--moments", "0"]) == 0
    assert "undecided" in capsys.readouterr().out


# Flags.


PLAYED_FLAGS = ["--renderings", "monochrome", "hue=0.2", "--strengths", "--levels", "5", "--train",
                "--no-mixture", "--seed", "9", "--device", "cpu"]  # fmt: skip
CHANGED = Played(
    renderings=("monochrome", "hue=0.2"), strengths=True, levels=5, train=True, mixture=False,
    seed=9, device="cpu",
)  # fmt: skip
RUNS = (Path("a"), Path("b"))
CALLS: list[tuple[list[str], Any]] = [
    (
        ["robustness", "a", "b", "--picture", "p.svg", "--strength-picture", "s.pdf", "--force"],
        Robustness(RUNS, Path("p.svg"), Path("s.pdf"), True, CHANGED),
    ),
    (
        ["audit", "a", "b", "--method", "bernstein", "--confidence", "0.8", "--drawn", "--moments",
         "2", "--of", "hue=0.2", "--agent", "1", "--picture", "p.svg", "--force"],
        Audit(RUNS, "bernstein", 0.8, True, 2, "hue=0.2", 1, Path("p.svg"), True, CHANGED),
    ),
    (
        ["representations", "a", "b", "--picture", "p.svg", "--curve", "c.png", "--force"],
        Representations(RUNS, Path("p.svg"), Path("c.png"), True, CHANGED),
    ),
]  # fmt: skip


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The commands that would have run."""
    found: list[Any] = []
    for kind in COMMANDS.values():
        monkeypatch.setattr(kind, "run", lambda self: found.append(self) or 0)
    return found


@pytest.mark.parametrize(("arguments", "expected"), CALLS, ids=[c[0][0] for c in CALLS])
def test_every_flag_arrives(arguments: list[str], expected: Any, parsed: list[Any]) -> None:
    assert cli.main([*arguments, *PLAYED_FLAGS]) == 0
    assert parsed == [expected]
    for value, default in ((expected, type(expected)(())), (CHANGED, Played())):
        for field in dataclasses.fields(value):
            assert getattr(value, field.name) != getattr(default, field.name)


def test_the_command_on_a_picture_gives_the_same_picture(parsed: list[Any]) -> None:
    audit = CALLS[1][1]
    for command, own in ((CALLS[0][1], []), (audit, audit._flags()), (CALLS[2][1], [])):
        (name,) = [name for name, kind in COMMANDS.items() if isinstance(command, kind)]
        shown = command_of(name, RUNS, CHANGED, *own)
        assert cli.main(shlex.split(shown)[1:]) == 0
        pictures = ("picture", "strength_picture", "curve")
        bare = {n: None for n in pictures if hasattr(command, n)}
        assert parsed.pop() == dataclasses.replace(command, force=False, **bare)
    assert command_of("audit", (Path("a b"),), Played()) == "mdpo audit 'a b'"
    assert Audit(RUNS)._flags() == []


def test_the_command_on_the_picture_of_moments_has_its_settings(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def figure(found: Any, *, command: str) -> Figure:
        shown.append(command)
        return Figure()

    attribution = an_attribution(reference=ORIGINAL, other=HUE, levels=[1], discount=0.9, seed=0)
    monkeypatch.setattr("experiments.procgen.measures.attribution_figure.moments_figure", figure)
    monkeypatch.setattr(moments, "measure_moments", lambda *_, **__: attribution)
    picture = run.parent / "moments.svg"
    own = ["--of", "hue=0.1", "--agent", "1", "--picture", str(picture)]
    assert cli.main(["audit", str(run), *ASKED, *own]) == 0
    assert shown == [
        f"mdpo audit {run} --of hue=0.1 --agent 1 --renderings no-background hue=0.1 --levels 2"
        " --no-mixture"
    ]


def test_a_plan_by_hand() -> None:
    config = dataclasses.replace(CONFIG, train_renderings=("hue=0.1", "original"), discount=0.9)
    plan = PLAYED.plan(config)
    assert plan.renderings == (HUE, ORIGINAL, BLACK)
    assert plan.train == (HUE, ORIGINAL)
    assert (plan.discount, plan.seed) == (0.9, 0)
    assert plan.levels == tuple(config.levels.test.sample(2, 0))
    assert plan == PLAYED.plan(config)


def test_each_setting_changes_the_plan() -> None:
    plain = Played().plan(CONFIG)
    assert plain.renderings == default_family("bossfight")
    assert plain.train == (ORIGINAL,)
    assert len(plain.levels) == 16
    assert all(level in CONFIG.levels.test for level in plain.levels)
    strong = Played(strengths=True).plan(CONFIG).renderings
    assert strong == tuple(dict.fromkeys((*plain.renderings, *strength_family())))
    seeded = Played(seed=4).plan(CONFIG)
    assert seeded.seed == 4
    assert seeded.levels == tuple(CONFIG.levels.test.sample(16, 4)) != plain.levels
    of_training = Played(train=True, levels=99).plan(CONFIG)
    assert of_training.levels == tuple(range(CONFIG.train_levels))


def test_policies_and_where_they_are(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agents = load_policies(measured)
    devices = note_devices(monkeypatch, measured, agents)
    for mixture, names in (
        (False, ["agent 0", "agent 1"]),
        (True, ["agent 0", "agent 1", "mixture"]),
    ):
        played = Played(mixture=mixture, device="cpu")
        assert [policy.name for policy in played.policies(measured)] == names
    module = "experiments.procgen.measures.features"
    monkeypatch.setattr(f"{module}.measure_features", lambda *given: given)
    nothing: Any = None
    plan = played.plan(agents[0].config)
    folder = measured / "measured"
    assert played.features(measured, nothing) == (measured, agents, plan, folder, nothing)
    assert devices.pop() == "cpu"
    del agents[1]
    assert [policy.name for policy in played.policies(measured)] == ["agent 0"]
    assert devices == ["cpu"] * 3


# Mistakes.


RUN = "RUN"
MISTAKES: list[tuple[list[str], str]] = [
    (["--levels", "0"], "levels must be from 1 to 1000000, got 0"),
    (["--seed", "-1"], "seed must be from 0 to 2147483647, got -1"),
    (["--renderings", "monochrom"], "unknown rendering 'monochrom': did you mean 'monochrome'?"),
    (["--renderings", "hue=7"], "must have the form hue=S, S from -0.5 to 0.5, got hue=7"),
    (["--renderings", "background=999"], "background=999 must name one of the images 0 to "),
    (["--renderings", "hue=0.1", "hue=0.10"], "renderings must differ, got hue=0.1 twice"),
    (["--levels", "two"], "invalid"),
    (["--device", "tpu"], "invalid choice"),
    (["--leves", "2"], "--levels"),
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("flags", "message"), MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_played(
    command: str, flags: list[str], message: str, measured: Path, capsys: Capture
) -> None:
    assert message in words(refused(capsys, command, str(measured), *flags))


def test_the_one_image_of_all_levels_is_no_other_rendering() -> None:
    coinrun = dataclasses.replace(CONFIG, env="procgen:coinrun", distribution_mode="easy")
    with pytest.raises(ValueError, match="got background=0, which shows coinrun in easy mode"):
        Played(renderings=("background=0",)).plan(coinrun)
    hard = dataclasses.replace(coinrun, distribution_mode="hard")
    for config, image in ((hard, "background=0"), (coinrun, "background=1")):
        assert str(Played(renderings=(image,)).plan(config).heldout[0]) == image


OWN_MISTAKES: list[tuple[list[str], str]] = [
    (["robustness"], "give at least one run, a folder written by `mdpo train`"),
    (["robustness", RUN, "--picture", "x.gif"], "must end in .svg, .png or .pdf, got x.gif"),
    (["robustness", RUN, "--strength-picture", "x.svg"], "--strength-picture needs --strengths"),
    (["robustness", RUN, "--strengths", "--picture", "x.svg", "--strength-picture", "x.svg"],
     "pictures must differ, got x.svg twice"),
    (["representations", RUN, "--picture", "x.svg", "--curve", "x.svg"],
     "pictures must differ, got x.svg twice"),
    (["representations", RUN, "--curve", "x.txt"], "must end in .svg, .png or .pdf, got x.txt"),
    (["representations", RUN, "--renderings", "original"],
     "renderings must be at least two, the reference and another, got one"),
    (["audit", RUN, "--renderings", "original"], "held out at least one, all were trained on"),
    (["audit", RUN, "--method", "wilson"], "invalid choice"),
    (["audit", RUN, "--confidence", "1.5"], "confidence must lie in (0, 1), got 1.5"),
    (["robustness", RUN, RUN], "runs must differ, got"),
    (["robustness", RUN, "--renderings", "camera"],
     "renderings must change what is seen, got camera, which shows bossfight in"),
    (["audit", RUN, "--renderings", "brightness=0"], "change what is seen, got brightness=0"),
    (["audit", RUN, "--drawn"], "--drawn needs held-out renderings that differ in their seed only"),
    (["audit", RUN, "--drawn", "--renderings", "random-conv=0.3", "random-conv=0.4"],
     "differ in their seed only"),
    (["audit", RUN, "--drawn", "--confidence", "0.04", "--renderings", "random-conv=0.3"],
     "confidence must lie in (0.05, 1), got 0.04"),
    (["audit", RUN, "--confidence", "nan"], "confidence must lie in (0, 1), got nan"),
    (["audit", RUN, "--moments", "-1"], "moments must be from 0 to 1000000, got -1"),
    (["audit", RUN, "--agent", "2"], "agent must be from 0 to 1, got 2"),
    (["audit", RUN, "--agent", "-1"], "agent must be from 0 to 1, got -1"),
    (["audit", RUN, "--of", "hues"], "unknown rendering 'hues'"),
    (["audit", RUN, "--of", "background=999"], "must name one of the images 0 to "),
    (["audit", RUN, "--of", "original"], "must differ from the reference original, got it"),
    (["audit", RUN, "--picture", "x.gif"], "must end in .svg, .png or .pdf, got x.gif"),
    (["audit", RUN, "--picture", "x.svg", "--moments", "0"], "--moments 0 asks for none"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), OWN_MISTAKES)
def test_a_mistake_in_a_commands_own_flags_is_one_line(
    arguments: list[str],
    message: str,
    measured: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(measured) if argument == RUN else argument for argument in arguments]
    assert message in words(refused(capsys, *given))
    assert list(tmp_path.iterdir()) == []


def without_checkpoint(run: Path) -> Path:
    (run / CHECKPOINT).unlink()
    return run


def damaged(run: Path) -> Path:
    content = bytearray((run / CHECKPOINT).read_bytes())
    content[-1] ^= 1
    (run / CHECKPOINT).write_bytes(content)
    return run


def torn_export(run: Path) -> Path:
    path = exported(run.parent / "policy.safetensors")
    path.write_bytes(path.read_bytes()[:1000])
    return path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: run.parent / "missing", "missing does not exist"),
        (lambda run: run.parent, "is no run of `mdpo train`"),
        (without_checkpoint, "run has no checkpoint yet"),
        (damaged, f"{CHECKPOINT} is damaged or was changed"),
        (torn_export, "policy.safetensors is damaged"),
    ],
)
def test_a_run_that_cannot_be_loaded_is_named_before_the_first_is_measured(
    command: str, spoil: Callable[[Path], Path], message: str, run: Path, capsys: Capture
) -> None:
    first = exported(run.parent / "first.safetensors")
    bad = spoil(run)
    shown = refused(capsys, command, str(first), str(bad), "--levels", "1")
    assert message in words(shown)
    assert not (run.parent / "first.measured").exists()


def test_a_rendering_that_one_of_the_games_lacks_is_named_before_the_first_is_measured(
    run: Path, capsys: Capture
) -> None:
    other = exported(run.parent / "other.safetensors", env="procgen:chaser")
    shown = refused(capsys, "robustness", str(run), str(other), "--renderings", "background=1")
    assert "background=1 must name one of the images 0 to 0 of chaser" in shown


def test_a_run_with_nothing_to_compare_is_named_before_the_first_is_measured(
    run: Path, capsys: Capture
) -> None:
    first = exported(run.parent / "first.safetensors", train_renderings=("original", "hue=0.1"))
    flags = ["--renderings", "original", "--levels", "1"]
    shown = refused(capsys, "representations", str(first), str(run), *flags)
    assert "renderings must be at least two" in shown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env": "procgen:maze"}, "a picture needs runs of one game, got bossfight, maze"),
        ({"distribution_mode": "hard"}, "a picture needs runs of one mode, got easy, hard"),
        (
            {"train_renderings": ("original", "hue=0.1")},
            "runs trained on the same renderings, got original, original hue=0.1",
        ),
    ],
)
def test_one_picture_shows_runs_that_can_be_compared(
    changes: dict[str, Any], message: str, run: Path, capsys: Capture
) -> None:
    other = exported(run.parent / "other.safetensors", **changes)
    for flags in (["--picture", "x.svg"], ["--strengths", "--strength-picture", "x.svg"]):
        assert message in refused(capsys, "robustness", str(run), str(other), *flags)


@pytest.mark.parametrize(
    ("command", "name"),
    [("robustness", ROBUSTNESS), ("audit", ROBUSTNESS), ("representations", FEATURES)],
)
def test_a_damaged_file_of_results_is_named(
    command: str, name: str, run: Path, capsys: Capture
) -> None:
    path = run / "measured" / name
    path.write_text(path.read_text().replace('"key"', '"kee"', 1))
    message = refused(capsys, command, str(run), *ASKED)
    assert message.startswith(f"{path}, line 1, is damaged: ")


@pytest.mark.parametrize("command", COMMANDS)
def test_two_commands_at_once_are_refused(command: str, measured: Path, capsys: Capture) -> None:
    with files.only_one(measured / "measured"):
        message = refused(capsys, command, str(measured), *ASKED)
    assert message == f"another process is at work in {measured / 'measured'}"


# Small parts.


def test_names_of_runs(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b.safetensors").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a").mkdir()
    a, b, c = tmp_path / "a", tmp_path / "b.safetensors", tmp_path / "other" / "a"
    assert run_names((a, b)) == ["a", "b"]
    assert run_names((a, b, c)) == [str(a), str(b), str(c)]
    with pytest.raises(ValueError, match="give at least one run"):
        run_names(())


def test_progress_of_runs_is_progress_of_all() -> None:
    shown: list[tuple[str, float]] = []
    for name, run, part in each(["x", "y"], RUNS, lambda *one: shown.append(one)):
        part(f"playing {run}", 0.5)
        assert name in "xy"
    assert shown == [("x, playing a", 0.25), ("y, playing b", 0.75)]


def test_pictures_that_may_be_written(tmp_path: Path) -> None:
    old, new = tmp_path / "old.svg", tmp_path / "new.png"
    old.touch()
    assert new_pictures(False, picture=new, curve=None) == [new, None]
    assert new_pictures(True, picture=old) == [old]
    with pytest.raises(FileExistsError, match="exists already"):
        new_pictures(False, picture=None, curve=old)
    with pytest.raises(ValueError, match=r"^--strength-picture must end in \.svg, "):
        new_pictures(False, picture=None, strength_picture=tmp_path / "a.gif")
