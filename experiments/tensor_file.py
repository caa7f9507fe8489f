"""Sealed safetensors files: whole or refused.

A digest over all tensors and the metadata is stored with them, so that a file that was damaged or
changed is refused before anything of it is used.  Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mdtheory import files

_KEY = "mdpo"  # one entry, since the order of several is not kept
_DIGEST = "sha256"


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and texts, sealed; the file appears whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    sealed = {**metadata, _DIGEST: _digest(tensors, metadata)}
    content = save(tensors, metadata={_KEY: json.dumps(sealed, sort_keys=True)})
    files.write_atomically(path, content)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and texts of a file of `write`.

    Raises:
        ValueError: the file is damaged, was changed, or is of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            sealed = json.loads((file.metadata() or {}).get(_KEY, "{}"))
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(sealed, dict) or _DIGEST not in sealed:
        raise ValueError(f"{path} was not written by mdpo: it has no digest")
    metadata = {name: str(text) for name, text in sealed.items() if name != _DIGEST}
    if sealed[_DIGEST] != _digest(tensors, metadata):
        raise ValueError(f"{path} is damaged or was changed: its digest does not fit its content")
    return tensors, metadata


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name, text in sorted(metadata.items()):
        digest.update(f"{len(name)} {len(text)} {name}{text}".encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{len(name)} {name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
