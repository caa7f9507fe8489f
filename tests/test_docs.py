"""Every block of every page is true: Python runs, commands exist and print what the page shows.

`>>>` runs as doctests (pytest collects README.md and docs). A `console` block is a session: the
page's sessions run in one folder, in order, and print what is shown, where `...` stands for
anything. Commands elsewhere, indented, in `sh` blocks or in the text, are parsed by the real
command line without being run. A block that begins with `# name.py` or `# name.toml` is that file
in the folder of the page's sessions.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import inspect
import io
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from markdown_it import MarkdownIt
from sphinx.util.matching import get_matching_files

import experiments.cli
import mdtheory.cli
from mdtheory import command_line

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
SITE = runpy.run_path(str(ROOT / "docs/site/conf.py"))
PAGES = sorted(get_matching_files(ROOT, SITE["include_patterns"], SITE["exclude_patterns"]))
COLLECTED = ("README.md", "docs/")
"""Where pytest looks for doctests."""
COMMANDS = {
    "mdtheory": lambda arguments: mdtheory.cli.COMMANDS,
    "mdpo": experiments.cli.commands_for,
}
SHELL = {"apt-get", "bash", "cd", "git", "make", "pip", "pytest", "python", "python3", "ray"}
"""Programs of others that pages may name; of some the arguments are checked too."""
NO_CODE = {"text", "math"}
PLACEHOLDERS = {"N": "1", "...": None}


class Block(NamedTuple):
    kind: str  # the language of a fence, "indented" or "inline"
    text: str
    line: int


def blocks_of(page: str) -> list[Block]:
    """Everything on a page that is set as code."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(page):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "fence":
            found.append(Block(token.info.strip(), token.content, line))
        elif token.type == "code_block":
            found.append(Block("indented", token.content, line))
        inline = (child.content for child in token.children or () if child.type == "code_inline")
        found += [Block("inline", content, line) for content in inline]
    return found


def check_page(page: str, folder: Path, *, history: bool = False) -> None:
    """Check every block but the sessions, which `run_sessions` runs.

    Raises:
        AssertionError, ValueError, ImportError, SyntaxError: with the block's line.
    """
    for block in blocks_of(page):
        if not (history and block.kind == "inline"):
            with located(block):
                check_block(block, page, folder)


@contextlib.contextmanager
def located(block: Block) -> Iterator[None]:
    """Puts the block's line in front of an error."""
    try:
        yield
    except Exception as error:
        error.args = (f"line {block.line}, {block.kind}: {error}",)
        raise


def check_block(block: Block, page: str, folder: Path) -> None:
    if block.kind in ("indented", "sh", "bash", "console"):
        for words in commands_of(block):
            check_command(words, known=block.kind != "indented")
    elif block.kind == "inline":
        check_mention(block.text)
    elif block.kind == "python":
        check_python(block.text, page, folder)
    elif block.kind == "json":
        json.loads(block.text)
    elif block.kind == "toml":
        tomllib.loads(block.text)
    elif block.kind == "pycon":
        assert doctest.DocTestParser().get_examples(block.text), "no >>> in it"
    else:
        known = block.kind in NO_CODE or block.kind.startswith("{")
        assert known, f"nothing checks blocks in {block.kind or 'no language'}"


def commands_of(block: Block) -> Iterator[list[str]]:
    """The commands of a block of shell, without their output."""
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        if block.kind == "console":
            if not line.startswith("$ "):
                continue
            line = line[2:]
        with contextlib.suppress(ValueError):  # an unclosed quote is no shell
            yield from _split(line)


def _split(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("&|;<>"):
            while words and (words[0] == "time" or re.match(r"[A-Z_]+=", words[0])):
                words = words[1:]
            if words:
                yield words
            words = []
        else:
            words.append(word)


def check_command(words: Sequence[str], *, known: bool = True) -> None:
    """Whether a command could be run; `known`: its program has to be one that pages may name."""
    program, *arguments = words
    if program in COMMANDS:
        parse(program, arguments)
    elif program == "bash" and arguments[0] == "-c":
        for inner in _split(arguments[1]):
            check_command(inner)
    elif program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
        assert set(arguments) <= set(targets), f"no such target: {arguments}"
    elif program == "pip":
        _check_pip(arguments)
    elif program in ("python", "python3") and arguments and arguments[0].endswith(".py"):
        assert (ROOT / arguments[0]).is_file(), f"no such file: {arguments[0]}"
    else:
        assert program in SHELL or not known, f"no known command: {program}"


def _check_pip(arguments: Sequence[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for before, word in zip(["", *arguments], arguments, strict=False):
        if match := re.fullmatch(r"(?:mdtheory|\.)\[(.*)\]", word):
            missing = set(match.group(1).split(",")) - set(project["optional-dependencies"])
            assert not missing, f"no such extra: {missing}"
        if before in ("-c", "-r", "--constraint", "--requirement"):
            assert (ROOT / word).is_file(), f"no such file: {word}"


def parse(program: str, arguments: Sequence[str]) -> None:
    """Let the real command line read the arguments.

    Raises:
        ValueError: what it would say of them.
    """
    named = [PLACEHOLDERS.get(word, word.replace(":GAME", ":coinrun")) for word in arguments]
    words = [word for word in named if word is not None]
    with contextlib.redirect_stdout(io.StringIO()):
        command_line._parse(program, "", COMMANDS[program](words), words)


def check_mention(text: str) -> None:
    """A command in the text: what it says exists, whatever it leaves out."""
    if text.startswith(tuple(f"{program} " for program in COMMANDS)):
        for words in _split(text):
            if words[0] in COMMANDS:
                check_incomplete(words)


def check_incomplete(words: Sequence[str]) -> None:
    """Parse a command that may lack a run, the last flag's value, or the environment."""
    if len(words) == 2 and not words[1].startswith("-"):
        parse(words[0], [words[1], "--help"])
        return
    tails = [
        [*missing, *environment]
        for environment in ([], ["--env", "procgen:coinrun"])
        for missing in ([], ["RUN"], ["1"], ["original"])
    ]
    errors = [error_of(words[0], [*words[1:], *tail]) for tail in tails]
    assert None in errors, errors[0]


def error_of(program: str, arguments: Sequence[str]) -> str | None:
    try:
        parse(program, arguments)
    except ValueError as error:
        return str(error)
    return None


def check_python(text: str, page: str, folder: Path) -> None:
    """Its imports work, and its calls fit what is imported here and above; tests in it pass."""
    tree = ast.parse(text)
    sources = [example.source for example in doctest.DocTestParser().get_examples(page)]
    names: dict[str, Any] = {}
    for source in (*(s for s in sources if s.startswith(("from ", "import "))), text):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(compile(ast.Module([node], []), "page", "exec"), names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            starred = any(isinstance(argument, ast.Starred) for argument in node.args)
            if not starred and None not in (keyword.arg for keyword in node.keywords):
                keywords = {keyword.arg: None for keyword in node.keywords}
                inspect.signature(names[node.func.id]).bind(*node.args, **keywords)
    if file_name(text) is None and re.search(r"^def test_", text, re.M):
        (folder / "test_block.py").write_text(text, encoding="utf-8")
        done = run_program(["pytest", "-q", "test_block.py"], folder)
        assert done.returncode == 0, done.stdout


def file_name(text: str) -> str | None:
    """test_mine.py, of a block that begins with `# test_mine.py`; its sessions run it."""
    match = re.match(r"# (\w+\.(?:py|toml))\n", text)
    return match.group(1) if match else None


def run_program(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it as a reader would: on a CI server pytest's summary has whole messages."""
    command = [sys.executable, "-m", *words] if words[0] == "pytest" else list(words)
    servers = {"CI", "BUILD_NUMBER", "PYTEST_ADDOPTS"}
    env = {name: value for name, value in os.environ.items() if name not in servers}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def run_sessions(page: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """Run the commands of the page's `console` blocks, in the folder; return how many there were.

    Raises:
        AssertionError: a command prints something else, or ends with another status.
    """
    n = 0
    for block in blocks_of(page):
        if block.kind != "console":
            continue
        for part in re.split(r"^\$ ", block.text.replace("\\\n", " "), flags=re.M)[1:]:
            command, _, shown = part.partition("\n")
            words = expanded(shlex.split(command), folder)
            capsys.readouterr()
            if words[0] in COMMANDS:
                main = {"mdtheory": mdtheory.cli, "mdpo": experiments.cli}[words[0]].main
                status = main(words[1:])
                printed, complaints = capsys.readouterr()
            elif words[0] == "pytest":
                done = run_program(words, folder)
                status, printed, complaints = done.returncode, done.stdout, done.stderr
            else:
                assert not shown.strip(), f"{command}: only our commands and pytest are run"
                continue
            n += 1
            expected = 1 if re.search("refuted|violated|FAILED", shown) else 0
            assert status == expected, (command, status, complaints[-2000:], printed[-2000:])
            assert re.match(pattern_of(shown), printed), (command, f"prints\n{printed}")
    return n


def expanded(words: Sequence[str], folder: Path) -> list[str]:
    """What a shell would make of * and ? in words that name files."""
    found: list[str] = []
    for word in words:
        matches = sorted(folder.glob(word)) if re.search(r"^[\w/.-]*[*?]", word) else []
        found += [str(path.relative_to(folder)) for path in matches] or [word]
    return found


def pattern_of(shown: str) -> str:
    """A line `...` stands for any lines, `...` in a line for any text, trailing spaces for none."""
    lines = []
    for line in shown.rstrip().splitlines():
        if line.strip() == "...":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + r" *\n")
    return "".join(lines)


@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_a_page_is_what_it_says(name, tmp_path):
    page = (ROOT / name).read_text(encoding="utf-8")
    if ">>>" in page:
        assert name.startswith(COLLECTED), "pytest does not look for doctests there"
    check_page(page, tmp_path, history=name == "CHANGELOG.md")


WITH_SESSIONS = [name for name in PAGES if "```console" in (ROOT / name).read_text("utf-8")]


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_SESSIONS)
def test_sessions_print_what_the_page_shows(name, capsys, monkeypatch, tmp_path):
    page = (ROOT / name).read_text(encoding="utf-8")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    for block in blocks_of(page):
        if block.kind in ("python", "toml") and (file := file_name(block.text)):
            (tmp_path / file).write_text(block.text, encoding="utf-8")
    if "results" in page:
        shutil.copytree(ROOT / "results", tmp_path / "results")
    assert run_sessions(page, tmp_path, capsys) or "$ make" in page


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("    mdpo train --sed 1\n", "--sed"),
        ("    mdtheory chekc problem.json\n", "chekc"),
        ("    OMP_NUM_THREADS=1 bash -c 'time mdpo trian'\n", "trian"),
        ("```sh\nmake dmeo\n```\n", "dmeo"),
        ("```sh\npip install 'mdtheory[tests]'\n```\n", "tests"),
        ("```sh\npip install -r requirements.txt\n```\n", "requirements.txt"),
        ("```sh\npython benchmarks/none.py\n```\n", "none.py"),
        ("```sh\nmdtheroy toys\n```\n", "mdtheroy"),
        ("It is `mdpo robustness RUN --strenghts` that does it.\n", "--strenghts"),
        ("It is `mdpo robustnes` that does it.\n", "robustnes"),
        ("```julia\n1 + 1\n```\n", "julia"),
        ("```\n1 + 1\n```\n", "no language"),
        ("```pycon\n1 + 1\n```\n", "no >>>"),
        ('```json\n{"discount": 1/2}\n```\n', "delimiter"),
        ("```toml\nseeds = [1, 2\n```\n", "line"),
        ("```python\nfrom mdtheory import chekc\n```\n", "chekc"),
        ("```python\nfrom mdtheory import check\ncheck(p, q, bound='A2')\n```\n", "bound"),
        ("```python\nx = = 1\n```\n", "syntax"),
        ("```python\ndef test_no():\n    assert 1 == 2\n```\n", "1 failed"),
    ],
)
def test_a_wrong_block_is_found(page, message, tmp_path):
    check_page("Right: `mdtheory toys`.\n\n    mdpo report RUN RUN...\n", tmp_path)
    with pytest.raises((AssertionError, ValueError, ImportError, TypeError, SyntaxError)) as found:
        check_page(page, tmp_path)
    assert message in str(found.value)


@pytest.mark.parametrize(
    ("session", "message"),
    [
        ("$ mdtheory demo lucky\n...\n│ gap                │ 5/3   │\n...\n", "prints"),
        ("$ mdtheory demo lucki\n", "lucki"),
        ("$ mdtheory demo lucky\nrefuted, so status 1\n", "lucky"),
        ("$ ls\nproblem.json\n", "only our commands"),
    ],
)
def test_a_wrong_session_is_found(session, message, capsys, tmp_path):
    right = "```console\n$ mdtheory demo lucky\n...\n│ gap                │ 5/2   │\n...\n```\n"
    assert run_sessions(right, tmp_path, capsys) == 1
    with pytest.raises(AssertionError, match=message):
        run_sessions(f"```console\n{session}```\n", tmp_path, capsys)
