"""Which program runs a problem on torch: layer by layer, mapped over its trials, or one by one."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np

from gdcli.datasets.out_of_core import whole_of
from gdcli.engine.device import Torch
from gdcli.engine.examples import load
from gdcli.engine.initial import module_of, starting_point
from gdcli.engine.layout import Lanes
from gdcli.engine.programs.vmap import OneByOne, Together, obstacle
from gdcli.problem import Data, Network, Problem, StatefulNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.engine.device import Device
    from gdcli.engine.programs.autograd import AutogradProgram
    from gdcli.engine.programs.first_axis import FirstAxisProgram
    from gdcli.engine.programs.vmap import Mapping

FEATURES, IMAGES = 2, 4  # axes of their examples
PAIR = 2  # bmm takes another path for a stack of one


def program_on_torch(
    problem: Problem, data: Data, device: Torch, lanes: Callable[[int], Lanes], seed: int
) -> FirstAxisProgram:
    """Return the program of a problem on torch, on all or some of its examples.

    `lanes` makes lanes of a multiple of so many places; `seed` is that of the data.
    """
    if isinstance(problem, StatefulNetwork):
        from gdcli.engine.programs.autograd import StatefulProgram

        return StatefulProgram(problem, data, lanes(1), device)
    if isinstance(problem, Network) and of_known_layers(problem, data, seed):
        from gdcli.engine.programs.network import NetworkProgram

        return NetworkProgram(problem, data, lanes(PAIR), device, module_of(problem, data))
    if why_one_by_one(problem, seed):
        return _differentiated(problem, data, lanes(1), device, OneByOne())
    return _differentiated(problem, data, lanes(PAIR), device, Together())


def of_known_layers(problem: Network, data: Data, data_seed: int) -> bool:
    """Return whether a network's criterion and every layer of it have a stacked form."""
    train = whole_of(data).train  # some examples are computed as all are
    x, y = train["x"], train["y"]
    # The stacked layers know features and images; on a sequence nn.Linear means another thing.
    known = x.ndim in (FEATURES, IMAGES) and x.dtype.kind == "f"
    # Their criteria know one class an example, none of them left out, or its targets in a row.
    if problem.criterion == "cross_entropy":
        known = known and y.ndim == 1 and y.dtype.kind == "i" and not (y < 0).any()
    else:
        known = known and problem.criterion == "mse" and y.ndim <= FEATURES
    return known and _layered(problem, data_seed)


@lru_cache(maxsize=16)  # to make a module takes a second where it has millions of parameters
def _layered(problem: Network, data_seed: int) -> bool:
    from gdcli.engine.layers.stacked import stacked

    return stacked(module_of(problem, load(problem, data_seed))) is not None


def _differentiated(
    problem: Problem, data: Data, lanes: Lanes, device: Device, mapping: Mapping
) -> AutogradProgram:
    """Return the program of a loss that autograd differentiates."""
    from gdcli.engine.programs.autograd import AutogradProgram, ModuleProgram

    place = cast("Torch", device)
    if isinstance(problem, Network):
        return ModuleProgram(problem, data, lanes, place, mapping)
    return AutogradProgram(problem, data, lanes, place, mapping)


@lru_cache(maxsize=8)
def why_one_by_one(problem: Problem, data_seed: int) -> str | None:
    """Return why the trials of a problem are computed one by one; None: they are not."""
    if not problem.vectorized:
        return "it says so itself"
    data = load(problem, data_seed)
    if isinstance(problem, Network) and of_known_layers(problem, data, data_seed):
        return None

    def build(few: Data, mapping: Mapping, trials: int) -> AutogradProgram:
        seed = np.zeros(trials, int)
        lanes = Lanes((trials,), np.arange(trials), (0,), seed, seed)
        return _differentiated(problem, few, lanes, Torch(problem.default_dtype), mapping)

    try:
        start = starting_point(problem, data, 0)
    except Exception:  # noqa: BLE001 -- the run tells of it
        return None
    return obstacle(build, data, start)
