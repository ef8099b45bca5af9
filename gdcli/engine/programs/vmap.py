"""How a function of one trial is computed for all trials: together by vmap, or one by one.

Whether trials can be computed together is tried on a few examples. Derivatives by torch.func come
without the import of torch's compiler, which they never use. Programs whose parameters have the
trials on their first axis share the rest.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib import import_module
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
import torch
from torch._functorch.pyfunctorch import retrieve_current_functorch_interpreter

from gdcli.datasets.out_of_core import some_of
from gdcli.engine.layout import Pieces
from gdcli.engine.programs.bits import SameBits
from gdcli.engine.programs.program import Program, Stack
from gdcli.mapped import each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor
    from torch._functorch.pyfunctorch import VmapInterpreter

    from gdcli.engine.initial import Start
    from gdcli.engine.programs.autograd import AutogradProgram
    from gdcli.problem import Data, Params

FEW = 4  # examples: more than one, which batch norm needs
LONGEST = 100  # characters of torch's own words
# Of what torch.func.vmap says, the part that tells, and what it means.
MEANINGS = {
    "control flow": "what it computes depends on its values, as by an if or .item()",
    ".item()": "what it computes depends on its values, as by an if or .item()",
    "dynamic shape": "the shapes in it depend on its values",
    "random operation": "it draws random numbers other than by nn.Dropout",
}
Build = Callable[["Data", "Mapping", int], "AutogradProgram"]


def obstacle(build: Build, data: Data, start: Start) -> str | None:
    """Return why a program cannot compute its trials together; None: it can.

    `build` makes the program of a number of trials that all begin at `start`. A loss that cannot be
    computed for one trial either does not hinder stacking: then the trials fail by themselves.
    """
    few = replace(some_of(data, 0, FEW), test={})
    try:
        alone = _tried(build(few, OneByOne(), 1), start)
    except Exception:  # noqa: BLE001 -- the run tells of it
        return None
    try:
        together = _tried(build(few, Together(), 2), start)
    except Exception as error:  # noqa: BLE001 -- whatever torch finds
        return _meaning(str(error))
    if all(np.allclose(together[k], alone[k], rtol=1e-3, atol=1e-5, equal_nan=True) for k in alone):
        return None
    return "its loss differs when it is"


def _tried(program: AutogradProgram, start: Start) -> dict[str, np.ndarray]:
    """Return the values of a point and the gradients of a step, as numbers."""
    params = program.start([start])
    with warnings.catch_warnings():
        # Where torch has no batching rule it warns, and is as slow as one by one.
        warnings.filterwarnings("error", message=".*batching rule")
        # Of a point the gradient is left out: that of a step is one, and takes as long.
        values = program.measured(params, program.train, "train")
        slopes = program.gradient(params, None)
    found = values | {f"slope {name}": slope for name, slope in slopes.items()}
    return {name: program.device.host(value) for name, value in found.items()}


def _meaning(said: str) -> str:
    for part, meaning in MEANINGS.items():
        if part in said:
            return meaning
    return " ".join(said.split())[:LONGEST]


COMPILER = "torch._dynamo"


class _Later(ModuleType):
    """A stand-in for a module, which is imported when an attribute is missing."""

    def __getattr__(self, name: str) -> Any:
        """Return the module's own attribute."""
        return getattr(import_module(self.__name__), name)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Avoid the import of torch._dynamo: it takes 1.5 s and 75 MB, and nothing here is compiled.

    torch.func switches compiled autograd off while it differentiates. Without the import it is off.
    """
    with _symbols_unread():
        yield from _compiler_unread()


def _compiler_unread() -> Iterator[None]:
    name = COMPILER.rpartition(".")[2]
    if name in vars(torch):
        yield
        return
    compiler, autograd = _Later(COMPILER), _Later(f"{COMPILER}.compiled_autograd")
    vars(autograd)["_disable"] = nullcontext
    vars(compiler)["compiled_autograd"] = autograd
    vars(torch)[name] = compiler
    try:
        yield
    finally:
        if vars(torch).get(name) is compiler:
            del vars(torch)[name]


@contextmanager
def _symbols_unread() -> Iterator[None]:
    """Let torch check shapes without its symbolic algebra: sympy takes 1 s and 60 MB."""
    check = torch._check_with  # noqa: SLF001 -- what all of its checks go through

    def checked(error: type[Exception], cond: Any, message: Callable[[], str]) -> None:
        if cond is not True:
            check(error, cond, message)

    vars(torch)["_check_with"] = checked
    try:
        yield
    finally:
        vars(torch)["_check_with"] = check


Function = Callable[..., Any]


class Mapping(ABC):
    """A way to compute a function of one trial for every trial of a stack."""

    description: ClassVar[str]  # "{}" stands for the mapped function
    reuses_recorded_gradient: ClassVar[bool]  # the same call gives the same result

    @abstractmethod
    def each(
        self,
        function: Function,
        shared: Sequence[bool],
        begin: Callable[[int], None],
        at_once: int | None = None,
    ) -> Any:
        """Return the function of stacked arguments; some arguments may be shared by all trials.

        `begin` is called with a trial's index before the trial is computed, where trials are
        computed one by one; at most `at_once` trials are computed at a time.
        """

    @abstractmethod
    def slopes(self, loss: Function) -> Function:
        """Return a function for gradient and (loss, rest), from a function for (loss, rest)."""

    @abstractmethod
    def product(self, loss: Function) -> Function:
        """Return a function for the Hessian's product, of (parameters, direction, rest)."""

    @abstractmethod
    def gauss_newton(self, outputs: Function, cost: Function) -> Function:
        """Return a function for J' H J times a direction, of (parameters, direction, rest).

        J is of the outputs, a function of (parameters, rest), and H of their cost, one of
        (outputs, rest).
        """


def as_differentiated(function: Function) -> Function:
    """Return a function as it is computed where gradients are needed.

    Only there does torch split recurrent layers into operations that vmap can map.
    """

    def computed(params: Params, *rest: Any) -> Any:
        def beside(params: Params) -> Any:
            # What vjp differentiates must be a fraction; the results may be counts as well.
            return torch.zeros(()), function(params, *rest)

        return torch.func.vjp(beside, params, has_aux=True)[-1]

    return computed


class Together(Mapping):
    """All trials at once, by torch.func.vmap."""

    description = "vmap of the {}"
    reuses_recorded_gradient = True

    def __init__(self) -> None:
        """Begin without calls that are known to have the same bits by themselves."""
        self.plain: set[Any] = set()

    def each(
        self,
        function: Function,
        shared: Sequence[bool],
        begin: Callable[[int], None],
        at_once: int | None = None,
    ) -> Any:
        """Return the mapped function.

        On a CPU each trial has what is shared as its own, in the same memory: torch computes
        products with a shared matrix for all trials at once, with bits that depend on them.
        """
        axes = tuple(None if s else 0 for s in shared)
        elsewhere = uncompiled()(torch.func.vmap(function, in_dims=axes, chunk_size=at_once))

        def mapped(params: Params, *rest: Any) -> Any:
            first = next(iter(params.values()))
            if first.device.type != "cpu":
                return elsewhere(params, *rest)
            own = [
                each(a, lambda one: one.expand(len(first), *one.shape)) if s else a
                for a, s in zip((params, *rest), shared, strict=True)
            ]
            return self._with_same_bits(function, own, at_once)

        return mapped

    @uncompiled()
    def _with_same_bits(self, function: Function, given: list[Any], at_once: int | None) -> Any:
        call = (_identity(function), at_once, *map(_shapes, given))
        if call in self.plain:
            return torch.func.vmap(function, chunk_size=at_once)(*given)
        with SameBits() as mode:  # type: ignore[no-untyped-call]

            def counted(*args: Any) -> Any:
                level = cast("VmapInterpreter", retrieve_current_functorch_interpreter())
                mode.trials = level.batch_size()
                return function(*args)

            found = torch.func.vmap(counted, chunk_size=at_once)(*given)
        if not mode.differed:
            self.plain.add(call)
        return found

    def slopes(self, loss: Function) -> Function:
        """Return the gradient by torch.func."""
        return torch.func.grad_and_value(loss, has_aux=True)

    def product(self, loss: Function) -> Function:
        """Return the gradient of the gradient along the direction, by torch.func."""

        def product(params: Params, direction: Params, *rest: Any) -> Any:
            def along(params: Params) -> Any:
                return _along(torch.func.grad(loss)(params, *rest), direction)

            return torch.func.grad(along)(params)

        return product

    def gauss_newton(self, outputs: Function, cost: Function) -> Function:
        """Return the product by torch.func, without forward derivatives: not every layer has them.

        J times the direction is the derivative of J' u by u, which is linear in u.
        """

        def product(params: Params, direction: Params, *rest: Any) -> Any:
            def pulled(dual: Any) -> Any:
                return torch.func.vjp(lambda p: outputs(p, *rest), params)[1](dual)[0]

            z, pull = torch.func.vjp(lambda p: outputs(p, *rest), params)[:2]
            pushed = torch.func.vjp(pulled, torch.zeros_like(z))[1](direction)[0]
            slope = torch.func.grad(lambda z: cost(z, *rest))
            bent = torch.func.vjp(slope, z)[1](pushed)[0]
            return pull(bent)[0]

        return product


class OneByOne(Mapping):
    """One trial after another: the function need only be differentiable.

    Draws from torch's own stream follow from the trial.
    """

    description = "{} of one trial at a time"
    reuses_recorded_gradient = False

    def each(
        self,
        function: Function,
        shared: Sequence[bool],
        begin: Callable[[int], None],
        at_once: int | None = None,
    ) -> Any:
        """Return the function applied to one trial after the other."""

        def mapped(params: Params, *rest: Any) -> Any:
            found = []
            with torch.random.fork_rng(devices=[]):
                for i in range(len(next(iter(params.values())))):
                    begin(i)
                    pairs = zip((params, *rest), shared, strict=True)
                    found.append(function(*(a if s else _at(a, i) for a, s in pairs)))
            return stacked(found)

        return mapped

    def slopes(self, loss: Function) -> Function:
        """Return the gradient by plain autograd."""

        def slopes(params: Params, *rest: Any) -> Any:
            leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
            value, others = loss(leaves, *rest)
            found = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
            return dict(zip(leaves, found, strict=True)), (value.detach(), others)

        return slopes

    def product(self, loss: Function) -> Function:
        """Return the gradient of the gradient along the direction, by plain autograd."""

        def product(params: Params, direction: Params, *rest: Any) -> Any:
            leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
            return hessian_product(loss(leaves, *rest), leaves, direction)

        return product

    def gauss_newton(self, outputs: Function, cost: Function) -> Function:
        """Return the product by plain autograd, from one pass: a layer may draw on its way."""

        def product(params: Params, direction: Params, *rest: Any) -> Any:
            leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
            held, along = list(leaves.values()), [direction[name] for name in leaves]
            z = outputs(leaves, *rest)
            dual = torch.zeros_like(z, requires_grad=True)
            pulled = torch.autograd.grad(z, held, dual, create_graph=True, materialize_grads=True)
            (pushed,) = torch.autograd.grad(pulled, dual, along, materialize_grads=True)
            free = z.detach().requires_grad_()
            bent = hessian_product(cost(free, *rest), {"z": free}, {"z": pushed})["z"]
            found = torch.autograd.grad(z, held, bent, materialize_grads=True)
            return dict(zip(leaves, found, strict=True))

        return product


def hessian_product(loss: Any, leaves: Params, direction: Params) -> Params:
    """Return the product of a loss's Hessian with a direction, by autograd applied twice."""
    held = list(leaves.values())
    slopes = torch.autograd.grad(loss, held, create_graph=True, materialize_grads=True)
    along = _along(dict(zip(leaves, slopes, strict=True)), direction)
    if not along.requires_grad:  # the loss is linear
        return {name: torch.zeros_like(param) for name, param in leaves.items()}
    found = torch.autograd.grad(along, held, materialize_grads=True)
    return dict(zip(leaves, found, strict=True))


def _along(gradient: Params, direction: Params) -> Any:
    return sum((gradient[name] * direction[name]).sum() for name in gradient)


def _shapes(tree: Any) -> Any:
    """Return the shapes of the tensors in dictionaries and lists."""
    if isinstance(tree, dict):
        return tuple(map(_shapes, tree.values()))
    return tuple(map(_shapes, tree)) if isinstance(tree, list) else tree.shape


def _identity(value: Any) -> Any:
    """Return what tells a function from others: its code, and what it holds."""
    if isinstance(value, MethodType):
        return value.__func__, id(value.__self__)
    if isinstance(value, FunctionType):
        held = (cell.cell_contents for cell in value.__closure__ or ())
        return value.__code__, *map(_identity, held)
    return value if isinstance(value, str | int | float | bool | None) else id(value)


def _at(tree: Any, i: int) -> Any:
    """Return the i-th trial's part of stacked arrays."""
    if isinstance(tree, dict):
        return {name: _at(part, i) for name, part in tree.items()}
    return [_at(part, i) for part in tree] if isinstance(tree, list) else tree[i]


def stacked(trees: Sequence[Any]) -> Any:
    """Return trials' tensors, or mappings and tuples of them, with a first axis of trials."""
    first = trees[0]
    if isinstance(first, dict):
        return {name: stacked([tree[name] for tree in trees]) for name in first}
    if isinstance(first, tuple):
        return tuple(stacked(parts) for parts in zip(*trees, strict=True))
    return torch.stack([tree.detach() for tree in trees])


class FirstAxis(Stack, ABC):
    """Parameters of shape (trials, ...), by name."""

    def broadcast(self, values: Tensor, param: Tensor) -> Tensor:
        """Return values with an axis for each of the parameter's own."""
        return values.view(-1, *[1] * (param.ndim - 1))

    def sum_per_trial(self, array: Tensor) -> Tensor:
        """Return the sum over all axes but the trials."""
        return array.reshape(len(array), -1).sum(1)

    def flatten(self, params: Params) -> Tensor:
        """Return the parameters one after another, in the order of their names."""
        return torch.cat([param.reshape(len(param), -1) for param in params.values()], 1)

    def unflatten(self, vectors: Tensor, params: Params) -> Params:
        """Return the part of each parameter, in its shape."""
        sizes = [param[0].numel() for param in params.values()]
        parts = torch.split(vectors, sizes, 1)
        return {n: part.view_as(p) for (n, p), part in zip(params.items(), parts, strict=True)}


class FirstAxisProgram(FirstAxis, Program, ABC):
    """A program on torch."""

    pieces = Pieces()  # how many examples are computed at a time: all, unless it is configured

    def configured(self, pieces: Pieces, quantize_from_step: int) -> Self:
        """Return this program, once it is made, with the size of its pieces and its switch."""
        self.pieces, self.quantize_from_step = pieces, quantize_from_step
        return self
