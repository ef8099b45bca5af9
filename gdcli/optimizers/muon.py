"""Muon: the momentum of a matrix made nearly orthogonal, so that all its directions count alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

import torch
from annotated_types import Ge, Gt

from gdcli import trees
from gdcli.arrays import spread
from gdcli.mapped import together
from gdcli.method import About, Ask, Kind, Method, State
from gdcli.optimizers.adam import Beta1
from gdcli.optimizers.adamw import WeightDecay

if TYPE_CHECKING:
    from gdcli.problem import Array, Params

ALIGNED = 16  # numbers: a multiple of what a processor wants aligned
MATRICES: frozenset[Kind] = frozenset({"matrix", "convolution"})


Coefficients: TypeAlias = Annotated[
    tuple[float, float, float], "coefficients of x, x^3 and x^5 in the Newton-Schulz iteration"
]
Iterations: TypeAlias = Annotated[int, "Newton-Schulz iterations in each step", Ge(1)]


@dataclass(frozen=True)
class Muon(Method):
    """param -= lr * scale * orthogonal(mean) (Jordan et al. 2024; options as in torch.optim.Muon).

    The mean is beta * mean + (1 - beta) * grad; with `nesterov` it is mixed with the gradient once
    more. A convolution is a matrix with one row for each output channel.

    torch.optim.Muon makes the mean orthogonal in bfloat16. Here this has the parameter's own
    precision unless `precision` is bfloat16, which rounds sums in other places than torch does; all
    of these differ by bfloat16's rounding. The learning rate, 0.001, and the weight decay, 0.1, are
    those of torch.optim.Muon. `muon+adamw` with `match_rms_adamw` is the Muon of Liu et al. 2025
    (Moonlight), called D-Muon: one learning rate and weight decay for all parameters.
    """

    beta: Beta1 = 0.95
    nesterov: Annotated[bool, "mix the mean with the gradient once more"] = True
    coefficients: Coefficients = (3.4445, -4.7750, 2.0315)
    iterations: Iterations = 5
    adjust: Annotated[
        Literal["original", "match_rms_adamw", "none"],
        "scale of the step: original, sqrt(max(1, rows / columns)); match_rms_adamw, "
        "0.2 * sqrt(max(rows, columns)); none, 1",
    ] = "original"
    precision: Annotated[
        Literal["own", "bfloat16"],
        "precision of the Newton-Schulz iteration: own, the parameter's; bfloat16, which is faster "
        "on processors that have it",
    ] = "own"
    eps: Annotated[float, "smallest norm that a matrix is divided by", Gt(0)] = 1e-7
    weight_decay: WeightDecay = 0.1

    default_lr: ClassVar[float] = 1e-3
    decoupled: ClassVar[bool] = True
    kinds: ClassVar[frozenset[Kind]] = MATRICES
    stacks: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with the average at 0."""
        return {"mean": trees.zeros(params)}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the scaled orthogonal matrix of each parameter's mean."""
        loss, grad = self.gradient(params, ask)
        mean = lerp(grad, state["mean"], self.beta)
        aim = lerp(grad, mean, self.beta) if self.nesterov else mean
        found = {n: self.of_matrix(flattened(m, loss.ndim)).view_as(m) for n, m in aim.items()}
        return found, {"mean": mean}

    def of_matrix(self, matrix: Array) -> Array:
        """Return the scaled orthogonal matrix of one mean."""
        low = self.precision == "bfloat16"
        found = orthogonal(matrix, self.coefficients, self.iterations, self.eps, low=low)
        scale = self.scale(matrix)
        return found if scale == 1.0 else scale * found

    def scale(self, matrix: Array) -> float:
        """Return the factor of the step, by the matrix's shape."""
        rows, columns = matrix.shape[-2:]
        if self.adjust == "original":
            return float(max(1, rows / columns) ** 0.5)
        return float(0.2 * max(rows, columns) ** 0.5) if self.adjust == "match_rms_adamw" else 1.0


def lerp(a: Params, b: Params, share: Array) -> Params:
    """Return a + share * (b - a), in one pass over each parameter."""
    return {name: torch.lerp(a[name], b[name], spread(share, b[name])) for name in a}


def flattened(param: Array, front: int = 0) -> Array:
    """Return a parameter, behind some axes in front, as a matrix: a row for each output."""
    return param if param.ndim == front + 2 else param.flatten(front + 1)


def orthogonal(
    matrix: Array,
    coefficients: tuple[float, float, float],
    iterations: int,
    eps: float,
    *,
    low: bool = False,
) -> Array:
    """Return a nearly orthogonal matrix with the singular vectors of a matrix.

    The smaller of its two Gram matrices is multiplied, in bfloat16 if `low`.
    """
    tall = matrix.shape[-2] > matrix.shape[-1]
    length = torch.linalg.vector_norm(matrix, dim=(-2, -1), keepdim=True)
    x = (matrix.mT if tall else matrix) / length.clamp(min=spread(eps, matrix))
    x = together(newton_schulz, x.bfloat16() if low else x, coefficients, iterations)
    return (x.mT if tall else x).to(matrix.dtype)


def newton_schulz(x: Array, coefficients: tuple[float, float, float], iterations: int) -> Array:
    """Return a x + b (x x') x + c (x x')^2 x, again and again, for wide matrices in a stack.

    Bits of a product depend on where in memory a matrix begins: zeros fill up its rows and columns,
    so that all of them begin alike.
    """
    shape, (a, b, c) = x.shape, coefficients
    if shape[-2] == 1:  # one row: its product with itself is a number
        for _ in range(iterations):
            square = (x * x).sum(-1, keepdim=True)
            x = (a + b * square + c * square * square) * x
        return x
    missing = [-size % ALIGNED for size in shape[-2:]]
    x = torch.nn.functional.pad(x.reshape(-1, *shape[-2:]), (0, missing[1], 0, missing[0]))
    for _ in range(iterations):
        gram = torch.bmm(x, x.mT)
        if x.dtype == torch.bfloat16:  # in which bits of baddbmm depend on the stack
            x = a * x + torch.bmm(b * gram + c * torch.bmm(gram, gram), x)
            continue
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x[:, : shape[-2], : shape[-1]].reshape(shape)
