"""Steps of optax on the losses of the oracle, in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import optax
import torch

from gdcli import trees
from tests.optimizers.oracle import STEPS, Params, ask_of, start

if TYPE_CHECKING:
    from collections.abc import Callable


def theirs(  # noqa: PLR0913 -- the settings of one comparison
    transformation: Any,
    steps: int = STEPS,
    *,
    decay: float = 0.0,
    params: Params | None = None,
    ask: Callable[[int], Any] = ask_of,
    begin: Callable[[Any], Any] = lambda state: state,
) -> Params:
    """Return where a transformation of optax ends.

    decay: the factor of half the squared norm of the parameters, which is part of the loss.
    params, ask: the start and the losses, if not the network's. begin changes the first state.
    """
    params = params or start()
    optimizer = optax.with_extra_args_support(transformation)
    state, update = begin(optimizer.init(jax.tree.map(arrays, params))), jax.jit(optimizer.update)
    for step in range(steps):
        loss, grad = ask(step)(params)
        value = loss + decay / 2 * trees.dot(params, params)
        slopes = trees.add(grad, params, decay)
        here = jax.tree.map(arrays, params)
        updates, state = update(jax.tree.map(arrays, slopes), state, here, value=float(value))
        params = tensors(optax.apply_updates(here, updates))
    return params


def arrays(tensor: torch.Tensor) -> Any:
    """Return an array of jax."""
    return jax.numpy.asarray(tensor.numpy())


def tensors(params: Any) -> Params:
    """Return arrays of jax as tensors."""
    return {name: torch.tensor(np.asarray(array)) for name, array in params.items()}
