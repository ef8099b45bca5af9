"""JAX at its best: all trials in one jit(vmap(scan)), those of a seed on a shared batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contestants.contestant import Run
from benchmarks.loaded import Loaded, Losses, load

if TYPE_CHECKING:
    from benchmarks.workload import Task

Tree: TypeAlias = Any  # JAX names its arrays and their trees by no static type of use here
Loss: TypeAlias = Callable[[Tree, Tree, Tree], Tree]


def prepare(task: Task) -> Run:
    """Load the examples and compile the program of the task's number of steps."""
    jax.config.update("jax_enable_x64", True)  # noqa: FBT003 - the name of the setting is before it
    loaded = load(task)
    x, y = map(jnp.asarray, loaded.examples)
    rates = jnp.asarray(loaded.rates, loaded.dtype)
    starts = [
        jnp.asarray(np.stack(values), loaded.dtype)
        for values in zip(*(loaded.starts[s].values() for s in loaded.seeds), strict=True)
    ]
    program = jax.jit(_program(LOSSES[loaded.kind], task.steps))
    began = time.perf_counter()
    compiled = program.lower(starts, rates, _batches(loaded), x, y).compile()
    seconds = time.perf_counter() - began

    def train() -> Losses:
        before, after = compiled(starts, rates, _batches(loaded), x, y)
        return Losses(_in_order(loaded, before), _in_order(loaded, after))

    return Run(train, loaded.dtype, seconds)


def _program(loss: Loss, steps: int) -> Callable[..., Tree]:
    """Return the losses before and after, shape (seeds, rates), of every seed with every rate."""

    def train(start: Tree, rate: Tree, batches: Tree, x: Tree, y: Tree) -> Tree:
        def step(params: Tree, batch: Tree) -> tuple[Tree, None]:
            seen = (x, y) if batch is None else (x[batch], y[batch])
            gradients = jax.grad(loss)(params, *seen)
            return jax.tree.map(lambda p, g: p - rate * g, params, gradients), None

        end, _ = jax.lax.scan(step, start, batches, length=steps)
        return loss(start, x, y), loss(end, x, y)

    each_rate = jax.vmap(train, in_axes=(None, 0, None, None, None))
    every: Callable[..., Tree] = jax.vmap(each_rate, in_axes=(0, None, 0, None, None))
    return every


def _batches(loaded: Loaded) -> Tree:
    """Return the indices of every seed's batches, (seeds, steps, batch); None is all examples."""
    if loaded.full:
        return None
    return jnp.asarray(loaded.indices(loaded.seeds).transpose(1, 0, 2))


def _in_order(loaded: Loaded, losses: Tree) -> list[float]:
    """Return losses (seeds, rates) in the order of the trials."""
    table = np.asarray(losses)
    seeds, rates = loaded.seeds, loaded.rates
    return [float(table[seeds.index(t.seed), rates.index(t.lr)]) for t in loaded.trials]


def bowl(params: Tree, curvature: Tree, _: Tree) -> Tree:
    """Return (w' Q w) / 2; the curvature is a matrix, or its eigenvalues."""
    (point,) = params
    return 0.5 * point @ (curvature @ point if curvature.ndim == 2 else curvature * point)


def least_squares(params: Tree, x: Tree, y: Tree) -> Tree:
    """Return half the mean squared residual."""
    weight, bias = params
    return 0.5 * jnp.mean((x @ weight + bias - y) ** 2)


def cross_entropy(z: Tree, y: Tree) -> Tree:
    """Return the mean over the examples."""
    likely = jax.nn.log_softmax(z)
    return -jnp.mean(jnp.take_along_axis(likely, y[:, None], 1))


def softmax(params: Tree, x: Tree, y: Tree) -> Tree:
    """Return the mean cross-entropy of linear predictions."""
    weight, bias = params
    return cross_entropy(x @ weight + bias, y)


def mlp(params: Tree, x: Tree, y: Tree) -> Tree:
    """Return the mean cross-entropy of one hidden layer of ReLU; weights as torch has them."""
    weight1, bias1, weight2, bias2 = params
    hidden = jax.nn.relu(x @ weight1.T + bias1)
    return cross_entropy(hidden @ weight2.T + bias2, y)


def cnn(params: Tree, x: Tree, y: Tree) -> Tree:
    """Return the mean cross-entropy of two convolutions, each with ReLU and pooling."""
    *convolutions, weight, bias = params
    for filters, offset in zip(convolutions[::2], convolutions[1::2], strict=True):
        padding = "SAME" if filters.shape[-1] == 3 else "VALID"
        x = jax.lax.conv_general_dilated(x, filters, (1, 1), padding)
        x = jax.nn.relu(x + offset[:, None, None])
        window = (1, 1, 2, 2)
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
    return cross_entropy(x.reshape(len(x), -1) @ weight.T + bias, y)


LOSSES: dict[str, Loss] = {
    "quadratic": bowl,
    "linear-regression": least_squares,
    "softmax-regression": softmax,
    "mlp": mlp,
    "own-loss": mlp,
    "cnn": cnn,
}
