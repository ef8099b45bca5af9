"""How the trials of a cohort run together: gather, gradient, update, and now and then a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gdcli.engine.recorder import Curves, Recorder

if TYPE_CHECKING:
    from gdcli.engine.plan import Plan
    from gdcli.engine.program import Program
    from gdcli.engine.rule import Rule
    from gdcli.engine.sampling import Orders
    from gdcli.problem import Params

BLOCK = 2**17  # example indices drawn ahead at a time: enough to amortise, small enough for caches


def train(
    program: Program,
    params: Params,
    rule: Rule,
    plan: Plan,
    orders: Orders | None,
    recorder: Recorder,
    advance: Callable[[int], None],
) -> Curves:
    """Train every trial of a batch from `params`, changed in place; return its curves.

    `orders` is None for full-batch gradient descent, which reuses a recorded point's gradient.
    `advance` is told of the steps taken since it was told last.
    """
    states = rule.init(params)
    evaluation = program.evaluate(params)
    ended = recorder.record(0, evaluation, params)
    for here, there in pairwise(plan.points()):
        if recorder.over:
            break
        if not program.device.eager or ended.any():
            rule.freeze(params, states, ended)
        for step, batch in _batches(program, orders, here, there):
            known = orders is None and step == here
            grads = evaluation.gradient if known else program.gradient(params, batch)
            rule.step(params, grads, states, step)
        evaluation = program.evaluate(params)
        ended = recorder.record(there, evaluation, params)
        advance(there - here)
    return recorder.curves()


def _batches(
    program: Program, orders: Orders | None, first: int, last: int
) -> Iterator[tuple[int, Any]]:
    """Yield the steps first..last-1, each with its batch; None is all training examples."""
    if orders is None:
        yield from ((step, None) for step in range(first, last))
        return
    step = first
    most = max(1, BLOCK // (len(orders.seeds) * orders.plan.batch_size))
    for indices in orders.blocks(first, last, most):
        for batch in program.batches(indices):
            yield step, batch
            step += 1
