"""Rules with a memory by example: step by step against scikit-learn or a trace in NumPy.

scikit-learn draws the examples of `sag` and `saga` itself; its data set tells which ones, so that
our rules take the same. Nobody else's SVRG, Katyusha or Finito is at hand: their traces are written
here in NumPy, from the papers, with the whole gradient of every example instead of its slope.
"""

from __future__ import annotations

import csv
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model._base import make_dataset
from sklearn.linear_model._sag import get_auto_step_size, sag_solver
from torch import Tensor

from gdcli.engine.batch import BatchHooks, batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import greatest_bound_of
from gdcli.engine.trial_ask import TrialAsk
from gdcli.optimizers.finito import Finito
from gdcli.optimizers.katyusha import Katyusha
from gdcli.optimizers.sag import Sag
from gdcli.optimizers.saga import Saga
from gdcli.optimizers.svrg import Svrg
from tests.grids import assert_agree, experiment, train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.experiment.grid import Trial
    from gdcli.method import Method
    from gdcli.problem import Params

Vector = NDArray[np.float64]
STEPS, EXAMPLES, FEATURES = 50, 10, 4
CLOSE = 1e-12
RULES: list[Method] = [Svrg(), Sag(), Saga(), Katyusha(), Finito()]
RATES = {"svrg": "0.2", "saga": "0.2", "sag": "0.1", "katyusha": "0.1"}
NAMES = [type(rule).__name__.lower() for rule in RULES]


@dataclass(frozen=True)
class Logistic:
    """l2-regularised logistic regression on a few examples; the last parameter is the bias."""

    x: Vector
    y: Vector
    l2: float

    def gradients(self, w: Vector) -> Vector:
        """Return the gradient of each example's loss, penalty included: (examples, features+1)."""
        ones = np.hstack([self.x, np.ones((len(self.x), 1))])
        residual = 1 / (1 + np.exp(-ones @ w)) - self.y
        return ones * residual[:, None] + self.l2 * np.append(w[:-1], 0.0)

    def ask(self, step: int, chosen: Sequence[int], epoch: int) -> TrialAsk:
        """Return what a rule may ask at a step, counted from 0."""
        x, y = (torch.from_numpy(part) for part in (self.x, self.y))
        order = torch.tensor(chosen)

        def outputs(params: Params, x: Tensor = x[order]) -> Any:
            return x @ params["weight"] + params["bias"]

        def cost(z: Tensor, y: Tensor = y[order]) -> Tensor:
            loss: Tensor = torch.nn.functional.softplus(z[:, 0]) - y * z[:, 0]
            return loss.mean()

        def everything(params: Params) -> tuple[Tensor, Params]:
            leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
            loss = cost(outputs(leaves, x), y) + 0.5 * self.l2 * leaves["weight"].square().sum()
            found = torch.autograd.grad(loss, list(leaves.values()))
            return loss.detach(), dict(zip(leaves, found, strict=True))

        return TrialAsk(
            kind={"weight": "vector", "bias": "bias"},
            horizon=STEPS,
            examples=len(x),
            slopes=lambda _: pytest.fail("the batch's gradient is put together of its slopes"),
            all_slopes=everything,
            differentiable=lambda _: pytest.fail("no rule asks for the loss"),
            size=len(chosen),
            at=step,
            outputs=outputs,
            cost=cost,
            epoch=epoch,
            predictions=1,
            l2=self.l2,
            order=order,
        )


def logistic(l2: float = 0.1) -> Logistic:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((EXAMPLES, FEATURES))
    return Logistic(x, (rng.random(EXAMPLES) < 0.5).astype(float), l2)


def ours(rule: Method, problem: Logistic, lr: float, orders: Sequence[Sequence[int]]) -> Vector:
    """Return where a rule ends that takes the batches in order."""
    params: Params = {
        "weight": torch.zeros(FEATURES, 1, dtype=torch.float64),
        "bias": torch.zeros(1, dtype=torch.float64),
    }
    epoch = EXAMPLES // len(orders[0])
    state = rule.init(params, problem.ask(0, orders[0], epoch))
    rate = torch.tensor(lr, dtype=torch.float64)
    for step, chosen in enumerate(orders):
        ask = problem.ask(step, chosen, epoch)
        params, state = rule.step(params, state, ask, rate, step + 1)
    return np.append(params["weight"].numpy()[:, 0], params["bias"].numpy())


def drawn(size: int, steps: int = STEPS) -> list[list[int]]:
    """Return batches drawn with replacement; some examples are in a batch twice."""
    rng = np.random.default_rng(5)
    return [list(map(int, rng.integers(EXAMPLES, size=size))) for _ in range(steps)]


def assert_close(found: Vector, expected: Vector) -> None:
    assert np.abs(expected).max() > 0.05
    assert np.abs(found - expected).max() <= CLOSE * np.abs(expected).max()


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("rule", [Sag(), Saga()])
def test_sag_and_saga_take_the_steps_of_scikit_learn(rule: Method, l2: float) -> None:
    problem, saga = logistic(l2), isinstance(rule, Saga)
    y = problem.y
    weights, alpha = np.ones(EXAMPLES), l2 * EXAMPLES
    examples, _ = make_dataset(problem.x, y, weights, np.random.RandomState(0))
    orders = [[examples._random_py()[-1]] for _ in range(STEPS)]
    largest = (problem.x**2).sum(1).max()
    lr = get_auto_step_size(
        largest, l2, "log", fit_intercept=True, n_samples=EXAMPLES, is_saga=saga
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected, _, _ = sag_solver(
            problem.x,
            y,
            weights,
            "log",
            alpha,
            max_iter=STEPS // EXAMPLES,
            tol=0.0,
            random_state=np.random.RandomState(0),
            warm_start_mem={"coef": np.zeros((FEATURES + 1, 1))},
            is_saga=saga,
        )
    assert len({index for (index,) in orders}) > EXAMPLES // 2
    assert_close(ours(rule, problem, float(lr), orders), expected)


@pytest.mark.parametrize("decay", [0.0, 0.03])
@pytest.mark.parametrize(("every", "size"), [(0, 1), (7, 1), (0, 5), (4, 5)])
def test_svrg_takes_the_steps_of_its_paper(every: int, size: int, decay: float) -> None:
    problem, orders, lr = logistic(), drawn(size), 0.1
    w = snapshot = np.zeros(FEATURES + 1)
    full = w
    for step, chosen in enumerate(orders):
        if step % (every or EXAMPLES // size) == 0:
            snapshot, full = w, problem.gradients(w).mean(0)
        change = (problem.gradients(w) - problem.gradients(snapshot))[chosen].mean(0)
        w = w - lr * (change + full + decay * w)
    assert_close(ours(Svrg(every=every, weight_decay=decay), problem, lr, orders), w)


@pytest.mark.parametrize("decay", [0.0, 0.03])
@pytest.mark.parametrize(("every", "tau1", "size"), [(0, 0.5, 1), (6, 0.3, 1), (0, 0.2, 5)])
def test_katyusha_takes_the_steps_of_its_paper(
    every: int, tau1: float, size: int, decay: float
) -> None:
    problem, orders, lr, tau2 = logistic(), drawn(size), 0.05, 0.4
    sigma, alpha, length = problem.l2 + decay, lr / tau1, every or 2 * EXAMPLES // size
    y = z = snapshot = np.zeros(FEATURES + 1)
    full, points = y, [y]
    for step, chosen in enumerate(orders):
        if step % length == 0:
            if step:
                theta = (1 + alpha * sigma) ** np.arange(length)
                snapshot = np.average(points[-length:], axis=0, weights=theta)
            full = problem.gradients(snapshot).mean(0)
        x = tau1 * z + tau2 * snapshot + (1 - tau1 - tau2) * y
        change = (problem.gradients(x) - problem.gradients(snapshot))[chosen].mean(0)
        gradient = full + change + decay * x
        z, y = z - alpha * gradient, x - lr * gradient
        points.append(y)
    rule = Katyusha(tau1=tau1, tau2=tau2, every=every, weight_decay=decay)
    assert_close(ours(rule, problem, lr, orders), y)


@pytest.mark.parametrize("decay", [0.0, 0.03])
@pytest.mark.parametrize("size", [1, 3])
def test_finito_takes_the_steps_of_its_paper(size: int, decay: float) -> None:
    problem, orders, lr = logistic(), drawn(size), 0.8
    w, last = np.zeros(FEATURES + 1), dict[int, tuple[Vector, Vector]]()
    for chosen in orders:
        slopes = problem.gradients(w) + decay * w
        last |= {i: (w, slopes[i]) for i in chosen}
        points, gradients = (np.mean(part, axis=0) for part in zip(*last.values(), strict=True))
        w = points - lr * gradients
    assert_close(ours(Finito(weight_decay=decay), problem, lr, orders), w)


@pytest.mark.parametrize("saga", [False, True])
@pytest.mark.parametrize("size", [3, 8])
def test_batches_renew_the_table_of_sag_and_saga_once(size: int, *, saga: bool) -> None:
    problem, orders, lr = logistic(), drawn(size), 0.1
    assert any(len(set(chosen)) < size for chosen in orders)
    w, table = np.zeros(FEATURES + 1), dict[int, Vector]()
    penalty = np.append(np.full(FEATURES, problem.l2), 0.0)
    for chosen in orders:
        slopes = problem.gradients(w) - penalty * w
        change = np.mean([slopes[i] - table.get(i, 0 * w) for i in chosen], axis=0)
        seen = len({*table, *chosen})
        old = sum(table.values(), 0 * w) / seen
        table |= {i: slopes[i] for i in chosen}
        mean = sum(table.values(), 0 * w) / seen
        w = w - lr * ((old + change if saga else mean) + penalty * w)
    assert_close(ours(Saga() if saga else Sag(), problem, lr, orders), w)


SETTINGS: list[dict[str, Any]] = [
    {"method": "sgd", "steps": 30},
    {"method": "minibatch", "batch_size": "16", "order": "replacement", "weight_decay": "0,0.01"},
    {"method": "minibatch", "batch_size": "100", "clip_norm": "0.3", "lr": "0.03,1e30,0.1"},
    {"method": "gd", "steps": 5, "lr": "0.03,0.1,1e30"},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("optimizer", NAMES)
@pytest.mark.parametrize(
    ("problem", "options"),
    [
        ("logistic-regression", {"l2": 0.05, "class-weights": "balanced"}),
        ("softmax-regression", {"dataset": "iris", "l2": 0.05}),
        ("linear-regression", {}),
    ],
)
def test_both_engines_take_the_same_steps(
    problem: str, options: dict[str, Any], optimizer: str, settings: dict[str, Any]
) -> None:
    given = {"optimizer": optimizer, "steps": 12, "record": "4", "lr": "0.03", "seed": "0,1"}
    given |= settings
    assert_agree(
        train(problem, options, **given), train(problem, options, engine="reference", **given)
    )


@pytest.mark.parametrize(
    ("optimizer", "steps", "seen"),
    [
        ("sag", 7, 7 * 16),
        ("saga", 29, 455),
        ("finito", 7, 7 * 16),
        ("svrg", 7, 455 + 2 * 7 * 16),
        ("svrg", 30, 2 * 455 + 2 * (455 + 16)),
        ("katyusha", 30, 455 + 2 * (455 + 16)),
    ],
)
@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_every_example_that_is_evaluated_is_counted(
    optimizer: str, steps: int, seen: int, engine: str
) -> None:
    """There are 455 examples, in 29 batches an epoch; a snapshot counts all of them."""
    given = {"optimizer": optimizer, "method": "minibatch", "batch_size": "16", "lr": "0.01"}
    grid = experiment("logistic-regression", {}, steps=steps, **given).grid
    (batch,) = batches_of(grid.cohorts, engine)
    plan, curves = train_batch(batch, examples_of(batch.trials[0]), "cpu", lambda _: None)
    counted = [plan.examples_at(steps)] if curves.seen is None else curves.seen[-1].tolist()
    assert counted == [seen]


def ends(problem: str, options: dict[str, Any], **given: Any) -> tuple[Trial, Any, float]:
    """Return a trial, its parameters at the end, and how far its loss is above the minimum."""
    held: list[Any] = []
    (batch,) = batches_of(experiment(problem, options, **given).grid.cohorts)
    (trial,) = batch.trials
    hooks = BatchHooks(look=lambda params, _: held.append(params))
    _, curves = train_batch(batch, examples_of(trial), "cpu", lambda _: None, hooks)
    least = greatest_bound_of(trial)
    assert least is not None
    assert least.attained
    end = {name: array[0] for name, array in held[-1].items()}
    return trial, end, float(curves.values["train_loss"][-1, 0] - least.loss)


LOGISTIC = ("logistic-regression", {"l2": 0.3})
SOFTMAX = ("softmax-regression", {"dataset": "iris", "l2": 0.1})


@pytest.mark.parametrize(
    ("optimizer", "problem", "options"),
    [
        ("svrg", *LOGISTIC),
        ("saga", *LOGISTIC),
        ("sag", *LOGISTIC),
        ("katyusha", *LOGISTIC),
        ("svrg", *SOFTMAX),
        ("saga", *SOFTMAX),
    ],
)
def test_they_end_at_the_minimum_where_scikit_learn_ends(
    optimizer: str, problem: str, options: dict[str, Any]
) -> None:
    given = {"method": "minibatch", "batch_size": "16", "steps": 1600, "record": "log"}
    trial, end, gap = ends(problem, options, optimizer=optimizer, lr=RATES[optimizer], **given)
    assert abs(gap) < 1e-10
    train = examples_of(trial).train
    y = train["y"].argmax(1) if train["y"].shape[1] > 1 else train["y"][:, 0]
    model = LogisticRegression(
        C=1 / (len(y) * options["l2"]), solver="saga", tol=1e-12, max_iter=100_000, random_state=0
    ).fit(train["x"], y)
    assert np.abs(end["weight"].T - model.coef_).max() < 1e-8
    theirs = {"weight": model.coef_.T, "bias": model.intercept_}
    own: Any = trial.problem
    losses = [float(own.loss(params, train)) for params in (end, theirs)]
    assert abs(losses[0] - losses[1]) < 1e-8


def test_the_committed_run_reaches_the_minimum() -> None:
    """SVRG and SAGA end 1e-10 above the minimum at most, plain descent does not."""
    folder = Path(__file__).parents[2] / "results" / "reference" / "variance-reduction"
    trial = experiment("logistic-regression", {"l2": 0.1}, lr="0.2").grid.trials[0]
    least = greatest_bound_of(trial)
    assert least is not None
    ended: dict[str, float] = {}
    text = (folder / "curves.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        if (row["method"], row["lr"]) == ("minibatch", "0.2"):
            ended[row["optimizer"]] = float(row["train_loss"]) - least.loss
    assert max(abs(ended["svrg"]), abs(ended["saga"])) < 1e-10
    assert ended["vanilla"] > 1e-4
