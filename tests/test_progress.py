"""Lines of progress by a clock that the test moves."""

import pytest
from rich.console import Console

import experiments.progress
import mdtheory.progress
from experiments.progress import Display
from mdtheory.progress import progress


class Clock:
    """Seconds since the start."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(mdtheory.progress, "time", clock)
    return clock


def test_lines_come_seconds_apart_with_the_time_left(capsys, clock):
    with progress() as show:
        show("begun", 0.0)
        for share in (0.2, 0.25, 0.3):
            clock.now += 6
            show("worlds", share)
    assert capsys.readouterr().err == "worlds: 25%, 12 s, 36 s left\n"


def test_what_was_done_before_took_no_time_now(capsys, clock):
    with progress() as show:
        show("worlds", 0.5)
        clock.now += 60
        show("worlds", 0.5)
        clock.now += 60
        show("worlds", 0.6)
    assert capsys.readouterr().err == "worlds: 50%, 60 s\nworlds: 60%, 120 s, 480 s left\n"


def test_trainings_show_their_first_and_last_update_and_a_remark(capsys, clock):
    with Display("run", total=10, done=5) as display:
        for _ in range(5):
            clock.now += 4
            display.advance("return 0.5")
    assert capsys.readouterr().err == (
        "run: 6/10, 4 s, 16 s left, return 0.5\n"
        "run: 9/10, 16 s, 4 s left, return 0.5\n"
        "run: 10/10, 20 s, 0 s left, return 0.5\n"
    )


def test_a_training_of_few_words(capsys, clock):
    with Display("run", total=2, done=0) as display:
        clock.now += 4
        display.advance()
    assert capsys.readouterr().err == "run: 1/2, 4 s, 4 s left\n"


def test_the_end_is_shown_once(capsys, clock):
    lines = mdtheory.progress.Lines(at_once=True)
    for text in ("begun", "between", "done", "done still"):
        lines.show(text, float(text.startswith("done")))
    clock.now += 11
    lines.show("done long ago", 1.0)
    assert capsys.readouterr().err == "begun\ndone\ndone long ago\n"


def test_on_a_terminal_it_is_a_bar(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")

    def terminal(**options: object) -> Console:
        return Console(**options, force_terminal=True, width=80)

    for module in (mdtheory.progress, experiments.progress):
        monkeypatch.setattr(module, "Console", terminal)
    with progress() as show:
        show("some [bracketed] worlds", 0.5)
    with Display("run", total=2, done=0) as display:
        display.advance("return 0.5")
    shown = capsys.readouterr().err
    for part in ("some [bracketed] worlds", "1/2", "return 0.5"):
        assert part in shown
