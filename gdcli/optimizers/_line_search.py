"""Line searches, and the loss of a batch at points that are flat vectors.

All of it is code for one trial, or for several on axes in front: each trial of a stack ends its
search by itself, and is not charged for what the others go on to ask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import torch
from annotated_types import Ge, Gt, Lt

from gdcli.arrays import spread
from gdcli.mapped import together
from gdcli.method import About, Ask, Method, State
from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from collections.abc import Callable


Decrease: TypeAlias = Annotated[
    float, "share of the decrease that the slope foretells that a step must reach", Gt(0), Lt(1)
]
Points: TypeAlias = Annotated[int, "largest number of points tried in one search", Ge(1)]


@dataclass(frozen=True)
class Batch:
    """The loss of a step's batch at flat vectors, with the weight decay of a rule as its part."""

    rule: Method
    ask: Ask
    like: Params  # names and shapes
    front: int = 0  # axes ahead of those of one trial; scalars have them alone

    def vector(self, tree: Params) -> Array:
        """Return all parameters as one vector, shape (..., n)."""
        arrays = (tree[name] for name in self.like)
        return torch.cat([a.reshape(*a.shape[: self.front], -1) for a in arrays], dim=-1)

    def params(self, vector: Array) -> Params:
        """Return a vector as parameters."""
        sizes = [math.prod(param.shape[self.front :]) for param in self.like.values()]
        shaped = zip(self.like.items(), vector.split(sizes, -1), strict=True)
        return {name: part.reshape(param.shape) for (name, param), part in shaped}

    def slopes(self, x: Array) -> tuple[Array, Array]:
        """Return loss and gradient."""
        loss, grad = self.ask(self.params(x))
        slope = self.vector(grad)
        if not self.rule.decays:
            return loss, slope
        decay = self.rule.weight_decay
        return loss + 0.5 * decay * (x * x).sum(-1), slope + spread(decay, x) * x

    def begun(self, x: Array, state: State, step: int) -> tuple[Array, Array]:
        """Return loss and gradient at the start of a step.

        Where every step has the same batch, they are those that the last search ended with.
        """
        if self.ask.full_batch and step > 1:
            return state["loss"], state["slopes"]
        return self.slopes(x)

    def ended(self, found: SearchEnd) -> State:
        """Return what the next step may begin with."""
        return {"loss": found.loss, "slopes": found.grad} if self.ask.full_batch else {}

    def loss(self, x: Array) -> Array:
        """Return the loss alone."""
        loss = self.ask.loss(self.params(x))
        if not self.rule.decays:
            return loss
        return loss + 0.5 * self.rule.weight_decay * (x * x).sum(-1)

    def hessian_product(self, x: Array, direction: Array) -> Array:
        """Return the Hessian at x times a direction."""
        return self._decayed(self.ask.hessian_product, x, direction)

    def gauss_newton_product(self, x: Array, direction: Array) -> Array:
        """Return the Gauss-Newton matrix at x times a direction."""
        return self._decayed(self.ask.gauss_newton_product, x, direction)

    def _decayed(
        self, product: Callable[[Params, Params], Params], x: Array, direction: Array
    ) -> Array:
        found = self.vector(product(self.params(x), self.params(direction)))
        if not self.rule.decays:
            return found
        return found + spread(self.rule.weight_decay, direction) * direction


class SearchLine(NamedTuple):
    """A line to search: the points x + t * direction."""

    batch: Batch
    x: Array
    loss: Array  # at x
    grad: Array  # at x
    direction: Array
    slope: Array  # of the loss along the direction, at x

    def at(self, t: Array) -> Array:
        """Return the point at t."""
        return torch.addcmul(self.x, self.direction, t[..., None])

    def reached(self, t: Array) -> Array:
        """Return the point at t; x itself where t is 0, whatever the direction holds."""
        return torch.where((t > 0)[..., None], self.at(t), self.x)

    def hopeless(self, first: Array) -> Array:
        """Return whether no decrease can be seen along the line.

        Then the decrease that the slope foretells for the first step is below the rounding of the
        loss, the direction leads uphill, or there are numbers that are not finite.
        """
        return _hopeless(first, self.loss, self.slope)


def line(batch: Batch, x: Array, loss: Array, grad: Array, direction: Array) -> SearchLine:
    """Return the line from x along a direction."""
    return SearchLine(batch, x, loss, grad, direction, (grad * direction).sum(-1))


def _hopeless(first: Array, loss: Array, slope: Array) -> Array:
    return ~(-(first * slope) > _rounding(loss)) | ~loss.isfinite()


def _rounding(loss: Array) -> Array:
    """Return the spacing of numbers at a loss."""
    return torch.finfo(loss.dtype).eps * loss.abs()


def unbegun(vector: Array, about: About) -> State:
    """Return the place for what a search ends with, before the first step."""
    return {"loss": vector.new_zeros(()), "slopes": vector} if about.full_batch else {}


class SearchEnd(NamedTuple):
    """Where a search ended: t is 0, and the rest that of the start, where it found nothing."""

    t: Array
    loss: Array
    slope: Array
    grad: Array


def back_tracking(
    along: SearchLine, first: Array, c: Any, factor: Any, most: int
) -> tuple[Array, Array]:
    """Return the last step tried, and whether it decreases the loss enough (Armijo 1966).

    That is by at least c * t * slope. Each trial step is `factor` times the one before; there are
    at most `most`, and none where the line is hopeless.
    """
    t, done = first, along.hopeless(first)
    found = torch.zeros_like(done)
    for tried in range(most):
        if along.batch.ask.everyone(done):
            break
        there = along.batch.loss(along.at(t))
        enough = ~done & (there <= along.loss + c * t * along.slope)
        found, done = found | enough, done | enough
        if tried < most - 1:
            t = torch.where(done, t, factor * t)
    return t, found


# What a search holds: the lowest point and the other end of its bracket, as `_point` makes them;
# the next trial step; whether it is done, has a bracket, and lies close to an end of it.
Held: TypeAlias = tuple[Array, Array, Array, Array, Array, Array]
# The loss and the slope at the start of the line, its direction, and both constants.
Line: TypeAlias = tuple[Array, Array, Array, Any, Any]


def strong_wolfe(along: SearchLine, first: Array, c1: Any, c2: Any, most: int) -> SearchEnd:
    """Return a step that fulfils the strong Wolfe conditions, after at most `most` trial points.

    These are loss(t) <= loss(0) + c1 * t * slope(0) and |slope(t)| <= c2 * |slope(0)|; with an
    infinite c2 the second always holds, and the first trial point that decreases the loss enough
    is taken. Where no point fulfils them, the lowest point found so far is returned.

    Nocedal and Wright 2006, algorithms 3.5 and 3.6, with the cubic interpolation and the
    safeguards of torch.optim.LBFGS: steps grow at most tenfold, and those within a bracket keep a
    tenth of it away from its ends. Unlike there, the second trial point is already compared with
    the first, as in the book, and a trial ends where its bracket is so narrow that the loss no
    longer changes in it, rather than at a fixed width. A point with a loss that is not finite
    counts as too high.
    """
    low, done = together(_begun, first, along.loss, along.slope, along.grad)
    no = torch.zeros_like(done)
    held: Held = (low, low, first, done, no, no)
    line: Line = (along.loss, along.slope, along.direction, c1, c2)
    for _ in range(most):
        if along.batch.ask.everyone(held[3]):
            break
        held = together(_judged, held, *along.batch.slopes(along.at(held[2])), line)
    low = held[0]
    return SearchEnd(low[..., 0], low[..., 1], low[..., 2], low[..., 3:])


def _begun(first: Array, loss: Array, slope: Array, grad: Array) -> tuple[Array, Array]:
    """Return the start of a line as a point, and whether the line is hopeless."""
    return _point(0 * loss, loss, slope, grad), _hopeless(first, loss, slope)


def _judged(held: Held, loss: Array, grad: Array, line: Line) -> Held:
    """Return what a search holds after the loss and gradient at t; any leading axes."""
    low, high, t, done, bracketed, cramped = held
    loss0, slope0, direction, c1, c2 = line
    slope = (grad * direction).sum(-1)
    new = _point(t, loss, slope, grad)
    lower = loss < low[..., 1]
    decreased = lower & (loss <= loss0 + c1 * t * slope0)
    accepted = decreased & (slope.abs() <= c2 * slope0.abs())
    turned = bracketed & decreased & (slope * (high[..., 0] - low[..., 0]) < 0)
    beyond = _chosen(lower, _chosen(turned, high, low), new)
    low, high = _chosen(lower & ~done, new, low), beyond
    bracketed = bracketed | ~decreased | (slope >= 0)
    t, cramped = _next(low, high, bracketed, cramped)
    narrow = (high[..., 0] - low[..., 0]).abs() * slope0.abs() <= _rounding(loss0)
    return low, high, t, done | accepted | (bracketed & narrow), bracketed, cramped


def _point(t: Array, loss: Array, slope: Array, grad: Array) -> Array:
    """Return what is known of a point of the line as one vector: one choice moves all of it."""
    return torch.cat([torch.stack([t, loss, slope], dim=-1), grad], dim=-1)


def _chosen(condition: Array, a: Array, b: Array) -> Array:
    return torch.where(condition[..., None], a, b)


def _next(low: Array, high: Array, bracketed: Array, cramped: Array) -> tuple[Array, Array]:
    """Return the next trial step, and whether it lies close to an end of its bracket.

    Before there is a bracket, `low` is the last point and `high` the one before.
    """
    low, high = low[..., :3], high[..., :3]
    ordered = low[..., 0] <= high[..., 0]
    left = _chosen(ordered, low, high).unbind(-1)
    right = _chosen(ordered, high, low).unbind(-1)
    a, b = left[0], right[0]
    width = b - a
    # At least a hundredth of the last step further, at most to ten times the last point.
    bottom = torch.where(bracketed, a, b + 0.01 * width)
    top = torch.where(bracketed, b, 10 * b)
    t = _cubic(left, right, bottom, top)
    margin = 0.1 * width
    close = bracketed & (torch.minimum(b - t, t - a) < margin)
    moved = close & (cramped | (t >= b) | (t <= a))
    inner = torch.where((t - b).abs() < (t - a).abs(), b - margin, a + margin)
    return torch.where(moved, inner, t), close & ~moved


def _cubic(left: tuple[Array, ...], right: tuple[Array, ...], bottom: Array, top: Array) -> Array:
    """Return where the cubic through losses and slopes of two points is lowest, within bounds.

    It is the middle of the bounds where there is none (Nocedal and Wright 2006, equation 3.59).
    """
    d1 = left[2] + right[2] - 3 * (left[1] - right[1]) / (left[0] - right[0])
    d2 = (d1 * d1 - left[2] * right[2]).sqrt()  # nan where the cubic has no minimum
    share = (right[2] + d2 - d1) / (right[2] - left[2] + 2 * d2)
    lowest = right[0] - (right[0] - left[0]) * share
    within = torch.minimum(torch.maximum(lowest, bottom), top)
    return torch.where(lowest.isfinite(), within, 0.5 * (bottom + top))
