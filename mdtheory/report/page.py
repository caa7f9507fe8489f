"""One self-contained HTML page: sections of text, tables, formulas and figures, all inlined."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

import jinja2
import latex2mathml.converter
from matplotlib.figure import Figure as MatplotlibFigure

from mdtheory.report import GENERATOR, style
from mdtheory.statements import Statement


@dataclass(frozen=True)
class Picture:
    """A figure with its caption and the command that made it; wide ones take the whole page."""

    svg: str
    caption: str
    command: str
    alt: str
    wide: bool = False

    @classmethod
    def of(
        cls,
        figure: MatplotlibFigure,
        *,
        caption: str,
        command: str,
        alt: str,
        wide: bool = False,
    ) -> Picture:
        svg = style.to_svg(figure)
        prefix = hashlib.sha256(alt.encode()).hexdigest()[:8]  # ids must be unique on a page
        svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>p{prefix}-", svg)
        return cls(svg=svg, caption=caption, command=command, alt=alt, wide=wide)


@dataclass(frozen=True)
class PageTable:
    """A table of text cells; numbers are set right, the first and the text columns left."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    text_columns: Sequence[int] = ()


@dataclass(frozen=True)
class Section:
    """A titled part of the page; parts appear in the order of the fields."""

    title: str
    paragraphs: Sequence[str] = ()
    statements: Sequence[Statement] = ()
    tables: Sequence[PageTable] = ()
    pictures: Sequence[Picture] = ()
    findings: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def render_page(*, title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """The page's HTML; nothing on it is loaded from elsewhere."""
    source = resources.files("mdtheory.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.globals["mathml"] = _mathml
    return environment.from_string(source).render(
        title=title, lead=lead, sections=sections, generator=GENERATOR
    )


def _mathml(statement: Statement) -> str:
    return latex2mathml.converter.convert(statement.latex, display="block")
