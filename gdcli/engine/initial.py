"""The weights of a network where it starts, and as other programs read them.

It starts from one point a seed, drawn on the CPU in float64. Other programs read integers and
scales, or PyTorch's state_dict.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from gdcli.catalog.catalog import name_of
from gdcli.datasets.out_of_core import whole_of
from gdcli.engine.layers.quantized import RoundedConv2d, RoundedLinear, levels, with_rounding
from gdcli.errors import UserError
from gdcli.problem import BITS, Data, Network, Problem, StatefulNetwork

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Start = dict[str, "NDArray[np.float64]"]


def network_start(problem: Network, data: Data, rng: np.random.Generator) -> Start:
    """Return a network's parameters: drawn here for known layers, else as the module made them."""
    registrations = Registrations()
    with register_module_parameter_registration_hook(registrations.note):
        module = module_of(problem, data, int(rng.integers(2**32)))
    own = parameters_of(module)
    drawn: Start = {}
    for name, layer in module.named_modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
            prefix = f"{name}." if name else ""
            drawn |= {prefix + key: value for key, value in _uniform(problem, layer, rng).items()}
    chosen = registrations.assigned | _written_copies(problem, data, module, registrations.noted)
    # A parametrization, such as the weight norm of a layer, has parameters that no layer makes.
    made = {n for n, p in module.named_parameters() if p in registrations.noted}
    drawn = {n: v for n, v in drawn.items() if n in made or n.rpartition(".")[2] in OWN}
    kept = {n for n, p in module.named_parameters() if p in chosen or _was_written(p)}
    return {name: value if name in kept else drawn.get(name, value) for name, value in own.items()}


def _written_copies(
    problem: Network, data: Data, module: nn.Module, noted: set[nn.Parameter]
) -> set[nn.Parameter]:
    """Return the parameters of copied layers that were written to after the copy.

    torch registers nothing of a copy, and its first write is not a draw. The same holds for a layer
    that torch drew before the module was built, but such a layer is the same in every module.
    """
    # torch counts the writes to a tensor, and a copy begins with none.
    found = {p for p in module.parameters() if p not in noted and p._version == 1}  # noqa: SLF001
    return found - {*module_of(problem, data).parameters()} if found else found


def _was_written(parameter: nn.Parameter) -> bool:
    """Return whether a parameter was written to since torch's own layer drew it."""
    # torch counts the writes to a tensor: the draw is one, and a copy begins with none.
    return parameter._version > 1  # noqa: SLF001 -- there is no other way to ask


def parameters_of(module: nn.Module) -> Start:
    """Return a module's parameters by name, in float64."""
    return {name: p.detach().double().numpy() for name, p in module.named_parameters()}


def module_of(problem: Network | StatefulNetwork, data: Data, seed: int = 0) -> nn.Module:
    """Return the module of one trial.

    The module draws its parameters from torch's global stream: the stream is seeded for it and
    restored afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reseed every GPU, too.
        torch.default_generator.manual_seed(seed)
        try:
            module = problem.module(whole_of(data))
            _check_lazy(problem, module)
            if not isinstance(problem, Network):
                return module
            _check_frozen(problem, module)
            return with_rounding(module, problem)
        except RuntimeError as error:
            # torch has no class of error for a lack of memory on the CPU.
            raise MemoryError(str(error)) if "alloc" in str(error) else error from None


def _check_lazy(problem: Problem, module: nn.Module) -> None:
    """Raise UserError for a lazy layer that has seen no examples: it has no shapes yet."""
    for name, array in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(array):
            what = f"its {name} has no shape yet: a lazy layer waits for examples"
            fix = 'call the network once in `module`, on some of data.train["x"]'
            raise UserError(name_of(problem), what, fix)


def _check_frozen(problem: Problem, module: nn.Module) -> None:
    """Raise UserError for a parameter that is frozen: every parameter is trained."""
    frozen = next((n for n, p in module.named_parameters() if not p.requires_grad), None)
    if frozen is not None:
        what = f"its {frozen} has requires_grad=False, but every parameter is trained"
        fix = "make it a buffer, by register_buffer, or let it be trained"
        raise UserError(name_of(problem), what, fix)


def _uniform(problem: Network, layer: nn.Linear | nn.Conv2d, rng: np.random.Generator) -> Start:
    """Return a layer's weights and biases, uniform within the bound of the problem."""
    each = layer.weight[0, 0].numel()  # numbers of a convolution's kernel, 1 of a linear layer
    bound = problem.bound(layer.weight[0].numel(), layer.weight.shape[0] * each)
    return {
        name: rng.uniform(-bound, bound, tuple(p.shape)) for name, p in layer.named_parameters()
    }


OWN = "weight", "bias"  # what both kinds of layer make


class Registrations:
    """What torch registers in linear layers and convolutions while a module is built.

    `note` is for torch's register_module_parameter_registration_hook.
    """

    def __init__(self) -> None:
        """Begin before the first parameter."""
        self.made: dict[tuple[nn.Module, str], nn.Parameter] = {}
        self.others: set[nn.Parameter] = set()

    def note(self, module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        """Note a parameter that a module is about to register under a name."""
        if not isinstance(module, nn.Linear | nn.Conv2d):
            return
        place = module, name
        # A layer has no such attribute before it makes it; a copied one, made elsewhere, has.
        first = name in OWN and place not in self.made and not hasattr(module, name)
        if first or is_lazy(parameter):  # a lazy layer makes its own twice
            self.made[place] = parameter
        else:
            self.others.add(parameter)

    @property
    def noted(self) -> set[nn.Parameter]:
        """The parameters of linear layers and convolutions that were not copied."""
        return self.others | set(self.made.values())

    @property
    def assigned(self) -> set[nn.Parameter]:
        """Parameters that the module's own code assigned to a layer.

        Layers' own and tied parameters are not among them.
        """
        return self.others - set(self.made.values())


def layers_of(problem: Network, data: Data) -> dict[str, torch.nn.Module]:
    """Return the layers by name, in order; raises UserError for a layer without integers."""
    module = module_of(problem, data)
    plain = isinstance(module, torch.nn.Sequential)
    layers = dict(module.named_children()) if plain else {"": module}
    for name, layer in layers.items():
        known = isinstance(layer, RoundedConv2d | RoundedLinear)
        if not known and next(layer.parameters(), None) is not None:
            what = f"the layer {name or 'of the module'}, {type(layer).__name__}, has no integers"
            raise UserError("--to", what, "linear layers and convolutions in nn.Sequential have")
    return layers


def integers_of(
    problem: Network,
    layers: Mapping[str, torch.nn.Module],
    params: Mapping[str, NDArray[Any]],
) -> dict[str, Any]:
    """Return the weights as int8, their scales and the biases as float32, by name.

    "layers" has the names and kinds of all layers, "bits" the bits of a weight and of an
    activation.
    """
    bits = problem.weight_bits or BITS
    held: dict[str, Any] = {
        "layers": np.array([f"{name} {_kind(layer)}" for name, layer in layers.items()]),
        "bits": np.array([bits, problem.activation_bits or BITS]),
    }
    for name, layer in layers.items():
        if not hasattr(layer, "rounding"):
            continue
        weight = torch.from_numpy(np.ascontiguousarray(params[f"{name}.weight"]))
        whole, scale = levels(weight, bits, tuple(range(1, weight.ndim)))
        held[f"{name}.weight"] = whole.to(torch.int8).numpy()
        held[f"{name}.scale"] = scale.flatten().float().numpy()
        held[f"{name}.bias"] = np.asarray(params[f"{name}.bias"], np.float32)
    return held


def _kind(layer: torch.nn.Module) -> str:
    """Return a layer as PyTorch prints it, without the word Rounded."""
    return repr(layer).replace("Rounded", "")


def state_dict(
    problem: Network | StatefulNetwork,
    data: Data,
    dtype: str,
    numbers: Mapping[str, NDArray[Any]],
) -> bytes:
    """Return the bytes that torch.save writes for the state_dict of the problem's module.

    `numbers` are its parameters and buffers by name. A buffer without numbers stays as the module
    makes it.
    """
    module = module_of(problem, data).to(getattr(torch, dtype))
    held = dict(module.named_parameters()) | dict(module.named_buffers())
    with torch.no_grad():
        for name, array in numbers.items():
            held[name].copy_(torch.from_numpy(array))
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    return file.getvalue()
