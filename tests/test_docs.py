"""Commands that the documentation shows do what it shows; its Python runs as doctests."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mdtheory.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def shown_commands() -> list[tuple[str, list[str]]]:
    """Each `$ mdtheory ...` of a console block with the lines that should begin its output."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
                command, *lines = part.strip().split("\n")
                found.append((command, lines))
    return found


@pytest.mark.parametrize(("command", "lines"), shown_commands(), ids=lambda x: str(x)[:60])
def test_a_documented_command_prints_what_the_page_shows(
    command, lines, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(command)
    assert program == "mdtheory"
    status = main(arguments)
    printed = capsys.readouterr().out.split("\n")
    assert lines
    assert status == (1 if lines[0].startswith("refuted") else 0)
    for shown, real in zip(lines, printed, strict=False):
        assert re.fullmatch(re.escape(shown).replace(r"\.\.\.", ".*"), real)


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), (page.name, target)
