"""Imports point one way: the theory knows nothing of the experiments, and PyTorch only to climb."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import mdtheory

EVERYTHING = """
import importlib, pathlib, sys
import mdtheory
root = pathlib.Path(mdtheory.__file__).parents[1]
optional = ("mdtheory.search.climb", "mdtheory.strategies", "mdtheory.testing")
for path in sorted((root / "mdtheory").rglob("*.py")):
    name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    if not name.startswith(optional):
        importlib.import_module(name)
print(mdtheory.__file__)
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_only_the_ascent_and_the_strategies_load_optional_packages():
    root = Path(mdtheory.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING], cwd=root, capture_output=True, text=True, check=True
    )
    where, loaded = done.stdout.splitlines()
    assert Path(where) == Path(mdtheory.__file__)
    assert "numpy" in loaded.split()
    later = {"torch", "z3", "hypothesis", "experiments", "tests", "pytest", "benchmarks"}
    assert not later & set(loaded.split())


def test_no_module_of_the_theory_mentions_a_later_room():
    for path in Path(mdtheory.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            rooms = {name.split(".")[0] for name in names}
            allowed = {"climb.py": {"torch"}}.get(path.name, set())
            assert not rooms & {"torch", "experiments", "tests"} - allowed, path


def test_arithmetic_modules_do_not_draw():
    code = "import sys, mdtheory; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_public_names_exist():
    assert all(hasattr(mdtheory, name) for name in mdtheory.__all__)
    assert list(mdtheory.__all__) == sorted(mdtheory.__all__, key=lambda n: (not n.isupper(), n))
