"""PyTorch's modules as pure functions: parameters, buffers and masks go in and come out.

Batch norm is written in plain arithmetic, since torch's kernel has other bits for other stacks of
trials. Dropout draws its masks from the seed, the step and the layer, not from what was drawn
before: trials with the same seed have the same masks in any grid and after any interruption. Layer
norm sees examples as rows and adds them up in one order; in other layouts torch adds up the
weights' gradients in an order that depends on the stack.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from gdcli.engine.sampling import at_block, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from gdcli.engine.device import Torch
    from gdcli.method import Kind
    from gdcli.problem import Params

KINDS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)


class BatchNorm(torch.nn.Module):
    """What torch's layer of the same settings computes (Ioffe and Szegedy 2015)."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, layer: torch.nn.BatchNorm1d) -> None:
        """Take the parameters and running statistics of the layer that this one replaces."""
        super().__init__()
        self.eps, self.momentum = layer.eps, layer.momentum
        self.weight: Tensor | None = layer.weight
        self.bias: Tensor | None = layer.bias
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(layer, name))

    @staticmethod
    def fits(layer: torch.nn.Module) -> bool:
        """Return whether a layer is a batch norm."""
        return type(layer) in KINDS

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every channel (the second axis) over the other axes."""
        axes = [0, *range(2, x.ndim)]
        shape = [-1, *[1] * (x.ndim - 2)]
        if self.training or self.running_mean is None or self.running_var is None:
            mean = x.mean(axes)
            centred = x - mean.view(shape)
            variance = (centred * centred).mean(axes)
            if self.training:
                self._track(mean.detach(), variance.detach(), x.numel() // x.shape[1])
        else:
            centred, variance = x - self.running_mean.view(shape), self.running_var
        y = centred / torch.sqrt(variance + self.eps).view(shape)
        if self.weight is None or self.bias is None:
            return y
        return y * self.weight.view(shape) + self.bias.view(shape)

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics, in place, towards those of a batch."""
        if count == 1:
            what = "batch norm has one value a channel in this batch: it needs two"
            raise ValueError(f"{what}; --remainder drop leaves out the last, smaller batch")
        if self.running_mean is None or self.running_var is None:
            return
        batches = cast("Tensor", self.num_batches_tracked)
        batches.add_(1)
        share = 1 / batches.to(mean.dtype) if self.momentum is None else self.momentum
        for held, found in (
            (self.running_mean, mean),
            (self.running_var, variance * count / (count - 1)),
        ):
            held.copy_((1 - share) * held + share * found)


Shape: TypeAlias = tuple[int, ...]
Masks: TypeAlias = "dict[str, list[Tensor]]"  # by layer, one for each of its calls
WHOLE_CHANNELS = (torch.nn.Dropout1d, torch.nn.Dropout2d, torch.nn.Dropout3d)


class KeyedDropout(torch.nn.Module):
    """Dropout (Srivastava et al. 2014) by given masks; the first axis is the batch."""

    def __init__(self, layer: torch.nn.Dropout) -> None:
        """Take the dropout rate of the layer that this one replaces."""
        super().__init__()
        self.p, self.channels = layer.p, isinstance(layer, WHOLE_CHANNELS)
        self.mask: Callable[[Shape], Tensor] | None = None

    @staticmethod
    def fits(layer: torch.nn.Module) -> bool:
        """Return whether a layer is such a dropout, of elements or of whole channels."""
        return type(layer) in (torch.nn.Dropout, *WHOLE_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the mask in training, else x."""
        if not self.training or self.mask is None:
            return x
        shape = x.shape[:2] + (1,) * (x.ndim - 2) if self.channels else x.shape
        return x * self.mask(tuple(shape)).to(x.dtype)

    def drawn(self, rng: np.random.Generator, shape: Shape) -> NDArray[np.float64]:
        """Return a mask: 0 for dropped elements, and 1 / (1 - rate) for the others."""
        kept = (rng.random(shape) >= self.p).astype(np.float64)
        return kept / (1 - self.p) if self.p < 1 else kept


def mask_stream(problem: str, seed: int, step: int, layer: str) -> np.random.Generator:
    """Return the stream of a layer's masks in a step, in the order of its calls."""
    return at_block(stream(problem, seed, "dropout", layer), step)


class LayerNorm(torch.nn.Module):
    """What torch's layer of the same settings computes (Ba, Kiros and Hinton 2016)."""

    def __init__(self, layer: torch.nn.LayerNorm) -> None:
        """Take the parameters of the layer that this one replaces."""
        super().__init__()
        self.shape, self.eps = layer.normalized_shape, layer.eps
        self.weight: Tensor = layer.weight
        self.bias: Tensor | None = layer.bias

    @staticmethod
    def fits(layer: torch.nn.Module) -> bool:
        """Return whether a layer is a layer norm that has weights."""
        return type(layer) is torch.nn.LayerNorm and layer.elementwise_affine

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each example over its last axes."""
        normal = torch.nn.functional.layer_norm(x, self.shape, eps=self.eps)
        rows = normal.reshape(-1, self.weight.numel()) * self.weight.flatten()
        if self.bias is not None:
            rows = rows + self.bias.flatten()
        return rows.reshape(x.shape)


def penalised(module: nn.Module) -> list[str]:
    """Return the names of the weights that --l2 penalises; scales of norm layers are not."""
    norms = {n for n, layer in module.named_modules() if "norm" in type(layer).__name__.lower()}
    places = ((name, *name.rpartition(".")[::2]) for name, _ in module.named_parameters())
    return [name for name, layer, own in places if "weight" in own and layer not in norms]


RECURRENT = (torch.nn.RNNBase, torch.nn.RNNCellBase)
REPLACED = (KeyedDropout, BatchNorm, LayerNorm)


NORMS = (
    nn.modules.batchnorm._NormBase,  # noqa: SLF001 -- what all batch and instance norms derive from
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


def kinds_in(module: nn.Module) -> dict[str, Kind]:
    """Return the kind of each parameter of a module, by name."""
    kinds: dict[str, Kind] = {}
    for owner, layer in module.named_modules():
        for own, parameter in layer.named_parameters(recurse=False):
            name = f"{owner}.{own}" if owner else own
            kinds[name] = _kind(layer, own, parameter)
    # A parameter that two layers share has the name of the first.
    return {name: kinds[name] for name, _ in module.named_parameters()}


def _kind(layer: nn.Module, name: str, parameter: nn.Parameter) -> Kind:
    if isinstance(layer, NORMS):
        return "norm"
    if name.startswith("bias"):
        return "bias"
    if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
        return "embedding"
    if parameter.ndim > 2:
        return "convolution"
    return "matrix" if parameter.ndim == 2 and min(parameter.shape) > 1 else "vector"


class PureModule:
    """A network of one trial, whose parameters and buffers are arguments of every call.

    Dropout is keyed. Running statistics, and any other buffers, go in and come out.
    """

    def __init__(self, module: torch.nn.Module, name: str, device: Torch) -> None:
        """Take ownership of a module; the problem's name keys its draws."""
        self.name, self.device = name, device
        self.module = _replaced(module, {}).to(device.name, getattr(torch, device.dtype))
        self.buffers = {n: b.detach().clone() for n, b in self.module.named_buffers()}
        self.recurrent = any(isinstance(m, RECURRENT) for m in self.module.modules())
        self.dropouts = {
            n: layer for n, layer in self.module.named_modules() if isinstance(layer, KeyedDropout)
        }
        self._known: dict[tuple[Shape, torch.dtype], dict[str, list[Shape]]] = {}

    def __call__(self, params: Params, buffers: Params, x: Tensor, *, training: bool) -> Any:
        """Return the outputs and the buffers after the call."""
        held = {n: array.clone() for n, array in buffers.items()} if training else buffers
        self.module.train(training)
        with _plain_kernels(recurrent=self.recurrent):
            z = torch.func.functional_call(self.module, {**params, **held}, (x,))
        return z, {n: array.detach() for n, array in held.items()}

    def begin(self, seed: int, step: int) -> None:
        """Prepare a step: its masks are drawn when a layer needs them."""
        for name, layer in self.dropouts.items():
            rng = mask_stream(self.name, seed, step, name)
            layer.mask = partial(self._mask, layer, rng)

    def _mask(self, layer: KeyedDropout, rng: np.random.Generator, shape: Shape) -> Any:
        return self.device.array(layer.drawn(rng, shape))

    def give(self, masks: Masks) -> None:
        """Give the layers masks that were drawn before."""
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
        """Return the shapes of each dropout's inputs, for examples of one trial."""
        key = tuple(x.shape), x.dtype
        if key not in self._known:
            shapes: dict[str, list[Shape]] = {name: [] for name in self.dropouts}
            for name, layer in self.dropouts.items():
                layer.mask = _noting(shapes[name], x.device)
            with torch.no_grad():
                self({}, self.buffers, x, training=True)
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
    """Replace dropouts and batch norms by ours; a shared layer stays shared."""
    for name, child in module.named_children():
        setattr(module, name, _replaced(child, done))
    kind = next((kind for kind in REPLACED if kind.fits(module)), None)
    if kind is not None:
        return done.setdefault(id(module), kind(module))  # type: ignore[arg-type]
    return module


@contextmanager
def _plain_kernels(*, recurrent: bool) -> Iterator[None]:
    """Keep torch from fused kernels for attention and LSTM, which vmap cannot map."""
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
