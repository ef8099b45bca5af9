"""How much memory a problem on torch takes, counted on one trial and a few examples.

Bytes are counted, tensor by tensor, as torch makes and frees them: no clock, no machine and no
other trial has an influence, so the pieces that follow from the count are the same everywhere.
"""

from __future__ import annotations

import gc
import math
import weakref
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gdcli.catalog.catalog import name_of
from gdcli.datasets.out_of_core import Subset, some_of, whole_of
from gdcli.engine.device import Torch
from gdcli.engine.examples import load
from gdcli.engine.initial import module_of
from gdcli.engine.layers.modules import PureModule
from gdcli.engine.layers.quantized import rounding_of
from gdcli.engine.layout import LEAST, Footprint, Pieces, TrialLayout
from gdcli.engine.programs.program import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gdcli.engine.families.on_torch import TorchFamily
    from gdcli.engine.programs.vmap import FirstAxisProgram
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Data, Network, Params, Problem

Build: TypeAlias = "Callable[[Data, Torch], FirstAxisProgram]"
# Up to so many bytes of a trial, all examples, or all of a CHUNK, are computed at a time.
WHOLE, OF_A_CHUNK = 2**27, 2**29
PIECE = 2**24  # bytes of a piece of a larger trial: smaller pieces take as long, larger ones longer
FEWEST, MOST = 2, 512  # examples of a measurement
LOOK = 2**23  # bytes that a measurement may take, or a little more
KERNELS = 1.1  # factor for the memory that a kernel uses while it runs
SAME = 1e-6  # relative difference between two ways to add up a mean in float64


def in_chunks(family: TorchFamily[Any], trial: Trial, dtype: str) -> Pieces:
    """Return pieces of at most CHUNK examples: stacked layers see no others at a time."""
    each = footprint(family, trial.problem, trial.training.data_seed, dtype)
    if each is None:
        return Pieces(CHUNK, CHUNK)
    point, step = (_fitting(size, CHUNK, OF_A_CHUNK) for size in each)
    return Pieces(point, step, each)


def in_pieces(family: TorchFamily[Any], trial: Trial, data: Data, dtype: str) -> Pieces:
    """Return pieces of a few examples where all of them take much memory, and it can be done."""
    problem, data_seed = trial.problem, trial.training.data_seed
    each = footprint(family, problem, data_seed, dtype)
    if each is None:
        return Pieces()
    count = max((len(a) for part in (data.train, data.test) for a in part.values()), default=1)
    if count * max(each) <= WHOLE:
        return Pieces(None, None, each)
    mean = family.adds_up(problem, data_seed)
    steps = trial.method == "gd" and mean and parted(family, problem, data_seed, step=True)
    points = mean and parted(family, problem, data_seed, step=False)
    return Pieces(
        _fitting(each.point, count, WHOLE) if points else None,
        _fitting(each.step, count, WHOLE) if steps else None,
        each,
    )


def _fitting(size: int, count: int, whole: int) -> int:
    """Return how many examples of `size` bytes a piece has: `count`, or a power of 2."""
    if size * count <= whole:
        return count
    return max(LEAST, 1 << max((PIECE // size).bit_length() - 1, 0))


@lru_cache(maxsize=16)
def footprint(
    family: TorchFamily[Any], problem: Problem, data_seed: int, dtype: str
) -> Footprint | None:
    """Return the bytes of an example; None where computing a trial raises, as the run reports."""
    data = load(problem, data_seed)
    try:
        start, build = family.starting_point(problem, data, 0), _builder(family, problem, data_seed)

        def looked(few: int) -> tuple[int, int]:
            return _looked(build, _trained(data, 0, few), start, dtype)

        few = min(FEWEST, data.examples)
        rough = looked(few)
        # With more of them the examples outweigh the parameters.
        most = min(data.examples, max(2 * FEWEST, min(MOST, LOOK * few // max(*rough, 1))))
        if most < 2 * few:
            return Footprint(*(_each(size, few) for size in rough))
        less = looked(most // 2) if most // 2 > few else rough
        gaps = (after - before for before, after in zip(less, looked(most), strict=True))
    except Exception:  # noqa: BLE001 -- the run tells of it
        return None
    return Footprint(*(_each(gap, most - most // 2) for gap in gaps))


def _builder(family: TorchFamily[Any], problem: Problem, data_seed: int) -> Build:
    """Return what makes the program of one trial on some examples: its bits do not matter here."""
    return lambda few, device: family.program_on(problem, few, device, _alone, data_seed)


def _each(size: int, count: int) -> int:
    """Return the bytes of one example, from those of `count` examples."""
    return max(1, int(KERNELS * size / count))


def _looked(build: Build, few: Data, start: Params, dtype: str) -> tuple[int, int]:
    """Return the bytes that a trial takes at a recorded point and in a step."""
    program = build(few, Torch(dtype))
    params = program.start([start])
    point = _most(lambda: program.evaluate(params))
    return point, _most(lambda: program.gradient(params, None))


def _most(compute: Callable[[], Any]) -> int:
    """Return the largest number of bytes of new tensors at a time."""
    with _uncollected(), Count() as count:
        compute()
    most: int = count.most
    return most


@contextmanager
def _uncollected() -> Iterator[None]:
    """Switch the garbage collector off: tensors are freed only when nothing refers to them."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of living tensors that are made within it."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.most = 0
        self.known: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Avoid the import of torch.compile, which takes a second: nothing here is compiled."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the operation, and note its new tensors."""
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor.untyped_storage())
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata  # noqa: SLF001 -- the storage itself, whoever refers to it
        if key in self.known:
            return
        self.known[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, key).atexit = False

    def _gone(self, key: int) -> None:
        self.now -= self.known.pop(key)


def _alone(_: int) -> TrialLayout:
    """Return the layout of one trial."""
    place = np.zeros(1, int)
    return TrialLayout((1,), place, (0,), place, place)


Numbers: TypeAlias = "dict[str, float]"


@lru_cache(maxsize=16)
def parted(family: TorchFamily[Any], problem: Problem, data_seed: int, *, step: bool) -> bool:
    """Return whether a recorded point, or a step, can be computed some examples at a time.

    It can where all results are means over parts of the examples, which is tried on a few. It
    cannot where examples depend on each other, as in batch norm while training, nor where numbers
    are drawn or buffers move.
    """
    data = load(problem, data_seed)
    if data.examples < 2 * FEWEST:
        return False
    try:
        start = _moved(family.starting_point(problem, data, 0))
        build = _builder(family, problem, data_seed)
        chosen = _unlike(data)
        known = family.each_by_itself(problem, _chosen(data, chosen), start, training=step)
        if known is not None:
            return known
        whole, one, other = (
            _tried(build, _chosen(data, places), start, step=step)
            for places in (chosen, chosen[:FEWEST], chosen[FEWEST:])
        )
    except Exception:  # noqa: BLE001 -- the run tells of it
        return False
    return all(
        math.isclose(whole[name], (one[name] + other[name]) / 2, rel_tol=SAME, abs_tol=SAME**2)
        for name in whole
    )


def each_by_itself(problem: Network, data: Data, start: Params, *, training: bool) -> bool:
    """Return whether a network's outputs for its first examples are the same among others.

    Then gradients and metrics are, too, if its criterion adds up; this takes less to compute.
    """
    device = Torch("float64")
    network = PureModule(module_of(problem, data), name_of(problem), device)
    params = {name: device.array(array) for name, array in start.items()}
    x = device.array(data.train["x"])
    network.begin(0, 0)
    rounding = rounding_of(network.module)
    ways: list[AbstractContextManager[None]] = [nullcontext()]
    if rounding:
        ways.append(rounding.switched_on())
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for way in ways:
            with way:
                z, held = network(params, network.buffers, x, training=training)
                own, _ = network(params, network.buffers, x[:FEWEST], training=training)
            if any(not torch.equal(a, network.buffers[name]) for name, a in held.items()):
                return False
            if not torch.allclose(own, z[:FEWEST], rtol=SAME, atol=SAME * float(z.abs().max())):
                return False
    return True


def _unlike(data: Data) -> NDArray[np.int64]:
    """Return indices of a few examples to try: the last ones have other targets than the first.

    A loss with class weights is a mean over parts if all parts have the same class.
    """
    spread = np.linspace(0, data.examples - 1, 2 * FEWEST).astype(np.int64)
    for _, array in sorted(data.train.items(), key=lambda item: item[0] != "y"):
        if array.size == len(array) and array.dtype.kind in "iufb":  # a number an example
            return np.argsort(array.ravel(), kind="stable")[spread]
    return spread


def _chosen(data: Data, places: NDArray[np.int64]) -> Data:
    """Return data with some training examples alone, given by their indices."""
    train = {name: array[places] for name, array in data.train.items()}
    return Subset(train, {}, data.constants, whole_of(data))


def _moved(start: Params) -> Params:
    """Return starting points with small random changes: few numbers are 0, as in training."""
    rng = np.random.default_rng(0)
    return {name: a + 0.01 * rng.standard_normal(np.shape(a)) for name, a in start.items()}


def _tried(build: Build, few: Data, start: Params, *, step: bool) -> Numbers:
    """Return the values of a point, or the gradient of a step and whether buffers moved."""
    program = build(few, Torch("float64"))
    params, held = program.start([start]), program.buffers
    if step:
        slopes = program.gradient(params, None)
        moves = {f"moved {n}": abs(a - held[n]).sum() for n, a in program.buffers.items()}
        # A buffer that moved gives nan, which equals no mean.
        found = {name: math.nan if float(by) else 0.0 for name, by in moves.items()}
    else:
        point = program.evaluate(params)
        slopes, found = point.gradient, {n: float(v) for n, v in point.values.items()}
        del found["grad_norm"]
    return found | {f"slope {name}": _seen(array) for name, array in slopes.items()}


def _seen(array: torch.Tensor) -> float:
    """Return one number that depends on every element, linearly."""
    weights = torch.linspace(1, 2, array.numel(), dtype=array.dtype).sin_()
    return float(array.flatten() @ weights)


def _trained(data: Data, first: int, last: int) -> Data:
    """Return data with the training examples first..last-1 alone."""
    return replace(some_of(data, first, last), test={})
