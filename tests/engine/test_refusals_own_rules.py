"""Whether a rule of one's own can be computed for many trials at once is found by trying it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdcli import trees
from gdcli.catalog.catalog import OPTIMIZERS
from gdcli.engine.own_methods import why_not_mapped
from gdcli.engine.refusals import check_own_rule, why_alone, why_not_elementwise
from gdcli.errors import UserError
from gdcli.method import Method
from gdcli.optimizer import Optimizer, State

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class Plain(Optimizer):
    """Momentum, as the rules of gdcli are."""

    beta: float = 0.5

    def init(self, param: Array) -> State:
        return {"velocity": 0.0 * param}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        velocity = self.beta * state["velocity"] + grad
        return velocity, {"velocity": velocity}


@dataclass(frozen=True)
class Centred(Plain):
    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        return grad - grad.mean(), state


@dataclass(frozen=True)
class Late(Plain):
    """One that mixes coordinates in its third step alone."""

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        return (grad / abs(grad).max() if step == 3 else grad), state


@dataclass(frozen=True)
class Clipped(Plain):
    """One that mixes coordinates where they are large."""

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        return grad * min(1.0, 100 / float((grad**2).sum() ** 0.5)), state


@dataclass(frozen=True)
class Checked(Plain):
    """One that stands still where a number is not finite, in all coordinates."""

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        return (grad if np.isfinite(grad).all() else 0.0 * param), state


@dataclass(frozen=True)
class Options(Plain):
    """One that takes an option for a number."""

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        return (grad if self.beta > 0.1 else -grad), state


@dataclass(frozen=True)
class Scalar(Plain):
    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        return grad, {"velocity": (grad**2).sum()}


@dataclass(frozen=True)
class Growing(Plain):
    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        return grad, {**state, str(step): grad}


MIXED = "a coordinate by itself takes another direction than among others"
FOUND = {
    Plain: None,
    Centred: MIXED,
    Late: MIXED,
    Clipped: MIXED,
    Checked: MIXED,
    Options: "it cannot take arrays of several trials: ",
    Scalar: "its velocity has not the shape of the parameter",
    Growing: "the names in its state change from step to step",
}


@pytest.mark.parametrize("kind", FOUND)
def test_what_is_not_elementwise_is_found(kind: type[Plain]) -> None:
    why, expected = why_not_elementwise(kind()), FOUND[kind]
    assert why_alone(kind()) == why
    assert why is None if expected is None else (why or "").startswith(expected)


@dataclass(frozen=True)
class Descent(Method):
    """A method that can be mapped."""

    share: float = 0.5

    def init(self, params: Any, about: Any) -> Any:
        """Start with the mean at 0, in a dictionary within the state."""
        return {"deep": {"mean": trees.zeros(params)}}

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Return a mean, scaled by a norm."""
        mean = trees.mixed(state["deep"]["mean"], ask(params)[1], self.share)
        return trees.scaled(1 / (1e-3 + trees.norm(mean)), mean), {"deep": {"mean": mean}}


@dataclass(frozen=True)
class Curved(Descent):
    """A method that asks for products of every kind."""

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Return a product of a product."""
        _, gradient = ask(params)
        bent = ask.gauss_newton_product(params, ask.hessian_product(params, gradient))
        return trees.add(gradient, bent), state


@dataclass(frozen=True)
class Item(Descent):
    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        loss, gradient = ask(params)
        return trees.scaled(loss.item(), gradient), state


@dataclass(frozen=True)
class Listed(Descent):
    def step(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        return params, {"deep": [*params.values()]}


MAPPED: dict[type[Method], str | None] = {
    Descent: None,
    Curved: None,
    Item: "torch.func.vmap cannot map it: ",
    Listed: "torch.func.vmap cannot map it: ",
}


@pytest.mark.parametrize("kind", MAPPED)
def test_what_cannot_be_mapped_is_found(kind: type[Method]) -> None:
    why, expected = why_not_mapped(kind()), MAPPED[kind]
    assert why_alone(kind()) == why
    assert why is None if expected is None else (why or "").startswith(expected)


@dataclass(frozen=True)
class Remembering(Plain):
    """One that keeps its mean on itself."""

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        mean = 0.5 * vars(self).get("mean", 0.0 * grad) + grad
        object.__setattr__(self, "mean", mean)
        return mean, state


HELD: dict[str, Any] = {}


@dataclass(frozen=True)
class RememberingMethod(Descent):
    """One that keeps its mean in its module."""

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        gradient = ask(params)[1]
        HELD["mean"] = trees.add(gradient, HELD.get("mean", gradient), 0.5)
        return HELD["mean"], state


@dataclass(frozen=True)
class Noisy(Plain):
    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        return grad + np.random.standard_normal(grad.shape), state  # noqa: NPY002 -- as users do


@dataclass(frozen=True)
class OnlyNumPy(Plain):
    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        return np.multiply(grad, np.ones(grad.shape)), state


@pytest.mark.parametrize("kind", [Remembering, RememberingMethod])
def test_a_rule_that_keeps_numbers_outside_its_state_is_refused(kind: type[Any]) -> None:
    with pytest.raises(UserError) as caught:
        check_own_rule(kind(), torch=False)
    (line,) = caught.value.lines
    assert "keeps numbers outside its state: from one start it goes two ways; keep them" in line


@pytest.mark.parametrize("kind", [*FOUND, *MAPPED, Noisy])
def test_other_rules_are_not_refused(kind: type[Any]) -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    check_own_rule(kind(), torch=False)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]  # noqa: NPY002


def test_a_rule_of_numpy_is_refused_where_it_is_given_tensors() -> None:
    check_own_rule(OnlyNumPy(), torch=False)
    with pytest.raises(UserError) as caught:
        check_own_rule(OnlyNumPy(), torch=True)
    (line,) = caught.value.lines
    assert " is given torch tensors here, and fails: " in line
    assert line.endswith("; compute by operators, or by xp = gdcli.arrays.namespace(grad)")


def test_gdclis_own_rules_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(*_: Any) -> str:
        return "it is tried"

    monkeypatch.setattr("gdcli.engine.refusals.why_not_elementwise", tried)
    monkeypatch.setattr("gdcli.engine.own_methods.why_not_mapped", tried)
    why_alone.cache_clear()
    for name in ("adam", "muon", "muon+adamw+ema"):
        assert why_alone(OPTIMIZERS.find(name, "")()) is None
    assert why_alone(Plain()) == "it is tried"
    assert why_alone(Descent()) == "it is tried"
    why_alone.cache_clear()
