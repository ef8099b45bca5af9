"""What a network's outputs cost: stacked criteria, and the criterion of one trial.

The outputs of stacked criteria have shape (trials, outputs, batch); targets have shape (trials or
1, outputs, batch), one-hot for cross_entropy.
"""

from __future__ import annotations

import copy
import inspect
import math
import warnings
from abc import ABC, abstractmethod
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import torch
from torch.nn import functional

from gdcli.catalog.catalog import name_of
from gdcli.engine.device import Torch
from gdcli.engine.examples import load
from gdcli.engine.initial import module_of
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import criterion_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from gdcli.problem import Data, Network

    Function = Callable[..., Any]

Measures: TypeAlias = "dict[str, Tensor]"


class Criterion(ABC):
    """A criterion of stacked networks; each quantity is computed only where it is needed."""

    @abstractmethod
    def cost(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the costs summed over the batch, shape (trials,)."""

    @abstractmethod
    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the derivative of the summed cost with respect to z."""

    @abstractmethod
    def costs(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the cost of each example, shape (trials, batch)."""

    def probabilities(self, z: Tensor) -> Tensor | None:
        """Return the probability of each class, of the shape of z; None: no classifier."""
        return None

    def scores(self, z: Tensor, y: Tensor) -> Measures:
        """Return measures by name, summed over the batch, shape (trials,)."""
        return {}


class CrossEntropy(Criterion):
    """Minus the log of the softmax at the right class."""

    def cost(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the summed cross-entropies."""
        return -(torch.log_softmax(z, 1) * y).sum((1, 2))

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the predicted probabilities minus the targets."""
        return self.probabilities(z) - y

    def costs(self, z: Tensor, y: Tensor) -> Tensor:
        """Return each example's cross-entropy."""
        return -(torch.log_softmax(z, 1) * y).sum(1)

    def probabilities(self, z: Tensor) -> Tensor:
        """Return the softmax of the outputs."""
        return torch.softmax(z, 1)

    def scores(self, z: Tensor, y: Tensor) -> Measures:
        """Return in how many examples no other class has as large an output as the right one.

        Comparisons run over the whole batch at once; an argmax over the outputs does not.
        """
        return {"accuracy": self.right(z, y).sum(1).to(z.dtype)}

    def right(self, z: Tensor, y: Tensor) -> Tensor:
        """Return which examples are classified rightly, (trials, batch)."""
        right = (z * y).sum(1, keepdim=True)
        return (z >= right).sum(1) == 1


class WeightedCrossEntropy(CrossEntropy):
    """The cross-entropy, times the weight of the right class."""

    def __init__(self, weights: Tensor) -> None:
        """Take the weight of each class, shape (outputs,)."""
        self.weights = weights

    def cost(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the summed cross-entropies."""
        return self.costs(z, y).sum(1)

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the weighted slopes."""
        return super().slope(z, y) * (self.weights @ y)[:, None]

    def costs(self, z: Tensor, y: Tensor) -> Tensor:
        """Return each example's cross-entropy."""
        return super().costs(z, y) * (self.weights @ y)


class SquaredError(Criterion):
    """The squared error, averaged over the outputs."""

    def cost(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the summed errors."""
        return (z - y).square().sum((1, 2)) / z.shape[1]

    def costs(self, z: Tensor, y: Tensor) -> Tensor:
        """Return each example's error."""
        return (z - y).square().sum(1) / z.shape[1]

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        """Return 2 (z - y) over the number of outputs."""
        return (z - y) * (2 / z.shape[1])


CRITERIA: dict[str, Criterion] = {"cross_entropy": CrossEntropy(), "mse": SquaredError()}


def one_hot(classes: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """Return class indices (examples,) as one-hot columns of `count` numbers."""
    return torch.nn.functional.one_hot(classes.long(), count).to(dtype)


# Names of functions and modules. The targets of these may be classes,
OF_CLASSES = {"cross_entropy", "nll_loss", "multi_margin_loss"}
OF_CLASSES |= {"CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"}
# those of these are integers,
OF_INTEGERS = {"multilabel_margin_loss", "MultiLabelMarginLoss"}
# and these leave one class out of the mean.
IGNORING = {"cross_entropy", "nll_loss", "CrossEntropyLoss", "NLLLoss"}
IGNORED = -100  # unless the criterion says otherwise
MEAN = 2  # arguments of a loss that is a mean over examples: outputs and targets
LONGEST = 100  # characters of torch's own words
SEEN, TRIED = 2, 256  # examples
SAME = 1e-6  # of two ways to add up a mean in float64


class TrialCriterion:
    """The criterion of one trial: torch's or the user's own mean over examples or their places."""

    def __init__(
        self, problem: Network, device: Torch | None = None, weights: Tensor | None = None
    ) -> None:
        """Find the function; raises UserError where there is none of the problem's name for it.

        `weights`: what an example of each class counts.
        """
        self.weights = weights
        given: Any = problem.criterion  # what a user wrote may be of any type
        if isinstance(given, str):
            self.name = {"mse": "mse_loss"}.get(given, given)
            self.function = cast("Function", getattr(functional, self.name, None))
            if not _is_loss(self.function):
                what = f"its criterion {show(given)} is not a loss of outputs and targets"
                fix = "name one of torch.nn.functional, such as cross_entropy, mse, smooth_l1_loss"
                raise UserError(name_of(problem), what, fix)
        elif callable(given):
            self.name = criterion_name(given)
            self.function = _placed(_unbound(problem, given), device or Torch("float32"))
        else:
            fix = "name a loss of torch.nn.functional, or give a function of outputs and targets"
            raise UserError(name_of(problem), f"its criterion {show(str(given))} is none", fix)
        self.named = isinstance(given, str)
        self.known = self.named or _of_torch(self.function)

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the mean cost."""
        z, y = self.aligned(z, y)
        if self.weights is None:
            return cast("Tensor", self.function(z, y))
        return self._weighted(z, y).sum() / (y >= 0).sum()

    def _weighted(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the weighted cost of each example or place, 0 where the target does not count."""
        weights = cast("Tensor", self.weights)
        more = z.shape[1] - len(weights)  # outputs that no example is of
        weights = torch.cat([weights, weights.new_ones(more)]) if more > 0 else weights
        return functional.cross_entropy(z, y, weight=weights, reduction="none")

    def of_each(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the mean cost of each example, shape (examples,)."""
        z, y = self.aligned(z, y)
        if not self.named:
            places = range(len(y))
            return torch.stack([self.function(z[i : i + 1], y[i : i + 1]) for i in places])
        if self.weights is None:
            costs = self.function(z, y, reduction="none")
        else:
            costs = self._weighted(z, y)
        return cast("Tensor", costs.flatten(1).mean(1) if costs.ndim > 1 else costs)

    def of_drawn(self, z: Tensor, y: Tensor, race: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean cross-entropy at labels drawn from the softmax of z, and their number.

        race: exponential numbers of z's shape. Targets that are ignored stay so.
        """
        z, y = self.aligned(z, y)
        labels = (torch.softmax(z.detach(), 1) / race).argmax(1)
        counts = torch.ones_like(labels, dtype=torch.bool)
        if not y.is_floating_point():
            counts = y != self.ignored
            labels = torch.where(counts, labels, y)
        return functional.cross_entropy(z, labels), counts.sum().to(z.dtype)

    def per_label(self, problem: Network, data: Data) -> tuple[int, ...]:
        """Return the shape of an example's outputs: classes first, then places."""
        z, y = _outputs(problem, data), torch.from_numpy(data.train["y"][:SEEN].copy())
        return tuple(self.aligned(z, y)[0].shape[1:])

    def right(self, z: Tensor, y: Tensor) -> Tensor:
        """Return where the largest output is the target's, and which targets count at all."""
        z, y = self.aligned(z, y)
        counts = torch.ones_like(y, dtype=torch.bool)
        if y.is_floating_point():
            return torch.stack([z.argmax(1) == y.argmax(1), counts[:, 0]])
        counts = y != self.ignored
        return torch.stack([(z.argmax(1) == y) & counts, counts])

    @property
    def ignored(self) -> int:
        """The class index that the criterion ignores."""
        keywords = getattr(self.function, "keywords", {})  # of a functools.partial
        found = keywords.get("ignore_index", getattr(self.function, "ignore_index", IGNORED))
        return cast("int", found)

    def hits(self, z: Tensor, y: Tensor) -> Tensor:
        """Return for how many targets of each class the largest output is right, (classes,)."""
        z, y = self.aligned(z, y)
        if y.is_floating_point():
            y = y.argmax(1)
        right = (z.argmax(1) == y) & (y >= 0)
        classes = functional.one_hot(y.clamp(min=0), z.shape[1])
        return (classes * right[..., None]).flatten(0, -2).sum(0)

    def aligned(self, z: Any, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and targets in torch's layout: classes second, one number for each output.

        A user's own function is given both as they are. Raises ValueError for shapes that do not
        fit.
        """
        if not isinstance(z, torch.Tensor):
            what = f"{self.name} has no tensor of outputs, but {type(z).__name__}"
            raise ValueError(what)  # noqa: TRY004 -- as for what else does not fit
        if not self.known:
            return z, y
        if self.name in OF_CLASSES and not y.is_floating_point():
            y = y.long()
            if len(z) == len(y) and z.ndim == y.ndim + 1:
                if z.shape[2:] == y.shape[1:]:
                    return z, y
                if z.shape[:-1] == y.shape:
                    return z.movedim(-1, 1), y
            fix = "(examples, classes, ...) or (examples, ..., classes) and (examples, ...)"
        else:
            y = y.long() if self.name in OF_INTEGERS else y.to(z.dtype)
            if z.shape == y.shape:
                return z, y
            if z.shape == (*y.shape, 1):
                return z, y[..., None]
            fix = "targets of the shape of the outputs"
        shapes = f"outputs of shape {tuple(z.shape)} and targets of shape {tuple(y.shape)}"
        raise ValueError(f"{self.name} has {shapes}: it takes {fix}")

    def check_classes(self, data: Data, classes: int) -> None:
        """Raise ValueError where a class has no output; there are `count` outputs."""
        for y in (part["y"] for part in (data.train, data.test) if part):
            if y.dtype.kind == "f" or not y.size:
                continue
            counted = y[y != self.ignored] if self.name in IGNORING else y
            low, high = int(counted.min(initial=0)), int(counted.max(initial=0))
            if low < 0 or high >= classes:
                which = low if low < 0 else high
                known = f"the classes are 0 to {classes - 1}, one an output"
                left_out = f", and {self.ignored} counts nowhere" if self.name in IGNORING else ""
                raise ValueError(f"{self.name} has the class {which}: {known}{left_out}")


def _unbound(problem: Network, given: Function) -> Function:
    """Return a function of two arguments that is a class attribute, not as a bound method."""
    if not inspect.ismethod(given) or given.__self__ is not problem:
        return given
    return given.__func__ if len(_needed(given.__func__)) == MEAN else given


def _placed(function: Function, device: Torch) -> Function:
    """Return a function whose own tensors, such as class weights, are on the trial's device."""
    dtype = getattr(torch, device.dtype)
    if isinstance(function, torch.nn.Module):
        return copy.deepcopy(function).to(device.name, dtype)
    if isinstance(function, partial):
        own = {
            name: value.to(device.name, dtype if value.is_floating_point() else None)
            if isinstance(value, torch.Tensor)
            else value
            for name, value in function.keywords.items()
        }
        return partial(function.func, *function.args, **own)
    return function


def _of_torch(function: Function) -> bool:
    """Return whether a function, a module or a partial is one of torch's losses."""
    made_of = getattr(function, "func", function)
    known = made_of if inspect.isfunction(made_of) else type(made_of)
    return known.__module__ in {"torch.nn.functional", "torch.nn.modules.loss"}


def _needed(function: Function) -> list[str]:
    known = inspect.signature(function).parameters
    return [name for name, p in known.items() if p.default is p.empty]


def _is_loss(function: object) -> bool:
    """Return whether a function takes outputs and targets, and averages by itself."""
    if not inspect.isfunction(function) or function.__name__.startswith("_"):
        return False
    known, needed = inspect.signature(function).parameters, _needed(function)
    reduces = "reduction" in known and known["reduction"].default == "mean"
    return reduces and len(needed) == MEAN and needed[1] == "target"


@lru_cache(maxsize=16)
def check_criterion(problem: Network, data_seed: int) -> None:
    """Raise UserError for a network whose outputs and targets do not fit its criterion.

    The check computes two examples. Targets without classes cannot be weighed by them, which is an
    error, too. A network that raises is left to the run, which reports it.
    """
    cost, data = TrialCriterion(problem), load(problem, data_seed)
    if "y" not in data.train or data.train["y"].dtype.kind not in "iufb":
        held = f"targets of type {data.train['y'].dtype}" if "y" in data.train else 'no "y"'
        fix = 'give classes as integers, or targets as numbers, as "y"'
        raise UserError(name_of(problem), f"its examples have {held}", fix)
    if problem.weighs and data.train["y"].dtype.kind == "f":
        what = "its targets are shares of the classes, and not one class each"
        raise UserError("--class-weights", what, "give class indices as targets, or leave it out")
    try:
        z = _outputs(problem, data)
    except UserError:
        raise
    except Exception:  # noqa: BLE001 -- the run tells of it
        return
    fix = "mend the module or the targets, or take another criterion"
    try:
        y = torch.from_numpy(data.train["y"][:SEEN].copy())
        _check_cost(cost, z, y)
        if cost.known and cost.name in OF_CLASSES:
            cost.check_classes(data, cost.aligned(z, y)[0].shape[1])
    except ValueError as error:
        raise UserError(name_of(problem), str(error), fix) from None


def _outputs(problem: Network, data: Data) -> Any:
    """Return the outputs of a new network for two examples.

    Raises UserError for a network that changes its inputs.
    """
    x = torch.from_numpy(data.train["x"][:SEEN].copy())
    x = x.to(torch.get_default_dtype()) if x.is_floating_point() else x
    module = module_of(problem, data).eval()
    before = x.clone()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        z = module(x)
    if not torch.equal(x.nan_to_num(), before.nan_to_num()):
        what = (
            "its module changes the examples in place, and every later pass would see them changed"
        )
        raise UserError(name_of(problem), what, "have `forward` begin with a copy: x = x.clone()")
    return z


def _check_cost(cost: TrialCriterion, z: Any, y: Tensor) -> None:
    """Raise ValueError for a criterion that refuses, or repeats, some outputs or targets."""
    cost.aligned(z, y)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run warns of what else there is
            warnings.filterwarnings("error", message="Using a target size")
            found: Any = cost(z, y)
    except Exception as error:
        what = " ".join(str(error).split())[:LONGEST]
        raise ValueError(f"{cost.name} cannot be computed ({what})") from error
    if not isinstance(found, torch.Tensor) or found.ndim or not found.is_floating_point():
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise ValueError(f"{cost.name} gives {shape}, which is not a mean over examples")


@lru_cache(maxsize=16)
def adds_up(problem: Network, data_seed: int) -> bool:
    """Return whether the mean cost of all examples is the mean of those of parts of them.

    It is not where the criterion ignores a class. A criterion that is given as a function is tried:
    classes may have weights, or costs may be summed.
    """
    cost, data = TrialCriterion(problem, Torch("float64")), load(problem, data_seed)
    targets = [part["y"] for part in (data.train, data.test) if part]
    if cost.name in IGNORING and any((y == cost.ignored).any() for y in targets):
        return False
    if cost.named:
        return True
    try:
        like = _outputs(problem, data).shape[1:]
        return all(_is_mean_of_parts(cost, like, y) for y in targets)
    except Exception:  # noqa: BLE001 -- the run tells of it
        return False


def _is_mean_of_parts(cost: TrialCriterion, like: torch.Size, y: NDArray[Any]) -> bool:
    """Return whether the cost of drawn outputs and some targets is the mean of its parts."""
    order = np.argsort(y, kind="stable") if y.ndim == 1 else np.arange(len(y))
    # In this order the parts have other classes.
    chosen = y[order[np.linspace(0, len(y) - 1, min(len(y), TRIED)).astype(int)]]
    count, targets = len(chosen), torch.from_numpy(chosen)
    if targets.is_floating_point():
        targets = targets.double()
    # Between 0 and 1, which every loss takes.
    z = torch.from_numpy(np.random.default_rng(0).uniform(0.1, 0.9, (count, *like)))
    whole = float(cost(z, targets))
    for cut in (count // 2, count // 4):
        if cut:
            parts = [float(cost(z[s], targets[s])) for s in (slice(cut), slice(cut, None))]
            mean = (cut * parts[0] + (count - cut) * parts[1]) / count
            if not math.isclose(whole, mean, rel_tol=SAME, abs_tol=SAME**2):
                return False
    return True
