"""The documentation site builds without a warning, its links lead somewhere, it loads nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from mdtheory import STATEMENTS

ROOT = Path(__file__).parents[1]


class Page(HTMLParser):
    """What a page points to, and what can be pointed to on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
            return
        self.loaded += [found[name] for name in ("src", "href", "data", "srcset") if name in found]


def complaints(site: Path) -> Iterator[str]:
    """Every link and every file of the site's pages that is not there or comes from elsewhere."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for target in (*page.links, *page.loaded):
            where = f"{path.relative_to(site)}: {target}"
            url = urlsplit(target)
            if url.scheme == "data" or (url.scheme in ("http", "https") and target in page.links):
                continue
            if url.scheme or url.netloc:
                yield f"{where} is loaded from elsewhere"
                continue
            file = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not file.is_file():
                yield f"{where} does not exist"
            elif file in pages and unquote(url.fragment) not in pages[file].anchors:
                yield f"{where} has no such anchor"
    for path in site.rglob("*.css"):
        for target in re.findall(r"(?:url\(|@import )['\"]?([^'\")]+)", path.read_text("utf-8")):
            if urlsplit(target).scheme not in ("", "data"):
                yield f"{path.relative_to(site)}: {target} is loaded from elsewhere"


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-c", str(ROOT / "docs/site"), "-b", "html"]
    options = ["-n", "-W", "--keep-going", "-q", "-d", str(site.parent / "doctrees")]
    return subprocess.run(
        [*command, *options, str(source), str(site)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "html"
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_every_link_of_the_site_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    assert list(complaints(site)) == []


@pytest.mark.slow
def test_the_start_page_leads_each_user_to_a_tutorial(site):
    assert 'href="docs/index.html"' in (site / "index.html").read_text(encoding="utf-8")
    links = Page((site / "docs/index.html").read_text(encoding="utf-8")).links
    for user in ("theorist", "newcomer", "experimenter"):
        assert f"tutorials/{user}.html" in links


@pytest.mark.slow
def test_the_site_shows_what_the_package_knows(site):
    theory = (site / "docs/theory.html").read_text(encoding="utf-8")
    coq = (ROOT / "proofs/coq/Statements.v").read_text(encoding="utf-8")
    titles = re.findall(r"^### (\w+): (.+)$", (ROOT / "docs/theory.md").read_text("utf-8"), re.M)
    assert titles == [(s.id, s.name) for s in STATEMENTS.values()]
    for statement in STATEMENTS.values():
        theorem = f"{statement.id}_{re.sub('[ -]', '_', statement.name)}"
        assert f">{theorem}<" in theory
        assert f"{theorem} " in coq
    assert theory.count("<math ") > 2 * len(STATEMENTS)
    help_of_commands = (site / "docs/reference/mdpo.html").read_text(encoding="utf-8")
    assert "--distill-direction" in help_of_commands
    assert "usage: mdpo resume" in help_of_commands


@pytest.mark.slow
def test_every_module_of_mdtheory_has_a_place_in_the_reference(site):
    pages = (path.read_text(encoding="utf-8") for path in (site / "docs/reference").glob("*.html"))
    shown = {anchor for text in pages for anchor in Page(text).anchors}
    for path in (ROOT / "mdtheory").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        assert module == "mdtheory" or f"module-{module}" in shown, module


@pytest.mark.slow
def test_a_wrong_link_stops_the_build(tmp_path):
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs/index.md"
    page.write_text("# Title\n\n[here](#title) and [there](../docs/index.md#title)\n")
    done = build(tmp_path, tmp_path / "build/right")
    assert done.returncode == 0, done.stderr
    page.write_text(
        "# Title\n\n[no page](missing.md), [no file](missing.py), [no anchor](index.md#subtitle),\n"
        "[no anchor here](#subtitle), ![no picture](missing.png)\n"
    )
    done = build(tmp_path, tmp_path / "build/wrong")
    assert done.returncode != 0
    for missing in ("missing.md", "missing.py", "'subtitle'", "missing.png"):
        assert missing in done.stderr


def test_a_wrong_site_is_found(tmp_path):
    (tmp_path / "other.html").write_text('<p id="there">')
    page = tmp_path / "index.html"
    page.write_text('<a href="other.html#there">x</a><a href="https://example.org">y</a>')
    assert list(complaints(tmp_path)) == []
    page.write_text(
        '<a href="missing.html">a</a><a href="other.html#here">b</a><img src="missing.png">'
        '<script src="https://example.org/x.js"></script>'
        '<link rel="stylesheet" href="//example.org/x.css">'
    )
    (tmp_path / "x.css").write_text("@import 'https://example.org/y.css';")
    assert list(complaints(tmp_path)) == [
        "index.html: missing.html does not exist",
        "index.html: other.html#here has no such anchor",
        "index.html: missing.png does not exist",
        "index.html: https://example.org/x.js is loaded from elsewhere",
        "index.html: //example.org/x.css is loaded from elsewhere",
        "x.css: https://example.org/y.css is loaded from elsewhere",
    ]
