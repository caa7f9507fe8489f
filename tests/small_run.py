"""A configuration that trains in a fraction of a second."""

from __future__ import annotations

from experiments.envs.pixelgrid import PixelGridConfig
from experiments.pixelgrid.config import TrainConfig

SMALL = TrainConfig(
    seeds=2,
    updates=6,
    evaluate_every=2,
    n_envs=4,
    rollout_steps=16,
    hidden=16,
    pixelgrid=PixelGridConfig(size=3, train_renderings=2, heldout_renderings=3),
)
