"""One set of formulas for NumPy arrays and PyTorch tensors: which module serves an array.

The formulas use only what both spell alike (`xp.amax(x, axis=-1)`, `x.sum(axis=-1)`, `xp.einsum`).
PyTorch is loaded only when somebody asks for a device.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import numpy as np


def namespace(array: Any) -> ModuleType:
    """`torch` for a tensor, `numpy` for everything else."""
    return sys.modules["torch"] if type(array).__module__ == "torch" else np


def on_device(array: Any, device: str) -> Any:
    """The array as a float64 tensor on a device: "cpu", "cuda", "cuda:1".

    Raises:
        ModuleNotFoundError: without PyTorch, the extra `search`.
        ValueError: when the device does not exist.
    """
    torch = importlib.import_module("torch")
    try:
        return torch.tensor(np.asarray(array, dtype=np.float64), device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device must be one that PyTorch has, got {device!r}: {error}") from None


def member(array: Any, n_axes: int, batch: tuple[int, ...], index: tuple[int, ...]) -> np.ndarray:
    """An array's trailing axes at an index of the batch, to whose shape its others broadcast."""
    array = np.asarray(array)
    trailing = array.shape[array.ndim - n_axes :]
    return np.asarray(np.broadcast_to(array, (*batch, *trailing))[index])


def to_numpy(array: Any) -> np.ndarray:
    """A tensor, or anything else, as a NumPy array."""
    return np.asarray(array) if namespace(array) is np else array.detach().cpu().numpy()
