"""Sweeps: what a file asks for, what is left of it, and runs that die and go on elsewhere."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import torch

from experiments.cli import main
from experiments.pixelgrid.train import train
from experiments.procgen.config import configure
from experiments.procgen.train import train as train_procgen
from experiments.sweep import job
from experiments.sweep.driver import State, estimate, load_states, makespan
from experiments.sweep.job import calibrate_job, digests, train_job
from experiments.sweep.plan import Plan, load_plan, plan_of
from experiments.sweep.status import estimate_words, share_done, status_line
from experiments.sweep.store import NOTE, open_store
from mdtheory import files
from mdtheory.cluster import Outcome, Resources

SMALL = {"env": "pixelgrid", "n_envs": 4, "rollout_steps": 16, "updates": 12, "evaluate_every": 3,
         "hidden": 8, "pixelgrid": {"size": 3}}  # fmt: skip


def content(**changes):
    """The tables of a small sweep file: two games, two algorithms, two seeds."""
    return {
        "seeds": 2,
        "settings": SMALL,
        "games": {"two": {"pixelgrid": {"train_renderings": 2}}, "four": {}},
        "algorithms": {"mdpo": {}, "ppo": {"agents": 1, "distill_coef": 0.0}},
        **changes,
    }


FILE = """
seeds = 2
[resources]
cpus = 1
[settings]
env = "pixelgrid"
n_envs = 4
rollout_steps = 64
updates = {updates}
evaluate_every = {every}
hidden = 64
[games.maze]
pixelgrid.size = 3
[algorithms.mdpo]
"""


@pytest.fixture(autouse=True)
def same_threads():
    """Runs in this process leave PyTorch's number of threads as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_run():
    return plan_of(content()).runs[0]


def work(run, where, report=lambda value: None):
    return train_job(report, str(where), run.name, run.config.to_json(), 1)


# Plans


def test_a_plan_has_a_run_for_every_game_algorithm_and_seed_first_seeds_first():
    plan = plan_of(content(retries=5, resources={"cpus": 2, "gpus": 0.5}))
    assert [run.name for run in plan.runs] == [
        f"{game}/{algorithm}/seed{seed}"
        for seed in (0, 1)
        for game in ("two", "four")
        for algorithm in ("mdpo", "ppo")
    ]
    assert (plan.retries, plan.resources) == (5, Resources(cpus=2, gpus=0.5))
    first, *_, last = (run.config for run in plan.runs)
    assert (first.agents, first.first_seed, first.seeds) == (2, 0, 1)
    assert (first.pixelgrid.train_renderings, first.pixelgrid.size) == (2, 3)
    assert (last.agents, last.first_seed, last.pixelgrid.train_renderings) == (1, 1, 4)


def test_seeds_may_be_trained_together_on_the_pixel_grid():
    plan = plan_of(content(seeds=6, seeds_per_run=3, first_seed=10))
    assert [run.seed for run in plan.runs[::4]] == [10, 13]
    assert plan.runs[0].config.seed_list == [10, 11, 12]


def test_procgen_runs_are_those_of_mdpo_train():
    tables = {
        "settings": {"preset": "easy", "train_renderings": ["original", "hue=0.1"]},
        "games": {"coinrun": {"env": "procgen:coinrun"}},
        "algorithms": {"double": {"algorithm": "ppo-2x-steps"}, "weak": {"distill_coef": 0.1}},
        "seeds": 1,
        "first_seed": 7,
    }
    double, weak = (run.config for run in plan_of(tables).runs)
    changes = {"seed": 7, "train_renderings": ("original", "hue=0.1")}
    assert double == dataclasses.replace(
        configure("procgen:coinrun", "easy", "ppo-2x-steps"), **changes
    )
    assert weak == dataclasses.replace(
        configure("procgen:coinrun", "easy"), distill_coef=0.1, **changes
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 3}, "unknown key 'seed'.*seeds"),
        ({"seeds": 0}, "seeds must be a whole number from 1 to 100000, got 0"),
        ({"seeds": True}, "seeds must be a whole number from 1 to 100000, got True"),
        ({"seeds_per_run": 4}, "seeds_per_run must divide seeds = 2, got 4"),
        ({"retries": -1}, "retries must be a whole number from 0 to 1000, got -1"),
        ({"seeds": 10**10}, "seeds must be a whole number from 1 to 100000, got 10000000000"),
        (
            {"algorithms": {"x" * 101: {}}},
            "a name becomes a folder, .*up to 100 in all",
        ),
        ({"games": {}}, r"games must hold at least one table, such as \[games.coinrun\]"),
        ({"games": 3}, "games must be a table, got 3"),
        ({"games": {"a": 3}}, "games.a must be a table, got 3"),
        ({"games": {"a/b": {}}}, "games: a name becomes a folder, .*got 'a/b'"),
        ({"algorithms": {"..": {}}}, "algorithms: a name becomes a folder, .*got '..'"),
        ({"resources": {"gpu": 1}}, "resources: unknown key 'gpu'.*gpus"),
        ({"resources": {"cpus": -2}}, "resources: cpus must be finite and at least 0, got -2"),
        ({"settings": {}}, "game two, algorithm mdpo: env must be given"),
        ({"settings": {"env": "atari"}}, "unknown env 'atari'.*procgen:coinrun"),
        ({"settings": {"env": 3}}, "unknown env 3.*pixelgrid.*procgen:coinrun"),
        (
            {"settings": {**SMALL, "pixelgrid": 3}, "games": {"a": {}}},
            "pixelgrid must hold a table",
        ),
        ({"settings": {"env": "procgen:coinrum"}}, "unknown env 'procgen:coinrum'.*coinrun"),
        ({"settings": {**SMALL, "updatez": 3}}, "unknown key 'updatez'.*updates"),
        ({"settings": {**SMALL, "updates": "3"}}, "updates must be a whole number, got '3'"),
        ({"settings": {**SMALL, "first_seed": 3}}, "first_seed is no setting here"),
        ({"algorithms": {"x": {"agents": 1}}}, "algorithm x: distill_coef must be 0 for one agent"),
        (
            {"settings": {}, "games": {"c": {"env": "procgen:coinrun"}}, "seeds_per_run": 2},
            "seeds_per_run must be 1 on Procgen, got 2",
        ),
        (
            {"settings": {}, "games": {"c": {"env": "procgen:coinrum"}}, "seeds_per_run": 2},
            "unknown .*coinrum.*coinrun",
        ),
        ({"settings": {**SMALL, "preset": "easy"}}, "preset is a setting on Procgen only, got"),
        (
            {
                "settings": {},
                "games": {"c": {"env": "procgen:coinrun"}},
                "algorithms": {"x": {"algorithm": "mdpoo"}},
            },
            "algorithm x: unknown algorithm 'mdpoo'.*mdpo",
        ),
    ],
)
def test_wrong_files_are_named(changes, words):
    with pytest.raises(ValueError, match=words):
        plan_of(content(**changes))


def test_a_file_that_is_no_toml_is_named(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text("seeds = = 3")
    with pytest.raises(ValueError, match=r"sweep.toml must be TOML: .*line 1"):
        load_plan(path)


def test_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text("\ufeff" + FILE.format(updates=2, every=1), encoding="utf-8")
    assert len(load_plan(path).runs) == 2


# Workers


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_run_is_the_same_wherever_it_is_kept_and_however_often_it_dies(
    small_run, tmp_path, scheme
):
    torch.set_num_threads(1)
    train(small_run.config, tmp_path / "undisturbed")

    def dying_at(update):
        def report(value):
            if value["update"] == update:
                raise SystemError

        return report

    where = f"{scheme}{tmp_path / 'store'}"
    for update in (2, 4, 11):  # before, soon after, and long after a checkpoint
        with pytest.raises(SystemError):
            work(small_run, where, dying_at(update))
    note = work(small_run, where)
    folder = tmp_path / "store" / small_run.name
    assert note["started_at"] == [0, 0, 3, 9]
    assert note["update"] == 12
    assert work(small_run, where) == note  # nothing is left to do, and no start to count
    assert note["digests"] == digests(folder) == digests(tmp_path / "undisturbed")
    assert len(note["digests"]) == 6
    assert json.loads((folder / NOTE).read_text()) == note
    assert not list(folder.rglob("*.partial"))


@pytest.mark.slow
def test_a_run_on_procgen_goes_on_to_the_same_bits_too(tmp_path):
    settings = {"env": "procgen:bossfight", "preset": "smoke", "n_envs": 4, "rollout_steps": 16,
                "total_steps": 192, "evaluation_levels": 2}  # fmt: skip
    plan = plan_of({"settings": settings, "games": {"bossfight": {}}, "algorithms": {"mdpo": {}}})
    [run] = plan.runs
    torch.set_num_threads(1)
    train_procgen(run.config, tmp_path / "undisturbed")

    def die(value):
        if value["update"] == 2:
            raise SystemError

    with pytest.raises(SystemError):
        work(run, f"file://{tmp_path / 'store'}", die)
    note = work(run, f"file://{tmp_path / 'store'}")
    assert note["started_at"] == [0, 1]
    assert note["digests"] == digests(tmp_path / "undisturbed")
    assert set(note["digests"]) == {"checkpoint.safetensors", "log.jsonl", "evaluations.jsonl"}


def test_a_worker_that_was_overtaken_stops(small_run, tmp_path):
    where = f"file://{tmp_path}"

    def somebody_else(value):
        if value["update"] == 2:
            path = tmp_path / small_run.name / NOTE
            path.write_text(json.dumps({"update": 9, "seconds": 1.0, "started_at": [0]}))

    with pytest.raises(RuntimeError, match="another worker has come further with two/mdpo/seed0"):
        work(small_run, where, somebody_else)


def test_a_run_with_other_settings_is_left_alone(small_run, tmp_path):
    work(small_run, tmp_path)
    before = (tmp_path / small_run.name / "checkpoint.safetensors").read_bytes()
    other = dataclasses.replace(
        small_run, config=dataclasses.replace(small_run.config, learning_rate=0.1)
    )
    words = r"seed0 holds a run with other settings, learning_rate 0\.001 instead of 0\.1: choose"
    with pytest.raises(FileExistsError, match=words):
        work(other, tmp_path)
    with pytest.raises(FileExistsError, match=words):
        load_states(Plan((other,), Resources(), 0), open_store(str(tmp_path)))
    assert (tmp_path / small_run.name / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize("url", ["nowhere://x", "memory://x", "ftp://nohost.invalid/x"])
def test_a_url_that_workers_cannot_share_is_named(url):
    with pytest.raises(ValueError, match=f"{url} cannot be used"):
        open_store(url)


def test_a_store_that_cannot_be_read_is_not_taken_for_an_empty_one(
    small_run, tmp_path, monkeypatch
):
    where = f"file://{tmp_path}"
    work(small_run, where)
    finished = digests(tmp_path / small_run.name)

    def fails(*_, **__):
        raise ConnectionResetError("gone")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.cat_file", fails)
    with pytest.raises(ConnectionResetError):
        load_states(Plan((small_run,), Resources(), 0), open_store(where))
    with pytest.raises(ConnectionResetError):
        work(small_run, where)
    monkeypatch.undo()
    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.find", lambda *_, **__: [])
    with pytest.raises(OSError, match="could not be read, though it has a"):
        work(small_run, where)
    assert digests(tmp_path / small_run.name) == finished


def test_the_checkpoint_is_sent_after_what_it_may_need_and_the_note_last(
    small_run, tmp_path, monkeypatch
):
    from fsspec.implementations.local import LocalFileSystem

    sent = []
    move = LocalFileSystem.mv

    def noted(self, source, target, **options):
        sent.append(target.split("seed0/")[1])
        return move(self, source, target, **options)

    monkeypatch.setattr(LocalFileSystem, "mv", noted)
    work(small_run, f"file://{tmp_path}")
    assert "lock" not in sent
    rounds = " ".join(sent).split("sweep.json")
    assert rounds.pop() == ""
    assert len(rounds) == 1 + 4  # the start, and every checkpoint
    for names in rounds[1:]:
        assert names.split()[-1] == "checkpoint.safetensors"
        assert "evaluations/" in names


@pytest.mark.parametrize(
    "damaged",
    [
        "[]",
        "null",
        "3",
        "{",
        '{"update": "x"}',
        '{"seconds": null}',
        '{"update": 9, "digests": {}}',
        '{"update": -5}',
        '{"update": true}',
        '{"seconds": NaN}',
        '{"seconds": -1}',
        "[" * 100_000,
    ],
)
def test_damaged_notes_are_named(damaged, small_run, tmp_path):
    work(small_run, tmp_path)
    (tmp_path / small_run.name / NOTE).write_text(damaged)
    for attempt in (
        lambda: load_states(Plan((small_run,), Resources(), 0), open_store(str(tmp_path))),
        lambda: work(small_run, tmp_path),
    ):
        with pytest.raises(ValueError, match=r"two/mdpo/seed0/sweep\.json is damaged"):
            attempt()


def test_a_folder_with_something_else_stays_as_it_is(small_run, tmp_path):
    folder = tmp_path / small_run.name
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(FileExistsError, match="holds something else than a run"):
        work(small_run, tmp_path)
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_a_finished_run_that_lost_its_configuration_is_named(small_run, tmp_path):
    work(small_run, tmp_path)
    (tmp_path / small_run.name / "config.json").unlink()
    with pytest.raises(ValueError, match="was finished and has lost its"):
        load_states(Plan((small_run,), Resources(), 0), open_store(str(tmp_path)))


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        ("", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ('{"agents": "2"}', "agents must be"),
        ('{"env": "procgen:maze"}', "this is a run on procgen"),
    ],
)
def test_a_damaged_configuration_is_not_called_another_run(damaged, words, small_run, tmp_path):
    work(small_run, tmp_path)
    (tmp_path / small_run.name / "config.json").write_text(damaged)
    with pytest.raises(ValueError, match=rf"two/mdpo/seed0/config\.json: .*{words}.*: choose"):
        load_states(Plan((small_run,), Resources(), 0), open_store(str(tmp_path)))


def test_more_updates_than_there_are_to_do_are_named(small_run, tmp_path):
    work(small_run, tmp_path)
    path = tmp_path / small_run.name / NOTE
    path.write_text(json.dumps({**json.loads(path.read_text()), "update": 400}))
    with pytest.raises(ValueError, match=r"sweep\.json must say at most 12 updates, got 400"):
        load_states(Plan((small_run,), Resources(), 0), open_store(str(tmp_path)))


def test_seconds_of_all_attempts_are_added(small_run, tmp_path):
    def die(value):
        if value["update"] == 7:
            raise SystemError

    with pytest.raises(SystemError):
        work(small_run, tmp_path, die)
    path = tmp_path / small_run.name / NOTE
    path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": 1000.0}))
    assert 1000 < work(small_run, tmp_path)["seconds"] < 1100


def test_a_run_that_somebody_else_works_on_is_waited_for_and_then_left(
    small_run, tmp_path, monkeypatch
):
    monkeypatch.setattr(job, "_SECONDS_TO_LOSE_A_LOCK", 0.0)
    (tmp_path / small_run.name).mkdir(parents=True)
    with (
        files.only_one(tmp_path / small_run.name),
        pytest.raises(BlockingIOError, match="another sweep or process is at work on"),
    ):
        work(small_run, tmp_path)
    assert not (tmp_path / small_run.name / NOTE).exists()


def test_a_calibration_leaves_nothing_behind(small_run, monkeypatch, tmp_path):
    monkeypatch.setattr(job, "_CALIBRATION_SECONDS", 0.0)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert 0 < calibrate_job(lambda value: None, small_run.config.to_json(), 1) < 10
    assert not list(tmp_path.iterdir())


# Estimates and states


class FakeCluster:
    """Answers every job with a number that its place in the list says."""

    def __init__(self, answers, slots):
        self.answers, self._slots = answers, slots

    def slots(self, resources):
        return self._slots

    def run(self, jobs, resources, *, retries):
        self.asked = [job.name for job in jobs]
        yield None
        for asked in jobs:
            yield Outcome(asked.name, *self.answers[asked.name])


def states_of(plan, notes):
    states = [State(run) for run in plan.runs]
    for state, (update, seconds) in zip(states, notes, strict=True):
        note = {"update": update, "seconds": seconds, "started_at": [0]}
        state.learn(note | ({"digests": {}} if update == 12 else {}))
    return states


def test_an_estimate_measures_only_what_no_run_has_shown():
    plan = plan_of(content(games={"four": {}}))  # mdpo, ppo, mdpo, ppo
    states = states_of(plan, [(12, 24.0), (0, 0.0), (6, 12.0), (0, 0.0)])
    cluster = FakeCluster({"four/ppo": (0.5, None)}, slots=2)
    found = estimate(plan, states, cluster)
    assert cluster.asked == ["four/ppo"]
    assert found.measured_now == {("four", "ppo")}
    assert found.seconds_per_update == {("four", "mdpo"): 2.0, ("four", "ppo"): 0.5}
    assert found.run_seconds == 12 * 0.5 + 6 * 2.0 + 12 * 0.5
    assert found.wall_seconds == 12.0  # 6 and then 6 beside 12
    words = estimate_words(dataclasses.replace(found, run_seconds=7200), Resources(2, 0.25))
    assert "4.00 CPU hours and 0.50 GPU hours" in words
    small = estimate_words(dataclasses.replace(found, run_seconds=7.2), Resources())
    assert "0.002 CPU hours" in small
    assert share_done(states, found) == pytest.approx((24 + 12) / (24 + 24 + 6 + 6))
    assert status_line(states) == "4 runs: 1 finished, 1 begun, 2 waiting; 18 of 48 updates"


def test_a_calibration_that_fails_says_so():
    plan = plan_of(content(games={"four": {}}, algorithms={"mdpo": {}}))
    cluster = FakeCluster({"four/mdpo": (None, "MemoryError: no")}, slots=1)
    with pytest.raises(ChildProcessError, match="four/mdpo failed: MemoryError: no"):
        estimate(plan, [State(run) for run in plan.runs], cluster)


def test_makespan_takes_the_next_job_as_soon_as_a_slot_is_free():
    assert makespan([3, 1, 1, 1, 4], 2) == 7
    assert makespan([3, 1], 5) == 3
    assert makespan([], 2) == 0


# The command, without Ray


def test_a_dry_run_and_a_status_start_nothing(tmp_path, capsys):
    path = tmp_path / "sweep.toml"
    path.write_text(FILE.format(updates=2, every=1))
    output = tmp_path / "out"
    for flags in (["--dry-run", "--no-calibration"], ["--status"]):
        assert main(["sweep", str(path), "--output", str(output), *flags]) == 0
        assert "2 waiting" in capsys.readouterr().out
    assert not output.exists()


def test_finished_sweeps_need_no_ray_and_can_be_fetched(tmp_path, capsys):
    path, url = tmp_path / "sweep.toml", f"file://{tmp_path / 'there'}"
    path.write_text(FILE.format(updates=2, every=1))
    assert main(["sweep", str(path), "--output", url, "--fetch", str(tmp_path / "here")]) == 2
    assert "--fetch needs finished runs, and none is yet" in capsys.readouterr().err
    runs = load_plan(path).runs
    for run in runs:
        work(run, url)
    assert main(["sweep", str(path), "--output", url]) == 0
    assert "2 finished" in capsys.readouterr().out
    command = ["sweep", str(path), "--output", url, "--fetch", str(tmp_path / "here")]
    assert main(command) == 0
    assert digests(tmp_path / "here" / runs[0].name) == digests(tmp_path / "there" / runs[0].name)
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err
    (tmp_path / "there" / runs[0].name / "checkpoint.safetensors").unlink()
    assert main([*command[:-1], str(tmp_path / "more")]) == 1
    missing = f"{runs[0].name}/checkpoint.safetensors is missing\n"
    assert capsys.readouterr().err == missing


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_altered_runs_are_named(form, tmp_path, capsys):
    path, output = tmp_path / "sweep.toml", tmp_path / "out"
    path.write_text(FILE.format(updates=2, every=1))
    command = ["sweep", str(path), "--output", form.format(output), "--verify"]
    assert main(command) == 2
    assert "--verify needs finished runs, and none is yet" in capsys.readouterr().err
    run, other = load_plan(path).runs
    for each in (run, other):
        work(each, form.format(output))
    assert main(command) == 0
    assert capsys.readouterr().out == "2 of 2 runs are finished, and all are as they were then\n"
    evaluations = sorted((output / run.name / "evaluations").iterdir())
    evaluations[0].unlink()
    evaluations[1].write_bytes(evaluations[1].read_bytes()[:-1])
    evaluations[1].with_name("more").touch()
    checkpoint = output / other.name / "checkpoint.safetensors"
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 1
    checkpoint.write_bytes(content)
    assert main(command) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{run.name}/evaluations/{evaluations[0].name} is missing",
        f"{run.name}/evaluations/{evaluations[1].name} is changed",
        f"{run.name}/evaluations/more is new",
        f"{other.name}/checkpoint.safetensors is changed",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.toml"], "missing.toml: No such file or directory"),
        (["sweep.toml", "--address", "nowhere"], 'address must be "auto" or HOST:PORT'),
        (["sweep.toml", "--address", "127.0.0.1:9"], "no Ray cluster at '127.0.0.1:9'"),
        (["sweep.toml", "--output", "what://x"], "what://x cannot be used"),
        (["sweep.toml", "--output", "sweep.toml"], "sweep.toml: Not a directory"),
        (["sweep.toml", "--status", "--verify"], "give at most one of --status and --verify"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.toml").write_text(FILE.format(updates=2, every=1))
    assert main(["sweep", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


# The command, on real clusters


@pytest.fixture
def eager_workers(monkeypatch):
    """Ray's workers make way for all other processes, and so for other tests; these do not."""
    monkeypatch.setenv("RAY_worker_niceness", "0")


@contextmanager
def cluster_of(*nodes):
    """A Ray cluster of a head without processors and nodes with these; yields it and the nodes."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        yield cluster, [cluster.add_node(**node) for node in nodes]
    finally:
        cluster.shutdown()


@contextmanager
def sweeping(path, output, *flags):
    """`mdpo sweep` in a process of its own."""
    command = [sys.executable, "-m", "experiments.cli", "sweep", str(path), "--output", str(output)]
    with subprocess.Popen(
        [*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(condition, process, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stdout.read().decode()
        time.sleep(0.05)


def notes(output):
    return [json.loads(path.read_text()) for path in sorted(output.rglob(NOTE))]


def undisturbed(path, folder):
    """The digests of every run, trained in this process without Ray."""
    torch.set_num_threads(1)
    found = []
    for run in load_plan(path).runs:
        train(run.config, folder / run.name)
        found.append(digests(folder / run.name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_runs_of_a_node_that_is_removed_go_on_elsewhere_to_the_same_bits(
    eager_workers, tmp_path, scheme
):
    path, output = tmp_path / "sweep.toml", tmp_path / "out"
    path.write_text(FILE.format(updates=300, every=20))
    with (
        cluster_of({"num_cpus": 1}, {"num_cpus": 1}) as (cluster, nodes),
        sweeping(
            path, f"{scheme}{output}", "--no-calibration", "--address", cluster.address
        ) as process,
    ):

        def both_run():
            return len(notes(output)) == 2 and all(n["update"] >= 20 for n in notes(output))

        wait_until(both_run, process)
        cluster.remove_node(nodes[0], allow_graceful=False)
        assert process.wait(timeout=180) == 0, process.stdout.read().decode()
    starts = sorted(n["started_at"] for n in notes(output))
    assert sorted(map(len, starts)) == [1, 2]
    assert max(starts, key=len)[1] >= 20  # it did not begin again
    assert [n["digests"] for n in notes(output)] == undisturbed(path, tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_finished_runs_stay_untouched(eager_workers, tmp_path):
    path, output = tmp_path / "sweep.toml", tmp_path / "out"
    path.write_text(FILE.format(updates=200, every=10))
    first = load_plan(path).runs[0]
    work(first, output)
    finished = {p: p.stat().st_mtime_ns for p in (output / first.name).rglob("*") if p.is_file()}
    with sweeping(path, output, "--no-calibration") as process:
        wait_until(lambda: len(notes(output)) == 2 and notes(output)[1]["update"] >= 10, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with sweeping(path, output, "--no-calibration") as process:
        text = process.stdout.read().decode()
        assert process.wait() == 0, text
    assert "2 finished" in text
    assert notes(output)[1]["started_at"][1] >= 10
    assert [n["digests"] for n in notes(output)] == undisturbed(path, tmp_path / "undisturbed")
    assert finished == {
        p: p.stat().st_mtime_ns for p in (output / first.name).rglob("*") if p.is_file()
    }


@pytest.mark.slow
def test_a_run_that_fails_is_named_and_the_others_finish(eager_workers, tmp_path):
    path, output = tmp_path / "sweep.toml", tmp_path / "out"
    text = FILE.format(updates=4, every=2) + "[algorithms.wild]\nlearning_rate = 1e30\n"
    path.write_text(text.replace("seeds = 2", "seeds = 1"))
    with sweeping(path, output, "--no-calibration") as process:
        text = process.stdout.read().decode()
        assert process.wait() == 1, text
    assert "maze/wild/seed0 failed: training diverged at update" in text
    assert "1 finished, 1 failed" in text
    assert [n["update"] for n in notes(output) if "digests" in n] == [4]


@pytest.mark.slow
def test_runs_share_a_gpu_by_fractions_after_an_estimate_of_what_they_cost(eager_workers, tmp_path):
    path, output = tmp_path / "sweep.toml", tmp_path / "out"
    path.write_text(FILE.format(updates=4, every=2).replace("cpus = 1", "cpus = 0.5\ngpus = 0.5"))
    with (
        cluster_of({"num_cpus": 8, "num_gpus": 1}) as (cluster, _),  # a GPU to Ray, for its books
        sweeping(path, output, "--address", cluster.address) as process,
    ):
        text = process.stdout.read().decode()
        assert process.wait() == 0, text
    assert "hours, 2 at once, 0.5 CPU, 0.5 GPU each" in text
    assert "2 finished" in text
