"""The evaluations that a run makes while it trains: without bias, and by the official protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from experiments.procgen.config import ProcgenConfig
from experiments.procgen.evaluate import Closing, Evaluator, build_evaluator, evaluate
from experiments.procgen.learner import Networks
from experiments.procgen.official import OfficialEvaluator
from experiments.procgen.policy import Policy
from mdtheory.progress import OnProgress


class TrainingEvaluations(Closing):
    """The evaluations that a run's configuration asks for while it trains; a context manager.

    Games are built when first needed and kept.  Levels and actions of the unbiased ones are the
    same after every update, and for all runs with one seed.
    """

    def __init__(self, config: ProcgenConfig) -> None:
        self.config = config
        self._evaluator: Evaluator | None = None
        self._official: OfficialEvaluator | None = None

    def due(self, update: int) -> tuple[bool, bool]:
        """Whether, after this many updates, the unbiased and the official evaluation are due."""
        config = self.config
        unbiased = update == config.updates or _divides(config.evaluate_every, update)
        return unbiased, _divides(config.official_evaluation_every, update)

    def line(
        self, networks: Networks, update: int, on_progress: OnProgress | None = None
    ) -> dict[str, Any] | None:
        """What evaluations say after this many updates, None if none is due.

        A function of networks and update alone.  Beside "update" and "steps" it has "unbiased",
        that is `Evaluation.to_json()`, and "official", agent's name to
        `OfficialEvaluation.to_json()`, each if due.
        """
        config = self.config
        unbiased, official = self.due(update)
        if not unbiased and not official:
            return None
        policies = [
            Policy(f"agent {k}", config, update, (network,)) for k, network in enumerate(networks)
        ]
        line: dict[str, Any] = {"update": update, "steps": update * config.samples}
        with _without_dropout(networks):
            if unbiased:
                n_levels = config.evaluation_levels
                self._evaluator = self._evaluator or build_evaluator(config, min(64, 2 * n_levels))
                line["unbiased"] = evaluate(
                    policies,
                    config,
                    n_levels=n_levels,
                    seed=config.seed,
                    evaluator=self._evaluator,
                    on_progress=on_progress,
                ).to_json()
            if official:
                if self._official is None:
                    self._official = OfficialEvaluator(config.game, config.options)
                line["official"] = {
                    policy.name: self._official.run(policy, (config.seed, update)).to_json()
                    for policy in policies
                }
        return line

    def close(self) -> None:
        for evaluator in (self._evaluator, self._official):
            if evaluator is not None:
                evaluator.close()
        self._evaluator = self._official = None


@contextmanager
def _without_dropout(networks: Networks) -> Iterator[None]:
    before = networks.training
    networks.eval()
    try:
        yield
    finally:
        networks.train(before)


def _divides(every: int, update: int) -> bool:
    """Whether something done every so many updates, never if 0, is due."""
    return every > 0 and update % every == 0
