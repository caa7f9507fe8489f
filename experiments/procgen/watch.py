"""A video of one agent at play, and of what every agent of its run makes of each frame.

On the left the game; beside it each agent's action probabilities, value, and its total variation
distance and divergence from the agent that acts; below, the distance over time.  A frame shows what
is known before its step: the picture, the probabilities on it, the reward so far.  Procgen draws no
last picture of an episode, so the last frame is held for a second with the outcome as its title.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import imageio.v2 as imageio
import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from experiments.envs.procgen import ACTIONS, N_ACTIONS, LevelSet, ProcgenVectorEnv
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.policy import Policy, load_policies
from experiments.procgen.rollout import choose
from mdtheory import files
from mdtheory.progress import OnProgress
from mdtheory.report import style
from mdtheory.robustness import kl_divergence, total_variation

FPS: int = ProcgenVectorEnv.metadata["render_fps"]
"""Frames, and so steps, a second: Procgen's own pace. A GIF's clock ticks in hundredths of a
second, so there it is 14.3."""
HELD = FPS
"""Frames for which the last one of an episode is held."""
SUFFIXES = (".mp4", ".gif")


@dataclass(frozen=True)
class Played:
    """One episode of a video.

    Attributes:
        level: the level's seed.
        held_out: whether the run was not trained on it.
        steps: of the environment.
        episode_return: sum of the rewards, undiscounted.
        end: "level complete", "level not complete", "time limit" or, by `max_steps`, "cut".
        mean_tv: total variation distance, mean over frames and pairs of agents; None for one agent.
    """

    level: int
    held_out: bool
    steps: int
    episode_return: float
    end: str
    mean_tv: float | None


@dataclass(frozen=True)
class WatchResult:
    """What a video shows: the agent that acts, and its episodes; `frames` of `FPS` a second."""

    path: Path
    agent: int
    episodes: tuple[Played, ...]
    frames: int


@dataclass(frozen=True, eq=False)
class Moment:
    """One step: what was seen before it, what all agents made of it, and what came of it.

    picture uint8 [512, 512, 3]; seen uint8 [64, 64, 3]; probability_ka [agent, 15]; value_k
    [agent]; reward_before is the sum before the step; end is "" while the episode goes on.
    """

    step: int
    picture: np.ndarray
    seen: np.ndarray
    probability_ka: np.ndarray
    value_k: np.ndarray
    action: int
    reward_before: float
    reward: float
    end: str

    @property
    def tv_kj(self) -> np.ndarray:
        """Total variation between agents k and j, [agent, agent]."""
        return total_variation(self.probability_ka[:, None], self.probability_ka)

    @property
    def kl_kj(self) -> np.ndarray:
        """KL(π_k ‖ π_j) in nats, [agent, agent]."""
        return kl_divergence(self.probability_ka[:, None], self.probability_ka)


def watch(
    run: Path,
    output: Path,
    *,
    agent: int = 0,
    level: int | None = None,
    episodes: int = 1,
    max_steps: int = 900,
    seed: int = 0,
    greedy: bool = False,
    held_out: bool = True,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> WatchResult:
    """Let one agent of a run play, and write the video.

    Args:
        run: folder of `mdpo train`, or a file of `mdpo export`.
        output: the video, .mp4 or .gif.
        agent: who acts.
        level: seed of the level of all episodes; by default one level each, drawn by `seed`.
        episodes: how many.
        max_steps: an episode is cut after so many steps.
        seed: of the levels drawn and of the actions sampled.
        greedy: take the likeliest action instead of sampling.
        held_out: draw levels that the run was not trained on; otherwise training levels.
        force: overwrite an existing video.
        on_progress: gets a text and the share done.

    Raises:
        ValueError: naming the argument and what would be right.
        FileExistsError: there is a video already.
        FileNotFoundError: there is no run, or no checkpoint yet.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise ValueError(f"output must end in .mp4 or .gif, got {output}")
    files.new_file(output, force=force)
    policies = load_policies(run)
    config = policies[0].config
    _require_within("agent", agent, 0, len(policies) - 1)
    _require_within("max_steps", max_steps, 1, 10**5)
    _require_within("seed", seed, 0, 2**31 - 1)
    levels = _levels(config, level, episodes, seed, held_out)
    about = _about(policies[agent], agent, greedy, seed)
    rewards = "normalized\nrewards" if config.normalize_rewards else "rewards"
    drawing = _Drawing(about, rewards, len(policies), agent)
    rng = np.random.default_rng(seed)
    played, frames = [], 0
    output.parent.mkdir(parents=True, exist_ok=True)
    with _video(output) as write:
        for i, here in enumerate(levels):
            moments = play(policies, agent, here, max_steps=max_steps, rng=rng, greedy=greedy)
            tv = []
            drawing.begin_episode(_where(config, here))
            for moment in moments:
                write(drawing.frame(moment))
                tv.append(_mean_over_pairs(moment.tv_kj))
                if on_progress is not None:
                    share = min(moment.step + 1, max_steps) / max_steps
                    on_progress(f"episode {i + 1} of {episodes}", (i + share) / episodes)
            for _ in range(HELD):
                write(drawing.last_frame(moment))
            frames += moment.step + 1 + HELD
            played.append(
                Played(
                    level=here,
                    held_out=here not in config.levels.train,
                    steps=moment.step + 1,
                    episode_return=moment.reward_before + moment.reward,
                    end=moment.end,
                    mean_tv=float(np.mean(tv)) if len(policies) > 1 else None,
                )
            )
    return WatchResult(output, agent, tuple(played), frames)


def play(
    policies: Sequence[Policy],
    agent: int,
    level: int,
    *,
    max_steps: int,
    rng: np.random.Generator,
    greedy: bool,
) -> Iterator[Moment]:
    """One episode on one level, step by step; one of the policies acts and all are asked."""
    config = policies[0].config
    env = ProcgenVectorEnv(
        config.game,
        levels=LevelSet(level, level + 1),
        options=config.options,
        num_threads=0,
        render_mode="rgb_array",
    )
    with closing(env):
        yield from _steps(env, policies, agent, max_steps, rng, greedy)


def _steps(
    env: ProcgenVectorEnv,
    policies: Sequence[Policy],
    agent: int,
    max_steps: int,
    rng: np.random.Generator,
    greedy: bool,
) -> Iterator[Moment]:
    observation, _ = env.reset()
    total = 0.0
    for step in range(max_steps):
        pictures = env.render()
        assert pictures is not None  # render_mode asks for them
        probability_ka = np.concatenate([p.probabilities(observation) for p in policies])
        value_k = np.concatenate([p.value(observation) for p in policies])
        action = _action(probability_ka[agent], rng, greedy)
        after, reward, terminated, truncated, infos = env.step(np.array([action]))
        end = "cut" if step + 1 == max_steps else ""
        if truncated[0]:
            end = "time limit"
        elif terminated[0]:
            complete = infos["prev_level_complete"][0]
            end = "level complete" if complete else "level not complete"
        yield Moment(
            step=step,
            picture=pictures[0],
            seen=observation[0],
            probability_ka=probability_ka.astype(np.float64),
            value_k=value_k,
            action=action,
            reward_before=total,
            reward=float(reward[0]),
            end=end,
        )
        observation, total = after, total + float(reward[0])
        if end:
            return


def _action(probability_a: np.ndarray, rng: np.random.Generator, greedy: bool) -> int:
    """The likeliest action, or one drawn as in training."""
    if greedy:
        return int(probability_a.argmax())
    uniform = torch.tensor([rng.random()], dtype=torch.float32)
    return int(choose(torch.from_numpy(probability_a).log()[None], uniform)[0])


def _levels(
    config: ProcgenConfig, level: int | None, episodes: int, seed: int, held_out: bool
) -> list[int]:
    """A level for each episode."""
    if level is None:
        levels = config.levels.test if held_out else config.levels.train
        _require_within("episodes", episodes, 1, min(100, len(levels)))
        return levels.sample(episodes, seed)
    _require_within("episodes", episodes, 1, 100)
    everything, train = LevelSet(), config.levels.train
    _require_within("level", level, everything.first, everything.end - 1)
    if not held_out:
        _require_within("level, to be a training level,", level, train.first, train.end - 1)
    return [level] * episodes


def _require_within(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {value}")


def _mean_over_pairs(value_kj: np.ndarray) -> float:
    """Over all ordered pairs of different agents; 0 for one agent."""
    n = len(value_kj)
    return float(value_kj.sum() / max(n * (n - 1), 1))


@contextmanager
def _video(path: Path) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that appends a frame; the file appears, whole, when all are written."""
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    if path.suffix.lower() == ".gif":
        writer = imageio.get_writer(partial, format="GIF-PIL", mode="I", duration=1 / FPS, loop=0)
    else:
        writer = imageio.get_writer(
            partial,
            format="FFMPEG",
            mode="I",
            fps=FPS,
            codec="libx264",
            quality=None,
            ffmpeg_log_level="error",
            output_params=["-crf", "18", "-preset", "veryfast", "-movflags", "+faststart"],
        )
    try:
        with writer:
            yield writer.append_data
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _about(policy: Policy, agent: int, greedy: bool, seed: int) -> str:
    how = "the likeliest action" if greedy else f"sampled actions, seed {seed}"
    return f"agent {agent} acts ({how}); {policy.config.algorithm}, after {policy.update:,} updates"


def _where(config: ProcgenConfig, level: int) -> str:
    kind = "training level" if level in config.levels.train else "held-out level"
    return f"{config.game} ({config.distribution_mode}), {kind} {level}"


_GAME, _INSET, _MARGIN = 512, 128, 12
_TITLE, _STRIP = 64, 128  # heights of the bands above and below the game
_ROW, _NAMES, _COLUMN, _BAR = 18, 116, 172, 112  # of the table of probabilities
_HEADER = 44  # height of the names of its columns
_NOTES = "what the agents see:\n64 x 64 pixels\n\nyellow: the action taken\nvalue: of "
_INK, _GREY, _TRACK, _CHOSEN = "#1b1f24", "#6a7077", "#eceef0", "#fff3bf"


def _font(size: int, weight: str = "") -> ImageFont.FreeTypeFont:
    """The font of all pictures; it comes with matplotlib."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVuSans{weight}.ttf"), size)


class _Drawing:
    """Draws frames. What is the same on all of them is drawn once.

    Args:
        about: second line of the title.
        rewards: what values are in.
        n_agents: columns of bars.
        actor: the agent that acts.
    """

    def __init__(self, about: str, rewards: str, n_agents: int, actor: int) -> None:
        self._n_agents, self._actor = n_agents, actor
        self._fonts = {"title": _font(17, "-Bold"), "bold": _font(13, "-Bold"), "": _font(12)}
        self._colours = list(itertools.islice(itertools.cycle(style.RUN_COLOURS), n_agents))
        self._others = [k for k in range(n_agents) if k != actor]
        self._where = ""
        self._tv: list[np.ndarray] = []  # by frame: from the actor to each agent, then the mean
        self._starts: list[int] = []
        width = _GAME + _NAMES + n_agents * _COLUMN + 2 * _MARGIN
        least = int(self._fonts[""].getlength(about)) + 2 * _MARGIN
        self.width = -(-max(width, least) // 16) * 16  # ffmpeg would scale other sizes
        self.height = -(-(_TITLE + _GAME + (_STRIP if self._others else 0)) // 16) * 16
        self._blank = self._unchanging(about, rewards)

    def begin_episode(self, where: str) -> None:
        """All later frames are of a new episode; `where` names game and level."""
        self._where = where
        self._starts.append(len(self._tv))

    def frame(self, moment: Moment) -> np.ndarray:
        """The next frame, uint8 [height, width, 3]."""
        tv_kj = moment.tv_kj
        self._tv.append(np.append(tv_kj[self._actor], _mean_over_pairs(tv_kj)))
        title = f"{self._where}, step {moment.step}, reward so far {moment.reward_before:g}"
        return self._draw(moment, title)

    def last_frame(self, moment: Moment) -> np.ndarray:
        """The frame again, with the episode's outcome in the title."""
        total = moment.reward_before + moment.reward
        return self._draw(
            moment, f"{self._where}: {moment.end} after {moment.step + 1} steps, return {total:g}"
        )

    def _unchanging(self, about: str, rewards: str) -> Image.Image:
        image = Image.new("RGB", (self.width, self.height), "white")
        draw = ImageDraw.Draw(image)
        draw.text((_MARGIN, 48), about, _INK, self._fonts[""], anchor="lm")
        right = _GAME + _MARGIN + _NAMES - 8
        bars = _TITLE + _HEADER
        for row, name in enumerate(ACTIONS):
            self._text(draw, right, bars + _ROW * row, name, "r")
        if self._others:
            a, below = self._actor, bars + _ROW * N_ACTIONS + 6
            for row, name in enumerate(
                (f"TV to agent {a}", f"KL({a}‖·), nats", f"KL(·‖{a}), nats")
            ):
                self._text(draw, right, below + _ROW * row, name, "r")
        for k in range(self._n_agents):
            name = f"agent {k}{' (acts)' if k == self._actor else ''}"
            draw.text((self._column(k), _TITLE + 2), name, self._colours[k], self._fonts["bold"])
        inset = self._inset[0] + _INSET + 10, self._inset[1] + 2
        draw.multiline_text(inset, _NOTES + rewards, _GREY, self._fonts[""], spacing=6)
        return image

    @property
    def _inset(self) -> tuple[int, int]:
        """Where the small picture is: the lower left corner of the table."""
        return _GAME + _MARGIN, _TITLE + _GAME - _INSET

    def _column(self, agent: int) -> int:
        return _GAME + _MARGIN + _NAMES + agent * _COLUMN

    def _text(self, draw: ImageDraw.ImageDraw, x: float, top: float, text: str, side: str) -> None:
        """A cell of the table: one row, set from the left ("l") or from the right ("r")."""
        draw.text((x, top + _ROW / 2), text, _INK, self._fonts[""], anchor=f"{side}m")

    def _draw(self, moment: Moment, title: str) -> np.ndarray:
        image = self._blank.copy()
        draw = ImageDraw.Draw(image)
        draw.text((_MARGIN, 22), title, _INK, self._fonts["title"], anchor="lm")
        image.paste(Image.fromarray(moment.picture), (0, _TITLE))
        seen = Image.fromarray(moment.seen).resize((_INSET, _INSET), Image.Resampling.NEAREST)
        image.paste(seen, self._inset)
        self._bars(draw, moment)
        if self._others:
            self._distances(draw, moment)
            self._strip(draw)
        return np.asarray(image)

    def _bars(self, draw: ImageDraw.ImageDraw, moment: Moment) -> None:
        top = _TITLE + _HEADER
        end = self._column(self._n_agents) - 8
        chosen = top + _ROW * moment.action
        draw.rectangle((self._column(0) - 6, chosen, end, chosen + _ROW - 1), _CHOSEN)
        for k in range(self._n_agents):
            left = self._column(k)
            self._text(draw, left, _TITLE + 20, f"value {moment.value_k[k]:.2f}", "l")
            for a, probability in enumerate(moment.probability_ka[k]):
                y = top + _ROW * a
                box = (left, y + 3, left + _BAR, y + _ROW - 4)
                draw.rectangle(box, _TRACK)
                draw.rectangle((*box[:2], left + _BAR * probability, box[3]), self._colours[k])
                self._text(draw, left + _BAR + 44, y, f"{100 * probability:.0f} %", "r")

    def _distances(self, draw: ImageDraw.ImageDraw, moment: Moment) -> None:
        below, actor = _TITLE + _HEADER + _ROW * N_ACTIONS + 6, self._actor
        tv, kl = moment.tv_kj, moment.kl_kj
        for k in self._others:
            for row, value in enumerate((tv[actor, k], kl[actor, k], kl[k, actor])):
                self._text(draw, self._column(k), below + _ROW * row, f"{value:.3f}", "l")

    def _strip(self, draw: ImageDraw.ImageDraw) -> None:
        """TV from the actor to each other agent, by frame; both axes grow with what they show."""
        tv, n = np.array(self._tv), len(self._tv)
        left, right = 44, self.width - _MARGIN
        top, bottom = _TITLE + _GAME + 30, _TITLE + _GAME + _STRIP - 22
        highest = next(y for y in (0.05, 0.1, 0.2, 0.5, 1.0) if tv.max() <= y or y == 1.0)
        longest = 64 * 2 ** max(0, int(np.ceil(np.log2(n / 64))))
        for share in (0, 0.5, 1):
            x, y = left + share * (right - left), bottom - share * (bottom - top)
            draw.line((left, y, right, y), _TRACK)
            draw.text((left - 6, y), f"{share * highest:g}", _GREY, self._fonts[""], anchor="rm")
            label = f"{share * longest:.0f}{' steps' if share == 1 else ''}"
            side = {0: "l", 0.5: "m", 1: "r"}[share]
            draw.text((x, bottom + 12), label, _GREY, self._fonts[""], anchor=f"{side}m")
        xs = left + np.arange(n) / longest * (right - left)
        for start in self._starts[1:]:
            draw.line((xs[start], top, xs[start], bottom), _GREY)
        parts = [(k, f"agent {k}", self._colours[k]) for k in self._others]
        if len(parts) > 1:
            parts.append((self._n_agents, "mean over all pairs", _INK))
        at = self._words(draw, f"total variation, agent {self._actor} and", left, _INK)
        for column, name, colour in parts:
            at = self._words(draw, f"{name} (now {tv[-1, column]:.3f})", at, colour)
            ys = bottom - tv[:, column] / highest * (bottom - top)
            points = np.rint(np.stack([xs, ys], axis=-1)).reshape(-1).tolist()
            draw.line(points if n > 1 else points + points, colour, 2)

    def _words(self, draw: ImageDraw.ImageDraw, text: str, x: float, colour: str) -> float:
        """A piece of the strip's legend; returns where the next one begins."""
        draw.text((x, _TITLE + _GAME + 15), text, colour, self._fonts[""], anchor="lm")
        return x + self._fonts[""].getlength(text) + 10
