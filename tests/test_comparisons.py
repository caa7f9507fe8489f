"""Intervals, paired comparisons, the audit of trained networks, and the page."""

from __future__ import annotations

import dataclasses
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from experiments.envs.pixelgrid import make_pixelgrid
from experiments.interval import interval
from experiments.pixelgrid import comparisons
from experiments.pixelgrid.audit import Audit, audit_run, exact_report, softmax
from experiments.pixelgrid.checkpoint import load_evaluations, save_evaluation
from experiments.pixelgrid.config import TrainConfig
from experiments.pixelgrid.report import build_page
from experiments.pixelgrid.train import train
from mdtheory import STATEMENTS, LatentPolicy, check
from mdtheory.intervals import band
from mdtheory.shrinkage import training
from mdtheory.statements import EVERY_QUANTITY
from tests.small_run import SMALL


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    small = dataclasses.replace(SMALL, seeds=3, updates=4)
    configs = {
        "mdpo": small,
        "ppo": dataclasses.replace(small, distill_coef=0.0),
        "one": dataclasses.replace(small, distill_coef=0.0, agents=1, n_envs=2 * small.n_envs),
    }
    for name, config in configs.items():
        train(config, folder / name)
    return {name: folder / name for name in configs}


@pytest.fixture(scope="module")
def audits(runs: dict[str, Path]) -> dict[str, Audit]:
    return {name: audit_run(run) for name, run in runs.items()}


def test_interval_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 7.0])
    found = interval(values)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.mean, found.n) == (3.5, 4)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_interval_covers_the_mean_at_its_level() -> None:
    rng = np.random.default_rng(0)
    _, low, high = band(rng.normal(size=(20_000, 16)))
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.95, abs=0.006)


def test_one_seed_has_no_interval_and_decides_nothing() -> None:
    found = interval(np.array([1.0]))
    assert np.isnan(found.low)
    assert not found.decides
    assert str(found) == "1.000 (one seed, no interval)"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([1.0, 1.1, 0.9], "is higher than"),
        ([-1.0, -1.1, -0.9], "is lower than"),
        ([-1.0, 1.1, 0.1], "is not measurably different from"),
    ],
)
def test_sentence_says_what_the_interval_says(values: list[float], verdict: str) -> None:
    comparison = comparisons.Comparison(
        left="x",
        right="y",
        update=4,
        compute_matched=True,
        distilled=True,
        differences={"gap": interval(np.array(values))},
    )
    assert f"the gap of x {verdict} that of y" in comparisons.sentence(comparison, "gap", "gap")


def test_compute_matched_comparisons_are_those_with_equal_total_steps(
    audits: dict[str, Audit],
) -> None:
    found = {
        (c.left, c.right): (c.compute_matched, c.distilled)
        for c in comparisons.comparisons(list(audits.values()))
    }
    assert found == {
        ("mdpo (agent)", "ppo (agent)"): (False, True),
        ("mdpo (mixture)", "ppo (mixture)"): (True, True),
        ("mdpo (agent)", "ppo (mixture)"): (True, True),
        ("mdpo (agent)", "one"): (True, True),
        ("mdpo (mixture)", "one"): (True, True),
        ("ppo (mixture)", "one"): (True, False),
    }


def side(audit: Audit, *, mixed: bool = False) -> comparisons.Policies:
    return comparisons.Policies(audit, mixed)


def test_differences_are_paired_by_seed(audits: dict[str, Audit]) -> None:
    left, right = audits["mdpo"], audits["ppo"]
    by_hand = left.values["gap"][-1].mean(axis=-1) - right.values["gap"][-1].mean(axis=-1)
    found = comparisons.compare(side(left), side(right)).differences["gap"]
    expected = scipy.stats.ttest_1samp(by_hand, 0)
    assert found.mean == pytest.approx(by_hand.mean())
    assert found.p == pytest.approx(expected.pvalue)
    assert found.high == pytest.approx(expected.confidence_interval(0.95).high)


def test_runs_of_different_length_are_compared_at_a_common_update(
    audits: dict[str, Audit],
) -> None:
    short = dataclasses.replace(
        audits["ppo"],
        updates=audits["ppo"].updates[:2],
        values={name: values[:2] for name, values in audits["ppo"].values.items()},
    )
    found = comparisons.compare(side(audits["mdpo"]), side(short))
    assert found.update == 2
    by_hand = (audits["mdpo"].values["gap"] - audits["ppo"].values["gap"])[1].mean()
    assert found.differences["gap"].mean == pytest.approx(by_hand)
    assert "after 2 updates" in comparisons.sentence(found, "gap", "gap")


def test_more_distillation_is_compared_with_less(audits: dict[str, Audit]) -> None:
    stronger = dataclasses.replace(
        audits["mdpo"],
        name="strong",
        config=dataclasses.replace(audits["mdpo"].config, distill_coef=5.0),
    )
    found = comparisons.comparisons([audits["mdpo"], stronger])
    assert {(c.left, c.right) for c in found} == {
        (f"strong ({a})", f"mdpo ({b})") for a in ("agent", "mixture") for b in ("agent", "mixture")
    }


def test_runs_of_other_worlds_are_not_paired(audits: dict[str, Audit]) -> None:
    other = dataclasses.replace(
        audits["ppo"], config=dataclasses.replace(audits["ppo"].config, first_seed=5)
    )
    assert comparisons.comparisons([audits["mdpo"], other]) == []
    with pytest.raises(ValueError, match="runs must share seeds, worlds and an evaluated update"):
        comparisons.compare(side(audits["mdpo"]), side(other))


def test_audit_equals_a_check_of_each_network_in_its_own_world(
    runs: dict[str, Path], audits: dict[str, Audit]
) -> None:
    audit = audits["mdpo"]
    updates, logits = load_evaluations(runs["mdpo"], audits["mdpo"].config)
    assert updates == audit.updates.tolist() == [0, 2, 4]
    for seed, world in enumerate(audit.config.worlds):
        problem = make_pixelgrid(world).problem
        for agent in range(2):
            report = check(problem, LatentPolicy(softmax(logits[-1, seed, agent].numpy())))
            for name in ("train_return", "gap", "mean_robustness", "robustness"):
                assert audit.values[name][-1, seed, agent] == pytest.approx(
                    report.quantities[name], abs=1e-12
                )
            assert audit.values["A4"][-1, seed, agent] == pytest.approx(report["A4"].rhs)
    assert audit.violations == 0
    assert audit.checked == 3 * 3 * (2 + 1) * 6


def test_one_agent_has_no_mixture_to_check(audits: dict[str, Audit]) -> None:
    audit = next(a for a in audits.values() if a.config.agents == 1)
    assert audit.checked == len(audit.updates) * audit.config.seeds * 6
    for name, values in audit.ensemble.items():
        np.testing.assert_array_equal(values, audit.values[name][..., 0])


def test_exact_report_agrees_with_the_float_audit(
    runs: dict[str, Path], audits: dict[str, Audit]
) -> None:
    report = exact_report(runs["mdpo"], seed=1, agent=1)
    assert report.arithmetic == "exact"
    assert report.holds
    for name in ("train_return", "gap", "robustness", "mean_robustness"):
        value = float(report.quantities[name])
        assert value == pytest.approx(audits["mdpo"].values[name][-1, 1, 1], abs=1e-10)


def test_exact_report_takes_confident_networks(runs: dict[str, Path], tmp_path: Path) -> None:
    """Float probabilities do not sum to 1 exactly; the rationals of the exact report do."""
    run = tmp_path / "confident"
    shutil.copytree(runs["one"], run)
    logits = load_evaluations(run, TrainConfig.load(run))[1][-1].clone()
    logits[..., -1] -= 40
    save_evaluation(run, 4, logits)
    assert exact_report(run).holds


def test_audit_notices_a_violated_bound(runs: dict[str, Path], replace_relation: Any) -> None:
    """With a thousand times the gap on the left of A5 there must be violations."""
    a5 = STATEMENTS["A5"]
    replace_relation("A5", a5.relation.func(1000 * a5.lhs, a5.rhs))
    assert audit_run(runs["ppo"]).violations > 0


def test_optimal_return_is_above_every_trained_return(audits: dict[str, Audit]) -> None:
    for audit in audits.values():
        assert (audit.values["train_return"] <= audit.optimal_return[:, None] + 1e-9).all()


def test_page_is_self_contained_and_complete(runs: dict[str, Path]) -> None:
    page, tables = build_page(list(runs.values()))
    links = re.findall(r"""(?:src|href|url\()=?["']?([^"')\s>]+)""", page)
    assert links
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert "<script" not in page
    titles = (
        "What was found",
        "Toys",
        "The pixel world",
        "Over training",
        "Paired differences",
        "How vacuous",
        "The chain from the loss to the gap",
        "The statements",
        "How it was made",
    )
    for title in titles:
        assert f"<h2>{title}</h2>" in page
    assert page.count("<math") == len(STATEMENTS)
    assert page.count("<figure") == page.count("<figcaption>") == page.count("<svg") == 14
    assert page.count("mdpo report") >= 11
    assert page.count("mdpo chain") == 1
    assert "B6" in page
    assert all(f">{name}</td>" in page for name in EVERY_QUANTITY)
    assert "tolerance that" not in page
    assert len(tables) == 2


def test_page_of_single_agents_has_no_chain(runs: dict[str, Path]) -> None:
    page, _ = build_page([runs["one"]])
    assert "<h2>The chain from the loss to the gap</h2>" not in page
    assert "mdpo chain" not in page


def test_page_shows_a_study_of_shrinkage_if_there_is_one(runs: dict[str, Path]) -> None:
    title = "<h2>When distillation makes policies more robust</h2>"
    without, _ = build_page([runs["one"]])
    study = training.study(n_seeds=2, ratios=(0, 1), settings=training.SETTINGS[:1])
    page, _ = build_page([runs["one"]], study)
    assert title not in without
    assert page.count(title) == 1
    assert page.count("<figure") == without.count("<figure") + 2
    order = [page.index(f"<h2>{t}</h2>") for t in ("How tight the bounds are", "The pixel world")]
    assert order[0] < page.index(title) < order[1]
    assert "--shrinkage" in page


def test_figures_are_valid_xml(runs: dict[str, Path]) -> None:
    page, _ = build_page([runs["mdpo"]])
    figures = re.findall(r"<svg.*?</svg>", page, flags=re.S)
    assert figures
    for figure in figures:
        ElementTree.fromstring(figure)


def test_page_is_the_same_for_the_same_runs(runs: dict[str, Path]) -> None:
    assert build_page([runs["mdpo"]])[0] == build_page([runs["mdpo"]])[0]


def test_page_of_one_run_has_no_differences(runs: dict[str, Path]) -> None:
    page, tables = build_page([runs["mdpo"]])
    assert "<h2>Paired differences</h2>" not in page
    assert len(tables) == 1
