"""What `mdpo` measures of trained policies on the same states in other pictures (Procgen)."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import tyro
from rich.console import Console
from rich.table import Table

from experiments.config import require_runs
from experiments.envs.procgen.renderings import (
    ORIGINAL,
    Rendering,
    default_family,
    has_effect,
    only_image,
    parse_all,
    strength_family,
)
from experiments.procgen.config import ProcgenConfig
from mdtheory import command_line, files
from mdtheory.progress import OnProgress, progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.procgen.measures import robustness
    from experiments.procgen.measures.features import FeatureHistory
    from experiments.procgen.measures.robustness import Plan
    from experiments.procgen.policy import Policy

_WIDEST = 1000
"""Characters of a line, if the tables need so many."""

Runs = Annotated[tuple[Path, ...], tyro.conf.Positional]


class Asked(NamedTuple):
    """A run's configuration, how many agents it has, and what is played of it."""

    config: ProcgenConfig
    n_agents: int
    plan: Plan


@dataclass(frozen=True)
class Played:
    """What is played; the same settings find again what was measured before."""

    renderings: tuple[str, ...] = ()
    """Renderings beside those trained on, such as monochrome or hue=0.1 (`mdpo renderings` lists
    them); by default one or two of each kind that changes something in the game."""
    strengths: bool = False
    """Add transformations of the pixels in all strengths, from mild to strong."""
    levels: int = 16
    """Levels, each played once under every rendering; all, if there are no more."""
    train: bool = False
    """Play levels that the run was trained on instead of test levels."""
    mixture: bool = True
    """Whether to measure the mixture of a run's agents too, if there are several."""
    seed: int = 0
    """Of the choice of levels and of the actions."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks are."""

    def plan(self, config: ProcgenConfig) -> Plan:
        """What is played of a run.

        Raises:
            ValueError: naming the flag and its value.
        """
        from experiments.procgen.evaluate import MOST, require_whole, sample_levels
        from experiments.procgen.measures.robustness import Plan

        require_whole("levels", self.levels, 1, MOST)
        require_whole("seed", self.seed, 0, 2**31 - 1)
        game, train = config.game, config.seen_renderings
        chosen = parse_all(self.renderings, game) if self.renderings else default_family(game)
        strong = strength_family() if self.strengths else ()
        for rendering in chosen:
            _require_effect(rendering, config)
        levels = config.levels.train if self.train else config.levels.test
        return Plan(
            levels=tuple(sample_levels(levels, self.levels, self.seed)),
            renderings=tuple(dict.fromkeys((*train, *chosen, *strong))),
            train=train,
            discount=config.discount,
            seed=self.seed,
        )

    def plans(self, runs: tuple[Path, ...]) -> list[Asked]:
        """What is played of each run, so that a mistake about any of them is found before play.

        Raises:
            FileNotFoundError, ValueError: a run cannot be loaded or played; naming it, or the flag
                and its value.
        """
        from experiments.procgen.policy import load_policies

        loaded = [load_policies(run) for run in runs]
        return [Asked(p[0].config, len(p), self.plan(p[0].config)) for p in loaded]

    def policies(self, run: Path) -> list[Policy]:
        """A run's agents, and their mixture if there are several."""
        from experiments.procgen.evaluate import load_on
        from experiments.procgen.policy import mixture

        agents = load_on(run, self.device)
        return [*agents, mixture(agents)] if self.mixture and len(agents) > 1 else agents

    def measure(self, run: Path, show: OnProgress | None) -> robustness.Robustness:
        """What is measured of a run already, and the rest."""
        from experiments.procgen.measures.robustness import measure_robustness, measured_folder

        policies = self.policies(run)
        plan = self.plan(policies[0].config)
        return measure_robustness(policies, plan, measured_folder(run), on_progress=show)

    def features(self, run: Path, show: OnProgress | None) -> FeatureHistory:
        """What is measured of a run's features already, and the rest."""
        from experiments.procgen.evaluate import load_on
        from experiments.procgen.measures.features import measure_features
        from experiments.procgen.measures.robustness import measured_folder

        agents = load_on(run, self.device)
        plan = self.plan(agents[0].config)
        return measure_features(run, agents, plan, measured_folder(run), show)


def _require_effect(rendering: Rendering, config: ProcgenConfig) -> None:
    """Raise ValueError for a rendering that was not trained on and changes no pixel."""
    if rendering in config.seen_renderings or rendering == ORIGINAL:
        return
    game, mode = config.game, config.distribution_mode
    only = only_image(game, mode)
    if not has_effect(rendering, game) or (only is not None and rendering.image == only):
        raise ValueError(
            f"renderings must change what is seen, got {rendering}, which shows {game} in {mode}"
            " mode as it is"
        )


_Played = Annotated[Played, tyro.conf.arg(name="")]


@dataclass(frozen=True)
class Robustness:
    """Measure how differently a run's policies act when the same states look different (Procgen).

    What was measured is kept in RUN/measured (or FILE.measured); calling it again goes on where it
    was stopped.
    """

    runs: Runs
    """Folders written by `mdpo train`, or files of `mdpo export`."""
    picture: Path | None = None
    """Draw mean R and return under each rendering (.svg, .png or .pdf); runs of one game only."""
    strength_picture: Path | None = None
    """Draw the same against the strength of each transformation, for --strengths."""
    force: bool = False
    """Overwrite existing pictures."""
    played: _Played = field(default_factory=Played)

    def run(self) -> int:
        from experiments.procgen.measures import robustness_figure, robustness_summary

        names = run_names(self.runs)
        pictures = new_pictures(
            self.force, picture=self.picture, strength_picture=self.strength_picture
        )
        if self.strength_picture is not None and not self.played.strengths:
            raise ValueError("--strength-picture needs --strengths")
        asked = self.played.plans(self.runs)
        if self.picture is not None or self.strength_picture is not None:
            require_comparable(asked)
        found = {}
        with progress() as show:
            for name, run, part in each(names, self.runs, show):
                found[name] = self.played.measure(run, part)
        print_whole(
            [
                table
                for name, measured in found.items()
                for table in robustness_summary.tables(measured, name)
            ]
        )
        policies = robustness_summary.by_policy(found)
        command = command_of("robustness", self.runs, self.played)
        draw = (robustness_figure.rendering_figure, robustness_figure.strength_figure)
        for path, figure in zip(pictures, draw, strict=True):
            if path is not None:
                save(figure(policies, command=command), path)
        return 0


@dataclass(frozen=True)
class Audit:
    """Put measured returns and TV into bounds: holds, violated or undecided (Procgen).

    Bounds are A0 and A3. Then show the moments at which a rendering costs most. Exit status 1 if a
    bound is violated.
    What was measured is kept in RUN/measured (or FILE.measured).
    """

    runs: Runs
    """Folders written by `mdpo train`, or files of `mdpo export`."""
    method: Literal["student", "bernstein"] = "student"
    """Asymptotic intervals over levels, or such as hold for any number of levels (much wider)."""
    confidence: float = 0.95
    """Of each interval and each verdict alone."""
    drawn: bool = False
    """The held-out renderings are independent draws from a larger family, such as random-conv=0.5
    with seeds 0, 1, ...: add statements about that family."""
    moments: int = 6
    """Moments to show of the first run; 0 shows none."""
    of: str = ""
    """Rendering whose costs are shown; by default that with the lowest return."""
    agent: int = 0
    """Agent whose moments are shown."""
    picture: Path | None = None
    """Draw these moments (.svg, .png or .pdf)."""
    force: bool = False
    """Overwrite an existing picture."""
    played: _Played = field(default_factory=Played)

    def run(self) -> int:
        from experiments.procgen.measures import audit
        from experiments.procgen.measures.attribution_figure import moments_figure
        from experiments.procgen.measures.moments import measure_moments, sentence
        from mdtheory.judge import VIOLATED

        names = run_names(self.runs)
        (picture,) = new_pictures(self.force, picture=self.picture)
        of = Rendering.parse(self.of) if self.of else None
        self._check(self.played.plans(self.runs), of)
        found = {}
        with progress() as show:
            for name, run, part in each(names, self.runs, show):
                found[name] = self.played.measure(run, part)
        audits = {
            name: audit.audit(
                measured, method=self.method, confidence=self.confidence, drawn=self.drawn
            )
            for name, measured in found.items()
        }
        print_whole(
            [
                table
                for name, measured in found.items()
                for table in audit.tables(measured, audits[name], name)
            ]
        )
        if self.moments:
            with progress() as show:
                shown = measure_moments(
                    self.runs[0],
                    found[names[0]],
                    agent=self.agent,
                    of=of,
                    n_moments=self.moments,
                    device=self.played.device,
                    on_progress=show,
                )
            print(sentence(shown))
            if picture is not None:
                command = command_of("audit", self.runs, self.played, *self._flags())
                save(moments_figure(shown, command=command), picture)
        verdicts = [
            statement.verdict
            for found_here in audits.values()
            for one in found_here
            for report in one.reports
            for statement in report.statements
        ]
        return 1 if any(verdict == VIOLATED for verdict in verdicts) else 0

    def _check(self, asked: list[Asked], of: Rendering | None) -> None:
        """Raise ValueError, before anything is played, for what cannot be shown."""
        from experiments.procgen.evaluate import MOST, require_whole
        from experiments.procgen.measures.audit import require_heldout
        from experiments.procgen.measures.moments import require_other
        from mdtheory.intervals import LEVEL

        least = round(1 - LEVEL, 12) if self.drawn else 0.0  # which the draw of renderings takes
        if not least < self.confidence < 1:
            raise ValueError(f"confidence must lie in ({least:g}, 1), got {self.confidence}")
        for one in asked:
            heldout = require_heldout(one.plan)
            kinds = {(rendering.name, rendering.strength) for rendering in heldout}
            if self.drawn and (len(kinds) > 1 or heldout[0].seed is None):
                raise ValueError(
                    "--drawn needs held-out renderings that differ in their seed only, such as"
                    f" random-conv=0.5,seed=0 to seed=31, got {', '.join(map(str, heldout))}"
                )
        require_whole("moments", self.moments, 0, MOST)
        if self.picture is not None and not self.moments:
            raise ValueError("--picture shows moments, and --moments 0 asks for none")
        require_whole("agent", self.agent, 0, asked[0].n_agents - 1)
        if of is not None:
            require_other(of, asked[0].config.game, asked[0].plan)

    def _flags(self) -> list[str]:
        """Those of its own that are not the default and change what is shown."""
        from experiments.config import changed_flags

        shown = dataclasses.replace(self, picture=None, force=False, played=Played())
        return changed_flags(shown, Audit(self.runs))


@dataclass(frozen=True)
class Representations:
    """Measure how close the features of a state's pictures are, now and over training (Procgen).

    Snapshots of the weights, of runs trained with --snapshot-every, make it a curve. What was
    measured is kept in RUN/measured (or FILE.measured).
    """

    runs: Runs
    """Folders written by `mdpo train`, or files of `mdpo export`."""
    picture: Path | None = None
    """Draw the first run's features of some states in several renderings (.svg, .png or .pdf)."""
    curve: Path | None = None
    """Draw representation convergence over training, of all runs."""
    force: bool = False
    """Overwrite existing pictures."""
    played: _Played = field(default_factory=Played)

    def run(self) -> int:
        from experiments.procgen.measures import features_summary
        from experiments.procgen.measures.features import require_several
        from experiments.procgen.measures.representation_figures import (
            convergence_curve,
            representation_figure,
        )

        names = run_names(self.runs)
        picture, curve = new_pictures(self.force, picture=self.picture, curve=self.curve)
        for asked in self.played.plans(self.runs):
            require_several(asked.plan)
        command = command_of("representations", self.runs, self.played)
        found = {}
        with progress() as show:
            for name, run, part in each(names, self.runs, show):
                found[name] = self.played.features(run, part)
        print_whole([features_summary.table(history, name) for name, history in found.items()])
        Console().print(features_summary.CAPTION, markup=False, highlight=False)
        if picture is not None:
            shown, agents = features_summary.panels(self.runs[0], found[names[0]], self.played)
            save(representation_figure(agents, shown, command=command), picture)
        if curve is not None:
            curves = [history.curves(name) for name, history in found.items()]
            save(convergence_curve(curves, command=command), curve)
        return 0


def print_whole(tables: list[Table]) -> None:
    """Print tables without cutting a cell, on lines wider than the terminal if need be."""
    everything = Console(width=_WIDEST)
    width = max([Console().width, *(everything.measure(table).maximum for table in tables)])
    console = Console(width=width)
    for table in tables:
        console.print(table)


def command_of(name: str, runs: tuple[Path, ...], played: Played, *flags: str) -> str:
    """The command with the settings that are not the default."""
    from experiments.config import changed_flags

    return shlex.join(["mdpo", name, *map(str, runs), *flags, *changed_flags(played, Played())])


def new_pictures(force: bool, **paths: Path | None) -> list[Path | None]:
    """The paths, by the flags that name them, if they differ and may be written."""
    given = [path for path in paths.values() if path is not None]
    for i, path in enumerate(given):
        if path in given[:i]:
            raise ValueError(f"pictures must differ, got {path} twice")
    return [
        None if path is None else files.new_picture(path, force, f"--{name.replace('_', '-')}")
        for name, path in paths.items()
    ]


def require_comparable(asked: list[Asked]) -> None:
    """Raise ValueError unless one picture can show all runs."""
    kinds: dict[str, list[str]] = {
        "of one game": [one.config.game for one in asked],
        "of one mode": [one.config.distribution_mode for one in asked],
        "trained on the same renderings": [" ".join(map(str, one.plan.train)) for one in asked],
    }
    for kind, found in kinds.items():
        different = list(dict.fromkeys(found))
        if len(different) > 1:
            raise ValueError(f"a picture needs runs {kind}, got {', '.join(different)}")


def save(figure: Figure, path: Path) -> None:
    """Write a picture and say where."""
    from mdtheory.report import style

    style.save(figure, path)
    print(f"picture: {path}")


def run_names(runs: tuple[Path, ...]) -> list[str]:
    """Different names of runs, for tables and pictures.

    Raises:
        ValueError: there is no run.
    """
    require_runs(runs)
    for i, run in enumerate(runs):
        if run in runs[:i]:
            raise ValueError(f"runs must differ, got {run} twice")
    names = [run.stem if run.is_file() else run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def each(
    names: list[str], runs: tuple[Path, ...], show: OnProgress
) -> Iterator[tuple[str, Path, OnProgress]]:
    """Names, runs, and how each shows its share of the progress."""
    for i, (name, run) in enumerate(zip(names, runs, strict=True)):

        def part(text: str, share: float, i: int = i, name: str = name) -> None:
            show(f"{name}, {text}", (i + share) / len(runs))

        yield name, run, part


COMMANDS: dict[str, type[command_line.Command]] = {
    "robustness": Robustness,
    "audit": Audit,
    "representations": Representations,
}
