"""Full-batch steps on a GPU as a CUDA graph: launched at once, not kernel by kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

import torch

from gdcli.engine.program import Program
from gdcli.engine.programs.linear_model import LinearModelProgram
from gdcli.engine.steppers.stepper import Stepper
from gdcli.engine.steppers.stepwise import Stepwise

if TYPE_CHECKING:
    from gdcli.engine.device import Torch
    from gdcli.engine.rule import Rule
    from gdcli.engine.sampling import Orders
    from gdcli.optimizer import State
    from gdcli.problem import Params

Step: TypeAlias = Callable[[], None]

WARM_UP = 3  # steps that PyTorch wants on a side stream before a capture
FEWEST = 2  # steps for which copying in and out pays


def captured(step: Step, device: str) -> Step:
    """Return what replays a step's kernels, on the memory that the step works on.

    As PyTorch's notes on CUDA semantics have it. Raises RuntimeError for what cannot be captured.
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


class Graphed(Stepper[Program]):
    """The plain steps, whose kernels are recorded once and then replayed.

    A graph reads and writes the same memory each time: parameters, states and learning rates are
    copied there before its steps, and back after them.
    """

    words = "step by step, as a CUDA graph"

    def __init__(
        self,
        program: Program,
        rule: Rule,
        orders: Orders | None,
        capture: Callable[[Step, str], Step] = captured,
    ) -> None:
        """Take what records a step; nothing is recorded yet."""
        super().__init__(program, rule, orders)
        self.plain, self.capture = Stepwise(program, rule, orders), capture
        self.replay: Step | None = None
        self.impossible = False  # to record

    @staticmethod
    def fits(program: Program, rule: Rule) -> bool:
        """Return whether every step runs the same kernels, on what is there from the first.

        Linear optimizers count no steps; a network that is rounded later on is another one then.
        """
        known = isinstance(program, LinearModelProgram) or bool(getattr(program, "layers", None))
        same = not (program.turn or program.streamed)
        linear = rule.optimizer.linear and rule.constant
        return known and same and linear and not program.device.eager

    def advance(
        self,
        params: Params,
        states: dict[str, State],
        first: int,
        last: int,
        gradient: Params | None,
    ) -> None:
        """Take the step whose gradient is known as it is, and replay the others."""
        if gradient is not None:
            self.plain.advance(params, states, first, first + 1, gradient)
            first += 1
        replay = self._loaded(params, states, first) if last - first >= FEWEST else None
        if replay is None:
            self.plain.advance(params, states, first, last, None)
            return
        for _ in range(first, last):
            replay()
        for name, param in self.params.items():
            params[name] = param.clone()
            states[name] = {key: value.clone() for key, value in self.states[name].items()}

    def _loaded(self, params: Params, states: dict[str, State], first: int) -> Step | None:
        """Return what takes a step on the graph's memory, once all is there; None: nothing can."""
        rates = self.rule.rates(first, params)
        if self.replay is None and not self.impossible:
            self.params, self.rates = _clones(params), _clones(rates)
            self.states = {name: _clones(state) for name, state in states.items()}
            self.rule.spread = self.rates
            try:
                self.replay = self.capture(self._step, cast("Torch", self.program.device).name)
            except RuntimeError:  # what PyTorch raises for whatever a graph cannot hold
                self.impossible = True
                self.rule.spread = rates
        if self.replay is not None:
            self.rule.spread = self.rates
            _copy(params, self.params)
            _copy(rates, self.rates)
            for name, state in states.items():
                _copy(state, self.states[name])
        return self.replay

    def _step(self) -> None:
        """Take a step on the graph's memory."""
        params, states = dict(self.params), dict(self.states)
        self.rule.step(params, self.program.gradient(params, None), states, 0)
        # A state may be the old parameter itself, or another state.
        after = {name: _clones(state) for name, state in states.items()}
        for name, state in after.items():
            _copy(state, self.states[name])
        _copy(params, self.params)


def _clones(arrays: Params) -> Params:
    return {name: array.clone() for name, array in arrays.items()}


def _copy(source: Params, target: Params) -> None:
    for name, array in target.items():
        array.copy_(source[name])
