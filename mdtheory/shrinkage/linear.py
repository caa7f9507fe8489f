"""Linearised mutual distillation (B6): every agent is pulled to a point, and all to each other.

N agents have weights u_i in D dimensions; its own data pull agent i to u_i*.  The loss is

    (1/N) Σ_i [ ½ (u_i − u_i*)ᵀ H (u_i − u_i*) + α/(N−1) Σ_{j≠i} ½ (u_i − u_j)ᵀ G (u_i − u_j) ]

with H, G symmetric positive definite: H is the curvature of an agent's own loss, G that of the
divergence, whose gradient flows into both policies.  At the minimum the mean of the u_i is the
mean of the u_i*, and a deviation from the mean is multiplied by (H + 2α N/(N−1) G)⁻¹ H.

Weights are arrays [..., N, D], curvatures [..., D, D], α [...]; leading axes broadcast.  One agent
has nobody to distil from.  The technique is classic: a quadratic minimum in the eigenspaces of the
mean over agents and its complement.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import sympy
from sympy.polys.matrices import DomainMatrix

from mdtheory import exact, validation

Number = Fraction | float

ALPHA, TASK, DIVERGENCE, VARIANCE, AGENTS = sympy.symbols("alpha h g sigma2 N", positive=True)
CORRELATION = sympy.Symbol("c", real=True)
"""Symbols of B6: α, h, g, σ², N and c."""

_SYMMETRY_TOLERANCE = 1e-9
"""How far mirrored entries may differ, relative to the largest entry."""


def loss(
    weights: Any, pulls: Any, task_curvature: Any, divergence_curvature: Any, distillation: Any
) -> np.ndarray:
    """The loss of B6 at given weights, shape [...].

    Args:
        weights: u, shape [..., N, D].
        pulls, task_curvature, divergence_curvature, distillation: as in `minimum`.

    Raises:
        ValueError: as in `minimum`, and when the weights do not have the pulls' shape.
    """
    pulls, h, g, alpha = _parse(pulls, task_curvature, divergence_curvature, distillation)
    u = _like_pulls("weights", weights, pulls)
    n_agents = pulls.shape[-2]
    own = _square(u - pulls, h).sum(axis=-1)
    between = _square(u[..., :, None, :] - u[..., None, :, :], g[..., None, :, :])
    each = own + alpha / max(n_agents - 1, 1) * between.sum(axis=(-2, -1))
    return np.asarray(each / n_agents)


def minimum(
    pulls: Any, task_curvature: Any, divergence_curvature: Any, distillation: Any
) -> np.ndarray:
    """The unique minimum of B6's loss, in closed form: mean + (H + 2α N/(N−1) G)⁻¹ H · deviation.

    Args:
        pulls: u*, where each agent's own data pull it, shape [..., N, D].
        task_curvature: H, symmetric positive definite, shape [..., D, D].
        divergence_curvature: G, symmetric positive definite, shape [..., D, D].
        distillation: α ≥ 0, shape [...].

    Returns:
        u, float64 of shape [..., N, D]; the pulls themselves when N = 1.

    Raises:
        ValueError: naming argument, index and value.
    """
    pulls, h, g, alpha = _parse(pulls, task_curvature, divergence_curvature, distillation)
    mean = pulls.mean(axis=-2, keepdims=True)
    kept = _kept_deviation(pulls - mean, h, _deviation_curvature(h, g, alpha, pulls.shape[-2]))
    return np.asarray(mean + kept)


def minimum_of_unequal(
    pulls: Any, task_curvatures: Any, divergence_curvatures: Any, distillation: Any
) -> np.ndarray:
    """The minimum where agents have curvatures H_i, G_i of their own, by solving all N·D equations.

    With equal curvatures this is `minimum`, reached without its formula.  In general the mean of
    the pulls is not kept: the agents meet at a mean weighted by their curvatures.

    Args:
        pulls: u*, shape [..., N, D].
        task_curvatures: H_i, symmetric positive definite, shape [..., N, D, D].
        divergence_curvatures: G_i, on the data of agent i, likewise.
        distillation: α ≥ 0, shape [...].

    Returns:
        u, float64 of shape [..., N, D].

    Raises:
        ValueError: naming argument, index and value.
    """
    pulls = _parse_floats("pulls", pulls, ("i", "d"))
    n_agents, size = pulls.shape[-2:]
    h = _parse_curvature("task_curvatures", task_curvatures, (n_agents, size, size))
    g = _parse_curvature("divergence_curvatures", divergence_curvatures, (n_agents, size, size))
    alpha = _parse_distillation(distillation)
    batch = validation.broadcast_batches(
        {
            "pulls": pulls.shape[:-2],
            "task_curvatures": h.shape[:-3],
            "divergence_curvatures": g.shape[:-3],
            "distillation": alpha.shape,
        }
    )
    matrix = np.zeros((*batch, n_agents, size, n_agents, size))
    for i in range(n_agents):
        matrix[..., i, :, i, :] += h[..., i, :, :]
        for j in set(range(n_agents)) - {i}:
            both = g[..., i, :, :] + g[..., j, :, :]
            force = alpha[..., None, None] / (n_agents - 1) * both
            matrix[..., i, :, i, :] += force
            matrix[..., i, :, j, :] -= force
    rhs = np.broadcast_to((h @ pulls[..., None])[..., 0], (*batch, n_agents, size))
    flat = matrix.reshape(*batch, n_agents * size, n_agents * size)
    found = np.linalg.solve(flat, rhs.reshape(*batch, -1, 1))
    return np.asarray(found.reshape(*batch, n_agents, size))


def shrinkage_factor(
    n_agents: int, distillation: Any, task_curvature: Any, divergence_curvature: Any
) -> Number:
    """κ = h / (h + 2α g N/(N−1)), by which B6 multiplies deviations if H = hI, G = gI; 1 if N = 1.

    Exact when every number is rational.

    Raises:
        ValueError: naming argument and value.
    """
    n, alpha, h, g = _parse_scalars(n_agents, distillation, task_curvature, divergence_curvature)
    return h / (h + _between(n, alpha) * g)


def spurious_variance(
    n_agents: int,
    distillation: Any,
    task_curvature: Any,
    divergence_curvature: Any,
    pull_variance: Any,
    pull_correlation: Any = 0,
) -> Number:
    """Variance of each weight of an agent at the minimum, where H = hI and G = gI (B6).

    The N stationarity equations are solved and the pulls' covariance is sent through the solution,
    so that B6's formula σ² (1/N + (1−1/N) c + (1−1/N)(1−c) κ²) is checked and not assumed.

    Args:
        n_agents: N ≥ 1.
        distillation: α ≥ 0.
        task_curvature, divergence_curvature: h > 0 and g > 0.
        pull_variance: σ² ≥ 0 of each pull.
        pull_correlation: c between two agents' pulls, in [−1/(N−1), 1].

    Returns:
        A `Fraction` when every number is rational, a float otherwise.

    Raises:
        ValueError: naming argument and value.
    """
    n, alpha, h, g = _parse_scalars(n_agents, distillation, task_curvature, divergence_curvature)
    variance, c = _parse_covariance(n, pull_variance, pull_correlation)
    shared = alpha * 2 * g / max(n - 1, 1)
    matrix = np.full((n, n), -shared, dtype=object)
    np.fill_diagonal(matrix, h + shared * (n - 1))
    pulled = np.array([h] + [h * 0] * (n - 1), dtype=object)
    if all(isinstance(x, Fraction) for x in (alpha, h, g, variance, c)):
        # The matrix is symmetric: what agent 0 takes from each pull is a column of the solution.
        share = exact.from_flint(exact.solve(exact.to_flint(matrix), exact.to_flint(pulled)))
    else:
        share = np.linalg.solve(matrix.astype(np.float64), pulled.astype(np.float64))
    own, common = (share * share).sum(), share.sum() ** 2
    found = variance * ((1 - c) * own + c * common)
    return found if isinstance(found, Fraction) else float(found)


def floor(n_agents: int, pull_variance: Any, pull_correlation: Any = 0) -> Number:
    """σ² (1/N + (1−1/N) c), the spurious variance that no distillation goes below (B6).

    It is the variance of the mean pull: what all agents learned to rely on stays.  Exact when the
    numbers are rational.

    Raises:
        ValueError: naming argument and value.
    """
    n = validation.whole_number("n_agents", n_agents, 1)
    variance, c = _parse_covariance(n, pull_variance, pull_correlation)
    return variance * (Fraction(1, n) + (1 - Fraction(1, n)) * c)


def symbolic_eigenvalues() -> tuple[sympy.Expr, sympy.Expr]:
    """Eigenvalues of the stationarity matrix for N a symbol: of the mean, and of deviations.

    The matrix is h I + 2αg/(N−1) (N I − J) with J = 1 1ᵀ.  Since J² = N J, an eigenvalue j of J
    solves j² = N j: it is N on the mean and 0 on the deviations.
    """
    j = sympy.Symbol("j")
    of_matrix = TASK + 2 * ALPHA * DIVERGENCE / (AGENTS - 1) * (AGENTS - j)
    roots = sympy.roots(j**2 - AGENTS * j, j)
    mean, deviation = (of_matrix.subs(j, r) for r in sorted(roots, key=lambda r: r != AGENTS))
    return sympy.simplify(mean), deviation


def symbolic_variance(n_agents: int | None = None) -> sympy.Expr:
    """`spurious_variance` as a SymPy expression in alpha, h, g, sigma2 and c (B6).

    Args:
        n_agents: N, whose stationarity system is then solved symbolically (5 takes a second); by
            default N stays a symbol, and the answer is put together from the eigenspaces.

    Raises:
        ValueError: naming argument and value.
    """
    if n_agents is None:
        return _variance_from_eigenspaces()
    n = validation.whole_number("n_agents", n_agents, 1)
    shared = 2 * ALPHA * DIVERGENCE / max(n - 1, 1)
    matrix = sympy.Matrix(n, n, lambda i, j: TASK + shared * (n - 1) if i == j else -shared)
    rhs = sympy.Matrix(n, 1, lambda i, j: TASK if i == 0 else 0)
    left, right = DomainMatrix.from_Matrix(matrix).unify(DomainMatrix.from_Matrix(rhs))
    share = left.to_field().lu_solve(right.to_field()).to_Matrix()
    own, common = sum(x**2 for x in share), sum(share) ** 2
    return sympy.factor(VARIANCE * ((1 - CORRELATION) * own + CORRELATION * common))


def _variance_from_eigenspaces() -> sympy.Expr:
    """(1/N) of what the mean keeps and (1 − 1/N) of what deviations keep.

    These are the diagonals of the two projectors.  The pulls' covariance
    σ² ((1−c) I + c J) has the same eigenspaces as the matrix.
    """
    mean, deviation = symbolic_eigenvalues()
    pulls_mean = VARIANCE * (1 + (AGENTS - 1) * CORRELATION)
    pulls_deviation = VARIANCE * (1 - CORRELATION)
    kept_mean = (TASK / mean) ** 2 * pulls_mean
    kept_deviation = (TASK / deviation) ** 2 * pulls_deviation
    return sympy.simplify(kept_mean / AGENTS + (1 - 1 / AGENTS) * kept_deviation)


class Rates(NamedTuple):
    """How fast the gradient flow of B6 decays, per unit of time, ascending: [..., D] each.

    mean: of the mean's distance from the mean pull, the eigenvalues of H/N.
    deviation: of the deviations' distance from their limit, those of (H + 2α N/(N−1) G)/N.
    """

    mean: np.ndarray
    deviation: np.ndarray


def rates(
    n_agents: int, task_curvature: Any, divergence_curvature: Any, distillation: Any
) -> Rates:
    """The decay rates of `flow`, one per eigenvector.

    Args:
        n_agents: N ≥ 1.
        task_curvature, divergence_curvature, distillation: as in `minimum`.

    Raises:
        ValueError: naming argument, index and value.
    """
    n = validation.whole_number("n_agents", n_agents, 1)
    size = _parse_floats("task_curvature", task_curvature, ("d", "d'")).shape[-1]
    h, g, alpha = _parse_curvatures(size, task_curvature, divergence_curvature, distillation)
    slow, fast = (np.linalg.eigvalsh(m) / n for m in (h, _deviation_curvature(h, g, alpha, n)))
    return Rates(slow, fast)


def flow(
    pulls: Any,
    task_curvature: Any,
    divergence_curvature: Any,
    distillation: Any,
    start: Any,
    times: Any,
) -> np.ndarray:
    """The gradient flow du_i/dt = −∂loss/∂u_i of B6's loss, exactly, at given times.

    Args:
        pulls, task_curvature, divergence_curvature, distillation: as in `minimum`.
        start: u at time 0, shape [..., N, D].
        times: times ≥ 0 from the start, shape [T].

    Returns:
        u, shape [..., T, N, D].

    Raises:
        ValueError: naming argument, index and value.
    """
    pulls, h, g, alpha = _parse(pulls, task_curvature, divergence_curvature, distillation)
    u = _like_pulls("start", start, pulls)
    moments = _parse_floats("times", times, ("t",))
    if moments.ndim != 1:
        raise ValueError(f"times must have axes [t], got an array of shape {moments.shape}")
    _require_nonnegative("times", moments, ("t",))
    n = pulls.shape[-2]
    of_deviations = _deviation_curvature(h, g, alpha, n)
    goal, now = pulls.mean(axis=-2, keepdims=True), u.mean(axis=-2, keepdims=True)
    end = _kept_deviation(pulls - goal, h, of_deviations)
    mean = _decayed(now - goal, h / n, moments)
    deviation = _decayed(u - now - end, of_deviations / n, moments)
    return np.asarray((goal + end)[..., None, :, :] + mean + deviation)


def _decayed(vectors: np.ndarray, curvature: np.ndarray, times: np.ndarray) -> np.ndarray:
    """exp(−t·curvature) applied to vectors [..., N, D] at times [T]: [..., T, N, D]."""
    values, basis = np.linalg.eigh(curvature)
    shrunk = np.exp(-times[:, None] * values[..., None, :])  # [..., T, D]
    inside = (vectors @ basis)[..., None, :, :] * shrunk[..., None, :]
    return np.asarray(inside @ np.swapaxes(basis, -1, -2)[..., None, :, :])


def _kept_deviation(deviation: np.ndarray, h: np.ndarray, of_deviations: np.ndarray) -> np.ndarray:
    """(H + 2α N/(N−1) G)⁻¹ H applied to deviations [..., N, D]."""
    return np.swapaxes(np.linalg.solve(of_deviations, h @ np.swapaxes(deviation, -1, -2)), -1, -2)


def _deviation_curvature(
    h: np.ndarray, g: np.ndarray, alpha: np.ndarray, n_agents: int
) -> np.ndarray:
    """H + 2α N/(N−1) G."""
    return np.asarray(h + _between(n_agents, alpha)[..., None, None] * g)


def _between(n_agents: int, alpha: Any) -> Any:
    """2α N/(N−1), the weight of the divergence's curvature against deviations; 0 if N = 1."""
    weight = Fraction(2 * n_agents, n_agents - 1) if n_agents > 1 else Fraction(0)
    return alpha * (weight if isinstance(alpha, Fraction) else float(weight))


def _square(vectors: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """½ vᵀ C v for vectors [..., N, D] and curvature [..., D, D]: [..., N]."""
    return np.asarray((vectors @ curvature * vectors).sum(axis=-1) / 2)


def _parse(
    pulls: Any, task_curvature: Any, divergence_curvature: Any, distillation: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    pulls = _parse_floats("pulls", pulls, ("i", "d"))
    curvatures = _parse_curvatures(
        pulls.shape[-1], task_curvature, divergence_curvature, distillation
    )
    h, g, alpha = curvatures
    validation.broadcast_batches(
        {
            "pulls": pulls.shape[:-2],
            "task_curvature": h.shape[:-2],
            "divergence_curvature": g.shape[:-2],
            "distillation": alpha.shape,
        }
    )
    return pulls, h, g, alpha


def _parse_curvatures(
    size: int, task_curvature: Any, divergence_curvature: Any, distillation: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    h = _parse_curvature("task_curvature", task_curvature, (size, size))
    g = _parse_curvature("divergence_curvature", divergence_curvature, (size, size))
    return h, g, _parse_distillation(distillation)


def _parse_floats(name: str, value: Any, axes: validation.Axes) -> np.ndarray:
    return validation.as_float(name, validation.parse_array(name, value, axes), axes)


def _like_pulls(name: str, value: Any, pulls: np.ndarray) -> np.ndarray:
    array = _parse_floats(name, value, ("i", "d"))
    validation.require_shape(name, array, ("i", "d"), pulls.shape[-2:])
    validation.broadcast_batches({"pulls": pulls.shape[:-2], name: array.shape[:-2]})
    return array


def _parse_curvature(name: str, value: Any, sizes: tuple[int, ...]) -> np.ndarray:
    axes = ("i", "d", "d'")[-len(sizes) :]
    matrix = _parse_floats(name, value, axes)
    validation.require_shape(name, matrix, axes, sizes)
    mirrored = np.swapaxes(matrix, -1, -2)
    scale = abs(matrix).max(axis=(-2, -1), keepdims=True)
    bad = abs(matrix - mirrored) > _SYMMETRY_TOLERANCE * scale
    if bad.any():
        index = validation.first(bad)
        raise ValueError(
            f"{validation.located(name, axes, index)} must equal its mirror image"
            f" {validation.shown(float(mirrored[index]))}, got"
            f" {validation.shown(float(matrix[index]))}"
        )
    smallest = np.linalg.eigvalsh(matrix)[..., 0]
    if (smallest <= 0).any():
        index = validation.first(smallest <= 0)
        raise ValueError(
            f"{validation.located(name, axes[:-2], index)} must be positive definite, got smallest"
            f" eigenvalue {smallest[index]:.6g}"
        )
    return matrix


def _parse_distillation(value: Any) -> np.ndarray:
    alpha = _parse_floats("distillation", value, ())
    _require_nonnegative("distillation", alpha, ())
    return alpha


def _require_nonnegative(name: str, array: np.ndarray, axes: validation.Axes) -> None:
    if (array < 0).any():
        index = validation.first(array < 0)
        raise ValueError(
            f"{validation.located(name, axes, index)} must be at least 0, got"
            f" {validation.shown(float(array[index]))}"
        )


def _parse_scalars(
    n_agents: Any, distillation: Any, task_curvature: Any, divergence_curvature: Any
) -> tuple[int, Number, Number, Number]:
    n = validation.whole_number("n_agents", n_agents, 1)
    alpha = validation.scalar("distillation", distillation)
    if alpha < 0:
        raise ValueError(f"distillation must be at least 0, got {validation.shown(alpha)}")
    curvatures = []
    for name, value in (
        ("task_curvature", task_curvature),
        ("divergence_curvature", divergence_curvature),
    ):
        curvatures.append(validation.scalar(name, value))
        if curvatures[-1] <= 0:
            raise ValueError(f"{name} must be above 0, got {validation.shown(curvatures[-1])}")
    return n, alpha, curvatures[0], curvatures[1]


def _parse_covariance(n: int, pull_variance: Any, pull_correlation: Any) -> tuple[Number, Number]:
    variance = validation.scalar("pull_variance", pull_variance)
    if variance < 0:
        raise ValueError(f"pull_variance must be at least 0, got {validation.shown(variance)}")
    c = validation.scalar("pull_correlation", pull_correlation)
    lowest = Fraction(-1, max(n - 1, 1))
    if not lowest <= c <= 1:
        raise ValueError(
            f"pull_correlation must lie in [{lowest}, 1] for {n} agents, got {validation.shown(c)}"
        )
    return variance, c
