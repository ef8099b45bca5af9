"""AdaHessian: Adam with the diagonal of the Hessian in place of the squared gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from annotated_types import Ge, Gt, Le, Lt

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.adam import Beta1, Eps

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params

Every: TypeAlias = Annotated[int, "steps from one estimate of the curvature to the next", Ge(1)]


@dataclass(frozen=True)
class AdaHessian(Method):
    """param -= lr * mean_hat / (curvature_hat**(power / 2) + eps) (Yao et al. 2021, algorithm 1).

    curvature is a running mean of the squares of z * (Hessian z), z random signs: an estimate of
    the diagonal. Such a step costs a Hessian product besides the gradient. As in pytorch_optimizer,
    weight decay is decoupled, the learning rate is 0.1 by default, and steps without a new estimate
    keep the running mean, which is still divided by 1 - beta2**step.
    """

    beta1: Beta1 = 0.9
    beta2: Annotated[
        float,
        "share of the running mean of the squared curvature that is kept in each step",
        Ge(0),
        Lt(1),
    ] = 0.999
    eps: Eps = 1e-8
    power: Annotated[
        float,
        "exponent of the curvature in the divisor: 1 is Newton's, near 0 plain momentum",
        Gt(0),
        Le(1),
    ] = 1.0
    every: Every = 1
    average_kernels: Annotated[
        bool, "average the size of the curvature over each kernel of a convolution"
    ] = False

    decoupled: ClassVar[bool] = True
    default_lr: ClassVar[float | None] = 0.1
    needs_curvature: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with means of 0."""
        zeros = trees.zeros(params)
        return {"mean": zeros, "curvature": zeros}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the mean gradient divided by a power of the mean curvature, bias-corrected."""
        _, grad = self.gradient(params, ask)
        mean, curvature = trees.mixed(state["mean"], grad, self.beta1), state["curvature"]
        if (step - 1) % self.every == 0:
            found = diagonal(params, ask)
            if self.average_kernels:
                found = {
                    name: averaged(array) if ask.kind[name] == "convolution" else array
                    for name, array in found.items()
                }
            squares = {name: array * array for name, array in found.items()}
            curvature = trees.mixed(curvature, squares, self.beta2)
        biased, biased2 = 1 - self.beta1**step, 1 - self.beta2**step
        direction = {
            name: m / biased / (trees.power(curvature[name] / biased2, self.power / 2) + self.eps)
            for name, m in mean.items()
        }
        return direction, {"mean": mean, "curvature": curvature}


def diagonal(params: Params, ask: Ask) -> Params:
    """Return Hutchinson's estimate of the Hessian's diagonal, by random signs of the step."""
    z = ask.signs(params)
    product = ask.hessian_product(params, z)
    return {name: z[name] * array for name, array in product.items()}


def averaged(kernels: Array) -> Array:
    """Return absolute values averaged over the kernel: the axes after those of the channels."""
    return kernels.abs().mean(dim=tuple(range(2, kernels.ndim)), keepdim=True).expand_as(kernels)
