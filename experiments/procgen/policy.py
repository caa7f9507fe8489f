"""Trained policies as functions of pixels, exported and loaded without a trainer.

from experiments.procgen import load_policy

policy = load_policy("runs/coinrun")  # or a file of `mdpo export`
probabilities = policy.probabilities(observation)  # uint8 [n, 64, 64, 3] -> [n, 15]
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from experiments import tensor_file
from experiments.procgen.checkpoint import load_networks
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.learner import Networks, build_networks
from experiments.procgen.networks import ImpalaActorCritic

SNAPSHOTS = "snapshots"
"""Folder of a run, for `snapshot_every`."""


@dataclass(frozen=True, eq=False)
class Policy:
    """One agent or, as the mean of their probabilities, several.

    Attributes:
        name: "agent 0", or "mixture".
        config: of the run that trained it.
        update: updates after which it was saved.
        networks: one, or those of the mixture.
    """

    name: str
    config: ProcgenConfig
    update: int
    networks: tuple[ImpalaActorCritic, ...]

    def probabilities(self, observation: np.ndarray) -> np.ndarray:
        """Action probabilities float32 [n, 15] of pixels uint8 [n, 64, 64, 3]."""
        return self.look(observation)[0]

    def value(self, observation: np.ndarray) -> np.ndarray:
        """The mean of the value heads, float32 [n], in units of normalized rewards."""
        return self.look(observation)[1]

    @torch.no_grad()
    def look(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`probabilities` and `value` of the same pixels, in one pass."""
        pixels = _as_pixels(observation).to(_device(self.networks[0]))
        logits, values = zip(*(network(pixels) for network in self.networks), strict=True)
        probabilities = torch.stack(logits).softmax(dim=-1).mean(0)
        return probabilities.cpu().numpy(), torch.stack(values).mean(0).cpu().numpy()

    @torch.no_grad()
    def features(self, observation: np.ndarray) -> np.ndarray:
        """Hidden units before the heads, float32 [n, hidden]; those of all networks of a mixture
        side by side."""
        pixels = _as_pixels(observation).to(_device(self.networks[0]))
        return torch.cat([n.features(pixels) for n in self.networks], dim=-1).cpu().numpy()

    @cached_property
    def digest(self) -> str:
        """Tells policies apart: of the networks' weights, in their order."""
        digest = hashlib.sha256()
        for network in self.networks:
            for tensor in network.state_dict().values():
                digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    @property
    def device(self) -> str:
        """Where the networks are."""
        return _device(self.networks[0]).type

    def to(self, device: str) -> Policy:
        """The same policy computed on another device; the networks are moved."""
        for network in self.networks:
            network.to(device)
        return self


def load_policies(path: str | Path) -> list[Policy]:
    """The agents of a run's last checkpoint, or of one exported file.

    Raises:
        FileNotFoundError, ValueError: there is none, or it is damaged; naming the path.
    """
    path = Path(path)
    if path.is_dir():
        config, update, networks = load_networks(path)
    else:
        config, update, networks = _read_export(path)
    return [Policy(f"agent {k}", config, update, (network,)) for k, network in enumerate(networks)]


def load_policy(path: str | Path, agent: int = 0) -> Policy:
    """One agent of a run's last checkpoint, or of an exported file.

    Raises:
        IndexError: there is no such agent.
        FileNotFoundError, ValueError: as `load_policies`.
    """
    policies = load_policies(path)
    if not 0 <= agent < len(policies):
        raise IndexError(f"agent must be from 0 to {len(policies) - 1}, got {agent}")
    return policies[agent]


def mixture(policies: list[Policy]) -> Policy:
    """The policy that follows each of the agents with the same probability in every state."""
    networks = tuple(network for policy in policies for network in policy.networks)
    return Policy("mixture", policies[0].config, policies[0].update, networks)


def export(run: Path, path: Path) -> None:
    """Write the weights of a run's agents, without optimizer and environments."""
    write_networks(path, *load_networks(run))


def write_networks(path: Path, config: ProcgenConfig, update: int, networks: Networks) -> None:
    """Write the agents' networks as they are after so many updates."""
    metadata = {"update": str(update), "config": config.to_json()}
    tensor_file.write(path, networks.state_dict(), metadata)


def snapshots(run: Path) -> list[Path]:
    """The copies of the weights that a run kept while it trained, oldest first; each can be loaded
    like an exported file."""
    return sorted((run / SNAPSHOTS).glob("update-*.safetensors"))


def _read_export(path: Path) -> tuple[ProcgenConfig, int, Networks]:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: give a run's folder or an exported file")
    tensors, metadata = tensor_file.read(path)
    if "config" not in metadata or not metadata["config"].startswith("{"):
        raise ValueError(f"{path} is no file of `mdpo export`")
    config = ProcgenConfig.from_json(metadata["config"])
    networks = build_networks(config).eval()
    networks.load_state_dict(tensors)
    return config, int(metadata["update"]), networks


def _as_pixels(observation: np.ndarray) -> torch.Tensor:
    observation = np.asarray(observation)
    if observation.dtype != np.uint8 or observation.shape[1:] != (64, 64, 3):
        raise ValueError(
            f"observation must be uint8 of shape [n, 64, 64, 3], got {observation.dtype} of shape"
            f" {list(observation.shape)}"
        )
    return torch.from_numpy(np.ascontiguousarray(observation))


def _device(network: ImpalaActorCritic) -> torch.device:
    return network.hidden.weight.device
