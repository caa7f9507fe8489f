"""Many independent jobs on Ray: on this machine's cores, or on a cluster (extra `cluster`).

A job whose worker or node dies is started again elsewhere, as often as `retries` says; what it kept
in files is its own affair.  A job that raises is not: it would raise again.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Tell = Callable[[Any], None]
"""What a job calls to say how far it is; the newest value counts."""


@dataclass(frozen=True)
class Resources:
    """What one job occupies on its node.

    Args:
        cpus: processor cores, also the number of threads that Ray lets numerical libraries use.
        gpus: GPUs; 0.25 puts four jobs on one.
        memory_gib: memory in GiB that the scheduler sets aside; 0 sets aside none.

    Raises:
        ValueError: naming the argument and its value.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_gib: float = 0.0

    def __post_init__(self) -> None:
        for name, whole_above in (("cpus", 1), ("gpus", 1), ("memory_gib", None)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} must be a number, got {value!r}")
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be finite and at least 0, got {value}")
            if whole_above is not None and value > whole_above and value != int(value):
                raise ValueError(f"{name} must be whole above {whole_above}, got {value}")

    @property
    def threads(self) -> int:
        """Threads of a job's numerical libraries."""
        return max(1, int(self.cpus))

    def fit(self, node: dict[str, float]) -> int:
        """How many jobs at once a node with these resources of Ray's takes."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_gib * 2**30}
        shares = [
            (node.get(name, 0.0) + 1e-9) // amount for name, amount in wanted.items() if amount
        ]
        if 0 < self.gpus < 1:  # a fraction lies within one GPU
            shares.append(int(node.get("GPU", 0.0)) * ((1 + 1e-9) // self.gpus))
        return int(min(shares, default=node.get("CPU", 0.0)))

    def __str__(self) -> str:
        parts = [f"{self.cpus:g} CPU"]
        if self.gpus:
            parts.append(f"{self.gpus:g} GPU")
        if self.memory_gib:
            parts.append(f"{self.memory_gib:g} GiB")
        return ", ".join(parts)


class Job(NamedTuple):
    """`work(report, *arguments)`, called on some worker; all of it is pickled by Ray.

    `work` must be a function of an installed module, so that workers find it by its name.
    """

    name: str
    work: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


class Outcome(NamedTuple):
    """What became of a job: its result, or in words why there is none."""

    name: str
    result: Any
    error: str | None


class Cluster:
    """A connection to Ray; made by `connected`."""

    def __init__(self, *, local: bool) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._local = local
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        board: Any = ray.remote(_Board).options(num_cpus=0, scheduling_strategy=here)
        self._board: Any = board.remote()

    @property
    def nodes(self) -> list[dict[str, float]]:
        """The resources of every living node, as Ray names them: CPU, GPU, memory."""
        import ray

        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def slots(self, resources: Resources) -> int:
        """How many such jobs can run at once now.

        Raises:
            ValueError: none can, and no other node will come since Ray runs on this machine alone.
        """
        found = sum(resources.fit(node) for node in self.nodes)
        if found == 0 and self._local:
            have = self.nodes[0]
            raise ValueError(
                f"a job needs {resources}, which this machine does not have:"
                f" {have.get('CPU', 0):g} CPU, {have.get('GPU', 0):g} GPU,"
                f" {have.get('memory', 0) / 2**30:.1f} GiB"
            )
        return found

    def run(
        self, jobs: Sequence[Job], resources: Resources, *, retries: int
    ) -> Iterator[Outcome | None]:
        """Start all jobs and yield each one's outcome as it ends; None each second without any.

        Args:
            jobs: with names of their own.
            resources: of each job.
            retries: how often a job starts again whose worker or node died.
        """
        import ray

        if not self.slots(resources):
            print(f"no node has {resources} now: waiting for one", file=sys.stderr, flush=True)
        task = ray.remote(_call).options(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            memory=int(resources.memory_gib * 2**30) or None,
            max_retries=retries,
            retry_exceptions=False,
            scheduling_strategy="SPREAD",
        )
        names = {task.remote(self._board, *job): job.name for job in jobs}
        waiting = list(names)
        try:
            while waiting:
                ended, waiting = ray.wait(waiting, timeout=1.0)
                for reference in ended:
                    yield _outcome(names[reference], reference)
                if not ended:
                    yield None
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)

    def reports(self) -> dict[str, Any]:
        """The newest report of every job that made one."""
        import ray

        found: dict[str, Any] = ray.get(self._board.read.remote())
        return found


@contextlib.contextmanager
def connected(address: str | None = None) -> Iterator[Cluster]:
    """Ray on this machine, all cores of it, or at an address: "auto" or HOST:PORT.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ConnectionError: there is no cluster at the address.
        ValueError: it is no address.
    """
    if address is not None:
        _require_listening(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address is None:
            ray.init(address="local", include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, AssertionError) as error:
        words = " ".join(str(error).split())
        raise ConnectionError(f"no Ray cluster at {address!r}: {words}") from None
    try:
        yield Cluster(local=address is None)
    finally:
        ray.shutdown()


def _require_listening(address: str) -> None:
    """Ray itself would wait for minutes before it said that nobody answers."""
    match = re.fullmatch(r"\[?([^/\]]+?)\]?:([0-9]+)", address)
    if address == "auto":
        return
    if match is None:
        raise ValueError(f'address must be "auto" or HOST:PORT, got {address!r}')
    try:
        socket.create_connection((match[1], int(match[2])), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"no Ray cluster at {address!r}: {error}") from None


class _Board:
    """Keeps the newest report of each job; an actor beside the one who reads it.

    Nobody waits for a report: it may come late, and is lost with a worker that is killed.
    """

    def __init__(self) -> None:
        self._reports: dict[str, Any] = {}

    def write(self, name: str, report: Any) -> None:
        self._reports[name] = report

    def read(self) -> dict[str, Any]:
        return self._reports


def _call(board: Any, name: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return work(lambda report: board.write.remote(name, report), *arguments)


def _outcome(name: str, reference: Any) -> Outcome:
    import ray

    try:
        return Outcome(name, ray.get(reference), None)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        words = " ".join(str(cause).split())
        if not (words and isinstance(cause, ValueError | ArithmeticError)):
            words = f"{type(cause).__name__}: {words}"
        return Outcome(name, None, words)
    except ray.exceptions.RayError as error:
        words = " ".join(str(error).split())
        return Outcome(name, None, f"{type(error).__name__}: {words}")
