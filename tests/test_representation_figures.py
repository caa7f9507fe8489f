"""Pictures of features show the numbers given, with units, and fail in words."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from experiments.procgen.measures.representation_figures import (
    AgentFeatures,
    RunCurves,
    convergence_curve,
    representation_figure,
)
from mdtheory.intervals import Band
from mdtheory.report import style
from mdtheory.report.style import RUN_COLOURS

NAMES = ("day", "night", "fog")
COMMAND = "mdpo representations run $1 --picture x.png"
RANDOM = np.random.default_rng(0)
AGENT = AgentFeatures(
    name="PPO with $α_0$",
    points=RANDOM.standard_normal((3, 40, 2)),
    shares=np.array([0.614, 0.126]),
    convergence=Band(0.514, 0.456, 0.572),
    effective_rank=Band(7.26, 6.91, 7.61),
)
STEPS = np.array([0, 1e6, 2e6])
EACH, EACH_CKA = RANDOM.uniform(0, 0.9, (2, 4, 3)), RANDOM.uniform(0, 0.9, (4, 3))


def around(mean: np.ndarray) -> Band:
    return Band(mean, mean - 0.1, mean + 0.05)


PAIR = RunCurves(
    name="distilled",
    steps=STEPS,
    convergence=around(EACH.mean(axis=1)),
    each_convergence=EACH,
    cka=around(EACH_CKA.mean(axis=0)),
    each_cka=EACH_CKA,
)
ALONE = RunCurves(
    name="one agent", steps=2 * STEPS, convergence=around(EACH[:1, 0]), each_convergence=EACH[:1]
)


def lines_of(axis: Any, gid: str) -> list[Any]:
    return [line for line in axis.get_lines() if line.get_gid() == gid]


def legend_of(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def words_below(figure: Figure) -> str:
    return " ".join(figure.get_supxlabel().split())


def drawn(figure: Figure) -> str:
    """The figure as it is printed; warnings on the way are errors."""
    return style.to_svg(figure)


def test_states_are_drawn_where_they_are_given():
    (axis,) = representation_figure([AGENT], NAMES, command=COMMAND, joined=5).axes
    chosen = [0, 10, 20, 29, 39]
    clouds, joined = lines_of(axis, "states"), lines_of(axis, "joined")
    for f in range(3):
        np.testing.assert_array_equal(clouds[f].get_xydata(), AGENT.points[f])
        np.testing.assert_array_equal(joined[f].get_xydata(), AGENT.points[f, chosen])
    first, second = (c for c in axis.collections if isinstance(c, LineCollection))
    for f, lines in ((1, first), (2, second)):
        expected = AGENT.points[[0, f]][:, chosen].swapaxes(0, 1)
        np.testing.assert_array_equal(lines.get_segments(), expected)
        assert to_hex(lines.get_color()[0]) == to_hex(joined[f].get_color())


def test_states_have_axes_of_one_scale_that_name_their_share():
    figure = representation_figure([AGENT, AGENT], NAMES, command=COMMAND)
    for axis in figure.axes:
        assert axis.get_xlabel() == "first component (61 % of variance)"
        assert axis.get_ylabel() == "second component (13 % of variance)"
        assert axis.get_aspect() == 1
        assert axis.get_title() == (
            "PPO with $α_0$\nconvergence 0.51 [0.46, 0.57]\neffective rank 7.3 [6.9, 7.6]"
        )
    assert legend_of(figure) == ["day (reference)", "night", "fog"]
    looks = [(x.get_color(), x.get_marker()) for x in lines_of(figure.axes[0], "joined")]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 3
    assert "strong, with lines between the pictures of one state: 30 of them" in words_below(figure)
    assert words_below(figure).endswith(f"Made by: {COMMAND}")


def test_a_panel_for_each_agent_and_none_besides():
    figure = representation_figure([AGENT] * 4, NAMES, command=COMMAND)
    assert len(figure.axes) == 4
    assert drawn(figure) == drawn(representation_figure([AGENT] * 4, NAMES, command=COMMAND))


def test_numbers_without_interval_have_no_brackets():
    nan = float("nan")
    agent = dataclasses.replace(
        AGENT, convergence=Band(0.5, nan, nan), effective_rank=Band(2.0, nan, nan)
    )
    (axis,) = representation_figure([agent], NAMES, command=COMMAND).axes
    assert axis.get_title().endswith("\nconvergence 0.50\neffective rank 2.0")


def test_an_agent_with_constant_features_is_called_so():
    nan = float("nan")
    agent = dataclasses.replace(
        AGENT,
        points=np.full((3, 40, 2), nan),
        shares=np.full(2, nan),
        convergence=Band(nan, nan, nan),
        effective_rank=Band(nan, nan, nan),
    )
    figure = representation_figure([agent], NAMES, command=COMMAND)
    assert [text.get_text() for text in figure.axes[0].texts] == ["constant features"]
    assert drawn(figure)


def band_of(axis: Any, index: int) -> np.ndarray:
    """Corners [point, (x, y)] of a band, without repetitions and in order."""
    return np.unique(axis.collections[index].get_paths()[0].vertices, axis=0)


def corners(steps: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.unique(np.concatenate([np.stack([steps, y], axis=1) for y in (low, high)]), axis=0)


def test_curves_are_drawn_where_they_are_given():
    left, right = convergence_curve([PAIR, ALONE], command=COMMAND).axes
    averages = lines_of(left, "average")
    expected = [
        (PAIR, PAIR.convergence.mean[0]),
        (PAIR, PAIR.convergence.mean[1]),
        (ALONE, ALONE.convergence.mean[0]),
    ]
    for line, (run, mean) in zip(averages, expected, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), run.steps)
        np.testing.assert_array_equal(line.get_ydata(), mean)
    thin = [line.get_ydata() for line in lines_of(left, "rendering")]
    np.testing.assert_array_equal(thin, [*EACH[0], *EACH[1], *EACH[0]])
    (cka,) = lines_of(right, "average")
    np.testing.assert_array_equal(cka.get_ydata(), EACH_CKA.mean(axis=0))
    thin = [line.get_ydata() for line in lines_of(right, "rendering")]
    np.testing.assert_array_equal(thin, EACH_CKA)
    np.testing.assert_allclose(
        band_of(left, 1), corners(STEPS, PAIR.convergence.low[1], PAIR.convergence.high[1])
    )
    np.testing.assert_allclose(band_of(right, 0), corners(STEPS, PAIR.cka.low, PAIR.cka.high))


def test_curves_have_units_a_colour_for_each_run_and_a_line_for_each_agent():
    figure = convergence_curve([PAIR, ALONE], command=COMMAND)
    left, right = figure.axes
    assert (left.get_ylabel(), right.get_ylabel()) == (
        "representation convergence", "CKA between agents"
    )  # fmt: skip
    for axis in (left, right):
        assert axis.get_xlabel() == "environment steps of each agent"
        assert axis.get_xlim() == pytest.approx((0, 4.12e6))
        assert axis.get_ylim()[0] <= 0
        assert axis.get_ylim()[1] >= 1
    looks = [(line.get_color(), line.get_linestyle()) for line in lines_of(left, "average")]
    assert looks == [(RUN_COLOURS[0], "-"), (RUN_COLOURS[0], "--"), (RUN_COLOURS[1], "-")]
    assert legend_of(figure) == ["distilled", "one agent", "agent 0", "agent 1", "one rendering"]
    assert words_below(figure).endswith(f"Made by: {COMMAND}")


def test_runs_of_one_name_share_a_colour():
    figure = convergence_curve([PAIR, dataclasses.replace(ALONE, name="distilled")], command="x")
    colours = {line.get_color() for line in lines_of(figure.axes[0], "average")}
    assert colours == {RUN_COLOURS[0]}
    assert legend_of(figure).count("distilled") == 1


def test_nothing_below_zero_or_beyond_one_is_cut_off():
    mean = np.array([[-0.4, 0.5, 0.99]])
    run = dataclasses.replace(
        ALONE, convergence=Band(mean, mean - 0.1, mean + 0.1), each_convergence=mean[None]
    )
    left, right = convergence_curve([run], command=COMMAND).axes
    low, high = left.get_ylim()
    assert low <= -0.5
    assert high >= 1.09
    assert right.get_ylim() == (0, 1.02)


def test_agents_without_a_partner_leave_words_in_the_second_panel():
    figure = convergence_curve([ALONE], command=COMMAND)
    assert [text.get_text() for text in figure.axes[1].texts] == ["one agent each"]
    assert legend_of(figure) == ["one agent", "one rendering"]
    assert not convergence_curve([PAIR, ALONE], command=COMMAND).axes[1].texts


def test_a_single_checkpoint_and_missing_intervals_are_drawn():
    nothing = np.full((1, 1), np.nan)
    run = RunCurves(
        name="first",
        steps=np.zeros(1),
        convergence=Band(np.array([[0.5]]), nothing, nothing),
        each_convergence=np.full((1, 2, 1), 0.5),
    )
    figure = convergence_curve([run], command=COMMAND)
    assert lines_of(figure.axes[0], "average")[0].get_marker() == "o"
    assert drawn(figure)


ERRORS: list[tuple[Callable[[], Any], str]] = [
    (lambda: dataclasses.replace(AGENT, points=np.zeros((3, 40))),
     "points must have axes [rendering, state, 2], got shape (3, 40)"),
    (lambda: dataclasses.replace(AGENT, points=np.zeros((3, 40, 3))),
     "points must have axes [rendering, state, 2], got shape (3, 40, 3)"),
    (lambda: representation_figure([AGENT], NAMES[:2], command=""),
     "renderings must name the 3 renderings of PPO with $α_0$, got 2 names"),
    (lambda: representation_figure(
        [AGENT, dataclasses.replace(AGENT, name="b", points=np.zeros((3, 2, 2)))],
        NAMES, command=""),
     "points of b must be of the 40 states of PPO with $α_0$, got 2"),
    (lambda: dataclasses.replace(PAIR, convergence=around(EACH[0, 0])),
     "convergence must have axes [agent, checkpoint] with 3 checkpoints, got shape (3,)"),
    (lambda: dataclasses.replace(PAIR, each_convergence=EACH[..., :2]),
     "each_convergence must have axes [agent, rendering, checkpoint] with 3 checkpoints,"
     " got shape (2, 4, 2)"),
    (lambda: dataclasses.replace(PAIR, cka=around(EACH_CKA)),
     "cka must have axes [checkpoint] with 3 checkpoints, got shape (4, 3)"),
    (lambda: dataclasses.replace(PAIR, each_cka=EACH_CKA.T),
     "each_cka must have axes [rendering, checkpoint] with 3 checkpoints, got shape (3, 4)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), ERRORS, ids=[text for _, text in ERRORS])
def test_messages(call: Callable[[], Any], text: str):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        call()
