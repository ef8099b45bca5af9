"""Steps on a GPU as a CUDA graph: all kernels of a step are launched at once."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import torch
from torch import Tensor

from gdcli.engine.programs.linear_model import LinearModelProgram
from gdcli.engine.programs.program import Program
from gdcli.engine.update import Stepper
from gdcli.optimizer import State
from gdcli.problem import Params

if TYPE_CHECKING:
    from gdcli.engine.device import Torch
    from gdcli.engine.recorder import TrainingState
    from gdcli.engine.update import Stepwise

Step: TypeAlias = Callable[[], None]

WARM_UP = 3  # steps that PyTorch wants on a side stream before a capture
FEWEST = 2  # steps for which the copies in and out pay


def captured(step: Step, device: str) -> Step:
    """Return a function that replays a step's kernels, on the memory that the step uses.

    As in PyTorch's notes on CUDA semantics. Raises torch's error for a step that cannot be
    recorded, such as one that waits for a number of the GPU.
    """
    with torch.cuda.device(device):  # only the streams of the current device are recorded
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
    return graph.replay


@dataclass
class GraphMemory:
    """The arrays that change from step to step, in the memory that a graph reads and writes."""

    params: Params
    states: dict[str, State]
    step: Tensor  # its number

    def copy(self) -> GraphMemory:
        """Return a copy in memory of its own."""
        states = {name: _clones(state) for name, state in self.states.items()}
        return GraphMemory(_clones(self.params), states, self.step.clone())

    def load(self, other: GraphMemory) -> None:
        """Copy the values of another."""
        _copy(other.params, self.params)
        for name, state in other.states.items():
            _copy(state, self.states[name])
        self.step.copy_(other.step)


class Graphed(Stepper[Program]):
    """The steps of another stepper, whose kernels are recorded once and then replayed.

    A graph reads and writes the same memory each time. Parameters, states, learning rates, step
    number and batch are copied there; parameters and states are copied back after the last step.
    """

    def __init__(
        self, plain: Stepwise[Any], capture: Callable[[Step, str], Step] = captured
    ) -> None:
        """Take the stepper, and the function that records a step; nothing is recorded yet."""
        super().__init__(plain.program, plain.optimizer, plain.orders)
        self.description = f"{plain.description}, as a CUDA graph"
        self.plain, self.capture = plain, capture
        self.recorded: dict[tuple[Any, ...], tuple[Step, list[Tensor]]] = {}  # by batches' shapes
        self.memory: GraphMemory | None = None
        self.impossible = False  # whether a step could not be recorded

    @staticmethod
    def fits(program: Program) -> bool:
        """Return whether every step runs the same kernels on data that are there from the start.

        A network that is quantized later runs other kernels then.
        """
        known = isinstance(program, LinearModelProgram) or bool(getattr(program, "layers", None))
        return known and not (
            program.quantize_from_step or program.streamed or program.device.eager
        )

    def take_steps(self, state: TrainingState, last: int, gradient: Params | None) -> None:
        """Take a step whose gradient is known without a graph, and replay the others."""
        if gradient and not self.orders:
            state = self.plain.advance(state, state.step + 1, gradient)
        if last - state.step >= FEWEST and not self.impossible:
            memory = self._loaded(state.params, state.optimizer, state.step)
            reached = self._replay(memory, state.step, last)
            after = memory.copy()
            state.params.update(after.params)
            state.optimizer.update(after.states)
            state = state._replace(step=reached)
        self.plain.take_steps(state, last, None)

    def _loaded(self, params: Params, states: dict[str, State], step: int) -> GraphMemory:
        """Return the graph's memory, loaded for a step."""
        rates = self.optimizer.learning_rates(step)
        # As float64, b**step is that of a number b, and an array b keeps its own precision.
        now = GraphMemory(params, states, rates.new_tensor(step, dtype=torch.float64))
        if self.memory is None:
            self.memory, self.loaded, self.rates = now.copy(), rates, rates.clone()
        self.memory.load(now)
        return self.memory

    def _replay(self, memory: GraphMemory, first: int, last: int) -> int:
        """Take steps in the graph's memory; return the first that is still to take."""
        for step, batch in zip(range(first, last), self.batches(first, last), strict=True):
            rates = self.optimizer.learning_rates(step)
            if rates is not self.loaded:
                self.loaded = rates
                self.rates.copy_(rates)
            sources = _tensors(batch)
            shapes = tuple(tensor.shape for tensor in sources)
            if shapes not in self.recorded and not self._record(memory, batch, shapes):
                return step
            replay, held = self.recorded[shapes]
            for source, target in zip(sources, held, strict=True):
                target.copy_(source)
            replay()
        return last

    def _record(self, memory: GraphMemory, batch: Any, shapes: tuple[Any, ...]) -> bool:
        """Record a step on batches of some shapes; return whether that could be done."""
        own, before = _like(batch), memory.copy()
        try:
            device = cast("Torch", self.program.device).name
            self.recorded[shapes] = (
                self.capture(lambda: self._step(memory, own), device),
                _tensors(own),
            )
        except Exception:  # noqa: BLE001 -- a user's own optimizer; the plain steps tell what is wrong
            self.impossible = True
        memory.load(before)
        return not self.impossible

    def _step(self, memory: GraphMemory, batch: Any) -> None:
        """Take a step in the graph's memory."""
        params, states = dict(memory.params), dict(memory.states)
        taker = copy(self.plain)  # a fresh one: it must not cache what depends on the rates
        taker.optimizer = self.optimizer.at(self.rates)
        taker.take(params, states, cast("int", memory.step), batch)
        # Copies: a state may be the old parameter itself, or another state.
        after = {name: _clones(state) for name, state in states.items()}
        memory.load(GraphMemory(params, after, memory.step + 1))


def _tensors(batch: Any) -> list[Tensor]:
    """Return the arrays of a batch, which is None, a tuple or a mapping."""
    return list(batch.values() if isinstance(batch, dict) else batch or ())


def _like(batch: Any) -> Any:
    """Return a batch of the same shapes on memory of its own."""
    if isinstance(batch, dict):
        return _clones(batch)
    return batch and tuple(tensor.clone() for tensor in batch)


def _clones(arrays: Params) -> Params:
    return {name: array.clone() for name, array in arrays.items()}


def _copy(source: Params, target: Params) -> None:
    for name, array in target.items():
        array.copy_(source[name])
