"""Mutual-distillation PPO on the real Procgen: train, resume, evaluate, watch, compare."""

from experiments.procgen.config import ALGORITHMS, PRESETS, ProcgenConfig, configure
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
