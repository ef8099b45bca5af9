"""Rules with weight decay of their own kind decay groups of parameters as packages do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optax
import prodigyopt
import pytest
import pytorch_optimizer

from gdcli.catalog.catalog import OPTIMIZERS, grouped_rule
from tests.optimizers.oracle import KINDS, Params, furthest, ours, start, theirs
from tests.oracles import in_optax

if TYPE_CHECKING:
    from torch import Tensor

CLOSE = 1e-10
FOR = "bias weight-decay=0"


def without_decay_of_biases(optimizer: str, lr: float, decay: float) -> Params:
    """Return where a rule ends that decays matrices alone."""
    plain: Any = OPTIMIZERS.find(optimizer, "")
    cls = grouped_rule(optimizer, plain, FOR, "--for")
    found = ours(cls(groups=FOR, weight_decay=decay), lr)
    assert furthest(found, ours(plain(weight_decay=decay), lr)) > 1e-6  # the biases count
    return found


def in_groups(optimizer: Any, decay: float, **options: Any) -> Any:
    """Return what makes an optimizer of torch's kind that decays matrices alone."""

    def make(held: list[Tensor]) -> Any:
        kinds = [KINDS[name] for name in start()]
        groups = [
            {
                "params": [p for p, k in zip(held, kinds, strict=True) if k == kind],
                "weight_decay": decay * (kind == "matrix"),
            }
            for kind in ("matrix", "bias")
        ]
        return optimizer(groups, **options)

    return make


@pytest.mark.parametrize("decay", [0.1, 1.0])
def test_lamb_decays_within_its_ratio(decay: float) -> None:
    mask = {name: kind == "matrix" for name, kind in KINDS.items()}
    reference = in_optax.theirs(optax.lamb(0.02, weight_decay=decay, mask=mask))
    assert furthest(without_decay_of_biases("lamb", 0.02, decay), reference) < CLOSE


@pytest.mark.parametrize("decay", [0.1, 1.0])
def test_novograd_decays_within_its_mean(decay: float) -> None:
    make = in_groups(pytorch_optimizer.NovoGrad, decay, lr=0.02, weight_decouple=False)
    assert furthest(without_decay_of_biases("novograd", 0.02, decay), theirs(make)) < CLOSE


@pytest.mark.parametrize("decay", [0.1, 1.0])
def test_lars_decays_within_its_ratio(decay: float) -> None:
    make = in_groups(pytorch_optimizer.LARS, decay, lr=0.05)
    assert furthest(without_decay_of_biases("lars", 0.05, decay), theirs(make)) < CLOSE


@pytest.mark.parametrize("decay", [0.1, 1.0])
def test_prodigy_decays_by_its_step_size(decay: float) -> None:
    make = in_groups(prodigyopt.Prodigy, decay, lr=1.0)
    assert furthest(without_decay_of_biases("prodigy", 1.0, decay), theirs(make)) < CLOSE
