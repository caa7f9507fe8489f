"""One block of a survey: a job on some worker."""

from __future__ import annotations

from functools import partial
from typing import Any

from mdtheory.check import check
from mdtheory.cluster import Tell
from mdtheory.survey.draw import BATCH, batch, problem
from mdtheory.survey.settings import Settings
from mdtheory.survey.tally import Tally


def survey_block(report: Tell, settings: Settings, first: int, stop: int) -> dict[str, Any]:
    """Put problems `first` to `stop - 1` to the bounds.

    Args:
        report: not called; progress comes block by block.
        settings: seed, bounds, how many cases to keep.
        first, stop: multiples of `BATCH`.

    Returns:
        For JSON: `first`, `stop`, and `bounds`, by id the tally of each.

    Raises:
        ValueError: when this worker has other versions than the survey was begun with.
        ArithmeticError: when a bound overflows float64, or a violation is not confirmed exactly.
    """
    settings.require_same_versions()
    tallies = {bound.id: Tally(settings.keep) for bound in settings.parsed}
    for start in range(first, stop, BATCH):
        instance = batch(settings.seed, start // BATCH)
        fitting = [
            bound
            for bound in settings.parsed
            if instance.baseline is not None or not bound.needs_baseline
        ]
        if fitting:
            for result in check(*instance, bounds=fitting).bounds:
                tallies[result.bound.id].add(result, start, partial(problem, settings.seed))
    found = {bound_id: tally.to_json() for bound_id, tally in tallies.items()}
    return {"first": first, "stop": stop, "bounds": found}
