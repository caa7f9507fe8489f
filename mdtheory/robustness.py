"""How differently a policy acts when the same state looks different.

Distances between action distributions, and their worst case and on-policy average over pairs of
renderings.  A smaller R is a more robust policy; 0 is blind to the rendering.
"""

from __future__ import annotations

import numpy as np


def total_variation(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """TV(p, q) = ½ Σ_a |p[a] − q[a]| along the last axis; in [0, 1]."""
    return np.asarray(abs(p - q).sum(axis=-1) / 2)


def kl_divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p ‖ q) = Σ_a p[a] ln(p[a]/q[a]) in nats along the last axis, float64.

    Infinite where q is 0 and p is not; 0·ln 0 = 0.
    """
    p, q = np.broadcast_arrays(np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (np.log(p) - np.log(q)), 0.0)
    return np.maximum(terms.sum(axis=-1), 0.0)


def robustness(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """R = max over f in left, f' in right and s of TV_s(f, f'), shape [...]; 0 if either is empty.

    left [..., T, S, A], right [..., H, S, A].
    """
    largest = np.asarray(left[..., 0, 0, 0] * 0)
    for f in range(left.shape[-3]):
        for g in range(right.shape[-3]):
            distance = total_variation(left[..., f, :, :], right[..., g, :, :])
            largest = np.maximum(largest, distance.max(axis=-1))
    return largest


def full_robustness(policy: np.ndarray) -> np.ndarray:
    """R over all pairs of renderings of a policy [..., F, S, A], shape [...]."""
    largest = np.asarray(policy[..., 0, 0, 0] * 0)
    for f in range(policy.shape[-3] - 1):
        rest = robustness(policy[..., [f], :, :], policy[..., f + 1 :, :, :])
        largest = np.maximum(largest, rest)
    return largest
