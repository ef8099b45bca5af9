"""Steps of optax on the losses of the oracle, in float64."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import optax
import torch

from gdcli import trees
from tests.optimizers.oracle import STEPS, Params, ask_of, start

jax.config.update("jax_enable_x64", val=True)


def theirs(transformation: Any, steps: int = STEPS, *, decay: float = 0.0) -> Params:
    """Return where a transformation of optax ends.

    decay: the factor of half the squared norm of the parameters, which is part of the loss.
    """
    params = start()
    optimizer = optax.with_extra_args_support(transformation)
    state, update = optimizer.init(jax.tree.map(_jax, params)), jax.jit(optimizer.update)
    for step in range(steps):
        loss, grad = ask_of(step, steps)(params)
        value = loss + decay / 2 * trees.dot(params, params)
        slopes = trees.add(grad, params, decay)
        here = jax.tree.map(_jax, params)
        updates, state = update(jax.tree.map(_jax, slopes), state, here, value=float(value))
        moved = optax.apply_updates(here, updates)
        params = {name: torch.tensor(np.asarray(array)) for name, array in moved.items()}
    return params


def _jax(array: torch.Tensor) -> Any:
    return jax.numpy.asarray(array.numpy())
