"""Gradient ascent through the exact solve, many restarts in one batch (PyTorch, float64)."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from mdtheory.search.objective import score
from mdtheory.search.space import LONGEST, Parameters, Space, build
from mdtheory.statements import Bound

LARGEST_LOGIT = 40.0
"""Probabilities of e^-40 are 0 for every purpose; larger logits only stall the ascent."""


def climb(
    space: Space,
    bound: Bound,
    start: Parameters,
    *,
    n_steps: int = 400,
    step_size: float = 0.15,
    deadline: float = float("inf"),
    device: str = "cpu",
    on_step: Callable[[], None] = lambda: None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Ascend from each start; the best parameters that each has met, and their score [B].

    Args:
        space: what is fixed.
        bound: the bound whose violation is maximised.
        start: float parameters with one leading batch axis.
        n_steps: steps of Adam.
        step_size: of Adam, on logits.
        deadline: `time.monotonic()` at which to stop early.
        device: where PyTorch computes.
        on_step: called after every step.
    """
    torch.set_num_threads(1)  # tiny matrices: threads would only wait for each other
    logits = _logits(space, start, device)
    fixed = {"low": torch.tensor(start["low"], dtype=torch.float64, device=device)}
    optimizer = torch.optim.Adam(list(logits.values()), lr=step_size)
    size = len(start["low"])
    best = torch.full((size,), -torch.inf, dtype=torch.float64, device=device)
    kept = {name: value.detach().clone() for name, value in logits.items()}
    for _ in range(n_steps):
        worlds = build(space, _parameters(space, logits) | fixed, float)
        violation, unmet, _ = score(bound, worlds.measurement)
        objective = torch.nan_to_num(violation - 10 * unmet, nan=-1e3, posinf=-1e3, neginf=-1e3)
        better = objective.detach() > best
        best = torch.where(better, objective.detach(), best)
        for name, value in logits.items():
            mask = better.reshape(-1, *(1,) * (value.dim() - 1))
            kept[name] = torch.where(mask, value.detach(), kept[name])
        optimizer.zero_grad()
        (-objective.sum()).backward()
        for value in logits.values():
            if value.grad is not None:
                value.grad.nan_to_num_(0.0, 0.0, 0.0)
        optimizer.step()
        with torch.no_grad():
            for value in logits.values():
                value.clamp_(-LARGEST_LOGIT, LARGEST_LOGIT)
        on_step()
        if time.monotonic() > deadline:
            break
    with torch.no_grad():
        found = _parameters(space, kept) | fixed
    return {n: v.cpu().numpy() for n, v in found.items()}, best.cpu().numpy()


def _logits(space: Space, start: Parameters, device: str) -> dict[str, torch.Tensor]:
    """Unconstrained coordinates of the start: logarithms of rows, logits of shares."""
    out = {}
    for name in (*space.rows, *space.shares, "scale"):
        value = np.asarray(start[name], dtype=np.float64)
        if name in space.rows or name == "scale":
            coordinate = np.log(np.maximum(value, np.exp(-6.0)))
        else:
            inside = np.clip(value, np.exp(-6.0), 1 - np.exp(-6.0))
            coordinate = np.log(inside) - np.log1p(-inside)
        out[name] = torch.tensor(coordinate, device=device, requires_grad=True)
    return out


def _parameters(space: Space, logits: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    out = {name: torch.softmax(logits[name], dim=-1) for name in space.rows}
    out |= {name: torch.sigmoid(logits[name]) for name in space.shares}
    if "discount" in out:
        out["discount"] = out["discount"].clamp(max=LONGEST)
    return out | {"scale": torch.exp(logits["scale"].clamp(-10, 10))}
