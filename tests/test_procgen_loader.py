"""Procgen's library over ctypes: determinism, states, threads, and both C interfaces."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.envs.procgen import GAMES, libenv
from experiments.envs.procgen.libenv import Games

needs_wheel = pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")
OPTIONS: dict[str, Any] = {
    "distribution_mode": 1,
    "num_levels": 0,
    "start_level": 0,
    "num_actions": 15,
    "num_threads": 0,
    "render_human": False,
}
N_ENVS = 4


@contextmanager
def played(game: str, seed: int = 0, library: Any = None, **options: Any) -> Iterator[Games]:
    with closing(
        Games(N_ENVS, {**OPTIONS, "env_name": game, "rand_seed": seed, **options}, library)
    ) as games:
        yield games


def shown(games: Games) -> bytes:
    """All that a step shows, as a digest."""
    arrays = (games.observation, games.reward, games.first, *games.info.values())
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).digest()


def steps(games: Games, n: int, seed: int = 0) -> list[bytes]:
    """Digests of what is shown now and after each of n random steps."""
    rng = np.random.default_rng(seed)
    found = [shown(games)]
    for _ in range(n):
        games.action[:] = rng.integers(15, size=games.n_envs)
        games.act()
        games.observe()
        found.append(shown(games))
    return found


def history(game: str, n: int = 200, **options: Any) -> list[bytes]:
    with played(game, **options) as games:
        return steps(games, n)


@needs_wheel
@pytest.mark.parametrize("game", GAMES)
def test_a_seed_decides_every_bit_and_another_seed_another_history(game):
    once = history(game, seed=1)
    assert once == history(game, seed=1)
    assert not set(once) & set(history(game, seed=2))


@needs_wheel
@pytest.mark.parametrize("game", ["coinrun", "plunder", "starpilot"])
def test_threads_change_nothing(game):
    without = history(game, 60)
    for n in (1, 2, 4):
        assert history(game, 60, num_threads=n) == without


@needs_wheel
@pytest.mark.parametrize("game", GAMES)
def test_a_state_set_into_another_game_shows_and_goes_on_the_same(game):
    with played(game, seed=1) as one, played(game, seed=2, num_threads=1) as two:
        steps(one, 50)
        two.observe()
        for env in range(N_ENVS):
            two.set_state(env, one.get_state(env))
        assert steps(one, 120, seed=3) == steps(two, 120, seed=3)


@needs_wheel
def test_a_step_begun_is_over_once_a_state_is_read():
    with played("maze", num_threads=2) as games:
        before = games.get_state(0)
        games.action[:] = 7
        games.act()
        assert games.get_state(0) != before


def threads() -> int:
    """Threads of this process."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        pytest.skip("no /proc to count threads in")
    return len(list(tasks.iterdir()))


def games_with_threads(n: int) -> Games:
    return Games(2, {**OPTIONS, "env_name": "maze", "rand_seed": 0, "num_threads": n})


@needs_wheel
def test_closed_games_say_so_and_can_be_closed_again():
    games = games_with_threads(2)
    games.close()
    games.close()
    for use in (
        games.act,
        games.observe,
        lambda: games.get_state(0),
        lambda: games.set_state(0, b""),
    ):
        with pytest.raises(RuntimeError, match=r"^these games are closed$"):
            use()


@needs_wheel
def test_closed_and_unreferenced_games_end_their_threads():
    before = threads()
    games, others = games_with_threads(3), games_with_threads(2)
    assert threads() == before + 5
    games.act()
    games.close()
    assert threads() == before + 2
    others.act()
    del others
    assert threads() == before


FORKING = """
import os, signal, sys
from tests.test_procgen_loader import games_with_threads
games = games_with_threads(2)
child = os.fork()
if child == 0:
    signal.alarm(30)  # ends a process that waits for ever
    sys.exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@needs_wheel
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_ends_though_it_lacks_the_threads():
    root = Path(__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", FORKING], cwd=root).returncode == 7


# A library of a few lines with either interface, which shows where everything arrives.  Its state
# is the text of the options; a step rewards half of the action; set_state rewards the length.
STUB = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct option { char name[128]; int dtype, count; void *data; };
struct options { struct option *items; int count; };
union value { uint8_t uint8; int32_t int32; float float32; };
#if VERSION == 1
struct tensortype { char name[128]; int scalar_type, dtype, shape[16], ndim; union value ends[2]; };
struct buffers { uint8_t **ob; float *rew; uint8_t *first; void **info; int32_t **ac; };
#define ITEM(i) given.items[i]
#define COUNT given.count
typedef struct options argument;
#else
struct tensortype { char name[128]; int scalar_type, dtype, ndim, shape[16]; union value ends[2]; };
struct buffers { uint8_t **ob; int32_t **ac; void **info; float *rew; uint8_t *first; };
#define ITEM(i) given->items[i]
#define COUNT given->count
typedef const struct options *argument;
#endif
struct games { int n; char text[4096]; struct buffers to; };

int libenv_version(void) { return VERSION; }

struct games *libenv_make(int n, argument given) {
    struct games *games = calloc(1, sizeof *games);
    char *end = games->text;
    games->n = n;
    for (int i = 0; i < COUNT; i++) {
        struct option *o = &ITEM(i);
        if (o->dtype == 2) end += sprintf(end, "%s=%d\n", o->name, *(int32_t *)o->data);
        else if (o->count == 1) end += sprintf(end, "%s=#%d\n", o->name, *(uint8_t *)o->data);
        else end += sprintf(end, "%s=%.*s\n", o->name, o->count, (char *)o->data);
    }
    return games;
}

static int describe(struct tensortype *to, const char *name, int dtype, int ndim) {
    if (to) {
        memset(to, 255, sizeof *to);
        strcpy(to->name, name);
        to->dtype = dtype;
        to->ndim = ndim;
        for (int i = 0; i < ndim; i++) to->shape[i] = 2 + i;
    }
    return 1;
}

int libenv_get_tensortypes(struct games *games, int space, struct tensortype *to) {
    if (space == 1) return describe(to, "rgb", 1, 3);
    if (space == 2) return describe(to, "action", 2, 0);
    describe(to, "level_seed", 2, 0);
    return 1 + describe(to ? to + 1 : to, "prev_level_complete", 1, 0);
}

void libenv_set_buffers(struct games *games, struct buffers *to) { games->to = *to; }

void libenv_act(struct games *games) {
    for (int i = 0; i < games->n; i++) games->to.rew[i] = *games->to.ac[i] / 2.0f;
}

void libenv_observe(struct games *games) {
    for (int i = 0; i < games->n; i++) {
        games->to.ob[i][23] = 10 + i;
        games->to.first[i] = i % 2;
        *(int32_t *)games->to.info[i] = 70000 + i;
        *(uint8_t *)games->to.info[games->n + i] = 20 + i;
    }
}

int get_state(struct games *games, int i, char *to, int length) {
    return snprintf(to, length, "%d\n%s", i, games->text);
}

void set_state(struct games *games, int i, char *data, int length) { games->to.rew[i] = length; }

void libenv_close(struct games *games) { free(games); }
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Compiles the stub with an interface of some version into a folder like a wheel's."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler (cc or gcc) to build a stub of the library")

    def compile_stub(version: int) -> Path:
        data = tmp_path_factory.mktemp(f"version{version}") / "data"
        (data / "prebuilt").mkdir(parents=True)
        source = data / "stub.c"
        source.write_text(STUB)
        target = data / "prebuilt" / "libenv.so"
        command = [compiler, "-shared", "-fPIC", f"-DVERSION={version}", "-o", target, source]
        subprocess.run(command, check=True)
        return data

    return compile_stub


@pytest.mark.parametrize("version", [1, 3])
def test_options_and_arrays_arrive_through_either_interface(compiled, version):
    data = compiled(version)
    library = libenv.load_library(data)
    assert library.version == version
    options = {"env_name": "maze", "start_level": 2**31 - 1, "paint": True, "center": False}
    with closing(Games(3, options, library)) as games:
        assert games.observation.shape == (3, 2, 3, 4)
        assert games.observation.dtype == np.uint8
        assert games.action.shape == (3,)
        games.action[:] = [5, -1, 14]
        games.act()
        games.observe()
        assert games.observation[:, -1, -1, -1].tolist() == [10, 11, 12]
        assert np.count_nonzero(games.observation) == 3
        assert games.reward.tolist() == [2.5, -0.5, 7.0]
        assert games.first.tolist() == [False, True, False]
        assert games.info["level_seed"].tolist() == [70000, 70001, 70002]
        assert games.info["prev_level_complete"].tolist() == [20, 21, 22]
        assert games.get_state(2).decode().splitlines() == [
            "2",
            "env_name=maze",
            f"start_level={2**31 - 1}",
            "paint=#1",
            "center=#0",
            f"resource_root={data}/assets/",
        ]
        games.set_state(1, b"12345")
        assert games.reward[1] == 5


def test_a_library_with_an_unknown_interface_is_named(compiled):
    data = compiled(2)
    with pytest.raises(OSError, match=r"has version 2 of the C interface; known are 1, 3$"):
        libenv.load_library(data)


def test_missing_libraries_of_the_system_are_named(monkeypatch, tmp_path):
    def fail(path: str) -> None:
        raise OSError("libGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(ctypes, "CDLL", fail)
    with pytest.raises(OSError, match="cannot open shared") as caught:
        libenv.load_library(tmp_path)
    assert str(caught.value) == (
        "Procgen's library needs libGL.so.1 and libglib-2.0.so.0 of the system (Debian: apt-get"
        " install libgl1 libglib2.0-0): libGL.so.1: cannot open shared object file: No such file"
        " or directory"
    )


@pytest.mark.parametrize("packages", [("no_such_package",), ("json",)])
def test_a_missing_wheel_names_the_command_that_installs_it(monkeypatch, packages):
    monkeypatch.setattr(libenv, "PACKAGES", packages)
    assert not libenv.is_installed()
    with pytest.raises(ModuleNotFoundError) as caught:
        libenv.find_data()
    assert str(caught.value) == f"Procgen is not installed: pip install --no-deps {libenv.WHEEL}"
    assert caught.value.name == "procgen"


def test_the_wheel_is_found_without_importing_its_package(monkeypatch, tmp_path):
    package = tmp_path / "procgen_gym"
    (package / "data" / "prebuilt").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "data" / "prebuilt" / "libenv.so").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(libenv, "PACKAGES", ("procgen_gym",))
    assert libenv.find_data() == package / "data"


@needs_wheel
def test_the_wheels_of_other_interfaces_play_the_same_games():
    """MDTHEORY_PROCGEN_DATA is the folder `data` of another wheel, unpacked."""
    folder = os.environ.get("MDTHEORY_PROCGEN_DATA")
    if folder is None:
        pytest.skip("MDTHEORY_PROCGEN_DATA does not name the folder `data` of another wheel")
    other = libenv.load_library(Path(folder))
    for game in GAMES:
        assert history(game, 60, library=other) == history(game, 60)
        with played(game, 1) as ours, played(game, 2, library=other) as theirs:
            for env in range(N_ENVS):
                theirs.set_state(env, ours.get_state(env))
            assert steps(ours, 30) == steps(theirs, 30)


ELSEWHERE = """
import hashlib, importlib.util, json, sys
spec = importlib.util.spec_from_file_location("libenv", sys.argv[1])
libenv = importlib.util.module_from_spec(spec)
spec.loader.exec_module(libenv)
found = {}
for game in sys.argv[3:]:
    games = libenv.Games(4, {**json.loads(sys.argv[2]), "env_name": game, "rand_seed": 5})
    digest = hashlib.sha256()
    for step in range(40):
        games.action[:] = [(7 * step + 3 * env) % 15 for env in range(4)]
        games.act()
        games.observe()
        for array in (games.observation, games.reward, games.first, *games.info.values()):
            digest.update(array.tobytes())
    found[game] = digest.hexdigest()
print(json.dumps(found))
"""


def interpreters(version: str) -> list[str]:
    """Pythons of a version: MDTHEORY_PYTHONS (a path list), the PATH, and where pyenv has them."""
    given = os.environ.get("MDTHEORY_PYTHONS", "").split(os.pathsep)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    installed = sorted(pyenv.glob(f"{version}.*/bin/python"))
    found = [*given, shutil.which(f"python{version}"), *map(str, installed)]
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return [
        path
        for path in found
        if path
        and subprocess.run([path, "-c", code], capture_output=True, text=True).stdout.strip()
        == version
    ]


def games_elsewhere(python: str) -> subprocess.CompletedProcess[str]:
    assert libenv.__file__ is not None
    command = [python, "-c", ELSEWHERE, libenv.__file__, json.dumps(OPTIONS), *GAMES]
    return subprocess.run(command, capture_output=True, text=True)


@needs_wheel
@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.10", "3.12", "3.13"])
def test_other_pythons_play_the_same_games_with_their_wheels(version):
    lacking = ["no interpreter of this version"]
    for python in interpreters(version):
        result = games_elsewhere(python)
        if result.returncode == 0:
            assert json.loads(result.stdout) == json.loads(games_elsewhere(sys.executable).stdout)
            return
        last = result.stderr.strip().splitlines()[-1]
        assert "ModuleNotFoundError" in last, result.stderr
        lacking.append(f"{python}: {last}")
    pytest.skip(f"Python {version} with NumPy and Procgen's wheel: {'; '.join(lacking[-1:])}")
