"""What a worker does: train one run of a sweep, or a bit of it to see how long that takes.

Only plain values travel between the driver and its workers, so that nothing of one version is
unpickled by another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.config import CONFIG_FILE
from experiments.pixelgrid.config import TrainConfig
from experiments.procgen.config import ProcgenConfig
from experiments.progress import OnUpdate
from experiments.sweep.plan import require_same
from experiments.sweep.store import NOTE, open_store
from mdtheory import files
from mdtheory.cluster import Tell

RESULTS = ("checkpoint.safetensors", "evaluations/*", "log.jsonl", "evaluations.jsonl")
"""What is the same, bit for bit, whether or not a run was stopped."""
_SECONDS_TO_LOSE_A_LOCK = 60.0
_CALIBRATION_SECONDS, _LONGEST_WARM_UP = 3.0, 30.0


def train_job(report: Tell, where: str, name: str, content: str, threads: int) -> dict[str, Any]:
    """Train the run, or go on with it, until it is done; returns its note.

    Args:
        report: told {"update": ...} after each update.
        where: the sweep's folder or URL.
        name: the run's.
        content: its configuration as JSON.
        threads: that numerical libraries use.

    Raises:
        FileExistsError: the folder holds a run with other settings, or something else.
        RuntimeError: somebody else has meanwhile come further with this run.
    """
    config = config_of(content)
    store = open_store(where)
    with store.work_on(name) as (folder, keep):
        _claim(config, folder, f"{where}/{name}")
        _wait_for_lock(folder)
        path = folder / NOTE
        note = read_note(path.read_text("utf-8", "replace") if path.exists() else None, name)
        start = time.monotonic()
        before = note["seconds"]
        if "digests" in note:  # another sweep was faster
            return note

        def remember(done: int, *, finished: bool) -> None:
            note.update(update=done, seconds=before + time.monotonic() - start)
            if finished:
                note["digests"] = digests(folder)
            [there] = store.read([f"{name}/{NOTE}"])
            if read_note(there, name)["update"] > done:
                raise RuntimeError(f"another worker has come further with {name}")
            files.write_atomically(folder / NOTE, json.dumps(note, indent=1).encode())
            keep()

        def on_update(done: int, saved: bool) -> None:
            report({"update": done})
            if saved and done < config.updates:
                remember(done, finished=False)

        note["started_at"] = [*note["started_at"], note["update"]]
        remember(note["update"], finished=False)
        _train(config, folder, threads, on_update)
        remember(config.updates, finished=True)
        return note


def calibrate_job(report: Tell, content: str, threads: int) -> float:
    """Seconds per update, from a short training that leaves nothing behind.

    The first update, which also warms up, counts only if it takes too long to wait for another.
    """
    config = config_of(content)
    times = [time.monotonic()]

    def on_update(done: int, saved: bool) -> None:
        times.append(time.monotonic())
        first, rest = times[1] - times[0], times[-1] - times[1]
        if rest >= _CALIBRATION_SECONDS or first >= _LONGEST_WARM_UP:
            raise _EnoughError

    scratch_folder = tempfile.TemporaryDirectory(prefix="mdpo-")
    with scratch_folder as scratch, contextlib.suppress(_EnoughError):
        _train(config, Path(scratch) / "calibration", threads, on_update)
    if len(times) == 2:
        return times[1] - times[0]
    return (times[-1] - times[1]) / (len(times) - 2)


def _claim(config: TrainConfig | ProcgenConfig, folder: Path, name: str) -> None:
    """Make the folder this run's.

    Raises:
        FileExistsError: it holds something else.
    """
    saved = folder / CONFIG_FILE
    if saved.exists():
        require_same(config, saved.read_text("utf-8", "replace"), name)
        return
    ours = (NOTE, "lock", f"{CONFIG_FILE}.partial", f"{NOTE}.partial")
    if any(path.name not in ours for path in folder.iterdir()):
        raise FileExistsError(f"{name} holds something else than a run: choose another --output")
    files.write_atomically(saved, config.to_json().encode())


def _wait_for_lock(folder: Path) -> None:
    """A worker that is just dying may still hold the run.

    Raises:
        BlockingIOError: somebody else is at work on it.
    """
    deadline = time.monotonic() + _SECONDS_TO_LOSE_A_LOCK
    while True:
        with contextlib.suppress(BlockingIOError), files.only_one(folder):
            return
        if time.monotonic() > deadline:
            raise BlockingIOError(f"another sweep or process is at work on {folder}")
        time.sleep(1.0)


class _EnoughError(Exception):
    """Ends a calibration."""


def _train(
    config: TrainConfig | ProcgenConfig, folder: Path, threads: int, on_update: OnUpdate
) -> None:
    import torch

    from experiments.pixelgrid.train import train as train_pixelgrid
    from experiments.procgen.train import train as train_procgen

    torch.set_num_threads(threads)
    if isinstance(config, ProcgenConfig):
        train_procgen(config, folder, on_update=on_update)
    else:
        train_pixelgrid(config, folder, on_update=on_update)


def config_of(content: str) -> TrainConfig | ProcgenConfig:
    """The configuration of a run, of either kind."""
    env = str(json.loads(content)["env"])
    return (ProcgenConfig if env != TrainConfig.ENVIRONMENT else TrainConfig).from_json(content)


def read_note(text: str | None, name: str) -> dict[str, Any]:
    """A run's note: update, seconds, started_at [attempt], and digests once it is finished.

    Raises:
        ValueError: it is damaged, naming the run.
    """
    note: dict[str, Any] = {"update": 0, "seconds": 0.0, "started_at": []}
    try:
        note |= dict(json.loads(text or "{}").items())
        whole = all(type(x) is int and x >= 0 for x in (note["update"], *note["started_at"]))
        timed = 0 <= note["seconds"] < float("inf")
        named = isinstance(note.get("digests", {}), dict) and note.get("digests") != {}
    except (ValueError, TypeError, AttributeError, RecursionError):
        whole = timed = named = False
    if not (whole and timed and named):
        raise ValueError(f"{name}/{NOTE} is damaged: remove it, and the run goes on all the same")
    return note


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of everything that a run found, by file."""
    paths = sorted(path for pattern in RESULTS for path in folder.glob(pattern))
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def departures(folder: Path, name: str) -> list[str]:
    """Files of a finished run that are missing, new, or not as the run left them, in words.

    A run whose note holds no digests, or that no sweep made, departs from nothing.
    """
    path = folder / NOTE
    text = path.read_text("utf-8", "replace") if path.exists() else None
    kept = read_note(text, name).get("digests")
    if kept is None:
        return []
    found = digests(folder)
    words = {
        file: "missing" if file not in found else "new" if file not in kept else "changed"
        for file in sorted(kept | found)
        if kept.get(file) != found.get(file)
    }
    return [f"{name}/{file} is {word}" for file, word in words.items()]
