"""How the trials of a cohort run together: gather, gradient, update, and now and then a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from typing import Any

from gdcli.engine.plan import Plan
from gdcli.engine.program import Program
from gdcli.engine.recorder import Curves, Recorder
from gdcli.engine.rule import Rule
from gdcli.engine.sampling import Orders
from gdcli.problem import Params

BLOCK = 2**17  # example indices drawn ahead at a time: enough to amortise, small enough for caches


@dataclass(frozen=True)
class Loop:
    """The parts that a batch of trials is trained with."""

    program: Program
    params: Params  # changed in place
    rule: Rule
    plan: Plan
    orders: Orders | None  # None for full-batch gradient descent
    recorder: Recorder

    def run(self, advance: Callable[[int], None]) -> Curves:
        """Train every trial and return the curves; `advance` is told of the steps taken."""
        program, params, recorder = self.program, self.params, self.recorder
        states = self.rule.init(params)
        evaluation = program.evaluate(params)
        ended = recorder.record(0, evaluation, params)
        for here, there in pairwise(self.plan.points()):
            if recorder.over:
                break
            if not program.device.eager or ended.any():
                self.rule.freeze(params, states, ended)
            for step, batch in self._batches(here, there):
                # A recorded point has the full gradient already.
                known = batch is None and step == here
                grads = evaluation.gradient if known else program.gradient(params, batch)
                self.rule.step(params, grads, states, step)
            evaluation = program.evaluate(params)
            ended = recorder.record(there, evaluation, params)
            advance(there - here)
        return recorder.curves()

    def _batches(self, first: int, last: int) -> Iterator[tuple[int, Any]]:
        """Yield the steps first..last-1, each with its batch; None is all training examples."""
        orders = self.orders
        if orders is None:
            yield from zip(range(first, last), repeat(None))
            return
        most = max(1, BLOCK // (len(orders.seeds) * orders.plan.batch_size))
        blocks = orders.blocks(first, last, most)
        batches = chain.from_iterable(map(self.program.batches, blocks))
        yield from zip(range(first, last), batches, strict=True)
