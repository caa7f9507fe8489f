"""Jobs on the real Ray: results, errors, deaths, reports."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from mdtheory.cluster import Job, Resources, connected

cloudpickle = pytest.importorskip("ray.cloudpickle")
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests


def doubled(report, x):
    report({"halfway": x})
    return 2 * x


def bad(report):
    raise ValueError("no such thing")


def worse(report):
    raise KeyError("no such thing")


def dies_once(report, path):
    """Leaves a trace, and at first kills its own process."""
    path.write_text(path.read_text() + "." if path.exists() else ".")
    if path.read_text() == ".":
        os.kill(os.getpid(), signal.SIGKILL)
    return os.environ["OMP_NUM_THREADS"]


def dies_always(report):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # other tests run beside
        with connected() as connection:
            yield connection


def outcomes(cluster, jobs, **options):
    return {
        outcome.name: outcome
        for outcome in cluster.run(jobs, Resources(), **{"retries": 2, **options})
        if outcome is not None
    }


@pytest.mark.slow
def test_every_job_has_an_outcome_and_a_death_is_tried_again(cluster, tmp_path):
    jobs = [Job(f"double {k}", doubled, (k,)) for k in range(3)]
    jobs += [
        Job("bad", bad),
        Job("worse", worse),
        Job("dies once", dies_once, (tmp_path / "trace",)),
    ]
    found = outcomes(cluster, jobs)
    assert [found[f"double {k}"].result for k in range(3)] == [0, 2, 4]
    assert found["bad"].error == "no such thing"
    assert found["worse"].error == "KeyError: 'no such thing'"
    assert found["dies once"].result == "1"
    assert (tmp_path / "trace").read_text() == ".."


@pytest.mark.slow
def test_reports_arrive(cluster):
    """Sooner or later: nobody waits for them, and they die with a worker that is killed."""
    outcomes(cluster, [Job("reporting", doubled, (2,))])
    deadline = time.monotonic() + 60
    while "reporting" not in cluster.reports() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert cluster.reports()["reporting"] == {"halfway": 2}


@pytest.mark.slow
def test_retries_run_out(cluster):
    found = outcomes(cluster, [Job("dies", dies_always)], retries=0)["dies"]
    assert found.result is None
    assert found.error.startswith("WorkerCrashedError: ")


@pytest.mark.slow
def test_what_no_node_has_is_refused_before_it_is_waited_for(cluster):
    with pytest.raises(ValueError, match=r"a job needs 1 CPU, 0.5 GPU, which this machine does"):
        next(cluster.run([Job("x", doubled, (1,))], Resources(gpus=0.5), retries=0))


@pytest.mark.parametrize(
    ("resources", "jobs"),
    [
        (Resources(), 8),
        (Resources(cpus=3), 2),
        (Resources(gpus=0.25), 8),
        (Resources(cpus=0.5, gpus=0.5), 4),
        (Resources(memory_gib=5), 3),
        (Resources(cpus=0, gpus=1), 2),
        (Resources(cpus=0), 8),
        (Resources(cpus=9), 0),
        (Resources(gpus=0.6), 2),  # a fraction lies within one GPU
        (Resources(gpus=2), 1),
    ],
)
def test_how_many_jobs_a_node_takes(resources, jobs):
    assert resources.fit({"CPU": 8.0, "GPU": 2.0, "memory": 16.0 * 2**30}) == jobs


def test_fractions_of_a_gpu_that_do_not_come_out_even_in_binary():
    assert Resources(cpus=0, gpus=0.1).fit({"CPU": 1.0, "GPU": 1.0}) == 10


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cpus": -1}, "cpus must be finite and at least 0, got -1"),
        ({"gpus": float("nan")}, "gpus must be finite and at least 0, got nan"),
        ({"cpus": 1.5}, "cpus must be whole above 1, got 1.5"),
        ({"gpus": "1"}, "gpus must be a number, got '1'"),
        ({"memory_gib": True}, "memory_gib must be a number, got True"),
    ],
)
def test_wrong_resources_are_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        Resources(**wrong)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nowhere", "address must be \"auto\" or HOST:PORT, got 'nowhere'"),
        ("127.0.0.1:9", "no Ray cluster at '127.0.0.1:9': .*refused"),
        ("127.0.0.1:99999", "no Ray cluster at '127.0.0.1:99999'"),
    ],
)
def test_an_address_without_a_cluster_is_an_error_at_once(address, words):
    with pytest.raises((ValueError, ConnectionError), match=words), connected(address):
        pass
