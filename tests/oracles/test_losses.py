"""Rules that see the loss of the batch, and optax or pytorch_optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import optax
import pytest
import pytorch_optimizer
import torch
from pytorch_optimizer.optimizer import alig

from gdcli.optimizers.alig import ALIG
from gdcli.optimizers.momo import MoMo
from gdcli.optimizers.momo_adam import MoMoAdam
from gdcli.optimizers.polyak import Polyak
from tests.optimizers.oracle import furthest, ours, start, theirs
from tests.oracles import in_optax

if TYPE_CHECKING:
    from gdcli.method import Method

DECAYS = pytest.mark.parametrize("decay", [0.0, 0.1])


@DECAYS
@pytest.mark.parametrize(
    ("lr", "fields"),
    [(1.0, {}), (0.1, {"c": 0.5}), (0.3, {"lower_bound": 1.2, "c": 0.5}), (0.3, {"c": 5.0})],
)
def test_polyak(lr: float, fields: dict[str, float], decay: float) -> None:
    """optax multiplies the gradient by `scaling`, and then divides by the square of its norm."""
    c, bound = fields.get("c", 1.0), fields.get("lower_bound", 0.0)
    reference = optax.polyak_sgd(max_learning_rate=lr / c, scaling=c, f_min=bound, variant="sps+")
    theirs_at = in_optax.theirs(reference, decay=decay)
    assert furthest(ours(Polyak(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-4


@DECAYS
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (1.0, {}),
        (0.05, {"beta": 0.5}),
        (0.3, {"lower_bound": 0.9, "beta": 0.0}),
        (0.5, {"lower_bound": 0.5, "adapt_lower_bound": True}),
        (0.2, {"lower_bound": -1.0, "adapt_lower_bound": True}),
    ],
)
def test_momo(lr: float, fields: dict[str, Any], decay: float) -> None:
    theirs_at = in_optax.theirs(optax.contrib.momo(lr, weight_decay=decay, **fields))
    assert furthest(ours(MoMo(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-4


@DECAYS
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (1e-2, {}),
        (0.05, {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}),
        (0.1, {"lower_bound": 0.9}),
        (0.1, {"lower_bound": 0.5, "adapt_lower_bound": True}),
        (0.05, {"lower_bound": -1.0, "adapt_lower_bound": True}),
    ],
)
def test_momo_adam(lr: float, fields: dict[str, Any], decay: float) -> None:
    words = {"beta1": "b1", "beta2": "b2"}
    given = {words.get(name, name): value for name, value in fields.items()}
    theirs_at = in_optax.theirs(optax.contrib.momo_adam(lr, weight_decay=decay, **given))
    assert furthest(ours(MoMoAdam(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-4


@DECAYS
@pytest.mark.parametrize("fields", [{}, {"eps": 1e-2, "lower_bound": 1.2}])
def test_alig_without_momentum(fields: dict[str, float], decay: float) -> None:
    bound, eps = fields.get("lower_bound", 0.0), fields.get("eps", 1e-5)
    reference = optax.polyak_sgd(0.1, f_min=bound, eps=eps, variant="sps+")
    theirs_at = in_optax.theirs(reference, decay=decay)
    assert furthest(ours(ALIG(weight_decay=decay, **fields), 0.1), theirs_at) < 1e-10


@pytest.mark.parametrize(
    ("rule", "reference"),
    [
        (Polyak(), optax.polyak_sgd(max_learning_rate=1.0)),
        (MoMo(), optax.contrib.momo(1.0)),
    ],
    ids=["polyak", "momo"],
)
@pytest.mark.parametrize("slope", [0.0, 1e-9])
def test_small_gradients_make_steps(rule: Method, reference: Any, slope: float) -> None:
    """optax makes none where the square of the gradient is less than its precision."""
    params = {"x": torch.tensor([2.0], dtype=torch.float64)}
    grad = {"x": torch.tensor([slope], dtype=torch.float64)}
    ask: Any = lambda _: (torch.tensor(1.0, dtype=torch.float64), grad)  # noqa: E731
    lr = torch.tensor(1.0, dtype=torch.float64)
    moved, _ = rule.step(params, rule.init(params, ask), ask, lr, 1)
    here = jax.numpy.asarray([2.0])
    state = reference.init(here)
    updates, _ = reference.update(jax.numpy.asarray([slope]), state, here, value=1.0)
    assert float(updates[0]) == 0
    assert float(moved["x"] - params["x"]) == pytest.approx(-slope, abs=1e-15)


def in_float64(groups: list[dict[str, Any]]) -> torch.Tensor:
    """Return the squared norm of the gradient, not rounded."""
    grads = [p.grad for group in groups for p in group["params"]]
    squares = [g.square().sum() for g in grads if g is not None]
    return torch.stack(squares).sum().reshape(1)


@pytest.mark.parametrize(("lr", "beta"), [(0.1, 0.0), (0.1, 0.9), (0.02, 0.5)])
def test_alig(monkeypatch: pytest.MonkeyPatch, lr: float, beta: float) -> None:
    """The package rounds the squared norm to float32: with more digits, it is the rule."""
    mine = ours(ALIG(beta=beta, eps=1e-6), lr)

    class Theirs(pytorch_optimizer.AliG):
        """The package calls the closure without gradients."""

        def step(self, closure: Any = None) -> Any:
            loss = closure().detach()
            return super().step(lambda: loss)

    def make(params: list[torch.Tensor]) -> Any:
        return Theirs(params, max_lr=lr, momentum=beta)

    assert furthest(mine, theirs(make)) < 1e-5
    monkeypatch.setattr(alig, "get_global_gradient_norm", in_float64)
    assert furthest(mine, theirs(make)) < 1e-10
