"""The laws of methods, of composed optimizers, and of wrappers around a rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree as trees

from gdcli.catalog.catalog import OPTIMIZERS
from gdcli.catalog.composed import Part, compose
from gdcli.engine.reference.ask import TrialAsk
from gdcli.laws.law import Law, options, require
from gdcli.method import Kind, Method, Wrapper

if TYPE_CHECKING:
    from torch import Tensor

    from gdcli.problem import Params

STEPS = 6
EXAMPLES = 12
SHAPES: dict[Kind, tuple[int, ...]] = {
    "matrix": (4, 3),
    "convolution": (2, 3, 2, 2),
    "embedding": (5, 3),
    "bias": (4,),
    "norm": (3,),
    "vector": (6,),
}


@dataclass(frozen=True)
class MethodLaws:
    """The laws of a method, on a linear model whose weights are of the kinds that it moves."""

    rule: type[Method]

    def __iter__(self) -> Iterator[tuple[str, Law]]:
        """Yield the laws by name; laws that others depend on come first."""
        yield "options", partial(options, self.rule)
        yield "shapes", self.shapes
        yield "purity", self.purity

    def shapes(self) -> str:
        """Require finite parameters of their shapes, and a state of one form."""
        rule, params = self.rule(), self.start()
        shapes = {name: param.shape for name, param in params.items()}
        state = rule.init(params, self.ask(0))
        form = _form(state)
        for step in range(STEPS):
            params, state = rule.step(params, state, self.ask(step), _rate(), step + 1)
            for what, point in (("step", params), ("at", rule.at(params, state))):
                found = {name: param.shape for name, param in point.items()}
                require(found == shapes, f"{what} returns the shapes {found}, not {shapes}")
                finite = all(bool(param.isfinite().all()) for param in point.values())
                require(finite, f"{what} returns no finite numbers after step {step + 1}")
            require(_form(state) == form, f"the form of the state changes in step {step + 1}")
        return f"{len(trees.tree_leaves(state))} arrays in the state"

    def purity(self) -> str:
        """Require that a step changes nothing in place, and always gives the same result."""
        rule, params = self.rule(), self.start()
        state = rule.init(params, self.ask(0))
        params, state = rule.step(params, state, self.ask(0), _rate(), 1)
        before = [array.clone() for array in trees.tree_leaves((params, state))]
        first, again = (
            trees.tree_leaves(rule.step(params, state, self.ask(1), _rate(), 2)) for _ in range(2)
        )
        rule.at(params, state)
        same = map(torch.equal, before, trees.tree_leaves((params, state)))
        require(all(same), "it changes the parameters or the state in place")
        require(all(map(torch.equal, first, again)), "repeating a step gives another result")
        return "no change in place, and the same result every time"

    def start(self) -> Params:
        """Return a parameter of each kind that the rule moves."""
        rng = torch.Generator().manual_seed(0)
        kinds = [kind for kind in SHAPES if self.rule.kinds is None or kind in self.rule.kinds]
        return {
            kind: torch.randn(SHAPES[kind], generator=rng, dtype=torch.float64) for kind in kinds
        }

    def ask(self, step: int) -> TrialAsk:
        """Return what may be asked at a step, counted from 0."""
        params = self.start()
        rng = torch.Generator().manual_seed(step + 1)
        size = sum(param.numel() for param in params.values())
        x = torch.randn((EXAMPLES, size), generator=rng, dtype=torch.float64) / size**0.5
        y = torch.randn(EXAMPLES, generator=rng, dtype=torch.float64)

        def outputs(params: Params) -> Tensor:
            found: Tensor = x @ torch.cat([param.reshape(-1) for param in params.values()])
            return found

        def cost(z: Tensor) -> Tensor:
            error: Tensor = (z - y).square().mean()
            return error / 2

        def slopes(params: Params) -> tuple[Tensor, Params]:
            grads, loss = torch.func.grad_and_value(lambda p: cost(outputs(p)))(params)
            return loss, grads

        return TrialAsk(
            kind={kind: kind for kind in SHAPES if kind in params},
            horizon=STEPS,
            examples=EXAMPLES,
            slopes=slopes,
            all_slopes=slopes,
            differentiable=lambda params: cost(outputs(params)),
            size=EXAMPLES,
            key=("laws", 0),
            at=step,
            outputs=outputs,
            cost=cost,
        )


@dataclass(frozen=True)
class WrapperLaws:
    """The laws of a wrapper: those of momentum with the wrapper around it."""

    wrapper: type[Wrapper]

    def __iter__(self) -> Iterator[tuple[str, Law]]:
        """Yield the laws by name; laws that others depend on come first."""
        parts: list[Part] = [
            Part("momentum", OPTIMIZERS.find("momentum", "gdcli check")),
            Part("wrapper", self.wrapper),
        ]
        yield "options", partial(options, self.wrapper)
        _, *others = MethodLaws(compose(parts, "gdcli check"))
        yield from others


def _rate() -> Tensor:
    return torch.tensor(0.01, dtype=torch.float64)


def _form(state: Any) -> tuple[Any, list[torch.Size]]:
    leaves, form = trees.tree_flatten(state)
    return form, [leaf.shape for leaf in leaves]
