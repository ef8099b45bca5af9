"""A grid in JAX: a jit(vmap(scan)) a method, which records every epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contestants.jax_scan import LOSSES
from benchmarks.scripts.rows import asked, line, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.contestants.jax_scan import Loss, Tree
    from benchmarks.loaded import Loaded


def main() -> None:
    """Train all trials of a method at once, and write their curves."""
    jax.config.update("jax_enable_x64", True)  # noqa: FBT003 - the setting's name says what is true
    file, cohorts = asked()
    write(file, cohorts, _curves)


def _curves(loaded: Loaded) -> Iterator[str]:
    """Yield the lines of every trial of a method."""
    seeds, rates = loaded.seeds, loaded.rates
    starts = [
        jnp.asarray(np.stack(values))
        for values in zip(*(loaded.starts[seed].values() for seed in seeds), strict=True)
    ]
    train, test = (tuple(map(jnp.asarray, loaded.part(part))) for part in ("train", "test"))
    epochs = loaded.plan.steps // loaded.plan.steps_per_epoch
    program = jax.jit(_program(LOSSES[loaded.kind], epochs))
    points = program(starts, jnp.asarray(rates), _batches(loaded, epochs), train, test)
    table = [np.asarray(column) for column in points]  # each (seeds, rates, epochs + 1)
    for trial in loaded.trials:
        place = seeds.index(trial.seed), rates.index(trial.lr)
        columns = [column[place].tolist() for column in table]
        for epoch, values in enumerate(zip(*columns, strict=True)):
            yield line(loaded, trial, epoch, values)


def _batches(loaded: Loaded, epochs: int) -> Tree:
    """Return the indices of whole batches and of the smaller last ones: (seeds, epochs, ...)."""
    if loaded.full:
        return None
    per_epoch, size = loaded.plan.steps_per_epoch, loaded.plan.batch_size
    orders = [
        np.concatenate([b.transpose(1, 0, 2).reshape(len(loaded.seeds), -1) for b in blocks], 1)
        for epoch in range(epochs)
        for blocks in [loaded.blocks(loaded.seeds, epoch * per_epoch, (epoch + 1) * per_epoch)]
    ]
    order = np.stack(orders, 1)
    whole = order.shape[2] // size * size
    batches = order[..., :whole].reshape(*order.shape[:2], -1, size)
    rest = order[..., None, whole:]
    return [jnp.asarray(part) for part in (batches, rest) if part.size]


def _program(loss: Loss, epochs: int) -> Callable[..., Tree]:
    """Return the measures of every seed with every rate, each (seeds, rates, epochs + 1)."""

    def run(start: Tree, rate: Tree, batches: Tree, train: Tree, test: Tree) -> Tree:
        def step(params: Tree, batch: Tree) -> tuple[Tree, None]:
            seen = train if batch is None else (train[0][batch], train[1][batch])
            gradients = jax.grad(loss)(params, *seen)
            return jax.tree.map(lambda p, g: p - rate * g, params, gradients), None

        def epoch(params: Tree, batches: Tree) -> tuple[Tree, Tree]:
            before = _measures(loss, params, train, test)
            for part in batches or [None]:
                params, _ = jax.lax.scan(step, params, part, length=1 if part is None else None)
            return params, before

        end, points = jax.lax.scan(epoch, start, batches, length=epochs)
        last = _measures(loss, end, train, test)
        return [jnp.append(column, value) for column, value in zip(points, last, strict=True)]

    each_rate = jax.vmap(run, in_axes=(None, 0, None, None, None))
    every: Callable[..., Tree] = jax.vmap(each_rate, in_axes=(0, None, 0, None, None))
    return every


def _measures(loss: Loss, params: Tree, train: Tree, test: Tree) -> list[Any]:
    """Return losses, the norm of the gradient and, of classes, accuracies."""
    value, gradients = jax.value_and_grad(loss)(params, *train)
    norm = jnp.sqrt(sum((g**2).sum() for g in gradients))
    measures = [value, norm, loss(params, *test)]
    if test[1].ndim == 1:
        weight, bias = params
        measures += [((x @ weight + bias).argmax(1) == y).mean() for x, y in (train, test)]
    return measures


if __name__ == "__main__":
    main()
