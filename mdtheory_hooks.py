"""What Hypothesis loads when it is imported; it costs nothing where `mdtheory` is not used.

It is a module of its own, since importing anything of the package would import all of it.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

PROFILES: dict[str, dict[str, Any]] = {
    "dev": {"max_examples": 100},
    "ci": {"max_examples": 1_000, "derandomize": True},
    # Never the same twice, not even where Hypothesis by itself would be deterministic.
    "nightly": {"max_examples": 10_000, "derandomize": False},
}
"""How thoroughly bounds are tested, by the names of `--mdtheory-profile`."""

SEARCH_SECONDS = {"dev": 1, "ci": 5, "nightly": 60}
"""How long a bound is attacked by the search before instances are drawn; above 1 with gradients."""

DEFAULT_PROFILE = "dev"

_TYPES = (
    "FiniteMDP",
    "RenderingFamily",
    "TabularPolicy",
    "LatentPolicy",
    "Problem",
    "Instance",
)


def register_strategies() -> None:
    """Teach `hypothesis.strategies.from_type` the package's classes, if both are imported.

    Each calls this when it is imported, so the second one finds both; nothing is drawn or built
    before a test asks for it.
    """
    hypothesis: Any = sys.modules.get("hypothesis.strategies")
    theory: Any = sys.modules.get("mdtheory")
    if not hasattr(hypothesis, "register_type_strategy"):
        return
    if not all(hasattr(theory, name) for name in _TYPES):
        return  # still being imported, it calls this at its end
    for name in _TYPES:
        hypothesis.register_type_strategy(getattr(theory, name), _strategy)


def _strategy(kind: type) -> Any:
    return importlib.import_module("mdtheory.strategies").BY_TYPE[kind]
