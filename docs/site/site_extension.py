"""What the site generates while it is built: formulas as MathML, statements, the command line.

Directives: `statement ID` and `quantities NAME` say what `mdtheory.statements` says; `command-line
PROGRAM` shows the `--help` of every command of `mdtheory` or `mdpo`.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import pkgutil
import re
from typing import Any
from unittest import mock

import latex2mathml.converter
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

import experiments.cli
import mdtheory.cli
from mdtheory import statements
from mdtheory.statements import STATEMENTS, Quantity

_PROCGEN_TRAINS = ["train", "--env", "procgen:coinrun"]
_MAINS = {"mdtheory": mdtheory.cli, "mdpo": experiments.cli}


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (_inline_math, None), (_display_math, None))
    app.add_directive("statement", _StatementDirective)
    app.add_directive("quantities", _QuantitiesDirective)
    app.add_directive("modules", _ModulesDirective)
    app.add_directive("names", _NamesDirective)
    app.add_directive("command-line", _CommandLineDirective)
    app.connect("autodoc-process-docstring", _markdown_habits)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _markdown_habits(*arguments: Any) -> None:
    """What our docstrings write and reStructuredText reads otherwise: |x|, `Bound`s, a field for
    several names."""
    lines: list[str] = arguments[-1]
    lines[:] = re.sub(r"(`[^`\n]+`)(?=\w)", r"\1\\ ", "\n".join(lines)).split("\n")
    lines[:] = [re.sub(r"^:ivar [\w, ]+:", _without_spaces, line) for line in lines]
    lines[:] = [line if line.startswith(">>>") else line.replace("|", r"\|") for line in lines]


def _without_spaces(names: re.Match[str]) -> str:
    return names.group().replace(", ", ",")


def _inline_math(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(latex2mathml.converter.convert(node.astext()))
    raise nodes.SkipNode


def _display_math(translator: HTML5Translator, node: nodes.math_block) -> None:
    formula = latex2mathml.converter.convert(node.astext(), display="block")
    translator.body.append(f'<div class="formula">{formula}</div>\n')
    raise nodes.SkipNode


class _Markdown(SphinxDirective):
    """A directive that writes Markdown."""

    required_arguments = 1

    def parsed(self, lines: list[str]) -> list[nodes.Node]:
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, "generated"), self.content_offset, holder)
        return holder.children


class _StatementDirective(_Markdown):
    """Claim, formula, assumptions, source and proofs of the statement with this id."""

    def run(self) -> list[nodes.Node]:
        statement = STATEMENTS[self.arguments[0]]
        module = "part_a" if statement.id in statements.PART_A else "part_b"
        theorem = f"{statement.id}_{re.sub('[ -]', '_', statement.name)}"
        needed = "; ".join(statement.assumptions)
        if statement.requires:
            needed += "; " + " and ".join(f"{r}" for r in statement.requires)
        python, reference = f'mdtheory.STATEMENTS["{statement.id}"]', "/docs/reference"
        return self.parsed(
            [
                statement.claim,
                "",
                "```math",
                statement.latex,
                "```",
                "",
                f"- Assumptions: {needed}",
                f"- Source: {statement.source}",
                f"- Proof: [on a page](/proofs/{statement.id}.md), [in Coq]({reference}/coq.md) as"
                f" `{theorem}`",
                f"- SymPy: [`{python}`]({reference}/statements.md), written in"
                f" `mdtheory/statements/{module}.py`",
            ]
        )


class _QuantitiesDirective(_Markdown):
    """A table of one of the dictionaries of quantities in `mdtheory.statements`."""

    def run(self) -> list[nodes.Node]:
        found: dict[str, Quantity] = getattr(statements, self.arguments[0])
        rows = []
        for q in found.values():
            symbol, meaning = q.latex.replace("|", r"\vert "), q.meaning.replace("|", r"\|")
            rows.append(f"| ${symbol}$ | `{q.name}` | {meaning} | `{q.domain}` |")
        return self.parsed(["| | name | meaning | values |", "|---|---|---|---|", *rows])


def _modules(pattern: str) -> list[str]:
    if not pattern.endswith(".*"):
        return [pattern]
    name = pattern.removesuffix(".*")
    package = importlib.import_module(name)
    return [
        name,
        *sorted(f"{name}.{found.name}" for found in pkgutil.iter_modules(package.__path__)),
    ]


class _ModulesDirective(_Markdown):
    """A section from the docstrings of each module that the content names, one a line; `package.*`
    is a package with all its modules."""

    required_arguments = 0
    has_content = True

    def run(self) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        for module in (name for line in self.content for name in _modules(line)):
            section = nodes.section("", nodes.title("", "", nodes.literal(module, module)))
            section["names"].append(f"module {module}")
            self.state.document.note_explicit_target(section, section)
            section += self.parsed(["```{eval-rst}", f".. automodule:: {module}", "```"])
            found.append(section)
        return found


class _NamesDirective(_Markdown):
    """A table of what a package exports, with links to where it is documented."""

    def run(self) -> list[nodes.Node]:
        package = importlib.import_module(self.arguments[0])
        rows = ["| name | what it is |", "|---|---|"]
        for name in package.__all__:
            thing = getattr(package, name)
            if hasattr(thing, "__qualname__"):
                home = f"{thing.__module__}.{thing.__qualname__}"
                first = (inspect.getdoc(thing) or "").split("\n\n")[0]
                first = first.replace("\n", " ").replace("|", r"\|")
                rows.append(f"| {{py:obj}}`{name} <{home}>` | {first} |")
        return self.parsed(rows)


class _CommandLineDirective(SphinxDirective):
    """A section with the real `--help` for each command of a program."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        program = self.arguments[0]
        found: list[nodes.Node] = []
        for command in _MAINS[program].COMMANDS:
            found.append(self._section(program, [command]))
            if [program, command] == ["mdpo", "train"]:
                found.append(self._section(program, _PROCGEN_TRAINS))
        return found

    def _section(self, program: str, arguments: list[str]) -> nodes.Node:
        title = " ".join([program, *arguments])
        section = nodes.section("", nodes.title(title, title), names=[title])
        text = help_text(program, arguments)
        section += nodes.literal_block(text, text, language="text")
        self.state.document.note_explicit_target(section, section)
        return section


def help_text(program: str, arguments: list[str]) -> str:
    """What a command prints when asked for help, 88 columns wide and without colours."""
    printed = io.StringIO()
    wide = {"COLUMNS": "88", "NO_COLOR": "1", "TERM": "dumb"}
    with mock.patch.dict("os.environ", wide), contextlib.redirect_stdout(printed):
        status = _MAINS[program].main([*arguments, "--help"])
    if status != 0:
        raise RuntimeError(f"{program} {' '.join(arguments)} --help ends with status {status}")
    return printed.getvalue().strip()
