"""The games' shared library over ctypes, found in whichever wheel this Python has.

Four Pythons need three packages, which carry one library with two C interfaces.  Version 1
(`procgen`, `procgen-mirror`) takes options by value and stores a tensor type's shape before its
number of axes; version 3 (`procgen-gym`) takes a pointer and the other order.  Nothing of the
packages' Python is imported, so neither gym nor gym3 nor their pins of NumPy matter.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PACKAGES = ("procgen", "procgen_gym")
"""Modules of the wheels that carry the library: procgen and procgen-mirror, and procgen-gym."""

WHEEL = (
    "procgen"
    if sys.version_info < (3, 11)
    else "procgen-mirror"
    if sys.version_info < (3, 13)
    else "procgen-gym"
)
"""The package that has a wheel for this Python."""

MAX_STATE_BYTES = 2**20
"""The largest state that a game can have."""

_NAME_LENGTH = 128
_MAX_AXES = 16
_DTYPES: dict[int, Any] = {1: np.uint8, 2: np.int32, 3: np.float32}
_OBSERVATION, _ACTION, _INFO = 1, 2, 3


class _Value(ctypes.Union):
    _fields_ = (
        ("uint8", ctypes.c_uint8),
        ("int32", ctypes.c_int32),
        ("float32", ctypes.c_float),
    )


def _tensor_type(*axes: tuple[str, Any]) -> type[ctypes.Structure]:
    class TensorType(ctypes.Structure):
        _fields_ = (
            ("name", ctypes.c_char * _NAME_LENGTH),
            ("scalar_type", ctypes.c_int),
            ("dtype", ctypes.c_int),
            *axes,
            ("low", _Value),
            ("high", _Value),
        )

    return TensorType


def _buffers(*names: str) -> type[ctypes.Structure]:
    class Buffers(ctypes.Structure):
        _fields_ = tuple((name, ctypes.c_void_p) for name in names)

    return Buffers


class _Option(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char * _NAME_LENGTH),
        ("dtype", ctypes.c_int),
        ("count", ctypes.c_int),
        ("data", ctypes.c_void_p),
    )


class _Options(ctypes.Structure):
    _fields_ = (("items", ctypes.POINTER(_Option)), ("count", ctypes.c_int))


class _Interface(NamedTuple):
    """What differs between the versions of the C interface."""

    tensor_type: type[ctypes.Structure]
    buffers: type[ctypes.Structure]
    options_argument: Any


_SHAPE, _NDIM = ("shape", ctypes.c_int * _MAX_AXES), ("ndim", ctypes.c_int)
_INTERFACES = {
    1: _Interface(
        _tensor_type(_SHAPE, _NDIM), _buffers("ob", "rew", "first", "info", "ac"), _Options
    ),
    3: _Interface(
        _tensor_type(_NDIM, _SHAPE),
        _buffers("ob", "ac", "info", "rew", "first"),
        ctypes.POINTER(_Options),
    ),
}


class Library(NamedTuple):
    """The loaded library, its interface, and the folder with the games' images."""

    functions: ctypes.CDLL
    interface: _Interface
    version: int
    assets: Path


def find_data() -> Path:
    """The folder with library and images of the installed wheel.

    Raises:
        ModuleNotFoundError: no wheel is installed; the command lines turn it into one line.
    """
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for location in (spec and spec.submodule_search_locations) or ():
            data = Path(location) / "data"
            if (data / "prebuilt" / "libenv.so").is_file():
                return data
    raise ModuleNotFoundError(
        f"Procgen is not installed: pip install --no-deps {WHEEL}", name="procgen"
    )


def is_installed() -> bool:
    """Whether a wheel with the library is installed."""
    try:
        find_data()
    except ModuleNotFoundError:
        return False
    return True


@functools.cache
def load_library(data: Path | None = None) -> Library:
    """The library, loaded once per process; `data` is the wheel's folder if not to be searched.

    Raises:
        ModuleNotFoundError: no wheel is installed.
        OSError: a library of the system is missing, or the interface's version is unknown.
    """
    data = data or find_data()
    path = data / "prebuilt" / "libenv.so"
    try:
        functions = ctypes.CDLL(str(path))
    except OSError as error:
        raise OSError(
            f"Procgen's library needs libGL.so.1 and libglib-2.0.so.0 of the system (Debian:"
            f" apt-get install libgl1 libglib2.0-0): {error}"
        ) from None
    version = functions.libenv_version()
    if version not in _INTERFACES:
        raise OSError(
            f"{path} has version {version} of the C interface; known are"
            f" {', '.join(map(str, _INTERFACES))}"
        )
    interface = _INTERFACES[version]
    handle, pointer = ctypes.c_void_p, ctypes.c_void_p
    signatures = {
        "libenv_make": (handle, (ctypes.c_int, interface.options_argument)),
        "libenv_get_tensortypes": (ctypes.c_int, (handle, ctypes.c_int, pointer)),
        "libenv_set_buffers": (None, (handle, pointer)),
        "libenv_observe": (None, (handle,)),
        "libenv_act": (None, (handle,)),
        "libenv_close": (None, (handle,)),
        "get_state": (ctypes.c_int, (handle, ctypes.c_int, pointer, ctypes.c_int)),
        "set_state": (None, (handle, ctypes.c_int, pointer, ctypes.c_int)),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(functions, name)
        function.restype, function.argtypes = result, arguments
    return Library(functions, interface, version, data / "assets")


class Games:
    """A batch of games in the library, and the arrays that it reads and writes.

    The library ends the process on wrong options or states, so callers check these first.  It frees
    the games on `close` or with the object; the arrays stay.

    Attributes:
        observation: uint8, [env, 64, 64, 3].
        action: int32, [env]; what the next `act` does.
        reward: float32, [env].
        first: bool, [env]; whether the observation begins an episode.
        info: arrays [env] by name: prev_level_seed, prev_level_complete, level_seed.
    """

    def __init__(self, n_envs: int, options: Mapping[str, Any], library: Library | None = None):
        self._library = library or load_library()
        self._functions = self._library.functions
        self.n_envs = n_envs
        self._options = _c_options({**options, "resource_root": f"{self._library.assets}/"})
        # By value or by pointer, as the interface's argument type has it.
        self._handle: int | None = self._functions.libenv_make(n_envs, self._options[0])
        self._free = weakref.finalize(self, self._functions.libenv_close, self._handle)
        # At the process' end there is nothing to free, and a forked process lacks the threads that
        # the library would wait for.
        self._free.atexit = False
        self.observation = self._arrays(_OBSERVATION)["rgb"]
        self.action = self._arrays(_ACTION)["action"]
        self.info = self._arrays(_INFO)
        self.reward = np.zeros(n_envs, dtype=np.float32)
        self.first = np.zeros(n_envs, dtype=bool)
        self._state = np.empty(MAX_STATE_BYTES, dtype=np.uint8)
        self._pointers = {
            "ob": _pointers([self.observation]),
            "ac": _pointers([self.action]),
            "info": _pointers(list(self.info.values())),
        }
        buffers = self._library.interface.buffers(
            **{name: ctypes.addressof(array) for name, array in self._pointers.items()},
            rew=self.reward.ctypes.data,
            first=self.first.ctypes.data,
        )
        self._functions.libenv_set_buffers(self._handle, ctypes.byref(buffers))
        self.observe()

    def act(self) -> None:
        """Begin a step with the actions in `action`; threads of the library carry it out."""
        self._functions.libenv_act(self._opened())

    def observe(self) -> None:
        """Wait until the step is over and all arrays show its result."""
        self._functions.libenv_observe(self._opened())

    def get_state(self, env: int) -> bytes:
        """Everything about one game, its random numbers included; waits like `observe`."""
        length = self._functions.get_state(
            self._opened(), env, self._state.ctypes.data, MAX_STATE_BYTES
        )
        return self._state[:length].tobytes()

    def set_state(self, env: int, state: bytes) -> None:
        """Put one game into a state of `get_state`; all but `info["rgb"]` show it at once."""
        self._functions.set_state(self._opened(), env, state, len(state))

    def close(self) -> None:
        """End the games and their threads; closing twice is harmless."""
        self._handle = None
        self._free()

    def _opened(self) -> int:
        if self._handle is None:
            raise RuntimeError("these games are closed")
        return self._handle

    def _arrays(self, space: int) -> dict[str, np.ndarray]:
        """One zeroed array [env, ...] per tensor of the space."""
        count = self._functions.libenv_get_tensortypes(self._handle, space, None)
        types = (self._library.interface.tensor_type * count)()
        self._functions.libenv_get_tensortypes(self._handle, space, types)
        return {
            t.name.decode(): np.zeros((self.n_envs, *t.shape[: t.ndim]), dtype=_DTYPES[t.dtype])
            for t in types
        }


def _c_options(options: Mapping[str, Any]) -> tuple[_Options, list[Any]]:
    """The options as the library reads them, and what must stay alive as long as they do."""
    arrays = {}
    for name, value in options.items():
        if isinstance(value, str):
            arrays[name] = np.frombuffer(value.encode(), dtype=np.uint8)
        else:
            arrays[name] = np.array(
                [value], dtype=np.uint8 if value is True or value is False else np.int32
            )
    codes = {np.dtype(dtype): code for code, dtype in _DTYPES.items()}
    items = (_Option * len(arrays))(
        *(
            _Option(name.encode(), codes[array.dtype], array.size, array.ctypes.data)
            for name, array in arrays.items()
        )
    )
    return _Options(items, len(items)), [items, arrays]


def _pointers(arrays: list[np.ndarray]) -> Any:
    """Addresses of each array's entries, array by array and within it env by env."""
    addresses = [
        array.ctypes.data + env * array.strides[0] for array in arrays for env in range(len(array))
    ]
    return (ctypes.c_void_p * len(addresses))(*addresses)
