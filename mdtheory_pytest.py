"""The pytest plugin: profiles, and where counterexamples are shown and kept.

Loaded in every pytest run, it imports nothing of the package; `mdtheory.testing` asks it which test
is running.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from mdtheory_hooks import DEFAULT_PROFILE, PROFILES

_running: list[pytest.Item] = []
"""The test that runs now, last; those before it run pytest themselves."""


def pytest_addoption(parser: pytest.Parser) -> None:
    known = ", ".join(PROFILES)
    group = parser.getgroup("mdtheory", "mdtheory")
    group.addoption(
        "--mdtheory-profile",
        metavar="NAME",
        help=f"how many instances test a bound: {known}",
    )
    parser.addini("mdtheory_profile", f"as --mdtheory-profile: {known}", default=DEFAULT_PROFILE)


def profile_of(config: pytest.Config) -> str:
    """The name of the profile in force: the command line's, else the ini file's."""
    return config.getoption("mdtheory_profile") or config.getini("mdtheory_profile")


def pytest_configure(config: pytest.Config) -> None:
    profile = profile_of(config)
    if profile not in PROFILES:
        raise pytest.UsageError(
            f"unknown mdtheory profile {profile!r}: known are {', '.join(PROFILES)}"
        )


def pytest_report_header(config: pytest.Config) -> str | None:
    profile = profile_of(config)
    return None if profile == DEFAULT_PROFILE else f"mdtheory profile: {profile}"


def current_profile() -> str:
    """The profile of the test that runs now."""
    return profile_of(_running[-1].config) if _running else DEFAULT_PROFILE


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    __tracebackhide__ = True
    choose_settings = getattr(getattr(item, "obj", None), "choose_settings", None)
    _running.append(item)
    try:
        if choose_settings is not None:
            choose_settings()  # before Hypothesis's own plugin reads them
        return (yield)
    finally:
        _running.pop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Counterexamples go to files, and below the traceback, where no margin stops copying."""
    sections_are_shown = item.config.getoption("showcapture", "all") == "all"
    errors = list(_bound_errors(_exception(item, call)))
    for number, error in enumerate(errors):
        error.path = _write(item, error.file_text, number)
        error.apart = sections_are_shown
    report = yield
    for error in errors if sections_are_shown else ():
        report.sections += error.sections
    return report


def _exception(item: pytest.Item, call: pytest.CallInfo[None]) -> BaseException | None:
    if call.excinfo is not None:
        return call.excinfo.value
    if call.when == "call" and getattr(item, "_excinfo", None):  # where unittest's tests leave it
        return item._excinfo[0].value  # type: ignore[attr-defined]
    return None


def _bound_errors(error: BaseException | None) -> Iterator[Any]:
    """`mdtheory.testing.BoundError`s: the error, or those within a group of errors."""
    if hasattr(error, "file_text"):
        yield error
    for part in getattr(error, "exceptions", ()):
        yield from _bound_errors(part)


def _write(item: pytest.Item, text: str | None, number: int) -> str | None:
    """Keep the text in pytest's cache: its path as one types it, or None if there is no cache."""
    cache = getattr(item.config, "cache", None)
    if cache is None or text is None:
        return None
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", item.nodeid)[-80:].strip("-")
    digest = hashlib.sha256(f"{item.nodeid} {number}".encode()).hexdigest()[:8]
    try:
        path = Path(cache.mkdir("mdtheory")) / f"{readable}-{digest}.json"
        path.write_text(text, encoding="utf-8")
    except OSError:
        return None
    folder = item.config.invocation_params.dir
    near = path.relative_to(folder) if path.is_relative_to(folder) else path
    return shlex.quote(os.fspath(near))
