"""Which parameters of linear layers and convolutions the layers made, and which they were given."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn
from torch.nn.parameter import is_lazy

OWN = "weight", "bias"  # what both kinds of layer make


@dataclass(frozen=True)
class Registrations:
    """What torch registers in linear layers and convolutions while a module is built.

    `note` is for torch's register_module_parameter_registration_hook.
    """

    made: dict[tuple[nn.Module, str], nn.Parameter] = field(default_factory=dict)
    others: set[nn.Parameter] = field(default_factory=set)

    def note(self, module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        """Note a parameter that a module is about to take by a name."""
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
        """The parameters that the module's own code assigned to a layer, without tied ones."""
        return self.others - set(self.made.values())
