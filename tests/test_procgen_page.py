"""The page about runs on Procgen says what intervals decide, and only that."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import cli
from experiments.envs.procgen.renderings import Rendering
from experiments.procgen import train as training
from experiments.procgen.comparison.compare import require_different
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.evaluate import SPLITS, EpisodeTable, Evaluation
from experiments.procgen.interval_words import decision, with_ends, with_interval
from experiments.procgen.measures import features, page_sentences, report_command
from experiments.procgen.measures.measure_commands import Played
from experiments.procgen.measures.page import build_page
from experiments.procgen.measures.page_numbers import (
    RunFindings,
    differences,
    load_evaluation,
    same_renderings,
    tasks,
)
from experiments.procgen.measures.page_sentences import ONE_RUN_EACH, Difference
from experiments.procgen.measures.report_command import ReportProcgen
from experiments.procgen.measures.representation_figures import AgentFeatures
from experiments.procgen.measures.robustness import Distances, Plan, Play, Robustness
from experiments.procgen.policy import export
from experiments.procgen.train import train
from mdtheory.intervals import Band, band, welch
from mdtheory.judge import HOLDS, UNDECIDED, VIOLATED
from tests.procgen_killed import TINY, FakeEvaluations
from tests.test_mdpo_cli import refused

NAN = math.nan
UP, DOWN, OPEN = Band(2.0, 1.0, 3.0), Band(-2.0, -3.0, -1.0), Band(0.5, -1.0, 2.0)
NO_INTERVAL, NO_WIDTH = Band(5.0, NAN, NAN), Band(-10.0, -10.0, -10.0)

# --- Sentences ---


@pytest.mark.parametrize(
    ("found", "decided"),
    [
        (UP, "higher"),
        (DOWN, "lower"),
        (OPEN, "undecided"),
        (Band(1.0, 0.0, 2.0), "undecided"),
        (NO_INTERVAL, "undecided"),
        (Band(1.0, 0.5, math.inf), "undecided"),
        (NO_WIDTH, "undecided"),
        (Band(0.1, 0.1 - 1e-12, 0.1 + 1e-12), "undecided"),
    ],
)
def test_an_interval_decides_only_if_it_has_ends_and_width_and_excludes_0(
    found: Band, decided: str
) -> None:
    assert decision(found) == decided


def test_numbers_never_stand_alone() -> None:
    assert with_interval(DOWN, sign="+") == "−2.00 [−3.00, −1.00]"
    assert with_interval(UP, 3) == "2.000 [1.000, 3.000]"
    assert with_interval(NO_INTERVAL) == "5.00 (too few, no interval)"
    assert with_interval(NO_WIDTH) == "−10.00 (all the same, no interval)"
    assert with_ends(DOWN, "+") == "-2.00 [-3.00, -1.00]"
    assert with_ends(NO_INTERVAL, digits=0) == "5"


def test_changes_name_renderings_by_what_is_decided() -> None:
    found = {"monochrome": DOWN, "hue=0.1": OPEN, "camera": UP, "velocity": NO_WIDTH}
    assert page_sentences.changes("original", found, 4) == (
        "Compared with original, the return is lower under monochrome (−2.00 [−3.00, −1.00]);"
        " higher under camera (+2.00 [+1.00, +3.00]); undecided under hue=0.1 and velocity."
    )


def test_many_undecided_changes_are_counted() -> None:
    found = {f"hue=0.{k}": OPEN for k in range(4)}
    said = page_sentences.changes("original", {**found, "camera": UP}, 4)
    assert said.endswith(
        "higher under camera (+2.00 [+1.00, +3.00]); undecided under the 4 others."
    )
    said = page_sentences.changes("original", found, 4)
    assert said == "Compared with original, the return is undecided under all 4 others."


def test_of_many_decided_changes_the_largest_are_listed() -> None:
    found = {f"hue=0.{k}": Band(-k, -k - 0.5, -k + 0.5) for k in range(1, 9)}
    said = page_sentences.changes("original", {**found, "camera": UP}, 4)
    names = [name for name in found if f"{name} (" in said]
    assert names == [f"hue=0.{k}" for k in (4, 5, 6, 7, 8)]
    assert said.index("hue=0.8") < said.index("hue=0.4") < said.index("and 3 more (table below)")


def test_one_level_decides_nothing() -> None:
    said = page_sentences.changes("original", {"monochrome": NO_INTERVAL}, 1)
    assert said.startswith("One level was played, so it is undecided")
    assert "5.00" not in said


def test_robustness_says_the_mean_the_worst_rendering_and_a_lower_bound() -> None:
    each = {"a": Band(0.1, 0.05, 0.2), "b": Band(0.3, 0.2, 0.5)}
    said = page_sentences.robustness("original", Band(0.2, 0.15, 0.25), each, 0.879, 2.5)
    assert said == (
        "Mean R to original is 0.200 [0.150, 0.250] over the 2 held-out renderings, and largest"
        " under b, 0.300 [0.200, 0.500]; R itself is at least 0.87, seen in a state. The entropy of"
        " its actions under original is 2.50 nats, of at most 2.71: who acts at random is blind to"
        " renderings."
    )
    said = page_sentences.robustness("original", each["a"], {"a": each["a"]}, 0.5, 1)
    assert "is 0.100 [0.050, 0.200] under a, the one held-out rendering" in said


def test_verdicts_are_counted_and_a_violation_is_explained() -> None:
    said = page_sentences.verdicts(
        {"A0": [HOLDS] * 3, "A3": [HOLDS, UNDECIDED, HOLDS], "A0 again": [HOLDS] * 3}
    )
    assert said == (
        "Bounds for the held-out renderings, together and each alone: 3 of 3 hold for A0 and A0"
        " again; 2 of 3 hold, 1 of 3 undecided for A3."
    )
    said = page_sentences.verdicts({"A0": [VIOLATED]})
    assert "1 of 1 violated for A0." in said
    assert "by chance, or something measured is wrong" in said


def test_a_gap_is_decided_or_not() -> None:
    assert "is higher than on the 100 test levels: +2.00 [" in page_sentences.gap(UP, 100)
    assert "is lower than on the 100 test levels: −2.00 [" in page_sentences.gap(DOWN, 100)
    assert "it is undecided whether" in page_sentences.gap(OPEN, 100)


def a_difference(**changes: object) -> Difference:
    given = {
        "left": "mdpo",
        "right": "ppo",
        "seeds": (1, 2, 3),
        "n_levels": 4,
        "n_renderings": 2,
        "steps": ("8 in all", "8 in all"),
        "robustness": DOWN,
        "returned": OPEN,
    }
    return Difference(**{**given, **changes})  # type: ignore[arg-type]


def test_differences_over_seeds_are_about_algorithms_and_others_are_not() -> None:
    said = page_sentences.difference(a_difference())
    assert said == (
        "Between algorithms: mdpo compared with ppo, in pairs over the seeds 1, 2 and 3: mean R is"
        " lower, −2.000 [−3.000, −1.000]; the return under held-out renderings is undecided, +0.50"
        " [−1.00, +2.00]. Environment steps: 8 in all each."
    )
    said = page_sentences.difference(a_difference(seeds=(), steps=("8", "16")))
    assert said.startswith("Between runs: mdpo compared with ppo, ")
    assert "in pairs over 4 levels: mean R is lower" in said
    assert "Environment steps: unequal, 8 against 16." in said
    assert said.endswith(ONE_RUN_EACH)
    assert "over 1 level:" in page_sentences.difference(a_difference(seeds=(), n_levels=1))
    said = page_sentences.difference(a_difference(n_renderings=0))
    assert said == (
        "mdpo and ppo are not compared: no rendering that was played was held out from both."
    )


# --- Hand-made runs ---

ORIGINAL, MONOCHROME, HUE = (Rendering.parse(x) for x in ("original", "monochrome", "hue=0.1"))
FAMILY = (ORIGINAL, MONOCHROME, HUE)
LEVELS = (500, 501, 502, 503)
LENGTHS = np.array([10, 20, 10, 40])
CONFIG = dataclasses.replace(TINY, n_envs=4, total_steps=48)
PPO = dataclasses.replace(CONFIG, agents=1, distill_coef=0.0)


def distances(tv: float, n: int) -> Distances:
    """The same TV in every state."""
    ones, lengths = np.ones(n), LENGTHS[:n]
    return Distances(tv * lengths, tv * lengths / 2, tv * ones, tv * lengths, 0.5 * lengths, ones)


def robustness(
    config: ProcgenConfig,
    *,
    tv: float = 0.2,
    drop: float = 3.0,
    n: int = 4,
    renderings: tuple[Rendering, ...] = FAMILY,
) -> Robustness:
    """Monochrome costs some 3, in every level a bit more or less; hue costs as often as it helps.

    TV is `tv` under monochrome and half of it under hue.
    """
    plan = Plan(LEVELS[:n], renderings, config.seen_renderings, config.discount)
    wave = np.array([0.2, -0.2, 0.1, -0.1])[:n]
    returns = {ORIGINAL: 8 + wave, MONOCHROME: 8 - drop - wave, HUE: 8 - wave}
    sizes = {ORIGINAL: 0.0, MONOCHROME: tv, HUE: tv / 2}
    names = [f"agent {k}" for k in range(config.agents)]
    names += ["mixture"] if config.agents > 1 else []
    plays = {
        name: {
            lead: Play(
                policy=name,
                lead=lead,
                returns=returns.get(lead, 8 + wave),
                discounted_returns=returns.get(lead, 8 + wave) / 2,
                lengths=LENGTHS[:n],
                solved=np.ones(n, dtype=bool),
                entropy=np.ones(n),
                distances={
                    other: distances(abs(sizes.get(lead, 0.0) - sizes.get(other, 0.0)), n)
                    for other in plan.watched(lead)
                },
            )
            for lead in renderings
        }
        for name in names
    }
    return Robustness(config, 3, plan, plays)


def findings(name: str, config: ProcgenConfig = CONFIG, **changes: object) -> RunFindings:
    measured = robustness(config, **changes)  # type: ignore[arg-type]
    rng = np.random.default_rng(config.seed)
    n_renderings = len(measured.plan.renderings)
    episode = np.repeat(np.arange(4), 3)
    states = features.States(np.zeros((n_renderings, 12, 1, 1, 3), np.uint8), episode)
    vectors = [rng.normal(size=(n_renderings, 12, 5)) for _ in range(config.agents)]
    snapshots = tuple(features.numbers(vectors, states, update) for update in (1, 3))
    return RunFindings(
        name=name,
        run=Path("runs") / name,
        measured=measured,
        history=features.FeatureHistory(
            measured.plan, measured.plan.renderings, 12, snapshots, (8, 24)
        ),
        shown=[str(rendering) for rendering in measured.plan.renderings],
        panels=[
            AgentFeatures(
                name=f"agent {k}",
                points=vectors[k][..., :2],
                shares=np.array([0.5, 0.2]),
                convergence=snapshots[-1].agents[k].convergence,
                effective_rank=snapshots[-1].agents[k].effective_rank,
            )
            for k in range(config.agents)
        ],
        moments=None,
        n_moments=0,
        evaluation=None,
    )


def seeds(config: ProcgenConfig, *found: int) -> list[ProcgenConfig]:
    return [dataclasses.replace(config, seed=seed) for seed in found]


def test_algorithms_that_share_seeds_are_paired_over_them() -> None:
    mdpo = [
        findings(f"mdpo-{c.seed}", c, tv=0.2 + 0.02 * c.seed, drop=3 + 0.1 * c.seed)
        for c in seeds(CONFIG, 1, 2, 3)
    ]
    ppo = [findings(f"ppo-{c.seed}", c, tv=0.4, drop=3) for c in seeds(PPO, 2, 1, 4)]
    (found,) = differences([*ppo, *mdpo])
    assert (found.left, found.right) == (
        "mutual distillation of 2 agents, alpha = 1",
        "PPO",
    )
    assert found.seeds == (1, 2)
    assert found.n_renderings == 2
    # Mean R is 3/4 of tv: tv under monochrome and half of it under hue, at any length.
    assert found.robustness == pytest.approx(
        band(0.75 * np.array([0.22 - 0.4, 0.24 - 0.4])), abs=1e-12
    )
    assert found.returned == pytest.approx(band(np.array([-0.05, -0.1])), abs=1e-12)
    assert found.steps == ("48 per agent and 96 in all", "48 per agent and 48 in all")


def test_single_runs_are_paired_over_levels() -> None:
    mdpo, ppo = findings("mdpo-1", CONFIG, tv=0.2), findings("ppo-7", seeds(PPO, 7)[0], tv=0.4)
    (found,) = differences([mdpo, ppo])
    assert found.left == "mdpo-1 (mutual distillation of 2 agents, alpha = 1)"
    assert found.right == "ppo-7 (PPO)"
    assert found.seeds == ()
    assert found.n_levels == 4
    assert found.robustness.mean == pytest.approx(-0.15)
    assert ONE_RUN_EACH in page_sentences.difference(found)


def test_repetitions_of_one_algorithm_are_not_compared() -> None:
    assert differences([findings(f"{c.seed}", c) for c in seeds(CONFIG, 1, 2)]) == []


def test_only_renderings_held_out_from_both_are_compared() -> None:
    augmented = dataclasses.replace(CONFIG, train_renderings=("original", "monochrome"))
    (found,) = differences([findings("plain", drop=3), findings("augmented", augmented, drop=9)])
    assert found.n_renderings == 1
    assert decision(found.returned) == "undecided"  # monochrome, where they differ, is not counted
    everything = dataclasses.replace(CONFIG, train_renderings=tuple(map(str, FAMILY[1:])))
    (found,) = differences([findings("plain"), findings("everything", everything)])
    assert found.n_renderings == 0
    assert "are not compared" in page_sentences.difference(found)


def test_games_and_modes_are_kept_apart_and_pictures_show_what_fits() -> None:
    other = dataclasses.replace(CONFIG, env="procgen:maze")
    a, b, c = findings("a"), findings("b", other), findings("c", seeds(CONFIG, 2)[0])
    assert [[run.name for run in runs] for runs in tasks([a, b, c]).values()] == [["a", "c"], ["b"]]
    d = findings("d", seeds(CONFIG, 3)[0], renderings=FAMILY[:2])
    e = findings("e", seeds(CONFIG, 4)[0])
    groups = same_renderings([a, d, c, e], most=6)
    assert [[run.name for run in runs] for runs in groups] == [["a", "c"], ["d"], ["e"]]


def test_one_seed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="runs must differ in seed or settings, got seed 1 in"):
        require_different(["a", "a"], [CONFIG, dataclasses.replace(CONFIG, device="auto")])
    require_different(["a", "b", "c"], [CONFIG, seeds(CONFIG, 2)[0], PPO])


# --- Evaluations that a run has logged ---


def evaluation(config: ProcgenConfig, update: int = 3) -> Evaluation:
    rng = np.random.default_rng(5)
    levels = {"train": [3, 1], "test": [77, 66, 99]}

    def table(split: str, n: int) -> EpisodeTable:
        size = len(levels[split]) * n
        return EpisodeTable(
            levels=np.repeat(levels[split], n),
            episodes=np.tile(np.arange(n), len(levels[split])),
            returns=rng.normal(size=size),
            lengths=rng.integers(1, 9, size=size),
            solved=rng.random(size) < 0.5,
        )

    tables = {
        name: {
            mode: {split: table(split, n) for split in levels}
            for mode, n in (("sampled", 2), ("greedy", 1))
        }
        for name in ("agent 0", "agent 1", "mixture")
    }
    return Evaluation(config=config, update=update, seed=1, levels=levels, tables=tables)


def write(run: Path, *lines: dict[str, object]) -> Path:
    run.mkdir(exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "evaluations.jsonl").write_text(text)
    return run


def logged(found: Evaluation) -> dict[str, object]:
    return {"update": found.update, "unbiased": found.to_json()}


def test_the_last_unbiased_evaluation_comes_back_as_it_was(tmp_path: Path) -> None:
    first, last = evaluation(CONFIG, 1), evaluation(CONFIG, 2)
    run = write(tmp_path / "run", logged(first), logged(last), {"update": 3, "official": {}})
    found = load_evaluation(run, CONFIG, 3)
    assert found is not None
    assert found.update == 2
    assert found.to_json() == last.to_json()
    assert found.caption() == last.caption()
    left, right = (last.tables["agent 0"]["sampled"][s].by_level("returns") for s in SPLITS)
    assert found.gap("agent 0", "sampled") == welch(left.mean(-1), right.mean(-1))
    early = load_evaluation(run, CONFIG, 1)
    assert early is not None
    assert early.update == 1


def test_a_run_without_one_and_an_exported_file_have_none(tmp_path: Path) -> None:
    assert load_evaluation(write(tmp_path / "run", {"update": 2}), CONFIG, 3) is None
    assert load_evaluation(tmp_path / "file.safetensors", CONFIG, 3) is None


@pytest.mark.parametrize("damage", ["policies", "levels", "returns", "short"])
def test_damaged_evaluations_are_named(tmp_path: Path, damage: str) -> None:
    line = logged(evaluation(CONFIG))
    unbiased: dict = line["unbiased"]  # type: ignore[assignment]
    if damage in unbiased:
        del unbiased[damage]
    elif damage == "returns":
        unbiased["policies"]["agent 0"]["greedy"]["test"]["returns"] = [[1.0]]
    else:
        unbiased["levels"]["test"].pop()
    run = write(tmp_path / "run", line)
    message = "the line of update 3 is not as this version writes it"
    with pytest.raises(ValueError, match=message):
        load_evaluation(run, CONFIG, 3)


# --- The page ---

PLAYED = Played(renderings=("monochrome", "hue=0.1"), levels=4)


def text_of(page: str) -> str:
    """What is read, pictures left out."""
    page = re.sub(r"<svg.*?</svg>", "", page, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", page).replace("&#39;", "'").split())


@pytest.fixture(scope="module")
def page() -> str:
    """Two runs of each of two algorithms, one of them evaluated."""
    runs = [findings(f"mdpo-{c.seed}", c) for c in seeds(CONFIG, 1, 2)]
    runs += [findings(f"ppo-{c.seed}", c, tv=0.3 + 0.1 * c.seed) for c in seeds(PPO, 1, 2)]
    runs[0] = dataclasses.replace(runs[0], evaluation=evaluation(CONFIG, 2))
    return build_page(runs, PLAYED, "mdpo report runs/mdpo-1 ...")


def test_the_page_says_what_was_found_and_never_more(page: str) -> None:
    text = text_of(page)
    assert "Each policy played 4 test levels once under every rendering" in text
    assert "PPO, in pairs over the seeds 1 and 2: mean R is undecided, −0.18" in text
    assert (
        "mdpo-1, agent 0. Compared with original, the return is lower under monochrome (−3.00"
        " [−3.58, −2.42]); undecided under hue=0.1."
    ) in text
    assert "is 0.150 (all the same, no interval) over the 2 held-out renderings" in text
    assert "rendering return change mean R mean R there" in text
    assert "monochrome 5.00 ±0.29 −3.00 ±0.58 0.200" in text
    assert "verified" not in text.lower()
    assert "of the 16 changes of returns" in text  # two of three, three, one and one policies
    for part in ("What was found", "Robustness", "Representations", "Where it comes from"):
        assert f">{part}</h2>" in page
    assert "The moments that cost most" not in text
    for name in ("A0 coverage.", "A3 on-policy.", "A3 with return range"):
        assert name in text


def test_missing_evaluations_are_said_to_be_missing(page: str) -> None:
    text = text_of(page)
    assert "Missing: ppo-1 is a file of weights alone" in text
    assert "The command that plays these levels: mdpo evaluate runs/ppo-1" in text
    assert "Missing: mdpo-1" not in text
    assert "mdpo-1 was evaluated after 2 of the 3 updates done." in text
    assert "2 training levels and 3 test levels, each played 2 times with sampled actions" in text


def test_the_page_says_how_to_repeat_everything(page: str) -> None:
    text = text_of(page)
    flags = "--renderings monochrome hue=0.1 --levels 4"
    assert f"mdpo robustness runs/mdpo-1 runs/mdpo-2 --picture robustness.svg {flags}" in text
    assert f"mdpo representations runs/mdpo-1 --picture features.svg {flags}" in text
    assert "The command that made this page: mdpo report runs/mdpo-1 ..." in text
    assert re.search(r"mdpo-1 mdpo train --env procgen:coinrun --output runs/mdpo-1 --preset", text)
    assert "3 of 3 48 96 original" in text  # updates, steps per agent, in all, renderings


def test_the_page_loads_nothing_and_its_parts_can_be_told_apart(page: str) -> None:
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert links
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert not re.search(r"<(script|link|img|iframe)|@import|url\((?!#)", page)
    marks = ("states", "joined", "rendering", "average")  # of lines, the same throughout a picture
    ids = [found for found in re.findall(r'\bid="([^"]*)"', page) if not found.endswith(marks)]
    assert len(ids) == len(set(ids))
    alts = re.findall(r'aria-label="([^"]*)"', page)
    assert len(alts) == len(set(alts)) == page.count("<figure")


def test_the_same_measurements_give_the_same_bytes() -> None:
    first, second = (build_page([findings("a", PPO)], PLAYED, "mdpo report a") for _ in range(2))
    assert first == second


def test_games_get_parts_of_their_own() -> None:
    other = dataclasses.replace(PPO, env="procgen:maze")
    text = text_of(build_page([findings("a", PPO), findings("b", other)], PLAYED, "mdpo report"))
    for game in ("coinrun", "maze"):
        assert f"{game}, easy, trained on levels 0 to 9: what was found" in text
    assert "in pairs over" not in text


def test_one_level_is_undecided_throughout() -> None:
    text = text_of(build_page([findings("a", PPO, n=1)], PLAYED, "mdpo report a"))
    assert "Each policy played 1 test level once" in text
    assert "One level was played, so it is undecided whether the return changes" in text
    assert "lower under" not in text
    assert "nan" not in text


def test_strengths_get_a_picture_of_their_own() -> None:
    family = (ORIGINAL, *(Rendering.parse(f"hue=0.{k}") for k in (1, 2, 3)))
    played = dataclasses.replace(PLAYED, strengths=True)
    page = build_page([findings("a", PPO, renderings=family)], played, "mdpo report a")
    assert "Mean R and return against strengths of transformations, a" in page
    assert "--strength-picture strengths.svg" in text_of(page)


def test_runs_without_snapshots_have_no_curve() -> None:
    run = findings("a", PPO)
    last = dataclasses.replace(run.history, snapshots=run.history.snapshots[-1:], steps=(24,))
    text = text_of(build_page([dataclasses.replace(run, history=last)], PLAYED, "mdpo report a"))
    assert "No curve over training: a kept no snapshots" in text
    assert "--curve" not in text


# --- The command ---

SHORT = dataclasses.replace(
    TINY, env="procgen:bossfight", agents=1, distill_coef=0.0, snapshot_every=2
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run in a game of short episodes."""
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("page") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "TrainingEvaluations", FakeEvaluations)
        train(SHORT, run)
    return run


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[ReportProcgen]:
    """What pages would have been made, in place of measuring."""
    made: list[ReportProcgen] = []

    def find(self: ReportProcgen, name: str, run: Path, show: object) -> RunFindings:
        made.append(self)
        return dataclasses.replace(findings(name, PPO), run=run)

    monkeypatch.setattr(report_command.ReportProcgen, "_find", find)
    return made


@pytest.mark.slow
def test_report_measures_once_and_writes_a_page_once(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    flags = ["--levels", "2", "--renderings", "monochrome", "--moments", "1"]
    arguments = ["report", str(run), *flags]
    assert cli.main(arguments) == 0
    path = run / "report.html"
    assert f"page: {path}" in capsys.readouterr().out
    page, measured = path.read_bytes(), sorted((run / "measured").iterdir())
    kept = [file.read_bytes() for file in measured]
    assert f"{path} exists already" in refused(capsys, *arguments)
    assert path.read_bytes() == page
    assert cli.main([*arguments, "--force"]) == 0
    assert path.read_bytes() == page
    assert [file.read_bytes() for file in measured] == kept
    text = text_of(page.decode())
    assert "The moments that cost most" in text
    assert "Missing: run has logged no such evaluation. The command" in text
    assert f"mdpo report {run} --moments 1 --renderings monochrome --levels 2" in text
    assert f"mdpo representations {run} --curve convergence.svg" in text


def test_the_flags_of_a_page_arrive(
    trained: Path, tmp_path: Path, pages: list[ReportProcgen]
) -> None:
    output = tmp_path / "new" / "page.html"
    flags = ["--output", str(output), "--moments", "0", "--levels", "3", "--strengths", "--train"]
    flags += ["--renderings", "hue=0.1", "--no-mixture", "--seed", "4", "--device", "cpu"]
    changed = dataclasses.replace(
        ReportProcgen((trained,)),
        output=output,
        moments=0,
        played=Played(("hue=0.1",), True, 3, True, False, 4, "cpu"),
    )
    with pytest.raises(ValueError, match="renderings must have several strengths"):
        changed.run()  # the hand-made runs have one strength
    assert pages == [changed]
    assert not output.exists()
    assert cli.main(["report", str(trained), *flags]) == 2
    assert pages == [changed, changed]


def test_an_exported_files_page_lies_beside_it(
    trained: Path, tmp_path: Path, pages: list[ReportProcgen], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.safetensors"
    export(trained, file)
    assert cli.main(["report", str(file), "--moments", "0"]) == 0
    path = tmp_path / "report.html"
    assert f"page: {path}" in capsys.readouterr().out
    before = path.read_bytes()
    assert "Missing: policy is a file of weights alone" in text_of(before.decode())
    assert f"{path} exists already" in refused(capsys, "report", str(file))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--levels", "0"], "levels must be from 1"),
        (["--moments", "-1"], "moments must be from 0"),
        (["--renderings", "original"], "renderings must be held out at least one"),
        (["--renderings", "monochrom"], "did you mean 'monochrome'?"),
        (["--shrinkage"], "--shrinkage"),
        (["{run}"], "runs must differ, got {run} twice"),
        (["nowhere"], "nowhere does not exist"),
        (["{empty}"], "empty is no run of `mdpo train`"),
        (["{grid}"], "a page needs runs on Procgen alone or on the pixel grid alone, got both: "),
        (["--output", "{empty}"], "empty exists already"),
    ],
)
def test_wrong_inputs_are_one_line_and_measure_nothing(
    trained: Path,
    tmp_path: Path,
    pages: list[ReportProcgen],
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / "config.json").write_text("{}")
    places = {"run": trained, "empty": tmp_path / "empty", "grid": tmp_path / "grid"}
    arguments = [flag.format(**places) for flag in flags]
    assert message.format(**places) in refused(capsys, "report", str(trained), *arguments)
    assert pages == []
    assert not (trained / "report.html").exists()


def test_a_pixel_grid_run_first_is_no_excuse_for_a_mixture(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = tmp_path / "grid"
    grid.mkdir()
    (grid / "config.json").write_text("{}")
    message = refused(capsys, "report", str(grid), str(trained))
    assert message.endswith(f"got both: {trained} and {grid}")
    # A page that is written over is no run, whatever it is called.
    assert not cli._reports_procgen(["report", "--output", str(trained), str(grid)])
