"""The chain: laws on trained agents, numbers worked by hand, what it says and what it draws."""

from __future__ import annotations

import dataclasses
import math
import shutil
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments import tensor_file
from experiments.interval import interval
from experiments.pixelgrid import chain as chains
from experiments.pixelgrid import chain_words as words
from experiments.pixelgrid.audit import audit_run
from experiments.pixelgrid.chain import Chain, chain_of, measured
from experiments.pixelgrid.config import TrainConfig
from experiments.pixelgrid.figures import chain_figure
from experiments.pixelgrid.train import METRICS, train
from mdtheory import FiniteMDP, Problem, RenderingFamily
from mdtheory.agents import pairs_of
from mdtheory.report import style
from tests.small_run import SMALL

HALF = Fraction(1, 2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    small = dataclasses.replace(SMALL, seeds=3, updates=4)
    configs = {
        "ppo": dataclasses.replace(small, distill_coef=0.0),
        "mdpo": small,
        "three": dataclasses.replace(small, agents=3),
        "one": dataclasses.replace(small, agents=1, distill_coef=0.0),
    }
    for name, config in configs.items():
        train(config, folder / name)
    return {name: folder / name for name in configs}


@pytest.fixture(scope="module")
def trained(runs: dict[str, Path]) -> list[Chain]:
    return [chain_of(runs[name]) for name in ("ppo", "mdpo", "three")]


def one_state() -> Problem:
    """One state; action 0 pays 1, action 1 nothing; one of two renderings is for training."""
    mdp = FiniteMDP(
        transition=[[[1], [1]]],
        reward=[[1, 0]],
        initial=[1],
        discount=HALF,
        reward_bounds=(0, 1),
    )
    renderings = RenderingFamily(
        observation=[[0], [1]], train_mask=[True, False], weights=[HALF, HALF]
    )
    return Problem(mdp=mdp, renderings=renderings)


def of_policies(
    agents: Any, logged: Any = (0.5, 0.25), *, name: str = "hand", distill_coef: float = 1.0
) -> Chain:
    """The chain of probabilities [seed][agent][rendering] of action 0 in `one_state`."""
    first = np.asarray(agents, dtype=float)[..., None]  # [seed, agent, F, S]
    n_seeds, n_agents = first.shape[:2]
    losses = np.broadcast_to(np.asarray(logged, dtype=float), (n_seeds, n_agents))
    policies = np.stack([first, 1 - first], axis=-1)
    values, violations, checked = measured(one_state(), policies, losses)
    return Chain(
        name=name,
        config=dataclasses.replace(SMALL, seeds=n_seeds, distill_coef=distill_coef),
        update=4,
        pairs=pairs_of(n_agents),
        values=values,
        violations=violations,
        checked=checked,
    )


FRAGILE_AND_BLIND = [[[0.75, 0.25], [0.5, 0.5]]]


def test_numbers_worked_by_hand() -> None:
    """Agent 0 depends on the rendering (R = 1/2), agent 1 is uniform: B1 is attained."""
    found = of_policies(FRAGILE_AND_BLIND)
    divergence = math.log(4 / 3) / 2  # of uniform from (3/4, 1/4), in nats
    pinsker = math.sqrt(divergence / 2)
    assert found.pairs == [(0, 1), (1, 0)]
    steps = {step.statement: step for step in found.steps if step.statement}
    expected = {
        "B3": (0.25, pinsker, None),
        "B2": (0.25, pinsker, pinsker),
        "B1": (0.5, 0.5, 2 * pinsker),
        "A2": (0.5, 2 / 3, 2 * pinsker / (0.5 + pinsker)),
        "A3": (0.5, 1.0, None),
    }
    for name, (exact, bound, chained) in expected.items():
        step = steps[name]
        assert step.exact[0, 0] == pytest.approx(exact)
        assert step.bound is not None
        assert step.bound[0, 0] == pytest.approx(bound)
        if chained is None:
            assert step.chained is None
        else:
            assert step.chained is not None
            assert step.chained[0, 0] == pytest.approx(chained)
    assert steps["B3"].estimate is not None
    assert steps["B3"].estimate[0] == pytest.approx([0.5, math.sqrt(0.125)])
    assert found.values["divergence"][0, 0] == pytest.approx(divergence)
    assert found.values["mean_divergence"][0, 0] == pytest.approx(divergence)
    assert found.values["train_disagreement"][0] == pytest.approx([0.25, 0.25])


def test_the_blind_agent_learns_nothing_from_the_fragile_one() -> None:
    """B1 for the pair (1, 0): R = 0, and the bound is 1/2 + 2/4, all that is possible."""
    step = of_policies(FRAGILE_AND_BLIND).step("B1")
    assert step.exact[0].tolist() == [0.5, 0.0]
    assert step.bound is not None
    assert step.bound[0] == pytest.approx([0.5, 1.0])
    assert step.silent("bound")[0].tolist() == [False, True]
    assert step.silent("chained")[0].tolist() == [False, True]


def test_values_are_at_most_their_bounds_and_these_at_most_the_chained_ones(
    trained: list[Chain],
) -> None:
    for chain in (*trained, of_policies(FRAGILE_AND_BLIND)):
        assert chain.violations == 0
        for step in chain.steps:
            bound, chained = step.shown("bound"), step.shown("chained")
            if bound is not None:
                assert (step.exact <= bound + 1e-12).all(), (chain.name, step.statement)
            if bound is not None and chained is not None:
                assert (bound <= chained + 1e-12).all(), (chain.name, step.statement)


def test_means_are_at_most_maxima(trained: list[Chain]) -> None:
    for chain in trained:
        v = chain.values
        assert (v["mean_disagreement"] <= v["train_disagreement"] + 1e-12).all()
        assert (v["train_disagreement"] <= v["disagreement"]).all()
        assert (v["mean_divergence"] <= v["divergence"] + 1e-12).all()


def test_identical_agents_do_not_disagree() -> None:
    found = of_policies([[[0.75, 0.25], [0.75, 0.25]]], logged=0.0)
    for name in ("mean_divergence", "divergence", "mean_disagreement", "disagreement"):
        assert found.values[name].tolist() == [[0.0, 0.0]]
    assert found.step("B1").bound == pytest.approx(found.values["robustness"])
    assert found.step("B3").share() is None
    assert set(words.shares(found)) == {"B1", "A2", "A3"}
    assert all(isinstance(sentence, str) for sentence in words.sentences([found]))


def test_agents_that_exclude_each_other_are_infinitely_far_apart() -> None:
    excluding = [[[1.0, 1.0], [0.0, 0.0]]] * 2
    pair = [of_policies(excluding, name=str(alpha), distill_coef=alpha) for alpha in (0.0, 1.0)]
    assert np.isinf(pair[0].values["divergence"]).all()
    step = pair[0].step("B2")
    assert step.bound is not None
    assert step.bound.tolist() == [[1.0, 1.0]] * 2
    assert pair[0].step("B1").silent().all()
    shown = [
        *words.sentences(pair),
        *(cell for row in words.table_rows(pair) for cell in row),
    ]
    assert not any("nan" in text for text in shown)
    assert set(words.CHANGED) - set(words.changes(*pair)) == {
        "divergence",
        "mean_divergence",
    }
    style.to_svg(chain_figure(pair))


def test_values_are_those_of_the_audit(runs: dict[str, Path], trained: list[Chain]) -> None:
    for chain in trained:
        audit = audit_run(runs[chain.name])
        assert chain.update == audit.updates[-1]
        own, other = np.array(chain.pairs).T
        for name in ("gap", "robustness", "mean_robustness", "A0", "A2", "A3"):
            assert chain.values[name] == pytest.approx(audit.values[name][-1][:, own])
        robustness = audit.values["robustness"][-1]
        assert chain.values["baseline_robustness"] == pytest.approx(robustness[:, other])
        if chain.config.agents == 2:
            # the mixture's R is at most the mean of the agents' (B4)
            mixture = audit.ensemble["robustness"][-1]
            assert (mixture <= chain.values["robustness"].mean(axis=-1) + 1e-12).all()


def test_logged_is_what_training_wrote_for_the_own_agent(runs: dict[str, Path]) -> None:
    chain = chain_of(runs["three"])
    metrics = tensor_file.read(runs["three"] / "checkpoint.safetensors")[0]["metrics"]
    last = metrics[-1, METRICS.index("distillation_loss")].numpy()
    assert chain.pairs == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    assert chain.values["logged"].tolist() == last[:, [0, 0, 1, 1, 2, 2]].tolist()


def test_a_chain_is_of_the_last_evaluation_with_metrics(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    """Killed between evaluation and checkpoint, a run has an evaluation too many."""
    run = tmp_path / "run"
    shutil.copytree(runs["mdpo"], run)
    shutil.copy(run / "evaluations" / "000004.safetensors", run / "evaluations/000006.safetensors")
    assert chain_of(run).update == 4


def test_runs_without_a_chain_say_why(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one has one agent; a chain needs two or more"):
        chain_of(runs["one"])
    run = tmp_path / "run"
    shutil.copytree(runs["mdpo"], run)
    checkpoint = run / "checkpoint.safetensors"
    tensors, metadata = tensor_file.read(checkpoint)
    fewer = {"metrics": tensors["metrics"][..., :1].clone()}
    tensor_file.write(checkpoint, tensors | fewer, metadata)
    with pytest.raises(ValueError, match=r"must hold metrics of shape \[updates, metrics, 3, 2\]"):
        chain_of(run)
    none = {"metrics": torch.zeros(0, len(METRICS), 3, 2)}
    tensor_file.write(checkpoint, tensors | none, metadata)
    with pytest.raises(FileNotFoundError, match="has no evaluation of a finished update"):
        chain_of(run)
    checkpoint.unlink()
    assert not chains.has_chain(run, TrainConfig.load(run))
    with pytest.raises(FileNotFoundError, match="has no checkpoint yet: `mdpo resume"):
        chain_of(run)


def test_share_is_a_mean_over_seeds_of_ratios_of_means_over_pairs() -> None:
    found = of_policies([*FRAGILE_AND_BLIND, [[0.75, 0.5], [0.5, 0.5]]])
    step = found.step("B1")
    assert step.bound is not None
    by_hand = step.exact.sum(axis=-1) / step.bound.sum(axis=-1)
    assert step.share() == pytest.approx(by_hand)


def test_sentences_say_what_the_numbers_say() -> None:
    text = " ".join(words.sentences([of_policies(FRAGILE_AND_BLIND)]))
    assert "the logged distillation loss is 0.375 nats, an estimate" in text
    assert "says nothing, in 1 of 2 pairs when the disagreement comes from B2" in text
    assert "and in 1 of 2 pairs when it is the exact one" in text
    robust = " ".join(words.sentences([of_policies([[[0.5, 0.5], [0.6, 0.6]]])]))
    assert "says nothing, in 0 of 2 pairs" in robust
    assert "had the agents agreed perfectly" not in robust


def test_differences_are_paired_between_more_and_less_distilled_runs(
    trained: list[Chain],
) -> None:
    ppo, mdpo, three = trained
    assert words.paired(mdpo, ppo)
    assert not words.paired(ppo, mdpo)
    assert not words.paired(mdpo, three)
    by_hand = mdpo.values["gap"].mean(axis=-1) - ppo.values["gap"].mean(axis=-1)
    assert words.changes(mdpo, ppo)["gap"] == interval(by_hand)
    said = [s for s in words.sentences([ppo, mdpo]) if s.startswith("mdpo − ppo, paired by seed")]
    assert len(said) == 1
    decided, _, rest = said[0].partition("no measurable difference in")
    for name, found in words.changes(mdpo, ppo).items():
        assert words._signed(found) in (decided if found.decides else rest), name


def test_one_seed_decides_nothing() -> None:
    pair = [
        of_policies(FRAGILE_AND_BLIND, name="more", distill_coef=1.0),
        of_policies(FRAGILE_AND_BLIND, name="less", distill_coef=0.0),
    ]
    expected = "With one seed only, nothing can be said about the differences of more and less."
    assert words.sentences(pair)[-1] == expected
    assert not any("nan" in cell for row in words.table_rows(pair) for cell in row)


def test_table_shows_bounds_of_at_most_one_and_uncapped_shares() -> None:
    found = of_policies([[[1.0, 0.0], [0.9, 0.0]]])
    row = next(row for row in words.table_rows([found]) if row[0] == "B1 R")
    assert row == ["B1 R", "hand", "0.95", "1", "1", "82.6%", "2/2", ""]
    assert len(row) == len(words.HEADER)


@pytest.mark.parametrize(
    ("mean", "spread", "text"),
    [(0.5, 0.1, "0.5±0.9"), (4.72e-5, 1e-6, "(4.72±0.9)e-5"), (0.0, 0.0, "0±0")],
)
def test_small_numbers_share_their_exponent(mean: float, spread: float, text: str) -> None:
    seeds = np.array([[mean - spread / math.sqrt(2)], [mean + spread / math.sqrt(2)]])
    half = interval(seeds[:, 0])
    assert (half.high - half.low) / 2 == pytest.approx(9 * spread, rel=0.01)
    assert words._half(seeds) == text


def test_most_is_lost_where_the_least_is_left(trained: list[Chain]) -> None:
    for chain in trained:
        along = {name: s.mean() for name, s in words.shares(chain).items() if name != "A3"}
        where = min(along, key=lambda name: along[name])
        assert f"most is lost {words._place(where)}" in words._lost(chain)
    assert words._lost(of_policies([[[0.5, 0.5]] * 2], 0.0)).endswith("so nothing can be lost.")


def test_what_seeds_do_not_tell_apart_is_said_to_be_so() -> None:
    noise = np.array([-0.01, 0.0, 0.01])
    found = {"B2": 0.9 - noise, "B1": 0.105 - noise, "A2": 0.1 + noise, "A3": 0.01 + noise}
    text = words._most_lost(found)
    assert text.endswith("most is lost at A2; not told apart from that, by paired seeds: at B1.")
    assert words._most_lost({"B2": 0.9 - noise, "A2": 0.1 + noise}).endswith("lost at A2.")


def test_picture_names_every_step_and_run(trained: list[Chain]) -> None:
    figure = chain_figure(trained)
    (axis,) = figure.axes
    written = {text.get_text() for text in axis.texts}
    for step in trained[0].steps:
        assert {step.statement, step.words, step.before} <= written | {""}
    ticks = [label.get_text() for label in axis.get_yticklabels()]
    assert ticks == ["ppo, α = 0", "mdpo, α = 1", "three, α = 1"] * len(trained[0].steps)
    assert axis.get_xscale() == "log"
    assert "nats" in axis.get_xlabel()
    ElementTree.fromstring(style.to_svg(figure))


def test_picture_says_where_a_bound_says_nothing() -> None:
    silent = "says nothing: 1 of 2 pairs"
    (axis,) = chain_figure([of_policies(FRAGILE_AND_BLIND)]).axes
    texts = [text.get_text() for text in axis.texts]
    assert texts.count(silent) == 3  # B1 and A2 of the blind agent, A3 of the other
