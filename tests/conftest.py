"""What every test needs before anything else is imported, and fixtures for all."""

import dataclasses
import os
from collections.abc import Callable
from importlib import import_module

import pytest

# The tests' networks are tiny: threads within them only wait for each other, and much longer so
# when something else runs. Subprocesses inherit this, so their results are the same bit for bit.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests compare what commands print, which these variables, common on CI servers, would colour.
for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
    os.environ.pop(name, None)


@pytest.fixture
def replace_relation(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts another relation into one of the statements that `check` looks at by default."""
    module = import_module("mdtheory.check")

    def replace(statement_id: str, relation: object) -> None:
        bounds = [
            dataclasses.replace(s, relation=relation) if s.id == statement_id else s
            for s in module.GAP_BOUNDS
        ]
        monkeypatch.setattr(module, "GAP_BOUNDS", tuple(bounds))

    return replace
