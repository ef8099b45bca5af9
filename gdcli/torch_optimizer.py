"""Any class of torch.optim as an optimizer, to compare with: `--optimizer torch:Adamax`.

Its options are those arguments of the class that have a number, a flag or numbers as default.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, make_dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from gdcli.errors import UserError
from gdcli.fields import show, suggestion
from gdcli.optimizer import Optimizer, State
from gdcli.problem import Array
from gdcli.reference import TORCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

ABOUT = """Its options are the arguments of torch.optim.{name} whose defaults are numbers or flags.

https://docs.pytorch.org/docs/stable/generated/torch.optim.{name}.html says what they do.
--epochs and --steps count its steps as those of the others. Where a step takes several gradients,
as those of LBFGS do, the columns epoch and examples count the passes over the data that they are.
"""
# How torch computes, not what; the sign of the loss; and what is the trial's.
NOT_ITS_OWN = {
    "self",
    "params",
    "lr",
    "foreach",
    "capturable",
    "differentiable",
    "fused",
    "maximize",
}


@dataclass(frozen=True)
class TorchOptimizer(Optimizer):
    """A class of torch.optim, which moves the parameters of one trial by itself."""

    kind: ClassVar[str] = ""  # the class's name
    arguments: ClassVar[tuple[str, ...]] = ()
    refused: ClassVar[tuple[str, ...]] = ()  # fields of every optimizer that the class has not
    needs_torch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse weight decay that the class does not have; raises UserError."""
        if self.weight_decay and "weight_decay" in self.refused:
            what = f"{TORCH}{self.kind} has no weight decay"
            raise UserError("--weight-decay", what, "leave it out, or take another optimizer")

    def made(self, params: list[torch.Tensor], lr: float) -> torch.optim.Optimizer:
        """Return the optimizer of some parameters."""
        import torch

        made: torch.optim.Optimizer = getattr(torch.optim, self.kind)(
            params, lr=lr, **{name: getattr(self, name) for name in self.arguments}
        )
        return made

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Raise NotImplementedError: torch takes its steps itself."""
        raise NotImplementedError


def find(reference: str, where: str) -> type[TorchOptimizer]:
    """Return the class that torch:NAME means; raises UserError if torch.optim has none."""
    import torch.optim

    name = reference.removeprefix(TORCH)
    known = [
        n
        for n, c in vars(torch.optim).items()
        if inspect.isclass(c) and issubclass(c, torch.optim.Optimizer) and n != "Optimizer"
    ]
    if name not in known:
        typed = {n: f"{TORCH}{n}" for n in known}
        hint = suggestion(name, known, typed) or f"give {TORCH} and one of {', '.join(known)}"
        raise UserError(where, f"torch.optim has no class {show(name)}", hint)
    return _made(name)


@cache
def _made(name: str) -> type[TorchOptimizer]:
    """Return the optimizer of a class of torch.optim, whose arguments are its options."""
    import torch.optim

    own = dict(_arguments(getattr(torch.optim, name)))
    made = make_dataclass(
        f"Torch{name}",
        [
            (n, Annotated[kind, f"{n} of torch.optim.{name}"], field(default=value))
            for n, (kind, value) in own.items()
        ],
        bases=(TorchOptimizer,),
        namespace={
            "kind": name,
            "arguments": tuple(own),
            "refused": () if "weight_decay" in own else ("weight_decay",),
            "__doc__": ABOUT.format(name=name),
        },
        frozen=True,
    )
    made.__module__ = __name__
    return made


def _arguments(cls: type) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield the arguments that can be options: name, kind and default."""
    for name, argument in inspect.signature(cls).parameters.items():
        value, said = argument.default, str(argument.annotation)
        if name in NOT_ITS_OWN or isinstance(value, str) or value is None:
            continue
        if isinstance(value, tuple):
            if all(isinstance(part, int | float) for part in value):
                kinds = tuple(float for _ in value)
                yield name, (tuple[kinds], tuple(map(float, value)))  # type: ignore[valid-type]
        elif isinstance(value, bool | int | float):
            # torch writes 0 for a number that need not be whole.
            whole = isinstance(value, bool) or (isinstance(value, int) and "float" not in said)
            yield name, (type(value), value) if whole else (float, float(value))
