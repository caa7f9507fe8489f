"""Sphinx configuration of the documentation site; `make site` builds it from the repository's root.

The pages are the Markdown files where they lie, so that each link leads to the same place on a
code host and on the site.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

project = "mdtheory"
author = "The mdtheory authors"
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "RESULTS.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "proofs/*.md",
    "benchmarks/*.md",
    "experiments/**.md",
    "results/**.md",
]
exclude_patterns = [".*", "build", "dist", "runs", "tests", "docs/site"]
source_suffix = {".md": "markdown"}
nitpicky = True
smartquotes = False  # a flag's two hyphens stay two
nitpick_ignore_regex = [
    ("py:obj", "(?s:.*)"),  # `single backticks` of docstrings: a link where it names something
    ("py:.*", r".*\._\w+"),  # what is private has no page
    ("py:class", "experiments.config.Config"),  # a type variable
    ("py:.*", r"(?!mdtheory\.|experiments\.).*"),  # other packages have no pages here
]
suppress_warnings = [
    "ref.python",  # a field that several classes have
]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "site_extension",
]
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

default_role = "py:obj"
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "ignore-module-all": True,  # each thing on the page of the module that defines it
}
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
viewcode_follow_imported_members = False
toc_object_entries = False  # a navigation of all names would make the build three times as long
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "mdtheory"
html_math_renderer = "mathml"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
templates_path = ["."]
html_additional_pages = {"index": "redirect.html"}
html_static_path = ["site.css"]
html_css_files = ["site.css"]
pygments_style = "friendly"
pygments_dark_style = "monokai"
