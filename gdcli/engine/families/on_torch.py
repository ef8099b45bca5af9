"""Problems on torch: any loss, networks of layers, and modules that are trained alone."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from gdcli.datasets.out_of_core import whole_of
from gdcli.engine.criteria import adds_up, check_criterion
from gdcli.engine.device import Torch
from gdcli.engine.examples import load
from gdcli.engine.families.family import Family
from gdcli.engine.families.footprint import each_by_itself, footprint, in_chunks, in_pieces
from gdcli.engine.initial import Start, module_of, network_start, parameters_of
from gdcli.engine.layers.modules import kinds_in
from gdcli.engine.layers.quantized import RoundedConv2d, RoundedLinear
from gdcli.engine.layers.stacked import stacked
from gdcli.engine.layout import ON_A_GPU, Pieces, TrialLayout, one_axis
from gdcli.engine.plan import plan_of
from gdcli.engine.programs.autograd import AutogradProgram, ModuleProgram
from gdcli.engine.programs.network import NetworkProgram
from gdcli.engine.programs.stateful import StatefulProgram
from gdcli.engine.programs.vmap import OneByOne, Together, obstacle
from gdcli.problem import Data, Network, Problem, Quantized, StatefulNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.engine.programs.vmap import FirstAxisProgram, Mapping
    from gdcli.experiment.grid import Trial
    from gdcli.method import Kind

P = TypeVar("P", bound=Problem)
FEATURES, IMAGES = 2, 4  # axes of their examples
FLOAT = 4  # bytes of a float32: a parameter that is not rounded, or a scale
PAIR = 2  # trials: bmm takes another path for a stack of one
CRITERIA_FROM_0 = ("cross_entropy", "mse")  # no loss is below 0


class TorchFamily(Family[P]):
    """Any loss in PyTorch: trials are stacked by vmap, or computed one by one."""

    def batch_limit(self, method: str) -> int:
        """Return fewer for full batches, which take more memory."""
        return 16 if method == "gd" else 64

    def program(
        self, trials: Sequence[Trial], data: Data, device: Device, width: int | None
    ) -> FirstAxisProgram:
        """Return the program, with the number of examples that it computes at a time."""
        first, place = trials[0], cast("Torch", device)
        problem = cast("P", first.problem)
        layout = partial(one_axis, trials)
        program = self.program_on(problem, data, place, layout, first.training.data_seed)
        pieces = self.pieces(first, data, place.dtype, plain=False)
        if not device.eager:
            pieces = pieces._replace(room=ON_A_GPU)
        return program.configured(pieces, self.quantize_from_step(first, data))

    def program_on(
        self,
        problem: P,
        data: Data,
        device: Torch,
        layout: Callable[[int], TrialLayout],
        data_seed: int,
    ) -> FirstAxisProgram:
        """Return the program on all or some of the examples.

        `layout` places the trials on a multiple of so many places.
        """
        if self.why_one_by_one(problem, data_seed):
            return self.differentiated(problem, data, layout(1), device, OneByOne())
        return self.differentiated(problem, data, layout(PAIR), device, Together())

    def differentiated(
        self, problem: P, data: Data, layout: TrialLayout, device: Torch, mapping: Mapping
    ) -> AutogradProgram:
        """Return the program of a loss that autograd differentiates."""
        return AutogradProgram(problem, data, layout, device, mapping)

    def stacked(self, trials: Sequence[Trial]) -> int:
        """Return the trials, and one more where their number is odd."""
        return len(trials) + len(trials) % 2

    def pieces(self, trial: Trial, data: Data, dtype: str, *, plain: bool) -> Pieces:
        """Return pieces of a few examples where all of them take much memory."""
        return in_pieces(self, trial, data, dtype)

    def why_one_by_one(self, problem: P, data_seed: int) -> str | None:
        """Return what vmap cannot do with the loss, which is tried on a few examples."""
        return _why_one_by_one(self, problem, data_seed)

    def repeats(self, problem: P, data_seed: int) -> bool:
        """Return whether the loss can be stacked: else it may draw random numbers."""
        return self.why_one_by_one(problem, data_seed) is None

    def adds_up(self, problem: P, data_seed: int) -> bool:
        """Return whether the loss of all examples may be the mean of those of parts of them."""
        return True

    def each_by_itself(
        self, problem: P, data: Data, start: Start, *, training: bool
    ) -> bool | None:
        """Return whether an example's outputs do not depend on the others; None: it is not known.

        It is asked for a few examples, in the mode of a step or of a recorded point.
        """
        return None


class NetworkFamily(TorchFamily[Network]):
    """A module and a criterion: stacked layer by layer where all of its layers are known."""

    minimised_as = "OfNetwork"
    known_by = "NetworkTheory"
    is_network = True
    has_examples = True

    def program_on(
        self,
        problem: Network,
        data: Data,
        device: Torch,
        layout: Callable[[int], TrialLayout],
        data_seed: int,
    ) -> FirstAxisProgram:
        """Return the program of stacked layers, or one that is differentiated by autograd."""
        if not of_known_layers(problem, data, data_seed):
            return super().program_on(problem, data, device, layout, data_seed)
        return NetworkProgram(problem, data, layout(PAIR), device, module_of(problem, data))

    def differentiated(
        self, problem: Network, data: Data, layout: TrialLayout, device: Torch, mapping: Mapping
    ) -> AutogradProgram:
        """Return the program of a module."""
        return ModuleProgram(problem, data, layout, device, mapping)

    def start(self, problem: Network, data: Data, rng: np.random.Generator) -> Start:
        """Return what is drawn for known layers, and what the module sets itself."""
        return network_start(problem, data, rng)

    def pieces(self, trial: Trial, data: Data, dtype: str, *, plain: bool) -> Pieces:
        """Return chunks for stacked layers; the reference engine knows no layers."""
        problem: Any = trial.problem
        if plain or not of_known_layers(problem, data, trial.training.data_seed):
            return super().pieces(trial, data, dtype, plain=plain)
        return in_chunks(self, trial, dtype)

    def check(self, problem: Network, data_seed: int) -> None:
        """Raise UserError for a network whose outputs and targets do not fit its criterion."""
        check_criterion(problem, data_seed)

    def why_one_by_one(self, problem: Network, data_seed: int) -> str | None:
        """Return what vmap cannot do, where there are layers without a stacked form."""
        if problem.vectorized:
            data = load(problem, data_seed)
            if of_known_layers(problem, data, data_seed):
                return None
        return super().why_one_by_one(problem, data_seed)

    def quantize_from_step(self, trial: Trial, data: Data) -> int:
        """Return the end of the epochs that are trained in floats."""
        epochs = cast("Network", trial.problem).float_epochs
        if not epochs:
            return 0
        plan = plan_of(trial, data.examples)
        if plan.growth:  # the end of these epochs, or of the run
            return next(iter(plan.growth.firsts[epochs:]), plan.steps)
        return epochs * plan.steps_per_epoch

    def repeats(self, problem: Network, data_seed: int) -> bool:
        """Return whether all layers have a stacked form, draw nothing and stay as they are."""
        plain = not problem.float_epochs
        return plain and of_known_layers(problem, load(problem, data_seed), data_seed)

    def adds_up(self, problem: Network, data_seed: int) -> bool:
        """Return whether the criterion is a mean over the examples."""
        return adds_up(problem, data_seed)

    def each_by_itself(self, problem: Network, data: Data, start: Start, *, training: bool) -> bool:
        """Return whether the network's outputs for a few examples are the same among others."""
        return each_by_itself(problem, data, start, training=training)

    def size(self, problem: Network, data: Data) -> Quantized:
        """Return the bytes: rounded weights, a scale for each output, the rest in floats.

        The weights of a layer are packed, so its last byte may be partly empty.
        """
        module = module_of(problem, data)
        whole = sum(parameter.numel() for parameter in module.parameters()) * FLOAT
        size = whole
        for layer in module.modules():
            if isinstance(layer, RoundedLinear | RoundedConv2d):
                weights, outputs = layer.weight.numel(), len(layer.weight)
                size += -(-weights * layer.rounding.weight_bits // 8) + FLOAT * (outputs - weights)
        bits = problem.weight_bits, problem.activation_bits
        return Quantized(problem.quantize, *bits, whole, size)

    def never_below(self, problem: Network) -> float | None:
        """Return 0 for the criteria that are known."""
        return 0.0 if problem.criterion in CRITERIA_FROM_0 else None

    def own_gradient(self, problem: Network) -> bool:
        """Return whether rounding is trained: its gradient passes straight through."""
        return problem.quantize == "qat"

    def labels(self, problem: Network, targets: NDArray[Any]) -> NDArray[np.int64] | None:
        """Return the targets of a classifier."""
        return targets.astype(np.int64) if problem.classifies else None

    def kinds(self, problem: Network, data: Data) -> dict[str, Kind]:
        """Return the kind of each parameter, as its layer tells."""
        return kinds_in(module_of(problem, data))

    def filters(self, array: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return the rows of a layer, or a channel's kernels."""
        return list(array)


class StatefulFamily(TorchFamily[StatefulNetwork]):
    """A module with a loss of its own: one trial a batch."""

    minimised_as = "OfStatefulNetwork"
    is_network = True

    def batch_limit(self, method: str) -> int:
        """Return 1: each trial is a unit for a worker."""
        return 1

    def program_on(
        self,
        problem: StatefulNetwork,
        data: Data,
        device: Torch,
        layout: Callable[[int], TrialLayout],
        data_seed: int,
    ) -> StatefulProgram:
        """Return the program of the module itself."""
        return StatefulProgram(problem, data, layout(1), device)

    def start(self, problem: StatefulNetwork, data: Data, rng: np.random.Generator) -> Start:
        """Return what the module draws."""
        return parameters_of(module_of(problem, data, int(rng.integers(2**32))))

    def stacked(self, trials: Sequence[Trial]) -> int:
        """Return 1."""
        return 1

    def pieces(self, trial: Trial, data: Data, dtype: str, *, plain: bool) -> Pieces:
        """Return the passes of a recorded point; a step sees its whole batch."""
        problem = cast("StatefulNetwork", trial.problem)
        each = footprint(self, problem, trial.training.data_seed, dtype)
        return Pieces(problem.at_once, None, each) if each else Pieces()

    def repeats(self, problem: StatefulNetwork, data_seed: int) -> bool:
        """Return False: buffers may move from step to step."""
        return False

    def kinds(self, problem: StatefulNetwork, data: Data) -> dict[str, Kind]:
        """Return the kind of each parameter, as its layer tells."""
        return kinds_in(module_of(problem, data))

    def filters(self, array: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return the rows of a layer, or a channel's kernels."""
        return list(array)


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
    return stacked(module_of(problem, load(problem, data_seed))) is not None


@lru_cache(maxsize=8)
def _why_one_by_one(family: TorchFamily[Any], problem: Problem, data_seed: int) -> str | None:
    if not problem.vectorized:
        return "it says so itself"
    data = load(problem, data_seed)

    def build(few: Data, mapping: Mapping, trials: int) -> AutogradProgram:
        seed = np.zeros(trials, int)
        layout = TrialLayout((trials,), np.arange(trials), (0,), seed, seed)
        device = Torch(problem.default_dtype)
        return family.differentiated(problem, few, layout, device, mapping)

    try:
        start = family.starting_point(problem, data, 0)
    except Exception:  # noqa: BLE001 -- the run tells of it
        return None
    return obstacle(build, data, start)
