"""Mutual-distillation PPO on the real Procgen: train, resume, evaluate, watch, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experiments.procgen.config import ALGORITHMS, PRESETS, ProcgenConfig, configure

if TYPE_CHECKING:
    from experiments.procgen.policy import Policy, load_policies, load_policy

__all__ = [
    "ALGORITHMS",
    "PRESETS",
    "Policy",
    "ProcgenConfig",
    "configure",
    "load_policies",
    "load_policy",
]


def __getattr__(name: str) -> Any:
    """Policies need PyTorch, which is loaded only for them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from experiments.procgen import policy

    return getattr(policy, name)
