"""How a cohort steps: clipping, decay, learning rates over time, and trials that have ended."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gdcli.engine.batch import batches_of, train_batch
from gdcli.engine.device import NumPy, Torch
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import needs_torch, program_for, starting_point
from gdcli.engine.recorder import CONVERGED, DIVERGED, RUNNING
from gdcli.engine.update import StackedOptimizer
from tests.grids import experiment

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.engine.programs.program import Evaluation, Program
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Array, Params

FACTORS = {"rows": "3", "columns": "2", "rank": "2", "density": "1", "test_fraction": "0"}
HORIZON = 10


class Stepped:
    """A cohort that is stepped by hand, with gradients that are made up."""

    def __init__(self, problem: str, options: dict[str, str] | None = None, **grid: Any) -> None:
        """Take a grid of one cohort."""
        (cohort,) = experiment(problem, options, **grid).grid.cohorts
        self.trials: tuple[Trial, ...] = cohort.trials
        data = examples_of(self.trials[0])
        networks = needs_torch(self.trials[0].problem)
        device = Torch("float64") if networks else NumPy("float64")
        self.program: Program = program_for(self.trials, data, device)
        seeds = self.program.layout.seeds
        starts = [starting_point(self.trials[0].problem, data, seed) for seed in seeds]
        self.params: Params = self.program.start(starts)
        self.rule = StackedOptimizer(self.program, self.trials, self.params, HORIZON)
        self.states = self.rule.init(self.params)

    def step(self, gradient: dict[str, np.ndarray], number: int = 0) -> list[np.ndarray]:
        """Take a step with one gradient for all trials; return how far each trial moved, flat."""
        before = self.flat(self.params)
        grads = {name: self.spread(gradient[name], p) for name, p in self.params.items()}
        self.rule.step(self.params, grads, self.states, number)
        return [new - old for new, old in zip(self.flat(self.params), before, strict=True)]

    def spread(self, value: np.ndarray, param: Array) -> Array:
        """Return one trial's value for every lane."""
        if self.program.layout.shape == param.shape[:1]:  # a network: the lanes come first
            return torch.from_numpy(np.broadcast_to(value, param.shape).copy())
        return np.broadcast_to(value[:, None], param.shape).copy()

    def flat(self, params: Params) -> list[np.ndarray]:
        """Return every trial's parameters in one row."""
        rows: list[list[np.ndarray]] = [[] for _ in self.trials]
        for param in params.values():
            array = self.program.device.host(param)
            if self.program.layout.shape != array.shape[:1]:
                array = np.moveaxis(array, 2, 3).reshape(-1, array.shape[2])
            for row, i in zip(rows, self.program.layout.place, strict=True):
                row.append(array[i].flatten())
        return [np.concatenate(row) for row in rows]


def factors(rng: np.random.Generator, scale: float) -> dict[str, np.ndarray]:
    """Return a gradient of a matrix factorization."""
    return {
        "left": scale * rng.standard_normal((3, 2)),
        "right": scale * rng.standard_normal((2, 2)),
    }


def norm_of(gradient: dict[str, np.ndarray]) -> float:
    """Return the norm over all parameters."""
    return math.sqrt(sum(float((part**2).sum()) for part in gradient.values()))


@settings(max_examples=30)
@given(scale=st.sampled_from([0.0, 1e-3, 1.0, 1e6, 1e100]), seed=st.integers(0, 99))
def test_a_gradient_is_cut_to_its_largest_norm_over_all_parameters(scale: float, seed: int) -> None:
    gradient = factors(np.random.default_rng(seed), scale)
    limits = (0.01, 1.0, 50.0)
    run = Stepped("matrix-factorization", FACTORS, clip_norm="0.01,1,50", lr="1")
    whole = np.concatenate([part.flatten() for part in gradient.values()])
    for limit, moved in zip(limits, run.step(gradient), strict=True):
        cut = min(1.0, limit / norm_of(gradient)) if scale else 1.0
        # What a step adds is known to the rounding of the point it is added to.
        np.testing.assert_allclose(moved, -cut * whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("scale", [0.1, 1.0, 300.0])
def test_torch_cuts_a_gradient_by_a_millionth_more_of_its_norm(scale: float) -> None:
    """As docs/explanation.md says: its divisor is the norm + 1e-6, and nothing else differs."""
    gradient, limit = factors(np.random.default_rng(5), scale), 0.05
    (moved,) = Stepped("matrix-factorization", FACTORS, clip_norm=str(limit), lr="1").step(gradient)
    theirs = [torch.nn.Parameter(torch.from_numpy(part)) for part in gradient.values()]
    for param, part in zip(theirs, gradient.values(), strict=True):
        param.grad = torch.from_numpy(part.copy())
    norm = float(torch.nn.utils.clip_grad_norm_(theirs, limit))
    cut = np.concatenate(
        [param.grad.numpy().flatten() for param in theirs if param.grad is not None]
    )
    relative = np.abs(cut + moved).max() / np.abs(cut).max()
    assert relative == pytest.approx(1e-6 / norm, rel=1e-6, abs=1e-13)
    np.testing.assert_allclose(moved, -cut * (norm + 1e-6) / norm, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("coupled", ["vanilla", "momentum"])
def test_coupled_decay_joins_the_gradient(coupled: str) -> None:
    rng = np.random.default_rng(1)
    run = Stepped(
        "matrix-factorization", FACTORS, optimizer=coupled, weight_decay="0.1,3", lr="0.01,0.5"
    )
    first, second = factors(rng, 1), factors(rng, 1)
    start = run.flat(run.params)
    run.step(first)
    run.step(second, 1)
    flat = [np.concatenate([p.flatten() for p in g.values()]) for g in (first, second)]
    for trial, w, end in zip(run.trials, start, run.flat(run.params), strict=True):
        decay, lr = trial.optimizer.weight_decay, trial.lr
        beta = getattr(trial.optimizer, "beta", 0.0)
        velocity = flat[0] + decay * w
        w1 = w - lr * velocity
        velocity = beta * velocity + flat[1] + decay * w1
        np.testing.assert_allclose(end, w1 - lr * velocity, rtol=1e-13, atol=1e-14)


def test_decoupled_decay_leaves_the_moments_alone() -> None:
    gradient = factors(np.random.default_rng(2), 1)
    with_decay = Stepped(
        "matrix-factorization", FACTORS, optimizer="adamw", weight_decay="0.1,2", lr="0.01"
    )
    without = Stepped(
        "matrix-factorization", FACTORS, optimizer="adamw", weight_decay="0", lr="0.01"
    )
    start = with_decay.flat(with_decay.params)
    (plain,) = without.step(gradient)
    for trial, w, moved in zip(with_decay.trials, start, with_decay.step(gradient), strict=True):
        expected = plain - 0.01 * trial.optimizer.weight_decay * w
        np.testing.assert_allclose(moved, expected, rtol=1e-12, atol=1e-15)
    moments = [run.states["left"]["mean"][0] for run in (with_decay, without)]
    assert torch.equal(*moments)


def test_clipping_comes_before_decay() -> None:
    gradient = factors(np.random.default_rng(3), 100)
    run = Stepped("matrix-factorization", FACTORS, weight_decay="0.5", clip_norm="1", lr="0.1")
    (start,) = run.flat(run.params)
    (moved,) = run.step(gradient)
    flat = np.concatenate([part.flatten() for part in gradient.values()])
    expected = -0.1 * (flat / norm_of(gradient) + 0.5 * start)
    np.testing.assert_allclose(moved, expected, rtol=1e-12)


@pytest.mark.parametrize("problem", ["matrix-factorization", "quadratic"])
def test_every_trial_has_its_own_rate_and_schedule(problem: str) -> None:
    options = FACTORS if problem == "matrix-factorization" else {"dim": "3"}
    run = Stepped(
        problem, options, lr="0.1,0.01", schedule="cosine", vary={"cosine.final": "0,0.5"}
    )
    assert len(run.trials) == 4
    rng = np.random.default_rng(4)
    for number in (0, 1, 1, 7, 9):
        gradient = factors(rng, 1) if problem != "quadratic" else {"point": rng.standard_normal(3)}
        flat = np.concatenate([part.flatten() for part in gradient.values()])
        for trial, moved in zip(run.trials, run.step(gradient, number), strict=True):
            final = getattr(trial.schedule, "final", None)
            assert isinstance(final, float)
            half = (1 + math.cos(math.pi * number / HORIZON)) / 2
            rate = trial.lr * (final + (1 - final) * half)
            np.testing.assert_allclose(moved, -rate * flat, rtol=1e-11, atol=1e-15)


def test_every_trial_has_its_own_options() -> None:
    run = Stepped(
        "quadratic",
        {"dim": "3"},
        optimizer="adam",
        lr="0.1,0.2",
        vary={"adam.beta1": "0,0.9", "adam.beta2": "0.5,0.99", "adam.eps": "0.001"},
    )
    start = run.flat(run.params)
    assert len(run.trials) == 8
    gradients = [np.array([1.0, -2.0, 0.5]) * k for k in (1.0, 0.1, -3.0)]
    for number, gradient in enumerate(gradients):
        run.step({"point": gradient}, number)
    for trial, w, end in zip(run.trials, start, run.flat(run.params), strict=True):
        alone = nn.Parameter(torch.from_numpy(w.copy()))
        betas = [float(getattr(trial.optimizer, name)) for name in ("beta1", "beta2")]
        rule = torch.optim.Adam([alone], lr=trial.lr, betas=(betas[0], betas[1]), eps=1e-3)
        for gradient in gradients:
            alone.grad = torch.from_numpy(gradient)
            rule.step()
        np.testing.assert_allclose(end, alone.detach().numpy(), rtol=1e-12)


class Watched:
    """The parameters of every trial at every point that is evaluated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Look over the shoulder of the next program that is made."""
        self.points: list[dict[str, np.ndarray]] = []
        make: Callable[..., Program] = program_for

        def program(*arguments: Any) -> Program:
            made = make(*arguments)
            self.place, evaluate = made.layout.place, made.evaluate

            def watched(params: Params) -> Evaluation:
                self.points.append({n: made.device.host(p).copy() for n, p in params.items()})
                return evaluate(params)

            monkeypatch.setattr(made, "evaluate", watched)
            return made

        monkeypatch.setattr("gdcli.engine.batch.program_for", program)

    def finite(self) -> list[bool]:
        """Return at which points every number was finite, those that fill up lanes included."""
        return [all(np.isfinite(p).all() for p in point.values()) for point in self.points]


@pytest.mark.parametrize(
    ("optimizer", "decay"),
    [("vanilla", "0"), ("vanilla", "0.1"), ("momentum", "0"), ("adam", "0.1")],
)
@pytest.mark.parametrize("method", ["gd", "minibatch"])
@pytest.mark.parametrize(
    ("problem", "options"),
    [
        ("quadratic", {"noise": "1"}),
        ("linear-regression", {"l2": "0.1"}),
        ("mlp", {"dataset": "wine", "hidden": "4", "activation": "tanh", "l2": "0.1"}),
        ("matrix-factorization", {"rows": "9", "columns": "7", "l2": "0.1"}),
    ],
)
def test_what_diverged_goes_on_as_finite_numbers(  # noqa: PLR0913, PLR0917 -- a table of cases
    monkeypatch: pytest.MonkeyPatch,
    problem: str,
    options: dict[str, str],
    method: str,
    optimizer: str,
    decay: str,
) -> None:
    watched = Watched(monkeypatch)
    given = experiment(
        problem,
        options,
        method=method,
        optimizer=optimizer,
        lr="1e-5,1e300,2e-5",
        steps="12",
        record="2",
        dtype="float64",
        weight_decay=decay,
        batch_size="6",
    )
    (work,) = batches_of(given.grid.cohorts)
    _, curves = train_batch(work, examples_of(work.trials[0]), "cpu", lambda _: None)
    assert curves.ended.tolist() == [RUNNING, DIVERGED, RUNNING]
    end = curves.length[1]  # the place after that of the point at which the trial diverged
    rest = 7 - int(end)  # recorded points that follow; what is only watched lies between
    assert rest > 0
    assert all(watched.finite()[-rest:])


def test_a_trial_that_converged_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    grid = {"optimizer": "momentum", "lr": "0.1,0.00001", "steps": "60"}
    given = experiment("quadratic", {"dim": "2"}, target_loss="0.5", **grid)
    (work,) = batches_of(given.grid.cohorts)
    _, curves = train_batch(work, examples_of(work.trials[0]), "cpu", lambda _: None)
    assert curves.ended.tolist() == [CONVERGED, RUNNING]
    end = int(curves.length[0])
    assert end < 30
    column = watched.place[0]
    held = [point["point"][0, 0, :, column] for point in watched.points[end:]]
    assert all((point == held[0]).all() for point in held)
