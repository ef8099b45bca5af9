"""What a problem on torch holds while it is computed, seen on a trial and few examples.

It is counted, tensor by tensor, as torch makes and frees them: no clock, no machine and no other
trial has a part in it, so that what follows from it is the same everywhere.
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
from gdcli.datasets.out_of_core import Part, some_of, whole_of
from gdcli.engine.criteria import adds_up
from gdcli.engine.device import Torch
from gdcli.engine.examples import load
from gdcli.engine.initial import module_of, starting_point
from gdcli.engine.layers.modules import PureModule
from gdcli.engine.layers.quantized import rounding_of
from gdcli.engine.layout import LEAST, Footprint, Lanes, Pieces
from gdcli.engine.programs.program import CHUNK
from gdcli.engine.programs.torch_programs import of_known_layers, program_on_torch
from gdcli.problem import Network, StatefulNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gdcli.experiment.grid import Trial
    from gdcli.problem import Data, Params, Problem

# Bytes of a trial up to which all of its examples are computed at a time, or all of a CHUNK.
WHOLE, OF_A_CHUNK = 2**27, 2**29
PIECE = 2**24  # bytes of a trial that would have more: less take as long, and more a little longer
FEWEST, MOST = 2, 512  # examples that are looked at
LOOK = 2**23  # bytes that a look may take, or little more
KERNELS = 1.1  # what a kernel takes for itself while it runs, over what it is seen to make
SAME = 1e-6  # of two ways to add up a mean in float64


def pieces_of(trial: Trial, data: Data, dtype: str, *, plain: bool) -> Pieces:
    """Return the pieces of a trial: layered networks have CHUNK examples in each as it is.

    `plain`: as the reference computes, which knows no layers.
    """
    problem, data_seed = trial.problem, trial.training.data_seed
    layered = (
        not plain and isinstance(problem, Network) and of_known_layers(problem, data, data_seed)
    )
    each = footprint(problem, data_seed, dtype)
    if each is None:
        return Pieces(CHUNK if layered else None, CHUNK if layered else None)
    if isinstance(problem, StatefulNetwork):
        return Pieces(problem.at_once, None, each)
    if layered:
        point, step = (_fitting(size, CHUNK, OF_A_CHUNK) for size in each)
        return Pieces(point, step, each)
    count = max((len(a) for part in (data.train, data.test) for a in part.values()), default=1)
    if count * max(each) <= WHOLE:
        return Pieces(None, None, each)
    mean = not isinstance(problem, Network) or adds_up(problem, data_seed)
    steps = trial.method == "gd" and mean and parted(problem, data_seed, step=True)
    points = mean and parted(problem, data_seed, step=False)
    return Pieces(
        _fitting(each.point, count, WHOLE) if points else None,
        _fitting(each.step, count, WHOLE) if steps else None,
        each,
    )


def _fitting(size: int, count: int, whole: int) -> int:
    """Return how many examples of so many bytes there are in a piece: `count`, or a power of 2."""
    if size * count <= whole:
        return count
    return max(LEAST, 1 << max((PIECE // size).bit_length() - 1, 0))


@lru_cache(maxsize=16)
def footprint(problem: Problem, data_seed: int, dtype: str) -> Footprint | None:
    """Return what an example takes; None where a trial cannot be computed, as the run will tell."""
    data = load(problem, data_seed)
    try:
        start = starting_point(problem, data, 0)

        def looked(few: int) -> tuple[int, int]:
            return _looked(problem, _trained(data, 0, few), start, dtype, data_seed)

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


def _each(size: int, count: int) -> int:
    """Return the bytes of one example, of so many of theirs."""
    return max(1, int(KERNELS * size / count))


def _looked(problem: Problem, few: Data, start: Params, dtype: str, seed: int) -> tuple[int, int]:
    """Return the bytes that a trial takes at a recorded point and in a step."""
    program = program_on_torch(problem, few, Torch(dtype), alone, seed)
    params = program.start([start])
    point = _most(lambda: program.evaluate(params))
    return point, _most(lambda: program.gradient(params, None))


def _most(compute: Callable[[], Any]) -> int:
    """Return the most bytes of new tensors that there are at a time."""
    with _uncollected(), Count() as count:
        compute()
    most: int = count.most
    return most


@contextmanager
def _uncollected() -> Iterator[None]:
    """Have tensors freed where nothing refers to them, and at no other time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that are made within it while they live."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.most = 0
        self.known: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Have torch.compile not imported, which takes a second: nothing here is compiled."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Compute as without it, and note what is new."""
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


def alone(_: int) -> Lanes:
    """Return lanes of one trial: its bits do not matter here."""
    place = np.zeros(1, int)
    return Lanes((1,), place, (0,), place, place)


Numbers: TypeAlias = "dict[str, float]"


@lru_cache(maxsize=16)
def parted(problem: Problem, data_seed: int, *, step: bool) -> bool:
    """Return whether a recorded point, or a step, may be computed some examples at a time.

    It may where everything is the mean of what it is of parts of the examples, which is tried on a
    few: not where examples have to do with each other, as in batch norm while it trains, nor where
    numbers are drawn or buffers moved.
    """
    data = load(problem, data_seed)
    if data.examples < 2 * FEWEST:
        return False
    try:
        start = _moved(starting_point(problem, data, 0))
        chosen = _unlike(data)
        if isinstance(problem, Network):
            return _each_by_itself(problem, _chosen(data, chosen), start, training=step)
        whole, one, other = (
            _tried(problem, _chosen(data, places), start, data_seed, step=step)
            for places in (chosen, chosen[:FEWEST], chosen[FEWEST:])
        )
    except Exception:  # noqa: BLE001 -- the run tells of it
        return False
    return all(
        math.isclose(whole[name], (one[name] + other[name]) / 2, rel_tol=SAME, abs_tol=SAME**2)
        for name in whole
    )


def _each_by_itself(problem: Network, data: Data, start: Params, *, training: bool) -> bool:
    """Return whether a network makes of its first examples what it makes of them among others.

    Then so are gradients and metrics, where its criterion adds up, and there is less to compute.
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
                z, held = network(params, network.carried, x, training=training)
                own, _ = network(params, network.carried, x[:FEWEST], training=training)
            if any(not torch.equal(a, network.carried[name]) for name, a in held.items()):
                return False
            if not torch.allclose(own, z[:FEWEST], rtol=SAME, atol=SAME * float(z.abs().max())):
                return False
    return True


def _unlike(data: Data) -> NDArray[np.int64]:
    """Return which few examples to try: the last ones have other targets than the first.

    A loss whose classes have weights is a mean over parts where all are of one class.
    """
    spread = np.linspace(0, data.examples - 1, 2 * FEWEST).astype(np.int64)
    for _, array in sorted(data.train.items(), key=lambda item: item[0] != "y"):
        if array.size == len(array) and array.dtype.kind in "iufb":  # a number an example
            return np.argsort(array.ravel(), kind="stable")[spread]
    return spread


def _chosen(data: Data, places: NDArray[np.int64]) -> Data:
    """Return the training examples at some places alone."""
    train = {name: array[places] for name, array in data.train.items()}
    return Part(train, {}, data.constants, whole_of(data))


def _moved(start: Params) -> Params:
    """Return a start where little is 0, as much is where parameters begin."""
    rng = np.random.default_rng(0)
    return {name: a + 0.01 * rng.standard_normal(np.shape(a)) for name, a in start.items()}


def _tried(problem: Problem, few: Data, start: Params, seed: int, *, step: bool) -> Numbers:
    """Return what is recorded at a point, or the gradient of a step and how far buffers move."""
    program = program_on_torch(problem, few, Torch("float64"), alone, seed)
    params, held = program.start([start]), program.carried
    if step:
        slopes = program.gradient(params, None)
        moves = {f"moved {n}": abs(a - held[n]).sum() for n, a in program.carried.items()}
        # What moved is nan, and so no mean.
        found = {name: math.nan if float(by) else 0.0 for name, by in moves.items()}
    else:
        point = program.evaluate(params)
        slopes, found = point.gradient, {n: float(v) for n, v in point.values.items()}
        del found["grad_norm"]
    return found | {f"slope {name}": _seen(array) for name, array in slopes.items()}


def _seen(array: torch.Tensor) -> float:
    """Return one number that all of an array have a part in, linear in it."""
    weights = torch.linspace(1, 2, array.numel(), dtype=array.dtype).sin_()
    return float(array.flatten() @ weights)


def _trained(data: Data, first: int, last: int) -> Data:
    """Return some of the training examples alone."""
    return replace(some_of(data, first, last), test={})
