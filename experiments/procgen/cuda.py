"""The learner on a GPU: acting and gradient steps as CUDA graphs.

A rollout's step and a gradient step are hundreds of small kernels each; launched one by one from
Python they take longer than they compute.  Captured once, each is one launch.  What changes between
replays is copied into the tensors that the graph reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from experiments.procgen.config import ProcgenConfig
from experiments.procgen.learner import Learner, Samples

_WARM_UPS = 3


class CudaLearner(Learner):
    """`Learner` with the same results up to rounding."""

    def __init__(self, config: ProcgenConfig, device: torch.device) -> None:
        super().__init__(config, device)
        for parameter in self.networks.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(
            self.networks.parameters(),
            lr=torch.tensor(config.learning_rate, device=device),
            eps=config.adam_eps,
            weight_decay=config.weight_decay,
            capturable=True,
            fused=True,
        )
        if config.compile:
            self._passes = [torch.compile(n, dynamic=False) for n in self.networks]
        self._acting: dict[tuple[int, int], _Replay] = {}
        self._stepping: _Replay | None = None
        self._samples: dict[str, Tensor] = {}

    def act(self, agent: int, observation: Tensor, uniform: Tensor) -> tuple[Tensor, ...]:
        key = agent, len(observation)
        if key not in self._acting:
            eager = super().act
            self._acting[key] = _Replay(
                lambda seen, drawn: eager(agent, seen, drawn), (observation, uniform)
            )
        return self._acting[key](observation, uniform)

    def gradient_step(
        self, samples: Samples, index: Tensor, distill_coef: Tensor | float
    ) -> Tensor:
        coef = torch.as_tensor(distill_coef, device=self.device)
        if self.config.dropout > 0:  # its random numbers do not belong into a graph
            return super().gradient_step(samples, index, coef)
        for name, tensor in samples.items():
            kept = self._samples.setdefault(name, tensor)
            if kept.data_ptr() != tensor.data_ptr():
                kept.copy_(tensor)
        if self._stepping is None:
            before = [tensor.clone() for tensor in self._everything()]
            eager = super().gradient_step
            self._stepping = _Replay(lambda i, c: eager(self._samples, i, c), (index, coef))
            for kept, value in zip(self._everything(), before, strict=False):
                kept.copy_(value)
            for kept in self._everything()[len(before) :]:  # the optimizer's, which were not there
                kept.zero_()
        return self._stepping(index, coef)[0]

    def restore(self, content: Mapping[str, Tensor]) -> None:
        super().restore(content)
        for parameter, state in self.optimizer.state.items():
            for name in ("exp_avg", "exp_avg_sq"):  # in the memory order of their weights
                state[name] = torch.empty_like(parameter).copy_(state[name])

    def _everything(self) -> list[Tensor]:
        """All tensors that a gradient step changes."""
        modules = [self.networks, *([self.averages] if self.averages is not None else [])]
        weights = [p.data for module in modules for p in module.parameters()]
        states = self.optimizer.state.values()
        return weights + [t for state in states for t in state.values()]


class _Replay:
    """A function of tensors, captured once with inputs of these shapes and replayed from then on.

    What it returns is overwritten by the next call.
    """

    def __init__(
        self, function: Callable[..., Sequence[Tensor] | Tensor], inputs: Sequence[Tensor]
    ):
        self._inputs = [tensor.clone() for tensor in inputs]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                function(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            outputs = function(*self._inputs)
        self._outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        for kept, value in zip(self._inputs, inputs, strict=True):
            kept.copy_(value)
        self._graph.replay()
        return self._outputs
