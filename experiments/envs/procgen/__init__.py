"""The real Procgen behind one interface on every supported Python."""

from experiments.envs.procgen.environment import ProcgenOptions, ProcgenVectorEnv
from experiments.envs.procgen.games import ACTIONS, GAMES, N_ACTIONS
from experiments.envs.procgen.levels import LevelSet, LevelSplit, split

__all__ = [
    "ACTIONS",
    "GAMES",
    "N_ACTIONS",
    "LevelSet",
    "LevelSplit",
    "ProcgenOptions",
    "ProcgenVectorEnv",
    "split",
]
