"""Named toy problems with controlled irrelevant features and closed-form answers."""

from mdtheory.toys.environment import RenderedMDPEnv, environment_id, register_environments
from mdtheory.toys.problems import TOYS, Toy, ToyInstance, make_toy

__all__ = [
    "TOYS",
    "RenderedMDPEnv",
    "Toy",
    "ToyInstance",
    "environment_id",
    "make_toy",
    "register_environments",
]
