"""`mdpo report` for runs on Procgen."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from experiments.procgen.measures.measure_commands import Played, Runs, command_of, each, run_names
from mdtheory import files
from mdtheory.progress import OnProgress, progress

if TYPE_CHECKING:
    from experiments.procgen.measures.page_numbers import RunFindings


_SHARES = (0.4, 0.7, 0.8)
"""What is done of a run after its robustness, its moments and its features."""


@dataclass(frozen=True)
class ReportProcgen:
    """Measure what is not yet measured of runs and write one self-contained HTML page (Procgen).

    What was measured is kept in RUN/measured (or FILE.measured); calling it again goes on where it
    was stopped.
    """

    runs: Runs
    """Folders written by `mdpo train`, or files of `mdpo export`; runs that differ in their seed
    only are repetitions of one algorithm."""
    output: Path | None = None
    """The page; by default report.html in the first run's folder, or beside the exported file."""
    force: bool = False
    """Overwrite an existing page."""
    moments: int = 6
    """Moments to show at which a rendering costs the first agent of each run most; 0 shows none."""
    played: Annotated[Played, tyro.conf.arg(name="")] = field(default_factory=Played)

    def run(self) -> int:
        from experiments.procgen.measures.page import build_page

        names = run_names(self.runs)
        folder = self.runs[0] if self.runs[0].is_dir() else self.runs[0].parent
        path = files.new_file(self.output or folder / "report.html", force=self.force)
        self._check(names)
        with progress() as show:
            found = [
                self._find(name, run, part) for name, run, part in each(names, self.runs, show)
            ]
        page = build_page(found, self.played, self._command())
        files.write_atomically(path, page.encode())
        print(f"page: {path}")
        return 0

    def _check(self, names: list[str]) -> None:
        """Raise ValueError, before anything is played, for what cannot be shown."""
        from experiments.procgen.comparison.compare import require_different
        from experiments.procgen.evaluate import MOST, require_whole
        from experiments.procgen.measures.audit import require_heldout

        require_whole("moments", self.moments, 0, MOST)
        asked = self.played.plans(self.runs)
        for one in asked:
            require_heldout(one.plan)
        require_different(names, [one.config for one in asked])

    def _find(self, name: str, run: Path, show: OnProgress) -> RunFindings:
        """What is known of a run already, and the rest measured."""
        from experiments.procgen.evaluate import part_of
        from experiments.procgen.measures import features_summary
        from experiments.procgen.measures.moments import measure_moments
        from experiments.procgen.measures.page_numbers import RunFindings, load_evaluation

        first, second, third = _SHARES
        measured = self.played.measure(run, part_of(show, 0, first))
        moments = None
        if self.moments:
            moments = measure_moments(
                run,
                measured,
                n_moments=self.moments,
                device=self.played.device,
                on_progress=part_of(show, first, second - first),
            )
        history = self.played.features(run, part_of(show, second, third - second))
        show("a picture of features", third)
        shown, panels = features_summary.panels(run, history, self.played)
        return RunFindings(
            name=name,
            run=run,
            measured=measured,
            history=history,
            shown=shown,
            panels=panels,
            moments=moments,
            n_moments=self.moments,
            evaluation=load_evaluation(run, measured.config, measured.update),
        )

    def _command(self) -> str:
        """The command with the settings that change what is on the page."""
        flags = [] if self.moments == type(self).moments else ["--moments", str(self.moments)]
        return command_of("report", self.runs, self.played, *flags)
