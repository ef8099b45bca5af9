"""A module as a function: what goes in is all that comes out depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from gdcli.engine.modules.batch_norm import BatchNorm
from gdcli.engine.modules.dropout import KeyedDropout, Masks, Shape, mask_stream
from gdcli.engine.modules.layer_norm import LayerNorm

if TYPE_CHECKING:
    from torch import Tensor

    from gdcli.engine.device import Torch
    from gdcli.problem import Params

RECURRENT = (torch.nn.RNNBase, torch.nn.RNNCellBase)
REPLACED = (KeyedDropout, BatchNorm, LayerNorm)


class PureModule:
    """A network of one trial, whose parameters and buffers are given at every call.

    Dropout is keyed; running statistics, and any other buffers, are `carried`: they go in and
    come out.
    """

    def __init__(self, module: torch.nn.Module, name: str, device: Torch) -> None:
        """Take a module, which becomes this one's, and the problem's name, which keys draws."""
        self.name, self.device = name, device
        self.module = _replaced(module, {}).to(device.name, getattr(torch, device.dtype))
        self.carried = {n: b.detach().clone() for n, b in self.module.named_buffers()}
        self.recurrent = any(isinstance(m, RECURRENT) for m in self.module.modules())
        self.dropouts = {
            n: layer for n, layer in self.module.named_modules() if isinstance(layer, KeyedDropout)
        }
        self._known: dict[tuple[Shape, torch.dtype], dict[str, list[Shape]]] = {}

    def __call__(self, params: Params, carried: Params, x: Tensor, *, training: bool) -> Any:
        """Return the outputs and what is carried on."""
        held = {n: array.clone() for n, array in carried.items()} if training else carried
        self.module.train(training)
        with _plain_kernels(recurrent=self.recurrent):
            z = torch.func.functional_call(self.module, {**params, **held}, (x,))
        return z, {n: array.detach() for n, array in held.items()}

    def begin(self, seed: int, step: int) -> None:
        """Have the masks of a step drawn when a layer asks for them."""
        for name, layer in self.dropouts.items():
            rng = mask_stream(self.name, seed, step, name)
            layer.mask = partial(self._mask, layer, rng)

    def _mask(self, layer: KeyedDropout, rng: np.random.Generator, shape: Shape) -> Any:
        return self.device.array(layer.drawn(rng, shape))

    def give(self, masks: Masks) -> None:
        """Have the layers take masks that were drawn before."""
        for name, layer in self.dropouts.items():
            layer.mask = _taking(iter(masks[name]))

    def masks(self, seeds: Sequence[int], step: int, x: Tensor) -> Masks:
        """Return the masks of a step for examples of this shape, with a first axis of seeds."""
        found: Masks = {}
        for name, shapes in self._shapes(x).items() if self.dropouts else ():
            streams = [mask_stream(self.name, seed, step, name) for seed in seeds]
            drawn = ([self.dropouts[name].drawn(rng, s) for rng in streams] for s in shapes)
            found[name] = [self.device.array(np.stack(masks)) for masks in drawn]
        return found

    def _shapes(self, x: Tensor) -> dict[str, list[Shape]]:
        """Return the shapes that each dropout is called with, of examples of one trial."""
        key = tuple(x.shape), x.dtype
        if key not in self._known:
            shapes: dict[str, list[Shape]] = {name: [] for name in self.dropouts}
            for name, layer in self.dropouts.items():
                layer.mask = _noting(shapes[name], x.device)
            with torch.no_grad():
                self({}, self.carried, x, training=True)
            self._known[key] = shapes
        return self._known[key]


def _taking(masks: Iterator[Tensor]) -> Callable[[Shape], Tensor]:
    return lambda _: next(masks)


def _noting(shapes: list[Shape], device: torch.device) -> Callable[[Shape], Tensor]:
    def mask(shape: Shape) -> Tensor:
        shapes.append(shape)
        return torch.ones((), device=device)

    return mask


def _replaced(module: torch.nn.Module, done: dict[int, torch.nn.Module]) -> torch.nn.Module:
    """Return a module whose dropouts and batch norms are ours; a shared one stays shared."""
    for name, child in module.named_children():
        setattr(module, name, _replaced(child, done))
    kind = next((kind for kind in REPLACED if kind.fits(module)), None)
    if kind is not None:
        return done.setdefault(id(module), kind(module))  # type: ignore[arg-type]
    return module


@contextmanager
def _plain_kernels(*, recurrent: bool) -> Iterator[None]:
    """Let torch take no kernels of its own for attention and LSTM: they cannot be mapped."""
    attention, onednn = torch.backends.mha, torch.backends.mkldnn
    held = attention.get_fastpath_enabled(), onednn.enabled
    try:
        attention.set_fastpath_enabled(value=False)
        if recurrent:
            setattr(onednn, "enabled", False)  # noqa: B010 -- torch declares it otherwise
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        attention.set_fastpath_enabled(held[0])
        setattr(onednn, "enabled", held[1])  # noqa: B010
