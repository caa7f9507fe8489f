"""The page about a set of runs on Procgen: what was found, with intervals, and how."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.procgen.evaluate import MODES, SPLITS
from experiments.procgen.interval_words import with_half_width, with_interval
from experiments.procgen.measures import audit, features_summary, page_sentences, robustness_summary
from experiments.procgen.measures.attribution_figure import moments_figure
from experiments.procgen.measures.measure_commands import Played, command_of
from experiments.procgen.measures.moments import sentence as moments_sentence
from experiments.procgen.measures.page_numbers import (
    RunFindings,
    differences,
    rows_by_label,
    same_renderings,
    tasks,
)
from experiments.procgen.measures.representation_figures import (
    convergence_curve,
    representation_figure,
)
from experiments.procgen.measures.robustness_figure import rendering_figure, strength_figure
from mdtheory.intervals import Band
from mdtheory.report import style
from mdtheory.report.page import PageTable, Picture, Section, render_page
from mdtheory.statements import STATEMENTS


def build_page(found: Sequence[RunFindings], played: Played, command: str) -> str:
    """The HTML of the page.

    Args:
        found: of each run, measured as `played` says.
        played: the settings.
        command: that made the page.
    """
    by_task = tasks(found)
    parts = {title: _Part(tuple(runs), played) for title, runs in by_task.items()}
    sections = [
        dataclasses.replace(section, title=f"{title}: {section.title.lower()}")
        if len(parts) > 1
        else section
        for title, part in parts.items()
        for section in part.sections()
    ]
    return render_page(
        title=f"Robustness and generalization on Procgen: {'; '.join(by_task)}",
        lead=_lead(),
        sections=[*sections, _provenance_section(found, command)],
    )


def _lead() -> list[str]:
    return [
        "The claim (arXiv 2501.02481): a policy that is more robust to irrelevant features has a"
        " better guarantee on its generalization, and mutual distillation between policies makes"
        " them more robust.",
        "On Procgen the claim can only be looked at through samples: trained policies play levels"
        " whose every state is also drawn in other ways, and all numbers below are estimates. An"
        " estimate illustrates a bound, it does not prove it, and where an interval does not say"
        " which way a difference goes, that is called undecided.",
    ]


@dataclass(frozen=True)
class _Part:
    """What the page says about the runs on one game, mode and set of training levels."""

    runs: tuple[RunFindings, ...]
    played: Played

    def sections(self) -> Iterator[Section]:
        yield self._found()
        yield self._returns()
        yield self._robustness()
        yield self._audit()
        if any(run.moments is not None for run in self.runs):
            yield self._moments()
        yield self._representations()

    def command(self, name: str, runs: Sequence[RunFindings], *flags: str) -> str:
        """The command that shows one thing alone."""
        return command_of(name, tuple(run.run for run in runs), self.played, *flags)

    def policies(self) -> list[tuple[RunFindings, str]]:
        return [(run, policy) for run in self.runs for policy in run.policies]

    def _found(self) -> Section:
        n = len(self.runs[0].measured.plan.levels)
        levels = f"{n} {'training' if self.played.train else 'test'} level{'' if n == 1 else 's'}"
        compared = [page_sentences.difference(found) for found in differences(self.runs)]
        n_changes = sum(len(run.changes(policy)) for run, policy in self.policies())
        return Section(
            title="What was found",
            paragraphs=[
                f"Each policy played {levels} once under every rendering, with sampled actions and"
                " the same random numbers. Held out are the renderings that it was not trained on."
                " Mean R is the total variation between its action distributions on the same state"
                " in two renderings, per state visited; R is the largest over all states.",
                *compared,
                *(_about_policy(run, policy) for run, policy in self.policies()),
            ],
            notes=[
                "Brackets are 95 % intervals, each by itself and not corrected for their number: of"
                f" the {n_changes} changes of returns, some 5 % would be called higher or lower by"
                " chance if no rendering changed anything. Intervals are over levels unless they"
                " are said to be over seeds: they say how other levels would do, not other training"
                " runs. They are asymptotic; few levels or rare rewards make them unreliable.",
                *([_COMPARED] if compared else []),
            ],
        )

    def _returns(self) -> Section:
        by_caption: dict[str, list[list[str]]] = {}
        for run in self.runs:
            if run.evaluation is not None:
                by_caption.setdefault(run.evaluation.caption(), []).extend(_return_rows(run))
        return Section(
            title="Returns on training and test levels",
            paragraphs=[
                "Undiscounted returns in the game's own pictures: the last evaluation without bias"
                " that each run made while it trained.",
            ],
            tables=[
                PageTable(
                    header=["run, policy", "actions", *_RETURNS],
                    rows=rows,
                    caption=caption,
                )
                for caption, rows in by_caption.items()
            ],
            findings=[note for run in self.runs for note in _notes(run)],
        )

    def _robustness(self) -> Section:
        pictures = []
        for runs in same_renderings(self.runs, most=len(style.RUN_COLOURS)):
            names = ", ".join(run.name for run in runs)
            command = self.command("robustness", runs, "--picture", "robustness.svg")
            pictures.append(
                Picture.of(
                    rendering_figure(rows_by_label(runs), command=command),
                    caption="Mean R and return under each rendering.",
                    command=command,
                    alt=f"Mean R and return under each rendering, {names}",
                    wide=True,
                )
            )
            if self.played.strengths:
                command = self.command("robustness", runs, "--strength-picture", "strengths.svg")
                pictures.append(
                    Picture.of(
                        strength_figure(rows_by_label(runs), command=command),
                        caption="Mean R and return against the strength of each transformation.",
                        command=command,
                        alt=f"Mean R and return against strengths of transformations, {names}",
                        wide=True,
                    )
                )
        return Section(
            title="Robustness",
            paragraphs=[_key(robustness_summary.CAPTION)],
            tables=[
                PageTable(
                    header=["rendering", *_returns_first(robustness_summary.HEADER)],
                    rows=[
                        [
                            robustness_summary.shown_name(row, run.config.game),
                            *_in_line(_returns_first(robustness_summary.cells(row))),
                        ]
                        for row in run.policies[policy].rows
                    ],
                    caption=f"{run.name}, {policy}, after {run.measured.update:,} updates.",
                )
                for run, policy in self.policies()
            ],
            pictures=pictures,
        )

    def _audit(self) -> Section:
        captions = dict.fromkeys(audit.caption(run.audits[0]) for run in self.runs)
        n_estimates = len(audit.HEADER) - len(audit.STATEMENTS)
        parts = {
            "estimates": slice(0, n_estimates),
            "right sides, and whether the statement holds": slice(n_estimates, None),
        }
        return Section(
            title="What samples say of the bounds",
            paragraphs=[_key(caption) for caption in captions],
            statements=[STATEMENTS["A0"], STATEMENTS["A3"]],
            tables=[
                PageTable(
                    header=["policy, held out", *audit.HEADER[columns]],
                    rows=[
                        [f"{one.policy}, {audit.about(one, report)}", *_in_line(cells[columns])]
                        for one in run.audits
                        for report in one.reports
                        for cells in [audit.cells(report)]
                    ],
                    caption=f"{run.name}, discount {run.measured.plan.discount:g}: {words}.",
                )
                for run in self.runs
                for words, columns in parts.items()
            ],
        )

    def _moments(self) -> Section:
        pictures, sentences = [], []
        for run in self.runs:
            found = run.moments
            if found is None:
                continue
            flags = ["--moments", str(run.n_moments), "--picture", "moments.svg"]
            command = self.command("audit", [run], *flags)
            sentences.append(_with_minus(f"{run.name}: {moments_sentence(found)}."))
            pictures.append(
                Picture.of(
                    moments_figure(found, command=command),
                    caption=f"{run.name}, {found.policy}: where {found.other} costs most.",
                    command=command,
                    alt=f"Moments at which {found.other} costs {run.name}, {found.policy} most",
                    wide=True,
                )
            )
        return Section(
            title="The moments that cost most",
            paragraphs=[
                "For the first agent of each run: the held-out rendering with the lowest mean"
                " return, and the steps of its episodes at which acting on it costs most.",
                *sentences,
            ],
            pictures=pictures,
        )

    def _representations(self) -> Section:
        pictures = [self._features(run) for run in self.runs]
        several = [run for run in self.runs if len(run.history.snapshots) > 1]
        if several:
            command = self.command("representations", several, "--curve", "convergence.svg")
            curves = [run.history.curves(run.name) for run in several]
            pictures.append(
                Picture.of(
                    convergence_curve(curves, command=command),
                    caption="Representation convergence over training.",
                    command=command,
                    alt="Representation convergence over training,"
                    f" {', '.join(run.name for run in several)}",
                    wide=True,
                )
            )
        return Section(
            title="Representations",
            paragraphs=[_key(features_summary.CAPTION)],
            tables=[
                PageTable(
                    header=["agent, rendering", *features_summary.HEADER],
                    rows=[
                        [row[0], *_in_line(row[1:])] for row in features_summary.rows(run.history)
                    ],
                    caption=f"{run.name}: {run.history.n_states} states of"
                    f" {len(run.history.plan.levels)} levels, after {run.measured.update:,}"
                    " updates.",
                )
                for run in self.runs
            ],
            pictures=pictures,
            notes=[
                f"No curve over training: {run.name} kept no snapshots (--snapshot-every)."
                for run in self.runs
                if run not in several
            ],
        )

    def _features(self, run: RunFindings) -> Picture:
        command = self.command("representations", [run], "--picture", "features.svg")
        return Picture.of(
            representation_figure(run.panels, run.shown, command=command),
            caption=f"{run.name}: the same states in several renderings, those with the least"
            " convergence.",
            command=command,
            alt=f"Features of the same states in several renderings, {run.name}",
            wide=len(run.panels) > 2,
        )


_COMPARED = (
    "Comparisons are of agents, averaged over each run's agents and over the renderings held out"
    " from both; mean R there is the mean over levels of each level's mean per state. Each policy"
    " is measured on the states that it visits itself."
)
_RETURNS = ("training levels", "test levels", "gap", "solved, %", "steps", "updates")


def _about_policy(run: RunFindings, policy: str) -> str:
    """What intervals decide about one policy."""
    n_levels, reference = len(run.measured.plan.levels), str(run.reference)
    verdicts: dict[str, list[str]] = {}
    for one in run.audits:
        if one.policy == policy:
            for statement in one.reports[0].statements:
                verdicts.setdefault(statement.id, []).append(statement.verdict)
    heldout = run.heldout(policy)
    distances = {str(row.rendering): row.mean_tv for row in heldout}
    largest = max(row.largest_tv for row in heldout)
    home = run.measured.plays[policy][run.reference]
    entropy = float(home.entropy.sum() / home.lengths.sum())
    sentences = [
        page_sentences.changes(reference, run.changes(policy), n_levels),
        page_sentences.robustness(reference, run.mean_tv(policy), distances, largest, entropy),
        page_sentences.verdicts(verdicts),
    ]
    if run.evaluation is not None and policy in run.evaluation.tables:
        n_test = len(run.evaluation.levels["test"])
        sentences.append(page_sentences.gap(run.evaluation.gap(policy, "sampled"), n_test))
    return f"{run.name}, {policy}. {' '.join(sentences)}"


def _return_rows(run: RunFindings) -> list[list[str]]:
    found = run.evaluation
    assert found is not None
    rows = []
    for policy, by_mode in found.tables.items():
        for mode in MODES:
            train, test = (by_mode[mode][split] for split in SPLITS)
            solved = Band(*(100 * share for share in test.mean("solved")))
            rows.append(
                [
                    f"{run.name}, {policy}",
                    mode,
                    with_interval(train.mean()),
                    with_interval(test.mean()),
                    with_interval(found.gap(policy, mode), sign="+"),
                    with_half_width(solved, digits=0),
                    with_half_width(test.mean("lengths"), digits=0),
                    f"{found.update:,}",
                ]
            )
    return rows


def _notes(run: RunFindings) -> list[str]:
    """What is not known of a run's returns."""
    if run.evaluation is None:
        why = "has logged no such evaluation" if run.run.is_dir() else "is a file of weights alone"
        command = shlex.join(["mdpo", "evaluate", str(run.run)])
        return [f"Missing: {run.name} {why}. The command that plays these levels: {command}"]
    after, done = run.evaluation.update, run.measured.update
    if after == done:
        return []
    return [f"{run.name} was evaluated after {after:,} of the {done:,} updates done."]


def _returns_first(cells: Sequence[str]) -> list[str]:
    """The cells in an order in which a narrow page cuts off what matters least."""
    return [*cells[-2:], *cells[:-2]]


def _in_line(cells: Sequence[str]) -> list[str]:
    """Numbers of a terminal's table, where intervals stand below."""
    return [_with_minus(cell.replace("\n", " ")) for cell in cells]


def _with_minus(text: str) -> str:
    """Negative numbers as on the rest of the page, but not within a rendering's name."""
    return re.sub(r"(?<![\w=])-(?=\d)", "−", text)


def _key(caption: str) -> str:
    """A terminal's caption as a paragraph."""
    return f"In the tables: {caption}"


def _provenance_section(found: Sequence[RunFindings], command: str) -> Section:
    header = ["run", "algorithm", "seed", "updates", "steps per agent", "in all", "trained on"]
    return Section(
        title="Where it comes from",
        paragraphs=[f"The command that made this page: {command}"],
        tables=[
            PageTable(
                header=header,
                rows=[_provenance(run) for run in found],
                caption="The runs; steps are environment steps.",
                text_columns=(1, 6),
            ),
            PageTable(
                header=["run", "command"],
                rows=[[run.name, run.config.command(_folder(run))] for run in found],
                caption="The commands that repeat them.",
                text_columns=(1,),
            ),
        ],
    )


def _folder(run: RunFindings) -> Path:
    """Of the run, or for an exported file one of its name."""
    return run.run if run.run.is_dir() else run.run.with_suffix("")


def _provenance(run: RunFindings) -> list[str]:
    config = run.config
    return [
        str(run.run),
        config.algorithm,
        str(config.seed),
        f"{run.measured.update:,} of {config.updates:,}",
        f"{run.steps_per_agent:,}",
        f"{run.steps_per_agent * config.agents:,}",
        ", ".join(config.train_renderings),
    ]
