"""NAdamW: NAdam with decoupled weight decay."""

from __future__ import annotations

from dataclasses import dataclass

from gdcli.optimizers.adamw import AdamW
from gdcli.optimizers.nadam import NAdam


@dataclass(frozen=True)
class NAdamW(AdamW, NAdam):
    """NAdam's direction plus weight_decay * param (Dozat 2016; Loshchilov and Hutter 2019).

    As torch.optim.NAdam with decoupled_weight_decay, whose learning rate of 2e-3 is taken. optax's
    rule of the same name has no `psi`: beta1 is whole from the first step.
    """
