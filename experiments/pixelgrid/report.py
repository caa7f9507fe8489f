"""The page about a set of runs, beside the toys: what was claimed, measured, and how vacuous."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path

import sympy
from rich.table import Table

from experiments.interval import interval
from experiments.pixelgrid import chain, chain_words, figures
from experiments.pixelgrid.audit import Audit, audit_run, exact_report
from experiments.pixelgrid.comparisons import COMPARED, Comparison, comparisons, sentence, sides
from mdtheory.intervals import LEVEL
from mdtheory.report.atlas import ATLAS_FILE, atlas_figure
from mdtheory.report.page import PageTable, Picture, Section, render_page
from mdtheory.report.shrinkage import shrinkage_section
from mdtheory.report.toys import ToyReport, toy_ladder, toy_reports
from mdtheory.search.atlas import Atlas
from mdtheory.shrinkage.training import Study
from mdtheory.statements import EVERY_QUANTITY, GAP_BOUNDS, STATEMENTS

HEADLINE = ("train_return", "heldout_return", "gap", "robustness", "mean_robustness")


def build_page(runs: Sequence[Path], study: Study | None = None) -> tuple[str, list[Table]]:
    """The HTML of the page, and the headline tables for the terminal.

    Args:
        runs: folders written by `mdpo train`.
        study: agents trained for B6, shown if given.

    Raises:
        FileNotFoundError: when a folder is no run, or has nothing to report yet.
    """
    audits = [audit_run(run) for run in runs]
    if len({audit.name for audit in audits}) < len(audits):
        pairs = zip(audits, runs, strict=True)
        audits = [dataclasses.replace(audit, name=str(run)) for audit, run in pairs]
    toys = toy_reports()
    flags = [] if study is None else ["--shrinkage"]
    command = shlex.join(["mdpo", "report", *map(str, runs), *flags])
    found = comparisons(audits)
    sections = [
        _headline_section(audits, found),
        _toy_section(toys),
        _tightness_section(),
        None if study is None else shrinkage_section(study),
        _world_section(audits[0], command),
        _training_section(audits, command),
        _difference_section(found, command),
        _vacuity_section(audits, command),
        _chain_section(audits, runs),
        _statement_section(),
        _provenance_section(audits, runs),
    ]
    page = render_page(
        title="Robustness, mutual distillation and generalization",
        lead=_lead(),
        sections=[section for section in sections if section is not None],
    )
    return page, [_terminal_table(audits), *_terminal_differences(found)]


def _lead() -> list[str]:
    return [
        "The claim (arXiv 2501.02481): a policy that is more robust to irrelevant features has a"
        " better guarantee on its generalization, and mutual distillation between policies makes"
        " them more robust.",
        "The first half is a theorem about bounds, listed below and decided exactly on toys. The"
        " second half is an experiment: networks trained from pixels in small worlds whose every"
        " state and rendering is known, so that returns, robustness and bounds of the trained"
        " networks are computed, not estimated. Only the spread over seeds is statistical.",
    ]


def _headline_rows(audits: Sequence[Audit]) -> list[list[str]]:
    return [
        [side.label, *(str(interval(side.final(name))) for name in HEADLINE)]
        for audit in audits
        for side in sides(audit)
    ]


def _headline_section(audits: Sequence[Audit], found: Sequence[Comparison]) -> Section:
    return Section(
        title="What was found",
        paragraphs=[
            *_matched_conclusion(found),
            *(sentence(c, "heldout_return", "held-out return") for c in found),
            *_why_no_pairs(audits, found),
            *_robustness_caveat(found[:1]),
        ],
        tables=[
            PageTable(
                header=["run", "algorithm", "agents", "seeds", "steps per seed"],
                rows=[
                    [
                        audit.name,
                        audit.config.algorithm,
                        str(audit.config.agents),
                        str(audit.config.seeds),
                        f"{audit.steps_per_seed:,}",
                    ]
                    for audit in audits
                ],
                caption="The runs; steps are environment steps of a seed's agents together.",
                text_columns=(1,),
            ),
            PageTable(
                header=["after the last update", *(_words(n) for n in HEADLINE)],
                rows=_headline_rows(audits),
                caption="Means over seeds with 95 % Student intervals. 'Agent' is the average over"
                " a seed's agents, 'mixture' the policy that averages their action probabilities."
                " More environments mean larger minibatches, not more gradient steps.",
            ),
            *_short_differences(found),
        ],
    )


def _short_differences(found: Sequence[Comparison]) -> list[PageTable]:
    if not found:
        return []
    names = ("heldout_return", "gap", "mean_robustness")
    return [
        PageTable(
            header=["left − right", "equal total steps", *(_words(n) for n in names)],
            rows=[
                [
                    c.name,
                    "yes" if c.compute_matched else "no",
                    *(c.differences[n].signed() for n in names),
                ]
                for c in found
            ],
            caption="Paired differences with 95 % Student intervals, not corrected for their"
            " number.",
        )
    ]


def _why_no_pairs(audits: Sequence[Audit], found: Sequence[Comparison]) -> list[str]:
    if found or len(audits) < 2:
        return []
    return [
        "No two of these runs are compared: a pair must share seeds, worlds and an evaluated"
        " update, and differ in the distillation coefficient."
    ]


def _matched_conclusion(found: Sequence[Comparison]) -> list[str]:
    """How many of the compute-matched comparisons the intervals decide, and which way."""
    matched = [c.differences["heldout_return"] for c in found if c.compute_matched and c.distilled]
    if not matched or matched[0].n < 2:
        return []
    strict = (1 - LEVEL) / len(matched)
    corrected = sum(d.p < strict for d in matched)
    higher = sum(d.decides and d.mean > 0 for d in matched)
    lower = sum(d.decides and d.mean < 0 for d in matched)
    return [
        f"In short: at equal environment steps in total there are {len(matched)} comparisons of"
        f" mutual distillation with something else. Its held-out return is higher in {higher},"
        f" lower in {lower} and undecided in {len(matched) - higher - lower}. Corrected for the"
        f" number of comparisons (Bonferroni, p < {strict:.2g}), {corrected} of them remain"
        " decided."
    ]


def _robustness_caveat(found: Sequence[Comparison]) -> list[str]:
    """What the worst-case bound has to do with the first measured difference."""
    if not found:
        return []
    bound, gap = found[0].differences["A2"], found[0].differences["gap"]
    numbers = f"Between {found[0].left} and {found[0].right}, the gap differs by {gap.signed()}"
    if not gap.decides:
        return []
    if bound.decides and bound.mean * gap.mean > 0:
        return [
            f"{numbers} and the worst-case bound A2 by {bound.signed()}, the same way. That they"
            " moved together does not show that one caused the other."
        ]
    return [
        f"{numbers}, but the worst-case bound A2 by {bound.signed()}: R is a maximum over states"
        " and renderings and does not see an improvement elsewhere. So A2 does not explain it."
    ]


def _tightness_section() -> Section:
    atlas = Atlas.load(ATLAS_FILE.read_text(encoding="utf-8"))
    reached = min(c.ratio for c in atlas.cells if c.bound == "A2" and c.ratio is not None)
    return Section(
        title="How tight the bounds are",
        paragraphs=[
            "For each bound, the largest share of what it allows that gradient ascent found in any"
            " MDP of two or three states, each confirmed in exact rationals, and in brackets the"
            f" proved supremum. A2 is reached to {float(reached):.4g} in every cell, so nothing"
            " better can be said from R, the discount and the range of rewards alone; A1 says"
            " little at long horizons, A0 little of robust policies. These are worst cases: a"
            " given problem may use much less.",
        ],
        pictures=[
            Picture.of(
                atlas_figure(atlas),
                caption="Share of each bound that is used, by discount (down) and R (right). A6"
                " allows nothing at discount 0 and is approached, not attained.",
                command="mdtheory atlas",
                alt="Heat maps of the tightness of A0 to A7",
                wide=True,
            )
        ],
    )


def _toy_section(toys: Sequence[ToyReport]) -> Section:
    return Section(
        title="Toys",
        paragraphs=[
            "Small worlds with closed-form answers, decided in exact rationals. A5 knows the"
            " dynamics and both policies, A0 knows nothing; what lies between is the price of"
            " knowing less.",
        ],
        tables=[
            PageTable(
                header=["toy", "gap", "A2", "gap / A2", "all hold", "what it shows"],
                rows=[
                    [
                        toy.toy.name,
                        _short(toy.report.quantities["gap"]),
                        _short(toy.report["A2"].rhs),
                        _short(toy.report["A2"].ratio),
                        "yes" if toy.report.holds and not toy.disagreements else "NO",
                        toy.toy.summary,
                    ]
                    for toy in toys
                ],
                caption="Exact values at the default parameters.",
                text_columns=(5,),
            )
        ],
        pictures=[
            Picture.of(
                toy_ladder(toys),
                caption="The ladder of bounds against the true gap.",
                command="mdtheory demo --picture ladder.svg",
                alt="For each toy, the bounds A0 to A5 and the true gap as fractions of A0",
            )
        ],
    )


def _world_section(audit: Audit, command: str) -> Section:
    world = audit.config.worlds[0]
    return Section(
        title="The pixel world",
        paragraphs=[
            f"A {world.size} x {world.size} maze in {world.size * world.cell_pixels} x"
            f" {world.size * world.cell_pixels} pixels. The white square is the agent; the noise"
            " behind it depends on the rendering and on the state, and is irrelevant. Leaving"
            f" through the exit pays 1; the discount is {world.discount:g}. Exactly one action is"
            " optimal in every state; of the others some have the same effect (bumping into a"
            " wall), so part of the disagreement that total variation counts is harmless."
            f" Training sees {world.train_renderings} renderings, {world.heldout_renderings} are"
            " held out."
            + (" Every seed has a maze and backgrounds of its own."
               if audit.config.world_per_seed else " All seeds share one world."),
        ],
        pictures=[
            Picture.of(
                figures.renderings_figure(audit),
                caption="The same three latent states under training and held-out renderings.",
                command=command,
                alt="Images of three states of the maze under eight renderings",
            )
        ],
    )  # fmt: skip


def _training_section(audits: Sequence[Audit], command: str) -> Section:
    curves = {
        "train_return": "Return on training renderings",
        "heldout_return": "Return on held-out renderings",
        "gap": "Generalization gap: distance of training and general return",
        "mean_robustness": "Mean R: total variation on visited states",
        "robustness": "R: the worst state and pair of renderings",
    }
    pictures = [
        *(
            Picture.of(
                figures.curves_figure(audits, name, _with_unit(name)),
                caption=f"{title}; mean over seeds of the agents' average, bands are 95 % Student"
                " intervals.",
                command=command,
                alt=f"{title} over updates",
            )
            for name, title in curves.items()
        ),
        *(
            Picture.of(
                figures.bounds_figure(audit),
                caption="True gap and every bound on it, for the trained networks themselves.",
                command=command,
                alt=f"Gap and bounds over updates, {audit.name}",
            )
            for audit in audits
        ),
    ]
    return Section(title="Over training", pictures=pictures)


def _difference_section(found: Sequence[Comparison], command: str) -> Section | None:
    if not found:
        return None
    return Section(
        title="Paired differences",
        paragraphs=[
            "The same seed gives every run the same world, and runs with as many agents and"
            " environments the same initial weights and random numbers too. The fair comparison is"
            " the one at equal environment steps: a mixture against a mixture, or an agent against"
            " one that had all the steps.",
        ],
        tables=[
            PageTable(
                header=["left − right", *(_words(n) for n in COMPARED)],
                rows=[[c.name, *(c.differences[n].signed() for n in COMPARED)] for c in found],
                caption="Mean paired difference with its 95 % Student interval. With so many"
                " intervals some exclude 0 by chance; held-out return is the one to read.",
            )
        ],
        pictures=[
            Picture.of(
                figures.differences_figure(found),
                caption="Paired differences after the last update.",
                command=command,
                alt="Intervals of paired differences between algorithms",
            )
        ],
        notes=[
            "What this shows: the size of an effect in these worlds, at this budget and at these"
            " settings. What it does not show: why it arises, that it grows with more agents or a"
            " larger alpha, or that it carries over to other environments."
        ],
    )


def _vacuity_section(audits: Sequence[Audit], command: str) -> Section:
    rows = []
    for audit in audits:
        names = ("gap", *(statement.id for statement in GAP_BOUNDS))
        last = {name: interval(sides(audit)[0].final(name)).mean for name in names}
        for statement in GAP_BOUNDS:
            bound = last[statement.id]
            rows.append(
                [
                    audit.name,
                    f"{statement.id} {statement.name}",
                    f"{bound:.3f}",
                    f"{bound / last['A0']:.3f}",
                    f"{last['gap'] / bound:.1%}" if bound > 0 else "-",
                ]
            )
    return Section(
        title="How vacuous",
        paragraphs=[
            "A bound above A0 says less than no knowledge of the policy at all. The last column is"
            " how much of a bound the true gap fills: 100 % would be attained.",
        ],
        tables=[
            PageTable(
                header=["run", "bound", "right side", "right side / A0", "gap / right side"],
                rows=rows,
                caption="Means over seeds and agents after the last update.",
                text_columns=(1,),
            )
        ],
        pictures=[
            Picture.of(
                figures.vacuity_figure(audits),
                caption="The ladder for the trained networks.",
                command=command,
                alt="Bounds and gap of trained networks as fractions of A0",
            )
        ],
    )


def _chain_section(audits: Sequence[Audit], runs: Sequence[Path]) -> Section | None:
    """From the loss to the gap; None if no run has agents that can disagree."""
    pairs = [
        (run, audit)
        for run, audit in zip(runs, audits, strict=True)
        if chain.has_chain(run, audit.config)
    ]
    if not pairs:
        return None
    chains = [chain.chain_of(run, name=audit.name) for run, audit in pairs]
    checked, violations = (sum(getattr(c, n) for c in chains) for n in ("checked", "violations"))
    return Section(
        title="The chain from the loss to the gap",
        paragraphs=[
            "What does a small distillation loss guarantee? B3 bounds by it how much two agents"
            " disagree, on average over the states that they visit in training. B1 needs more: the"
            " largest disagreement over all states and renderings, held-out ones included, which B2"
            " bounds by the largest divergence. B1 then bounds R, and A2 the gap. Every value and"
            " every right side below is computed for the trained networks, except the logged loss:"
            " that one is an estimate, averaged over sampled states without discounting and while"
            " the networks moved.",
        ],
        findings=[
            *chain_words.sentences(chains),
            f"B1 to B4 were checked for every pair of agents and seed: {checked} verdicts,"
            f" {violations} of them violations.",
        ],
        tables=[
            PageTable(
                header=chain_words.HEADER,
                rows=chain_words.table_rows(chains),
                caption=f"{chain_words.CAPTION} {chain_words.ESTIMATE}",
                text_columns=(1,),
            )
        ],
        pictures=[
            Picture.of(
                figures.chain_figure(chains),
                caption="Each number on the way from the distillation loss to the gap, with what"
                " bounds it. Means over pairs of agents, then over seeds, with 95 % Student"
                " intervals; an arrow at the left edge is an interval that goes on to 0 and below."
                " Bounds are shown as at most 1, the largest possible value.",
                command=shlex.join(
                    ["mdpo", "chain", *(str(run) for run, _ in pairs), "--picture", "chain.svg"]
                ),
                alt="Values and bounds from the distillation loss to the generalization gap",
                wide=True,
            )
        ],
    )


def _statement_section() -> Section:
    symbols = [
        [
            "σ²" if q.name == "pull_variance" else sympy.pretty(q.symbol, use_unicode=True),
            q.name,
            q.meaning,
            q.domain.replace("gamma", "γ").replace("Delta", "Δ").replace("oo", "∞"),
        ]
        for q in EVERY_QUANTITY.values()
    ]
    return Section(
        title="The statements",
        statements=list(STATEMENTS.values()),
        tables=[
            PageTable(
                header=["symbol", "name in code", "meaning", "domain"],
                rows=symbols,
                caption="Quantities.",
                text_columns=(1, 2, 3),
            )
        ],
    )


def _provenance_section(audits: Sequence[Audit], runs: Sequence[Path]) -> Section:
    checked = sum(audit.checked for audit in audits)
    violations = sum(audit.violations for audit in audits)
    exact = exact_report(runs[0])
    verdicts = ", ".join(f"{b.bound.id} {b.verdict}" for b in exact.bounds)
    return Section(
        title="How it was made",
        paragraphs=[
            f"{checked:,} bounds were checked on trained networks and mixtures of them;"
            f" {violations} were violated. No verdict rests on a tolerance: float64 numbers decide"
            " where proven error radii leave no doubt, and elsewhere rationals or ball arithmetic"
            f" do. The last network of the first seed of {runs[0].name} was also decided in exact"
            f" rationals: {verdicts}.",
        ],
        tables=[
            PageTable(
                header=["run", "command"],
                rows=[
                    [str(run), audit.config.command(run)]
                    for run, audit in zip(runs, audits, strict=True)
                ],
                caption="The runs, and the commands that repeat them.",
                text_columns=(1,),
            )
        ],
    )


def _terminal_table(audits: Sequence[Audit]) -> Table:
    table = Table(title="After the last update: mean over seeds, 95 % interval")
    table.add_column("run", no_wrap=True)
    for name in HEADLINE:
        table.add_column(_words(name))
    for audit in audits:
        for side in sides(audit):
            values = (interval(side.final(name)) for name in HEADLINE)
            table.add_row(side.label, *(value.compact(3) for value in values))
    return table


def _terminal_differences(found: Sequence[Comparison]) -> list[Table]:
    if not found:
        return []
    names = ("heldout_return", "gap", "mean_robustness")
    table = Table(title="Paired differences, 95 % interval; * at equal total environment steps")
    table.add_column("left - right", no_wrap=True)
    for name in names:
        table.add_column(_words(name))
    for c in found:
        values = (c.differences[name].compact(4, "+") for name in names)
        table.add_row(f"{c.left} - {c.right}{' *' if c.compute_matched else ''}", *values)
    return [table]


def _words(name: str) -> str:
    """A quantity's name on page and terminal."""
    special = {"robustness": "R", "mean_robustness": "mean R", "heldout_return": "held-out return"}
    return special.get(name, name.replace("_", " "))


def _with_unit(name: str) -> str:
    unit = "total variation" if "robustness" in name else "discounted return"
    return f"{_words(name)} ({unit})"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 12 else f"{float(value):.4g}"  # type: ignore[arg-type]
