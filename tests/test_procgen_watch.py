"""Videos of agents at play: what is shown is what was played, and nothing is half written."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image, ImageColor, ImageSequence

from experiments import tensor_file
from experiments.config import CONFIG_FILE
from experiments.envs.procgen import ACTIONS, LevelSet, ProcgenVectorEnv, libenv
from experiments.procgen import ProcgenConfig, configure, load_policies
from experiments.procgen.learner import Networks, build_networks
from experiments.procgen.watch import HELD, Moment, Played, play, watch
from mdtheory.report import style

pytestmark = pytest.mark.skipif(
    not libenv.is_installed(), reason="Procgen's wheel is not installed"
)
torch.set_num_threads(1)
room = import_module("experiments.procgen.watch")
UP, DOWN = ACTIONS.index("up"), ACTIONS.index("down")
LEAPER = dataclasses.replace(configure("procgen:leaper", "smoke"), seed=3)
WON, LOST = 3, 1  # levels of leaper on which going up arrives after 12 steps, or drowns after 2


def export(path: Path, config: ProcgenConfig, change: Callable[[Networks], None]) -> Path:
    """A file as of `mdpo export`, with changed weights."""
    networks = build_networks(config)
    with torch.no_grad():
        change(networks)
    metadata = {"update": "7", "config": config.to_json()}
    tensor_file.write(path, networks.state_dict(), metadata)
    return path


def opposed(networks: Networks) -> None:
    """Whatever they see, agent 0 goes up and agent 1 down with odds of e^3, others do neither."""
    for k, network in enumerate(networks):
        network.policy.weight.zero_()
        if k < 2:
            network.policy.bias[(UP, DOWN)[k]] = 3.0


def lively(networks: Networks) -> None:
    """Probabilities differ much from one picture to the next."""
    for network in networks:
        network.policy.weight.mul_(3000)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    return export(tmp_path_factory.mktemp("two") / "two.safetensors", LEAPER, opposed)


@pytest.fixture(scope="module")
def clip(two) -> tuple[Any, np.ndarray]:
    """What was played on the level that is won, and the frames of its video."""
    shown = watch(two, two.parent / "new" / "won.mp4", level=WON, greedy=True)
    return shown, frames_of(shown.path)


def ffmpeg(path: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """imageio's own reader leaves pipes open, depending on who ends first."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), *options]
    return subprocess.run(command, capture_output=True, check=True)


def frames_of(path: Path) -> np.ndarray:
    """All frames, [frame, height, width, 3]."""
    if path.suffix == ".gif":
        with Image.open(path) as image:
            return np.stack([np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(image)])
    pixmaps = ffmpeg(path, "-f", "image2pipe", "-vcodec", "ppm", "-").stdout
    header = re.match(rb"P6\n(\d+) (\d+)\n255\n", pixmaps)
    assert header is not None
    width, height = map(int, header.groups())
    frames = np.frombuffer(pixmaps, np.uint8).reshape(-1, len(header[0]) + height * width * 3)
    return frames[:, len(header[0]) :].reshape(-1, height, width, 3)


def moments_of(run: Path, level: int = WON, seed: int = 0, **changes: Any) -> list[Moment]:
    arguments: dict[str, Any] = {"max_steps": 6, "greedy": False} | changes
    policies = load_policies(run)
    return list(play(policies, 0, level, rng=np.random.default_rng(seed), **arguments))


# What was played.


def test_result_says_what_was_played(clip):
    shown, _ = clip
    e = math.exp(3)
    assert shown.agent == 0
    assert shown.episodes == (
        Played(
            level=WON,
            held_out=False,
            steps=12,
            episode_return=10.0,
            end="level complete",
            mean_tv=pytest.approx((e - 1) / (e + 14), abs=1e-6),
        ),
    )


def test_the_agent_that_acts_decides_what_happens(two, tmp_path):
    shown = watch(two, tmp_path / "a.mp4", agent=1, level=WON, greedy=True, max_steps=3)
    assert [(p.steps, p.end, p.episode_return) for p in shown.episodes] == [(3, "cut", 0.0)]


def test_episodes_that_fail_or_run_out_of_time_are_told_apart(two):
    lost = moments_of(two, LOST, greedy=True)
    assert [moment.end for moment in lost] == ["", "level not complete"]

    @dataclasses.dataclass
    class Idle:
        config = dataclasses.replace(LEAPER, env="procgen:maze")
        probabilities = staticmethod(lambda _: np.eye(15)[[ACTIONS.index("no-op")]])
        value = staticmethod(lambda _: np.zeros(1))

    rng = np.random.default_rng(0)
    steps = list(play([Idle()], 0, 0, max_steps=501, rng=rng, greedy=True))  # type: ignore[list-item]
    assert (len(steps), steps[-1].end) == (500, "time limit")


def test_every_step_happens_on_the_level_asked_for(two):
    env = ProcgenVectorEnv(
        "leaper", levels=LevelSet(WON, WON + 1), options=LEAPER.options, num_threads=0
    )
    seen, _ = env.reset()
    for moment in moments_of(two):
        np.testing.assert_array_equal(moment.seen, seen[0])
        seen, *_ = env.step(np.array([moment.action]))
    env.close()


def test_same_seed_same_episode_and_other_seed_another(two):
    actions = [[m.action for m in moments_of(two, seed=seed)] for seed in (0, 0, 1)]
    assert actions[0] == actions[1] != actions[2]


def test_actions_are_sampled_from_the_probabilities(two):
    probability_a = moments_of(two, max_steps=1)[0].probability_ka[0]
    rng = np.random.default_rng(0)
    drawn = [room._action(probability_a, rng, greedy=False) for _ in range(2000)]
    share = np.bincount(drawn, minlength=15) / 2000
    e = math.exp(3)
    assert share[UP] == pytest.approx(e / (e + 14), abs=4 * 0.5 / math.sqrt(2000))
    assert share.min() > 0


def test_levels_are_held_out_unless_asked_otherwise(two):
    config = load_policies(two)[0].config
    assert room._levels(config, None, 3, 5, True) == config.levels.test.sample(3, 5)
    assert room._levels(config, None, 3, 5, False) == config.levels.train.sample(3, 5)
    assert room._levels(config, None, 3, 6, True) != config.levels.test.sample(3, 5)
    assert room._levels(config, 9, 2, 5, False) == [9, 9]
    assert room._levels(config, 10, 2, 5, True) == [10, 10]


def test_held_out_levels_are_told_from_training_levels(two, tmp_path):
    shown = watch(two, tmp_path / "a.mp4", level=10, max_steps=1)
    assert shown.episodes[0].held_out  # the run was trained on levels 0 to 9


def test_distances_are_those_of_the_statements():
    moment = Moment(
        step=0,
        picture=np.zeros(0),
        seen=np.zeros(0),
        probability_ka=np.array([[0.5, 0.5], [0.25, 0.75]]),
        value_k=np.zeros(2),
        action=0,
        reward_before=0.0,
        reward=0.0,
        end="",
    )
    np.testing.assert_allclose(moment.tv_kj, [[0, 0.25], [0.25, 0]])
    there = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    back = 0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2)
    np.testing.assert_allclose(moment.kl_kj, [[0, there], [back, 0]])


# What the video shows.


def test_a_frame_a_step_and_a_second_for_the_outcome(clip):
    shown, frames = clip
    assert shown.frames == len(frames) == 12 + HELD
    assert frames.shape[1:] == (704, 1008, 3)  # multiples of 16: no player scales them
    told = ffmpeg(shown.path, "-f", "null", "-").stderr.decode()
    assert re.search(r"Video: h264.* yuv420p.* 15 fps", told)


def test_the_game_is_shown_as_it_is_rendered(two, clip):
    _, frames = clip
    for frame, moment in zip(frames, moments_of(two, greedy=True, max_steps=12), strict=False):
        shown = frame[room._TITLE : room._TITLE + 512, :512].astype(int)
        assert abs(shown - moment.picture).mean() < 4  # of 255: what compression does


def test_only_the_title_changes_when_an_episode_is_over(clip):
    _, frames = clip
    frames = frames.astype(int)
    last, held = frames[11], frames[-1]
    below = room._TITLE + 2
    assert abs(last[:below] - held[:below]).max() > 100
    assert abs(last[below:] - held[below:]).mean() < 1


def bars(frame: np.ndarray, n_agents: int) -> np.ndarray:
    """Lengths of the bars as a share of the longest possible, [agent, action]."""
    found = np.zeros((n_agents, 15))
    for k in range(n_agents):
        colour = np.array(ImageColor.getrgb(style.RUN_COLOURS[k]))
        left = room._GAME + room._MARGIN + room._NAMES + k * room._COLUMN
        for a in range(15):
            y = room._TITLE + room._HEADER + a * room._ROW + room._ROW // 2
            row = frame[y, left : left + room._BAR].astype(int)
            found[k, a] = (abs(row - colour).sum(axis=-1) < 120).sum() / room._BAR
    return found


def test_bars_are_the_probabilities_of_each_frame(tmp_path):
    run = export(tmp_path / "lively.safetensors", LEAPER, lively)
    shown = watch(run, tmp_path / "lively.mp4", episodes=3, max_steps=2, greedy=True)
    frames = frames_of(shown.path)[[0, 1, 17, 18, 34, 35]]  # without those that are held
    measured = np.stack([bars(frame, 2) for frame in frames])
    moments = [moments_of(run, p.level, max_steps=2, greedy=True) for p in shown.episodes]
    true = np.stack([moment.probability_ka for own in moments for moment in own])
    assert abs(measured - true).max() < 0.03
    assert np.ptp(true, axis=0).max() > 0.2  # and they do change


def test_strip_shows_the_distance_so_far(clip):
    colour = np.array(ImageColor.getrgb(style.RUN_COLOURS[1]))
    e = math.exp(3)
    top, bottom = room._TITLE + room._GAME + 30, room._TITLE + room._GAME + room._STRIP - 22
    for n in (4, 12):
        strip = clip[1][n - 1, top:bottom, 44:].astype(int)
        ys, xs = np.nonzero(abs(strip - colour).sum(axis=-1) < 150)
        right = (1008 - room._MARGIN - 44) * (n - 1) / 64  # room for 64 steps from the start
        assert xs.max() == pytest.approx(right, abs=4)
        height = (bottom - top) * (e - 1) / (e + 14)  # of 1, the next round number
        assert bottom - top - ys.mean() == pytest.approx(height, abs=2)


def test_three_agents_have_three_columns_and_one_has_no_distances(tmp_path):
    config = dataclasses.replace(LEAPER, agents=3)
    shown = watch(
        export(tmp_path / "three.safetensors", config, opposed),
        tmp_path / "three.mp4",
        agent=2,
        level=WON,
        episodes=2,
        max_steps=2,
    )
    frames = frames_of(shown.path)
    assert len(frames) == shown.frames == 2 * (2 + HELD)
    e = math.exp(3)
    np.testing.assert_allclose(
        bars(frames[0], 3)[[0, 1, 2], [UP, DOWN, 0]],
        [e / (e + 14), e / (e + 14), 1 / 15],
        atol=0.03,
    )
    apart, uniform = (e - 1) / (e + 14), e / (e + 14) - 1 / 15
    expected = (apart + 2 * uniform) / 3
    assert [p.mean_tv for p in shown.episodes] == [pytest.approx(expected, abs=1e-6)] * 2
    alone = dataclasses.replace(LEAPER, agents=1, distill_coef=0.0)
    run = export(tmp_path / "one.safetensors", alone, opposed)
    shown = watch(run, tmp_path / "one.mp4", level=WON, max_steps=2)
    assert shown.episodes[0].mean_tv is None
    assert frames_of(shown.path).shape[1:] == (576, 832, 3)


def test_a_gif_shows_the_same(two, clip, tmp_path):
    shown = watch(two, tmp_path / "won.GIF", level=WON, greedy=True, max_steps=3)
    frames = frames_of(shown.path.rename(tmp_path / "won.gif"))
    assert len(frames) == shown.frames == 3 + HELD
    assert abs(frames[2].astype(int) - clip[1][2]).mean() < 4
    with Image.open(tmp_path / "won.gif") as image:
        assert image.info["duration"] == 70  # milliseconds; GIFs count in tens
        assert image.info["loop"] == 65535  # imageio's word for ever


def test_progress_ends_with_everything(two, tmp_path):
    told: list[tuple[str, float]] = []
    watch(
        two,
        tmp_path / "a.mp4",
        level=WON,
        episodes=2,
        max_steps=2,
        on_progress=lambda text, share: told.append((text, share)),
    )
    assert told == [
        ("episode 1 of 2", 0.25),
        ("episode 1 of 2", 0.5),
        ("episode 2 of 2", 0.75),
        ("episode 2 of 2", 1.0),
    ]


# Files.


def test_a_video_that_was_not_finished_leaves_nothing_behind(two, tmp_path):
    def stop(text: str, share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(two, tmp_path / "a.mp4", level=WON, max_steps=4, on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_video_is_replaced_only_by_force(two, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=re.escape(f"{path} exists already: choose another")):
        watch(two, path, level=WON, max_steps=1)
    assert path.read_text() == "mine"
    watch(two, path, level=WON, max_steps=1, force=True)
    assert len(frames_of(path)) == 1 + HELD


ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"output": Path("a.avi")}, "output must end in .mp4 or .gif, got a.avi"),
    ({"output": Path("a")}, "output must end in .mp4 or .gif, got a"),
    ({"agent": 2}, "agent must be from 0 to 1, got 2"),
    ({"agent": -1}, "agent must be from 0 to 1, got -1"),
    ({"level": -1}, "level must be from 0 to 2147483646, got -1"),
    ({"level": 2**31 - 1}, "level must be from 0 to 2147483646, got 2147483647"),
    ({"level": 1.5}, "level must be a whole number, got 1.5"),
    ({"level": 10, "held_out": False},
     "level, to be a training level, must be from 0 to 9, got 10"),
    ({"episodes": 0}, "episodes must be from 1 to 100, got 0"),
    ({"episodes": 101, "level": 3}, "episodes must be from 1 to 100, got 101"),
    ({"episodes": 11, "held_out": False}, "episodes must be from 1 to 10, got 11"),
    ({"max_steps": 0}, "max_steps must be from 1 to 100000, got 0"),
    ({"max_steps": True}, "max_steps must be a whole number, got True"),
    ({"seed": -1}, "seed must be from 0 to 2147483647, got -1"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), ERRORS)
def test_messages(two, tmp_path, arguments, message):
    arguments = {"output": tmp_path / "a.mp4"} | arguments
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        watch(two, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_runs_without_a_policy_say_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing does not exist"):
        watch(tmp_path / "nothing", tmp_path / "a.mp4")
    (tmp_path / CONFIG_FILE).write_text(LEAPER.to_json())
    with pytest.raises(FileNotFoundError, match="has no checkpoint yet"):
        watch(tmp_path, tmp_path / "a.mp4")
