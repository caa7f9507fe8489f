"""How differently a policy acts when the same state looks different.

Distances between action distributions, and their worst case and on-policy average over pairs of
renderings.  A smaller R is a more robust policy; 0 is blind to the rendering.
"""

from __future__ import annotations

from typing import Any

import flint
import numpy as np

from mdtheory import arrays


def total_variation(p: Any, q: Any) -> Any:
    """TV(p, q) = ½ Σ_a |p[a] − q[a]| along the last axis; in [0, 1]."""
    distance = abs(p - q).sum(axis=-1) / 2
    return distance if arrays.namespace(distance) is not np else np.asarray(distance)


def kl_divergence(p: Any, q: Any) -> Any:
    """KL(p ‖ q) = Σ_a p[a] ln(p[a]/q[a]) in nats along the last axis, float64 arrays or tensors.

    Infinite where q is 0 and p is not; 0·ln 0 = 0.
    """
    xp = arrays.namespace(p)
    if xp is np:
        p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    one = p * q * 0 + 1
    with np.errstate(divide="ignore"):
        logarithm = xp.log(xp.where(p > 0, p * one, one)) - xp.log(xp.where(p > 0, q * one, one))
    total = (p * logarithm).sum(axis=-1)
    return xp.where(total > 0, total, one.sum(axis=-1) * 0)


def enclosed_kl_divergence(p: np.ndarray, q: np.ndarray) -> flint.arb:
    """The same for two rows of `flint.fmpq`, as a ball at flint's current precision."""
    total = flint.arb(0)
    for p_a, q_a in zip(p, q, strict=True):
        if p_a > 0 and q_a == 0:
            return flint.arb("inf")
        if p_a > 0 and p_a != q_a:
            total += flint.arb(p_a) * flint.arb(p_a / q_a).log()
    return total


def robustness(left: Any, right: Any) -> Any:
    """R = max over f in left, f' in right and s of TV_s(f, f'), shape [...]; 0 if either is empty.

    left [..., T, S, A], right [..., H, S, A].
    """
    if left.shape[-3] == 0 or right.shape[-3] == 0:
        some = left if left.shape[-3] else right
        return some[..., 0, 0, 0] * 0
    xp = arrays.namespace(left)
    # One training rendering at a time, so that memory stays linear in the number of renderings.
    largest = None
    for f in range(left.shape[-3]):
        distance = total_variation(left[..., [f], :, :], right)
        farthest = xp.amax(distance, axis=(-2, -1))
        largest = farthest if largest is None else xp.maximum(largest, farthest)
    return largest


def full_robustness(policy: Any) -> Any:
    """R over all pairs of renderings of a policy [..., F, S, A], shape [...]."""
    largest = policy[..., 0, 0, 0] * 0
    for f in range(policy.shape[-3] - 1):
        rest = robustness(policy[..., [f], :, :], policy[..., f + 1 :, :, :])
        largest = arrays.namespace(policy).maximum(largest, rest)
    return largest
