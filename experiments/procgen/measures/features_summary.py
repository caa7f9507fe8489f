"""What was measured of features, for the terminal and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.markup import escape
from rich.table import Table

from experiments.procgen.measures.features import FeatureHistory, collect_states
from experiments.procgen.measures.features import panels as feature_panels
from experiments.procgen.measures.representation_figures import AgentFeatures
from experiments.procgen.measures.robustness_summary import between
from experiments.procgen.policy import mixture
from mdtheory.intervals import Band

if TYPE_CHECKING:
    from pathlib import Path

    from experiments.procgen.measures.measure_commands import Played

HEADER = (
    "convergence",
    "within / between",
    "CKA with reference",
    "effective rank",
    "CKA between agents",
)
CAPTION = (
    "convergence: 1 - E|x - y|² / E|x - y'|² for features x, y of one state in two pictures and y'"
    " of another state, mean over the renderings; 1 if features are blind to the rendering, 0 if a"
    " state is as far from its own second picture as from another state's. within / between: the"
    " two distances. CKA: linear and debiased, of an agent's features under a rendering and under"
    " the reference, and of different agents' features of the same pictures. Brackets: 95 %"
    " jackknife intervals over episodes; they say nothing about other training seeds."
)
SHOWN = 3
"""Renderings in a picture beside the reference, those with the least convergence."""


def table(history: FeatureHistory, name: str) -> Table:
    """The last snapshot, a line for each agent and, per agent, for each rendering."""
    config_words = f"{history.n_states} states of {len(history.plan.levels)} levels"
    shown = Table(
        title=f"{escape(name)}: {config_words}, after {history.snapshots[-1].update} updates",
        title_justify="left",
    )
    shown.add_column("agent, rendering", no_wrap=True)
    for header in HEADER:
        shown.add_column(header, justify="right", no_wrap=True)
    for row in rows(history):
        shown.add_row(*row)
    return shown


def rows(history: FeatureHistory) -> list[list[str]]:
    """The cells of `table`."""
    last = history.snapshots[-1]
    aligned = "one agent" if last.cka is None else between(last.cka)
    found = []
    for k, agent in enumerate(last.agents):
        mean_cka = Band(*(float(np.mean(part)) for part in agent.cka))
        found.append(
            [
                f"agent {k}, mean",
                between(agent.convergence),
                "",
                f"{mean_cka.mean:.3f}",
                between(agent.effective_rank, 1),
                aligned,
            ]
        )
        for i, rendering in enumerate(history.renderings[1:]):
            within, apart = float(agent.within.mean[i]), float(agent.between.mean[i])
            each = "" if last.each_cka is None else f"{float(last.each_cka.mean[i + 1]):.3f}"
            found.append(
                [
                    f"agent {k}, {rendering}",
                    between(Band(*(part[i] for part in agent.each))),
                    f"{within:.3g} / {apart:.3g}",
                    f"{float(agent.cka.mean[i]):.3f}",
                    "",
                    each,
                ]
            )
    return found


def panels(
    run: Path, history: FeatureHistory, played: Played
) -> tuple[list[str], list[AgentFeatures]]:
    """Names of the renderings shown, and each agent's panel."""
    from experiments.procgen.evaluate import load_on

    agents = load_on(run, played.device)
    player = mixture(agents) if len(agents) > 1 else agents[0]
    states = collect_states(player, history.plan)
    last = history.snapshots[-1]
    least = np.mean([agent.each.mean for agent in last.agents], axis=0).argsort()[:SHOWN]
    shown = [0, *sorted(int(i) + 1 for i in least)]
    names = [str(history.renderings[i]) for i in shown]
    return names, feature_panels(agents, states, last, shown)
