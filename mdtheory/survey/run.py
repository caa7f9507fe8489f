"""The driver of a survey: blocks out to Ray, results onto disk as they come."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from mdtheory.cluster import Cluster, Job, Resources, connected
from mdtheory.judge import VIOLATED
from mdtheory.progress import OnProgress
from mdtheory.survey.block import survey_block
from mdtheory.survey.conclude import Conclusion, conclude
from mdtheory.survey.draw import BATCH, LARGEST
from mdtheory.survey.settings import Settings
from mdtheory.survey.store import Store, opened

_MOST_RETRIES = 1000
_ROUND = 4096
"""Blocks that Ray is given at once."""


def survey(
    settings: Settings,
    folder: Path,
    *,
    problems: int,
    block: int = 10_000,
    address: str | None = None,
    resources: Resources | None = None,
    retries: int = 3,
    on_progress: OnProgress = lambda text, share: None,
) -> Conclusion:
    """Put problems to bounds; go on with what the folder holds.

    Args:
        settings: seed, bounds, how many cases to keep.
        folder: of this survey; receives `settings.json`, `blocks.jsonl`, and in the end
            `survey.json` and problem files.
        problems: how many, a multiple of `BATCH`; an earlier survey may be extended.
        block: problems of one job, a multiple of `BATCH`; has no influence on the result.
        address: of a Ray cluster, "auto" or HOST:PORT; by default this machine's cores.
        resources: of each job; by default one processor core.
        retries: how often a block starts again whose worker or node died, up to 1000.
        on_progress: called with a text and the share of this call's work that is done.

    Raises:
        ValueError, FileExistsError, BlockingIOError: see `Settings` and `opened`.
        ModuleNotFoundError, ConnectionError: see `connected`.
        ChildProcessError: a block failed; what is done stays, the same call goes on.
    """
    for name, number in (("problems", problems), ("block", block)):
        if not (BATCH <= number <= LARGEST and number % BATCH == 0):
            raise ValueError(
                f"{name} must be a multiple of {BATCH}, which are drawn together, up to"
                f" {LARGEST:,}; got {number:,}"
            )
    if not 0 <= retries <= _MOST_RETRIES:
        raise ValueError(f"retries must be from 0 to {_MOST_RETRIES}, got {retries}")
    resources = Resources() if resources is None else resources
    if not resources.cpus > 0:
        raise ValueError(f"cpus must be positive, got {resources.cpus:g}")
    with opened(folder, settings, problems) as store:
        if store.problems < problems:
            with connected(address) as cluster:
                _finish(cluster, store, problems, block, resources, retries, on_progress)
        return conclude(store, problems)


def _finish(
    cluster: Cluster,
    store: Store,
    problems: int,
    block: int,
    resources: Resources,
    retries: int,
    on_progress: OnProgress,
) -> None:
    """Do every block that is missing."""
    before, begun = store.problems, time.monotonic()

    def show() -> None:
        done, seconds = store.problems - before, time.monotonic() - begun
        text = progress_text(store, problems, before, done / max(seconds, 1e-9))
        on_progress(text, done / (problems - before))

    show()
    blocks = store.missing(problems, block)
    while some := list(itertools.islice(blocks, _ROUND)):
        jobs = [
            Job(str(first), survey_block, (store.settings, first, stop)) for first, stop in some
        ]
        for outcome in cluster.run(jobs, resources, retries=retries):
            if outcome is not None:
                if outcome.error is not None:
                    raise ChildProcessError(
                        f"the block that begins with problem {outcome.name} failed:"
                        f" {outcome.error}; what is done stays in {store.folder}"
                    )
                store.append(outcome.result)
            show()


def progress_text(store: Store, problems: int, before: int, per_second: float) -> str:
    """How much is done, how fast, and how close every bound came."""
    ratios = []
    for bound, tally in store.tallies.items():
        name = bound if len(bound) <= 16 else f"{bound[:13]}..."
        if tally.count(VIOLATED):
            ratios.append(f"{name} violated")
        elif tally.worst:
            ratios.append(f"{name} {tally.worst[0][1]:.3g}")
    text = f"{store.problems:,} of {problems:,} problems ({store.problems / problems:.1%}"
    text += f", {before:,} done earlier)" if before else ")"
    text += f", {per_second:,.0f}/s" if per_second else ""
    return text + (f"; worst ratios {', '.join(ratios)}" if ratios else "")
