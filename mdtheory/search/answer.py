"""What became of a bound: refuted, proved or survived; as an object, as text, as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdtheory import exact, validation
from mdtheory.judge import BoundResult
from mdtheory.problem import Instance
from mdtheory.problem_file import check_command, dump_problem
from mdtheory.proving import Proof
from mdtheory.statements import Bound

REFUTED, PROVED, SURVIVED = "refuted", "proved", "survived"


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What became of a bound.

    Attributes:
        bound: the bound.
        verdict: "refuted", "proved" or "survived".
        tried: instances that were evaluated; a step of an ascent counts as one.
        seconds: wall-clock time.
        instance: the counterexample, or for a survivor the instance with the largest ratio; exact.
            None if the bound is proved, or applied to no instance.
        result: the exact check of that instance.
        proof: for a proved bound.
        notes: what could not be tried, such as gradient ascent without PyTorch.
    """

    bound: Bound
    verdict: str
    tried: int
    seconds: float
    instance: Instance | None = None
    result: BoundResult | None = None
    proof: Proof | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """JSON with keys bound, verdict, tried, seconds, left, right, slack, ratio, instance,
        proof, notes; exact numbers as "p/q" strings, the instance as a problem file."""
        content: dict[str, Any] = {
            "bound": self.bound.id,
            "verdict": self.verdict,
            "tried": self.tried,
            "seconds": round(self.seconds, 3),
        }
        for key, name in (
            ("left", "lhs"),
            ("right", "rhs"),
            ("slack", "slack"),
            ("ratio", "ratio"),
        ):
            content[key] = exact.jsonable(getattr(self.result, name, None))
        content["instance"] = (
            None if self.instance is None else json.loads(dump_problem(*self.instance))
        )
        content["proof"] = (
            None
            if self.proof is None
            else {k: getattr(self.proof, k) for k in ("by", "uses", "argument")}
        )
        return json.dumps(content | {"notes": self.notes}, indent=2, allow_nan=False)

    def __str__(self) -> str:
        return self.text()

    def text(self, path: Path | None = None) -> str:
        """For a person to read; `path` is where the instance was written, if it was."""
        head = f"{self.verdict}: {self.bound.id}"
        effort = f"{self.tried:,} instances in {self.seconds:.1f} s"
        lines = [head, *(getattr(self, f"_{self.verdict}_lines")(effort))]
        if self.verdict == REFUTED:
            said = "save it (--output FILE) and run" if path is None else "run"
            lines += ["", f"To confirm it, {said}: {check_command(path or 'FILE', self.bound.id)}"]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _refuted_lines(self, effort: str) -> list[str]:
        assert self.instance is not None
        return [
            f"by an exact counterexample, found and simplified within {effort}:",
            self._numbers(),
            "",
            dump_problem(*self.instance).rstrip(),
        ]

    def _proved_lines(self, effort: str) -> list[str]:
        assert self.proof is not None
        uses = ", ".join(self.proof.uses) or "nothing but arithmetic"
        return [f"by {self.proof.by}, from {uses}.", self.proof.argument]

    def _survived_lines(self, effort: str) -> list[str]:
        lines = [f"No counterexample among {effort}. This is no proof."]
        if self.instance is None:
            return [*lines, "It applied to none of them, or allowed nothing."]
        return [*lines, f"Closest: {self._numbers()}", "", dump_problem(*self.instance).rstrip()]

    def _numbers(self) -> str:
        assert self.result is not None
        r = self.result
        shown = {"left": r.lhs, "right": r.rhs, "ratio": r.ratio}
        return ", ".join(f"{k} {_brief(v)}" for k, v in shown.items() if v is not None)


def _brief(value: Any) -> str:
    """A short fraction as it is, a long one by its leading digits."""
    text = validation.shown(value)
    return text if len(text) <= 20 else f"about {float(value):.6g}"
