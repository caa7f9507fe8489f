"""Surveys: bounds put to millions of problems, on Ray, restartable, with their worst cases.

    settings -> draw -> block (a Ray job) -> store -> merge -> conclude, picture

A problem is a function of the seed and its number alone, so a survey's result depends neither on
the size of its blocks nor on the order in which they arrive nor on what was killed meanwhile.
"""

from mdtheory.survey.block import survey_block
from mdtheory.survey.draw import BATCH, batch, kind, problem
from mdtheory.survey.run import survey
from mdtheory.survey.settings import Settings
from mdtheory.survey.tally import Tally

__all__ = ["BATCH", "Settings", "Tally", "batch", "kind", "problem", "survey", "survey_block"]
