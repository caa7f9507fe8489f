"""Writes tests/data/rliable.json: what rliable says of made-up and of published scores.

rliable is no dependency: 1.2.0 cannot be imported beside pandas 3.  So, in an environment of its
own,

    pip install rliable==1.2.0 'pandas<3'
    python tests/rliable_numbers.py

rliable ignores the `random_state` that it is given and draws from NumPy's global generator, which
is seeded here; the tests ask no more of intervals than their Monte Carlo error allows.
"""

import json
import runpy
from importlib.metadata import version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
REPETITIONS = 20_000
TAUS = np.linspace(-0.5, 1.5, 21).round(3)

# Test returns in easy mode after 25M steps, one number a game, games in alphabetical order.
PUBLISHED = {
    # computed from the logs of openai/train-procgen
    "PPO": [4.8, 7.5, 5.3, 6.1, 5.8, 8.7, 2.0, 26.3, 2.7, 5.7, 5.9, 5.6, 9.5, 5.7, 4.6, 23.8],
    # Prioritized Level Replay, arXiv 2010.03934
    "PLR": [10.9, 8.9, 6.3, 6.9, 6.3, 8.8, 1.8, 28.0, 2.9, 5.8, 6.8, 5.5, 9.6, 7.2, 8.7, 27.9],
}


def made_up() -> dict[str, np.ndarray]:
    """Scores (runs, games): good runs are good in all games, so that it matters how one draws."""
    rng = np.random.default_rng(20241)

    def scores(runs: int, games: int, shift: float, spread: float) -> np.ndarray:
        game, run = rng.uniform(0.1, 0.9, games), rng.normal(0, spread, (runs, 1))
        return (game + shift + run + rng.normal(0, spread, (runs, games))).round(3)

    return {
        "3 x 16": scores(3, 16, 0.0, 0.15),
        "10 x 16": scores(10, 16, 0.1, 0.2),
        "5 x 1": scores(5, 1, 0.0, 0.2),
        "4 x 1": scores(4, 1, 0.2, 0.2),
        "negative, 4 x 7": scores(4, 7, -0.6, 0.2),
        "tied, 6 x 5": scores(6, 5, 0.0, 0.25).round(1),
        "tied, 5 x 5": scores(5, 5, 0.1, 0.25).round(1),
    }


PAIRS = [("3 x 16", "10 x 16"), ("5 x 1", "4 x 1"), ("tied, 6 x 5", "tied, 5 x 5")]


def published() -> dict[str, np.ndarray]:
    """Normalised scores (1, games) by algorithm and table."""
    tables = runpy.run_path(str(ROOT / "experiments" / "envs" / "procgen" / "games.py"))
    found = {}
    for name, table in tables["NORMALIZATIONS"].items():
        low, high = np.array([table["easy"][game] for game in tables["GAMES"]]).T
        for algorithm, returns in PUBLISHED.items():
            found[f"{algorithm}, {name}"] = ((np.array(returns) - low) / (high - low))[None]
    return found


def aggregates(scores: np.ndarray) -> np.ndarray:
    from rliable import metrics

    return np.array(
        [
            metrics.aggregate_iqm(scores),
            metrics.aggregate_median(scores),
            metrics.aggregate_mean(scores),
            metrics.aggregate_optimality_gap(scores),
        ]
    )


def main() -> None:
    from rliable import library, metrics  # here, so that tests may be collected without it

    data = made_up()
    np.random.seed(1)  # noqa: NPY002
    points, ends = library.get_interval_estimates(data, aggregates, reps=REPETITIONS)
    profiles, bands = library.create_performance_profile(data, TAUS, reps=REPETITIONS)
    averages, _ = library.create_performance_profile(
        data, TAUS, use_score_distribution=False, reps=10
    )
    pairs = {f"{a} > {b}": (data[a], data[b]) for a, b in PAIRS}
    better, better_ends = library.get_interval_estimates(
        pairs, metrics.probability_of_improvement, reps=REPETITIONS
    )
    content = {
        "made by": "tests/rliable_numbers.py",
        "versions": {n: version(n) for n in ("rliable", "arch", "numpy", "pandas", "scipy")},
        "repetitions": REPETITIONS,
        "aggregates": ["IQM", "median", "mean", "optimality gap"],
        "taus": TAUS.tolist(),
        "data": {
            name: {
                "scores": scores.tolist(),
                "points": points[name].tolist(),
                "intervals": ends[name].tolist(),
                "profile": profiles[name].tolist(),
                "profile intervals": bands[name].tolist(),
                "average profile": averages[name].tolist(),
            }
            for name, scores in data.items()
        },
        "pairs": [
            {
                "left": left,
                "right": right,
                "point": float(better[f"{left} > {right}"]),
                "interval": better_ends[f"{left} > {right}"].ravel().tolist(),
            }
            for left, right in PAIRS
        ],
        "published": {
            "returns": PUBLISHED,
            "points": {name: aggregates(x).tolist() for name, x in published().items()},
        },
    }
    text = json.dumps(content, indent=None, separators=(",", ":"))
    text = text.replace('},"', '},\n"').replace("]],", "]],\n")
    (ROOT / "tests" / "data" / "rliable.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
