"""Features of trained networks on the same states: which states, which numbers, what is kept."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from experiments import representations
from experiments.envs.procgen import libenv
from experiments.envs.procgen.renderings import ORIGINAL
from experiments.procgen import evaluate
from experiments.procgen.measures import features as module
from experiments.procgen.measures import features_summary
from experiments.procgen.measures.features import (
    FEATURES,
    PER_EPISODE,
    FeatureHistory,
    Snapshot,
    States,
    collect_states,
    measure_features,
    numbers,
    panels,
)
from experiments.procgen.measures.measure_commands import Played
from experiments.procgen.measures.representation_figures import (
    convergence_curve,
    representation_figure,
)
from experiments.procgen.measures.robustness import Plan
from experiments.procgen.policy import Policy, mixture
from mdtheory import files
from mdtheory.intervals import Band
from tests.procgen_scripted import (
    BLACK,
    CODES,
    CONFIG,
    HUE,
    IMAGE,
    Known,
    KnownGames,
    Looking,
    film,
    no_games,
    note_devices,
    play_known_games,
    tiny_agents,
)

needs_games = pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")
PLAN = Plan((30, 5, 12, 8, 40, 17), (BLACK, ORIGINAL, HUE), (ORIGINAL,), 0.9, seed=3)
ORDER = (ORIGINAL, BLACK, HUE)


@pytest.fixture
def known_games(monkeypatch: pytest.MonkeyPatch) -> None:
    play_known_games(monkeypatch)


def collected(policy: Any, plan: Plan = PLAN) -> States:
    return collect_states(policy, plan)


# Which states.


def test_states_are_at_most_eight_of_each_episode_in_all_renderings(known_games):
    states = collected(Known())
    assert PER_EPISODE == 8
    assert np.bincount(states.episode).tolist() == [8, 5, 8, 8, 8, 8]
    assert states.pictures.shape == (3, 45, 64, 64, 3)
    assert states.pictures.dtype == np.uint8
    code, level, step = np.moveaxis(states.pictures[:, :, 0, 0].astype(int), -1, 0)
    assert (code == np.array([CODES[r] for r in ORDER])[:, None]).all()
    for one in (level, step):  # the same states in all renderings
        assert (one == one[0]).all()
    np.testing.assert_array_equal(level[0], np.array(PLAN.levels)[states.episode])
    for row, n in enumerate(PLAN.levels):
        steps = step[0][states.episode == row]
        assert len(set(steps.tolist())) == len(steps)
        assert (steps < n).all()
    assert sorted(step[0][states.episode == 1].tolist()) == [0, 1, 2, 3, 4]


def test_states_are_uniform_over_each_episode():
    """Each of 20 steps is kept in 8/20 of 2,000 episodes, 800 of them with deviation 22."""
    n, length = 2000, 20
    collector = module._Collector(n, seed=0)
    games = KnownGames("maze", 1, [ORIGINAL])
    for t in range(length):
        games._step[:] = t
        collector.look(np.arange(n), np.zeros((n, 15)), games, np.zeros(n, dtype=int))  # type: ignore[arg-type]
    steps = np.array([[picture[0, 0, 0, 2] for picture in kept] for kept in collector.kept])
    assert steps.shape == (n, 8)
    counts = np.bincount(steps.ravel(), minlength=length)
    assert abs(counts - 800).max() < 4.5 * 22
    together = (np.isin(0, steps), [(0 in row) and (1 in row) for row in steps.tolist()])
    assert sum(together[1]) / n == pytest.approx(8 * 7 / (20 * 19), abs=0.04)


def test_states_follow_from_the_seed(known_games):
    first, again, other = (
        collected(Known(), dataclasses.replace(PLAN, seed=seed)) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.pictures, again.pictures)
    assert not np.array_equal(first.pictures, other.pictures)


@needs_games
def test_states_are_those_of_environments_stepped_side_by_side():
    policy = Looking(config=dataclasses.replace(CONFIG, env="procgen:bossfight"))
    policy.weights /= 20  # so that chance decides
    plan = Plan((900, 3), (HUE, ORIGINAL, BLACK, IMAGE), (IMAGE,), 0.9, seed=2)
    order = (IMAGE, HUE, ORIGINAL, BLACK)
    states = collected(policy, plan)
    for row, level in enumerate(plan.levels):
        shown = [np.array(pictures) for pictures, *_ in film("bossfight", order, policy, level, 2)]
        mine = states.pictures[:, states.episode == row]
        assert mine.shape[1] == min(8, len(shown))
        steps = [
            next(t for t, one in enumerate(shown) if np.array_equal(one, mine[:, i]))
            for i in range(mine.shape[1])
        ]
        assert len(set(steps)) == len(steps)
    np.testing.assert_array_equal(states.pictures[1], HUE.transformed(states.pictures[2]))


# Which numbers.


def assert_bands_equal(mine: Any, theirs: Any) -> None:
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def assert_snapshots_equal(mine: Sequence[Snapshot], theirs: Sequence[Snapshot]) -> None:
    assert json.dumps([one.to_json() for one in mine]) == json.dumps(
        [one.to_json() for one in theirs]
    )


def features_of(policy: Policy, states: States) -> np.ndarray:
    """One picture at a time."""
    with torch.no_grad():
        flat = torch.from_numpy(states.pictures.reshape(-1, 1, 64, 64, 3))
        found = np.array([policy.networks[0].features(one)[0].numpy() for one in flat])
    return found.reshape(*states.pictures.shape[:2], -1)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_numbers_are_those_of_representations(n, known_games, tmp_path):
    agents = tiny_agents(n)
    training = measure_features(tmp_path, agents, PLAN, tmp_path, None)
    assert (training.plan, training.renderings, training.n_states) == (PLAN, ORDER, 45)
    assert training.steps == (7 * CONFIG.samples,)
    (found,) = training.snapshots
    assert (found.update, len(found.agents)) == (7, n)
    player = agents[0] if n == 1 else Policy(
        "mixture", CONFIG, 7, tuple(a.networks[0] for a in agents)
    )  # fmt: skip
    states = collected(player)
    features = [features_of(agent, states) for agent in agents]
    episode = states.episode

    def close(mine: Band, theirs: Band) -> None:
        np.testing.assert_allclose(np.array(mine, float), np.array(theirs, float), rtol=2e-4)

    for mine, x in zip(found.agents, features, strict=True):
        expected = representations.convergence(x, episode)
        close(mine.convergence, expected.average)
        for name in ("each", "within", "between"):
            close(getattr(mine, name), getattr(expected, name))
        for i, rendering in enumerate(ORDER[1:]):
            one = representations.cka(x[:1], x[[1 + i]], episode).each
            close(Band(*(part[i] for part in mine.cka)), Band(*(part[0] for part in one)))
            assert rendering == training.renderings[1 + i]
        close(mine.effective_rank, representations.effective_rank(x[0], episode))
    if n == 1:
        assert found.cka is None
        assert found.each_cka is None
        return
    pairs = [representations.cka(x, y, episode) for x, y in itertools.combinations(features, 2)]
    assert found.cka is not None
    assert found.each_cka is not None
    close(found.cka, Band(*np.mean([pair.average for pair in pairs], axis=0)))
    close(found.each_cka, Band(*np.mean([pair.each for pair in pairs], axis=0)))
    assert np.shape(found.each_cka.mean) == (3,)


def test_hand_worked_numbers():
    """Features that double in the second rendering and are the same in the third."""
    reference = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1]])
    features = np.array([reference, 2 * reference, reference])
    states = States(np.zeros((3, 6, 64, 64, 3), np.uint8), np.arange(6))
    found = numbers([features, features @ np.array([[0, 3.0], [-3, 0]])], states, 11)
    assert found.update == 11
    one = found.agents[0]
    # E|x - y|^2 = mean |x|^2 = 8/6; 0 for the third.  E|x - y'|^2 over pairs of other states:
    # |x|^2 + 4 |x'|^2 - 4 x.x', means 8/6, 4 8/6 and x.x' = -8/30, as the sum of all x is 0.
    apart = (8 / 6 + 4 * 8 / 6 + 4 * 8 / 30, 8 / 6 + 8 / 6 + 2 * 8 / 30)
    np.testing.assert_allclose(one.within.mean, [8 / 6, 0], atol=1e-15)
    np.testing.assert_allclose(one.between.mean, apart)
    np.testing.assert_allclose(one.each.mean, [1 - (8 / 6) / apart[0], 1])
    assert one.convergence.mean == pytest.approx(1 - (8 / 6) / apart[0] / 2)
    np.testing.assert_allclose(one.cka.mean, [1, 1])
    assert found.cka is not None
    assert found.cka.mean == pytest.approx(1)  # turned and scaled
    np.testing.assert_allclose(found.agents[1].each.mean, one.each.mean)
    np.testing.assert_allclose(found.agents[1].within.mean, 9 * np.array([8 / 6, 0]), atol=1e-14)


def test_a_snapshot_is_all_in_its_json(known_games, tmp_path):
    for n, levels in ((1, (30, 5, 12)), (3, (30, 5, 12, 8, 40, 17))):
        plan = dataclasses.replace(PLAN, levels=levels)
        (found,) = measure_features(
            tmp_path, tiny_agents(n), plan, tmp_path / str(n), None
        ).snapshots
        again = Snapshot.from_json(json.loads(json.dumps(found.to_json())))
        assert_snapshots_equal([again], [found])
        assert again.update == 7
        for mine, theirs in zip(again.agents, found.agents, strict=True):
            for name in ("convergence", "each", "within", "between", "cka", "effective_rank"):
                assert_bands_equal(getattr(mine, name), getattr(theirs, name))
        if n == 1:
            assert again.cka is again.each_cka is None
            assert np.isnan(again.agents[0].cka.mean).all()  # of three episodes
        else:
            assert again.cka is not None
            assert_bands_equal(again.cka, found.cka)
            assert_bands_equal(again.each_cka, found.each_cka)


def test_there_must_be_something_to_compare_with(tmp_path):
    plan = dataclasses.replace(PLAN, renderings=(ORIGINAL,))
    with pytest.raises(ValueError, match="at least two, the reference and another, got one"):
        measure_features(tmp_path, tiny_agents(1), plan, tmp_path, None)
    assert list(tmp_path.iterdir()) == []


# Snapshots.


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known_games: None) -> Path:
    """A run of two agents after 7 updates, with copies after 0, 2, 4, 7 and, of a later part of
    training that was lost, 8 updates."""
    run = tmp_path / "run"
    (run / "snapshots").mkdir(parents=True)
    for update in (0, 2, 4, 7, 8):
        (run / "snapshots" / f"update-{update:07d}.safetensors").touch()

    def load(path: Path) -> list[Policy]:
        update = int(path.stem.removeprefix("update-"))
        assert update < 7
        return tiny_agents(2, first_seed=10 * (1 + update), update=update)

    monkeypatch.setattr(module, "load_policies", load)
    return run


def measured(run: Path, plan: Plan = PLAN, **settings: Any) -> FeatureHistory:
    agents = settings.pop("agents", None) or tiny_agents(2)
    return measure_features(run, agents, plan, run / "measured", settings.pop("on_progress", None))


def test_snapshots_come_in_order_and_the_last_checkpoint_once(run):
    training = measured(run)
    assert [one.update for one in training.snapshots] == [0, 2, 4, 7]
    assert training.steps == tuple(u * CONFIG.samples for u in (0, 2, 4, 7))
    lines = (run / "measured" / FEATURES).read_text().splitlines()
    assert [json.loads(line)["update"] for line in lines] == [0, 2, 4, 7]


def test_all_snapshots_are_asked_about_the_states_of_the_last(run):
    training = measured(run)
    states = collected(Policy("mixture", CONFIG, 7, tuple(a.networks[0] for a in tiny_agents(2))))
    for update, one in zip((0, 2, 4), training.snapshots, strict=False):
        agents = tiny_agents(2, first_seed=10 * (1 + update))
        expected = numbers([features_of(agent, states) for agent in agents], states, update)
        for mine, theirs in zip(one.agents, expected.agents, strict=True):
            np.testing.assert_allclose(mine.each.mean, theirs.each.mean, rtol=1e-4)


def test_the_mixture_of_all_agents_visits_the_states(run, monkeypatch):
    players: list[Policy] = []

    def collect(player: Policy, *arguments: Any) -> States:
        players.append(player)
        return collect_states(player, *arguments)

    monkeypatch.setattr(module, "collect_states", collect)
    monkeypatch.setattr(features_summary, "collect_states", collect)
    agents = tiny_agents(2)
    monkeypatch.setattr(evaluate, "load_on", lambda path, device: agents)
    training = measured(run, agents=agents)
    features_summary.panels(run, training, Played())
    assert [player.digest for player in players] == [mixture(agents).digest] * 2
    measured(run, agents=[agents[0], *tiny_agents(2, first_seed=6)[1:]])
    assert len(players) == 3  # another mixture, though agent 0 is the same


def test_snapshots_that_were_measured_are_not_measured_again(run, monkeypatch):
    first = measured(run)
    before = (run / "measured" / FEATURES).read_bytes()
    monkeypatch.setattr(evaluate, "LockstepGames", no_games)
    again = measured(run)
    assert_snapshots_equal(again.snapshots, first.snapshots)
    assert (again.n_states, again.steps, again.renderings) == (45, first.steps, first.renderings)
    assert (run / "measured" / FEATURES).read_bytes() == before


def test_a_new_snapshot_alone_is_measured(run, monkeypatch):
    first = measured(run)
    before = (run / "measured" / FEATURES).read_bytes()
    (run / "snapshots" / "update-0000003.safetensors").touch()
    loaded: list[int] = []
    load = module.load_policies
    monkeypatch.setattr(
        module, "load_policies", lambda path: loaded.append(int(path.stem[7:])) or load(path)
    )
    training = measured(run)
    assert loaded == [3]
    assert [one.update for one in training.snapshots] == [0, 2, 3, 4, 7]
    assert (run / "measured" / FEATURES).read_bytes().startswith(before)
    kept = [one for one in training.snapshots if one.update != 3]
    assert_snapshots_equal(kept, first.snapshots)


def test_measuring_that_was_killed_goes_on_to_the_same_file(run, monkeypatch):
    whole = measured(run).snapshots
    path = run / "measured" / FEATURES
    expected = path.read_bytes()
    real = module._features
    for stop_after in (0, 1, 3, 6):
        path.unlink()
        count = itertools.count()

        def stopping(*arguments: Any, limit: int = stop_after, count: Any = count) -> np.ndarray:
            if next(count) == limit:
                raise KeyboardInterrupt
            return real(*arguments)

        monkeypatch.setattr(module, "_features", stopping)
        with pytest.raises(KeyboardInterrupt):
            measured(run)
        assert expected.startswith(path.read_bytes() if path.exists() else b"")
        monkeypatch.setattr(module, "_features", real)
        assert_snapshots_equal(measured(run).snapshots, whole)
        assert path.read_bytes() == expected
    for cut in (1, len(expected) // 2, len(expected) - 1):
        path.write_bytes(expected[:cut])
        assert_snapshots_equal(measured(run).snapshots, whole)
        assert path.read_bytes() == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": (30, 5, 12, 8, 40)},
        {"seed": 4},
        {"renderings": (ORIGINAL, HUE, BLACK)},
        {"renderings": (ORIGINAL, HUE)},
        {"renderings": (HUE, ORIGINAL, BLACK), "train": (HUE, ORIGINAL)},
    ],
)
def test_other_settings_do_not_mix(changes, run, monkeypatch):
    first = measured(run)
    other = dataclasses.replace(PLAN, **changes)
    found = measured(run, other)
    path = run / "measured" / FEATURES
    assert len(path.read_text().splitlines()) == 8
    alone = measure_features(run, tiny_agents(2), other, run / "alone", None)
    assert_snapshots_equal(found.snapshots, alone.snapshots)
    assert found.n_states == alone.n_states
    monkeypatch.setattr(evaluate, "LockstepGames", no_games)
    again = measured(run)
    assert_snapshots_equal(again.snapshots, first.snapshots)
    assert again.n_states == first.n_states


@pytest.mark.parametrize("change", [{"env": "procgen:leaper"}, {"distribution_mode": "hard"}])
def test_equal_weights_in_another_game_or_mode_do_not_mix(change, run):
    measured(run)
    config = dataclasses.replace(tiny_agents(2)[0].config, **change)
    agents = [dataclasses.replace(agent, config=config) for agent in tiny_agents(2)]
    before = len((run / "measured" / FEATURES).read_text().splitlines())
    measured(run, agents=agents)
    assert len((run / "measured" / FEATURES).read_text().splitlines()) == 2 * before


def test_other_agents_do_not_mix(run):
    measured(run)
    other = tiny_agents(2, first_seed=5)
    found = measured(run, agents=other)
    assert len((run / "measured" / FEATURES).read_text().splitlines()) == 8
    alone = measure_features(run, other, PLAN, run / "alone", None)
    assert_snapshots_equal(found.snapshots, alone.snapshots)


def test_the_discount_does_not_matter(run, monkeypatch):
    first = measured(run)
    monkeypatch.setattr(evaluate, "LockstepGames", no_games)
    again = measured(run, dataclasses.replace(PLAN, discount=0.5))
    assert_snapshots_equal(again.snapshots, first.snapshots)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"key"', '"yek"', "KeyError('key')"),
        ('"states"', '"state"', "KeyError('states')"),
        ('"within"', '"without"', "KeyError('within')"),
        ('"agents": [{', '"agents": [3, {', "TypeError("),
    ],
)
def test_a_damaged_line_is_named(old, new, what, run):
    measured(run)
    path = run / "measured" / FEATURES
    first, second, *rest = path.read_text().splitlines()
    path.write_text("\n".join([first, second.replace(old, new, 1), *rest]) + "\n")
    with pytest.raises(ValueError, match="line 2, is damaged") as caught:
        measured(run)
    assert str(caught.value).startswith(f"{path}, line 2, is damaged: {what}")


def test_two_processes_do_not_measure_into_one_folder(run):
    (run / "measured").mkdir()
    with (
        files.only_one(run / "measured"),
        pytest.raises(BlockingIOError, match=r"^another process is at work in"),
    ):
        measured(run)


def test_a_file_has_no_snapshots(known_games, tmp_path):
    path = tmp_path / "policy.safetensors"
    path.touch()
    training = measure_features(path, tiny_agents(1), PLAN, tmp_path / "measured", None)
    assert [one.update for one in training.snapshots] == [7]


def test_progress_rises_to_one(run):
    shown: list[tuple[str, float]] = []
    measured(run, on_progress=lambda text, share: shown.append((text, share)))
    shares = [share for _, share in shown]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert 0.5 in shares
    assert shown[-1][0] == "features after 7 updates"


# What is shown.


def test_curves_hold_each_number_in_its_place(run):
    training = measured(run)
    curves = training.curves("a run")
    assert curves.name == "a run"
    np.testing.assert_array_equal(curves.steps, training.steps)
    assert np.shape(curves.convergence.mean) == (2, 4)
    assert curves.each_convergence.shape == (2, 2, 4)
    assert curves.each_cka is not None
    assert curves.cka is not None
    assert curves.each_cka.shape == (3, 4)
    for t, one in enumerate(training.snapshots):
        for k, agent in enumerate(one.agents):
            mine = [part[k, t] for part in curves.convergence]
            assert_bands_equal(mine, agent.convergence)
            np.testing.assert_array_equal(curves.each_convergence[k, :, t], agent.each.mean)
        assert one.cka is not None
        assert one.each_cka is not None
        assert_bands_equal([part[t] for part in curves.cka], one.cka)
        np.testing.assert_array_equal(curves.each_cka[:, t], one.each_cka.mean)
    convergence_curve([curves], command="mdpo").savefig(run / "curve.svg")


def test_curves_of_one_agent_have_no_alignment(known_games, tmp_path):
    curves = measure_features(tmp_path, tiny_agents(1), PLAN, tmp_path, None).curves("a run")
    assert curves.cka is curves.each_cka is None
    assert np.shape(curves.convergence.low) == (1, 1)
    assert curves.each_convergence.shape == (1, 2, 1)
    convergence_curve([curves], command="mdpo").savefig(tmp_path / "curve.svg")


def printed(shown: Any) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(shown)
    return console.export_text()


def test_the_table_shows_the_last_snapshot(run):
    training = measured(run)
    rows = features_summary.rows(training)
    assert [row[0] for row in rows] == [
        f"agent {k}, {what}" for k in (0, 1) for what in ("mean", "no-background", "hue=0.1")
    ]
    last = training.snapshots[-1]
    assert last.cka is not None
    assert last.each_cka is not None
    for k, agent in enumerate(last.agents):
        mean, *each = rows[3 * k : 3 * k + 3]
        assert mean[1].startswith(f"{float(agent.convergence.mean):.3f}\n[")
        assert mean[2:4] == ["", f"{agent.cka.mean.mean():.3f}"]
        assert mean[4].startswith(f"{float(agent.effective_rank.mean):.1f}\n[")
        assert mean[5].startswith(f"{float(last.cka.mean):.3f}\n[")
        for i, row in enumerate(each):
            assert row[1].splitlines()[0] == f"{agent.each.mean[i]:.3f}"
            assert row[2] == f"{agent.within.mean[i]:.3g} / {agent.between.mean[i]:.3g}"
            assert row[3:] == [
                f"{agent.cka.mean[i]:.3f}", "", f"{last.each_cka.mean[i + 1]:.3f}",
            ]  # fmt: skip
    text = printed(features_summary.table(training, "my [bold] run"))
    assert "my [bold] run: 45 states of 6 levels, after 7 updates" in text
    for header in ("agent, rendering", *features_summary.HEADER):
        assert header in text
    for cell in itertools.chain(*rows):
        assert all(part in text for part in cell.splitlines())


def test_the_table_of_one_agent_says_so(known_games, tmp_path):
    training = measure_features(tmp_path, tiny_agents(1), PLAN, tmp_path, None)
    rows = features_summary.rows(training)
    assert [row[5] for row in rows] == ["one agent", "", ""]


def test_panels_show_the_reference_and_the_renderings_of_least_convergence(
    run, monkeypatch, tmp_path
):
    agents = tiny_agents(2)
    devices = note_devices(monkeypatch, run, agents)
    monkeypatch.setattr(features_summary, "SHOWN", 1)
    training = measured(run)
    last = training.snapshots[-1]
    least = int(np.argmin(sum(agent.each.mean for agent in last.agents)))
    names, shown = features_summary.panels(run, training, Played(device="cpu"))
    assert devices == ["cpu"]
    assert names == ["original", str(ORDER[1 + least])]
    states = collected(Policy("mixture", CONFIG, 7, tuple(a.networks[0] for a in agents)))
    for agent, panel, numbers_ in zip(agents, shown, last.agents, strict=True):
        expected = representations.principal_components(features_of(agent, states))
        assert panel.points.shape == (2, 45, 2)
        np.testing.assert_allclose(panel.points, expected.points[[0, 1 + least]], atol=1e-3)
        np.testing.assert_allclose(panel.shares, expected.shares, rtol=1e-3)
        assert (panel.name, panel.convergence) == (agent.name, numbers_.convergence)
        assert panel.effective_rank == numbers_.effective_rank
    representation_figure(shown, names, command="mdpo").savefig(tmp_path / "figure.svg")


def test_panels_keep_the_order_of_the_renderings_asked_for(known_games):
    agents = tiny_agents(1)
    states = collected(agents[0])
    found = numbers([features_of(agents[0], states)], states, 7)
    (panel,) = panels(agents, states, found, [0, 2])
    points = representations.principal_components(features_of(agents[0], states)).points
    np.testing.assert_allclose(panel.points, points[[0, 2]], atol=1e-3)


def test_large_batches_are_cut(known_games):
    """A network is never asked about more pictures at once than `BATCH`."""
    sizes: list[int] = []

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(1, 1)

        def features(self, observation: torch.Tensor) -> torch.Tensor:
            sizes.append(len(observation))
            return observation[:, 0, 0].float()

    states = collected(Known())
    policy = Policy("agent 0", CONFIG, 7, (Counting(),))  # type: ignore[arg-type]
    found = module._features(policy, states)
    assert sizes == [64, 64, 7]
    np.testing.assert_array_equal(found, states.pictures[:, :, 0, 0])
